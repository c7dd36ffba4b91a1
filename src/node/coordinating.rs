//! A shard drives its group coordinators: loading, commands, stores, timers, answers.
//!
//! See `groups` for the state. Every call of a coordinator is followed by `take_group_effects`; what that collects is
//! appended and sent in `end_groups_turn`.

use bytes::Bytes;
use corelane_base::id::{PartitionIndex, TopicId};
use corelane_base::time::Now;
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::{GroupAsk, GroupCommand};
use corelane_control::groups::coordinator::GroupCx;
use corelane_control::groups::effect::{CoordinatorRecord, GroupEffect};
use corelane_control::groups::error::GroupError;
use corelane_control::groups::settings::{GroupSettings, OffsetsTopicSettings};
use corelane_control::topic_name;
use corelane_log::batch::{self, Compression};
use corelane_log::builder::BatchBuilder;
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskToken};
use corelane_log::error::ReadError;
use corelane_log::log::{LogRead, LogSlice};
use corelane_log::records;
use corelane_wire::error_code::ErrorCode;

use crate::error::store_error;
use crate::event::{Effects, Severity};
use crate::groups::{
    Asker, GROUPS_SLOT, Gathering, HostState, Hosted, LOAD_BYTES, LOAD_STEPS_MAX, LOADS_MAX, OffsetsTopic,
    whole,
};
use crate::lifecycle::notice;
use crate::mesh::{MeshMessage, PartitionKey};
use crate::owner::hosted::{HostedChange, HostedRead};
use crate::shard::Shard;
use crate::slots::SlotId;
use crate::timers::Deadline;

/// The most a batch of group state may hold once decompressed, in bytes. We write none that are compressed.
const REPLAY_BYTES_MAX: usize = 64 << 20;

macro_rules! group_cx {
    ($self:ident, $now:expr) => {
        &mut GroupCx { now: $now, image: &$self.image, rng: &mut $self.rng }
    };
}

impl Shard {
    /// The settings of this shard's coordinators.
    fn group_settings(&self) -> GroupSettings {
        let layers = self.image.layers(self.broker_id, &self.settings.config);
        let config = self.groups.topic.and_then(|topic| self.topic_configs.get(&topic.id));
        let batch_bytes_max = config.unwrap_or(&self.config.topic_defaults).batch_bytes_max;
        GroupSettings { batch_bytes_max, ..GroupSettings::resolve(&layers) }
    }

    /// How batches of group state are compressed.
    fn group_compression(&self) -> Compression {
        let layers = self.image.layers(self.broker_id, &self.settings.config);
        let id = OffsetsTopicSettings::resolve(&layers).compression;
        Compression::from_id(id).expect("the range of the setting is that of the format")
    }

    /// Partitions have come, from `first` on: if they are of offsets, the coordinators of our own begin here.
    /// Whether it is so: they are to be loaded then.
    pub(crate) fn host_partitions(&mut self, id: TopicId, first: i32) -> bool {
        let Some(topic) = self.image.topic_by_id(id) else { return false };
        if *topic.name != *topic_name::CONSUMER_OFFSETS {
            return false;
        }
        let partition_count =
            i32::try_from(topic.partitions.len()).expect("a topic's partitions are far fewer");
        self.groups.topic.get_or_insert(OffsetsTopic { id, partition_count });
        self.groups.compression = self.group_compression();
        let settings = self.group_settings();
        for partition in first..partition_count {
            let (key, shard) = self.owner_of(id, partition);
            if shard == self.id() {
                self.owner.host(key);
                self.groups.hosted.insert(key.partition, Hosted::new(key, settings.clone()));
            }
        }
        true
    }

    /// A topic is gone: if it was that of offsets, its coordinators resign.
    pub(crate) fn unhost_topic(&mut self, id: TopicId) {
        if self.groups.topic.is_some_and(|topic| topic.id == id) {
            self.resign_groups();
            self.groups.topic = None;
        }
    }

