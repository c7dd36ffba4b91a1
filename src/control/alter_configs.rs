//! Changing settings: AlterConfigs, which replaces all of a resource's own settings, and IncrementalAlterConfigs,
//! which sets, deletes, appends and subtracts.
//!
//! A resource changes whole or not at all; the resources of a request succeed or fail each by itself. Broker settings
//! that fail their check answer `INVALID_REQUEST` as Kafka's do, topic settings `INVALID_CONFIG`.

use corelane_base::id::BrokerId;

use crate::command::{Outcome, Records, State, duplicates};
use crate::configs::broker_definitions;
use crate::configs::client_metrics_definitions;
use crate::configs::definition::{ConfigType, Definition, Overrides, Update, split_list};
use crate::configs::group_definitions;
use crate::configs::settings;
use crate::configs::topic::{self, TopicConfig};
use crate::configs::topic_definitions;
use crate::describe_configs::{
    RESOURCE_BROKER, RESOURCE_CLIENT_METRICS, RESOURCE_GROUP, RESOURCE_TOPIC, broker_of, check_named,
    unknown_type,
};
use crate::error::{ErrorKind, Refusal};
use crate::image::Topic;
use crate::record::{ConfigChange, MetadataRecord};
use crate::topic_name;

/// Sets a key.
pub const OPERATION_SET: i8 = 0;
/// Takes a key away.
pub const OPERATION_DELETE: i8 = 1;
/// Adds elements to a list that lacks them.
pub const OPERATION_APPEND: i8 = 2;
/// Takes elements from a list.
pub const OPERATION_SUBTRACT: i8 = 3;

/// Resources whose own settings are to be replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigs {
    /// Which.
    pub resources: Vec<AlterResource>,
    /// Only tell what would happen.
    pub validate_only: bool,
}

/// One resource with all the settings it shall have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterResource {
    /// The type code as it came.
    pub resource_type: i8,
    /// The topic's name, the broker's number, or nothing for all brokers.
    pub name: String,
    /// Keys and values.
    pub configs: Vec<(String, Option<String>)>,
}

/// Resources whose settings are to be changed key by key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncrementalAlterConfigs {
    /// Which.
    pub resources: Vec<IncrementalResource>,
    /// Only tell what would happen.
    pub validate_only: bool,
}

/// One resource with the changes to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncrementalResource {
    /// The type code as it came.
    pub resource_type: i8,
    /// The topic's name, the broker's number, or nothing for all brokers.
    pub name: String,
    /// What to do with which key.
    pub changes: Vec<KeyChange>,
}

/// A change of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyChange {
    /// The key.
    pub key: String,
    /// The operation's code as it came.
    pub operation: i8,
    /// The value, or elements; not looked at by a deletion.
    pub value: Option<String>,
}

/// What became of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterResult {
    /// As asked.
    pub resource_type: i8,
    /// As asked.
    pub name: String,
    /// Whether it has changed, or would.
    pub result: Result<(), Refusal>,
}

/// Replaces the own settings of resources. The answer has one result per element, in order; a resource that occurs
/// more than once is refused each time.
#[must_use]
pub fn alter_configs(state: &State<'_>, command: &AlterConfigs) -> Outcome<Vec<AlterResult>> {
    let resources = command.resources.iter().map(|resource| (resource.resource_type, resource.name.as_str()));
    alter_each(state, resources, command.validate_only, |target, at| {
        let configs = &command.resources[at].configs;
        check_keys(configs.iter().map(|(key, value)| (key.as_str(), value.is_none())))?;
        let mut wanted = Overrides::new();
        for (key, value) in configs {
            let value = value.as_deref().unwrap_or_default();
            wanted.insert(key.clone(), target.parse(key, value)?);
        }
        Ok(wanted)
    })
}

/// Changes settings of resources key by key. The answer is as for [`alter_configs`].
#[must_use]
pub fn incremental_alter_configs(
    state: &State<'_>,
    command: &IncrementalAlterConfigs,
) -> Outcome<Vec<AlterResult>> {
    let resources = command.resources.iter().map(|resource| (resource.resource_type, resource.name.as_str()));
    alter_each(state, resources, command.validate_only, |target, at| {
        let changes = &command.resources[at].changes;
        check_keys(changes.iter().map(|change| {
            (change.key.as_str(), change.value.is_none() && change.operation != OPERATION_DELETE)
        }))?;
        let mut wanted = target.overrides.clone();
        for change in changes {
            target.apply(change, &mut wanted)?;
        }
        Ok(wanted)
    })
}

