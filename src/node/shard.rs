//! One shard: the state machine that a shell drives.
//!
//! This file holds the state and takes events in; requests are decoded in `requests`, served in `handlers`, start,
//! housekeeping and end are in `lifecycle`. A turn is: `apply` for each event, `end_turn` once.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use corelane_base::id::{BrokerId, ConnId, PartitionIndex, ShardId, TopicId};
use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now};
use corelane_control::configs::broker::BrokerConfig;
use corelane_control::configs::settings::Settings;
use corelane_control::configs::topic::TopicConfig;
use corelane_control::image::ClusterImage;
use corelane_wire::frame::{LENGTH_BYTES, Split, split};

use crate::connections::{Connection, Connections, LimitBroken};
use crate::event::{Effects, Event, Lifecycle, NetEffect, Severity};
use crate::fetch_session::FetchSessions;
use crate::groups::{Asker, Groups};
use crate::loggers::Loggers;
use crate::memory::MemoryLimits;
use crate::mesh::{MeshMessage, PartitionKey, WatchName};
use crate::metadata_log::MetadataLog;
use crate::metrics::Metrics;
use crate::owner::Owner;
use crate::owner::cleaning::cleaner_settings;
use crate::pending::{Pending, RequestMeta};
use crate::phase::Phase;
use crate::publishing::Publishing;
use crate::send::Reply;
use crate::session::Session;
use crate::slots::{SlotId, Slots};
use crate::timers::{Deadline, Timers};
use crate::timing::Leaving;

/// So many refused connections are told one by one between two housekeepings; more are counted, so that peers who
/// send garbage cannot fill the disk with our log.
pub(crate) const REFUSALS_TOLD_MAX: u64 = 10;

/// The least that one fetch may get, however much memory slow readers hold.
const ANSWER_BYTES_MIN: u32 = 64 << 10;
/// A connection that waits for a place may send so much; what a client begins with is far less.
const UNADMITTED_BYTES_MAX: usize = 4 << 10;

/// What a shard must know from its start; fixed while it runs.
#[derive(Debug, Clone)]
pub struct ShardSettings {
    /// Which shard this is.
    pub shard: ShardId,
    /// How many shards the broker has.
    pub shard_count: u16,
    /// Seed of the shard's randomness (topic ids, jitter): from the system's entropy in the broker, from the
    /// run's seed in the simulator.
    pub seed: u64,
    /// The host that clients are told to connect to.
    pub advertised_host: String,
    /// The port that clients are told to connect to.
    pub advertised_port: u16,
    /// The broker's checked settings: flags, environment and file, already merged.
    pub config: Arc<Settings>,
    /// Where the logs lie, as told to clients that ask (`DescribeLogDirs`).
    pub data_dir: String,
}

/// One core with all it owns.
///
/// Invariants: `image` equals that of every other shard at the same `metadata_version`; the own partitions in it are
/// exactly those of `owner`; every pending request's place in its connection's order is open unless the connection
/// is gone.
#[derive(Debug)]
pub struct Shard {
    pub(crate) settings: ShardSettings,
    pub(crate) broker_id: BrokerId,
    pub(crate) config: BrokerConfig,
    pub(crate) rng: Rng,
    pub(crate) phase: Phase,
    pub(crate) image: ClusterImage,
    pub(crate) metadata_version: u64,
    pub(crate) topic_configs: BTreeMap<TopicId, TopicConfig>,
    pub(crate) owner: Owner,
    pub(crate) groups: Groups,
    pub(crate) metadata_log: Option<MetadataLog>,
    pub(crate) publishing: Publishing,
    pub(crate) drained_others: u16,
    /// Whether one of them left something behind.
    pub(crate) drained_badly: bool,
    pub(crate) sessions: Vec<Option<Session>>,
    pub(crate) session_count: usize,
    /// Those of all shards; counted by the first.
    pub(crate) connections: Connections,
    pub(crate) limits: MemoryLimits,
    pub(crate) inbox_bytes: usize,
    pub(crate) unsent_bytes: usize,
    /// Connections closed for what they sent since the last housekeeping.
    pub(crate) refused_count: u64,
    pub(crate) ready: Vec<ConnId>,
    pub(crate) pending: Slots<Pending>,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) timers: Timers,
    pub(crate) producer_ids: core::ops::Range<i64>,
    pub(crate) disk_total_bytes: u64,
    pub(crate) disk_free_bytes: u64,
    pub(crate) metrics: Metrics,
    pub(crate) loggers: Loggers,
}

