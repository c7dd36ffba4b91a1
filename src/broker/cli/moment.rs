//! Record timestamps as people write and read them: milliseconds, or RFC 3339 in UTC.
//!
//! Own code because all that is needed is the proleptic Gregorian calendar in UTC, both ways: no zones, no leap
//! seconds, no locale. Source: the day-count arithmetic is H. Hinnant's "chrono-compatible low-level date algorithms".

use corelane_base::time::WallMs;

const DAY_MS: i64 = 86_400_000;

/// Reads `1700000000000` or `2023-11-14`, `2023-11-14T22:13:20Z`, `2023-11-14 22:13:20.123`, `...+01:00`. Without a
/// zone it is UTC. Errors: a text for the person who typed it.
pub fn parse(text: &str) -> Result<WallMs, String> {
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(WallMs(ms));
    }
    parse_date_time(text).map(WallMs).ok_or_else(|| {
        format!("{text:?} is neither milliseconds since 1970 nor a time like 2023-11-14T22:13:20Z")
    })
}

fn parse_date_time(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * DAY_MS;
    if rest.is_empty() {
        return Some(midnight);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, zone_ms) = split_zone(rest)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |text| digits(text, 2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ms = digits(&format!("{fraction:0<3}")[..3], 3)?;
    Some(midnight + ((hour * 60 + minute) * 60 + second) * 1000 + ms - zone_ms)
}

/// Splits `22:13:20+01:00` before the zone and gives the zone's distance from UTC.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(index) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let (clock, zone) = text.split_at(index);
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let distance = (hours * 60 + minutes) * 60_000;
    (hours <= 23 && minutes <= 59)
        .then_some((clock, if zone.starts_with('-') { -distance } else { distance }))
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Writes RFC 3339 in UTC with milliseconds; numbers that are no time (-1) as `-`.
pub fn format(at: WallMs) -> String {
    if at.0 < 0 {
        return "-".to_string();
    }
    let (days, ms) = (at.0.div_euclid(DAY_MS), at.0.rem_euclid(DAY_MS));
    let (year, month, day) = civil_from_days(days);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01. Years are counted from March, so that the leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        #[track_caller]
        fn check(text: &str, expected: i64) {
            assert_eq!(parse(text), Ok(WallMs(expected)), "{text}");
        }
        check("0", 0);
        check("-1", -1);
        check("1700000000000", 1_700_000_000_000);
        check("1970-01-01", 0);
        check("2023-11-14T22:13:20Z", 1_700_000_000_000);
        check("2023-11-14 22:13:20", 1_700_000_000_000);
        check("2023-11-14T22:13", 1_699_999_980_000);
        check("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500);
        check("2023-11-14T17:13:20.123456-05:00", 1_700_000_000_123);
        check("2000-02-29", 951_782_400_000);
        check("1969-12-31T23:59:59.999Z", -1);
    }

    #[test]
    fn nonsense() {
        for text in [
            "",
            "x",
            "2023-11",
            "2023-13-01",
            "2023-02-29",
            "2023-11-31",
            "2023-11-14T24:00",
            "2023-11-14T1:00",
            "2023-11-14T10:60",
            "2023-11-14T10:00:00.",
            "2023-11-14X10:00",
            "2023-11-14T10:00+1",
            "2023-11-14T10",
            "2023-11-1é",
            "١٢٣٤-11-14",
        ] {
            assert!(parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn every_day_of_four_centuries_returns() {
        for day in 0..146_097 {
            let at = WallMs(day * DAY_MS + 12_345_678);
            assert_eq!(parse(&format(at)), Ok(at));
        }
        assert_eq!(format(WallMs(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(format(WallMs(-1)), "-");
    }
}
