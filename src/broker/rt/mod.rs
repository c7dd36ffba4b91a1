//! The shards as threads: one glommio executor per core, hosting one cooperative task, the shard's loop.
//!
//! What it is: the only place that names glommio. The executor gives placement and a pool for blocking file operations;
//! sleeping and everything on the data path are the ring's. Threads of our own and `io_uring_enter` with a timeout would do
//! for the loop alone; the executor is for the background work beside it.
//!
//! glommio's scheduler has a hazard: if its preempt timer fires before the first task queue is looked at, it parks with
//! runnable tasks until the next outside event. So the timer is set to hours, work per turn is bounded here, nothing
//! relies on `Latency::Matters`, and the admin thread rings every doorbell each 10 ms.

pub mod doorbell;
pub mod port;
mod files;
mod cold;
mod mesh;
mod shard_loop;

#[cfg(test)]
mod rt_test;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use corelane_base::id::ShardId;
use corelane_tuning::profile::Bounds;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, PoolPlacement};

use crate::machine::Machine;
use crate::ring::segment_file::Helper;
use crate::rt::cold::ColdFiles;
use crate::rt::mesh::MeshEnd;
use crate::rt::port::{Clock, News, Port};
use crate::rt::shard_loop::ShardLoop;

/// Threads per shard for file operations that may block; two of them for the quick ones, one for the long ones.
const BLOCKING_THREADS: usize = 3;
/// See the hazard above.
const PREEMPT_TIMER: Duration = Duration::from_secs(6 * 3600);

/// What the shards are started with.
pub struct Launch {
    /// How many.
    pub shards: u16,
    /// The cores to pin them to, shard by shard; beyond its end shards are not pinned.
    pub cores: Vec<usize>,
    /// Where all files lie; exists and has direct I/O.
    pub data_dir: PathBuf,
    /// How long an idle shard looks for work before it sleeps.
    pub idle_spin: Duration,
    /// Disk operations that each shard hands to the kernel at once.
    pub disk: Bounds,
    /// Where milestones go. A full queue delays them and loses only notices.
    pub news: SyncSender<News>,
}

/// The running shards.
pub struct Shards {
    ports: Vec<Arc<Port>>,
    threads: Vec<ExecutorJoinHandle<()>>,
}

impl Shards {
    /// Starts the threads; `make` makes each shard's machine on its thread. A shard that cannot set itself up tells
    /// `Lifecycle::Fatal`. Errors: the system gives no threads or no eventfds.
    pub fn launch<M, F>(launch: Launch, clock: Clock, make: F) -> io::Result<Shards>
    where
        M: Machine + 'static,
        F: Fn(ShardId) -> M + Send + Clone + 'static,
    {
        let helper = Helper::start()?;
        let affinity = rustix::thread::sched_getaffinity(None)?;
        let ports: io::Result<Vec<Arc<Port>>> =
            (0..launch.shards).map(|_| Ok(Arc::new(Port::new()?))).collect();
        let ports = ports?;
        let mut shards = Shards { ports: ports.clone(), threads: Vec::new() };
        for (index, mesh) in MeshEnd::between(&ports).into_iter().enumerate() {
            let shard = ShardId(index as u16);
            let (port, make, news) = (Arc::clone(&ports[index]), make.clone(), launch.news.clone());
            let (root, helper) = (launch.data_dir.clone(), helper.clone());
            let (idle_spin, disk) = (launch.idle_spin, launch.disk);
            let placement =
                launch.cores.get(index).map_or(Placement::Unbound, |core| Placement::Fixed(*core));
            let builder = LocalExecutorBuilder::new(placement)
                .name(&format!("shard-{index}"))
                .io_memory(64 * 1024)
                .ring_depth(32)
                .preempt_timer(PREEMPT_TIMER)
                .blocking_thread_pool_placement(PoolPlacement::Unbound(BLOCKING_THREADS));
            let thread = builder.spawn(move || async move {
                let cold = ColdFiles::new(root, helper, affinity, Arc::clone(&port));
                let parts = shard_loop::Parts { port, mesh, cold, clock, idle_spin, disk };
                let tell = shard_loop::Herald { shard, news, backlog: VecDeque::new(), lost: 0 };
                ShardLoop::run(make(shard), parts, tell).await;
            });
            shards.threads.push(thread.map_err(|e| io::Error::other(e.to_string()))?);
        }
        Ok(shards)
    }

    /// The way to each shard, in order.
    #[must_use]
    pub fn ports(&self) -> &[Arc<Port>] {
        &self.ports
    }

    /// Gives each shard its listening socket. Panics: if there are not as many as shards.
    pub fn listen(&self, sockets: Vec<OwnedFd>) {
        assert_eq!(sockets.len(), self.ports.len(), "one listener a shard");
        for (port, socket) in self.ports.iter().zip(sockets) {
            port.listen(socket);
        }
    }

    /// Tells every shard to drain; each answers `Lifecycle::Drained`.
    pub fn shut_down(&self) {
        self.ports.iter().for_each(|port| port.shut_down());
    }

    /// Ends the threads: connections are closed once what is under way for them is out. Waits for them.
    /// Errors: a thread panicked.
    pub fn stop(self) -> io::Result<()> {
        self.ports.iter().for_each(|port| port.stop());
        for thread in self.threads {
            thread.join().map_err(|e| io::Error::other(e.to_string()))?;
        }
        Ok(())
    }
}
