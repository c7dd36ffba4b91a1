//! Signals for client commands that have something to bring to an end: the first asks for it, the second ends at once.

use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};

/// Whether the user asked for the end.
#[derive(Default)]
pub struct Interrupt {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Interrupt {
    /// Whether a signal came.
    pub fn has_come(&self) -> bool {
        *self.asked()
    }

    /// Waits until a signal comes, but not beyond `deadline`.
    pub fn wait(&self, deadline: Instant) {
        let patience = deadline.saturating_duration_since(Instant::now());
        drop(self.changed.wait_timeout_while(self.asked(), patience, |asked| !*asked));
    }

    /// Tells that a signal came; whether one had come before.
    fn tell(&self) -> bool {
        let before = mem::replace(&mut *self.asked(), true);
        self.changed.notify_all();
        before
    }

    fn asked(&self) -> MutexGuard<'_, bool> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens for SIGINT and SIGTERM from now on. Errors: the system gives no thread or no handler.
pub fn watch() -> io::Result<Arc<Interrupt>> {
    let interrupt = Arc::new(Interrupt::default());
    let told = Arc::clone(&interrupt);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupts, mut terminations) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new().name("corelane-signals".to_string()).spawn(move || {
        runtime.block_on(async {
            for _ in 0..2 {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = terminations.recv() => {}
                }
                if told.tell() {
                    std::process::exit(130);
                }
            }
        });
    })?;
    Ok(interrupt)
}
