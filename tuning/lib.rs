//! The host tuner: what of this Linux host costs a broker latency, what of it can be changed and put back, and how much
//! at once its disk works best on.
//!
//! Three parts that know little of each other. [`checks`] reads `/proc` and `/sys` and gives findings; it never writes.
//! [`change`] turns findings into a plan, carries it out and takes it back, with the old values on disk before the
//! first new one is written. [`bench`](mod@bench) measures a data directory and leaves [`profile`]'s file, which the
//! broker reads when it starts. What it is not: the command line, which is the broker's, nor a daemon:
//! nothing stays behind.
//!
//! Everything below `/proc` and `/sys` is reached through a [`root::Root`], so that tests (and whoever builds an image)
//! put another tree in its place.

#![forbid(unsafe_code)]

pub mod needs;
pub mod profile;

pub mod durable;
pub mod root;

pub mod cpus;
pub mod finding;
pub mod host;

pub mod checks;

pub mod state;

pub mod change;

pub mod bench;

#[cfg(test)]
mod check_test;
#[cfg(test)]
mod deploy_test;
#[cfg(test)]
mod tree_test;
