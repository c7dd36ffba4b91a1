//! A simulated consumer: reads a few partitions by offset, over and over, and hands what it is shown to the checker.

use std::collections::{BTreeMap, BTreeSet};

use corelane_base::time::Mono;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use corelane_wire::primitive::{Reader, Records, Writer};

use crate::batch::decode;
use crate::check::{Floor, Place};
use crate::client::{Actor, Awaited, Cx, Line, any_version, soon};
use crate::net::LinkId;

/// First fetch version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;
/// First version that knows sessions and tells a general error.
const SESSION_VERSION: i16 = 7;

/// How often a partition may be passed over, beside its turn coming round.
const PASSED_OVER_MAX: usize = 4;

#[derive(Debug)]
struct Asked {
    place: Place,
    offset: i64,
    bytes_max: i32,
    floor: Floor,
}

/// How a request stands to fetch sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sessions {
    /// It has none and wants none.
    Apart,
    /// It names all partitions and asks for a session.
    Opening,
    /// It names what has changed; the answer tells only what is new.
    Within,
}

/// A fetch session as the client knows it.
#[derive(Debug)]
struct Session {
    id: i32,
    epoch: i32,
    /// One for the whole session, as names and ids of topics do not mix.
    version: i16,
    /// The offsets that the broker has been told.
    told: BTreeMap<Place, i64>,
}

#[derive(Debug)]
struct Ask {
    sessions: Sessions,
    parts: Vec<Asked>,
    wait_ms: i32,
    bytes_min: i32,
    bytes_max: i32,
}

#[derive(Debug)]
struct PartSize {
    bytes: usize,
    bytes_max: usize,
    is_one_batch: bool,
}

/// The actor.
#[derive(Debug)]
pub struct Consumer {
    /// Where it reads, and from which offset next.
    positions: Vec<(Place, i64)>,
    line: Line<Ask>,
    pace_ms: u64,
    wake_at: Mono,
    /// Bytes of records fetched.
    pub fetched_bytes: u64,
    winding_up: bool,
    /// Whether it fetches in sessions.
    has_sessions: bool,
    session: Option<Session>,
    /// How many answers in a row told nothing of a partition that had something at this offset.
    passed_over: BTreeMap<Place, (i64, usize)>,
}

impl Consumer {
    /// A consumer at the start of its partitions.
    #[must_use]
    pub fn new(places: Vec<Place>, pace_ms: u64, has_sessions: bool) -> Consumer {
        Consumer {
            positions: places.into_iter().map(|place| (place, 0)).collect(),
            line: Line::default(),
            pace_ms,
            wake_at: Mono(0),
            fetched_bytes: 0,
            winding_up: false,
            has_sessions,
            session: None,
            passed_over: BTreeMap::new(),
        }
    }

    fn fetch(&mut self, cx: &mut Cx<'_>) {
        let mut version = any_version(cx.rng, ApiKey::Fetch);
        let sessions = match &self.session {
            _ if !self.has_sessions || self.line.awaited_count() > 0 => Sessions::Apart,
            Some(_) => Sessions::Within,
            None => Sessions::Opening,
        };
        let mut parts = Vec::new();
        for (place, position) in &mut self.positions {
            if cx.rng.one_in(40) {
                let Floor { high_watermark, log_start, .. } = cx.checker.floor(*place);
                *position = log_start + cx.rng.below((high_watermark - log_start) as u64 + 1) as i64;
            }
            if parts.is_empty() || cx.rng.one_in(2) || sessions != Sessions::Apart {
                let bytes_max = 1 << cx.rng.below(21);
                parts.push(Asked {
                    place: *place,
                    offset: *position,
                    bytes_max,
                    floor: cx.checker.floor(*place),
                });
            }
        }
        if parts.iter().any(|asked| cx.topics[asked.place.0].id.is_none()) {
            version = version.min(TOPIC_ID_VERSION - 1);
        }
        if sessions == Sessions::Opening {
            version = version.max(SESSION_VERSION);
        }
        if let (Sessions::Within, Some(session)) = (sessions, &self.session) {
            version = session.version;
        }
        let ask = Ask {
            sessions,
            parts,
            wait_ms: cx.rng.below(500) as i32,
            bytes_min: [0, 1, 1, 10_000][cx.rng.below(4) as usize],
            bytes_max: 1 << cx.rng.below(23),
        };
        let body = encode_fetch(cx, version, &ask, self.session.as_ref());
        if let (Sessions::Within, Some(session)) = (sessions, &mut self.session) {
            session.told = ask.parts.iter().map(|part| (part.place, part.offset)).collect();
        }
        self.line.request(
            cx,
            ApiKey::Fetch,
            version,
            |w| {
                body.iter().for_each(|byte| w.i8(*byte as i8));
                Ok(())
            },
            Some(ask),
        );
    }

