//! `corelane tune`: what of this host costs latency, changing it and putting it back, and measuring the disk.
//!
//! All the knowledge is in `corelane_tuning`; here are arguments, tables and JSON. Only `apply` and `revert` change
//! anything outside the data directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use corelane_tuning::bench::{self, Mixed, Plan, Report, Sample};
use corelane_tuning::change::{ChangeError, Ledger, Outcome, Step};
use corelane_tuning::checks;
use corelane_tuning::finding::{Finding, Verdict};
use corelane_tuning::host::Host;
use corelane_tuning::root::{Root, shortened};
use serde_json::{Value, json};

use crate::cli::connect::parse_duration;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, StatusLine, Table, human_bytes, print_json, print_text};
use crate::{probe, ring};

const EXAMPLES: &str = "\
Examples:
  corelane tune check --data-dir /var/lib/corelane
  sudo corelane tune apply --data-dir /var/lib/corelane --dry-run
  sudo corelane tune apply --data-dir /var/lib/corelane
  sudo corelane tune revert
  corelane tune disk --data-dir /var/lib/corelane --duration 1m --size 4G

check and disk change nothing on the host. What apply changes lasts until the machine restarts or until revert; for
longer see tuning/deploy. What each knob does, and what it risks, stands in tuning/README.md.";

const CHECK_EXAMPLES: &str = "\
Examples:
  corelane tune check
  corelane tune check --data-dir /var/lib/corelane --shards 4
  corelane tune check --pid $(pgrep -x corelane)
  corelane tune check --output json | jq '.findings[] | select(.verdict == \"bad\")'

Ends with exit code 5 if anything is bad. What could be better, or cannot be told here, is no reason.";

const APPLY_EXAMPLES: &str = "\
Examples:
  sudo corelane tune apply --dry-run
  sudo corelane tune apply --data-dir /var/lib/corelane --shards 4
  sudo corelane tune apply --only disk.scheduler --only vm.swappiness

Writes only what revert can put back, and not before the old values are on disk. Ends with exit code 1 if something
could not be changed; the rest is changed all the same, and all of it can be reverted.";

const REVERT_EXAMPLES: &str = "\
Examples:
  sudo corelane tune revert --dry-run
  sudo corelane tune revert

Puts back what stood there before the first apply. What somebody else has changed since is told and left alone, and
can still be put back with --force.";

const DISK_EXAMPLES: &str = "\
Examples:
  corelane tune disk
  corelane tune disk --data-dir /var/lib/corelane --duration 1m --size 4G
  corelane tune disk --output json | jq .bounds

Stop the broker first. Writes disk.toml into the data directory: the broker reads it when it starts, and keeps no more
operations on the disk at once than it says. The file that is measured on is gone when the command ends.";

/// Where old values are kept, inside the root: a folder of its own, which belongs to root and not to the broker.
const STATE: &str = "/var/lib/corelane-tune/state.json";

/// The arguments of `corelane tune`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TuneArgs {
    #[command(subcommand)]
    command: TuneCommand,

    /// How to print
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Output,
}

#[derive(Subcommand, Debug)]
enum TuneCommand {
    /// Say what of this host costs latency, why, and what should be
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        #[command(flatten)]
        host: HostArgs,
    },
    /// Change what check found and what can be put back
    #[command(after_help = APPLY_EXAMPLES)]
    Apply {
        #[command(flatten)]
        host: HostArgs,
        #[command(flatten)]
        change: ChangeArgs,
        /// Change only this knob; as often as needed
        #[arg(long, value_name = "KNOB")]
        only: Vec<String>,
    },
    /// Put back what apply has changed
    #[command(after_help = REVERT_EXAMPLES)]
    Revert {
        #[command(flatten)]
        root: RootArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Measure the data directory, and tell the broker how much at once its disk works best on
    #[command(after_help = DISK_EXAMPLES)]
    Disk {
        #[command(flatten)]
        dir: DirArgs,
        /// How long to measure, such as 30s or 2m
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
        duration: Duration,
        /// How large a file to measure on, such as 512M or 4G; at least 16M
        #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_size)]
        size: u64,
    },
}

