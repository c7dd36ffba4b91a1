//! One producer of the load: sends what is due, when it is due, as far as the broker has answered what came before.
//!
//! As Kafka's own: batches per partition, closed by size or linger; a request per leader with what is ready, one batch per
//! partition; a bounded number of requests under way. Unlike Kafka's own it never repeats a request: what was refused or
//! got lost is an error of the measurement, and the report says so.
//!
//! Records wait as arithmetic, not in memory: the pace knows how many are due, the producer how many it has sent.
//! Partitions are taken in turns, batch by batch; with keys, each record's key decides.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use corelane_wire::api::ApiKey;
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use corelane_wire::primitive::{Reader, Records, Writer};

use crate::batches::{self, Keyed, Origin, Place};
use crate::clock::{self, SECOND};
use crate::cluster::error_name;
use crate::link::Link;
use crate::pacing::{Pace, Times};
use crate::plan::Plan;
use crate::poll::Poll;
use crate::tally::Tally;

/// A request that is not answered for so long is given up, with its connection.
const ANSWER_DEADLINE: u64 = 30 * SECOND;

/// Between two attempts to connect.
const RECONNECT_PAUSE: u64 = SECOND / 5;

/// Keyed records that may wait in open batches; further ones wait as arithmetic.
const OPEN_RECORDS_MAX: usize = 1 << 16;

/// Unsent bytes from which on a producer without acknowledgements waits.
const UNSENT_MAX: usize = 1 << 20;

/// A batch that has been sent or is about to be.
struct Batch {
    slot: u32,
    times: Times,
    /// Numbers of keyed records; empty without keys.
    records: Vec<u64>,
    /// Which template, without keys.
    variant: usize,
    /// Bytes of the values.
    value_bytes: u64,
}

/// A request under way.
struct Sent {
    correlation_id: i32,
    at: u64,
    batches: Vec<Batch>,
}

/// The connection to one leader.
struct Line {
    address: String,
    link: Option<Link>,
    retry_at: u64,
    correlation_id: i32,
    in_flight: VecDeque<Sent>,
    /// Closed batches that wait for room, only with keys.
    ready: VecDeque<Batch>,
}

/// Open batches of keyed records, by slot. A batch is closed when it is full or its linger is over; lingers end in the
/// order in which batches were opened.
struct OpenBatches {
    by_slot: Vec<OpenBatch>,
    lingering: VecDeque<(u64, u32, u32)>,
    records: usize,
}

#[derive(Default)]
struct OpenBatch {
    records: Vec<u64>,
    times: Vec<u64>,
    size: usize,
    value_bytes: u64,
    /// How many batches this slot has had: a linger of an earlier one is void.
    generation: u32,
}

/// See the module.
pub struct Producer {
    plan: Arc<Plan>,
    token: u64,
    origin: Origin,
    pace: Option<Pace>,
    /// Number of the next record.
    next: u64,
    lines: Vec<Line>,
    /// Per slot: the next stamp, the stamp at which the current producer id began, and how many were acknowledged.
    sequences: Vec<u64>,
    bases: Vec<u64>,
    acknowledged: Vec<u64>,
    cursor: u32,
    variant: usize,
    open: Option<OpenBatches>,
    /// The producer id is spent: wait for all answers, then take a new one.
    renew: bool,
    scratch: Vec<u8>,
}

