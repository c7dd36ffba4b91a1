//! What a check says: a knob, what is, what should be, a verdict, and how it would be changed.

use std::fmt;

use serde_json::{Value, json};

/// One thing about a host that matters. There is a section for each in `tuning/README.md`.
#[derive(Debug)]
pub struct Knob {
    /// Its name, as `--only` takes it: the sysctl's own, or `area.what`.
    pub name: &'static str,
    /// Why it matters for a broker, in one sentence.
    pub why: &'static str,
}

/// How good it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, and costs something.
    CouldBeBetter,
    /// Costs much, or puts data at risk, or keeps the broker from running.
    Bad,
    /// This host does not say; the note says why.
    CannotTell,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Verdict::Good => "good",
            Verdict::CouldBeBetter => "could be better",
            Verdict::Bad => "bad",
            Verdict::CannotTell => "cannot tell",
        })
    }
}

/// One file and what it should hold. Lasts until the machine restarts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// As on a running system, whatever the root.
    pub path: String,
    /// What to write.
    pub value: String,
    /// Files that the kernel resets when this one is written: they are remembered and put back with it.
    pub resets: Vec<String>,
}

/// What was found of one knob on one device, or on the whole host.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which.
    pub knob: &'static Knob,
    /// The device or interface; empty for the host.
    pub subject: String,
    /// What is, in words or as the kernel writes it.
    pub is: String,
    /// What should be.
    pub want: String,
    /// How good that is.
    pub verdict: Verdict,
    /// The reason of a verdict that does not explain itself, and how to mend it by hand. Empty if there is nothing to say.
    pub note: String,
    /// What `apply` would write; empty if it cannot change this.
    pub changes: Vec<Change>,
}

impl Finding {
    /// A good one, until told otherwise.
    pub fn new(
        knob: &'static Knob,
        subject: &str,
        is: impl fmt::Display,
        want: impl fmt::Display,
    ) -> Finding {
        Finding {
            knob,
            subject: subject.to_string(),
            is: is.to_string(),
            want: want.to_string(),
            verdict: Verdict::Good,
            note: String::new(),
            changes: Vec::new(),
        }
    }

    /// One that this host does not say, and why.
    pub fn untold(
        knob: &'static Knob,
        subject: &str,
        want: impl fmt::Display,
        why: impl fmt::Display,
    ) -> Finding {
        Finding::new(knob, subject, "?", want).judged(Verdict::CannotTell).noted(why)
    }

    /// With another verdict.
    #[must_use]
    pub fn judged(mut self, verdict: Verdict) -> Finding {
        self.verdict = verdict;
        self
    }

    /// With a note.
    #[must_use]
    pub fn noted(mut self, note: impl fmt::Display) -> Finding {
        self.note = note.to_string();
        self
    }

    /// With a file to write.
    #[must_use]
    pub fn mended_by(mut self, path: &str, value: impl fmt::Display) -> Finding {
        self.changes.push(Change { path: path.to_string(), value: value.to_string(), resets: Vec::new() });
        self
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let changes: Vec<Value> =
            self.changes.iter().map(|change| json!({"path": change.path, "value": change.value})).collect();
        json!({
            "knob": self.knob.name,
            "subject": self.subject,
            "is": self.is,
            "want": self.want,
            "verdict": self.verdict.to_string(),
            "why": self.knob.why,
            "note": self.note,
            "changes": changes,
        })
    }
}
