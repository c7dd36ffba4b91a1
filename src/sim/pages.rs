//! What one file of the virtual disk holds, as 4096-byte pages: what a reader sees now, what would survive a power
//! failure for certain, and the unsynced writes between the two.
//!
//! A page that was never written is zero and takes no memory, so a pre-written segment costs nothing. Pages are
//! shared between the two views; nothing is ever changed in place. Devices write sectors of 512 bytes whole: a torn
//! write is any subset of its sectors.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use corelane_base::aligned::BLOCK_BYTES;
use corelane_base::rng::Rng;

use crate::hash::StateHash;

/// What a device writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

const PAGE: u64 = BLOCK_BYTES as u64;
const SECTORS_PER_PAGE: u64 = PAGE / SECTOR_BYTES as u64;

/// Unsynced writes of one file that are remembered; beyond it the oldest are written back, as a kernel does.
const PENDING_COUNT_MAX: usize = 64;

/// Which sectors of a write reach the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// None.
    Lost,
    /// All.
    Whole,
    /// Each by the toss of a coin.
    Torn,
}

impl Fate {
    /// Draws a fate, each equally likely.
    pub fn draw(rng: &mut Rng) -> Fate {
        [Fate::Lost, Fate::Whole, Fate::Torn][rng.below(3) as usize]
    }
}

/// A file's bytes as whole pages; absent pages are zero.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    len: u64,
    pages: BTreeMap<u64, Bytes>,
}

