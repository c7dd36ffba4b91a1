//! Changes a host as the findings ask, and puts back what was there.
//!
//! The order is: plan, then old values on disk, then the first write, then what was read back on disk. So whatever ends
//! an apply in the middle, the state file names everything that may have been changed, with what stood there before. A
//! second apply adds to it and keeps the first one's originals. A file that holds neither the original nor what an
//! apply left there was changed by somebody else: it is told and left alone, unless asked by force.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cpus::Cpus;
use crate::finding::Finding;
use crate::root::Root;
use crate::state::{Entry, State};

/// Why nothing could be done at all. Nothing was changed, except as [`ChangeError::Unsaved`] says.
#[derive(Debug)]
pub enum ChangeError {
    /// The state file is there and cannot be understood.
    Damaged(PathBuf, String),
    /// The old values could not be stored, so nothing was changed.
    State(PathBuf, String),
    /// Another apply or revert is under way.
    Busy(PathBuf),
    /// The changes are made and can be reverted, but what was read back could not be stored.
    Unsaved(PathBuf, String),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Damaged(path, why) => write!(
                out,
                "the old values in {} cannot be understood ({why}): mend the file, or move it away, which gives up \
                 putting them back",
                path.display()
            ),
            ChangeError::State(path, why) => write!(
                out,
                "the old values cannot be kept in {} ({why}), so nothing was changed: run as root, or choose another \
                 place with --state",
                path.display()
            ),
            ChangeError::Busy(path) => {
                write!(out, "another apply or revert works on {}: wait for it", path.display())
            }
            ChangeError::Unsaved(path, why) => write!(
                out,
                "the changes are made, but {} cannot be brought up to date ({why}): make room, then revert",
                path.display()
            ),
        }
    }
}

/// Why a step will not be taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hold {
    /// It holds what it should already.
    Settled,
    /// Somebody else has changed it since this was written there.
    Foreign(String),
    /// The file is gone, with its device as a rule.
    Gone,
    /// The file cannot be read.
    Unreadable(String),
}

/// One file to write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The knob's name.
    pub knob: String,
    /// As on a running system.
    pub path: String,
    /// What it holds now; empty if that is not known.
    pub from: String,
    /// What it will hold. `None`: it is only remembered.
    pub to: Option<String>,
    /// Why it will not.
    pub hold: Option<Hold>,
}

/// What became of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Written, and read back.
    Done,
    /// Written, but the kernel made something else of it.
    Differs(String),
    /// Not written.
    Failed(String),
    /// Not tried.
    Held(Hold),
}

impl Outcome {
    /// Whether the file is not as it was meant to be.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Outcome::Done | Outcome::Held(Hold::Settled | Hold::Gone))
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::Settled => out.write_str("as it should be"),
            Hold::Foreign(ours) => {
                write!(
                    out,
                    "left alone: somebody has changed it since it was set to {ours} (--force does it all the same)"
                )
            }
            Hold::Gone => out.write_str("gone"),
            Hold::Unreadable(why) => out.write_str(why),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => out.write_str("done"),
            Outcome::Differs(is) => write!(out, "the kernel made {is} of it"),
            Outcome::Failed(why) => write!(out, "failed: {why}"),
            Outcome::Held(hold) => hold.fmt(out),
        }
    }
}

impl Step {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let hold = self.hold.as_ref().map(ToString::to_string);
        json!({"knob": self.knob, "path": self.path, "from": self.from, "to": self.to, "hold": hold})
    }
}

/// The state file of a tree, opened to look at it or to change something.
#[derive(Debug)]
pub struct Ledger {
    root: Root,
    path: PathBuf,
    state: State,
    /// Held while something is changed.
    _lock: Option<File>,
    /// Entries of the file that a restart of the machine has made void.
    pub outlived: usize,
}

impl Ledger {
    /// Opens `path` to look at it; it need not exist.
    pub fn look(root: &Root, path: &Path) -> Result<Ledger, ChangeError> {
        Ledger::open(root, path, None)
    }

