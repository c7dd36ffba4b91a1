//! The seam between a shard's logic and its shell: events in, effects out.
//!
//! Both shells (the broker's on glommio and io_uring, the simulator's) drive a shard the same way, a turn at a time:
//! `apply` for each event, then `end_turn` once, then carry out the collected [`Effects`].

use core::net::SocketAddr;

use corelane_base::id::{ConnId, ShardId};
use corelane_log::disk::{DiskError, DiskOutcome, DiskQueue, DiskToken};

use crate::mesh::MeshMessage;
use crate::send::SendPart;

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A client connected. The shell chose the id: slots are dense, a slot's generation grows with each use.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// Who it is.
        peer: SocketAddr,
    },
    /// Bytes arrived. They are the shell's and only lent for the call.
    Received {
        /// From whom.
        conn: ConnId,
        /// What, in stream order.
        bytes: &'a [u8],
    },
    /// The connection's one [`NetEffect::Send`] is out and its buffers are released; the next may follow.
    Sent {
        /// To whom.
        conn: ConnId,
    },
    /// The connection is gone (the peer closed it, it failed, or [`NetEffect::Close`] was carried out). Always the
    /// connection's last event, and given exactly once per `Accepted`.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// A disk operation is complete.
    Disk {
        /// The operation.
        token: DiskToken,
        /// What came of it.
        result: Result<DiskOutcome, DiskError>,
    },
    /// Another shard of this broker sent something. Messages between two shards keep their order.
    Mesh {
        /// The sender.
        from: ShardId,
        /// What it sent.
        message: MeshMessage,
    },
    /// The moment given by `next_deadline` has come.
    Timer,
    /// Stop: finish what was accepted, checkpoint, mark a clean shutdown, then tell [`Lifecycle::Drained`].
    Shutdown,
}

/// What a shard wants of the network.
#[derive(Debug)]
pub enum NetEffect {
    /// Sends all parts in order. At most one per connection is under way until its [`Event::Sent`].
    Send {
        /// To whom.
        conn: ConnId,
        /// What; adjacent memory may be merged by the shell.
        parts: Vec<SendPart>,
    },
    /// Closes after a `Send` under way has ended or failed; [`Event::Closed`] follows.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Stops reading, so that the peer is slowed by TCP. Bytes already received may still arrive.
    Pause {
        /// Which.
        conn: ConnId,
    },
    /// Reads again after `Pause`.
    Resume {
        /// Which.
        conn: ConnId,
    },
}

/// Milestones of a shard, for the shell and the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifecycle {
    /// Every log this shard owns is open; it can serve. Listeners open when all shards have said so.
    Ready,
    /// Everything accepted is answered and on disk, the clean-shutdown marker included.
    Drained,
    /// The shard cannot go on; the sentence says why and what to do.
    Fatal(String),
    /// Print from now on the log lines that this filter lets through: levels by target, as in `warn,corelane::shard=debug`.
    LogFilter(String),
    /// Something an operator should read (a torn tail cut, a log taken offline, the disk nearly full).
    Notice {
        /// How serious.
        severity: Severity,
        /// The sentence.
        text: String,
    },
}

/// Severity of a notice; maps onto log levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// A human must look.
    Error,
    /// We coped.
    Warn,
    /// Lifecycle.
    Info,
    /// Detail.
    Debug,
}

/// What a turn wants done. The shell takes everything after `end_turn`, in the order network, disk, mesh.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the sockets, in order.
    pub net: Vec<NetEffect>,
    /// For the disk, in order of submission; completions may come in any order.
    pub disk: DiskQueue,
    /// For the other shards, in order per target.
    pub mesh: Vec<(ShardId, MeshMessage)>,
    /// For the operator.
    pub lifecycle: Vec<Lifecycle>,
}
