//! One clock for a whole run: nanoseconds since the process looked at it first.
//!
//! Stamps inside records are of this clock, so they mean something only to the process that wrote them: a run's producers
//! and consumers live in one process for that reason. No wall clock, which may be set back under a run.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

static BASE: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the first call in this process.
pub fn now() -> u64 {
    BASE.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Milliseconds since 1970, for batch headers and file names.
pub fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// `20261120-134500`: this moment in UTC, sortable.
pub fn utc_name() -> String {
    utc_of(wall_ms() / 1000)
}

fn utc_of(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 1970 to a date: the calendar repeats every 400 years of 146,097 days, counted from 1 March 0000.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        let rows = [
            (0, "19700101-000000"),
            (951_782_399, "20000228-235959"),
            (951_782_400, "20000229-000000"),
            (1_795_182_300, "20261120-134500"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(super::utc_of(seconds), expected);
        }
    }
}
