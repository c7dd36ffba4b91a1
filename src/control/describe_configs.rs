//! What settings hold and why: the answer to DescribeConfigs. A query, not a command: any shard answers it from its
//! own image.
//!
//! As in Kafka a topic key shows the value that holds; a broker key shows what is set under its own name only, so
//! `log.retention.ms` has no value while `log.retention.hours` has one; a default broker ("") shows what is set
//! dynamically for all. Unlike Kafka a topic key names all synonyms that are set, also those in other units.

use corelane_base::id::BrokerId;

use crate::command::State;
use crate::configs::broker_definitions::BROKER;
use crate::configs::definition::{ConfigType, Definition, Overrides, Synonym, Update, Value};
use crate::configs::layers::{Candidate, ConfigSource, Layers};
use crate::configs::topic_definitions::TOPIC;
use crate::error::{ErrorKind, Refusal};
use crate::topic_name;

/// The type code of a topic as a config resource.
pub const RESOURCE_TOPIC: i8 = 2;
/// The type code of a broker, or with an empty name of the default of all brokers.
pub const RESOURCE_BROKER: i8 = 4;

/// One resource to describe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribeResource {
    /// The type code as it came.
    pub resource_type: i8,
    /// The topic's name, the broker's number, or nothing.
    pub name: String,
    /// The keys to show; `None` or none for all. Keys that do not exist are left out.
    pub keys: Option<Vec<String>>,
}

/// One resource as described.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribedResource {
    /// As asked.
    pub resource_type: i8,
    /// As asked.
    pub name: String,
    /// Its settings in the order of their keys.
    pub result: Result<Vec<DescribedConfig>, Refusal>,
}

/// One setting.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribedConfig {
    /// The key.
    pub name: &'static str,
    /// The value that holds; `None` if there is none or it is sensitive.
    pub value: Option<String>,
    /// Whether only a restart changes it.
    pub read_only: bool,
    /// Whether the value is hidden.
    pub sensitive: bool,
    /// The layer that the value is from.
    pub source: ConfigSource,
    /// What is set for it in any layer, strongest first.
    pub synonyms: Vec<DescribedSynonym>,
    /// Its type.
    pub kind: ConfigType,
    /// What it does.
    pub documentation: &'static str,
}

/// A value set in one layer, under the key and in the unit it is set in.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribedSynonym {
    /// The key.
    pub name: &'static str,
    /// The value; `None` if it is sensitive.
    pub value: Option<String>,
    /// The layer.
    pub source: ConfigSource,
}

/// Describes resources in the order in which they were asked for.
#[must_use]
pub fn describe_configs(state: &State<'_>, resources: &[DescribeResource]) -> Vec<DescribedResource> {
    resources
        .iter()
        .map(|resource| DescribedResource {
            resource_type: resource.resource_type,
            name: resource.name.clone(),
            result: describe(state, resource),
        })
        .collect()
}

/// All settings of a topic with these overrides, in the order of their keys.
#[must_use]
pub fn describe_topic(layers: &Layers<'_>, overrides: &Overrides) -> Vec<DescribedConfig> {
    TOPIC.iter().map(|definition| topic_entry(layers, overrides, definition)).collect()
}

/// The broker number that a resource name stands for; `None` for the default of all brokers.
/// Errors: `INVALID_REQUEST` for anything but this broker's number or nothing.
pub(crate) fn broker_of(state: &State<'_>, name: &str) -> Result<Option<BrokerId>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    match name.parse::<i32>() {
        Ok(id) if BrokerId(id) == state.broker => Ok(Some(state.broker)),
        Ok(id) => {
            let text = format!("unexpected broker id {id}: expected {} or an empty name", state.broker);
            Err(Refusal::new(ErrorKind::InvalidRequest, text))
        }
        Err(_) => Err(Refusal::new(ErrorKind::InvalidRequest, format!("broker id '{name}' is not a number"))),
    }
}

