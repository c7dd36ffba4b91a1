//! The reading half of an owner: fetches and questions about logs, with what of them waits for the disk.
//!
//! A read never waits for records here; it leaves a watch behind, and `Owner::wake_watchers` reads again when there are
//! some.

use corelane_base::id::{LeaderEpoch, Offset, ShardId};
use corelane_base::time::{Now, WallMs};
use corelane_log::disk::DiskQueue;
use corelane_log::error::ReadError;
use corelane_log::log::{LogCx, LogRead, LogState, LookupStart, ReadStart, TimedOffset};
use corelane_wire::error_code::ErrorCode;

use super::{Deletion, FetchAsk, Owner, QueryAsk, ReadFor, Watch};
use crate::error::read_error_code;
use crate::mesh::{FetchItem, FetchResult, MeshMessage, PartitionKey, Query, QueryResult};
use crate::partition::Watcher;
use crate::send::SendPart;
use crate::slots::SlotId;

impl Owner {
    /// Reads for a fetch, `bytes` (at most, at least): `Fetched` follows in `out`, at once unless the disk must be
    /// asked. Partitions that are at their end are watched if there is less than the minimum.
    pub fn fetch(
        &mut self,
        origin: ShardId,
        pending: SlotId,
        bytes: (u32, u32),
        items: &[FetchItem],
        now: Now,
        disk: &mut DiskQueue,
    ) {
        self.read_items(origin, pending, bytes, items, false, now, disk);
    }

    /// A fetch's owner waits no longer.
    pub fn fetch_cancel(&mut self, origin: ShardId, pending: SlotId) {
        if let Some(watch) = self.watch_of.remove(&(origin, pending)) {
            self.watches.remove(watch);
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn read_items(
        &mut self,
        origin: ShardId,
        pending: SlotId,
        (bytes_max, bytes_min): (u32, u32),
        items: &[FetchItem],
        is_news: bool,
        now: Now,
        disk: &mut DiskQueue,
    ) {
        let ask =
            FetchAsk { origin, pending, is_news, outstanding: 0, results: Vec::with_capacity(items.len()) };
        let ask_id = self.fetches.insert(ask);
        let mut bytes_left = bytes_max;
        let mut first = true;
        for item in items {
            let mut result = self.begin_result(item, is_news);
            if result.error == ErrorCode::None && result.diverging.is_none() {
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
                        self.reads.insert((slot, ticket), ReadFor::Fetch { ask: ask_id, result });
                        self.fetches.get_mut(ask_id).expect("just inserted").outstanding += 1;
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
                    ReadStart::Empty => {
                        let bytes_max = item.bytes_max.min(bytes_max);
                        result.watching =
                            self.watch(origin, pending, slot, &FetchItem { bytes_max, ..*item });
                    }
                }
            }
            self.fetches.get_mut(ask_id).expect("just inserted").results.push(result);
        }
        if !is_news && bytes_max - bytes_left < bytes_min {
            self.watch_further(ask_id, items, bytes_max);
        }
        self.finish_fetch_if_done(ask_id);
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
        let mut result = FetchResult::nothing(item.index, ErrorCode::None);
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

    fn watch(&mut self, origin: ShardId, pending: SlotId, slot: u32, item: &FetchItem) -> bool {
        if item.watch_beyond.is_none() {
            return false;
        }
        let watches = &mut self.watches;
        let id = *self
            .watch_of
            .entry((origin, pending))
            .or_insert_with(|| watches.insert(Watch { origin, pending, items: Vec::new() }));
        let watch = watches.get_mut(id).expect("watch_of names live watches");
        let watcher = Watcher { watch: id, item: watch.items.len() as u32 };
        watch.items.push(*item);
        let watches = &self.watches;
        let partition = self.partitions[slot as usize].as_mut().expect("slots in use are filled");
        partition.watch(watcher, |id| watches.get(id).is_some());
        true
    }

    /// Watches the partitions that gave records, but too few.
    fn watch_further(&mut self, ask_id: SlotId, items: &[FetchItem], bytes_max: u32) {
        let ask = self.fetches.get_mut(ask_id).expect("the caller's");
        let (origin, pending) = (ask.origin, ask.pending);
        let mut results = core::mem::take(&mut ask.results);
        for result in results.iter_mut().filter(|result| result.bytes > 0) {
            let item = items.iter().find(|item| item.index == result.index).expect("results answer items");
            let watch_beyond = item.watch_beyond.map(|_| result.high_watermark);
            let item = FetchItem { watch_beyond, bytes_max: item.bytes_max.min(bytes_max), ..*item };
            if let Some(slot) = self.slot_of(item.key) {
                result.watching = self.watch(origin, pending, slot, &item);
            }
        }
        self.fetches.get_mut(ask_id).expect("the caller's").results = results;
    }

    pub(super) fn on_fetch_read(
        &mut self,
        slot: u32,
        ask_id: SlotId,
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
        let Some(ask) = self.fetches.get_mut(ask_id) else { return };
        ask.results.push(result);
        ask.outstanding -= 1;
        self.finish_fetch_if_done(ask_id);
    }

    fn finish_fetch_if_done(&mut self, ask_id: SlotId) {
        if self.fetches.get(ask_id).is_none_or(|ask| ask.outstanding > 0) {
            return;
        }
        let ask = self.fetches.remove(ask_id).expect("just looked at");
        let (pending, results) = (ask.pending, ask.results);
        let message = if ask.is_news {
            MeshMessage::FetchNews { pending, results }
        } else {
            MeshMessage::Fetched { pending, results }
        };
        self.out.push((ask.origin, message));
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
