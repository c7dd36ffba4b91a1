//! One consumer of the load: long-polls its partitions with incremental fetch sessions and checks what comes.
//!
//! Partitions are dealt out, not negotiated: groups are not what is measured. One fetch is under way per leader, as with
//! Kafka's own consumer. A history reader is a consumer that checks and counts nothing: it reads everything from
//! the beginning and then begins again, to be in the way.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use corelane_log::{batch, records};
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use corelane_wire::primitive::{Reader, Records, Writer};

use crate::clock::{self, SECOND};
use crate::cluster::error_name;
use crate::link::Link;
use crate::plan::Plan;
use crate::poll::Poll;
use crate::tally::Tally;
use crate::verify::Checker;

const ANSWER_DEADLINE: u64 = 30 * SECOND;
const RECONNECT_PAUSE: u64 = SECOND / 5;
/// After an error a partition is asked again, but not at once.
const ERROR_PAUSE: u64 = SECOND / 10;
/// The most that a compressed batch may become.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;
const NOT_MINE: u32 = u32::MAX;

/// A fetch session, as the broker sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    /// To be opened by a request that names everything.
    New,
    /// Open: only what has changed is named.
    Open { id: i32, epoch: i32 },
    /// The broker gives none: everything is named each time.
    None,
}

/// The connection to one leader.
struct Line {
    address: String,
    link: Option<Link>,
    retry_at: u64,
    /// When the fetch under way was sent.
    asked_at: Option<u64>,
    correlation_id: i32,
    session: Session,
    /// Own partitions led there, and those of them that the next request must name.
    members: Vec<u32>,
    changed: Vec<u32>,
}

/// See the module.
pub struct Consumer {
    plan: Arc<Plan>,
    token: u64,
    /// Slots of own partitions, and the next offset of each.
    slots: Vec<u32>,
    offsets: Vec<i64>,
    /// From a slot to the own partition.
    own: Vec<u32>,
    lines: Vec<Line>,
    /// None for a history reader.
    checker: Option<Checker>,
}

impl Consumer {
    /// A consumer of those slots, from their beginning. Errors: no connection.
    pub fn open(
        plan: &Arc<Plan>,
        slots: Vec<u32>,
        is_measured: bool,
        token: u64,
        poll: &Poll,
    ) -> io::Result<Consumer> {
        let mut own = vec![NOT_MINE; plan.cluster.leader_of.len()];
        for (at, slot) in slots.iter().enumerate() {
            own[*slot as usize] = at as u32;
        }
        let line = |leader: usize| {
            let led = |slot: &u32| usize::from(plan.cluster.leader_of[*slot as usize]) == leader;
            Line {
                address: plan.cluster.leaders[leader].clone(),
                link: None,
                retry_at: 0,
                asked_at: None,
                correlation_id: 0,
                session: Session::New,
                members: slots.iter().filter(|slot| led(slot)).map(|slot| own[*slot as usize]).collect(),
                changed: Vec::new(),
            }
        };
        let checks = plan.workload.checks;
        let checker = is_measured.then(|| Checker::new(checks, slots.len(), plan.producers_total));
        let lines = (0..plan.cluster.leaders.len()).map(line).collect();
        let offsets = vec![0; slots.len()];
        let mut consumer = Consumer { plan: Arc::clone(plan), token, slots, offsets, own, lines, checker };
        for line in 0..consumer.lines.len() {
            if !consumer.lines[line].members.is_empty() {
                consumer.connect(line, poll)?;
            }
        }
        Ok(consumer)
    }

    /// Its slots and what it found in them; none of a history reader.
    pub fn into_checker(self) -> Option<(Vec<u32>, Checker)> {
        self.checker.map(|checker| (self.slots, checker))
    }

    fn connect(&mut self, line: usize, poll: &Poll) -> io::Result<()> {
        let link = Link::open(&self.lines[line].address)?;
        poll.add(link.stream(), self.token + line as u64)?;
        let line = &mut self.lines[line];
        line.link = Some(link);
        line.session = Session::New;
        line.changed.clear();
        line.asked_at = None;
        Ok(())
    }

    fn lose(&mut self, line: usize, why: &str, tally: &mut Tally) {
        tally.on_fetch_failed(why);
        let line = &mut self.lines[line];
        line.link = None;
        line.asked_at = None;
        line.retry_at = clock::now() + RECONNECT_PAUSE;
    }