impl Pages {
    /// A file of `len` zeros.
    #[must_use]
    pub fn zeros(len: u64) -> Pages {
        Pages { len, pages: BTreeMap::new() }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Grows the file with zeros to `len` if it is shorter.
    pub fn extend(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Cuts the file's length; the bytes behind it must be zero.
    pub fn truncate(&mut self, len: u64) {
        self.len = self.len.min(len);
    }

    /// The bytes of `[offset, offset + len)` as far as the file goes.
    #[must_use]
    pub fn read(&self, offset: u64, len: u64) -> BytesMut {
        let end = self.len.min(offset.saturating_add(len));
        let mut out = BytesMut::zeroed(end.saturating_sub(offset) as usize);
        if out.is_empty() {
            return out;
        }
        for (&number, page) in self.pages.range(offset / PAGE..=(end - 1) / PAGE) {
            let page_start = number * PAGE;
            let from = offset.max(page_start);
            let to = end.min(page_start + PAGE);
            out[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&page[(from - page_start) as usize..(to - page_start) as usize]);
        }
        out
    }

    /// Puts `data` at `offset` (both in whole pages), extending the file where needed.
    pub fn write(&mut self, offset: u64, data: &Bytes) {
        assert!(offset.is_multiple_of(PAGE), "writes start at a page");
        assert!(data.len().is_multiple_of(BLOCK_BYTES), "writes are whole pages");
        for at in (0..data.len()).step_by(BLOCK_BYTES) {
            self.pages.insert((offset + at as u64) / PAGE, data.slice(at..at + BLOCK_BYTES));
        }
        self.extend(offset + data.len() as u64);
    }

    /// What `[offset, offset + data.len())` holds after a write of `data` that came only as far as `fate` allows.
    #[must_use]
    pub fn after_write(&self, fate: Fate, offset: u64, data: &Bytes, rng: &mut Rng) -> Bytes {
        if fate == Fate::Whole {
            return data.clone();
        }
        let mut mixed = self.read(offset, data.len() as u64);
        mixed.resize(data.len(), 0);
        if fate == Fate::Torn {
            for sector in (0..data.len()).step_by(SECTOR_BYTES) {
                if rng.one_in(2) {
                    let range = sector..sector + SECTOR_BYTES;
                    mixed[range.clone()].copy_from_slice(&data[range]);
                }
            }
        }
        mixed.freeze()
    }

    /// Zeros whole pages, extending the file where needed.
    pub fn zero(&mut self, offset: u64, len: u64) {
        assert!(offset.is_multiple_of(PAGE), "zeroing starts at a page");
        assert!(len.is_multiple_of(PAGE), "zeroing covers whole pages");
        for number in offset / PAGE..(offset + len) / PAGE {
            self.pages.remove(&number);
        }
        self.extend(offset + len);
    }

    /// Inverts one bit. Panics: if it lies behind the end.
    pub fn flip_bit(&mut self, offset: u64, bit: u8) {
        assert!(offset < self.len, "no such byte");
        let number = offset / PAGE;
        let mut page = match self.pages.get(&number) {
            Some(page) => BytesMut::from(&page[..]),
            None => BytesMut::zeroed(BLOCK_BYTES),
        };
        page[(offset % PAGE) as usize] ^= 1 << (bit % 8);
        self.pages.insert(number, page.freeze());
    }

    fn hash_into(&self, hash: &mut StateHash) {
        hash.word(self.len);
        for (number, page) in &self.pages {
            hash.word(*number);
            hash.bytes(page);
        }
    }
}

/// A write that completed without being synced.
#[derive(Debug, Clone)]
struct Unsynced {
    offset: u64,
    data: Bytes,
    /// A sync of it has failed: the system holds it for written, and no later sync brings it to the medium.
    failed: bool,
}

/// A file's two views and what lies between them.
#[derive(Debug, Clone, Default)]
pub struct FileBytes {
    /// What a read sees; survives the end of the process.
    now: Pages,
    /// What survives a power failure whatever happens.
    durable: Pages,
    /// Completed but unsynced writes, oldest first; `now` is `durable` with all of them applied.
    unsynced: VecDeque<Unsynced>,
}

impl FileBytes {
    /// A file that is whole and durable.
    #[must_use]
    pub fn synced(pages: Pages) -> FileBytes {
        FileBytes { now: pages.clone(), durable: pages, unsynced: VecDeque::new() }
    }

    /// What a read sees.
    #[must_use]
    pub fn now(&self) -> &Pages {
        &self.now
    }

    /// A write that reached stable storage, as far as `fate` allows.
    pub fn write_synced(&mut self, fate: Fate, offset: u64, data: &Bytes, rng: &mut Rng) {
        if fate == Fate::Lost {
            return;
        }
        // Both views must agree on which sectors arrived, so the torn image is made once.
        let arrived = self.now.after_write(fate, offset, data, rng);
        self.now.write(offset, &arrived);
        self.durable.write(offset, &arrived);
        self.forget_unsynced(offset, data.len() as u64);
    }

    /// A completed write that only the page cache or the drive's cache holds.
    pub fn write_unsynced(&mut self, offset: u64, data: &Bytes) {
        self.now.write(offset, data);
        self.unsynced.push_back(Unsynced { offset, data: data.clone(), failed: false });
        if self.unsynced.len() > PENDING_COUNT_MAX
            && let Some(oldest) = self.unsynced.pop_front()
        {
            self.durable.write(oldest.offset, &oldest.data);
        }
    }

    /// Brings completed writes to stable storage, but for those of which a sync has failed before.
    pub fn sync(&mut self) {
        for write in core::mem::take(&mut self.unsynced) {
            if write.failed {
                self.unsynced.push_back(write);
            } else {
                self.durable.write(write.offset, &write.data);
                self.forget_unsynced(write.offset, write.data.len() as u64);
            }
        }
    }

    /// A sync fails.
    pub fn fail_sync(&mut self) {
        self.unsynced.iter_mut().for_each(|write| write.failed = true);
    }

    /// Writes zeros and syncs them.
    pub fn zero_synced(&mut self, offset: u64, len: u64) {
        self.now.zero(offset, len);
        self.durable.zero(offset, len);
        self.forget_unsynced(offset, len);
    }

    /// Inverts one bit at rest. Returns false if the file is empty.
    pub fn flip_bit(&mut self, offset: u64, bit: u8) -> bool {
        if offset >= self.now.len() || offset >= self.durable.len() {
            return false;
        }
        self.now.flip_bit(offset, bit);
        self.durable.flip_bit(offset, bit);
        true
    }

    /// The power fails: every unsynced write is lost, kept or torn.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        for write in core::mem::take(&mut self.unsynced) {
            let fate = Fate::draw(rng);
            if fate != Fate::Lost {
                let arrived = self.durable.after_write(fate, write.offset, &write.data, rng);
                self.durable.write(write.offset, &arrived);
            }
        }
        self.now = self.durable.clone();
    }

