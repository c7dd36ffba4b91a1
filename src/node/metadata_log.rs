//! The cluster's metadata on disk: the controller, the log its records go to, and who waits for what.
//!
//! Lives on the first shard. A command is decided against the state that all earlier commands lead to, its records are
//! appended as one batch with one record (so a set is applied whole or not at all), replayed into the controller, and
//! published to all shards once the batch is durable; the answer leaves when every shard has applied it. Metadata that
//! a client can see is therefore always on disk, and a topic that was answered as created is known on every core.
//!
//! ```text
//! metadata/<offset>.log       record batches; each record's value is one set of MetadataRecord
//! metadata.snapshot           "CLMS", u32 version, i64 offset, the image as one set, CRC-32 of everything before
//! ```
//! The snapshot holds everything below its offset; the log is cut there.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use corelane_base::id::{BrokerId, LeaderEpoch, Offset, ShardId};
use corelane_control::configs::settings::Settings;
use corelane_control::controller::{Answer, Command, Controller};
use corelane_control::image::ClusterImage;
use corelane_control::record::{MetadataRecord, decode_set, encode_set};
use corelane_log::batch;
use corelane_log::builder::BatchBuilder;
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken};
use corelane_log::error::AppendError;
use corelane_log::log::{
    AppendOrigin, Log, LogCx, LogRead, LogSlice, LogState, Progress, ReadStart, ReadTicket,
};
use corelane_log::records;
use corelane_log::settings::LogSettings;

use crate::slots::SlotId;

/// The slot of the metadata log's disk operations.
pub const METADATA_SLOT: u32 = u32::MAX - 1;
/// The slot of the snapshot's disk operations.
pub const SNAPSHOT_SLOT: u32 = u32::MAX - 2;

const DIRECTORY: &str = "metadata";
const SNAPSHOT_PATH: &str = "metadata.snapshot";
const SNAPSHOT_MAGIC: &[u8; 4] = b"CLMS";
const SNAPSHOT_VERSION: u32 = 1;
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
const SNAPSHOT_HEAD_BYTES: usize = 16;

/// Sets appended since the last snapshot that make a new one worth its bytes.
const SETS_PER_SNAPSHOT: u64 = 2000;
/// The largest set, and some room for the batch around it. The controller's own bound is lower.
const BATCH_BYTES_MAX: u32 = 8 << 20;
const READ_BYTES: u32 = 1 << 20;

/// Whom an answer is for: the shard that asked and its request.
pub type Asker = (ShardId, SlotId);

/// What the metadata log has brought about; taken by the shard.
#[derive(Debug)]
pub enum Outcome {
    /// All stored metadata is replayed: commands may come.
    Loaded,
    /// These records are durable: every shard is to apply them; then the answer leaves.
    Publish {
        /// The records.
        records: Arc<Vec<MetadataRecord>>,
        /// Who waits, and for what.
        answer: Option<(Asker, Answer)>,
    },
    /// The broker cannot go on; the sentence says why.
    Failed(String),
}

#[derive(Debug)]
enum Loading {
    Snapshot(DiskToken),
    Replaying { next: Offset },
    Done,
}

#[derive(Debug)]
struct InFlight {
    last_offset: Offset,
    records: Arc<Vec<MetadataRecord>>,
    answer: Option<(Asker, Answer)>,
}

/// The controller with its log.
///
/// Invariants: `in_flight` is sorted by `last_offset`; the controller's image holds all of it already.
#[derive(Debug)]
pub struct MetadataLog {
    controller: Controller,
    exists: bool,
    log: Option<Log>,
    loading: Loading,
    reading: Option<ReadTicket>,
    gathering: Option<Gathering>,
    /// Commands that are not decided yet, in order.
    waiting: VecDeque<(Command, Option<Asker>)>,
    in_flight: VecDeque<InFlight>,
    sets_since_snapshot: u64,
    snapshot: Option<(DiskToken, Offset)>,
    /// Taken by the shard after each call.
    pub out: VecDeque<Outcome>,
}

