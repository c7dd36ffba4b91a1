//! The broker package: everything that touches the world outside.
//!
//! Below it lie pure crates without files, sockets, clocks or threads. Here stand the shell that carries them (`ring`,
//! `rt`, `serve`) and the command line with its own small client (`records`, `client`, `cli`). Modules stand ground
//! floor first: each imports only modules declared above its own.

pub mod args;
pub mod machine;
pub mod ring;
pub mod rt;
pub mod admin;
pub mod config_file;
pub mod probe;
pub mod serve;

pub mod cli;
