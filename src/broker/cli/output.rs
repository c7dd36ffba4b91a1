//! What commands print: tables for people, JSON for programs. Progress goes to standard error, to terminals only.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::failure::Failure;

/// How a command prints its result.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Output {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON document, or one per line where there is a stream.
    Json,
}

/// Prints one JSON document, over several lines when it is for eyes.
pub fn print_json(value: &Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = match out.is_terminal() {
        true => writeln!(out, "{value:#}"),
        false => writeln!(out, "{value}"),
    };
    written.and_then(|()| out.flush()).map_err(Failure::output)
}

/// Prints lines as they are.
pub fn print_text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
}

/// Rows under headings; columns as wide as their widest cell, numbers to the right.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headings: &[&str]) -> Table {
        Table { rows: vec![headings.iter().map(|heading| heading.to_string()).collect()] }
    }

    /// Adds a row. Panics: if it has not one cell per heading.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "one cell per heading");
        self.rows.push(cells);
    }

    /// The whole table, with a line feed behind each row and no spaces at the ends of lines.
    pub fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let numeric: Vec<bool> = (0..columns).map(|column| self.is_numeric(column)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let padding = " ".repeat(widths[column] - cell.chars().count());
                let gap = if column == 0 { "" } else { "  " };
                line += gap;
                line += &if numeric[column] { padding + cell } else { cell.clone() + &padding };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows[1..].iter().map(|row| row[column].as_str()).peekable();
        cells.peek().is_some() && cells.all(|cell| cell == "-" || cell.parse::<i64>().is_ok())
    }
}

/// A line on standard error that is drawn again and again. Silent unless a person watches.
#[derive(Debug)]
pub struct StatusLine {
    watched: bool,
    visible: bool,
}

impl StatusLine {
    /// A line that is not there yet.
    pub fn new() -> StatusLine {
        StatusLine { watched: io::stderr().is_terminal(), visible: false }
    }

    /// Puts `text` in the place of what stood there.
    pub fn draw(&mut self, text: &str) {
        if self.watched {
            eprint!("\r\x1b[K{text}");
            self.visible = true;
        }
    }

    /// Takes the line away, so that what follows starts on a clean one.
    pub fn clear(&mut self) {
        if self.visible {
            eprint!("\r\x1b[K");
            self.visible = false;
        }
    }
}

impl Default for StatusLine {
    fn default() -> StatusLine {
        StatusLine::new()
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A status line that says how far a long piece of work is.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    started: Instant,
    /// When the line was last drawn.
    drawn: Instant,
    count: u64,
    bytes: u64,
    line: StatusLine,
}

/// Often enough to look alive, seldom enough to cost nothing.
const REDRAW: Duration = Duration::from_millis(200);

impl Progress {
    /// Starts counting `what`, for example "records".
    pub fn new(what: &'static str) -> Progress {
        let now = Instant::now();
        Progress { what, started: now, drawn: now, count: 0, bytes: 0, line: StatusLine::new() }
    }

    /// Counts.
    pub fn add(&mut self, count: u64, bytes: u64) {
        self.count += count;
        self.bytes += bytes;
        if self.line.watched && self.drawn.elapsed() >= REDRAW {
            let text = self.line();
            self.line.draw(&text);
            self.drawn = Instant::now();
        }
    }

    /// What was counted so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The state in words: count, volume, rate.
    pub fn line(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = self.count as f64 / seconds;
        let volume = human_bytes(self.bytes);
        let flow = human_bytes((self.bytes as f64 / seconds) as u64);
        format!("{} {}, {volume} in {seconds:.1} s ({rate:.0}/s, {flow}/s)", self.count, self.what)
    }

    /// Takes the line away, so that what follows starts on a clean one.
    pub fn clear(&mut self) {
        self.line.clear();
    }
}

/// Bytes in the largest unit that leaves a number of at least one.
pub fn human_bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let mut table = Table::new(&["TOPIC", "PARTITIONS", "NOTE"]);
        table.row(vec!["a".to_string(), "1".to_string(), String::new()]);
        table.row(vec!["long-name".to_string(), "10".to_string(), "x".to_string()]);
        assert_eq!(
            table.render(),
            "TOPIC      PARTITIONS  NOTE\na                   1\nlong-name          10  x\n"
        );
        assert_eq!(Table::new(&["A", "B"]).render(), "A  B\n");
    }

    #[test]
    fn bytes_for_people() {
        for (bytes, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB"), (1 << 50, "1024.0 TiB")]
        {
            assert_eq!(human_bytes(bytes), expected);
        }
    }
}
