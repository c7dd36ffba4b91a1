//! Requests that wait: for the disk, for another shard, for the controller, for records. Kafka calls it purgatory.
//!
//! The state of each is kept here and taken out when its last answer is in. A connection that closes drops the place
//! in its order, not the work under way: what was produced is still appended.

use bytes::Bytes;
use corelane_base::id::{ConnId, ShardId, TopicId};
use corelane_base::time::Mono;
use corelane_control::groups::answer::GroupAnswer;

use crate::fetch_session::{FetchKind, FetchWish};
use crate::mesh::{AppendResult, FetchResult, PartitionKey, QueryResult};
use crate::timing::Times;

/// The request that a response answers.
#[derive(Clone, Copy, Debug)]
pub struct RequestMeta {
    /// Who asked.
    pub conn: ConnId,
    /// Its place in the connection's order.
    pub sequence: u64,
    /// Which API.
    pub api_key: i16,
    /// Which version of it.
    pub version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// How it got here, as far as is known.
    pub times: Times,
}

/// A waiting request.
#[derive(Debug)]
pub struct Pending {
    /// Whom to answer.
    pub meta: RequestMeta,
    /// When it is answered at the latest, looked at about once a second; fetches have exact timers.
    pub deadline: Mono,
    /// What it is.
    pub body: PendingBody,
}

/// What a waiting request is.
#[derive(Debug)]
pub enum PendingBody {
    /// A produce waits for durability.
    Produce(PendingProduce),
    /// A fetch waits for records.
    Fetch(Box<PendingFetch>),
    /// A question to the owners of partitions; the API key says which.
    Query(PendingQuery),
    /// Topics are being created on a metadata request's behalf: the names asked for, and those to create.
    AutoCreate(PendingAutoCreate),
    /// A coordinator is looked for, and the topic of offsets is being made for it.
    FindCoordinator(PendingFindCoordinator),
    /// A question to one group's coordinator. With the request's body, for the answer to repeat from it.
    Group(Bytes),
    /// A question to the coordinators of several groups.
    Groups(PendingGroups),
    /// A decision of the controller; its reply is all that is needed. With the request's topic names in order.
    Control,
}

/// Where a topic's partitions stand in a flat list, in the order of the request.
#[derive(Debug)]
pub struct TopicSpan {
    /// As in the request; empty if it came by id.
    pub name: Box<str>,
    /// As in the request; zero if it came by name.
    pub id: TopicId,
    /// How many entries of the flat list are this topic's.
    pub count: u32,
}

/// A produce.
#[derive(Debug)]
pub struct PendingProduce {
    /// 0, 1 or -1.
    pub acks: i16,
    /// The topics in order.
    pub topics: Vec<TopicSpan>,
    /// Partition numbers and results, all topics' behind each other.
    pub partitions: Vec<(i32, AppendResult)>,
    /// How many results are not in yet.
    pub outstanding: u32,
}

/// A fetch.
///
/// Invariants: `wishes`, `keys` and `results` have the same length and order.
#[derive(Debug)]
pub struct PendingFetch {
    /// Its session.
    pub kind: FetchKind,
    /// What is wanted, in serving order. Of a session: what is due, and what came to be while the fetch waited.
    pub wishes: Vec<FetchWish>,
    /// Where that is; `None` for what does not exist.
    pub keys: Vec<Option<PartitionKey>>,
    /// What is known so far.
    pub results: Vec<Option<FetchResult>>,
    /// Answer once there is so much, in bytes.
    pub bytes_min: u32,
    /// Answer no more than this, in bytes, except for the first batch.
    pub bytes_max: u32,
    /// `read_committed` was asked for.
    pub read_committed: bool,
    /// Their length together, in bytes.
    pub bytes: u64,
    /// One of them is urgent.
    pub is_urgent: bool,
    /// How many answers of owners are not in.
    pub outstanding: u32,
    /// Owners that know that this fetch waits.
    pub watching: Vec<ShardId>,
    /// Answer at the latest then.
    pub wait_until: Mono,
    /// A timer for that is set.
    pub has_timer: bool,
    /// When the last owner had given its answer.
    pub known_at: Mono,
    /// Whether one of them had to ask the disk.
    pub from_disk: bool,
}

/// A question to the owners of partitions.
#[derive(Debug)]
pub struct PendingQuery {
    /// The topics in order.
    pub topics: Vec<TopicSpan>,
    /// Partition numbers and answers, all topics' behind each other; `None` until it is in.
    pub partitions: Vec<(i32, Option<QueryResult>)>,
    /// How many owners have not answered.
    pub outstanding: u32,
}

/// A metadata request that waits for topics.
#[derive(Debug)]
pub struct PendingAutoCreate {
    /// All names asked for, in order.
    pub names: Vec<Box<str>>,
    /// The request's wish for operations, echoed as "not computed".
    pub include_topic_operations: bool,
}

/// A search for coordinators.
#[derive(Debug)]
pub struct PendingFindCoordinator {
    /// The groups in order.
    pub keys: Vec<Box<str>>,
}

/// A question to several groups' coordinators.
#[derive(Debug)]
pub struct PendingGroups {
    /// The request's body, for the answer to repeat from it.
    pub body: Bytes,
    /// One for each question, in order; `None` until it is in.
    pub answers: Vec<Option<GroupAnswer>>,
    /// How many are not in.
    pub outstanding: u32,
}
