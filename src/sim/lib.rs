//! A whole broker in one thread under one seed: virtual disk, network and clock below the very same log and node
//! code that runs in production, clients and checkers above it.
//!
//! Not a test double: nothing of the broker is replaced, only what it stands on. The same seed gives the same run to
//! the last bit; [`hash::StateHash`] proves it.
#![forbid(unsafe_code)]

pub mod hash;
pub mod pages;
pub mod disk;
#[cfg(test)]
mod disk_tests;
pub mod clock;
pub mod batch;
pub mod net;
pub mod trace;
pub mod log_stand;
pub mod log_plan;
pub mod log_model;
pub mod log_world;
mod log_acts;
pub mod compact_model;
pub mod compact_world;
pub mod broker;
pub mod check;
pub mod client;
pub mod producer;
pub mod consumer;
pub mod admin;
pub mod auditor;
pub mod vandal;
pub mod plan;
pub mod world;
pub mod group_topics;
mod group_wire;
pub mod group_member;
pub mod group_world;
mod group_clients;
mod group_storm;
pub mod fuzz;
#[cfg(test)]
mod smoke_tests;
