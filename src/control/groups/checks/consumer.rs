//! Consumer groups through the coordinator: both protocols in one group, groups that change their kind, restarts.

use crate::groups::checks::rig::check;
use crate::groups::settings::MigrationPolicy;

#[test]
fn a_consumer_group_lives_and_ends() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("hb m epoch=3", "m GroupIdNotFound"),
            ("hb m epoch=-1", "m GroupIdNotFound"),
            ("about", "GroupIdNotFound"),
            ("hb m epoch=0 regex=(", "m InvalidRegularExpression"),
            ("list", ""),
            ("hb m epoch=0", "m at 1 has [1.0.1.2.3]"),
            ("hb n epoch=0", "n at 2 has []"),
            ("about", "Reconciling 2/2 uniform [m at 1 1.0.1.2.3/1.0.1; n at 2 /1.2.3]"),
            ("hb m own=1:0,1:1", "m at 2 has [1.0.1]"),
            ("hb n", "n at 2 has [1.2.3]"),
            ("about", "Stable 2/2 uniform [m at 2 1.0.1/1.0.1; n at 2 1.2.3/1.2.3]"),
            ("list", "g:consumer:Stable:consumer"),
            ("list types=classic", ""),
            ("describe", "Dead '' '' [] GroupIdNotFound"),
            ("restart", ""),
            ("about", "Stable 2/2 uniform [m at 2 1.0.1/1.0.1; n at 2 1.2.3/1.2.3]"),
            ("hb m", "m at 2"),
            ("delete", "NonEmptyGroup"),
            ("hb n epoch=-1", "n at -1"),
            ("hb m", "m at 3 has [1.0.1.2.3]"),
            // Nobody is heard of any more.
            ("+50000", ""),
            ("about", "Empty 4/3 uniform []"),
            ("restart", ""),
            ("about", "Empty 4/3 uniform []"),
            ("hb m", "m UnknownMemberId"),
            ("delete", "ok"),
            ("about", "GroupIdNotFound"),
            ("restart", ""),
            ("list", ""),
        ],
    );
}

#[test]
fn answers_wait_for_their_records() {
    check(
        |_| {},
        &[
            ("hold", ""),
            ("hb m epoch=0", ""),
            ("about", ""),
            ("store", "m at 1 has [1.0.1.2.3]; Stable 1/1 uniform [m at 1 1.0.1.2.3/1.0.1.2.3]"),
            ("hb m", "m at 1"),
            ("hb m epoch=-1", ""),
            ("fail", "m refused CoordinatorNotAvailable"),
            ("hb m", "m refused CoordinatorNotAvailable"),
            ("restart", ""),
            ("about", "Stable 1/1 uniform [m at 1 1.0.1.2.3/1.0.1.2.3]"),
        ],
    );
}

#[test]
fn commits_and_fetches_look_at_epochs() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("hb m epoch=0", "m at 1 has [1.0.1.2.3]"),
            ("commit m t:0=5", "m ok"),
            ("commit m t:0=5 v=8", "m UnsupportedVersion"),
            ("commit x t:0=5 gen=1", "x UnknownMemberId"),
            ("commit t:0=5", "UnknownMemberId"),
            ("hb n epoch=0", "n at 2 has []"),
            ("commit n t:3=7 gen=1", "n StaleMemberEpoch"),
            ("commit m t:0=6 gen=0", "m StaleMemberEpoch"),
            ("commit m t:0=6 gen=2", "m StaleMemberEpoch"),
            ("hb m own=1:0,1:1", "m at 2 has [1.0.1]"),
            // An old epoch is good for what the member has had since then.
            ("commit m t:1=8 gen=1", "m ok"),
            ("commit m t:2=8 gen=1", "m StaleMemberEpoch"),
            ("fetch t:0 t:1", "[t:0=5 t:1=8]"),
            ("forget t:0", "GroupSubscribedToTopic"),
            ("restart", ""),
            ("fetch", "[t:0=5 t:1=8]"),
            ("hb m epoch=-1", "m at -1"),
            ("hb n epoch=-1", "n at -1"),
            ("commit t:0=1", "ok"),
            ("forget t:0", "ok"),
            ("delete", "ok"),
            ("restart", ""),
            ("list", ""),
        ],
    );
}

#[test]
fn an_empty_group_takes_the_protocol_of_who_comes() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            // Offsets of nobody, then of a consumer group, then of a classic one.
            ("commit t:0=1", "ok"),
            ("hb m epoch=0", "m at 1 has [1.0.1.2.3]"),
            ("hb m epoch=-1", "m at -1"),
            ("list", "g:consumer:Empty:consumer"),
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a give=a:t.0", "a has 't.0'"),
            ("list", "g:consumer:Stable:classic"),
            ("about", "GroupIdNotFound"),
            ("restart", ""),
            ("list", "g:consumer:Stable:classic"),
            ("leave a", "a ok"),
            ("hb m epoch=0", "m at 1 has [1.0.1.2.3]"),
            ("restart", ""),
            ("about", "Stable 1/1 uniform [m at 1 1.0.1.2.3/1.0.1.2.3]"),
            ("fetch", "[t:0=1]"),
        ],
    );
}

