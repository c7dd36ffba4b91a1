//! corelane-node