    /// Opens `path` to change something; makes its folder.
    pub fn lock(root: &Root, path: &Path) -> Result<Ledger, ChangeError> {
        let wrong = |why: &dyn fmt::Display| ChangeError::State(path.to_path_buf(), why.to_string());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|e| wrong(&e))?;
        let lock = File::open(folder).map_err(|e| wrong(&e))?;
        match lock.try_lock() {
            Ok(()) => Ledger::open(root, path, Some(lock)),
            Err(TryLockError::WouldBlock) => Err(ChangeError::Busy(path.to_path_buf())),
            Err(TryLockError::Error(e)) => Err(wrong(&e)),
        }
    }

    fn open(root: &Root, path: &Path, lock: Option<File>) -> Result<Ledger, ChangeError> {
        let stored = State::load(path).map_err(|why| ChangeError::Damaged(path.to_path_buf(), why))?;
        let boot = root.text("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut ledger = Ledger {
            root: root.clone(),
            path: path.to_path_buf(),
            state: State { boot: boot.clone(), entries: Vec::new() },
            _lock: lock,
            outlived: 0,
        };
        match stored {
            Some(stored) if stored.boot == boot => ledger.state = stored,
            Some(stored) => ledger.outlived = stored.entries.len(),
            None => {}
        }
        Ok(ledger)
    }

    /// What the findings ask for. Each file stands in it once, except for what holds its value already.
    #[must_use]
    pub fn plan(&self, findings: &[Finding], force: bool) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for finding in findings {
            for change in &finding.changes {
                let to = Some(change.value.clone());
                steps.push(self.step(finding.knob.name, &change.path, to, force));
                steps
                    .extend(change.resets.iter().map(|path| self.step(finding.knob.name, path, None, force)));
            }
        }
        steps
    }

    fn step(&self, knob: &str, path: &str, to: Option<String>, force: bool) -> Step {
        let now = self.root.value(path);
        let entry = self.state.entry(path).filter(|_| to.is_some() && !force);
        let hold = match &now {
            Err(why) => Some(Hold::Unreadable(why.clone())),
            Ok(now) => entry.and_then(|entry| entry.foreign(now)).map(Hold::Foreign),
        };
        let (knob, path) = (knob.to_string(), path.to_string());
        Step { knob, path, from: now.unwrap_or_default(), to, hold }
    }

    /// Takes the steps of a plan. Durability: the old values are on disk before the first write. Errors: nothing was
    /// changed, but see [`ChangeError::Unsaved`].
    pub fn apply(&mut self, steps: &[Step]) -> Result<Vec<Outcome>, ChangeError> {
        for step in steps.iter().filter(|step| step.hold.is_none()) {
            match self.state.entries.iter_mut().find(|entry| entry.path == step.path) {
                Some(entry) if step.to.is_some() => entry.wanted.clone_from(&step.to),
                Some(_) => {}
                None => self.state.entries.push(Entry {
                    knob: step.knob.clone(),
                    path: step.path.clone(),
                    original: step.from.clone(),
                    wanted: step.to.clone(),
                    written: None,
                }),
            }
        }
        let stored = self.state.store(&self.path);
        stored.map_err(|e| ChangeError::State(self.path.clone(), e.to_string()))?;
        let outcomes: Vec<Outcome> = steps.iter().map(|step| self.take(step)).collect();
        // What was refused and stands as before need not be put back.
        for (step, outcome) in steps.iter().zip(&outcomes) {
            if matches!(outcome, Outcome::Failed(_)) {
                let root = &self.root;
                let unchanged =
                    |entry: &Entry| root.value(&entry.path).is_ok_and(|now| same(&now, &entry.original));
                self.state.entries.retain(|entry| entry.path != step.path || !unchanged(entry));
            }
        }
        self.save()?;
        Ok(outcomes)
    }

    fn take(&mut self, step: &Step) -> Outcome {
        if let Some(hold) = &step.hold {
            return Outcome::Held(hold.clone());
        }
        let outcome = match &step.to {
            Some(to) => write(&self.root, &step.path, to),
            None => Outcome::Done,
        };
        let written = self.root.value(&step.path).ok();
        if let Some(entry) = self.state.entries.iter_mut().find(|entry| entry.path == step.path)
            && !matches!(outcome, Outcome::Failed(_))
        {
            entry.written = written;
        }
        outcome
    }

    /// What would put everything back.
    #[must_use]
    pub fn plan_revert(&self, force: bool) -> Vec<Step> {
        let entries = self.state.entries.iter();
        entries.map(|entry| self.step_back(entry, force)).collect()
    }

    fn step_back(&self, entry: &Entry, force: bool) -> Step {
        let now = self.root.value(&entry.path);
        let hold = match &now {
            Err(_) if !self.root.has(&entry.path) => Some(Hold::Gone),
            Err(why) => Some(Hold::Unreadable(why.clone())),
            // Putting back the file before it may change it again: looked at anew when its turn comes.
            Ok(now) if same(now, &entry.original) => None,
            Ok(now) => entry.foreign(now).filter(|_| !force).map(Hold::Foreign),
        };
        let (knob, path, to) = (entry.knob.clone(), entry.path.clone(), Some(entry.original.clone()));
        Step { knob, path, from: now.unwrap_or_default(), to, hold }
    }

    /// Takes the steps of a plan to put everything back, and forgets what is back. Errors: [`ChangeError::Unsaved`].
    pub fn revert(&mut self, steps: &[Step]) -> Result<Vec<Outcome>, ChangeError> {
        let mut outcomes = Vec::new();
        for step in steps {
            let original = step.to.as_deref().unwrap_or_default();
            let settled = || self.root.value(&step.path).is_ok_and(|now| same(&now, original));
            let outcome = match &step.hold {
                Some(hold) => Outcome::Held(hold.clone()),
                None if settled() => Outcome::Held(Hold::Settled),
                None => write(&self.root, &step.path, original),
            };
            if !outcome.is_failure() {
                self.state.entries.retain(|entry| entry.path != step.path);
            }
            outcomes.push(outcome);
        }
        self.save()?;
        Ok(outcomes)
    }

    fn save(&self) -> Result<(), ChangeError> {
        self.state.store(&self.path).map_err(|e| ChangeError::Unsaved(self.path.clone(), e.to_string()))
    }
}

