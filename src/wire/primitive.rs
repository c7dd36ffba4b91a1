//! The primitive types of the Kafka protocol: [`Reader`] takes them from a byte slice, [`Writer`] puts them behind
//! each other.
//!
//! What a peer sends is never trusted. A `Reader` borrows: text and bytes stay slices of the frame. The only thing it
//! allocates is the vector of an array, and an array's length is first held against the bytes that remain (at the
//! smallest size an element can have) and against a memory allowance for the whole message. The allowance exists
//! because an element of two encoded bytes may fill fifty in memory: without it a frame of 100 MiB could ask for
//! gigabytes. Nesting is as deep as the message definition and no deeper: there is no recursion.
//!
//! A `Writer` never copies record batches that lie elsewhere: it writes their length, remembers the place (a *splice
//! point*) and lets the caller put the slices there in one vectored send.
//!
//! Not here: message layouts (`message`), headers (`header`), frames (`frame`).

use std::fmt;

use bytes::Bytes;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The message ends inside a field.
    Truncated,
    /// A length is negative and not the mark of a null.
    NegativeLength,
    /// An array announces more elements than the remaining bytes can hold.
    ArrayTooLong,
    /// The arrays of this message would need more memory than allowed.
    MemoryExceeded,
    /// A field is null that may not be, in this version.
    UnexpectedNull,
    /// A string is not UTF-8.
    InvalidUtf8,
    /// A variable-length integer does not fit its type.
    InvalidVarint,
    /// A tagged field does not fill the size it announces.
    TaggedFieldSize,
    /// The message has no such version.
    UnsupportedVersion(i16),
    /// This many bytes follow the end of the message.
    TrailingBytes(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("message ends inside a field"),
            Self::NegativeLength => f.write_str("negative length"),
            Self::ArrayTooLong => f.write_str("array is longer than the message"),
            Self::MemoryExceeded => f.write_str("message needs too much memory"),
            Self::UnexpectedNull => f.write_str("null where a value is required"),
            Self::InvalidUtf8 => f.write_str("string is not UTF-8"),
            Self::InvalidVarint => f.write_str("variable-length integer out of range"),
            Self::TaggedFieldSize => f.write_str("tagged field does not fill its size"),
            Self::UnsupportedVersion(version) => write!(f, "unsupported version {version}"),
            Self::TrailingBytes(count) => write!(f, "{count} bytes behind the message"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why a message cannot be sent: always a mistake of the sender, never of the peer. `field` is `Struct.field`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// The field has a value that this version cannot carry and that may not be dropped.
    FieldNotInVersion {
        /// Which field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The field is null, which this version does not allow.
    NullNotAllowed {
        /// Which field.
        field: &'static str,
    },
    /// The field is longer than its length can say.
    TooLong {
        /// Which field.
        field: &'static str,
    },
    /// The message has no such version.
    UnsupportedVersion(i16),
    /// The whole frame is longer than the four bytes before it can say.
    FrameTooLong,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldNotInVersion { field, version } => {
                write!(f, "{field} cannot be carried by version {version}")
            }
            Self::NullNotAllowed { field } => write!(f, "{field} is null"),
            Self::TooLong { field } => write!(f, "{field} is too long"),
            Self::UnsupportedVersion(version) => write!(f, "unsupported version {version}"),
            Self::FrameTooLong => f.write_str("frame longer than 2 GiB"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// Record batches in a Produce request or a Fetch response: bytes that nobody here looks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records<'a> {
    /// The bytes themselves, a slice of the frame when decoded. Encoding copies them.
    Borrowed(&'a [u8]),
    /// Bytes kept elsewhere, to be sent at the splice point. Only for encoding; decoding never gives it.
    External {
        /// How many bytes will be put there.
        len: u32,
    },
}

impl Records<'_> {
    /// The number of bytes, wherever they are.
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(bytes) => bytes.len(),
            Self::External { len } => *len as usize,
        }
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes protocol primitives from the front of a byte slice.
///
/// Every method leaves the reader in an unspecified place after an error: give the message up then.
#[derive(Debug)]
pub struct Reader<'a> {
    /// What has not been read yet.
    bytes: &'a [u8],
    /// Bytes of memory that arrays may still take.
    memory_left: usize,
}

impl<'a> Reader<'a> {
    /// Memory that the arrays of one message may take unless the caller says otherwise: enough for a metadata answer
    /// with a million partitions, far below what a hostile frame of the largest size could ask for.
    pub const MEMORY_MAX: usize = 64 << 20;

    /// Reads from `bytes` with the usual memory allowance.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_memory_max(bytes, Self::MEMORY_MAX)
    }

    /// Reads from `bytes`; the arrays of the message may take `memory_max` bytes in all.
    pub fn with_memory_max(bytes: &'a [u8], memory_max: usize) -> Self {
        Self { bytes, memory_left: memory_max }
    }

    /// The bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// The part of the memory allowance that is left.
    pub fn memory_left(&self) -> usize {
        self.memory_left
    }

    /// Confirms that the message ends here. Errors: `TrailingBytes`.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes(self.bytes.len())) }
    }

    /// Takes the next `count` bytes. Errors: `Truncated`.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self.bytes.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        Ok(front)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (front, rest) = self.bytes.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        Ok(*front)
    }

    /// One byte; anything but zero is true.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// One byte, signed.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.fixed().map(i8::from_be_bytes)
    }

    /// Two bytes, signed, big endian.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.fixed().map(i16::from_be_bytes)
    }

    /// Two bytes, unsigned, big endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.fixed().map(u16::from_be_bytes)
    }

    /// Four bytes, signed, big endian.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(i32::from_be_bytes)
    }

    /// Four bytes, unsigned, big endian.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// Eight bytes, signed, big endian.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// Eight bytes, IEEE 754 binary64, big endian.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.fixed().map(f64::from_be_bytes)
    }

    /// Sixteen bytes.
    #[inline]
    pub fn uuid(&mut self) -> Result<[u8; 16], DecodeError> {
        self.fixed()
    }

    /// An unsigned integer in one to five bytes, seven bits each, lowest first.
    /// Errors: `InvalidVarint` when it needs more than 32 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.fixed::<1>()?[0];
            if shift == 28 && byte > 0x0f {
                return Err(DecodeError::InvalidVarint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }

    /// A signed integer in one to five bytes, zigzag.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// A signed integer in one to ten bytes, zigzag. Errors: `InvalidVarint` when it needs more than 64 bits.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let mut raw = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.fixed::<1>()?[0];
            if shift == 63 && byte > 0x01 {
                return Err(DecodeError::InvalidVarint);
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A length in the compact form: the number plus one, zero for null.
    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok((self.uvarint()? as usize).checked_sub(1))
    }

    /// A length of four bytes, -1 for null.
    #[inline]
    fn wide_length(&mut self) -> Result<Option<usize>, DecodeError> {
        match self.i32()? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| DecodeError::NegativeLength),
        }
    }

    #[inline]
    fn text(&mut self, length: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::InvalidUtf8)
    }

    /// A string, compact when `flexible`. Errors: `UnexpectedNull` and what its length and content can be wrong in.
    #[inline]
    pub fn string(&mut self, flexible: bool) -> Result<&'a str, DecodeError> {
        self.string_or_null(flexible, true)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// A string or null, compact when `flexible`. Errors: `UnexpectedNull` when it is null and not `nullable`.
    #[inline]
    pub fn string_or_null(&mut self, flexible: bool, nullable: bool) -> Result<Option<&'a str>, DecodeError> {
        let length = if flexible {
            self.compact_length()?
        } else {
            match self.i16()? {
                -1 => None,
                length => Some(usize::try_from(length).map_err(|_| DecodeError::NegativeLength)?),
            }
        };
        match length {
            Some(length) => self.text(length).map(Some),
            None if nullable => Ok(None),
            None => Err(DecodeError::UnexpectedNull),
        }
    }

    /// Bytes, compact when `flexible`.
    #[inline]
    pub fn bytes(&mut self, flexible: bool) -> Result<&'a [u8], DecodeError> {
        self.bytes_or_null(flexible, true)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// Bytes or null, compact when `flexible`. Errors: `UnexpectedNull` when it is null and not `nullable`.
    #[inline]
    pub fn bytes_or_null(&mut self, flexible: bool, nullable: bool) -> Result<Option<&'a [u8]>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { self.wide_length()? };
        match length {
            Some(length) => self.take(length).map(Some),
            None if nullable => Ok(None),
            None => Err(DecodeError::UnexpectedNull),
        }
    }

    /// Record batches or null: encoded like bytes, always `Records::Borrowed`.
    #[inline]
    pub fn records_or_null(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Option<Records<'a>>, DecodeError> {
        Ok(self.bytes_or_null(flexible, nullable)?.map(Records::Borrowed))
    }

    /// The mark before a struct that may be null: whether the struct follows.
    pub fn present(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? >= 0)
    }

    /// An array; see [`Reader::array_or_null`]. Errors: also `UnexpectedNull`.
    #[inline]
    pub fn array<T>(
        &mut self,
        flexible: bool,
        size_min: usize,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.array_or_null(flexible, true, size_min, element)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// An array or null: a length, compact when `flexible`, and that many elements, each read by `element`.
    ///
    /// `size_min` is the smallest number of bytes that an element takes on the wire; at least one is assumed. Nothing
    /// is reserved before the length has been found possible.
    /// Errors: `ArrayTooLong`, `MemoryExceeded`, `UnexpectedNull`, and those of `element`.
    #[inline]
    pub fn array_or_null<T>(
        &mut self,
        flexible: bool,
        nullable: bool,
        size_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { self.wide_length()? };
        let Some(length) = length else {
            return if nullable { Ok(None) } else { Err(DecodeError::UnexpectedNull) };
        };
        if length > self.bytes.len() / size_min.max(1) {
            return Err(DecodeError::ArrayTooLong);
        }
        let memory = length.checked_mul(size_of::<T>()).ok_or(DecodeError::MemoryExceeded)?;
        self.memory_left = self.memory_left.checked_sub(memory).ok_or(DecodeError::MemoryExceeded)?;
        let mut elements = Vec::with_capacity(length);
        for _ in 0..length {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// The tagged fields that end a flexible struct. `known` is called for each with its tag and a reader that ends
    /// with the field; it says whether it knows the tag. Unknown fields are skipped.
    /// Errors: `TaggedFieldSize` when a known field leaves bytes of its size unread.
    #[inline]
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            let (field, rest) = self.bytes.split_at_checked(size).ok_or(DecodeError::Truncated)?;
            self.bytes = field;
            if known(tag, self)? && !self.bytes.is_empty() {
                return Err(DecodeError::TaggedFieldSize);
            }
            self.bytes = rest;
        }
        Ok(())
    }

    /// Skips the tagged fields of a struct that defines none.
    #[inline]
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }
}

