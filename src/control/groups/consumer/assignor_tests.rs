//! The assignors against tables of small cases and against what must hold for every group.

use std::collections::{BTreeMap, BTreeSet};

use corelane_base::id::TopicId;
use corelane_base::rng::Rng;

use crate::groups::consumer::assignment::{Assignment, AssignorMember, PartitionCounts};
use crate::groups::consumer::assignor;
use crate::groups::settings::Assignor;

fn topic(letter: char) -> TopicId {
    let mut id = [0; 16];
    id[15] = letter as u8;
    TopicId(id)
}

/// Written as `a0-2 b1`: partitions 0 to 2 of topic a and partition 1 of topic b.
fn parse(text: &str) -> Assignment {
    Assignment::from_pairs(text.split_whitespace().map(|word| {
        let (first, last) = word[1..].split_once('-').unwrap_or((&word[1..], &word[1..]));
        let range = first.parse::<i32>().unwrap()..=last.parse().unwrap();
        (topic(word.chars().next().unwrap()), range.collect())
    }))
}

fn show(assignment: &Assignment) -> String {
    let words = assignment.iter().flat_map(|(id, partitions)| {
        let runs = partitions.chunk_by(|a, b| a + 1 == *b);
        runs.map(move |run| match run {
            [one] => format!("{}{one}", char::from(id.0[15])),
            _ => format!("{}{}-{}", char::from(id.0[15]), run[0], run[run.len() - 1]),
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A member: its id, with the instance id behind a slash; the letters of its topics; what it had.
type Row<'a> = (&'a str, &'a str, &'a str);

struct Group {
    ids: Vec<(String, Option<String>)>,
    topics: Vec<Vec<TopicId>>,
    targets: Vec<Assignment>,
    counts: PartitionCounts,
}

impl Group {
    fn new(counts: &[(char, i32)], rows: &[Row<'_>]) -> Group {
        Group {
            ids: rows
                .iter()
                .map(|row| match row.0.split_once('/') {
                    Some((id, instance)) => (id.to_owned(), Some(instance.to_owned())),
                    None => (row.0.to_owned(), None),
                })
                .collect(),
            topics: rows.iter().map(|row| row.1.chars().map(topic).collect()).collect(),
            targets: rows.iter().map(|row| parse(row.2)).collect(),
            counts: counts.iter().map(|&(letter, count)| (topic(letter), count)).collect(),
        }
    }

    fn assign(&self, assignor: Assignor) -> Vec<Assignment> {
        let members: Vec<AssignorMember<'_>> = (0..self.ids.len())
            .map(|at| AssignorMember {
                id: &self.ids[at].0,
                instance_id: self.ids[at].1.as_deref(),
                topics: &self.topics[at],
                target: &self.targets[at],
            })
            .collect();
        assignor::assign(assignor, &members, &self.counts)
    }

    /// Every partition of a subscribed topic has exactly one owner, who subscribes to the topic.
    fn check_whole(&self, result: &[Assignment]) {
        assert_eq!(result.len(), self.ids.len());
        let mut owners: BTreeMap<(TopicId, i32), usize> = BTreeMap::new();
        for (at, assignment) in result.iter().enumerate() {
            for (id, partitions) in assignment.iter() {
                assert!(self.topics[at].contains(&id), "{at} does not subscribe to {id:?}");
                for &partition in partitions {
                    assert_eq!(owners.insert((id, partition), at), None, "{id:?}-{partition} has two owners");
                }
            }
        }
        let subscribed: BTreeSet<TopicId> = self.topics.iter().flatten().copied().collect();
        let expected =
            subscribed.iter().flat_map(|id| (0..self.counts[id]).map(|partition| (*id, partition)));
        assert_eq!(owners.keys().copied().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    /// No single move evens two members out.
    fn check_balanced(&self, result: &[Assignment]) {
        for (at, assignment) in result.iter().enumerate() {
            for (id, _) in assignment.iter() {
                for (other, theirs) in result.iter().enumerate() {
                    if self.topics[other].contains(&id) {
                        let (ours, theirs) = (assignment.count(), theirs.count());
                        assert!(ours < theirs + 2, "{at} has {ours}, {other} has {theirs}, both take {id:?}");
                    }
                }
            }
        }
    }

    /// With equal subscriptions nothing moves but what somebody has too much of.
    fn check_sticky(&self, result: &[Assignment]) {
        if self.topics.windows(2).any(|pair| pair[0] != pair[1]) || result.is_empty() {
            return;
        }
        let total: usize = result.iter().map(Assignment::count).sum();
        let (quota, extra) = (total / result.len(), total % result.len());
        let mut had: Vec<usize> = self
            .targets
            .iter()
            .map(|target| {
                let valid = target.iter().map(|(id, list)| {
                    let count = if self.topics[0].contains(&id) { self.counts[&id] } else { 0 };
                    list.iter().filter(|&&partition| partition < count).count()
                });
                valid.sum()
            })
            .collect();
        had.sort_unstable_by(|a, b| b.cmp(a));
        let most_kept: usize =
            had.iter().enumerate().map(|(at, &had)| had.min(quota + usize::from(at < extra))).sum();
        let kept: usize = result
            .iter()
            .zip(&self.targets)
            .flat_map(|(now, before)| now.iter().map(move |(id, list)| (before, id, list)))
            .map(|(before, id, list)| {
                list.iter().filter(|&&partition| before.contains(id, partition)).count()
            })
            .sum();
        assert_eq!(kept, most_kept, "more moved than had to");
    }
}

fn check(assignor: Assignor, counts: &[(char, i32)], rows: &[Row<'_>], expected: &[&str]) {
    let group = Group::new(counts, rows);
    let result = group.assign(assignor);
    group.check_whole(&result);
    let shown: Vec<String> = result.iter().map(show).collect();
    assert_eq!(shown, expected, "{rows:?}");
}

#[test]
fn range_cuts_topics_at_the_same_places() {
    let check = |counts: &[(char, i32)], rows: &[Row<'_>], expected: &[&str]| {
        check(Assignor::Range, counts, rows, expected);
    };
    check(&[], &[], &[]);
    check(&[('a', 3)], &[("m1", "", "")], &[""]);
    check(&[('a', 3)], &[("m1", "a", "")], &["a0-2"]);
    check(&[('a', 3), ('b', 3)], &[("m1", "ab", ""), ("m2", "ab", "")], &["a0-1 b0-1", "a2 b2"]);
    // The order of ids decides, not that of joining; static members come first, by instance id.
    check(&[('a', 3)], &[("m2", "a", ""), ("m1", "a", "")], &["a2", "a0-1"]);
    check(&[('a', 3)], &[("m1", "a", ""), ("m9/x", "a", ""), ("m0/y", "a", "")], &["a2", "a0", "a1"]);
    // Different subscriptions.
    check(
        &[('a', 3), ('b', 2), ('c', 1)],
        &[("m1", "ab", ""), ("m2", "bc", ""), ("m3", "a", "")],
        &["a0-1 b0", "b1 c0", "a2"],
    );
    // More members than partitions.
    check(&[('a', 2)], &[("m1", "a", ""), ("m2", "a", ""), ("m3", "a", "")], &["a0", "a1", ""]);
    // What was before does not matter.
    check(&[('a', 2)], &[("m1", "a", "a1"), ("m2", "a", "a0")], &["a0", "a1"]);
}

#[test]
fn uniform_with_equal_subscriptions_is_even_and_sticky() {
    let check = |counts: &[(char, i32)], rows: &[Row<'_>], expected: &[&str]| {
        check(Assignor::Uniform, counts, rows, expected);
    };
    check(&[], &[], &[]);
    check(&[], &[("m1", "", "")], &[""]);
    check(&[('a', 3)], &[("m1", "a", ""), ("m2", "a", "")], &["a0-1", "a2"]);
    check(&[('a', 3), ('b', 3)], &[("m1", "ab", ""), ("m2", "ab", "")], &["a0-2", "b0-2"]);
    // A member comes, leaves, a topic grows, one is deleted.
    check(&[('a', 4)], &[("m1", "a", "a0-3"), ("m2", "a", "")], &["a0-1", "a2-3"]);
    check(&[('a', 4)], &[("m1", "a", "a0-1"), ("m3", "a", "")], &["a0-1", "a2-3"]);
    check(&[('a', 6)], &[("m1", "a", "a0 a3"), ("m2", "a", "a1-2")], &["a0 a3-4", "a1-2 a5"]);
    check(&[('a', 2)], &[("m1", "a", "a0 b0"), ("m2", "a", "a1 b1")], &["a0", "a1"]);
    // The larger share stays where it is, whoever comes first.
    check(&[('a', 3)], &[("m1", "a", "a0"), ("m2", "a", "a1-2")], &["a0", "a1-2"]);
    check(&[('a', 2)], &[("m1", "a", ""), ("m2", "a", "a0"), ("m3", "a", "a1")], &["", "a0", "a1"]);
    // What two had is with the first; what does not exist is dropped.
    check(&[('a', 2)], &[("m1", "a", "a0"), ("m2", "a", "a0 a7")], &["a0", "a1"]);
}

#[test]
fn uniform_with_different_subscriptions_evens_out() {
    let check = |counts: &[(char, i32)], rows: &[Row<'_>], expected: &[&str]| {
        check(Assignor::Uniform, counts, rows, expected);
    };
    check(&[('a', 4), ('b', 2)], &[("m1", "ab", ""), ("m2", "a", "")], &["a2 b0-1", "a0-1 a3"]);
    // Only the first can have b: it gives up what others can have.
    check(&[('a', 2), ('b', 2)], &[("m1", "ab", "a0-1"), ("m2", "a", "")], &["b0-1", "a0-1"]);
    // Who no longer subscribes gives up everything.
    check(&[('a', 2), ('b', 1)], &[("m1", "b", "a0-1"), ("m2", "a", "")], &["b0", "a0-1"]);
    check(&[('a', 1)], &[("m1", "", "a0"), ("m2", "a", "")], &["", "a0"]);
    // Even already: nothing moves.
    check(
        &[('a', 2), ('b', 2)],
        &[("m1", "ab", "a1 b0"), ("m2", "ab", "a0"), ("m3", "b", "b1")],
        &["a1 b0", "a0", "b1"],
    );
}

/// Draws a group, lets it change step by step and checks the assignment after each.
fn storm(seed: u64) {
    let mut rng = Rng::new(seed);
    let letters: Vec<char> = ('a'..='f').collect();
    let mut group = Group::new(&[], &[]);
    group.counts = letters.iter().map(|&letter| (topic(letter), rng.below(12) as i32 + 1)).collect();
    let equal = rng.one_in(2);
    let mut subscription: Vec<TopicId> =
        letters.iter().filter(|_| rng.one_in(2)).map(|&l| topic(l)).collect();
    for step in 0..30 {
        if !equal || rng.one_in(10) {
            subscription = letters.iter().filter(|_| rng.one_in(2)).map(|&l| topic(l)).collect();
        }
        match rng.below(4) {
            0 | 1 if group.ids.len() < 12 => {
                group.ids.push((format!("m{step}"), rng.one_in(4).then(|| format!("i{step}"))));
                group.topics.push(subscription.clone());
                group.targets.push(Assignment::EMPTY);
            }
            2 if !group.ids.is_empty() => {
                let at = rng.below(group.ids.len() as u64) as usize;
                group.ids.remove(at);
                group.topics.remove(at);
                group.targets.remove(at);
            }
            _ => {
                let letter = letters[rng.below(letters.len() as u64) as usize];
                *group.counts.get_mut(&topic(letter)).unwrap() += rng.below(4) as i32;
            }
        }
        if equal {
            group.topics.iter_mut().for_each(|topics| topics.clone_from(&subscription));
        }
        let ranges = group.assign(Assignor::Range);
        group.check_whole(&ranges);
        let result = group.assign(Assignor::Uniform);
        group.check_whole(&result);
        group.check_balanced(&result);
        group.check_sticky(&result);
        group.targets = result.clone();
        assert_eq!(group.assign(Assignor::Uniform), result, "an even assignment stays");
    }
}

#[test]
fn what_must_hold_holds_for_drawn_groups() {
    for seed in 0..200 {
        let run = std::panic::catch_unwind(|| storm(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}

#[test]
fn the_checks_find_bad_assignments() {
    let finds = |bad: &[&str], check: fn(&Group, &[Assignment])| {
        let group = Group::new(&[('a', 4)], &[("m1", "a", "a0-1"), ("m2", "a", "a2-3"), ("m3", "", "")]);
        let bad: Vec<Assignment> = bad.iter().map(|text| parse(text)).collect();
        std::panic::catch_unwind(|| check(&group, &bad)).is_err()
    };
    assert!(!finds(&["a0-1", "a2-3", ""], Group::check_whole));
    assert!(finds(&["a0-2", "a2-3", ""], Group::check_whole), "two owners");
    assert!(finds(&["a0-1", "a2", ""], Group::check_whole), "no owner");
    assert!(finds(&["a0-1", "a2", "a3"], Group::check_whole), "an owner without subscription");
    assert!(finds(&["a0-2", "a3", ""], Group::check_balanced), "uneven");
    let group = Group::new(&[('a', 2)], &[("m1", "a", "a0"), ("m2", "a", "a1")]);
    let moved = vec![parse("a1"), parse("a0")];
    assert!(std::panic::catch_unwind(|| group.check_sticky(&moved)).is_err(), "a needless move");
}
