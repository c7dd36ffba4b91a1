//! The levels of the broker's loggers, as Kafka's `BROKER_LOGGER` resource shows and changes them.
//!
//! Every shard has a copy, so that any of them can answer; a change goes to the other shards and to the shell, which alone
//! prints. Levels hold until the process ends, as in Kafka. Not here: what is printed; and changes that come over HTTP,
//! which are filters of a richer kind and are not shown here. Source: KIP-412; Kafka `RuntimeLoggerManager`,
//! `LogLevelConfig`.

use corelane_control::alter_configs::KeyChange;
use corelane_wire::error_code::ErrorCode;

/// The type of the resource.
pub const BROKER_LOGGER: i8 = 8;

/// The logger whose level holds for every other that has none of its own.
pub const ROOT: &str = "root";

/// All loggers: the root, then the parts of the broker that have something to say. A dot stands where the targets of
/// log lines have two colons.
pub const LOGGERS: [&str; 4] = [ROOT, "corelane.admin", "corelane.serve", "corelane.shard"];

/// Levels, with the word that the shell's filter has for each. Kafka knows one more than we print.
const LEVELS: [(&str, &str); 6] = [
    ("FATAL", "error"),
    ("ERROR", "error"),
    ("WARN", "warn"),
    ("INFO", "info"),
    ("DEBUG", "debug"),
    ("TRACE", "trace"),
];

const SET: i8 = 0;
const DELETE: i8 = 1;

/// Why a change is refused: the code, and a sentence.
pub type LoggerRefusal = (ErrorCode, String);

/// The level of every logger.
///
/// Invariant: the root has a level. Each entry is an index into the table of levels, in the order of [`LOGGERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loggers {
    levels: [Option<u8>; LOGGERS.len()],
}

impl Default for Loggers {
    fn default() -> Loggers {
        Loggers { levels: [Some(3), None, None, None] }
    }
}

impl Loggers {
    /// The levels that a filter of the shell sets, as far as they are of these loggers.
    #[must_use]
    pub fn of_filter(filter: &str) -> Loggers {
        let mut loggers = Loggers::default();
        for part in filter.split(',') {
            let (target, level) = part.split_once('=').unwrap_or((ROOT, part));
            let target = target.trim().replace("::", ".");
            let level = level.trim().to_uppercase();
            let level = LEVELS.iter().position(|(name, _)| *name == level);
            let logger = LOGGERS.iter().position(|name| *name == target);
            if let (Some(logger), Some(level)) = (logger, level) {
                loggers.levels[logger] = Some(level as u8);
            }
        }
        loggers
    }

    /// The filter of the shell that prints what these levels let through.
    #[must_use]
    pub fn filter(&self) -> String {
        let mut filter = String::new();
        for (name, level) in LOGGERS.iter().zip(&self.levels) {
            let Some(level) = level else { continue };
            let word = LEVELS[usize::from(*level)].1;
            if *name == ROOT {
                filter.push_str(word);
            } else {
                filter.push_str(&format!(",{}={word}", name.replace('.', "::")));
            }
        }
        filter
    }

    /// Each logger with the level that holds for it.
    pub fn effective(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        let root = self.levels[0].expect("the root has a level");
        let levels = self.levels.iter().map(move |level| LEVELS[usize::from(level.unwrap_or(root))].0);
        LOGGERS.iter().copied().zip(levels)
    }