/// Runs `wanted` for the resources that exist and occur once, checks what it answers, and makes records of the
/// differences.
fn alter_each<'a>(
    state: &State<'_>,
    resources: impl Iterator<Item = (i8, &'a str)> + Clone,
    validate_only: bool,
    wanted: impl Fn(&Target<'_>, usize) -> Result<Overrides, Refusal>,
) -> Outcome<Vec<AlterResult>> {
    let mut records = Records::new(state.image);
    let twice = duplicates(resources.clone());
    let mut answer = Vec::with_capacity(twice.len());
    for (at, (resource_type, name)) in resources.enumerate() {
        let result = if twice[at] {
            Err(Refusal::new(ErrorKind::InvalidRequest, "the resource occurs more than once"))
        } else {
            Target::find(state, resource_type, name).and_then(|target| {
                let wanted = wanted(&target, at)?;
                target.check(state, &wanted)?;
                match target.record(&wanted) {
                    Some(record) => records.push(record),
                    None => Ok(()),
                }
            })
        };
        answer.push(AlterResult { resource_type, name: name.into(), result });
    }
    let records = if validate_only { Vec::new() } else { records.into_vec() };
    Outcome { records, answer }
}

fn check_keys<'a>(keys: impl Iterator<Item = (&'a str, bool)> + Clone) -> Result<(), Refusal> {
    if duplicates(keys.clone().map(|(key, _)| key)).contains(&true) {
        return Err(Refusal::new(ErrorKind::InvalidRequest, "a configuration key occurs more than once"));
    }
    match keys.clone().find(|(_, lacks_value)| *lacks_value) {
        Some((key, _)) => {
            Err(Refusal::new(ErrorKind::InvalidRequest, format!("configuration {key} has a null value")))
        }
        None => Ok(()),
    }
}

/// The most groups and subscriptions that can have settings: they live in every shard's memory.
pub const NAMED_RESOURCE_COUNT_MAX: usize = 10_000;

enum Owner<'a> {
    Topic(&'a Topic),
    Broker(Option<BrokerId>),
    Group(String),
    ClientMetrics(String),
}

/// A resource that exists, with its own settings as they are.
struct Target<'a> {
    owner: Owner<'a>,
    overrides: &'a Overrides,
}

