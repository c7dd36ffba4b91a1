//! corelane-base
