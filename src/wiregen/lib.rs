//! corelane-wiregen
