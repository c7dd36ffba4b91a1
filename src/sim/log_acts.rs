//! What clients of a log do in [`LogWorld`]: append, read, look up, delete; and what each answer is held against.

use corelane_base::id::{LeaderEpoch, Offset};
use corelane_base::time::WallMs;
use corelane_log::batch::TimestampType;
use corelane_log::error::AppendError;
use corelane_log::log::{AppendOrigin, Appended, LogState, LookupStart, ReadStart, TimedOffset};
use corelane_log::producers::ProducerError;

use crate::batch::{Producer, Record, as_stored, decode, encode};
use crate::log_model::{LookupAsked, ReadAsked};
use crate::log_plan::PRODUCERS_PER_LOG;
use crate::log_stand::{LogShard as _, Model as _};
use crate::log_world::LogWorld;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Appended,
    OutOfOrder,
    Fenced,
}

impl LogWorld {
    /// Appends a batch of a random producer: new, or sent once more.
    pub(crate) fn append(&mut self, host: usize) {
        let producer_id = self.stand.rng.below(PRODUCERS_PER_LOG + 1) as i64 - 1;
        if producer_id < 0 {
            let records = self.records(host);
            self.append_batch(host, Producer::NONE, &records, Expected::Appended);
            return;
        }
        let newest = self.stand.hosts[host].model.batches_of(producer_id).next().map(|batch| {
            (
                batch.producer,
                batch.last_offset - batch.base_offset + 1,
                batch.base_offset,
                batch.bytes.clone(),
            )
        });
        let records = self.records(host);
        match newest {
            None => {
                let producer = Producer { id: producer_id, epoch: 0, base_sequence: 0 };
                self.append_batch(host, producer, &records, Expected::Appended);
            }
            Some((producer, count, base_offset, bytes)) => {
                let remembered = base_offset >= self.stand.hosts[host].model.log_start();
                let next = (i64::from(producer.base_sequence) + count) & i64::from(i32::MAX);
                let next = Producer { base_sequence: next as i32, ..producer };
                match self.stand.rng.below(20) {
                    0..3 if remembered => self.append_again(host, &bytes, base_offset),
                    3 if remembered => {
                        let gap = Producer { base_sequence: next.base_sequence + 7, ..next };
                        self.append_batch(host, gap, &records, Expected::OutOfOrder);
                    }
                    4 => {
                        let fresh = Producer { epoch: producer.epoch + 1, base_sequence: 0, ..producer };
                        self.append_batch(host, fresh, &records, Expected::Appended);
                    }
                    5 if remembered && producer.epoch > 0 => {
                        let fenced = Producer { epoch: producer.epoch - 1, base_sequence: 0, ..producer };
                        self.append_batch(host, fenced, &records, Expected::Fenced);
                    }
                    _ => self.append_batch(host, next, &records, Expected::Appended),
                }
            }
        }
    }

    fn records(&mut self, host: usize) -> Vec<Record> {
        let count = match self.stand.rng.below(20) {
            0 => 50,
            1..4 => 10,
            _ => 1,
        };
        let size_max =
            self.plan.record_bytes_max.min(u64::from(self.stand.hosts[host].settings.batch_bytes_max) / 64);
        let now = self.stand.ground.clock.now().wall.0;
        (0..1 + self.stand.rng.below(count))
            .map(|_| Record {
                timestamp_ms: now - self.stand.rng.below(5_000) as i64,
                key: self.stand.rng.one_in(2).then(|| self.stand.rng.next_u64().to_le_bytes().to_vec()),
                value: vec![self.stand.rng.next_u64() as u8; self.stand.rng.below(size_max) as usize],
            })
            .collect()
    }

    fn append_batch(&mut self, host: usize, producer: Producer, records: &[Record], expected: Expected) {
        let produced = encode(producer, records);
        let Some((result, leader_epoch)) = self.hand_in(host, &produced) else { return };
        let at = &mut self.stand.hosts[host];
        match result {
            Ok(_) if at.abandoned => {}
            Ok(appended) => {
                assert_eq!(expected, Expected::Appended, "{} took a batch of {producer:?}", at.dir);
                assert!(!appended.duplicate, "{}: {producer:?} is no duplicate", at.dir);
                let time = appended.log_append_time.map(|time| time.0);
                let stored = as_stored(&produced, appended.base_offset.0, leader_epoch, time);
                at.model.on_appended(stored);
                assert_eq!(appended.last_offset.0 + 1, at.model.log_end());
                self.outcome.appended += 1;
            }
            Err(error) if at.abandoned => drop(error),
            Err(AppendError::Producer(error)) => match (error, expected) {
                (ProducerError::OutOfOrderSequence { .. }, Expected::OutOfOrder)
                | (ProducerError::InvalidProducerEpoch { .. }, Expected::Fenced) => {}
                _ => panic!("{}: {producer:?} refused with {error:?}, expected {expected:?}", at.dir),
            },
            Err(AppendError::Opening) => assert!(at.opening, "{} is online", at.dir),
            Err(AppendError::Offline) => {
                let log = at.log.as_ref().expect("asked a moment ago");
                assert!(matches!(log.state(), LogState::Offline(_)), "{} is not offline", at.dir);
            }
            Err(AppendError::Busy | AppendError::DiskFull) => {}
            Err(error) => panic!("{}: a sound batch is refused: {error:?}", at.dir),
        }
    }

