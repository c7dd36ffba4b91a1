//! The well-behaved client beside the hostile ones: it writes and reads back a record at a time, checks every answer,
//! and keeps its one connection from beginning to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use corelane_base::id::Offset;
use corelane_log::records;

use crate::wire_client::{Connection, batch_of, create_topic, fetch, produce};

/// The longest that one write and one read may take together while the broker is attacked and the machine is busy
/// with the attack.
const ROUND_MAX: Duration = Duration::from_secs(10);

/// Rounds that must be done for the client to count as alive.
const ROUNDS_ALIVE: u64 = 3;

/// What the client's thread tells.
#[derive(Default)]
struct State {
    rounds: u64,
    failure: Option<String>,
    /// Since somebody last asked.
    slowest: Duration,
}

/// The running client.
pub struct Healthy {
    stop: Arc<AtomicBool>,
    shared: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<Duration>>,
}

impl Healthy {
    /// Starts on a topic of its own.
    pub fn start(address: &str) -> Healthy {
        let mut connection = Connection::open(address);
        let topic = format!("healthy-{}", std::process::id());
        create_topic(&mut connection, &topic, 1, &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::<(Mutex<State>, Condvar)>::default();
        let (stopped, told) = (stop.clone(), shared.clone());
        let thread = thread::spawn(move || live(&mut connection, &topic, &stopped, &told));
        Healthy { stop, shared, thread: Some(thread) }
    }

    /// Waits until the client has done some more rounds; the slowest since the last time. Panics: if it failed or does
    /// not get on.
    pub fn check_alive(&self, place: &str) -> Duration {
        let (state, changed) = &*self.shared;
        let state = state.lock().expect("the client's thread does not panic");
        let wanted = state.rounds + ROUNDS_ALIVE;
        let waiting = |state: &mut State| state.failure.is_none() && state.rounds < wanted;
        let limit = ROUND_MAX * (ROUNDS_ALIVE as u32 + 1);
        let (mut state, timeout) = changed.wait_timeout_while(state, limit, waiting).expect("no panic");
        assert_eq!(state.failure, None, "the healthy client failed during: {place}");
        assert!(!timeout.timed_out(), "the healthy client stands still after: {place}");
        std::mem::take(&mut state.slowest)
    }

    /// Ends the client; its slowest round. Panics: if it failed.
    pub fn stop(mut self) -> Duration {
        self.check_alive("the end");
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("stopped once").join().expect("the client's thread does not panic")
    }
}

impl Drop for Healthy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn live(
    connection: &mut Connection,
    topic: &str,
    stop: &AtomicBool,
    told: &(Mutex<State>, Condvar),
) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut offset = 0;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let mut result = round(connection, topic, offset);
        let took = began.elapsed();
        slowest = slowest.max(took);
        if took > ROUND_MAX {
            result = result.and(Err(format!("a round took {took:?}")));
        }
        offset += 1;
        let mut state = told.0.lock().expect("the test's thread does not panic with the lock");
        state.rounds += 1;
        state.slowest = state.slowest.max(took);
        state.failure = result.err();
        told.1.notify_all();
        if state.failure.is_some() {
            break;
        }
    }
    slowest
}

/// Writes one record and reads it back. Its offset is known, because nobody else writes there.
fn round(connection: &mut Connection, topic: &str, offset: i64) -> Result<(), String> {
    let value = format!("record {offset}");
    let found = produce(connection, -1, topic, 0, &batch_of(value.as_bytes()))?;
    if found != offset {
        return Err(format!("written at {found} instead of {offset}"));
    }
    let bytes = fetch(connection, 11, topic, 0, offset, 500)?;
    let (header, payload) = records::payload(&bytes, 1 << 20).map_err(|error| format!("{error}"))?;
    let record = records::iter(&header, &payload).next().ok_or("no record came back")?;
    let record = record.map_err(|error| format!("{error}"))?;
    if (record.offset, record.value) != (Offset(offset), Some(value.as_bytes())) {
        return Err(format!("read {record:?} instead of {value:?} at {offset}"));
    }
    Ok(())
}
