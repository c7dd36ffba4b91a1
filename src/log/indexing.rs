//! Segments' indexes: loaded when a reader needs them, rebuilt from the segment when they are missing or damaged.
//!
//! While that goes on, batches that are appended are noted apart and joined behind. An index is rebuilt from batches
//! whose CRC is right: a flipped bit in a header would otherwise send readers astray for as long as the index lives.

use corelane_base::id::Offset;

use crate::batch;
use crate::disk::{DiskError, DiskOp, DiskOutcome};
use crate::error::ReadError;
use crate::index::SegmentIndex;
use crate::log::{Job, Log, LogCx};
use crate::segment::IndexState;

/// Bytes read at once to rebuild an index.
const SCAN_BYTES: u32 = 1 << 20;
/// The largest stored index.
const INDEX_BYTES_MAX: u64 = 64 << 20;

impl Log {
    /// Whether a segment's whole index is in memory; if not, it is being loaded.
    pub(crate) fn ready_index(&mut self, base_offset: Offset, cx: &mut LogCx<'_>) -> bool {
        let path = format!("{}/{}", self.dir, crate::segment::index_name(base_offset));
        let Some(segment) = self.segment_mut(base_offset) else { return false };
        match &mut segment.index {
            IndexState::Whole(_) => return true,
            IndexState::Loading(_) => return false,
            IndexState::Missing => segment.index = IndexState::Loading(None),
            state @ IndexState::Partial(_) => {
                if let IndexState::Partial(index) = std::mem::replace(state, IndexState::Missing) {
                    *state = IndexState::Loading(Some(index));
                }
            }
        }
        if segment.cleaned.is_some() {
            // The index beside it is of the file that it replaces.
            let index = SegmentIndex::new(base_offset, self.settings.index_interval_bytes);
            self.scan_index(base_offset, index, SCAN_BYTES, cx);
            return false;
        }
        let op = DiskOp::ReadFile { path, bytes_max: INDEX_BYTES_MAX };
        self.start(Job::LoadIndex { base_offset }, op, cx);
        false
    }

    /// Position up to which a loaded index must reach: the start of what has been noted since.
    fn index_until(&self, base_offset: Offset) -> Option<u32> {
        let i = self.segments.binary_search_by_key(&base_offset, |segment| segment.base_offset).ok()?;
        let segment = &self.segments[i];
        match &segment.index {
            IndexState::Loading(Some(index)) => Some(index.first_position().unwrap_or(segment.size)),
            _ => Some(segment.size),
        }
    }

    pub(crate) fn on_index_loaded(
        &mut self,
        base_offset: Offset,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        let Some(until) = self.index_until(base_offset) else { return self.step_reading(cx) };
        let stored = match &result {
            Ok(DiskOutcome::File(Some(bytes))) => SegmentIndex::decode(bytes).ok(),
            _ => None,
        };
        let usable =
            stored.filter(|index| index.base_offset() == base_offset && index.end_position() <= until);
        let index =
            usable.unwrap_or_else(|| SegmentIndex::new(base_offset, self.settings.index_interval_bytes));
        self.scan_index(base_offset, index, SCAN_BYTES, cx);
    }

    /// Goes on building an index behind what it covers.
    fn scan_index(&mut self, base_offset: Offset, index: SegmentIndex, len: u32, cx: &mut LogCx<'_>) {
        let Some(until) = self.index_until(base_offset) else { return self.step_reading(cx) };
        let position = index.end_position();
        if position >= until {
            return self.finish_index(base_offset, index, cx);
        }
        let written = self.written;
        let Some(segment) = self.segment_mut(base_offset) else { return };
        assert!(segment.start + u64::from(until) <= written, "what is only in memory has been noted");
        match segment.handle().cloned() {
            Some(file) => {
                let len = len.min(until - position);
                let op = DiskOp::Read { file, offset: u64::from(position), len };
                self.start(Job::ScanIndex { base_offset, index, position }, op, cx);
            }
            // Closed meanwhile: whoever still needs the index opens it and asks anew.
            None => self.give_index_up(base_offset, cx),
        }
    }

    fn give_index_up(&mut self, base_offset: Offset, cx: &mut LogCx<'_>) {
        self.drop_index_state(base_offset);
        self.step_reading(cx);
    }

    pub(crate) fn on_index_scanned(
        &mut self,
        base_offset: Offset,
        mut index: SegmentIndex,
        position: u32,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        let bytes = match result {
            Ok(DiskOutcome::Read(bytes)) => bytes,
            other => return self.fail_index(base_offset, other.err(), cx),
        };
        let Some(until) = self.index_until(base_offset) else { return self.step_reading(cx) };
        let mut at = position;
        let mut want = SCAN_BYTES;
        while at < until {
            let rest = bytes.get((at - position) as usize..).unwrap_or_default();
            match batch::check_stored(rest) {
                Ok(Some(header))
                    if header.base_offset() >= index.next_offset() && index.fits(header.last_offset()) =>
                {
                    let size = u32::try_from(header.size_bytes()).unwrap_or(u32::MAX);
                    let Some(end) = at.checked_add(size).filter(|&end| end <= until) else {
                        return self.fail_index(base_offset, None, cx);
                    };
                    index.on_appended(&header, at);
                    at = end;
                }
                Ok(None) if at > position => break,
                // One batch is larger than what was read; unless that was tried already.
                Ok(None) if rest.len() <= SCAN_BYTES as usize && rest.len() < (until - at) as usize => {
                    want = until - at;
                    break;
                }
                Ok(Some(_) | None) | Err(_) => return self.fail_index(base_offset, None, cx),
            }
        }
        self.scan_index(base_offset, index, want, cx);
    }

    /// The segment does not read as batches: what waits for its index fails, the log goes on.
    fn fail_index(&mut self, base_offset: Offset, error: Option<DiskError>, cx: &mut LogCx<'_>) {
        let failure = error.map_or(ReadError::Corrupt, ReadError::Failed);
        self.notice(
            crate::settings::NoticeLevel::Error,
            cx,
            format_args!("segment {base_offset} cannot be indexed: {failure:?}"),
        );
        self.drop_index_state(base_offset);
        self.fail_blocked(base_offset, &failure);
    }

    fn drop_index_state(&mut self, base_offset: Offset) {
        if let Some(segment) = self.segment_mut(base_offset)
            && let IndexState::Loading(noted) = &mut segment.index
        {
            segment.index = noted.take().map_or(IndexState::Missing, IndexState::Partial);
        }
    }

    fn finish_index(&mut self, base_offset: Offset, mut index: SegmentIndex, cx: &mut LogCx<'_>) {
        if let Some(segment) = self.segment_mut(base_offset) {
            if let IndexState::Loading(Some(noted)) = &segment.index
                && !index.join(noted)
            {
                return self.fail_index(base_offset, None, cx);
            }
            segment.index = IndexState::Whole(index);
        }
        let sealed = self.segments.back().is_some_and(|active| active.base_offset != base_offset);
        if sealed
            && let Ok(i) = self.segments.binary_search_by_key(&base_offset, |segment| segment.base_offset)
        {
            self.store_index(i, cx);
        }
        self.step_reading(cx);
    }
}
