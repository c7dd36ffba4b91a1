//! `kill -9` under load, again and again: what was acknowledged stays, what an idempotent producer wrote is there once,
//! offsets are dense, and the next start serves soon.
//!
//! Each writer owns one partition and numbers its records; it keeps several requests under way and, when the broker
//! dies, sends what was not acknowledged again on a new connection, as clients do. Kill moments are drawn from a seed
//! that is printed; the moment within the broker's work is up to the machine, so a run is not repeatable, only its plan.
//!
//! `CORELANE_TEST_CRASH_ROUNDS` sets the number of kills.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use corelane_base::id::{ProducerEpoch, ProducerId};
use corelane_base::rng::Rng;
use corelane_base::time::WallMs;
use corelane_log::batch;
use corelane_log::builder::BatchBuilder;
use corelane_log::records;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use corelane_wire::message::produce::ProduceResponse;
use corelane_wire::primitive::Reader;

use crate::harness::{self, Broker};
use crate::wire_client::{self, Connection};

const TOPIC: &str = "crash";
const ROUNDS_DEFAULT: usize = 100;
/// Requests under way per writer.
const IN_FLIGHT: usize = 4;
/// Nine of ten starts after a crash are faster than this. Not all: other tests share the machine.
const READY_P90_MAX: Duration = Duration::from_secs(1);
/// How long it may take until a few hundred records are acknowledged.
const PROGRESS_PATIENCE: Duration = Duration::from_secs(20);
const VERSION: i16 = 9;
const RECORD_BYTES_MAX: u64 = 2000;

/// How a writer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// acks=all with a producer id: exactly once.
    Idempotent,
    /// acks=all without: at least once.
    All,
    /// acks=1: at least once.
    One,
}

const WRITERS: [Kind; 4] = [Kind::Idempotent, Kind::Idempotent, Kind::All, Kind::One];

/// What main thread and writers tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where the broker listens, or nothing while it is down.
    address: Option<String>,
    /// Nothing new is written; what is under way is brought to its end.
    stop: bool,
    /// The test has failed: writers leave everything as it is.
    abandoned: bool,
    /// Records.
    acknowledged: u64,
    /// Writers that are done or have failed.
    ended: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits until so many records are acknowledged. Panics: a writer has failed, or it takes too long.
    fn wait_for(&self, acknowledged: u64, round: usize) {
        let waits = |state: &mut State| state.acknowledged < acknowledged && state.ended == 0;
        let (state, waited) = self
            .changed
            .wait_timeout_while(self.state(), PROGRESS_PATIENCE, waits)
            .unwrap_or_else(PoisonError::into_inner);
        let failed = state.ended > 0;
        drop(state);
        assert!(!failed, "round {round}: a writer has failed");
        assert!(!waited.timed_out(), "round {round}: writers make no progress");
    }

    /// Waits until all writers have ended. Panics: one of them gets no answer that it could end with.
    fn wait_for_the_end(&self) {
        let waits = |state: &mut State| state.ended < WRITERS.len();
        let (state, waited) = self
            .changed
            .wait_timeout_while(self.state(), PROGRESS_PATIENCE, waits)
            .unwrap_or_else(PoisonError::into_inner);
        let ended = state.ended;
        drop(state);
        assert!(!waited.timed_out(), "only {ended} writers come to an end");
    }

    /// Waits until the broker is up: where. None: the test has failed.
    fn wait_for_broker(&self) -> Option<String> {
        let waits = |state: &mut State| state.address.is_none() && !state.abandoned;
        let state = self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
        state.address.clone().filter(|_| !state.abandoned)
    }
}

/// Lets the writers go when the test ends, however it does.
struct Leaving(Arc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.change(|state| state.abandoned = true);
    }
}

/// Tells that a writer has ended, however it did.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.change(|state| state.ended += 1);
    }
}

