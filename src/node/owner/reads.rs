//! The reading half of an owner: fetches and questions about logs, with what of them waits for the disk.
//!
//! A read never waits for records here; it leaves a watch behind. When there are some, `Owner::wake_watchers` reads again
//! if the watch's fetch waits, or else has the session told that the partition is due. So a session's fetch costs what
//! its busy partitions cost, however many others it names.

use corelane_base::id::{LeaderEpoch, Offset, ShardId};
use corelane_base::time::{Now, WallMs};
use corelane_log::disk::DiskQueue;
use corelane_log::error::ReadError;
use corelane_log::log::{LogCx, LogRead, LogState, LookupStart, ReadStart, TimedOffset};
use corelane_wire::error_code::ErrorCode;
use hashbrown::HashMap;

use super::{Armed, Deletion, Owner, QueryAsk, ReadFor, Reading, Watch};
use crate::error::read_error_code;
use crate::mesh::{
    FetchAsk, FetchItem, FetchResult, MeshMessage, PartitionKey, Query, QueryResult, WatchName, suffices,
};
use crate::partition::Watcher;
use crate::send::SendPart;
use crate::slots::SlotId;

impl Owner {
    /// Reads for a fetch: `Fetched` follows in `out`, at once unless the disk must be asked. Partitions that are at their
    /// end are watched, and those that gave records if there is less than the minimum.
    pub fn fetch(
        &mut self,
        origin: ShardId,
        ask: FetchAsk,
        items: &[FetchItem],
        now: Now,
        disk: &mut DiskQueue,
    ) {
        // Only a session's watch outlives its fetches; another is made when there is something to watch.
        if let Some(watch @ WatchName::Session(_)) = ask.watch {
            let watch = self.watch_named(origin, watch);
            watch.waits = ask.waits.then_some((ask.pending, ask.bytes.0));
            for item in items {
                watch.disarm(item.place);
            }
        }
        self.read_items(origin, ask, items, false, now, disk);
    }

    /// A fetch waits no longer.
    pub fn fetch_cancel(&mut self, origin: ShardId, pending: SlotId, name: WatchName) {
        let Some(&id) = self.watch_of.get(&(origin, name)) else { return };
        let watch = self.watches.get_mut(id).expect("watch_of names live watches");
        match name {
            WatchName::Session(_) => watch.waits = watch.waits.filter(|(waits, _)| *waits != pending),
            WatchName::Fetch(_) => self.fetch_end(origin, name),
        }
    }

    /// The session no longer asks for these places.
    pub fn fetch_forget(&mut self, origin: ShardId, session: i32, places: &[(u32, u64)]) {
        let Some(&id) = self.watch_of.get(&(origin, WatchName::Session(session))) else { return };
        let watch = self.watches.get_mut(id).expect("watch_of names live watches");
        for &(place, stamp) in places {
            if watch.armed.get(&place).is_some_and(|armed| armed.item.stamp == stamp) {
                watch.disarm(place);
            }
        }
    }

    /// Nothing is watched under that name any more.
    pub fn fetch_end(&mut self, origin: ShardId, name: WatchName) {
        if let Some(watch) = self.watch_of.remove(&(origin, name)) {
            self.watches.remove(watch);
        }
    }

    fn watch_named(&mut self, origin: ShardId, name: WatchName) -> &mut Watch {
        let watches = &mut self.watches;
        let new = || watches.insert(Watch { origin, name, waits: None, armed: HashMap::default() });
        let id = *self.watch_of.entry((origin, name)).or_insert_with(new);
        self.watches.get_mut(id).expect("watch_of names live watches")
    }

