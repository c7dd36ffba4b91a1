//! The broker's settings, checked and typed.

use corelane_base::id::BrokerId;

use crate::configs::broker_definitions;
use crate::configs::connection_limits::{ConnectionLimits, parse_overrides};
use crate::configs::definition::{Synonym, Value};
use crate::configs::layers::Layers;
use crate::configs::listener::{self, Listener};
use crate::configs::settings::Settings;
use crate::configs::topic::TopicConfig;

/// The settings of one broker. Those that may change at run time hold until the next record that changes them.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `log.dirs`, else `log.dir`.
    pub data_dir: String,
    /// `listeners`; never empty.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`; `None` to advertise what is listened on.
    pub advertised_listeners: Option<Vec<Listener>>,
    /// `corelane.http.listen`, as host:port.
    pub http_listen: String,
    /// `corelane.shards`; `None` for one per core.
    pub shard_count: Option<u16>,
    /// `corelane.idle.spin.us`.
    pub idle_spin_us: u32,
    /// `corelane.memory.bytes`; at least 64 MiB; dynamic.
    pub memory_bytes: u64,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `num.partitions`; at least 1.
    pub partition_count_default: i32,
    /// `default.replication.factor`; at least 1.
    pub replication_factor_default: i16,
    /// `connections.max.idle.ms`; `None` for ever.
    pub connection_idle_ms_max: Option<i64>,
    /// `max.connections`, `max.connections.per.ip` and its overrides; dynamic.
    pub connection_limits: ConnectionLimits,
    /// `socket.request.max.bytes`; at least 1.
    pub request_bytes_max: i32,
    /// `fetch.max.bytes`; at least 1024.
    pub fetch_bytes_max: i32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_count_max: i32,
    /// `max.request.partition.size.limit`; at least 1.
    pub described_partition_count_max: i32,
    /// `producer.id.expiration.ms`; at least 1; dynamic.
    pub producer_id_expiration_ms: i64,
    /// `log.cleaner.enable`.
    pub cleaner_enabled: bool,
    /// `log.cleaner.backoff.ms`; dynamic.
    pub cleaner_backoff_ms: i64,
    /// `log.cleaner.dedupe.buffer.size`, shared out among the shards; dynamic.
    pub cleaner_map_bytes: i64,
    /// `log.cleaner.io.buffer.load.factor`; dynamic.
    pub cleaner_map_load: f64,
    /// `log.cleaner.io.max.bytes.per.second`, shared out among the shards; dynamic.
    pub cleaner_io_bytes_per_second_max: f64,
    /// `log.retention.check.interval.ms`; at least 1.
    pub retention_check_interval_ms: i64,
    /// What a topic without settings of its own gets; dynamic.
    pub topic_defaults: TopicConfig,
}

impl BrokerConfig {
    /// The settings of a start alone, without dynamic ones.
    #[must_use]
    pub fn of_settings(settings: &Settings) -> BrokerConfig {
        BrokerConfig::resolve(&Layers::of_settings(settings))
    }

    /// The settings that hold with these layers.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>) -> BrokerConfig {
        let reader = Reader { layers };
        let data_dir = reader.text("log.dirs").or_else(|| reader.text("log.dir"));
        BrokerConfig {
            node_id: BrokerId(reader.int("node.id")),
            rack: reader.text("broker.rack").filter(|rack| !rack.is_empty()),
            data_dir: data_dir.expect("log.dir has a default"),
            listeners: listener::parse_listeners(&reader.text("listeners").expect("listeners has a default"))
                .expect("a value of listeners in a layer has been checked"),
            advertised_listeners: reader
                .text("advertised.listeners")
                .map(|text| listener::parse_advertised(&text).expect("a value in a layer has been checked")),
            http_listen: reader.text("corelane.http.listen").expect("it has a default"),
            shard_count: u16::try_from(reader.int("corelane.shards")).ok().filter(|&count| count > 0),
            idle_spin_us: u32::try_from(reader.int("corelane.idle.spin.us")).expect("its range starts at 0"),
            memory_bytes: reader.long("corelane.memory.bytes").unsigned_abs(),
            auto_create_topics: reader.flag("auto.create.topics.enable"),
            delete_topics: reader.flag("delete.topic.enable"),
            partition_count_default: reader.int("num.partitions"),
            replication_factor_default: i16::try_from(reader.int("default.replication.factor"))
                .expect("its range ends at that of i16"),
            connection_idle_ms_max: Some(reader.long("connections.max.idle.ms")).filter(|&ms| ms >= 0),
            connection_limits: ConnectionLimits {
                count_max: reader.int("max.connections"),
                per_ip_max: reader.int("max.connections.per.ip"),
                per_ip_overrides: parse_overrides(
                    &reader.text("max.connections.per.ip.overrides").unwrap_or_default(),
                )
                .expect("a value in a layer has been checked"),
            },
            request_bytes_max: reader.int("socket.request.max.bytes"),
            fetch_bytes_max: reader.int("fetch.max.bytes"),
            fetch_session_count_max: reader.int("max.incremental.fetch.session.cache.slots"),
            described_partition_count_max: reader.int("max.request.partition.size.limit"),
            producer_id_expiration_ms: reader.long("producer.id.expiration.ms"),
            cleaner_enabled: reader.flag("log.cleaner.enable"),
            cleaner_backoff_ms: reader.long("log.cleaner.backoff.ms"),
            cleaner_map_bytes: reader.long("log.cleaner.dedupe.buffer.size"),
            cleaner_map_load: reader.double("log.cleaner.io.buffer.load.factor"),
            cleaner_io_bytes_per_second_max: reader.double("log.cleaner.io.max.bytes.per.second"),
            retention_check_interval_ms: reader.long("log.retention.check.interval.ms"),
            topic_defaults: TopicConfig::defaults(layers),
        }
    }
}

/// Looks up one broker key after another. Panics: if a key is not in the registry, has no value, or is of another type,
/// which the test that resolves the defaults excludes.
pub(crate) struct Reader<'a> {
    pub(crate) layers: &'a Layers<'a>,
}

impl Reader<'_> {
    fn value(&self, key: &str) -> Option<Value> {
        let definition = broker_definitions::find(key).expect("resolve names only keys of the registry");
        let own = [Synonym { name: definition.name, unit_ms: 1 }];
        self.layers.candidates(&own).into_iter().next().map(|candidate| candidate.value)
    }

    pub(crate) fn long(&self, key: &str) -> i64 {
        match self.value(key) {
            Some(Value::Int(value)) => value,
            other => unreachable!("{key} is a number with a default, not {other:?}"),
        }
    }

    pub(crate) fn double(&self, key: &str) -> f64 {
        match self.value(key) {
            Some(Value::Double(value)) => value,
            other => unreachable!("{key} is a double with a default, not {other:?}"),
        }
    }

    pub(crate) fn int(&self, key: &str) -> i32 {
        i32::try_from(self.long(key)).expect("the range of an Int key is that of i32")
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        match self.value(key) {
            Some(Value::Bool(value)) => value,
            other => unreachable!("{key} is a boolean with a default, not {other:?}"),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        match self.value(key) {
            Some(value @ (Value::Text(_) | Value::List(_))) => Some(value.to_string()),
            None => None,
            other => unreachable!("{key} is a text, not {other:?}"),
        }
    }
}