/// The shard that owns a partition: a function of its identity and the number of shards, so that every shard knows
/// without asking and a start with another number of shards simply deals anew.
#[must_use]
pub fn owner_of(key: PartitionKey, shard_count: u16) -> ShardId {
    let id = u64::from_le_bytes(key.topic.0[..8].try_into().expect("8 of 16 bytes"));
    let place = id.wrapping_add(key.partition.0 as u64) % u64::from(shard_count);
    ShardId(place as u16)
}

fn live(sessions: &mut [Option<Session>], conn: ConnId) -> Option<&mut Session> {
    let session = sessions.get_mut(conn.slot as usize)?.as_mut()?;
    if session.conn == conn { Some(session) } else { None }
}

impl Shard {
    /// A shard that has done nothing yet.
    #[must_use]
    pub fn new(settings: ShardSettings) -> Shard {
        assert!(settings.shard.0 < settings.shard_count, "shards are numbered from 0");
        let config = BrokerConfig::of_settings(&settings.config);
        // A stream of its own: what the others give must not depend on it.
        let mut hashing = Rng::new(!settings.seed);
        let limits = MemoryLimits::of(config.memory_bytes, settings.shard_count);
        let mut owner = Owner::new(settings.shard, limits, [hashing.next_u64(), hashing.next_u64()]);
        let (cleaner, backoff_ms) = cleaner_settings(&config, settings.shard_count);
        owner.set_cleaning(cleaner, backoff_ms);
        let sessions_max =
            (config.fetch_session_count_max.max(0) as usize).div_ceil(settings.shard_count.into());
        Shard {
            broker_id: config.node_id,
            rng: Rng::new(settings.seed),
            phase: Phase::New,
            image: ClusterImage::new(),
            metadata_version: 0,
            topic_configs: BTreeMap::new(),
            owner,
            groups: Groups::default(),
            metadata_log: None,
            publishing: Publishing::default(),
            drained_others: 0,
            drained_badly: false,
            sessions: Vec::new(),
            session_count: 0,
            connections: Connections::default(),
            limits,
            inbox_bytes: 0,
            unsent_bytes: 0,
            refused_count: 0,
            ready: Vec::new(),
            pending: Slots::default(),
            fetch_sessions: FetchSessions::new(sessions_max, settings.shard.0, settings.shard_count),
            timers: Timers::default(),
            producer_ids: 0..0,
            disk_total_bytes: 0,
            disk_free_bytes: u64::MAX,
            metrics: Metrics::default(),
            loggers: Loggers::default(),
            config,
            settings,
        }
    }

    /// Says which log lines are printed, for those who ask. Every shard is told the same.
    pub fn set_loggers(&mut self, loggers: Loggers) {
        self.loggers = loggers;
    }