    /// All coordinators answer what waits with `NOT_COORDINATOR` and go.
    pub(crate) fn resign_groups(&mut self) {
        for (_, mut hosted) in core::mem::take(&mut self.groups.hosted) {
            hosted.coordinator.resigned();
            while let Some(effect) = hosted.coordinator.out.pop_front() {
                self.take_answer(effect);
            }
        }
        self.groups.loading_count = 0;
        self.groups.reads.clear();
        self.groups.dirty.clear();
        self.groups.refresh_deadline();
    }

    /// The topics have changed.
    pub(crate) fn groups_topics_changed(&mut self, now: Now) {
        self.each_active(|shard, index| {
            if let Some(hosted) = shard.groups.hosted.get_mut(&index) {
                hosted.coordinator.on_topics_changed(group_cx!(shard, now));
            }
        });
    }

    /// The settings may have changed.
    pub(crate) fn groups_settings_changed(&mut self) {
        let settings = self.group_settings();
        for hosted in self.groups.hosted.values_mut() {
            hosted.coordinator.set_settings(settings.clone());
        }
    }

    /// Carries out what is due.
    pub(crate) fn on_groups_timer(&mut self, now: Now) {
        for index in self.groups.due(now) {
            if let Some(hosted) = self.groups.hosted.get_mut(&index) {
                hosted.coordinator.on_timer(group_cx!(self, now));
                self.take_group_effects(index);
            }
        }
    }

    fn each_active(&mut self, mut f: impl FnMut(&mut Shard, PartitionIndex)) {
        let active = |hosted: &Hosted| matches!(hosted.state, HostState::Active);
        let indexes: Vec<PartitionIndex> =
            self.groups.hosted.iter().filter(|(_, hosted)| active(hosted)).map(|(index, _)| *index).collect();
        for index in indexes {
            f(self, index);
            self.take_group_effects(index);
        }
    }

    /// Hands a command to its coordinator. The answer follows in `end_groups_turn`, now or later.
    pub(crate) fn command_group(
        &mut self,
        now: Now,
        asker: Asker,
        index: PartitionIndex,
        command: GroupCommand,
    ) {
        let disk_full = self.owner.disk_full;
        let refusal = match self.groups.hosted.get(&index).map(|hosted| &hosted.state) {
            None => Some(GroupError::NotCoordinator),
            Some(HostState::Loading(_)) => Some(GroupError::CoordinatorLoadInProgress),
            Some(HostState::Failed) => Some(GroupError::CoordinatorNotAvailable),
            // Commits would eat up the reserve; what keeps groups together may have it.
            Some(HostState::Active) if disk_full && matches!(command, GroupCommand::Commit(_)) => {
                Some(GroupError::CoordinatorNotAvailable)
            }
            Some(HostState::Active) => None,
        };
        if let Some(error) = refusal {
            self.groups.answers.push((asker, GroupAnswer::Refused(error)));
            return;
        }
        let id = self.groups.asks.insert(asker);
        let ask = GroupAsk(u64::from(id.slot) << 32 | u64::from(id.generation));
        let hosted = self.groups.hosted.get_mut(&index).expect("just looked at");
        hosted.coordinator.handle(ask, command, group_cx!(self, now));
        self.take_group_effects(index);
    }

    /// Takes what a coordinator wants done.
    fn take_group_effects(&mut self, index: PartitionIndex) {
        let Some(hosted) = self.groups.hosted.get_mut(&index) else { return };
        let mut answers = core::mem::take(&mut self.groups.answers);
        let before = hosted.queued.len();
        while let Some(effect) = hosted.coordinator.out.pop_front() {
            match effect {
                GroupEffect::Store { write, records } => hosted.queued.push_back((write, records)),
                GroupEffect::Answer { ask, answer } => {
                    answers.extend(asker(&mut self.groups.asks, ask).map(|asker| (asker, answer)));
                }
            }
        }
        if hosted.queued.len() > before && before == 0 {
            self.groups.dirty.push(index);
        }
        self.groups.answers = answers;
        self.groups.refresh_deadline();
    }

    fn take_answer(&mut self, effect: GroupEffect) {
        if let GroupEffect::Answer { ask, answer } = effect
            && let Some(asker) = asker(&mut self.groups.asks, ask)
        {
            self.groups.answers.push((asker, answer));
        }
    }