/// A read whose parts partly lie in files and are being fetched.
#[derive(Debug)]
struct Gathering {
    parts: VecDeque<LogSlice>,
    bytes: BytesMut,
    token: Option<DiskToken>,
}

impl MetadataLog {
    /// Begins to load; [`Outcome::Loaded`] follows. `exists`: there is a log directory.
    #[must_use]
    pub fn open(broker: BrokerId, settings: &Settings, exists: bool, disk: &mut DiskQueue) -> MetadataLog {
        let path = SNAPSHOT_PATH.to_owned();
        let token = disk.push(SNAPSHOT_SLOT, DiskOp::ReadFile { path, bytes_max: SNAPSHOT_BYTES_MAX });
        MetadataLog {
            controller: Controller::new(ClusterImage::new(), broker, settings.clone()),
            exists,
            log: None,
            loading: Loading::Snapshot(token),
            reading: None,
            gathering: None,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            sets_since_snapshot: 0,
            snapshot: None,
            out: VecDeque::new(),
        }
    }

    /// The metadata as decided so far, durable or not.
    #[must_use]
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Takes a command in. It is decided at once, or after those before it if the log has too much before the disk or
    /// lacks room or descriptors; the answer follows in `out` once it is durable, at once if it changes nothing.
    pub fn submit(&mut self, command: Command, asker: Option<Asker>, cx: &mut LogCx<'_>) {
        assert!(matches!(self.loading, Loading::Done), "commands come after Loaded");
        self.waiting.push_back((command, asker));
        if self.waiting.len() == 1 {
            self.decide_waiting(cx);
        }
    }

    /// Decides what waits, in order, as far as the log takes it. What stops it leads here again: a completion, or the
    /// next tick where room must come back first.
    fn decide_waiting(&mut self, cx: &mut LogCx<'_>) {
        while let Some((command, asker)) = self.waiting.pop_front() {
            if !self.decide(&command, asker, cx) {
                self.waiting.push_front((command, asker));
                return;
            }
        }
    }

    /// Decides one command. False if the log cannot take its records now: nothing has happened then.
    fn decide(&mut self, command: &Command, asker: Option<Asker>, cx: &mut LogCx<'_>) -> bool {
        let outcome = self.controller.handle(command, cx.now);
        let answer = asker.map(|asker| (asker, outcome.answer));
        if outcome.records.is_empty() && self.in_flight.is_empty() {
            self.out.push_back(Outcome::Publish { records: Arc::new(Vec::new()), answer });
            return true;
        }
        // An answer without records may still rest on records that are not durable yet: it queues behind them.
        let log = self.log.as_mut().expect("open since Loaded");
        let mut last_offset = Offset(log.log_end_offset().0 - 1);
        if !outcome.records.is_empty() {
            let mut value = Vec::new();
            encode_set(&outcome.records, &mut value);
            let batch = BatchBuilder::new().push(cx.now.wall, None, Some(&value)).build();
            match log.append(&batch, LeaderEpoch(0), AppendOrigin::Internal, cx) {
                Ok(appended) => last_offset = appended.last_offset,
                Err(AppendError::Busy | AppendError::DiskFull) => return false,
                Err(error) => {
                    self.out
                        .push_back(Outcome::Failed(format!("the metadata log refuses a record: {error:?}")));
                    return true;
                }
            }
            if let Err(error) = self.controller.replay(&outcome.records) {
                self.out.push_back(Outcome::Failed(error.to_string()));
                return true;
            }
            self.sets_since_snapshot += 1;
        }
        self.in_flight.push_back(InFlight { last_offset, records: Arc::new(outcome.records), answer });
        true
    }

