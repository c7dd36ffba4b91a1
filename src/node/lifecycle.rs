//! A shard's start, housekeeping and end: the transitions of [`Phase`].

use bytes::Bytes;
use corelane_base::id::ShardId;
use corelane_base::time::{Mono, Now};
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskToken};
use corelane_log::settings::NoticeLevel;

use crate::checkpoint;
use crate::event::{Effects, Lifecycle, NetEffect, Severity};
use crate::finding::{CLEAN_PATH, Finding, STORE_SLOT};
use crate::groups::GROUPS_SLOT;
use crate::mesh::{MeshMessage, PartitionKey};
use crate::metadata_log::{METADATA_SLOT, SNAPSHOT_SLOT};
use crate::pending::PendingBody;
use crate::phase::{Closing, Phase, Serving};
use crate::shard::{REFUSALS_TOLD_MAX, Shard};
use crate::slots::SlotId;
use crate::timers::Deadline;

const HOUSEKEEPING_MS: u64 = 1000;
/// How often the room on a disk that fills up is looked at: at a gigabyte a second 20 MiB go in between.
const SPACE_MS: u64 = 20;
/// Checkpoints bound what a start after a crash must scan.
const CHECKPOINT_MS: u64 = 5000;
/// When retention looks at the logs first, if its interval is longer. Kafka: `log.initial.task.delay.ms`.
const RETENTION_FIRST_MS: u64 = 30_000;
/// How long a stop waits for answers before it goes on without them.
const DRAIN_MS: u64 = 10_000;
/// Below this room on the file system produce is refused, in bytes, or below a twentieth of it if that is less:
/// the room that checkpoints, metadata and deletions need.
const DISK_RESERVE_BYTES: u64 = 1 << 30;

impl From<NoticeLevel> for Severity {
    fn from(level: NoticeLevel) -> Severity {
        match level {
            NoticeLevel::Error => Severity::Error,
            NoticeLevel::Warn => Severity::Warn,
            NoticeLevel::Info => Severity::Info,
        }
    }
}

impl Shard {
    /// Begins: the first shard looks at the disk; `Lifecycle::Ready` follows when the own logs are open.
    pub fn start(&mut self, now: Now, fx: &mut Effects) {
        assert!(matches!(self.phase, Phase::New), "started once");
        self.owner.start(&mut fx.disk);
        self.phase = if self.id() == ShardId(0) {
            Phase::Finding(Finding::begin(&mut fx.disk))
        } else {
            Phase::Waiting
        };
        self.timers.add(now.mono.plus_ms(HOUSEKEEPING_MS), Deadline::Housekeeping);
    }

