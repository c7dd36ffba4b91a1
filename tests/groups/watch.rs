//! What the members of one group have said so far, and waiting for them to say something.
//!
//! Each member's output is read by a thread of its own (`member.rs`), which enters it here; the test waits for conditions
//! on the whole. Nothing here knows clients or brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a condition may take to come true on a loaded machine. A group whose member died waits for the session's end
/// first, and clients wait before they connect again.
const DEADLINE: Duration = Duration::from_secs(90);

/// What one member has said.
#[derive(Debug, Default)]
pub struct MemberState {
    /// The partitions it owns by its own account.
    pub owned: BTreeSet<i32>,
    /// How many times partitions came or went.
    pub moves: u64,
    /// Records it processed.
    pub records: u64,
    /// By partition, since it was last assigned: the highest offset it processed, and one more.
    next: BTreeMap<i32, i64>,
    /// Commits that failed, as the client tells it.
    pub refused: Vec<String>,
    /// It said that it has left.
    pub closed: bool,
    /// Its output has ended.
    pub ended: bool,
}

/// One group: its members, and every record that any of them processed.
#[derive(Debug, Default)]
pub struct GroupState {
    /// By name.
    pub members: BTreeMap<String, MemberState>,
    /// By partition and offset: how many times it was processed, and its value.
    seen: BTreeMap<(i32, i64), (u32, String)>,
    /// Records of `seen` that were processed more than once.
    pub doubled: u64,
    /// Sentences about what must never happen.
    faults: Vec<String>,
    /// The highest offset that a client said was committed, by partition.
    pub committed: BTreeMap<i32, i64>,
}

impl GroupState {
    /// Records processed at least once.
    pub fn processed(&self) -> u64 {
        self.seen.len() as u64
    }

    /// The value of a record, if it was processed.
    pub fn value(&self, partition: i32, offset: i64) -> Option<&str> {
        self.seen.get(&(partition, offset)).map(|(_, value)| value.as_str())
    }

    /// Offsets below `ends` that nobody processed, the first few of each partition, and how many there are.
    pub fn missing(&self, ends: &[i64]) -> (u64, Vec<(i32, i64)>) {
        let (mut count, mut examples) = (0, Vec::new());
        for (partition, end) in (0..).zip(ends) {
            for offset in (0..*end).filter(|offset| !self.seen.contains_key(&(partition, *offset))) {
                count += 1;
                if count % 100 == 1 {
                    examples.push((partition, offset));
                }
            }
        }
        (count, examples)
    }

    /// Records processed more than once, a few of them.
    pub fn doubles(&self) -> Vec<(i32, i64)> {
        self.seen.iter().filter(|(_, (times, _))| *times > 1).map(|(at, _)| *at).take(10).collect()
    }

    /// Enters one line of a member's output.
    fn enter(&mut self, name: &str, line: &str) {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            // A killed member may leave half a line; anything else is for the log.
            return;
        };
        let partitions = || -> Vec<i32> {
            let list = event["partitions"].as_array().into_iter().flatten();
            list.map(|p| p.as_i64().expect("a partition is a number") as i32).collect()
        };
        let partition = event["partition"].as_i64().map(|p| p as i32);
        let member = self.members.entry(name.to_owned()).or_default();
        match event["event"].as_str() {
            Some("assigned") => {
                member.moves += 1;
                member.owned.extend(partitions());
                member.next.retain(|p, _| !partitions().contains(p));
            }
            Some("revoked") => {
                member.moves += 1;
                member.owned.retain(|p| !partitions().contains(p));
            }
            Some("records") => {
                self.enter_records(name, partition.expect("records have a partition"), &event["records"])
            }
            Some("committed") => {
                let offset = event["offset"].as_i64().expect("a commit has an offset");
                let known = self.committed.entry(partition.expect("a commit has a partition")).or_default();
                *known = (*known).max(offset);
            }
            Some("refused") => member.refused.push(event["error"].to_string()),
            Some("closed") => {
                member.closed = true;
                member.owned.clear();
            }
            _ => self.faults.push(format!("{name} says {line:?}")),
        }
    }

    fn enter_records(&mut self, name: &str, partition: i32, records: &Value) {
        let member = self.members.get_mut(name).expect("entered before");
        for record in records.as_array().into_iter().flatten() {
            let offset = record[0].as_i64().expect("a record has an offset");
            let value = record[1].as_str().expect("a record has a text");
            // Going back is doing it again, which at least once allows; going on with a gap is skipping.
            let next = member.next.entry(partition).or_insert(offset);
            if offset > *next {
                self.faults.push(format!("{name} skips from {next} to {offset} of partition {partition}"));
            }
            *next = (*next).max(offset + 1);
            member.records += 1;
            let (times, known) =
                self.seen.entry((partition, offset)).or_insert_with(|| (0, value.to_owned()));
            *times += 1;
            if *times == 2 {
                self.doubled += 1;
            }
            if known != value {
                self.faults.push(format!("{name} read {value:?} at {partition}:{offset}, others {known:?}"));
            }
        }
    }

    /// For a failure's message.
    fn summary(&self) -> String {
        let mut text = format!("{} records processed, {} more than once\n", self.processed(), self.doubled);
        for (name, member) in &self.members {
            let MemberState { owned, moves, records, refused, closed, ended, .. } = member;
            let refused = &refused[refused.len().saturating_sub(3)..];
            writeln!(
                text,
                "{name}: owns {owned:?} after {moves} moves, {records} records, closed {closed}, ended {ended}, \
                 refused {refused:?}"
            )
            .expect("a String takes everything");
        }
        text
    }
}

