//! corelane-log
