//! The bytes of records: fixed examples, round trips, every truncation, hostile numbers.

use corelane_base::id::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use corelane_base::rng::Rng;

use crate::configs::definition::VALUE_BYTES_MAX;
use crate::record::{
    BrokerRegistration, DecodeError, Endpoint, MetadataRecord, Partition, REPLICAS_MAX, decode_set,
    encode_set,
};

fn partition(leader: Option<i32>, leader_epoch: i32, replicas: &[i32], isr: &[i32]) -> Partition {
    let ids = |ids: &[i32]| ids.iter().map(|&id| BrokerId(id)).collect();
    Partition {
        leader: leader.map(BrokerId),
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: leader_epoch + 1,
        replicas: ids(replicas),
        isr: ids(isr),
    }
}

/// One of each type, with every option both ways and numbers of one and of several bytes.
fn samples() -> Vec<MetadataRecord> {
    let id = TopicId(*b"0123456789abcdef");
    let change = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    vec![
        MetadataRecord::ClusterFormatted { cluster_id: "c".into() },
        MetadataRecord::BrokerRegistered {
            registration: BrokerRegistration {
                id: BrokerId(0),
                endpoints: vec![
                    Endpoint { listener: "IN".into(), host: "::1".into(), port: 65535 },
                    Endpoint { listener: "OUT".into(), host: "bröker".into(), port: 0 },
                ],
                rack: Some(String::new()),
            },
        },
        MetadataRecord::BrokerRegistered {
            registration: BrokerRegistration { id: BrokerId(i32::MAX), endpoints: vec![], rack: None },
        },
        MetadataRecord::BrokerRestarted { broker: BrokerId(300) },
        MetadataRecord::TopicCreated {
            topic_id: id,
            name: "t".into(),
            partitions: vec![
                partition(Some(0), 0, &[0], &[0]),
                partition(None, 200, &[0, 1, 2], &[]),
                partition(Some(i32::MAX), i32::MAX - 1, &[i32::MAX], &[i32::MAX]),
            ],
            configs: vec![("retention.ms".into(), "-1".into()), ("cleanup.policy".into(), String::new())],
        },
        MetadataRecord::TopicDeleted { topic_id: TopicId::ZERO },
        MetadataRecord::PartitionsAdded {
            topic_id: id,
            first: PartitionIndex(128),
            partitions: vec![partition(Some(1), 5, &[1, 2], &[1])],
        },
        MetadataRecord::TopicConfigChanged {
            topic_id: id,
            changes: vec![change("a", Some("1")), change("b", None), change("c", Some(&"v".repeat(300)))],
        },
        MetadataRecord::BrokerConfigChanged { broker: None, changes: vec![change("a", Some(""))] },
        MetadataRecord::BrokerConfigChanged { broker: Some(BrokerId(0)), changes: vec![] },
        MetadataRecord::GroupConfigChanged { group: "g".into(), changes: vec![change("a", Some("1"))] },
        MetadataRecord::ClientMetricsConfigChanged {
            subscription: "m".into(),
            changes: vec![change("b", None)],
        },
        MetadataRecord::ProducerIdsAllocated { next: ProducerId(i64::MAX) },
    ]
}

fn encode(records: &[MetadataRecord]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_set(records, &mut bytes);
    bytes
}

#[test]
fn fixed_examples_keep_their_bytes() {
    #[track_caller]
    fn check(record: MetadataRecord, body: &[u8]) {
        let mut expected = vec![1, 1, body.len() as u8];
        expected.extend_from_slice(body);
        assert_eq!(encode(&[record]), expected);
    }
    check(MetadataRecord::ClusterFormatted { cluster_id: "ab".into() }, &[1, 0, 2, b'a', b'b']);
    check(
        MetadataRecord::BrokerRegistered {
            registration: BrokerRegistration {
                id: BrokerId(1),
                endpoints: vec![Endpoint { listener: "P".into(), host: "h".into(), port: 9092 }],
                rack: None,
            },
        },
        &[2, 0, 1, 1, 1, b'P', 1, b'h', 0x84, 0x47, 0],
    );
    check(MetadataRecord::BrokerRestarted { broker: BrokerId(300) }, &[3, 0, 0xac, 0x02]);
    check(
        MetadataRecord::TopicCreated {
            topic_id: TopicId([7; 16]),
            name: "t".into(),
            partitions: vec![partition(Some(1), 0, &[1], &[1])],
            configs: vec![("k".into(), "v".into())],
        },
        &[
            4, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 1, b't', 1, 2, 0, 1, 1, 1, 1, 1, 1, 1,
            b'k', 1, b'v',
        ],
    );
    check(
        MetadataRecord::BrokerConfigChanged { broker: None, changes: vec![("k".into(), None)] },
        &[8, 0, 0, 1, 1, b'k', 0],
    );
    check(MetadataRecord::ProducerIdsAllocated { next: ProducerId(1000) }, &[9, 0, 0xe8, 0x07]);
    assert_eq!(encode(&[]), [1, 0]);
}