/// Puts protocol primitives behind each other.
///
/// Shape: the bytes written so far, the splice points in rising order, and - for a frame - four bytes in front for the
/// length, filled in at the end.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Offsets into `bytes` where foreign slices go.
    splices: Vec<usize>,
    /// How many bytes the foreign slices have together.
    spliced: usize,
    /// Whether `bytes` starts with room for the frame length.
    framed: bool,
    errors: ErrorTally,
}

/// How many different error codes of one message are told apart; a message seldom has two.
const ERROR_CODES_MAX: usize = 4;

/// The error codes that were written into one message, without zero, which is none. For counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorTally {
    codes: [(i16, u32); ERROR_CODES_MAX],
}

impl ErrorTally {
    /// Each code with how often it was written. Beyond the first few codes, the rest is added to the last.
    pub fn iter(&self) -> impl Iterator<Item = (i16, u32)> {
        self.codes.into_iter().take_while(|(_, count)| *count > 0)
    }

    /// Counts one.
    #[cold]
    fn add(&mut self, code: i16) {
        let known = self.codes.iter().position(|(known, count)| *count == 0 || *known == code);
        let entry = &mut self.codes[known.unwrap_or(ERROR_CODES_MAX - 1)];
        if entry.1 == 0 {
            entry.0 = code;
        }
        entry.1 += 1;
    }
}

