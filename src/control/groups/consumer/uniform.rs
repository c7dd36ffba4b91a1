//! The assignor `uniform`: as many partitions for each member as subscriptions allow, and as few moves as that allows.
//!
//! Partitions are numbered through, topic after topic, and `owner[partition]` is all the state there is.
//!
//! With equal subscriptions the result is exact: sizes differ by one at most, the larger shares go to those who have
//! most already, and nothing moves that need not. With different subscriptions, free partitions go to the subscriber
//! with the least, scarce topics first; then single partitions move from a member to another one with at least two
//! less, until no such move is left. That end is a local one: a chain of moves, each of which alone gains nothing, is
//! not looked for. Kafka's assignor stops there too.

use core::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use corelane_base::id::TopicId;

use crate::groups::consumer::assignment::{Assignment, AssignorMember, PartitionCounts};

/// The owner of a partition without one.
const NOBODY: u32 = u32::MAX;
/// The most rounds over all topics. Two or three do in practice; the result is whole after any number.
const ROUNDS_MAX: usize = 64;

/// One subscribed topic.
struct Topic {
    id: TopicId,
    /// The number of its partition 0.
    first: usize,
    count: usize,
    /// Who subscribes, by index, ascending.
    subscribers: Vec<u32>,
}

impl Topic {
    fn numbers(&self) -> core::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

/// The assignment under construction. Invariant: `load[m]` is how often `m` stands in `owner`.
struct Field {
    /// Ascending by id.
    topics: Vec<Topic>,
    owner: Vec<u32>,
    load: Vec<usize>,
}

/// See [`crate::groups::consumer::assignor::assign`].
pub fn assign(members: &[AssignorMember<'_>], counts: &PartitionCounts) -> Vec<Assignment> {
    assert!(members.len() < NOBODY as usize, "members are counted in 32 bits");
    let mut field = Field::new(members, counts);
    field.keep(members);
    if members.windows(2).all(|pair| pair[0].topics == pair[1].topics) {
        field.fill_equal();
    } else {
        field.fill();
        field.balance();
    }
    field.result()
}

impl Field {
    fn new(members: &[AssignorMember<'_>], counts: &PartitionCounts) -> Field {
        let mut ids: Vec<TopicId> = members.iter().flat_map(|member| member.topics).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut topics = Vec::with_capacity(ids.len());
        let mut first = 0;
        for id in ids {
            let count = usize::try_from(counts[&id]).unwrap_or(0);
            topics.push(Topic { id, first, count, subscribers: Vec::new() });
            first += count;
        }
        let mut field = Field { topics, owner: vec![NOBODY; first], load: vec![0; members.len()] };
        for (at, member) in (0..).zip(members) {
            for &id in member.topics {
                let topic = field.find(id).expect("the topics of all members are in the field");
                field.topics[topic].subscribers.push(at);
            }
        }
        field
    }

    fn find(&self, id: TopicId) -> Option<usize> {
        self.topics.binary_search_by_key(&id, |topic| topic.id).ok()
    }

    /// Leaves everybody what they had, as far as it exists and they still subscribe.
    fn keep(&mut self, members: &[AssignorMember<'_>]) {
        for (at, member) in (0..).zip(members) {
            for (id, partitions) in member.target.iter() {
                let Some(topic) = self.find(id).map(|topic| &self.topics[topic]) else { continue };
                if topic.subscribers.binary_search(&at).is_err() {
                    continue;
                }
                let Topic { first, count, .. } = *topic;
                for number in
                    partitions.iter().filter_map(|&p| usize::try_from(p).ok()).filter(|&p| p < count)
                {
                    self.give_free(first + number, at);
                }
            }
        }
    }

    fn give_free(&mut self, number: usize, to: u32) {
        if self.owner[number] == NOBODY {
            self.owner[number] = to;
            self.load[to as usize] += 1;
        }
    }

    /// Equal subscriptions: everybody gets the same number, some one more.
    fn fill_equal(&mut self) {
        if self.load.is_empty() {
            return;
        }
        let (quota, extra) = (self.owner.len() / self.load.len(), self.owner.len() % self.load.len());
        let mut order: Vec<usize> = (0..self.load.len()).collect();
        order.sort_by_key(|&at| Reverse(self.load[at]));
        let mut quotas = vec![quota; self.load.len()];
        order[..extra].iter().for_each(|&at| quotas[at] += 1);
        for owner in self.owner.iter_mut().rev().filter(|owner| **owner != NOBODY) {
            let at = *owner as usize;
            if self.load[at] > quotas[at] {
                self.load[at] -= 1;
                *owner = NOBODY;
            }
        }
        let mut at = 0;
        for number in 0..self.owner.len() {
            if self.owner[number] == NOBODY {
                while self.load[at] >= quotas[at] {
                    at += 1;
                }
                self.give_free(number, u32::try_from(at).expect("members are counted in 32 bits"));
            }
        }
    }

    /// Gives every free partition to the subscriber with the least, topics with the fewest subscribers first.
    fn fill(&mut self) {
        let mut order: Vec<usize> = (0..self.topics.len()).collect();
        order.sort_by_key(|&at| self.topics[at].subscribers.len());
        for at in order {
            let subscribers = self.topics[at].subscribers.iter();
            let mut least: BinaryHeap<Reverse<(usize, u32)>> =
                subscribers.map(|&member| Reverse((self.load[member as usize], member))).collect();
            for number in self.topics[at].numbers() {
                if self.owner[number] == NOBODY {
                    let Reverse((load, member)) = least.pop().expect("a topic in the field has a subscriber");
                    self.give_free(number, member);
                    least.push(Reverse((load + 1, member)));
                }
            }
        }
    }

    fn balance(&mut self) {
        let before = self.owner.clone();
        for _ in 0..ROUNDS_MAX {
            let moves: usize = (0..self.topics.len()).map(|at| self.balance_topic(at, &before)).sum();
            if moves == 0 {
                return;
            }
        }
    }

    /// Moves partitions of one topic as long as that evens two members out; returns how many.
    fn balance_topic(&mut self, at: usize, before: &[u32]) -> usize {
        let Field { topics, owner, load } = self;
        let topic = &topics[at];
        let least = topic.subscribers.iter().map(|&member| load[member as usize]).min().unwrap_or(0);
        let most = topic.numbers().map(|number| load[owner[number] as usize]).max().unwrap_or(0);
        if most < least + 2 {
            return 0;
        }
        let mut held: Vec<Vec<usize>> = vec![Vec::new(); topic.subscribers.len()];
        let place = |member: u32| topic.subscribers.binary_search(&member).expect("owners subscribe");
        // What came in an earlier move leaves again first: it lies at the end.
        topic.numbers().rev().for_each(|number| held[place(owner[number])].push(number));
        for (list, &member) in held.iter_mut().zip(&topic.subscribers) {
            list.sort_by_key(|&number| before[number] != member);
        }
        let key = |load: &[usize], place: usize| (load[topic.subscribers[place] as usize], place);
        let mut takers: BTreeSet<(usize, usize)> = (0..held.len()).map(|place| key(load, place)).collect();
        let mut givers: BTreeSet<(usize, usize)> =
            (0..held.len()).filter(|&place| !held[place].is_empty()).map(|place| key(load, place)).collect();
        let mut moves = 0;
        while let (Some(&from), Some(&to)) = (givers.last(), takers.first()) {
            if from.0 < to.0 + 2 {
                break;
            }
            for key in [from, to] {
                givers.remove(&key);
                takers.remove(&key);
            }
            let number = held[from.1].pop().expect("who gives has something");
            held[to.1].push(number);
            owner[number] = topic.subscribers[to.1];
            load[topic.subscribers[from.1] as usize] -= 1;
            load[topic.subscribers[to.1] as usize] += 1;
            moves += 1;
            for place in [from.1, to.1] {
                takers.insert(key(load, place));
                if !held[place].is_empty() {
                    givers.insert(key(load, place));
                }
            }
        }
        moves
    }

    fn result(&self) -> Vec<Assignment> {
        let mut result = vec![Assignment::EMPTY; self.load.len()];
        for topic in &self.topics {
            for (partition, number) in (0..).zip(topic.numbers()) {
                result[self.owner[number] as usize].push(topic.id, partition);
            }
        }
        result
    }
}
