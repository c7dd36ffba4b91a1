//! The phases of a shard's life.
//!
//! ```text
//! New --start--> Finding   (first shard only: what lies on the disk, then the metadata log)
//!            \-> Waiting   (for the first publication of metadata)
//! Waiting/Finding --first metadata--> Opening   own logs recover or open
//! Opening --all open--> Recording               the first checkpoint of this incarnation is stored
//! Recording --stored, or no room--> Serving       Lifecycle::Ready
//! Serving --Shutdown--> Draining                no new request; waits for answers and the disk
//! Draining --idle--> Closing                    the last checkpoint is stored; the first shard waits for the others
//! Draining --out of time--> Stopped             the stop is not clean
//! Closing --stored--> Stopped                   Lifecycle::Drained; the first shard has left the clean marker
//! ```

use corelane_base::time::Mono;
use corelane_log::disk::DiskToken;

use crate::finding::Finding;

/// Where a shard stands; see the table at the top.
#[derive(Debug)]
pub enum Phase {
    /// Not started.
    New,
    /// The first shard looks at the disk.
    Finding(Finding),
    /// Others wait for it.
    Waiting,
    /// Logs are opening.
    Opening {
        /// Counts the broker's starts.
        incarnation: u64,
    },
    /// The first checkpoint is on its way.
    Recording {
        /// Counts the broker's starts.
        incarnation: u64,
        /// The write.
        token: DiskToken,
    },
    /// Requests are served.
    Serving(Serving),
    /// The end has begun.
    Draining {
        /// Counts the broker's starts.
        incarnation: u64,
        /// Stop then with what is missing: not clean.
        until: Mono,
        /// A checkpoint that was under way: the last one goes to the same file, and only behind it.
        checkpoint: Option<DiskToken>,
    },
    /// The last checkpoint is on its way; then, on the first shard, the clean marker.
    Closing(Closing),
    /// Nothing more happens.
    Stopped,
}

/// While serving.
#[derive(Debug)]
pub struct Serving {
    /// Counts the broker's starts.
    pub incarnation: u64,
    /// A checkpoint under way.
    pub checkpoint: Option<DiskToken>,
    /// Not before then comes the next.
    pub checkpoint_next: Mono,
    /// When retention looks at the logs next.
    pub retention_next: Mono,
    /// A question for room under way.
    pub space: Option<DiskToken>,
    /// Whether the next question has a deadline of its own.
    pub space_deadline: bool,
}

/// The last steps.
#[derive(Debug)]
pub struct Closing {
    /// The last checkpoint under way.
    pub checkpoint: Option<DiskToken>,
    /// The clean marker under way.
    pub marker: Option<DiskToken>,
}
