//! Fetch, versions 4 to 18.
//!
//! The home shard asks each owner once; owners answer with what there is and watch the partitions that have nothing.
//! News is pushed by the owner when the high watermark moves, never polled for. The answer leaves once `min_bytes`
//! are there, something is wrong, or `max_wait_ms` is over. What owners watch for a session they watch between its
//! fetches, too: the next looks only at what is due (see `fetch_session`). Deviations: `read_committed` equals `read_uncommitted`
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
use crate::fetch_session::{FetchKind, FetchWish, SessionAsk, Standing, TopicRef};
use crate::mesh::{FetchAsk, FetchItem, FetchResult, MeshMessage, PartitionKey, WatchName, suffices};
use crate::pending::{Pending, PendingBody, PendingFetch, RequestMeta};
use crate::requests::{Handled, response_parts};
use crate::shard::{Shard, owner_of};
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
        let ask = SessionAsk { id, epoch, uses_ids: by_id };
        let version = self.metadata_version;
        let begun = self.fetch_sessions.begin(ask, wishes, &forgotten, version, now.mono, &mut self.rng);
        for (session, owners) in core::mem::take(&mut self.fetch_sessions.ended) {
            for owner in owners {
                self.tell(now, owner, MeshMessage::FetchEnd { session }, fx);
            }
        }
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
        let fetch = PendingFetch {
            kind,
            keys: Vec::with_capacity(wishes.len()),
            results: Vec::with_capacity(wishes.len()),
            wishes: Vec::with_capacity(wishes.len()),
            bytes_min: request.min_bytes.max(0) as u32,
            bytes_max,
            read_committed: request.isolation_level == 1,
            bytes: 0,
            is_urgent: false,
            outstanding: 0,
            watching: Vec::new(),
            wait_until,
            has_timer: false,
            known_at: Mono(0),
            from_disk: false,
        };
        let body = PendingBody::Fetch(Box::new(fetch));
        // A disk that does not answer must not hold the connection for good.
        let pending = self.pending.insert(Pending { meta, deadline: wait_until.plus_ms(30_000), body });
        if let Some(session) = kind.session().and_then(|id| self.fetch_sessions.get_mut(id)) {
            session.active = Some(pending);
        }
        self.ask_owners(now, pending, wishes, true, fx);
        Ok(())
    }

    /// Adds wishes to a fetch and asks their owners; the first time all owners that watch something for its session.
    fn ask_owners(
        &mut self,
        now: Now,
        pending: SlotId,
        wishes: Vec<FetchWish>,
        first: bool,
        fx: &mut Effects,
    ) {
        let places = wishes.into_iter().map(|wish| (self.locate(&wish), wish)).collect::<Vec<_>>();
        let (shard_count, own) = (self.settings.shard_count, self.id());
        let Some(Pending { body: PendingBody::Fetch(fetch), .. }) = self.pending.get_mut(pending) else {
            return;
        };
        let waits = fetch.wait_until > now.mono && fetch.bytes_min > 0;
        let watch = match fetch.kind.session() {
            Some(id) => Some(WatchName::Session(id)),
            None => waits.then_some(WatchName::Fetch(pending)),
        };
        let session = fetch.kind.session().and_then(|id| self.fetch_sessions.get_mut(id));
        let mut plan: Vec<(ShardId, Vec<FetchItem>)> = Vec::new();
        if let Some(session) = session.as_deref().filter(|_| first) {
            plan.extend(session.owners.iter().map(|&owner| (owner, Vec::new())));
        }
        for (located, wish) in places {
            let FetchWish { place, stamp, .. } = wish;
            let item = located.map(|key| item_of(&wish, key));
            // Of the first wishes none is there twice, and they may be many.
            let known = if first { None } else { fetch.index_of(place, stamp) };
            let index = known.unwrap_or_else(|| fetch.add(wish, located.ok()));
            match item {
                Ok(item) => {
                    let item = FetchItem { index, ..item };
                    let shard = owner_of(item.key, shard_count);
                    match plan.iter_mut().find(|(to, _)| *to == shard) {
                        Some((_, items)) => items.push(item),
                        None => plan.push((shard, vec![item])),
                    }
                }
                Err(error) => {
                    fetch.take(FetchResult::nothing((place, stamp, index), error));
                }
            }
        }
        fetch.outstanding += plan.len() as u32;
        if let Some(session) = session {
            for (owner, _) in plan.iter().filter(|(_, items)| !items.is_empty()) {
                if !session.owners.contains(owner) {
                    session.owners.push(*owner);
                }
            }
        }
        let ask = FetchAsk { pending, bytes: (fetch.bytes_max, fetch.bytes_min), watch, waits };
        let nothing_to_ask = plan.is_empty();
        for (shard, items) in plan {
            if shard == own {
                self.owner.fetch(shard, ask, &items, now, &mut fx.disk);
            } else {
                fx.mesh.push((shard, MeshMessage::Fetch { ask, items }));
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

    /// Takes in an owner's answer, or later news.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn on_fetched(
        &mut self,
        now: Now,
        from: ShardId,
        id: SlotId,
        watch: Option<WatchName>,
        results: Vec<FetchResult>,
        first: bool,
        fx: &mut Effects,
    ) {
        let Some(Pending { body: PendingBody::Fetch(fetch), .. }) = self.pending.get_mut(id) else {
            // Answered meanwhile. The owner may believe that it waits.
            let Some(watch) = watch else { return };
            if first {
                self.tell(now, from, MeshMessage::FetchCancel { pending: id, watch }, fx);
            }
            if let WatchName::Session(session) = watch {
                let places = results.iter().map(|result| (result.place, result.stamp)).collect();
                self.on_fetch_due(now, session, places, fx);
            }
            return;
        };
        if first {
            fetch.outstanding -= 1;
            fetch.known_at = now.mono;
            let waits = watch.is_some() && !suffices(&results, fetch.bytes_min);
            if waits && !fetch.watching.contains(&from) {
                fetch.watching.push(from);
            }
        }
        let mut unknown = Vec::new();
        for result in results {
            fetch.from_disk |= first && result.from_disk;
            unknown.extend(fetch.take(result));
        }
        if let Some(WatchName::Session(session)) = watch.filter(|_| !unknown.is_empty()) {
            let places =
                unknown.into_iter().filter_map(|result| self.add_news(id, session, result)).collect();
            self.tell(now, from, MeshMessage::FetchForget { session, places }, fx);
        }
        self.answer_or_wait(now, id, fx);
    }

    /// Takes in news of a partition that was quiet when the fetch began. Gives back its place and stamp if the client
    /// asks for something else there by now.
    fn add_news(&mut self, id: SlotId, session: i32, mut result: FetchResult) -> Option<(u32, u64)> {
        let at = (result.place, result.stamp);
        let session = self.fetch_sessions.get_mut(session);
        let Some(wish) = session.and_then(|session| session.on_due(at.0, at.1).cloned()) else {
            return Some(at);
        };
        let key = self.locate(&wish).ok();
        let Some(Pending { body: PendingBody::Fetch(fetch), .. }) = self.pending.get_mut(id) else {
            return None;
        };
        result.index = fetch.add(wish, key);
        fetch.take(result);
        None
    }

    /// An owner tells that partitions of a session are to be looked at: now, if a fetch of it waits.
    pub(crate) fn on_fetch_due(&mut self, now: Now, session: i32, places: Vec<(u32, u64)>, fx: &mut Effects) {
        let Some(session) = self.fetch_sessions.get_mut(session) else { return };
        let due = |&(place, stamp): &(u32, u64)| session.on_due(place, stamp).cloned();
        let wishes: Vec<FetchWish> = places.iter().filter_map(due).collect();
        if let Some(active) = session.active.filter(|_| !wishes.is_empty()) {
            self.ask_owners(now, active, wishes, false, fx);
        }
    }

    fn answer_or_wait(&mut self, now: Now, id: SlotId, fx: &mut Effects) {
        let Some(Pending { body: PendingBody::Fetch(fetch), .. }) = self.pending.get_mut(id) else { return };
        if fetch.outstanding > 0 {
            return;
        }
        if fetch.is_satisfied() || fetch.wait_until <= now.mono {
            self.finish_fetch(now, id, fx);
            return;
        }
        if !fetch.has_timer {
            fetch.has_timer = true;
            let at = fetch.wait_until;
            self.timers.add(at, Deadline::Pending(id));
        }
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
        let session_id = fetch.kind.session();
        let watch = session_id.map_or(WatchName::Fetch(id), WatchName::Session);
        for shard in core::mem::take(&mut fetch.watching) {
            self.tell(now, shard, MeshMessage::FetchCancel { pending: id, watch }, fx);
        }
        let mut session = session_id.and_then(|id| self.fetch_sessions.get_mut(id));
        let is_active = session.as_ref().is_some_and(|session| session.active == Some(id));
        let incremental = matches!(fetch.kind, FetchKind::Incremental(_));
        let mut response = FetchResponse { session_id: session_id.unwrap_or(0), ..FetchResponse::default() };
        let mut external = Vec::new();
        let mut last_topic: Option<&TopicRef> = None;
        let results = fetch.take_results();
        for (i, (wish, mut result)) in fetch.wishes.iter().zip(results).enumerate() {
            let told = (result.high_watermark, result.log_start_offset);
            let news = result.bytes > 0
                || result.is_urgent()
                || told != (wish.told_high_watermark, wish.told_log_start_offset);
            if let Some(session) = &mut session {
                let standing = if is_active { standing(wish, &result) } else { Standing::Due };
                session.on_looked_at(wish.place, wish.stamp, standing);
                if is_active {
                    session.on_told(wish.place, wish.stamp, told);
                }
            }
            if incremental && !news {
                continue;
            }
            if last_topic != Some(&wish.topic) {
                response.responses.push(topic_response(&wish.topic));
                last_topic = Some(&wish.topic);
            }
            let data = partition_data(wish, &result, fetch.read_committed);
            if result.bytes > 0 {
                if let Some(key) = fetch.keys[i] {
                    self.metrics.sent.add(key, u64::from(result.bytes));
                }
                external.push(core::mem::take(&mut result.records));
            }
            response.responses.last_mut().expect("just pushed").partitions.push(data);
        }
        if let Some(session) = session {
            session.put_in_order();
            session.active = session.active.filter(|active| *active != id);
        }
        let capacity = 64 + 96 * fetch.wishes.len();
        let reply =
            response_parts(meta, capacity, |writer, version| response.encode(writer, version), external);
        self.respond(meta, Some(reply));
    }
}

impl PendingFetch {
    /// Adds a wish that it does not have yet. Returns its index.
    fn add(&mut self, wish: FetchWish, key: Option<PartitionKey>) -> u32 {
        self.wishes.push(wish);
        self.keys.push(key);
        self.results.push(None);
        self.wishes.len() as u32 - 1
    }

    fn index_of(&self, place: u32, stamp: u64) -> Option<u32> {
        let i = self.wishes.iter().position(|wish| (wish.place, wish.stamp) == (place, stamp))?;
        Some(i as u32)
    }

    /// Takes in what is known of a wish, unless something newer is known. Gives back what it has no wish for.
    fn take(&mut self, result: FetchResult) -> Option<FetchResult> {
        let (place, stamp) = (result.place, result.stamp);
        let is_it = |wish: &FetchWish| (wish.place, wish.stamp) == (place, stamp);
        let is_there = self.wishes.get(result.index as usize).is_some_and(is_it);
        let index = if is_there { Some(result.index) } else { self.index_of(place, stamp) };
        let Some(index) = index else { return Some(result) };
        // An answer that waited for the disk may hold what was so before the news that overtook it.
        if self.results[index as usize].as_ref().is_some_and(|known| result.is_older_than(known)) {
            return None;
        }
        self.is_urgent |= result.is_urgent();
        self.bytes += u64::from(result.bytes);
        if let Some(before) = self.results[index as usize].replace(result) {
            self.bytes -= u64::from(before.bytes);
        }
        None
    }

    /// What is known of each wish, in the order of the wishes, within the bytes that the answer may have.
    fn take_results(&mut self) -> Vec<FetchResult> {
        let mut bytes_left = u64::from(self.bytes_max);
        let mut is_first = true;
        let results = core::mem::take(&mut self.results).into_iter().zip(&self.wishes).enumerate();
        results
            .map(|(i, (result, wish))| {
                let at = (wish.place, wish.stamp, i as u32);
                let unknown = || FetchResult::nothing(at, ErrorCode::RequestTimedOut);
                let mut result = result.unwrap_or_else(unknown);
                if !is_first && u64::from(result.bytes) > bytes_left {
                    // Several owners were each given the whole budget; what does not fit waits for the next fetch.
                    result.records.clear();
                    result.bytes = 0;
                }
                is_first &= result.bytes == 0;
                bytes_left = bytes_left.saturating_sub(u64::from(result.bytes));
                result
            })
            .collect()
    }

    fn is_satisfied(&self) -> bool {
        let wants_nothing = self.kind == FetchKind::Sessionless && self.wishes.is_empty();
        self.is_urgent || self.bytes >= u64::from(self.bytes_min) || wants_nothing
    }
}

/// What its owner is asked for; the index follows.
fn item_of(wish: &FetchWish, key: PartitionKey) -> FetchItem {
    FetchItem {
        place: wish.place,
        stamp: wish.stamp,
        index: 0,
        key,
        offset: wish.offset,
        bytes_max: wish.bytes_max.max(0) as u32,
        current_leader_epoch: wish.current_leader_epoch,
        last_fetched_epoch: wish.last_fetched_epoch,
    }
}

/// Where a partition stands in its session once this was told of it.
fn standing(wish: &FetchWish, result: &FetchResult) -> Standing {
    // What did not fit is not told of again by its owner.
    let is_at_end = wish.offset >= result.high_watermark;
    match result.watching {
        true if is_at_end => Standing::Quiet,
        // An error goes behind the others, too: it must not keep them from their turn.
        _ if result.bytes > 0 || result.error != ErrorCode::None => Standing::Served,
        _ => Standing::Due,
    }
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
            place: 0,
            stamp: 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> PendingFetch {
        let wish = FetchWish {
            topic: TopicRef::Name("t".into()),
            partition: 0,
            offset: Offset(100),
            bytes_max: 1000,
            current_leader_epoch: LeaderEpoch(-1),
            last_fetched_epoch: LeaderEpoch(-1),
            told_high_watermark: Offset(-1),
            told_log_start_offset: Offset(-1),
            place: 3,
            stamp: 7,
        };
        let mut fetch = PendingFetch {
            kind: FetchKind::Sessionless,
            wishes: Vec::new(),
            keys: Vec::new(),
            results: Vec::new(),
            bytes_min: 1,
            bytes_max: 1000,
            read_committed: false,
            bytes: 0,
            is_urgent: false,
            outstanding: 2,
            watching: Vec::new(),
            wait_until: Mono(0),
            has_timer: false,
            known_at: Mono(0),
            from_disk: false,
        };
        assert_eq!(fetch.add(wish, None), 0);
        fetch
    }

    fn seen(high_watermark: i64, log_start: i64, bytes: u32) -> FetchResult {
        let mut result = FetchResult::nothing((3, 7, 0), ErrorCode::None);
        (result.high_watermark, result.log_start_offset) = (Offset(high_watermark), Offset(log_start));
        result.bytes = bytes;
        result
    }

    #[test]
    fn an_answer_that_waited_for_the_disk_does_not_undo_the_news_that_overtook_it() {
        let offline = || FetchResult::nothing((3, 7, 0), ErrorCode::KafkaStorageError);
        let pairs: [[&dyn Fn() -> FetchResult; 2]; 3] = [
            [&|| seen(101, 0, 50), &|| seen(100, 0, 0)],
            [&|| seen(100, 5, 0), &|| seen(100, 0, 0)],
            [&offline, &|| seen(100, 0, 0)],
        ];
        for [newer, older] in pairs {
            for order in [[older, newer], [newer, older]] {
                let mut fetch = waiting();
                order.iter().for_each(|result| assert!(fetch.take(result()).is_none()));
                let (kept, newer) = (fetch.results[0].as_ref().expect("taken"), newer());
                let tell = |result: &FetchResult| {
                    (result.error, result.high_watermark, result.log_start_offset, result.bytes)
                };
                assert_eq!(tell(kept), tell(&newer));
                assert_eq!(fetch.bytes, u64::from(newer.bytes));
                assert_eq!(fetch.is_urgent, newer.is_urgent());
            }
        }
    }

    #[test]
    fn what_the_client_no_longer_asks_for_is_given_back() {
        let mut fetch = waiting();
        let stale = FetchResult { stamp: 6, ..seen(101, 0, 50) };
        assert!(fetch.take(stale).is_some());
        assert!(fetch.results[0].is_none() && fetch.bytes == 0);
    }
}
