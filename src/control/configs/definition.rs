//! What one configuration key is, and how its text is parsed and checked.

use core::fmt;
use std::collections::BTreeMap;

/// Values that override lower layers, by key. Ordered, so that every broker lists and hashes them alike.
pub type Overrides = BTreeMap<String, String>;

/// The longest value of any key, in bytes; the lists of throttled replicas are the only long ones.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;

/// The type of a key. The number is the code in DescribeConfigs answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// A 32-bit signed integer.
    Int = 3,
    /// A 16-bit signed integer.
    Short = 4,
    /// A 64-bit signed integer.
    Long = 5,
    /// A double-precision number.
    Double = 6,
    /// Texts separated by commas; the only type that can be appended to and subtracted from.
    List = 7,
    /// A text that is stored and used but never shown.
    Password = 9,
}

impl ConfigType {
    /// The code in DescribeConfigs answers.
    #[must_use]
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// Which values of the right type are allowed.
#[derive(Clone, Copy, Debug)]
pub enum Valid {
    /// Every value of the type.
    Any,
    /// `min..=max`.
    Range(i64, i64),
    /// `min..=max`, or this one value outside of it.
    RangeOr(i64, i64, i64),
    /// `min..=max` of a double.
    DoubleRange(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Each element is one of these words.
    EachOneOf(&'static [&'static str]),
    /// `*`, or elements of the form `partition:broker`.
    ThrottledReplicas,
    /// Not empty.
    NonEmpty,
    /// Judged by a function, which answers what is wrong.
    Checked(fn(&str) -> Result<(), String>),
}

/// How a broker key may change. Topic keys are always dynamic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// Only by a restart.
    ReadOnly,
    /// At run time, for one broker or for all of them.
    ClusterWide,
}

/// Another broker key that supplies the value when stronger ones are absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// Milliseconds in one unit of that key; 1 takes the value as it stands. A negative value means "unlimited"
    /// whatever the unit.
    pub unit_ms: i64,
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Kafka's name of the key; ours start with `corelane.`.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigType,
    /// The built-in value in its printed form; `None` for a key without one.
    pub default: Option<&'static str>,
    /// Its range.
    pub valid: Valid,
    /// When it may change.
    pub update: Update,
    /// For a topic key the broker keys behind it; for a broker key all names of the same thing, itself included.
    /// Strongest first.
    pub synonyms: &'static [Synonym],
    /// What it does, in one or two sentences.
    pub doc: &'static str,
}

/// A parsed value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Of a `Boolean`.
    Bool(bool),
    /// Of an `Int`, a `Short` or a `Long`.
    Int(i64),
    /// Of a `Double`.
    Double(f64),
    /// Of a `String` or a `Password`.
    Text(String),
    /// Of a `List`.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::Double(value) => fmt::Debug::fmt(value, f),
            Value::Text(value) => f.write_str(value),
            Value::List(values) => f.write_str(&values.join(",")),
        }
    }
}

