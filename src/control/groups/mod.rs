//! The group coordinator: who belongs to a group, what each member reads, and how far the group has read.
//!
//! One [`coordinator::GroupCoordinator`] stands for one partition of `__consumer_offsets`. It is pure: commands,
//! time and chance go in, records to store and answers come out. Finding the partition of a group, appending to it
//! and carrying answers to connections is its host's (`node`).
//!
//! A step of a group gets a [`turn::Turn`]: it changes the group in memory at once, leaves records and answers in the
//! turn, and the coordinator sees to it that no answer leaves before the records are stored. A group loaded again is
//! what the stored records say.

pub mod error;
pub mod settings;
pub mod command;
pub mod answer;
pub mod effect;
pub mod timers;
pub mod turn;
pub mod bytes;
pub mod records;
pub mod offsets;
pub mod outbox;
pub mod classic;
pub mod consumer;
pub mod group;
pub mod commit;
pub mod dual;
pub mod coordinator;
#[cfg(test)]
mod checks;
