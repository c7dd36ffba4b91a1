//! What a shard counts for its operator, and the snapshot of it that leaves the shard.
//!
//! Counters are plain integers with one owner: a request costs some additions, and a lookup for each partition that it
//! got records from. Nothing is formatted, named or aggregated here; that is done elsewhere, from snapshots, which a
//! shard fills in slices so that many partitions cost many short turns and not a long one.

use std::collections::BTreeMap;
use std::sync::Arc;

use corelane_base::histogram::{Durations, Sizes};
use corelane_base::id::{Offset, PartitionIndex, ShardId, TopicId};
use corelane_base::time::Mono;
use corelane_control::groups::group::{Group, Slot};
use corelane_log::cleaner::CleanerTotals;
use corelane_log::log::{Committed, LogFigures};
use corelane_wire::primitive::ErrorTally;
use hashbrown::HashMap;

use crate::mesh::PartitionKey;
use crate::timing::Leaving;

/// Versions of an API that are told apart; no API has nearly as many.
pub const VERSIONS_MAX: usize = 24;

/// The API keys that are counted lie below this.
const API_KEYS_MAX: usize = 128;

/// The stages of a request, in order; see `timing`.
pub const STAGES: [&str; 5] = ["queue", "log", "disk", "purgatory", "send"];

/// What is known of the requests of one API.
#[derive(Clone, Debug, Default)]
pub struct ApiFigures {
    /// Requests by version.
    pub versions: [u64; VERSIONS_MAX],
    /// Bytes of their frames.
    pub request_bytes: u64,
    /// From the whole frame to the sent response, in nanoseconds, of requests that are answered.
    pub total: Durations,
    /// The stages of these. While counting, only times above zero are in; a snapshot has all.
    pub stages: [Durations; STAGES.len()],
}

impl ApiFigures {
    fn record(&mut self, leaving: &Leaving, sent: Mono) {
        let times = &leaving.times;
        let ns = |from: Mono, to: Mono| to.0.saturating_sub(from.0);
        let stages = [
            ns(times.arrived, times.served),
            ns(times.served, times.logged),
            ns(times.logged, times.stored),
            ns(times.stored, leaving.answered),
            ns(leaving.answered, sent),
        ];
        for (stage, took) in self.stages.iter_mut().zip(stages) {
            // Most stages of most requests begin and end in one turn. They are made up for in the snapshot.
            if took > 0 {
                stage.record(took);
            }
        }
        self.total.record(ns(times.arrived, sent));
    }

    /// A copy in which every stage has as many values as the total.
    fn whole(&self) -> ApiFigures {
        let mut whole = self.clone();
        let count = self.total.count();
        for stage in &mut whole.stages {
            stage.record_zeros(count - stage.count());
        }
        whole
    }

    /// Adds another shard's.
    pub fn merge(&mut self, other: &ApiFigures) {
        for (own, more) in self.versions.iter_mut().zip(&other.versions) {
            *own += more;
        }
        self.request_bytes += other.request_bytes;
        self.total.merge(&other.total);
        for (own, more) in self.stages.iter_mut().zip(&other.stages) {
            own.merge(more);
        }
    }
}

/// What clients did to one partition. All grow only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of batches appended.
    pub bytes_in: u64,
    /// Records appended.
    pub records_in: u64,
    /// Batches that producers sent, whatever became of them. Kafka counts a request once per partition, too.
    pub produce_requests: u64,
    /// Of these, how many were refused.
    pub produce_failed: u64,
    /// Times a consumer asked for records.
    pub fetch_requests: u64,
    /// Of these, how many were refused.
    pub fetch_failed: u64,
}

impl Traffic {
    /// Adds another's.
    pub fn add(&mut self, other: &Traffic) {
        self.bytes_in += other.bytes_in;
        self.records_in += other.records_in;
        self.produce_requests += other.produce_requests;
        self.produce_failed += other.produce_failed;
        self.fetch_requests += other.fetch_requests;
        self.fetch_failed += other.fetch_failed;
    }
}

/// What is left of partitions that are deleted, so that a broker's sums never fall.
#[derive(Clone, Copy, Debug, Default)]
pub struct Departed {
    /// Their traffic.
    pub traffic: Traffic,
    /// Segments deleted, and bytes of batches in them.
    pub deleted: (u64, u64),
}

/// Group commits and reads of the logs a shard owns.
#[derive(Clone, Debug, Default)]
pub struct LogWork {
    /// Sizes of group commits, in bytes of batches.
    pub commit_bytes: Sizes,
    /// From handing a group commit to the disk to taking its completion in, in nanoseconds.
    pub commit_times: Durations,
    /// Reads that found records in the tail's memory.
    pub tail_reads: u64,
    /// Bytes of these.
    pub tail_read_bytes: u64,
}