/// A key or a value that was refused, with everything a person needs to mend it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The key.
    pub key: String,
    /// The refused value; `None` if the key itself is at fault or the value is sensitive.
    pub value: Option<String>,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(key: &str, value: Option<&str>, problem: impl Into<String>) -> ConfigError {
        ConfigError { key: key.into(), value: value.map(Into::into), problem: problem.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => {
                write!(f, "invalid value '{value}' for configuration {}: {}", self.key, self.problem)
            }
            None => write!(f, "configuration {}: {}", self.key, self.problem),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Definition {
    /// Whether the value must not be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigType::Password
    }

    /// Parses `text` and checks its range. Leading and trailing blanks do not count.
    /// Errors: [`ConfigError`] naming key, value and what is allowed.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        if text.len() > VALUE_BYTES_MAX {
            return Err(ConfigError::new(
                self.name,
                None,
                format!("a value of {} bytes is longer than {VALUE_BYTES_MAX}", text.len()),
            ));
        }
        let text = text.trim();
        self.parse_type(text).and_then(|value| self.check_range(&value).map(|()| value)).map_err(|problem| {
            ConfigError::new(self.name, if self.is_sensitive() { None } else { Some(text) }, problem)
        })
    }

    /// The built-in value. Panics: never for a definition in the registry, whose test parses every default.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| self.parse(text).expect("every default in the registry is valid"))
    }

    /// The allowed values in words, for help texts and errors; `None` if all are.
    #[must_use]
    pub fn range_text(&self) -> Option<String> {
        let (low, high) = self.type_range();
        match self.valid {
            Valid::Any | Valid::Checked(_) => None,
            Valid::Range(min, max) if max == high && min == low => None,
            Valid::Range(min, max) if max == high => Some(format!("at least {min}")),
            Valid::Range(min, max) => Some(format!("between {min} and {max}")),
            Valid::RangeOr(min, max, or) => Some(format!("between {min} and {max}, or {or}")),
            Valid::DoubleRange(min, max) => Some(format!("between {min} and {max}")),
            Valid::OneOf(words) => Some(format!("one of {}", words.join(", "))),
            Valid::EachOneOf(words) => Some(format!("a list of {}", words.join(", "))),
            Valid::ThrottledReplicas => Some("'*' or a list of partition:broker".into()),
            Valid::NonEmpty => Some("not empty".into()),
        }
    }

    fn type_range(&self) -> (i64, i64) {
        match self.kind {
            ConfigType::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
            ConfigType::Short => (i64::from(i16::MIN), i64::from(i16::MAX)),
            _ => (i64::MIN, i64::MAX),
        }
    }

    fn parse_type(&self, text: &str) -> Result<Value, String> {
        match self.kind {
            ConfigType::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            ConfigType::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            ConfigType::Boolean => Err("must be true or false".into()),
            ConfigType::Int | ConfigType::Short | ConfigType::Long => {
                let (low, high) = self.type_range();
                match text.parse::<i64>() {
                    Ok(value) if value >= low && value <= high => Ok(Value::Int(value)),
                    _ => Err(match self.range_text() {
                        Some(range) => format!("must be a whole number, {range}"),
                        None => format!("must be a whole number between {low} and {high}"),
                    }),
                }
            }
            ConfigType::Double => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Value::Double(value)),
                _ => Err(match self.range_text() {
                    Some(range) => format!("must be a number, {range}"),
                    None => "must be a number".into(),
                }),
            },
            ConfigType::String | ConfigType::Password => Ok(Value::Text(text.into())),
            ConfigType::List => Ok(Value::List(split_list(text))),
        }
    }

    fn check_range(&self, value: &Value) -> Result<(), String> {
        let holds = match (self.valid, value) {
            (Valid::Range(min, max), Value::Int(value)) => (min..=max).contains(value),
            (Valid::RangeOr(min, max, or), Value::Int(value)) => (min..=max).contains(value) || *value == or,
            (Valid::DoubleRange(min, max), Value::Double(value)) => (min..=max).contains(value),
            (Valid::OneOf(words), Value::Text(value)) => words.contains(&value.as_str()),
            (Valid::EachOneOf(words), Value::List(values)) => {
                values.iter().all(|value| words.contains(&value.as_str()))
            }
            (Valid::ThrottledReplicas, Value::List(values)) => {
                values == &["*"] || values.iter().all(|value| is_partition_and_broker(value))
            }
            (Valid::NonEmpty, Value::Text(value)) => !value.is_empty(),
            (Valid::Checked(check), value) => return check(&value.to_string()),
            (Valid::Any, _) => true,
            (valid, value) => unreachable!("{}: {valid:?} does not apply to {value:?}", self.name),
        };
        if holds { Ok(()) } else { Err(format!("must be {}", self.range_text().unwrap_or_default())) }
    }
}

/// Splits at commas; blanks around elements do not count. An empty text is an empty list.
#[must_use]
pub fn split_list(text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        Vec::new()
    } else {
        text.split(',').map(|part| part.trim().to_owned()).collect()
    }
}

fn is_partition_and_broker(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}