impl Producer {
    /// Producer `index` of the plan's workload; its connections report with tokens from `token` on.
    /// Errors: no connection or no producer id.
    pub fn open(plan: &Arc<Plan>, index: u32, token: u64, poll: &Poll) -> io::Result<Producer> {
        let workload = &plan.workload;
        let (producer_id, producer_epoch) =
            if workload.idempotent { plan.cluster.producer_id()? } else { (-1, -1) };
        let slots = workload.slots() as usize;
        let line = |address: &String| Line {
            address: address.clone(),
            link: None,
            retry_at: 0,
            correlation_id: 0,
            in_flight: VecDeque::new(),
            ready: VecDeque::new(),
        };
        let open = plan.material.keys.is_some().then(|| OpenBatches {
            by_slot: (0..slots).map(|_| OpenBatch::default()).collect(),
            lingering: VecDeque::new(),
            records: 0,
        });
        let compression = workload.compression;
        let pace =
            workload.rate_per_second().map(|rate| Pace::new(plan.start, rate, index, workload.producers));
        let mut producer = Producer {
            plan: Arc::clone(plan),
            token,
            origin: Origin { producer: plan.producer_base + index, producer_id, producer_epoch, compression },
            pace,
            next: 0,
            lines: plan.cluster.leaders.iter().map(line).collect(),
            sequences: vec![0; slots],
            bases: vec![0; slots],
            acknowledged: vec![0; slots],
            // Producers begin at different partitions.
            cursor: (u64::from(index) * slots as u64 / u64::from(workload.producers)) as u32,
            variant: index as usize % plan.material.templates.len(),
            open,
            renew: false,
            scratch: Vec::new(),
        };
        for line in 0..producer.lines.len() {
            producer.connect(line, poll)?;
        }
        Ok(producer)
    }

    /// The number in its records' stamps.
    pub fn number(&self) -> u32 {
        self.origin.producer
    }

    /// How many records were acknowledged, by slot.
    pub fn acknowledged(&self) -> &[u64] {
        &self.acknowledged
    }

    /// Whether everything due has been sent and answered.
    pub fn is_done(&self, now: u64) -> bool {
        let waiting = self.open.as_ref().is_some_and(|open| open.records > 0);
        let busy = self.lines.iter().any(|line| {
            !line.in_flight.is_empty()
                || !line.ready.is_empty()
                || line.link.as_ref().is_some_and(|link| link.unsent() > 0)
        });
        let sent_all = self.next >= self.due(now);
        !waiting && !busy && sent_all && (now >= self.plan.stop || self.has_limit_reached())
    }

    fn has_limit_reached(&self) -> bool {
        self.plan.records_max.is_some_and(|max| self.next >= max)
    }

    /// The first record that is not due yet.
    fn due(&self, now: u64) -> u64 {
        let by_time = match self.pace {
            // Nothing is meant to be sent from `stop` on.
            Some(pace) => pace.due(now.min(self.plan.stop - 1)),
            None if now >= self.plan.stop || now < self.plan.start => self.next,
            None => u64::MAX,
        };
        by_time.min(self.plan.records_max.unwrap_or(u64::MAX))
    }