    fn read_items(
        &mut self,
        origin: ShardId,
        ask: FetchAsk,
        items: &[FetchItem],
        is_news: bool,
        now: Now,
        disk: &mut DiskQueue,
    ) {
        let results = Vec::with_capacity(items.len());
        let id = self.fetches.insert(Reading { origin, ask, is_news, outstanding: 0, results });
        let (bytes_max, bytes_min) = ask.bytes;
        let mut bytes_left = bytes_max;
        let mut first = true;
        for item in items {
            let mut result = self.begin_result(item, is_news);
            if !result.is_urgent() {
                let slot = self.slot_of(item.key).expect("begin_result found it");
                match self.read_one(slot, item, bytes_left, first, now, disk) {
                    ReadStart::Ready(read) => {
                        take_read(&mut result, read);
                        self.work.tail_reads += u64::from(result.bytes > 0);
                        self.work.tail_read_bytes += u64::from(result.bytes);
                        bytes_left = bytes_left.saturating_sub(result.bytes);
                        first &= result.bytes == 0;
                    }
                    ReadStart::Pending(ticket) => {
                        // How much it will be is not known yet; charging the bound keeps the sum below it.
                        bytes_left = bytes_left.saturating_sub(item.bytes_max);
                        first = false;
                        self.reads.insert((slot, ticket), ReadFor::Fetch { reading: id, result });
                        self.fetches.get_mut(id).expect("just inserted").outstanding += 1;
                        continue;
                    }
                    ReadStart::OutOfRange => {
                        result.error = ErrorCode::OffsetOutOfRange;
                        self.partition(slot).traffic.fetch_failed += 1;
                    }
                    ReadStart::Failed(error) => {
                        result.error = read_error_code(&error);
                        self.partition(slot).traffic.fetch_failed += 1;
                    }
                    // At the end, or there is too little room for a batch.
                    ReadStart::Empty if !is_news => {
                        let beyond = item.offset.max(result.high_watermark);
                        result.watching = self.watch(origin, &ask, slot, item, beyond);
                    }
                    ReadStart::Empty => {}
                }
            }
            self.fetches.get_mut(id).expect("just inserted").results.push(result);
        }
        if !is_news && ask.waits && bytes_max - bytes_left < bytes_min {
            self.watch_further(id, items);
        }
        self.finish_fetch_if_done(id);
    }

    fn read_one(
        &mut self,
        slot: u32,
        item: &FetchItem,
        bytes_left: u32,
        whole_first_batch: bool,
        now: Now,
        disk: &mut DiskQueue,
    ) -> ReadStart {
        let partition = self.partitions[slot as usize].as_mut().expect("slots in use are filled");
        let end = partition.high_watermark();
        if item.offset > end && item.offset <= partition.log.log_end_offset() {
            return ReadStart::Empty;
        }
        let bytes_max = item.bytes_max.min(bytes_left);
        if bytes_max == 0 && !whole_first_batch && item.offset < end {
            return ReadStart::Ready(LogRead::default());
        }
        partition.log.read(item.offset, end, bytes_max, whole_first_batch, cx!(self, now, disk))
    }

    fn begin_result(&mut self, item: &FetchItem, is_news: bool) -> FetchResult {
        let mut result = FetchResult::nothing((item.place, item.stamp, item.index), ErrorCode::None);
        let Some(slot) = self.slot_of(item.key).filter(|_| !self.closed) else {
            result.error = ErrorCode::NotLeaderOrFollower;
            return result;
        };
        let partition = self.partition(slot);
        partition.traffic.fetch_requests += u64::from(!is_news);
        if !partition.is_online() {
            result.error = unavailable(partition.log.state());
            partition.traffic.fetch_failed += 1;
            return result;
        }
        result.error = check_epoch(item.current_leader_epoch, partition.leader_epoch);
        if result.error != ErrorCode::None {
            partition.traffic.fetch_failed += 1;
            return result;
        }
        result.high_watermark = partition.high_watermark();
        result.log_start_offset = partition.log.log_start_offset();
        if item.last_fetched_epoch.0 >= 0 {
            let (epoch, end) = partition.log.end_offset_for_epoch(item.last_fetched_epoch);
            if epoch < item.last_fetched_epoch || end < item.offset {
                result.diverging = Some((epoch, end));
            }
        }
        result
    }