#[derive(Args, Debug)]
struct RootArgs {
    /// The tree whose /proc and /sys are meant: an image's, or a test's
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

#[derive(Args, Debug)]
struct DirArgs {
    /// Where the logs lie, or will lie
    #[arg(long, value_name = "DIR", env = "CORELANE_DATA_DIR", default_value = "corelane-data")]
    data_dir: PathBuf,
}

#[derive(Args, Debug)]
struct HostArgs {
    #[command(flatten)]
    dir: DirArgs,

    /// How many shards the broker runs. Default: as many as 'corelane serve' would
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Option<u16>,

    /// Whose limits count: a running broker's. Default: this command's own
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,

    #[command(flatten)]
    root: RootArgs,
}

#[derive(Args, Debug)]
struct ChangeArgs {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    /// Also change what somebody else has changed since the last apply
    #[arg(long)]
    force: bool,

    /// Where the old values are kept. Default: /var/lib/corelane-tune/state.json, inside the root
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &TuneArgs) -> Result<(), Failure> {
    match &args.command {
        TuneCommand::Check { host } => check(host, args.output),
        TuneCommand::Apply { host, change, only } => apply(host, change, only, args.output),
        TuneCommand::Revert { root, change } => revert(root, change, args.output),
        TuneCommand::Disk { dir, duration, size } => disk(&dir.data_dir, *duration, *size, args.output),
    }
}

/// Parses `16M`, `4G`; a bare number is bytes. Errors: a text for the person who typed it.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        unit => return Err(format!("{unit:?} is no unit of size; known are K, M, G")),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a size like 512M or 4G".to_string())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes >= bench::BYTES_MIN);
    bytes.ok_or_else(|| format!("expected at least {}", human_bytes(bench::BYTES_MIN)))
}

impl RootArgs {
    fn root(&self) -> Result<Root, Failure> {
        match self.root.is_dir() {
            true => Ok(Root::new(&self.root)),
            false => Err(Failure::Local(format!("{}: no such directory", self.root.display()))),
        }
    }
}

impl HostArgs {
    fn host(&self) -> Result<Host, Failure> {
        let root = self.root.root()?;
        // Only this process's own limits and its own ring can be tried out.
        let own = root.is_machine() && self.pid.is_none();
        let by_default =
            || own.then(|| probe::cores().map(|cores| probe::shards_by_default(cores.len())).ok()).flatten();
        Ok(Host {
            data_dir: data_dir(&root, &self.dir.data_dir)?,
            process: self.pid.map_or("self".to_string(), |pid| pid.to_string()),
            shards: self.shards.or_else(|| by_default().and_then(|count| u16::try_from(count).ok())),
            ring: own.then(|| ring::probe().map_err(|e| e.to_string())),
            root,
        })
    }
}

/// The data directory as a path inside the root.
fn data_dir(root: &Root, dir: &Path) -> Result<String, Failure> {
    let absolute = match root.is_machine() {
        true => std::path::absolute(dir),
        false => Ok(Path::new("/").join(dir)),
    };
    let absolute = absolute.map_err(|e| Failure::Local(format!("{}: {e}", dir.display())))?;
    let text = absolute.to_str().map(str::to_string);
    text.ok_or_else(|| Failure::Usage(format!("the path {} is not UTF-8", dir.display())))
}

fn check(args: &HostArgs, output: Output) -> Result<(), Failure> {
    let findings = checks::all(&args.host()?);
    match output {
        Output::Json => print_json(&findings_json(&findings))?,
        Output::Human => print_text(&findings_text(&findings))?,
    }
    match count(&findings, Verdict::Bad) {
        0 => Ok(()),
        1 => Err(Failure::Damaged("one thing is bad".to_string())),
        many => Err(Failure::Damaged(format!("{many} things are bad"))),
    }
}

fn count(findings: &[Finding], verdict: Verdict) -> usize {
    findings.iter().filter(|finding| finding.verdict == verdict).count()
}

fn findings_json(findings: &[Finding]) -> Value {
    json!({
        "findings": findings.iter().map(Finding::json).collect::<Vec<Value>>(),
        "summary": {
            "good": count(findings, Verdict::Good),
            "could_be_better": count(findings, Verdict::CouldBeBetter),
            "bad": count(findings, Verdict::Bad),
            "cannot_tell": count(findings, Verdict::CannotTell),
            "apply_changes": findings.iter().filter(|finding| !finding.changes.is_empty()).count(),
        },
    })
}

