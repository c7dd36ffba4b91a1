//! The reading half of `corelane consume`: fetches some partitions of one topic, record by record, in offset order.
//!
//! One fetch at a time, without a fetch session: each request names every partition that has not reached its end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use corelane_base::id::BrokerId;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use corelane_wire::primitive::Records;

use crate::client::{Client, ClientError, Node, exchange};
use crate::offsets::{EARLIEST, LATEST, list_offsets};
use crate::records::{Record, decode_batch};

// From version 13 on topics are named by their ids; this client keeps to names.
exchange!(FetchRequest, FetchResponse, Fetch, 4, 12);

/// How long a broker may hold back an empty answer.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// What one answer and one partition in it may hold, in bytes; a larger batch comes alone.
const ANSWER_BYTES_MAX: i32 = 4 << 20;
const PARTITION_BYTES_MAX: i32 = 1 << 20;
/// What the records of one batch may unfold to, in bytes.
const BATCH_BYTES_MAX: usize = 512 << 20;

/// Where reading starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// At the first record there is.
    Beginning,
    /// Behind the last record.
    End,
    /// At this offset in every partition.
    Offset(i64),
    /// This many offsets before the end of each partition.
    Last(i64),
    /// At the first record of this time or later, in milliseconds.
    Time(i64),
}

/// What to read.
#[derive(Clone, Debug)]
pub struct ConsumerSettings {
    /// From where.
    pub topic: String,
    /// Which partitions; all of them if none is named.
    pub partitions: Vec<i32>,
    /// Where to start.
    pub start: Start,
    /// Whether to go on at the end. Otherwise reading stops where the partitions ended when it began.
    pub follow: bool,
}

/// A partition's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Position {
    next: i64,
    /// Exclusive; `i64::MAX` to go on for ever.
    end: i64,
}

/// Takes the visible records of one batch, in order, with their partition; `Break` ends the fetch.
pub type Sink<'a> = dyn FnMut(i32, &[Record]) -> ControlFlow<()> + 'a;

/// Reads some partitions of a topic.
#[derive(Debug)]
pub struct Fetcher {
    topic: String,
    positions: BTreeMap<i32, Position>,
    leaders: BTreeMap<i32, BrokerId>,
}

impl Fetcher {
    /// Finds the topic and the offsets to start from and to stop at.
    pub fn new(client: &mut Client, settings: &ConsumerSettings) -> Result<Fetcher, ClientError> {
        let deadline = client.deadline();
        let topic = settings.topic.clone();
        let leaders = client.retry(deadline, |client| leaders(client, &topic, deadline))?;
        let mut chosen = settings.partitions.clone();
        if chosen.is_empty() {
            chosen.extend(leaders.keys());
        }
        if let Some(unknown) = chosen.iter().find(|partition| !leaders.contains_key(partition)) {
            let what = format!("partition {unknown} of {topic}");
            return Err(ClientError::refused(what, ErrorCode::UnknownTopicOrPartition as i16, None));
        }
        let mut ask = |timestamp: i64| {
            let wanted = chosen.iter().map(|partition| (*partition, timestamp)).collect();
            list_offsets(client, &topic, &wanted, deadline)
        };
        let ends = ask(LATEST)?;
        if let Start::Offset(offset) = settings.start
            && let Some((partition, _)) = ends.iter().find(|(_, end)| offset > end.offset)
        {
            let what = format!("offset {offset} of partition {partition} of {topic}");
            return Err(ClientError::refused(what, ErrorCode::OffsetOutOfRange as i16, None));
        }
        let starts = match settings.start {
            Start::Beginning | Start::Last(_) => ask(EARLIEST)?,
            Start::Time(time) => ask(time)?,
            Start::End | Start::Offset(_) => ends.clone(),
        };
        let positions = ends.iter().map(|(partition, end)| {
            let found = starts.get(partition).map_or(end.offset, |start| start.offset);
            let next = match settings.start {
                Start::Beginning | Start::End => found,
                Start::Offset(offset) => offset,
                Start::Last(count) => found.max(end.offset - count),
                // No record is that young.
                Start::Time(_) if found < 0 => end.offset,
                Start::Time(_) => found,
            };
            (*partition, Position { next, end: if settings.follow { i64::MAX } else { end.offset } })
        });
        let positions = positions.collect();
        Ok(Fetcher { topic, positions, leaders })
    }

