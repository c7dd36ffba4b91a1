//! One shard: the state machine that a shell drives. (Being filled; the signatures stand.)

use std::sync::Arc;

use corelane_base::id::ShardId;
use corelane_base::time::{Mono, Now};

use crate::event::{Effects, Event};

/// What a shard must know from its start; fixed while it runs.
#[derive(Debug, Clone)]
pub struct ShardSettings {
    /// Which shard this is.
    pub shard: ShardId,
    /// How many shards the broker has.
    pub shard_count: u16,
    /// Seed of the shard's randomness (topic ids, jitter): from the system's entropy in the broker, from the
    /// run's seed in the simulator.
    pub seed: u64,
    /// The host that clients are told to connect to.
    pub advertised_host: String,
    /// The port that clients are told to connect to.
    pub advertised_port: u16,
    /// Checked broker settings as ordered `(key, value)` pairs with Kafka's names; flags, environment and file are
    /// already merged.
    pub config: Arc<Vec<(String, String)>>,
}

/// One core with all it owns.
#[derive(Debug)]
pub struct Shard {}

impl Shard {
    /// A shard that has done nothing yet.
    #[must_use]
    pub fn new(_settings: ShardSettings) -> Shard {
        Shard {}
    }

    /// Begins: reads checkpoints and opens logs; `Lifecycle::Ready` follows when done.
    pub fn start(&mut self, _now: Now, _fx: &mut Effects) {}

    /// Takes in one event.
    pub fn apply(&mut self, _now: Now, _event: Event<'_>, _fx: &mut Effects) {}

    /// Ends a turn: opens group commits and sends what became ready. Call it once after a batch of `apply`.
    pub fn end_turn(&mut self, _now: Now, _fx: &mut Effects) {}

    /// When `Event::Timer` is due next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        None
    }
}
