//! Topics and partitions page by page, as DescribeTopicPartitions wants them: in the order of names, at most so many
//! partitions an answer, and a cursor to go on from.

use core::ops::Range;

use corelane_base::id::PartitionIndex;

use crate::image::{ClusterImage, Topic};

/// Where the next page begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The topic.
    pub topic: String,
    /// The first partition that was not shown; from a client it may be any number.
    pub partition: PartitionIndex,
}

/// One topic of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry<'a> {
    /// A topic and the positions of those of its partitions that are on the page.
    Topic {
        /// The topic.
        topic: &'a Topic,
        /// Positions in [`Topic::partitions`]; empty only if the cursor lay behind the last one.
        partitions: Range<usize>,
    },
    /// A name that was asked for and does not exist.
    Unknown {
        /// The name.
        name: &'a str,
    },
}

/// A page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<'a> {
    /// Topics in the order of their names, each once.
    pub entries: Vec<Entry<'a>>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

/// The page that begins at `cursor` and shows at most `partition_count_max` partitions. No `names` means all topics.
/// A cursor whose topic is gone goes on with the one after it. Panics: if `partition_count_max` is 0.
#[must_use]
pub fn page<'a>(
    image: &'a ClusterImage,
    names: &'a [String],
    cursor: Option<&Cursor>,
    partition_count_max: usize,
) -> Page<'a> {
    assert!(partition_count_max > 0, "a page without room would never end");
    let from = cursor.map_or("", |cursor| cursor.topic.as_str());
    if names.is_empty() {
        let all = image.topics_from(from).map(|topic| (topic.name.as_ref(), Some(topic)));
        return fill(all, cursor, partition_count_max);
    }
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).filter(|&name| name >= from).collect();
    sorted.sort_unstable();
    sorted.dedup();
    fill(sorted.into_iter().map(|name| (name, image.topic(name))), cursor, partition_count_max)
}

fn fill<'a>(
    topics: impl Iterator<Item = (&'a str, Option<&'a Topic>)>,
    cursor: Option<&Cursor>,
    partition_count_max: usize,
) -> Page<'a> {
    let mut entries = Vec::new();
    let mut room = partition_count_max;
    for (name, topic) in topics {
        let start = match cursor {
            Some(cursor) if cursor.topic == name => usize::try_from(cursor.partition.0).unwrap_or(0),
            _ => 0,
        };
        if room == 0 {
            return Page { entries, next: Some(cursor_at(name, start)) };
        }
        let Some(topic) = topic else {
            entries.push(Entry::Unknown { name });
            continue;
        };
        let count = topic.partitions.len();
        let start = start.min(count);
        let end = count.min(start.saturating_add(room));
        entries.push(Entry::Topic { topic, partitions: start..end });
        room -= end - start;
        if end < count {
            return Page { entries, next: Some(cursor_at(name, end)) };
        }
    }
    Page { entries, next: None }
}

fn cursor_at(topic: &str, position: usize) -> Cursor {
    let partition = PartitionIndex(i32::try_from(position).expect("partitions are numbered by i32"));
    Cursor { topic: topic.into(), partition }
}
