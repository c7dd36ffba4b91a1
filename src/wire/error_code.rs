//! The error codes of the Kafka protocol: number, name, and whether a client may simply try again.
//!
//! One table; everything else is derived from it. Numbers and names are fixed by the protocol, the texts are ours. Which
//! of the broker's own errors becomes which code is decided in one place of the node crate, not here.

/// The column of the table that says whether the error passes.
macro_rules! retriable {
    (retriable) => {
        true
    };
    (fatal) => {
        false
    };
}

/// One row per error: number, variant, Kafka's name, `retriable` or `fatal`, meaning.
macro_rules! error_codes {
    ($(($code:literal, $variant:ident, $name:literal, $kind:ident, $text:literal),)*) => {
        /// An error code of the Kafka protocol. Only numbers that the protocol defines can be built.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", $name, "`: ", $text, ".")]
                $variant = $code,
            )*
        }

        impl Default for ErrorCode {
            fn default() -> Self {
                Self::None
            }
        }

        impl ErrorCode {
            /// Every code, in rising order.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code of this number, if the protocol defines one.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's name of the code, in capitals.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whether Kafka's clients may send the same request again and hope for better.
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(Self::$variant => retriable!($kind),)*
                }
            }

            /// What the code means, as a short text for people.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

#[rustfmt::skip]
error_codes! {
    (-1, UnknownServerError, "UNKNOWN_SERVER_ERROR", fatal, "something went wrong inside the broker"),
    (0, None, "NONE", fatal, "success"),
    (1, OffsetOutOfRange, "OFFSET_OUT_OF_RANGE", fatal, "the offset lies outside the log"),
    (2, CorruptMessage, "CORRUPT_MESSAGE", retriable, "a batch fails its checksum or is malformed"),
    (3, UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION", retriable, "no such topic or partition here"),
    (4, InvalidFetchSize, "INVALID_FETCH_SIZE", fatal, "the fetch size makes no sense"),
    (5, LeaderNotAvailable, "LEADER_NOT_AVAILABLE", retriable, "the partition has no leader at the moment"),
    (6, NotLeaderOrFollower, "NOT_LEADER_OR_FOLLOWER", retriable, "this broker does not lead, or does not hold, the partition"),
    (7, RequestTimedOut, "REQUEST_TIMED_OUT", retriable, "the request was not done in time"),
    (8, BrokerNotAvailable, "BROKER_NOT_AVAILABLE", fatal, "the broker is not there"),
    (9, ReplicaNotAvailable, "REPLICA_NOT_AVAILABLE", retriable, "the replica is not there"),
    (10, MessageTooLarge, "MESSAGE_TOO_LARGE", fatal, "a batch is larger than the topic allows"),
    (11, StaleControllerEpoch, "STALE_CONTROLLER_EPOCH", fatal, "the controller has changed"),
    (12, OffsetMetadataTooLarge, "OFFSET_METADATA_TOO_LARGE", fatal, "the text beside a committed offset is too long"),
    (13, NetworkException, "NETWORK_EXCEPTION", retriable, "the connection was lost before the response"),
    (14, CoordinatorLoadInProgress, "COORDINATOR_LOAD_IN_PROGRESS", retriable, "the coordinator is still loading its state"),
    (15, CoordinatorNotAvailable, "COORDINATOR_NOT_AVAILABLE", retriable, "there is no coordinator at the moment"),
    (16, NotCoordinator, "NOT_COORDINATOR", retriable, "another broker is the coordinator"),
    (17, InvalidTopicException, "INVALID_TOPIC_EXCEPTION", fatal, "the topic's name is not allowed, or the topic is not for this use"),
    (18, RecordListTooLarge, "RECORD_LIST_TOO_LARGE", fatal, "the batches are larger than a segment"),
    (19, NotEnoughReplicas, "NOT_ENOUGH_REPLICAS", retriable, "fewer replicas in sync than required; nothing was written"),
    (20, NotEnoughReplicasAfterAppend, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "written, but to fewer in-sync replicas than required"),
    (21, InvalidRequiredAcks, "INVALID_REQUIRED_ACKS", fatal, "acks is none of 0, 1 and -1"),
    (22, IllegalGeneration, "ILLEGAL_GENERATION", fatal, "the group is in another generation"),
    (23, InconsistentGroupProtocol, "INCONSISTENT_GROUP_PROTOCOL", fatal, "the member's protocols do not fit the group's"),
    (24, InvalidGroupId, "INVALID_GROUP_ID", fatal, "the group id is not allowed"),
    (25, UnknownMemberId, "UNKNOWN_MEMBER_ID", fatal, "the group has no such member"),
    (26, InvalidSessionTimeout, "INVALID_SESSION_TIMEOUT", fatal, "the session timeout is outside the broker's range"),
    (27, RebalanceInProgress, "REBALANCE_IN_PROGRESS", fatal, "the group is rebalancing; join again"),
    (28, InvalidCommitOffsetSize, "INVALID_COMMIT_OFFSET_SIZE", fatal, "the offset commit is too large"),
    (29, TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED", fatal, "not allowed on this topic"),
    (30, GroupAuthorizationFailed, "GROUP_AUTHORIZATION_FAILED", fatal, "not allowed on this group"),
    (31, ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED", fatal, "not allowed on the cluster"),
    (32, InvalidTimestamp, "INVALID_TIMESTAMP", fatal, "the timestamp is too far from the broker's time"),
    (33, UnsupportedSaslMechanism, "UNSUPPORTED_SASL_MECHANISM", fatal, "the broker does not offer this mechanism"),
    (34, IllegalSaslState, "ILLEGAL_SASL_STATE", fatal, "the request does not belong at this point of the authentication"),
    (35, UnsupportedVersion, "UNSUPPORTED_VERSION", fatal, "the broker does not serve this version of the API"),
    (36, TopicAlreadyExists, "TOPIC_ALREADY_EXISTS", fatal, "there is a topic of this name already"),
    (37, InvalidPartitions, "INVALID_PARTITIONS", fatal, "the number of partitions is not possible"),
    (38, InvalidReplicationFactor, "INVALID_REPLICATION_FACTOR", fatal, "the replication factor is not possible"),
    (39, InvalidReplicaAssignment, "INVALID_REPLICA_ASSIGNMENT", fatal, "the assignment of replicas is not possible"),
    (40, InvalidConfig, "INVALID_CONFIG", fatal, "a configuration value is not valid"),
    (41, NotController, "NOT_CONTROLLER", retriable, "another node is the controller"),
    (42, InvalidRequest, "INVALID_REQUEST", fatal, "the request contradicts itself or the protocol"),
    (43, UnsupportedForMessageFormat, "UNSUPPORTED_FOR_MESSAGE_FORMAT", fatal, "the record format does not allow this"),
    (44, PolicyViolation, "POLICY_VIOLATION", fatal, "a policy of the broker forbids it"),
    (45, OutOfOrderSequenceNumber, "OUT_OF_ORDER_SEQUENCE_NUMBER", fatal, "the producer's sequence has a gap"),
    (46, DuplicateSequenceNumber, "DUPLICATE_SEQUENCE_NUMBER", fatal, "the producer's sequence number was seen before"),
    (47, InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH", fatal, "the producer's epoch is old"),
    (48, InvalidTxnState, "INVALID_TXN_STATE", fatal, "the transaction is in a state that does not allow this"),
    (49, InvalidProducerIdMapping, "INVALID_PRODUCER_ID_MAPPING", fatal, "the producer id does not belong to the transactional id"),
    (50, InvalidTransactionTimeout, "INVALID_TRANSACTION_TIMEOUT", fatal, "the transaction timeout is above the broker's limit"),
    (51, ConcurrentTransactions, "CONCURRENT_TRANSACTIONS", retriable, "another operation on the transaction is under way"),
    (52, TransactionCoordinatorFenced, "TRANSACTION_COORDINATOR_FENCED", fatal, "the marker's sender is the coordinator no longer"),
    (53, TransactionalIdAuthorizationFailed, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", fatal, "not allowed on this transactional id"),
    (54, SecurityDisabled, "SECURITY_DISABLED", fatal, "the broker runs without security features"),
    (55, OperationNotAttempted, "OPERATION_NOT_ATTEMPTED", fatal, "not tried, because another part of the request failed"),
    (56, KafkaStorageError, "KAFKA_STORAGE_ERROR", retriable, "the disk failed"),
    (57, LogDirNotFound, "LOG_DIR_NOT_FOUND", fatal, "the broker has no such log directory"),
    (58, SaslAuthenticationFailed, "SASL_AUTHENTICATION_FAILED", fatal, "wrong credentials"),
    (59, UnknownProducerId, "UNKNOWN_PRODUCER_ID", fatal, "nothing is known of this producer id"),
    (60, ReassignmentInProgress, "REASSIGNMENT_IN_PROGRESS", fatal, "the partition is being moved"),
    (61, DelegationTokenAuthDisabled, "DELEGATION_TOKEN_AUTH_DISABLED", fatal, "the broker does not use delegation tokens"),
    (62, DelegationTokenNotFound, "DELEGATION_TOKEN_NOT_FOUND", fatal, "there is no such token"),
    (63, DelegationTokenOwnerMismatch, "DELEGATION_TOKEN_OWNER_MISMATCH", fatal, "the token belongs to somebody else"),
    (64, DelegationTokenRequestNotAllowed, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", fatal, "not over this kind of connection"),
    (65, DelegationTokenAuthorizationFailed, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", fatal, "not allowed on this token"),
    (66, DelegationTokenExpired, "DELEGATION_TOKEN_EXPIRED", fatal, "the token has expired"),
    (67, InvalidPrincipalType, "INVALID_PRINCIPAL_TYPE", fatal, "this kind of principal is not supported"),
    (68, NonEmptyGroup, "NON_EMPTY_GROUP", fatal, "the group still has members"),
    (69, GroupIdNotFound, "GROUP_ID_NOT_FOUND", fatal, "there is no such group"),
    (70, FetchSessionIdNotFound, "FETCH_SESSION_ID_NOT_FOUND", retriable, "there is no such fetch session"),
    (71, InvalidFetchSessionEpoch, "INVALID_FETCH_SESSION_EPOCH", retriable, "the fetch session is at another epoch"),
    (72, ListenerNotFound, "LISTENER_NOT_FOUND", retriable, "the leader has no listener of the name used"),
    (73, TopicDeletionDisabled, "TOPIC_DELETION_DISABLED", fatal, "topics may not be deleted"),
    (74, FencedLeaderEpoch, "FENCED_LEADER_EPOCH", retriable, "the leader epoch of the request is older than the broker's"),
    (75, UnknownLeaderEpoch, "UNKNOWN_LEADER_EPOCH", retriable, "the leader epoch of the request is newer than the broker's"),
    (76, UnsupportedCompressionType, "UNSUPPORTED_COMPRESSION_TYPE", fatal, "the client cannot read this compression"),
    (77, StaleBrokerEpoch, "STALE_BROKER_EPOCH", fatal, "the broker has registered anew since"),
    (78, OffsetNotAvailable, "OFFSET_NOT_AVAILABLE", retriable, "the new leader does not know its high watermark yet"),
    (79, MemberIdRequired, "MEMBER_ID_REQUIRED", fatal, "join again with the member id given"),
    (80, PreferredLeaderNotAvailable, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "the preferred leader is not there"),
    (81, GroupMaxSizeReached, "GROUP_MAX_SIZE_REACHED", fatal, "the group is full"),
    (82, FencedInstanceId, "FENCED_INSTANCE_ID", fatal, "another member has taken this group instance id"),
    (83, EligibleLeadersNotAvailable, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "no replica may become leader"),
    (84, ElectionNotNeeded, "ELECTION_NOT_NEEDED", retriable, "the partition has the leader asked for already"),
    (85, NoReassignmentInProgress, "NO_REASSIGNMENT_IN_PROGRESS", fatal, "the partition is not being moved"),
    (86, GroupSubscribedToTopic, "GROUP_SUBSCRIBED_TO_TOPIC", fatal, "the group still reads the topic"),
    (87, InvalidRecord, "INVALID_RECORD", fatal, "a record breaks a rule of the topic"),
    (88, UnstableOffsetCommit, "UNSTABLE_OFFSET_COMMIT", retriable, "a transaction that commits offsets is still open"),
    (89, ThrottlingQuotaExceeded, "THROTTLING_QUOTA_EXCEEDED", retriable, "over the quota; try later"),
    (90, ProducerFenced, "PRODUCER_FENCED", fatal, "a newer producer uses the same transactional id"),
    (91, ResourceNotFound, "RESOURCE_NOT_FOUND", fatal, "there is no such resource"),
    (92, DuplicateResource, "DUPLICATE_RESOURCE", fatal, "the resource is named twice"),
    (93, UnacceptableCredential, "UNACCEPTABLE_CREDENTIAL", fatal, "the credential does not meet the rules"),
    (94, InconsistentVoterSet, "INCONSISTENT_VOTER_SET", fatal, "a voter is not among those expected"),
    (95, InvalidUpdateVersion, "INVALID_UPDATE_VERSION", fatal, "the version of the update is not valid"),
    (96, FeatureUpdateFailed, "FEATURE_UPDATE_FAILED", fatal, "the features could not be changed"),
    (97, PrincipalDeserializationFailure, "PRINCIPAL_DESERIALIZATION_FAILURE", fatal, "the forwarded principal cannot be read"),
    (98, SnapshotNotFound, "SNAPSHOT_NOT_FOUND", fatal, "there is no such snapshot"),
    (99, PositionOutOfRange, "POSITION_OUT_OF_RANGE", fatal, "the position lies outside the snapshot"),
    (100, UnknownTopicId, "UNKNOWN_TOPIC_ID", retriable, "no topic with this id here"),
    (101, DuplicateBrokerRegistration, "DUPLICATE_BROKER_REGISTRATION", fatal, "the broker id is in use"),
    (102, BrokerIdNotRegistered, "BROKER_ID_NOT_REGISTERED", fatal, "no broker with this id is registered"),
    (103, InconsistentTopicId, "INCONSISTENT_TOPIC_ID", retriable, "the log belongs to a topic with another id"),
    (104, InconsistentClusterId, "INCONSISTENT_CLUSTER_ID", fatal, "the cluster has another id"),
    (105, TransactionalIdNotFound, "TRANSACTIONAL_ID_NOT_FOUND", fatal, "there is no such transactional id"),
    (106, FetchSessionTopicIdError, "FETCH_SESSION_TOPIC_ID_ERROR", retriable, "the session mixes topic ids and topic names"),
    (107, IneligibleReplica, "INELIGIBLE_REPLICA", fatal, "a replica may not join the in-sync set"),
    (108, NewLeaderElected, "NEW_LEADER_ELECTED", fatal, "the change was made and the leader is another now"),
    (109, OffsetMovedToTieredStorage, "OFFSET_MOVED_TO_TIERED_STORAGE", fatal, "the offset is no longer on the broker's own disk"),
    (110, FencedMemberEpoch, "FENCED_MEMBER_EPOCH", fatal, "the member's epoch is fenced; give up the partitions and join again"),
    (111, UnreleasedInstanceId, "UNRELEASED_INSTANCE_ID", fatal, "another member still holds the group instance id"),
    (112, UnsupportedAssignor, "UNSUPPORTED_ASSIGNOR", fatal, "the group does not know the assignor"),
    (113, StaleMemberEpoch, "STALE_MEMBER_EPOCH", fatal, "the member's epoch is old; get the new one by a heartbeat"),
    (114, MismatchedEndpointType, "MISMATCHED_ENDPOINT_TYPE", fatal, "this endpoint is for brokers, or for controllers"),
    (115, UnsupportedEndpointType, "UNSUPPORTED_ENDPOINT_TYPE", fatal, "this kind of endpoint is not supported"),
    (116, UnknownControllerId, "UNKNOWN_CONTROLLER_ID", fatal, "there is no such controller"),
    (117, UnknownSubscriptionId, "UNKNOWN_SUBSCRIPTION_ID", fatal, "the telemetry subscription is not valid any more"),
    (118, TelemetryTooLarge, "TELEMETRY_TOO_LARGE", fatal, "more telemetry than the broker takes"),
    (119, InvalidRegistration, "INVALID_REGISTRATION", fatal, "the broker's registration is not valid"),
    (120, TransactionAbortable, "TRANSACTION_ABORTABLE", fatal, "the transaction failed; abort it to go on"),
    (121, InvalidRecordState, "INVALID_RECORD_STATE", fatal, "the record cannot be acknowledged in its state"),
    (122, ShareSessionNotFound, "SHARE_SESSION_NOT_FOUND", retriable, "there is no such share session"),
    (123, InvalidShareSessionEpoch, "INVALID_SHARE_SESSION_EPOCH", retriable, "the share session is at another epoch"),
    (124, FencedStateEpoch, "FENCED_STATE_EPOCH", fatal, "the state's epoch is another"),
    (125, InvalidVoterKey, "INVALID_VOTER_KEY", fatal, "the voter key is not the replica's"),
    (126, DuplicateVoter, "DUPLICATE_VOTER", fatal, "the voter is in the set already"),
    (127, VoterNotFound, "VOTER_NOT_FOUND", fatal, "the set has no such voter"),
    (128, InvalidRegularExpression, "INVALID_REGULAR_EXPRESSION", fatal, "the regular expression is not valid"),
    (129, RebootstrapRequired, "REBOOTSTRAP_REQUIRED", fatal, "start again from the bootstrap addresses"),
    (130, StreamsInvalidTopology, "STREAMS_INVALID_TOPOLOGY", fatal, "the topology is not valid"),
    (131, StreamsInvalidTopologyEpoch, "STREAMS_INVALID_TOPOLOGY_EPOCH", fatal, "the topology's epoch is not valid"),
    (132, StreamsTopologyFenced, "STREAMS_TOPOLOGY_FENCED", fatal, "the topology's epoch is old"),
    (133, ShareSessionLimitReached, "SHARE_SESSION_LIMIT_REACHED", retriable, "there are too many share sessions"),
    (134, GroupDeletionFailed, "GROUP_DELETION_FAILED", fatal, "the group could not be deleted"),
    (135, StreamsTopologyDescriptionUpdateFailed, "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", fatal, "the topology's description was not taken"),
    (136, ControllerIdNotRegistered, "CONTROLLER_ID_NOT_REGISTERED", fatal, "no controller with this id is registered"),
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn numbers_are_dense_and_round_trip() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|each| each.code()).collect();
        assert_eq!(codes, (-1..=136).collect::<Vec<i16>>());
        for each in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(each.code()), Some(*each));
        }
        for unknown in [i16::MIN, -2, 137, i16::MAX] {
            assert_eq!(ErrorCode::from_code(unknown), None);
        }
    }

    #[test]
    fn variants_spell_their_names() {
        for each in ErrorCode::ALL {
            let spelled: String = each.name().split('_').map(capitalised).collect();
            assert_eq!(format!("{each:?}"), spelled);
        }
    }

    fn capitalised(word: &str) -> String {
        word[..1].to_owned() + &word[1..].to_lowercase()
    }
}
