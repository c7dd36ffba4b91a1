//! What a start does with a log that was not stopped in order, and how a log comes online.
//!
//! ```text
//! list the directory
//!   |  segments before the checkpoint's end are taken as the checkpoint says
//!   v
//! for each segment from the checkpoint's end on: open, go through its batches
//!   |  where they end: does the next file start with that offset?
//!   |-- yes: go on there (a `next.log` that holds batches gets its name first)
//!   |-- no, and files behind hold batches: damaged or missing          --> Offline
//!   v
//! end of the last segment: look at what stands behind
//!   |-- zeros: that is the end
//!   |-- something, then zeros from one largest commit on: a torn write; it is cut and overwritten with zeros
//!   |-- something further behind: damage inside acknowledged data      --> Offline
//!   v
//! write the last largest commit before the end once more (of each segment gone through: later ones may be empty)
//!   v
//! Online
//! ```
//!
//! A commit is one write, and the next starts when it has completed; so whatever an interrupted write left lies within
//! one largest commit behind the last acknowledged byte, and everything acknowledged lies before it. Data that follows
//! further behind was acknowledged: cutting there would lose it without a word.
//!
//! What is found whole was not necessarily acknowledged, nor need it be on stable storage: it may be of the write that
//! failed, or that was under way, and be read back from a cache. From here on it counts as flushed, so it is made so.
//!
//! Logs whose durability is relaxed may lose acknowledged data with the power supply, in any order of blocks: there the
//! log is cut at the first damage, with a notice, and all that is kept is written once more. See `syncing.rs`.

use bytes::{Bytes, BytesMut};
use corelane_base::aligned::{BLOCK_BYTES, aligned_buffer, block_ceil, block_floor};
use corelane_base::id::{LeaderEpoch, Offset};

use crate::checkpoint::Checkpoint;
use crate::commit::COMMIT_BYTES_MAX;
use crate::disk::{DirEntry, DiskError, DiskOp, DiskOutcome, FileHandle};
use crate::error::OfflineReason;
use crate::log::{
    CheckpointMark, Doomed, FIRST_ADDRESS, Job, LastBlock, Log, LogCx, LogState, PRODUCERS_MAX, Replaced,
};
use crate::producers::Producers;
use crate::recovering::{Candidate, Phase, Recovery, TailCheck};
use crate::scan::{Found, READ_BYTES, Scanner};
use crate::segment::{
    IndexState, NEXT_NAME, Segment, SegmentFile, index_name, log_name, parse_index_name, parse_log_name,
};
use crate::settings::{Durability, NoticeLevel};
use crate::tail::Tail;

/// What is written once more in one step.
const REWRITE_BYTES: u64 = 1 << 20;

impl Log {
    /// Takes a clean stop's checkpoint at its word.
    pub(crate) fn begin_clean(&mut self, checkpoint: Checkpoint) {
        let count = checkpoint.segments.len();
        self.take_checkpoint(checkpoint, count);
        self.come_online();
    }

    /// Takes the checkpoint's state and its first `count` segments.
    fn take_checkpoint(&mut self, checkpoint: Checkpoint, count: usize) {
        let mut start = checkpoint.start.max(FIRST_ADDRESS);
        for known in checkpoint.segments.iter().take(count) {
            let mut segment =
                Segment::new(known.base_offset, start, known.created, self.settings.index_interval_bytes);
            segment.size = known.size;
            segment.first_timestamp = known.first_timestamp;
            segment.max_timestamp = known.max_timestamp;
            segment.file = SegmentFile::Closed;
            segment.cleaned = known.cleaned;
            if known.size > 0 {
                segment.index = IndexState::Missing;
            }
            start = segment.end();
            self.segments.push_back(segment);
        }
        let doomed = |base_offset| Doomed { base_offset, len: 0, watches: Vec::new(), change: 0 };
        self.doomed = checkpoint.doomed.into_iter().map(doomed).collect();
        self.cleaned_offset = checkpoint.cleaned_offset;
        self.cleaned_sequence = self.cleaned_sequence.max(checkpoint.cleaned_sequence);
        for base_offset in checkpoint.replaced {
            if let Some(into) = self.segment_of(base_offset) {
                let (len, watches, change) = (0, Vec::new(), 0);
                self.replaced.push(Replaced { base_offset, into, len, watches, change });
            }
        }
        self.log_start_offset = checkpoint.log_start_offset;
        self.log_end_offset = checkpoint.flushed_offset;
        self.epochs = checkpoint.epochs;
        self.producers = checkpoint.producers;
    }

