//! One recording, from the load to the picture.
//!
//! `corelane-bench compare --profile` starts the broker on its cores and an empty directory, fills a backlog if the workload has
//! one, then samples while the load runs. Everything between stays below `target/flamegraphs/WORKLOAD`: the run's
//! results, `perf.data` and the folded stacks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::picture::{self, Caption};
use crate::programs::{Programs, output, repository};
use crate::stacks::{self, Stacks};
use crate::summary::Summary;
use crate::{PROFILES, RecordArgs, readings};

/// `record`: see the subcommand's help. Errors: what could not be built, run or written.
pub fn record(args: &RecordArgs) -> io::Result<()> {
    let root = repository()?;
    let programs = Programs::prepare(&root, args.broker.as_deref())?;
    let all = PROFILES.iter().map(|(_, workload)| (*workload).to_owned());
    let workloads: Vec<String> =
        if args.all { all.collect() } else { args.workload.iter().cloned().collect() };
    for workload in &workloads {
        record_one(&root, &programs, args, workload)?;
    }
    Ok(())
}

fn record_one(root: &Path, programs: &Programs, args: &RecordArgs, workload: &str) -> io::Result<()> {
    println!("{workload}: recording");
    let folder = root.join("target/flamegraphs").join(workload);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let run = load(root, programs, args, workload, &folder)?;
    let results: Value = serde_json::from_slice(&fs::read(run.join("results.json"))?)?;
    let stacks = read_profile(&run.join("perf.data"))?;
    fs::write(folder.join("folded.txt"), stacks::to_text(&stacks))?;
    let caption = Caption {
        workload: workload.to_owned(),
        command: said(args, workload),
        commit: programs.commit.clone(),
        machine: conditions(&results),
    };
    let picture = format!("flamegraphs/{workload}.svg");
    fs::write(root.join(&picture), picture::draw(&stacks, &caption)?)?;
    let figures = figures(&caption, &results, &Summary::of(&stacks));
    println!("{figures}\n\npicture      {picture}\nfolded       target/flamegraphs/{workload}/folded.txt");
    let readme = root.join("flamegraphs/README.md");
    if let Some(text) = readings::replace(&fs::read_to_string(&readme)?, workload, &figures) {
        fs::write(&readme, text)?;
        println!("figures      flamegraphs/README.md");
    }
    Ok(())
}

/// Has a broker started, loaded and sampled; the folder of the run. Errors: no run was stored.
fn load(
    root: &Path,
    programs: &Programs,
    args: &RecordArgs,
    workload: &str,
    folder: &Path,
) -> io::Result<PathBuf> {
    let mut command = Command::new(&programs.bench);
    command
        .current_dir(root)
        .args(["compare", workload, "--contenders", "corelane", "--rounds", "1", "--profile", "--quiet"])
        .args(["--warm-up", &args.warm_up, "--duration", &args.duration])
        .args(["--broker-cpus", &args.broker_cpus, "--load-cpus", &args.load_cpus])
        .arg("--corelane")
        .arg(&programs.broker)
        .arg("--out")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let status = command.status()?;
    let mut inside = folder.to_owned();
    // compare-TIME/runs/TIME-WORKLOAD-LABEL, each alone in its folder.
    for part in ["compare-", "runs", "2"] {
        inside = entry(&inside, part)?.ok_or_else(|| {
            io::Error::other(format!("corelane-bench measured nothing ({status}): see what it said above"))
        })?;
    }
    Ok(inside)
}

/// The entry of a folder whose name begins so.
fn entry(folder: &Path, start: &str) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(start) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Reads samples with perf. Inlined functions are left out: perf asks another program for each of them, which takes hours.
fn read_profile(file: &Path) -> io::Result<Stacks> {
    let fields = "comm,tid,time,period,event,ip,sym,dso";
    stacks::fold(&output(Command::new("perf").args(["script", "--no-inline", "-F", fields, "-i"]).arg(file))?)
}

/// The arguments, with what differs from the defaults.
fn said(args: &RecordArgs, workload: &str) -> String {
    let mut said = format!("record {workload}");
    for (name, value, default) in [
        ("--warm-up", &args.warm_up, "3s"),
        ("--duration", &args.duration, "15s"),
        ("--broker-cpus", &args.broker_cpus, "0"),
        ("--load-cpus", &args.load_cpus, "1"),
    ] {
        if value != default {
            said.push_str(&format!(" {name} {value}"));
        }
    }
    said
}

/// When and where.
fn conditions(results: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    format!("{} UTC, {}", text(&results["taken_at"]), text(&results["machine"]["in_a_line"]))
}

/// What the recording measured, in Markdown.
fn figures(caption: &Caption, results: &Value, summary: &Summary) -> String {
    let number = |pointer: &str| results.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
    let clean = number("/errors/records") == 0.0 && results["verification"]["passed"] == true;
    format!(
        "`{}`, {}; {}.\n\n{:.0} records/s in, {:.0} out; broker {:.2} cores, {:.2} CPU s per million records; \
         everybody else on the machine burnt {:.1} CPU s in the {:.0} s.{}\n{}",
        caption.command,
        caption.commit,
        caption.machine,
        number("/produced/records_per_s"),
        number("/consumed/records_per_s"),
        number("/broker_cost/cpu_cores"),
        number("/broker_cost/cpu_s_per_million_records"),
        number("/broker_cost/others_cpu_s"),
        number("/workload/window_s"),
        if clean { "" } else { " **The load failed in part: this is no profile of a healthy broker.**" },
        summary.to_markdown(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn args() -> RecordArgs {
        RecordArgs {
            workload: None,
            all: true,
            broker: None,
            broker_cpus: "0".to_owned(),
            load_cpus: "1".to_owned(),
            warm_up: "3s".to_owned(),
            duration: "15s".to_owned(),
        }
    }

    #[test]
    fn the_command_can_be_repeated() {
        assert_eq!(said(&args(), "produce-1k"), "record produce-1k");
        let longer = RecordArgs { duration: "30s".to_owned(), ..args() };
        assert_eq!(said(&longer, "produce-1k"), "record produce-1k --duration 30s");
    }

    #[test]
    fn figures_do_not_hide_a_failed_load() {
        let stacks = Stacks::from([("t;corelane_log::append".to_owned(), 2_000_000_000)]);
        let results = json!({
            "taken_at": "20261120-134500",
            "machine": { "in_a_line": "2 cores" },
            "produced": { "records_per_s": 40000.0 },
            "errors": { "records": 0 },
            "verification": { "passed": true },
        });
        let caption = Caption {
            workload: "x".to_owned(),
            command: "record x".to_owned(),
            commit: "commit 1".to_owned(),
            machine: conditions(&results),
        };
        let text = figures(&caption, &results, &Summary::of(&stacks));
        for part in
            ["`record x`, commit 1; 20261120-134500 UTC, 2 cores", "40000 records/s in", "2.00 s of CPU"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("failed"));
        let mut failed = results;
        failed["errors"]["records"] = json!(5);
        assert!(figures(&caption, &failed, &Summary::of(&stacks)).contains("failed in part"));
    }

    #[test]
    fn a_run_is_found_below_its_folder() {
        let folder = std::env::temp_dir().join(format!("corelane-flame-{}", std::process::id()));
        fs::create_dir_all(folder.join("compare-1/runs")).expect("made");
        assert_eq!(entry(&folder, "compare-").expect("read"), Some(folder.join("compare-1")));
        assert_eq!(entry(&folder, "runs").expect("read"), None);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
