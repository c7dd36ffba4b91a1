//! The assignor `range`: a contiguous range of each topic for each subscriber.
//!
//! Members are ordered, static ones by their instance id in front of the others by their member id; topics with as
//! many partitions and the same subscribers are therefore cut at the same places, so that partition `n` of all of
//! them lies with one member. Not sticky by itself: the order is what makes the result stable.

use std::collections::BTreeMap;

use crate::groups::consumer::assignment::{Assignment, AssignorMember, PartitionCounts};

/// See [`crate::groups::consumer::assignor::assign`].
pub fn assign(members: &[AssignorMember<'_>], counts: &PartitionCounts) -> Vec<Assignment> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&at| {
        let AssignorMember { id, instance_id, .. } = members[at];
        (instance_id.is_none(), instance_id.unwrap_or(id))
    });
    let mut subscribers: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for &at in &order {
        for &topic in members[at].topics {
            subscribers.entry(topic).or_default().push(at);
        }
    }
    let mut result = vec![Assignment::EMPTY; members.len()];
    for (topic, subscribers) in subscribers {
        let partitions = usize::try_from(counts[&topic]).unwrap_or(0);
        let (quota, extra) = (partitions / subscribers.len(), partitions % subscribers.len());
        let mut next = 0..counts[&topic];
        for (place, &at) in subscribers.iter().enumerate() {
            for partition in next.by_ref().take(quota + usize::from(place < extra)) {
                result[at].push(topic, partition);
            }
        }
    }
    result
}