impl LogWork {
    /// Counts a group commit that a completion ended.
    pub fn on_committed(&mut self, committed: Option<Committed>, now: Mono) {
        if let Some(committed) = committed {
            self.commit_bytes.record(committed.bytes);
            self.commit_times.record(now.since(committed.started).as_nanos() as u64);
        }
    }
}

/// The bytes sent to consumers, by partition, on the shards of their connections.
///
/// Invariant: `places` names every entry of `topics` by its index.
#[derive(Debug, Default)]
pub struct SentBytes {
    places: HashMap<TopicId, u32, foldhash::fast::FixedState>,
    topics: Vec<(TopicId, Vec<u64>)>,
    /// Of topics that are deleted.
    pub departed: u64,
}

impl SentBytes {
    /// Counts bytes of batches in a response. A partition that exists has a number which is not negative.
    pub fn add(&mut self, key: PartitionKey, bytes: u64) {
        let topics = &mut self.topics;
        let place = *self.places.entry(key.topic).or_insert_with(|| {
            topics.push((key.topic, Vec::new()));
            (topics.len() - 1) as u32
        });
        let partitions = &mut self.topics[place as usize].1;
        let index = key.partition.0.max(0) as usize;
        if partitions.len() <= index {
            partitions.resize(index + 1, 0);
        }
        partitions[index] += bytes;
    }

    /// A topic is deleted.
    pub fn forget(&mut self, topic: TopicId) {
        let Some(place) = self.places.remove(&topic) else { return };
        let (_, partitions) = self.topics.swap_remove(place as usize);
        self.departed += partitions.iter().sum::<u64>();
        if let Some((moved, _)) = self.topics.get(place as usize) {
            self.places.insert(*moved, place);
        }
    }

    /// The topics, in no order that means anything.
    #[must_use]
    pub fn topics(&self) -> &[(TopicId, Vec<u64>)] {
        &self.topics
    }
}

/// A shard's own counters; those of partitions are theirs.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The moment of the turn.
    pub now: Mono,
    apis: Vec<Option<Box<ApiFigures>>>,
    /// Bounded by APIs times error codes.
    errors: BTreeMap<(i16, i16), u64>,
    /// Bytes sent to consumers.
    pub sent: SentBytes,
    /// Connections closed for what they sent, or because there were too many.
    pub refused_total: u64,
    /// Connections closed because nothing moved on them.
    pub idle_closed_total: u64,
}

impl Metrics {
    fn api(&mut self, api_key: i16) -> Option<&mut ApiFigures> {
        let index = usize::try_from(api_key).ok().filter(|index| *index < API_KEYS_MAX)?;
        if self.apis.len() <= index {
            self.apis.resize_with(index + 1, || None);
        }
        Some(self.apis[index].get_or_insert_default())
    }

    /// Counts a request of an API that is served.
    pub fn on_request(&mut self, api_key: i16, version: i16, frame_bytes: usize) {
        if let Some(api) = self.api(api_key) {
            let version = (version.max(0) as usize).min(VERSIONS_MAX - 1);
            api.versions[version] += 1;
            api.request_bytes += frame_bytes as u64;
        }
    }

    /// Counts the errors of an answer.
    pub fn on_errors(&mut self, api_key: i16, errors: &ErrorTally) {
        for (code, count) in errors.iter() {
            *self.errors.entry((api_key, code)).or_default() += u64::from(count);
        }
    }

    /// A response is out, or was silence.
    pub fn on_sent(&mut self, leaving: &Leaving, sent: Mono) {
        if let Some(api) = self.api(leaving.api_key) {
            api.record(leaving, sent);
        }
    }

    /// All APIs that were used, by rising key.
    #[must_use]
    pub fn apis(&self) -> Vec<(i16, ApiFigures)> {
        let used = self.apis.iter().enumerate();
        used.filter_map(|(key, api)| api.as_ref().map(|api| (key as i16, api.whole()))).collect()
    }

    /// Errors by API key and code.
    #[must_use]
    pub fn errors(&self) -> Vec<((i16, i16), u64)> {
        self.errors.iter().map(|(key, count)| (*key, *count)).collect()
    }
}

/// One partition in a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct PartitionFigures {
    /// Which.
    pub key: PartitionKey,
    /// What clients did.
    pub traffic: Traffic,
    /// Where the log begins.
    pub log_start_offset: Offset,
    /// Where it ends, exclusive.
    pub log_end_offset: Offset,
    /// Where consumers' reading ends, exclusive.
    pub high_watermark: Offset,
    /// Its log.
    pub log: LogFigures,
    /// Whether it serves.
    pub online: bool,
}

