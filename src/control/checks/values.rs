//! Parsing of values, layers, and the typed settings that come of them.

use crate::checks::settings;
use crate::configs::broker::BrokerConfig;
use crate::configs::broker_definitions::{self, BROKER};
use crate::configs::definition::{Overrides, VALUE_BYTES_MAX};
use crate::configs::layers::{ConfigSource, Layers};
use crate::configs::topic::{self, CleanupPolicy, CompressionType, Durability, TimestampType, TopicConfig};
use crate::configs::topic_definitions::{self, TOPIC};

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// Parses a topic's value, and looks at its printed form or at the error.
#[track_caller]
fn check(key: &str, text: &str, expected: Result<&str, &str>) {
    let definition = topic_definitions::find(key).expect("a key of the registry");
    match (definition.parse(text), expected) {
        (Ok(value), Ok(printed)) => {
            assert_eq!(value.to_string(), printed);
            assert_eq!(definition.parse(printed).as_ref(), Ok(&value), "the printed form means the same");
        }
        (Err(error), Err(part)) => {
            let text = error.to_string();
            assert!(text.contains(key) && text.contains(part), "{text}");
        }
        (found, expected) => panic!("{key}={text}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn numbers() {
    check("retention.ms", "100", Ok("100"));
    check("retention.ms", " 100 ", Ok("100"));
    check("retention.ms", "+7", Ok("7"));
    check("retention.ms", "-1", Ok("-1"));
    check("retention.ms", "-2", Err("'-2' for configuration retention.ms: must be at least -1"));
    check("retention.ms", "", Err("whole number, at least -1"));
    check("retention.ms", "1.5", Err("whole number"));
    check("retention.ms", "1h", Err("'1h'"));
    check("retention.ms", "9223372036854775807", Ok("9223372036854775807"));
    check("retention.ms", "9223372036854775808", Err("whole number"));
    check("retention.bytes", "-5", Ok("-5"));
    check("segment.bytes", "1048576", Ok("1048576"));
    check("segment.bytes", "1048575", Err("at least 1048576"));
    check("segment.bytes", "2147483647", Ok("2147483647"));
    check("segment.bytes", "2147483648", Err("at least 1048576"));
    check("segment.ms", "0", Err("at least 1"));
    check("segment.jitter.ms", "0", Ok("0"));
    check("segment.index.bytes", "3", Err("at least 4"));
    check("max.message.bytes", "0", Ok("0"));
    check("max.message.bytes", "-1", Err("at least 0"));
    check("min.insync.replicas", "0", Err("at least 1"));
    check("min.cleanable.dirty.ratio", "0", Ok("0.0"));
    check("min.cleanable.dirty.ratio", "1", Ok("1.0"));
    check("min.cleanable.dirty.ratio", "0.25", Ok("0.25"));
    check("min.cleanable.dirty.ratio", "1.01", Err("between 0 and 1"));
    check("min.cleanable.dirty.ratio", "-0.1", Err("between 0 and 1"));
    check("min.cleanable.dirty.ratio", "NaN", Err("must be a number"));
    check("min.cleanable.dirty.ratio", "inf", Err("must be a number"));
}

#[test]
fn words_and_lists() {
    check("preallocate", "TRUE", Ok("true"));
    check("preallocate", "False", Ok("false"));
    check("preallocate", "yes", Err("true or false"));
    check("preallocate", "1", Err("true or false"));
    check("cleanup.policy", "compact", Ok("compact"));
    check("cleanup.policy", "compact, delete", Ok("compact,delete"));
    check("cleanup.policy", "", Ok(""));
    check("cleanup.policy", "compact,", Err("a list of compact, delete"));
    check("cleanup.policy", "archive", Err("a list of compact, delete"));
    check("compression.type", "zstd", Ok("zstd"));
    check("compression.type", "ZSTD", Err("one of uncompressed"));
    check("compression.type", "none", Err("one of uncompressed"));
    check("compression.gzip.level", "-1", Ok("-1"));
    check("compression.gzip.level", "0", Err("between 1 and 9, or -1"));
    check("compression.gzip.level", "9", Ok("9"));
    check("compression.lz4.level", "17", Ok("17"));
    check("compression.lz4.level", "18", Err("between 1 and 17"));
    check("compression.zstd.level", "-131072", Ok("-131072"));
    check("compression.zstd.level", "23", Err("between -131072 and 22"));
    check("message.timestamp.type", "LogAppendTime", Ok("LogAppendTime"));
    check("message.timestamp.type", "logappendtime", Err("one of CreateTime, LogAppendTime"));
    check("corelane.durability", "memory", Ok("memory"));
    check("corelane.durability", "none", Err("one of sync, write, memory"));
    check("max.compaction.lag.ms", "0", Err("at least 1"));
    check("flush.messages", "0", Err("at least 1"));
    check("leader.replication.throttled.replicas", "*", Ok("*"));
    check("leader.replication.throttled.replicas", "0:1,1:2", Ok("0:1,1:2"));
    check("leader.replication.throttled.replicas", "", Ok(""));
    check("leader.replication.throttled.replicas", "*,0:1", Err("'*' or a list"));
    check("leader.replication.throttled.replicas", "0:", Err("'*' or a list"));
    check("leader.replication.throttled.replicas", "a:b", Err("'*' or a list"));
    check("retention.ms", &"1".repeat(VALUE_BYTES_MAX + 1), Err("longer than 32768"));
}

#[test]
fn built_in_settings_are_the_registry() {
    let none = settings(&[]);
    assert_eq!(TopicConfig::defaults(&Layers::of_settings(&none)), TopicConfig::BUILT_IN);
    let config = BrokerConfig::of_settings(&none);
    assert_eq!(config.topic_defaults, TopicConfig::BUILT_IN);
    assert_eq!(config.node_id.0, 1);
    assert_eq!(config.data_dir, "./corelane-data");
    assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
    assert_eq!((config.shard_count, config.rack, config.advertised_listeners), (None, None, None));
    assert_eq!(config.connection_idle_ms_max, Some(600_000));
    assert_eq!(config.request_bytes_max, 104_857_600);
    assert!(config.auto_create_topics && config.delete_topics);
}

#[test]
fn broker_settings_are_typed() {
    let config = BrokerConfig::of_settings(&settings(&[
        ("node.id", "9"),
        ("broker.rack", "r1"),
        ("log.dirs", "/data"),
        ("log.dir", "/ignored"),
        ("listeners", "IN://:1,OUT://:2"),
        ("listener.security.protocol.map", "IN:PLAINTEXT,OUT:PLAINTEXT"),
        ("advertised.listeners", "OUT://public:3"),
        ("corelane.shards", "4"),
        ("corelane.idle.spin.us", "50"),
        ("auto.create.topics.enable", "false"),
        ("connections.max.idle.ms", "-1"),
        ("num.partitions", "3"),
        ("producer.id.expiration.ms", "5"),
    ]));
    assert_eq!(
        (config.node_id.0, config.rack.as_deref(), config.data_dir.as_str()),
        (9, Some("r1"), "/data")
    );
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.advertised_listeners.expect("given")[0].to_string(), "OUT://public:3");
    assert_eq!((config.shard_count, config.idle_spin_us), (Some(4), 50));
    assert_eq!((config.auto_create_topics, config.connection_idle_ms_max), (false, None));
    assert_eq!((config.partition_count_default, config.producer_id_expiration_ms), (3, 5));
}

#[test]
fn topic_settings_come_from_the_strongest_layer() {
    /// Static, default and broker settings, the topic's own; then the value of `retention.ms` and its source.
    #[track_caller]
    fn check(layers: [&[(&str, &str)]; 3], own: &[(&str, &str)], value: &str, source: ConfigSource) {
        let (settings, default, broker) = (settings(layers[0]), overrides(layers[1]), overrides(layers[2]));
        let layers = Layers { dynamic_broker: &broker, dynamic_default: &default, settings: &settings };
        let definition = topic_definitions::find("retention.ms").expect("it is in the registry");
        let (found, found_source) = layers.topic_value(&overrides(own), definition);
        assert_eq!((found.to_string().as_str(), found_source), (value, source));
        let typed = TopicConfig::resolve(&layers, &overrides(own)).retention_ms;
        assert_eq!(typed.map_or("-1".into(), |ms| ms.to_string()), value);
    }
    use ConfigSource::{Default, DynamicBroker, DynamicDefaultBroker, StaticBroker, Topic};
    check([&[], &[], &[]], &[], "604800000", Default);
    check([&[("log.retention.hours", "1")], &[], &[]], &[], "3600000", StaticBroker);
    check([&[("log.retention.minutes", "2")], &[], &[]], &[], "120000", StaticBroker);
    check(
        [&[("log.retention.minutes", "2"), ("log.retention.hours", "1")], &[], &[]],
        &[],
        "120000",
        StaticBroker,
    );
    check([&[("log.retention.ms", "3"), ("log.retention.minutes", "2")], &[], &[]], &[], "3", StaticBroker);
    check([&[("log.retention.hours", "-1")], &[], &[]], &[], "-1", StaticBroker);
    check([&[("log.retention.hours", "2147483647")], &[], &[]], &[], "7730941129200000", StaticBroker);
    // A stronger layer in a weaker unit stands above a weaker layer in a stronger unit.
    check(
        [&[("log.retention.ms", "3")], &[("log.retention.hours", "1")], &[]],
        &[],
        "3600000",
        DynamicDefaultBroker,
    );
    check([&[], &[("log.retention.ms", "4")], &[("log.retention.ms", "5")]], &[], "5", DynamicBroker);
    check([&[], &[], &[("log.retention.ms", "5")]], &[("retention.ms", "6")], "6", Topic);
    check([&[], &[], &[]], &[("retention.ms", "-1")], "-1", Topic);
    // What a newer broker might have written is passed over.
    check([&[("log.retention.ms", "3")], &[], &[]], &[("retention.ms", "two weeks")], "3", StaticBroker);
    check([&[("log.retention.ms", "3")], &[("log.retention.ms", "?")], &[]], &[], "3", StaticBroker);
}

#[test]
fn every_topic_setting_reaches_its_field() {
    #[track_caller]
    fn check(key: &str, value: &str, differs: impl Fn(&mut TopicConfig)) {
        let mut expected = TopicConfig::BUILT_IN;
        differs(&mut expected);
        assert_ne!(expected, TopicConfig::BUILT_IN, "{key} differs");
        assert_eq!(TopicConfig::BUILT_IN.with(&overrides(&[(key, value)])), expected, "{key}");
        // And through the broker's synonym.
        let definition = topic_definitions::find(key).expect("it is in the registry");
        let config = settings(&[(definition.synonyms[0].name, value)]);
        assert_eq!(
            TopicConfig::defaults(&Layers::of_settings(&config)),
            expected,
            "{}",
            definition.synonyms[0].name
        );
    }
    check("cleanup.policy", "compact", |c| c.cleanup_policy = CleanupPolicy { delete: false, compact: true });
    check("cleanup.policy", "", |c| c.cleanup_policy = CleanupPolicy { delete: false, compact: false });
    check("compression.gzip.level", "9", |c| c.compression_gzip_level = 9);
    check("compression.zstd.level", "-5", |c| c.compression_zstd_level = -5);
    check("compression.type", "lz4", |c| c.compression_type = CompressionType::Lz4);
    check("compression.type", "uncompressed", |c| c.compression_type = CompressionType::Uncompressed);
    check("corelane.durability", "write", |c| c.durability = Durability::Write);
    check("corelane.durability", "memory", |c| c.durability = Durability::Memory);
    check("delete.retention.ms", "2", |c| c.delete_retention_ms = 2);
    check("file.delete.delay.ms", "2", |c| c.file_delete_delay_ms = 2);
    check("flush.messages", "2", |c| c.flush_interval_records = 2);
    check("flush.ms", "2", |c| c.flush_interval_ms = 2);
    check("index.interval.bytes", "2", |c| c.index_interval_bytes = 2);
    check("max.compaction.lag.ms", "2", |c| c.compaction_lag_ms_max = 2);
    check("max.message.bytes", "2", |c| c.batch_bytes_max = 2);
    check("message.timestamp.after.max.ms", "2", |c| c.timestamp_after_ms_max = 2);
    check("message.timestamp.before.max.ms", "2", |c| c.timestamp_before_ms_max = 2);
    check("message.timestamp.type", "LogAppendTime", |c| c.timestamp_type = TimestampType::LogAppendTime);
    check("min.cleanable.dirty.ratio", "0.75", |c| c.cleanable_dirty_ratio_min = 0.75);
    check("min.compaction.lag.ms", "2", |c| c.compaction_lag_ms_min = 2);
    check("min.insync.replicas", "2", |c| c.insync_replicas_min = 2);
    check("preallocate", "true", |c| c.preallocate = true);
    check("retention.bytes", "2", |c| c.retention_bytes = Some(2));
    check("retention.ms", "2", |c| c.retention_ms = Some(2));
    check("segment.bytes", "1048577", |c| c.segment_bytes = 1_048_577);
    check("segment.index.bytes", "5", |c| c.segment_index_bytes = 5);
    check("segment.jitter.ms", "2", |c| c.segment_jitter_ms = 2);
    check("segment.ms", "2", |c| c.segment_ms = 2);
    check("unclean.leader.election.enable", "true", |c| c.unclean_leader_election = true);
}

#[test]
fn overrides_are_checked_together() {
    #[track_caller]
    fn check(broker: &[(&str, &str)], own: &[(&str, &str)], expected: Option<&str>) {
        let config = settings(broker);
        let defaults = TopicConfig::defaults(&Layers::of_settings(&config));
        let found = topic::check_overrides(&defaults, &overrides(own)).err().map(|error| error.to_string());
        match (&found, expected) {
            (None, None) => {}
            (Some(text), Some(part)) => assert!(text.contains(part), "{text}"),
            _ => panic!("{found:?} instead of {expected:?}"),
        }
    }
    check(&[], &[], None);
    check(&[], &[("retention.ms", "1"), ("cleanup.policy", "compact")], None);
    check(&[], &[("retention.days", "1")], Some("retention.days: no topic setting has this name"));
    check(&[], &[("retention.ms", "x")], Some("'x' for configuration retention.ms"));
    check(&[], &[("log.retention.ms", "1")], Some("no topic setting"));
    check(&[], &[("min.compaction.lag.ms", "5"), ("max.compaction.lag.ms", "5")], None);
    check(&[], &[("min.compaction.lag.ms", "6"), ("max.compaction.lag.ms", "5")], Some("must not be above"));
    check(
        &[("log.cleaner.max.compaction.lag.ms", "5")],
        &[("min.compaction.lag.ms", "6")],
        Some("which is 5"),
    );
}

#[test]
fn keys_that_tools_and_suites_set_exist() {
    for key in [
        "advertised.listeners",
        "auto.create.topics.enable",
        "default.replication.factor",
        "delete.topic.enable",
        "group.initial.rebalance.delay.ms",
        "group.min.session.timeout.ms",
        "log.retention.hours",
        "message.max.bytes",
        "min.insync.replicas",
        "num.partitions",
        "offsets.topic.replication.factor",
    ] {
        assert!(broker_definitions::find(key).is_some(), "{key}");
    }
    assert!(TOPIC.len() >= 29 && BROKER.len() >= 60, "{} and {}", TOPIC.len(), BROKER.len());
}
