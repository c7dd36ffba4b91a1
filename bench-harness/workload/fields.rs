//! Takes typed values out of a TOML table and says exactly what is wrong with them.
//!
//! Every error names the field by its full path, what was found and what is allowed; a name that nobody asked for is an
//! error too, with the names there are.

use std::ops::RangeInclusive;

use toml::{Table, Value};

/// A table being read. Every field asked for is remembered; see [`Fields::finish`].
pub struct Fields {
    path: String,
    table: Table,
    known: Vec<&'static str>,
}

impl Fields {
    /// The whole document. Errors: as the TOML parser says.
    pub fn document(text: &str) -> Result<Fields, String> {
        let table = text.parse::<Table>().map_err(|error| error.to_string())?;
        Ok(Fields { path: String::new(), table, known: Vec::new() })
    }

    fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// The raw value of a field, if it is there.
    pub fn take(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.table.remove(field)
    }

    /// A table below this one, empty if it is absent.
    pub fn table(&mut self, field: &'static str) -> Result<Fields, String> {
        let path = self.name(field);
        match self.take(field) {
            None => Ok(Fields { path, table: Table::new(), known: Vec::new() }),
            Some(Value::Table(table)) => Ok(Fields { path, table, known: Vec::new() }),
            Some(other) => Err(wrong(&path, &other, "a table")),
        }
    }

    /// A text, if it is there.
    pub fn text(&mut self, field: &'static str) -> Result<Option<String>, String> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(&self.name(field), &other, "a text in quotes")),
        }
    }

    /// A whole number within a range.
    pub fn whole(
        &mut self,
        field: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, String> {
        let path = self.name(field);
        let Some(value) = self.take(field) else { return Ok(default) };
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        match value.as_integer().and_then(|number| u64::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Ok(number),
            _ => Err(wrong(&path, &value, &allowed)),
        }
    }

    /// A number, whole or not, within a range.
    pub fn number(
        &mut self,
        field: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, String> {
        let path = self.name(field);
        let Some(value) = self.take(field) else { return Ok(default) };
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        match value.as_float().or_else(|| value.as_integer().map(|number| number as f64)) {
            Some(number) if range.contains(&number) => Ok(number),
            _ => Err(wrong(&path, &value, &allowed)),
        }
    }

    /// `true` or `false`.
    pub fn switch(&mut self, field: &'static str, default: bool) -> Result<bool, String> {
        match self.take(field) {
            None => Ok(default),
            Some(Value::Boolean(on)) => Ok(on),
            Some(other) => Err(wrong(&self.name(field), &other, "true or false")),
        }
    }

    /// A duration like `"10 s"` or `"2 ms"`, in nanoseconds.
    pub fn duration(&mut self, field: &'static str, default: &str) -> Result<u64, String> {
        self.measure(field, default, DURATIONS, "a duration such as \"30 s\", \"5 ms\" or \"2 min\"")
    }

    /// A size like `"16 KiB"` or a plain number of bytes.
    pub fn size(&mut self, field: &'static str, default: &str) -> Result<u64, String> {
        self.measure(field, default, SIZES, "a size such as \"16 KiB\", \"1 GiB\" or a number of bytes")
    }

    fn measure(
        &mut self,
        field: &'static str,
        default: &str,
        units: &[(&str, u64)],
        allowed: &str,
    ) -> Result<u64, String> {
        let path = self.name(field);
        let value = self.take(field).unwrap_or_else(|| Value::String(default.to_owned()));
        let bare = if units == SIZES { value.as_integer().and_then(|n| u64::try_from(n).ok()) } else { None };
        bare.or_else(|| measured(value.as_str()?, units)).ok_or_else(|| wrong(&path, &value, allowed))
    }

    /// One of several words.
    pub fn one_of<T: Copy>(
        &mut self,
        field: &'static str,
        default: &str,
        words: &[(&str, T)],
    ) -> Result<T, String> {
        let path = self.name(field);
        let value = self.take(field).unwrap_or_else(|| Value::String(default.to_owned()));
        let written = value.as_str().map_or_else(|| shown(&value), str::to_owned);
        let found = words.iter().find(|(word, _)| *word == written);
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        found
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| wrong(&path, &value, &format!("one of {}", all.join(", "))))
    }

    /// All fields of a table of texts, numbers and switches, as texts: settings of a topic.
    pub fn settings(mut self) -> Result<Vec<(String, String)>, String> {
        let table = std::mem::take(&mut self.table);
        let one = |(key, value): (String, Value)| match value {
            Value::String(text) => Ok((key, text)),
            Value::Integer(_) | Value::Boolean(_) | Value::Float(_) => Ok((key, shown(&value))),
            other => Err(wrong(&self.name(&key), &other, "a text, a number or a switch")),
        };
        table.into_iter().map(one).collect()
    }

    /// Errors: if a field is left that nobody asked for.
    pub fn finish(self) -> Result<(), String> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(left) => {
                Err(format!("{}: no such field; there are {}", self.name(left), self.known.join(", ")))
            }
        }
    }
}

const DURATIONS: &[(&str, u64)] = &[
    ("us", 1000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// `"1.5 GiB"` in the smallest unit.
fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = (text[..at].trim().parse::<f64>().ok()?, text[at..].trim());
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    (number >= 0.0 && number.is_finite()).then(|| (number * *factor as f64).round() as u64)
}

/// A duration like `10s` on the command line, in nanoseconds. Errors: says what is allowed.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    measured(text, DURATIONS).ok_or_else(|| "expected a duration such as 30s, 5ms or 2min".to_owned())
}

fn wrong(path: &str, found: &Value, allowed: &str) -> String {
    format!("{path} is {}, should be {allowed}", shown(found))
}

/// A value as it would stand in the file, as far as it fits into a line.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(on) => on.to_string(),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}
