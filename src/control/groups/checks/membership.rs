//! Joining, syncing, heartbeats and leaving.

use crate::groups::checks::rig::check;

#[test]
fn the_first_generation() {
    check(
        |_| {},
        &[
            ("join a", "a MemberIdRequired"),
            ("join a", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("beat a", "a ok"),
            ("sync a give=a:x", "a has 'x'"),
            ("beat a", "a ok"),
            ("sync a", "a has 'x'"),
            ("describe", "Stable 'consumer' 'range' [a:17:x]"),
            ("leave a", "a ok"),
            ("describe", "Empty 'consumer' '' []"),
            ("beat a", "a UnknownMemberId"),
            ("sync a", "a UnknownMemberId"),
            ("leave a", "a UnknownMemberId"),
            ("join a", "a UnknownMemberId"),
        ],
    );
}

#[test]
fn members_of_old_need_no_id() {
    check(|_| {}, &[("join a v=3", ""), ("+0", "a in 1 range led by a [a]")]);
}

#[test]
fn what_is_refused_at_once() {
    check(
        |settings| settings.session_timeout_ms_max = 20_000,
        &[
            ("join a session=5999", "a InvalidSessionTimeout"),
            ("join a session=20001", "a InvalidSessionTimeout"),
            ("join a id=unknown", "a UnknownMemberId"),
            ("sync a id=unknown", "a UnknownMemberId"),
            ("beat a id=unknown", "a UnknownMemberId"),
            ("leave a id=unknown", "a UnknownMemberId"),
            ("list", ""),
            ("join a protocols=", "a InconsistentGroupProtocol"),
            ("join a type=", "a InconsistentGroupProtocol"),
            ("join a group=", "a InvalidGroupId"),
            ("sync a group=", "a InvalidGroupId"),
            ("beat a group=", "a InvalidGroupId"),
            ("leave a group=", "a Leave(Err(InvalidGroupId))"),
        ],
    );
}

#[test]
fn a_second_member_starts_a_rebalance() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a give=a:x", "a has 'x'"),
            ("join b v=3", ""),
            ("beat a", "a RebalanceInProgress"),
            ("sync a", "a RebalanceInProgress"),
            ("join a", "a in 2 range led by a [a,b]; b in 2 range led by a []"),
            ("sync b", ""),
            ("beat b", "b ok"),
            ("sync a gen=1", "a IllegalGeneration"),
            ("beat a gen=1", "a IllegalGeneration"),
            ("sync a type=connect", "a InconsistentGroupProtocol"),
            ("sync a protocol=sticky", "a InconsistentGroupProtocol"),
            ("sync a give=a:x,b:y type=consumer protocol=range", "a has 'x'; b has 'y'"),
            ("leave a", "a ok"),
            ("beat b", "b RebalanceInProgress"),
            ("join b", "b in 3 range led by b [b]"),
        ],
    );
}

#[test]
fn whoever_joins_again_without_a_change() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("join b v=3", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            // The answers were lost.
            ("join a", "a in 1 range led by a [a,b]"),
            ("join b", "b in 1 range led by a []"),
            ("sync a give=a:x,b:y", "a has 'x'"),
            ("join b", "b in 1 range led by a []"),
            ("sync b", "b has 'y'"),
            // With another subscription, and the leader in any case.
            ("join b topics=t,u", ""),
            ("join a", "a in 2 range led by a [a,b]; b in 2 range led by a []"),
            ("sync a give=a:x", "a has 'x'"),
            ("sync b", "b has ''"),
            ("join a", ""),
            ("join b topics=t,u", "a in 3 range led by a [a,b]; b in 3 range led by a []"),
            // A change while the leader assigns.
            ("sync a", "a has ''"),
            ("join b topics=u", ""),
            ("join a", "a in 4 range led by a [a,b]; b in 4 range led by a []"),
            ("sync b", ""),
            ("join a topics=u", "b RebalanceInProgress"),
        ],
    );
}

#[test]
fn a_request_that_is_sent_again_takes_the_place_of_the_first() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("join b v=3", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("sync b", ""),
            ("sync b", "b RebalanceInProgress"),
            ("sync a give=b:y", "a has ''; b has 'y'"),
            ("join c v=3", ""),
            ("join b", ""),
            ("join b", "b RebalanceInProgress"),
            ("join a", "a in 2 range led by a [a,b,c]; b in 2 range led by a []; c in 2 range led by a []"),
        ],
    );
}

#[test]
fn protocols_are_voted_for() {
    check(
        |_| {},
        &[
            ("join a v=3 protocols=range,sticky,mine", ""),
            ("join b v=3 protocols=sticky,range", ""),
            ("join c v=3 protocols=sticky,range,range", ""),
            ("join d v=3 protocols=mine", "d InconsistentGroupProtocol"),
            ("join d v=3 type=connect protocols=range", "d InconsistentGroupProtocol"),
            ("+0", "a in 1 sticky led by a [a,b,c]; b in 1 sticky led by a []; c in 1 sticky led by a []"),
            ("sync a", "a has ''"),
            ("leave b", "b ok"),
            // Only those who are here have a vote; what one of them does not know is out.
            ("join c protocols=range", ""),
            ("join a protocols=sticky,range", "a in 2 range led by a [a,c]; c in 2 range led by a []"),
        ],
    );
}

