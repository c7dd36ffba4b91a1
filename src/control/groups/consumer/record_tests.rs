//! The record formats against bytes that Kafka 4.3.1's own serializers wrote, and against damaged bytes.

use std::sync::Arc;

use corelane_base::id::TopicId;

use crate::groups::command::{Client, JoinProtocol};
use crate::groups::consumer::assignment::{Assignment, Owned};
use crate::groups::consumer::embedded::{decode_assignment, decode_subscription, subscription_version};
use crate::groups::consumer::member::{ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState};
use crate::groups::consumer::record::{ConsumerRecord, GroupEpoch, TargetEpoch, is_consumer_type};
use crate::groups::consumer::topic_regex::ResolvedRegex;

const TOPIC: TopicId = TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn owned(list: &[(i32, i32)]) -> Owned {
    let mut owned = Owned::EMPTY;
    list.iter().for_each(|&(partition, epoch)| owned.insert(TOPIC, partition, epoch));
    owned
}

fn member(regex: Option<&str>) -> MemberMetadata {
    MemberMetadata {
        instance_id: None,
        rack_id: None,
        client: Client { id: "c".into(), host: "h".into() },
        topics: vec!["a".into()],
        regex: regex.map(Arc::from),
        rebalance_timeout_ms: -1,
        assignor: None,
        classic: None,
    }
}

fn resolved() -> ResolvedRegex {
    ResolvedRegex { topics: ["xa".into(), "xb".into()].into(), version: 0, timestamp: 1_700_000_000_000 }
}

/// Records with the key and the value that Kafka writes for them.
fn golden() -> Vec<(ConsumerRecord, &'static str, &'static str)> {
    let id: Arc<str> = "m1".into();
    let told = MemberMetadata {
        instance_id: Some("i1".into()),
        rack_id: Some("r1".into()),
        client: Client { id: "c".into(), host: "/127.0.0.1".into() },
        topics: vec!["a".into(), "b".into()],
        rebalance_timeout_ms: 300_000,
        assignor: Some("range".into()),
        ..member(Some("x.*"))
    };
    let classic = MemberMetadata {
        rebalance_timeout_ms: 5_000,
        classic: Some(ClassicMetadata {
            session_timeout_ms: 45_000,
            protocols: vec![JoinProtocol { name: "range".into(), metadata: [1, 2, 3].into() }],
        }),
        ..member(None)
    };
    let of_member = |metadata| ConsumerRecord::Member(Arc::clone(&id), Some(Arc::new(metadata)));
    let target = |pairs: Vec<(TopicId, Vec<i32>)>| {
        ConsumerRecord::TargetMember(Arc::clone(&id), Some(Arc::new(Assignment::from_pairs(pairs))))
    };
    let current = CurrentAssignment {
        epoch: 7,
        previous_epoch: 6,
        state: MemberState::Unrevoked,
        owned: owned(&[(0, 5), (3, 7)]),
        revoking: owned(&[(4, 5)]),
    };
    let group = |epoch, metadata_hash| ConsumerRecord::Group(Some(GroupEpoch { epoch, metadata_hash }));
    vec![
        (group(7, 0x1122_3344_5566_7788), "0003000167", "0000000000070100081122334455667788"),
        (group(7, 0), "0003000167", "00000000000700"),
        (
            of_member(told),
            "000500016700026d31",
            "000003693103723102630b2f3132372e302e302e31030261026204782e2a000493e00672616e676501000100",
        ),
        (of_member(member(None)), "000500016700026d31", "000000000263026802026101ffffffff0001000100"),
        (
            of_member(classic),
            "000500016700026d31",
            "0000000002630268020261010000138800010012010000afc8020672616e6765040102030000",
        ),
        (
            ConsumerRecord::Target(Some(TargetEpoch { epoch: 7, timestamp: 1_700_000_000_000 })),
            "0006000167",
            "0000000000070100080000018bcfe56800",
        ),
        (
            target(vec![(TOPIC, vec![0, 3])]),
            "000700016700026d31",
            "0000020102030405060708090a0b0c0d0e0f100300000000000000030000",
        ),
        (target(vec![]), "000700016700026d31", "00000100"),
        (
            ConsumerRecord::Current(Arc::clone(&id), Some(current)),
            "000800016700026d31",
            "0000000000070000000601020102030405060708090a0b0c0d0e0f10030000000000000003010009030000000500000007\
             020102030405060708090a0b0c0d0e0f100200000004010005020000000500",
        ),
        (
            ConsumerRecord::Regex("x.*".into(), Some(resolved())),
            "00100001670003782e2a",
            "00000303786103786200000000000000000000018bcfe5680000",
        ),
    ]
}

#[test]
fn records_are_kafkas() {
    for (record, key, value) in golden() {
        let value: String = value.split_whitespace().collect();
        let stored = record.encode("g");
        assert_eq!(hex(&stored.key), key, "{record:?}");
        assert_eq!(stored.value.as_deref().map(hex), Some(value.clone()), "{record:?}");
        let read = ConsumerRecord::decode(&unhex(key), Some(&unhex(&value)));
        assert_eq!(read, Ok(("g".into(), record)));
    }
}