    /// A fetcher that has no partition yet.
    pub fn idle(topic: &str) -> Fetcher {
        Fetcher { topic: topic.to_string(), positions: BTreeMap::new(), leaders: BTreeMap::new() }
    }

    /// Takes the partitions of `settings` in: each at its offset in `offsets`, else where `settings` says.
    pub fn take_in(
        &mut self,
        client: &mut Client,
        settings: &ConsumerSettings,
        offsets: &BTreeMap<i32, i64>,
    ) -> Result<(), ClientError> {
        let fresh = Fetcher::new(client, settings)?;
        self.leaders.extend(fresh.leaders);
        for (partition, mut position) in fresh.positions {
            position.next = offsets.get(&partition).copied().unwrap_or(position.next);
            self.positions.insert(partition, position);
        }
        Ok(())
    }

    /// Gives partitions up.
    pub fn drop_all(&mut self, partitions: &BTreeSet<i32>) {
        self.positions.retain(|partition, _| !partitions.contains(partition));
    }

    /// Goes back to an offset of a partition that is being read.
    pub fn rewind(&mut self, partition: i32, offset: i64) {
        if let Some(position) = self.positions.get_mut(&partition) {
            position.next = position.next.min(offset);
        }
    }

    /// The next offset to read of each partition.
    pub fn positions(&self) -> BTreeMap<i32, i64> {
        self.positions.iter().map(|(partition, position)| (*partition, position.next)).collect()
    }

    /// Whether every partition has been read to its end.
    pub fn is_done(&self) -> bool {
        self.positions.values().all(|position| position.next >= position.end)
    }

