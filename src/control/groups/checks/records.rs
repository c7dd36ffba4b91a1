//! The record formats against bytes from Kafka 4.3.1's own serializers.

use std::fmt::Write as _;

use corelane_base::id::{PartitionIndex, TopicId};
use corelane_base::rng::Rng;

use crate::groups::bytes::RecordReader;
use crate::groups::coordinator::GroupCoordinator;
use crate::groups::records::{self, GroupValue, MemberValue, OffsetKey, OffsetValue};
use crate::groups::settings::GroupSettings;

const OFFSET_KEY: &str = "000100076772c3bc70706500066f726465727300000007";
/// Version, whether we write it, and the bytes of one offset.
const OFFSETS: &[(i16, bool, &str)] = &[
    (0, false, "00000000001cbe991a1400056dc3a974610000018bcfe5687b"),
    (1, true, "00010000001cbe991a1400056dc3a974610000018bcfe5687b0000018bcfe652db"),
    (2, false, "00020000001cbe991a1400056dc3a974610000018bcfe5687b"),
    (3, true, "00030000001cbe991a140000000500056dc3a974610000018bcfe5687b"),
    (
        4,
        false,
        "00040000001cbe991a1400000005066dc3a974610000018bcfe5687b0100100102030405060708090a0b0c0d0e0f10",
    ),
];
const OFFSET_V4_WITHOUT_TOPIC_ID: &str = "00040000001cbe991a1400000005066dc3a974610000018bcfe5687b00";
const GROUP_KEY: &str = "000200076772c3bc707065";
/// Version and the bytes of one group.
const GROUPS: &[(i16, &str)] = &[
    (
        0,
        "00000008636f6e73756d657200000003000572616e67650003632d31000000010003632d310001630009\
         2f31302e302e302e310000271000000003000102000000020908",
    ),
    (
        1,
        "00010008636f6e73756d657200000003000572616e67650003632d31000000010003632d310001630009\
         2f31302e302e302e310000ea600000271000000003000102000000020908",
    ),
    (
        2,
        "00020008636f6e73756d657200000003000572616e67650003632d310000018bcfe5687b000000010003\
         632d3100016300092f31302e302e302e310000ea600000271000000003000102000000020908",
    ),
    (
        3,
        "00030008636f6e73756d657200000003000572616e67650003632d310000018bcfe5687b000000010003\
         632d310002737400016300092f31302e302e302e310000ea600000271000000003000102000000020908",
    ),
    (
        4,
        "000409636f6e73756d6572000000030672616e676504632d310000018bcfe5687b0204632d3103737402\
         630a2f31302e302e302e310000ea6000002710040001020309080000",
    ),
];
const EMPTY_GROUP: &str = "0003000000000000ffffffff0000018bcfe5687b00000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().map(|digit| (digit as char).to_digit(16).expect("a digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes all");
        text
    })
}

fn offset_value(version: i16) -> OffsetValue<'static> {
    OffsetValue {
        offset: 123_456_789_012,
        leader_epoch: if version >= 3 { 5 } else { -1 },
        metadata: "méta",
        committed: 1_700_000_000_123,
        expires: if version == 1 { 1_700_000_060_123 } else { -1 },
        topic_id: match version {
            4 => TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
            _ => TopicId::ZERO,
        },
    }
}

fn group_value(version: i16) -> GroupValue<'static> {
    GroupValue {
        protocol_type: "consumer",
        generation: 3,
        protocol: Some("range"),
        leader: Some("c-1"),
        state_since: if version >= 2 { 1_700_000_000_123 } else { -1 },
        members: vec![MemberValue {
            id: "c-1",
            instance_id: (version >= 3).then_some("st"),
            client_id: "c",
            client_host: "/10.0.0.1",
            rebalance_timeout_ms: if version >= 1 { 60_000 } else { -1 },
            session_timeout_ms: 10_000,
            subscription: &[0, 1, 2],
            assignment: &[9, 8],
        }],
    }
}