    /// Has whoever asks told once the high watermark is beyond `beyond`. False if it does not want to know.
    fn watch(
        &mut self,
        origin: ShardId,
        ask: &FetchAsk,
        slot: u32,
        item: &FetchItem,
        beyond: Offset,
    ) -> bool {
        let Some(name) = ask.watch else { return false };
        self.armings += 1;
        let arming = self.armings;
        let watch = self.watch_named(origin, name);
        if matches!(name, WatchName::Fetch(_)) {
            watch.waits = Some((ask.pending, ask.bytes.0));
        }
        watch.arm(Armed { item: *item, beyond, arming });
        let watch = self.watch_of[&(origin, name)];
        self.add_watcher(slot, Watcher { watch, place: item.place, arming });
        true
    }

    fn add_watcher(&mut self, slot: u32, watcher: Watcher) {
        let watches = &self.watches;
        let partition = self.partitions[slot as usize].as_mut().expect("slots in use are filled");
        partition.watch(watcher, |other| {
            watches.get(other.watch).is_some_and(|watch| watch.armed(other).is_some())
        });
    }

    /// Watches the partitions that gave records, but too few.
    fn watch_further(&mut self, id: SlotId, items: &[FetchItem]) {
        let reading = self.fetches.get_mut(id).expect("the caller's");
        let (origin, ask) = (reading.origin, reading.ask);
        let mut results = core::mem::take(&mut reading.results);
        for result in results.iter_mut().filter(|result| result.bytes > 0) {
            let item = items.iter().find(|item| item.place == result.place).expect("results answer items");
            if let Some(slot) = self.slot_of(item.key) {
                result.watching = self.watch(origin, &ask, slot, item, result.high_watermark);
            }
        }
        self.fetches.get_mut(id).expect("the caller's").results = results;
    }

    /// Tells whoever watches a partition of its new high watermark, or that it is gone.
    pub(super) fn wake_watchers(&mut self, slot: u32, now: Now, disk: &mut DiskQueue) {
        let partition = self.partition(slot);
        let high_watermark = partition.high_watermark();
        let serves = partition.is_online() && !partition.deleted;
        for watcher in partition.take_watchers() {
            let Some(watch) = self.watches.get_mut(watcher.watch) else { continue };
            let Some(&Armed { item, beyond, .. }) = watch.armed(&watcher) else { continue };
            if serves && high_watermark <= beyond {
                self.add_watcher(slot, watcher);
                continue;
            }
            let Some((pending, bytes_max)) = watch.waits else {
                self.tell_due(&watcher);
                continue;
            };
            let (origin, name) = (watch.origin, watch.name);
            if serves {
                // Watched on until the fetch is answered: the news may be less than its minimum.
                watch.arm(Armed { item, beyond: high_watermark, arming: watcher.arming });
                self.add_watcher(slot, watcher);
            } else {
                watch.disarm(item.place);
            }
            let bytes = (item.bytes_max.min(bytes_max), 0);
            let ask = FetchAsk { pending, bytes, watch: Some(name), waits: true };
            self.read_items(origin, ask, &[item], true, now, disk);
        }
    }

    /// The log begins elsewhere: sessions are to tell their clients.
    pub(super) fn tell_start_moved(&mut self, slot: u32) {
        for watcher in self.partition(slot).take_watchers() {
            let Some(watch) = self.watches.get(watcher.watch) else { continue };
            match watch.name {
                WatchName::Session(_) => self.tell_due(&watcher),
                WatchName::Fetch(_) => self.add_watcher(slot, watcher),
            }
        }
    }

