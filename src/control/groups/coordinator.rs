//! The coordinator of the groups whose records lie in one partition of `__consumer_offsets`.
//!
//! A step changes the state in memory at once and asks for records to be stored; an answer leaves when everything it
//! rests on has been stored. After a failed store the state in memory is ahead of the log: the coordinator refuses
//! everything from then on, and its host drops it and loads a new one.

use std::collections::VecDeque;

use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now};

use crate::groups::answer::GroupAnswer;
use crate::groups::command::{GroupAsk, GroupCommand};
use crate::groups::effect::{GroupEffect, GroupReplayError, WriteId};
use crate::groups::error::GroupError;
use crate::groups::settings::GroupSettings;
use crate::image::ClusterImage;

/// What a step may look at: the clocks, the topics, chance.
#[derive(Debug)]
pub struct GroupCx<'a> {
    /// The time of this turn.
    pub now: Now,
    /// The topics that exist.
    pub image: &'a ClusterImage,
    /// Chance, for member ids.
    pub rng: &'a mut Rng,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupCoordinator {
    /// What is to be done, in order. The host empties it after every call.
    pub out: VecDeque<GroupEffect>,
    settings: GroupSettings,
}

impl GroupCoordinator {
    /// A coordinator that knows no group yet: [`GroupCoordinator::replay`] the partition, then call
    /// [`GroupCoordinator::loaded`].
    #[must_use]
    pub fn new(settings: GroupSettings) -> GroupCoordinator {
        GroupCoordinator { out: VecDeque::new(), settings }
    }

    /// Takes over changed settings. They hold from the next step on.
    pub fn set_settings(&mut self, settings: GroupSettings) {
        self.settings = settings;
    }

    /// Applies one record of the partition, while loading, in the order of offsets. Records of types that this broker
    /// does not know are skipped, as they are a newer broker's. Errors: [`GroupReplayError`], for bytes that are not
    /// the record their key says; the state is as before, and the host may go on behind it.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), GroupReplayError> {
        let _ = (key, value);
        Ok(())
    }

    /// Ends the loading: the session timers of known members begin.
    pub fn loaded(&mut self, cx: &mut GroupCx<'_>) {
        let _ = cx;
    }

    /// Takes a command. Its answer may come at once, after a store, or when a rebalance is over.
    pub fn handle(&mut self, ask: GroupAsk, command: GroupCommand, cx: &mut GroupCx<'_>) {
        let _ = (command, cx, &self.settings);
        let answer = GroupAnswer::Refused(GroupError::CoordinatorNotAvailable);
        self.out.push_back(GroupEffect::Answer { ask, answer });
    }

    /// Tells the outcome of a store, in the order of the stores. After an error the coordinator answers everything that
    /// waits with it, and the host has to load a new one.
    pub fn stored(&mut self, write: WriteId, result: Result<(), GroupError>) {
        let _ = (write, result);
    }

    /// Carries out what is due.
    pub fn on_timer(&mut self, cx: &mut GroupCx<'_>) {
        let _ = cx;
    }

    /// When [`GroupCoordinator::on_timer`] has something to do. Includes the expiry of offsets.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        None
    }

    /// Topics were created, deleted or got more partitions: `cx.image` is the state after it. The offsets of deleted
    /// topics go.
    pub fn on_topics_changed(&mut self, cx: &mut GroupCx<'_>) {
        let _ = cx;
    }

    /// This broker leads the partition no more: answers everything that waits with `NOT_COORDINATOR`. Everything later
    /// is answered the same.
    pub fn resigned(&mut self) {}
}
