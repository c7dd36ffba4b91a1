//! Replay of records that do not fit, look-ups, snapshots, pages.

use corelane_base::id::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};

use crate::checks::{cluster, create, create_one, new_topic, with_configs};
use crate::create_topics::new_partition;
use crate::image::ClusterImage;
use crate::paging::{Cursor, Entry, page};
use crate::record::{MetadataRecord, Partition};

fn topic_record(id: u8, name: &str, partitions: Vec<Partition>) -> MetadataRecord {
    MetadataRecord::TopicCreated {
        topic_id: TopicId([id; 16]),
        name: name.into(),
        partitions,
        configs: vec![("retention.ms".into(), "1".into())],
    }
}

fn on(brokers: &[i32]) -> Partition {
    new_partition(brokers.iter().map(|&id| BrokerId(id)).collect())
}

#[test]
fn records_that_do_not_fit_change_nothing() {
    let mut image = ClusterImage::new();
    let start = [
        MetadataRecord::ClusterFormatted { cluster_id: "c".into() },
        topic_record(1, "a.b", vec![on(&[1]), on(&[2, 3])]),
        MetadataRecord::ProducerIdsAllocated { next: ProducerId(5000) },
    ];
    image.replay_set(&start).expect("they fit");
    image.check_invariants();
    let check = |record: MetadataRecord, part: &str| {
        let mut changed = image.clone();
        let error = changed.replay(&record).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
        assert_eq!(changed, image);
    };
    let stranger = TopicId([9; 16]);
    check(MetadataRecord::ClusterFormatted { cluster_id: "c".into() }, "formatted already");
    check(topic_record(1, "other", vec![on(&[1])]), "exists already");
    check(topic_record(2, "a.b", vec![on(&[1])]), "exists already");
    check(topic_record(2, "a_b", vec![on(&[1])]), "collides with a.b");
    check(topic_record(2, "b", vec![]), "no partitions");
    check(topic_record(2, "../b", vec![on(&[1])]), "characters");
    check(topic_record(2, "b", vec![on(&[])]), "contradict");
    check(topic_record(2, "b", vec![on(&[1, 1])]), "contradict");
    check(topic_record(2, "b", vec![Partition { isr: [BrokerId(2)].into(), ..on(&[1]) }]), "contradict");
    check(topic_record(2, "b", vec![Partition { leader: Some(BrokerId(2)), ..on(&[1]) }]), "contradict");
    check(topic_record(2, "b", vec![Partition { isr: [].into(), ..on(&[1]) }]), "contradict");
    check(MetadataRecord::TopicDeleted { topic_id: stranger }, "no topic has id");
    check(MetadataRecord::TopicConfigChanged { topic_id: stranger, changes: vec![] }, "no topic has id");
    let added = |topic_id, first| MetadataRecord::PartitionsAdded {
        topic_id,
        first: PartitionIndex(first),
        partitions: vec![on(&[1])],
    };
    check(added(stranger, 2), "no topic has id");
    check(added(TopicId([1; 16]), 1), "has 2 partitions, not 1");
    check(added(TopicId([1; 16]), 3), "has 2 partitions, not 3");
    check(MetadataRecord::ProducerIdsAllocated { next: ProducerId(4999) }, "below 5000");
    let mut worn = image.clone();
    let last = Partition { leader_epoch: LeaderEpoch(i32::MAX), ..on(&[7]) };
    worn.replay(&topic_record(3, "worn", vec![last])).expect("it fits");
    assert!(worn.replay(&MetadataRecord::BrokerRestarted { broker: BrokerId(7) }).is_err());
}

#[test]
fn topics_are_found() {
    let mut controller = cluster(1, &[]);
    for name in ["m", "z", "a", "k.1", "__consumer_offsets"] {
        create_one(&mut controller, new_topic(name, 2, 1));
    }
    let image = controller.image();
    let names: Vec<&str> = image.topics().map(|topic| topic.name.as_ref()).collect();
    assert_eq!(names, ["__consumer_offsets", "a", "k.1", "m", "z"]);
    let from: Vec<&str> = image.topics_from("b").map(|topic| topic.name.as_ref()).collect();
    assert_eq!(from, ["k.1", "m", "z"]);
    assert_eq!((image.topic_count(), image.partition_count()), (5, 10));
    let topic = image.topic("m").expect("it was created");
    assert_eq!(image.topic_by_id(topic.id), Some(topic));
    assert!(topic.partition(PartitionIndex(1)).is_some());
    assert!(topic.partition(PartitionIndex(2)).is_none());
    assert!(topic.partition(PartitionIndex(-1)).is_none());
    assert!(image.topic("n").is_none() && image.topic_by_id(TopicId::ZERO).is_none());
    assert_eq!(image.colliding_topic("k_1"), Some("k.1"));
    assert_eq!(image.colliding_topic("k-1"), None);
    let internal: Vec<bool> = image.topics().map(|topic| topic.is_internal()).collect();
    assert_eq!(internal, [true, false, false, false, false]);
}