/// Counts and sizes of a shard at one moment. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardGauges {
    /// Whether requests are served.
    pub serving: bool,
    /// Publications of metadata applied.
    pub metadata_version: u64,
    /// Clients connected.
    pub connections: u64,
    /// Of those of all shards, how many wait for a place; the first shard knows.
    pub connections_waiting: u64,
    /// Produces, fetches and other requests that wait.
    pub pending: [u64; 3],
    /// Partitions with batches that wait for their logs are told by these bytes.
    pub deferred_bytes: u64,
    /// Incomplete and waiting frames.
    pub inbox_bytes: u64,
    /// Frames of requests under way.
    pub request_bytes: u64,
    /// Responses that wait for slow readers.
    pub unsent_bytes: u64,
    /// The tables of connections and of incremental fetch sessions, about.
    pub session_bytes: u64,
    /// Incremental fetch sessions, and the partitions in them.
    pub fetch_sessions: u64,
    /// See `fetch_sessions`.
    pub fetch_session_partitions: u64,
    /// Fetches that wait for records at this owner.
    pub watches: u64,
    /// Memory of the tails, and the most it may be.
    pub tail_bytes_max: u64,
    /// Spare segments.
    pub spare_segments: u64,
    /// The file system: its size and what is free, as last asked; zero before.
    pub disk_total_bytes: u64,
    /// See `disk_total_bytes`.
    pub disk_free_bytes: u64,
    /// Produce is refused for want of room.
    pub disk_full: bool,
    /// Connections closed for what they sent, or because there were too many.
    pub refused_total: u64,
    /// Connections closed because nothing moved on them.
    pub idle_closed_total: u64,
    /// Bytes sent to consumers of topics that are deleted.
    pub departed_sent_bytes: u64,
}

/// Topics by identity with their names, all in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct TopicNames {
    text: String,
    topics: Vec<(TopicId, u32, usize)>,
}

impl TopicNames {
    /// Adds a topic.
    pub fn push(&mut self, id: TopicId, partitions: u32, name: &str) {
        self.text.push_str(name);
        self.topics.push((id, partitions, self.text.len()));
    }

    /// The last name added.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.iter().next_back().map(|(_, _, name)| name)
    }

    /// All topics in the order they were added: identity, number of partitions, name.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (TopicId, u32, &str)> {
        (0..self.topics.len()).map(|index| {
            let (id, partitions, end) = self.topics[index];
            let start = if index == 0 { 0 } else { self.topics[index - 1].2 };
            (id, partitions, &self.text[start..end])
        })
    }
}

/// Groups and committed offsets that one shard tells at most.
pub const GROUPS_TOLD_MAX: usize = 10_000;
/// See [`GROUPS_TOLD_MAX`].
pub const GROUP_OFFSETS_TOLD_MAX: usize = 20_000;

/// A group in a snapshot.
#[derive(Clone, Debug)]
pub struct GroupFigures {
    /// Its id.
    pub id: Arc<str>,
    /// In Kafka's spelling.
    pub state: &'static str,
    /// How many.
    pub members: u32,
}

/// A committed offset in a snapshot.
#[derive(Clone, Debug)]
pub struct CommittedFigures {
    /// Index of its group.
    pub group: u32,
    /// Of which topic.
    pub topic: Arc<str>,
    /// Of which partition.
    pub partition: PartitionIndex,
    /// Where the group reads on.
    pub offset: Offset,
}

/// The groups a shard coordinates.
///
/// Invariant: each offset's `group` is the index of one of `groups`.
#[derive(Clone, Debug, Default)]
pub struct GroupsFigures {
    /// How many there are, those that are not told included.
    pub count: u64,
    /// In the order of their ids, coordinator by coordinator.
    pub groups: Vec<GroupFigures>,
    /// Group by group.
    pub offsets: Vec<CommittedFigures>,
    /// Offsets of the groups told that found no room.
    pub untold_offsets: u64,
}

impl GroupsFigures {
    /// Adds the groups of one coordinator.
    pub fn add<'a>(&mut self, slots: impl Iterator<Item = &'a Slot>) {
        for slot in slots {
            self.count += 1;
            if self.groups.len() >= GROUPS_TOLD_MAX {
                continue;
            }
            let group = self.groups.len() as u32;
            let members = match &slot.group {
                Group::Classic(group) => group.members.len(),
                Group::Consumer(group) => group.state.members.len(),
            };
            let (id, state) = (Arc::clone(slot.group.id()), slot.group.state());
            self.groups.push(GroupFigures { id, state, members: members as u32 });
            for (topic, partitions) in slot.offsets.topics() {
                let room = GROUP_OFFSETS_TOLD_MAX - self.offsets.len();
                self.untold_offsets += partitions.len().saturating_sub(room) as u64;
                self.offsets.extend(partitions.iter().take(room).map(|(partition, committed)| {
                    let (topic, offset) = (Arc::clone(topic), Offset(committed.offset));
                    CommittedFigures { group, topic, partition: *partition, offset }
                }));
            }
        }
    }
}

