//! What shards of one broker tell each other: owned data, moved. (Being filled.)

/// A message from one shard to another.
#[derive(Debug)]
pub enum MeshMessage {}
