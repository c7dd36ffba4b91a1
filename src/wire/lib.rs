//! The Kafka wire codec: frames, headers, messages, error codes and the table of APIs.
//!
//! Decoding borrows from the frame and is bounded by it; encoding copies everything but record batches. The messages
//! are generated from the notation in `schema/` by `corelane-wiregen` (`cargo run -p corelane-wiregen`).
//!
//! Not here: what a request means (node), what a record batch holds (log), sockets (broker). No time, no I/O.
#![forbid(unsafe_code)]

pub mod primitive;

pub mod api;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod message;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
#[cfg(test)]
mod tests;
