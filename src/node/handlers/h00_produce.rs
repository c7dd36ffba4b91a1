//! Produce, versions 3 to 13 (0 to 2 are listed but refused, as Kafka 4 does).
//!
//! acks 0 is answered by silence, but keeps its place in the order until the batch is durable: that is its only
//! back-pressure. If it fails, the connection closes, the only sign that Kafka gives too. acks 1 and all are the same
//! while there is one replica: answered when the log's durability is reached. Deviation: batches are checked by their
//! headers and CRC, records are decoded only where `compression.type` or compaction asks for it, so there are no
//! per-record errors, except for records without a key that a compacted topic refuses. Source: KIP-98, KIP-467, KIP-516.

use corelane_base::id::{Offset, ShardId, TopicId};
use corelane_base::time::{Mono, Now, WallMs};
use corelane_control::image::Topic;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use corelane_wire::primitive::{Reader, Records};

use crate::event::Effects;
use crate::mesh::{AppendAsk, AppendItem, AppendResult, MeshMessage};
use crate::pending::{Pending, PendingBody, PendingProduce, RequestMeta, TopicSpan};
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;
use crate::slots::SlotId;

/// The client id that may write to internal topics. Source: Kafka `AdminUtils.ADMIN_CLIENT_ID`.
const ADMIN_CLIENT: &str = "__admin_client";

impl Shard {
    pub(crate) fn produce(
        &mut self,
        now: Now,
        meta: RequestMeta,
        client_id: Option<&str>,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = ProduceRequest::decode(reader, meta.version)?;
        let refusal = if !matches!(request.acks, -1..=1) {
            ErrorCode::InvalidRequiredAcks
        } else if request.transactional_id.is_some() {
            // No transactional id is ever handed out here, so this producer has not asked for one.
            ErrorCode::TransactionalIdNotFound
        } else {
            ErrorCode::None
        };
        let partition_count = request.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
        let pending = self.pending.insert(Pending {
            meta,
            deadline: now.mono.plus_ms(request.timeout_ms.max(0) as u64),
            body: PendingBody::Produce(PendingProduce {
                acks: request.acks,
                topics: Vec::with_capacity(request.topic_data.len()),
                partitions: Vec::with_capacity(partition_count),
                outstanding: partition_count as u32,
            }),
        });
        let ask = AppendAsk { pending, zstd_allowed: meta.version >= 7, hosted: false };
        let mut plan = Plan {
            ask,
            acks: request.acks,
            is_admin: client_id == Some(ADMIN_CLIENT),
            index: 0,
            done: Vec::new(),
            remote: Vec::new(),
        };
        for topic in &request.topic_data {
            self.produce_topic(now, meta, refusal, topic, &mut plan, fx);
        }
        for (shard, items) in plan.remote {
            fx.mesh.push((shard, MeshMessage::Append { ask, items }));
        }
        self.on_appended(pending, plan.done, fx);
        Ok(())
    }

    fn produce_topic(
        &mut self,
        now: Now,
        meta: RequestMeta,
        refusal: ErrorCode,
        topic: &TopicProduceData<'_>,
        plan: &mut Plan,
        fx: &mut Effects,
    ) {
        let by_id = meta.version >= 13;
        let found = if by_id {
            self.image.topic_by_id(TopicId(topic.topic_id))
        } else {
            self.image.topic(topic.name)
        };
        let mut error = refusal;
        if error == ErrorCode::None && found.is_none() {
            error = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
        }
        if error == ErrorCode::None && !plan.is_admin && found.is_some_and(Topic::is_internal) {
            error = ErrorCode::InvalidTopicException;
        }
        let (id, partition_count) =
            found.map_or((TopicId::ZERO, 0), |topic| (topic.id, topic.partitions.len()));
        let insync_min = self.topic_configs.get(&id).map_or(1, |config| config.insync_replicas_min);
        if error == ErrorCode::None && plan.acks == -1 && insync_min > 1 {
            error = ErrorCode::NotEnoughReplicas;
        }
        let span = TopicSpan {
            name: topic.name.into(),
            id: TopicId(topic.topic_id),
            count: topic.partition_data.len() as u32,
        };
        let body = self.produce_state(plan.ask.pending);
        body.topics.push(span);
        body.partitions.extend(topic.partition_data.iter().map(|data| (data.index, unanswered(0))));
        for data in &topic.partition_data {
            let index = plan.index;
            plan.index += 1;
            let known = usize::try_from(data.index).is_ok_and(|index| index < partition_count);
            let error = match error {
                ErrorCode::None if !known => ErrorCode::UnknownTopicOrPartition,
                error => error,
            };
            if error != ErrorCode::None {
                plan.done.push(AppendResult { error, ..unanswered(index) });
                continue;
            }
            let batch = match data.records {
                Some(Records::Borrowed(bytes)) => bytes,
                _ => &[],
            };
            let (key, shard) = self.owner_of(id, data.index);
            if shard == self.id() {
                let disk = &mut fx.disk;
                plan.done.extend(self.owner.append(shard, plan.ask, index, key, batch, now, disk));
                continue;
            }
            // Crossing shards moves owned data: the receive buffer stays at home.
            let item = AppendItem { index, key, batch: bytes::Bytes::copy_from_slice(batch) };
            match plan.remote.iter_mut().find(|(to, _)| *to == shard) {
                Some((_, items)) => items.push(item),
                None => plan.remote.push((shard, vec![item])),
            }
        }
    }