    /// Waits for records, a short time at the most, and hands them to `sink` batch by batch. Nothing may come; see
    /// `is_done`. Gives what a person should know, such as a gap. Errors: what could not be mended in time; the batches
    /// handed over before stay handed over, and reading goes on behind them.
    pub fn fetch(&mut self, client: &mut Client, sink: &mut Sink<'_>) -> Result<Vec<String>, ClientError> {
        let deadline = client.deadline();
        let (topic, positions, known) = (self.topic.as_str(), &mut self.positions, &mut self.leaders);
        let mut notes = Vec::new();
        let mut stale = false;
        client.retry(deadline, |client| {
            if std::mem::replace(&mut stale, true) {
                *known = leaders(client, topic, deadline)?;
            }
            let mut by_leader: BTreeMap<BrokerId, Vec<i32>> = BTreeMap::new();
            for (partition, _) in positions.iter().filter(|(_, position)| position.next < position.end) {
                let leader = known.get(partition).ok_or_else(|| {
                    let what = format!("partition {partition} of {topic}");
                    ClientError::refused(what, ErrorCode::UnknownTopicOrPartition as i16, None)
                })?;
                by_leader.entry(*leader).or_default().push(*partition);
            }
            let wait = WAIT_MAX / by_leader.len().max(1) as u32;
            for (leader, partitions) in by_leader {
                let request = request(topic, &partitions, positions, wait.min(time_half(deadline)));
                let answer = client.call(Node::Broker(leader), &request, deadline)?;
                let taken = take(&answer.decode()?, topic, positions, sink)?;
                for partition in taken.lost {
                    let position = positions.get_mut(&partition).expect("take looked it up");
                    notes.push(mend(client, topic, partition, position, deadline)?);
                }
                if taken.stopped {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(notes)
    }
}

/// Half the time that is left, so that a held-back answer comes well before the deadline.
fn time_half(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()) / 2
}

fn leaders(
    client: &mut Client,
    topic: &str,
    deadline: Instant,
) -> Result<BTreeMap<i32, BrokerId>, ClientError> {
    let metadata = client.metadata(Some(&[topic]), false, deadline)?;
    let partitions = metadata.usable_topic(topic)?.partitions.iter();
    Ok(partitions.filter_map(|partition| Some((partition.index, partition.leader?))).collect())
}

fn request<'a>(
    topic: &'a str,
    partitions: &[i32],
    positions: &BTreeMap<i32, Position>,
    wait: Duration,
) -> FetchRequest<'a> {
    let partitions = partitions.iter().map(|&partition| FetchPartition {
        partition,
        fetch_offset: positions[&partition].next,
        partition_max_bytes: PARTITION_BYTES_MAX,
        ..Default::default()
    });
    FetchRequest {
        max_wait_ms: wait.as_millis() as i32,
        min_bytes: 1,
        max_bytes: ANSWER_BYTES_MAX,
        topics: vec![FetchTopic { topic, topic_id: [0; 16], partitions: partitions.collect() }],
        ..Default::default()
    }
}

/// What became of an answer.
#[derive(Debug, Default)]
struct Taken {
    /// Partitions whose position the leader does not have.
    lost: Vec<i32>,
    /// The sink has had enough.
    stopped: bool,
}

/// Hands the records of an answer to `sink` and moves the positions behind them.
fn take(
    response: &FetchResponse<'_>,
    topic: &str,
    positions: &mut BTreeMap<i32, Position>,
    sink: &mut Sink<'_>,
) -> Result<Taken, ClientError> {
    if response.error_code != 0 {
        return Err(ClientError::refused(format!("fetching {topic}"), response.error_code, None));
    }
    let (mut failed, mut taken) = (None, Taken::default());
    for row in response.responses.iter().filter(|row| row.topic == topic).flat_map(|row| &row.partitions) {
        let Some(position) = positions.get_mut(&row.partition_index) else { continue };
        match row.error_code {
            0 => {
                let Some(Records::Borrowed(batches)) = row.records else { continue };
                match take_batches(batches, row.partition_index, position, sink) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => {
                        taken.stopped = true;
                        return Ok(taken);
                    }
                    Err(text) => {
                        let text = format!("partition {} of {topic}: {text}", row.partition_index);
                        return Err(ClientError::Protocol(text));
                    }
                }
            }
            code if code == ErrorCode::OffsetOutOfRange as i16 => taken.lost.push(row.partition_index),
            code => {
                let what = format!("partition {} of {topic}", row.partition_index);
                failed = Some(ClientError::refused(what, code, None));
            }
        }
    }
    failed.map_or(Ok(taken), Err)
}

/// One partition's share of an answer. Errors: what is wrong with its batches, in words.
fn take_batches(
    mut batches: &[u8],
    partition: i32,
    position: &mut Position,
    sink: &mut Sink<'_>,
) -> Result<ControlFlow<()>, String> {
    let (before, empty) = (position.next, batches.is_empty());
    while let Some((batch, size)) =
        decode_batch(batches, BATCH_BYTES_MAX).map_err(|error| error.to_string())?
    {
        batches = &batches[size..];
        let mut records = batch.records;
        records.retain(|record| (position.next..position.end).contains(&record.offset.0));
        position.next = position.next.max(batch.next_offset.0);
        if !batch.control && !records.is_empty() && sink(partition, &records).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    match !empty && position.next == before {
        true => Err("the answer holds no whole batch".to_string()),
        false => Ok(ControlFlow::Continue(())),
    }
}

/// Puts a position that the leader does not have any longer to the first offset there is. Errors: `Refused`, if the
/// position lies behind the end instead, which only a truncated or re-created partition explains.
fn mend(
    client: &mut Client,
    topic: &str,
    partition: i32,
    position: &mut Position,
    deadline: Instant,
) -> Result<String, ClientError> {
    let found = list_offsets(client, topic, &BTreeMap::from([(partition, EARLIEST)]), deadline)?;
    let first = found.get(&partition).map_or(0, |found| found.offset);
    if position.next >= first {
        let what = format!("offset {} of partition {partition} of {topic}", position.next);
        return Err(ClientError::refused(what, ErrorCode::OffsetOutOfRange as i16, None));
    }
    let note = format!(
        "partition {partition}: offsets {} to {} are not there any longer, going on at {first}",
        position.next,
        first - 1
    );
    position.next = first;
    Ok(note)
}
