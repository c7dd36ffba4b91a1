//! What `apply` has changed since the machine started, as a file.
//!
//! ```text
//! {"version": 1, "boot": ID,
//!  "entries": [{"knob": NAME, "path": PATH, "original": VALUE, "wanted": VALUE or null, "written": VALUE or null}]}
//! ```
//!
//! `original` is what stood there before the first apply and never changes; `wanted` is what an apply writes, null for
//! a file that is only remembered because the kernel resets it along with another; `written` is what was read back.
//! Everything below `/proc/sys` and `/sys` is gone when the machine restarts, so a file with another `boot` says nothing
//! any more. Entries stand in the order of writing, and are put back in it: a scheduler first, then what it resets.

use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

use crate::durable;

/// One changed file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The knob's name.
    pub knob: String,
    /// As on a running system.
    pub path: String,
    /// What stood there before the first apply.
    pub original: String,
    /// What an apply writes; `None`: only remembered.
    pub wanted: Option<String>,
    /// What was read back after writing; `None`: not known to have been written.
    pub written: Option<String>,
}

/// All of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// Which start of the machine it is about.
    pub boot: String,
    /// In the order of writing; no path twice.
    pub entries: Vec<Entry>,
}

impl State {
    /// Reads the file. `None`: there is none. Errors: why it cannot be understood.
    pub fn load(path: &Path) -> Result<Option<State>, String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        State::parse(&text).map(Some)
    }

    fn parse(text: &str) -> Result<State, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if value["version"] != 1 {
            return Err(format!("version {} is not known", value["version"]));
        }
        let field = |value: &Value, name: &str| {
            let text = value[name].as_str().map(str::to_string);
            text.ok_or_else(|| format!("the text {name:?} is missing"))
        };
        let optional = |value: &Value, name: &str| match &value[name] {
            Value::Null => Ok(None),
            _ => field(value, name).map(Some),
        };
        let entries = value["entries"].as_array().ok_or("the list \"entries\" is missing")?;
        let entries: Result<Vec<Entry>, String> = entries
            .iter()
            .map(|entry| {
                Ok(Entry {
                    knob: field(entry, "knob")?,
                    path: field(entry, "path")?,
                    original: field(entry, "original")?,
                    wanted: optional(entry, "wanted")?,
                    written: optional(entry, "written")?,
                })
            })
            .collect();
        Ok(State { boot: field(&value, "boot")?, entries: entries? })
    }

    /// Stores it, or removes the file when there is nothing to remember. Durability: on disk when it returns.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        if self.entries.is_empty() {
            return if path.exists() { durable::remove(path) } else { Ok(()) };
        }
        let entries: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                json!({
                    "knob": entry.knob,
                    "path": entry.path,
                    "original": entry.original,
                    "wanted": entry.wanted,
                    "written": entry.written,
                })
            })
            .collect();
        let value = json!({"version": 1, "boot": self.boot, "entries": entries});
        durable::replace(path, &format!("{value:#}\n"))
    }

    /// The entry of a file.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree_test::Tree;

    #[test]
    fn it_comes_back_as_it_was_stored_and_damage_is_told() {
        let tree = Tree::empty();
        let path = tree.path().join("tune.json");
        assert_eq!(State::load(&path), Ok(None));
        let entry = |name: &str, wanted: Option<&str>| Entry {
            knob: "vm.swappiness".to_string(),
            path: name.to_string(),
            original: "60".to_string(),
            wanted: wanted.map(str::to_string),
            written: None,
        };
        let state = State { boot: "b".to_string(), entries: vec![entry("/a", Some("1")), entry("/b", None)] };
        state.store(&path).expect("room");
        assert_eq!(State::load(&path), Ok(Some(state.clone())));
        let text = fs::read_to_string(&path).expect("just written");
        // Whatever is cut off (but for the line feed at the end) or exchanged, it is an error and not another state.
        for end in 0..text.len() - 2 {
            assert!(State::parse(&text[..end]).is_err(), "cut at {end}");
        }
        for (from, to) in [("\"version\": 1", "\"version\": 2"), ("\"60\"", "60"), ("\"boot\"", "\"foot\"")] {
            assert!(text.contains(from), "{from}");
            assert!(State::parse(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
        State::default().store(&path).expect("room");
        assert!(!path.exists());
    }
}
