//! Prometheus's text format: families, samples, labels, histograms.
//!
//! Written by hand rather than with `prometheus-client`: that crate keeps the counters itself, behind atomics and locks,
//! and formats from them, while ours live unshared on the shards and only a snapshot of them is here. What is left to do
//! is escaping and cumulation. Labels are rendered once and reused by every family, which is what makes ten thousand
//! partitions cheap. Source: Prometheus's "exposition formats", text format 0.0.4.

use std::fmt::Write as _;

use corelane_base::histogram::{BOUNDS, Histogram};

/// The content type of what is written here.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of metric a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows only, from the start of the process on.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values in buckets.
    Histogram,
}

/// Labels as they stand between the braces; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(String);

impl Labels {
    /// Renders labels in order. Names are our own; values may hold anything.
    #[must_use]
    pub fn new(pairs: &[(&str, &str)]) -> Labels {
        let mut text = String::new();
        for (name, value) in pairs {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
            text.push_str("=\"");
            for char in value.chars() {
                match char {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        Labels(text)
    }
}

/// The text as far as it is written.
#[derive(Debug)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Nothing yet, with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Exposition {
        Exposition { text: String::with_capacity(bytes) }
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// Begins a family; its samples must follow before the next one begins. `help` is one line of our own.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {word}"));
        Family { out: self, name }
    }

    /// A family of one gauge without labels.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: f64) {
        self.family(name, Kind::Gauge, help).real(&Labels::default(), value);
    }

    /// A family of one counter without labels.
    pub fn counter(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help).int(&Labels::default(), value);
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{text}").expect("a string takes everything");
    }
}

/// A family whose samples are being written.
#[derive(Debug)]
pub struct Family<'a> {
    out: &'a mut Exposition,
    name: &'static str,
}

impl Family<'_> {
    /// A sample that is a whole number.
    pub fn int(&mut self, labels: &Labels, value: u64) {
        self.begin("", labels, "");
        self.out.line(format_args!(" {value}"));
    }

    /// A sample that may be negative.
    pub fn signed(&mut self, labels: &Labels, value: i64) {
        self.begin("", labels, "");
        self.out.line(format_args!(" {value}"));
    }

    /// A sample that is no whole number.
    pub fn real(&mut self, labels: &Labels, value: f64) {
        self.begin("", labels, "");
        self.out.line(format_args!(" {value}"));
    }

    /// A histogram, its values divided by `scale`. `every`: only each so many of its bounds, to save lines.
    pub fn histogram<const UNIT: u64>(
        &mut self,
        labels: &Labels,
        values: &Histogram<UNIT>,
        scale: f64,
        every: usize,
    ) {
        let counts = values.counts();
        let mut cumulated = 0;
        for (index, count) in counts.iter().enumerate().take(BOUNDS) {
            cumulated += count;
            if index % every == 0 {
                let le = Histogram::<UNIT>::bound(index) as f64 / scale;
                self.bucket(labels, le, cumulated);
            }
        }
        self.total(labels, cumulated + counts[BOUNDS], values.sum() as f64 / scale);
    }

    /// One bucket of a histogram: how many values are at most `le`. Buckets come in rising order, then `total`.
    pub fn bucket(&mut self, labels: &Labels, le: f64, cumulated: u64) {
        let mut text = String::with_capacity(24);
        write!(text, "le=\"{le}\"").expect("a string takes everything");
        self.begin("_bucket", labels, &text);
        self.out.line(format_args!(" {cumulated}"));
    }

    /// The end of a histogram.
    pub fn total(&mut self, labels: &Labels, count: u64, sum: f64) {
        self.begin("_bucket", labels, "le=\"+Inf\"");
        self.out.line(format_args!(" {count}"));
        self.begin("_sum", labels, "");
        self.out.line(format_args!(" {sum}"));
        self.begin("_count", labels, "");
        self.out.line(format_args!(" {count}"));
    }

    /// Name and labels of a sample.
    fn begin(&mut self, suffix: &str, labels: &Labels, more: &str) {
        let text = &mut self.out.text;
        text.push_str(self.name);
        text.push_str(suffix);
        if labels.0.is_empty() && more.is_empty() {
            return;
        }
        text.push('{');
        text.push_str(&labels.0);
        if !labels.0.is_empty() && !more.is_empty() {
            text.push(',');
        }
        text.push_str(more);
        text.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        #[track_caller]
        fn check(value: &str, expected: &str) {
            assert_eq!(Labels::new(&[("a", value)]).0, format!("a=\"{expected}\""));
        }
        check("plain-1.x", "plain-1.x");
        check("", "");
        check("a\"b\\c\nd{}=,", "a\\\"b\\\\c\\nd{}=,");
        check("äö", "äö");
        assert_eq!(Labels::new(&[("a", "1"), ("b", "2")]).0, "a=\"1\",b=\"2\"");
    }

    #[test]
    fn samples_stand_under_their_family() {
        let mut out = Exposition::with_capacity(0);
        out.gauge("up", "Whether it is up.", 1.5);
        let mut family = out.family("hits_total", Kind::Counter, "Hits.");
        family.int(&Labels::new(&[("x", "y")]), 7);
        family.signed(&Labels::default(), -1);
        let expected = "# HELP up Whether it is up.\n# TYPE up gauge\nup 1.5\n\
                        # HELP hits_total Hits.\n# TYPE hits_total counter\nhits_total{x=\"y\"} 7\nhits_total -1\n";
        assert_eq!(out.into_text(), expected);
    }

    #[test]
    fn buckets_are_cumulated() {
        let mut values = Histogram::<1000>::default();
        for value in [1, 1000, 1001, 1500, 2500, u64::MAX / 2] {
            values.record(value);
        }
        let mut out = Exposition::with_capacity(0);
        out.family("t_seconds", Kind::Histogram, "T.").histogram(
            &Labels::new(&[("s", "1")]),
            &values,
            1e3,
            2,
        );
        let text = out.into_text();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines[..3],
            [
                "t_seconds_bucket{s=\"1\",le=\"1\"} 2",
                "t_seconds_bucket{s=\"1\",le=\"2\"} 4",
                "t_seconds_bucket{s=\"1\",le=\"4\"} 5",
            ]
        );
        let counts = lines.iter().filter(|line| line.starts_with("t_seconds_bucket"));
        let counts: Vec<u64> =
            counts.map(|line| line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("n")).collect();
        assert!(counts.is_sorted());
        assert_eq!((counts.len(), counts.last()), (BOUNDS.div_ceil(2) + 1, Some(&6)));
        assert_eq!(lines[lines.len() - 1], "t_seconds_count{s=\"1\"} 6");
        assert!(lines[lines.len() - 2].starts_with("t_seconds_sum{s=\"1\"} "));
        assert!(lines[lines.len() - 3].starts_with("t_seconds_bucket{s=\"1\",le=\"+Inf\"} 6"));
    }
}