    /// Ends the coordinators' turn: what happened to their logs, then what they store, then what they answer.
    pub(crate) fn end_groups_turn(&mut self, now: Now, fx: &mut Effects) {
        while !self.owner.hosted.is_empty() || !self.groups.dirty.is_empty() {
            for (key, change) in core::mem::take(&mut self.owner.hosted) {
                self.on_hosted_change(now, key, change, fx);
            }
            for index in core::mem::take(&mut self.groups.dirty) {
                self.store_groups(now, index, fx);
            }
        }
        self.groups.load_steps = 0;
        self.send_group_answers(now, fx);
    }

    fn on_hosted_change(&mut self, now: Now, key: PartitionKey, change: HostedChange, fx: &mut Effects) {
        let Some(hosted) = self.groups.hosted.get_mut(&key.partition) else { return };
        if hosted.key != key {
            return;
        }
        match change {
            HostedChange::Appended { index, error } => {
                self.on_group_stored(now, key.partition, index, error, fx)
            }
            HostedChange::Read(read) => {
                let HostState::Loading(loading) = &mut hosted.state else { return };
                loading.reading = false;
                match read {
                    Ok(read) => self.gather_group(now, key.partition, read, fx),
                    // Retention or compaction went by; the log's start is asked for again.
                    Err(ReadError::OutOfRange) => self.load_group(now, key.partition, fx),
                    Err(_) => self.fail_group(key.partition, fx),
                }
            }
            HostedChange::Moved => self.load_group(now, key.partition, fx),
        }
    }

    /// Puts what a coordinator stores into batches, unless some are on their way already.
    fn store_groups(&mut self, now: Now, index: PartitionIndex, fx: &mut Effects) {
        let Some(hosted) = self.groups.hosted.get_mut(&index) else { return };
        if !hosted.flights.is_empty() {
            return;
        }
        let config = self.topic_configs.get(&hosted.key.topic);
        let batch_bytes_max = config.map_or(1 << 20, |config| config.batch_bytes_max).max(0) as usize;
        let mut builder = BatchBuilder::new();
        builder.compression = self.groups.compression;
        let mut writes = Vec::new();
        let mut batches = Vec::new();
        while let Some((write, records)) = hosted.queued.pop_front() {
            let bytes: usize = records.iter().map(CoordinatorRecord::size_max).sum();
            let whole_bytes = batch::HEADER_SIZE + builder.size_bytes() + bytes;
            if builder.count() > 0 && whole_bytes > batch_bytes_max {
                batches.push((hosted.flight(core::mem::take(&mut writes)), builder.build()));
            }
            for record in &records {
                builder.push(now.wall, Some(&record.key), record.value.as_deref());
            }
            writes.push(write);
        }
        if builder.count() > 0 {
            batches.push((hosted.flight(writes), builder.build()));
        }
        let key = hosted.key;
        for (flight, batch) in batches {
            self.owner.append_hosted(key, flight, &batch, now, &mut fx.disk);
        }
    }

    /// A batch is durable, or is not going to be.
    fn on_group_stored(
        &mut self,
        now: Now,
        index: PartitionIndex,
        flight: u32,
        error: ErrorCode,
        fx: &mut Effects,
    ) {
        let Some(hosted) = self.groups.hosted.get_mut(&index) else { return };
        if hosted.flights.front().is_none_or(|front| front.index != flight) {
            // Of a coordinator that was dropped since.
            return;
        }
        let done = hosted.flights.pop_front().expect("just looked at");
        let result = store_error(error);
        for write in done.writes {
            hosted.coordinator.stored(write, result);
        }
        if hosted.flights.is_empty() && !hosted.queued.is_empty() {
            self.groups.dirty.push(index);
        }
        self.take_group_effects(index);
        if result.is_err() {
            let text = format!("a batch of group state was not stored ({}): loading it again", error.name());
            notice(fx, Severity::Warn, format!("{}-{index}: {text}", topic_name::CONSUMER_OFFSETS));
            let settings = self.group_settings();
            let hosted = self.groups.hosted.get_mut(&index).expect("just looked at");
            hosted.reload(settings);
            self.load_group(now, index, fx);
        }
    }

