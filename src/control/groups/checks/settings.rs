//! What the broker's settings come to for groups.

use crate::checks::settings;
use crate::configs::layers::Layers;
use crate::groups::settings::{Assignor, GroupSettings, MigrationPolicy, OffsetsTopicSettings};

#[test]
fn defaults_are_the_registry_s() {
    assert_eq!(GroupSettings::resolve(&Layers::of_settings(&settings(&[]))), GroupSettings::default());
    let topic = OffsetsTopicSettings::resolve(&Layers::of_settings(&settings(&[])));
    let expected = OffsetsTopicSettings {
        partition_count: 50,
        replication_factor: 3,
        segment_bytes: 104_857_600,
        compression: 0,
    };
    assert_eq!(topic, expected);
}

#[test]
fn every_setting_reaches_its_field() {
    #[track_caller]
    fn check(pairs: &[(&str, &str)], differs: impl Fn(&mut GroupSettings)) {
        let mut expected = GroupSettings::default();
        differs(&mut expected);
        assert_ne!(expected, GroupSettings::default());
        assert_eq!(GroupSettings::resolve(&Layers::of_settings(&settings(pairs))), expected);
    }
    check(&[("group.min.session.timeout.ms", "7")], |s| s.session_timeout_ms_min = 7);
    check(&[("group.max.session.timeout.ms", "7000")], |s| s.session_timeout_ms_max = 7_000);
    check(&[("group.initial.rebalance.delay.ms", "0")], |s| s.initial_rebalance_delay_ms = 0);
    check(&[("group.max.size", "7")], |s| s.member_count_max = 7);
    check(&[("offset.metadata.max.bytes", "7")], |s| s.offset_metadata_bytes_max = 7);
    check(&[("offsets.retention.minutes", "7")], |s| s.offsets_retention_ms = 420_000);
    check(&[("offsets.retention.check.interval.ms", "7")], |s| s.offsets_retention_check_ms = 7);
    check(&[("message.max.bytes", "7")], |s| s.batch_bytes_max = 7);
    check(&[("group.consumer.session.timeout.ms", "46000")], |s| s.consumer_session_timeout_ms = 46_000);
    check(&[("group.consumer.heartbeat.interval.ms", "6000")], |s| s.consumer_heartbeat_interval_ms = 6_000);
    check(&[("group.consumer.max.size", "7")], |s| s.consumer_member_count_max = 7);
    check(&[("group.consumer.assignors", " range ,uniform")], |s| {
        s.consumer_assignors = vec![Assignor::Range, Assignor::Uniform];
    });
    check(&[("group.consumer.migration.policy", "UPGRADE")], |s| {
        s.consumer_migration = MigrationPolicy::Upgrade;
    });
    check(&[("group.consumer.assignment.interval.ms", "7")], |s| s.consumer_assignment_interval_ms = 7);
    check(&[("group.consumer.regex.refresh.interval.ms", "10000")], |s| s.consumer_regex_refresh_ms = 10_000);
}
