//! Walks through a segment file batch by batch, for `corelane log`: an independent check of what the log wrote.
//!
//! It shares the batch header with `corelane-log` and nothing else: the log's own recovery decides what to keep, this
//! only says what is there. Files are read, never changed, and may belong to a broker that runs; then the last batch
//! may be found half written.
//!
//! ```text
//! 00000000000000001234.log:   batch 1234..1240 | batch 1241..1241 | ... | zeros up to the end of the file
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use corelane_base::id::{LeaderEpoch, Offset};
use corelane_log::batch::{self, BatchHeader, HEADER_SIZE};
use rustix::fs::{FlockOperation, flock};

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;
/// A length beyond this is not believed; Kafka's largest request is 100 MiB unless configured otherwise.
const BATCH_BYTES_MAX: usize = 256 << 20;

/// What the walk met.
#[derive(Debug)]
pub enum Place {
    /// A batch with a right checksum that continues the log.
    Batch {
        /// Where in the file, in bytes.
        position: u64,
        /// Its header.
        header: BatchHeader,
        /// How many offsets are missing in front of it, as compaction leaves it.
        gap: i64,
    },
    /// The batches end here, and only zeros follow.
    End {
        /// Where in the file, in bytes.
        position: u64,
    },
    /// Something that is no batch of this log.
    Invalid {
        /// Where in the file, in bytes.
        position: u64,
        /// In what way.
        reason: String,
        /// Where the next batch that fits into the log stands, if there is one: then this is damage and no torn end.
        continues_at: Option<u64>,
    },
}

/// A file being walked through.
#[derive(Debug)]
pub struct SegmentWalk {
    file: File,
    file_bytes: u64,
    /// Where `buffer` begins in the file, and the walk stands.
    position: u64,
    buffer: Vec<u8>,
    /// The offset the next batch has if there is no gap.
    expected: Offset,
    leader_epoch: LeaderEpoch,
    last_size: usize,
    finished: bool,
}

impl SegmentWalk {
    /// Opens a segment. Its first offset stands in its name; other names begin at 0.
    pub fn open(path: &Path) -> io::Result<SegmentWalk> {
        let file = File::open(path)?;
        // A broker that removes the segment then leaves its content alone until this is closed. Too late: it is gone.
        flock(&file, FlockOperation::NonBlockingLockShared).map_err(|_| ErrorKind::NotFound)?;
        let file_bytes = file.metadata()?.len();
        Ok(SegmentWalk {
            file,
            file_bytes,
            position: 0,
            buffer: Vec::new(),
            expected: base_offset_of(path).unwrap_or(Offset(0)),
            leader_epoch: LeaderEpoch(-1),
            last_size: 0,
            finished: false,
        })
    }

    /// The length of the file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The offset behind the last batch met.
    pub fn next_offset(&self) -> Offset {
        self.expected
    }

    /// The bytes of the batch that was given last. Empty before the first.
    pub fn batch(&self) -> &[u8] {
        &self.buffer[..self.last_size]
    }

    /// Steps on. `None` after `End` or `Invalid`.
    pub fn step(&mut self) -> io::Result<Option<Place>> {
        if self.finished {
            return Ok(None);
        }
        self.buffer.drain(..self.last_size);
        self.position += self.last_size as u64;
        self.last_size = 0;
        self.fill(HEADER_SIZE)?;
        let head = &self.buffer[..self.buffer.len().min(HEADER_SIZE)];
        if head.iter().all(|byte| *byte == 0) {
            self.finished = true;
            let position = self.position;
            return Ok(Some(match self.first_other_than_zero()? {
                None => Place::End { position },
                Some(_) => self.invalid("zeros with something behind them".to_string())?,
            }));
        }
        match self.judge()? {
            Ok((header, gap)) => {
                self.last_size = header.size_bytes();
                self.expected = header.next_offset();
                self.leader_epoch = header.leader_epoch();
                Ok(Some(Place::Batch { position: self.position, header, gap }))
            }
            Err(reason) => {
                self.finished = true;
                self.invalid(reason).map(Some)
            }
        }
    }

    /// The batch at the front of the buffer and the gap before it, or what is wrong with it.
    fn judge(&mut self) -> io::Result<Result<(BatchHeader, i64), String>> {
        let header = match batch::peek(&self.buffer) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(Err("the file ends inside a batch header".to_string())),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let size = header.size_bytes();
        if size > BATCH_BYTES_MAX || self.position + size as u64 > self.file_bytes {
            return Ok(Err(format!("a batch of {size} bytes does not fit into the file")));
        }
        self.fill(size)?;
        let header = match batch::check_stored(&self.buffer) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(Err("the file ends inside a batch".to_string())),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let (base, expected) = (header.base_offset(), self.expected);
        if base < expected {
            return Ok(Err(format!("offset {base} where {expected} is due")));
        }
        if header.leader_epoch() < self.leader_epoch {
            let (found, before) = (header.leader_epoch(), self.leader_epoch);
            return Ok(Err(format!("leader epoch {found} behind {before}")));
        }
        Ok(Ok((header, base.0 - expected.0)))
    }

