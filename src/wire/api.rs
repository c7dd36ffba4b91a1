//! The table of APIs: key, name, versions, first flexible version, and the stage of Corelane that serves it.
//!
//! Ranges are those of Kafka 4.3, but for version 0 of ListOffsets, which is served and not listed. Whatever the broker says about its APIs (the answer to ApiVersions, the refusal of an
//! unknown version, the choice of a header) comes from this one table; it also holds the APIs that are not served yet,
//! and those that Kafka uses among its own nodes, so that a request for them can be named in a log. An API is
//! advertised only when it is served whole: clients use what is listed.

/// The stage of the project in which an API is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A single broker.
    A,
    /// Groups and administration.
    B,
    /// Cluster.
    C,
    /// Exactly once.
    D,
    /// Security.
    E,
    /// Later.
    F,
    /// Never: Kafka's controllers and brokers use it among themselves.
    Internal,
}

/// The last stage whose APIs this build serves and advertises.
pub const STAGE_SERVED: Stage = Stage::B;

/// Everything the codec knows about an API, versions being inclusive at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiInfo {
    /// The API.
    pub key: ApiKey,
    /// Its name in the protocol.
    pub name: &'static str,
    /// The lowest version served.
    pub version_min: i16,
    /// The highest version served.
    pub version_max: i16,
    /// The first version with compact lengths and tagged fields.
    pub flexible_from: Option<i16>,
    /// When it is served.
    pub stage: Stage,
}

impl ApiInfo {
    /// Whether this version has compact lengths, tagged fields and the longer header. Also answers for versions that
    /// do not exist.
    pub const fn is_flexible(&self, version: i16) -> bool {
        match self.flexible_from {
            Some(first) => version >= first,
            None => false,
        }
    }

    /// Whether requests for this API are answered at all.
    pub const fn is_served(&self) -> bool {
        self.stage as u8 <= STAGE_SERVED as u8
    }

    /// Whether this version is answered with something better than `UNSUPPORTED_VERSION`.
    pub const fn serves(&self, version: i16) -> bool {
        self.is_served() && version >= self.version_min && version <= self.version_max
    }
}

/// The column of the table that holds the first flexible version.
macro_rules! flexible_from {
    (none) => {
        None
    };
    ($version:literal) => {
        Some($version)
    };
}