    /// Ends a turn.
    pub fn end_turn(&mut self, cx: &mut LogCx<'_>) {
        let Some(log) = &mut self.log else { return };
        log.end_turn(cx);
        self.publish();
        let due = self.sets_since_snapshot >= SETS_PER_SNAPSHOT && self.in_flight.is_empty();
        if due && self.snapshot.is_none() && matches!(self.loading, Loading::Done) {
            self.write_snapshot(cx);
        }
    }

    /// Housekeeping, about once a second.
    pub fn tick(&mut self, cx: &mut LogCx<'_>) {
        let Some(log) = &mut self.log else { return };
        log.tick(cx);
        if matches!(log.state(), LogState::Online) {
            self.decide_waiting(cx);
        }
    }

    /// Whether what is stored is still being read.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        !matches!(self.loading, Loading::Done)
    }

    /// Begins the end; wait for `is_idle`.
    pub fn seal(&mut self, cx: &mut LogCx<'_>) {
        if let Some(log) = &mut self.log
            && matches!(log.state(), LogState::Online)
        {
            log.seal_for_shutdown(cx);
        }
    }

    /// Whether nothing is under way. What a full disk keeps from being written when the end has begun was promised to
    /// nobody and is not waited for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let log_rests = self.log.as_ref().is_none_or(|log| log.is_idle());
        let unwritable = self.log.as_ref().is_some_and(|log| log.lacks_room());
        (self.in_flight.is_empty() || unwritable) && self.snapshot.is_none() && log_rests
    }

    /// Whether all metadata is loaded and everything decided since is durable.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        let decided = self.waiting.is_empty() && self.in_flight.is_empty();
        matches!(self.loading, Loading::Done) && decided && self.out.is_empty()
    }

    /// Takes in a completion under [`METADATA_SLOT`] or [`SNAPSHOT_SLOT`].
    pub fn on_disk(&mut self, token: DiskToken, result: Result<DiskOutcome, DiskError>, cx: &mut LogCx<'_>) {
        if token.owner() == METADATA_SLOT {
            let Some(log) = &mut self.log else { return };
            let progress = log.on_disk(token, result, cx);
            self.on_progress(progress, cx);
            // Not before all is written: deciding is dear, and in vain while the log has hardly more room.
            if self.in_flight.is_empty() {
                self.decide_waiting(cx);
            }
        } else if self.snapshot.is_some_and(|(expected, _)| expected == token) {
            self.on_snapshot_written(result, cx);
        } else if matches!(self.loading, Loading::Snapshot(expected) if expected == token) {
            self.on_snapshot_read(result, cx);
        } else {
            self.on_gathered(token, result, cx);
        }
    }

    fn on_snapshot_read(&mut self, result: Result<DiskOutcome, DiskError>, cx: &mut LogCx<'_>) {
        let next = match result {
            Ok(DiskOutcome::File(None)) => Offset(0),
            Ok(DiskOutcome::File(Some(file))) => match decode_snapshot(&file) {
                Some((offset, records)) => {
                    if !self.replay(&records) {
                        return;
                    }
                    offset
                }
                None => {
                    let why = "metadata.snapshot is damaged; restore it from a copy of the data directory";
                    self.out.push_back(Outcome::Failed(why.to_owned()));
                    return;
                }
            },
            other => {
                self.out.push_back(Outcome::Failed(format!("metadata.snapshot cannot be read: {other:?}")));
                return;
            }
        };
        let dir = DIRECTORY.to_owned();
        let log = if self.exists {
            Log::open(METADATA_SLOT, dir, log_settings(), None, false, cx)
        } else {
            Log::create(METADATA_SLOT, dir, log_settings(), cx)
        };
        self.log = Some(log);
        self.loading = Loading::Replaying { next };
        self.load_more(cx);
    }

    fn on_progress(&mut self, progress: Progress, cx: &mut LogCx<'_>) {
        let log = self.log.as_ref().expect("progress comes from it");
        if let LogState::Offline(reason) = log.state()
            && progress.state_changed
        {
            self.out.push_back(Outcome::Failed(format!("the metadata log is offline: {reason}")));
            return;
        }
        for (ticket, read) in progress.reads {
            if self.reading == Some(ticket) {
                self.reading = None;
                match read {
                    Ok(read) => self.gather(read, cx),
                    Err(error) => {
                        self.out.push_back(Outcome::Failed(format!(
                            "the metadata log cannot be read: {error:?}"
                        )));
                        return;
                    }
                }
            }
        }
        if progress.flushed_moved {
            self.publish();
        }
        if progress.state_changed {
            self.load_more(cx);
        }
    }

    /// Goes on reading stored sets until the end of the log.
    fn load_more(&mut self, cx: &mut LogCx<'_>) {
        while let Loading::Replaying { next } = self.loading {
            let log = self.log.as_mut().expect("opened before replaying");
            if !matches!(log.state(), LogState::Online) || self.reading.is_some() || self.gathering.is_some()
            {
                return;
            }
            let next = next.max(log.log_start_offset());
            let end = log.flushed_offset();
            if next >= end {
                self.loading = Loading::Done;
                self.out.push_back(Outcome::Loaded);
                return;
            }
            match log.read(next, end, READ_BYTES, true, cx) {
                ReadStart::Ready(read) => self.gather(read, cx),
                ReadStart::Pending(ticket) => self.reading = Some(ticket),
                ReadStart::OutOfRange | ReadStart::Empty | ReadStart::Failed(_) => {
                    self.out.push_back(Outcome::Failed(format!("the metadata log has no offset {next}")));
                    return;
                }
            }
        }
    }

    fn gather(&mut self, read: LogRead, cx: &mut LogCx<'_>) {
        let bytes = BytesMut::with_capacity(read.bytes as usize);
        self.gathering = Some(Gathering { parts: read.parts.into(), bytes, token: None });
        self.gather_more(cx);
    }

    fn gather_more(&mut self, cx: &mut LogCx<'_>) {
        let gathering = self.gathering.as_mut().expect("called while gathering");
        while let Some(part) = gathering.parts.pop_front() {
            match part {
                LogSlice::Memory(bytes) => gathering.bytes.extend_from_slice(&bytes),
                LogSlice::File { file, offset, len } => {
                    gathering.token = Some(cx.disk.push(SNAPSHOT_SLOT, DiskOp::Read { file, offset, len }));
                    return;
                }
            }
        }
        let bytes = self.gathering.take().expect("just used").bytes.freeze();
        self.replay_batches(&bytes);
        self.load_more(cx);
    }

    fn on_gathered(&mut self, token: DiskToken, result: Result<DiskOutcome, DiskError>, cx: &mut LogCx<'_>) {
        let Some(gathering) = &mut self.gathering else { return };
        if gathering.token != Some(token) {
            return;
        }
        match result {
            Ok(DiskOutcome::Read(bytes)) => {
                gathering.token = None;
                gathering.bytes.extend_from_slice(&bytes);
                self.gather_more(cx);
            }
            other => {
                self.out.push_back(Outcome::Failed(format!("the metadata log cannot be read: {other:?}")))
            }
        }
    }

    fn replay_batches(&mut self, bytes: &Bytes) {
        let Loading::Replaying { mut next } = self.loading else { return };
        let mut at = 0;
        while let Ok(Some(header)) = batch::check_stored(&bytes[at..]) {
            let whole = &bytes[at..at + header.size_bytes()];
            at += header.size_bytes();
            if header.last_offset() >= next && !self.replay_batch(whole) {
                return;
            }
            next = header.next_offset();
        }
        if at == 0 {
            self.out.push_back(Outcome::Failed(format!("the metadata log is damaged at offset {next}")));
            self.loading = Loading::Done;
            return;
        }
        self.loading = Loading::Replaying { next };
    }

    fn replay_batch(&mut self, batch: &[u8]) -> bool {
        let Ok((header, payload)) = records::payload(batch, BATCH_BYTES_MAX as usize) else {
            return self.damaged();
        };
        for record in records::iter(&header, &payload) {
            let Some(value) = record.ok().and_then(|record| record.value) else { return self.damaged() };
            let Ok(set) = decode_set(value) else { return self.damaged() };
            if !self.replay(&set) {
                return false;
            }
            self.sets_since_snapshot += 1;
        }
        true
    }

    fn replay(&mut self, records: &[MetadataRecord]) -> bool {
        match self.controller.replay(records) {
            Ok(()) => true,
            Err(error) => {
                self.out.push_back(Outcome::Failed(error.to_string()));
                self.loading = Loading::Done;
                false
            }
        }
    }

    fn damaged(&mut self) -> bool {
        let why = "the metadata log holds a record that this version cannot read";
        self.out.push_back(Outcome::Failed(why.to_owned()));
        self.loading = Loading::Done;
        false
    }

    fn publish(&mut self) {
        let Some(log) = &self.log else { return };
        while self.in_flight.front().is_some_and(|first| first.last_offset < log.flushed_offset()) {
            let first = self.in_flight.pop_front().expect("just looked at");
            self.out.push_back(Outcome::Publish { records: first.records, answer: first.answer });
        }
    }

    fn write_snapshot(&mut self, cx: &mut LogCx<'_>) {
        let log = self.log.as_ref().expect("open since Loaded");
        let offset = log.flushed_offset();
        assert_eq!(offset, log.log_end_offset(), "nothing is in flight, so the image is what is durable");
        let data = encode_snapshot(offset, &self.controller.image().snapshot());
        let token = cx.disk.push(SNAPSHOT_SLOT, DiskOp::WriteFile { path: SNAPSHOT_PATH.to_owned(), data });
        self.snapshot = Some((token, offset));
        self.sets_since_snapshot = 0;
    }

    fn on_snapshot_written(&mut self, result: Result<DiskOutcome, DiskError>, cx: &mut LogCx<'_>) {
        let (_, offset) = self.snapshot.take().expect("the caller looked");
        // Without a snapshot the log simply stays long; the next attempt comes after as many sets.
        if result.is_ok()
            && let Some(log) = &mut self.log
            && matches!(log.state(), LogState::Online)
        {
            // A log that refuses keeps more than it must, which harms nobody.
            let _kept = log.delete_records(offset, cx);
        }
    }

    /// Panics: if the state contradicts itself.
    pub fn check_invariants(&self) {
        self.controller.image().check_invariants();
        assert!(self.in_flight.iter().is_sorted_by_key(|entry| entry.last_offset));
        if let Some(log) = &self.log {
            log.check_invariants();
        }
    }
}

