//! Virtual time: a monotonic clock that only the simulation moves, and a wall clock that may jump against it.

use corelane_base::time::{Mono, Now, WallMs};

/// Where the wall clock starts: 2026-01-01 00:00 UTC. Any date after the records' oldest timestamps would do.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// Both clocks.
#[derive(Debug, Clone)]
pub struct Clock {
    mono: Mono,
    /// What the wall clock is ahead of the monotonic one, in milliseconds.
    wall_ahead_ms: i64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { mono: Mono(1_000_000_000), wall_ahead_ms: WALL_START_MS }
    }
}

impl Clock {
    /// Both clocks, as a shell reads them.
    #[must_use]
    pub fn now(&self) -> Now {
        let elapsed_ms = (self.mono.0 / 1_000_000) as i64;
        Now { mono: self.mono, wall: WallMs(self.wall_ahead_ms + elapsed_ms) }
    }

    /// Lets time pass. Panics: if `to` lies in the past.
    pub fn advance_to(&mut self, to: Mono) {
        assert!(to >= self.mono, "time does not run back");
        self.mono = to;
    }

    /// Lets `ns` nanoseconds pass.
    pub fn advance_by(&mut self, ns: u64) {
        self.mono = Mono(self.mono.0 + ns);
    }

    /// Somebody sets the wall clock.
    pub fn jump_wall(&mut self, by_ms: i64) {
        self.wall_ahead_ms += by_ms;
    }
}