impl<'a> Target<'a> {
    fn find(state: &State<'a>, resource_type: i8, name: &str) -> Result<Target<'a>, Refusal> {
        match resource_type {
            RESOURCE_TOPIC => {
                if name.is_empty() {
                    let text = "a topic must be named: there is no default of all topics";
                    return Err(Refusal::new(ErrorKind::InvalidRequest, text));
                }
                topic_name::check(name).map_err(|text| Refusal::new(ErrorKind::InvalidTopic, text))?;
                let topic = state.image.topic(name).ok_or_else(|| {
                    Refusal::new(ErrorKind::UnknownTopicOrPartition, format!("no topic is named '{name}'"))
                })?;
                Ok(Target { owner: Owner::Topic(topic), overrides: &topic.overrides })
            }
            RESOURCE_BROKER => {
                let broker = broker_of(state, name)?;
                let overrides = state.image.broker_overrides(broker);
                Ok(Target { owner: Owner::Broker(broker), overrides })
            }
            RESOURCE_GROUP => {
                check_named(name)?;
                Target::named(state, Owner::Group(name.into()), state.image.group_overrides(name))
            }
            RESOURCE_CLIENT_METRICS => {
                check_named(name)?;
                Target::named(state, Owner::ClientMetrics(name.into()), state.image.client_metrics(name))
            }
            other => Err(unknown_type(other)),
        }
    }

    fn named(state: &State<'a>, owner: Owner<'a>, overrides: &'a Overrides) -> Result<Target<'a>, Refusal> {
        if overrides.is_empty() && state.image.named_resource_count() >= NAMED_RESOURCE_COUNT_MAX {
            let text = format!("{NAMED_RESOURCE_COUNT_MAX} groups and subscriptions have settings already");
            return Err(Refusal::new(ErrorKind::PolicyViolation, text));
        }
        Ok(Target { owner, overrides })
    }

    fn definition(&self, key: &str) -> Result<&'static Definition, Refusal> {
        match self.owner {
            Owner::Topic(_) => topic_definitions::find(key).ok_or_else(|| {
                Refusal::new(ErrorKind::InvalidConfig, format!("no topic setting is named '{key}'"))
            }),
            Owner::Group(_) => group_definitions::find(key).ok_or_else(|| {
                Refusal::new(ErrorKind::InvalidConfig, format!("no group setting is named '{key}'"))
            }),
            Owner::ClientMetrics(_) => client_metrics_definitions::find(key).ok_or_else(|| {
                let text = format!("no setting of client metrics is named '{key}'");
                Refusal::new(ErrorKind::InvalidRequest, text)
            }),
            Owner::Broker(_) => match broker_definitions::find(key) {
                Some(definition) if definition.update == Update::ClusterWide => Ok(definition),
                Some(_) => {
                    let text = format!(
                        "configuration {key} cannot change while the broker runs; start it with that value"
                    );
                    Err(Refusal::new(ErrorKind::InvalidRequest, text))
                }
                None => {
                    Err(Refusal::new(ErrorKind::InvalidConfig, format!("no broker setting is named '{key}'")))
                }
            },
        }
    }

    /// The kind of error that a bad value is.
    fn invalid(&self) -> ErrorKind {
        match self.owner {
            Owner::Topic(_) | Owner::Group(_) => ErrorKind::InvalidConfig,
            Owner::Broker(_) | Owner::ClientMetrics(_) => ErrorKind::InvalidRequest,
        }
    }

    fn parse(&self, key: &str, value: &str) -> Result<String, Refusal> {
        let parsed = self.definition(key)?.parse(value);
        parsed.map(|value| value.to_string()).map_err(|error| Refusal::new(self.invalid(), error.to_string()))
    }

    fn apply(&self, change: &KeyChange, wanted: &mut Overrides) -> Result<(), Refusal> {
        let value = change.value.as_deref().unwrap_or_default();
        match change.operation {
            OPERATION_SET => drop(wanted.insert(change.key.clone(), self.parse(&change.key, value)?)),
            OPERATION_DELETE => drop(wanted.remove(&change.key)),
            OPERATION_APPEND | OPERATION_SUBTRACT => {
                let definition = self.definition(&change.key)?;
                if definition.kind != ConfigType::List {
                    let text =
                        format!("configuration {} is not a list: it can only be set or deleted", change.key);
                    return Err(Refusal::new(ErrorKind::InvalidConfig, text));
                }
                let before =
                    wanted.get(&change.key).map(String::as_str).or(definition.default).unwrap_or_default();
                let mut elements = split_list(before);
                for element in split_list(value) {
                    match elements.iter().position(|other| *other == element) {
                        Some(at) if change.operation == OPERATION_SUBTRACT => drop(elements.remove(at)),
                        None if change.operation == OPERATION_APPEND => elements.push(element),
                        _ => {}
                    }
                }
                wanted.insert(change.key.clone(), self.parse(&change.key, &elements.join(","))?);
            }
            other => {
                return Err(Refusal::new(
                    ErrorKind::InvalidRequest,
                    format!("operation {other} does not exist"),
                ));
            }
        }
        Ok(())
    }

    /// Checks all settings together as they would be.
    fn check(&self, state: &State<'_>, wanted: &Overrides) -> Result<(), Refusal> {
        let checked = match self.owner {
            Owner::Topic(_) => topic::check_overrides(&TopicConfig::defaults(&state.layers()), wanted),
            Owner::Group(_) => group_definitions::check(&state.layers(), wanted),
            Owner::ClientMetrics(_) => Ok(()),
            Owner::Broker(Some(_)) => {
                settings::check_dynamic(state.settings, wanted, state.image.broker_overrides(None))
            }
            Owner::Broker(None) => settings::check_dynamic(
                state.settings,
                state.image.broker_overrides(Some(state.broker)),
                wanted,
            ),
        };
        checked.map_err(|error| Refusal::new(self.invalid(), error.to_string()))
    }

    fn record(&self, wanted: &Overrides) -> Option<MetadataRecord> {
        let set = wanted
            .iter()
            .filter(|(key, value)| self.overrides.get(*key) != Some(*value))
            .map(|(key, value)| (key.clone(), Some(value.clone())));
        let gone =
            self.overrides.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), None));
        let changes: Vec<ConfigChange> = set.chain(gone).collect();
        if changes.is_empty() {
            return None;
        }
        Some(match &self.owner {
            Owner::Topic(topic) => MetadataRecord::TopicConfigChanged { topic_id: topic.id, changes },
            Owner::Broker(broker) => MetadataRecord::BrokerConfigChanged { broker: *broker, changes },
            Owner::Group(group) => MetadataRecord::GroupConfigChanged { group: group.clone(), changes },
            Owner::ClientMetrics(name) => {
                MetadataRecord::ClientMetricsConfigChanged { subscription: name.clone(), changes }
            }
        })
    }
}
