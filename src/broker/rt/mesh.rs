//! Messages between the shards of one broker: a bounded queue for each ordered pair.
//!
//! At the bound messages wait at the sender, counted and in order: a sender never blocks and nothing is lost. That the
//! waiting ones stay few is the shards' business, which answer each request before they send the next. A queue shared
//! by all senders would make them contend for one cache line.

use std::collections::VecDeque;
use std::sync::Arc;

use corelane_base::id::ShardId;
use corelane_node::event::Event;
use corelane_node::mesh::MeshMessage;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::rt::port::Port;

/// Messages a queue holds.
const QUEUE_LEN: usize = 1024;

/// The way to one other shard.
struct Outbox {
    queue: Producer<MeshMessage>,
    overflow: VecDeque<MeshMessage>,
    target: Arc<Port>,
    /// Whether the target must be told of something new.
    news: bool,
}

/// One shard's ends of all its queues. The shard's own entries carry what it sends to itself.
pub(super) struct MeshEnd {
    outboxes: Vec<Outbox>,
    inboxes: Vec<Consumer<MeshMessage>>,
    pub sent: u64,
    pub overflowed: u64,
}

impl MeshEnd {
    /// The ends for each of `ports`, connected with each other.
    pub fn between(ports: &[Arc<Port>]) -> Vec<MeshEnd> {
        let mut ends: Vec<MeshEnd> = (0..ports.len())
            .map(|_| MeshEnd { outboxes: Vec::new(), inboxes: Vec::new(), sent: 0, overflowed: 0 })
            .collect();
        for from in 0..ports.len() {
            for (to, target) in ports.iter().enumerate() {
                let (queue, inbox) = RingBuffer::new(QUEUE_LEN);
                let target = Arc::clone(target);
                ends[from].outboxes.push(Outbox { queue, overflow: VecDeque::new(), target, news: false });
                // Pushed in the order of `from`, so that an inbox stands at its sender's index.
                ends[to].inboxes.push(inbox);
            }
        }
        ends
    }

    /// Sends `message`; the target hears of it with the next [`MeshEnd::flush`].
    pub fn send(&mut self, to: ShardId, message: MeshMessage) {
        let outbox = &mut self.outboxes[usize::from(to.0)];
        self.sent += 1;
        outbox.news = true;
        if !outbox.overflow.is_empty() {
            self.overflowed += 1;
            outbox.overflow.push_back(message);
        } else if let Err(rtrb::PushError::Full(message)) = outbox.queue.push(message) {
            self.overflowed += 1;
            outbox.overflow.push_back(message);
        }
    }

    /// Moves on what waits and tells the targets.
    pub fn flush(&mut self) {
        for outbox in &mut self.outboxes {
            while let Some(message) = outbox.overflow.pop_front() {
                if let Err(rtrb::PushError::Full(message)) = outbox.queue.push(message) {
                    outbox.overflow.push_front(message);
                    break;
                }
                outbox.news = true;
            }
            if std::mem::take(&mut outbox.news) {
                outbox.target.doorbell.ring();
            }
        }
    }

    /// Hands over what other shards have sent. What comes during the call waits for the next.
    pub fn receive(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        for (from, inbox) in self.inboxes.iter_mut().enumerate() {
            for _ in 0..inbox.slots() {
                let Ok(message) = inbox.pop() else { break };
                sink(Event::Mesh { from: ShardId(from as u16), message });
            }
        }
    }

    /// Whether a message waits for this shard.
    pub fn has_mail(&self) -> bool {
        self.inboxes.iter().any(|inbox| !inbox.is_empty())
    }

    /// Whether messages wait for a target to take some: then come back soon.
    pub fn has_overflow(&self) -> bool {
        self.outboxes.iter().any(|outbox| !outbox.overflow.is_empty())
    }
}
