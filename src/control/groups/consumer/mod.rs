//! Groups of the new protocol (KIP-848): the coordinator assigns, members follow step by step.
//!
//! A [`group::ConsumerGroup`] is asked by the coordinator and answers; what it stores is applied by
//! [`state::GroupState`], while it lives and when it is loaded again. Members of the classic protocol can live in it.
//!
//! What is not here: the offsets of groups, groups of the classic protocol, and who stores the records.

pub mod assignment;
pub mod range;
pub mod uniform;
pub mod assignor;

pub mod topic_regex;
pub mod member;
pub mod embedded;
pub mod record;
pub mod moved;

pub mod state;
pub mod reconcile;

pub mod group;
pub mod heartbeat;
pub mod convert;
pub mod classic_members;
pub mod expiry;
pub mod inquiry;

#[cfg(test)]
mod assignor_tests;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod rig_test;
#[cfg(test)]
mod storm_tests;
