//! The generator of the wire codec: reads message definitions in our own notation and writes the Rust that decodes and
//! encodes them.
//!
//! It runs by hand (`cargo run -p corelane-wiregen`), its output is committed, and a test of the wire crate regenerates
//! and compares. A build script or a procedural macro would hide the code that the hot path runs; a file can be read,
//! stepped through and profiled.
#![forbid(unsafe_code)]

pub mod schema;

pub mod emit;

#[cfg(test)]
mod tests;
