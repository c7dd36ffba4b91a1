//! What waits for stores, what a restart finds, and what happens when a store fails.

use crate::groups::checks::rig::{Rig, check};

#[test]
fn answers_wait_for_what_they_rest_on() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("join b v=3", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("hold", ""),
            ("sync b", ""),
            ("sync a give=a:x,b:y", ""),
            // Not of the store, but behind it: what it would tell is not stored yet.
            ("sync b", ""),
            ("describe", ""),
            ("beat a", "a ok"),
            ("store", "a has 'x'; b has 'y'; b has 'y'; Stable 'consumer' 'range' [a:17:x b:17:y]"),
            ("commit a t:0=5", ""),
            ("fetch t:0", ""),
            ("commit b t:1=6", ""),
            ("beat b", "b ok"),
            ("store", "a ok; [t:0=5]"),
            ("store", "b ok"),
            ("fetch t:0 t:1", "[t:0=5 t:1=6]"),
            // Another group waits for nobody; a list waits for all.
            ("commit a t:0=7", ""),
            ("fetch t:0 group=other", "[t:0=-1]"),
            ("list", ""),
            ("store", "a ok; g:consumer:Stable:classic"),
        ],
    );
}

#[test]
fn after_a_failed_store_nothing_is_certain() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a give=a:x", "a has 'x'"),
            ("join b v=3", ""),
            ("hold", ""),
            ("commit a t:0=5", ""),
            ("fetch t:0", ""),
            (
                "fail",
                "a refused CoordinatorNotAvailable; refused CoordinatorNotAvailable; b refused \
                 CoordinatorNotAvailable",
            ),
            ("beat a", "a refused CoordinatorNotAvailable"),
            ("+100000", ""),
            ("restart", ""),
            ("fetch t:0", "[t:0=-1]"),
            ("beat a", "a ok"),
        ],
    );
}

#[test]
fn a_coordinator_that_resigns_tells_everybody() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("join b v=3", ""),
            ("resign", "a refused NotCoordinator; b refused NotCoordinator"),
            ("join a v=3", "a refused NotCoordinator"),
            ("resign", ""),
        ],
    );
}

#[test]
fn a_group_survives_a_restart() {
    check(
        |_| {},
        &[
            ("join a v=3 topics=t", ""),
            ("join b v=3 topics=u", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("sync a give=a:x,b:y", "a has 'x'"),
            ("sync b", "b has 'y'"),
            ("commit a t:0=5 meta=m epoch=3", "a ok"),
            ("restart", ""),
            ("describe", "Stable 'consumer' 'range' [a:17:x b:17:y]"),
            ("fetch t:0", "[t:0=5 epoch 3 'm']"),
            ("beat a", "a ok"),
            ("sync b", "b has 'y'"),
            ("forget u:0", "GroupSubscribedToTopic"),
            ("join b topics=u", "b in 1 range led by a []"),
            // The leader still leads, and sessions have begun anew.
            ("join a", ""),
            ("beat b", "b RebalanceInProgress"),
            ("+9999", ""),
            ("+1", "a in 2 range led by a [a]"),
            // A generation that was not assigned is not stored.
            ("restart", ""),
            ("beat a", "a IllegalGeneration"),
            ("describe", "Stable 'consumer' 'range' [a:17:x b:17:y]"),
        ],
    );
}

#[test]
fn a_group_that_was_too_large_is_reduced() {
    let mut rig = Rig::new(|_| {});
    for (step, answers) in [
        ("join a v=3", ""),
        ("join b v=3", ""),
        ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
        ("sync a", "a has ''"),
        ("sync b", "b has ''"),
    ] {
        assert_eq!(rig.play(step), answers);
    }
    rig.settings.member_count_max = 1;
    for (step, answers) in [
        ("restart", ""),
        ("beat a", "a RebalanceInProgress"),
        ("join b", ""),
        ("join a", "a GroupMaxSizeReached"),
        ("+60000", "b in 2 range led by b [b]"),
    ] {
        assert_eq!(rig.play(step), answers, "{step}");
    }
}

#[test]
fn an_assignment_that_no_batch_can_hold_is_refused() {
    let large = "x".repeat(2_000);
    check(
        |settings| settings.batch_bytes_max = 2_000,
        &[
            ("join a v=3", ""),
            ("join b v=3", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("sync b", ""),
            (&format!("sync a give=a:{large}"), "a UnknownServerError; b UnknownServerError"),
            ("join b", ""),
            ("join a", "a in 2 range led by a [a,b]; b in 2 range led by a []"),
            ("sync a give=a:x", "a has 'x'"),
            (&format!("join c topics={large}"), "c UnknownServerError"),
            (&format!("commit a t:0=1 meta={large}"), "a InvalidCommitOffsetSize"),
            ("commit a t:0=1", "a ok"),
        ],
    );
}

#[test]
fn a_batch_holds_what_fits() {
    let mut rig = Rig::new(|settings| settings.batch_bytes_max = 400);
    rig.play("hold");
    assert_eq!(rig.play("commit t:0=1 t:1=2 t:2=3 t:3=4 u:0=5 u:1=6"), "");
    assert_eq!(rig.play("store"), "", "the answer waits for the last batch");
    assert_eq!(rig.play("store"), "ok,ok,ok,ok,ok,ok");
    assert_eq!(rig.play("restart"), "");
    assert_eq!(rig.play("fetch"), "[t:0=1 t:1=2 t:2=3 t:3=4 u:0=5 u:1=6]");
}