fn findings_text(findings: &[Finding]) -> String {
    let mut table = Table::new(&["VERDICT", "KNOB", "OF", "IS", "SHOULD BE", "APPLY"]);
    let mut reasons = String::new();
    for finding in findings {
        table.row(vec![
            finding.verdict.to_string(),
            finding.knob.name.to_string(),
            finding.subject.clone(),
            shortened(&finding.is),
            shortened(&finding.want),
            if finding.changes.is_empty() { "" } else { "can change it" }.to_string(),
        ]);
        if finding.verdict != Verdict::Good {
            let of =
                if finding.subject.is_empty() { String::new() } else { format!(" of {}", finding.subject) };
            reasons += &format!("\n{}{of}: {}\n", finding.knob.name, finding.knob.why);
            if !finding.note.is_empty() {
                reasons += &format!("  {}\n", finding.note);
            }
        }
    }
    let changeable = findings.iter().filter(|finding| !finding.changes.is_empty()).count();
    format!(
        "{}{reasons}\n{} good, {} could be better, {} bad, {} cannot be told here; 'corelane tune apply' can change \
         {changeable} of them\n",
        table.render(),
        count(findings, Verdict::Good),
        count(findings, Verdict::CouldBeBetter),
        count(findings, Verdict::Bad),
        count(findings, Verdict::CannotTell),
    )
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Failure {
        Failure::Local(error.to_string())
    }
}

impl ChangeArgs {
    fn ledger(&self, root: &Root) -> Result<Ledger, Failure> {
        let path = self.state.clone().unwrap_or_else(|| root.locate(STATE));
        let ledger = if self.dry_run { Ledger::look(root, &path) } else { Ledger::lock(root, &path) }?;
        if ledger.outlived > 0 {
            let count = ledger.outlived;
            eprintln!(
                "corelane: the machine has been restarted since the last apply, which put back its {count} values"
            );
        }
        Ok(ledger)
    }
}

fn apply(args: &HostArgs, change: &ChangeArgs, only: &[String], output: Output) -> Result<(), Failure> {
    if let Some(unknown) = only.iter().find(|name| !checks::knobs().any(|knob| knob.name == **name)) {
        return Err(Failure::Usage(format!("{unknown:?} is no knob: 'corelane tune check' names them")));
    }
    let host = args.host()?;
    let mut findings = checks::all(&host);
    findings.retain(|finding| only.is_empty() || only.iter().any(|name| name == finding.knob.name));
    let mut ledger = change.ledger(&host.root)?;
    let steps = ledger.plan(&findings, change.force);
    carry_out(steps, change.dry_run, output, |steps| ledger.apply(steps))
}

fn revert(root: &RootArgs, change: &ChangeArgs, output: Output) -> Result<(), Failure> {
    let mut ledger = change.ledger(&root.root()?)?;
    let steps = ledger.plan_revert(change.force);
    carry_out(steps, change.dry_run, output, |steps| ledger.revert(steps))
}

/// Shows a plan, does it unless that was all, and says what became of it.
fn carry_out(
    steps: Vec<Step>,
    dry_run: bool,
    output: Output,
    act: impl FnOnce(&[Step]) -> Result<Vec<Outcome>, ChangeError>,
) -> Result<(), Failure> {
    if output == Output::Human {
        print_text(&plan_text(&steps))?;
    }
    if dry_run {
        return match output {
            Output::Human => Ok(()),
            Output::Json => {
                print_json(&json!({"plan": steps.iter().map(Step::json).collect::<Vec<Value>>()}))
            }
        };
    }
    let outcomes = act(&steps)?;
    let failed = outcomes.iter().filter(|outcome| outcome.is_failure()).count();
    match output {
        Output::Human => print_text(&outcomes_text(&steps, &outcomes))?,
        Output::Json => {
            let rows = steps.iter().zip(&outcomes).map(|(step, outcome)| {
                let mut row = step.json();
                row["outcome"] = json!(outcome.to_string());
                row["failed"] = json!(outcome.is_failure());
                row
            });
            print_json(&json!({"results": rows.collect::<Vec<Value>>()}))?;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Refused(format!("{failed} of {} files are not as they were to be", steps.len()))),
    }
}

