//! Newtypes for ids, offsets and epochs, so that two bare integers never stand side by side.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A broker's number in the cluster (`node.id`); never negative for a real broker.
    BrokerId(i32)
);
id!(
    /// One core of this broker with all it owns: 0..shard count.
    ShardId(u16)
);
id!(
    /// A partition's number within its topic, from 0.
    PartitionIndex(i32)
);
id!(
    /// A record's offset in its log. Whether a bound includes it is said by the name that holds it:
    /// `base_offset`, `last_offset`, `log_start_offset` do; `log_end_offset`, `flushed_offset`, `high_watermark` do not.
    Offset(i64)
);
id!(
    /// How often a partition's leader has changed. -1 stands for "none known" on the wire.
    LeaderEpoch(i32)
);
id!(
    /// Identifies an idempotent or transactional producer; -1 for neither.
    ProducerId(i64)
);
id!(
    /// Fences earlier incarnations of one producer id; -1 for a producer without one.
    ProducerEpoch(i16)
);

impl Offset {
    /// The offset `count` records further on. Panics: on overflow, which no log of real data reaches.
    #[must_use]
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0.checked_add(count).expect("offsets stay below 2^63"))
    }
}

/// A topic's identity, which survives neither deletion nor re-creation under the same name. All zero: none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// The wire's "no topic id".
    pub const ZERO: TopicId = TopicId([0; 16]);
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A client connection on one shard. The generation tells a reused slot from its predecessor, so that a late
/// completion or answer for a closed connection finds nobody instead of somebody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    /// Index into the shard's table of connections.
    pub slot: u32,
    /// How often that slot has been taken.
    pub generation: u32,
}
