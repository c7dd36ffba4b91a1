//! Formatting, brokers that start, producer ids.

use corelane_base::id::{BrokerId, ProducerId};
use corelane_base::time::Now;

use crate::checks::{
    assert_result, cluster, create_one, new_topic, registration, run, run_for_records, settings,
};
use crate::controller::{Answer, Command, Controller};
use crate::error::ErrorKind::{InconsistentClusterId, PolicyViolation};
use crate::image::ClusterImage;
use crate::membership::{FormatCluster, StartBroker};
use crate::record::MetadataRecord;

#[test]
fn a_cluster_is_formatted_once() {
    let mut controller = cluster(1, &[]);
    assert_eq!(controller.image().cluster_id(), Some("test-cluster"));
    let format = |cluster_id: &str| Command::FormatCluster(FormatCluster { cluster_id: cluster_id.into() });
    let (Answer::FormatCluster(answer), records) = run_for_records(&mut controller, format("test-cluster"))
    else {
        panic!()
    };
    assert_eq!((answer, records), (Ok(()), vec![]));
    let (Answer::FormatCluster(answer), records) = run_for_records(&mut controller, format("other")) else {
        panic!()
    };
    assert_result(&answer, Err((InconsistentClusterId, "this is cluster test-cluster, not other")));
    assert_eq!(records, []);
}

#[test]
fn a_broker_that_is_back() {
    let mut controller = cluster(2, &[]);
    create_one(&mut controller, new_topic("t", 4, 1));
    let mut start = |registration, unclean| {
        let command = Command::StartBroker(StartBroker { registration, unclean });
        run_for_records(&mut controller, command).1
    };
    assert_eq!(start(registration(1), false), []);
    let mut moved = registration(1);
    moved.endpoints[0].port = 9093;
    assert_eq!(
        start(moved.clone(), false),
        [MetadataRecord::BrokerRegistered { registration: moved.clone() }]
    );
    assert_eq!(start(moved.clone(), true), [MetadataRecord::BrokerRestarted { broker: BrokerId(1) }]);
    assert_eq!(
        start(registration(9), true),
        [MetadataRecord::BrokerRegistered { registration: registration(9) }]
    );
    start(moved, true);
    let topic = controller.image().topic("t").expect("it exists");
    for partition in &topic.partitions {
        let expected = if partition.leader == Some(BrokerId(1)) { 2 } else { 0 };
        assert_eq!((partition.leader_epoch.0, partition.partition_epoch), (expected, expected));
    }
    assert!(topic.partitions.iter().any(|partition| partition.leader_epoch.0 == 2));
    let ids: Vec<i32> = controller.image().brokers().map(|broker| broker.id.0).collect();
    assert_eq!(ids, [1, 2, 9]);
}

#[test]
fn producer_ids_are_handed_out_once() {
    let mut controller = cluster(1, &[]);
    let mut next = || match run(&mut controller, Command::AllocateProducerIds) {
        Answer::AllocateProducerIds(result) => result,
        other => panic!("another command's answer: {other:?}"),
    };
    for block in 0..5 {
        let found = next().expect("there are plenty");
        assert_eq!((found.first, found.count), (ProducerId(block * 1000), 1000));
    }
    let mut worn = ClusterImage::new();
    worn.replay(&MetadataRecord::ProducerIdsAllocated { next: ProducerId(i64::MAX - 999) }).expect("it fits");
    let controller = Controller::new(worn, BrokerId(1), settings(&[]));
    let outcome = controller.handle(&Command::AllocateProducerIds, Now::default());
    assert_eq!(outcome.records, []);
    let Answer::AllocateProducerIds(result) = outcome.answer else { panic!() };
    assert_result(&result, Err((PolicyViolation, "handed out")));
}
