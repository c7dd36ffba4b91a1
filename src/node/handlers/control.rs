//! Commands to the controller, shared by the APIs that send them: from this shard to the first, and the answer back.

use corelane_base::id::ShardId;
use corelane_base::time::Now;
use corelane_control::controller::{Answer, Command};
use corelane_control::error::Refusal;
use corelane_wire::error_code::ErrorCode;

use crate::event::Effects;
use crate::mesh::MeshMessage;
use crate::pending::{Pending, PendingBody, RequestMeta};
use crate::shard::Shard;
use crate::slots::SlotId;

impl Shard {
    /// Sends a command on a request's behalf.
    pub(crate) fn command(
        &mut self,
        now: Now,
        meta: RequestMeta,
        body: PendingBody,
        command: Command,
        fx: &mut Effects,
    ) {
        // Without a deadline: what was decided must be told, and a metadata log that fails ends the broker.
        let deadline = corelane_base::time::Mono(u64::MAX);
        let pending = self.pending.insert(Pending { meta, deadline, body });
        let command = Box::new(command);
        self.tell(now, ShardId(0), MeshMessage::Control { pending, command }, fx);
    }

    /// The controller's answer is in, durable, and applied on every shard.
    pub(crate) fn on_control_done(&mut self, now: Now, id: SlotId, answer: Answer, fx: &mut Effects) {
        let Some(Pending { meta, body, .. }) = self.take_pending(id) else { return };
        match (body, answer) {
            (PendingBody::AutoCreate(state), Answer::AutoCreateTopics(results)) => {
                self.answer_auto_created(meta, &state, &results);
            }
            (PendingBody::FindCoordinator(state), Answer::CreateTopics(results)) => {
                self.on_offsets_topic(meta, &state, &results);
            }
            (_, Answer::CreateTopics(results)) => self.answer_create_topics(meta, &results),
            (_, Answer::DeleteTopics(results)) => self.answer_delete_topics(meta, &results),
            (_, Answer::CreatePartitions(results)) => self.answer_create_partitions(meta, &results),
            (_, Answer::AlterConfigs(results)) => self.answer_alter_configs(meta, &results),
            (_, Answer::IncrementalAlterConfigs(results)) => {
                self.answer_incremental_alter_configs(meta, &results)
            }
            (_, Answer::AllocateProducerIds(block)) => self.on_producer_ids(now, meta, block, fx),
            (body, answer) => unreachable!("{answer:?} does not answer {body:?}"),
        }
    }
}

/// A refusal's code and text, for responses that carry both.
pub(crate) fn outcome<T>(result: &Result<T, Refusal>) -> (i16, Option<&str>) {
    match result {
        Ok(_) => (ErrorCode::None.code(), None),
        Err(refusal) => (refusal.kind.code(), Some(&refusal.message)),
    }
}
