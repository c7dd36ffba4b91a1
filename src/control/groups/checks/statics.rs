//! Static members: they keep their place while they are away, and fence who pretends to be them.

use crate::groups::checks::rig::check;

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    check(
        |_| {},
        &[
            ("join A", ""),
            ("join B", ""),
            ("+0", "A in 1 range led by A [A,B]; B in 1 range led by A []"),
            ("sync A give=A:x,B:y", "A has 'x'"),
            ("sync B", "B has 'y'"),
            // Another process of B, which wants another topic: as in Kafka, the next rebalance is soon enough for that.
            ("join B2 topics=u", "B2 in 1 range led by A []"),
            ("sync B2", "B2 has 'y'"),
            ("beat B", "B FencedInstanceId"),
            ("beat B2", "B2 ok"),
            // And one of the leader.
            ("join A2", "A2 in 1 range led by A [A,B] skip"),
            ("sync A2", "A2 has 'x'"),
            ("restart", ""),
            ("beat A", "A FencedInstanceId"),
            ("sync A2", "A2 has 'x'"),
            ("beat B2", "B2 ok"),
        ],
    );
}

#[test]
fn a_leader_of_old_does_not_learn_that_it_leads() {
    check(
        |_| {},
        &[
            ("join A", ""),
            ("+0", "A in 1 range led by A [A]"),
            ("sync A give=A:x", "A has 'x'"),
            // The leader's id is the one of before: it differs from the new one although both begin with A.
            ("join A2 v=8", "A2 in 1 range led by A []"),
            ("sync A2", "A2 has 'x'"),
        ],
    );
}

#[test]
fn a_static_member_that_comes_back_changed_starts_a_rebalance() {
    check(
        |_| {},
        &[
            ("join A protocols=range,sticky", ""),
            ("join b v=3 protocols=sticky,range", ""),
            ("+0", "A in 1 sticky led by A [A,b]; b in 1 sticky led by A []"),
            ("sync A give=A:x,b:y", "A has 'x'"),
            ("sync b", "b has 'y'"),
            ("join A2 protocols=range", ""),
            ("beat b", "b RebalanceInProgress"),
            ("join b protocols=sticky,range", "A2 in 2 range led by A [A,b]; b in 2 range led by A []"),
            // While the leader assigns, the old id may be in the assignment: another rebalance.
            ("sync b", ""),
            ("join A3", "b RebalanceInProgress"),
            ("join b", "A3 in 3 range led by A [A,b]; b in 3 range led by A []"),
        ],
    );
}

#[test]
fn a_waiting_member_is_fenced_by_its_successor() {
    check(
        |_| {},
        &[
            ("join A", ""),
            ("join A2", "A FencedInstanceId"),
            ("+0", "A2 in 1 range led by A [A]"),
            ("sync A2 give=A2:x", "A2 has 'x'"),
            ("join b v=3", ""),
            ("join A3", "A3 in 2 range led by A [A,b]; b in 2 range led by A []"),
            ("join A2", "A2 FencedInstanceId"),
            ("sync A2", "A2 FencedInstanceId"),
            ("leave A2", "A2 FencedInstanceId"),
            ("commit A2 t:0=1", "A2 FencedInstanceId"),
            ("join C id=unknown", "C UnknownMemberId"),
        ],
    );
}

#[test]
fn a_static_member_is_missed_no_longer_than_its_session() {
    check(
        |_| {},
        &[
            ("join A session=30000 rebalance=5000", ""),
            ("join b v=3 rebalance=5000", ""),
            ("+0", "A in 1 range led by A [A,b]; b in 1 range led by A []"),
            ("sync A give=A:x,b:y", "A has 'x'"),
            ("sync b", "b has 'y'"),
            ("join b topics=u rebalance=5000", ""),
            // A is away: it stays a member, but does not lead.
            ("+5000", "b in 2 range led by b [A,b]"),
            ("sync b give=b:z", "b has 'z'"),
            // It has not fetched its part in time.
            ("+5000", ""),
            ("beat b", "b RebalanceInProgress"),
            ("join b topics=u rebalance=5000", "b in 3 range led by b [b]"),
        ],
    );
    // Nobody but static members that are away: the rebalance waits for their sessions.
    check(
        |_| {},
        &[
            ("join A session=30000 rebalance=5000", ""),
            ("join B session=30000 rebalance=5000", ""),
            ("+0", "A in 1 range led by A [A,B]; B in 1 range led by A []"),
            ("sync A give=A:x,B:y", "A has 'x'"),
            ("sync B", "B has 'y'"),
            ("join c", "c MemberIdRequired"),
            ("join c rebalance=5000", ""),
            ("leave c", "c UnknownMemberId; c ok"),
            ("describe", "PreparingRebalance 'consumer' '' [A:0:x B:0:y]"),
            ("+25000", ""),
            ("describe", "PreparingRebalance 'consumer' '' [A:0:x B:0:y]"),
            ("+5001", ""),
            ("describe", "Empty 'consumer' '' []"),
        ],
    );
}

#[test]
fn administrators_remove_static_members_by_name() {
    check(
        |_| {},
        &[
            ("join A", ""),
            ("join b v=3", ""),
            ("+0", "A in 1 range led by A [A,b]; b in 1 range led by A []"),
            ("sync A", "A has ''"),
            ("leave A id=", "A ok"),
            ("leave A id=", "A UnknownMemberId"),
            ("leave b id=", "b UnknownMemberId"),
            ("join b", "b in 2 range led by b [b]"),
        ],
    );
}