    fn produce_state(&mut self, id: SlotId) -> &mut PendingProduce {
        match &mut self.pending.get_mut(id).expect("inserted by this request").body {
            PendingBody::Produce(state) => state,
            _ => unreachable!("inserted as a produce"),
        }
    }

    /// Takes in results of appends; answers when the last is in.
    pub(crate) fn on_appended(&mut self, id: SlotId, results: Vec<AppendResult>, fx: &mut Effects) {
        let Some(Pending { body: PendingBody::Produce(state), .. }) = self.pending.get_mut(id) else {
            return;
        };
        state.outstanding -= results.len() as u32;
        for result in results {
            let index = result.index as usize;
            state.partitions[index].1 = result;
        }
        if state.outstanding == 0 {
            self.finish_produce(id, fx);
        }
    }

    /// Answers a produce with what is known.
    pub(crate) fn finish_produce(&mut self, id: SlotId, fx: &mut Effects) {
        let Some(Pending { mut meta, body: PendingBody::Produce(state), .. }) = self.take_pending(id) else {
            return;
        };
        let logged = state.partitions.iter().map(|(_, result)| result.appended).max().unwrap_or_default();
        meta.times = meta.times.worked(logged, self.metrics.now);
        if state.acks == 0 {
            let failed = state.partitions.iter().find(|(_, result)| result.error != ErrorCode::None);
            if let Some((partition, result)) = failed {
                let why =
                    format!("a produce with acks=0 to partition {partition} failed: {}", result.error.name());
                self.refuse(meta.conn, &why, fx);
            }
            self.respond(meta, None);
            return;
        }
        let mut rest = &state.partitions[..];
        let mut response = ProduceResponse::default();
        for topic in &state.topics {
            let (own, others) = rest.split_at(topic.count as usize);
            rest = others;
            response.responses.push(TopicProduceResponse {
                name: &topic.name,
                topic_id: topic.id.0,
                partition_responses: own.iter().map(partition_response).collect(),
            });
        }
        let capacity = 64 + 64 * state.partitions.len();
        let parts =
            response_parts(meta, capacity, |writer, version| response.encode(writer, version), Vec::new());
        self.respond(meta, Some(parts));
    }

    /// A produce has run out of time: what is not durable yet is answered with `REQUEST_TIMED_OUT`; it may still
    /// become durable later, as in Kafka.
    pub(crate) fn time_out_produce(&mut self, id: SlotId, fx: &mut Effects) {
        let Some(Pending { body: PendingBody::Produce(state), .. }) = self.pending.get_mut(id) else {
            return;
        };
        for (_, result) in &mut state.partitions {
            if result.error == ErrorCode::UnknownServerError {
                result.error = ErrorCode::RequestTimedOut;
            }
        }
        self.finish_produce(id, fx);
    }
}

/// A produce while it is dealt out.
struct Plan {
    ask: AppendAsk,
    acks: i16,
    is_admin: bool,
    index: u32,
    done: Vec<AppendResult>,
    remote: Vec<(ShardId, Vec<AppendItem>)>,
}

fn unanswered(index: u32) -> AppendResult {
    AppendResult {
        index,
        error: ErrorCode::UnknownServerError,
        base_offset: Offset(-1),
        log_append_time: WallMs(-1),
        log_start_offset: Offset(-1),
        appended: Mono(0),
        keyless: Vec::new(),
    }
}

/// Said of the whole batch, not again with each record: clients take it for all that are named.
const KEYLESS_TEXT: &str = "a compacted topic takes only records with a key";

fn partition_response((partition, result): &(i32, AppendResult)) -> PartitionProduceResponse<'static> {
    let of_record = |&batch_index| BatchIndexAndErrorMessage { batch_index, batch_index_error_message: None };
    PartitionProduceResponse {
        index: *partition,
        error_code: result.error.code(),
        base_offset: result.base_offset.0,
        log_append_time_ms: result.log_append_time.0,
        log_start_offset: result.log_start_offset.0,
        record_errors: result.keyless.iter().map(of_record).collect(),
        error_message: (!result.keyless.is_empty()).then_some(KEYLESS_TEXT),
        ..PartitionProduceResponse::default()
    }
}
