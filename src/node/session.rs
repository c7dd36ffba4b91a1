//! One client connection: bytes in, requests in order, responses in the same order.
//!
//! Requests of one connection may complete in any order (another shard or the disk may be asked); each takes a slot
//! in a ring when it arrives, and only the completed front of the ring is sent. Source: Kafka's guarantee that
//! responses of one connection leave in request order, which every client's correlation depends on.

use core::net::SocketAddr;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use corelane_base::id::ConnId;
use corelane_base::time::Mono;

use crate::send::SendPart;
use crate::timing::Leaving;

/// How many requests of one connection may be under way; beyond it the connection is not read. librdkafka pipelines
/// at most some tens by default; Kafka itself serves one at a time.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 128;

/// The frames of the requests of one connection that are under way, in bytes; beyond it none starts until one ends.
/// Its batches wait in the tail memory meanwhile.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;

/// Completed responses that wait for a slow reader, in bytes; beyond it no further request of that connection starts.
pub const UNSENT_BYTES_MAX: usize = 8 << 20;

/// How much one `Send` takes at most, unless a single response is larger: long enough to amortise the system call,
/// short enough that a connection's turn ends.
const SEND_BYTES_TARGET: usize = 1 << 20;

#[derive(Debug)]
enum Response {
    Awaited,
    Ready(Vec<SendPart>),
    /// An acks=0 produce: takes its place in the order, sends nothing.
    Silent,
}

/// A request's place in the order.
#[derive(Debug)]
struct Place {
    response: Response,
    /// Length of its frame while it is awaited, in bytes.
    request_bytes: usize,
    /// Once it is there.
    leaving: Option<Leaving>,
}

/// A connection's state.
///
/// Invariants: `front_sequence + ring.len()` is the sequence number of the next request; `unsent_bytes` is the sum
/// over `Ready` responses and the send under way; `request_bytes` is the sum over
/// `Awaited` places; `inbox` begins with a frame's first byte.
#[derive(Debug)]
pub struct Session {
    /// Its id on this shard.
    pub conn: ConnId,
    /// The client's address.
    pub peer: SocketAddr,
    /// When bytes last moved, for `connections.max.idle.ms`.
    pub last_active: Mono,
    /// An incomplete frame, or frames that wait because the ring is full.
    pub inbox: BytesMut,
    /// It has its place among the connections of all shards; before, it is not served.
    pub admitted: bool,
    /// Reading is switched off at the shell.
    pub paused: bool,
    /// Since when, if it is.
    pub paused_at: Mono,
    /// No further request is served; the connection closes once what is ready has been sent.
    pub closing: bool,
    /// The broker is stopping: what waits is answered, nothing new starts.
    pub draining: bool,
    front_sequence: u64,
    ring: VecDeque<Place>,
    /// The responses of the send under way; after it, those that are out.
    pub leaving: Vec<Leaving>,
    request_bytes: usize,
    sending_bytes: Option<usize>,
    unsent_bytes: usize,
}

impl Session {
    /// A fresh connection.
    #[must_use]
    pub fn new(conn: ConnId, peer: SocketAddr, now: Mono) -> Session {
        Session {
            conn,
            peer,
            last_active: now,
            inbox: BytesMut::new(),
            admitted: false,
            paused: false,
            paused_at: now,
            closing: false,
            draining: false,
            front_sequence: 0,
            ring: VecDeque::new(),
            leaving: Vec::new(),
            request_bytes: 0,
            sending_bytes: None,
            unsent_bytes: 0,
        }
    }

    /// Whether another request may start.
    #[must_use]
    pub fn may_start(&self) -> bool {
        self.admitted
            && !self.closing
            && !self.draining
            && self.ring.len() < REQUESTS_IN_FLIGHT_MAX
            && self.request_bytes < REQUEST_BYTES_MAX
            && self.unsent_bytes < UNSENT_BYTES_MAX
    }

    /// Takes the next place in the response order for a request of `bytes` length.
    pub fn begin(&mut self, bytes: usize) -> u64 {
        assert!(self.ring.len() < REQUESTS_IN_FLIGHT_MAX, "may_start was asked");
        self.ring.push_back(Place { response: Response::Awaited, request_bytes: bytes, leaving: None });
        self.request_bytes += bytes;
        self.front_sequence + self.ring.len() as u64 - 1
    }

    /// Fills the place `sequence` with a response; `None` is the silence after an acks=0 produce.
    pub fn complete(&mut self, sequence: u64, response: Option<Vec<SendPart>>, leaving: Leaving) {
        let index = sequence.checked_sub(self.front_sequence).expect("completed once, so still in the ring");
        let place = &mut self.ring[index as usize];
        assert!(matches!(place.response, Response::Awaited), "completed once");
        self.request_bytes -= core::mem::take(&mut place.request_bytes);
        place.leaving = Some(leaving);
        place.response = match response {
            Some(parts) => {
                self.unsent_bytes += parts.iter().map(SendPart::len).sum::<usize>();
                Response::Ready(parts)
            }
            None => Response::Silent,
        };
    }

