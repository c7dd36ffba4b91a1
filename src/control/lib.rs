//! The cluster's metadata: what topics, partitions, brokers and settings exist, and who may change them how.
//!
//! Pure state machines of one shape: `handle(command)` computes records and an answer and changes nothing;
//! `replay(record)` changes the state and decides nothing. Whoever owns a log stores the records in between. No
//! wire structs, no clock, no disk, no randomness: commands are plain types, time and random bits come in with
//! them. A single broker is this same code with a quorum of one.
#![forbid(unsafe_code)]

pub mod configs;
pub mod error;
pub mod topic_name;

pub mod record;

pub mod image;

pub mod groups;

pub mod paging;

pub mod command;

pub mod describe_configs;

pub mod create_topics;

pub mod create_partitions;

pub mod alter_configs;
pub mod delete_topics;
pub mod membership;
pub mod producer_ids;

pub mod controller;

#[cfg(test)]
mod checks;
