//! Fetch, versions 4 to 18.
//!
//! The home shard asks each owner once; owners answer with what there is and watch the partitions that have nothing.
//! News is pushed by the owner when the high watermark moves, never polled for. The answer leaves once `min_bytes`
//! are there, something is wrong, or `max_wait_ms` is over. Deviations: `read_committed` equals `read_uncommitted`
//! while there are no transactions; a fetch that names a replica id is served as a consumer's. Source: KIP-74, KIP-227,
//! KIP-320, KIP-516.

use corelane_base::id::{LeaderEpoch, Offset, ShardId, TopicId};
use corelane_base::time::{Mono, Now};
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use corelane_wire::primitive::{Reader, Records};

use crate::event::Effects;
use crate::fetch_session::{FetchKind, FetchWish, TopicRef};
use crate::mesh::{FetchItem, FetchResult, MeshMessage, PartitionKey};
use crate::pending::{Pending, PendingBody, PendingFetch, RequestMeta};
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;
use crate::slots::SlotId;
use crate::timers::Deadline;

impl Shard {
    pub(crate) fn fetch(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = FetchRequest::decode(reader, meta.version)?;
        let by_id = meta.version >= 13;
        let wishes = wishes_of(&request, by_id);
        let forgotten: Vec<(TopicRef, i32)> = request
            .forgotten_topics_data
            .iter()
            .flat_map(|topic| {
                let name = topic_ref(topic.topic, topic.topic_id, by_id);
                topic.partitions.iter().map(move |partition| (name.clone(), *partition))
            })
            .collect();
        // Before version 7 there are no sessions.
        let (id, epoch) =
            if meta.version >= 7 { (request.session_id, request.session_epoch) } else { (0, -1) };
        let begun = self.fetch_sessions.begin(id, epoch, by_id, wishes, &forgotten, now.mono, &mut self.rng);
        let (kind, wishes) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let response = FetchResponse { error_code: error.code(), ..FetchResponse::default() };
                self.respond_with(meta, |writer, version| response.encode(writer, version));
                return Ok(());
            }
        };
        let bytes_max = request.max_bytes.clamp(0, self.config.fetch_bytes_max) as u32;
        let bytes_max = bytes_max.min(self.answer_bytes_max());
        let wait_until = now.mono.plus_ms(request.max_wait_ms.max(0) as u64);
        let pending = PendingFetch {
            kind,
            keys: Vec::with_capacity(wishes.len()),
            results: Vec::with_capacity(wishes.len()),
            wishes,
            bytes_min: request.min_bytes.max(0) as u32,
            bytes_max,
            read_committed: request.isolation_level == 1,
            outstanding: 0,
            watching: Vec::new(),
            wait_until,
            known_at: Mono(0),
            from_disk: false,
        };
        self.ask_owners(now, meta, pending, fx);
        Ok(())
    }

    fn ask_owners(&mut self, now: Now, meta: RequestMeta, mut fetch: PendingFetch, fx: &mut Effects) {
        let waits = fetch.wait_until > now.mono && fetch.bytes_min > 0;
        let mut plan: Vec<(ShardId, Vec<FetchItem>)> = Vec::new();
        for (index, wish) in fetch.wishes.iter().enumerate() {
            let index = index as u32;
            match self.locate(wish) {
                Ok(key) => {
                    let item = FetchItem {
                        index,
                        key,
                        offset: wish.offset,
                        bytes_max: wish.bytes_max.max(0) as u32,
                        current_leader_epoch: wish.current_leader_epoch,
                        last_fetched_epoch: wish.last_fetched_epoch,
                        watch_beyond: if waits { Some(wish.offset) } else { None },
                    };
                    let shard = self.owner_of(key.topic, key.partition.0).1;
                    match plan.iter_mut().find(|(to, _)| *to == shard) {
                        Some((_, items)) => items.push(item),
                        None => plan.push((shard, vec![item])),
                    }
                    fetch.keys.push(Some(key));
                    fetch.results.push(None);
                }
                Err(error) => {
                    fetch.keys.push(None);
                    fetch.results.push(Some(FetchResult::nothing(index, error)));
                }
            }
        }
        fetch.outstanding = plan.len() as u32;
        let (bytes, wait_until) = ((fetch.bytes_max, fetch.bytes_min), fetch.wait_until);
        let body = PendingBody::Fetch(Box::new(fetch));
        // A disk that does not answer must not hold the connection for good.
        let pending = self.pending.insert(Pending { meta, deadline: wait_until.plus_ms(30_000), body });
        let nothing_to_ask = plan.is_empty();
        for (shard, items) in plan {
            if shard == self.id() {
                self.owner.fetch(shard, pending, bytes, &items, now, &mut fx.disk);
            } else {
                fx.mesh.push((shard, MeshMessage::Fetch { pending, bytes, items }));
            }
        }
        if nothing_to_ask {
            self.answer_or_wait(now, pending, fx);
        }
    }

    fn locate(&self, wish: &FetchWish) -> Result<PartitionKey, ErrorCode> {
        let (topic, missing) = match &wish.topic {
            TopicRef::Name(name) => (self.image.topic(name), ErrorCode::UnknownTopicOrPartition),
            TopicRef::Id(id) => (self.image.topic_by_id(*id), ErrorCode::UnknownTopicId),
        };
        let topic = topic.ok_or(missing)?;
        let known = usize::try_from(wish.partition).is_ok_and(|index| index < topic.partitions.len());
        if known {
            Ok(self.owner_of(topic.id, wish.partition).0)
        } else {
            Err(ErrorCode::UnknownTopicOrPartition)
        }
    }

    /// Takes in an owner's answer: the first, or later news.
    pub(crate) fn on_fetched(
        &mut self,
        now: Now,
        from: ShardId,
        id: SlotId,
        results: Vec<FetchResult>,
        first: bool,
        fx: &mut Effects,
    ) {
        let Some(Pending { body: PendingBody::Fetch(fetch), .. }) = self.pending.get_mut(id) else {
            // Answered meanwhile. A first answer may have set up a watch that nobody has cancelled.
            if first && results.iter().any(|result| result.watching) {
                self.tell(now, from, MeshMessage::FetchCancel { pending: id }, fx);
            }
            return;
        };
        fetch.outstanding -= u32::from(first);
        fetch.known_at = if first { now.mono } else { fetch.known_at };
        for result in results {
            if result.watching && !fetch.watching.contains(&from) {
                fetch.watching.push(from);
            }
            fetch.from_disk |= first && result.from_disk;
            let place = result.index as usize;
            fetch.results[place] = Some(result);
        }
        self.answer_or_wait(now, id, fx);
    }

    fn answer_or_wait(&mut self, now: Now, id: SlotId, fx: &mut Effects) {
        let Some(Pending { body: PendingBody::Fetch(fetch), .. }) = self.pending.get_mut(id) else { return };
        if fetch.outstanding > 0 {
            return;
        }
        if is_satisfied(fetch, now.mono) || fetch.watching.is_empty() && fetch.wait_until <= now.mono {
            self.finish_fetch(now, id, fx);
            return;
        }
        let at = fetch.wait_until;
        // More than once for a fetch that gets news below its minimum; a spare timer does nothing.
        self.timers.add(at, Deadline::Pending(id));
    }

    /// A fetch's wait is over.
    pub(crate) fn on_fetch_deadline(&mut self, now: Now, id: SlotId, fx: &mut Effects) {
        if let Some(Pending { body: PendingBody::Fetch(fetch), .. }) = self.pending.get(id)
            && fetch.outstanding == 0
            && fetch.wait_until <= now.mono
        {
            self.finish_fetch(now, id, fx);
        }
    }

    /// Answers a fetch with what is known.
    pub(crate) fn finish_fetch(&mut self, now: Now, id: SlotId, fx: &mut Effects) {
        let Some(Pending { mut meta, body: PendingBody::Fetch(mut fetch), .. }) = self.take_pending(id)
        else {
            return;
        };
        let logged = if fetch.from_disk { Mono(0) } else { fetch.known_at };
        meta.times = meta.times.worked(logged, fetch.known_at);
        for shard in core::mem::take(&mut fetch.watching) {
            self.tell(now, shard, MeshMessage::FetchCancel { pending: id }, fx);
        }
        let session_id = match fetch.kind {
            FetchKind::Sessionless => 0,
            FetchKind::Full(id) | FetchKind::Incremental(id) => id,
        };
        let incremental = matches!(fetch.kind, FetchKind::Incremental(_));
        let mut response = FetchResponse { session_id, ..FetchResponse::default() };
        let mut external = Vec::new();
        let mut bytes_left = u64::from(fetch.bytes_max);
        let mut last_topic: Option<&TopicRef> = None;
        let results = core::mem::take(&mut fetch.results);
        for (place, (wish, result)) in fetch.wishes.iter().zip(results).enumerate() {
            let mut result =
                result.unwrap_or_else(|| FetchResult::nothing(place as u32, ErrorCode::RequestTimedOut));
            if !external.is_empty() && u64::from(result.bytes) > bytes_left {
                // Several owners were each given the whole budget; what does not fit waits for the next fetch.
                result.records.clear();
                result.bytes = 0;
            }
            bytes_left = bytes_left.saturating_sub(u64::from(result.bytes));
            let told = (result.high_watermark, result.log_start_offset);
            let news = result.bytes > 0
                || result.error != ErrorCode::None
                || result.diverging.is_some()
                || told != (wish.told_high_watermark, wish.told_log_start_offset);
            if incremental && !news {
                continue;
            }
            if session_id != 0 {
                let has_records = result.bytes > 0;
                self.fetch_sessions.on_told(session_id, &wish.topic, wish.partition, told, has_records);
            }
            if last_topic != Some(&wish.topic) {
                response.responses.push(topic_response(&wish.topic));
                last_topic = Some(&wish.topic);
            }
            let data = partition_data(wish, &result, fetch.read_committed);
            if result.bytes > 0 {
                if let Some(key) = fetch.keys[place] {
                    self.metrics.sent.add(key, u64::from(result.bytes));
                }
                external.push(core::mem::take(&mut result.records));
            }
            response.responses.last_mut().expect("just pushed").partitions.push(data);
        }
        let capacity = 64 + 96 * fetch.wishes.len();
        let reply =
            response_parts(meta, capacity, |writer, version| response.encode(writer, version), external);
        self.respond(meta, Some(reply));
    }
}

