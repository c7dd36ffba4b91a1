//! The tree below which `/proc` and `/sys` lie: the machine's own, or one that a test or an image builder made.
//!
//! Paths are written as on a running system (`/proc/sys/vm/swappiness`). What cannot be read comes back as a reason in
//! words, because for a check "it is not there" is an answer like any other and goes straight into the report.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A tree of files.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

/// What the kernel's files hold at most that anybody here wants to see, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;

impl Root {
    /// The tree at `folder`; `/` is the machine itself.
    #[must_use]
    pub fn new(folder: &Path) -> Root {
        Root(folder.to_path_buf())
    }

    /// Whether it is the machine's own tree.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where `path` really lies.
    #[must_use]
    pub fn locate(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// A file's text without the white space around it. Errors: why there is none, in words.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let bytes = self.bytes(path)?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{path} holds no text"))?;
        Ok(text.trim().to_string())
    }

    /// A file's bytes. Errors: as [`Root::text`].
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            io::Read::read_to_end(
                &mut io::Read::take(fs::File::open(self.locate(path))?, TEXT_BYTES_MAX),
                &mut bytes,
            )?;
            Ok(bytes)
        };
        read().map_err(|e| match e.kind() {
            ErrorKind::NotFound => format!("{path} is not there"),
            ErrorKind::PermissionDenied => format!("{path} may only be read by root"),
            _ => format!("{path} cannot be read ({e})"),
        })
    }

    /// A file that holds one number. Errors: as [`Root::text`], or that it is none.
    pub fn number<T: FromStr>(&self, path: &str) -> Result<T, String> {
        let text = self.text(path)?;
        text.parse().map_err(|_| format!("{path} holds {:?}, which is no number", shortened(&text)))
    }

    /// The value of a file as one would write it: the word in brackets where the kernel lists a choice, fields one space
    /// apart. Errors: as [`Root::text`].
    pub fn value(&self, path: &str) -> Result<String, String> {
        Ok(value_of(&self.text(path)?))
    }

    /// The names in a folder, in order; none if there is no such folder.
    #[must_use]
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(folder) = fs::read_dir(self.locate(path)) else { return Vec::new() };
        let mut names: Vec<String> =
            folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Whether there is something at `path`.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.locate(path).exists()
    }

    /// `path` without links, as seen from inside the tree. `None` if it is not there or leads outside.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<String> {
        let inside = fs::canonicalize(self.locate(path)).ok()?;
        let base = fs::canonicalize(&self.0).ok()?;
        let inside = inside.strip_prefix(base).ok()?.to_str()?;
        Some(format!("/{inside}"))
    }

    /// Writes `value` to a file that exists. Errors: what the kernel said.
    pub fn write(&self, path: &str, value: &str) -> io::Result<()> {
        // Neither created nor truncated: files of the kernel are neither, and whatever is missing is a mistake. One
        // write call, because the kernel takes each for a value of its own.
        let mut file = fs::File::options().write(true).open(self.locate(path))?;
        let text = format!("{value}\n");
        io::Write::write_all(&mut file, text.as_bytes())?;
        if !self.is_machine() {
            file.set_len(text.len() as u64)?;
        }
        Ok(())
    }
}

/// The value within a file's text, see [`Root::value`].
#[must_use]
pub fn value_of(text: &str) -> String {
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let text = chosen.map_or(text, |(word, _)| word);
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// The start of a text, for a sentence that quotes it.
#[must_use]
pub fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree_test::Tree;

    #[test]
    fn values_are_what_one_would_write() {
        for (text, expected) in [
            ("none [mq-deadline] kyber", "mq-deadline"),
            ("[always] madvise never", "always"),
            ("4096\t131072\t6291456", "4096 131072 6291456"),
            ("performance", "performance"),
            ("", ""),
        ] {
            assert_eq!(value_of(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_has_a_reason() {
        let tree = Tree::empty();
        tree.put("/proc/sys/vm/swappiness", "sixty");
        fs::write(tree.path().join("proc/raw"), [0xff, 0xfe]).expect("room");
        let root = tree.root();
        let why = |path: &str| root.number::<u64>(path).expect_err("no number");
        assert!(why("/proc/sys/vm/swappiness").contains("\"sixty\", which is no number"));
        assert!(why("/proc/raw").contains("no text"));
        assert!(why("/proc/none").contains("/proc/none is not there"));
        assert!(why("/proc").contains("cannot be read"));
    }

    #[test]
    fn only_what_exists_is_written() {
        let tree = Tree::empty();
        tree.put("/sys/knob", "a long value");
        let root = tree.root();
        root.write("/sys/knob", "1").expect("it exists");
        assert_eq!(root.text("/sys/knob"), Ok("1".to_string()));
        assert!(root.write("/sys/other", "1").is_err());
        assert!(!root.has("/sys/other"));
    }

    #[test]
    fn links_stay_inside() {
        let tree = Tree::empty();
        tree.put("/sys/devices/a/queue/scheduler", "[none]");
        tree.link("/sys/dev/block/8:0", "../../devices/a");
        tree.link("/sys/outside", "/usr");
        assert_eq!(tree.root().resolve("/sys/dev/block/8:0"), Some("/sys/devices/a".to_string()));
        assert_eq!(tree.root().resolve("/sys/outside"), None);
        assert_eq!(Root::new(Path::new("/")).resolve("/proc/sys"), Some("/proc/sys".to_string()));
    }
}