    /// The newest batch of a producer comes once more.
    fn append_again(&mut self, host: usize, stored: &[u8], base_offset: i64) {
        let mut produced = stored.to_vec();
        produced[..8].fill(0);
        if self.stand.hosts[host].settings.timestamp_type == TimestampType::LogAppendTime {
            return;
        }
        let Some((result, _)) = self.hand_in(host, &produced) else { return };
        let at = &self.stand.hosts[host];
        match result {
            Ok(appended) => {
                assert!(at.abandoned || appended.duplicate, "{}: batch {base_offset} taken twice", at.dir);
                assert!(at.abandoned || appended.base_offset.0 == base_offset);
                self.outcome.duplicates += 1;
            }
            Err(AppendError::Opening | AppendError::Offline | AppendError::Busy | AppendError::DiskFull) => {}
            Err(error) if at.abandoned => drop(error),
            Err(error) => panic!("{}: batch {base_offset} not recognised: {error:?}", at.dir),
        }
    }

    fn hand_in(&mut self, host: usize, produced: &[u8]) -> Option<(Result<Appended, AppendError>, i32)> {
        let at = &mut self.stand.hosts[host];
        if produced.len() > at.settings.batch_bytes_max.min(at.settings.segment_bytes) as usize {
            return None;
        }
        let mut cx = self.stand.ground.cx();
        let log = at.log.as_mut()?;
        let epoch = at.model.leader_epoch;
        let origin = AppendOrigin::Client { zstd_allowed: true };
        let result = log.append(produced, LeaderEpoch(epoch), origin, &mut cx);
        let dir = &at.dir;
        self.stand.ground.trace.line(|| {
            let producer = decode(produced).map(|batch| batch.map(|batch| batch.producer));
            format!("append {dir} {} bytes of {producer:?}: {result:?}", produced.len())
        });
        Some((result, epoch))
    }

    pub(crate) fn read(&mut self, host: usize) {
        let model = &self.stand.hosts[host].model;
        let (start, flushed) = (model.log_start(), model.flushed());
        let offset = match self.stand.rng.below(10) {
            0 => start,
            1 => flushed,
            2..5 => flushed - self.stand.rng.below((flushed - start) as u64 / 10 + 1) as i64,
            _ => start + self.stand.rng.below((flushed - start) as u64 + 1) as i64,
        };
        let bytes_max = 1 << (4 + self.stand.rng.below(16));
        let asked =
            ReadAsked { offset, end: flushed, bytes_max, whole_first_batch: !self.stand.rng.one_in(4) };
        self.start_read(host, asked);
    }

    fn start_read(&mut self, host: usize, asked: ReadAsked) {
        let at = &mut self.stand.hosts[host];
        let mut cx = self.stand.ground.cx();
        let Some(log) = at.log.as_mut() else { return };
        let (offset, end) = (Offset(asked.offset), Offset(asked.end));
        let started = log.read(offset, end, asked.bytes_max, asked.whole_first_batch, &mut cx);
        let dir = &at.dir;
        self.stand.ground.trace.line(|| format!("read {dir} {asked:?}: {}", describe(&started)));
        match started {
            ReadStart::Ready(read) => self.stand.sending.push((host, asked, read)),
            ReadStart::Pending(ticket) => {
                let before = at.reads.insert(ticket, asked);
                assert!(before.is_none(), "{}: ticket {ticket:?} given twice", at.dir);
            }
            ReadStart::Empty if at.abandoned => {}
            ReadStart::Empty => at.model.check_read_empty(&asked),
            ReadStart::OutOfRange => {
                let inside = (at.model.log_start()..=at.model.log_end()).contains(&asked.offset);
                assert!(at.abandoned || at.opening || !inside, "{}: {asked:?} out of range", at.dir);
            }
            ReadStart::Failed(error) => self.stand.check_read_error(host, &error),
        }
    }

    /// A read's bytes leave for the client, if one is ready.
    pub(crate) fn send_one(&mut self) -> bool {
        let Some((host, asked, size, bytes)) = self.stand.take_sent() else { return false };
        let at = &self.stand.hosts[host];
        if !at.abandoned {
            assert_eq!(bytes.len() as u64, size, "{}: {asked:?}", at.dir);
            if bytes.is_empty() {
                at.model.check_read_empty(&asked);
            } else {
                at.model.check_read(&asked, &bytes);
            }
            self.outcome.reads += 1;
        }
        true
    }