    /// Has the session whose watch that is look at the place again. Several in a row make one message.
    fn tell_due(&mut self, watcher: &Watcher) {
        let Some(watch) = self.watches.get_mut(watcher.watch) else { return };
        let (Some(armed), WatchName::Session(session)) = (watch.armed(watcher), watch.name) else { return };
        let (origin, place) = (watch.origin, (armed.item.place, armed.item.stamp));
        watch.disarm(watcher.place);
        if let Some((to, MeshMessage::FetchDue { session: same, places })) = self.out.last_mut()
            && (*to, *same) == (origin, session)
        {
            places.push(place);
        } else {
            self.out.push((origin, MeshMessage::FetchDue { session, places: vec![place] }));
        }
    }

    pub(super) fn on_fetch_read(
        &mut self,
        slot: u32,
        reading: SlotId,
        mut result: FetchResult,
        read: Result<LogRead, ReadError>,
    ) {
        result.from_disk = true;
        match read {
            Ok(read) => take_read(&mut result, read),
            Err(error) => result.error = read_error_code(&error),
        }
        // The watermark may have moved on while the disk read; the newer one is as true and more useful.
        result.high_watermark = self.partition(slot).high_watermark();
        let Some(asked) = self.fetches.get_mut(reading) else { return };
        asked.results.push(result);
        asked.outstanding -= 1;
        self.finish_fetch_if_done(reading);
    }

    fn finish_fetch_if_done(&mut self, id: SlotId) {
        if self.fetches.get(id).is_none_or(|reading| reading.outstanding > 0) {
            return;
        }
        let Reading { origin, ask, is_news, results, .. } = self.fetches.remove(id).expect("just looked at");
        let FetchAsk { pending, watch, .. } = ask;
        let message = match watch {
            Some(watch) if is_news => MeshMessage::FetchNews { pending, watch, results },
            _ => {
                if let Some(watch) = watch.filter(|_| suffices(&results, ask.bytes.1)) {
                    self.fetch_cancel(origin, pending, watch);
                }
                MeshMessage::Fetched { pending, watch, results }
            }
        };
        self.out.push((origin, message));
    }

    /// Answers questions; `QueryResults` follows in `out`, at once unless the disk must be asked.
    pub fn query(
        &mut self,
        origin: ShardId,
        pending: SlotId,
        items: &[(u32, PartitionKey, Query)],
        now: Now,
        disk: &mut DiskQueue,
    ) {
        let ask = self.queries.insert(QueryAsk {
            origin,
            pending,
            outstanding: items.len() as u32,
            results: Vec::with_capacity(items.len()),
        });
        if items.is_empty() {
            self.send_query_results(ask);
        }
        for &(index, key, query) in items {
            if let Some(answer) = self.answer(ask, index, key, query, now, disk) {
                self.finish_query(ask, index, answer);
            }
        }
    }

    fn answer(
        &mut self,
        ask: SlotId,
        index: u32,
        key: PartitionKey,
        query: Query,
        now: Now,
        disk: &mut DiskQueue,
    ) -> Option<QueryResult> {
        let Some(slot) = self.slot_of(key).filter(|_| !self.closed) else {
            return Some(failed_query(&query, ErrorCode::NotLeaderOrFollower));
        };
        let partition = self.partitions[slot as usize].as_mut().expect("by_topic names live slots");
        if !partition.is_online() {
            return Some(failed_query(&query, unavailable(partition.log.state())));
        }
        match query {
            Query::ListOffset { timestamp, current_leader_epoch } => {
                let error = check_epoch(current_leader_epoch, partition.leader_epoch);
                if error != ErrorCode::None {
                    return Some(failed_query(&query, error));
                }
                self.list_offset(ask, index, slot, timestamp, now, disk)
            }
            Query::EpochEnd { leader_epoch, current_leader_epoch } => {
                let error = check_epoch(current_leader_epoch, partition.leader_epoch);
                if error != ErrorCode::None {
                    return Some(failed_query(&query, error));
                }
                let (leader_epoch, end_offset) = if leader_epoch == partition.leader_epoch {
                    (leader_epoch, partition.log.log_end_offset())
                } else {
                    partition.log.end_offset_for_epoch(leader_epoch)
                };
                Some(QueryResult::EpochEnd { error: ErrorCode::None, leader_epoch, end_offset })
            }
            Query::DeleteRecords { before } => self.delete_records(ask, index, slot, before, now, disk),
            Query::LogSize => {
                Some(QueryResult::LogSize { error: ErrorCode::None, bytes: partition.log.size_bytes() })
            }
        }
    }