/// One row per API: key, name, lowest and highest version, first flexible version, stage.
macro_rules! apis {
    ($(($code:literal, $name:ident, $min:literal, $max:literal, $flexible:tt, $stage:ident),)*) => {
        /// An API that the protocol defines.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ApiKey {
            $(
                #[doc = concat!("Key ", $code, ".")]
                $name = $code,
            )*
        }

        /// All APIs, by rising key.
        pub static APIS: &[ApiInfo] = &[$(ApiInfo {
            key: ApiKey::$name,
            name: stringify!($name),
            version_min: $min,
            version_max: $max,
            flexible_from: flexible_from!($flexible),
            stage: Stage::$stage,
        },)*];

        impl ApiKey {
            /// The API with this key, if the protocol has one.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

#[rustfmt::skip]
apis! {
    (0, Produce, 3, 13, 9, A),
    (1, Fetch, 4, 18, 12, A),
    (2, ListOffsets, 0, 11, 6, A),
    (3, Metadata, 0, 13, 9, A),
    (8, OffsetCommit, 2, 10, 8, B),
    (9, OffsetFetch, 1, 10, 6, B),
    (10, FindCoordinator, 0, 6, 3, B),
    (11, JoinGroup, 0, 9, 6, B),
    (12, Heartbeat, 0, 4, 4, B),
    (13, LeaveGroup, 0, 5, 4, B),
    (14, SyncGroup, 0, 5, 4, B),
    (15, DescribeGroups, 0, 6, 5, B),
    (16, ListGroups, 0, 5, 3, B),
    (17, SaslHandshake, 0, 1, none, E),
    (18, ApiVersions, 0, 4, 3, A),
    (19, CreateTopics, 2, 7, 5, A),
    (20, DeleteTopics, 1, 6, 4, A),
    (21, DeleteRecords, 0, 2, 2, A),
    (22, InitProducerId, 0, 5, 2, A),
    (23, OffsetForLeaderEpoch, 2, 4, 4, A),
    (24, AddPartitionsToTxn, 0, 5, 3, D),
    (25, AddOffsetsToTxn, 0, 4, 3, D),
    (26, EndTxn, 0, 5, 3, D),
    (27, WriteTxnMarkers, 1, 2, 1, D),
    (28, TxnOffsetCommit, 0, 5, 3, D),
    (29, DescribeAcls, 1, 3, 2, E),
    (30, CreateAcls, 1, 3, 2, E),
    (31, DeleteAcls, 1, 3, 2, E),
    (32, DescribeConfigs, 1, 4, 4, A),
    (33, AlterConfigs, 0, 2, 2, A),
    (34, AlterReplicaLogDirs, 1, 2, 2, F),
    (35, DescribeLogDirs, 1, 5, 2, A),
    (36, SaslAuthenticate, 0, 2, 2, E),
    (37, CreatePartitions, 0, 3, 2, A),
    (38, CreateDelegationToken, 1, 3, 2, F),
    (39, RenewDelegationToken, 1, 2, 2, F),
    (40, ExpireDelegationToken, 1, 2, 2, F),
    (41, DescribeDelegationToken, 1, 3, 2, F),
    (42, DeleteGroups, 0, 2, 2, B),
    (43, ElectLeaders, 0, 2, 2, C),
    (44, IncrementalAlterConfigs, 0, 1, 1, A),
    (45, AlterPartitionReassignments, 0, 1, 0, C),
    (46, ListPartitionReassignments, 0, 0, 0, C),
    (47, OffsetDelete, 0, 0, none, B),
    (48, DescribeClientQuotas, 0, 1, 1, E),
    (49, AlterClientQuotas, 0, 1, 1, E),
    (50, DescribeUserScramCredentials, 0, 0, 0, E),
    (51, AlterUserScramCredentials, 0, 0, 0, E),
    (52, Vote, 0, 2, 0, Internal),
    (53, BeginQuorumEpoch, 0, 1, 1, Internal),
    (54, EndQuorumEpoch, 0, 1, 1, Internal),
    (55, DescribeQuorum, 0, 2, 0, C),
    (56, AlterPartition, 2, 3, 0, Internal),
    (57, UpdateFeatures, 0, 2, 0, C),
    (58, Envelope, 0, 0, 0, Internal),
    (59, FetchSnapshot, 0, 1, 0, Internal),
    (60, DescribeCluster, 0, 2, 0, A),
    (61, DescribeProducers, 0, 0, 0, D),
    (62, BrokerRegistration, 0, 4, 0, Internal),
    (63, BrokerHeartbeat, 0, 2, 0, Internal),
    (64, UnregisterBroker, 0, 0, 0, C),
    (65, DescribeTransactions, 0, 0, 0, D),
    (66, ListTransactions, 0, 2, 0, D),
    (67, AllocateProducerIds, 0, 0, 0, Internal),
    (68, ConsumerGroupHeartbeat, 0, 1, 0, B),
    (69, ConsumerGroupDescribe, 0, 1, 0, B),
    (70, ControllerRegistration, 0, 0, 0, Internal),
    (71, GetTelemetrySubscriptions, 0, 0, 0, F),
    (72, PushTelemetry, 0, 0, 0, F),
    (73, AssignReplicasToDirs, 0, 0, 0, Internal),
    (74, ListConfigResources, 0, 1, 0, B),
    (75, DescribeTopicPartitions, 0, 0, 0, A),
    (76, ShareGroupHeartbeat, 1, 1, 0, F),
    (77, ShareGroupDescribe, 1, 1, 0, F),
    (78, ShareFetch, 1, 2, 0, F),
    (79, ShareAcknowledge, 1, 2, 0, F),
    (80, AddRaftVoter, 0, 1, 0, C),
    (81, RemoveRaftVoter, 0, 0, 0, C),
    (82, UpdateRaftVoter, 0, 0, 0, Internal),
    (83, InitializeShareGroupState, 0, 0, 0, F),
    (84, ReadShareGroupState, 0, 0, 0, F),
    (85, WriteShareGroupState, 0, 1, 0, F),
    (86, DeleteShareGroupState, 0, 0, 0, F),
    (87, ReadShareGroupStateSummary, 0, 1, 0, F),
    (88, StreamsGroupHeartbeat, 0, 0, 0, F),
    (89, StreamsGroupDescribe, 0, 0, 0, F),
    (90, DescribeShareGroupOffsets, 0, 1, 0, F),
    (91, AlterShareGroupOffsets, 0, 0, 0, F),
    (92, DeleteShareGroupOffsets, 0, 0, 0, F),
}

impl ApiKey {
    /// The key on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Its row in the table.
    pub fn info(self) -> &'static ApiInfo {
        let row = APIS.binary_search_by_key(&self, |each| each.key);
        &APIS[row.expect("the table has a row for each variant")]
    }

    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        self.info().name
    }
}