    /// Folds both views in.
    pub fn hash_into(&self, hash: &mut StateHash) {
        self.now.hash_into(hash);
        self.durable.hash_into(hash);
        hash.word(self.unsynced.len() as u64);
    }

    /// Drops the parts of unsynced writes that a newer, synced write covers.
    fn forget_unsynced(&mut self, offset: u64, len: u64) {
        let end = offset + len;
        let mut kept = VecDeque::new();
        for write in core::mem::take(&mut self.unsynced) {
            let write_end = write.offset + write.data.len() as u64;
            if write_end <= offset || write.offset >= end {
                kept.push_back(write);
                continue;
            }
            if write.offset < offset {
                let data = write.data.slice(..(offset - write.offset) as usize);
                kept.push_back(Unsynced { offset: write.offset, data, failed: write.failed });
            }
            if write_end > end {
                let data = write.data.slice((end - write.offset) as usize..);
                kept.push_back(Unsynced { offset: end, data, failed: write.failed });
            }
        }
        self.unsynced = kept;
    }
}

const _: () = assert!(SECTORS_PER_PAGE == 8);

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fill: u8) -> Bytes {
        Bytes::from(vec![fill; BLOCK_BYTES])
    }

    fn first_bytes(pages: &Pages) -> Vec<u8> {
        (0..pages.len() / PAGE).map(|page| pages.read(page * PAGE, 1)[0]).collect()
    }

    #[test]
    fn reads_stop_at_the_end_and_see_zeros_between() {
        let mut pages = Pages::zeros(PAGE);
        pages.write(2 * PAGE, &block(3));
        assert_eq!(first_bytes(&pages), [0, 0, 3]);
        assert_eq!(pages.read(3 * PAGE - 2, 10), &[3, 3][..]);
        assert!(pages.read(3 * PAGE, 10).is_empty());
        assert_eq!(pages.read(2 * PAGE - 1, 3), &[0, 3, 3][..]);
    }

    #[test]
    fn power_loss_keeps_what_was_synced_and_any_part_of_the_rest() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut file = FileBytes::synced(Pages::zeros(2 * PAGE));
            file.write_synced(Fate::Whole, 0, &block(1), &mut rng);
            file.write_unsynced(PAGE, &block(2));
            assert_eq!(first_bytes(file.now()), [1, 2]);
            file.lose_power(&mut rng);
            assert_eq!(file.now().read(0, PAGE), &block(1)[..]);
            let second = file.now().read(PAGE, PAGE);
            let kept = second.chunks(SECTOR_BYTES).filter(|sector| sector == &[2; SECTOR_BYTES]).count();
            let lost = second.chunks(SECTOR_BYTES).filter(|sector| sector == &[0; SECTOR_BYTES]).count();
            assert_eq!(kept + lost, 8, "sectors are whole");
            outcomes.insert(kept);
        }
        assert!(outcomes.contains(&0));
        assert!(outcomes.contains(&8));
        assert!(outcomes.len() > 4, "torn in several ways: {outcomes:?}");
    }

    #[test]
    fn a_sync_keeps_what_completed_writes_left_unless_an_earlier_sync_failed() {
        let mut lost = 0;
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let mut file = FileBytes::synced(Pages::zeros(3 * PAGE));
            file.write_unsynced(0, &block(7));
            file.fail_sync();
            file.write_unsynced(PAGE, &block(8));
            file.sync();
            file.write_unsynced(PAGE, &block(9));
            file.sync();
            assert_eq!(first_bytes(file.now()), [7, 9, 0]);
            file.lose_power(&mut rng);
            assert_eq!(file.now().read(PAGE, PAGE), &block(9)[..]);
            lost += u64::from(file.now().read(0, PAGE) != block(7)[..]);
        }
        assert!(lost > 10, "{lost}");
    }

    #[test]
    fn a_synced_write_supersedes_the_unsynced_one_below_it_only() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let mut file = FileBytes::synced(Pages::zeros(3 * PAGE));
            file.write_unsynced(0, &Bytes::from(vec![5; 3 * BLOCK_BYTES]));
            file.write_synced(Fate::Whole, PAGE, &block(6), &mut rng);
            assert_eq!(first_bytes(file.now()), [5, 6, 5]);
            file.lose_power(&mut rng);
            assert_eq!(file.now().read(PAGE, PAGE), &block(6)[..]);
        }
    }
}
