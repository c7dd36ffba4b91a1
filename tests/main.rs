//! Integration tests: the built broker, started as users start it. One binary, because each further one would be
//! linked anew. What needs no process is tested in the crates.

#[allow(dead_code, reason = "its users are added test module by test module")]
mod harness;
mod wire_client;
mod fetched;
mod cli;
mod cli_group;
mod clients;
mod compaction;
mod recompression;
mod crash;
mod descriptors;
mod full_disk;
mod groups;
mod hostile;
mod load;
mod metrics;
mod serve;
mod tidy;
mod tools;
mod broker_configs;
mod tune;
mod group_commands;
mod companion;
mod streams;
mod connect;
mod burrow;
