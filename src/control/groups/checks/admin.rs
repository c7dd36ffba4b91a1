//! DescribeGroups, ListGroups and DeleteGroups.

use crate::groups::checks::rig::check;

#[test]
fn groups_are_listed_by_state_and_type() {
    check(
        |_| {},
        &[
            ("commit t:0=1 group=c", "ok"),
            ("join a v=3 group=b", ""),
            ("join x v=3 type=connect group=a", ""),
            ("+0", "a in 1 range led by a [a]; x in 1 range led by x [x]"),
            ("sync x", "x has ''"),
            ("list", "a:connect:Stable:classic b:consumer:CompletingRebalance:classic c::Empty:classic"),
            ("list states=stable,EMPTY", "a:connect:Stable:classic c::Empty:classic"),
            ("list states=nonsense", ""),
            ("list types=Classic states=Empty", "c::Empty:classic"),
            ("list types=consumer", ""),
            ("list types=nonsense", ""),
        ],
    );
}

#[test]
fn groups_are_described() {
    check(
        |_| {},
        &[
            ("describe", "Dead '' '' [] GroupIdNotFound"),
            ("join a v=3 topics=t,u", ""),
            ("describe", "PreparingRebalance 'consumer' '' [a:0:]"),
            ("+0", "a in 1 range led by a [a]"),
            ("describe", "CompletingRebalance 'consumer' '' [a:0:]"),
            ("sync a give=a:x", "a has 'x'"),
            ("describe", "Stable 'consumer' 'range' [a:20:x]"),
        ],
    );
}

#[test]
fn groups_are_deleted_when_nobody_is_left() {
    check(
        |_| {},
        &[
            ("delete", "GroupIdNotFound"),
            ("join a v=3", ""),
            ("delete", "NonEmptyGroup"),
            ("+0", "a in 1 range led by a [a]"),
            ("delete", "NonEmptyGroup"),
            ("sync a", "a has ''"),
            ("commit a t:0=1", "a ok"),
            ("delete", "NonEmptyGroup"),
            ("leave a", "a ok"),
            ("join b", "b MemberIdRequired"),
            ("delete", "ok"),
            ("delete", "GroupIdNotFound"),
            ("fetch", "[]"),
            ("join b", "b UnknownMemberId"),
            ("+3600000", ""),
            ("restart", ""),
            ("list", ""),
            ("fetch t:0", "[t:0=-1]"),
        ],
    );
}

#[test]
fn a_group_without_members_and_offsets_goes() {
    check(
        |_| {},
        &[
            ("join a v=3", ""),
            ("+0", "a in 1 range led by a [a]"),
            ("leave a", "a ok"),
            ("join b session=700000", "b MemberIdRequired"),
            // An id that was given out keeps it.
            ("+600000", ""),
            ("join b", ""),
            ("+0", "b in 3 range led by b [b]"),
            ("leave b", "b ok"),
            ("+600000", ""),
            ("list", ""),
        ],
    );
}