/// The state of one group, shared by the test, the readers of its members' output and the load.
#[derive(Default)]
pub struct Watch {
    state: Mutex<GroupState>,
    changed: Condvar,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, GroupState> {
        // A test that failed while it looked changed nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters one line of a member's output.
    pub fn enter(&self, name: &str, line: &str) {
        self.lock().enter(name, line);
        self.changed.notify_all();
    }

    /// The member's output has ended.
    pub fn ended(&self, name: &str) {
        self.lock().members.entry(name.to_owned()).or_default().ended = true;
        self.changed.notify_all();
    }

    /// Wakes those who wait, for a reason outside the state.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Looks at the state.
    pub fn look<T>(&self, look: impl FnOnce(&GroupState) -> T) -> T {
        look(&self.lock())
    }

    /// Waits until something changes, at most so long.
    pub fn pause(&self, limit: Duration) {
        drop(self.changed.wait_timeout(self.lock(), limit));
    }

    /// Waits for a condition. Panics: with `what` and the state, if it does not come true in time or something happened
    /// that must not.
    pub fn wait(&self, what: &str, condition: impl Fn(&GroupState) -> bool) {
        let end = Instant::now() + DEADLINE;
        let mut state = self.lock();
        loop {
            assert!(
                state.faults.is_empty(),
                "while waiting for: {what}\n{:?}\n{}",
                state.faults,
                state.summary()
            );
            if condition(&state) {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not within {DEADLINE:?}: {what}\n{}", state.summary());
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[test]
fn groups_watch_finds_what_is_skipped_doubled_or_different() {
    let mut state = GroupState::default();
    let records = |list: &str| format!(r#"{{"event":"records","partition":1,"records":{list}}}"#);
    state.enter("a", r#"{"event":"assigned","partitions":[1]}"#);
    state.enter("a", &records(r#"[[0,"x"],[1,"y"]]"#));
    state.enter("a", &records(r#"[[1,"y"],[2,"z"]]"#));
    assert_eq!((state.processed(), state.doubled, state.doubles()), (3, 1, vec![(1, 1)]));
    assert!(state.faults.is_empty(), "{:?}", state.faults);
    assert_eq!(state.missing(&[1, 4]), (2, vec![(0, 0)]));
    state.enter("a", &records(r#"[[5,"gap"]]"#));
    assert_eq!(state.faults.len(), 1);
    // Another assignment may begin elsewhere.
    state.enter("a", r#"{"event":"assigned","partitions":[1]}"#);
    state.enter("a", &records(r#"[[9,"on"]]"#));
    assert_eq!(state.faults.len(), 1);
    state.enter("b", &records(r#"[[0,"other"]]"#));
    assert_eq!(state.faults.len(), 2);
    state.enter("b", r#"{"event":"records","part"#);
    assert_eq!(state.faults.len(), 2, "half a line of a killed member");
}
