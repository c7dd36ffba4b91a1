//! Log lines: where they go, in which form, and which of them, changeable while the broker runs.
//!
//! They go to standard error, as text for people or as one JSON object a line for programs. What is printed is decided
//! by a filter: a level (`info`), or levels by target (`warn,corelane::shard=debug`). Not here: what is worth a line.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use corelane_control::configs::settings::{Origin, Setting};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The settings that are the process's and not the broker's: which lines to print, and how.
pub const KEYS: &[&str] = &[LEVEL, FORMAT];
const LEVEL: &str = "log.level";
const FORMAT: &str = "log.format";

/// The target of what shards say.
pub const SHARD_TARGET: &str = "corelane::shard";

/// The longest filter that is taken, in bytes.
const FILTER_BYTES_MAX: usize = 4096;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// Changes what is printed.
#[derive(Debug)]
pub struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
    filter: Mutex<String>,
}

impl LogControl {
    /// Sends log lines to standard error. The filter is decided by a flag, else by `RUST_LOG`, else by `log.level`
    /// elsewhere. Errors: a sentence about the setting that makes no sense.
    pub fn start(given: &[Setting], environment: Option<String>) -> Result<LogControl, String> {
        let level = given.iter().rev().find(|one| one.key == LEVEL);
        let flag = level.filter(|one| one.origin == Origin::Flag).map(|one| one.value.clone());
        let level = level.map_or("info", |one| one.value.as_str());
        // What stands there for other programs need not make sense to us.
        let environment = environment.filter(|text| parse(text).is_ok());
        let text = flag.or(environment).unwrap_or_else(|| level.to_owned());
        let format = given.iter().rev().find(|one| one.key == FORMAT);
        let format = format_of(format.map_or("text", |one| one.value.as_str()))?;
        let (filter, handle) = reload::Layer::new(parse(&text)?);
        let registry = tracing_subscriber::registry().with(filter);
        let layer = fmt::layer().with_writer(io::stderr);
        // Fails only if a test has set one already.
        let _ = match format {
            Format::Text => {
                registry.with(layer.with_target(false).with_ansi(io::stderr().is_terminal())).try_init()
            }
            Format::Json => {
                registry.with(layer.json().flatten_event(true).with_current_span(false)).try_init()
            }
        };
        Ok(LogControl { handle, filter: Mutex::new(text) })
    }

    /// The filter as it was set last.
    #[must_use]
    pub fn filter(&self) -> String {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Prints what `text` lets through from now on. Errors: a sentence about what is wrong with it; nothing changes.
    pub fn set_filter(&self, text: &str) -> Result<(), String> {
        let filter = parse(text)?;
        let mut current = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.reload(filter).map_err(|e| e.to_string())?;
        text.trim().clone_into(&mut current);
        Ok(())
    }
}

/// A filter as typed. Stricter than the parser, which takes any unknown word for a target: a single word is a level.
fn parse(text: &str) -> Result<EnvFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = text.trim();
    if text.is_empty() || text.len() > FILTER_BYTES_MAX {
        return Err(format!("{LEVEL}: expected a level ({})", LEVELS.join(", ")));
    }
    for part in text.split(',').filter(|part| !part.contains(['=', '['])) {
        if !LEVELS.contains(&part.trim().to_lowercase().as_str()) {
            return Err(format!("{LEVEL}: {part:?} is not a level ({}) nor TARGET=LEVEL", LEVELS.join(", ")));
        }
    }
    EnvFilter::builder().parse(text).map_err(|e| format!("{LEVEL}: {text:?}: {e}"))
}

fn format_of(text: &str) -> Result<Format, String> {
    match text.trim().to_lowercase().as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(format!("{FORMAT}: {text:?} is neither text nor json")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_or_levels_of_targets() {
        for good in ["info", " DEBUG ", "warn,corelane::shard=debug", "off", "corelane=trace"] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", "  ", "loud", "info,loud", "corelane=loud", &"x".repeat(FILTER_BYTES_MAX + 1)] {
            assert!(parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn formats() {
        assert_eq!((format_of("text"), format_of("JSON")), (Ok(Format::Text), Ok(Format::Json)));
        assert!(format_of("xml").is_err_and(|why| why.contains("log.format")));
    }

    #[test]
    fn a_filter_that_makes_no_sense_changes_nothing() {
        // Not by `start`: one process has one subscriber, and another test may have set it.
        let (layer, handle) = reload::Layer::new(parse("info").expect("a level"));
        let _alive = tracing_subscriber::registry().with(layer);
        let control = LogControl { handle, filter: Mutex::new("info".to_owned()) };
        control.set_filter("loud").expect_err("no such level");
        assert_eq!(control.filter(), "info");
        control.set_filter("debug").expect("a level");
        assert_eq!(control.filter(), "debug");
    }
}