/// One line of the answer to ApiVersions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertised {
    /// The API's key.
    pub api_key: i16,
    /// The lowest version to list.
    pub min_version: i16,
    /// The highest version to list.
    pub max_version: i16,
}

/// The lowest version of Produce that is listed. Versions 0 to 2 are refused all the same: librdkafka before 2.11.1
/// concludes from the lowest version listed whether it may compress, and sends everything uncompressed when it is 3.
/// Source: KAFKA-18659.
pub const PRODUCE_VERSION_MIN_LISTED: i16 = 0;

/// The lowest version of ListOffsets that is listed, as in Kafka. Version 0 is answered to those who never ask what is
/// listed: old lag monitors, Burrow above all.
pub const LIST_OFFSETS_VERSION_MIN_LISTED: i16 = 1;

/// What the answer to ApiVersions lists, by rising key.
pub fn advertised() -> impl Iterator<Item = Advertised> {
    APIS.iter().filter(|api| api.is_served()).map(|api| Advertised {
        api_key: api.key.code(),
        min_version: match api.key {
            ApiKey::Produce => PRODUCE_VERSION_MIN_LISTED,
            ApiKey::ListOffsets => LIST_OFFSETS_VERSION_MIN_LISTED,
            _ => api.version_min,
        },
        max_version: api.version_max,
    })
}

#[cfg(test)]
mod tests {
    use super::{APIS, ApiKey, advertised};

    #[test]
    fn the_table_is_sorted_and_complete() {
        assert!(APIS.is_sorted_by(|a, b| a.key.code() < b.key.code()));
        for api in APIS {
            assert_eq!(ApiKey::from_code(api.key.code()), Some(api.key));
            assert_eq!(api.key.info(), api);
            assert!(0 <= api.version_min && api.version_min <= api.version_max, "{}", api.name);
        }
        assert_eq!(ApiKey::from_code(-1), None);
        assert_eq!(ApiKey::from_code(i16::MAX), None);
    }

    #[test]
    fn lists_what_is_served_and_produce_from_zero() {
        let keys: Vec<i16> = advertised().map(|each| each.api_key).collect();
        let groups = [8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47, 68, 69, 74];
        let others = [0, 1, 2, 3, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 44, 60, 75];
        let mut expected = [&groups[..], &others[..]].concat();
        expected.sort_unstable();
        assert_eq!(keys, expected);
        let produce = advertised().next().expect("at least one");
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
        assert!(!ApiKey::Produce.info().serves(2));
        let list_offsets = advertised().nth(2).expect("at least three");
        assert_eq!((list_offsets.min_version, list_offsets.max_version), (1, 11));
        assert!(ApiKey::ListOffsets.info().serves(0));
        assert!(ApiKey::Produce.info().serves(3));
        assert!(!ApiKey::Vote.info().serves(0));
    }
}
