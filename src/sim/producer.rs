//! A simulated producer: one connection, a few partitions, batches in flight; idempotent ones send again, in order,
//! over new connections, until they are told that it is done.

use std::collections::{BTreeSet, VecDeque};

use corelane_base::time::Mono;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use corelane_wire::message::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use corelane_wire::primitive::{Reader, Records};

use crate::batch::{HEADER_BYTES, Producer as ProducerIdentity, Record, encode};
use crate::check::{BatchNo, Checker, Place, value_of};
use crate::client::{Actor, Awaited, Cx, Line, any_version, soon};
use crate::net::LinkId;

/// Requests under way at once: as many as the broker can recognise when they come again.
const WINDOW: usize = 5;
/// First produce version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;
const TIMEOUT_MS: i32 = 10_000;
/// `max.message.bytes` by default.
const BATCH_BYTES_MAX: usize = 1_048_588;

/// How a producer works.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Where it writes to.
    pub places: Vec<Place>,
    /// Whether it has a producer id.
    pub idempotent: bool,
    /// 0, 1 or -1.
    pub acks: i16,
    /// Records per batch, at most.
    pub records_max: u64,
    /// Bytes of a value beyond its prefix, at most.
    pub filler_max: u64,
    /// Whether it sends a large batch now and then.
    pub large: bool,
    /// Time between requests, at most, in milliseconds.
    pub pace_ms: u64,
}

/// A batch that is not known to be done.
#[derive(Debug)]
struct Queued {
    no: BatchNo,
    in_flight: bool,
}

/// One partition it writes to.
#[derive(Debug)]
struct Target {
    place: Place,
    next_sequence: i32,
    /// In sequence order.
    queue: VecDeque<Queued>,
    /// Something failed: wait until nothing is in flight, then begin again at the front.
    broken: bool,
    /// The losses it knows of: what it wrote may be gone, its own sequence with it. Then it begins a new epoch, as
    /// clients do, and forgets what was under way.
    losses: u32,
    /// How many epochs it has begun here itself.
    epochs_begun: i16,
}

/// What a request was for.
#[derive(Debug)]
enum Ask {
    Identity,
    Batches {
        batches: Vec<(usize, BatchNo)>,
        /// The broker's life.
        life: u32,
    },
}

/// The actor.
#[derive(Debug)]
pub struct Producer {
    habits: Habits,
    line: Line<Ask>,
    identity: Option<(i64, i16)>,
    targets: Vec<Target>,
    wake_at: Mono,
    winding_up: bool,
    /// Batches damaged before they were sent.
    spoiled: BTreeSet<BatchNo>,
}

impl Habits {
    /// The records of the next batch: usually small, now and then one large one, from who can afford a refusal one
    /// that is too large.
    fn records(&self, cx: &mut Cx<'_>, no: BatchNo) -> Vec<Record> {
        let (count, filler) = match cx.rng.below(400) {
            0..4 if self.large => (1, 100_000 + cx.rng.below(900_000)),
            4 if self.large && !self.idempotent && self.acks != 0 => (1, 1_100_000),
            _ => (1 + cx.rng.below(self.records_max), 0),
        };
        (0..count)
            .map(|record| {
                let filler = filler.max(cx.rng.below(self.filler_max + 1));
                Record {
                    timestamp_ms: cx.now.wall.0 - cx.rng.below(3000) as i64,
                    key: cx.rng.one_in(2).then(|| cx.rng.next_u64().to_be_bytes().to_vec()),
                    value: value_of(no, record as usize, filler as usize),
                }
            })
            .collect()
    }
}

impl Producer {
    /// A producer that has not connected yet.
    #[must_use]
    pub fn new(habits: Habits) -> Producer {
        let target = |place: &Place| Target {
            place: *place,
            next_sequence: 0,
            queue: VecDeque::new(),
            broken: false,
            losses: 0,
            epochs_begun: 0,
        };
        let targets = habits.places.iter().map(target).collect();
        Producer {
            habits,
            line: Line::default(),
            identity: None,
            targets,
            wake_at: Mono(0),
            winding_up: false,
            spoiled: BTreeSet::new(),
        }
    }