    /// Raises a log's start. The answer waits for a checkpoint that holds it: what a client was told is deleted does
    /// not come back after a crash.
    fn delete_records(
        &mut self,
        ask: SlotId,
        index: u32,
        slot: u32,
        before: Offset,
        now: Now,
        disk: &mut DiskQueue,
    ) -> Option<QueryResult> {
        let partition = self.partitions[slot as usize].as_mut().expect("slots in use are filled");
        let end = partition.high_watermark();
        let before = if before == Offset(-1) { end } else { before };
        let moved = if before > end || before.0 < 0 {
            Err(ReadError::OutOfRange)
        } else {
            partition.log.delete_records(before, cx!(self, now, disk))
        };
        match moved {
            Ok(low_watermark) if partition.log.start_stored() < low_watermark => {
                self.deletions.push(Deletion { slot, ask, index, low_watermark });
                None
            }
            Ok(low_watermark) => Some(QueryResult::DeleteRecords { error: ErrorCode::None, low_watermark }),
            Err(error) => Some(failed_query(&Query::DeleteRecords { before }, read_error_code(&error))),
        }
    }

    /// Whether a checkpoint taken now would let a deletion of records be answered.
    #[must_use]
    pub fn awaits_checkpoint(&self) -> bool {
        self.deletions.iter().any(|deletion| {
            let partition = self.partitions[deletion.slot as usize].as_ref();
            partition.is_some_and(|partition| partition.log.start_storable() >= deletion.low_watermark)
        })
    }

    /// What `Log::checkpoint` gave last is stored, or was not: then deletions of records that wait for it have failed
    /// as far as their client can tell. They may be asked for again.
    pub fn on_checkpoint_stored(&mut self, stored: bool) {
        if stored {
            self.for_each(|partition| partition.log.checkpoint_stored());
        }
        let mut waiting = core::mem::take(&mut self.deletions);
        waiting.retain(|&Deletion { slot, ask, index, low_watermark }| {
            let start_stored = self.partition(slot).log.start_stored();
            if stored && start_stored < low_watermark {
                return true;
            }
            let answer = QueryResult::DeleteRecords { error: ErrorCode::None, low_watermark };
            let failed = failed_deletion(ErrorCode::KafkaStorageError);
            self.finish_query(ask, index, if stored { answer } else { failed });
            false
        });
        self.deletions = waiting;
    }

    /// The log is gone or offline.
    pub(super) fn fail_deletions(&mut self, slot: u32, error: ErrorCode) {
        let mut waiting = core::mem::take(&mut self.deletions);
        waiting.retain(|deletion| {
            let elsewhere = deletion.slot != slot;
            if !elsewhere {
                self.finish_query(deletion.ask, deletion.index, failed_deletion(error));
            }
            elsewhere
        });
        self.deletions = waiting;
    }

