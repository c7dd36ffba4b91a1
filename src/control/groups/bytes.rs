//! The primitives of Kafka's record formats, written and read by hand: keys and values of `__consumer_offsets` are not
//! requests and have no schema file.
//!
//! A reader believes no length before it has compared it with the bytes at hand.

use corelane_base::id::TopicId;

use crate::groups::effect::GroupReplayError;

/// Writes fields one behind the other. Strings and arrays come in two forms: the classic ones with a length of fixed
/// width, and the compact ones of flexible versions with a varint of the length plus one.
#[derive(Debug, Default)]
pub struct RecordWriter(pub Vec<u8>);

impl RecordWriter {
    /// Starts a key or value with its type or version.
    #[must_use]
    pub fn new(version: i16) -> RecordWriter {
        RecordWriter(version.to_be_bytes().to_vec())
    }

    /// An `int8`.
    pub fn i8(&mut self, value: i8) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// An `int16`.
    pub fn i16(&mut self, value: i16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// An `int32`.
    pub fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// An `int64`.
    pub fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// A `uuid`.
    pub fn uuid(&mut self, id: TopicId) {
        self.0.extend_from_slice(&id.0);
    }

    /// An unsigned varint.
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A `string`. Panics: if it is longer than 32,767 bytes, which no request can carry in a classic version and the
    /// coordinator refuses in others.
    pub fn string(&mut self, text: &str) {
        self.i16(i16::try_from(text.len()).expect("texts in records are bounded by the coordinator"));
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A nullable `string`.
    pub fn optional_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.i16(-1),
        }
    }

    /// `bytes`. Panics: beyond 2 GiB.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// The length of an array. Panics: beyond 2^31.
    pub fn count(&mut self, count: usize) {
        self.i32(i32::try_from(count).expect("arrays in records are bounded by the coordinator"));
    }

    /// A compact `string`.
    pub fn compact_string(&mut self, text: &str) {
        self.compact_bytes(text.as_bytes());
    }

    /// A compact nullable `string`.
    pub fn optional_compact_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.compact_string(text),
            None => self.uvarint(0),
        }
    }

    /// Compact `bytes`.
    pub fn compact_bytes(&mut self, bytes: &[u8]) {
        self.compact_count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// The length of a compact array. Panics: beyond 2^32 - 2.
    pub fn compact_count(&mut self, count: usize) {
        self.uvarint(u32::try_from(count + 1).expect("arrays in records are bounded by the coordinator"));
    }

    /// The end of a structure of a flexible version that has no tagged fields.
    pub fn no_tags(&mut self) {
        self.uvarint(0);
    }
}

/// Reads what a [`RecordWriter`], or Kafka, has written.
#[derive(Clone, Debug)]
pub struct RecordReader<'a> {
    rest: &'a [u8],
}

fn truncated() -> GroupReplayError {
    GroupReplayError("ends in the middle of a field".into())
}

impl<'a> RecordReader<'a> {
    /// Starts in front of the type or version.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> RecordReader<'a> {
        RecordReader { rest: bytes }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], GroupReplayError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GroupReplayError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// An `int8`.
    pub fn i8(&mut self) -> Result<i8, GroupReplayError> {
        self.array().map(i8::from_be_bytes)
    }

    /// An `int16`.
    pub fn i16(&mut self) -> Result<i16, GroupReplayError> {
        self.array().map(i16::from_be_bytes)
    }

    /// An `int32`.
    pub fn i32(&mut self) -> Result<i32, GroupReplayError> {
        self.array().map(i32::from_be_bytes)
    }

    /// An `int64`.
    pub fn i64(&mut self) -> Result<i64, GroupReplayError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A `uuid`.
    pub fn uuid(&mut self) -> Result<TopicId, GroupReplayError> {
        self.array().map(TopicId)
    }

    /// An unsigned varint.
    pub fn uvarint(&mut self) -> Result<u32, GroupReplayError> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(GroupReplayError("a varint is too long".into()))
    }

    /// A nullable `string`.
    pub fn optional_string(&mut self) -> Result<Option<&'a str>, GroupReplayError> {
        let length = self.i16()?;
        usize::try_from(length).ok().map(|length| self.text(length)).transpose()
    }

    /// A `string`.
    pub fn string(&mut self) -> Result<&'a str, GroupReplayError> {
        self.optional_string()?.ok_or_else(|| GroupReplayError("a text is null".into()))
    }

    /// `bytes`; null reads as empty.
    pub fn bytes(&mut self) -> Result<&'a [u8], GroupReplayError> {
        let length = self.i32()?;
        self.take(usize::try_from(length).unwrap_or(0))
    }

    /// The length of an array whose elements take at least `element_bytes_min` each.
    pub fn count(&mut self, element_bytes_min: usize) -> Result<usize, GroupReplayError> {
        let count = self.i32()?;
        self.checked_count(usize::try_from(count).unwrap_or(0), element_bytes_min)
    }

    /// A compact nullable `string`.
    pub fn optional_compact_string(&mut self) -> Result<Option<&'a str>, GroupReplayError> {
        match self.uvarint()? {
            0 => Ok(None),
            length => self.text(length as usize - 1).map(Some),
        }
    }

    /// A compact `string`.
    pub fn compact_string(&mut self) -> Result<&'a str, GroupReplayError> {
        self.optional_compact_string()?.ok_or_else(|| GroupReplayError("a text is null".into()))
    }

    /// Compact `bytes`; null reads as empty.
    pub fn compact_bytes(&mut self) -> Result<&'a [u8], GroupReplayError> {
        let length = self.uvarint()?;
        self.take((length as usize).saturating_sub(1))
    }

    /// The length of a compact array, as [`RecordReader::count`]; null reads as empty.
    pub fn compact_count(&mut self, element_bytes_min: usize) -> Result<usize, GroupReplayError> {
        let count = (self.uvarint()? as usize).saturating_sub(1);
        self.checked_count(count, element_bytes_min)
    }

    /// The tagged fields at the end of a structure: `each` is given number and bytes.
    pub fn tags(
        &mut self,
        mut each: impl FnMut(u32, &mut RecordReader<'a>) -> Result<(), GroupReplayError>,
    ) -> Result<(), GroupReplayError> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let length = self.uvarint()?;
            each(tag, &mut RecordReader { rest: self.take(length as usize)? })?;
        }
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<&'a str, GroupReplayError> {
        str::from_utf8(self.take(length)?).map_err(|_| GroupReplayError("a text is not UTF-8".into()))
    }

    fn checked_count(&self, count: usize, element_bytes_min: usize) -> Result<usize, GroupReplayError> {
        let fits = count.checked_mul(element_bytes_min).is_some_and(|bytes| bytes <= self.rest.len());
        if fits { Ok(count) } else { Err(truncated()) }
    }
}
