//! ListOffsets for the command line: where a partition begins and ends, and where a time lies in it.

use std::collections::BTreeMap;
use std::time::Instant;

use corelane_base::id::BrokerId;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};

use crate::client::{Client, ClientError, Node, exchange};

exchange!(ListOffsetsRequest, ListOffsetsResponse, ListOffsets);

/// Instead of a time: the end of what consumers may see.
pub const LATEST: i64 = -1;
/// Instead of a time: the first offset there is.
pub const EARLIEST: i64 = -2;

/// What a partition's leader found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FoundOffset {
    /// The offset, -1 if no record is that young.
    pub offset: i64,
    /// The time of the record there, -1 if none was looked for.
    pub timestamp: i64,
}

/// Asks the leaders of a topic's partitions for the offsets of the times in `wanted`, in milliseconds by partition, or
/// [`EARLIEST`] or [`LATEST`]. Answers for every partition asked for. Errors: the first that does not pass by `deadline`.
pub fn list_offsets(
    client: &mut Client,
    topic: &str,
    wanted: &BTreeMap<i32, i64>,
    deadline: Instant,
) -> Result<BTreeMap<i32, FoundOffset>, ClientError> {
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    client.retry(deadline, |client| {
        let metadata = client.metadata(Some(&[topic]), false, deadline)?;
        let partitions = &metadata.usable_topic(topic)?.partitions;
        let mut by_leader: BTreeMap<BrokerId, Vec<(i32, i64)>> = BTreeMap::new();
        for (&partition, &timestamp) in wanted.iter().filter(|(partition, _)| !found.contains_key(*partition))
        {
            let known = partitions.iter().find(|known| known.index == partition);
            let leader = known.and_then(|known| known.leader).ok_or_else(|| {
                let code = ErrorCode::UnknownTopicOrPartition as i16;
                ClientError::refused(format!("partition {partition} of {topic}"), code, None)
            })?;
            by_leader.entry(leader).or_default().push((partition, timestamp));
        }
        for (leader, rows) in by_leader {
            ask_leader(client, topic, leader, &rows, deadline, &mut found)?;
        }
        Ok(())
    })?;
    Ok(found)
}

fn ask_leader(
    client: &mut Client,
    topic: &str,
    leader: BrokerId,
    rows: &[(i32, i64)],
    deadline: Instant,
    found: &mut BTreeMap<i32, FoundOffset>,
) -> Result<(), ClientError> {
    let partitions = rows.iter().map(|&(partition_index, timestamp)| ListOffsetsPartition {
        partition_index,
        timestamp,
        ..Default::default()
    });
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 0,
        topics: vec![ListOffsetsTopic { name: topic, partitions: partitions.collect() }],
        timeout_ms: client.timeout_ms(),
    };
    let answer = client.call(Node::Broker(leader), &request, deadline)?;
    let response = answer.decode()?;
    let mut answered = 0;
    for row in response.topics.iter().filter(|row| row.name == topic).flat_map(|row| &row.partitions) {
        if row.error_code != 0 {
            let what = format!("offsets of partition {} of {topic}", row.partition_index);
            return Err(ClientError::refused(what, row.error_code, None));
        }
        found.insert(row.partition_index, FoundOffset { offset: row.offset, timestamp: row.timestamp });
        answered += 1;
    }
    match answered == rows.len() {
        true => Ok(()),
        false => Err(ClientError::Protocol("ListOffsets leaves out partitions".to_string())),
    }
}