    /// Asks where nothing is asked yet. Returns when it wants to be called again without an answer having come.
    pub fn turn(&mut self, now: u64, tally: &mut Tally, poll: &Poll) -> u64 {
        let mut wake = u64::MAX;
        for line in 0..self.lines.len() {
            let it = &self.lines[line];
            if it.members.is_empty() {
                continue;
            }
            match it.asked_at {
                Some(at) if now > at + ANSWER_DEADLINE => self.lose(line, "no answer in time", tally),
                Some(_) => continue,
                None => {}
            }
            let it = &self.lines[line];
            if it.retry_at > now {
                wake = wake.min(it.retry_at);
                continue;
            }
            if it.link.is_none() && self.connect(line, poll).is_err() {
                self.lines[line].retry_at = now + RECONNECT_PAUSE;
                continue;
            }
            self.ask(line, now);
            let flushed = self.lines[line].link.as_mut().map_or(Ok(()), Link::flush);
            if flushed.is_err() {
                self.lose(line, "connection lost", tally);
            }
        }
        wake
    }

    /// Writes a fetch request: everything, or what has changed in the session.
    fn ask(&mut self, line: usize, now: u64) {
        let plan = Arc::clone(&self.plan);
        let it = &mut self.lines[line];
        it.changed.sort_unstable();
        let (session_id, session_epoch, named) = match it.session {
            Session::New => (0, 0, &it.members),
            Session::None => (0, -1, &it.members),
            Session::Open { id, epoch } => (id, epoch, &it.changed),
        };
        let mut topics: Vec<FetchTopic<'_>> = Vec::new();
        let mut last = None;
        for &member in named {
            let slot = self.slots[member as usize];
            let number = slot / plan.workload.partitions;
            if last != Some(number) {
                let topic = plan.cluster.topics[number as usize].as_str();
                topics.push(FetchTopic { topic, ..FetchTopic::default() });
                last = Some(number);
            }
            topics.last_mut().expect("just pushed").partitions.push(FetchPartition {
                partition: (slot % plan.workload.partitions) as i32,
                fetch_offset: self.offsets[member as usize],
                partition_max_bytes: plan.workload.partition_bytes,
                ..FetchPartition::default()
            });
        }
        let message = FetchRequest {
            max_wait_ms: plan.workload.fetch_wait_ms,
            min_bytes: plan.workload.fetch_bytes_min,
            max_bytes: plan.workload.fetch_bytes,
            session_id,
            session_epoch,
            topics,
            ..FetchRequest::default()
        };
        let version = plan.cluster.fetch_version;
        let mut writer = Writer::frame(128 + named.len() * 40);
        let header = RequestHeader {
            api_key: ApiKey::Fetch.code(),
            api_version: version,
            correlation_id: it.correlation_id,
            client_id: Some("corelane-bench"),
        };
        header.encode(&mut writer).expect("a short client id");
        message.encode(&mut writer, version).expect("only fields of that version are used");
        let (frame, _) = writer.into_parts().expect("a request is far below 2 GiB");
        it.changed.clear();
        it.asked_at = Some(now);
        it.link.as_mut().expect("connected").outbound.extend_from_slice(&frame);
    }

