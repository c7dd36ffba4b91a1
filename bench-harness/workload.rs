//! A workload: what is sent and read, how fast and for how long, from a TOML file to checked values.
//!
//! Only checked values leave this file: whoever has a [`Workload`] need not doubt it. The files of the library are in
//! `workloads/` and are compiled in, so that they are there wherever the program runs.

mod fields;

use std::path::Path;

use corelane_log::batch::Compression;

use crate::clock::SECOND;
use crate::content::{STAMP_SIZE, VALUE_SIZE_MAX};
use crate::verify::{CELLS_MAX, Checks};

use fields::{Fields, shown};

/// How fast producers send.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rate {
    /// So many records a second, all producers together.
    PerSecond(f64),
    /// As fast as the broker takes them.
    Max,
}

/// Which keys records have.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct KeyPlan {
    /// How many different ones.
    pub count: u32,
    /// 0: all equally often; higher: the first ones more often (Zipf).
    pub skew: f64,
}

/// See the table in `README.md`; every field is within its limits.
#[derive(Clone, PartialEq, Debug)]
pub struct Workload {
    /// Name, for folders and tables.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The file as it was read.
    pub text: String,
    /// Topics, all alike.
    pub topics: u32,
    /// Partitions of each.
    pub partitions: u32,
    /// Settings of each topic.
    pub topic_settings: Vec<(String, String)>,
    /// Smallest value in bytes.
    pub bytes_min: usize,
    /// Largest value in bytes.
    pub bytes_max: usize,
    /// Share of a value's bytes that do not compress, 0 to 1.
    pub randomness: f64,
    /// Keys, if there are any.
    pub keys: Option<KeyPlan>,
    /// Producers.
    pub producers: u32,
    /// Their rate together.
    pub rate: Rate,
    /// 0, 1 or -1.
    pub acks: i16,
    /// Whether each has a producer id and numbers its batches.
    pub idempotent: bool,
    /// How batches are compressed.
    pub compression: Compression,
    /// A batch is closed at this size.
    pub batch_bytes: usize,
    /// A batch is closed this many nanoseconds after its first record.
    pub linger: u64,
    /// Requests under way per producer and leader.
    pub in_flight: usize,
    /// A request takes at most so many bytes of batches.
    pub request_bytes: usize,
    /// Consumers of each group; they share the partitions.
    pub consumers: u32,
    /// Groups, each of which reads everything.
    pub fan_out: u32,
    /// Consumers that read everything from the beginning, again and again, and are not measured.
    pub history_readers: u32,
    /// A fetch waits at the broker for so many milliseconds.
    pub fetch_wait_ms: i32,
    /// ... or for so many bytes.
    pub fetch_bytes_min: i32,
    /// A fetch answer's limit in bytes.
    pub fetch_bytes: i32,
    /// ... and a partition's in it.
    pub partition_bytes: i32,
    /// Connections that do nothing.
    pub idle_connections: u32,
    /// Nanoseconds before measuring.
    pub warm_up: u64,
    /// Nanoseconds of measuring.
    pub duration: u64,
    /// Bytes written before consumers start; they then have to catch up.
    pub backlog_bytes: u64,
    /// Whether producers rest while the backlog is drained; the run then ends when it is.
    pub drain_only: bool,
    /// What is verified.
    pub checks: Checks,
}

impl Workload {
    /// Reads a file, or a workload of the library if there is no such file.
    ///
    /// Errors: what cannot be read or is not allowed, by the name of the field.
    pub fn load(name: &str) -> Result<Workload, String> {
        let text = match std::fs::read_to_string(name) {
            Ok(text) => text,
            Err(error) => match library(name) {
                Some(text) => text.to_owned(),
                None if Path::new(name).extension().is_some() => return Err(format!("{name}: {error}")),
                None => return Err(format!("{name}: no such file, and no such workload in the library")),
            },
        };
        Workload::parse(&text).map_err(|error| format!("{name}: {error}"))
    }

