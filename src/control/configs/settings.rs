//! What the broker was started with: the merged list of settings, checked key by key and against each other.
//!
//! Merging flags, environment and file is the broker's; this module takes the list in the order of growing
//! strength and remembers, for error texts, where each value came from.

use core::fmt;
use std::collections::BTreeMap;

use crate::configs::broker_definitions::{self, BROKER};
use crate::configs::definition::{ConfigError, Definition, Overrides, Value};
use crate::configs::listener;

/// Where a setting was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// In the configuration file.
    File,
    /// In a `CORELANE_*` variable.
    Environment,
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::File => "configuration file",
            Origin::Environment => "environment",
            Origin::Flag => "command line",
        })
    }
}

/// One key with its value as it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The key, in Kafka's spelling.
    pub key: String,
    /// The value, unparsed.
    pub value: String,
    /// Where it was given.
    pub origin: Origin,
}

/// A setting that was refused, and where to look for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingError {
    /// What is wrong.
    pub error: ConfigError,
    /// Where it was given; `None` if it follows from several settings or defaults.
    pub origin: Option<Origin>,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Some(origin) => write!(f, "{} (from the {origin})", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl std::error::Error for SettingError {}

/// The checked settings of this start of the broker. Invariants: every key is in the registry, every value is valid
/// and in its printed form, `node.id` and `broker.id` are both set or both absent, and then equal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
    unknown: Vec<Setting>,
}

impl Settings {
    /// Checks a list in which a later setting of a key replaces an earlier one. A key that is not in the registry is
    /// kept aside in [`Settings::unknown`]: configuration files of Kafka are full of them.
    /// Errors: every setting that is wrong, not only the first.
    pub fn from_list(list: &[Setting]) -> Result<Settings, Vec<SettingError>> {
        let mut given: BTreeMap<&'static str, (&'static Definition, &Setting)> = BTreeMap::new();
        let mut settings = Settings::default();
        for setting in list {
            match broker_definitions::find(setting.key.trim()) {
                Some(definition) => drop(given.insert(definition.name, (definition, setting))),
                None => settings.unknown.push(setting.clone()),
            }
        }
        let mut errors = Vec::new();
        for (name, (definition, setting)) in given {
            match definition.parse(&setting.value) {
                Ok(value) => drop(settings.values.insert(name, value.to_string())),
                Err(error) => errors.push(SettingError { error, origin: Some(setting.origin) }),
            }
        }
        settings.share_id(&mut errors);
        if errors.is_empty() {
            settings.check_together(&mut errors);
        }
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    /// The value that a key was given at the start, in its printed form; `None` leaves it to the default.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// What was given under keys that this broker does not know, for a warning or, from a flag, a refusal.
    #[must_use]
    pub fn unknown(&self) -> &[Setting] {
        &self.unknown
    }

    /// The known key that `key` was perhaps meant to be, for the text of that warning.
    #[must_use]
    pub fn nearest_known(key: &str) -> Option<&'static str> {
        let nearest = BROKER.iter().min_by_key(|definition| edit_distance(key, definition.name))?;
        (edit_distance(key, nearest.name) <= 3.min(key.len() / 3)).then_some(nearest.name)
    }

    fn share_id(&mut self, errors: &mut Vec<SettingError>) {
        match (self.values.get("node.id").cloned(), self.values.get("broker.id").cloned()) {
            (Some(node), Some(broker)) if node != broker => {
                let problem = format!("differs from broker.id, which is {broker}; set only one of them");
                errors.push(SettingError {
                    error: ConfigError::new("node.id", Some(&node), problem),
                    origin: None,
                });
            }
            (Some(id), None) | (None, Some(id)) => {
                self.values.insert("node.id", id.clone());
                self.values.insert("broker.id", id);
            }
            _ => {}
        }
    }

    fn check_together(&self, errors: &mut Vec<SettingError>) {
        if let Err(error) = check_broker_values(&|key| self.value(key)) {
            errors.push(SettingError { error, origin: None });
        }
        let text = |key| self.value(key).map(|value| value.to_string()).unwrap_or_default();
        if let Err(error) = check_listener_names(
            &text("listeners"),
            self.get("advertised.listeners"),
            &text("listener.security.protocol.map"),
        ) {
            errors.push(SettingError { error, origin: None });
        }
    }

    fn value(&self, key: &str) -> Option<Value> {
        let definition = broker_definitions::find(key)?;
        match self.get(key) {
            Some(text) => definition.parse(text).ok(),
            None => definition.default_value(),
        }
    }
}

