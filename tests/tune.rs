//! `corelane tune` as an operator meets it: on this machine, where it only looks, and on trees of our own, where it
//! changes things and puts them back.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use corelane_tuning::profile::Bounds;
use serde_json::Value;

use crate::cli::{self, Done};
use crate::harness::{Broker, TestDir, binary};

/// Runs `corelane tune` with the words of `line` in `dir`.
fn tune(dir: &Path, line: &str) -> Done {
    let mut command = Command::new(binary());
    command.arg("tune").args(line.split_whitespace()).current_dir(dir).env_remove("CORELANE_DATA_DIR");
    let output = command.stdin(Stdio::null()).output().expect("the binary can be started");
    Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The finding of a knob in what `check --output json` printed.
#[track_caller]
fn finding<'a>(report: &'a Value, knob: &str) -> &'a Value {
    let all = report["findings"].as_array().expect("a list");
    all.iter()
        .find(|finding| finding["knob"] == knob)
        .unwrap_or_else(|| panic!("{knob} is missing: {report}"))
}

#[test]
fn this_machine_is_looked_at_and_left_alone() {
    let dir = TestDir::new("tune-check");
    let done = tune(dir.path(), "check --output json");
    let report = done.json();
    // 5 where something is bad, which is this machine's affair.
    let bad = report["summary"]["bad"].as_u64().expect("a number");
    assert_eq!(done.code, Some(if bad > 0 { 5 } else { 0 }), "{done:?}");
    assert_eq!(finding(&report, "kernel.version")["verdict"], "good");
    assert_eq!(
        finding(&report, "container.seccomp")["verdict"],
        "good",
        "brokers are started in these tests"
    );
    for finding in report["findings"].as_array().expect("a list") {
        assert!(!finding["why"].as_str().expect("a reason").is_empty(), "{finding}");
        // What can be changed on this machine stands there now with another value.
        for change in finding["changes"].as_array().expect("a list") {
            let path = change["path"].as_str().expect("a path");
            let now = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_ne!(Some(now.trim()), change["value"].as_str(), "{path}");
        }
    }
    let text = tune(dir.path(), "check").expect_code(if bad > 0 { 5 } else { 0 }).stdout;
    assert!(text.contains("VERDICT") && text.contains("'corelane tune apply' can change"), "{text}");

    let plan = tune(dir.path(), "apply --dry-run --output json --state state.json").expect_code(0).json();
    for step in plan["plan"].as_array().expect("a list").iter().filter(|step| !step["to"].is_null()) {
        let now = fs::read_to_string(step["path"].as_str().expect("a path")).expect("it was just read");
        let from = step["from"].as_str().expect("a value");
        assert!(now.split_whitespace().collect::<Vec<_>>().join(" ").contains(from), "{step}: {now}");
    }
    assert_eq!(
        tune(dir.path(), "revert --dry-run --state state.json").expect_code(0).stdout,
        "nothing to change\n"
    );
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0, "looking leaves nothing behind");
}

/// A small host: one disk with a scheduler, and some sysctls.
fn small_host(dir: &TestDir) -> PathBuf {
    let root = dir.path().join("root");
    for (path, text) in [
        ("proc/sys/vm/swappiness", "60\n"),
        ("proc/swaps", "Filename\tType\n/dev/sda2 partition\n"),
        ("proc/sys/net/core/somaxconn", "128\n"),
        ("proc/sys/net/core/wmem_max", "1000\n"),
        ("proc/self/status", "Seccomp:\t0\nCpus_allowed_list:\t0-1\n"),
        ("proc/self/mountinfo", "29 1 8:0 / / rw,relatime - ext4 /dev/sda rw\n"),
        ("sys/dev/block/8:0/queue/scheduler", "none [mq-deadline]\n"),
        ("sys/dev/block/8:0/queue/nr_requests", "256\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("room");
        fs::write(path, text).expect("room");
    }
    root
}

/// Every file of the tree, with its text but for the choices beside the chosen one, which only a kernel writes.
fn values(folder: &Path, into: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a folder").path();
        if path.is_dir() {
            values(&path, into);
        } else {
            let text = fs::read_to_string(&path).expect("text");
            into.insert(path, corelane_tuning::root::value_of(&text));
        }
    }
}

