//! The envelope of the log's own small files and of parts of them: what kind it is, which version, the fields, a
//! CRC-32 (IEEE).
//!
//! Not for record batches, which have their own checksum, and not for anything a client sees.
//!
//! ```text
//!  byte  field     type
//!     0  kind      4 bytes, ASCII
//!     4  version   u16, little endian as all that follows
//!     6  fields    the kind's own
//!   n-4  crc       u32, CRC-32 of all bytes before it
//! ```

use core::fmt;

/// Bytes around the fields.
pub const ENVELOPE_SIZE: usize = 10;

/// Why stored bytes cannot be used. All mean the same to the caller: rebuild from the batches, and say so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoredError {
    /// Shorter or longer than its own counts say.
    Length,
    /// Something else.
    Kind,
    /// Written by a version this one does not know.
    Version(u16),
    /// The checksum says something else.
    Crc,
    /// A field outside its range; its name.
    Field(&'static str),
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoredError::Length => f.write_str("wrong length"),
            StoredError::Kind => f.write_str("another kind of file"),
            StoredError::Version(version) => write!(f, "unknown version {version}"),
            StoredError::Crc => f.write_str("checksum does not match"),
            StoredError::Field(name) => write!(f, "{name} is out of range"),
        }
    }
}

/// Appends what `fields` appends, in an envelope.
pub fn seal(out: &mut Vec<u8>, kind: [u8; 4], version: u16, fields: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind);
    out.extend_from_slice(&version.to_le_bytes());
    fields(out);
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Checks the envelope, which must be all of `bytes`, and gives its fields.
pub fn open(bytes: &[u8], kind: [u8; 4], version: u16) -> Result<Fields<'_>, StoredError> {
    if bytes.len() < ENVELOPE_SIZE {
        return Err(StoredError::Length);
    }
    let (sealed, crc) = bytes.split_at(bytes.len() - 4);
    if !sealed.starts_with(&kind) {
        return Err(StoredError::Kind);
    }
    if crc32fast::hash(sealed).to_le_bytes() != crc {
        return Err(StoredError::Crc);
    }
    let mut fields = Fields { bytes: &sealed[kind.len()..] };
    match fields.u16()? {
        found if found == version => Ok(fields),
        found => Err(StoredError::Version(found)),
    }
}

/// Reads fields one after the other. Errors of every method: `Length`.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoredError> {
        let (field, rest) = self.bytes.split_first_chunk().ok_or(StoredError::Length)?;
        self.bytes = rest;
        Ok(*field)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, StoredError> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, StoredError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    /// Two bytes, signed.
    pub fn i16(&mut self) -> Result<i16, StoredError> {
        Ok(i16::from_le_bytes(self.take()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, StoredError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    /// Four bytes, signed.
    pub fn i32(&mut self) -> Result<i32, StoredError> {
        Ok(i32::from_le_bytes(self.take()?))
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self) -> Result<i64, StoredError> {
        Ok(i64::from_le_bytes(self.take()?))
    }

    /// A count (u32) of items that take at least `item_size_min` bytes each: never more than can follow, so it is
    /// safe to reserve.
    pub fn count(&mut self, item_size_min: usize) -> Result<usize, StoredError> {
        let count = self.u32()? as usize;
        let fits = count.checked_mul(item_size_min).is_some_and(|size| size <= self.bytes.len());
        if fits { Ok(count) } else { Err(StoredError::Length) }
    }

    /// Makes sure that nothing is left.
    pub fn end(self) -> Result<(), StoredError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(StoredError::Length) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every truncation, every flipped bit and trailing bytes of `sealed` must be refused by `decode`.
    pub(crate) fn check_damage<T>(sealed: &[u8], decode: impl Fn(&[u8]) -> Result<T, StoredError>) {
        assert!(decode(sealed).is_ok());
        for len in 0..sealed.len() {
            assert!(decode(&sealed[..len]).is_err(), "truncated to {len}");
        }
        let mut damaged = sealed.to_vec();
        for bit in 0..sealed.len() * 8 {
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit} flipped");
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        damaged.push(0);
        assert!(decode(&damaged).is_err(), "one byte more");
    }

    #[test]
    fn other_kinds_versions_and_impossible_counts_are_refused() {
        let mut out = vec![9; 3];
        seal(&mut out, *b"TEST", 7, |out| out.extend_from_slice(&1000_u32.to_le_bytes()));
        let sealed = &out[3..];
        assert_eq!(open(sealed, *b"ELSE", 7).err(), Some(StoredError::Kind));
        assert_eq!(open(sealed, *b"TEST", 8).err(), Some(StoredError::Version(7)));
        let fields = open(sealed, *b"TEST", 7).expect("as written");
        assert_eq!(fields.clone().count(1), Err(StoredError::Length));
        assert_eq!(fields.clone().count(usize::MAX), Err(StoredError::Length));
        assert_eq!(fields.clone().end(), Err(StoredError::Length));
        assert_eq!(fields.clone().u32(), Ok(1000));
        assert_eq!(fields.clone().i64(), Err(StoredError::Length));
    }
}
