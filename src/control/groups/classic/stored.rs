//! A classic group as its record says it, both ways.

use std::sync::Arc;

use corelane_base::time::{Mono, Now, WallMs};

use crate::groups::classic::group::{ClassicGroup, ClassicState};
use crate::groups::classic::member::ClassicMember;
use crate::groups::command::{Client, JoinProtocol};
use crate::groups::effect::CoordinatorRecord;
use crate::groups::records::{self, GroupValue, MemberValue};

impl ClassicGroup {
    /// The record that tells this group: members with the subscription and the assignment of this generation. Without a
    /// leader if they have not all heard of it, and a rebalance is to tell them.
    #[must_use]
    pub fn record(&self) -> CoordinatorRecord {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.values().map(|member| MemberValue {
            id: &member.id,
            instance_id: member.instance_id.as_deref(),
            client_id: &member.client.id,
            client_host: &member.client.host,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: &member.assignment,
        });
        let value = GroupValue {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.as_deref(),
            leader: self.leader.as_deref().filter(|_| !self.owes_rebalance),
            state_since: self.state_since.map_or(-1, |since| since.0),
            members: members.collect(),
        };
        records::group(&self.id, &value)
    }

    /// The record of a group that has just come into being and has no generation yet.
    #[must_use]
    pub fn founding_record(&self) -> CoordinatorRecord {
        let value = GroupValue {
            protocol_type: "",
            generation: 0,
            protocol: None,
            leader: None,
            state_since: self.state_since.map_or(-1, |since| since.0),
            members: Vec::new(),
        };
        records::group(&self.id, &value)
    }

    /// The group that a record tells: stable if it has members, and nobody waits. A member that is told twice counts
    /// once; so does an instance id.
    #[must_use]
    pub fn of_record(id: Arc<str>, value: &GroupValue<'_>) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, Now::default());
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type.to_owned()).filter(|text| !text.is_empty());
        group.protocol = value.protocol.map(str::to_owned);
        group.state_since = Some(WallMs(value.state_since)).filter(|since| since.0 != -1);
        for member in &value.members {
            let is_known = group.members.contains_key(member.id)
                || member.instance_id.is_some_and(|name| group.static_members.contains_key(name));
            if !is_known {
                group.add(loaded_member(member, value.protocol.unwrap_or_default()));
            }
        }
        if !group.members.is_empty() {
            group.state = ClassicState::Stable;
            group.previous = ClassicState::CompletingRebalance;
            group.protocol.get_or_insert_default();
            group.owes_rebalance = value.leader.is_none();
        }
        if let Some(leader) = value.leader.filter(|leader| group.members.contains_key(*leader)) {
            group.leader = Some(leader.into());
        }
        group.subscribed = group.read_subscriptions();
        group
    }
}

fn loaded_member(member: &MemberValue<'_>, protocol: &str) -> ClassicMember {
    let rebalance_timeout_ms = match member.rebalance_timeout_ms {
        -1 => member.session_timeout_ms,
        timeout_ms => timeout_ms,
    };
    ClassicMember {
        id: member.id.into(),
        instance_id: member.instance_id.map(Arc::from),
        client: Client { id: member.client_id.to_owned(), host: member.client_host.to_owned() },
        rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout_ms,
        protocols: vec![JoinProtocol { name: protocol.to_owned(), metadata: member.subscription.into() }],
        assignment: member.assignment.into(),
        joining: None,
        syncing: None,
        is_new: false,
        deadline: Mono::default(),
        session: None,
    }
}