    /// Which shard this is.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.settings.shard
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.session_count
    }

    /// How many requests wait.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Takes in one event.
    pub fn apply(&mut self, now: Now, event: Event<'_>, fx: &mut Effects) {
        self.metrics.now = now.mono;
        match event {
            Event::Accepted { conn, peer } => self.on_accepted(now, conn, peer, fx),
            Event::Received { conn, bytes } => self.on_received(now, conn, bytes, fx),
            Event::Sent { conn } => {
                if let Some(session) = live(&mut self.sessions, conn) {
                    let before = session.unsent_bytes();
                    session.on_sent(now.mono);
                    let sent = before - session.unsent_bytes();
                    self.unsent_bytes -= sent;
                    for leaving in session.leaving.drain(..) {
                        self.metrics.on_sent(&leaving, now.mono);
                    }
                    self.ready.push(conn);
                }
            }
            Event::Closed { conn } => self.on_closed(now, conn, fx),
            Event::Disk { token, result } => self.on_disk(now, token, result, fx),
            Event::Mesh { from, message } => self.on_mesh(now, from, message, fx),
            Event::Timer => self.on_timer(now, fx),
            Event::Shutdown => self.on_shutdown(now, fx),
        }
        self.deliver(now, fx);
    }

    /// Ends a turn: opens group commits and sends what became ready. Call it once after a batch of `apply`.
    pub fn end_turn(&mut self, now: Now, fx: &mut Effects) {
        self.metrics.now = now.mono;
        loop {
            self.end_groups_turn(now, fx);
            self.owner.end_turn(now, &mut fx.disk);
            self.end_metadata_turn(now, fx);
            self.advance_lifecycle(now, fx);
            self.deliver(now, fx);
            // Flushing may let waiting requests in, whose commits and answers must not wait for another event.
            let ready = core::mem::take(&mut self.ready);
            for conn in &ready {
                self.flush(now, *conn, fx);
            }
            self.deliver(now, fx);
            let quiet = ready.is_empty() && self.ready.is_empty() && !self.owner.is_dirty();
            if quiet && self.owner.hosted.is_empty() && self.groups.is_quiet() {
                break;
            }
        }
        if let Some(at) = self.owner.take_cleaning_deadline() {
            self.timers.add(at, Deadline::Cleaning);
        }
        for notice in self.owner.notices.drain(..) {
            fx.lifecycle
                .push(Lifecycle::Notice { severity: Severity::from(notice.level), text: notice.text });
        }
    }

    /// When `Event::Timer` is due next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        [self.timers.next(), self.groups.next_deadline].into_iter().flatten().min()
    }

    /// Panics: if the state contradicts itself.
    pub fn check_invariants(&self) {
        self.owner.check_invariants();
        self.groups.check_invariants();
        self.image.check_invariants();
        self.connections.check_invariants();
        self.fetch_sessions.check_invariants();
        let live = self.sessions.iter().flatten().count();
        assert_eq!(live, self.session_count);
        let inbox: usize = self.sessions.iter().flatten().map(|session| session.inbox.len()).sum();
        assert_eq!(inbox, self.inbox_bytes);
        let unsent: usize = self.sessions.iter().flatten().map(Session::unsent_bytes).sum();
        assert_eq!(unsent, self.unsent_bytes);
    }

    pub(crate) fn owner_of(&self, topic: TopicId, partition: i32) -> (PartitionKey, ShardId) {
        let key = PartitionKey { topic, partition: PartitionIndex(partition) };
        (key, owner_of(key, self.settings.shard_count))
    }

    pub(crate) fn session_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        live(&mut self.sessions, conn)
    }

    fn on_accepted(&mut self, now: Now, conn: ConnId, peer: SocketAddr, fx: &mut Effects) {
        let slot = conn.slot as usize;
        if self.sessions.len() <= slot {
            self.sessions.resize_with(slot + 1, || None);
        }
        assert!(self.sessions[slot].is_none(), "a slot is reused only after Closed");
        self.sessions[slot] = Some(Session::new(conn, peer, now.mono));
        self.session_count += 1;
        if !self.is_serving() {
            self.close(conn, fx);
        }
        self.tell(now, ShardId(0), MeshMessage::Connected(self.connection(conn, peer)), fx);
    }

    fn on_closed(&mut self, now: Now, conn: ConnId, fx: &mut Effects) {
        let entry = self.sessions.get_mut(conn.slot as usize);
        if let Some(entry) = entry
            && entry.as_ref().is_some_and(|session| session.conn == conn)
        {
            let session = entry.take().expect("just looked at");
            self.inbox_bytes -= session.inbox.len();
            self.unsent_bytes -= session.unsent_bytes();
            self.session_count -= 1;
            self.tell(now, ShardId(0), MeshMessage::Disconnected(self.connection(conn, session.peer)), fx);
        }
    }

    fn connection(&self, conn: ConnId, peer: SocketAddr) -> Connection {
        Connection { shard: self.settings.shard, conn, ip: peer.ip().to_canonical() }
    }

    /// The first shard: tells connections that have come whether they may stay, as far as that can be decided.
    pub(crate) fn admit_connections(&mut self, now: Now, fx: &mut Effects) {
        while let Some((connection, verdict)) = self.connections.decide(&self.config.connection_limits) {
            let admission = MeshMessage::Admission { conn: connection.conn, verdict };
            self.tell(now, connection.shard, admission, fx);
        }
    }

    fn on_admission(&mut self, conn: ConnId, verdict: Result<(), LimitBroken>, fx: &mut Effects) {
        match verdict {
            Ok(()) => {
                let Some(session) = self.session_mut(conn) else { return };
                session.admitted = true;
                // It may have sent something already.
                self.ready.push(conn);
            }
            Err(limit) => self.refuse(conn, &limit.to_string(), fx),
        }
    }

    /// Stops serving a connection; it goes once a send under way has ended.
    pub(crate) fn close(&mut self, conn: ConnId, fx: &mut Effects) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.closing {
            return;
        }
        session.closing = true;
        let inbox = core::mem::take(&mut session.inbox);
        self.inbox_bytes -= inbox.len();
        fx.net.push(NetEffect::Close { conn });
    }

    fn on_received(&mut self, now: Now, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.closing {
            return;
        }
        session.last_active = now.mono;
        if !session.inbox.is_empty() {
            self.stash(conn, bytes, fx);
            self.serve_inbox(now, now.mono, conn, fx);
            return;
        }
        // The common case: whole frames, served where they lie.
        let mut rest = bytes;
        while !rest.is_empty() {
            if !self.may_start(conn) {
                break;
            }
            match split(rest, self.config.request_bytes_max as u32) {
                Ok(Split::Frame { body, consumed }) => {
                    self.serve(now, now.mono, conn, body, fx);
                    rest = &rest[consumed..];
                }
                Ok(Split::NeedMore { .. }) => break,
                Err(error) => {
                    self.refuse(conn, &error.to_string(), fx);
                    return;
                }
            }
        }
        if !rest.is_empty() {
            self.stash(conn, rest, fx);
        }
    }

    /// Keeps bytes that cannot be served yet.
    fn stash(&mut self, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
        if self.inbox_bytes + bytes.len() > self.limits.inbox {
            self.refuse_largest_inbox(conn, bytes.len(), fx);
        }
        let request_bytes_max = self.config.request_bytes_max as u32;
        let may_start = self.may_start(conn);
        let now = self.metrics.now;
        let Some(session) = self.session_mut(conn) else { return };
        if session.closing {
            return;
        }
        session.inbox.extend_from_slice(bytes);
        if let Ok(Split::NeedMore { known_len: Some(len) }) = split(&session.inbox, request_bytes_max) {
            // One block for a frame of moderate size; a large one grows as its bytes really arrive, so that an
            // announcement alone costs nothing.
            let whole = LENGTH_BYTES + len as usize;
            let room = whole.min((2 * session.inbox.len()).max(1 << 20));
            session.inbox.reserve(room.saturating_sub(session.inbox.len()));
        }
        // One that waits for a place is still listened to: else nobody would see it go.
        let listens = !session.admitted && session.inbox.len() < UNADMITTED_BYTES_MAX;
        let pause = !may_start && !session.paused && !listens;
        session.paused |= pause;
        if pause {
            session.paused_at = now;
        }
        self.inbox_bytes += bytes.len();
        if pause {
            fx.net.push(NetEffect::Pause { conn });
        }
    }

    /// Makes room for `bytes` more of `conn` by closing whoever holds most, `conn` itself if that is the one. So a crowd
    /// that fills the memory with unfinished requests loses its own first.
    fn refuse_largest_inbox(&mut self, conn: ConnId, bytes: usize, fx: &mut Effects) {
        let held = |session: &Session| session.inbox.len() + if session.conn == conn { bytes } else { 0 };
        while self.inbox_bytes + bytes > self.limits.inbox {
            let open = self.sessions.iter().flatten().filter(|session| !session.closing);
            let Some(largest) = open.max_by_key(|session| held(session)).map(|session| session.conn) else {
                return;
            };
            self.refuse(largest, "the shard's memory for incomplete requests is used up", fx);
            if largest == conn {
                return;
            }
        }
    }

    /// Serves what lies in the inbox, as far as it may start; whole frames in it have been there since `arrived`.
    fn serve_inbox(&mut self, now: Now, arrived: Mono, conn: ConnId, fx: &mut Effects) {
        loop {
            let request_bytes_max = self.config.request_bytes_max as u32;
            if !self.may_start(conn) {
                return;
            }
            let Some(session) = self.session_mut(conn) else { return };
            let consumed = match split(&session.inbox, request_bytes_max) {
                Ok(Split::Frame { consumed, .. }) => consumed,
                Ok(Split::NeedMore { .. }) => return,
                Err(error) => {
                    self.refuse(conn, &error.to_string(), fx);
                    return;
                }
            };
            let frame: Bytes = session.take_frame(consumed);
            self.inbox_bytes -= consumed;
            self.serve(now, arrived, conn, &frame[LENGTH_BYTES..], fx);
        }
    }

    /// Ends a connection whose peer does not speak the protocol. Kafka closes it without an answer, too: with the
    /// framing lost there is nothing to answer to.
    pub(crate) fn refuse(&mut self, conn: ConnId, why: &str, fx: &mut Effects) {
        if let Some(session) = self.session_mut(conn)
            && !session.closing
        {
            let text = format!("closing the connection of {}: {why}", session.peer);
            self.refused_count += 1;
            self.metrics.refused_total += 1;
            if self.refused_count <= REFUSALS_TOLD_MAX {
                fx.lifecycle.push(Lifecycle::Notice { severity: Severity::Info, text });
            }
            self.close(conn, fx);
        }
    }

    /// Whether another request of the connection may start: its own limits, and no answer is left lying while the
    /// shard's memory for them is used up.
    fn may_start(&mut self, conn: ConnId) -> bool {
        let full = self.unsent_bytes >= self.limits.unsent;
        self.session_mut(conn)
            .is_some_and(|session| session.may_start() && !(full && session.unsent_bytes() > 0))
    }

    /// How much one answer may hold while others wait to be taken: a fraction of what is left, and never nothing.
    pub(crate) fn answer_bytes_max(&self) -> u32 {
        let left = self.limits.unsent.saturating_sub(self.unsent_bytes);
        u32::try_from(left / 4).unwrap_or(u32::MAX).max(ANSWER_BYTES_MIN)
    }

    /// Fills a request's place in its connection's order.
    pub(crate) fn respond(&mut self, meta: RequestMeta, response: Option<Reply>) {
        let answered = self.metrics.now;
        let leaving = Leaving { api_key: meta.api_key, times: meta.times, answered };
        match &response {
            Some(reply) => self.metrics.on_errors(meta.api_key, &reply.errors),
            None => self.metrics.on_sent(&leaving, answered),
        }
        if let Some(session) = self.session_mut(meta.conn) {
            let before = session.unsent_bytes();
            session.complete(meta.sequence, response.map(|reply| reply.parts), leaving);
            let more = session.unsent_bytes() - before;
            self.unsent_bytes += more;
            self.ready.push(meta.conn);
        }
    }

    fn flush(&mut self, now: Now, conn: ConnId, fx: &mut Effects) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.closing {
            return;
        }
        if let Some(parts) = session.next_send() {
            fx.net.push(NetEffect::Send { conn, parts });
        }
        if !session.inbox.is_empty() {
            // Reading stops when the connection is held back, so all of it came before, or a moment after.
            let arrived = if session.paused { session.paused_at } else { now.mono };
            self.serve_inbox(now, arrived, conn, fx);
        }
        let may_start = self.may_start(conn);
        let Some(session) = self.session_mut(conn) else { return };
        if session.paused && may_start && !session.closing {
            session.paused = false;
            fx.net.push(NetEffect::Resume { conn });
        }
    }

    /// Hands the owner's answers and questions to where they belong: to other shards by message, to this one at once.
    pub(crate) fn deliver(&mut self, now: Now, fx: &mut Effects) {
        while !self.owner.out.is_empty() {
            for (to, message) in core::mem::take(&mut self.owner.out) {
                self.tell(now, to, message, fx);
            }
        }
    }

    /// Sends a message to a shard, this one included.
    pub(crate) fn tell(&mut self, now: Now, to: ShardId, message: MeshMessage, fx: &mut Effects) {
        if to == self.settings.shard {
            self.on_mesh(now, to, message, fx);
        } else {
            fx.mesh.push((to, message));
        }
    }

    fn on_mesh(&mut self, now: Now, from: ShardId, message: MeshMessage, fx: &mut Effects) {
        match message {
            MeshMessage::Append { ask, items } => {
                let mut results = Vec::new();
                for item in items {
                    let disk = &mut fx.disk;
                    results.extend(self.owner.append(
                        from,
                        ask,
                        item.index,
                        item.key,
                        &item.batch,
                        now,
                        disk,
                    ));
                }
                if !results.is_empty() {
                    self.tell(now, from, MeshMessage::Appended { pending: ask.pending, results }, fx);
                }
            }
            MeshMessage::Appended { pending, results } => self.on_appended(pending, results, fx),
            MeshMessage::Fetch { ask, items } => self.owner.fetch(from, ask, &items, now, &mut fx.disk),
            MeshMessage::Fetched { pending, watch, results } => {
                self.on_fetched(now, from, pending, watch, results, true, fx)
            }
            MeshMessage::FetchNews { pending, watch, results } => {
                self.on_fetched(now, from, pending, Some(watch), results, false, fx)
            }
            MeshMessage::FetchCancel { pending, watch } => self.owner.fetch_cancel(from, pending, watch),
            MeshMessage::FetchDue { session, places } => self.on_fetch_due(now, session, places, fx),
            MeshMessage::FetchForget { session, places } => {
                self.owner.fetch_forget(from, session, &places);
            }
            MeshMessage::FetchEnd { session } => self.owner.fetch_end(from, WatchName::Session(session)),
            MeshMessage::Query { pending, items } => {
                self.owner.query(from, pending, &items, now, &mut fx.disk)
            }
            MeshMessage::QueryResults { pending, results } => self.on_query_results(pending, results),
            MeshMessage::Groups { pending, items } => {
                for (index, partition, command) in items {
                    self.command_group(now, Asker { shard: from, pending, index }, partition, command);
                }
            }
            MeshMessage::GroupAnswers { pending, answers } => {
                for (index, answer) in answers {
                    self.on_group_answer(now, pending, index, answer);
                }
            }
            MeshMessage::Control { pending, command } => self.on_control(now, from, pending, *command, fx),
            MeshMessage::ControlDone { pending, answer } => self.on_control_done(now, pending, *answer, fx),
            MeshMessage::Connected(connection) => {
                self.connections.add(connection);
                self.admit_connections(now, fx);
            }
            MeshMessage::Disconnected(connection) => {
                self.connections.remove(connection);
                self.admit_connections(now, fx);
            }
            MeshMessage::Admission { conn, verdict } => self.on_admission(conn, verdict, fx),
            MeshMessage::Loggers(loggers) => self.loggers = loggers,
            MeshMessage::Metadata(published) => self.on_metadata(now, &published, fx),
            MeshMessage::FirstCheckpointMissing => self.publishing.old_files.clear(),
            MeshMessage::MetadataApplied { version } => self.on_metadata_applied(now, version, fx),
            MeshMessage::Drained { clean } => self.on_shard_drained(clean),
        }
    }

    fn on_timer(&mut self, now: Now, fx: &mut Effects) {
        while let Some(deadline) = self.timers.pop_due(now.mono) {
            match deadline {
                Deadline::Pending(id) => self.on_fetch_deadline(now, id, fx),
                Deadline::Housekeeping => self.housekeep(now, fx),
                Deadline::Cleaning => self.owner.on_cleaning_deadline(now, &mut fx.disk),
                Deadline::Space => self.on_space_deadline(fx),
                Deadline::Groups => self.load_groups(now, fx),
            }
        }
        self.on_groups_timer(now);
    }

    /// The pending request of that id, if it still waits.
    pub(crate) fn take_pending(&mut self, id: SlotId) -> Option<Pending> {
        self.pending.remove(id)
    }
}
