//! A simulated administrator: makes the topics, asks for offsets, deletes records, and keeps one topic of its own
//! coming and going.

use corelane_base::time::Mono;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use corelane_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use corelane_wire::message::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use corelane_wire::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use corelane_wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use corelane_wire::message::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use corelane_wire::primitive::Reader;

use crate::check::{Floor, Place};
use crate::client::{Actor, Awaited, Cx, Line, any_version, soon};
use crate::net::LinkId;

/// First metadata version that tells topic ids.
const METADATA_ID_VERSION: i16 = 10;
/// First version of DeleteTopics that takes structs, by name or id.
const DELETE_BY_ID_VERSION: i16 = 6;
const TIMEOUT_MS: i32 = 10_000;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
const CHURN: &str = "comes-and-goes";

/// What a request was for.
#[derive(Debug)]
enum Ask {
    Create(usize),
    Learn(usize),
    Offset { place: Place, timestamp: i64, floor: Floor },
    DeleteRecords { place: Place, before: i64, floor: Floor },
    Versions,
    ChurnCreate,
    ChurnDelete,
}

/// Whether the topic that comes and goes is there, as far as the administrator knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Churn {
    Absent,
    Present,
    /// The last answer was lost.
    Unknown,
}

/// The actor.
#[derive(Debug)]
pub struct Admin {
    line: Line<Ask>,
    churn: Churn,
    churns: bool,
    deletes: bool,
    pace_ms: u64,
    wake_at: Mono,
    winding_up: bool,
}

impl Admin {
    /// An administrator; `deletes` records now and then if asked to.
    #[must_use]
    pub fn new(pace_ms: u64, deletes: bool, churns: bool) -> Admin {
        Admin {
            line: Line::default(),
            churn: Churn::Absent,
            churns,
            deletes,
            pace_ms,
            wake_at: Mono(0),
            winding_up: false,
        }
    }

    fn ask(&mut self, cx: &mut Cx<'_>) {
        if let Some(topic) = cx.topics.iter().position(|topic| !topic.created) {
            return self.create(cx, topic);
        }
        if let Some(topic) = cx.topics.iter().position(|topic| topic.id.is_none()) {
            return self.learn(cx, topic);
        }
        if self.winding_up {
            return;
        }
        match cx.rng.below(10) {
            0..5 => self.list_offsets(cx),
            5 if self.deletes => self.delete_records(cx),
            6 => {
                let topic = cx.rng.below(cx.topics.len() as u64) as usize;
                self.learn(cx, topic);
            }
            7 => self.api_versions(cx),
            8 if self.churns => self.churn(cx),
            _ => {}
        }
    }