#[test]
fn sets_are_read_back() {
    let samples = samples();
    for record in &samples {
        let one = std::slice::from_ref(record);
        assert_eq!(decode_set(&encode(one)).as_deref(), Ok(one));
    }
    assert_eq!(decode_set(&encode(&samples)), Ok(samples));
    assert_eq!(decode_set(&encode(&[])), Ok(vec![]));
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let whole = encode(&samples());
    for length in 0..whole.len() {
        assert!(decode_set(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert_eq!(decode_set(&longer), Err(DecodeError::TrailingBytes));
    for record in samples() {
        // The same inside a record, whose length then covers a byte too few or too many.
        let bytes = encode(&[record]);
        let (header, body) = bytes.split_at(if bytes[2] & 0x80 == 0 { 3 } else { 4 });
        if header.len() == 3 && body.len() < 127 {
            let mut shorter = [&[1, 1, body.len() as u8 - 1], &body[..body.len() - 1]].concat();
            assert!(decode_set(&shorter).is_err());
            shorter = [&[1, 1, body.len() as u8 + 1], body, &[0]].concat();
            assert!(decode_set(&shorter).is_err());
        }
    }
}

#[test]
fn hostile_bytes_are_refused() {
    #[track_caller]
    fn check(bytes: &[u8], expected: DecodeError) {
        assert_eq!(decode_set(bytes), Err(expected));
    }
    /// A set of one record of that type with that body.
    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u8::try_from(body.len() + 2).expect("short");
        assert!(length < 128);
        [&[1, 1, length, kind, 0], body].concat()
    }
    const HUGE: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let id = [0u8; 16];
    check(&[], DecodeError::Truncated);
    check(&[0], DecodeError::Unknown);
    check(&[2, 0], DecodeError::Unknown);
    check(&[1], DecodeError::Truncated);
    check(&[1, 1], DecodeError::TooLarge);
    check(&[&[1][..], &HUGE].concat(), DecodeError::TooLarge);
    check(&[1, 1, 2, 1, 0], DecodeError::Truncated);
    check(&[1, 1, 0x7f, 1, 0], DecodeError::TooLarge);
    check(&record(0, &[0]), DecodeError::Unknown);
    check(&record(12, &[0]), DecodeError::Unknown);
    check(&[1, 1, 3, 1, 1, 0], DecodeError::Unknown);
    // Varints: padded, eleven bytes, more than 64 bits, cut off.
    check(&record(3, &[0x80, 0x00]), DecodeError::BadNumber);
    check(&record(3, &[0xff; 11]), DecodeError::BadNumber);
    check(&record(9, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), DecodeError::BadNumber);
    check(&record(9, &HUGE), DecodeError::BadNumber);
    check(&record(3, &[0x80]), DecodeError::Truncated);
    check(&record(3, &[0x80, 0x80, 0x80, 0x80, 0x08]), DecodeError::BadNumber);
    // Texts: longer than the rest, longer than the limit, not UTF-8.
    check(&record(1, &HUGE), DecodeError::TooLarge);
    check(&record(1, &[5, b'a']), DecodeError::TooLarge);
    check(&record(1, &[2, 0xc3, 0x28]), DecodeError::BadText);
    // Options that are neither.
    check(&record(2, &[1, 0, 2]), DecodeError::BadTag);
    check(&record(7, &[&id[..], &[1, 1, b'k', 7]].concat()), DecodeError::BadTag);
    // Counts of endpoints, partitions, configs, changes, replicas beyond what remains.
    check(&record(2, &[&[1][..], &HUGE].concat()), DecodeError::TooLarge);
    check(&record(4, &[&id[..], &[1, b't'], &HUGE].concat()), DecodeError::TooLarge);
    check(&record(4, &[&id[..], &[1, b't', 2, 0, 0, 0, 0, 0]].concat()), DecodeError::TooLarge);
    check(&record(4, &[&id[..], &[1, b't', 0], &HUGE].concat()), DecodeError::TooLarge);
    check(&record(4, &[&id[..], &[1, b't', 1, 0, 0, 0], &HUGE].concat()), DecodeError::TooLarge);
    check(&record(7, &[&id[..], &HUGE].concat()), DecodeError::TooLarge);
    check(&record(8, &[&HUGE[..], &[0]].concat()), DecodeError::BadNumber);
    check(&record(6, &[&id[..], &HUGE, &[0]].concat()), DecodeError::BadNumber);
    check(&record(2, &[1, 1, 0, 0, 0x80, 0x80, 0x04, 0]), DecodeError::BadNumber);
}

#[test]
fn limits_hold_for_readers() {
    let topic = |name: String, replicas: usize, value: usize| MetadataRecord::TopicCreated {
        topic_id: TopicId::ZERO,
        name,
        partitions: vec![partition(None, 0, &(0..replicas as i32).collect::<Vec<_>>(), &[])],
        configs: vec![("k".into(), "v".repeat(value))],
    };
    let largest = topic("n".repeat(249), REPLICAS_MAX, VALUE_BYTES_MAX);
    assert_eq!(decode_set(&encode(std::slice::from_ref(&largest))), Ok(vec![largest]));
    // A name of 250 bytes, written by hand.
    let mut bytes = vec![1, 1, 0x97, 0x02, 4, 0];
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&[0xfa, 0x01]);
    bytes.extend_from_slice(&[b'n'; 250]);
    bytes.extend_from_slice(&[0; 9]);
    assert_eq!(decode_set(&bytes), Err(DecodeError::TooLarge));
}

#[test]
fn damaged_sets_never_panic_and_mean_what_they_say() {
    let whole = encode(&samples());
    let mut rng = Rng::new(0x00c0_ffee);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        if let Ok(records) = decode_set(&bytes) {
            assert_eq!(encode(&records), bytes, "one set has one form");
            read += 1;
        }
    }
    assert!(read > 100, "some damage only changes a value: {read}");
}