    /// Begins to load all coordinators.
    pub(crate) fn load_groups(&mut self, now: Now, fx: &mut Effects) {
        let indexes: Vec<PartitionIndex> = self.groups.hosted.keys().copied().collect();
        for index in indexes {
            self.load_group(now, index, fx);
        }
    }

    /// Goes on loading a coordinator, if it is being loaded and has a place.
    fn load_group(&mut self, now: Now, index: PartitionIndex, fx: &mut Effects) {
        let serving = self.is_serving();
        let groups = &mut self.groups;
        let Some(Hosted { state: HostState::Loading(loading), key, .. }) = groups.hosted.get_mut(&index)
        else {
            return;
        };
        if !serving || loading.reading || loading.gathering.is_some() {
            return;
        }
        if !loading.started {
            if groups.loading_count == LOADS_MAX {
                return;
            }
            loading.started = true;
            groups.loading_count += 1;
            groups.loaded.get_or_insert((0, now.mono));
        }
        if groups.load_steps == LOAD_STEPS_MAX {
            self.timers.add(now.mono, Deadline::Groups);
            return;
        }
        match self.owner.read_hosted(*key, loading.next, LOAD_BYTES, now, &mut fx.disk) {
            HostedRead::Ready(read) => {
                groups.load_steps += 1;
                self.gather_group(now, index, read, fx);
            }
            HostedRead::Pending => loading.reading = true,
            HostedRead::NotYet => {}
            HostedRead::End => self.finish_loading(now, index, fx),
            HostedRead::Failed => self.fail_group(index, fx),
        }
    }

    /// Brings a read's parts together and replays them.
    fn gather_group(&mut self, now: Now, index: PartitionIndex, read: LogRead, fx: &mut Effects) {
        if let Some(bytes) = whole(&read) {
            self.replay_group(now, index, &bytes, fx);
            return;
        }
        if let Some(Hosted { state: HostState::Loading(loading), .. }) = self.groups.hosted.get_mut(&index) {
            loading.gathering = Some(Gathering::new(read));
            self.gather_more_of_group(now, index, fx);
        }
    }

    fn gather_more_of_group(&mut self, now: Now, index: PartitionIndex, fx: &mut Effects) {
        let Some(Hosted { state: HostState::Loading(loading), .. }) = self.groups.hosted.get_mut(&index)
        else {
            return;
        };
        let Some(gathering) = &mut loading.gathering else { return };
        if let Some(LogSlice::File { file, offset, len }) = gathering.step() {
            let token = fx.disk.push(GROUPS_SLOT, DiskOp::Read { file, offset, len });
            self.groups.reads.insert(token, index);
            return;
        }
        let bytes = loading.gathering.take().expect("just used").bytes.freeze();
        self.replay_group(now, index, &bytes, fx);
    }

    /// Takes in a piece of a file.
    pub(crate) fn on_group_disk(
        &mut self,
        now: Now,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        fx: &mut Effects,
    ) {
        let Some(index) = self.groups.reads.remove(&token) else { return };
        let Some(Hosted { state: HostState::Loading(loading), .. }) = self.groups.hosted.get_mut(&index)
        else {
            return;
        };
        match (&mut loading.gathering, result) {
            (Some(gathering), Ok(DiskOutcome::Read(bytes))) => {
                gathering.bytes.extend_from_slice(&bytes);
                self.gather_more_of_group(now, index, fx);
            }
            (Some(_), _) => self.fail_group(index, fx),
            (None, _) => {}
        }
    }

