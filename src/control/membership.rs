//! The cluster's beginning, and brokers that come and come back.

use crate::command::{Outcome, State};
use crate::error::{ErrorKind, Refusal};
use crate::record::{BrokerRegistration, MetadataRecord, TEXT_BYTES_MAX};

/// Makes a cluster of empty metadata, or checks that this is the cluster it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormatCluster {
    /// The cluster's id.
    pub cluster_id: String,
}

/// A broker has started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartBroker {
    /// What it says of itself.
    pub registration: BrokerRegistration,
    /// Whether its last run ended without a clean stop. Then each partition it leads begins a new leader epoch.
    pub unclean: bool,
}

/// Gives the cluster its id. Nothing changes if it has this one already.
/// Errors: `INCONSISTENT_CLUSTER_ID` if it has another one.
/// Panics: if the id is empty or longer than [`TEXT_BYTES_MAX`].
#[must_use]
pub fn format_cluster(state: &State<'_>, command: &FormatCluster) -> Outcome<Result<(), Refusal>> {
    assert!(!command.cluster_id.is_empty(), "a cluster has an id");
    assert!(command.cluster_id.len() <= TEXT_BYTES_MAX, "a cluster's id is short");
    match state.image.cluster_id() {
        None => {
            let cluster_id = command.cluster_id.clone();
            Outcome { records: vec![MetadataRecord::ClusterFormatted { cluster_id }], answer: Ok(()) }
        }
        Some(id) if id == command.cluster_id => Outcome { records: Vec::new(), answer: Ok(()) },
        Some(id) => {
            let text = format!("this is cluster {id}, not {}", command.cluster_id);
            let refusal = Refusal::new(ErrorKind::InconsistentClusterId, text);
            Outcome { records: Vec::new(), answer: Err(refusal) }
        }
    }
}

/// Takes a broker into the cluster, or takes note that it is back. No record if nothing about it is new and its last
/// run ended cleanly. Panics: if the broker has a negative id or no address.
#[must_use]
pub fn start_broker(state: &State<'_>, command: &StartBroker) -> Outcome<()> {
    let id = command.registration.id;
    assert!(id.0 >= 0, "broker ids are not negative");
    assert!(!command.registration.endpoints.is_empty(), "a broker has an address");
    let mut records = Vec::new();
    if state.image.broker(id) != Some(&command.registration) {
        records.push(MetadataRecord::BrokerRegistered { registration: command.registration.clone() });
    }
    let leads = || state.image.topics().flat_map(|topic| &topic.partitions).any(|p| p.leader == Some(id));
    if command.unclean && leads() {
        records.push(MetadataRecord::BrokerRestarted { broker: id });
    }
    Outcome { records, answer: () }
}