    /// Reads a workload's text. Errors: the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Workload, String> {
        let mut top = Fields::document(text)?;
        let name = top.text("name")?.ok_or("name is missing")?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            return Err(format!("name is {name:?}, should be letters, digits, '-', '_' and '.'"));
        }
        let mut workload = Workload { name, text: text.to_owned(), ..Workload::default() };
        workload.about = top.text("about")?.unwrap_or_default();
        workload.read_topics(top.table("topics")?)?;
        workload.read_records(top.table("records")?)?;
        workload.read_producers(top.table("producers")?)?;
        workload.read_consumers(top.table("consumers")?)?;
        workload.read_phases(top.table("phases")?)?;
        let mut verify = top.table("verify")?;
        workload.checks =
            Checks { content: verify.switch("content", true)?, order: verify.switch("order", true)? };
        verify.finish()?;
        workload.idle_connections = top.whole("idle_connections", 0, 0..=100_000)? as u32;
        top.finish()?;
        workload.check()?;
        Ok(workload)
    }

    fn read_topics(&mut self, mut fields: Fields) -> Result<(), String> {
        self.topics = fields.whole("count", 1, 1..=10_000)? as u32;
        self.partitions = fields.whole("partitions", 1, 1..=100_000)? as u32;
        self.topic_settings = fields.table("settings")?.settings()?;
        fields.finish()
    }

    fn read_records(&mut self, mut fields: Fields) -> Result<(), String> {
        let bytes = fields.whole("bytes", 1024, STAMP_SIZE as u64..=VALUE_SIZE_MAX as u64)?;
        self.bytes_max = fields.whole("bytes_max", bytes, bytes..=VALUE_SIZE_MAX as u64)? as usize;
        self.bytes_min = bytes as usize;
        self.randomness = fields.number("randomness", 1.0, 0.0..=1.0)?;
        let count = fields.whole("keys", 0, 0..=10_000_000)? as u32;
        let skew = fields.number("key_skew", 0.0, 0.0..=10.0)?;
        self.keys = (count > 0).then_some(KeyPlan { count, skew });
        fields.finish()
    }

    fn read_producers(&mut self, mut fields: Fields) -> Result<(), String> {
        self.producers = fields.whole("count", 1, 0..=10_000)? as u32;
        self.rate = match fields.take("rate") {
            None => return Err("producers.rate is missing: records per second, or \"max\"".to_owned()),
            Some(value) if value.as_str() == Some("max") => Rate::Max,
            Some(value) => match value.as_float().or_else(|| value.as_integer().map(|n| n as f64)) {
                Some(rate) if rate > 0.0 && rate <= 1e9 => Rate::PerSecond(rate),
                _ => {
                    return Err(format!(
                        "producers.rate is {}, should be a number above 0 or \"max\"",
                        shown(&value)
                    ));
                }
            },
        };
        self.acks = fields.one_of("acks", "all", &[("all", -1), ("-1", -1), ("1", 1), ("0", 0)])?;
        self.idempotent = fields.switch("idempotent", self.acks == -1)?;
        let compressions = [
            ("none", Compression::None),
            ("gzip", Compression::Gzip),
            ("snappy", Compression::Snappy),
            ("lz4", Compression::Lz4),
            ("zstd", Compression::Zstd),
        ];
        self.compression = fields.one_of("compression", "none", &compressions)?;
        self.batch_bytes = fields.size("batch", "16 KiB")? as usize;
        self.linger = fields.duration("linger", "1 ms")?;
        self.in_flight = fields.whole("in_flight", 5, 1..=1000)? as usize;
        self.request_bytes = fields.size("request", "1 MiB")? as usize;
        fields.finish()
    }

    fn read_consumers(&mut self, mut fields: Fields) -> Result<(), String> {
        self.consumers = fields.whole("count", 1, 0..=10_000)? as u32;
        self.fan_out = fields.whole("fan_out", 1, 1..=1000)? as u32;
        self.history_readers = fields.whole("history_readers", 0, 0..=1000)? as u32;
        self.fetch_wait_ms = fields.whole("wait_ms", 500, 0..=60_000)? as i32;
        self.fetch_bytes_min = fields.size("bytes_min", "1 B")?.min(1 << 30) as i32;
        self.fetch_bytes = fields.size("bytes", "16 MiB")?.clamp(1, 1 << 30) as i32;
        self.partition_bytes = fields.size("partition_bytes", "1 MiB")?.clamp(1, 1 << 30) as i32;
        fields.finish()
    }

    fn read_phases(&mut self, mut fields: Fields) -> Result<(), String> {
        self.warm_up = fields.duration("warm_up", "5 s")?;
        self.duration = fields.duration("duration", "30 s")?;
        self.backlog_bytes = fields.size("backlog", "0 B")?;
        self.drain_only = fields.switch("drain_only", false)?;
        fields.finish()
    }

    /// Checks what no single field can say. Errors: what does not go together.
    pub fn check(&self) -> Result<(), String> {
        if self.acks != -1 && self.idempotent {
            return Err("producers.idempotent needs acks = \"all\"".to_owned());
        }
        if self.idempotent && self.in_flight > 5 {
            return Err(
                "producers.in_flight is above 5, which an idempotent producer may not have".to_owned()
            );
        }
        if self.batch_bytes < self.bytes_max.min(1024) || self.batch_bytes > 64 << 20 {
            return Err(format!("producers.batch is {} bytes, should be 1 KiB to 64 MiB", self.batch_bytes));
        }
        if self.duration < SECOND {
            return Err("phases.duration is below a second".to_owned());
        }
        if self.drain_only && self.backlog_bytes == 0 {
            return Err("phases.drain_only needs a backlog to drain".to_owned());
        }
        let cells = u64::from(self.slots()) * u64::from(self.producers.max(1)) * 2;
        if self.checks.order && cells > CELLS_MAX {
            return Err(format!("verify.order: {} partitions times producers are too many", cells / 2));
        }
        Ok(())
    }

    /// Partitions of all topics.
    pub fn slots(&self) -> u32 {
        self.topics.saturating_mul(self.partitions)
    }

    /// The mean value in bytes.
    pub fn bytes_mean(&self) -> f64 {
        (self.bytes_min + self.bytes_max) as f64 / 2.0
    }

    /// The rate, if it is not as fast as possible.
    pub fn rate_per_second(&self) -> Option<f64> {
        match self.rate {
            Rate::PerSecond(rate) => Some(rate),
            Rate::Max => None,
        }
    }
}