    fn on_fetched(&mut self, cx: &mut Cx<'_>, asked: &Awaited<Ask>, message: &[u8]) {
        let mut r = Reader::new(message);
        let response = FetchResponse::decode(&mut r, asked.version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        let code = ErrorCode::from_code(response.error_code).expect("a code of the protocol");
        self.on_session(asked, &response, code);
        if code != ErrorCode::None {
            return;
        }
        let mut sizes = Vec::new();
        let mut told = BTreeSet::new();
        let mut calm = true;
        for part in &asked.ask.parts {
            let info = &cx.topics[part.place.0];
            // Partitions come in the order in which they are served: a topic may be there more than once.
            let of_topic = response.responses.iter().filter(|answer| {
                if asked.version >= TOPIC_ID_VERSION {
                    Some(answer.topic_id) == info.id
                } else {
                    answer.topic == info.name
                }
            });
            let mut partitions = of_topic.flat_map(|topic| &topic.partitions);
            let found = partitions.find(|answer| answer.partition_index == part.place.1);
            let Some(answer) = found else {
                let is_news_only = asked.ask.sessions == Sessions::Within;
                assert!(is_news_only, "no answer for {part:?} in v{} {response:?}", asked.version);
                continue;
            };
            calm &= answer.error_code == 0;
            let is_loose = asked.ask.sessions == Sessions::Within;
            let size = self.on_partition(cx, part, answer, asked.version, is_loose);
            if size.bytes > 0 || answer.error_code != 0 {
                told.insert(part.place);
            }
            sizes.push(size);
        }
        check_size(&asked.ask, &sizes);
        let bytes_total: usize = sizes.iter().map(|size| size.bytes).sum();
        // A broker that stops answers what waits; the answer may arrive when the next one is there.
        let served = cx.broker.serves_since(asked.at);
        if calm && bytes_total == 0 && served {
            let unread = asked.ask.parts.iter().find(|part| part.offset < part.floor.high_watermark);
            assert!(
                unread.is_none(),
                "nothing is told though there is something: {unread:?} in {:?}",
                asked.ask
            );
        }
        self.on_told(&asked.ask, &told, served);
        calm &= asked.ask.sessions != Sessions::Within;
        if calm && bytes_total == 0 && asked.ask.bytes_min > 0 && served {
            let waited_ms = cx.now.mono.since(asked.at).as_millis() as i32;
            assert!(waited_ms >= asked.ask.wait_ms, "an empty answer after {waited_ms} ms: {:?}", asked.ask);
        }
        self.fetched_bytes += bytes_total as u64;
    }

    /// No partition of a session is passed over for good while others are served.
    fn on_told(&mut self, ask: &Ask, told: &BTreeSet<Place>, served: bool) {
        let mut passed_over = BTreeMap::new();
        if ask.sessions == Sessions::Within && served {
            for part in &ask.parts {
                if told.contains(&part.place) || part.offset >= part.floor.high_watermark {
                    continue;
                }
                let before = self.passed_over.get(&part.place).filter(|before| before.0 == part.offset);
                let times = before.map_or(0, |before| before.1) + 1;
                let most = PASSED_OVER_MAX + 2 * ask.parts.len();
                assert!(times <= most, "{part:?} was passed over {times} times: {ask:?}");
                passed_over.insert(part.place, (part.offset, times));
            }
        }
        self.passed_over = passed_over;
    }

    /// Follows the session that the answer belongs to.
    fn on_session(&mut self, asked: &Awaited<Ask>, response: &FetchResponse<'_>, code: ErrorCode) {
        match (asked.ask.sessions, code) {
            (Sessions::Opening, ErrorCode::None) if response.session_id != 0 => {
                let told = asked.ask.parts.iter().map(|part| (part.place, part.offset)).collect();
                self.session =
                    Some(Session { id: response.session_id, epoch: 1, version: asked.version, told });
            }
            (Sessions::Opening, ErrorCode::None) => {}
            (Sessions::Within, ErrorCode::None) => {
                if let Some(session) = &mut self.session {
                    assert_eq!(response.session_id, session.id, "{response:?}");
                    session.epoch += 1;
                }
            }
            // Forgotten in a crash, displaced, or out of step after a lost answer: begin anew.
            (
                Sessions::Within,
                ErrorCode::FetchSessionIdNotFound
                | ErrorCode::InvalidFetchSessionEpoch
                | ErrorCode::FetchSessionTopicIdError,
            ) => self.session = None,
            (_, other) => {
                assert!(
                    other == ErrorCode::None || other.is_retriable(),
                    "fetch: {other:?} for {:?}",
                    asked.ask
                );
            }
        }
    }

    /// One partition's answer; how many bytes of records it had.
    fn on_partition(
        &mut self,
        cx: &mut Cx<'_>,
        part: &Asked,
        answer: &PartitionData<'_>,
        version: i16,
        is_loose: bool,
    ) -> PartSize {
        let error = ErrorCode::from_code(answer.error_code).expect("a code of the protocol");
        let place = part.place;
        let records = match answer.records {
            Some(Records::Borrowed(bytes)) => bytes,
            _ => &[],
        };
        let position = self.positions.iter_mut().find(|(at, _)| *at == place).expect("one of its own");
        match error {
            ErrorCode::None => {
                let log_start = if version >= 5 { answer.log_start_offset } else { -1 };
                cx.checker.on_bounds(place, part.floor, answer.high_watermark, log_start);
                let (hw, life) = (answer.high_watermark, part.floor.life);
                let fetched = cx.checker.on_fetched(place, part.offset, hw, records, life);
                if position.1 == part.offset {
                    position.1 = fetched.next_offset;
                }
            }
            ErrorCode::OffsetOutOfRange => {
                let high_watermark = part.floor.high_watermark;
                let log_start_now = cx.checker.floor(place).log_start;
                let record = cx.checker.partition(place);
                let inside = part.offset >= log_start_now && part.offset <= high_watermark;
                let may_have_moved = record.may_start_beyond(part.offset);
                assert!(!inside || may_have_moved, "{place:?}: {part:?} is out of range");
                position.1 = if part.offset < log_start_now { log_start_now } else { high_watermark };
            }
            other => assert!(other.is_retriable(), "{place:?}: fetch answered with {other:?}"),
        }
        PartSize {
            bytes: records.len(),
            // In a session, an earlier limit may hold.
            bytes_max: if is_loose { usize::MAX } else { part.bytes_max as usize },
            is_one_batch: matches!(decode(records), Ok(Some(batch)) if batch.size_bytes == records.len()),
        }
    }
}

/// A partition's limit holds, but for a batch that comes whole so that the consumer gets on. The limit of the whole
/// answer is soft, as each owner of partitions keeps to it by itself.
fn check_size(ask: &Ask, parts: &[PartSize]) {
    for part in parts {
        assert!(part.bytes <= part.bytes_max || part.is_one_batch, "{part:?} for {ask:?}");
    }
}

fn encode_fetch(cx: &Cx<'_>, version: i16, ask: &Ask, session: Option<&Session>) -> Vec<u8> {
    let mut topics: Vec<FetchTopic<'_>> = Vec::new();
    let (session_id, session_epoch) = match (ask.sessions, session) {
        (Sessions::Within, Some(session)) => (session.id, session.epoch),
        (Sessions::Opening, _) => (0, 0),
        _ => (0, if version >= SESSION_VERSION { -1 } else { FetchRequest::default().session_epoch }),
    };
    for part in &ask.parts {
        let (topic, partition) = part.place;
        let told = session.and_then(|session| session.told.get(&part.place));
        if ask.sessions == Sessions::Within && told == Some(&part.offset) {
            continue;
        }
        let partition = FetchPartition {
            partition,
            fetch_offset: part.offset,
            partition_max_bytes: part.bytes_max,
            ..FetchPartition::default()
        };
        let info = &cx.topics[topic];
        match topics.iter_mut().find(|topic| topic.topic == info.name) {
            Some(found) => found.partitions.push(partition),
            None => topics.push(FetchTopic {
                topic: &info.name,
                topic_id: info.id.unwrap_or_default(),
                partitions: vec![partition],
            }),
        }
    }
    let request = FetchRequest {
        max_wait_ms: ask.wait_ms,
        min_bytes: ask.bytes_min,
        max_bytes: ask.bytes_max,
        session_id,
        session_epoch,
        topics,
        ..FetchRequest::default()
    };
    let mut w = Writer::new();
    request.encode(&mut w, version).unwrap_or_else(|error| panic!("fetch v{version}: {error}"));
    w.into_parts().expect("small").0.to_vec()
}

impl Actor for Consumer {
    fn link(&self) -> Option<LinkId> {
        self.line.link()
    }

