//! The load under which groups rebalance: a producer that keeps a bounded number of records ahead of the members, comes
//! back after the broker does, and knows which value lies at which offset.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use corelane_log::builder::BatchBuilder;

use crate::groups::watch::Watch;
use crate::wire_client::{self, Connection};

/// Records written in one batch.
const BATCH_COUNT: u64 = 5;
/// Records that may wait to be processed.
const AHEAD_MAX: u64 = 600;
/// How long to wait before looking for a broker that is away once more.
const AWAY: Duration = Duration::from_millis(20);

/// By partition and offset, the values that were acknowledged.
pub type Acknowledged = BTreeMap<(i32, i64), String>;

/// A running producer.
pub struct Load {
    stop: Arc<AtomicBool>,
    watch: Arc<Watch>,
    thread: JoinHandle<Acknowledged>,
}

impl Load {
    /// Writes to all partitions in turn until told to stop, at most `limit` rounds.
    pub fn start(address: &str, topic: &str, partitions: i32, watch: &Arc<Watch>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, seen) = (Arc::clone(&stop), Arc::clone(watch));
        let mut writer = Writer {
            address: address.to_owned(),
            topic: topic.to_owned(),
            connection: None,
            next: 0,
            acknowledged: BTreeMap::new(),
        };
        let before = watch.look(|state| state.processed());
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                let processed = seen.look(|state| state.processed());
                if before + writer.acknowledged.len() as u64 > processed + AHEAD_MAX {
                    seen.pause(Duration::from_secs(1));
                    continue;
                }
                for partition in 0..partitions {
                    writer.write(partition, &seen);
                }
            }
            writer.acknowledged
        });
        Load { stop, watch: Arc::clone(watch), thread }
    }

    /// Ends the load; what was acknowledged.
    pub fn stop(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        self.watch.wake();
        self.thread.join().expect("the load ends well")
    }
}

/// Writes `count` batches to each partition and nothing more; what was acknowledged.
pub fn write_once(address: &str, topic: &str, partitions: i32, count: u64, watch: &Watch) -> Acknowledged {
    let (address, topic) = (address.to_owned(), topic.to_owned());
    let mut writer =
        Writer { address, topic, connection: None, next: 1 << 40, acknowledged: BTreeMap::new() };
    for partition in (0..count).flat_map(|_| 0..partitions) {
        writer.write(partition, watch);
    }
    writer.acknowledged
}

struct Writer {
    address: String,
    topic: String,
    connection: Option<Connection>,
    /// The number that the next record's value holds.
    next: u64,
    acknowledged: Acknowledged,
}

impl Writer {
    /// Writes one batch, again until it is acknowledged: at least once.
    fn write(&mut self, partition: i32, watch: &Watch) {
        let values: Vec<String> =
            (self.next..self.next + BATCH_COUNT).map(|number| format!("{partition}-{number}")).collect();
        self.next += BATCH_COUNT;
        let mut builder = BatchBuilder::new();
        for value in &values {
            builder.push(wire_client::now(), None, Some(value.as_bytes()));
        }
        let bytes = builder.build().to_vec();
        loop {
            if self.connection.is_none() {
                self.connection = Connection::try_open(&self.address).ok();
            }
            let Some(connection) = &mut self.connection else {
                watch.pause(AWAY);
                continue;
            };
            match wire_client::produce(connection, -1, &self.topic, partition, &bytes) {
                Ok(base) => {
                    for (offset, value) in (base..).zip(values) {
                        self.acknowledged.insert((partition, offset), value);
                    }
                    return;
                }
                Err(_) => {
                    self.connection = None;
                    watch.pause(AWAY);
                }
            }
        }
    }
}