fn all_values(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for top in ["proc", "sys"] {
        values(&root.join(top), &mut found);
    }
    found
}

#[test]
fn what_is_applied_is_reverted() {
    let dir = TestDir::new("tune-apply");
    let root = small_host(&dir);
    let before = all_values(&root);
    let said = tune(dir.path(), "check --root root --data-dir /data").expect_code(5);
    assert!(said.stderr.contains("one thing is bad"), "{said:?}");
    tune(dir.path(), "apply --root root --data-dir /data --dry-run").expect_code(0);
    assert_eq!(all_values(&root), before);

    tune(dir.path(), "apply --root root --data-dir /data --only vm.swappiness").expect_code(0);
    let swappiness = root.join("proc/sys/vm/swappiness");
    assert_eq!(fs::read_to_string(&swappiness).expect("text"), "1\n");
    let plan = tune(dir.path(), "apply --root root --data-dir /data").expect_code(0).stdout;
    assert!(plan.contains("net.core.wmem_max") && !plan.contains("swappiness"), "{plan}");
    let report = tune(dir.path(), "check --root root --data-dir /data --output json").expect_code(0).json();
    assert_eq!(finding(&report, "disk.scheduler")["is"], "none");
    assert_eq!(report["summary"]["apply_changes"], 0);

    // As the kernel does when the scheduler changes, and as a colleague does.
    fs::write(root.join("sys/dev/block/8:0/queue/nr_requests"), "256\n").expect("room");
    fs::write(&swappiness, "33\n").expect("room");
    let said = tune(dir.path(), "revert --root root --output json").expect_code(1);
    let rows = said.json()["results"].as_array().expect("a list").clone();
    let failed: Vec<&Value> = rows.iter().filter(|row| row["failed"] == true).collect();
    assert_eq!(failed.len(), 1, "{said:?}");
    assert!(failed[0]["outcome"].as_str().expect("words").contains("somebody has changed it"), "{said:?}");
    tune(dir.path(), "revert --root root --force").expect_code(0);
    assert_eq!(all_values(&root), before);
    assert!(!root.join("var/lib/corelane-tune/state.json").exists());
}

