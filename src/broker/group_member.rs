//! A member of a consumer group, for `corelane consume --group`: the consumer protocol (KIP-848) and commits.
//!
//! The coordinator assigns; the member says what it holds with each heartbeat, gives up what it is not to hold any longer,
//! and takes what it is given. One thread: whoever drives it calls [`GroupMember::beat`] between two short fetches.
//!
//! | epoch | meaning | leaves it by |
//! |--:|---|---|
//! | 0 | not in the group | the first answer |
//! | > 0 | in the group, holding `held` | `leave`, or being fenced, which gives everything up and starts anew |

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use corelane_base::id::BrokerId;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use corelane_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use crate::client::{Client, ClientError, Node, exchange};
use crate::groups;

exchange!(ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ConsumerGroupHeartbeat);

/// Between two heartbeats until the coordinator says how often it wants one.
const INTERVAL_FIRST: Duration = Duration::from_millis(500);
/// How long this member may take to give partitions up: one round of printing and committing.
const REBALANCE_TIMEOUT_MS: i32 = 60_000;

/// What a heartbeat has changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// To be given up: commit what was read of them, then call [`GroupMember::give_up`].
    pub revoked: BTreeSet<i32>,
    /// Held from now on.
    pub gained: BTreeSet<i32>,
    /// The group has gone on without this member: nothing of what it held is its own any more, not even to commit.
    pub fenced: bool,
}

/// A member that reads one topic.
#[derive(Debug)]
pub struct GroupMember {
    group: String,
    topic: String,
    topic_id: [u8; 16],
    member_id: String,
    epoch: i32,
    coordinator: Option<BrokerId>,
    held: BTreeSet<i32>,
    /// What the coordinator wants it to hold.
    wanted: BTreeSet<i32>,
    /// The coordinator does not know yet what is held.
    changed: bool,
    interval: Duration,
    beat_at: Instant,
}

impl GroupMember {
    /// A member that has yet to join. `seed`: random, so that no other member has the same id. Errors: there is no such
    /// topic.
    pub fn new(
        client: &mut Client,
        group: &str,
        topic: &str,
        seed: u128,
    ) -> Result<GroupMember, ClientError> {
        let deadline = client.deadline();
        let topic_id = client.retry(deadline, |client| {
            Ok(client.metadata(Some(&[topic]), false, deadline)?.usable_topic(topic)?.id)
        })?;
        Ok(GroupMember {
            group: group.to_string(),
            topic: topic.to_string(),
            topic_id,
            member_id: format!("corelane-{seed:032x}"),
            epoch: 0,
            coordinator: None,
            held: BTreeSet::new(),
            wanted: BTreeSet::new(),
            changed: true,
            interval: INTERVAL_FIRST,
            beat_at: Instant::now(),
        })
    }

    /// What it holds.
    pub fn held(&self) -> &BTreeSet<i32> {
        &self.held
    }

    /// How long it is from one heartbeat to the next.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// When `beat` sends the next heartbeat: now, if there is something to say.
    pub fn next_beat(&self) -> Instant {
        if self.changed { Instant::now() } else { self.beat_at }
    }

    /// Whether it is in the group and holds exactly what it is to hold.
    pub fn is_settled(&self) -> bool {
        self.epoch > 0 && !self.changed && self.held == self.wanted
    }

    /// Sends a heartbeat if one is due or there is something to say. Errors: what does not pass in time.
    pub fn beat(&mut self, client: &mut Client) -> Result<Change, ClientError> {
        if !self.changed && Instant::now() < self.beat_at {
            return Ok(Change::default());
        }
        let deadline = client.deadline();
        let change = client.retry(deadline, |client| match self.heartbeat(client, self.epoch, deadline) {
            Err(error) => {
                if is_moved(&error) {
                    self.coordinator = None;
                }
                match is_fenced(&error) {
                    true => Ok(self.rejoin()),
                    false => Err(error),
                }
            }
            change => change,
        })?;
        self.beat_at = Instant::now() + self.interval;
        Ok(change)
    }

    /// The partitions are given up; the next heartbeat says so.
    pub fn give_up(&mut self, partitions: &BTreeSet<i32>) {
        self.held.retain(|partition| !partitions.contains(partition));
        self.changed = true;
    }

