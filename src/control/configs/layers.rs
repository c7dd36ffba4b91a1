//! From which layer a value comes. Strongest first: this broker's dynamic settings, the cluster's dynamic defaults,
//! the settings of the start, the registry's defaults; a topic's own settings stand above all of them.
//!
//! A value that does not parse is passed over for the next layer: writes are checked, so it can only come from a
//! newer version of the broker, and a topic that works by its defaults is better than one that does not open.

use crate::configs::broker_definitions;
use crate::configs::definition::{Definition, Overrides, Synonym, Value};
use crate::configs::settings::Settings;

/// Where a value comes from. The number is the code in DescribeConfigs answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic = 1,
    /// Set dynamically for this broker.
    DynamicBroker = 2,
    /// Set dynamically for all brokers.
    DynamicDefaultBroker = 3,
    /// Given when the broker was started.
    StaticBroker = 4,
    /// Built in.
    Default = 5,
    /// Set on the subscription to clients' metrics.
    ClientMetrics = 7,
    /// Set on the group.
    Group = 8,
}

impl ConfigSource {
    /// The code in DescribeConfigs answers.
    #[must_use]
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// One layer's value for a broker key.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    /// The broker key under which it is set.
    pub name: &'static str,
    /// The value in that key's own unit.
    pub value: Value,
    /// The layer.
    pub source: ConfigSource,
    /// Milliseconds in that unit, where the key is a synonym in another unit; 1 otherwise.
    pub unit_ms: i64,
}

impl Candidate {
    /// The value in the unit of the key that asks.
    #[must_use]
    pub fn converted(&self) -> Value {
        match self.value {
            Value::Int(units) if self.unit_ms != 1 && units < 0 => Value::Int(-1),
            Value::Int(units) if self.unit_ms != 1 => Value::Int(units.saturating_mul(self.unit_ms)),
            _ => self.value.clone(),
        }
    }
}

/// The broker's layers, borrowed from where they live.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// Dynamic settings of this broker.
    pub dynamic_broker: &'a Overrides,
    /// Dynamic settings of all brokers.
    pub dynamic_default: &'a Overrides,
    /// What this broker was started with.
    pub settings: &'a Settings,
}

static NOTHING: Overrides = Overrides::new();

impl<'a> Layers<'a> {
    /// The layers of a broker without dynamic settings.
    #[must_use]
    pub fn of_settings(settings: &'a Settings) -> Layers<'a> {
        Layers { dynamic_broker: &NOTHING, dynamic_default: &NOTHING, settings }
    }

    /// Every value that is set for any of the `names`, strongest first: layer by layer, and within a layer in the
    /// order of the names.
    #[must_use]
    pub fn candidates(&self, names: &[Synonym]) -> Vec<Candidate> {
        let mut found = Vec::new();
        for source in [
            ConfigSource::DynamicBroker,
            ConfigSource::DynamicDefaultBroker,
            ConfigSource::StaticBroker,
            ConfigSource::Default,
        ] {
            for synonym in names {
                let Some(definition) = broker_definitions::find(synonym.name) else { continue };
                if let Some(value) = self.in_layer(source, definition) {
                    found.push(Candidate { name: definition.name, value, source, unit_ms: synonym.unit_ms });
                }
            }
        }
        found
    }

    /// The value that holds for a broker key, looking under its own name only.
    #[must_use]
    pub fn broker_value(&self, definition: &'static Definition) -> Option<(Value, ConfigSource)> {
        self.candidates(&[Synonym { name: definition.name, unit_ms: 1 }])
            .into_iter()
            .next()
            .map(|candidate| (candidate.value, candidate.source))
    }

    /// The value that holds for a topic with these overrides; it serves groups, too, whose value is then named a topic's.
    /// Panics: if a topic key has no default, which the registry's test excludes.
    #[must_use]
    pub fn topic_value(&self, overrides: &Overrides, definition: &Definition) -> (Value, ConfigSource) {
        if let Some(Ok(value)) = overrides.get(definition.name).map(|text| definition.parse(text)) {
            return (value, ConfigSource::Topic);
        }
        let fits = |candidate: &Candidate| definition.parse(&candidate.converted().to_string()).ok();
        self.candidates(definition.synonyms)
            .iter()
            .find_map(|candidate| fits(candidate).map(|value| (value, candidate.source)))
            .unwrap_or_else(|| {
                let default = definition.default_value().expect("every topic key has a default");
                (default, ConfigSource::Default)
            })
    }

    fn in_layer(&self, source: ConfigSource, definition: &Definition) -> Option<Value> {
        let text = match source {
            ConfigSource::DynamicBroker => self.dynamic_broker.get(definition.name).map(String::as_str),
            ConfigSource::DynamicDefaultBroker => {
                self.dynamic_default.get(definition.name).map(String::as_str)
            }
            ConfigSource::StaticBroker => self.settings.get(definition.name),
            ConfigSource::Default
            | ConfigSource::Topic
            | ConfigSource::ClientMetrics
            | ConfigSource::Group => definition.default,
        };
        text.and_then(|text| definition.parse(text).ok())
    }
}
