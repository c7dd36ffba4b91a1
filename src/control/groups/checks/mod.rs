//! Checks of the group coordinator through its public interface, one file per area.

mod rig;
mod admin;
mod consumer;
mod membership;
mod offsets;
mod records;
mod settings;
mod statics;
mod storing;