    /// What was meant to be sent and never was, at the end of a run.
    pub fn never_sent(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |open| open.records as u64);
        let ready: u64 =
            self.lines.iter().flat_map(|line| &line.ready).map(|b| u64::from(b.times.count())).sum();
        self.due(u64::MAX).saturating_sub(self.next) + open + ready
    }

    /// Gives up what is still under way, as errors.
    pub fn give_up(&mut self, tally: &mut Tally) {
        for line in 0..self.lines.len() {
            self.lose(line, "unanswered at the end of the run", tally);
        }
        let never_sent = self.never_sent();
        if never_sent > 0 {
            tally.on_failed("never sent: the broker did not keep up", never_sent);
        }
    }

    /// Sends what is ready. Returns when it wants to be called again without an answer having come.
    pub fn turn(&mut self, now: u64, tally: &mut Tally, poll: &Poll) -> u64 {
        let mut wake = u64::MAX;
        for line in 0..self.lines.len() {
            wake = wake.min(self.look_after(line, now, tally, poll));
        }
        if self.renew && !self.take_new_id() {
            return wake;
        }
        let due = self.due(now);
        let next = if self.open.is_some() {
            self.turn_keyed(now, due, tally)
        } else {
            self.turn_plain(now, due, tally)
        };
        wake.min(next)
    }

    /// Deadlines and lost connections of a line.
    fn look_after(&mut self, line: usize, now: u64, tally: &mut Tally, poll: &Poll) -> u64 {
        if let Some(oldest) = self.lines[line].in_flight.front()
            && now > oldest.at + ANSWER_DEADLINE
        {
            self.lose(line, "no answer in time", tally);
        }
        let it = &mut self.lines[line];
        if it.link.is_some() {
            return it.in_flight.front().map_or(u64::MAX, |oldest| oldest.at + ANSWER_DEADLINE + 1);
        }
        if now >= it.retry_at && self.connect(line, poll).is_err() {
            self.lines[line].retry_at = now + RECONNECT_PAUSE;
        }
        self.lines[line].retry_at.max(now)
    }

    fn connect(&mut self, line: usize, poll: &Poll) -> io::Result<()> {
        let link = Link::open(&self.lines[line].address)?;
        poll.add(link.stream(), self.token + line as u64)?;
        self.lines[line].link = Some(link);
        Ok(())
    }

    /// Drops a connection; what was under way on it has failed.
    fn lose(&mut self, line: usize, why: &str, tally: &mut Tally) {
        let it = &mut self.lines[line];
        it.link = None;
        it.retry_at = clock::now() + RECONNECT_PAUSE;
        for sent in std::mem::take(&mut it.in_flight) {
            for batch in &sent.batches {
                self.on_refused(batch, why, tally);
            }
        }
    }

    fn on_refused(&mut self, batch: &Batch, why: &str, tally: &mut Tally) {
        tally.on_failed(why, u64::from(batch.times.count()));
        self.renew |= self.origin.producer_id >= 0;
    }

    /// With nothing under way, takes a new producer id, whose sequences begin at 0. Whether it has one.
    fn take_new_id(&mut self) -> bool {
        if self.lines.iter().any(|line| !line.in_flight.is_empty()) {
            return false;
        }
        let Ok((id, epoch)) = self.plan.cluster.producer_id() else { return false };
        (self.origin.producer_id, self.origin.producer_epoch) = (id, epoch);
        self.bases.clone_from(&self.sequences);
        self.renew = false;
        true
    }

    fn has_room(&self, line: usize) -> bool {
        let it = &self.lines[line];
        let Some(link) = &it.link else { return false };
        it.in_flight.len() < self.plan.workload.in_flight && link.unsent() < UNSENT_MAX
    }

    fn turn_plain(&mut self, now: u64, due: u64, tally: &mut Tally) -> u64 {
        loop {
            let full = u64::from(self.plan.material.templates[self.variant].count());
            if self.next >= due {
                let next = self.pace.filter(|_| now < self.plan.stop && !self.has_limit_reached());
                return next.map_or(u64::MAX, |pace| pace.intended(self.next) + self.plan.workload.linger);
            }
            if let Some(pace) = self.pace {
                let ripe = self.ripe_at(pace, full);
                if now < ripe && now < self.plan.stop {
                    return ripe.min(self.plan.stop);
                }
            }
            let slots = self.plan.cluster.leader_of.len() as u32;
            let leader = |producer: &Producer, n: u32| {
                usize::from(producer.plan.cluster.leader_of[((producer.cursor + n) % slots) as usize])
            };
            // The next partition whose leader has room; none: an answer will call again.
            let Some(skip) = (0..slots.min(64)).find(|&n| self.has_room(leader(self, n))) else {
                return u64::MAX;
            };
            let line = leader(self, skip);
            self.cursor = (self.cursor + skip) % slots;
            let batches = self.take_plain(line, now, due);
            self.send(line, batches, tally);
        }
    }

    /// When the batch that begins with the next record is closed: by its linger or because it is full.
    fn ripe_at(&self, pace: Pace, full: u64) -> u64 {
        (pace.intended(self.next) + self.plan.workload.linger).min(pace.intended(self.next + full - 1))
    }

    /// Closes batches for one request: one per partition, from the cursor on, as many as are ripe.
    fn take_plain(&mut self, line: usize, now: u64, due: u64) -> Vec<Batch> {
        let slots = self.plan.cluster.leader_of.len() as u32;
        let (mut batches, mut size) = (Vec::new(), 0);
        for _ in 0..slots {
            let slot = self.cursor;
            if usize::from(self.plan.cluster.leader_of[slot as usize]) == line {
                let template = &self.plan.material.templates[self.variant];
                let count = u64::from(template.count()).min(due - self.next) as u32;
                let full = u64::from(template.count());
                let ripe = count > 0
                    && self.pace.is_none_or(|pace| now >= self.ripe_at(pace, full) || now >= self.plan.stop);
                size += if count > 0 { template.batch_size(count) } else { 0 };
                if !ripe || (!batches.is_empty() && size > self.plan.workload.request_bytes) {
                    break;
                }
                let times = match self.pace {
                    Some(pace) => Times::Even { pace, first: self.next, count },
                    None => Times::At { ns: now, count },
                };
                let value_bytes = template.value_bytes(count);
                batches.push(Batch { slot, times, records: Vec::new(), variant: self.variant, value_bytes });
                self.next += u64::from(count);
                self.variant = (self.variant + 1) % self.plan.material.templates.len();
            }
            self.cursor = (slot + 1) % slots;
        }
        batches
    }

    fn turn_keyed(&mut self, now: u64, due: u64, tally: &mut Tally) -> u64 {
        self.absorb(now, due);
        self.close_lingering(now);
        for line in 0..self.lines.len() {
            while self.has_room(line) && !self.lines[line].ready.is_empty() {
                let batches = self.take_ready(line);
                self.send(line, batches, tally);
            }
        }
        let open = self.open.as_ref().expect("called only with keys");
        let lingering = open.lingering.front().map_or(u64::MAX, |front| front.0);
        let next = match self.pace {
            Some(pace) if now < self.plan.stop && open.records < OPEN_RECORDS_MAX => {
                // Later than due is early enough: a batch counts its linger from when it was meant to be opened.
                pace.intended(self.next) + self.plan.workload.linger.min(SECOND / 1000)
            }
            _ => u64::MAX,
        };
        lingering.min(next)
    }

    /// Takes due records into open batches.
    fn absorb(&mut self, now: u64, due: u64) {
        let plan = Arc::clone(&self.plan);
        let (Some(open), Some(keys)) = (&mut self.open, &plan.material.keys) else { return };
        let what = Keyed { keys, sizes: &plan.material.sizes, pool: &plan.material.pool };
        let waiting: usize =
            self.lines.iter().flat_map(|line| &line.ready).map(|batch| batch.records.len()).sum();
        while self.next < due && open.records + waiting < OPEN_RECORDS_MAX {
            let k = self.next;
            self.next += 1;
            let partition = keys.partition(keys.pick(self.origin.producer, k));
            let topic = (k % u64::from(plan.workload.topics)) as u32;
            let slot = topic * plan.workload.partitions + partition;
            let size = what.record_size_max(k);
            if open.by_slot[slot as usize].size + size > plan.workload.batch_bytes {
                close(open, slot, &mut self.lines, &plan);
            }
            let intended = self.pace.map_or(now, |pace| pace.intended(k));
            let batch = &mut open.by_slot[slot as usize];
            if batch.records.is_empty() {
                open.lingering.push_back((intended + plan.workload.linger, slot, batch.generation));
            }
            batch.records.push(k);
            batch.times.push(intended);
            batch.size += size;
            batch.value_bytes += plan.material.sizes.of(k) as u64;
            open.records += 1;
            // As fast as possible means as fast as requests leave.
            if self.pace.is_none()
                && self.lines.iter().any(|line| line.ready.len() >= plan.workload.in_flight)
            {
                break;
            }
        }
    }

    fn close_lingering(&mut self, now: u64) {
        let Some(open) = &mut self.open else { return };
        let over = now >= self.plan.stop;
        while let Some(&(until, slot, generation)) = open.lingering.front()
            && (until <= now || over)
        {
            open.lingering.pop_front();
            if open.by_slot[slot as usize].generation == generation {
                close(open, slot, &mut self.lines, &self.plan);
            }
        }
    }

    /// Takes closed batches for one request: in order, one per partition.
    fn take_ready(&mut self, line: usize) -> Vec<Batch> {
        let (mut batches, mut size) = (Vec::<Batch>::new(), 0);
        while let Some(next) = self.lines[line].ready.front() {
            size += next.value_bytes as usize;
            let twice = batches.iter().any(|batch| batch.slot == next.slot);
            if twice || (!batches.is_empty() && size > self.plan.workload.request_bytes) {
                break;
            }
            batches.extend(self.lines[line].ready.pop_front());
        }
        batches
    }

    /// Writes a request and sends as much of it as the socket takes.
    fn send(&mut self, line: usize, mut batches: Vec<Batch>, tally: &mut Tally) {
        if batches.is_empty() {
            return;
        }
        batches.sort_unstable_by_key(|batch| batch.slot);
        let correlation_id = self.lines[line].correlation_id;
        self.write_request(line, correlation_id, &batches);
        let it = &mut self.lines[line];
        it.correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let at = clock::now();
        let flushed = it.link.as_mut().expect("it has room").flush();
        for batch in &batches {
            batch.times.for_each(|intended, count| tally.on_sent(intended, count, at));
        }
        if self.plan.workload.acks == 0 {
            batches.iter().for_each(|batch| self.on_stored(batch, at, tally));
        } else {
            it.in_flight.push_back(Sent { correlation_id, at, batches });
        }
        if flushed.is_err() {
            self.lose(line, "connection lost", tally);
        }
    }

    /// Appends the request to the line's outgoing bytes.
    fn write_request(&mut self, line: usize, correlation_id: i32, batches: &[Batch]) {
        let plan = Arc::clone(&self.plan);
        let wall_ms = clock::wall_ms();
        self.scratch.clear();
        let mut ends = Vec::with_capacity(batches.len());
        for batch in batches {
            self.write_batch(batch, wall_ms, &plan);
            ends.push(self.scratch.len());
        }
        let mut topics: Vec<TopicProduceData<'_>> = Vec::new();
        let mut last = None;
        for (at, batch) in batches.iter().enumerate() {
            let begin = if at == 0 { 0 } else { ends[at - 1] };
            let topic = batch.slot / plan.workload.partitions;
            if last != Some(topic) {
                let name = plan.cluster.topics[topic as usize].as_str();
                topics.push(TopicProduceData { name, ..TopicProduceData::default() });
                last = Some(topic);
            }
            let data = PartitionProduceData {
                index: (batch.slot % plan.workload.partitions) as i32,
                records: Some(Records::External { len: (ends[at] - begin) as u32 }),
            };
            topics.last_mut().expect("just pushed").partition_data.push(data);
        }
        let version = plan.cluster.produce_version;
        let message = ProduceRequest {
            acks: plan.workload.acks,
            timeout_ms: 30_000,
            topic_data: topics,
            ..ProduceRequest::default()
        };
        let mut writer = Writer::frame(64 + batches.len() * 16);
        let header = RequestHeader {
            api_key: ApiKey::Produce.code(),
            api_version: version,
            correlation_id,
            client_id: Some("corelane-bench"),
        };
        header.encode(&mut writer).expect("a short client id");
        message.encode(&mut writer, version).expect("only fields of that version are used");
        let (head, splices) = writer.into_parts().expect("a request is far below 2 GiB");
        let out = &mut self.lines[line].link.as_mut().expect("it has room").outbound;
        let (mut done, mut begin) = (0, 0);
        for (splice, end) in splices.iter().zip(&ends) {
            out.extend_from_slice(&head[done..*splice]);
            out.extend_from_slice(&self.scratch[begin..*end]);
            (done, begin) = (*splice, *end);
        }
        out.extend_from_slice(&head[done..]);
    }

    fn write_batch(&mut self, batch: &Batch, wall_ms: i64, plan: &Plan) {
        let slot = batch.slot as usize;
        let sequence = self.sequences[slot];
        self.sequences[slot] += u64::from(batch.times.count());
        // Kafka's sequences are 31 bits and wrap around to 0.
        let base = ((sequence - self.bases[slot]) & i32::MAX as u64) as i32;
        let base_sequence = if self.origin.producer_id >= 0 { base } else { -1 };
        let place = Place { sequence, base_sequence, wall_ms };
        match &plan.material.keys {
            None => {
                let template = &plan.material.templates[batch.variant];
                batches::write_template(&mut self.scratch, template, &batch.times, &self.origin, place);
            }
            Some(keys) => {
                let what = Keyed { keys, sizes: &plan.material.sizes, pool: &plan.material.pool };
                let records = &batch.records;
                batches::write_keyed(&mut self.scratch, &what, records, &batch.times, &self.origin, place);
            }
        }
    }

    fn on_stored(&mut self, batch: &Batch, now: u64, tally: &mut Tally) {
        let count = batch.times.count();
        batch.times.for_each(|intended, count| tally.on_acknowledged(intended, count, now));
        tally.on_produced(u64::from(count), batch.value_bytes, now);
        self.acknowledged[batch.slot as usize] += u64::from(count);
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
                Err(_) => return self.lose(line, "connection lost", tally),
            }
        }
    }

    fn take_answers(&mut self, line: usize, now: u64, tally: &mut Tally) -> io::Result<()> {
        loop {
            let it = &mut self.lines[line];
            let Some(link) = &mut it.link else { return Ok(()) };
            let Some(frame) = link.next_frame()? else { return Ok(()) };
            let sent = it.in_flight.pop_front().ok_or_else(|| io::Error::other("an answer to nothing"))?;
            let verdicts = verdicts(link.bytes(frame), &sent, &self.plan)?;
            tally.totals.request.saturating_record(now - sent.at);
            tally.totals.requests.0 += u64::from(tally.measures(now));
            for (batch, verdict) in sent.batches.iter().zip(verdicts) {
                match verdict {
                    Some(0) => self.on_stored(batch, now, tally),
                    Some(code) => self.on_refused(batch, &error_name(code), tally),
                    None => self.on_refused(batch, "the answer lacks the partition", tally),
                }
            }
        }
    }
}