impl Writer {
    /// Writes a bare message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a frame: the length of everything behind it comes first. `capacity` is a guess at the size of the whole.
    pub fn frame(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.max(64));
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, framed: true, ..Self::default() }
    }

    /// Bytes written, with the frame length, without what goes into the splice points.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Ends the message: its bytes and the offsets in them where the external slices go, in rising order; two slices
    /// may go to the same offset. The length in front of a frame counts the slices too.
    /// Errors: `FrameTooLong`.
    pub fn into_parts(mut self) -> Result<(Bytes, Vec<usize>), EncodeError> {
        if self.framed {
            let length = self.bytes.len() - 4 + self.spliced;
            let length = i32::try_from(length).map_err(|_| EncodeError::FrameTooLong)?;
            self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        }
        Ok((Bytes::from(self.bytes), self.splices))
    }

    /// One byte, 1 or 0.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// One byte, signed.
    #[inline]
    pub fn i8(&mut self, value: i8) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Two bytes, signed, big endian.
    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// An error code: two bytes as in [`Writer::i16`], and noted for [`Writer::errors`].
    #[inline]
    pub fn error_code(&mut self, code: i16) {
        self.i16(code);
        if code != 0 {
            self.errors.add(code);
        }
    }

    /// The error codes written so far.
    pub fn errors(&self) -> ErrorTally {
        self.errors
    }

    /// Two bytes, unsigned, big endian.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Four bytes, signed, big endian.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Four bytes, unsigned, big endian.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes, signed, big endian.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes, IEEE 754 binary64, big endian.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Sixteen bytes.
    #[inline]
    pub fn uuid(&mut self, value: &[u8; 16]) {
        self.bytes.extend_from_slice(value);
    }

    /// An unsigned integer in one to five bytes.
    #[inline]
    pub fn uvarint(&mut self, mut value: u32) {
        while value > 0x7f {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A signed integer in one to five bytes, zigzag.
    pub fn varint(&mut self, value: i32) {
        self.uvarint(((value << 1) ^ (value >> 31)) as u32);
    }

    /// A signed integer in one to ten bytes, zigzag.
    pub fn varlong(&mut self, value: i64) {
        let mut raw = ((value << 1) ^ (value >> 63)) as u64;
        while raw > 0x7f {
            self.bytes.push(raw as u8 | 0x80);
            raw >>= 7;
        }
        self.bytes.push(raw as u8);
    }

    /// Writes a length as the number plus one in a varint, or as four bytes.
    #[inline]
    fn length(&mut self, field: &'static str, flexible: bool, length: usize) -> Result<(), EncodeError> {
        let length = i32::try_from(length).map_err(|_| EncodeError::TooLong { field })?;
        if flexible {
            self.uvarint(length as u32 + 1)
        } else {
            self.i32(length)
        }
        Ok(())
    }

    /// Writes the length that means null.
    #[inline]
    fn null(&mut self, field: &'static str, flexible: bool, nullable: bool) -> Result<(), EncodeError> {
        if !nullable {
            return Err(EncodeError::NullNotAllowed { field });
        }
        if flexible {
            self.uvarint(0)
        } else {
            self.i32(-1)
        }
        Ok(())
    }

    /// A string, compact when `flexible`. Errors: `TooLong` beyond 32,767 bytes.
    #[inline]
    pub fn string(&mut self, field: &'static str, flexible: bool, value: &str) -> Result<(), EncodeError> {
        let length = i16::try_from(value.len()).map_err(|_| EncodeError::TooLong { field })?;
        if flexible {
            self.uvarint(length as u32 + 1)
        } else {
            self.i16(length)
        }
        self.bytes.extend_from_slice(value.as_bytes());
        Ok(())
    }

    /// A string or null. Errors: also `NullNotAllowed` when it is null and not `nullable`.
    #[inline]
    pub fn string_or_null(
        &mut self,
        field: &'static str,
        flexible: bool,
        nullable: bool,
        value: Option<&str>,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => return self.string(field, flexible, value),
            None if !nullable => return Err(EncodeError::NullNotAllowed { field }),
            None if flexible => self.uvarint(0),
            None => self.i16(-1),
        }
        Ok(())
    }

    /// Bytes, compact when `flexible`.
    #[inline]
    pub fn bytes(&mut self, field: &'static str, flexible: bool, value: &[u8]) -> Result<(), EncodeError> {
        self.length(field, flexible, value.len())?;
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    /// Bytes or null. Errors: also `NullNotAllowed` when it is null and not `nullable`.
    #[inline]
    pub fn bytes_or_null(
        &mut self,
        field: &'static str,
        flexible: bool,
        nullable: bool,
        value: Option<&[u8]>,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => self.bytes(field, flexible, value),
            None => self.null(field, flexible, nullable),
        }
    }

    /// Record batches or null. `External` writes the length alone and leaves a splice point.
    #[inline]
    pub fn records_or_null(
        &mut self,
        field: &'static str,
        flexible: bool,
        nullable: bool,
        value: Option<Records<'_>>,
    ) -> Result<(), EncodeError> {
        match value {
            Some(Records::Borrowed(bytes)) => self.bytes(field, flexible, bytes),
            Some(Records::External { len }) => {
                self.length(field, flexible, len as usize)?;
                self.splices.push(self.bytes.len());
                self.spliced += len as usize;
                Ok(())
            }
            None => self.null(field, flexible, nullable),
        }
    }

    /// The mark before a struct that may be null. Errors: `NullNotAllowed` when it is absent and not `nullable`.
    pub fn present(&mut self, field: &'static str, nullable: bool, present: bool) -> Result<(), EncodeError> {
        if !present && !nullable {
            return Err(EncodeError::NullNotAllowed { field });
        }
        self.i8(if present { 1 } else { -1 });
        Ok(())
    }

    /// An array: its length, compact when `flexible`, and each element by `element`.
    #[inline]
    pub fn array<T>(
        &mut self,
        field: &'static str,
        flexible: bool,
        elements: &[T],
        mut element: impl FnMut(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.length(field, flexible, elements.len())?;
        for each in elements {
            element(self, each)?;
        }
        Ok(())
    }

    /// An array or null. Errors: also `NullNotAllowed` when it is null and not `nullable`.
    #[inline]
    pub fn array_or_null<T>(
        &mut self,
        field: &'static str,
        flexible: bool,
        nullable: bool,
        elements: Option<&[T]>,
        element: impl FnMut(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        match elements {
            Some(elements) => self.array(field, flexible, elements, element),
            None => self.null(field, flexible, nullable),
        }
    }

    /// One tagged field: tag, size, and what `value` writes. The number of fields must have been written before, tags
    /// must rise. The size is only known afterwards and is moved in front of the value: tagged fields are small.
    /// Panics: if `value` leaves a splice point (no message definition has records in a tagged field).
    pub fn tagged(
        &mut self,
        field: &'static str,
        tag: u32,
        value: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.uvarint(tag);
        let start = self.bytes.len();
        let splices = self.splices.len();
        value(self)?;
        assert_eq!(self.splices.len(), splices, "records in a tagged field");
        let end = self.bytes.len();
        let size = i32::try_from(end - start).map_err(|_| EncodeError::TooLong { field })?;
        self.uvarint(size as u32);
        self.bytes[start..].rotate_left(end - start);
        Ok(())
    }
}