#[test]
fn a_classic_group_is_upgraded_member_by_member_and_back() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a give=a:t.0.1.2.3", "a has 't.0.1.2.3'"),
            ("commit a t:0=3", "a ok"),
            // The first member of the new protocol.
            ("hb m epoch=0", "m at 2 has []"),
            ("about", "Reconciling 2/2 uniform [a at 1 classic 1.0.1.2.3/1.0.1; m at 2 /1.2.3]"),
            ("restart", ""),
            ("about", "Reconciling 2/2 uniform [a at 1 classic 1.0.1.2.3/1.0.1; m at 2 /1.2.3]"),
            ("beat a", "a RebalanceInProgress"),
            ("sync a", "a RebalanceInProgress"),
            ("commit a t:0=4", "a ok"),
            ("join a", "a in 2 range led by  []"),
            ("sync a type=consumer protocol=range", "a has 't.0.1'"),
            ("sync a protocol=sticky", "a InconsistentGroupProtocol"),
            ("sync a gen=1", "a IllegalGeneration"),
            ("beat a gen=1", "a IllegalGeneration"),
            ("beat a", "a ok"),
            ("hb m", "m at 2 has [1.2.3]"),
            ("about", "Stable 2/2 uniform [a at 2 classic 1.0.1/1.0.1; m at 2 1.2.3/1.2.3]"),
            // One more of the old.
            ("join b protocols=sticky", "b InconsistentGroupProtocol"),
            ("join b", "b MemberIdRequired"),
            ("join b", "b in 3 range led by  []"),
            ("sync b", "b has ''"),
            ("hb m own=1:2", "m at 3 has [1.2]"),
            ("beat b", "b RebalanceInProgress"),
            ("join b", "b in 3 range led by  []"),
            ("sync b", "b has 't.3'"),
            // The only one of the new protocol goes: the group is a classic one again, and rebalances.
            ("hb m epoch=-1", "m at -1"),
            ("list", "g:consumer:PreparingRebalance:classic"),
            ("beat a", "a IllegalGeneration"),
            ("beat b", "b RebalanceInProgress"),
            ("join a", ""),
            // A member id that a consumer group has drawn does not begin with the client's.
            ("join b", "a in 4 range led by a [a,da211e6a]; b in 4 range led by a []"),
            ("sync a give=a:t.0.1,b:t.2.3", "a has 't.0.1'"),
            ("sync b", "b has 't.2.3'"),
            ("fetch", "[t:0=4]"),
        ],
    );
}

#[test]
fn a_downgraded_group_rebalances_even_if_its_coordinator_restarts() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("sync a give=a:t.0.1.2.3", "a has 't.0.1.2.3'"),
            ("hb m epoch=0", "m at 2 has []"),
            ("join a", "a in 2 range led by  []"),
            ("sync a type=consumer protocol=range", "a has 't.0.1'"),
            ("hb m", "m at 2 has [1.2.3]"),
            // What it leaves is nobody's before the rebalance, of which nobody has heard yet.
            ("hb m epoch=-1", "m at -1"),
            ("list", "g:consumer:PreparingRebalance:classic"),
            ("restart", ""),
            ("list", "g:consumer:PreparingRebalance:classic"),
            ("beat a", "a RebalanceInProgress"),
            ("join a", "a in 3 range led by a [a]"),
            ("restart", ""),
            ("list", "g:consumer:PreparingRebalance:classic"),
            ("join a", "a in 3 range led by a [a]"),
            ("sync a give=a:t.0.1.2.3", "a has 't.0.1.2.3'"),
            ("restart", ""),
            ("list", "g:consumer:Stable:classic"),
            ("beat a", "a ok"),
        ],
    );
}

#[test]
fn a_group_is_upgraded_while_it_rebalances() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("join b v=3", ""),
            // Who waits for the others is told to come again.
            ("hb m epoch=0", "b RebalanceInProgress; m at 2 has [1.3]"),
            ("list", "g:consumer:Reconciling:consumer"),
            ("beat a", "a RebalanceInProgress"),
            ("join a", "a in 2 range led by  []"),
            ("sync a", "a has 't.0.1'"),
            ("leave a b", "a ok,UnknownMemberId"),
        ],
    );
}