    /// Replays whole batches; the last may be cut short and is read again.
    fn replay_group(&mut self, now: Now, index: PartitionIndex, bytes: &Bytes, fx: &mut Effects) {
        let Some(Hosted { state: HostState::Loading(loading), coordinator, .. }) =
            self.groups.hosted.get_mut(&index)
        else {
            return;
        };
        let mut at = 0;
        let mut problem = None;
        while let Ok(Some(header)) = batch::check_stored(&bytes[at..]) {
            let whole = &bytes[at..at + header.size_bytes()];
            at += header.size_bytes();
            let skipped = header.is_control() || header.last_offset() < loading.next;
            loading.next = loading.next.max(header.next_offset());
            if skipped {
                continue;
            }
            let Ok((header, payload)) = records::payload(whole, REPLAY_BYTES_MAX) else {
                problem = Some(format!("the batch at offset {} cannot be read", header.base_offset()));
                continue;
            };
            for record in records::iter(&header, &payload) {
                let Ok(record) = record else {
                    problem = Some(format!("a record behind offset {} is malformed", header.base_offset()));
                    break;
                };
                loading.record_count += 1;
                let Some(key) = record.key else { continue };
                if let Err(error) = coordinator.replay(key, record.value) {
                    problem = Some(error.to_string());
                }
            }
        }
        if let Some(problem) = problem {
            // What can be read still counts: a group that is lost is better than all of them.
            let text = format!("{}-{index}: skipped while loading: {problem}", topic_name::CONSUMER_OFFSETS);
            notice(fx, Severity::Error, text);
        }
        if at == 0 {
            self.fail_group(index, fx);
        } else {
            self.load_group(now, index, fx);
        }
    }

    fn finish_loading(&mut self, now: Now, index: PartitionIndex, fx: &mut Effects) {
        let Some(hosted) = self.groups.hosted.get_mut(&index) else { return };
        let HostState::Loading(loading) = &hosted.state else { return };
        let record_count = loading.record_count;
        hosted.state = HostState::Active;
        hosted.coordinator.loaded(group_cx!(self, now));
        self.take_group_effects(index);
        self.groups.loading_count -= 1;
        if let Some((count, _)) = &mut self.groups.loaded {
            *count += record_count;
        }
        self.load_next_group(now, fx);
    }

    /// Gives a place that has become free to the next that waits, and says so when none is left.
    fn load_next_group(&mut self, now: Now, fx: &mut Effects) {
        let waits = |hosted: &Hosted| matches!(&hosted.state, HostState::Loading(l) if !l.started);
        let next = self.groups.hosted.iter().find(|(_, hosted)| waits(hosted)).map(|(index, _)| *index);
        if let Some(index) = next {
            self.load_group(now, index, fx);
            return;
        }
        if self.groups.loading_count == 0
            && let Some((count, since)) = self.groups.loaded.take()
            && count > 0
        {
            let ms = now.mono.since(since).as_millis();
            let partitions = self.groups.hosted.len();
            let text =
                format!("loaded the groups of {partitions} partitions from {count} records in {ms} ms");
            notice(fx, Severity::Info, text);
        }
    }

    fn fail_group(&mut self, index: PartitionIndex, fx: &mut Effects) {
        let Some(hosted) = self.groups.hosted.get_mut(&index) else { return };
        if matches!(&hosted.state, HostState::Loading(loading) if loading.started) {
            self.groups.loading_count -= 1;
        }
        hosted.state = HostState::Failed;
        let text =
            format!("{}-{index} cannot be read: its groups are not served", topic_name::CONSUMER_OFFSETS);
        notice(fx, Severity::Error, text);
    }

    /// Hands the answers of this turn to their shards: those of one request together.
    fn send_group_answers(&mut self, now: Now, fx: &mut Effects) {
        while !self.groups.answers.is_empty() {
            let first = fx.mesh.len();
            for (asker, answer) in core::mem::take(&mut self.groups.answers) {
                let Asker { shard, pending, index } = asker;
                if shard == self.id() {
                    self.on_group_answer(now, pending, index, answer);
                    continue;
                }
                match fx.mesh[first..].last_mut() {
                    Some((to, MeshMessage::GroupAnswers { pending: same, answers }))
                        if *to == shard && *same == pending =>
                    {
                        answers.push((index, answer));
                    }
                    _ => {
                        let answers = vec![(index, answer)];
                        fx.mesh.push((shard, MeshMessage::GroupAnswers { pending, answers }));
                    }
                }
            }
        }
    }
}

fn asker(asks: &mut crate::slots::Slots<Asker>, ask: GroupAsk) -> Option<Asker> {
    asks.remove(SlotId { slot: (ask.0 >> 32) as u32, generation: ask.0 as u32 })
}
