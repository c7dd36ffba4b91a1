//! `disk.toml` in a data directory: how much at once its disk works best on. `corelane tune disk` writes it, the broker
//! reads it when it starts.
//!
//! ```text
//! version = 1
//! [bounds]
//! writes_max = 32     # of the whole disk; the broker shares it out among its shards
//! reads_max = 8
//! [measured]          # for people, not read again
//! ```

use std::path::Path;
use std::{fs, io};

use crate::needs;

/// The file's name.
pub const FILE: &str = "disk.toml";

/// No queue of a device is longer; what is beyond it is a slip of the pen.
const OPERATIONS_MAX: i64 = 65_536;

/// Operations that a disk, or one shard of a broker, works on at once; each at least 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Writes.
    pub writes_max: u32,
    /// Reads.
    pub reads_max: u32,
}

impl Bounds {
    /// What a shard takes of a disk that nobody has measured.
    pub const UNMEASURED: Bounds = Bounds { writes_max: needs::WRITES_MAX, reads_max: needs::READS_MAX };

    /// Reads the file of a data directory. `None`: there is none. Errors: why it cannot be used, with the way out.
    pub fn read(dir: &Path) -> Result<Option<Bounds>, String> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => Err(e.to_string()),
        };
        let bounds = text.and_then(|text| Bounds::parse(&text));
        bounds.map(Some).map_err(|why| {
            format!("{} cannot be used ({why}): run 'corelane tune disk' again or remove it", path.display())
        })
    }

    /// Understands the file's text. Errors: what is wrong with it.
    pub fn parse(text: &str) -> Result<Bounds, String> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.message().to_string())?;
        if table.get("version").and_then(toml::Value::as_integer) != Some(1) {
            return Err("its version is not 1".to_string());
        }
        let bounds = table.get("bounds").and_then(toml::Value::as_table).ok_or("[bounds] is missing")?;
        let bound = |name: &str| {
            let value = bounds.get(name).and_then(toml::Value::as_integer);
            let value = value.filter(|value| (1..=OPERATIONS_MAX).contains(value));
            value.map(|value| value as u32).ok_or(format!("{name} is no number from 1 to {OPERATIONS_MAX}"))
        };
        Ok(Bounds { writes_max: bound("writes_max")?, reads_max: bound("reads_max")? })
    }

    /// The share of one of `shards`. Together they may be a little above the whole, since each does something.
    #[must_use]
    pub fn share(self, shards: u16) -> Bounds {
        let shards = u32::from(shards.max(1));
        Bounds { writes_max: self.writes_max.div_ceil(shards), reads_max: self.reads_max.div_ceil(shards) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree_test::Tree;

    const GOOD: &str = "version = 1\n[bounds]\nwrites_max = 33\nreads_max = 2\n";

    #[test]
    fn bounds_are_read_and_shared_out() {
        let bounds = Bounds::parse(GOOD).expect("it is whole");
        assert_eq!(bounds, Bounds { writes_max: 33, reads_max: 2 });
        assert_eq!(bounds.share(1), bounds);
        assert_eq!(bounds.share(4), Bounds { writes_max: 9, reads_max: 1 });
        assert_eq!(bounds.share(1024), Bounds { writes_max: 1, reads_max: 1 });
    }

    #[test]
    fn missing_is_no_mistake_and_damage_is_told() {
        let tree = Tree::empty();
        assert_eq!(Bounds::read(tree.path()), Ok(None));
        for (from, to) in [
            ("version = 1", ""),
            ("version = 1", "version = 2"),
            ("[bounds]", ""),
            ("33", "0"),
            ("33", "-1"),
            ("33", "'33'"),
            ("reads_max", "reads"),
            ("2", "9999999"),
            ("33\n", "33"),
        ] {
            fs::write(tree.path().join(FILE), GOOD.replacen(from, to, 1)).expect("room");
            let why = Bounds::read(tree.path()).expect_err("it is damaged");
            assert!(why.contains("disk.toml") && why.contains("tune disk"), "{to:?}: {why}");
        }
        fs::write(tree.path().join(FILE), [0xff]).expect("room");
        assert!(Bounds::read(tree.path()).is_err());
    }
}