/// How far a snapshot is filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filled {
    /// Not at all.
    #[default]
    Nothing,
    /// Partitions up to this slot.
    Partitions(u32),
    /// Partitions, and bytes sent up to this topic.
    Sent(usize),
    /// That, and the groups of coordinators before this one.
    Groups(PartitionIndex),
    /// That, and topics up to the last one in.
    Topics,
    /// It is whole.
    Everything,
}

/// What one shard counted, as of the turns in which it was filled.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// How far it is filled.
    pub filled: Filled,
    /// Whose it is.
    pub shard: ShardId,
    /// How many shards the broker has.
    pub shard_count: u16,
    /// Requests by API key.
    pub apis: Vec<(i16, ApiFigures)>,
    /// Errors by API key and code.
    pub errors: Vec<((i16, i16), u64)>,
    /// The present.
    pub gauges: ShardGauges,
    /// The logs' work.
    pub work: LogWork,
    /// What compaction did.
    pub compaction: CleanerTotals,
    /// What is left of deleted partitions.
    pub departed: Departed,
    /// The partitions the shard owns.
    pub partitions: Vec<PartitionFigures>,
    /// Bytes this shard sent to consumers, of any shard's partitions.
    pub sent: Vec<(PartitionKey, u64)>,
    /// From the first shard: all topics by rising name.
    pub topics: TopicNames,
    /// The groups the shard coordinates.
    pub groups: GroupsFigures,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::Times;

    #[test]
    fn stages_add_up_to_the_total() {
        let mut metrics = Metrics::default();
        let times = Times::served(Mono(100_000), Mono(300_000)).worked(Mono(250_000), Mono(900_000));
        let leaving = Leaving { api_key: 0, times, answered: Mono(900_000) };
        metrics.on_request(0, 9, 70);
        metrics.on_sent(&leaving, Mono(1_500_000));
        let apis = metrics.apis();
        let (key, api) = &apis[0];
        let sums: Vec<u64> = api.stages.iter().map(Durations::sum).collect();
        assert_eq!((*key, api.versions[9], api.request_bytes), (0, 1, 70));
        assert_eq!(sums, [200_000, 0, 600_000, 0, 600_000]);
        assert_eq!(api.total.sum(), 1_400_000);
        assert!(api.stages.iter().all(|stage| stage.count() == 1), "stages without a duration count too");
    }

    #[test]
    fn foreign_keys_and_versions_are_harmless() {
        let mut metrics = Metrics::default();
        for key in [-1, i16::MIN, i16::MAX, API_KEYS_MAX as i16] {
            metrics.on_request(key, 0, 1);
        }
        assert!(metrics.apis().is_empty());
        metrics.on_request(18, i16::MAX, 1);
        metrics.on_request(18, -3, 1);
        let versions = metrics.apis()[0].1.versions;
        assert_eq!((versions[VERSIONS_MAX - 1], versions[0]), (1, 1));
    }

    #[test]
    fn bytes_of_deleted_topics_are_kept_in_the_sum() {
        let mut sent = SentBytes::default();
        let key = |topic: u8, partition| PartitionKey {
            topic: TopicId([topic; 16]),
            partition: PartitionIndex(partition),
        };
        for (topic, partition, bytes) in [(1, 3, 10), (2, 0, 20), (3, 1, 30), (1, 0, 5)] {
            sent.add(key(topic, partition), bytes);
        }
        sent.forget(TopicId([1; 16]));
        sent.forget(TopicId([9; 16]));
        sent.add(key(3, 1), 1);
        assert_eq!(sent.departed, 15);
        let mut left: Vec<(TopicId, Vec<u64>)> = sent.topics().to_vec();
        left.sort();
        assert_eq!(left, [(TopicId([2; 16]), vec![20]), (TopicId([3; 16]), vec![0, 31])]);
    }

    #[test]
    fn names_are_told_apart() {
        let mut names = TopicNames::default();
        assert_eq!(names.last(), None);
        for (index, name) in ["a", "bcd", "ef"].iter().enumerate() {
            names.push(TopicId([index as u8; 16]), 1, name);
        }
        let told: Vec<&str> = names.iter().map(|(_, _, name)| name).collect();
        assert_eq!((told, names.last()), (vec!["a", "bcd", "ef"], Some("ef")));
    }
}