/// The refusal of a resource type that has no settings here.
pub(crate) fn unknown_type(resource_type: i8) -> Refusal {
    Refusal::new(ErrorKind::InvalidRequest, format!("resource type {resource_type} has no settings here"))
}

fn describe(state: &State<'_>, resource: &DescribeResource) -> Result<Vec<DescribedConfig>, Refusal> {
    let layers = state.layers();
    let mut entries = match resource.resource_type {
        RESOURCE_TOPIC => {
            topic_name::check(&resource.name).map_err(|text| Refusal::new(ErrorKind::InvalidTopic, text))?;
            let topic = state.image.topic(&resource.name).ok_or_else(|| {
                Refusal::new(
                    ErrorKind::UnknownTopicOrPartition,
                    format!("no topic is named '{}'", resource.name),
                )
            })?;
            describe_topic(&layers, &topic.overrides)
        }
        RESOURCE_BROKER => match broker_of(state, &resource.name)? {
            Some(_) => BROKER.iter().map(|definition| broker_entry(&layers, definition)).collect(),
            None => BROKER.iter().filter_map(|definition| default_entry(&layers, definition)).collect(),
        },
        other => return Err(unknown_type(other)),
    };
    if let Some(keys) = resource.keys.as_ref().filter(|keys| !keys.is_empty()) {
        entries.retain(|entry| keys.iter().any(|key| key == entry.name));
    }
    Ok(entries)
}

fn topic_entry(
    layers: &Layers<'_>,
    overrides: &Overrides,
    definition: &'static Definition,
) -> DescribedConfig {
    let (value, source) = layers.topic_value(overrides, definition);
    let candidates = layers.candidates(definition.synonyms);
    let mut synonyms: Vec<_> = candidates.iter().map(|candidate| synonym(definition, candidate)).collect();
    if source == ConfigSource::Topic {
        let value = shown(definition, &value);
        synonyms.insert(0, DescribedSynonym { name: definition.name, value, source });
    }
    entry(definition, Some(value), source, synonyms, false)
}

fn broker_entry(layers: &Layers<'_>, definition: &'static Definition) -> DescribedConfig {
    let own = [Synonym { name: definition.name, unit_ms: 1 }];
    let names = if definition.synonyms.is_empty() { &own[..] } else { definition.synonyms };
    let (value, source) = match layers.broker_value(definition) {
        Some((value, source)) => (Some(value), source),
        None => (None, ConfigSource::Default),
    };
    let synonyms = layers
        .candidates(names)
        .iter()
        .skip_while(|candidate| candidate.name != definition.name)
        .map(|candidate| synonym(definition, candidate))
        .collect();
    entry(definition, value, source, synonyms, definition.update == Update::ReadOnly)
}

fn default_entry(layers: &Layers<'_>, definition: &'static Definition) -> Option<DescribedConfig> {
    let text = layers.dynamic_default.get(definition.name)?;
    let value = definition.parse(text).ok()?;
    let source = ConfigSource::DynamicDefaultBroker;
    let synonyms = vec![DescribedSynonym { name: definition.name, value: shown(definition, &value), source }];
    Some(entry(definition, Some(value), source, synonyms, definition.update == Update::ReadOnly))
}

fn entry(
    definition: &'static Definition,
    value: Option<Value>,
    source: ConfigSource,
    synonyms: Vec<DescribedSynonym>,
    read_only: bool,
) -> DescribedConfig {
    DescribedConfig {
        name: definition.name,
        value: value.and_then(|value| shown(definition, &value)),
        read_only,
        sensitive: definition.is_sensitive(),
        source,
        synonyms,
        kind: definition.kind,
        documentation: definition.doc,
    }
}

fn synonym(definition: &Definition, candidate: &Candidate) -> DescribedSynonym {
    let value = shown(definition, &candidate.value);
    DescribedSynonym { name: candidate.name, value, source: candidate.source }
}

fn shown(definition: &Definition, value: &Value) -> Option<String> {
    if definition.is_sensitive() { None } else { Some(value.to_string()) }
}
