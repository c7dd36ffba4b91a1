//! Checks of the group coordinator through its public interface, one file per area.

mod rig;
mod membership;
mod settings;