#[test]
fn the_first_rebalance_waits_for_more_members() {
    check(
        |settings| settings.initial_rebalance_delay_ms = 3_000,
        &[
            ("join a v=3 rebalance=7000", ""),
            ("+2999", ""),
            ("join b v=3 rebalance=7000", ""),
            ("+1", ""),
            // Nobody came in the second step.
            ("+2999", ""),
            ("+1", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
        ],
    );
    check(
        |settings| settings.initial_rebalance_delay_ms = 3_000,
        &[
            ("join a v=3 rebalance=7000", ""),
            ("+1000", ""),
            ("join b v=3 rebalance=7000", ""),
            ("+3000", ""),
            ("join c v=3 rebalance=7000", ""),
            // 3 s, 3 s and the last of the 7 s.
            ("+2999", ""),
            ("+1", "a in 1 range led by a [a,b,c]; b in 1 range led by a []; c in 1 range led by a []"),
        ],
    );
}

#[test]
fn late_members_are_out() {
    check(
        |_| {},
        &[
            ("join a v=3 rebalance=5000", ""),
            ("join b v=3 rebalance=20000 session=30000", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("sync a", "a has ''"),
            ("sync b", "b has ''"),
            ("join b topics=u rebalance=8000 session=30000", ""),
            ("+7999", ""),
            ("+1", "b in 2 range led by b [b]"),
            ("beat a", "a UnknownMemberId"),
        ],
    );
}

#[test]
fn silent_members_are_out() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("join b v=3", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("sync a", "a has ''"),
            ("sync b", "b has ''"),
            ("+9000", ""),
            ("beat a", "a ok"),
            ("+1000", ""),
            ("beat b", "b UnknownMemberId"),
            ("beat a", "a RebalanceInProgress"),
            ("+9999", ""),
            ("join a", "a in 2 range led by a [a]"),
            ("sync a", "a has ''"),
            ("+10000", ""),
            ("describe", "Empty 'consumer' '' []"),
        ],
    );
}

#[test]
fn members_that_wait_are_not_silent() {
    check(
        |_| {},
        &[
            ("join a v=3 rebalance=60000", ""),
            ("join b v=3 rebalance=60000", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("sync b", ""),
            ("+9000", ""),
            ("beat a", "a ok"),
            // Far beyond b's session: its SyncGroup waits for a.
            ("+9000", ""),
            ("beat a", "a ok"),
            ("sync a give=b:y", "a has ''; b has 'y'"),
            ("+9999", ""),
            ("beat b", "b ok"),
        ],
    );
    // A new member waits no longer than five minutes: nobody knows whether its client is still there.
    check(
        |_| {},
        &[
            ("join a v=3 session=600000 rebalance=600000", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a", "a has ''"),
            ("join b v=3", ""),
            ("+299999", ""),
            ("+1", "b UnknownMemberId"),
            ("join a", "a in 2 range led by a [a]"),
        ],
    );
}

#[test]
fn ids_that_are_not_used_expire() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a", "a has ''"),
            ("join b session=8000", "b MemberIdRequired"),
            ("join a topics=u", ""),
            // The rebalance waits for b, but not longer than its session.
            ("+7999", ""),
            ("+1", "a in 2 range led by a [a]"),
            ("join b", "b UnknownMemberId"),
            ("sync a", "a has ''"),
            ("join c", "c MemberIdRequired"),
            ("join a", ""),
            ("leave c", "a in 3 range led by a [a]; c ok"),
        ],
    );
}

#[test]
fn whoever_does_not_sync_is_out() {
    check(
        |_| {},
        &[
            ("join a v=3 rebalance=7000", ""),
            ("join b v=3 rebalance=7000", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("sync a", "a has ''"),
            ("+6999", ""),
            ("beat b", "b ok"),
            ("+1", ""),
            ("beat b", "b UnknownMemberId"),
            ("beat a", "a RebalanceInProgress"),
        ],
    );
}

#[test]
fn a_leader_that_disappears_is_replaced() {
    check(
        |_| {},
        &[
            ("join a v=3 rebalance=30000", ""),
            ("join b v=3 rebalance=30000", ""),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("sync b", ""),
            ("+10000", "b RebalanceInProgress"),
            ("join b", "b in 2 range led by b [b]"),
        ],
    );
}

#[test]
fn groups_have_a_size() {
    check(
        |settings| settings.member_count_max = 2,
        &[
            ("join a v=3", ""),
            ("join b", "b MemberIdRequired"),
            ("join b", ""),
            ("join c v=3", "c GroupMaxSizeReached"),
            ("+0", "a in 1 range led by a [a,b]; b in 1 range led by a []"),
            ("join c v=3", "c GroupMaxSizeReached"),
            ("sync a", "a has ''"),
            ("join c v=3", "c GroupMaxSizeReached"),
            ("sync b", "b has ''"),
            ("join b", "b in 1 range led by a []"),
        ],
    );
}

#[test]
fn several_members_leave_together() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("join b v=3", ""),
            ("join C", ""),
            ("+0", "C in 1 range led by a []; a in 1 range led by a [C,a,b]; b in 1 range led by a []"),
            ("sync a", "a has ''"),
            ("leave b x C", "b ok,UnknownMemberId,ok"),
            ("join a", "a in 2 range led by a [a]"),
        ],
    );
}
