//! Handing out producer ids in blocks, so that a shard asks once per thousand producers.

use corelane_base::id::ProducerId;

use crate::command::{Outcome, State};
use crate::error::{ErrorKind, Refusal};
use crate::record::MetadataRecord;

/// How many ids a block has.
pub const BLOCK_SIZE: i64 = 1000;

/// Ids for one taker alone. What is left of a block when the taker stops is lost; there are 2^63.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: ProducerId,
    /// How many follow on from it.
    pub count: i64,
}

/// Hands out a block. The ids may be used once the record is stored. Errors: none are left.
pub fn allocate_producer_ids(state: &State<'_>) -> Outcome<Result<ProducerIdBlock, Refusal>> {
    let first = state.image.next_producer_id();
    match first.0.checked_add(BLOCK_SIZE) {
        Some(next) => Outcome {
            records: vec![MetadataRecord::ProducerIdsAllocated { next: ProducerId(next) }],
            answer: Ok(ProducerIdBlock { first, count: BLOCK_SIZE }),
        },
        None => {
            let refusal = Refusal::new(ErrorKind::PolicyViolation, "all producer ids are handed out");
            Outcome { records: Vec::new(), answer: Err(refusal) }
        }
    }
}