#[test]
fn tombstones_have_a_key_alone() {
    let id: Arc<str> = "m1".into();
    let tombstones = [
        (ConsumerRecord::Group(None), "0003000167"),
        (ConsumerRecord::Topics(false), "0004000167"),
        (ConsumerRecord::Member(Arc::clone(&id), None), "000500016700026d31"),
        (ConsumerRecord::Target(None), "0006000167"),
        (ConsumerRecord::TargetMember(Arc::clone(&id), None), "000700016700026d31"),
        (ConsumerRecord::Current(id, None), "000800016700026d31"),
        (ConsumerRecord::Regex("x.*".into(), None), "00100001670003782e2a"),
    ];
    for (record, key) in tombstones {
        let stored = record.encode("g");
        assert_eq!((hex(&stored.key).as_str(), stored.value), (key, None));
        assert_eq!(ConsumerRecord::decode(&unhex(key), None), Ok(("g".into(), record)));
        assert!(is_consumer_type(i16::from_be_bytes([stored.key[0], stored.key[1]])));
    }
    assert!((-1..3).chain([9, 15, 17]).all(|other| !is_consumer_type(other)));
}

#[test]
fn what_other_brokers_wrote_is_understood() {
    // Before 4.3: no epochs of partitions.
    let current = "0000000000070000000600020102030405060708090a0b0c0d0e0f100200000000000100";
    let Ok((_, ConsumerRecord::Current(_, Some(read)))) =
        ConsumerRecord::decode(&unhex("000800016700026d31"), Some(&unhex(current)))
    else {
        panic!("a current assignment");
    };
    assert_eq!(read.owned, owned(&[(0, 7)]));
    // A state of the future, and a tagged field of the future.
    let (head, tail) = ("000000000007000000067f0101", "01050100");
    let Ok((_, ConsumerRecord::Current(_, Some(read)))) =
        ConsumerRecord::decode(&unhex("000800016700026d31"), Some(&unhex(&format!("{head}{tail}"))))
    else {
        panic!("a current assignment");
    };
    assert_eq!(read.state, MemberState::Unknown);
    // A null pattern is none.
    let null = "000000000263026802026100ffffffff0000";
    let read = ConsumerRecord::decode(&unhex("000500016700026d31"), Some(&unhex(null)));
    assert_eq!(read, Ok(("g".into(), ConsumerRecord::Member("m1".into(), Some(Arc::new(member(None)))))));
    // What brokers before 4.1 wrote about topics counts as there.
    let read = ConsumerRecord::decode(&unhex("0004000167"), Some(&unhex("00000100")));
    assert_eq!(read, Ok(("g".into(), ConsumerRecord::Topics(true))));
    assert!(
        ConsumerRecord::decode(&unhex("0003000167"), Some(&unhex("00010000000700"))).is_err(),
        "version 1"
    );
    assert!(ConsumerRecord::decode(&unhex("0063000167"), None).is_err(), "type 99");
}

#[test]
fn damaged_records_are_refused_or_read_but_do_no_harm() {
    for (record, key, value) in golden() {
        let value = unhex(&value.split_whitespace().collect::<String>());
        let key = unhex(key);
        (0..key.len())
            .for_each(|cut| assert!(ConsumerRecord::decode(&key[..cut], None).is_err(), "{record:?}"));
        for cut in 0..value.len() {
            assert!(ConsumerRecord::decode(&key, Some(&value[..cut])).is_err(), "{record:?} cut at {cut}");
        }
        for at in 0..value.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = value.clone();
                damaged[at] = byte;
                let _ = ConsumerRecord::decode(&key, Some(&damaged));
            }
            // A count or length of 2^32 - 1 in every place.
            let mut huge = value[..at].to_vec();
            huge.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
            huge.extend(&value[at..]);
            let _ = ConsumerRecord::decode(&key, Some(&huge));
        }
    }
}

#[test]
fn subscriptions_of_all_versions_are_read() {
    let versions = [
        "0000000000020001610001620000000109",
        "0001000000020001610001620000000109000000020001610000000200000000000000010001620000000100000002",
        "00020000000200016100016200000001090000000200016100000002000000000000000100016200000001\
         0000000200000005",
        "00030000000200016100016200000001090000000200016100000002000000000000000100016200000001\
         000000020000000500027231",
        // A version of the future.
        "00090000000200016100016200000001090000000200016100000002000000000000000100016200000001\
         000000020000000500027231ffff",
    ];
    for (at, text) in versions.into_iter().enumerate() {
        let bytes = unhex(&text.split_whitespace().collect::<String>());
        let read = decode_subscription(&bytes).unwrap();
        assert_eq!(read.topics, ["a".into(), "b".into()], "{at}");
        let expected = if at == 0 { vec![] } else { vec![("a".into(), vec![0, 1]), ("b".into(), vec![2])] };
        assert_eq!(read.owned, expected, "{at}");
        assert_eq!(read.rack_id.as_deref(), (at >= 3).then_some("r1"), "{at}");
        assert_eq!(subscription_version(&bytes).unwrap(), at.min(3) as i16);
        let whole = if at == 4 { bytes.len() - 2 } else { bytes.len() };
        (0..whole).for_each(|cut| assert!(decode_subscription(&bytes[..cut]).is_err(), "{at} cut at {cut}"));
    }
    assert!(decode_subscription(&unhex("ffff00000000ffffffff")).is_err(), "a negative version");
    assert!(decode_subscription(&unhex("00007fffffff")).is_err(), "a huge count");
}

#[test]
fn assignments_are_read() {
    let read = decode_assignment(&unhex("000300000001000161000000020000000000000001ffffffff")).unwrap();
    assert_eq!((read.partitions, read.has_user_data), (vec![("a".into(), vec![0, 1])], false));
    let read = decode_assignment(&unhex("00000000000100016100000001000000000000000101")).unwrap();
    assert!(read.has_user_data);
    assert!(decode_assignment(&[]).unwrap().partitions.is_empty(), "never given one");
    assert!(decode_assignment(&[0]).is_err());
}
