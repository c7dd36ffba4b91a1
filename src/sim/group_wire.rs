//! What classic consumers put into JoinGroup and SyncGroup: subscriptions and assignments, version 0.
//!
//! Who subscribes with version 0 does not say what it owns: it has given up everything before it joins.

use std::sync::Arc;

use corelane_control::groups::answer::JoinedMember;

use crate::group_topics::{Living, PARTITION_COUNT, Place, topic_name};

/// User data that are not there.
const NO_BYTES: [u8; 4] = [0xff; 4];

/// A subscription to topics, by their names' numbers.
#[must_use]
pub fn subscription(names: &[usize]) -> Arc<[u8]> {
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(&(names.len() as u32).to_be_bytes());
    names.iter().for_each(|name| put_name(&mut bytes, *name));
    bytes.extend_from_slice(&NO_BYTES);
    bytes.into()
}

/// An assignment. The places lie together by their topics, whose numbers are those of `living`.
fn assignment(places: &[Place], living: &Living) -> Arc<[u8]> {
    let mut bytes = vec![0, 0];
    let topics: Vec<&[Place]> = places.chunk_by(|a, b| a.0 == b.0).collect();
    bytes.extend_from_slice(&(topics.len() as u32).to_be_bytes());
    for places in topics {
        let name = living.iter().position(|number| *number == Some(places[0].0));
        put_name(&mut bytes, name.expect("only what lives is given"));
        bytes.extend_from_slice(&(places.len() as u32).to_be_bytes());
        places.iter().for_each(|(_, partition)| bytes.extend_from_slice(&partition.to_be_bytes()));
    }
    bytes.extend_from_slice(&NO_BYTES);
    bytes.into()
}

fn put_name(bytes: &mut Vec<u8>, name: usize) {
    let name = topic_name(name);
    bytes.extend_from_slice(&(name.len() as u16).to_be_bytes());
    bytes.extend_from_slice(name.as_bytes());
}

/// Takes bytes that somebody in the storm has written.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> i32 {
        let (bytes, rest) = self.0.split_first_chunk().expect("four bytes");
        self.0 = rest;
        i32::from_be_bytes(*bytes)
    }

    fn version(&mut self) {
        let (bytes, rest) = self.0.split_first_chunk().expect("two bytes");
        self.0 = rest;
        assert_eq!(i16::from_be_bytes(*bytes), 0, "everybody writes version 0");
    }

    fn name(&mut self) -> usize {
        let (bytes, rest) = self.0.split_first_chunk().expect("two bytes");
        let (text, rest) = rest.split_at(usize::from(u16::from_be_bytes(*bytes)));
        self.0 = rest;
        let text = str::from_utf8(text).expect("our own text");
        text.strip_prefix("topic-").and_then(|number| number.parse().ok()).expect("our own name")
    }
}

fn subscribed(metadata: &[u8]) -> Vec<usize> {
    let mut reader = Reader(metadata);
    reader.version();
    (0..reader.number()).map(|_| reader.name()).collect()
}

/// What an assignment says, of topics that live; nothing at all for a member that was given none.
#[must_use]
pub fn assigned(assignment: &[u8], living: &Living) -> Vec<Place> {
    let mut places = Vec::new();
    if assignment.is_empty() {
        return places;
    }
    let mut reader = Reader(assignment);
    reader.version();
    for _ in 0..reader.number() {
        let number = living[reader.name()];
        for _ in 0..reader.number() {
            let partition = reader.number();
            places.extend(number.map(|number| (number, partition)));
        }
    }
    places
}

/// The leader's work: the partitions of each topic go round its subscribers.
#[must_use]
pub fn assign(members: &[JoinedMember], living: &Living) -> Vec<(String, Arc<[u8]>)> {
    let mut given: Vec<Vec<Place>> = vec![Vec::new(); members.len()];
    let wanted: Vec<Vec<usize>> = members.iter().map(|member| subscribed(&member.metadata)).collect();
    for (name, number) in living.iter().enumerate() {
        let Some(number) = number else { continue };
        let readers: Vec<usize> = (0..members.len()).filter(|&at| wanted[at].contains(&name)).collect();
        for (partition, reader) in (0..PARTITION_COUNT).zip(readers.iter().cycle()) {
            given[*reader].push((*number, partition));
        }
    }
    let encoded = members.iter().zip(given);
    encoded.map(|(member, places)| (member.member_id.to_string(), assignment(&places, living))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let living = [Some(7), None, Some(2)];
        assert_eq!(subscribed(&subscription(&[2, 0])), [2, 0]);
        let places = [(7, 0), (7, 23), (2, 5)];
        let bytes = assignment(&places, &living);
        assert_eq!(assigned(&bytes, &living), places);
        // The topic of the first name is another one by now.
        assert_eq!(assigned(&bytes, &[Some(9), None, None]), [(9, 0), (9, 23)]);
        assert_eq!(assigned(&[], &living), []);
    }
}