/// Checks what must hold between the values of several broker keys, of which `value` knows the effective ones.
/// Errors: the key to change, its value, and the one it contradicts.
pub(crate) fn check_broker_values(value: &dyn Fn(&str) -> Option<Value>) -> Result<(), ConfigError> {
    let ordered = [
        ("log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
        ("group.min.session.timeout.ms", "group.max.session.timeout.ms"),
        ("group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
        ("group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms"),
        ("group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
        ("group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"),
        ("group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"),
        ("group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"),
        ("group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"),
        ("group.consumer.min.assignment.interval.ms", "group.consumer.assignment.interval.ms"),
        ("group.consumer.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"),
    ];
    for (low_key, high_key) in ordered {
        if let (Some(Value::Int(low)), Some(Value::Int(high))) = (value(low_key), value(high_key))
            && low > high
        {
            let problem = format!("must not be above {high_key}, which is {high}");
            return Err(ConfigError::new(low_key, Some(&low.to_string()), problem));
        }
    }
    let (per_ip, overrides) = ("max.connections.per.ip", "max.connections.per.ip.overrides");
    if value(per_ip) == Some(Value::Int(0)) && value(overrides).is_none_or(|text| text.to_string().is_empty())
    {
        let problem = format!("must be above 0 unless {overrides} names an address");
        return Err(ConfigError::new(per_ip, Some("0"), problem));
    }
    let (low_key, high_key) = ("group.consumer.heartbeat.interval.ms", "group.consumer.session.timeout.ms");
    match (value(low_key), value(high_key)) {
        (Some(Value::Int(low)), Some(Value::Int(high))) if low >= high => {
            let problem = format!("must be below {high_key}, which is {high}");
            Err(ConfigError::new(low_key, Some(&low.to_string()), problem))
        }
        _ => Ok(()),
    }
}

/// Checks an alteration of dynamic broker settings against everything else that is set.
/// Errors: as for [`check_broker_values`].
pub(crate) fn check_dynamic(
    settings: &Settings,
    dynamic_broker: &Overrides,
    dynamic_default: &Overrides,
) -> Result<(), ConfigError> {
    check_broker_values(&|key| {
        let definition = broker_definitions::find(key)?;
        let texts = [dynamic_broker.get(key), dynamic_default.get(key)];
        match texts.into_iter().flatten().find_map(|text| definition.parse(text).ok()) {
            Some(value) => Some(value),
            None => settings.value(key),
        }
    })
}

fn check_listener_names(
    listeners: &str,
    advertised: Option<&str>,
    protocols: &str,
) -> Result<(), ConfigError> {
    let wrong = |key, value: &str, problem| ConfigError::new(key, Some(value), problem);
    let parsed =
        listener::parse_listeners(listeners).map_err(|problem| wrong("listeners", listeners, problem))?;
    let known = listener::parse_protocols(protocols)
        .map_err(|problem| wrong("listener.security.protocol.map", protocols, problem))?;
    for listener in &parsed {
        if listener.name != listener::PLAINTEXT && !known.contains(&listener.name) {
            let problem = format!("add {}:PLAINTEXT to listener.security.protocol.map", listener.name);
            return Err(wrong("listeners", listeners, problem));
        }
    }
    let Some(advertised) = advertised else { return Ok(()) };
    let found = listener::parse_advertised(advertised)
        .map_err(|problem| wrong("advertised.listeners", advertised, problem))?;
    match found.iter().find(|one| !parsed.iter().any(|listener| listener.name == one.name)) {
        Some(one) => {
            Err(wrong("advertised.listeners", advertised, format!("{} is not in listeners", one.name)))
        }
        None => Ok(()),
    }
}

/// Insertions, deletions and replacements that turn one text into the other.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(key: &str, value: &str) -> Setting {
        Setting { key: key.into(), value: value.into(), origin: Origin::File }
    }

    fn list(pairs: &[(&str, &str)]) -> Vec<Setting> {
        pairs.iter().map(|(key, value)| setting(key, value)).collect()
    }

    #[test]
    fn lists_are_checked() {
        #[track_caller]
        fn check(pairs: &[(&str, &str)], expected: Result<(), &str>) {
            match (Settings::from_list(&list(pairs)), expected) {
                (Ok(_), Ok(())) => {}
                (Err(errors), Err(part)) => {
                    let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    assert!(text.contains(part), "{text}");
                }
                (found, expected) => panic!("{pairs:?}: {found:?} instead of {expected:?}"),
            }
        }
        check(&[], Ok(()));
        check(&[("num.partitions", "4"), ("log.retention.ms", "-1")], Ok(()));
        check(
            &[("num.partitions", "0")],
            Err("num.partitions: must be at least 1 (from the configuration file)"),
        );
        check(
            &[("num.partitions", "x")],
            Err("'x' for configuration num.partitions: must be a whole number"),
        );
        check(&[("num.partitions", "0"), ("num.partitions", "2")], Ok(()));
        check(&[("node.id", "-1")], Err("node.id"));
        check(&[("node.id", "3"), ("broker.id", "3")], Ok(()));
        check(&[("node.id", "3"), ("broker.id", "4")], Err("differs from broker.id, which is 4"));
        check(&[("log.segment.bytes", "1048575")], Err("at least 1048576"));
        check(&[("log.dirs", "/a,/b")], Err("one directory, not 2"));
        check(&[("listeners", "nonsense")], Err("NAME://host:port"));
        check(&[("listeners", "INSIDE://h:1")], Err("add INSIDE:PLAINTEXT"));
        check(
            &[("listeners", "INSIDE://h:1"), ("listener.security.protocol.map", "inside:PLAINTEXT")],
            Ok(()),
        );
        check(&[("advertised.listeners", "OTHER://h:1")], Err("OTHER is not in listeners"));
        check(&[("advertised.listeners", "PLAINTEXT://h:1")], Ok(()));
        check(&[("group.min.session.timeout.ms", "1800001")], Err("group.max.session.timeout.ms"));
        check(
            &[("group.consumer.session.timeout.ms", "44999")],
            Err("group.consumer.min.session.timeout.ms"),
        );
        check(
            &[("group.consumer.session.timeout.ms", "5000"), ("group.consumer.min.session.timeout.ms", "1")],
            Err("must be below group.consumer.session.timeout.ms, which is 5000"),
        );
        check(&[("group.consumer.assignors", "range")], Ok(()));
        check(&[("group.consumer.assignors", "range,sticky")], Err("must be a list of uniform, range"));
        check(&[("group.consumer.assignors", "range, range")], Err("each assignor once"));
        check(&[("group.consumer.assignors", "")], Err("must name an assignor"));
        check(&[("group.consumer.migration.policy", "Upgrade")], Ok(()));
        check(&[("group.consumer.migration.policy", "both")], Err("one of disabled"));
        check(&[("group.consumer.assignment.interval.ms", "15001")], Err("max.assignment.interval.ms"));
        check(&[("offsets.topic.compression.codec", "5")], Err("between 0 and 4"));
        check(&[("group.initial.rebalance.delay.ms", "0"), ("group.min.session.timeout.ms", "1000")], Ok(()));
        check(
            &[("log.cleaner.max.compaction.lag.ms", "5"), ("log.cleaner.min.compaction.lag.ms", "6")],
            Err("6"),
        );
        check(
            &[("max.connections.per.ip", "0")],
            Err("above 0 unless max.connections.per.ip.overrides names"),
        );
        check(&[("max.connections.per.ip", "0"), ("max.connections.per.ip.overrides", "10.0.0.1:5")], Ok(()));
        check(&[("max.connections.per.ip.overrides", "here:5")], Err("'here:5' must be an IP address"));
        check(&[("corelane.durability", "fast")], Err("one of sync, write, memory"));
    }

    #[test]
    fn every_wrong_setting_is_told() {
        let errors = Settings::from_list(&list(&[("num.partitions", "0"), ("fetch.max.bytes", "1")]))
            .expect_err("both are out of range");
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn one_id_sets_both_names() {
        let settings = Settings::from_list(&list(&[("broker.id", " 7 ")])).expect("valid");
        assert_eq!((settings.get("node.id"), settings.get("broker.id")), (Some("7"), Some("7")));
    }

    #[test]
    fn unknown_keys_are_kept_aside_with_a_guess() {
        let settings =
            Settings::from_list(&list(&[("zookeeper.connect", "x"), ("log.dir", "d")])).expect("valid");
        assert_eq!(settings.unknown(), [setting("zookeeper.connect", "x")]);
        assert_eq!(Settings::nearest_known("log.retention.hour"), Some("log.retention.hours"));
        assert_eq!(Settings::nearest_known("num.partitons"), Some("num.partitions"));
        assert_eq!(Settings::nearest_known("zookeeper.connect"), None);
    }
}