#[test]
fn kill_9_under_load_loses_nothing_acknowledged_and_doubles_nothing() {
    // How long a start takes is measured.
    let _quiet = harness::quiet();
    let rounds = std::env::var("CORELANE_TEST_CRASH_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(ROUNDS_DEFAULT);
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos().into();
    println!("seed {seed}, {rounds} rounds");
    let mut rng = Rng::new(seed);
    // Small segments, so that rolls, recycling and several files are part of it.
    let mut broker = Broker::start_with("crash", &["--set", "log.segment.bytes=1048576"]);
    wire_client::create_topic(&mut Connection::open(broker.address()), TOPIC, WRITERS.len() as i32, &[]);
    let shared = Arc::new(Shared::default());
    shared.change(|state| state.address = Some(broker.address().to_owned()));
    let _leaving = Leaving(Arc::clone(&shared));
    let writers: Vec<_> = WRITERS
        .iter()
        .enumerate()
        .map(|(partition, kind)| {
            let (ending, kind) = (Ending(Arc::clone(&shared)), *kind);
            let rng = rng.split();
            thread::spawn(move || Writer::new(partition as i32, kind, rng).run(&ending.0))
        })
        .collect();
    let mut starts = Vec::new();
    for round in 0..rounds {
        // A kill comes after some progress, never on a broker that nobody has reached yet.
        let wanted = shared.state().acknowledged + 1 + rng.below(400);
        shared.wait_for(wanted, round);
        shared.change(|state| state.address = None);
        broker.kill();
        let began = Instant::now();
        broker.launch();
        starts.push(began.elapsed());
        shared.change(|state| state.address = Some(broker.address().to_owned()));
    }
    shared.change(|state| state.stop = true);
    shared.wait_for_the_end();
    let written: Vec<Written> =
        writers.into_iter().map(|writer| writer.join().expect("a writer ends well")).collect();
    let mut connection = Connection::open(broker.address());
    let mut total = 0;
    for (partition, written) in written.iter().enumerate() {
        total += check(&mut connection, partition as i32, written);
    }
    starts.sort_unstable();
    let at = |percent: usize| starts[(starts.len() - 1) * percent / 100];
    println!("{rounds} kills, {total} records; starts: half within {:?}, slowest {:?}", at(50), at(100));
    assert!(at(90) <= READY_P90_MAX, "a tenth of the starts took longer than {:?}", at(90));
}

/// What a writer knows at its end.
struct Written {
    kind: Kind,
    /// All values from 0 up to this were sent.
    sent: u64,
    /// Value and offset of what was acknowledged.
    acknowledged: Vec<(u64, i64)>,
}

/// One batch under way.
struct Batch {
    first: u64,
    count: u64,
    bytes: Vec<u8>,
}

struct Writer {
    partition: i32,
    kind: Kind,
    rng: Rng,
    next: u64,
    producer: Option<(i64, i16)>,
    waiting: VecDeque<Batch>,
    acknowledged: Vec<(u64, i64)>,
}

impl Writer {
    fn new(partition: i32, kind: Kind, rng: Rng) -> Writer {
        let (waiting, acknowledged) = (VecDeque::new(), Vec::new());
        Writer { partition, kind, rng, next: 0, producer: None, waiting, acknowledged }
    }

    fn run(mut self, shared: &Shared) -> Written {
        // Whatever broke, the next connection goes on with what is not acknowledged.
        while let Some(address) = shared.wait_for_broker() {
            if let Ok(true) = self.session(&address, shared) {
                break;
            }
        }
        Written { kind: self.kind, sent: self.next, acknowledged: self.acknowledged }
    }

    /// Writes over one connection. True when everything is acknowledged and the end has come.
    fn session(&mut self, address: &str, shared: &Shared) -> io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        if self.kind == Kind::Idempotent && self.producer.is_none() {
            self.producer = Some(ask_producer_id(&mut stream)?);
        }
        for batch in &self.waiting {
            stream.write_all(&self.request(batch))?;
        }
        loop {
            while self.waiting.len() < IN_FLIGHT && !shared.state().stop {
                // Remembered before it is sent: what fails to be sent must be sent again, or its numbers are missing.
                let batch = self.batch();
                let request = self.request(&batch);
                self.waiting.push_back(batch);
                stream.write_all(&request)?;
            }
            let Some(batch) = self.waiting.front() else { return Ok(true) };
            let answer = read_frame(&mut stream)?;
            let body = wire_client::body(&answer, ApiKey::Produce, VERSION);
            let response =
                ProduceResponse::decode(&mut Reader::new(body), VERSION).expect("a produce response");
            let result = &response.responses[0].partition_responses[0];
            let error = ErrorCode::from_code(result.error_code).expect("a code of the protocol");
            if error != ErrorCode::None {
                let under_way: Vec<u64> = self.waiting.iter().map(|batch| batch.first).collect();
                let who =
                    format!("{:?} writer {}, batches {under_way:?} under way", self.kind, self.partition);
                assert!(error.is_retriable(), "{who}: {}", error.name());
                return Ok(false);
            }
            let acknowledged = (0..batch.count).map(|n| (batch.first + n, result.base_offset + n as i64));
            self.acknowledged.extend(acknowledged);
            shared.change(|state| state.acknowledged += batch.count);
            self.waiting.pop_front();
        }
    }

    fn request(&self, batch: &Batch) -> Vec<u8> {
        let acks = if self.kind == Kind::One { 1 } else { -1 };
        wire_client::produce_request(VERSION, acks, TOPIC, self.partition, &batch.bytes)
    }

    fn batch(&mut self) -> Batch {
        let (first, count) = (self.next, 1 + self.rng.below(20));
        let mut builder = BatchBuilder::new();
        if let Some((id, epoch)) = self.producer {
            builder.producer_id = ProducerId(id);
            builder.producer_epoch = ProducerEpoch(epoch);
            builder.base_sequence = i32::try_from(first).expect("fewer than 2^31 records");
        }
        // Of now: retention would take records of long ago away.
        let now =
            WallMs(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64));
        for value in first..first + count {
            builder.push(now, None, Some(&value_bytes(self.partition, value)));
        }
        self.next += count;
        Batch { first, count, bytes: builder.build().to_vec() }
    }
}