    /// Whether clients are served.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving(_))
    }

    pub(crate) fn on_disk(
        &mut self,
        now: Now,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        fx: &mut Effects,
    ) {
        match token.owner() {
            METADATA_SLOT | SNAPSHOT_SLOT => {
                let cx = &mut self.owner.log_cx(now, &mut fx.disk);
                if let Some(log) = &mut self.metadata_log {
                    log.on_disk(token, result, cx);
                }
                self.take_metadata_outcomes(now, fx);
            }
            STORE_SLOT => self.on_own_file(now, token, result, fx),
            GROUPS_SLOT => self.on_group_disk(now, token, result, fx),
            _ => self.owner.on_disk(token, result, now, &mut fx.disk),
        }
    }

    fn on_own_file(
        &mut self,
        now: Now,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        fx: &mut Effects,
    ) {
        match &mut self.phase {
            Phase::Finding(_) => self.on_found(now, token, result, fx),
            Phase::Recording { incarnation, token: expected } if *expected == token => {
                let incarnation = *incarnation;
                self.owner.on_checkpoint_stored(result.is_ok());
                match result {
                    Ok(_) => {}
                    Err(error) if error.is_shortage() => {
                        // Serving is the only way to make room. The earlier checkpoints stay true, only older.
                        let text = format!(
                            "the first checkpoint is missing: {error}; the next start may take longer"
                        );
                        notice(fx, Severity::Warn, text);
                        self.tell(now, ShardId(0), MeshMessage::FirstCheckpointMissing, fx);
                    }
                    Err(error) => {
                        fatal(fx, &format!("the first checkpoint cannot be stored: {error}"));
                        return;
                    }
                }
                self.begin_serving(now, incarnation, fx);
            }
            Phase::Serving(serving) if serving.checkpoint == Some(token) => {
                serving.checkpoint = None;
                self.owner.on_checkpoint_stored(result.is_ok());
                if let Err(error) = result {
                    notice(fx, Severity::Warn, format!("a checkpoint was not stored: {error}"));
                }
            }
            Phase::Draining { checkpoint, .. } if *checkpoint == Some(token) => {
                *checkpoint = None;
                self.owner.on_checkpoint_stored(result.is_ok());
            }
            Phase::Serving(serving) if serving.space == Some(token) => {
                serving.space = None;
                if let Ok(DiskOutcome::Space { total, free }) = result {
                    self.on_space(now, total, free, fx);
                }
            }
            Phase::Closing(closing) => {
                if closing.checkpoint == Some(token) {
                    closing.checkpoint = None;
                    self.owner.on_checkpoint_stored(result.is_ok());
                } else if closing.marker == Some(token) {
                    closing.marker = None;
                    self.phase = Phase::Stopped;
                    fx.lifecycle.push(Lifecycle::Drained);
                    return;
                }
                if let Err(error) = result {
                    notice(fx, Severity::Error, format!("the stop is not clean: {error}"));
                    self.stop(now, false, fx);
                }
            }
            _ => {}
        }
    }

    fn begin_serving(&mut self, now: Now, incarnation: u64, fx: &mut Effects) {
        let checkpoint_next = now.mono.plus_ms(CHECKPOINT_MS);
        let retention_ms = RETENTION_FIRST_MS.min(self.config.retention_check_interval_ms.max(1) as u64);
        self.phase = Phase::Serving(Serving {
            incarnation,
            checkpoint: None,
            checkpoint_next,
            retention_next: now.mono.plus_ms(retention_ms),
            space: None,
            space_deadline: false,
        });
        self.ask_for_space(fx);
        fx.lifecycle.push(Lifecycle::Ready);
        self.tell(now, ShardId(0), MeshMessage::MetadataApplied { version: 1 }, fx);
        self.load_groups(now, fx);
    }

    /// Takes the phase on when what it waits for is there; called each turn.
    pub(crate) fn advance_lifecycle(&mut self, now: Now, fx: &mut Effects) {
        match self.phase {
            Phase::Opening { incarnation } if self.owner.opening() == 0 => {
                let token = self.store_checkpoint(incarnation, fx);
                self.phase = Phase::Recording { incarnation, token };
            }
            Phase::Serving(Serving { incarnation, checkpoint: None, .. })
                if self.owner.awaits_checkpoint() =>
            {
                self.store_next_checkpoint(now, incarnation, fx);
            }
            Phase::Draining { incarnation, until, checkpoint } => {
                self.drain_on(now, incarnation, until, checkpoint.is_none(), fx);
            }
            Phase::Closing(Closing { checkpoint: None, marker: None }) => self.finish_closing(now, fx),
            _ => {}
        }
    }

    /// Goes on to the last checkpoint once nothing is under way. From then on other shards, which may not have been
    /// told yet, are refused whatever they ask of the logs: it would not be in the checkpoint.
    fn drain_on(&mut self, now: Now, incarnation: u64, until: Mono, stored: bool, fx: &mut Effects) {
        let waits = self.pending.iter().any(|(_, pending)| matches!(pending.body, PendingBody::Produce(_)));
        let idle =
            stored && self.owner.is_idle() && self.metadata_log.as_ref().is_none_or(|log| log.is_idle());
        if idle && (!waits || now.mono >= until) {
            self.owner.close();
            let token = self.store_checkpoint(incarnation, fx);
            self.phase = Phase::Closing(Closing { checkpoint: Some(token), marker: None });
        } else if now.mono >= until {
            // What is still under way may or may not reach the disk: for the next start this is a crash.
            let text = "the stop is not clean: the disk did not come to rest in time".to_owned();
            notice(fx, Severity::Error, text);
            self.stop(now, false, fx);
        }
    }

    fn finish_closing(&mut self, now: Now, fx: &mut Effects) {
        if self.id() != ShardId(0) {
            self.stop(now, true, fx);
        } else if self.drained_others == self.settings.shard_count - 1 {
            if self.drained_badly {
                self.stop(now, false, fx);
                return;
            }
            let data = Bytes::from_static(b"the last stop was in order\n");
            let marker = fx.disk.push(STORE_SLOT, DiskOp::WriteFile { path: CLEAN_PATH.to_owned(), data });
            self.phase = Phase::Closing(Closing { checkpoint: None, marker: Some(marker) });
        }
    }

    /// Another shard has stopped: its last checkpoint is stored, or the next start must recover.
    pub(crate) fn on_shard_drained(&mut self, clean: bool) {
        self.drained_others += 1;
        self.drained_badly |= !clean;
    }

    /// This shard does nothing more. The first shard waits for word of every other, good or bad.
    fn stop(&mut self, now: Now, clean: bool, fx: &mut Effects) {
        self.phase = Phase::Stopped;
        if self.id() != ShardId(0) {
            self.tell(now, ShardId(0), MeshMessage::Drained { clean }, fx);
        }
        fx.lifecycle.push(Lifecycle::Drained);
    }

    pub(crate) fn on_shutdown(&mut self, now: Now, fx: &mut Effects) {
        let (incarnation, checkpoint) = match &self.phase {
            Phase::Serving(serving) => (serving.incarnation, serving.checkpoint),
            Phase::Draining { .. } | Phase::Closing(_) | Phase::Stopped => return,
            Phase::New
            | Phase::Finding(_)
            | Phase::Waiting
            | Phase::Opening { .. }
            | Phase::Recording { .. } => {
                // Nothing was accepted, and the marker of the last stop is gone: the next start recovers.
                self.stop(now, false, fx);
                return;
            }
        };
        self.phase = Phase::Draining { incarnation, until: now.mono.plus_ms(DRAIN_MS), checkpoint };
        for session in self.sessions.iter_mut().flatten() {
            session.draining = true;
            if !session.paused && !session.closing {
                session.paused = true;
                fx.net.push(NetEffect::Pause { conn: session.conn });
            }
        }
        let fetches: Vec<SlotId> = self
            .pending
            .iter()
            .filter(|(_, pending)| matches!(pending.body, PendingBody::Fetch(_)))
            .map(|(id, _)| id)
            .collect();
        for id in fetches {
            self.finish_fetch(now, id, fx);
        }
        self.resign_groups();
        self.owner.seal(now, &mut fx.disk);
        let cx = &mut self.owner.log_cx(now, &mut fx.disk);
        if let Some(log) = &mut self.metadata_log {
            log.seal(cx);
        }
    }

    /// Stores the checkpoints of all logs. That of one that is offline tells what was true before, so that deleted
    /// records stay deleted, and that the log is to be recovered, whatever the marker says.
    fn store_checkpoint(&mut self, incarnation: u64, fx: &mut Effects) -> DiskToken {
        let mut logs: Vec<(PartitionKey, Bytes)> = Vec::new();
        self.owner.for_each(|partition| {
            let bytes = partition.log.checkpoint();
            if !bytes.is_empty() {
                logs.push((partition.key, bytes));
            }
        });
        let data = checkpoint::encode(incarnation, logs.iter().map(|(key, bytes)| (*key, &bytes[..])));
        let path = checkpoint::path(incarnation, self.settings.shard.0);
        fx.disk.push(STORE_SLOT, DiskOp::WriteFile { path, data })
    }

    pub(crate) fn housekeep(&mut self, now: Now, fx: &mut Effects) {
        self.timers.add(now.mono.plus_ms(HOUSEKEEPING_MS), Deadline::Housekeeping);
        let untold = core::mem::take(&mut self.refused_count).saturating_sub(REFUSALS_TOLD_MAX);
        if untold > 0 {
            notice(
                fx,
                Severity::Info,
                format!("closed {untold} more connections that broke the protocol or a limit"),
            );
        }
        self.time_out_pending(now, fx);
        self.close_idle_connections(now, fx);
        if !self.is_serving() {
            // Without it nothing begins, so it goes on as soon as there is a descriptor.
            let cx = &mut self.owner.log_cx(now, &mut fx.disk);
            if let Some(log) = self.metadata_log.as_mut().filter(|log| log.is_loading()) {
                log.tick(cx);
            }
            return;
        }
        let retention_due = self.is_retention_due(now);
        self.owner.tick(now, retention_due, &mut fx.disk);
        let cx = &mut self.owner.log_cx(now, &mut fx.disk);
        if let Some(log) = &mut self.metadata_log {
            log.tick(cx);
        }
        for path in self.owner.take_doomed() {
            // A directory that stays is removed by the next start, which finds no topic for it.
            fx.disk.push(STORE_SLOT, DiskOp::Remove { path });
        }
        self.ask_for_space(fx);
        let Phase::Serving(serving) = &self.phase else { return };
        let (incarnation, due) = (serving.incarnation, serving.checkpoint_next <= now.mono);
        let mut changed = false;
        if due && serving.checkpoint.is_none() {
            self.owner.for_each(|partition| changed |= partition.log.checkpoint_due());
        }
        if changed {
            self.store_next_checkpoint(now, incarnation, fx);
        }
    }

    /// While serving, and with no other under way.
    fn store_next_checkpoint(&mut self, now: Now, incarnation: u64, fx: &mut Effects) {
        let token = self.store_checkpoint(incarnation, fx);
        if let Phase::Serving(serving) = &mut self.phase {
            serving.checkpoint = Some(token);
            serving.checkpoint_next = now.mono.plus_ms(CHECKPOINT_MS);
        }
    }

    /// Whether retention is due; if so, sets when it is due next.
    fn is_retention_due(&mut self, now: Now) -> bool {
        let interval_ms = self.config.retention_check_interval_ms.max(1) as u64;
        match &mut self.phase {
            Phase::Serving(serving) if serving.retention_next <= now.mono => {
                serving.retention_next = now.mono.plus_ms(interval_ms);
                true
            }
            _ => false,
        }
    }

    fn time_out_pending(&mut self, now: Now, fx: &mut Effects) {
        let due: Vec<(SlotId, bool)> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline <= now.mono)
            .map(|(id, pending)| (id, matches!(pending.body, PendingBody::Produce(_))))
            .collect();
        for (id, is_produce) in due {
            if is_produce {
                self.time_out_produce(id, fx);
            } else if matches!(self.pending.get(id).map(|pending| &pending.body), Some(PendingBody::Fetch(_)))
            {
                self.finish_fetch(now, id, fx);
            }
        }
    }

    fn close_idle_connections(&mut self, now: Now, fx: &mut Effects) {
        let Some(idle_ms) = self.config.connection_idle_ms_max else { return };
        let idle: Vec<_> = self
            .sessions
            .iter()
            .flatten()
            .filter(|session| !session.closing && !session.has_requests())
            .filter(|session| now.mono.since(session.last_active).as_millis() >= idle_ms.max(0) as u128)
            .map(|session| session.conn)
            .collect();
        for conn in idle {
            self.metrics.idle_closed_total += 1;
            self.close(conn, fx);
        }
    }

    fn ask_for_space(&mut self, fx: &mut Effects) {
        if let Phase::Serving(serving) = &mut self.phase
            && serving.space.is_none()
        {
            serving.space = Some(fx.disk.push(STORE_SLOT, DiskOp::Space));
        }
    }

    pub(crate) fn on_space_deadline(&mut self, fx: &mut Effects) {
        if let Phase::Serving(serving) = &mut self.phase {
            serving.space_deadline = false;
            self.ask_for_space(fx);
        }
    }

    /// Takes in how much room there is. Where little is left, or what went since the last answer could soon take
    /// the rest, the next question comes long before the next housekeeping.
    fn on_space(&mut self, now: Now, total: u64, free: u64, fx: &mut Effects) {
        let used = self.disk_free_bytes.saturating_sub(free);
        (self.disk_total_bytes, self.disk_free_bytes) = (total, free);
        let reserve = DISK_RESERVE_BYTES.min(total / 20);
        let close = free < 4 * reserve || free < reserve.saturating_add(used.saturating_mul(3));
        if let Phase::Serving(serving) = &mut self.phase
            && close
            && !serving.space_deadline
        {
            serving.space_deadline = true;
            self.timers.add(now.mono.plus_ms(SPACE_MS), Deadline::Space);
        }
        // Once refused, a little more must be free before produce is taken again, so that it does not flap.
        let full = free < if self.owner.disk_full { reserve + reserve / 8 } else { reserve };
        if full != self.owner.disk_full {
            let text = if full {
                format!(
                    "produce is refused: {free} bytes are free, {reserve} are kept in reserve; delete data or add room"
                )
            } else {
                format!("produce is taken again: {free} bytes are free")
            };
            notice(fx, if full { Severity::Error } else { Severity::Info }, text);
            self.owner.disk_full = full;
        }
    }
}

/// Tells the operator something.
pub(crate) fn notice(fx: &mut Effects, severity: Severity, text: String) {
    fx.lifecycle.push(Lifecycle::Notice { severity, text });
}

/// Tells the shell that the broker must stop.
pub(crate) fn fatal(fx: &mut Effects, why: &str) {
    fx.lifecycle.push(Lifecycle::Fatal(why.to_owned()));
}