impl Default for Workload {
    /// Every field as an empty file would have it, but for the name and the rate, which have no default.
    fn default() -> Workload {
        Workload {
            name: String::new(),
            about: String::new(),
            text: String::new(),
            topics: 1,
            partitions: 1,
            topic_settings: Vec::new(),
            bytes_min: 1024,
            bytes_max: 1024,
            randomness: 1.0,
            keys: None,
            producers: 1,
            rate: Rate::Max,
            acks: -1,
            idempotent: true,
            compression: Compression::None,
            batch_bytes: 16 << 10,
            linger: SECOND / 1000,
            in_flight: 5,
            request_bytes: 1 << 20,
            consumers: 1,
            fan_out: 1,
            history_readers: 0,
            fetch_wait_ms: 500,
            fetch_bytes_min: 1,
            fetch_bytes: 16 << 20,
            partition_bytes: 1 << 20,
            idle_connections: 0,
            warm_up: 5 * SECOND,
            duration: 30 * SECOND,
            backlog_bytes: 0,
            drain_only: false,
            checks: Checks { content: true, order: true },
        }
    }
}

/// A duration like `10s` as an argument, in nanoseconds. Errors: says what is allowed.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    fields::parse_duration(text)
}

/// The workloads that come with the program, by name.
pub const LIBRARY: &[(&str, &str)] = &[
    ("trickle-1k", include_str!("workloads/trickle-1k.toml")),
    ("steady-1k", include_str!("workloads/steady-1k.toml")),
    ("steady-100b", include_str!("workloads/steady-100b.toml")),
    ("depth-1", include_str!("workloads/depth-1.toml")),
    ("produce-1k", include_str!("workloads/produce-1k.toml")),
    ("produce-100b", include_str!("workloads/produce-100b.toml")),
    ("max-1k", include_str!("workloads/max-1k.toml")),
    ("max-100b", include_str!("workloads/max-100b.toml")),
    ("ramp-1m", include_str!("workloads/ramp-1m.toml")),
    ("ramp-2m", include_str!("workloads/ramp-2m.toml")),
    ("partitions-1-1k", include_str!("workloads/partitions-1-1k.toml")),
    ("partitions-1-100b", include_str!("workloads/partitions-1-100b.toml")),
    ("partitions-16-1k", include_str!("workloads/partitions-16-1k.toml")),
    ("partitions-16-100b", include_str!("workloads/partitions-16-100b.toml")),
    ("partitions-100-1k", include_str!("workloads/partitions-100-1k.toml")),
    ("partitions-100-100b", include_str!("workloads/partitions-100-100b.toml")),
    ("partitions-1000-1k", include_str!("workloads/partitions-1000-1k.toml")),
    ("partitions-1000-100b", include_str!("workloads/partitions-1000-100b.toml")),
    ("partitions-10000-1k", include_str!("workloads/partitions-10000-1k.toml")),
    ("partitions-10000-100b", include_str!("workloads/partitions-10000-100b.toml")),
    ("keyed-200-producers", include_str!("workloads/keyed-200-producers.toml")),
    ("fan-out-1k", include_str!("workloads/fan-out-1k.toml")),
    ("compressed-1k", include_str!("workloads/compressed-1k.toml")),
    ("idle-5000", include_str!("workloads/idle-5000.toml")),
    ("drain-1k", include_str!("workloads/drain-1k.toml")),
    ("drain-100b", include_str!("workloads/drain-100b.toml")),
    ("backlog-1k", include_str!("workloads/backlog-1k.toml")),
    ("history-1k", include_str!("workloads/history-1k.toml")),
    ("retention-1k", include_str!("workloads/retention-1k.toml")),
    ("compaction-1k", include_str!("workloads/compaction-1k.toml")),
    ("soak-1k", include_str!("workloads/soak-1k.toml")),
];

