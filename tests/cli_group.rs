//! `corelane group` and `corelane consume --group` against a real broker, as a user or a script meets them.
//!
//! What is said here of groups is Kafka's behaviour: it runs against any other broker too (`CORELANE_TEST_BOOTSTRAP`).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cli::{command, fresh, run};
use crate::harness::Broker;

/// Far beyond what a group takes to settle on a machine that also builds.
const PATIENCE: Duration = Duration::from_secs(90);

/// A member in a process of its own, with the values it has printed.
struct Member {
    child: Child,
    lines: Receiver<String>,
}

impl Member {
    fn start(address: &str, line: &str) -> Member {
        let mut command: Command = command(address, line);
        let mut child = command.stdin(Stdio::null()).spawn().expect("the binary can be started");
        let stdout = child.stdout.take().expect("asked for as a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Member { child, lines }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a record comes")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a process that was started here");
    }

    /// Asks for the end and waits for it.
    #[track_caller]
    fn stop(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        let status = self.child.wait().expect("it can be waited for");
        assert!(status.success(), "a member that is asked to stop ends with {status}");
        self.lines.iter().collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn describe(address: &str, group: &str) -> Value {
    let mut all = run(address, &format!("group describe {group} --output json"), b"").expect_code(0).json();
    all[0].take()
}

/// Describes the group again and again until `reached`.
#[track_caller]
fn wait_for(address: &str, group: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = describe(address, group);
        if reached(&now) {
            return now;
        }
        assert!(Instant::now() < end, "the group stays {now}");
    }
}

fn produce(address: &str, topic: &str, partition: i32, values: std::ops::Range<u32>) {
    let text: String = values.map(|value| format!("{value}\n")).collect();
    run(address, &format!("produce {topic} --partition {partition}"), text.as_bytes()).expect_code(0);
}

fn offsets(described: &Value, field: &str) -> Vec<Value> {
    let rows = described["offsets"].as_array().expect("a list of partitions");
    rows.iter().map(|row| json!([row["partition"], row[field]])).collect()
}

#[test]
fn cli_group_members_share_a_topic_and_commit_what_they_print() {
    let broker = Broker::start("cli-group");
    let address = broker.address();
    let (topic, group) = (fresh("shared"), fresh("group"));
    run(address, &format!("topic create {topic} --partitions 2"), b"").expect_code(0);
    produce(address, &topic, 0, 0..10);
    produce(address, &topic, 1, 10..30);

    // All there is, then stop; the group has read it.
    let once = format!("consume {topic} --group {group} --quiet");
    let first = run(address, &once, b"").expect_code(0);
    let read: BTreeSet<u32> = first.stdout.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(read, (0..30).collect(), "{first:?}");
    let after = wait_for(address, &group, |now| now["state"] == "Empty");
    assert_eq!(offsets(&after, "committed"), [json!([0, 10]), json!([1, 20])]);
    assert_eq!(offsets(&after, "lag"), [json!([0, 0]), json!([1, 0])]);
    assert_eq!(after["type"], "consumer");

    // Two members have a partition each.
    let follow = format!("consume {topic} --group {group} --follow --quiet");
    let members = [Member::start(address, &follow), Member::start(address, &follow)];
    wait_for(address, &group, |now| {
        let members = now["members"].as_array().expect("a list of members");
        let held = members.iter().map(|member| member["assignment"].as_array().map_or(0, Vec::len));
        now["state"] == "Stable" && held.collect::<Vec<_>>() == [1, 1]
    });
    produce(address, &topic, 0, 30..31);
    produce(address, &topic, 1, 31..32);
    let both: BTreeSet<String> = members.iter().map(Member::next).collect();
    assert_eq!(both, BTreeSet::from(["30".to_string(), "31".to_string()]), "each reads its own");

    // One is killed: the other takes its partition over once the session has timed out, or goes on alone after a stop.
    let [one, other] = members;
    assert_eq!(one.stop(), Vec::<String>::new());
    produce(address, &topic, 0, 32..33);
    produce(address, &topic, 1, 33..34);
    let rest = BTreeSet::from([other.next(), other.next()]);
    assert_eq!(rest, BTreeSet::from(["32".to_string(), "33".to_string()]), "the other reads both");
    assert_eq!(other.stop(), Vec::<String>::new());
    let after = wait_for(address, &group, |now| now["state"] == "Empty");
    assert_eq!(offsets(&after, "committed"), [json!([0, 12]), json!([1, 22])]);
}

#[test]
fn cli_group_counts_commit_only_what_was_printed() {
    let broker = Broker::start("cli-group-count");
    let address = broker.address();
    let (topic, group) = (fresh("counted"), fresh("group"));
    run(address, &format!("topic create {topic} --partitions 1"), b"").expect_code(0);
    // One batch: a count may end in the middle of it.
    produce(address, &topic, 0, 0..10);
    let take = |count: u32| run(address, &format!("consume {topic} --group {group} --count {count} -q"), b"");
    assert_eq!(take(3).expect_code(0).stdout, "0\n1\n2\n");
    assert_eq!(take(4).expect_code(0).stdout, "3\n4\n5\n6\n");
    assert_eq!(take(100).expect_code(0).stdout, "7\n8\n9\n");
}

#[test]
fn cli_group_offsets_are_reset_by_a_plan_and_deleted() {
    let broker = Broker::start("cli-group-reset");
    let address = broker.address();
    let (topic, group) = (fresh("reset"), fresh("group"));
    run(address, &format!("topic create {topic} --partitions 2"), b"").expect_code(0);
    produce(address, &topic, 0, 0..10);
    produce(address, &topic, 1, 0..6);
    run(address, &format!("consume {topic} --group {group} --quiet"), b"").expect_code(0);
    let reset =
        |target: &str| run(address, &format!("group reset-offsets {group} {target} --output json"), b"");
    let committed = || {
        let described = wait_for(address, &group, |now| now["state"] == "Empty");
        offsets(&described, "committed")
    };
    let all = format!("--topic {topic}");

    // A plan changes nothing.
    let plan = reset(&format!("{all} --to-earliest")).expect_code(0).json();
    assert_eq!((&plan[0]["current"], &plan[0]["new"]), (&json!(10), &json!(0)), "{plan}");
    assert_eq!(committed(), [json!([0, 10]), json!([1, 6])]);

    for (target, expected) in [
        ("--to-earliest", [0, 0]),
        ("--shift-by 3", [3, 3]),
        ("--to-offset 8", [8, 6]),
        ("--shift-by -100", [0, 0]),
        ("--to-datetime 2020-01-01", [0, 0]),
        ("--to-latest", [10, 6]),
        ("--by-duration 7d", [0, 0]),
        ("--to-current", [0, 0]),
        ("--to-datetime 2100-01-01", [10, 6]),
    ] {
        let done = reset(&format!("{all} {target} --execute")).expect_code(0).json();
        assert_eq!(done[0]["executed"], true, "{target}: {done}");
        assert_eq!(committed(), [json!([0, expected[0]]), json!([1, expected[1]])], "{target}");
    }
    reset(&format!("--topic {topic}:1 --to-offset 2 --execute")).expect_code(0);
    assert_eq!(committed(), [json!([0, 10]), json!([1, 2])]);

    // Out into a file, and in again.
    let export = format!("group reset-offsets {group} --all-topics --to-current --export");
    let csv = run(address, &export, b"").expect_code(0).stdout;
    assert_eq!(csv, format!("{topic},0,10\n{topic},1,2\n"));
    reset(&format!("{all} --to-earliest --execute")).expect_code(0);
    let file = broker.dir().join("offsets.csv");
    std::fs::write(&file, csv).expect("the test's own directory");
    reset(&format!("--from-file {} --execute", file.display())).expect_code(0);
    assert_eq!(committed(), [json!([0, 10]), json!([1, 2])]);

    for (target, code) in [
        ("--to-earliest", 2),
        ("--topic no-such-topic-here --to-earliest", 1),
        ("--all-topics --from-file /no/such/file", 4),
        ("--all-topics", 2),
        ("--all-topics --to-latest --to-earliest", 2),
    ] {
        reset(target).expect_code(code);
    }

    run(address, &format!("group delete-offsets {group} --topic {topic}:1"), b"").expect_code(0);
    assert_eq!(committed(), [json!([0, 10])]);
    run(address, &format!("group delete {group}"), b"").expect_code(0);
    run(address, &format!("group describe {group}"), b"").expect_code(1);
    run(address, &format!("group delete {group}"), b"").expect_code(1);
}

#[test]
fn cli_group_lists_and_refuses_what_would_disturb_members() {
    let broker = Broker::start("cli-group-list");
    let address = broker.address();
    let (topic, group) = (fresh("listed"), fresh("group"));
    run(address, &format!("topic create {topic} --partitions 1"), b"").expect_code(0);
    produce(address, &topic, 0, 0..1);
    let member = Member::start(address, &format!("consume {topic} --group {group} --follow --quiet"));
    assert_eq!(member.next(), "0");
    wait_for(address, &group, |now| now["state"] == "Stable");
    let listed = |filter: &str| {
        let all = run(address, &format!("group list --output json {filter}"), b"").expect_code(0).json();
        all.as_array().expect("a list").iter().any(|row| row["group"] == group)
    };
    assert!(listed("") && listed("--state stable") && listed("--type consumer"));
    assert!(!listed("--state empty") && !listed("--type classic"));
    let text = run(address, &format!("group describe {group}"), b"").expect_code(0).stdout;
    assert!(text.contains(&group) && text.contains("LAG") && text.contains("corelane-cli"), "{text}");

    let reset = format!("group reset-offsets {group} --topic {topic} --to-earliest --execute");
    run(address, &reset, b"").expect_code(1);
    run(address, &format!("group delete {group}"), b"").expect_code(1);
    run(address, &format!("group delete-offsets {group} --topic {topic}"), b"").expect_code(1);
    assert_eq!(member.stop(), Vec::<String>::new());
}