fn plan_text(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "nothing to change\n".to_string();
    }
    let mut table = Table::new(&["KNOB", "FILE", "FROM", "TO", "NOTE"]);
    for step in steps {
        table.row(vec![
            step.knob.clone(),
            step.path.clone(),
            step.from.clone(),
            step.to.clone().unwrap_or_default(),
            match (&step.hold, &step.to) {
                (Some(hold), _) => hold.to_string(),
                (None, None) => "remembered: the kernel resets it".to_string(),
                (None, Some(_)) => String::new(),
            },
        ]);
    }
    table.render()
}

/// What did not go as planned, and a summary.
fn outcomes_text(steps: &[Step], outcomes: &[Outcome]) -> String {
    let lines = steps.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_failure());
    let mut text: String = lines.map(|(step, outcome)| format!("{}: {outcome}\n", step.path)).collect();
    let done = outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count();
    if !outcomes.is_empty() {
        text += &format!("{done} of {} files done\n", outcomes.len());
    }
    text
}

fn disk(dir: &Path, duration: Duration, bytes: u64, output: Output) -> Result<(), Failure> {
    // Neither beside a broker nor before one that starts meanwhile.
    let _lock = probe::lock_data_dir(dir).map_err(Failure::Local)?;
    probe::direct_io(dir).map_err(Failure::Local)?;
    let mut line = StatusLine::new();
    let plan = Plan { dir: dir.to_path_buf(), duration, bytes };
    let report = bench::measure(&plan, &mut |done, of, what| {
        line.draw(&format!("{:>3} %  {what}", done * 100 / of));
    });
    line.clear();
    let report = report.map_err(|e| Failure::Local(e.to_string()))?;
    let cores = probe::cores().map_or(1, |cores| cores.len());
    if let Some(load) = report.load.filter(|load| *load > cores as f64) {
        eprintln!(
            "corelane: the machine was busy before (load {load:.1} on {cores} cores), and what was measured is that as \
             well: measure again when it is quiet"
        );
    }
    let stored = report.store(dir);
    stored.map_err(|e| Failure::Local(format!("disk.toml cannot be written in {}: {e}", dir.display())))?;
    match output {
        Output::Json => print_json(&report.json()),
        Output::Human => print_text(&report_text(&report, dir)),
    }
}

fn report_text(report: &Report, dir: &Path) -> String {
    let mut table = Table::new(&[
        "WHAT",
        "SIZE",
        "AT ONCE",
        "PER SECOND",
        "FLOW",
        "P50 us",
        "P99 us",
        "P99.9 us",
        "MAX us",
    ]);
    let mut row = |what: &str, sample: &Sample| {
        let mut cells = vec![
            what.to_string(),
            human_bytes(sample.bytes as u64),
            sample.depth.to_string(),
            format!("{:.0}", sample.rate()),
            format!("{}/s", human_bytes(sample.flow() as u64)),
        ];
        cells.extend(sample.us.iter().map(u64::to_string));
        table.row(cells);
    };
    let writes = report.sizes.iter().chain(&report.depths).chain([&report.write_bandwidth]);
    writes.for_each(|sample| row("synced write", sample));
    report.reads.iter().chain([&report.read_bandwidth]).for_each(|sample| row("read", sample));
    for Mixed { writes, reads } in &report.mixed {
        row("synced write beside", writes);
        row("  reads", reads);
    }
    let bounds = report.bounds;
    format!(
        "{}\nof the whole disk at once: at most {} writes and {} reads\nwritten to {}; the broker reads it at its next \
         start\n",
        table.render(),
        bounds.writes_max,
        bounds.reads_max,
        dir.join(corelane_tuning::profile::FILE).display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("16M", 16 << 20),
            ("4G", 4 << 30),
            ("1GiB", 1 << 30),
            ("20000k", 20_000 << 10),
            ("16777216", 1 << 24),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "M", "15M", "-1G", "1.5G", "1T", "18446744073709551615G"] {
            assert!(parse_size(bad).is_err(), "{bad} was taken");
        }
    }
}
