//! FindCoordinator, versions 0 to 6. The coordinator of a group is this broker; the topic in which groups keep their
//! offsets is made when the first is looked for, and the answer waits for it (Kafka answers
//! `COORDINATOR_NOT_AVAILABLE` meanwhile). Transactions have no coordinator here: `COORDINATOR_NOT_AVAILABLE`, as in
//! Kafka while it has none. Share groups are refused, as by a Kafka that does not serve them. Source: KIP-699.

use corelane_base::time::Now;
use corelane_control::controller::Command;
use corelane_control::create_topics::{CreateTopicResult, CreateTopics, offsets_topic};
use corelane_control::error::ErrorKind;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::pending::{PendingBody, PendingFindCoordinator, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

const KEY_GROUP: i8 = 0;
const KEY_TRANSACTION: i8 = 1;

/// The first version that asks for several.
const KEYS_FROM: i16 = 4;

impl Shard {
    pub(crate) fn find_coordinator(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = FindCoordinatorRequest::decode(reader, meta.version)?;
        let keys: Vec<Box<str>> = if meta.version >= KEYS_FROM {
            request.coordinator_keys.iter().map(|key| Box::from(*key)).collect()
        } else {
            vec![request.key.into()]
        };
        if request.key_type == KEY_GROUP && self.groups.topic.is_none() {
            let layers = self.image.layers(self.broker_id, &self.settings.config);
            let topic = offsets_topic(&layers, self.image.brokers().len());
            let command =
                CreateTopics { topics: vec![topic], validate_only: false, seed: self.rng.next_u64() };
            let body = PendingBody::FindCoordinator(PendingFindCoordinator { keys });
            self.command(now, meta, body, Command::CreateTopics(command), fx);
            return Ok(());
        }
        let error = match request.key_type {
            KEY_GROUP => ErrorCode::None,
            KEY_TRANSACTION => ErrorCode::CoordinatorNotAvailable,
            _ => ErrorCode::InvalidRequest,
        };
        self.answer_find_coordinator(meta, &keys, error);
        Ok(())
    }

    /// The topic of offsets has been made, or not, or somebody else was faster.
    pub(crate) fn on_offsets_topic(
        &mut self,
        meta: RequestMeta,
        state: &PendingFindCoordinator,
        results: &[CreateTopicResult],
    ) {
        let there = results.iter().all(|topic| match &topic.result {
            Ok(_) => true,
            Err(refusal) => refusal.kind == ErrorKind::TopicAlreadyExists,
        });
        let error = if there { ErrorCode::None } else { ErrorCode::CoordinatorNotAvailable };
        self.answer_find_coordinator(meta, &state.keys, error);
    }

    fn answer_find_coordinator(&mut self, meta: RequestMeta, keys: &[Box<str>], error: ErrorCode) {
        let found = error == ErrorCode::None;
        let host = self.settings.advertised_host.clone();
        let (node_id, host, port) = if found {
            (self.broker_id.0, host.as_str(), i32::from(self.settings.advertised_port))
        } else {
            (-1, "", -1)
        };
        let (error_code, text) = (error.code(), error.text());
        let one = |key| Coordinator { key, node_id, host, port, error_code, error_message: Some("") };
        let several = meta.version >= KEYS_FROM;
        let response = FindCoordinatorResponse {
            error_code,
            error_message: Some(if found { "NONE" } else { text }),
            node_id,
            host,
            port,
            coordinators: keys.iter().filter(|_| several).map(|key| one(key)).collect(),
            ..FindCoordinatorResponse::default()
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