    /// Everything that `segments` holds is in the files: that is the log.
    fn come_online(&mut self) {
        let end = self.segments.back().expect("a log has a segment").end();
        self.tail = Tail::new(end);
        for segment in &mut self.segments {
            segment.flushed_max = segment.max_timestamp;
        }
        let relaxed = self.snapshot.as_ref().is_some_and(|(checkpoint, _)| checkpoint.behind.relaxed);
        self.written = end;
        self.maxima_to = end;
        self.written_offset = self.log_end_offset;
        self.flushed_offset = self.log_end_offset;
        let first = self.segments.front().map_or(self.log_end_offset, |first| first.base_offset);
        self.log_start_offset = self.log_start_offset.max(first).min(self.log_end_offset);
        // It is what the checkpoint says, or what the files themselves say.
        self.stored = CheckpointMark {
            written: end,
            changes: self.changes,
            log_start_offset: self.log_start_offset,
            flushed_offset: self.log_end_offset,
            relaxed,
        };
        self.taken = self.stored;
        self.epochs.trim_start(self.log_start_offset);
        if !matches!(self.last_block, LastBlock::Known(ref block) if !block.is_empty()) {
            self.last_block = LastBlock::Unknown;
        }
        self.recovery = None;
        self.state = LogState::Online;
        self.capture_at_rest();
    }

    pub(crate) fn begin_recovery(&mut self, checkpoint: Option<Checkpoint>, cx: &mut LogCx<'_>) {
        let setting = self.settings.durability != Durability::Sync;
        let relaxed = checkpoint.as_ref().map_or(setting, |checkpoint| checkpoint.behind.relaxed);
        self.recovery = Some(Box::new(Recovery::new(checkpoint, relaxed)));
        self.list_again(cx);
    }

