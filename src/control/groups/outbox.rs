//! Which answers wait for which stores.

use std::collections::{BTreeMap, VecDeque};

use crate::groups::answer::GroupAnswer;
use crate::groups::command::GroupAsk;
use crate::groups::effect::{CoordinatorRecord, GroupEffect, WriteId};

/// The stores under way and what waits for them. Invariant: nothing waits for a store that is over.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The next store.
    next: u64,
    /// The first store that is still under way.
    stored: u64,
    waiting: BTreeMap<WriteId, Vec<(GroupAsk, GroupAnswer)>>,
}

impl Outbox {
    /// Asks for the records of a step to be stored, in as many batches as they need. Names the last one.
    pub fn store(
        &mut self,
        records: &mut Vec<CoordinatorRecord>,
        batch_room: usize,
        out: &mut VecDeque<GroupEffect>,
    ) -> Option<WriteId> {
        let mut last = None;
        let mut batch = Vec::with_capacity(records.len());
        let mut bytes = 0;
        for record in records.drain(..) {
            let more = record.size_max();
            if bytes + more > batch_room && !batch.is_empty() {
                last = Some(self.push(core::mem::take(&mut batch), out));
                bytes = 0;
            }
            bytes += more;
            batch.push(record);
        }
        if !batch.is_empty() {
            last = Some(self.push(batch, out));
        }
        last
    }

    fn push(&mut self, records: Vec<CoordinatorRecord>, out: &mut VecDeque<GroupEffect>) -> WriteId {
        let write = WriteId(self.next);
        self.next += 1;
        out.push_back(GroupEffect::Store { write, records });
        write
    }

    /// Answers at once, or when that store is over.
    pub fn answer(
        &mut self,
        ask: GroupAsk,
        answer: GroupAnswer,
        rests_on: Option<WriteId>,
        out: &mut VecDeque<GroupEffect>,
    ) {
        match rests_on.filter(|write| write.0 >= self.stored) {
            Some(write) => self.waiting.entry(write).or_default().push((ask, answer)),
            None => out.push_back(GroupEffect::Answer { ask, answer }),
        }
    }

    /// A store is over, and with it all earlier ones: lets their answers leave.
    pub fn stored(&mut self, write: WriteId, out: &mut VecDeque<GroupEffect>) {
        assert!(write.0 < self.next, "only what was asked for is stored");
        self.stored = self.stored.max(write.0 + 1);
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= write) {
            let answers = first.remove().into_iter();
            out.extend(answers.map(|(ask, answer)| GroupEffect::Answer { ask, answer }));
        }
    }

    /// The last store that was asked for and is not over.
    #[must_use]
    pub fn under_way(&self) -> Option<WriteId> {
        (self.next > self.stored).then(|| WriteId(self.next - 1))
    }

    /// Gives up all stores: who waited for them.
    pub fn give_up(&mut self) -> impl Iterator<Item = GroupAsk> {
        let waiting = core::mem::take(&mut self.waiting);
        waiting.into_values().flatten().map(|(ask, _)| ask)
    }
}