fn library(name: &str) -> Option<&'static str> {
    LIBRARY.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = Workload::parse(text).expect_err("it is not allowed");
        assert!(error.contains(expected), "{error:?} should contain {expected:?}");
    }

    #[test]
    fn the_library_is_sound_and_named_after_itself() {
        for (name, text) in LIBRARY {
            let workload = Workload::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(workload.name, *name);
            assert!(!workload.about.is_empty(), "{name} says what it is for");
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let text = "name = \"a\"\nproducers.rate = \"max\"\n";
        let expected = Workload { name: "a".to_owned(), text: text.to_owned(), ..Workload::default() };
        assert_eq!(Workload::parse(text), Ok(expected));
    }

    #[test]
    fn all_fields() {
        let workload = Workload::parse(
            r#"
            name = "all"
            idle_connections = 9
            [topics]
            count = 2
            partitions = 3
            settings = { "retention.bytes" = 1000, "cleanup.policy" = "compact" }
            [records]
            bytes = 100
            bytes_max = 200
            randomness = 0.5
            keys = 10
            key_skew = 1
            [producers]
            count = 4
            rate = 1000
            acks = "1"
            compression = "lz4"
            batch = "32 KiB"
            linger = "5 ms"
            in_flight = 7
            [consumers]
            count = 5
            fan_out = 6
            [phases]
            warm_up = "2 s"
            duration = "1 min"
            backlog = "1.5 GiB"
            [verify]
            content = false
            "#,
        )
        .expect("allowed");
        assert_eq!((workload.slots(), workload.bytes_mean()), (6, 150.0));
        assert_eq!(workload.keys, Some(KeyPlan { count: 10, skew: 1.0 }));
        assert_eq!((workload.acks, workload.idempotent), (1, false));
        assert_eq!((workload.linger, workload.duration), (5_000_000, 60 * SECOND));
        assert_eq!((workload.backlog_bytes, workload.batch_bytes), (3 << 29, 32 << 10));
        assert_eq!(workload.checks, Checks { content: false, order: true });
        assert_eq!(workload.topic_settings[1], ("retention.bytes".to_owned(), "1000".to_owned()));
    }

    #[test]
    fn errors_name_the_field_and_what_is_allowed() {
        let with = |rest: &str| format!("name = \"a\"\nproducers.rate = 5\n{rest}");
        refused("", "name is missing");
        refused("name = \"a b\"", "should be letters, digits");
        refused("name = \"a\"", "producers.rate is missing");
        refused("name = \"a\"\nproducers.rate = 0", "should be a number above 0 or \"max\"");
        refused(&with("records.bytes = 8"), "records.bytes is 8, should be a whole number from 24");
        refused(&with("records.bytes = \"8\""), "records.bytes is \"8\", should be a whole number");
        refused(
            &with("topics.partitons = 8"),
            "topics.partitons: no such field; there are count, partitions",
        );
        refused(
            &with("producers.linger = 5"),
            "producers.linger is 5, should be a duration such as \"30 s\"",
        );
        refused(&with("producers.linger = \"5 parsec\""), "should be a duration");
        refused(&with("producers.acks = \"some\""), "should be one of all, -1, 1, 0");
        refused(&with("producers.acks = \"1\"\nproducers.idempotent = true"), "needs acks = \"all\"");
        refused(&with("producers.in_flight = 6"), "above 5");
        refused(&with("phases.drain_only = true"), "needs a backlog");
        refused(&with("topics = 3"), "topics is 3, should be a table");
        refused(&with("topics.partitions = 100000\nproducers.count = 1000"), "too many");
        refused("name = ", "TOML parse error");
    }
}
