//! Topics and partitions: traffic, offsets, sizes.
//!
//! A topic's sums and the broker's are kept by name as Kafka's exporter writes them: the broker's without a label, the
//! topic's with one. Each partition's labels are rendered once. Beyond [`PARTITIONS_TOLD_MAX`] partitions, in the order
//! of their topics' names, the rest is only part of the sums.

use std::collections::HashMap;

use corelane_base::id::TopicId;
use corelane_node::mesh::PartitionKey;
use corelane_node::metrics::{PartitionFigures, Snapshot, Traffic};

use crate::exposition::{Exposition, Kind, Labels};

/// Partitions that are told one by one: at some 1.2 kB each, 24 MB of text.
pub const PARTITIONS_TOLD_MAX: usize = 20_000;

/// A topic with its sums.
struct Topic {
    labels: Labels,
    name: String,
    traffic: Traffic,
    bytes_out: u64,
}

/// A partition that is told.
struct Partition<'a> {
    labels: Labels,
    figures: &'a PartitionFigures,
    bytes_out: u64,
}

/// A counter of traffic: its name for topics, its name for partitions, what it is, and its value; bytes sent stand
/// beside the rest because other shards count them.
type Row = (&'static str, &'static str, &'static str, fn(&Traffic, u64) -> u64);

const ROWS: &[Row] = &[
    (
        "kafka_server_brokertopicmetrics_messagesin_total",
        "corelane_partition_records_in_total",
        "Records appended.",
        |t, _| t.records_in,
    ),
    (
        "kafka_server_brokertopicmetrics_bytesin_total",
        "corelane_partition_bytes_in_total",
        "Bytes of batches appended.",
        |t, _| t.bytes_in,
    ),
    (
        "kafka_server_brokertopicmetrics_bytesout_total",
        "corelane_partition_bytes_out_total",
        "Bytes of batches sent to consumers.",
        |_, out| out,
    ),
    (
        "kafka_server_brokertopicmetrics_totalproducerequests_total",
        "corelane_partition_produce_requests_total",
        "Batches that producers sent; each partition of a request counts.",
        |t, _| t.produce_requests,
    ),
    (
        "kafka_server_brokertopicmetrics_totalfetchrequests_total",
        "corelane_partition_fetch_requests_total",
        "Reads that consumers asked for; each partition of a request counts.",
        |t, _| t.fetch_requests,
    ),
    (
        "kafka_server_brokertopicmetrics_failedproducerequests_total",
        "corelane_partition_failed_produce_requests_total",
        "Batches that were refused by the owner of their partition.",
        |t, _| t.produce_failed,
    ),
    (
        "kafka_server_brokertopicmetrics_failedfetchrequests_total",
        "corelane_partition_failed_fetch_requests_total",
        "Reads that were refused by the owner of their partition.",
        |t, _| t.fetch_failed,
    ),
];

/// Tells topics and partitions.
pub(super) fn tell(out: &mut Exposition, snapshots: &[&Snapshot]) {
    let (mut topics, places) = name_topics(snapshots);
    let mut sent: HashMap<PartitionKey, u64> = HashMap::new();
    for (key, bytes) in snapshots.iter().flat_map(|snapshot| &snapshot.sent) {
        *sent.entry(*key).or_default() += bytes;
    }
    // A partition of a topic that another shard has deleted already, or not heard of yet, has no name.
    let mut owned: Vec<(usize, &PartitionFigures)> = snapshots
        .iter()
        .flat_map(|snapshot| &snapshot.partitions)
        .filter_map(|figures| places.get(&figures.key.topic).map(|place| (*place, figures)))
        .collect();
    owned.sort_unstable_by_key(|(place, figures)| (*place, figures.key.partition));
    for (place, figures) in &owned {
        topics[*place].traffic.add(&figures.traffic);
    }
    for (key, bytes) in &sent {
        if let Some(place) = places.get(&key.topic) {
            topics[*place].bytes_out += bytes;
        }
    }
    let hidden = owned.len().saturating_sub(PARTITIONS_TOLD_MAX);
    let partitions: Vec<Partition<'_>> = owned
        .iter()
        .take(PARTITIONS_TOLD_MAX)
        .map(|(place, figures)| {
            let number = figures.key.partition.0.to_string();
            Partition {
                labels: Labels::new(&[("topic", &topics[*place].name), ("partition", &number)]),
                figures,
                bytes_out: sent.get(&figures.key).copied().unwrap_or(0),
            }
        })
        .collect();
    tell_counts(out, snapshots, &topics, owned.len(), hidden);
    tell_traffic(out, snapshots, &topics, &sent);
    tell_partitions(out, &partitions);
}

/// The topics by rising name, and where each stands.
fn name_topics(snapshots: &[&Snapshot]) -> (Vec<Topic>, HashMap<TopicId, usize>) {
    let mut topics = Vec::new();
    let mut places = HashMap::new();
    for (id, _, name) in snapshots.iter().flat_map(|snapshot| snapshot.topics.iter()) {
        places.insert(id, topics.len());
        let labels = Labels::new(&[("topic", name)]);
        topics.push(Topic { labels, name: name.to_owned(), traffic: Traffic::default(), bytes_out: 0 });
    }
    (topics, places)
}

fn tell_counts(
    out: &mut Exposition,
    snapshots: &[&Snapshot],
    topics: &[Topic],
    partitions: usize,
    hidden: usize,
) {
    let named: u32 = snapshots.iter().flat_map(|snapshot| snapshot.topics.iter()).map(|topic| topic.1).sum();
    let rows: [(&'static str, &str, f64); 6] = [
        ("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster.", topics.len() as f64),
        (
            "kafka_controller_kafkacontroller_globalpartitioncount",
            "Partitions of the cluster.",
            f64::from(named),
        ),
        ("kafka_server_replicamanager_partitioncount", "Partitions of this broker.", partitions as f64),
        ("kafka_server_replicamanager_leadercount", "Partitions that it leads.", partitions as f64),
        (
            "kafka_server_replicamanager_underreplicatedpartitions",
            "Partitions that it leads whose followers are behind; without replication there is none.",
            0.0,
        ),
        (
            "corelane_partitions_untold",
            "Partitions that are only part of the sums here, because there are too many.",
            hidden as f64,
        ),
    ];
    for (name, help, value) in rows {
        out.gauge(name, help, value);
    }
}

fn tell_traffic(
    out: &mut Exposition,
    snapshots: &[&Snapshot],
    topics: &[Topic],
    sent: &HashMap<PartitionKey, u64>,
) {
    // All partitions, with or without a name by now, and what is left of deleted ones: the sums never fall.
    let mut traffic = Traffic::default();
    let mut bytes_out: u64 = sent.values().sum();
    for snapshot in snapshots {
        snapshot.partitions.iter().for_each(|figures| traffic.add(&figures.traffic));
        traffic.add(&snapshot.departed.traffic);
        bytes_out += snapshot.gauges.departed_sent_bytes;
    }
    for (name, _, help, value) in ROWS {
        let mut family = out.family(name, Kind::Counter, help);
        family.int(&Labels::default(), value(&traffic, bytes_out));
        for topic in topics {
            family.int(&topic.labels, value(&topic.traffic, topic.bytes_out));
        }
    }
}

fn tell_partitions(out: &mut Exposition, partitions: &[Partition<'_>]) {
    for (_, name, help, value) in ROWS {
        let mut family = out.family(name, Kind::Counter, help);
        for partition in partitions {
            family.int(&partition.labels, value(&partition.figures.traffic, partition.bytes_out));
        }
    }
    type Gauge = (&'static str, &'static str, fn(&PartitionFigures) -> i64);
    const GAUGES: &[Gauge] = &[
        ("kafka_log_log_logstartoffset", "Where the log begins.", |f| f.log_start_offset.0),
        ("kafka_log_log_logendoffset", "Where the log ends, exclusive.", |f| f.log_end_offset.0),
        ("corelane_partition_high_watermark", "Where consumers' reading ends, exclusive.", |f| {
            f.high_watermark.0
        }),
        ("kafka_log_log_size", "Bytes of batches in the log.", |f| f.log.size_bytes as i64),
        ("kafka_log_log_numlogsegments", "Segments of the log.", |f| f.log.segments.into()),
    ];
    for (name, help, value) in GAUGES {
        let mut family = out.family(name, Kind::Gauge, help);
        for partition in partitions {
            family.signed(&partition.labels, value(partition.figures));
        }
    }
    let help = "Partitions whose log does not serve, each 1.";
    let mut family = out.family("corelane_partition_offline", Kind::Gauge, help);
    for partition in partitions.iter().filter(|partition| !partition.figures.online) {
        family.int(&partition.labels, 1);
    }
}
