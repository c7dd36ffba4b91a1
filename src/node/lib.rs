//! One core's broker: connections, request handlers, purgatory, partitions; events in, effects out.
//!
//! Not aware of sockets, files, clocks or threads: [`event`] is the whole border.
#![forbid(unsafe_code)]

pub mod slots;

pub mod memory;
pub mod send;
pub mod timing;
pub mod loggers;

pub mod session;
pub mod timers;

pub mod connections;

pub mod mesh;

pub mod event;
pub mod metrics;

pub mod error;
pub mod partition;

pub mod owner;

pub mod groups;

pub mod fetch_session;
pub mod pending;

pub mod checkpoint;
pub mod metadata_log;

mod finding;
mod phase;
mod publishing;

pub mod shard;

mod lifecycle;

mod coordinating;
mod metadata;
mod observe;
mod requests;

mod handlers;