    /// The next `Send`, if none is under way and the front of the ring is complete.
    pub fn next_send(&mut self) -> Option<Vec<SendPart>> {
        if self.sending_bytes.is_some() {
            return None;
        }
        let mut out = Vec::new();
        let mut bytes = 0;
        while bytes < SEND_BYTES_TARGET {
            match self.ring.pop_front() {
                Some(Place { response: Response::Ready(parts), leaving, .. }) => {
                    self.front_sequence += 1;
                    self.leaving.extend(leaving);
                    bytes += parts.iter().map(SendPart::len).sum::<usize>();
                    if out.is_empty() {
                        out = parts;
                    } else {
                        out.extend(parts);
                    }
                }
                Some(Place { response: Response::Silent, .. }) => self.front_sequence += 1,
                Some(awaited) => {
                    self.ring.push_front(awaited);
                    break;
                }
                None => break,
            }
        }
        if out.is_empty() {
            return None;
        }
        self.sending_bytes = Some(bytes);
        Some(out)
    }

    /// The send under way is out; the caller clears `leaving` when it has seen it.
    pub fn on_sent(&mut self, now: Mono) {
        let bytes = self.sending_bytes.take().expect("Sent follows a Send");
        self.unsent_bytes -= bytes;
        self.last_active = now;
    }

    /// Bytes of the answers that are ready or being sent.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// Bytes of the frames of requests under way.
    #[must_use]
    pub fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// Whether nothing is awaited, ready or being sent.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.ring.is_empty() && self.sending_bytes.is_none()
    }

    /// Whether requests wait for an answer.
    #[must_use]
    pub fn has_requests(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Takes a whole frame (4-byte length included) of `bytes` length off the inbox, without a copy.
    pub fn take_frame(&mut self, bytes: usize) -> Bytes {
        let frame = self.inbox.split_to(bytes).freeze();
        if self.inbox.is_empty() {
            // Not kept: an idle connection must not pin a large block.
            self.inbox = BytesMut::new();
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::Times;

    fn session() -> Session {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        Session::new(ConnId { slot: 0, generation: 0 }, peer, Mono(0))
    }

    fn leaving() -> Leaving {
        Leaving { api_key: 0, times: Times::served(Mono(0), Mono(0)), answered: Mono(0) }
    }

    fn part(text: &'static str) -> Vec<SendPart> {
        vec![SendPart::Memory(Bytes::from_static(text.as_bytes()))]
    }

    fn sent(parts: Option<Vec<SendPart>>) -> String {
        let mut out = String::new();
        for part in parts.unwrap_or_default() {
            match part {
                SendPart::Memory(bytes) => out.push_str(std::str::from_utf8(&bytes).unwrap()),
                SendPart::File { .. } => panic!("no file here"),
            }
        }
        out
    }

    #[test]
    fn responses_leave_in_request_order() {
        let mut session = session();
        let sequences: Vec<u64> = (0..4).map(|_| session.begin(10)).collect();
        session.complete(sequences[2], Some(part("c")), leaving());
        assert!(session.next_send().is_none());
        session.complete(sequences[0], Some(part("a")), leaving());
        assert_eq!(sent(session.next_send()), "a");
        assert_eq!(session.leaving.len(), 1);
        session.complete(sequences[1], None, leaving());
        assert!(session.next_send().is_none(), "one send at a time");
        session.on_sent(Mono(1));
        assert_eq!(sent(session.next_send()), "c");
        session.on_sent(Mono(2));
        assert!(!session.is_drained());
        session.complete(sequences[3], None, leaving());
        assert!(session.next_send().is_none());
        assert!(session.is_drained());
    }

    #[test]
    fn a_full_ring_and_a_slow_reader_stop_new_requests() {
        let mut session = session();
        assert!(!session.may_start(), "it has to be admitted first");
        session.admitted = true;
        for _ in 0..REQUESTS_IN_FLIGHT_MAX {
            assert!(session.may_start());
            session.begin(10);
        }
        assert!(!session.may_start());
        for sequence in 0..REQUESTS_IN_FLIGHT_MAX as u64 {
            session.complete(sequence, None, leaving());
        }
        assert!(session.next_send().is_none());
        assert!(session.may_start());
        let sequence = session.begin(10);
        session.complete(
            sequence,
            Some(vec![SendPart::Memory(Bytes::from(vec![0; UNSENT_BYTES_MAX]))]),
            leaving(),
        );
        assert!(!session.may_start());
    }
}