#[test]
fn a_snapshot_makes_the_same_image() {
    let mut controller = cluster(3, &[]);
    create(
        &mut controller,
        vec![
            new_topic("b", 3, 2),
            with_configs(new_topic("a.c", 1, 3), &[("retention.ms", "5"), ("cleanup.policy", "compact")]),
        ],
    );
    let mut image = controller.image().clone();
    let change = |broker: Option<i32>, key: &str| MetadataRecord::BrokerConfigChanged {
        broker: broker.map(BrokerId),
        changes: vec![(key.into(), Some("7".into()))],
    };
    image
        .replay_set(&[
            change(None, "log.retention.ms"),
            change(Some(2), "log.roll.ms"),
            MetadataRecord::GroupConfigChanged {
                group: "g".into(),
                changes: vec![("k".into(), Some("1".into()))],
            },
            MetadataRecord::ProducerIdsAllocated { next: ProducerId(2000) },
            MetadataRecord::BrokerRestarted { broker: BrokerId(1) },
        ])
        .expect("they fit");
    let mut again = ClusterImage::new();
    again.replay_set(&image.snapshot()).expect("a snapshot fits an empty image");
    again.check_invariants();
    assert_eq!(again, image);
    assert_eq!(ClusterImage::new().snapshot(), []);
}

#[test]
fn broker_settings_without_values_leave_no_trace() {
    let mut image = ClusterImage::new();
    let change = |value: Option<&str>| MetadataRecord::BrokerConfigChanged {
        broker: Some(BrokerId(1)),
        changes: vec![("max.connections".into(), value.map(str::to_owned))],
    };
    image.replay(&change(Some("5"))).expect("it fits");
    assert_eq!(image.broker_overrides(Some(BrokerId(1))).len(), 1);
    image.replay(&change(None)).expect("it fits");
    assert_eq!(image, ClusterImage::new());
}

#[test]
fn pages_show_every_partition_once() {
    let mut controller = cluster(1, &[]);
    let counts = [("a", 3), ("b", 1), ("c", 5), ("d", 2)];
    create(&mut controller, counts.iter().map(|&(name, count)| new_topic(name, count, 1)).collect());
    let image = controller.image();
    /// The page as text: `topic:first-end` for partitions shown, `?name` for names unknown, `>` before the cursor.
    #[track_caller]
    fn check(image: &ClusterImage, names: &[&str], cursor: Option<(&str, i32)>, max: usize, expected: &str) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let cursor = cursor.map(|(topic, at)| Cursor { topic: topic.into(), partition: PartitionIndex(at) });
        let page = page(image, &names, cursor.as_ref(), max);
        let mut parts: Vec<String> = page
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Topic { topic, partitions } => {
                    format!("{}:{}-{}", topic.name, partitions.start, partitions.end)
                }
                Entry::Unknown { name } => format!("?{name}"),
            })
            .collect();
        parts.extend(page.next.map(|next| format!(">{}:{}", next.topic, next.partition)));
        assert_eq!(parts.join(" "), expected);
    }
    check(image, &[], None, 100, "a:0-3 b:0-1 c:0-5 d:0-2");
    check(image, &[], None, 11, "a:0-3 b:0-1 c:0-5 d:0-2");
    check(image, &[], None, 10, "a:0-3 b:0-1 c:0-5 d:0-1 >d:1");
    check(image, &[], None, 4, "a:0-3 b:0-1 >c:0");
    check(image, &[], None, 2, "a:0-2 >a:2");
    check(image, &[], Some(("a", 2)), 2, "a:2-3 b:0-1 >c:0");
    check(image, &[], Some(("c", 0)), 5, "c:0-5 >d:0");
    check(image, &[], Some(("c", 4)), 100, "c:4-5 d:0-2");
    check(image, &[], Some(("c", 5)), 100, "c:5-5 d:0-2");
    check(image, &[], Some(("c", i32::MAX)), 100, "c:5-5 d:0-2");
    check(image, &[], Some(("c", -7)), 100, "c:0-5 d:0-2");
    check(image, &[], Some(("bb", 3)), 100, "c:0-5 d:0-2");
    check(image, &[], Some(("zz", 0)), 100, "");
    check(image, &["d", "a", "a", "x"], None, 100, "a:0-3 d:0-2 ?x");
    check(image, &["d", "a", "x"], None, 3, "a:0-3 >d:0");
    check(image, &["d", "a", "x"], Some(("d", 0)), 3, "d:0-2 ?x");
    check(image, &["d", "a", "x"], Some(("d", 1)), 1, "d:1-2 >x:0");
    check(image, &["b"], Some(("c", 0)), 1, "");
    check(image, &["x"], None, 1, "?x");
    for max in 1..12 {
        let mut seen = 0;
        let mut cursor = None;
        loop {
            let page = page(image, &[], cursor.as_ref(), max);
            let shown = |entry: &Entry<'_>| match entry {
                Entry::Topic { partitions, .. } => partitions.len(),
                Entry::Unknown { .. } => 0,
            };
            seen += page.entries.iter().map(shown).sum::<usize>();
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, 11);
    }
}