#[test]
fn the_policy_decides_about_moves() {
    let upgrade = |policy| {
        check(
            |settings| settings.consumer_migration = policy,
            &[("join a v=3", ""), ("+0", "a in 1 range led by a [a]"), ("hb m epoch=0", "m GroupIdNotFound")],
        );
    };
    upgrade(MigrationPolicy::Disabled);
    upgrade(MigrationPolicy::Downgrade);
    // Members of the old protocol may come as long as anything is allowed.
    check(
        |settings| settings.consumer_migration = MigrationPolicy::Disabled,
        &[("hb m epoch=0", "m at 1 has [1.0.1.2.3]"), ("join a v=3", "a InconsistentGroupProtocol")],
    );
    check(
        |settings| settings.consumer_migration = MigrationPolicy::Upgrade,
        &[
            ("hb m epoch=0", "m at 1 has [1.0.1.2.3]"),
            ("join a v=3", "a in 1 range led by  []"),
            ("hb m epoch=-1", "m at -1"),
            ("list", "g:consumer:Assigning:consumer"),
            // Nobody of the new protocol is left: the classic members keep the group going.
            ("+1000", ""),
            ("beat a", "a RebalanceInProgress"),
            ("join a", "a in 3 range led by  []"),
            ("sync a", "a has 't.0.1.2.3'"),
            ("beat a", "a ok"),
        ],
    );
    // Groups of something else than consumers stay what they are, and so do those with assignors of their own.
    check(
        |_| {},
        &[
            ("join a v=3 type=connect", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("hb m epoch=0", "m GroupIdNotFound"),
        ],
    );
}

#[test]
fn classic_members_of_a_consumer_group_are_given_up_in_time() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("hb m epoch=0", "m at 1 has [1.0.1.2.3]"),
            // Who joins and does not fetch its assignment.
            ("join a v=3 rebalance=5000", "a in 2 range led by  []"),
            ("+4999", ""),
            ("beat a", "a ok"),
            ("+1", ""),
            ("beat a", "a UnknownMemberId"),
            // Who is told to join again and does not.
            ("join b v=3 rebalance=5000", "b in 4 range led by  []"),
            ("sync b", "b has ''"),
            ("hb m own=1:0,1:1", "m at 4 has [1.0.1]"),
            ("beat b", "b RebalanceInProgress"),
            ("+4999", ""),
            ("beat b", "b RebalanceInProgress"),
            ("+1", ""),
            ("beat b", "b UnknownMemberId"),
            // Who is silent: its own session timeout counts.
            ("join c v=3", "c in 6 range led by  []"),
            ("sync c", "c has 't.2.3'"),
            ("+9999", ""),
            ("beat c", "c ok"),
            ("+10000", ""),
            ("beat c", "c UnknownMemberId"),
        ],
    );
}

#[test]
fn static_members_change_the_protocol() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("hb A epoch=0", "A at 1 has [1.0.1.2.3]"),
            // The same instance with the old protocol: nobody else is left, the group is a classic one, unchanged.
            ("join A2 v=3", "A2 in 1 range led by  []"),
            ("list", "g:consumer:Stable:classic"),
            ("sync A2", "A2 has 't.0.1.2.3'"),
            ("beat A2", "A2 ok"),
            // And forward again.
            ("hb A3 epoch=0", "A3 at 2 has [1.0.1.2.3]"),
            ("about", "Stable 2/2 uniform [A3 at 2 1.0.1.2.3/1.0.1.2.3]"),
            ("beat A2", "A2 FencedInstanceId"),
            ("hb A3 epoch=-2", "A3 at -2"),
            ("hb A4 epoch=0", "A4 at 2 has [1.0.1.2.3]"),
            ("restart", ""),
            ("hb A4", "A4 at 2"),
        ],
    );
}

#[test]
fn the_last_consumer_changes_the_protocol_before_others_have_their_part() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("hb A epoch=0", "A at 1 has [1.0.1.2.3]"),
            ("join b v=3", "b in 2 range led by  []"),
            ("sync b", "b has ''"),
            // What it had to give up is free now, and it is not the group's last word.
            ("join A2 v=3", "A2 in 2 range led by  []"),
            ("list", "g:consumer:PreparingRebalance:classic"),
            ("beat b", "b RebalanceInProgress"),
        ],
    );
}

#[test]
fn a_static_member_changes_the_protocol_before_anything_is_assigned() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("join A v=3", ""),
            ("+0", "A in 1 range led by A [A]"),
            // It subscribes to what it did, and yet there is something to be assigned.
            ("hb A2 epoch=0", "A2 at 2 has [1.0.1.2.3]"),
        ],
    );
}

#[test]
fn patterns_meet_new_topics() {
    check(
        |settings| settings.consumer_assignment_interval_ms = 0,
        &[
            ("hb m epoch=0 topics= regex=[tv]", "m at 1 has [1.0.1.2.3]"),
            ("make v", ""),
            ("hb m", "m at 1"),
            ("restart", ""),
            ("hb m", "m at 2 has [1.0.1.2.3 3.0.1.2.3]"),
            ("drop t", ""),
            ("hb m", "m at 2 has [3.0.1.2.3]"),
            ("hb m own=3:0,3:1,3:2,3:3", "m at 3"),
        ],
    );
}
