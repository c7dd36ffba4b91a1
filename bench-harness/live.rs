//! What a person sees while a load runs: a bar, rates, latencies, errors; redrawn each second.
//!
//! On a terminal the lines are drawn over each other; elsewhere (a log file) every tenth second is a line of its own.
//! Everything goes to standard error: standard output belongs to the results.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use crate::hdr;
use crate::tally::Second;

const BAR_WIDTH: usize = 30;
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// How many of the last seconds are drawn as a curve.
const SPARKS_MAX: usize = 60;

/// See the module.
pub struct Live {
    name: String,
    /// Seconds of warm-up and of measuring.
    warm_up_s: u32,
    duration_s: u32,
    is_terminal: bool,
    is_quiet: bool,
    lines_drawn: usize,
    rates: Vec<f64>,
    p99s: Vec<f64>,
    failed: u64,
}

impl Live {
    /// A view of a load called `name`; draws nothing if `is_quiet`.
    pub fn new(name: &str, warm_up_s: u32, duration_s: u32, is_quiet: bool) -> Live {
        Live {
            name: name.to_owned(),
            warm_up_s,
            duration_s,
            is_terminal: std::io::stderr().is_terminal(),
            is_quiet,
            lines_drawn: 0,
            rates: Vec::new(),
            p99s: Vec::new(),
            failed: 0,
        }
    }

    /// Draws a second that is over.
    pub fn on_second(&mut self, second: &Second) {
        self.failed += second.failed;
        self.rates.push(second.produced.max(second.consumed) as f64);
        self.p99s.push(hdr::at_ms(&second.end_to_end, 99.0));
        if self.is_quiet {
            return;
        }
        let mut error = std::io::stderr().lock();
        if self.is_terminal {
            let text = self.picture(second);
            let up = if self.lines_drawn > 0 { format!("\x1b[{}A", self.lines_drawn) } else { String::new() };
            self.lines_drawn = text.lines().count();
            let _ = write!(error, "{up}{text}");
        } else if second.number.is_multiple_of(10) {
            let _ = writeln!(error, "{}", self.line(second));
        }
    }

    fn phase(&self, second: &Second) -> &'static str {
        match second.number {
            n if n < self.warm_up_s => "warm-up",
            n if n < self.warm_up_s + self.duration_s => "measuring",
            _ => "draining",
        }
    }

    fn line(&self, second: &Second) -> String {
        format!(
            "{} {} s {}: out {}/s, in {}/s, publish p99 {:.2} ms, end to end p99 {:.2} ms, failed {}",
            self.name,
            second.number,
            self.phase(second),
            short(second.produced as f64),
            short(second.consumed as f64),
            hdr::at_ms(&second.publish, 99.0),
            hdr::at_ms(&second.end_to_end, 99.0),
            self.failed
        )
    }

    /// Several lines, each ending with "clear to the end of the line".
    fn picture(&self, second: &Second) -> String {
        let total = (self.warm_up_s + self.duration_s).max(1);
        let at = (second.number + 1).min(total);
        let done = BAR_WIDTH * at as usize / total as usize;
        let bar: String = (0..BAR_WIDTH).map(|cell| if cell < done { '█' } else { '░' }).collect();
        let mut text = String::new();
        let row = |histogram| {
            [50.0, 99.0, 99.9, 100.0]
                .map(|percentile| format!("{:>9.3}", hdr::at_ms(histogram, percentile)))
                .join(" ")
        };
        let failed = if self.failed > 0 { format!("\x1b[31m{}\x1b[0m", self.failed) } else { "0".to_owned() };
        let lines = [
            format!("\x1b[1m{}\x1b[0m {bar} {at:>4}/{total} s  {}", self.name, self.phase(second)),
            format!(
                "  produced {:>9}/s {:>9}B/s   consumed {:>9}/s {:>9}B/s   failed {failed}",
                short(second.produced as f64),
                short(second.produced_bytes as f64),
                short(second.consumed as f64),
                short(second.consumed_bytes as f64)
            ),
            format!("  ms this second {:>9} {:>9} {:>9} {:>9}", "p50", "p99", "p99.9", "max"),
            format!("  publish        {}", row(&second.publish)),
            format!("  end to end     {}", row(&second.end_to_end)),
            format!("  records/s  {}", sparks(&self.rates)),
            format!("  p99        {}", sparks(&self.p99s)),
        ];
        for line in lines {
            let _ = writeln!(text, "{line}\x1b[K");
        }
        text
    }
}

/// The last values as a row of little bars, from 0 to the largest.
fn sparks(values: &[f64]) -> String {
    let last = &values[values.len().saturating_sub(SPARKS_MAX)..];
    let max = last.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    last.iter().map(|value| SPARKS[((value / max * 7.0).round() as usize).min(7)]).collect()
}

/// `1.23 M`: a number for people.
pub fn short(value: f64) -> String {
    for (factor, unit) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= factor {
            let scaled = value / factor;
            let digits = if scaled >= 100.0 {
                0
            } else if scaled >= 10.0 {
                1
            } else {
                2
            };
            return format!("{scaled:.digits$} {unit}");
        }
    }
    format!("{value:.0} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let rows =
            [(0.0, "0 "), (999.0, "999 "), (1000.0, "1.00 k"), (12_345.0, "12.3 k"), (1.5e9, "1.50 G")];
        for (value, expected) in rows {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn little_bars() {
        assert_eq!(sparks(&[]), "");
        assert_eq!(sparks(&[0.0, 5.0, 10.0]), "▁▅█");
        assert_eq!(sparks(&[0.0; 100]).chars().count(), SPARKS_MAX);
    }

    #[test]
    fn the_picture_has_as_many_lines_each_second() {
        let mut live = Live::new("load", 2, 3, true);
        for number in 0..7 {
            let second = Second::new(number);
            live.on_second(&second);
            let picture = live.picture(&second);
            assert_eq!(picture.lines().count(), 7);
            assert!(
                picture.contains(["warm-up", "warm-up", "measuring"][(number as usize).min(2)])
                    || number >= 5
            );
        }
        assert!(live.picture(&Second::new(9)).contains("draining"));
    }
}
