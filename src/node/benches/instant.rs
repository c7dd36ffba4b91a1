//! The smallest shell a shard can live in: one shard, a disk that does everything at once, no network.
//!
//! For benchmarks and for counting allocations: what is measured is the shard, not the shell. Written data is dropped,
//! so only what the tail memory still holds can be read.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use corelane_base::id::{ConnId, ShardId};
use corelane_base::time::{Mono, Now, WallMs};
use corelane_control::configs::settings::Settings;
use corelane_log::disk::{DiskOp, DiskOutcome, FileHandle, FileObject};
use corelane_node::event::{Effects, Event, Lifecycle, NetEffect};
use corelane_node::metrics::Snapshot;
use corelane_node::send::SendPart;
use corelane_node::shard::{Shard, ShardSettings};

/// A file of which only the existence matters.
struct Nothing;

impl FileObject for Nothing {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A shard and its world.
pub struct Instant {
    shard: Shard,
    fx: Effects,
    now: Now,
    conn: ConnId,
}

impl Instant {
    /// A serving broker of one shard with one client.
    pub fn start() -> Instant {
        let shard = Shard::new(ShardSettings {
            shard: ShardId(0),
            shard_count: 1,
            seed: 1,
            advertised_host: "localhost".to_owned(),
            advertised_port: 9092,
            config: Arc::new(Settings::from_list(&[]).expect("defaults are valid")),
            data_dir: "nowhere".to_owned(),
        });
        let conn = ConnId { slot: 0, generation: 0 };
        let now = Now { mono: Mono(1), wall: WallMs(1_800_000_000_000) };
        let mut this = Instant { shard, fx: Effects::default(), now, conn };
        this.shard.start(this.now, &mut this.fx);
        let ready = this.settle();
        assert!(ready.1, "the shard serves at once: nothing has to be waited for");
        let peer = ([127, 0, 0, 1], 1).into();
        this.shard.apply(this.now, Event::Accepted { conn, peer }, &mut this.fx);
        this.settle();
        this
    }

    /// Sends a frame and gives the answers' bytes, as many as came.
    pub fn request(&mut self, frame: &[u8]) -> usize {
        self.shard.apply(self.now, Event::Received { conn: self.conn, bytes: frame }, &mut self.fx);
        self.settle().0
    }

    /// The same, with the answer as one piece of memory.
    #[allow(dead_code, reason = "benchmarks look at lengths only")]
    pub fn answer(&mut self, frame: &[u8]) -> Vec<u8> {
        self.shard.apply(self.now, Event::Received { conn: self.conn, bytes: frame }, &mut self.fx);
        let mut answer = Vec::new();
        self.turn_until_quiet(|parts| {
            for part in parts {
                let SendPart::Memory(bytes) = part else { panic!("nothing lies in files here") };
                answer.extend_from_slice(bytes);
            }
        });
        answer
    }

    /// Fills a snapshot as a scrape asks for it: how long each turn took.
    #[allow(dead_code, reason = "counting allocations does not need it")]
    pub fn scrape(&self) -> Vec<Duration> {
        let (mut snapshot, mut turns) = (Box::<Snapshot>::default(), Vec::new());
        loop {
            let begin = std::time::Instant::now();
            let whole = self.shard.fill(&mut snapshot);
            turns.push(begin.elapsed());
            if whole {
                assert!(snapshot.partitions.len() >= turns.len(), "a turn tells many partitions");
                return turns;
            }
        }
    }

    fn settle(&mut self) -> (usize, bool) {
        let mut bytes = 0;
        let ready = self.turn_until_quiet(|parts| bytes += parts.iter().map(SendPart::len).sum::<usize>());
        (bytes, ready)
    }

    fn turn_until_quiet(&mut self, mut sent: impl FnMut(&[SendPart])) -> bool {
        let mut ready = false;
        loop {
            self.shard.end_turn(self.now, &mut self.fx);
            let fx = std::mem::take(&mut self.fx);
            ready |= fx.lifecycle.contains(&Lifecycle::Ready);
            let Effects { net, mut disk, mesh, .. } = fx;
            assert!(mesh.is_empty(), "one shard talks to nobody");
            let mut quiet = net.is_empty();
            for effect in net {
                if let NetEffect::Send { conn, parts } = effect {
                    sent(&parts);
                    self.shard.apply(self.now, Event::Sent { conn }, &mut self.fx);
                }
            }
            // The queue goes back: its tokens count on.
            let ops: Vec<_> = disk.drain().collect();
            quiet &= ops.is_empty();
            self.fx.disk = disk;
            for (token, op) in ops {
                self.shard.apply(self.now, Event::Disk { token, result: Ok(carry_out(&op)) }, &mut self.fx);
            }
            if quiet {
                return ready;
            }
        }
    }
}

fn carry_out(op: &DiskOp) -> DiskOutcome {
    match op {
        DiskOp::List { .. } => DiskOutcome::Listed(Vec::new()),
        DiskOp::ReadFile { .. } => DiskOutcome::File(None),
        DiskOp::Space => DiskOutcome::Space { total: 1 << 40, free: 1 << 40 },
        DiskOp::CreateSegment { bytes, .. } => {
            DiskOutcome::Opened { file: FileHandle::new(Nothing), len: *bytes }
        }
        DiskOp::Read { .. } | DiskOp::ReadHistory { .. } | DiskOp::OpenSegment { .. } => {
            panic!("what was written is not kept: {op:?}")
        }
        _ => DiskOutcome::Done,
    }
}
