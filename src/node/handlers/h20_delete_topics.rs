//! DeleteTopics, versions 1 to 6: by name, from version 6 also by id. Source: KIP-4, KIP-516, KIP-599.

use corelane_base::id::TopicId;
use corelane_base::time::Now;
use corelane_control::controller::Command;
use corelane_control::delete_topics::{DeleteTopicResult, DeleteTopics, TopicToDelete};
use corelane_wire::message::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::control::outcome;
use crate::pending::{PendingBody, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn delete_topics(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = DeleteTopicsRequest::decode(reader, meta.version)?;
        let by_name = request
            .topic_names
            .iter()
            .map(|name| TopicToDelete { name: Some((*name).to_owned()), topic_id: TopicId::ZERO });
        let by_either = request.topics.iter().map(|topic| TopicToDelete {
            name: topic.name.map(str::to_owned),
            topic_id: TopicId(topic.topic_id),
        });
        let command = DeleteTopics { topics: by_name.chain(by_either).collect() };
        self.command(now, meta, PendingBody::Control, Command::DeleteTopics(command), fx);
        Ok(())
    }

    pub(crate) fn answer_delete_topics(&mut self, meta: RequestMeta, results: &[DeleteTopicResult]) {
        let responses = results
            .iter()
            .map(|topic| {
                let (error_code, error_message) = outcome(&topic.result);
                let name = topic.name.as_deref();
                DeletableTopicResult { name, topic_id: topic.topic_id.0, error_code, error_message }
            })
            .collect();
        let response = DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