fn log_settings() -> LogSettings {
    LogSettings { index_interval_bytes: 64 << 10, ..LogSettings::keeping_all(32 << 20, BATCH_BYTES_MAX) }
}

fn encode_snapshot(offset: Offset, records: &[MetadataRecord]) -> Bytes {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(SNAPSHOT_MAGIC);
    out.extend_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
    out.extend_from_slice(&offset.0.to_le_bytes());
    encode_set(records, &mut out);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    Bytes::from(out)
}

fn decode_snapshot(file: &[u8]) -> Option<(Offset, Vec<MetadataRecord>)> {
    let (body, crc) = file.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) || body.len() < SNAPSHOT_HEAD_BYTES {
        return None;
    }
    let version = u32::from_le_bytes(body[4..8].try_into().ok()?);
    if &body[..4] != SNAPSHOT_MAGIC || version != SNAPSHOT_VERSION {
        return None;
    }
    let offset = i64::from_le_bytes(body[8..16].try_into().ok()?);
    Some((Offset(offset), decode_set(&body[SNAPSHOT_HEAD_BYTES..]).ok()?))
}

#[cfg(test)]
mod tests {
    use std::any::Any;

    use corelane_base::time::{Now, WallMs};
    use corelane_control::create_topics::{CreateTopics, NewTopic};
    use corelane_control::membership::StartBroker;
    use corelane_control::record::{BrokerRegistration, Endpoint};
    use corelane_log::disk::{FileHandle, FileObject};
    use corelane_log::pool::SegmentPool;
    use corelane_log::settings::LogNotice;

