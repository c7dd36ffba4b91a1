//! corelane-control