#[test]
fn mistakes_are_told() {
    let dir = TestDir::new("tune-mistakes");
    let root = small_host(&dir);
    let before = all_values(&root);
    for (line, code, said) in [
        ("apply --root root --only vm.swapiness", 2, "is no knob"),
        ("check --root nowhere", 4, "no such directory"),
        ("check --shards 0", 2, "--shards"),
        ("disk --size 1K", 2, "16.0 MiB"),
        ("disk --data-dir data --size 900000G", 4, "--size"),
        ("disk --data-dir /dev/shm/corelane-tune-refused", 4, "tmpfs"),
    ] {
        let done = tune(dir.path(), line).expect_code(code);
        assert!(done.stderr.contains(said), "{line}: {done:?} lacks {said:?}");
    }
    let _ = fs::remove_dir_all("/dev/shm/corelane-tune-refused");
    // Old values that cannot be understood are never written over.
    fs::write(dir.path().join("state.json"), "{}").expect("room");
    for verb in ["apply --data-dir /data", "revert"] {
        let done = tune(dir.path(), &format!("{verb} --root root --state state.json")).expect_code(4);
        assert!(done.stderr.contains("cannot be understood"), "{done:?}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("state.json")).expect("text"), "{}");
    assert_eq!(all_values(&root), before);
}

#[test]
fn the_broker_keeps_to_what_was_measured() {
    if std::env::var_os("CORELANE_TEST_BOOTSTRAP").is_some() {
        println!("skipped: it needs a broker of its own");
        return;
    }
    let mut broker = Broker::start_with("tune-disk", &["--shards", "2"]);
    // Beside a broker nothing is measured.
    let line = "disk --data-dir data --duration 300ms --size 16M --output json";
    let done = tune(broker.dir(), line).expect_code(4);
    assert!(done.stderr.contains(&format!("process {}", broker.pid())), "{done:?}");
    assert!(!broker.log_tail().contains("disk.toml"), "{}", broker.log_tail());
    assert_eq!(broker.stop().code(), Some(0));

    let report = tune(broker.dir(), line).expect_code(0).json();
    let bounds = Bounds::read(&broker.data_dir()).expect("sound").expect("just written");
    assert_eq!(report["bounds"]["writes_max"], bounds.writes_max);
    let left = fs::read_dir(broker.data_dir()).expect("it is there").filter_map(Result::ok);
    let hidden = left.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count();
    assert_eq!(hidden, 0, "the test file is gone");
    broker.launch();
    let share = bounds.share(2);
    let said = format!("writes_max={} reads_max={}", share.writes_max, share.reads_max);
    assert!(broker.log_tail().contains(&said), "{said:?} is missing in {}", broker.log_tail());
    assert_eq!(broker.stop().code(), Some(0));

    fs::write(broker.data_dir().join("disk.toml"), "version = 1\n[bounds]\nwrites_max = 0\n").expect("room");
    broker.launch();
    let log = broker.log_tail();
    assert!(log.contains("WARN") && log.contains("writes_max is no number"), "{log}");
    assert_eq!(broker.stop().code(), Some(0));
}

#[test]
fn a_killed_measurement_leaves_nothing() {
    let dir = TestDir::new("tune-killed");
    let mut command = Command::new(binary());
    command.args(["tune", "disk", "--duration", "1h", "--size", "16M", "--data-dir"]).arg(dir.path());
    let mut child = command.spawn().expect("the binary can be started");
    let descriptors = PathBuf::from(format!("/proc/{}/fd", child.id()));
    // It works on a file that has no name any more, and goes on.
    let is_open = || {
        let links = fs::read_dir(&descriptors).expect("it runs").filter_map(Result::ok);
        let mut links = links.filter_map(|link| fs::read_link(link.path()).ok());
        links.any(|file| file.starts_with(dir.path()) && file.to_string_lossy().ends_with(" (deleted)"))
    };
    while !is_open() {
        assert_eq!(child.try_wait().expect("our own child"), None, "it ended before it began");
        std::thread::yield_now();
    }
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    let left: Vec<_> = fs::read_dir(dir.path()).expect("it is there").filter_map(Result::ok).collect();
    assert_eq!(left.len(), 1, "the lock and nothing else: {left:?}");
}

/// A command under the seccomp profile, without a container around it.
fn filtered(program: &Path) -> Command {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command
        .arg(top.join("tests/tune/seccomp_run.py"))
        .arg(top.join("tuning/deploy/seccomp.json"))
        .arg(program);
    command
}

#[test]
fn the_broker_runs_under_the_seccomp_profile() {
    let dir = TestDir::new("tune-seccomp");
    let refused = filtered(Path::new("unshare")).args(["--user", "true"]).output().expect("python3 is there");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not permitted"), "{refused:?}");
    let checked =
        filtered(&binary()).args(["tune", "check", "--output", "json"]).output().expect("python3 is there");
    let report: Value =
        serde_json::from_slice(&checked.stdout).unwrap_or_else(|e| panic!("{e}: {checked:?}"));
    assert_eq!(finding(&report, "container.seccomp")["is"], "filtered, a ring can be set up");

    let mut command = filtered(&binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]).arg(dir.path());
    let mut broker = command.stdout(Stdio::piped()).spawn().expect("python3 is there");
    let mut lines = BufReader::new(broker.stdout.take().expect("asked for")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.strip_prefix("listening on ")?.to_string()));
    let address = address.expect("it says where it listens, or why not above");
    cli::run(&address, "produce filtered", b"one\ntwo\n").expect_code(0);
    assert_eq!(cli::run(&address, "consume filtered", b"").expect_code(0).stdout, "one\ntwo\n");
    let sent =
        Command::new("kill").args(["-TERM", &broker.id().to_string()]).status().expect("kill(1) is there");
    assert!(sent.success(), "SIGTERM reached the broker");
    lines.for_each(drop);
    assert_eq!(broker.wait().expect("our own child").code(), Some(0));
}
