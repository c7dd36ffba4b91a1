//! Incremental fetch sessions (KIP-227): the partitions of a consumer are named once, later requests name only what
//! changed, responses hold only what has news.
//!
//! A session lives on the shard of the connection that made it. A client that comes back on another connection, and so
//! perhaps on another shard, is told `FETCH_SESSION_ID_NOT_FOUND` and starts a new one, as after a broker restart.
//! Source: KIP-227, KIP-516; Kafka `FetchSession`, `FetchManager`.

use std::collections::BTreeMap;
use std::sync::Arc;

use corelane_base::id::{LeaderEpoch, Offset, TopicId};
use corelane_base::rng::Rng;
use corelane_base::time::Mono;
use corelane_wire::error_code::ErrorCode;

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
}

#[derive(Debug)]
struct FetchSession {
    epoch: i32,
    uses_ids: bool,
    wishes: Vec<FetchWish>,
    places: BTreeMap<(TopicRef, i32), usize>,
    start: usize,
    last_used: Mono,
}

/// What a fetch is, once its session fields have been looked at.
#[derive(Debug, PartialEq, Eq)]
pub enum FetchKind {
    /// Without a session: answer everything; session id 0.
    Sessionless,
    /// The first of a session: answer everything under this id.
    Full(i32),
    /// A later one: answer what has news.
    Incremental(i32),
}

/// The sessions of one shard; bounded.
#[derive(Debug)]
pub struct FetchSessions {
    sessions: BTreeMap<i32, FetchSession>,
    count_max: usize,
    shard: u16,
    shard_count: u16,
}

impl FetchSessions {
    /// Memory that a partition takes in a session, about: its wish, its place, and its share of the tree.
    pub const PARTITION_BYTES: usize = size_of::<FetchWish>() + 2 * size_of::<(TopicRef, i32, usize)>();

