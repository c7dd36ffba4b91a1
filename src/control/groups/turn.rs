//! What one step of a group may use, and where it leaves records and answers.
//!
//! Everything a step answers rests on everything its group has written, up to and including this step: answers are
//! gathered and leave with the step's last store. Heartbeats alone rest on nothing.

use std::sync::Arc;

use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now};

use crate::groups::answer::GroupAnswer;
use crate::groups::command::GroupAsk;
use crate::groups::effect::CoordinatorRecord;
use crate::groups::settings::GroupSettings;
use crate::groups::timers::{Timer, TimerId, TimerKind, Timers};
use crate::image::ClusterImage;

/// One step's surroundings.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time of this step.
    pub now: Now,
    /// The topics that exist.
    pub image: &'a ClusterImage,
    /// Chance, for member ids.
    pub rng: &'a mut Rng,
    /// The settings.
    pub settings: &'a GroupSettings,
    /// Everybody's deadlines.
    pub timers: &'a mut Timers,
    /// What is to be stored, in order.
    pub records: &'a mut Vec<CoordinatorRecord>,
    /// What is to be answered once the records are stored.
    pub answers: &'a mut Vec<(GroupAsk, GroupAnswer)>,
}

impl Turn<'_> {
    /// Stores a record behind those of this step so far.
    pub fn store(&mut self, record: CoordinatorRecord) {
        self.records.push(record);
    }

    /// Answers a command once everything its group has written is stored.
    pub fn answer(&mut self, ask: GroupAsk, answer: GroupAnswer) {
        self.answers.push((ask, answer));
    }

    /// How many bytes the records of one batch may take together.
    #[must_use]
    pub fn batch_room(&self) -> usize {
        self.settings.batch_room()
    }

    /// The moment `ms` milliseconds from now; negative means now.
    #[must_use]
    pub fn in_ms(&self, ms: i32) -> Mono {
        self.now.mono.plus_ms(u64::try_from(ms).unwrap_or(0))
    }

    /// Arms a group's timer in `slot`, in place of the one that was there.
    pub fn arm_in(&mut self, slot: &mut Option<TimerId>, ms: i32, group: &Arc<str>, kind: TimerKind) {
        let at = self.in_ms(ms);
        self.timers.arm_in(slot, at, Timer { group: Arc::clone(group), kind });
    }

    /// A random id in the form of a UUID of version 4.
    #[must_use]
    pub fn uuid(&mut self) -> String {
        let mut bytes = self.rng.bytes16();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 0x0f] {
                text.push(char::from_digit(u32::from(digit), 16).expect("a digit of four bits"));
            }
        }
        text
    }
}
