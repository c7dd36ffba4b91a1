//! Committed offsets: who may commit, what is fetched, when they go.

use crate::groups::checks::rig::{Rig, check};
use crate::record::MetadataRecord;

const MINUTE: u64 = 60_000;

#[test]
fn simple_consumers_need_no_group() {
    check(
        |_| {},
        &[
            ("fetch t:0", "[t:0=-1]"),
            ("fetch", "[]"),
            ("commit t:0=5 u:1=7", "ok,ok"),
            ("fetch t:0 u:0 u:1", "[t:0=5 u:0=-1 u:1=7]"),
            ("fetch", "[t:0=5 u:1=7]"),
            ("list", "g::Empty:classic"),
            ("describe", "Empty '' '' []"),
            ("commit t:0=3 meta=back epoch=2", "ok"),
            ("fetch t:0", "[t:0=3 epoch 2 'back']"),
            ("restart", ""),
            ("fetch", "[t:0=3 epoch 2 'back' u:1=7]"),
            // The empty id is a group like any other for offsets.
            ("commit t:0=1 group=", "ok"),
            ("fetch t:0", "[t:0=1]"),
        ],
    );
}

#[test]
fn what_cannot_be_committed() {
    check(
        |settings| settings.offset_metadata_bytes_max = 4,
        &[
            (
                "commit nothing:0=1 t:3=1 t:4=1 t:-1=1",
                "UnknownTopicOrPartition,UnknownTopicOrPartition,ok,\
              UnknownTopicOrPartition",
            ),
            ("commit nothing:0=1 group=h", "UnknownTopicOrPartition"),
            ("list", "g::Empty:classic"),
            ("commit #1:0=7 #9:0=1", "ok,UnknownTopicId"),
            ("fetch #1:0 #9:0 t:0", "[t:0=7 :0 UnknownTopicId t:0=7]"),
            ("commit t:0=8 meta=four", "ok"),
            ("commit t:0=9 meta=five!", "OffsetMetadataTooLarge"),
            ("fetch t:0", "[t:0=8 epoch -1 'four']"),
            // The bound counts characters as Java does.
            ("commit t:0=10 meta=éééé", "ok"),
            ("commit t:0=11 meta=ééééé", "OffsetMetadataTooLarge"),
        ],
    );
}

#[test]
fn members_commit_in_their_generation() {
    check(
        |_| {},
        &[
            ("commit a t:0=1 gen=1 id=a v=8", "a IllegalGeneration"),
            ("commit a t:0=1 gen=1 id=a v=9", "a GroupIdNotFound"),
            ("join a v=3", ""),
            ("commit a t:0=1 gen=-1 id=", "a UnknownMemberId"),
            ("+0", "a in 1 range led by a [a]"),
            ("commit a t:0=1", "a RebalanceInProgress"),
            ("sync a", "a has ''"),
            ("commit a t:0=1", "a ok"),
            ("commit a t:0=2 gen=0", "a IllegalGeneration"),
            ("commit a t:0=2 gen=2", "a IllegalGeneration"),
            ("commit a t:0=2 id=other", "a UnknownMemberId"),
            ("commit t:0=2", "UnknownMemberId"),
            ("commit B t:0=2 id=other gen=1", "B UnknownMemberId"),
            // While others join, members commit what they have read before they join, too.
            ("join b v=3", ""),
            ("commit a t:0=3", "a ok"),
            ("fetch t:0", "[t:0=3]"),
            ("leave a", "b in 2 range led by b [b]; a ok"),
            ("commit a t:0=4", "a UnknownMemberId"),
            ("leave b", "b ok"),
            ("commit t:0=5", "ok"),
        ],
    );
}

#[test]
fn a_commit_is_a_sign_of_life() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a", "a has ''"),
            ("+9000", ""),
            ("commit a t:0=1", "a ok"),
            ("+9000", ""),
            ("beat a", "a ok"),
        ],
    );
}