    pub(crate) fn look_up(&mut self, host: usize) {
        let at = &mut self.stand.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        let end = at.model.flushed();
        let now = self.stand.ground.clock.now();
        let timestamp =
            (!self.stand.rng.one_in(4)).then(|| now.wall.0 - self.stand.rng.below(self.plan.span_ms) as i64);
        let mut cx = self.stand.ground.cx();
        let (started, expected) = match timestamp {
            Some(time) => {
                (log.offset_for_time(WallMs(time), Offset(end), &mut cx), at.model.offset_for_time(time, end))
            }
            None => {
                (log.offset_of_max_timestamp(Offset(end), &mut cx), at.model.offset_of_max_timestamp(end))
            }
        };
        let asked = LookupAsked { timestamp, expected };
        let dir = &at.dir;
        self.stand.ground.trace.line(|| format!("look up {dir} {asked:?} below {end}: {started:?}"));
        match started {
            LookupStart::Ready(found) => self.check_found(host, asked, found),
            LookupStart::Pending(ticket) => {
                let before = at.lookups.insert(ticket, asked);
                assert!(before.is_none(), "{}: ticket {ticket:?} given twice", at.dir);
            }
            LookupStart::Failed(error) => self.stand.check_read_error(host, &error),
        }
    }

    pub(crate) fn check_found(&mut self, host: usize, asked: LookupAsked, found: Option<TimedOffset>) {
        let at = &self.stand.hosts[host];
        if at.abandoned || at.opening {
            return;
        }
        self.outcome.lookups += 1;
        let got = found.map(|found| (found.offset.0, found.timestamp.0));
        if let Some((offset, _)) = asked.expected
            && offset < at.model.log_start()
        {
            return; // Removed while the look-up waited.
        }
        if let (None, Some((offset, time))) = (asked.timestamp, got)
            && offset < at.model.log_start()
        {
            // As in Kafka, the record with the largest time may have been deleted, if its segment has not.
            assert_eq!(at.model.time_of(offset), Some(time), "{}", at.dir);
            return;
        }
        assert_eq!(got, asked.expected, "{}: look-up of time {:?}", at.dir, asked.timestamp);
    }

    pub(crate) fn delete_records(&mut self, host: usize) {
        let at = &mut self.stand.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        if at.opening {
            return;
        }
        let now = self.stand.ground.clock.now();
        let span = (at.model.flushed() - at.model.log_start()) as u64;
        let before = at.model.log_start() + self.stand.rng.below(span / 2 + 1) as i64;
        let mut cx = self.stand.ground.cx();
        let result = log.delete_records(Offset(before), &mut cx);
        let dir = &at.dir;
        self.stand.ground.trace.line(|| format!("delete {dir} below {before}: {result:?}"));
        match result {
            Ok(_) if at.abandoned => {}
            Ok(log_start) => {
                assert_eq!(log_start, log.log_start_offset());
                assert_eq!(log_start.0, before.max(at.model.log_start()), "{}", at.dir);
                at.model.on_log_start(log_start.0, true, &at.settings, now.wall.0);
            }
            Err(error) => self.stand.check_read_error(host, &error),
        }
    }

    pub(crate) fn evict(&mut self, host: usize) {
        let keep = self.stand.rng.below(256 * 1024);
        if let Some(log) = self.stand.hosts[host].log.as_mut() {
            log.evict_tail(keep);
        }
    }

    pub(crate) fn check_epochs(&mut self, host: usize) {
        let at = &self.stand.hosts[host];
        let Some(log) = at.log.as_ref() else { return };
        if at.opening || at.abandoned || *log.state() != LogState::Online {
            return;
        }
        for asked in 0..=at.model.leader_epoch {
            if let Some(expected) = at.model.end_of_epoch(asked) {
                let (epoch, end) = log.end_offset_for_epoch(LeaderEpoch(asked));
                assert_eq!((epoch.0, end.0), expected, "{}: end of epoch {asked}", at.dir);
            }
        }
    }

    /// Without faults, with room, online: an append must succeed and become flushed.
    pub(crate) fn check_serves_again(&mut self, host: usize) {
        if self.stand.hosts[host].abandoned {
            return;
        }
        for _ in 0..5 {
            self.stand.ground.clock.advance_by(1_000_000_000);
            self.tick();
            self.settle();
        }
        let before = self.stand.hosts[host].model.log_end();
        let records = self.records(host);
        self.append_batch(host, Producer::NONE, &records[..1], Expected::Appended);
        self.settle();
        self.stand.observe();
        let model = &self.stand.hosts[host].model;
        let dir = &self.stand.hosts[host].dir;
        assert_eq!(model.log_end(), before + 1, "{dir} does not take a batch on a healthy disk");
        assert_eq!(model.flushed(), before + 1, "{dir} does not flush on a healthy disk");
    }

    pub(crate) fn read_everything(&mut self, host: usize) {
        if self.stand.hosts[host].abandoned {
            return;
        }
        let model = &self.stand.hosts[host].model;
        let (start, end) = (model.log_start(), model.flushed());
        let bases: Vec<i64> = model.batches_in(start, end).map(|batch| batch.base_offset).collect();
        for base in bases {
            let offset = base.max(start);
            self.start_read(host, ReadAsked { offset, end, bytes_max: 1, whole_first_batch: true });
            self.settle();
        }
    }
}

fn describe(started: &ReadStart) -> String {
    match started {
        ReadStart::Ready(read) => format!("{} bytes in {} parts", read.bytes, read.parts.len()),
        other => format!("{other:?}"),
    }
}