/// The value numbered `number`: its number, then bytes that depend on it, of a length that depends on it.
fn value_bytes(partition: i32, number: u64) -> Vec<u8> {
    let mut rng = Rng::new(number ^ (partition as u64) << 48);
    let len = rng.below(RECORD_BYTES_MAX) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    while bytes.len() < len {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    bytes
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn ask_producer_id(stream: &mut TcpStream) -> io::Result<(i64, i16)> {
    let message = InitProducerIdRequest {
        transactional_id: None,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    stream.write_all(&wire_client::request(ApiKey::InitProducerId, 4, |w, version| {
        message.encode(w, version)
    }))?;
    let answer = read_frame(stream)?;
    let body = wire_client::body(&answer, ApiKey::InitProducerId, 4);
    let response = InitProducerIdResponse::decode(&mut Reader::new(body), 4).expect("an answer");
    assert_eq!(response.error_code, 0);
    Ok((response.producer_id, response.producer_epoch))
}

/// Reads a partition from its start and compares it with what its writer knows. Returns how many records it holds.
fn check(connection: &mut Connection, partition: i32, written: &Written) -> usize {
    let mut found: Vec<u64> = Vec::new();
    loop {
        let from = found.len() as i64;
        let bytes = wire_client::fetch(connection, 11, TOPIC, partition, from, 0)
            .expect("what is stored can be read");
        if bytes.is_empty() {
            break;
        }
        let mut at = 0;
        while let Ok(Some(header)) = batch::check_stored(&bytes[at..]) {
            let (header_again, payload) = records::payload(&bytes[at..], 1 << 24).expect("a whole batch");
            for record in records::iter(&header_again, &payload) {
                let record = record.expect("a whole record");
                if record.offset.0 < from {
                    continue;
                }
                assert_eq!(record.offset.0, found.len() as i64, "partition {partition}: offsets are dense");
                let value = record.value.expect("all records have one");
                let number = u64::from_le_bytes(value[..8].try_into().expect("8 bytes"));
                assert_eq!(
                    value,
                    value_bytes(partition, number),
                    "partition {partition}: the value is as written"
                );
                found.push(number);
            }
            at += header.size_bytes();
        }
        assert!(found.len() as i64 > from, "partition {partition}: a fetch brings at least one whole batch");
    }
    for (number, offset) in &written.acknowledged {
        let there = usize::try_from(*offset).ok().and_then(|offset| found.get(offset));
        assert_eq!(there, Some(number), "partition {partition}: acknowledged at offset {offset}");
    }
    if written.kind == Kind::Idempotent {
        let expected: Vec<u64> = (0..written.sent).collect();
        assert!(found == expected, "partition {partition}: every record once and in order");
    }
    found.len()
}
