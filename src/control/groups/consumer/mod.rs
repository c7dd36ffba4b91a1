//! Groups of the new protocol (KIP-848): the coordinator assigns, members follow step by step.
//!
//! What is not here: the offsets of groups, groups of the classic protocol, and who stores the records.

pub mod assignment;

pub mod range;
pub mod uniform;

pub mod assignor;

#[cfg(test)]
mod assignor_tests;