impl Entry {
    /// What we left there, if `now` is neither that nor what stood there before.
    fn foreign(&self, now: &str) -> Option<String> {
        let ours = [Some(&self.original), self.wanted.as_ref(), self.written.as_ref()];
        let known = ours.into_iter().flatten().any(|value| same(value, now));
        (!known).then(|| self.written.as_ref().or(self.wanted.as_ref()).unwrap_or(&self.original).clone())
    }
}

/// Writes a file and looks what became of it.
fn write(root: &Root, path: &str, value: &str) -> Outcome {
    if let Err(e) = root.write(path, value) {
        return Outcome::Failed(e.to_string());
    }
    match root.value(path) {
        Ok(now) if same(&now, value) => Outcome::Done,
        Ok(now) => Outcome::Differs(now),
        Err(why) => Outcome::Failed(why),
    }
}

/// Whether two texts are the same value: the kernel pads masks with zeros and shortens lists.
fn same(a: &str, b: &str) -> bool {
    let equal = |read: fn(&str) -> Option<Cpus>| read(a).is_some_and(|a| read(b) == Some(a));
    a == b || equal(Cpus::of_mask) || equal(Cpus::of_list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;
    use crate::finding::Verdict;
    use crate::tree_test::Tree;

    /// A tree in which some things are not as they should be.
    fn slow_tree() -> Tree {
        let tree = Tree::good();
        tree.put("/proc/sys/vm/swappiness", "60");
        tree.put("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t1000");
        tree.put(&format!("{}/queue/scheduler", Tree::DISK), "[mq-deadline] none");
        tree.put(&format!("{}/queue/nr_requests", Tree::DISK), "999");
        tree.put("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
        tree.put("/proc/irq/40/smp_affinity_list", "0-3");
        // The kernel would follow the setting, this tree does not.
        tree.remove("/proc/irq/40/effective_affinity_list");
        tree
    }

    fn ledger(tree: &Tree) -> Ledger {
        Ledger::lock(&tree.root(), &tree.path().join("state/tune.json")).expect("a folder of our own")
    }

    fn apply(tree: &Tree) -> Vec<(String, Outcome)> {
        let mut ledger = ledger(tree);
        let steps = ledger.plan(&checks::all(&tree.host()), false);
        let outcomes = ledger.apply(&steps).expect("room");
        steps.into_iter().map(|step| step.path).zip(outcomes).collect()
    }

    fn revert(tree: &Tree, force: bool) -> Vec<(String, Outcome)> {
        let mut ledger = ledger(tree);
        let steps = ledger.plan_revert(force);
        let outcomes = ledger.revert(&steps).expect("room");
        steps.into_iter().map(|step| step.path).zip(outcomes).collect()
    }

    fn of(outcomes: &[(String, Outcome)], path: &str) -> Outcome {
        outcomes.iter().find(|(of, _)| of.ends_with(path)).expect("it was in the plan").1.clone()
    }

    fn value(tree: &Tree, path: &str) -> String {
        tree.root().value(path).expect("it is there")
    }

    #[test]
    fn what_was_applied_is_good_and_reverts_exactly() {
        let tree = slow_tree();
        let before = tree.values();
        let done = apply(&tree);
        assert!(done.iter().all(|(_, outcome)| *outcome == Outcome::Done), "{done:?}");
        let left: Vec<Finding> = checks::all(&tree.host())
            .into_iter()
            .filter(|finding| finding.verdict != Verdict::Good)
            .collect();
        assert!(left.iter().all(|finding| finding.changes.is_empty()), "{left:?}");
        assert_eq!(value(&tree, "/proc/sys/net/ipv4/tcp_rmem"), "4096 131072 4194304");
        assert_ne!(tree.values(), before);
        revert(&tree, false);
        assert_eq!(tree.values(), before);
        assert!(!tree.path().join("state/tune.json").exists(), "nothing is left to remember");
        assert_eq!(revert(&tree, false), []);
    }

    #[test]
    fn looking_changes_nothing() {
        let tree = slow_tree();
        let before = tree.values();
        let path = tree.path().join("state/tune.json");
        let looked = Ledger::look(&tree.root(), &path).expect("there is none yet");
        assert!(looked.plan(&checks::all(&tree.host()), false).len() >= 5);
        assert_eq!(tree.values(), before);
        assert!(!tree.path().join("state").exists());
    }

    #[test]
    fn what_the_kernel_resets_is_put_back_too() {
        let tree = slow_tree();
        apply(&tree);
        // As the kernel does when the scheduler is exchanged, both ways.
        let requests = format!("{}/queue/nr_requests", Tree::DISK);
        tree.put(&requests, "256");
        assert_eq!(of(&revert(&tree, true), "nr_requests"), Outcome::Done);
        assert_eq!(value(&tree, &requests), "999");
    }

    #[test]
    fn a_second_apply_keeps_the_first_ones_originals() {
        let tree = slow_tree();
        apply(&tree);
        let mut ledger = ledger(&tree);
        // The first apply's value, asked to change once more.
        let path = "/proc/sys/vm/swappiness";
        let step = ledger.step("vm.swappiness", path, Some("5".to_string()), false);
        assert_eq!((step.from.as_str(), &step.hold), ("1", &None));
        assert_eq!(ledger.apply(&[step]).expect("room"), [Outcome::Done]);
        drop(ledger);
        revert(&tree, false);
        assert_eq!(value(&tree, path), "60");
    }

    #[test]
    fn what_somebody_else_changed_is_told_and_left_alone() {
        let tree = slow_tree();
        apply(&tree);
        let path = "/proc/sys/vm/swappiness";
        tree.put(path, "33");
        assert_eq!(of(&apply(&tree), "swappiness"), Outcome::Held(Hold::Foreign("1".to_string())));
        assert_eq!(of(&revert(&tree, false), "swappiness"), Outcome::Held(Hold::Foreign("1".to_string())));
        assert_eq!(value(&tree, path), "33");
        // Everything else is back; this one waits for a decision.
        assert_eq!(revert(&tree, true), [(path.to_string(), Outcome::Done)]);
        assert_eq!(value(&tree, path), "60");
    }

    #[test]
    fn a_partly_failed_apply_says_so_and_stays_revertible() {
        let tree = slow_tree();
        let before = tree.values();
        let mut ledger = ledger(&tree);
        let mut steps = ledger.plan(&checks::all(&tree.host()), false);
        // Gone between the plan and the deed.
        tree.remove("/sys/kernel/mm/transparent_hugepage/enabled");
        steps.retain(|step| step.to.is_some());
        let outcomes = ledger.apply(&steps).expect("room");
        let failed = outcomes.iter().filter(|outcome| outcome.is_failure()).count();
        assert_eq!((failed, outcomes.len()), (1, steps.len()));
        drop(ledger);
        assert_eq!(of(&revert(&tree, false), "enabled"), Outcome::Held(Hold::Gone));
        tree.put("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
        assert_eq!(tree.values(), before);
    }

    #[test]
    fn a_crash_in_the_middle_is_reverted() {
        let tree = slow_tree();
        let before = tree.values();
        apply(&tree);
        // As if the machine had stopped before what was read back was stored, and before the last files were written.
        let path = tree.path().join("state/tune.json");
        let mut state = State::load(&path).expect("sound").expect("there");
        state.entries.iter_mut().for_each(|entry| entry.written = None);
        let last = state.entries.last().expect("one at least").clone();
        state.store(&path).expect("room");
        tree.root().write(&last.path, &last.original).expect("it exists");
        assert_eq!(of(&revert(&tree, false), &last.path), Outcome::Held(Hold::Settled));
        assert_eq!(tree.values(), before);
    }

    #[test]
    fn a_restart_of_the_machine_puts_everything_back_by_itself() {
        let tree = slow_tree();
        apply(&tree);
        tree.put("/proc/sys/kernel/random/boot_id", "another");
        let ledger = ledger(&tree);
        assert!(ledger.outlived > 0);
        assert_eq!(ledger.plan_revert(false), []);
    }

    #[test]
    fn damage_and_company_are_refused() {
        let tree = slow_tree();
        let path = tree.path().join("state/tune.json");
        let held = ledger(&tree);
        assert!(matches!(Ledger::lock(&tree.root(), &path), Err(ChangeError::Busy(_))));
        drop(held);
        fs::write(&path, "{").expect("room");
        let why = Ledger::lock(&tree.root(), &path).expect_err("it is damaged").to_string();
        assert!(why.contains("cannot be understood") && why.contains("tune.json"), "{why}");
        // A folder where the state should be: nothing can be kept, so nothing is changed.
        fs::remove_file(&path).expect("just written");
        let before = tree.values();
        let mut ledger = ledger(&tree);
        let steps = ledger.plan(&checks::all(&tree.host()), false);
        fs::create_dir(path.with_extension("json.new")).expect("room");
        let why = ledger.apply(&steps).expect_err("it cannot be stored").to_string();
        assert!(why.contains("nothing was changed"), "{why}");
        assert_eq!(tree.values(), before);
    }

    #[test]
    fn values_are_compared_as_values() {
        for (a, b, expected) in [
            ("3", "00000003", true),
            ("0,1", "0-1", true),
            ("00000000,00000003", "3", true),
            ("1", "2", false),
            ("none", "none", true),
            ("4096 1 2", "4096 1 3", false),
            ("performance", "powersave", false),
        ] {
            assert_eq!(same(a, b), expected, "{a:?} and {b:?}");
        }
    }
}