    fn invalid(&mut self, reason: String) -> io::Result<Place> {
        let position = self.position;
        Ok(Place::Invalid { position, reason, continues_at: self.find_continuation()? })
    }

    /// Looks for a whole batch of this log anywhere behind the place. It is known by its offset, which must be at least
    /// the one that is due and not absurdly far, and by its checksum.
    fn find_continuation(&mut self) -> io::Result<Option<u64>> {
        loop {
            self.fill(READ_BYTES)?;
            let mut index = 1;
            while index + HEADER_SIZE <= self.buffer.len() {
                if let Ok(Some(header)) = batch::peek(&self.buffer[index..]) {
                    let size = header.size_bytes();
                    let ahead = header.base_offset().0.checked_sub(self.expected.0);
                    let at = self.position + index as u64;
                    let fits = size <= BATCH_BYTES_MAX && at + size as u64 <= self.file_bytes;
                    if fits && ahead.is_some_and(|ahead| (0..=i64::from(i32::MAX)).contains(&ahead)) {
                        self.fill(index + size)?;
                        if matches!(batch::check_stored(&self.buffer[index..]), Ok(Some(_))) {
                            return Ok(Some(at));
                        }
                    }
                }
                index += 1;
            }
            let keep = self.buffer.len().min(HEADER_SIZE);
            let done = self.buffer.len() - keep;
            if self.position + self.buffer.len() as u64 >= self.file_bytes || done == 0 {
                return Ok(None);
            }
            self.buffer.drain(..done);
            self.position += done as u64;
        }
    }

    fn first_other_than_zero(&mut self) -> io::Result<Option<u64>> {
        let (mut at, mut piece) = (self.position, std::mem::take(&mut self.buffer));
        let start = self.position;
        loop {
            if let Some(index) = piece.iter().position(|byte| *byte != 0) {
                // Back to where the walk stood, for whoever looks for a continuation from there.
                let found = at + index as u64;
                self.position = found.saturating_sub(HEADER_SIZE as u64).max(start);
                self.buffer.clear();
                io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.position))?;
                return Ok(Some(found));
            }
            at += piece.len() as u64;
            piece.resize(READ_BYTES, 0);
            let count = self.file.read(&mut piece)?;
            if count == 0 {
                return Ok(None);
            }
            piece.truncate(count);
        }
    }

    /// Reads until the buffer holds `count` bytes or the file ends.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        while self.buffer.len() < count {
            let start = self.buffer.len();
            self.buffer.resize(start + READ_BYTES, 0);
            let read = self.file.read(&mut self.buffer[start..]);
            self.buffer.truncate(start + read.as_ref().map_or(0, |count| *count));
            match read {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The first offset in a segment's name, if it is one.
pub fn base_offset_of(path: &Path) -> Option<Offset> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".log")?;
    let numeric = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| numeric).map(Offset)
}

