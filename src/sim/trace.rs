//! A run's story, line by line, for whoever reproduces a failure; nothing, at no cost, otherwise.

use core::fmt;

/// Where lines go, if anywhere.
#[derive(Clone, Copy, Default)]
pub struct Trace(Option<fn(&str)>);

impl Trace {
    /// Tells `to` everything.
    #[must_use]
    pub fn to(to: fn(&str)) -> Trace {
        Trace(Some(to))
    }

    /// Tells a line, which is made only if somebody listens.
    pub fn line(&self, line: impl FnOnce() -> String) {
        if let Some(to) = self.0 {
            to(&line());
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Trace(on)" } else { "Trace(off)" })
    }
}