    fn ask_identity(&mut self, cx: &mut Cx<'_>) {
        if self.line.awaited_count() > 0 {
            return;
        }
        let version = any_version(cx.rng, ApiKey::InitProducerId);
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 1000,
            ..InitProducerIdRequest::default()
        };
        self.line.request(
            cx,
            ApiKey::InitProducerId,
            version,
            |w| request.encode(w, version),
            Some(Ask::Identity),
        );
    }

    /// One request with a batch for each of a few partitions.
    fn produce(&mut self, cx: &mut Cx<'_>) {
        let mut version = any_version(cx.rng, ApiKey::Produce);
        if self.habits.places.iter().any(|place| cx.topics[place.0].id.is_none()) {
            version = version.min(TOPIC_ID_VERSION - 1);
        }
        let mut chosen = Vec::new();
        for index in 0..self.targets.len() {
            if cx.rng.one_in(2)
                && let Some(no) = self.next_batch(cx, index)
            {
                chosen.push((index, no));
            }
        }
        if chosen.is_empty() {
            return;
        }
        let mut topic_data: Vec<TopicProduceData<'_>> = Vec::new();
        for (index, no) in &chosen {
            let (topic, partition) = self.targets[*index].place;
            let data = PartitionProduceData {
                index: partition,
                records: Some(Records::Borrowed(&cx.checker.batch(*no).bytes)),
            };
            let topic = &cx.topics[topic];
            match topic_data.iter_mut().find(|data| data.name == topic.name) {
                Some(found) => found.partition_data.push(data),
                None => topic_data.push(TopicProduceData {
                    name: &topic.name,
                    topic_id: topic.id.unwrap_or_default(),
                    partition_data: vec![data],
                }),
            }
        }
        let acks = self.habits.acks;
        let request = ProduceRequest { transactional_id: None, acks, timeout_ms: TIMEOUT_MS, topic_data };
        let mut w = corelane_wire::primitive::Writer::new();
        request.encode(&mut w, version).unwrap_or_else(|error| panic!("produce v{version}: {error}"));
        let (body, _) = w.into_parts().expect("small");
        drop(request);
        let ask = (acks != 0).then_some(Ask::Batches { batches: chosen, life: cx.checker.life() });
        let body_bytes = body.to_vec();
        self.line.request(
            cx,
            ApiKey::Produce,
            version,
            |w| {
                body_bytes.iter().for_each(|byte| w.i8(*byte as i8));
                Ok(())
            },
            ask,
        );
    }

    /// The batch that a partition should be sent next: one that must go again, or a new one.
    fn next_batch(&mut self, cx: &mut Cx<'_>, index: usize) -> Option<BatchNo> {
        let winding_up = self.winding_up;
        let target = &mut self.targets[index];
        let losses = cx.checker.partition(target.place).losses();
        if target.losses != losses {
            if target.queue.iter().any(|queued| queued.in_flight) {
                return None;
            }
            target.queue.clear();
            target.losses = losses;
            target.epochs_begun += 1;
            target.next_sequence = 0;
        }
        if target.broken {
            if target.queue.iter().any(|queued| queued.in_flight) {
                return None;
            }
            target.broken = false;
        }
        if let Some(again) = target.queue.iter_mut().find(|queued| !queued.in_flight) {
            again.in_flight = true;
            return Some(again.no);
        }
        if winding_up || target.queue.len() >= WINDOW {
            return None;
        }
        let no = cx.checker.next_no();
        let records = self.habits.records(cx, no);
        let identity = match self.identity {
            Some((id, epoch)) => {
                let epoch = epoch + target.epochs_begun;
                ProducerIdentity { id, epoch, base_sequence: target.next_sequence }
            }
            None => ProducerIdentity::NONE,
        };
        let count = records.len() as i64;
        let mut bytes = encode(identity, &records);
        if self.identity.is_none() && self.habits.acks != 0 && cx.rng.one_in(100) {
            // Damaged on its way: the broker must notice.
            let at = HEADER_BYTES + cx.rng.below((bytes.len() - HEADER_BYTES) as u64) as usize;
            bytes[at] ^= 1 << cx.rng.below(8);
            self.spoiled.insert(no);
        }
        target.next_sequence = ((i64::from(target.next_sequence) + count) & i64::from(i32::MAX)) as i32;
        let sent = cx.checker.on_sent(target.place, bytes, count);
        assert_eq!(sent, no);
        if self.habits.acks != 0 {
            target.queue.push_back(Queued { no, in_flight: true });
        }
        Some(no)
    }

    fn on_identity(&mut self, asked: &Awaited<Ask>, message: &[u8]) {
        let mut r = Reader::new(message);
        let response = InitProducerIdResponse::decode(&mut r, asked.version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        let error = ErrorCode::from_code(response.error_code).expect("a code of the protocol");
        if error == ErrorCode::None {
            assert!(response.producer_id >= 0 && response.producer_epoch >= 0, "{response:?}");
            self.identity = Some((response.producer_id, response.producer_epoch));
        } else {
            assert!(error.is_retriable(), "InitProducerId: {error:?}");
        }
    }

    fn on_produced(&mut self, cx: &mut Cx<'_>, asked: &Awaited<Ask>, message: &[u8]) {
        let Ask::Batches { batches, life } = &asked.ask else { unreachable!("told apart by the caller") };
        let mut r = Reader::new(message);
        let response = ProduceResponse::decode(&mut r, asked.version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        let mut answered = 0;
        for (index, no) in batches {
            let (topic, partition) = self.targets[*index].place;
            let info = &cx.topics[topic];
            let of_topic = response.responses.iter().find(|answer| {
                if asked.version >= TOPIC_ID_VERSION {
                    Some(answer.topic_id) == info.id
                } else {
                    answer.name == info.name
                }
            });
            let answer = of_topic
                .and_then(|topic| topic.partition_responses.iter().find(|answer| answer.index == partition))
                .unwrap_or_else(|| panic!("no answer for {:?} in {response:?}", (topic, partition)));
            answered += 1;
            let error = ErrorCode::from_code(answer.error_code).expect("a code of the protocol");
            self.on_batch(cx, *index, *no, error, (answer.base_offset, *life));
            if error == ErrorCode::None && asked.version >= 5 && self.identity.is_none() {
                let place = (topic, partition);
                assert!(answer.log_start_offset <= answer.base_offset, "{place:?}: {answer:?}");
            }
        }
        let total: usize = response.responses.iter().map(|topic| topic.partition_responses.len()).sum();
        assert_eq!(total, answered, "answers nobody asked for: {response:?}");
    }

    /// One batch's answer.
    fn on_batch(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        no: BatchNo,
        error: ErrorCode,
        (base_offset, life): (i64, u32),
    ) {
        let target = &mut self.targets[index];
        let at = target
            .queue
            .iter()
            .position(|queued| queued.no == no)
            .expect("it is in the queue until answered");
        if self.spoiled.remove(&no) && error == ErrorCode::CorruptMessage {
            cx.checker.on_refused(no);
            target.queue.remove(at);
            return;
        }
        if error == ErrorCode::None {
            let too_large = cx.checker.batch(no).bytes.len() > BATCH_BYTES_MAX;
            assert!(!too_large, "{:?}: {no:?} is larger than allowed", target.place);
            cx.checker.on_acked(no, base_offset, life);
            target.queue.remove(at);
            return;
        }
        assert_eq!(base_offset, -1, "{:?}: {error:?} with an offset", target.place);
        if self.identity.is_none() {
            if Checker::is_refusal(error) {
                cx.checker.on_refused(no);
            } else {
                assert!(error.is_retriable(), "{:?}: {error:?}", target.place);
            }
            target.queue.remove(at);
            return;
        }
        let behind_a_failure = target.broken || at > 0;
        let fair = error.is_retriable() || (error == ErrorCode::OutOfOrderSequenceNumber && behind_a_failure);
        assert!(fair, "{:?}: {no:?} is refused with {error:?}", target.place);
        target.queue[at].in_flight = false;
        target.broken = true;
    }
}

impl Actor for Producer {
    fn link(&self) -> Option<LinkId> {
        self.line.link()
    }

    fn wake_at(&self) -> Mono {
        self.wake_at
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        self.wake_at = soon(cx.rng, cx.now, self.habits.pace_ms);
        self.line.check_patience(cx.now);
        if self.habits.places.iter().any(|place| !cx.topics[place.0].created) || !self.line.connect(cx) {
            self.wake_at = soon(cx.rng, cx.now, 100);
            return;
        }
        if self.line.misbehave(cx) {
            self.on_gone(cx);
            return;
        }
        if self.habits.idempotent && self.identity.is_none() {
            self.ask_identity(cx);
        } else if self.line.awaited_count() < WINDOW {
            self.produce(cx);
        }
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        self.line.on_bytes(bytes);
        while let Some((asked, message)) = self.line.answer() {
            match asked.ask {
                Ask::Identity => self.on_identity(&asked, &message),
                Ask::Batches { .. } => self.on_produced(cx, &asked, &message),
            }
        }
    }

    fn on_gone(&mut self, cx: &mut Cx<'_>) {
        self.line.on_gone();
        for target in &mut self.targets {
            if self.identity.is_none() {
                target.queue.clear();
            }
            target.queue.iter_mut().for_each(|queued| queued.in_flight = false);
            target.broken = false;
        }
        self.wake_at = soon(cx.rng, cx.now, 200);
    }

    fn is_settled(&self) -> bool {
        self.targets.iter().all(|target| target.queue.is_empty()) && self.line.awaited_count() == 0
    }

    fn wind_up(&mut self) {
        self.winding_up = true;
    }
}