    fn list_offset(
        &mut self,
        ask: SlotId,
        index: u32,
        slot: u32,
        timestamp: i64,
        now: Now,
        disk: &mut DiskQueue,
    ) -> Option<QueryResult> {
        let partition = self.partitions[slot as usize].as_mut().expect("slots in use are filled");
        let end = partition.high_watermark();
        let epoch = partition.leader_epoch;
        let special = |offset, leader_epoch| {
            Some(QueryResult::ListOffset {
                error: ErrorCode::None,
                offset,
                timestamp: WallMs(-1),
                leader_epoch,
            })
        };
        let start = match timestamp {
            -1 => return special(end, epoch),
            -2 | -4 => {
                let first = partition.log.log_start_offset();
                return special(first, partition.log.leader_epoch_of(first).unwrap_or(epoch));
            }
            // Nothing is tiered; Kafka without remote storage answers "none" too.
            -5 => return special(Offset(-1), LeaderEpoch(-1)),
            -3 => partition.log.offset_of_max_timestamp(end, cx!(self, now, disk)),
            at if at >= 0 => partition.log.offset_for_time(WallMs(at), end, cx!(self, now, disk)),
            _ => {
                let query = Query::ListOffset { timestamp, current_leader_epoch: epoch };
                return Some(failed_query(&query, ErrorCode::UnsupportedVersion));
            }
        };
        match start {
            LookupStart::Ready(found) => Some(self.found_offset(slot, Ok(found), end)),
            LookupStart::Failed(error) => Some(self.found_offset(slot, Err(error), end)),
            LookupStart::Pending(ticket) => {
                self.reads.insert((slot, ticket), ReadFor::Query { ask, index, end });
                None
            }
        }
    }

    pub(super) fn found_offset(
        &mut self,
        _slot: u32,
        found: Result<Option<TimedOffset>, ReadError>,
        end: Offset,
    ) -> QueryResult {
        let none = |error| QueryResult::ListOffset {
            error,
            offset: Offset(-1),
            timestamp: WallMs(-1),
            leader_epoch: LeaderEpoch(-1),
        };
        match found {
            Ok(Some(found)) if found.offset < end => QueryResult::ListOffset {
                error: ErrorCode::None,
                offset: found.offset,
                timestamp: found.timestamp,
                leader_epoch: found.leader_epoch,
            },
            Ok(_) => none(ErrorCode::None),
            Err(error) => none(read_error_code(&error)),
        }
    }

    pub(super) fn finish_query(&mut self, ask: SlotId, index: u32, answer: QueryResult) {
        let Some(entry) = self.queries.get_mut(ask) else { return };
        entry.results.push((index, answer));
        entry.outstanding -= 1;
        if entry.outstanding == 0 {
            self.send_query_results(ask);
        }
    }

    fn send_query_results(&mut self, ask: SlotId) {
        let ask = self.queries.remove(ask).expect("removed once");
        self.out.push((ask.origin, MeshMessage::QueryResults { pending: ask.pending, results: ask.results }));
    }
}

fn take_read(result: &mut FetchResult, read: LogRead) {
    result.bytes = u32::try_from(read.bytes).expect("bounded by a u32 of bytes_max or one batch");
    result.records = read.parts.into_iter().map(SendPart::from).collect();
}

/// Source: Kafka `Partition.checkCurrentLeaderEpoch`.
fn check_epoch(believed: LeaderEpoch, current: LeaderEpoch) -> ErrorCode {
    if believed.0 < 0 || believed == current {
        ErrorCode::None
    } else if believed < current {
        ErrorCode::FencedLeaderEpoch
    } else {
        ErrorCode::UnknownLeaderEpoch
    }
}

fn unavailable(state: &LogState) -> ErrorCode {
    match state {
        LogState::Online => ErrorCode::None,
        LogState::Opening => ErrorCode::LeaderNotAvailable,
        LogState::Offline(_) => ErrorCode::KafkaStorageError,
    }
}

fn failed_query(query: &Query, error: ErrorCode) -> QueryResult {
    match query {
        Query::ListOffset { .. } => QueryResult::ListOffset {
            error,
            offset: Offset(-1),
            timestamp: WallMs(-1),
            leader_epoch: LeaderEpoch(-1),
        },
        Query::EpochEnd { .. } => {
            QueryResult::EpochEnd { error, leader_epoch: LeaderEpoch(-1), end_offset: Offset(-1) }
        }
        Query::DeleteRecords { .. } => failed_deletion(error),
        Query::LogSize => QueryResult::LogSize { error, bytes: 0 },
    }
}

fn failed_deletion(error: ErrorCode) -> QueryResult {
    QueryResult::DeleteRecords { error, low_watermark: Offset(-1) }
}