    /// No sessions yet; at most `count_max` at a time. Ids of different shards never meet.
    #[must_use]
    pub fn new(count_max: usize, shard: u16, shard_count: u16) -> FetchSessions {
        FetchSessions { sessions: BTreeMap::new(), count_max, shard, shard_count }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many partitions they name together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.sessions.values().map(|session| session.wishes.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Applies a request's session fields. Returns what it is and the wishes to serve, in serving order.
    /// Errors: `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH`, `FETCH_SESSION_TOPIC_ID_ERROR`.
    #[allow(clippy::too_many_arguments)]
    pub fn begin(
        &mut self,
        session_id: i32,
        session_epoch: i32,
        uses_ids: bool,
        wishes: Vec<FetchWish>,
        forgotten: &[(TopicRef, i32)],
        now: Mono,
        rng: &mut Rng,
    ) -> Result<(FetchKind, Vec<FetchWish>), ErrorCode> {
        if session_epoch == EPOCH_INITIAL || session_epoch == EPOCH_FINAL {
            self.sessions.remove(&session_id);
            if session_epoch == EPOCH_FINAL || wishes.is_empty() || !self.make_room(now) {
                return Ok((FetchKind::Sessionless, wishes));
            }
            let id = self.new_id(rng);
            let mut session = FetchSession {
                epoch: 1,
                uses_ids,
                wishes: Vec::new(),
                places: BTreeMap::new(),
                start: 0,
                last_used: now,
            };
            session.update(wishes, &[]);
            let wishes = session.wishes.clone();
            self.sessions.insert(id, session);
            return Ok((FetchKind::Full(id), wishes));
        }
        let session = self.sessions.get_mut(&session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_ids != uses_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.update(wishes, forgotten);
        session.last_used = now;
        session.epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
        if session.wishes.is_empty() {
            self.sessions.remove(&session_id);
            return Ok((FetchKind::Sessionless, Vec::new()));
        }
        session.start %= session.wishes.len();
        let mut wishes = Vec::with_capacity(session.wishes.len());
        wishes.extend_from_slice(&session.wishes[session.start..]);
        wishes.extend_from_slice(&session.wishes[..session.start]);
        Ok((FetchKind::Incremental(session_id), wishes))
    }

    /// Notes what a response tells about a partition, and whether it holds records; those go last next time, so that
    /// a busy partition cannot starve the others.
    pub fn on_told(
        &mut self,
        session_id: i32,
        topic: &TopicRef,
        partition: i32,
        told: (Offset, Offset),
        has_records: bool,
    ) {
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
        let Some(&place) = session.places.get(&(topic.clone(), partition)) else { return };
        let wish = &mut session.wishes[place];
        (wish.told_high_watermark, wish.told_log_start_offset) = told;
        if has_records {
            session.start = place + 1;
        }
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
        self.sessions.remove(&oldest);
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
    fn update(&mut self, wishes: Vec<FetchWish>, forgotten: &[(TopicRef, i32)]) {
        for wish in wishes {
            let key = (wish.topic.clone(), wish.partition);
            match self.places.get(&key) {
                Some(&place) => {
                    let old = &mut self.wishes[place];
                    let told = (old.told_high_watermark, old.told_log_start_offset);
                    *old = wish;
                    (old.told_high_watermark, old.told_log_start_offset) = told;
                }
                None => {
                    self.places.insert(key, self.wishes.len());
                    self.wishes.push(wish);
                }
            }
        }
        let mut removed = false;
        for key in forgotten {
            removed |= self.places.remove(key).is_some();
        }
        if removed {
            let places = &self.places;
            self.wishes.retain(|wish| places.contains_key(&(wish.topic.clone(), wish.partition)));
            for (place, wish) in self.wishes.iter().enumerate() {
                self.places.insert((wish.topic.clone(), wish.partition), place);
            }
        }
    }
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
        }
    }

    fn sessions(count_max: usize) -> (FetchSessions, Rng) {
        (FetchSessions::new(count_max, 1, 4), Rng::new(1))
    }

    #[test]
    fn a_session_remembers_updates_and_forgets() {
        let (mut all, mut rng) = sessions(10);
        let wishes = vec![wish("a", 0, 0), wish("a", 1, 0), wish("b", 0, 0)];
        let (kind, served) = all.begin(0, 0, false, wishes, &[], Mono(0), &mut rng).unwrap();
        let FetchKind::Full(id) = kind else { panic!("a new session: {kind:?}") };
        assert_eq!(id % 4, 1);
        assert_eq!(served.len(), 3);

        let gone = [(TopicRef::Name("a".into()), 0)];
        let (kind, served) =
            all.begin(id, 1, false, vec![wish("b", 0, 7)], &gone, Mono(1), &mut rng).unwrap();
        assert_eq!(kind, FetchKind::Incremental(id));
        let seen: Vec<_> = served.iter().map(|w| (w.topic.clone(), w.partition, w.offset.0)).collect();
        assert_eq!(seen, [(TopicRef::Name("a".into()), 1, 0), (TopicRef::Name("b".into()), 0, 7)]);

        all.on_told(id, &TopicRef::Name("a".into()), 1, (Offset(5), Offset(0)), true);
        let (_, served) = all.begin(id, 2, false, Vec::new(), &[], Mono(2), &mut rng).unwrap();
        assert_eq!(served[0].topic, TopicRef::Name("b".into()), "who got records goes last");
        assert_eq!(served[1].told_high_watermark, Offset(5));
    }

    #[test]
    fn wrong_ids_epochs_and_topic_naming_are_refused() {
        let (mut all, mut rng) = sessions(10);
        let (kind, _) = all.begin(0, 0, false, vec![wish("a", 0, 0)], &[], Mono(0), &mut rng).unwrap();
        let FetchKind::Full(id) = kind else { panic!("a new session: {kind:?}") };
        let mut begin =
            |id, epoch, ids| all.begin(id, epoch, ids, Vec::new(), &[], Mono(0), &mut rng).unwrap_err();
        assert_eq!(begin(id + 4, 1, false), ErrorCode::FetchSessionIdNotFound);
        assert_eq!(begin(id, 2, false), ErrorCode::InvalidFetchSessionEpoch);
        assert_eq!(begin(id, 1, true), ErrorCode::FetchSessionTopicIdError);
        let (kind, _) = all.begin(id, -1, false, Vec::new(), &[], Mono(0), &mut rng).unwrap();
        assert_eq!(kind, FetchKind::Sessionless);
        assert!(all.is_empty());
    }

    #[test]
    fn a_full_cache_serves_without_a_session_until_one_has_rested() {
        let (mut all, mut rng) = sessions(1);
        all.begin(0, 0, false, vec![wish("a", 0, 0)], &[], Mono(0), &mut rng).unwrap();
        let mut kind = |at| all.begin(0, 0, false, vec![wish("a", 0, 0)], &[], at, &mut rng).unwrap().0;
        assert_eq!(kind(Mono(0)), FetchKind::Sessionless);
        assert!(matches!(kind(Mono(0).plus_ms(EVICTION_REST_MS)), FetchKind::Full(_)));
    }
}
