//! Frames: four bytes of length, signed, big endian, then that many bytes. Requests and responses alike.
//!
//! [`split`] only looks at the front of what has arrived; it keeps nothing and copies nothing. Buffers belong to the
//! caller, who learns the length of an unfinished frame as soon as its first four bytes are there and can provide room.

use std::fmt;

/// Bytes of the length in front of each frame.
pub const LENGTH_BYTES: usize = 4;

/// The shortest frame: a bare correlation id, the start of every response (requests start with eight bytes).
pub const BODY_BYTES_MIN: u32 = 4;

/// What the front of a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split<'a> {
    /// Not a whole frame yet.
    NeedMore {
        /// The length of the body when it is known already.
        known_len: Option<u32>,
    },
    /// A whole frame.
    Frame {
        /// The frame without its length.
        body: &'a [u8],
        /// Bytes that the frame takes from the buffer, its length included.
        consumed: usize,
    },
}

/// Why the bytes are not a frame. There is no way to go on behind it: the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The length is negative.
    Negative {
        /// The length.
        len: i32,
    },
    /// The length is over the limit.
    TooLarge {
        /// The length.
        len: u32,
        /// The limit.
        max: u32,
    },
    /// The frame could not hold a correlation id.
    TooSmall {
        /// The length.
        len: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Negative { len } => write!(f, "negative frame length {len}"),
            Self::TooLarge { len, max } => write!(f, "frame of {len} bytes is over the limit of {max}"),
            Self::TooSmall { len } => write!(f, "frame of {len} bytes is too short"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Looks for one frame at the front of `buf`; its body may have at most `max` bytes.
/// Errors: a length that is negative, above `max` or below [`BODY_BYTES_MIN`], as soon as its four bytes are there.
#[inline]
pub fn split(buf: &[u8], max: u32) -> Result<Split<'_>, FrameError> {
    let Some((length, rest)) = buf.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(Split::NeedMore { known_len: None });
    };
    let length = i32::from_be_bytes(*length);
    let len = u32::try_from(length).map_err(|_| FrameError::Negative { len: length })?;
    if len > max {
        return Err(FrameError::TooLarge { len, max });
    }
    if len < BODY_BYTES_MIN {
        return Err(FrameError::TooSmall { len });
    }
    match rest.get(..len as usize) {
        Some(body) => Ok(Split::Frame { body, consumed: LENGTH_BYTES + len as usize }),
        None => Ok(Split::NeedMore { known_len: Some(len) }),
    }
}
