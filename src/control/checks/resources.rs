//! Settings of groups and of subscriptions to clients' metrics: changing, describing, snapshots.

use crate::alter_configs::{
    IncrementalAlterConfigs, IncrementalResource, KeyChange, OPERATION_APPEND, OPERATION_DELETE,
    OPERATION_SET,
};
use crate::checks::{assert_result, cluster, run};
use crate::configs::layers::ConfigSource;
use crate::controller::{Answer, Command, Controller};
use crate::describe_configs::{DescribeResource, describe_configs};
use crate::error::ErrorKind::{self, InvalidConfig, InvalidRequest};
use crate::error::Refusal;
use crate::image::ClusterImage;

const GROUP: i8 = 32;
const METRICS: i8 = 16;

fn alter(
    controller: &mut Controller,
    resource_type: i8,
    name: &str,
    (key, operation, value): (&str, i8, Option<&str>),
) -> Result<(), Refusal> {
    let changes = vec![KeyChange { key: key.into(), operation, value: value.map(Into::into) }];
    let resources = vec![IncrementalResource { resource_type, name: name.into(), changes }];
    let command = IncrementalAlterConfigs { resources, validate_only: false };
    match run(controller, Command::IncrementalAlterConfigs(command)) {
        Answer::IncrementalAlterConfigs(mut results) => results.remove(0).result,
        other => panic!("another command's answer: {other:?}"),
    }
}

fn described(controller: &Controller, resource_type: i8, name: &str) -> Vec<(String, ConfigSource)> {
    let resource = DescribeResource { resource_type, name: name.into(), keys: None };
    let mut described = describe_configs(&controller.state(), &[resource]);
    let configs = described.remove(0).result.expect("it can be described");
    let printed = |value: Option<std::sync::Arc<str>>| value.map_or(String::new(), |value| value.to_string());
    configs.into_iter().map(|it| (format!("{}={}", it.name, printed(it.value)), it.source)).collect()
}

#[test]
fn what_may_be_set() {
    #[track_caller]
    fn check(
        resource: (i8, &str),
        change: (&str, i8, Option<&str>),
        expected: Result<(), (ErrorKind, &str)>,
    ) {
        let mut controller = cluster(1, &[]);
        assert_result(&alter(&mut controller, resource.0, resource.1, change), expected);
    }
    let session = "consumer.session.timeout.ms";
    check((GROUP, "g"), (session, OPERATION_SET, Some("50000")), Ok(()));
    check((GROUP, "g"), (session, OPERATION_SET, Some("44999")), Err((InvalidConfig, "45000")));
    check((GROUP, "g"), (session, OPERATION_SET, Some("x")), Err((InvalidConfig, "whole number")));
    check((GROUP, "g"), (session, OPERATION_APPEND, Some("1")), Err((InvalidConfig, "not a list")));
    check((GROUP, "g"), ("retention.ms", OPERATION_SET, Some("1")), Err((InvalidConfig, "no group setting")));
    check((GROUP, ""), (session, OPERATION_SET, Some("50000")), Err((InvalidRequest, "must be named")));
    let heartbeat = "consumer.heartbeat.interval.ms";
    check((GROUP, "g"), (heartbeat, OPERATION_SET, Some("15000")), Ok(()));
    check((GROUP, "g"), (heartbeat, OPERATION_SET, Some("15001")), Err((InvalidConfig, "between")));
    check((METRICS, "m"), ("interval.ms", OPERATION_SET, Some("100")), Ok(()));
    check((METRICS, "m"), ("interval.ms", OPERATION_SET, Some("99")), Err((InvalidRequest, "100")));
    check((METRICS, "m"), ("match", OPERATION_APPEND, Some("client_id=a.*")), Ok(()));
    check((METRICS, "m"), ("match", OPERATION_SET, Some("host=a")), Err((InvalidRequest, "trait")));
    let long = "x".repeat(32_769);
    check((GROUP, &long), (session, OPERATION_SET, Some("50000")), Err((InvalidRequest, "longer")));
    check((8, "1"), ("root", OPERATION_SET, Some("INFO")), Err((InvalidRequest, "8")));
}

#[test]
fn a_subscription_is_described_listed_and_survives_a_snapshot() {
    let mut controller = cluster(1, &[]);
    let before = ["interval.ms=300000", "match=", "metrics="];
    let before = before.map(|text| (text.to_owned(), ConfigSource::Default)).to_vec();
    assert_eq!(described(&controller, METRICS, "m"), before);
    alter(&mut controller, METRICS, "m", ("metrics", OPERATION_SET, Some("a,b"))).expect("any list");
    let own = ("metrics=a,b".to_owned(), ConfigSource::ClientMetrics);
    assert_eq!(described(&controller, METRICS, "m")[2], own);
    assert_eq!(described(&controller, METRICS, "other"), before);
    assert!(controller.image().client_metrics_subscriptions().eq(["m"]));

    let mut copy = ClusterImage::new();
    copy.replay_set(&controller.image().snapshot()).expect("a snapshot fits");
    assert_eq!(&copy, controller.image());

    alter(&mut controller, METRICS, "m", ("metrics", OPERATION_DELETE, None)).expect("what is set can go");
    assert_eq!(controller.image().client_metrics_subscriptions().count(), 0);
}
