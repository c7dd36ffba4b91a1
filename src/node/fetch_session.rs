//! Incremental fetch sessions (KIP-227): the partitions of a consumer are named once, later requests name only what
//! changed, responses hold only what has news.
//!
//! A session lives on the shard of the connection that made it. A client that comes back on another connection, and so
//! perhaps on another shard, is told `FETCH_SESSION_ID_NOT_FOUND` and starts a new one, as after a broker restart.
//!
//! A partition of a session is due or quiet. Quiet: the client was told all there is, has read to the end, and the
//! partition's owner watches it for the session. Only what is due is looked at by a fetch. It becomes due when the client
//! asks for it anew, when its owner tells of more, and all do when the metadata change.
//!
//! ```text
//!        asked for, asked anew, owner's news, metadata changed
//!   quiet ----------------------------------------------------> due ---.
//!     ^                                                          ^     | records, an error, no room in the answer
//!     '---------- at its end, watched, and told so --------------+-----'
//! ```
//!
//! Source: KIP-227, KIP-516; Kafka `FetchSession`, `FetchManager`.

use std::collections::BTreeMap;
use std::sync::Arc;

use corelane_base::id::{LeaderEpoch, Offset, ShardId, TopicId};
use corelane_base::rng::Rng;
use corelane_base::time::Mono;
use corelane_wire::error_code::ErrorCode;

use crate::mesh::FetchItem;
use crate::partition::Watcher;
use crate::slots::SlotId;

/// `session_epoch` of a request that wants a new session.
const EPOCH_INITIAL: i32 = 0;

/// `session_epoch` of a request that wants none, and ends the one it names.
const EPOCH_FINAL: i32 = -1;

/// A session that a newcomer may push out must have rested so long, in milliseconds. Source: Kafka `FetchSessionCache`.
const EVICTION_REST_MS: u64 = 120_000;

/// How a request names a topic: by name up to version 12, by id from 13.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TopicRef {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(TopicId),
}

/// What a consumer wants of one partition, and what it was told last.
#[derive(Clone, Debug)]
pub struct FetchWish {
    /// The topic as named by the client.
    pub topic: TopicRef,
    /// The partition.
    pub partition: i32,
    /// The first offset wanted.
    pub offset: Offset,
    /// At most so many bytes.
    pub bytes_max: i32,
    /// The epoch the client believes in, or -1.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the last record it has, or -1.
    pub last_fetched_epoch: LeaderEpoch,
    /// The high watermark it was told, or -1.
    pub told_high_watermark: Offset,
    /// The log start it was told, or -1.
    pub told_log_start_offset: Offset,
    /// Its place in the session, or in the fetch if there is none.
    pub place: u32,
    /// Which of the wishes for that place this is.
    pub stamp: u64,
}

/// One session.
///
/// Invariants: `due` names places with wishes, each at most once, and `is_due` is true exactly for those; `places` and
/// `wishes` name the same partitions; every place without a wish is in `free`.
#[derive(Debug)]
pub struct FetchSession {
    epoch: i32,
    uses_ids: bool,
    /// By place.
    wishes: Vec<Option<FetchWish>>,
    is_due: Vec<bool>,
    free: Vec<u32>,
    places: BTreeMap<(TopicRef, i32), u32>,
    /// In serving order.
    due: Vec<u32>,
    stamps: u64,
    metadata_version: u64,
    last_used: Mono,
    /// The last fetch of it; the only one whose answer says what is quiet.
    pub active: Option<SlotId>,
    /// Owners that may watch something for it.
    pub owners: Vec<ShardId>,
}

/// How a partition stands when its part of an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At its end and watched.
    Quiet,
    /// The answer has records of it: it goes last next time, so that a busy partition cannot starve the others.
    Served,
    /// Anything else: it is looked at again.
    Due,
}

/// The session fields of a request.
#[derive(Clone, Copy, Debug)]
pub struct SessionAsk {
    /// 0, or the session's.
    pub id: i32,
    /// See KIP-227.
    pub epoch: i32,
    /// The request names topics by id.
    pub uses_ids: bool,
}

/// What a fetch is, once its session fields have been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchKind {
    /// Without a session: answer everything; session id 0.
    Sessionless,
    /// The first of a session: answer everything under this id.
    Full(i32),
    /// A later one: answer what has news.
    Incremental(i32),
}

