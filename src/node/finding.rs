//! The first shard's look at the disk when the broker starts: was the last stop in order, which checkpoints are there,
//! is there metadata.

use std::collections::{BTreeMap, BTreeSet};

use corelane_log::disk::{DirEntry, DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken};

use crate::checkpoint;
use crate::mesh::Checkpoints;

/// The slot of the shard's own files.
pub const STORE_SLOT: u32 = u32::MAX - 3;

/// Its presence says that the last stop was in order.
pub const CLEAN_PATH: &str = "clean";

#[derive(Debug)]
enum Ask {
    Clean,
    Root,
    Checkpoints,
    Topics,
    Checkpoint,
    RemoveClean,
}

/// What was asked and what is known.
#[derive(Debug, Default)]
pub struct Finding {
    asked: BTreeMap<DiskToken, Ask>,
    /// The clean-shutdown marker was there; it is removed before anything is written.
    pub clean: bool,
    /// There is a metadata log.
    pub has_metadata: bool,
    /// Topic directories.
    pub topics: Vec<DirEntry>,
    /// The newest checkpoint of each log.
    pub checkpoints: Checkpoints,
    incarnations: BTreeMap<u64, Vec<Checkpoints>>,
    /// Checkpoint files of earlier incarnations, to be removed once this one's are stored.
    pub old_files: BTreeSet<String>,
}

impl Finding {
    /// Asks.
    #[must_use]
    pub fn begin(disk: &mut DiskQueue) -> Finding {
        let mut finding = Finding::default();
        finding.ask(Ask::Clean, DiskOp::ReadFile { path: CLEAN_PATH.to_owned(), bytes_max: 4096 }, disk);
        finding.ask(Ask::Root, DiskOp::List { path: String::new() }, disk);
        finding.ask(Ask::Checkpoints, DiskOp::List { path: checkpoint::DIRECTORY.to_owned() }, disk);
        finding.ask(Ask::Topics, DiskOp::List { path: "topics".to_owned() }, disk);
        finding
    }

    fn ask(&mut self, ask: Ask, op: DiskOp, disk: &mut DiskQueue) {
        let token = disk.push(STORE_SLOT, op);
        self.asked.insert(token, ask);
    }

    /// Takes in an answer. True once everything is known. Errors: a sentence for the operator.
    pub fn on_disk(
        &mut self,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        disk: &mut DiskQueue,
    ) -> Result<bool, String> {
        let Some(ask) = self.asked.remove(&token) else { return Ok(false) };
        let outcome = result.map_err(|error| format!("the data directory cannot be read: {error}"))?;
        match (ask, outcome) {
            (Ask::Clean, DiskOutcome::File(marker)) => {
                self.clean = marker.is_some();
                if self.clean {
                    self.ask(Ask::RemoveClean, DiskOp::Remove { path: CLEAN_PATH.to_owned() }, disk);
                }
            }
            (Ask::Root, DiskOutcome::Listed(entries)) => {
                self.has_metadata = entries.iter().any(|entry| entry.is_dir && entry.name == "metadata");
            }
            (Ask::Checkpoints, DiskOutcome::Listed(entries)) => {
                for entry in entries.iter().filter(|entry| checkpoint::incarnation_of(&entry.name).is_some())
                {
                    let path = format!("{}/{}", checkpoint::DIRECTORY, entry.name);
                    self.old_files.insert(path.clone());
                    let bytes_max = checkpoint::FILE_BYTES_MAX;
                    self.ask(Ask::Checkpoint, DiskOp::ReadFile { path, bytes_max }, disk);
                }
            }
            (Ask::Topics, DiskOutcome::Listed(entries)) => self.topics = entries,
            (Ask::Checkpoint, DiskOutcome::File(Some(file))) => {
                // A damaged file costs time, not data: its logs are scanned.
                if let Some((incarnation, logs)) = checkpoint::decode(&file) {
                    self.incarnations.entry(incarnation).or_default().push(logs);
                }
            }
            _ => {}
        }
        if self.asked.is_empty() {
            // Ascending, so the newest incarnation's checkpoint is the one that stays.
            for logs in self.incarnations.values().flatten() {
                self.checkpoints.extend(logs.iter().map(|(key, bytes)| (*key, bytes.clone())));
            }
        }
        Ok(self.asked.is_empty())
    }

    /// The number of this start: one more than any checkpoint file names.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        let named = self.old_files.iter().filter_map(|path| {
            let name = path.rsplit('/').next()?;
            checkpoint::incarnation_of(name)
        });
        named.max().unwrap_or(0) + 1
    }
}
