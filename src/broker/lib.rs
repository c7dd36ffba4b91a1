//! The broker package: everything that touches the world outside.
//!
//! Below it lie pure crates without files, sockets, clocks or threads. Here stand the shell that carries them (`ring`,
//! `rt`, `serve`) and the command line with its own small client (`records` to `producer`, then `cli`). Modules stand
//! ground floor first: each imports only modules declared above its own.

pub mod args;
pub mod logging;
pub mod machine;
pub mod conformance;
pub mod ring;
pub mod rt;
pub mod exposition;
pub mod watchdog;
pub mod metrics;
pub mod admin;
pub mod config_file;
pub mod probe;
pub mod serve;

pub mod partitioner;
pub mod records;

pub mod client;
#[cfg(test)]
mod client_test;
pub mod segment_file;

pub mod configs;
pub mod groups;
pub mod offsets;

pub mod consumer;
pub mod group_member;
pub mod producer;

pub mod cli;
