//! What happens when a member's time is over.

use std::sync::Arc;

use crate::groups::consumer::group::ConsumerGroup;
use crate::groups::consumer::moved::MovedGroup;
use crate::groups::timers::{Timer, TimerKind};
use crate::groups::turn::Turn;

impl ConsumerGroup {
    /// A timer of this group has fired. With a [`MovedGroup`] this group is no more.
    pub fn on_timer(&mut self, kind: TimerKind, turn: &mut Turn<'_>) -> Option<MovedGroup> {
        let member = match kind {
            TimerKind::ConsumerSession(member) => self.session_is_over(member, turn)?,
            TimerKind::ConsumerRebalance(member) => {
                let (_, epoch) = self.timers.get_mut(&member)?.rebalance.take()?;
                // Who has reached another epoch in time has done what it should.
                (self.state.members.get(&member)?.current.epoch == epoch).then_some(member)?
            }
            TimerKind::ConsumerJoin(member) => {
                self.timers.get_mut(&member)?.join.take()?;
                member
            }
            TimerKind::ConsumerSync(member) => {
                self.timers.get_mut(&member)?.sync.take()?;
                member
            }
            _ => return None,
        };
        self.fence(&[member], turn)
    }

    /// The member, if its session is over; else the timer goes on for what is left.
    fn session_is_over(&mut self, member: Arc<str>, turn: &mut Turn<'_>) -> Option<Arc<str>> {
        let group = Arc::clone(&self.id);
        let timers = self.timers.get_mut(&member)?;
        timers.session = None;
        if timers.session_deadline <= turn.now.mono {
            return self.state.members.contains_key(&member).then_some(member);
        }
        let timer = Timer { group, kind: TimerKind::ConsumerSession(member) };
        timers.session = Some(turn.timers.arm(timers.session_deadline, timer));
        None
    }
}
