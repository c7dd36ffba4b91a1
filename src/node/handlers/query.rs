//! Questions to the owners of partitions, shared by the APIs that ask them: deal out, gather, answer.

use corelane_base::id::{ShardId, TopicId};
use corelane_base::time::Now;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;

use crate::event::Effects;
use crate::mesh::{MeshMessage, PartitionKey, Query, QueryResult};
use crate::pending::{Pending, PendingBody, PendingQuery, RequestMeta, TopicSpan};
use crate::shard::Shard;
use crate::slots::SlotId;

/// Longer than any disk that still works takes.
const QUERY_MS: u64 = 30_000;

/// A request's questions while they are gathered.
#[derive(Default)]
pub(crate) struct Questions {
    topics: Vec<TopicSpan>,
    partitions: Vec<(i32, Option<QueryResult>)>,
    asked: Vec<(u32, PartitionKey, Query)>,
}

impl Questions {
    /// Begins a topic; the partitions that follow are its.
    pub(crate) fn topic(&mut self, name: &str, id: TopicId) {
        self.topics.push(TopicSpan { name: name.into(), id, count: 0 });
    }

    /// A partition that exists, with its question.
    pub(crate) fn ask(&mut self, key: PartitionKey, query: Query) {
        self.asked.push((self.partitions.len() as u32, key, query));
        self.push(key.partition.0, None);
    }

    /// A partition whose answer is known without asking.
    pub(crate) fn known(&mut self, partition: i32, answer: QueryResult) {
        self.push(partition, Some(answer));
    }

    fn push(&mut self, partition: i32, answer: Option<QueryResult>) {
        self.partitions.push((partition, answer));
        self.topics.last_mut().expect("topic comes first").count += 1;
    }
}

impl Shard {
    /// The partition of that name and number, if there is one.
    pub(crate) fn find_partition(&self, topic: &str, partition: i32) -> Result<PartitionKey, ErrorCode> {
        let found = self.image.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let known = usize::try_from(partition).is_ok_and(|index| index < found.partitions.len());
        if known { Ok(self.owner_of(found.id, partition).0) } else { Err(ErrorCode::UnknownTopicOrPartition) }
    }

    /// Asks the owners; the request is answered when all have.
    pub(crate) fn ask(&mut self, now: Now, meta: RequestMeta, questions: Questions, fx: &mut Effects) {
        let mut plan: Vec<(ShardId, Vec<_>)> = Vec::new();
        for item in questions.asked {
            let shard = self.owner_of(item.1.topic, item.1.partition.0).1;
            match plan.iter_mut().find(|(to, _)| *to == shard) {
                Some((_, items)) => items.push(item),
                None => plan.push((shard, vec![item])),
            }
        }
        let body = PendingBody::Query(PendingQuery {
            topics: questions.topics,
            partitions: questions.partitions,
            outstanding: plan.len() as u32,
        });
        let pending = self.pending.insert(Pending { meta, deadline: now.mono.plus_ms(QUERY_MS), body });
        if plan.is_empty() {
            self.finish_query(pending);
        }
        for (shard, items) in plan {
            if shard == self.id() {
                self.owner.query(shard, pending, &items, now, &mut fx.disk);
            } else {
                fx.mesh.push((shard, MeshMessage::Query { pending, items }));
            }
        }
    }

    /// Takes in an owner's answers.
    pub(crate) fn on_query_results(&mut self, id: SlotId, results: Vec<(u32, QueryResult)>) {
        let Some(Pending { body: PendingBody::Query(query), .. }) = self.pending.get_mut(id) else { return };
        for (index, result) in results {
            query.partitions[index as usize].1 = Some(result);
        }
        query.outstanding -= 1;
        if query.outstanding == 0 {
            self.finish_query(id);
        }
    }

    /// Answers with what is known; what is not is answered with `REQUEST_TIMED_OUT`.
    pub(crate) fn finish_query(&mut self, id: SlotId) {
        let Some(Pending { mut meta, body: PendingBody::Query(query), .. }) = self.take_pending(id) else {
            return;
        };
        meta.times = meta.times.worked(self.metrics.now, self.metrics.now);
        match ApiKey::from_code(meta.api_key) {
            Some(ApiKey::ListOffsets) => self.answer_list_offsets(meta, &query),
            Some(ApiKey::DeleteRecords) => self.answer_delete_records(meta, &query),
            Some(ApiKey::OffsetForLeaderEpoch) => self.answer_epochs(meta, &query),
            Some(ApiKey::DescribeLogDirs) => self.answer_log_dirs(meta, &query),
            other => unreachable!("{other:?} asks no owners"),
        }
    }
}

/// The topics of a gathered query with their partitions.
pub(crate) fn by_topic(
    query: &PendingQuery,
) -> impl Iterator<Item = (&TopicSpan, &[(i32, Option<QueryResult>)])> {
    let mut rest = &query.partitions[..];
    query.topics.iter().map(move |topic| {
        let (own, others) = rest.split_at(topic.count as usize);
        rest = others;
        (topic, own)
    })
}