    fn wake_at(&self) -> Mono {
        self.wake_at
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        self.wake_at = soon(cx.rng, cx.now, self.pace_ms);
        self.line.check_patience(cx.now);
        if self.positions.iter().any(|(place, _)| !cx.topics[place.0].created) || !self.line.connect(cx) {
            self.wake_at = soon(cx.rng, cx.now, 100);
            return;
        }
        if self.line.misbehave(cx) {
            self.on_gone(cx);
            return;
        }
        let window = 1 + usize::from(cx.rng.one_in(4));
        if self.line.awaited_count() < window && !self.winding_up {
            self.fetch(cx);
        }
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        self.line.on_bytes(bytes);
        while let Some((asked, message)) = self.line.answer() {
            self.on_fetched(cx, &asked, &message);
        }
    }

    fn on_gone(&mut self, cx: &mut Cx<'_>) {
        let lost = self.line.on_gone();
        if lost.iter().any(|asked| asked.ask.sessions == Sessions::Within) {
            self.session = None; // Whether the broker took the request in is unknown.
        }
        self.wake_at = soon(cx.rng, cx.now, 200);
    }

    fn is_settled(&self) -> bool {
        self.line.awaited_count() == 0
    }

    fn wind_up(&mut self) {
        self.winding_up = true;
    }
}