impl FetchKind {
    /// The session it belongs to.
    #[must_use]
    pub fn session(self) -> Option<i32> {
        match self {
            FetchKind::Sessionless => None,
            FetchKind::Full(id) | FetchKind::Incremental(id) => Some(id),
        }
    }
}

/// The sessions of one shard; bounded.
#[derive(Debug)]
pub struct FetchSessions {
    sessions: BTreeMap<i32, FetchSession>,
    count_max: usize,
    shard: u16,
    shard_count: u16,
    /// Sessions that have ended, and the owners that do not know it yet.
    pub ended: Vec<(i32, Vec<ShardId>)>,
}

impl FetchSessions {
    /// Memory that a partition takes in a session, about: its wish, its place, its share of the tree, and what its owner
    /// keeps to watch it.
    pub const PARTITION_BYTES: usize = size_of::<FetchWish>()
        + 2 * size_of::<(TopicRef, i32, usize)>()
        + size_of::<FetchItem>()
        + size_of::<Watcher>();

    /// No sessions yet; at most `count_max` at a time. Ids of different shards never meet.
    #[must_use]
    pub fn new(count_max: usize, shard: u16, shard_count: u16) -> FetchSessions {
        FetchSessions { sessions: BTreeMap::new(), count_max, shard, shard_count, ended: Vec::new() }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many partitions they name together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.sessions.values().map(|session| session.places.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Applies a request's session fields. Returns what it is and the wishes to serve, in serving order: all of them, or of
    /// a session that went before those that are due.
    /// Errors: `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH`, `FETCH_SESSION_TOPIC_ID_ERROR`.
    pub fn begin(
        &mut self,
        ask: SessionAsk,
        wishes: Vec<FetchWish>,
        forgotten: &[(TopicRef, i32)],
        metadata_version: u64,
        now: Mono,
        rng: &mut Rng,
    ) -> Result<(FetchKind, Vec<FetchWish>), ErrorCode> {
        if ask.epoch == EPOCH_INITIAL || ask.epoch == EPOCH_FINAL {
            self.end(ask.id);
            if ask.epoch == EPOCH_FINAL || wishes.is_empty() || !self.make_room(now) {
                return Ok((FetchKind::Sessionless, placed(wishes)));
            }
            let id = self.new_id(rng);
            let mut session = FetchSession::new(ask.uses_ids, metadata_version, now);
            session.update(wishes, &[]);
            let wishes = session.due_wishes();
            self.sessions.insert(id, session);
            return Ok((FetchKind::Full(id), wishes));
        }
        let session = self.sessions.get_mut(&ask.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != ask.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_ids != ask.uses_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.update(wishes, forgotten);
        if session.places.is_empty() {
            self.end(ask.id);
            return Ok((FetchKind::Sessionless, Vec::new()));
        }
        // Topics may have come, gone, or changed their names.
        if session.metadata_version != metadata_version {
            session.metadata_version = metadata_version;
            (0..session.wishes.len() as u32).for_each(|place| session.make_due(place));
        }
        session.last_used = now;
        session.epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
        Ok((FetchKind::Incremental(ask.id), session.due_wishes()))
    }

    /// A session, if it lives.
    pub fn get_mut(&mut self, id: i32) -> Option<&mut FetchSession> {
        self.sessions.get_mut(&id)
    }

    fn end(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.ended.push((id, session.owners));
        }
    }

    /// Panics: if the state contradicts itself.
    pub fn check_invariants(&self) {
        self.sessions.values().for_each(FetchSession::check_invariants);
    }

    fn make_room(&mut self, now: Mono) -> bool {
        if self.sessions.len() < self.count_max {
            return true;
        }
        let oldest = self.sessions.iter().min_by_key(|(_, session)| session.last_used).map(|(id, _)| *id);
        let Some(oldest) = oldest else { return false };
        let rested = now.since(self.sessions[&oldest].last_used).as_millis();
        if rested < u128::from(EVICTION_REST_MS) {
            return false;
        }
        self.end(oldest);
        true
    }

    /// A random id other than 0, congruent to the shard's number.
    fn new_id(&self, rng: &mut Rng) -> i32 {
        let count = u64::from(self.shard_count);
        loop {
            let id = rng.below(i32::MAX as u64 / count) * count + u64::from(self.shard);
            let id = i32::try_from(id).expect("below i32::MAX by construction");
            if id != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl FetchSession {
    fn new(uses_ids: bool, metadata_version: u64, now: Mono) -> FetchSession {
        FetchSession {
            epoch: 1,
            uses_ids,
            wishes: Vec::new(),
            is_due: Vec::new(),
            free: Vec::new(),
            places: BTreeMap::new(),
            due: Vec::new(),
            stamps: 0,
            metadata_version,
            last_used: now,
            active: None,
            owners: Vec::new(),
        }
    }

    fn update(&mut self, wishes: Vec<FetchWish>, forgotten: &[(TopicRef, i32)]) {
        for mut wish in wishes {
            let key = (wish.topic.clone(), wish.partition);
            let place = *self.places.entry(key).or_insert_with(|| {
                self.free.pop().unwrap_or_else(|| {
                    self.wishes.push(None);
                    self.is_due.push(false);
                    self.wishes.len() as u32 - 1
                })
            });
            self.stamps += 1;
            (wish.place, wish.stamp) = (place, self.stamps);
            if let Some(old) = &self.wishes[place as usize] {
                wish.told_high_watermark = old.told_high_watermark;
                wish.told_log_start_offset = old.told_log_start_offset;
            }
            self.wishes[place as usize] = Some(wish);
            self.make_due(place);
        }
        let mut was_due = false;
        for key in forgotten {
            let Some(place) = self.places.remove(key) else { continue };
            self.wishes[place as usize] = None;
            self.free.push(place);
            was_due |= core::mem::take(&mut self.is_due[place as usize]);
        }
        if was_due {
            self.due.retain(|&place| self.is_due[place as usize]);
        }
    }

    fn make_due(&mut self, place: u32) {
        let i = place as usize;
        if self.wishes[i].is_some() && !self.is_due[i] {
            self.is_due[i] = true;
            self.due.push(place);
        }
    }

    fn due_wishes(&self) -> Vec<FetchWish> {
        let wish = |&place: &u32| self.wishes[place as usize].clone().expect("due places have wishes");
        self.due.iter().map(wish).collect()
    }

    /// An owner tells that a place is to be looked at again. Returns its wish, unless that is another one by now.
    pub fn on_due(&mut self, place: u32, stamp: u64) -> Option<&FetchWish> {
        let is_same = |wish: &FetchWish| wish.stamp == stamp;
        if !self.wishes.get(place as usize)?.as_ref().is_some_and(is_same) {
            return None;
        }
        self.make_due(place);
        self.wishes[place as usize].as_ref()
    }

    /// Notes how a place stands that a fetch has looked at; [`FetchSession::put_in_order`] follows.
    pub fn on_looked_at(&mut self, place: u32, stamp: u64, standing: Standing) {
        match (self.on_due(place, stamp), standing) {
            (Some(_), Standing::Quiet) => self.is_due[place as usize] = false,
            (Some(_), Standing::Served) => self.due.push(place),
            (Some(_), Standing::Due) | (None, _) => {}
        }
    }

    /// Notes what an answer tells about a place.
    pub fn on_told(&mut self, place: u32, stamp: u64, told: (Offset, Offset)) {
        if let Some(wish) = self.wishes[place as usize].as_mut().filter(|wish| wish.stamp == stamp) {
            (wish.told_high_watermark, wish.told_log_start_offset) = told;
        }
    }

    /// Leaves the quiet places out of what is due, and of those named twice the first.
    pub fn put_in_order(&mut self) {
        let mut seen = vec![false; self.wishes.len()];
        self.due.reverse();
        self.due.retain(|&place| {
            let again = core::mem::replace(&mut seen[place as usize], true);
            self.is_due[place as usize] && !again
        });
        self.due.reverse();
    }

    fn check_invariants(&self) {
        let mut due = self.due.clone();
        due.sort_unstable();
        let marked = (0..self.wishes.len() as u32).filter(|&place| self.is_due[place as usize]);
        assert_eq!(due, marked.collect::<Vec<u32>>(), "what is due is named once");
        assert!(due.iter().all(|&place| self.wishes[place as usize].is_some()));
        for ((topic, partition), &place) in &self.places {
            let wish = self.wishes[place as usize].as_ref().expect("places name wishes");
            assert_eq!((&wish.topic, wish.partition, wish.place), (topic, *partition, place));
        }
        assert_eq!(self.places.len() + self.free.len(), self.wishes.len());
    }
}

/// A fetch's own places, without a session.
fn placed(mut wishes: Vec<FetchWish>) -> Vec<FetchWish> {
    for (place, wish) in wishes.iter_mut().enumerate() {
        wish.place = place as u32;
    }
    wishes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str, partition: i32, offset: i64) -> FetchWish {
        FetchWish {
            topic: TopicRef::Name(name.into()),
            partition,
            offset: Offset(offset),
            bytes_max: 1024,
            current_leader_epoch: LeaderEpoch(-1),
            last_fetched_epoch: LeaderEpoch(-1),
            told_high_watermark: Offset(-1),
            told_log_start_offset: Offset(-1),
            place: 0,
            stamp: 0,
        }
    }

    fn sessions(count_max: usize) -> (FetchSessions, Rng) {
        (FetchSessions::new(count_max, 1, 4), Rng::new(1))
    }

    /// A request's session fields, topics named by name.
    fn ask(id: i32, epoch: i32) -> SessionAsk {
        SessionAsk { id, epoch, uses_ids: false }
    }

    fn seen(served: &[FetchWish]) -> Vec<(String, i32, i64)> {
        let name = |wish: &FetchWish| match &wish.topic {
            TopicRef::Name(name) => name.to_string(),
            TopicRef::Id(id) => format!("{id:?}"),
        };
        served.iter().map(|wish| (name(wish), wish.partition, wish.offset.0)).collect()
    }

    fn part(name: &str, partition: i32, offset: i64) -> (String, i32, i64) {
        (name.to_string(), partition, offset)
    }

    #[test]
    fn a_session_remembers_updates_and_forgets() {
        let (mut all, mut rng) = sessions(10);
        let wishes = vec![wish("a", 0, 0), wish("a", 1, 0), wish("b", 0, 0)];
        let (kind, served) = all.begin(ask(0, 0), wishes, &[], 1, Mono(0), &mut rng).unwrap();
        let FetchKind::Full(id) = kind else { panic!("a new session: {kind:?}") };
        assert_eq!(id % 4, 1);
        assert_eq!(served.len(), 3);

        let gone = [(TopicRef::Name("a".into()), 0)];
        let (kind, served) =
            all.begin(ask(id, 1), vec![wish("b", 0, 7)], &gone, 1, Mono(1), &mut rng).unwrap();
        assert_eq!(kind, FetchKind::Incremental(id));
        assert_eq!(seen(&served), [part("a", 1, 0), part("b", 0, 7)]);

        let session = all.get_mut(id).unwrap();
        session.on_told(served[0].place, served[0].stamp, (Offset(5), Offset(0)));
        session.on_looked_at(served[0].place, served[0].stamp, Standing::Served);
        session.put_in_order();
        let (_, served) = all.begin(ask(id, 2), Vec::new(), &[], 1, Mono(2), &mut rng).unwrap();
        assert_eq!(seen(&served), [part("b", 0, 7), part("a", 1, 0)], "who got records goes last");
        assert_eq!(served[1].told_high_watermark, Offset(5));
        all.check_invariants();
    }

    #[test]
    fn only_what_is_due_is_looked_at() {
        let (mut all, mut rng) = sessions(10);
        let wishes = (0..4).map(|partition| wish("a", partition, 0)).collect();
        let (kind, first) = all.begin(ask(0, 0), wishes, &[], 1, Mono(0), &mut rng).unwrap();
        let id = kind.session().expect("a new session");
        let session = all.get_mut(id).unwrap();
        let standings = [Standing::Quiet, Standing::Served, Standing::Due, Standing::Quiet];
        for (wish, standing) in first.iter().zip(standings) {
            session.on_looked_at(wish.place, wish.stamp, standing);
        }
        session.put_in_order();
        session.check_invariants();
        let mut epoch = 0;
        let mut next = |wishes: Vec<FetchWish>, version: u64| {
            epoch += 1;
            let (_, served) = all.begin(ask(id, epoch), wishes, &[], version, Mono(0), &mut rng).unwrap();
            all.check_invariants();
            (seen(&served), all.get_mut(id).unwrap().wishes.clone())
        };
        assert_eq!(next(vec![], 1).0, [part("a", 2, 0), part("a", 1, 0)]);
        // Asked for anew: what its owner knew of the old wish counts no longer.
        let (served, wishes) = next(vec![wish("a", 3, 9)], 1);
        assert_eq!(served, [part("a", 2, 0), part("a", 1, 0), part("a", 3, 9)]);
        let new = wishes[3].as_ref().expect("it is there");
        assert_ne!(new.stamp, first[3].stamp);
        let (served, _) = next(vec![], 2);
        assert_eq!(served.len(), 4, "all are when the metadata have changed");
        let session = all.get_mut(id).unwrap();
        first.iter().for_each(|wish| session.on_looked_at(wish.place, wish.stamp, Standing::Quiet));
        session.put_in_order();
        assert_eq!(seen(&session.due_wishes()), [part("a", 3, 9)], "the fourth is another wish");
        assert!(session.on_due(first[3].place, first[3].stamp).is_none());
        assert!(session.on_due(first[0].place, first[0].stamp).is_some());
        assert_eq!(seen(&session.due_wishes()), [part("a", 3, 9), part("a", 0, 0)]);
        session.check_invariants();
    }

    #[test]
    fn a_place_that_was_free_is_not_its_predecessors() {
        let (mut all, mut rng) = sessions(10);
        let wishes = vec![wish("a", 0, 0), wish("a", 1, 0)];
        let (kind, first) = all.begin(ask(0, 0), wishes, &[], 1, Mono(0), &mut rng).unwrap();
        let id = kind.session().expect("a new session");
        let gone = [(TopicRef::Name("a".into()), 0)];
        all.begin(ask(id, 1), Vec::new(), &gone, 1, Mono(0), &mut rng).unwrap();
        let (_, served) = all.begin(ask(id, 2), vec![wish("b", 0, 3)], &[], 1, Mono(0), &mut rng).unwrap();
        assert_eq!(seen(&served), [part("a", 1, 0), part("b", 0, 3)]);
        assert_eq!(served[1].place, first[0].place);
        assert!(all.get_mut(id).unwrap().on_due(first[0].place, first[0].stamp).is_none());
        all.check_invariants();
    }

    #[test]
    fn wrong_ids_epochs_and_topic_naming_are_refused() {
        let (mut all, mut rng) = sessions(10);
        let (kind, _) = all.begin(ask(0, 0), vec![wish("a", 0, 0)], &[], 1, Mono(0), &mut rng).unwrap();
        let FetchKind::Full(id) = kind else { panic!("a new session: {kind:?}") };
        let mut begin = |ask| all.begin(ask, Vec::new(), &[], 1, Mono(0), &mut rng).unwrap_err();
        assert_eq!(begin(ask(id + 4, 1)), ErrorCode::FetchSessionIdNotFound);
        assert_eq!(begin(ask(id, 2)), ErrorCode::InvalidFetchSessionEpoch);
        assert_eq!(begin(SessionAsk { uses_ids: true, ..ask(id, 1) }), ErrorCode::FetchSessionTopicIdError);
        all.get_mut(id).unwrap().owners.push(ShardId(3));
        let (kind, _) = all.begin(ask(id, -1), Vec::new(), &[], 1, Mono(0), &mut rng).unwrap();
        assert_eq!(kind, FetchKind::Sessionless);
        assert!(all.is_empty());
        assert_eq!(all.ended, [(id, vec![ShardId(3)])], "its owners are to be told");
    }

    #[test]
    fn a_full_cache_serves_without_a_session_until_one_has_rested() {
        let (mut all, mut rng) = sessions(1);
        all.begin(ask(0, 0), vec![wish("a", 0, 0)], &[], 1, Mono(0), &mut rng).unwrap();
        let mut kind = |at| all.begin(ask(0, 0), vec![wish("a", 0, 0)], &[], 1, at, &mut rng).unwrap().0;
        assert_eq!(kind(Mono(0)), FetchKind::Sessionless);
        assert!(matches!(kind(Mono(0).plus_ms(EVICTION_REST_MS)), FetchKind::Full(_)));
    }
}
