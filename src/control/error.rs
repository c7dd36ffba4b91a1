//! Why a command, or one topic or resource of it, was refused.
//!
//! Each kind stands for one Kafka error code and carries that code as its number, so that the node's table from
//! domain errors to wire codes needs no second opinion. Texts are for people: they name the thing and the limit.

use core::fmt;

/// The reasons for which the controller refuses. The number is Kafka's error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i16)]
pub enum ErrorKind {
    /// `UNKNOWN_TOPIC_OR_PARTITION`: no topic of that name.
    UnknownTopicOrPartition = 3,
    /// `INVALID_TOPIC_EXCEPTION`: the name breaks the rules, or collides with another.
    InvalidTopic = 17,
    /// `TOPIC_ALREADY_EXISTS`.
    TopicAlreadyExists = 36,
    /// `INVALID_PARTITIONS`: a partition count that is not positive, not an increase, or beyond a limit.
    InvalidPartitions = 37,
    /// `INVALID_REPLICATION_FACTOR`: not positive, or more replicas than brokers.
    InvalidReplicationFactor = 38,
    /// `INVALID_REPLICA_ASSIGNMENT`: a manual assignment that cannot hold.
    InvalidReplicaAssignment = 39,
    /// `INVALID_CONFIG`: an unknown key or a value outside its range.
    InvalidConfig = 40,
    /// `INVALID_REQUEST`: the request contradicts itself.
    InvalidRequest = 42,
    /// `POLICY_VIOLATION`: a hard limit of this broker.
    PolicyViolation = 44,
    /// `TOPIC_DELETION_DISABLED`: `delete.topic.enable` is false.
    TopicDeletionDisabled = 73,
    /// `UNKNOWN_TOPIC_ID`: no topic of that id.
    UnknownTopicId = 100,
    /// `DUPLICATE_BROKER_REGISTRATION`: another broker has this id.
    DuplicateBrokerRegistration = 101,
    /// `INCONSISTENT_CLUSTER_ID`: the state belongs to another cluster.
    InconsistentClusterId = 104,
}

impl ErrorKind {
    /// Kafka's error code.
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }
}

/// A refusal: what kind, and a sentence for the person who asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What a program looks at.
    pub kind: ErrorKind,
    /// What a person reads: lower case, no full stop.
    pub message: String,
}

impl Refusal {
    /// Joins a kind and its text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
