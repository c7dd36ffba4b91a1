//! What settings hold and why: the answer to DescribeConfigs. A query, not a command: any shard answers it from its
//! own image.
//!
//! As in Kafka a topic key shows the value that holds; a broker key shows what is set under its own name only, so
//! `log.retention.ms` has no value while `log.retention.hours` has one; a default broker ("") shows what is set
//! dynamically for all. Unlike Kafka a topic key names all synonyms that are set, also those in other units.
//!
//! What holds without a topic's own settings is worked out once for all topics of a request and shared, so that a
//! tool which describes ten thousand topics at once does not hold up the shard.

use core::mem::size_of;
use std::sync::Arc;

use corelane_base::id::BrokerId;

use crate::command::State;
use crate::configs::broker_definitions::BROKER;
use crate::configs::client_metrics_definitions::{self, CLIENT_METRICS};
use crate::configs::definition::{
    ConfigType, Definition, Overrides, Synonym, Update, VALUE_BYTES_MAX, Value,
};
use crate::configs::group_definitions::{self, GROUP};
use crate::configs::layers::{Candidate, ConfigSource, Layers};
use crate::configs::topic_definitions::{self, TOPIC};
use crate::error::{ErrorKind, Refusal};
use crate::image::Topic;
use crate::topic_name;

/// The type code of a topic as a config resource.
pub const RESOURCE_TOPIC: i8 = 2;
/// The type code of a broker, or with an empty name of the default of all brokers.
pub const RESOURCE_BROKER: i8 = 4;

/// The type code of a subscription to clients' metrics.
pub const RESOURCE_CLIENT_METRICS: i8 = 16;
/// The type code of a group.
pub const RESOURCE_GROUP: i8 = 32;

/// The most settings in one answer: all of ten thousand topics'. Resources beyond that are refused, not cut short.
pub const DESCRIBED_SETTINGS_MAX: usize = 300_000;

// An answer's settings stay within some 30 MB, whatever is asked for.
const _: () = assert!(size_of::<DescribedConfig>() <= 104);

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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConfig {
    /// The key.
    pub name: &'static str,
    /// The value that holds; `None` if there is none or it is sensitive.
    pub value: Option<Arc<str>>,
    /// Whether only a restart changes it.
    pub read_only: bool,
    /// Whether the value is hidden.
    pub sensitive: bool,
    /// The layer that the value is from.
    pub source: ConfigSource,
    /// What is set for it in any layer, strongest first.
    pub synonyms: Arc<[DescribedSynonym]>,
    /// Its type.
    pub kind: ConfigType,
    /// What it does.
    pub documentation: &'static str,
}

/// A value set in one layer, under the key and in the unit it is set in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedSynonym {
    /// The key.
    pub name: &'static str,
    /// The value; `None` if it is sensitive.
    pub value: Option<Arc<str>>,
    /// The layer.
    pub source: ConfigSource,
}

/// Describes resources in the order in which they were asked for.
#[must_use]
pub fn describe_configs(state: &State<'_>, resources: &[DescribeResource]) -> Vec<DescribedResource> {
    let mut described = Described::new(state);
    let mut room = DESCRIBED_SETTINGS_MAX;
    resources
        .iter()
        .map(|resource| DescribedResource {
            resource_type: resource.resource_type,
            name: resource.name.clone(),
            result: described.resource(resource, &mut room),
        })
        .collect()
}

/// All settings of topics without any of their own, in the order of their keys.
#[must_use]
pub fn describe_defaults(layers: &Layers<'_>) -> Vec<DescribedConfig> {
    TOPIC.iter().map(|definition| default_entry(layers, definition)).collect()
}

/// A topic's setting, of which `default` is what holds without the topic's own.
#[must_use]
pub fn describe_own(default: &DescribedConfig, overrides: &Overrides) -> DescribedConfig {
    let definition = topic_definitions::find(default.name);
    own_entry(default, overrides, definition, ConfigSource::Topic)
}

/// The setting of a topic or a group, of which `default` is what holds without their own.
fn own_entry(
    default: &DescribedConfig,
    overrides: &Overrides,
    definition: Option<&'static Definition>,
    source: ConfigSource,
) -> DescribedConfig {
    let Some((text, definition)) = overrides.get(default.name).zip(definition) else {
        return default.clone();
    };
    let Ok(value) = definition.parse(text) else { return default.clone() };
    let value = shown(definition, &value);
    let own = DescribedSynonym { name: definition.name, value: value.clone(), source };
    let synonyms = core::iter::once(own).chain(default.synonyms.iter().cloned()).collect();
    DescribedConfig { value, source, synonyms, ..default.clone() }
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

/// Checks the name of a group or a subscription as a config resource. Errors: `INVALID_REQUEST`: there is no default of
/// all, and names are no longer than what is stored of them.
pub(crate) fn check_named(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        let text = "a group or subscription must be named: there is no default of all";
        return Err(Refusal::new(ErrorKind::InvalidRequest, text));
    }
    if name.len() > VALUE_BYTES_MAX {
        let text = format!("a name of {} bytes is longer than {VALUE_BYTES_MAX}", name.len());
        return Err(Refusal::new(ErrorKind::InvalidRequest, text));
    }
    Ok(())
}

