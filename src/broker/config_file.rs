//! Gathers the broker's settings from the configuration file, the environment and the command line.
//!
//! What it is: a list of keys and values in the order of growing strength, each with its origin. What it is not: the
//! check of names, types and ranges, which is `corelane_control`'s, so that a mistake in any place reads the same.
//!
//! Keys are Kafka's (`log.retention.ms`); in the file they may be written flat or quoted, TOML's tables come to the same.
//! A variable `CORELANE_LOG_RETENTION_MS` is `log.retention.ms`. A few short names stand for longer keys, see `SHORT`.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use corelane_control::configs::settings::{Origin, Setting};

use crate::args::ServeArgs;

/// The file that is read when no other is named and it exists.
pub const DEFAULT_FILE: &str = "corelane.toml";

const VARIABLE_PREFIX: &str = "CORELANE_";

/// Variables of that prefix that belong to the client commands and to the tests.
const NOT_SETTINGS: &[&str] = &["CORELANE_BOOTSTRAP", "CORELANE_OUTPUT", "CORELANE_TEST_"];

/// The flags' names as keys, and what they stand for.
const SHORT: &[(&str, &str)] = &[
    ("data.dir", "log.dirs"),
    ("listen", "listeners"),
    ("http", "corelane.http.listen"),
    ("shards", "corelane.shards"),
    ("idle.spin.us", "corelane.idle.spin.us"),
    ("durability", "corelane.durability"),
    ("memory.bytes", "corelane.memory.bytes"),
];

/// Gathers file, `environment` and `args`, weakest first. Errors: a sentence for whoever started the broker.
pub fn gather(
    args: &ServeArgs,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Setting>, String> {
    let mut given = Vec::new();
    let file = args.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    match fs::read_to_string(file) {
        Ok(text) => of_file(&text, &mut given).map_err(|why| format!("{}: {why}", file.display()))?,
        Err(e) if e.kind() == ErrorKind::NotFound && args.config.is_none() => {}
        Err(e) => return Err(format!("cannot read the configuration file {}: {e}", file.display())),
    }
    of_environment(environment, &mut given)?;
    of_flags(args, &mut given)?;
    Ok(given)
}

fn of_file(text: &str, given: &mut Vec<Setting>) -> Result<(), String> {
    let table: toml::Table =
        text.parse().map_err(|e: toml::de::Error| e.to_string().trim_end().to_string())?;
    flatten("", &table, given)
}

/// Adds the keys of `table`, whose own name is `prefix`, dotted.
fn flatten(prefix: &str, table: &toml::Table, given: &mut Vec<Setting>) -> Result<(), String> {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        let value = match value {
            toml::Value::Table(inner) => {
                flatten(&format!("{key}."), inner, given)?;
                continue;
            }
            toml::Value::Array(items) => {
                let items: Result<Vec<String>, String> =
                    items.iter().map(|item| scalar(&key, item)).collect();
                items?.join(",")
            }
            single => scalar(&key, single)?,
        };
        given.push(setting(&key, value, Origin::File));
    }
    Ok(())
}

fn scalar(key: &str, value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        _ => Err(format!("{key}: expected a text, a number, true or false, or a list of these")),
    }
}

fn of_environment(
    environment: impl Iterator<Item = (OsString, OsString)>,
    given: &mut Vec<Setting>,
) -> Result<(), String> {
    let mut found = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE_PREFIX)) else { continue };
        if NOT_SETTINGS.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        let value = value.into_string().map_err(|_| format!("the value of {name} is not UTF-8"))?;
        let key = name[VARIABLE_PREFIX.len()..].to_lowercase().replace('_', ".");
        found.push(setting(&key, value, Origin::Environment));
    }
    // The environment has no order of its own.
    found.sort_by(|a, b| a.key.cmp(&b.key));
    given.append(&mut found);
    Ok(())
}

fn of_flags(args: &ServeArgs, given: &mut Vec<Setting>) -> Result<(), String> {
    let mut flag = |key: &str, value: String| given.push(setting(key, value, Origin::Flag));
    for set in &args.settings {
        flag(&set.key, set.value.clone());
    }
    if let Some(dir) = &args.data_dir {
        let dir = dir.to_str().ok_or_else(|| format!("the path {} is not UTF-8", dir.display()))?;
        flag("data.dir", dir.to_string());
    }
    if let Some(at) = &args.listen {
        flag("listen", at.to_string());
    }
    if let Some(at) = &args.http {
        flag("http", at.to_string());
    }
    if let Some(level) = &args.log_level {
        flag("log.level", level.clone());
    }
    if let Some(format) = &args.log_format {
        flag("log.format", format.clone());
    }
    if let Some(count) = args.shards {
        flag("shards", count.to_string());
    }
    Ok(())
}

/// A setting under its long name. A bare address to listen on becomes a listener.
fn setting(key: &str, mut value: String, origin: Origin) -> Setting {
    let key = key.trim();
    let long = SHORT.iter().find(|(short, _)| *short == key).map_or(key, |(_, long)| long);
    if long == "listeners" && !value.is_empty() && !value.contains("://") {
        value = format!("PLAINTEXT://{value}");
    }
    Setting { key: long.to_string(), value, origin }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{self, HostPort};

    fn pairs(given: &[Setting]) -> Vec<(&str, &str)> {
        given.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect()
    }

    #[test]
    fn a_file_may_be_flat_quoted_or_in_tables() {
        let mut given = Vec::new();
        let text = "listen = '0.0.0.0:1'\nlog.retention.ms = 5\n\"num.partitions\" = 3\n[log.segment]\nbytes = \"7\"\n";
        of_file(text, &mut given).expect("valid");
        given.sort_by(|a, b| a.key.cmp(&b.key));
        let expected = [
            ("listeners", "PLAINTEXT://0.0.0.0:1"),
            ("log.retention.ms", "5"),
            ("log.segment.bytes", "7"),
            ("num.partitions", "3"),
        ];
        assert_eq!(pairs(&given), expected);
        for bad in ["a = ", "a = 1\na = 2", "a = 1979-05-27"] {
            assert!(of_file(bad, &mut given).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn variables_name_keys() {
        let variables = [
            ("CORELANE_LOG_RETENTION_MS", "9"),
            ("CORELANE_DATA_DIR", "d"),
            ("CORELANE_TEST_BIN", "x"),
            ("PATH", "p"),
        ];
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let mut given = Vec::new();
        of_environment(variables, &mut given).expect("all are UTF-8");
        assert_eq!(pairs(&given), [("log.dirs", "d"), ("log.retention.ms", "9")]);
    }

    #[test]
    fn flags_come_last() {
        let args = ServeArgs {
            listen: Some(HostPort { host: "::1".to_string(), port: 2 }),
            shards: Some(3),
            settings: vec![args::Setting { key: "a.b".to_string(), value: "c".to_string() }],
            ..ServeArgs::default()
        };
        let variables = [(OsString::from("CORELANE_SHARDS"), OsString::from("1"))];
        let given = gather(&args, variables.into_iter()).expect("no file is named, none is needed");
        let expected = [
            ("corelane.shards", "1"),
            ("a.b", "c"),
            ("listeners", "PLAINTEXT://[::1]:2"),
            ("corelane.shards", "3"),
        ];
        assert_eq!(pairs(&given), expected);
    }

    #[test]
    fn a_named_file_must_exist() {
        let args = ServeArgs { config: Some("no-such-file.toml".into()), ..ServeArgs::default() };
        let why = gather(&args, std::iter::empty()).expect_err("there is no such file");
        assert!(why.contains("no-such-file.toml"), "{why}");
    }
}
