//! corelane-wire
