//! The keys that a group can set for itself, with Kafka's names, types and ranges. Each has a broker key behind it,
//! which holds for groups that do not set theirs.

use crate::configs::definition::{
    ConfigError, ConfigType, Definition, Overrides, Synonym, Update, Valid, Value,
};
use crate::configs::layers::Layers;

const INT_MAX: i64 = i32::MAX as i64;

/// The time between two target assignments.
pub const ASSIGNMENT_INTERVAL_MS: &str = "consumer.assignment.interval.ms";
/// The time between two heartbeats.
pub const HEARTBEAT_INTERVAL_MS: &str = "consumer.heartbeat.interval.ms";
/// The time after which a silent member is dropped.
pub const SESSION_TIMEOUT_MS: &str = "consumer.session.timeout.ms";

const fn key(
    name: &'static str,
    default: &'static str,
    least: i64,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> Definition {
    Definition {
        name,
        kind: ConfigType::Int,
        default: Some(default),
        valid: Valid::Range(least, INT_MAX),
        update: Update::ClusterWide,
        synonyms,
        doc,
    }
}

/// Every group key, in the order of their names.
pub static GROUP: &[Definition] = &[
    key(
        ASSIGNMENT_INTERVAL_MS,
        "1000",
        0,
        &[Synonym { name: "group.consumer.assignment.interval.ms", unit_ms: 1 }],
        "How long this consumer group's next assignment waits after the last one.",
    ),
    key(
        HEARTBEAT_INTERVAL_MS,
        "5000",
        1,
        &[Synonym { name: "group.consumer.heartbeat.interval.ms", unit_ms: 1 }],
        "How often the members of this consumer group are told to send heartbeats.",
    ),
    key(
        SESSION_TIMEOUT_MS,
        "45000",
        1,
        &[Synonym { name: "group.consumer.session.timeout.ms", unit_ms: 1 }],
        "After how long without a heartbeat a member of this consumer group is dropped.",
    ),
];

/// The definition of a group key.
#[must_use]
pub fn find(name: &str) -> Option<&'static Definition> {
    GROUP.binary_search_by(|definition| definition.name.cmp(name)).ok().map(|at| &GROUP[at])
}

/// Checks a group's own settings against the limits of the broker. Errors: [`ConfigError`] for the first that is out of
/// them, and for a session that ends before the next heartbeat.
pub fn check(layers: &Layers<'_>, wanted: &Overrides) -> Result<(), ConfigError> {
    let number = |definition: &'static Definition| match layers.topic_value(wanted, definition).0 {
        Value::Int(number) => number,
        _ => 0,
    };
    let limit = |key: &str| {
        let value = crate::configs::broker_definitions::find(key).and_then(|it| layers.broker_value(it));
        match value {
            Some((Value::Int(number), _)) => number,
            _ => 0,
        }
    };
    let what = [
        (ASSIGNMENT_INTERVAL_MS, "assignment.interval.ms"),
        (HEARTBEAT_INTERVAL_MS, "heartbeat.interval.ms"),
        (SESSION_TIMEOUT_MS, "session.timeout.ms"),
    ];
    for (key, of_broker) in what {
        let Some(definition) = find(key).filter(|_| wanted.contains_key(key)) else { continue };
        let value = number(definition);
        let least = limit(&format!("group.consumer.min.{of_broker}"));
        let most = limit(&format!("group.consumer.max.{of_broker}"));
        if !(least..=most).contains(&value) {
            let problem = format!("must be between {least} and {most}, the broker's limits");
            return Err(ConfigError::new(key, Some(&value.to_string()), problem));
        }
    }
    let of = |key| find(key).map_or(0, number);
    let (heartbeat, session) = (of(HEARTBEAT_INTERVAL_MS), of(SESSION_TIMEOUT_MS));
    let sets_one = wanted.contains_key(HEARTBEAT_INTERVAL_MS) || wanted.contains_key(SESSION_TIMEOUT_MS);
    if sets_one && heartbeat >= session {
        let problem = format!("must be more than {HEARTBEAT_INTERVAL_MS}, which is {heartbeat}");
        return Err(ConfigError::new(SESSION_TIMEOUT_MS, Some(&session.to_string()), problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::GROUP;
    use crate::configs::broker_definitions;

    #[test]
    fn keys_are_sorted_and_have_the_defaults_of_the_broker() {
        assert!(GROUP.windows(2).all(|pair| pair[0].name < pair[1].name));
        for definition in GROUP {
            let behind = broker_definitions::find(definition.synonyms[0].name).expect("a broker key");
            assert_eq!(behind.default, definition.default, "{}", definition.name);
            assert!(definition.default_value().is_some());
        }
    }
}