/// The refusal of a resource type that has no settings here.
pub(crate) fn unknown_type(resource_type: i8) -> Refusal {
    Refusal::new(ErrorKind::InvalidRequest, format!("resource type {resource_type} has no settings here"))
}

/// The settings that several resources of a request share, worked out when first needed.
struct Described<'a> {
    state: &'a State<'a>,
    topic: Option<Vec<DescribedConfig>>,
    broker: Option<Vec<DescribedConfig>>,
    default_broker: Option<Vec<DescribedConfig>>,
    group: Option<Vec<DescribedConfig>>,
    client_metrics: Option<Vec<DescribedConfig>>,
}

impl<'a> Described<'a> {
    fn new(state: &'a State<'a>) -> Described<'a> {
        Described {
            state,
            topic: None,
            broker: None,
            default_broker: None,
            group: None,
            client_metrics: None,
        }
    }

    fn resource(
        &mut self,
        resource: &DescribeResource,
        room: &mut usize,
    ) -> Result<Vec<DescribedConfig>, Refusal> {
        let layers = self.state.layers();
        let broker = |definition: &'static Definition| broker_entry(&layers, definition);
        let default_broker = |definition: &'static Definition| default_broker_entry(&layers, definition);
        let nothing = Overrides::new();
        let (all, overrides) = match resource.resource_type {
            RESOURCE_TOPIC => {
                let topic = self.topic(&resource.name)?;
                (self.topic.get_or_insert_with(|| describe_defaults(&layers)), &topic.overrides)
            }
            RESOURCE_BROKER => match broker_of(self.state, &resource.name)? {
                Some(_) => (self.broker.get_or_insert_with(|| BROKER.iter().map(broker).collect()), &nothing),
                None => {
                    let made = || BROKER.iter().filter_map(default_broker).collect();
                    (self.default_broker.get_or_insert_with(made), &nothing)
                }
            },
            RESOURCE_GROUP => {
                check_named(&resource.name)?;
                let made = || GROUP.iter().map(|definition| default_entry(&layers, definition)).collect();
                (self.group.get_or_insert_with(made), self.state.image.group_overrides(&resource.name))
            }
            RESOURCE_CLIENT_METRICS => {
                check_named(&resource.name)?;
                let made =
                    || CLIENT_METRICS.iter().map(|definition| default_entry(&layers, definition)).collect();
                let overrides = self.state.image.client_metrics(&resource.name);
                (self.client_metrics.get_or_insert_with(made), overrides)
            }
            other => return Err(unknown_type(other)),
        };
        let keys = resource.keys.as_ref().filter(|keys| !keys.is_empty());
        let wanted =
            |config: &&DescribedConfig| keys.is_none_or(|keys| keys.iter().any(|key| key == config.name));
        let count = all.iter().filter(wanted).count();
        match room.checked_sub(count) {
            Some(left) => *room = left,
            None => {
                let text = format!(
                    "an answer describes {DESCRIBED_SETTINGS_MAX} settings; ask for the rest by itself"
                );
                return Err(Refusal::new(ErrorKind::PolicyViolation, text));
            }
        }
        let of_group = |config: &DescribedConfig| {
            own_entry(config, overrides, group_definitions::find(config.name), ConfigSource::Group)
        };
        let of_metrics = |config: &DescribedConfig| {
            let definition = client_metrics_definitions::find(config.name);
            own_entry(config, overrides, definition, ConfigSource::ClientMetrics)
        };
        let shown = all.iter().filter(wanted);
        Ok(match resource.resource_type {
            RESOURCE_GROUP => shown.map(of_group).collect(),
            RESOURCE_CLIENT_METRICS => shown.map(of_metrics).collect(),
            _ => shown.map(|config| describe_own(config, overrides)).collect(),
        })
    }

    fn topic(&self, name: &str) -> Result<&'a Topic, Refusal> {
        topic_name::check(name).map_err(|text| Refusal::new(ErrorKind::InvalidTopic, text))?;
        let unknown =
            || Refusal::new(ErrorKind::UnknownTopicOrPartition, format!("no topic is named '{name}'"));
        self.state.image.topic(name).ok_or_else(unknown)
    }
}

fn default_entry(layers: &Layers<'_>, definition: &'static Definition) -> DescribedConfig {
    let (value, source) = layers.topic_value(&Overrides::new(), definition);
    let candidates = layers.candidates(definition.synonyms);
    let synonyms = candidates.iter().map(|candidate| synonym(definition, candidate)).collect();
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

fn default_broker_entry(layers: &Layers<'_>, definition: &'static Definition) -> Option<DescribedConfig> {
    let text = layers.dynamic_default.get(definition.name)?;
    let value = definition.parse(text).ok()?;
    let source = ConfigSource::DynamicDefaultBroker;
    let synonyms =
        [DescribedSynonym { name: definition.name, value: shown(definition, &value), source }].into();
    Some(entry(definition, Some(value), source, synonyms, definition.update == Update::ReadOnly))
}

fn entry(
    definition: &'static Definition,
    value: Option<Value>,
    source: ConfigSource,
    synonyms: Arc<[DescribedSynonym]>,
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

fn shown(definition: &Definition, value: &Value) -> Option<Arc<str>> {
    if definition.is_sensitive() { None } else { Some(value.to_string().into()) }
}