#[test]
fn offsets_are_kafka_s() {
    let key = OffsetKey { group: "grüppe", topic: "orders", partition: PartitionIndex(7) };
    let key_bytes = bytes(OFFSET_KEY);
    for kind in [0, 1] {
        let mut of_kind = key_bytes.clone();
        of_kind[1] = kind;
        let mut reader = RecordReader::new(&of_kind);
        assert_eq!(reader.i16(), Ok(i16::from(kind)));
        assert_eq!(records::read_offset_key(&mut reader), Ok(key));
    }
    for &(version, is_written, golden) in OFFSETS {
        let golden = bytes(golden);
        let value = offset_value(version);
        assert_eq!(records::read_offset(&golden), Ok(value), "version {version}");
        if is_written {
            let record = records::offset(key, value);
            assert_eq!(hex(&record.key), OFFSET_KEY);
            assert_eq!(record.value, Some(golden), "version {version}");
        }
    }
    let without = OffsetValue { topic_id: TopicId::ZERO, ..offset_value(4) };
    assert_eq!(records::read_offset(&bytes(OFFSET_V4_WITHOUT_TOPIC_ID)), Ok(without));
    // What is too long for the classic form is written in the newest version.
    let long = "m".repeat(40_000);
    let value = OffsetValue { metadata: &long, ..offset_value(4) };
    let record = records::offset(key, value).value.expect("not a tombstone");
    assert_eq!(record[..2], [0, 4]);
    assert_eq!(records::read_offset(&record), Ok(value));
    assert_eq!(records::offset_tombstone(key).value, None);
}

#[test]
fn groups_are_kafka_s() {
    for &(version, golden) in GROUPS {
        assert_eq!(records::read_group(&bytes(golden)), Ok(group_value(version)), "version {version}");
    }
    let record = records::group("grüppe", &group_value(3));
    assert_eq!(
        (hex(&record.key), hex(&record.value.expect("not a tombstone"))),
        (GROUP_KEY.into(), GROUPS[3].1.into())
    );
    let empty = GroupValue {
        protocol_type: "",
        generation: 0,
        protocol: None,
        leader: None,
        state_since: 1_700_000_000_123,
        members: Vec::new(),
    };
    assert_eq!(records::read_group(&bytes(EMPTY_GROUP)), Ok(empty.clone()));
    assert_eq!(hex(&records::group("grüppe", &empty).value.expect("not a tombstone")), EMPTY_GROUP);
    assert_eq!(hex(&records::group_tombstone("grüppe").key), GROUP_KEY);
}

/// Every golden value with the key it belongs to.
fn samples() -> Vec<(Vec<u8>, Vec<u8>)> {
    let offsets = OFFSETS.iter().map(|&(_, _, value)| (bytes(OFFSET_KEY), bytes(value)));
    let groups = GROUPS.iter().map(|&(_, value)| (bytes(GROUP_KEY), bytes(value)));
    offsets.chain(groups).collect()
}

#[test]
fn truncated_records_are_refused_and_change_nothing() {
    for (key, value) in samples() {
        let mut coordinator = GroupCoordinator::new(GroupSettings::default());
        for length in 0..value.len() {
            coordinator.replay(&key, Some(&value[..length])).expect_err("a part of a value is no value");
        }
        for length in 0..key.len() {
            coordinator.replay(&key[..length], Some(&value)).expect_err("a part of a key is no key");
        }
        assert_eq!(coordinator.group_count(), 0);
        coordinator.replay(&key, Some(&value)).expect("a whole record");
        assert_eq!(coordinator.group_count(), 1);
        coordinator.check_invariants();
    }
}

#[test]
fn hostile_records_never_panic() {
    let samples = samples();
    let mut rng = Rng::new(11);
    let mut coordinator = GroupCoordinator::new(GroupSettings::default());
    for round in 0..20_000 {
        let (mut key, mut value) = samples[rng.below(samples.len() as u64) as usize].clone();
        for _ in 0..=rng.below(4) {
            let bytes = if rng.one_in(3) { &mut key } else { &mut value };
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, rng.next_u64() as u8][rng.below(6) as usize];
        }
        let _ = coordinator.replay(&key, Some(&value).filter(|_| !rng.one_in(8)).map(Vec::as_slice));
        if round % 100 == 0 {
            coordinator.check_invariants();
        }
    }
}

#[test]
fn records_of_newer_brokers_are_passed_over() {
    let mut coordinator = GroupCoordinator::new(GroupSettings::default());
    coordinator.replay(&[0x7f, 0, 1, 2, 3], Some(&[0, 0])).expect("not ours to judge");
    coordinator.replay(&[0x7f, 0], None).expect("not ours to judge");
    coordinator.replay(&bytes(OFFSET_KEY), Some(&[0, 5, 1])).expect_err("an unknown version");
    coordinator.replay(&[], None).expect_err("no type");
    assert_eq!(coordinator.group_count(), 0);
}