    fn create(&mut self, cx: &mut Cx<'_>, topic: usize) {
        let version = any_version(cx.rng, ApiKey::CreateTopics);
        let info = cx.topics[topic].clone();
        let configs = info.settings.iter();
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: &info.name,
                num_partitions: info.partition_count,
                replication_factor: 1,
                configs: configs
                    .map(|(name, value)| CreatableTopicConfig { name, value: Some(value) })
                    .collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: TIMEOUT_MS,
            ..CreateTopicsRequest::default()
        };
        let ask = Some(Ask::Create(topic));
        self.line.request(cx, ApiKey::CreateTopics, version, |w| request.encode(w, version), ask);
    }

    fn on_created(&mut self, cx: &mut Cx<'_>, asked: &Awaited<Ask>, message: &[u8]) {
        let mut r = Reader::new(message);
        let response = CreateTopicsResponse::decode(&mut r, asked.version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        let [answer] = &response.topics[..] else { panic!("one topic, not {response:?}") };
        let error = ErrorCode::from_code(answer.error_code).expect("a code of the protocol");
        match (&asked.ask, error) {
            (Ask::Create(topic), ErrorCode::None | ErrorCode::TopicAlreadyExists) => {
                let info = &mut cx.topics[*topic];
                assert_eq!(answer.name, info.name);
                info.created = true;
                if asked.version >= 7 && error == ErrorCode::None {
                    assert_ne!(answer.topic_id, [0; 16], "{response:?}");
                    info.id = Some(answer.topic_id);
                }
            }
            (Ask::ChurnCreate, ErrorCode::None | ErrorCode::TopicAlreadyExists) => {
                let fair = error == ErrorCode::None || self.churn != Churn::Absent;
                assert!(fair, "{CHURN} exists already");
                self.churn = Churn::Present;
            }
            (_, other) => {
                assert!(other.is_retriable(), "create: {other:?}: {response:?}");
                self.churn = Churn::Unknown;
            }
        }
    }

    fn learn(&mut self, cx: &mut Cx<'_>, topic: usize) {
        let version = any_version(cx.rng, ApiKey::Metadata);
        let info = cx.topics[topic].clone();
        let asked = MetadataRequestTopic { name: Some(&info.name), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: Some(vec![asked]),
            allow_auto_topic_creation: version < 4 || cx.rng.one_in(2),
            ..MetadataRequest::default()
        };
        let ask = Some(Ask::Learn(topic));
        self.line.request(cx, ApiKey::Metadata, version, |w| request.encode(w, version), ask);
    }

    fn on_learnt(&mut self, cx: &mut Cx<'_>, topic: usize, version: i16, message: &[u8]) {
        let mut r = Reader::new(message);
        let response = MetadataResponse::decode(&mut r, version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        let [answer] = &response.topics[..] else { panic!("one topic, not {response:?}") };
        let info = &mut cx.topics[topic];
        let error = ErrorCode::from_code(answer.error_code).expect("a code of the protocol");
        if error != ErrorCode::None {
            // A created topic is known to every shard only a moment later.
            assert!(error.is_retriable(), "metadata of {}: {error:?}", info.name);
            return;
        }
        assert_eq!(answer.name, Some(info.name.as_str()));
        assert_eq!(answer.partitions.len(), info.partition_count as usize, "{response:?}");
        if version >= METADATA_ID_VERSION {
            assert_ne!(answer.topic_id, [0; 16], "{response:?}");
            assert!(info.id.is_none_or(|id| id == answer.topic_id), "{} has another id now", info.name);
            info.id = Some(answer.topic_id);
        }
    }

    fn any_place(&self, cx: &mut Cx<'_>) -> Place {
        let topic = cx.rng.below(cx.topics.len() as u64) as usize;
        (topic, cx.rng.below(cx.topics[topic].partition_count as u64) as i32)
    }

    fn list_offsets(&mut self, cx: &mut Cx<'_>) {
        let place = self.any_place(cx);
        // Version 0 answers in another shape; a test with the real client that uses it looks at it.
        let version = any_version(cx.rng, ApiKey::ListOffsets).max(1);
        let timestamp = match cx.rng.below(3) {
            0 => EARLIEST,
            1 => LATEST,
            _ => cx.now.wall.0 - cx.rng.below(60_000) as i64,
        };
        let name = cx.topics[place.0].name.clone();
        let partition =
            ListOffsetsPartition { partition_index: place.1, timestamp, ..ListOffsetsPartition::default() };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: &name, partitions: vec![partition] }],
            ..ListOffsetsRequest::default()
        };
        let ask = Some(Ask::Offset { place, timestamp, floor: cx.checker.floor(place) });
        self.line.request(cx, ApiKey::ListOffsets, version, |w| request.encode(w, version), ask);
    }

    fn on_offset(&mut self, cx: &mut Cx<'_>, asked: &Awaited<Ask>, message: &[u8]) {
        let Ask::Offset { place, timestamp, floor } = asked.ask else {
            unreachable!("told apart by the caller")
        };
        let mut r = Reader::new(message);
        let response = ListOffsetsResponse::decode(&mut r, asked.version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        let answer = &response.topics[0].partitions[0];
        assert_eq!((response.topics[0].name, answer.partition_index), (&*cx.topics[place.0].name, place.1));
        let error = ErrorCode::from_code(answer.error_code).expect("a code of the protocol");
        match (error, timestamp) {
            (ErrorCode::None, EARLIEST) => cx.checker.on_bounds(place, floor, -1, answer.offset),
            (ErrorCode::None, LATEST) => cx.checker.on_bounds(place, floor, answer.offset, -1),
            (ErrorCode::None, _) if answer.offset >= 0 => {
                assert!(answer.timestamp >= timestamp, "{place:?}: {answer:?} for {timestamp}");
                assert!(answer.offset >= floor.log_start, "{place:?}: {answer:?} before {floor:?}");
            }
            (ErrorCode::None, _) => assert_eq!(answer.offset, -1, "{place:?}: {answer:?}"),
            (other, _) => assert!(other.is_retriable(), "{place:?}: list offsets: {other:?}"),
        }
    }

    fn delete_records(&mut self, cx: &mut Cx<'_>) {
        let place = self.any_place(cx);
        let version = any_version(cx.rng, ApiKey::DeleteRecords);
        let floor = cx.checker.floor(place);
        let Floor { high_watermark, log_start, .. } = floor;
        let before = log_start + cx.rng.below((high_watermark - log_start) as u64 / 2 + 1) as i64;
        cx.checker.on_delete_asked(place, before);
        let name = cx.topics[place.0].name.clone();
        let partition = DeleteRecordsPartition { partition_index: place.1, offset: before };
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic { name: &name, partitions: vec![partition] }],
            timeout_ms: TIMEOUT_MS,
        };
        let ask = Some(Ask::DeleteRecords { place, before, floor });
        self.line.request(cx, ApiKey::DeleteRecords, version, |w| request.encode(w, version), ask);
    }

    fn on_records_deleted(&mut self, cx: &mut Cx<'_>, asked: &Awaited<Ask>, message: &[u8]) {
        let Ask::DeleteRecords { place, before, floor } = asked.ask else {
            unreachable!("told apart by the caller")
        };
        let mut r = Reader::new(message);
        let response = DeleteRecordsResponse::decode(&mut r, asked.version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        let answer = &response.topics[0].partitions[0];
        assert_eq!((response.topics[0].name, answer.partition_index), (&*cx.topics[place.0].name, place.1));
        match ErrorCode::from_code(answer.error_code).expect("a code of the protocol") {
            ErrorCode::None => {
                assert!(answer.low_watermark >= before, "{place:?}: {answer:?} for {before}");
                cx.checker.on_bounds(place, floor, -1, answer.low_watermark);
                cx.checker.on_deleted(place, answer.low_watermark);
            }
            ErrorCode::OffsetOutOfRange => {
                assert!(
                    cx.checker.partition(place).may_start_beyond(before),
                    "{place:?}: {answer:?} for {before}"
                );
            }
            other => assert!(other.is_retriable(), "{place:?}: delete records: {other:?}"),
        }
    }

    fn api_versions(&mut self, cx: &mut Cx<'_>) {
        let version = any_version(cx.rng, ApiKey::ApiVersions);
        let request = ApiVersionsRequest { client_software_name: "sim", client_software_version: "1" };
        self.line.request(
            cx,
            ApiKey::ApiVersions,
            version,
            |w| request.encode(w, version),
            Some(Ask::Versions),
        );
    }

    fn on_versions(&self, version: i16, message: &[u8]) {
        let mut r = Reader::new(message);
        let response = ApiVersionsResponse::decode(&mut r, version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        assert_eq!(response.error_code, 0);
        let produce = response.api_keys.iter().find(|key| key.api_key == 0).expect("produce is served");
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }

    fn churn(&mut self, cx: &mut Cx<'_>) {
        let create = match self.churn {
            Churn::Absent => true,
            Churn::Present => false,
            Churn::Unknown => cx.rng.one_in(2),
        };
        if create {
            let version = any_version(cx.rng, ApiKey::CreateTopics);
            let topic = CreatableTopic {
                name: CHURN,
                num_partitions: 3,
                replication_factor: 1,
                ..CreatableTopic::default()
            };
            let request = CreateTopicsRequest {
                topics: vec![topic],
                timeout_ms: TIMEOUT_MS,
                ..CreateTopicsRequest::default()
            };
            let ask = Some(Ask::ChurnCreate);
            self.line.request(cx, ApiKey::CreateTopics, version, |w| request.encode(w, version), ask);
        } else {
            let version = any_version(cx.rng, ApiKey::DeleteTopics);
            let mut request =
                DeleteTopicsRequest { timeout_ms: TIMEOUT_MS, ..DeleteTopicsRequest::default() };
            if version >= DELETE_BY_ID_VERSION {
                request.topics.push(DeleteTopicState { name: Some(CHURN), ..DeleteTopicState::default() });
            } else {
                request.topic_names.push(CHURN);
            }
            let ask = Some(Ask::ChurnDelete);
            self.line.request(cx, ApiKey::DeleteTopics, version, |w| request.encode(w, version), ask);
        }
    }

    fn on_topic_deleted(&mut self, version: i16, message: &[u8]) {
        let mut r = Reader::new(message);
        let response = DeleteTopicsResponse::decode(&mut r, version).expect("a sound answer");
        r.finish().expect("nothing behind it");
        match ErrorCode::from_code(response.responses[0].error_code).expect("a code of the protocol") {
            ErrorCode::None => self.churn = Churn::Absent,
            ErrorCode::UnknownTopicOrPartition => {
                assert_ne!(self.churn, Churn::Present, "{CHURN} has vanished");
                self.churn = Churn::Absent;
            }
            other => {
                assert!(other.is_retriable(), "delete topics: {other:?}");
                self.churn = Churn::Unknown;
            }
        }
    }
}

impl Actor for Admin {
    fn link(&self) -> Option<LinkId> {
        self.line.link()
    }

    fn wake_at(&self) -> Mono {
        self.wake_at
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        self.wake_at = soon(cx.rng, cx.now, self.pace_ms);
        self.line.check_patience(cx.now);
        if !self.line.connect(cx) {
            return;
        }
        if self.line.misbehave(cx) {
            self.on_gone(cx);
            return;
        }
        if self.line.awaited_count() == 0 {
            self.ask(cx);
        }
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        self.line.on_bytes(bytes);
        while let Some((asked, message)) = self.line.answer() {
            match asked.ask {
                Ask::Create(_) | Ask::ChurnCreate => self.on_created(cx, &asked, &message),
                Ask::Learn(topic) => self.on_learnt(cx, topic, asked.version, &message),
                Ask::Offset { .. } => self.on_offset(cx, &asked, &message),
                Ask::DeleteRecords { .. } => self.on_records_deleted(cx, &asked, &message),
                Ask::Versions => self.on_versions(asked.version, &message),
                Ask::ChurnDelete => self.on_topic_deleted(asked.version, &message),
            }
        }
    }

    fn on_gone(&mut self, cx: &mut Cx<'_>) {
        let lost = self.line.on_gone();
        if lost.iter().any(|asked| matches!(asked.ask, Ask::ChurnCreate | Ask::ChurnDelete)) {
            self.churn = Churn::Unknown;
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
