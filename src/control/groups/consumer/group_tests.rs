//! A consumer group step by step: what is answered to which heartbeat.

use crate::groups::command::ConsumerHeartbeat;
use crate::groups::consumer::inquiry::Committer;
use crate::groups::consumer::member::MemberState;
use crate::groups::consumer::rig_test::{Rig, alive, brief, id, joining, owning, parse, topic_id};
use crate::groups::error::GroupError;
use crate::groups::settings::Assignor;
use crate::record::MetadataRecord;
use corelane_base::id::PartitionIndex;

/// Sends requests one after the other and compares the answers in short.
fn play(rig: &mut Rig, script: &[(ConsumerHeartbeat, &str)]) {
    for (at, (request, expected)) in script.iter().enumerate() {
        let answer = rig.heartbeat(request);
        assert_eq!(brief(&answer), *expected, "step {at}: {request:?}, {answer:?}");
    }
    assert_eq!(rig.replayed(), rig.group.state);
}

#[test]
fn a_partition_moves_without_stopping_the_others() {
    let mut rig = Rig::new(&[("a", 4)]);
    let script = [
        (joining("m1", &["a"]), "1 [a0-3]"),
        (owning("m1", 1, "a0-3"), "1"),
        // The second member gets nothing yet; the first is told to give up half.
        (joining("m2", &["a"]), "2 []"),
        (alive("m1", 1), "1 [a0-1]"),
        (owning("m1", 1, "a0-3"), "1"),
        (alive("m2", 2), "2"),
        // It has: both get what they shall have.
        (owning("m1", 1, "a0-1"), "2"),
        (alive("m2", 2), "2 [a2-3]"),
        (alive("m2", 2), "2"),
        (owning("m1", 2, "a0-1"), "2"),
    ];
    play(&mut rig, &script);
    assert_eq!(rig.group.state.name(), "Stable");
    // The second leaves: the first has everything back at its next heartbeat.
    play(&mut rig, &[(alive("m2", -1), "-1"), (alive("m1", 2), "3 [a0-3]")]);
    // The last one leaves; the group stays, empty.
    play(&mut rig, &[(alive("m1", -1), "-1")]);
    assert_eq!(rig.group.state.name(), "Empty");
    assert!(rig.group.is_empty());
    assert_eq!(rig.timers.count(), 0);
}

#[test]
fn epochs_fence() {
    let mut rig = Rig::new(&[("a", 2)]);
    play(
        &mut rig,
        &[
            (alive("m1", 1), "UnknownMemberId"),
            (joining("m1", &["a"]), "1 [a0-1]"),
            (joining("m2", &["a"]), "2 []"),
            (alive("m1", 2), "FencedMemberEpoch"),
            (owning("m1", 1, "a0"), "2 [a0]"),
            // The answer was lost: the old epoch is good for who owns no more than it was told.
            (owning("m1", 1, "a0"), "2 [a0]"),
            (owning("m1", 1, ""), "2 [a0]"),
            (owning("m1", 1, "a0-1"), "FencedMemberEpoch"),
            (alive("m1", 1), "FencedMemberEpoch"),
            (alive("m1", 7), "FencedMemberEpoch"),
            (alive("m3", 1), "UnknownMemberId"),
            // Who was fenced joins again with nothing and has what it shall have.
            (joining("m1", &["a"]), "2 [a0]"),
        ],
    );
}

