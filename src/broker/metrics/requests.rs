//! Requests by API: how many, of which version, how they ended, and where their time went.

use std::collections::BTreeMap;

use corelane_node::metrics::{ApiFigures, STAGES, Snapshot};
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;

use crate::exposition::{Exposition, Kind, Labels};

/// Nanoseconds in a second.
const NS: f64 = 1e9;

/// Tells what all shards together served.
pub(super) fn tell(out: &mut Exposition, snapshots: &[&Snapshot]) {
    let mut apis: BTreeMap<i16, ApiFigures> = BTreeMap::new();
    let mut errors: BTreeMap<(i16, i16), u64> = BTreeMap::new();
    for snapshot in snapshots {
        for (key, api) in &snapshot.apis {
            apis.entry(*key).or_default().merge(api);
        }
        for (key, count) in &snapshot.errors {
            *errors.entry(*key).or_default() += count;
        }
    }
    let name = |key: i16| ApiKey::from_code(key).map_or("Unknown", ApiKey::name);
    let help = "Requests by API and version.";
    let mut family = out.family("kafka_network_requestmetrics_requests_total", Kind::Counter, help);
    for (key, api) in &apis {
        for (version, count) in api.versions.iter().enumerate().filter(|(_, count)| **count > 0) {
            let labels = Labels::new(&[("request", name(*key)), ("version", &version.to_string())]);
            family.int(&labels, *count);
        }
    }
    let help = "Error codes in responses, each partition's or topic's for itself. Success is not counted.";
    let mut family = out.family("kafka_network_requestmetrics_errors_total", Kind::Counter, help);
    for ((key, code), count) in &errors {
        let error = ErrorCode::from_code(*code).map_or("UNKNOWN", ErrorCode::name);
        family.int(&Labels::new(&[("request", name(*key)), ("error", error)]), *count);
    }
    let help = "Bytes of request frames.";
    let mut family = out.family("corelane_request_frame_bytes_total", Kind::Counter, help);
    for (key, api) in &apis {
        family.int(&Labels::new(&[("request", name(*key))]), api.request_bytes);
    }
    let help = "From the whole frame to the sent response, in the shard's turns.";
    let mut family = out.family("corelane_request_seconds", Kind::Histogram, help);
    for (key, api) in &apis {
        family.histogram(&Labels::new(&[("request", name(*key))]), &api.total, NS, 1);
    }
    let help = "The same by stage; stages that never took a turn are left out.";
    let mut family = out.family("corelane_request_stage_seconds", Kind::Histogram, help);
    for (key, api) in &apis {
        for (stage, times) in STAGES.iter().zip(&api.stages).filter(|(_, times)| times.sum() > 0) {
            family.histogram(&Labels::new(&[("request", name(*key)), ("stage", stage)]), times, NS, 2);
        }
    }
}