fn is_satisfied(fetch: &PendingFetch, now: Mono) -> bool {
    let mut bytes: u64 = 0;
    for result in fetch.results.iter().flatten() {
        if result.error != ErrorCode::None || result.diverging.is_some() {
            return true;
        }
        bytes += u64::from(result.bytes);
    }
    bytes >= u64::from(fetch.bytes_min) || fetch.wait_until <= now || fetch.wishes.is_empty()
}

fn topic_ref(name: &str, id: [u8; 16], by_id: bool) -> TopicRef {
    if by_id { TopicRef::Id(TopicId(id)) } else { TopicRef::Name(name.into()) }
}

fn wishes_of(request: &FetchRequest<'_>, by_id: bool) -> Vec<FetchWish> {
    let mut wishes = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in &request.topics {
        let name = topic_ref(topic.topic, topic.topic_id, by_id);
        wishes.extend(topic.partitions.iter().map(|partition| FetchWish {
            topic: name.clone(),
            partition: partition.partition,
            offset: Offset(partition.fetch_offset),
            bytes_max: partition.partition_max_bytes,
            current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
            last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
            told_high_watermark: Offset(-1),
            told_log_start_offset: Offset(-1),
        }));
    }
    wishes
}

fn topic_response(topic: &TopicRef) -> FetchableTopicResponse<'_> {
    match topic {
        TopicRef::Name(name) => FetchableTopicResponse { topic: name, ..FetchableTopicResponse::default() },
        TopicRef::Id(id) => FetchableTopicResponse { topic_id: id.0, ..FetchableTopicResponse::default() },
    }
}

fn partition_data(wish: &FetchWish, result: &FetchResult, read_committed: bool) -> PartitionData<'static> {
    let records =
        if result.bytes > 0 { Records::External { len: result.bytes } } else { Records::Borrowed(&[]) };
    PartitionData {
        partition_index: wish.partition,
        error_code: result.error.code(),
        high_watermark: result.high_watermark.0,
        last_stable_offset: result.high_watermark.0,
        log_start_offset: result.log_start_offset.0,
        diverging_epoch: result.diverging.map_or_else(EpochEndOffset::default, |(epoch, end)| {
            EpochEndOffset { epoch: epoch.0, end_offset: end.0 }
        }),
        aborted_transactions: if read_committed { Some(Vec::new()) } else { None },
        records: Some(records),
        ..PartitionData::default()
    }
}