#[test]
fn requests_are_checked() {
    let mut rig = Rig::new(&[("a", 2)]);
    let join = || joining("m1", &["a"]);
    let rows: Vec<(ConsumerHeartbeat, &str)> = vec![
        (ConsumerHeartbeat { member_id: " ".into(), ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { group: String::new(), ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { instance_id: Some(String::new()), ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { rack_id: Some(" ".into()), ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { rebalance_timeout_ms: -1, ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { topic_partitions: None, ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { topic_partitions: Some(parse("a0")), ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { subscribed_topic_names: None, ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { member_epoch: -2, ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { member_epoch: -3, ..join() }, "InvalidRequest"),
        (ConsumerHeartbeat { server_assignor: Some("sticky".into()), ..join() }, "UnsupportedAssignor"),
        (
            ConsumerHeartbeat { subscribed_topic_regex: Some("(".into()), ..join() },
            "InvalidRegularExpression",
        ),
        (ConsumerHeartbeat { rack_id: Some("r".into()), ..join() }, "1 [a0-1]"),
    ];
    play(&mut rig, &rows);
    let assignors = vec![Assignor::Range];
    rig.settings.consumer_assignors = assignors;
    let uniform = ConsumerHeartbeat { server_assignor: Some("uniform".into()), ..join() };
    assert_eq!(brief(&rig.heartbeat(&uniform)), "UnsupportedAssignor");
    // Before version 1 the coordinator draws the id.
    let old = ConsumerHeartbeat { member_id: String::new(), member_id_required: false, ..join() };
    let answer = rig.heartbeat(&old).unwrap();
    assert_eq!(answer.member_id.len(), 36);
    rig.settings.consumer_member_count_max = 2;
    assert_eq!(brief(&rig.heartbeat(&joining("m3", &["a"]))), "GroupMaxSizeReached");
    assert_eq!(brief(&rig.heartbeat(&joining("m1", &["a"]))), "2 [a1]", "who is in stays in");
}

#[test]
fn a_full_request_is_answered_in_full() {
    let mut rig = Rig::new(&[("a", 2)]);
    let full =
        ConsumerHeartbeat { member_epoch: 1, topic_partitions: Some(parse("a0-1")), ..joining("m1", &["a"]) };
    play(&mut rig, &[(joining("m1", &["a"]), "1 [a0-1]"), (full, "1 [a0-1]"), (alive("m1", 1), "1")]);
    assert_eq!(rig.heartbeat(&alive("m1", 1)).unwrap().heartbeat_interval_ms, 5_000);
}

#[test]
fn static_members_come_back() {
    let mut rig = Rig::new(&[("a", 4)]);
    let of = |instance: &str, request: ConsumerHeartbeat| ConsumerHeartbeat {
        instance_id: Some(instance.into()),
        ..request
    };
    play(
        &mut rig,
        &[
            (of("i1", joining("m1", &["a"])), "1 [a0-3]"),
            (of("i2", joining("m2", &["a"])), "2 []"),
            (of("i1", owning("m1", 1, "a0-1")), "2 [a0-1]"),
            (of("i2", alive("m2", 2)), "2 [a2-3]"),
            // Nobody takes an instance id that is in use.
            (of("i1", joining("m3", &["a"])), "UnreleasedInstanceId"),
            (of("i1", alive("m3", 2)), "FencedInstanceId"),
            (of("i9", alive("m3", 2)), "UnknownMemberId"),
            (of("i9", alive("m3", -2)), "UnknownMemberId"),
            (of("i1", alive("m3", -2)), "FencedInstanceId"),
            // It leaves for a while, and comes back under another id: nothing moves.
            (of("i1", alive("m1", -2)), "-2"),
            (of("i2", alive("m2", 2)), "2"),
            (of("i1", joining("m3", &["a"])), "2 [a0-1]"),
            (of("i1", alive("m1", 2)), "FencedInstanceId"),
            (alive("m1", 2), "UnknownMemberId"),
            (of("i2", alive("m2", 2)), "2"),
            (of("i1", alive("m3", 2)), "2"),
            // For good.
            (of("i1", alive("m3", -1)), "-1"),
            (of("i2", alive("m2", 2)), "3 [a0-3]"),
            // Who does not come back is dropped when its session is over.
            (of("i1", joining("m1", &["a"])), "4 []"),
            (of("i2", owning("m2", 3, "a0-1")), "4 [a0-1]"),
            (of("i1", alive("m1", 4)), "4 [a2-3]"),
            (of("i1", alive("m1", -2)), "-2"),
        ],
    );
    rig.pass_ms(40_000);
    play(&mut rig, &[(of("i2", alive("m2", 4)), "4")]);
    rig.pass_ms(6_000);
    play(&mut rig, &[(of("i2", alive("m2", 4)), "5 [a0-3]")]);
}

#[test]
fn silence_ends_a_session() {
    let mut rig = Rig::new(&[("a", 2)]);
    play(&mut rig, &[(joining("m1", &["a"]), "1 [a0-1]"), (joining("m2", &["a"]), "2 []")]);
    for _ in 0..5 {
        rig.pass_ms(10_000);
        rig.heartbeat(&alive("m2", 2)).unwrap();
    }
    // The first was silent for 50 s: the second has everything.
    play(&mut rig, &[(alive("m1", 1), "UnknownMemberId"), (alive("m2", 3), "3")]);
    assert_eq!(rig.group.state.members.len(), 1);
    assert_eq!(rig.group.state.members[&id("m2")].current.owned.assignment().count(), 2);
}

#[test]
fn who_does_not_give_up_in_time_is_fenced() {
    let mut rig = Rig::new(&[("a", 2)]);
    play(
        &mut rig,
        &[
            (joining("m1", &["a"]), "1 [a0-1]"),
            (joining("m2", &["a"]), "2 []"),
            (owning("m1", 1, "a0-1"), "1 [a0]"),
        ],
    );
    rig.pass_ms(9_999);
    play(&mut rig, &[(owning("m1", 1, "a0-1"), "1"), (alive("m2", 2), "2")]);
    rig.pass_ms(1);
    play(&mut rig, &[(alive("m1", 1), "UnknownMemberId"), (alive("m2", 2), "3 [a0-1]")]);
    // In time, on the other hand, it ends.
    play(
        &mut rig,
        &[(joining("m1", &["a"]), "4 []"), (owning("m2", 3, "a0-1"), "3 [a0]"), (owning("m2", 3, "a0"), "4")],
    );
    rig.pass_ms(11_000);
    play(&mut rig, &[(alive("m2", 4), "4"), (alive("m1", 4), "4 [a1]")]);
    // A restart gives the whole time once more.
    play(&mut rig, &[(joining("m3", &["a"]), "5 []"), (joining("m3", &["a"]), "5 []")]);
    rig.grow_topic("a", 2);
    rig.restart();
    assert_eq!(rig.timers.count(), 3);
}

#[test]
fn topics_that_change_start_a_rebalance() {
    let mut rig = Rig::new(&[("a", 2)]);
    play(&mut rig, &[(joining("m1", &["a", "b"]), "1 [a0-1]")]);
    rig.create_topic("b", 1);
    play(&mut rig, &[(alive("m1", 1), "2 [a0-1 b0]"), (alive("m1", 2), "2")]);
    rig.grow_topic("a", 1);
    play(&mut rig, &[(alive("m1", 2), "3 [a0-2 b0]")]);
    rig.create_topic("c", 5);
    play(&mut rig, &[(alive("m1", 3), "3")]);
    // What is gone has to be given up like anything else.
    rig.delete_topic("b");
    play(&mut rig, &[(alive("m1", 3), "3 [a0-2]"), (owning("m1", 3, "a0-2"), "4")]);
    // A topic of the same name that is another one.
    rig.restart();
    play(&mut rig, &[(alive("m1", 4), "4")]);
}

#[test]
fn a_subscription_that_changes_takes_hold_at_once() {
    let mut rig = Rig::new(&[("a", 2), ("b", 2)]);
    let other = |epoch, topics: &[&str], owned: &str| ConsumerHeartbeat {
        subscribed_topic_names: Some(topics.iter().map(|&topic| topic.to_owned()).collect()),
        topic_partitions: Some(parse(owned)),
        ..alive("m1", epoch)
    };
    play(
        &mut rig,
        &[
            (joining("m1", &["a"]), "1 [a0-1]"),
            (other(1, &["b"], "a0-1"), "1 []"),
            (owning("m1", 1, ""), "2 [b0-1]"),
            (other(2, &["a", "b"], "b0-1"), "3 [a0-1 b0-1]"),
            (other(3, &["b", "a", "a"], "a0-1 b0-1"), "3"),
        ],
    );
    // Even while the target has to wait: what does not fit is taken away.
    rig.settings.consumer_assignment_interval_ms = 1_000;
    play(&mut rig, &[(other(3, &["a"], "a0-1 b0-1"), "3 [a0-1]")]);
    assert_eq!(rig.group.state.members[&id("m1")].current.state, MemberState::Unrevoked);
}

#[test]
fn target_assignments_keep_their_distance() {
    let mut rig = Rig::new(&[("a", 2)]);
    rig.settings.consumer_assignment_interval_ms = 1_000;
    play(&mut rig, &[(joining("m1", &["a"]), "1 [a0-1]")]);
    rig.pass_ms(200);
    let answer = rig.heartbeat(&joining("m2", &["a"])).unwrap();
    assert_eq!((answer.member_epoch, answer.heartbeat_interval_ms), (1, 800));
    assert_eq!(rig.group.state.name(), "Assigning");
    rig.pass_ms(799);
    assert_eq!(rig.heartbeat(&alive("m2", 1)).unwrap().heartbeat_interval_ms, 100);
    rig.pass_ms(1);
    play(&mut rig, &[(alive("m2", 1), "2"), (owning("m1", 1, "a0"), "2 [a0]"), (alive("m2", 2), "2 [a1]")]);
    assert_eq!(rig.heartbeat(&alive("m2", 2)).unwrap().heartbeat_interval_ms, 5_000);
}

#[test]
fn patterns_follow_the_topics() {
    let mut rig = Rig::new(&[("a", 1), ("ab", 1), ("b", 1)]);
    let pattern = |member: &str, regex: &str| ConsumerHeartbeat {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(regex.into()),
        ..joining(member, &[])
    };
    let owned = |rig: &Rig, member: &str| -> Vec<String> {
        let owned = rig.group.state.members[&id(member)].current.owned.assignment();
        owned.iter().filter_map(|(topic, _)| Some(rig.image.topic_by_id(topic)?.name.to_string())).collect()
    };
    rig.heartbeat(&pattern("m1", "a.*")).unwrap();
    assert_eq!(owned(&rig, "m1"), ["a", "ab"]);
    rig.create_topic("abc", 1);
    rig.heartbeat(&alive("m1", 1)).unwrap();
    assert_eq!(owned(&rig, "m1"), ["a", "ab", "abc"]);
    rig.restart();
    assert_eq!(rig.heartbeat(&alive("m1", 2)).unwrap().member_epoch, 2);
    // A pattern and names together.
    let both = ConsumerHeartbeat {
        subscribed_topic_names: Some(vec!["b".into()]),
        subscribed_topic_regex: Some("abc".into()),
        topic_partitions: Some(Vec::new()),
        ..alive("m1", 2)
    };
    rig.heartbeat(&both).unwrap();
    rig.heartbeat(&owning("m1", 2, "")).unwrap_or_else(|_| rig.heartbeat(&owning("m1", 3, "")).unwrap());
    assert_eq!(owned(&rig, "m1"), ["b", "abc"]);
    assert_eq!(rig.group.state.regexes.len(), 1, "the old pattern is forgotten");
    assert!(rig.group.is_subscribed_to("abc"));
    assert!(rig.group.is_subscribed_to("b"));
    assert!(!rig.group.is_subscribed_to("a"));
    // An empty pattern is none.
    let none = ConsumerHeartbeat { subscribed_topic_regex: Some(String::new()), ..alive("m1", 3) };
    rig.heartbeat(&none).unwrap();
    assert!(rig.group.state.regexes.is_empty());
    // Topics that change and a subscription that changes in one heartbeat: both count.
    rig.heartbeat(&pattern("m3", "d.*")).unwrap();
    rig.create_topic("d", 1);
    rig.heartbeat(&joining("m4", &["a"])).unwrap();
    assert!(rig.group.is_subscribed_to("d"));
    rig.heartbeat(&alive("m3", -1)).unwrap();
    // A bad one changes nothing.
    assert_eq!(brief(&rig.heartbeat(&pattern("m2", "["))), "InvalidRegularExpression");
    rig.heartbeat(&pattern("m2", "a.*")).unwrap();
    rig.heartbeat(&alive("m2", -1)).unwrap();
    assert!(rig.group.state.regexes.is_empty());
}

#[test]
fn what_no_batch_can_hold_is_not_stored() {
    let mut rig = Rig::new(&[("a", 100), ("b", 1)]);
    rig.settings.batch_bytes_max = 1_500;
    // 100 partitions take 800 bytes, and as much again while they are given up.
    play(&mut rig, &[(joining("m1", &["a"]), "0 []")]);
    assert_eq!(rig.group.state.name(), "Assigning");
    play(&mut rig, &[(joining("m2", &["a"]), "2 [a50-99]"), (joining("m1", &["a"]), "2 [a0-49]")]);
    // A pattern that stands for too much stands for nothing new.
    (0..40).for_each(|at| rig.create_topic(&format!("long-name-{at:02}"), 1));
    let pattern = ConsumerHeartbeat { subscribed_topic_regex: Some("long.*".into()), ..joining("m3", &[]) };
    play(&mut rig, &[(pattern, "3 []")]);
    assert!(rig.group.state.regexes.is_empty());
    // What the request itself says has to fit, too.
    let topics: Vec<String> = (0..200).map(|at| format!("topic-{at}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let long = "x".repeat(20_000);
    let rows = [
        (joining("m4", &topics), "UnknownServerError"),
        (joining(&long, &["a"]), "UnknownServerError"),
        (
            ConsumerHeartbeat { instance_id: Some(long.clone()), ..joining("m4", &["a"]) },
            "UnknownServerError",
        ),
    ];
    play(&mut rig, &rows);
}

#[test]
fn a_group_has_settings_of_its_own() {
    let mut rig = Rig::new(&[("a", 2)]);
    let own = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    let changes = vec![
        own("consumer.heartbeat.interval.ms", "7000"),
        own("consumer.session.timeout.ms", "50000"),
        own("consumer.assignment.interval.ms", "3000"),
    ];
    rig.image.replay(&MetadataRecord::GroupConfigChanged { group: "g".into(), changes }).unwrap();
    assert_eq!(rig.heartbeat(&joining("m1", &["a"])).unwrap().heartbeat_interval_ms, 7_000);
    rig.pass_ms(1_000);
    assert_eq!(rig.heartbeat(&joining("m2", &["a"])).unwrap().heartbeat_interval_ms, 2_000);
    rig.pass_ms(48_999);
    assert_eq!(rig.group.state.members.len(), 2);
    rig.pass_ms(1);
    assert_eq!(rig.group.state.members.len(), 1);
}

#[test]
fn the_assignor_that_most_wish_for_assigns() {
    let mut rig = Rig::new(&[("a", 2)]);
    let wishing = |member: &str, assignor: &str| ConsumerHeartbeat {
        server_assignor: Some(assignor.into()),
        ..joining(member, &["a"])
    };
    let assignor = |rig: &Rig| rig.group.assignor(&rig.settings);
    rig.heartbeat(&joining("m1", &["a"])).unwrap();
    assert_eq!(assignor(&rig), Assignor::Uniform);
    rig.heartbeat(&wishing("m2", "range")).unwrap();
    assert_eq!(assignor(&rig), Assignor::Range);
    rig.heartbeat(&wishing("m3", "uniform")).unwrap();
    assert_eq!(assignor(&rig), Assignor::Uniform, "a tie");
    rig.heartbeat(&alive("m3", -1)).unwrap();
    assert_eq!(assignor(&rig), Assignor::Range);
    let described = rig.group.describe(&rig.image, &rig.settings);
    assert_eq!(
        (described.state, described.assignor.as_str(), described.group_epoch),
        ("Assigning", "range", 4)
    );
    assert_eq!(described.members.len(), 2);
    assert_eq!(described.members[0].member_type, 1);
}

#[test]
fn commits_are_checked_by_epoch_and_partition() {
    let mut rig = Rig::new(&[("a", 4)]);
    let nobody = Committer {
        member_id: "",
        instance_id: None,
        epoch: -1,
        transactional: false,
        knows_member_epochs: true,
    };
    let check = |rig: &Rig, committer: Committer<'_>, partitions: &[i32]| {
        let partitions = partitions.iter().map(|&partition| (topic_id("a"), PartitionIndex(partition)));
        rig.group.check_commit(&committer, partitions)
    };
    assert_eq!(check(&rig, nobody, &[0]), Ok(()), "an empty group takes commits of anybody");
    play(
        &mut rig,
        &[
            (joining("m1", &["a"]), "1 [a0-3]"),
            (joining("m2", &["a"]), "2 []"),
            (alive("m1", 1), "1 [a0-1]"),
            (owning("m1", 1, "a0-1"), "2"),
            (alive("m2", 2), "2 [a2-3]"),
        ],
    );
    let m1 = |epoch| Committer { member_id: "m1", epoch, ..nobody };
    let m2 = |epoch| Committer { member_id: "m2", epoch, ..nobody };
    use GroupError::{StaleMemberEpoch, UnknownMemberId, UnsupportedVersion};
    let rows = [
        (nobody, vec![0], Err(UnknownMemberId)),
        (Committer { transactional: true, ..nobody }, vec![0], Ok(())),
        (Committer { member_id: "m9", epoch: 2, ..nobody }, vec![0], Err(UnknownMemberId)),
        (m1(2), vec![0, 3], Ok(())),
        // An old epoch, for what it still has since then.
        (m1(1), vec![0, 1], Ok(())),
        (m1(1), vec![0, 2], Err(StaleMemberEpoch)),
        (m1(0), vec![0], Err(StaleMemberEpoch)),
        (m1(-1), vec![0], Err(StaleMemberEpoch)),
        (m1(3), vec![0], Err(StaleMemberEpoch)),
        (m2(1), vec![2], Err(StaleMemberEpoch)),
        (m2(2), vec![2], Ok(())),
        (Committer { knows_member_epochs: false, ..m1(2) }, vec![0], Err(UnsupportedVersion)),
        (Committer { knows_member_epochs: false, transactional: true, ..m1(2) }, vec![0], Ok(())),
    ];
    for (committer, partitions, expected) in rows {
        assert_eq!(check(&rig, committer, &partitions), expected, "{committer:?} {partitions:?}");
    }
    let rows = [
        (None, -1, Ok(())),
        (None, 0, Err(UnknownMemberId)),
        (Some("m1"), 2, Ok(())),
        (Some("m1"), 1, Err(StaleMemberEpoch)),
        (Some("m9"), 2, Err(UnknownMemberId)),
        (Some(""), -1, Err(UnknownMemberId)),
    ];
    for (member, epoch, expected) in rows {
        assert_eq!(rig.group.check_fetch(member, epoch), expected, "{member:?} {epoch}");
    }
}

#[test]
fn tombstones_leave_nothing() {
    let mut rig = Rig::new(&[("a", 4)]);
    let pattern = ConsumerHeartbeat { subscribed_topic_regex: Some("a".into()), ..joining("m1", &["a"]) };
    rig.heartbeat(&ConsumerHeartbeat { instance_id: Some("i".into()), ..pattern }).unwrap();
    rig.heartbeat(&joining("m2", &["a"])).unwrap();
    let snapshot = rig.group.state.snapshot();
    let mut again = crate::groups::consumer::state::GroupState::default();
    snapshot.iter().for_each(|record| again.apply(record));
    assert_eq!(again, rig.group.state);
    for tombstone in rig.group.state.tombstones() {
        rig.group.state.apply(&tombstone);
    }
    assert_eq!(rig.group.state, crate::groups::consumer::state::GroupState::default());
}
