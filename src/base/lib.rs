//! Vocabulary that every crate needs: ids, offsets, time as a value, seeded randomness, checksums, aligned memory,
//! histograms, the frame of the fuzzers.
//!
//! Not a place for convenience functions: what only one crate needs lives in that crate. Nothing here performs
//! I/O, reads a clock or draws randomness by itself.
#![forbid(unsafe_code)]

pub mod aligned;
pub mod crc;
pub mod fuzz;
pub mod histogram;
pub mod id;
pub mod rng;
pub mod time;