/// Closes the open batch of a slot.
fn close(open: &mut OpenBatches, slot: u32, lines: &mut [Line], plan: &Plan) {
    let batch = std::mem::take(&mut open.by_slot[slot as usize]);
    open.by_slot[slot as usize].generation = batch.generation.wrapping_add(1);
    open.records -= batch.records.len();
    let leader = usize::from(plan.cluster.leader_of[slot as usize]);
    lines[leader].ready.push_back(Batch {
        slot,
        times: Times::List(batch.times),
        records: batch.records,
        variant: 0,
        value_bytes: batch.value_bytes,
    });
}

/// What an answer says of each batch of its request. Errors: it is not the answer to that request.
fn verdicts(answer: &[u8], sent: &Sent, plan: &Plan) -> io::Result<Vec<Option<i16>>> {
    let version = plan.cluster.produce_version;
    let mut reader = Reader::new(answer);
    let header =
        ResponseHeader::decode(&mut reader, ApiKey::Produce.code(), version).map_err(io::Error::other)?;
    if header.correlation_id != sent.correlation_id {
        return Err(io::Error::other("answers are out of order"));
    }
    let answer = ProduceResponse::decode(&mut reader, version).map_err(io::Error::other)?;
    if plan.bare_answers && answer.responses.is_empty() {
        return Ok(vec![Some(0); sent.batches.len()]);
    }
    let mut verdicts = vec![None; sent.batches.len()];
    // Nearly always in the order of the request: the search begins where the last one ended.
    let mut at = 0;
    for topic in &answer.responses {
        let Some(number) = plan.cluster.topics.iter().position(|name| name == topic.name) else { continue };
        for partition in &topic.partition_responses {
            let slot = number as u32 * plan.workload.partitions + partition.index as u32;
            let count = sent.batches.len();
            if let Some(step) = (0..count).find(|step| sent.batches[(at + step) % count].slot == slot) {
                at = (at + step) % count;
                verdicts[at] = Some(partition.error_code);
                at += 1;
            }
        }
    }
    Ok(verdicts)
}
