//! The keys of a subscription to the metrics of clients, with Kafka's names, types, ranges and defaults.
//!
//! Subscriptions are kept and shown; clients are not asked for their metrics, since the APIs for that are not served.

use crate::configs::definition::{ConfigType, Definition, Synonym, Update, Valid};

/// What a client can be chosen by.
const CLIENT_TRAITS: &[&str] = &[
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    valid: Valid,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> Definition {
    Definition { name, kind, default: Some(default), valid, update: Update::ClusterWide, synonyms, doc }
}

/// The definition of a key.
#[must_use]
pub fn find(name: &str) -> Option<&'static Definition> {
    CLIENT_METRICS.iter().find(|definition| definition.name == name)
}

/// Every key of a subscription to the metrics of clients.
pub static CLIENT_METRICS: &[Definition] = &[
    key(
        "interval.ms",
        ConfigType::Int,
        "300000",
        Valid::Range(100, 3_600_000),
        &[],
        "How often clients are to send the metrics. Kept for tools; this broker does not ask clients for any.",
    ),
    key(
        "match",
        ConfigType::List,
        "",
        Valid::Checked(check_match),
        &[],
        "Which clients are meant, as trait=pattern; all of them without one.",
    ),
    key(
        "metrics",
        ConfigType::List,
        "",
        Valid::Any,
        &[],
        "The beginnings of the names of the metrics wanted; '*' for all, empty for none.",
    ),
];

fn check_match(text: &str) -> Result<(), String> {
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let known = part.split_once('=').is_some_and(|(name, pattern)| {
            CLIENT_TRAITS.contains(&name.trim()) && !pattern.is_empty() && !pattern.contains('=')
        });
        if !known {
            return Err(format!("'{part}' is not trait=pattern with one of {}", CLIENT_TRAITS.join(", ")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_defaults() {
        assert!(CLIENT_METRICS.is_sorted_by(|a, b| a.name < b.name));
        assert!(CLIENT_METRICS.iter().all(|definition| definition.default_value().is_some()));
    }

    #[test]
    fn patterns_name_a_trait() {
        assert_eq!(check_match(""), Ok(()));
        assert_eq!(check_match("client_id=a.*, client_software_name=java"), Ok(()));
        for bad in ["client_id", "client_id=", "host=a", "client_id=a=b"] {
            assert!(check_match(bad).is_err(), "{bad}");
        }
    }
}