    /// Something happened on a connection: sends what waits, takes in what came.
    pub fn on_ready(&mut self, line: usize, tally: &mut Tally) {
        loop {
            let Some(link) = &mut self.lines[line].link else { return };
            let more = link.flush().and_then(|()| link.receive());
            let now = clock::now();
            match self.take_answers(line, now, tally).and(more) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.lose(line, &format!("connection lost: {}", error.kind()), tally),
            }
        }
    }

    fn take_answers(&mut self, line: usize, now: u64, tally: &mut Tally) -> io::Result<()> {
        loop {
            // The link is taken out while its bytes are read, so that everything else of the consumer can be changed.
            let Some(mut link) = self.lines[line].link.take() else { return Ok(()) };
            let frame = link.next_frame();
            let taken = match &frame {
                Ok(Some(frame)) => self.take_answer(line, link.bytes(frame.clone()), now, tally),
                _ => Ok(()),
            };
            self.lines[line].link = Some(link);
            taken?;
            if frame?.is_none() {
                return Ok(());
            }
        }
    }

    fn take_answer(&mut self, line: usize, answer: &[u8], now: u64, tally: &mut Tally) -> io::Result<()> {
        let plan = Arc::clone(&self.plan);
        let version = plan.cluster.fetch_version;
        let mut reader = Reader::new(answer);
        let header =
            ResponseHeader::decode(&mut reader, ApiKey::Fetch.code(), version).map_err(io::Error::other)?;
        let it = &mut self.lines[line];
        if it.asked_at.take().is_none() || header.correlation_id != it.correlation_id {
            return Err(io::Error::other("an answer to nothing"));
        }
        it.correlation_id = it.correlation_id.wrapping_add(1) & i32::MAX;
        let answer = FetchResponse::decode(&mut reader, version).map_err(io::Error::other)?;
        tally.totals.requests.1 += u64::from(tally.measures(now));
        if answer.error_code != 0 {
            tally.on_fetch_failed(&error_name(answer.error_code));
            it.session = Session::New;
            it.retry_at = now + ERROR_PAUSE;
            return Ok(());
        }
        it.session = match (it.session, answer.session_id) {
            (_, 0) => Session::None,
            (Session::Open { id, epoch }, given) if id == given => {
                Session::Open { id, epoch: if epoch == i32::MAX { 1 } else { epoch + 1 } }
            }
            (_, id) => Session::Open { id, epoch: 1 },
        };
        let mut has_records = false;
        for topic in &answer.responses {
            let Some(number) = plan.cluster.topics.iter().position(|name| name == topic.topic) else {
                continue;
            };
            for partition in &topic.partitions {
                let slot = number * plan.workload.partitions as usize + partition.partition_index as usize;
                let Some(&member) = self.own.get(slot).filter(|&&member| member != NOT_MINE) else {
                    continue;
                };
                if partition.error_code != 0 {
                    self.on_refused(
                        line,
                        member,
                        partition.error_code,
                        partition.log_start_offset,
                        now,
                        tally,
                    );
                } else if let Some(Records::Borrowed(bytes)) = partition.records
                    && !bytes.is_empty()
                {
                    has_records = true;
                    self.on_batches(member, bytes, now, tally);
                    self.lines[line].changed.push(member);
                }
            }
        }
        if self.checker.is_none() && !has_records {
            self.start_again(line);
        }
        Ok(())
    }

    fn on_refused(&mut self, line: usize, member: u32, code: i16, start: i64, now: u64, tally: &mut Tally) {
        // Retention took what was to be read: the reader goes on where the log begins now. What it lost shows as gaps.
        let moved = code == ErrorCode::OffsetOutOfRange.code() && start > self.offsets[member as usize];
        if moved {
            self.offsets[member as usize] = start;
        } else {
            self.lines[line].retry_at = now + ERROR_PAUSE;
        }
        if self.checker.is_some() || !moved {
            tally.on_fetch_failed(&error_name(code));
        }
        self.lines[line].changed.push(member);
    }

    /// A history reader at the end goes back to the beginning.
    fn start_again(&mut self, line: usize) {
        let it = &mut self.lines[line];
        for &member in &it.members {
            self.offsets[member as usize] = 0;
        }
        it.changed.clone_from(&it.members);
    }

    /// Goes through the batches of a partition; the last one may be cut off.
    fn on_batches(&mut self, member: u32, bytes: &[u8], now: u64, tally: &mut Tally) {
        let mut at = 0;
        while let Ok(Some(header)) = batch::peek(&bytes[at..]) {
            let Some(one) = bytes.get(at..at + header.size_bytes()) else { return };
            at += header.size_bytes();
            let position = self.offsets[member as usize];
            if header.next_offset().0 <= position {
                continue;
            }
            self.offsets[member as usize] = header.next_offset().0;
            self.on_batch(member, one, position, now, tally);
        }
    }

    /// Counts and checks the records of a batch from `position` on.
    fn on_batch(&mut self, member: u32, bytes: &[u8], position: i64, now: u64, tally: &mut Tally) {
        let plan = &self.plan;
        let Some(checker) = &mut self.checker else { return };
        if plan.workload.checks.content && !matches!(batch::check_stored(bytes), Ok(Some(_))) {
            let count = batch::peek(bytes).ok().flatten().map_or(1, |header| header.record_count().max(1));
            return checker.on_corrupt(count as u64);
        }
        let Ok((header, payload)) = records::payload(bytes, PAYLOAD_BYTES_MAX) else {
            return checker.on_corrupt(1);
        };
        if header.is_control() {
            return;
        }
        for record in records::iter(&header, &payload) {
            let Ok(record) = record else { return checker.on_corrupt(1) };
            if record.offset.0 < position {
                continue;
            }
            let value = record.value.unwrap_or_default();
            if let Some(stamp) = checker.on_record(member as usize, value, &plan.material.pool) {
                tally.on_received(stamp.intended, value.len() as u64, now);
            }
        }
    }
}

/// Deals `slots` partitions out to consumer `index` of `count`.
pub fn share(slots: Range<u32>, index: u32, count: u32) -> Vec<u32> {
    slots.filter(|slot| slot % count == index).collect()
}
