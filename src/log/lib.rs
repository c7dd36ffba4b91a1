//! One replica's data: record batches in segments, as pure state that emits disk operations.
//!
//! Not aware of topics, connections, wire structs or replication; it knows batches, offsets, producers and files.
#![forbid(unsafe_code)]

pub mod stored;
pub mod batch;
pub mod produced;
pub mod epochs;
pub mod index;
pub mod producers;
pub mod codec;
pub mod records;
pub mod builder;
mod sip;
pub mod offset_map;
mod filter;
pub mod recompress;
mod txn_cleaning;
pub mod disk;
mod tail;
pub mod error;
pub mod settings;
pub mod pool;
mod checkpoint;
mod segment;
mod scan;
mod recovering;
mod waiting;
pub mod log;
mod syncing;
mod commit;
mod prepare;
mod indexing;
mod reading;
mod lookup;
mod retention;
pub mod replacing;
mod snapshot;
mod recovery;
mod output;
mod cleaning;
pub mod cleaner;
#[cfg(feature = "fuzz")]
pub mod fuzz;
#[cfg(test)]
mod rig_test;
#[cfg(test)]
mod log_test;
#[cfg(test)]
mod cleaner_test;
#[cfg(test)]
mod parts_test;
