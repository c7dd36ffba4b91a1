//! What the first shard remembers of publications under way.

use std::collections::VecDeque;

use corelane_control::controller::Answer;

use crate::mesh::StartState;
use crate::metadata_log::Asker;

/// The first shard's part.
#[derive(Debug, Default)]
pub struct Publishing {
    /// The last publication.
    pub version: u64,
    /// Publications that not all shards have applied.
    pub waiting: VecDeque<Waiting>,
    /// Held until the metadata is loaded.
    pub start: Option<StartState>,
    /// Checkpoint files of earlier incarnations.
    pub old_files: Vec<String>,
}

/// A publication under way.
#[derive(Debug)]
pub struct Waiting {
    /// Which.
    pub version: u64,
    /// How many shards have not applied it.
    pub outstanding: u16,
    /// Whom to answer then.
    pub answer: Option<(Asker, Answer)>,
}
