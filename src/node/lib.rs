//! One core's broker: connections, request handlers, purgatory, partitions; events in, effects out.
//!
//! Not aware of sockets, files, clocks or threads: [`event`] is the whole border.
#![forbid(unsafe_code)]

pub mod mesh;
pub mod event;
pub mod shard;