    use super::*;

    struct Nothing;

    impl FileObject for Nothing {
        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    /// Carries out all operations under way, as a disk that does them at once, until there are none.
    fn settle(log: &mut MetadataLog, disk: &mut DiskQueue, pool: &mut SegmentPool) {
        let mut notices: Vec<LogNotice> = Vec::new();
        let now = Now { wall: WallMs(1), ..Now::default() };
        loop {
            let cx = &mut LogCx { now, disk, pool, notices: &mut notices };
            log.end_turn(cx);
            let ops: Vec<_> = disk.drain().collect();
            if ops.is_empty() {
                return;
            }
            for (token, op) in ops {
                let outcome = match op {
                    DiskOp::ReadFile { .. } => DiskOutcome::File(None),
                    DiskOp::CreateSegment { bytes, .. } => {
                        DiskOutcome::Opened { file: FileHandle::new(Nothing), len: bytes }
                    }
                    _ => DiskOutcome::Done,
                };
                let cx = &mut LogCx { now, disk, pool, notices: &mut notices };
                log.on_disk(token, Ok(outcome), cx);
            }
        }
    }

    #[test]
    fn commands_wait_for_a_log_that_is_busy() {
        let mut disk = DiskQueue::default();
        let mut pool = SegmentPool::open(u32::MAX, 0, &mut DiskQueue::default());
        let settings = Settings::from_list(&[]).unwrap();
        let mut log = MetadataLog::open(BrokerId(1), &settings, false, &mut disk);
        settle(&mut log, &mut disk, &mut pool);
        assert!(matches!(log.out.pop_front(), Some(Outcome::Loaded)));
        let now = Now { wall: WallMs(1), ..Now::default() };
        let mut notices = Vec::new();
        let endpoint = Endpoint { listener: "PLAINTEXT".into(), host: "localhost".into(), port: 9092 };
        let registration = BrokerRegistration { id: BrokerId(1), endpoints: vec![endpoint], rack: None };
        let start = StartBroker { registration, unclean: false };
        let cx = &mut LogCx { now, disk: &mut disk, pool: &mut pool, notices: &mut notices };
        log.submit(Command::StartBroker(start), None, cx);
        // Each about 3 MB of records; together far more than a log holds before the disk.
        const COMMANDS: u64 = 8;
        for n in 0..COMMANDS {
            let topics = (0..100)
                .map(|k| NewTopic {
                    name: format!("t{n}-{k}"),
                    partition_count: 1,
                    replication_factor: 1,
                    assignments: Vec::new(),
                    configs: vec![(
                        "leader.replication.throttled.replicas".into(),
                        Some("0:1,".repeat(7000) + "0:1"),
                    )],
                })
                .collect();
            let command = Command::CreateTopics(CreateTopics { topics, validate_only: false, seed: n });
            let pending = SlotId { slot: n as u32, generation: 0 };
            let cx = &mut LogCx { now, disk: &mut disk, pool: &mut pool, notices: &mut notices };
            log.submit(command, Some((ShardId(0), pending)), cx);
        }
        assert!(!log.waiting.is_empty(), "the log was busy before all were decided");
        settle(&mut log, &mut disk, &mut pool);
        assert!(log.waiting.is_empty());
        let answered: Vec<u32> = log
            .out
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Publish { answer: Some(((_, pending), _)), .. } => Some(pending.slot),
                Outcome::Failed(why) => panic!("{why}"),
                _ => None,
            })
            .collect();
        assert_eq!(answered, (0..COMMANDS as u32).collect::<Vec<_>>(), "each once, in order");
        assert_eq!(log.controller().image().topic_count(), 100 * COMMANDS as usize);
    }
}
