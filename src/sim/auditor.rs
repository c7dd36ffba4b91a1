//! The last client of a run: when everything is quiet, it reads every partition from its first record to its last,
//! asks for offsets by time, and holds all of it against what the others were promised.

use std::collections::VecDeque;

use corelane_base::time::Mono;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use corelane_wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use corelane_wire::primitive::{Reader, Records};

use crate::batch::decode;
use crate::check::Place;
use crate::client::{Actor, Awaited, Cx, Line, soon};
use crate::net::LinkId;

/// Versions with names of topics, all fields the audit looks at, and the look-up of the largest time.
const FETCH_VERSION: i16 = 12;
const LIST_OFFSETS_VERSION: i16 = 9;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
const LARGEST_TIME: i64 = -3;
const FETCH_BYTES: i32 = 1 << 20;
/// Look-ups by time per partition.
const LOOKUPS: u64 = 12;

/// What the audit does next with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Start,
    End,
    Read,
    Look(u64),
}

/// The actor.
#[derive(Debug, Default)]
pub struct Auditor {
    line: Line<i64>,
    places: VecDeque<Place>,
    task: Option<Task>,
    log_start: i64,
    high_watermark: i64,
    position: i64,
    /// Every record read of the partition: offset and time.
    records: Vec<(i64, i64)>,
    wake_at: Mono,
    /// Partitions found in order.
    pub audited: u64,
}

impl Auditor {
    /// An auditor of these partitions.
    #[must_use]
    pub fn new(places: impl Iterator<Item = Place>) -> Auditor {
        Auditor { places: places.collect(), task: Some(Task::Start), ..Auditor::default() }
    }

    fn place(&self) -> Option<Place> {
        self.places.front().copied()
    }

    fn ask(&mut self, cx: &mut Cx<'_>) {
        let Some(place) = self.place() else { return };
        match self.task {
            Some(Task::Start) => self.list_offsets(cx, place, EARLIEST),
            Some(Task::End) => self.list_offsets(cx, place, LATEST),
            Some(Task::Read) => self.fetch(cx, place),
            Some(Task::Look(0)) => self.list_offsets(cx, place, LARGEST_TIME),
            Some(Task::Look(_)) => {
                let (low, high) = self.time_span();
                let time = low - 2 + cx.rng.below((high - low + 5) as u64) as i64;
                self.list_offsets(cx, place, time.max(0));
            }
            None => {}
        }
    }

    fn time_span(&self) -> (i64, i64) {
        let times = || self.records.iter().map(|(_, time)| *time);
        (times().min().unwrap_or(0), times().max().unwrap_or(0))
    }