/// The segments at `path`, by folder and then by offset: the file itself, or all below a folder.
pub fn find_segments(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let (mut found, mut folders) = (Vec::new(), vec![path.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder)? {
            let item = item?;
            let kind = item.file_type()?;
            if kind.is_dir() {
                folders.push(item.path());
            } else if kind.is_file() && base_offset_of(&item.path()).is_some() {
                found.push(item.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Producer, Record, encode_batch};
    use corelane_base::time::WallMs;
    use corelane_log::batch::{Compression, stamp};

    /// A folder of its own for one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("corelane-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("creates a folder for temporary files");
            Folder(path)
        }

        fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().expect("has a folder")).expect("creates a folder");
            fs::write(&path, bytes).expect("writes a temporary file");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn batch_at(offset: i64, epoch: i32, count: usize) -> Vec<u8> {
        let record = Record { timestamp: WallMs(1), value: Some(vec![7; 50]), ..Record::default() };
        let mut bytes = encode_batch(&vec![record; count], Compression::None, Producer::default()).to_vec();
        stamp(&mut bytes, Offset(offset), LeaderEpoch(epoch));
        bytes
    }

    /// Walks through `bytes` and says in short what was met.
    fn walk(folder: &Folder, first: i64, bytes: &[u8]) -> String {
        let path = folder.write(&format!("{first:020}.log"), bytes);
        let mut walk = SegmentWalk::open(&path).expect("opens");
        let mut met = String::new();
        while let Some(place) = walk.step().expect("reads") {
            met += &match place {
                Place::Batch { header, gap, .. } => {
                    assert_eq!(walk.batch().len(), header.size_bytes());
                    format!(
                        "{}..{}{} ",
                        header.base_offset(),
                        header.next_offset(),
                        if gap > 0 { "!" } else { "" }
                    )
                }
                Place::End { position } => format!("end {position}"),
                Place::Invalid { position, continues_at, .. } => {
                    format!("invalid {position} {continues_at:?}")
                }
            };
        }
        met
    }

    #[test]
    fn whole_segments() {
        let folder = Folder::new("walk-whole");
        let one = [batch_at(5, 0, 2), batch_at(7, 0, 1), batch_at(8, 3, 10)].concat();
        assert_eq!(walk(&folder, 5, &one), format!("5..7 7..8 8..18 end {}", one.len()));
        let padded = [one.clone(), vec![0; 3 << 20]].concat();
        assert_eq!(walk(&folder, 5, &padded), format!("5..7 7..8 8..18 end {}", one.len()));
        assert_eq!(walk(&folder, 0, &[]), "end 0");
        assert_eq!(walk(&folder, 0, &[0; 10]), "end 0");
        let gap = [batch_at(5, 0, 2), batch_at(9, 0, 1)].concat();
        assert_eq!(walk(&folder, 5, &gap), format!("5..7 9..10! end {}", gap.len()));
        let large = [batch_at(0, 0, 40_000), batch_at(40_000, 0, 1)].concat();
        assert_eq!(walk(&folder, 0, &large), format!("0..40000 40000..40001 end {}", large.len()));
    }

    #[test]
    fn torn_ends_and_damage_are_told_apart() {
        let folder = Folder::new("walk-torn");
        let (one, two, three) = (batch_at(0, 1, 2), batch_at(2, 1, 1), batch_at(3, 1, 1));
        let (first, second) = (one.len(), one.len() + two.len());
        let cut = [&one[..], &two[..two.len() - 1]].concat();
        assert_eq!(walk(&folder, 0, &cut), format!("0..2 invalid {first} None"));
        let torn = [&one[..], &two[..two.len() - 9], &[0; 5000]].concat();
        assert_eq!(walk(&folder, 0, &torn), format!("0..2 invalid {first} None"));
        let mut damaged = [&one[..], &two, &three].concat();
        damaged[first + 70] ^= 1;
        assert_eq!(walk(&folder, 0, &damaged), format!("0..2 invalid {first} Some({second})"));
        let hole = [&one[..], &vec![0; 2 << 20], &three].concat();
        let met = walk(&folder, 0, &hole);
        assert!(met.ends_with(&format!("Some({})", first + (2 << 20))), "{met}");
        // What an earlier life of the file left: whole batches, but of the past.
        let old = [&batch_at(10, 5, 1)[..], &batch_at(3, 1, 1)].concat();
        assert_eq!(walk(&folder, 10, &old), format!("10..11 invalid {} None", batch_at(10, 5, 1).len()));
        let epoch = [&batch_at(0, 5, 1)[..], &batch_at(1, 4, 1)].concat();
        assert!(walk(&folder, 0, &epoch).contains("invalid"));
    }

    /// Whatever stands in a file, the walk ends, gives only what checks out, and does not panic.
    #[test]
    fn damaged_files_by_seed() {
        let folder = Folder::new("walk-seeds");
        for seed in 0..400 {
            let mut rng = corelane_base::rng::Rng::new(seed);
            let mut bytes = Vec::new();
            let mut offset = 7;
            for _ in 0..rng.below(6) {
                let count = 1 + rng.below(9) as usize;
                bytes.extend(batch_at(offset, 1, count));
                offset += count as i64;
            }
            bytes.resize(bytes.len() + rng.below(300) as usize, 0);
            for _ in 0..rng.below(4) {
                if !bytes.is_empty() {
                    let at = rng.below(bytes.len() as u64) as usize;
                    bytes[at] = rng.next_u64() as u8;
                }
            }
            bytes.truncate(bytes.len() - rng.below(bytes.len() as u64 / 4 + 1) as usize);
            let path = folder.write("00000000000000000007.log", &bytes);
            let mut walk = SegmentWalk::open(&path).expect("opens");
            let (mut next, mut steps) = (Offset(7), 0);
            while let Some(place) = walk.step().expect("reads") {
                steps += 1;
                assert!(steps <= 10, "seed {seed}: more places than batches");
                match place {
                    Place::Batch { position, header, .. } => {
                        let end = position as usize + header.size_bytes();
                        assert_eq!(walk.batch(), &bytes[position as usize..end], "seed {seed}");
                        assert!(header.base_offset() >= next, "seed {seed}");
                        next = header.next_offset();
                    }
                    Place::End { position } => {
                        assert!(bytes[position as usize..].iter().all(|byte| *byte == 0), "seed {seed}");
                    }
                    Place::Invalid { position, continues_at, .. } => {
                        assert!(position <= bytes.len() as u64, "seed {seed}");
                        assert!(continues_at.is_none_or(|at| at > position), "seed {seed}");
                    }
                }
            }
        }
    }

    #[test]
    fn segments_are_found_by_name() {
        let folder = Folder::new("walk-find");
        let expected = [
            folder.write("a/00000000000000000000.log", b""),
            folder.write("a/00000000000000000010.log", b""),
            folder.write("b/c/00000000000000000002.log", b""),
        ];
        for other in ["a/next.log", "a/00000000000000000000.index", "a/1.log", "b/0000000000000000000x.log"] {
            folder.write(other, b"");
        }
        assert_eq!(find_segments(&folder.0).expect("lists"), expected);
        assert_eq!(find_segments(&expected[1]).expect("is a file"), [expected[1].clone()]);
        assert!(find_segments(&folder.0.join("missing")).is_err());
    }
}
