//! The stages a request passes through, as moments.
//!
//! ```text
//! arrived --queue--> served --log--> logged --disk--> stored --purgatory--> answered --send--> sent
//!
//! queue      the frame is whole, but its connection may not start another request yet
//! log        decoding, the way to the owners of its partitions and back, appending to and reading from memory
//! disk       the group commit, or the read of history
//! purgatory  waiting for anything else: records to arrive, the controller, other members of a group
//! send       the response is complete: responses before it on the same connection, and the socket
//! ```
//!
//! Each moment is that of the shard's turn in which it happened, because a turn has one: no clock is asked for a
//! request. What begins and ends within one turn took no time by this measure; turns are microseconds to tens of them
//! long, and the longest is told elsewhere. What passes before a frame is whole is the client's and the network's.

use corelane_base::time::Mono;

/// When a request got how far. Invariant: each moment is at or behind the one before.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The frame was whole.
    pub arrived: Mono,
    /// Its handler began.
    pub served: Mono,
    /// Its records were in the log's memory, or what memory holds was read.
    pub logged: Mono,
    /// The disk had written or read.
    pub stored: Mono,
}

impl Times {
    /// A request whose handler begins now.
    #[must_use]
    pub fn served(arrived: Mono, now: Mono) -> Times {
        let arrived = arrived.min(now);
        Times { arrived, served: now, logged: now, stored: now }
    }

    /// The same with the work of the log done at `logged` and that of the disk at `stored`, as told by owners on other
    /// cores, whose turns may be a little behind or ahead.
    #[must_use]
    pub fn worked(self, logged: Mono, stored: Mono) -> Times {
        let logged = logged.max(self.served);
        Times { logged, stored: stored.max(logged), ..self }
    }
}

/// A complete response on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// Which API it answers.
    pub api_key: i16,
    /// How it got here.
    pub times: Times,
    /// When it was complete.
    pub answered: Mono,
}