#[test]
fn offsets_are_deleted_unless_they_are_read() {
    check(
        |_| {},
        &[
            ("forget t:0", "OffsetDelete(Err(GroupIdNotFound))"),
            ("forget t:0 group=", "OffsetDelete(Err(InvalidGroupId))"),
            ("commit t:0=1 t:1=2 u:0=3 group=g", "ok,ok,ok"),
            ("forget t:0 t:3 nothing:0", "ok,ok,UnknownTopicOrPartition"),
            ("fetch", "[t:1=2 u:0=3]"),
            ("restart", ""),
            ("fetch", "[t:1=2 u:0=3]"),
            ("join a v=3 topics=t", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("forget t:1 u:0", "GroupSubscribedToTopic,ok"),
            ("fetch", "[t:1=2]"),
            ("join c v=3 type=connect group=h", ""),
            ("+0", "c in 1 range led by c [c]"),
            ("forget t:1", "OffsetDelete(Err(NonEmptyGroup))"),
        ],
    );
}

#[test]
fn offsets_of_deleted_topics_go() {
    check(
        |_| {},
        &[
            ("commit t:0=1 u:0=3", "ok,ok"),
            ("drop t", ""),
            ("fetch", "[u:0=3]"),
            ("make t", ""),
            ("fetch t:0", "[t:0=-1]"),
            ("restart", ""),
            ("fetch", "[u:0=3]"),
            ("drop u", ""),
            // Neither offsets nor members: the group goes at the next look.
            ("list", "g::Empty:classic"),
            ("+600000", ""),
            ("list", ""),
            ("restart", ""),
            ("list", ""),
        ],
    );
}

#[test]
fn a_topic_that_went_away_while_nobody_looked() {
    let mut rig = Rig::new(|_| {});
    assert_eq!(rig.play("commit t:0=1 u:0=3"), "ok,ok");
    let topic_id = rig.image.topic("t").expect("it was made").id;
    rig.image.replay(&MetadataRecord::TopicDeleted { topic_id }).expect("it is there");
    assert_eq!(rig.play("restart"), "");
    assert_eq!(rig.play("fetch"), "[u:0=3]");
    // Deleted and made again between two looks.
    assert_eq!(rig.play("commit u:1=4"), "ok");
    let topic_id = rig.image.topic("u").expect("it was made").id;
    rig.image.replay(&MetadataRecord::TopicDeleted { topic_id }).expect("it is there");
    rig.create("u", 4);
    assert_eq!(rig.play("commit u:2=5"), "ok");
    assert_eq!(rig.play("make t"), "");
    assert_eq!(rig.play("drop t"), "");
    assert_eq!(rig.play("fetch"), "[u:2=5]");
}

#[test]
fn offsets_of_simple_consumers_expire_after_their_commit() {
    check(
        |settings| settings.offsets_retention_ms = 30 * MINUTE as i64,
        &[
            ("commit t:0=1", "ok"),
            ("+1200000", ""),
            ("commit t:1=2", "ok"),
            ("+1199999", ""),
            ("fetch", "[t:1=2]"),
            ("+600001", ""),
            ("fetch", "[]"),
            ("list", ""),
            ("restart", ""),
            ("fetch", "[]"),
        ],
    );
}

#[test]
fn offsets_of_groups_expire_after_the_last_member() {
    check(
        |settings| settings.offsets_retention_ms = 30 * MINUTE as i64,
        &[
            ("join a v=3 topics=t session=1800000 rebalance=1800000", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a", "a has ''"),
            ("commit a t:0=1 u:0=2", "a ok,ok"),
            // A topic that nobody reads any more expires although the group lives.
            ("+1790000", ""),
            ("beat a", "a ok"),
            ("+610000", ""),
            ("fetch", "[t:0=1]"),
            ("leave a", "a ok"),
            ("restart", ""),
            ("+1790000", ""),
            ("fetch", "[t:0=1]"),
            ("+610000", ""),
            ("fetch", "[]"),
            ("describe", "Dead '' '' [] GroupIdNotFound"),
        ],
    );
}

#[test]
fn a_commit_may_bring_its_own_retention() {
    check(
        |_| {},
        &[
            ("commit t:0=1 retain=700000", "ok"),
            ("commit t:1=1 retain=-1", "ok"),
            ("restart", ""),
            ("+600000", ""),
            ("fetch", "[t:0=1 t:1=1]"),
            ("+600000", ""),
            ("fetch", "[t:1=1]"),
        ],
    );
}

#[test]
fn many_offsets_expire_in_steps() {
    let mut rig = Rig::new(|settings| settings.offsets_retention_ms = 1);
    rig.create("wide", 3_000);
    let offsets: Vec<String> = (0..3_000).map(|partition| format!("wide:{partition}=1")).collect();
    for group in ["g", "h", "i"] {
        let answer = rig.play(&format!("commit group={group} {}", offsets.join(" ")));
        assert_eq!(answer, ["ok"; 3_000].join(","));
    }
    rig.advance(600_000);
    assert_eq!(rig.coordinator.group_count(), 0);
    assert_eq!(rig.play("restart"), "");
    assert_eq!(rig.coordinator.group_count(), 0);
}