    /// Whether recovery goes on by itself. Not if there was no descriptor for it: then `tick` tries again, and there may be
    /// none for long.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        self.state == LogState::Opening && self.recovery.as_ref().is_none_or(|recovery| !recovery.refused)
    }

    /// Tries again what found no descriptor.
    pub(crate) fn retry_recovery(&mut self, cx: &mut LogCx<'_>) {
        let waits = self.jobs.iter().any(|(_, job)| matches!(job, Job::Recovery));
        let refused = self.recovery.as_ref().filter(|recovery| recovery.refused && !waits);
        if let Some(op) = refused.and_then(|recovery| recovery.op.clone())
            && self.is_retry_due()
        {
            self.start(Job::Recovery, op, cx);
        }
    }

    /// Bytes behind the last acknowledged one that an interrupted write may have touched.
    fn torn_bytes_max(&self) -> u64 {
        block_ceil(COMMIT_BYTES_MAX.max(u64::from(self.settings.batch_bytes_max))) + 2 * BLOCK_BYTES as u64
    }

    pub(crate) fn on_recovery(&mut self, result: Result<DiskOutcome, DiskError>, cx: &mut LogCx<'_>) {
        let Some(recovery) = self.recovery.as_mut() else { return };
        let path = recovery.path(&self.dir);
        let told = std::mem::replace(&mut recovery.refused, false);
        if matches!(result, Err(DiskError::TooManyFiles)) && recovery.op.is_some() {
            recovery.refused = true;
            if !told {
                let error = DiskError::TooManyFiles;
                self.notice(NoticeLevel::Warn, cx, format_args!("not recovered yet: {error}"));
            }
            return;
        }
        let phase = std::mem::replace(&mut recovery.phase, Phase::Listing);
        match (phase, result) {
            (Phase::Listing, Ok(DiskOutcome::Listed(entries))) => self.on_recovery_listed(&entries, cx),
            (Phase::Opening, Ok(DiskOutcome::Opened { file, len })) => self.on_recovery_opened(file, len, cx),
            (Phase::Scanning, Ok(DiskOutcome::Read(bytes))) => {
                if let Some(scanner) = recovery.scanner.as_mut() {
                    scanner.feed(&bytes);
                }
                self.scan_on(cx);
            }
            (Phase::Naming, Ok(_)) => {
                recovery.named_next = false;
                self.begin_candidate(cx);
            }
            (Phase::RemovingIndex, Ok(_)) => self.recover_with(Phase::Removing, DiskOp::Remove { path }, cx),
            (Phase::Removing, Ok(_)) => self.begin_candidate(cx),
            (Phase::UnindexingCleaned { base_offset, sequence }, Ok(_)) => {
                self.name_cleaned(base_offset, sequence, cx)
            }
            (Phase::NamingCleaned, Ok(_)) => self.list_again(cx),
            (Phase::Behind(check), Ok(DiskOutcome::Read(bytes))) => self.on_behind(check, &bytes, cx),
            (Phase::Rereading(check), Ok(DiskOutcome::Read(bytes))) => self.rewrite(check, &bytes, cx),
            (Phase::Rewriting(check), Ok(_)) => self.reread(check, cx),
            (Phase::Zeroing, Ok(_)) => self.drop_index(cx),
            (Phase::Unindexing, Ok(_)) => self.finish_recovery(cx),
            (_, Err(error)) => self.go_offline(OfflineReason::FileFailed { path, error }, cx),
            (_, Ok(_)) => {
                self.go_offline(OfflineReason::FileFailed { path, error: DiskError::Io(0) }, cx);
            }
        }
    }

    pub(crate) fn recover_with(&mut self, phase: Phase, op: DiskOp, cx: &mut LogCx<'_>) {
        if let Some(recovery) = self.recovery.as_mut() {
            recovery.phase = phase;
            recovery.op = op.paths()[0].is_some().then(|| op.clone());
        }
        self.start(Job::Recovery, op, cx);
    }

    fn on_recovery_listed(&mut self, entries: &[DirEntry], cx: &mut LogCx<'_>) {
        if self.settle_cleaned_files(entries, cx) {
            return;
        }
        let Some(mut recovery) = self.recovery.take() else { return };
        let mut files: Vec<Candidate> = entries
            .iter()
            .filter(|entry| !entry.is_dir)
            .filter_map(|entry| {
                parse_log_name(&entry.name).map(|base_offset| Candidate { base_offset, len: entry.len })
            })
            .collect();
        files.sort_by_key(|file| file.base_offset);
        self.remove_orphans(entries, &files, cx);
        recovery.indexed = entries.iter().filter_map(|entry| parse_index_name(&entry.name)).collect();
        recovery.has_next = entries.iter().any(|entry| entry.name == NEXT_NAME);
        let missing = match recovery.checkpoint.take() {
            Some(checkpoint) => self.match_checkpoint(checkpoint, &mut files, cx),
            None => None,
        };
        if let Some(expected) = missing {
            return self.go_offline(OfflineReason::SegmentMissing { expected }, cx);
        }
        if self.segments.is_empty() {
            // Nothing known: the first file is taken at its name.
            self.log_end_offset = files.first().map_or(self.log_end_offset, |file| file.base_offset);
        }
        recovery.candidates = files.into();
        self.recovery = Some(recovery);
        match self.segments.back() {
            Some(last) => {
                let base_offset = last.base_offset;
                self.open_candidate(base_offset, false, cx);
            }
            None => self.begin_candidate(cx),
        }
    }

    /// Indexes whose segment is gone.
    fn remove_orphans(&mut self, entries: &[DirEntry], files: &[Candidate], cx: &mut LogCx<'_>) {
        for base_offset in entries.iter().filter_map(|entry| parse_index_name(&entry.name)) {
            if files.binary_search_by_key(&base_offset, |file| file.base_offset).is_err() {
                let path = format!("{}/{}", self.dir, index_name(base_offset));
                self.start(Job::Ignored, DiskOp::Remove { path }, cx);
            }
        }
    }

    /// Takes from the checkpoint what lies before its end, and from `files` what it covers. Answers with the offset of
    /// a segment that should be there and is not.
    fn match_checkpoint(
        &mut self,
        mut checkpoint: Checkpoint,
        files: &mut Vec<Candidate>,
        cx: &mut LogCx<'_>,
    ) -> Option<Offset> {
        // They are found among the files.
        checkpoint.doomed.clear();
        checkpoint.replaced.clear();
        let first_known = checkpoint.segments[0].base_offset;
        let last_known = checkpoint.segments.last().map_or(first_known, |last| last.base_offset);
        let is_known = |base_offset: Offset| {
            base_offset > last_known
                || checkpoint.segments.binary_search_by_key(&base_offset, |known| known.base_offset).is_ok()
        };
        // Deleted, or cleaned into others, before the checkpoint was written, but still there.
        for file in files.extract_if(.., |file| !is_known(file.base_offset)) {
            cx.pool.recycle(&self.dir, file.base_offset, file.len, Vec::new(), cx.disk);
        }
        let mut count = checkpoint.segments.len();
        let exists = |files: &[Candidate], base: Offset| {
            files.binary_search_by_key(&base, |file| file.base_offset).is_ok()
        };
        let last = &checkpoint.segments[count - 1];
        if last.size == 0 && !exists(files, last.base_offset) {
            // Rolled, but its file was not there yet.
            count -= 1;
        }
        // Retention may have deleted from the front since; a gap behind a file that exists is a loss.
        let gone = checkpoint.segments[..count]
            .iter()
            .position(|segment| exists(files, segment.base_offset))
            .unwrap_or(count);
        if let Some(lost) =
            checkpoint.segments[gone..count].iter().find(|segment| !exists(files, segment.base_offset))
        {
            return Some(lost.base_offset);
        }
        if gone == count && files.is_empty() && count > 0 {
            return Some(checkpoint.segments[count - 1].base_offset);
        }
        let covered = checkpoint.segments[..count].last().map_or(first_known, |segment| segment.base_offset);
        files.retain(|file| file.base_offset > covered || count == 0);
        let kept_behind = files.first().map(|file| file.base_offset);
        self.take_checkpoint(checkpoint, count);
        self.segments.drain(..gone);
        if let (true, Some(base_offset)) = (self.segments.is_empty(), kept_behind) {
            if base_offset != self.log_end_offset {
                // What was deleted in between spoke of producers too: of a producer with a gap nothing can be believed.
                self.producers = Producers::new(PRODUCERS_MAX);
            }
            self.log_end_offset = base_offset;
        }
        None
    }

    /// Goes on with the next file, if one continues the log.
    fn begin_candidate(&mut self, cx: &mut LogCx<'_>) {
        let expected = self.log_end_offset;
        let Some(recovery) = self.recovery.as_mut() else { return };
        match recovery.candidates.front() {
            Some(file) if file.base_offset == expected => self.seal_scanned(cx),
            // Cleaned into what was just gone through, to the offset; only its file was not removed any more.
            Some(file)
                if file.base_offset < expected
                    && recovery.candidates.iter().any(|other| other.base_offset == expected) =>
            {
                cx.pool.recycle(&self.dir, file.base_offset, file.len, Vec::new(), cx.disk);
                recovery.candidates.pop_front();
                self.begin_candidate(cx);
            }
            Some(file) => {
                // It may be a segment that was begun in memory only, before what precedes it was written.
                let base_offset = file.base_offset;
                recovery.candidates.pop_front();
                self.open_candidate(base_offset, true, cx);
            }
            None if recovery.has_next => {
                recovery.has_next = false;
                recovery.named_next = true;
                self.open_candidate(expected, true, cx);
            }
            None => self.look_behind(cx),
        }
    }

    /// The segment just gone through is continued by the next. Should that one turn out to be empty, the write that
    /// failed or was under way may have been the last one here.
    fn seal_scanned(&mut self, cx: &mut LogCx<'_>) {
        if let (Some(last), Some(recovery)) = (self.segments.back(), self.recovery.as_mut())
            && last.handle().is_some()
            && recovery.scan_start < u64::from(last.size)
        {
            let end = u64::from(last.size);
            recovery.sealing = true;
            return self
                .reread(TailCheck { end, looked: end, until: end, last_nonzero: None, rewritten: None }, cx);
        }
        self.begin_next(cx);
    }

    fn begin_next(&mut self, cx: &mut LogCx<'_>) {
        if let Some(last) = self.segments.back_mut() {
            last.file = SegmentFile::Closed;
        }
        if let Some(recovery) = self.recovery.as_mut() {
            recovery.sealing = false;
            recovery.candidates.pop_front();
        }
        let expected = self.log_end_offset;
        self.add_segment(cx);
        self.open_candidate(expected, false, cx);
    }

    fn add_segment(&mut self, cx: &LogCx<'_>) {
        let start = self.segments.back().map_or(FIRST_ADDRESS, Segment::end);
        let interval = self.settings.index_interval_bytes;
        let mut segment = Segment::new(self.log_end_offset, start, cx.now.wall, interval);
        segment.file = SegmentFile::Closed;
        self.segments.push_back(segment);
    }

    /// Opens a file. `extra`: it is no segment of the log so far, and only looked at.
    fn open_candidate(&mut self, base_offset: Offset, extra: bool, cx: &mut LogCx<'_>) {
        let Some(recovery) = self.recovery.as_mut() else { return };
        recovery.open_offset = base_offset;
        recovery.extra = extra;
        let path = recovery.path(&self.dir);
        self.recover_with(Phase::Opening, DiskOp::OpenSegment { path }, cx);
    }

    fn on_recovery_opened(&mut self, file: FileHandle, len: u64, cx: &mut LogCx<'_>) {
        let limit = u64::from(u32::MAX).min(self.torn_bytes_max().max(1 << 30));
        let latest = self.epochs.latest().map_or(LeaderEpoch(-1), |latest| latest.leader_epoch);
        let compacted = self.settings.compacted;
        let Some(recovery) = self.recovery.as_mut() else { return };
        recovery.file_bytes = len;
        if recovery.extra {
            recovery.extra_file = Some(file);
            // Any batch at all, wherever it belongs.
            recovery.scanner = Some(Scanner::new(0, len, Offset(0), true, LeaderEpoch(-1), limit));
            return self.scan_on(cx);
        }
        let path = recovery.path(&self.dir);
        let last = self.segments.back_mut().expect("the file belongs to a segment");
        let position = u64::from(last.size);
        if position > len {
            return self.go_offline(OfflineReason::Corrupt { path, position: len }, cx);
        }
        last.on_opened(file, len);
        recovery.scan_start = position;
        // What compaction has made is never the last segment, whatever the settings say by now.
        let gaps = compacted || !recovery.candidates.is_empty();
        let scanner = Scanner::new(position, len, self.log_end_offset, gaps, latest, limit);
        recovery.scanner = Some(scanner.within(last.base_offset));
        self.scan_on(cx);
    }

    /// Goes through what is in memory, then asks for more, until the batches of this file end.
    fn scan_on(&mut self, cx: &mut LogCx<'_>) {
        loop {
            let Some(recovery) = self.recovery.as_mut() else { return };
            let (extra, extra_file) = (recovery.extra, recovery.extra_file.clone());
            let Some(scanner) = recovery.scanner.as_mut() else { return };
            match scanner.next() {
                Found::Batch(header) if extra => return self.on_extra(Some(header.base_offset()), cx),
                Found::Batch(header) => self.note_batch(&header),
                Found::More { position, len } => {
                    let file =
                        extra_file.or_else(|| self.segments.back().and_then(|last| last.handle().cloned()));
                    let file = file.expect("the file is open");
                    return self.recover_with(
                        Phase::Scanning,
                        DiskOp::Read { file, offset: position, len },
                        cx,
                    );
                }
                Found::Zeros | Found::Invalid if extra => return self.on_extra(None, cx),
                end @ (Found::Zeros | Found::Invalid) => {
                    recovery.end_position = scanner.position();
                    recovery.ends_invalid = matches!(end, Found::Invalid);
                    return self.begin_candidate(cx);
                }
            }
        }
    }

    /// A file that does not continue the log by name: `base_offset` of its first batch, if it has one.
    fn on_extra(&mut self, base_offset: Option<Offset>, cx: &mut LogCx<'_>) {
        let expected = self.log_end_offset;
        let Some(recovery) = self.recovery.as_mut() else { return };
        let strict = !recovery.relaxed;
        let path = recovery.path(&self.dir);
        recovery.extra_file = None;
        recovery.extra = false;
        if recovery.named_next && base_offset == Some(expected) {
            recovery.candidates.push_front(Candidate { base_offset: expected, len: recovery.file_bytes });
            let to = format!("{}/{}", self.dir, log_name(expected));
            return self.recover_with(Phase::Naming, DiskOp::Rename { from: path, to }, cx);
        }
        let dropped = recovery.open_offset;
        let indexed = !recovery.named_next && recovery.indexed.contains(&dropped);
        recovery.named_next = false;
        if base_offset.is_some() && strict {
            return self.go_offline(self.broken_chain(), cx);
        }
        if base_offset.is_some() {
            self.notice(
                NoticeLevel::Warn,
                cx,
                format_args!("{path} does not continue the log and is dropped"),
            );
        }
        // Its name may be needed again: nothing goes on before it is gone.
        if indexed {
            let path = format!("{}/{}", self.dir, index_name(dropped));
            return self.recover_with(Phase::RemovingIndex, DiskOp::Remove { path }, cx);
        }
        self.recover_with(Phase::Removing, DiskOp::Remove { path }, cx);
    }

    fn broken_chain(&self) -> OfflineReason {
        let expected = self.log_end_offset;
        match (self.segments.back(), self.recovery.as_ref()) {
            (Some(last), Some(recovery)) if recovery.ends_invalid => {
                OfflineReason::Corrupt { path: last.path(&self.dir), position: recovery.end_position }
            }
            _ => OfflineReason::SegmentMissing { expected },
        }
    }

    /// All files are gone through: what stands behind the last batch?
    fn look_behind(&mut self, cx: &mut LogCx<'_>) {
        let Some(last) = self.segments.back() else {
            self.recovery = None;
            return self.begin_empty(self.log_end_offset, cx);
        };
        let position = u64::from(last.size);
        // Without syncs, anything may have been lost in front of anything.
        let relaxed = self.recovery.as_ref().is_some_and(|recovery| recovery.relaxed);
        let looked_at = if relaxed { u64::MAX } else { position + 2 * self.torn_bytes_max() };
        let until = looked_at.min(last.prepared);
        self.look_on(
            TailCheck { end: position, looked: position, until, last_nonzero: None, rewritten: None },
            cx,
        );
    }

    fn look_on(&mut self, check: TailCheck, cx: &mut LogCx<'_>) {
        let file =
            self.segments.back().and_then(|last| last.handle().cloned()).expect("the last file is open");
        if check.looked < check.until {
            let len = (check.until - check.looked).min(u64::from(READ_BYTES)) as u32;
            let op = DiskOp::Read { file, offset: check.looked, len };
            return self.recover_with(Phase::Behind(check), op, cx);
        }
        let relaxed = self.recovery.as_ref().is_some_and(|recovery| recovery.relaxed);
        match check.last_nonzero {
            None => self.reread(check, cx),
            Some(at) if at >= check.end + self.torn_bytes_max() && !relaxed => {
                let path = self.segments.back().map_or(String::new(), |last| last.path(&self.dir));
                self.go_offline(OfflineReason::Corrupt { path, position: check.end }, cx);
            }
            Some(_) => self.cut(check, cx),
        }
    }

    fn on_behind(&mut self, mut check: TailCheck, bytes: &Bytes, cx: &mut LogCx<'_>) {
        if bytes.is_empty() {
            check.until = check.looked;
        }
        if let Some(i) = bytes.iter().rposition(|&byte| byte != 0) {
            check.last_nonzero = Some(check.looked + i as u64);
        }
        check.looked += bytes.len() as u64;
        self.look_on(check, cx);
    }

    /// Cuts a torn write off.
    fn cut(&mut self, check: TailCheck, cx: &mut LogCx<'_>) {
        let last = self.segments.back().expect("the check is about a segment");
        self.notice(
            NoticeLevel::Warn,
            cx,
            format_args!(
                "an interrupted write was cut off: the log ends at offset {} (byte {} of {})",
                self.log_end_offset,
                check.end,
                log_name(last.base_offset),
            ),
        );
        self.reread(check, cx);
    }

    /// Reads the next part of what may not be on stable storage: what the last write may have brought, and of a relaxed
    /// log all that the checkpoint does not vouch for. A sync would not do: of a write whose sync has failed once, a
    /// later sync may say anything.
    fn reread(&mut self, mut check: TailCheck, cx: &mut LogCx<'_>) {
        let torn_bytes_max = self.torn_bytes_max();
        let Some(recovery) = self.recovery.as_ref() else { return };
        let scan_start = recovery.scan_start;
        if check.end == scan_start && check.last_nonzero.is_none() {
            return self.drop_index(cx);
        }
        let last_write = if recovery.relaxed { 0 } else { check.end.saturating_sub(torn_bytes_max) };
        let from = check.rewritten.unwrap_or(block_floor(scan_start.max(last_write)));
        check.rewritten = Some(from);
        if from >= check.end {
            return if recovery.sealing { self.begin_next(cx) } else { self.repair_rest(check, cx) };
        }
        let last = self.segments.back().expect("the check is about a segment");
        let file = last.handle().cloned().expect("the last file is open");
        let len = u32::try_from((check.end - from).min(REWRITE_BYTES)).expect("a step is small");
        self.recover_with(Phase::Rereading(check), DiskOp::Read { file, offset: from, len }, cx);
    }

    fn rewrite(&mut self, mut check: TailCheck, bytes: &Bytes, cx: &mut LogCx<'_>) {
        let last = self.segments.back().expect("the check is about a segment");
        let offset = check.rewritten.expect("reread says from where");
        let end = offset + bytes.len() as u64;
        if end != check.end.min(offset + REWRITE_BYTES) {
            let path = last.path(&self.dir);
            return self.go_offline(OfflineReason::Corrupt { path, position: end }, cx);
        }
        let file = last.handle().cloned().expect("the last file is open");
        let padded = block_ceil(bytes.len() as u64) as usize;
        let mut blocks: BytesMut = aligned_buffer(padded);
        blocks.extend_from_slice(bytes);
        blocks.resize(padded, 0);
        let sealing = self.recovery.as_ref().is_some_and(|recovery| recovery.sealing);
        if !sealing && end == check.end {
            self.last_block = LastBlock::Known(bytes.slice((block_floor(check.end) - offset) as usize..));
        }
        check.rewritten = Some(offset + padded as u64);
        let op = DiskOp::Write { file, offset, parts: vec![blocks.freeze()], sync: true };
        self.recover_with(Phase::Rewriting(check), op, cx);
    }

    fn repair_rest(&mut self, check: TailCheck, cx: &mut LogCx<'_>) {
        let last = self.segments.back().expect("the check is about a segment");
        let offset = block_ceil(check.end);
        let end = block_ceil(check.last_nonzero.map_or(0, |at| at + 1));
        if end <= offset {
            return self.drop_index(cx);
        }
        let file = last.handle().cloned().expect("the last file is open");
        self.recover_with(Phase::Zeroing, DiskOp::Zero { file, offset, len: end - offset }, cx);
    }

    /// What a stored index says of the active segment may have been lost and replaced since.
    fn drop_index(&mut self, cx: &mut LogCx<'_>) {
        let base_offset = self.segments.back().expect("a log has a segment").base_offset;
        let indexed = self.recovery.as_ref().is_some_and(|recovery| recovery.indexed.contains(&base_offset));
        if !indexed {
            return self.finish_recovery(cx);
        }
        let path = format!("{}/{}", self.dir, index_name(base_offset));
        self.recover_with(Phase::Unindexing, DiskOp::Remove { path }, cx);
    }

    fn finish_recovery(&mut self, cx: &mut LogCx<'_>) {
        self.come_online();
        for i in 0..self.segments.len() - 1 {
            // Those gone through from their start; the others are indexed when a reader needs them.
            self.store_index(i, cx);
        }
        self.close_sealed();
        self.changes += 1;
        self.prepare_ahead(cx);
    }
}