    fn list_offsets(&mut self, cx: &mut Cx<'_>, place: Place, timestamp: i64) {
        let name = cx.topics[place.0].name.clone();
        let partition =
            ListOffsetsPartition { partition_index: place.1, timestamp, ..ListOffsetsPartition::default() };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: &name, partitions: vec![partition] }],
            ..ListOffsetsRequest::default()
        };
        let version = LIST_OFFSETS_VERSION;
        self.line.request(cx, ApiKey::ListOffsets, version, |w| request.encode(w, version), Some(timestamp));
    }

    fn on_offset(&mut self, cx: &mut Cx<'_>, asked: &Awaited<i64>, message: &[u8]) {
        let place = self.place().expect("it asked about one");
        let mut r = Reader::new(message);
        let response = ListOffsetsResponse::decode(&mut r, asked.version).expect("a sound answer");
        let answer = &response.topics[0].partitions[0];
        let error = ErrorCode::from_code(answer.error_code).expect("a code of the protocol");
        if error != ErrorCode::None {
            assert!(error.is_retriable(), "{place:?}: {error:?}");
            return;
        }
        match (self.task, asked.ask) {
            (Some(Task::Start), EARLIEST) => {
                self.log_start = answer.offset;
                cx.checker.on_bounds(place, cx.checker.floor(place), -1, answer.offset);
                self.task = Some(Task::End);
            }
            (Some(Task::End), LATEST) => {
                self.high_watermark = answer.offset;
                cx.checker.on_bounds(place, cx.checker.floor(place), answer.offset, self.log_start);
                self.position = self.log_start;
                self.records.clear();
                self.task = Some(Task::Read);
                self.read_further(cx);
            }
            (Some(Task::Look(done)), asked) => {
                if !cx.checker.partition(place).retained {
                    self.check_lookup(place, asked, answer.offset, answer.timestamp);
                }
                self.task = Some(Task::Look(done + 1));
                if done >= LOOKUPS || self.records.is_empty() {
                    self.audited += 1;
                    self.places.pop_front();
                    self.task = Some(Task::Start);
                }
            }
            (task, asked) => unreachable!("{task:?} answered by {asked}"),
        }
    }

    fn check_lookup(&self, place: Place, asked: i64, offset: i64, timestamp: i64) {
        let expected = if asked == LARGEST_TIME {
            let (_, largest) = self.time_span();
            self.records.iter().find(|(_, time)| *time == largest)
        } else {
            self.records.iter().find(|(_, time)| *time >= asked)
        };
        let below_start = asked == LARGEST_TIME && offset >= 0 && offset < self.log_start;
        let got = (offset >= 0).then_some((offset, timestamp));
        assert!(
            below_start || got == expected.copied(),
            "{place:?}: {asked} is at {got:?}, not {expected:?}"
        );
    }

    /// Moves on when the end has been reached.
    fn read_further(&mut self, cx: &mut Cx<'_>) {
        let place = self.place().expect("it reads one");
        if self.position >= self.high_watermark {
            cx.checker.check_complete(place, self.log_start, self.high_watermark);
            self.task = Some(Task::Look(0));
        }
    }

    fn fetch(&mut self, cx: &mut Cx<'_>, place: Place) {
        let name = cx.topics[place.0].name.clone();
        let partition = FetchPartition {
            partition: place.1,
            fetch_offset: self.position,
            partition_max_bytes: FETCH_BYTES,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            session_epoch: -1,
            topics: vec![FetchTopic { topic: &name, partitions: vec![partition], ..FetchTopic::default() }],
            ..FetchRequest::default()
        };
        let position = self.position;
        let version = FETCH_VERSION;
        self.line.request(cx, ApiKey::Fetch, version, |w| request.encode(w, version), Some(position));
    }

    fn on_fetched(&mut self, cx: &mut Cx<'_>, asked: &Awaited<i64>, message: &[u8]) {
        let place = self.place().expect("it reads one");
        let mut r = Reader::new(message);
        let response = FetchResponse::decode(&mut r, asked.version).expect("a sound answer");
        let answer = &response.responses[0].partitions[0];
        let error = ErrorCode::from_code(answer.error_code).expect("a code of the protocol");
        if error == ErrorCode::OffsetOutOfRange && cx.checker.partition(place).retained {
            self.task = Some(Task::Start); // Retention was quicker.
            return;
        }
        if error != ErrorCode::None {
            assert!(error.is_retriable(), "{place:?}: fetch from {}: {error:?}", asked.ask);
            return;
        }
        let Some(Records::Borrowed(bytes)) = answer.records else { return };
        let (hw, life) = (answer.high_watermark, cx.checker.life());
        let fetched = cx.checker.on_fetched(place, asked.ask, hw, bytes, life);
        assert!(fetched.batches > 0, "{place:?}: nothing at {} of {}", asked.ask, self.high_watermark);
        let mut rest = bytes;
        while let Ok(Some(batch)) = decode(rest) {
            let offsets = batch.base_offset..;
            let times = batch.records.iter().map(|record| record.timestamp_ms);
            self.records.extend(offsets.zip(times).filter(|(offset, _)| *offset >= asked.ask));
            rest = &rest[batch.size_bytes..];
        }
        self.position = fetched.next_offset;
        self.read_further(cx);
    }
}

impl Actor for Auditor {
    fn link(&self) -> Option<LinkId> {
        self.line.link()
    }

    fn wake_at(&self) -> Mono {
        self.wake_at
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        self.wake_at = soon(cx.rng, cx.now, 10);
        self.line.check_patience(cx.now);
        if self.line.connect(cx) && self.line.awaited_count() == 0 {
            self.ask(cx);
        }
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        self.line.on_bytes(bytes);
        while let Some((asked, message)) = self.line.answer() {
            if asked.api == ApiKey::Fetch {
                self.on_fetched(cx, &asked, &message);
            } else {
                self.on_offset(cx, &asked, &message);
            }
        }
    }

    fn on_gone(&mut self, cx: &mut Cx<'_>) {
        self.line.on_gone();
        self.wake_at = soon(cx.rng, cx.now, 200);
    }

    fn is_settled(&self) -> bool {
        self.places.is_empty()
    }

    fn wind_up(&mut self) {}
}