    /// The levels after all of `changes`. Errors: the first change that makes no sense; then none is made.
    pub fn changed(mut self, changes: &[KeyChange]) -> Result<Loggers, LoggerRefusal> {
        for change in changes {
            let named = |refusal: &str| (ErrorCode::InvalidConfig, refusal.to_owned());
            let logger = LOGGERS
                .iter()
                .position(|name| *name == change.key)
                .ok_or_else(|| named(&format!("Logger {} does not exist!", change.key)));
            match change.operation {
                SET => {
                    let logger = logger?;
                    let wanted = change.value.as_deref().unwrap_or_default();
                    let level = LEVELS.iter().position(|(name, _)| *name == wanted).ok_or_else(|| {
                        named(&format!(
                            "Cannot set the log level of {} to {wanted} as it is not a supported log level. Valid log \
                             levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
                            change.key
                        ))
                    })?;
                    self.levels[logger] = Some(level as u8);
                }
                DELETE => {
                    let logger = logger?;
                    if logger == 0 {
                        let text = "Removing the log level of the root logger is not allowed".to_owned();
                        return Err((ErrorCode::InvalidRequest, text));
                    }
                    self.levels[logger] = None;
                }
                operation => {
                    let text =
                        format!("Operation type {operation} is not allowed for the BROKER_LOGGER resource");
                    return Err((ErrorCode::InvalidRequest, text));
                }
            }
        }
        Ok(self)
    }
}

/// Whether the name of a `BROKER_LOGGER` resource is this broker's. Errors: what Kafka says otherwise.
pub fn check_name(name: &str, own: i32) -> Result<(), LoggerRefusal> {
    match name.parse::<i32>() {
        Ok(id) if id == own => Ok(()),
        Ok(id) => {
            Err((ErrorCode::InvalidRequest, format!("Unexpected node id. Expected {own}, but received {id}")))
        }
        Err(_) => Err((ErrorCode::InvalidRequest, format!("Node id must be an integer, but it is: {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, operation: i8, value: Option<&str>) -> KeyChange {
        KeyChange { key: key.to_owned(), operation, value: value.map(str::to_owned) }
    }

    #[track_caller]
    fn check(changes: &[KeyChange], expected: Result<&str, ErrorCode>) {
        let changed = Loggers::default().changed(changes);
        let told = changed.map(|loggers| loggers.filter()).map_err(|(code, _)| code);
        assert_eq!(told, expected.map(str::to_owned));
    }

    #[test]
    fn levels_are_set_and_taken_away() {
        check(&[], Ok("info"));
        check(&[change("root", SET, Some("DEBUG"))], Ok("debug"));
        check(&[change("corelane.shard", SET, Some("FATAL"))], Ok("info,corelane::shard=error"));
        let there_and_back =
            [change("corelane.shard", SET, Some("TRACE")), change("corelane.shard", DELETE, None)];
        check(&there_and_back, Ok("info"));
        check(&[change("corelane.nothing", SET, Some("INFO"))], Err(ErrorCode::InvalidConfig));
        check(&[change("corelane.nothing", DELETE, None)], Err(ErrorCode::InvalidConfig));
        check(&[change("root", SET, Some("debug"))], Err(ErrorCode::InvalidConfig));
        check(&[change("root", SET, None)], Err(ErrorCode::InvalidConfig));
        check(&[change("root", DELETE, None)], Err(ErrorCode::InvalidRequest));
        for operation in [-1, 2, 3, 100] {
            check(&[change("root", operation, Some("INFO"))], Err(ErrorCode::InvalidRequest));
        }
    }

    #[test]
    fn filters_come_back_as_they_went() {
        for filter in
            ["info", "warn,corelane::shard=debug", "error,corelane::admin=trace,corelane::serve=info"]
        {
            assert_eq!(Loggers::of_filter(filter).filter(), filter);
        }
        assert_eq!(
            Loggers::of_filter("loud,x=y,[span]=info,off").filter(),
            "info",
            "what is foreign is left out"
        );
        let loggers = Loggers::of_filter("warn,corelane::shard=debug");
        let told: Vec<_> = loggers.effective().collect();
        assert_eq!(
            told,
            [
                ("root", "WARN"),
                ("corelane.admin", "WARN"),
                ("corelane.serve", "WARN"),
                ("corelane.shard", "DEBUG")
            ]
        );
    }

    #[test]
    fn only_the_own_broker_has_loggers_here() {
        assert_eq!(check_name("1", 1), Ok(()));
        for bad in ["2", "", "one", "1 "] {
            assert!(check_name(bad, 1).is_err_and(|(code, _)| code == ErrorCode::InvalidRequest), "{bad:?}");
        }
    }
}