    /// Commits the next offset to read of some partitions. Errors: as `beat`; a fenced member has committed nothing.
    pub fn commit(&mut self, client: &mut Client, offsets: &BTreeMap<i32, i64>) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let deadline = client.deadline();
        client.retry(deadline, |client| {
            let committed = self.commit_once(client, offsets, deadline);
            if committed.as_ref().is_err_and(is_moved) {
                self.coordinator = None;
            }
            committed
        })
    }

    /// Leaves the group, so that the others need not wait for a time-out. Errors: as `beat`.
    pub fn leave(&mut self, client: &mut Client) -> Result<(), ClientError> {
        if self.epoch == 0 {
            return Ok(());
        }
        let deadline = client.deadline();
        match self.heartbeat(client, -1, deadline) {
            Err(error) if !is_fenced(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn rejoin(&mut self) -> Change {
        let held = std::mem::take(&mut self.held);
        self.wanted.clear();
        self.epoch = 0;
        self.changed = true;
        Change { revoked: held, gained: BTreeSet::new(), fenced: true }
    }

    fn coordinator(&mut self, client: &mut Client, deadline: Instant) -> Result<Node, ClientError> {
        let broker = match self.coordinator {
            Some(broker) => broker,
            None => groups::coordinator(client, &self.group, deadline)?,
        };
        self.coordinator = Some(broker);
        Ok(Node::Broker(broker))
    }

    fn heartbeat(
        &mut self,
        client: &mut Client,
        epoch: i32,
        deadline: Instant,
    ) -> Result<Change, ClientError> {
        let node = self.coordinator(client, deadline)?;
        let joins = epoch == 0;
        let held =
            TopicPartitions { topic_id: self.topic_id, partitions: self.held.iter().copied().collect() };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: &self.group,
            member_id: &self.member_id,
            member_epoch: epoch,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: if joins { REBALANCE_TIMEOUT_MS } else { -1 },
            subscribed_topic_names: joins.then(|| vec![self.topic.as_str()]),
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: match (joins, self.changed, self.held.is_empty()) {
                (true, ..) | (false, true, true) => Some(Vec::new()),
                (false, true, false) => Some(vec![held]),
                (false, false, _) => None,
            },
        };
        let answer = client.call(node, &request, deadline)?;
        let response = answer.decode()?;
        if response.error_code != 0 {
            let what = format!("group {}", self.group);
            return Err(ClientError::refused(what, response.error_code, response.error_message));
        }
        let (epoch, id) = (response.member_epoch, response.member_id.map(str::to_string));
        let interval = Duration::from_millis(response.heartbeat_interval_ms.max(1) as u64);
        let wanted = response.assignment.map(|assignment| {
            let of_topic = assignment.topic_partitions.iter().filter(|topic| topic.topic_id == self.topic_id);
            of_topic.flat_map(|topic| topic.partitions.iter().copied()).collect::<BTreeSet<i32>>()
        });
        drop(answer);
        self.epoch = epoch;
        self.interval = interval;
        self.member_id = id.unwrap_or_else(|| std::mem::take(&mut self.member_id));
        self.changed = false;
        let Some(wanted) = wanted else { return Ok(Change::default()) };
        self.wanted = wanted;
        let revoked: BTreeSet<i32> = self.held.difference(&self.wanted).copied().collect();
        let gained: BTreeSet<i32> = self.wanted.difference(&self.held).copied().collect();
        self.held.extend(&gained);
        // What is gained is told with the next heartbeat; what is revoked once it is given up.
        self.changed = !gained.is_empty();
        Ok(Change { revoked, gained, fenced: false })
    }

    fn commit_once(
        &mut self,
        client: &mut Client,
        offsets: &BTreeMap<i32, i64>,
        deadline: Instant,
    ) -> Result<(), ClientError> {
        let node = self.coordinator(client, deadline)?;
        let partitions = offsets.iter().map(|(partition, offset)| OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(""),
        });
        let request = OffsetCommitRequest {
            group_id: &self.group,
            generation_id_or_member_epoch: self.epoch,
            member_id: &self.member_id,
            group_instance_id: None,
            retention_time_ms: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: &self.topic,
                topic_id: [0; 16],
                partitions: partitions.collect(),
            }],
        };
        let answer = client.call(node, &request, deadline)?;
        let response = answer.decode()?;
        let mut codes = response.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code);
        match codes.find(|code| *code != 0) {
            None => Ok(()),
            Some(code) => {
                Err(ClientError::refused(format!("committing for group {}", self.group), code, None))
            }
        }
    }
}

fn code_of(error: &ClientError) -> Option<ErrorCode> {
    match error {
        ClientError::Refused { code, .. } => ErrorCode::from_code(*code),
        _ => None,
    }
}

/// Whether another broker may be the coordinator now.
fn is_moved(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Lost { .. } => true,
        other => {
            matches!(code_of(other), Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable))
        }
    }
}

/// Whether the group has gone on without the member.
pub fn is_fenced(error: &ClientError) -> bool {
    matches!(
        code_of(error),
        Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::StaleMemberEpoch)
    )
}
