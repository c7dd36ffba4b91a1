//! A simulated client's connection: requests out, answers in, in order; and what every kind of client shares.
//!
//! Not a client library: no metadata cache, no retries. What to ask and what to make of the answer is each actor's
//! own business (`producer`, `consumer`, `admin`, `vandal`).

use std::collections::VecDeque;

use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now};
use corelane_wire::api::ApiKey;
use corelane_wire::frame::{Split, split};
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::primitive::{EncodeError, Reader, Writer};

use crate::broker::Broker;
use crate::check::Checker;
use crate::net::{LinkId, LinkMood};

/// Virtual time after which an answer is held to be lost, in milliseconds. Longer than any stall of the disk.
const ANSWER_MS_MAX: u64 = 60_000;
/// The largest answer a client takes.
const ANSWER_BYTES_MAX: u32 = 256 << 20;

/// A topic that the simulation uses throughout.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id, once an administrator has learnt it.
    pub id: Option<[u8; 16]>,
    /// How many partitions.
    pub partition_count: i32,
    /// Settings that differ from the broker's.
    pub settings: Vec<(String, String)>,
    /// Whether it exists for certain.
    pub created: bool,
    /// Whether the broker stamps its records.
    pub append_time: bool,
    /// What it acknowledges survives neither a power failure...
    pub lost_by_power_loss: bool,
    /// ...nor even the end of the process.
    pub lost_by_kill: bool,
}

/// What an actor is given whenever it acts.
#[derive(Debug)]
pub struct Cx<'a> {
    /// Both clocks.
    pub now: Now,
    /// Chance.
    pub rng: &'a mut Rng,
    /// The broker and its network.
    pub broker: &'a mut Broker,
    /// What everybody knows.
    pub checker: &'a mut Checker,
    /// The topics.
    pub topics: &'a mut Vec<Topic>,
    /// How connections behave in this run.
    pub mood: LinkMood,
    /// Whether clients still misbehave: hang up in the middle, vanish. Off towards the end of a run.
    pub rude: bool,
}

/// A simulated client.
pub trait Actor: core::fmt::Debug {
    /// Its connection, if it has one.
    fn link(&self) -> Option<LinkId>;
    /// When it wants to act next.
    fn wake_at(&self) -> Mono;
    /// It acts.
    fn wake(&mut self, cx: &mut Cx<'_>);
    /// Bytes came from the broker.
    fn on_bytes(&mut self, cx: &mut Cx<'_>, bytes: &[u8]);
    /// The connection is gone.
    fn on_gone(&mut self, cx: &mut Cx<'_>);
    /// Nothing is open: every promise it waits for has been given.
    fn is_settled(&self) -> bool;
    /// It begins nothing new, but brings to an end what it has begun.
    fn wind_up(&mut self);
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Awaited<A> {
    correlation_id: i32,
    /// Which API.
    pub api: ApiKey,
    /// Which version.
    pub version: i16,
    /// When it was sent.
    pub at: Mono,
    /// What the actor wants to remember.
    pub ask: A,
}

/// A connection and the requests on it.
#[derive(Debug)]
pub struct Line<A> {
    link: Option<LinkId>,
    inbox: Vec<u8>,
    awaited: VecDeque<Awaited<A>>,
    correlation_id: i32,
}

impl<A> Default for Line<A> {
    fn default() -> Line<A> {
        Line { link: None, inbox: Vec::new(), awaited: VecDeque::new(), correlation_id: 0 }
    }
}

impl<A> Line<A> {
    /// The connection.
    #[must_use]
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// How many requests wait for their answer.
    #[must_use]
    pub fn awaited_count(&self) -> usize {
        self.awaited.len()
    }

    /// What waits, oldest first.
    pub fn awaited(&self) -> impl Iterator<Item = &Awaited<A>> {
        self.awaited.iter()
    }

    /// Connects if there is no connection; whether there is one now.
    pub fn connect(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.link.is_none() {
            self.inbox.clear();
            self.link = cx.broker.connect(cx.now, cx.mood);
        }
        self.link.is_some()
    }

    /// Sends a request. With `ask`, an answer is waited for.
    pub fn request(
        &mut self,
        cx: &mut Cx<'_>,
        api: ApiKey,
        version: i16,
        encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
        ask: Option<A>,
    ) {
        let link = self.link.expect("the caller has connected");
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader {
            api_key: api.code(),
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("sim"),
        };
        let mut w = Writer::frame(256);
        header.encode(&mut w).expect("the client id is short");
        encode(&mut w).unwrap_or_else(|error| panic!("{api:?} v{version}: {error}"));
        let (bytes, _) = w.into_parts().expect("requests are small");
        cx.broker.net.send(cx.now.mono, link, &bytes);
        if let Some(ask) = ask {
            let correlation_id = self.correlation_id;
            self.awaited.push_back(Awaited { correlation_id, api, version, at: cx.now.mono, ask });
        }
    }

    /// Bytes arrived.
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
    }

    /// The next whole answer with what it answers: the frame behind its header. Panics: if it is not the answer to
    /// the oldest request.
    pub fn answer(&mut self) -> Option<(Awaited<A>, Vec<u8>)> {
        let whole = split(&self.inbox, ANSWER_BYTES_MAX).expect("the broker sends frames");
        let Split::Frame { body, consumed } = whole else { return None };
        let asked = self.awaited.pop_front().expect("nobody asked for this answer");
        let mut r = Reader::new(body);
        let header =
            ResponseHeader::decode(&mut r, asked.api.code(), asked.version).expect("a response header");
        assert_eq!(
            header.correlation_id, asked.correlation_id,
            "answers come in the order of their requests"
        );
        let behind_header = body.len() - r.remaining();
        let message = body[behind_header..].to_vec();
        self.inbox.drain(..consumed);
        Some((asked, message))
    }

    /// The connection is gone; gives back what was waited for.
    pub fn on_gone(&mut self) -> VecDeque<Awaited<A>> {
        self.link = None;
        self.inbox.clear();
        core::mem::take(&mut self.awaited)
    }

    /// Now and then a client resets its connection, closes it, or is never heard of again. Whether it did.
    pub fn misbehave(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(link) = self.link else { return false };
        if !cx.rude || !cx.rng.one_in(60) {
            return false;
        }
        match cx.rng.below(4) {
            0 => cx.broker.net.vanish(link),
            1 => cx.broker.net.hang_up(cx.now.mono, link, false),
            _ => cx.broker.net.hang_up(cx.now.mono, link, true),
        }
        true
    }

    /// Panics: if the oldest request has waited too long.
    pub fn check_patience(&self, now: Now)
    where
        A: core::fmt::Debug,
    {
        if let Some(oldest) = self.awaited.front() {
            let waited_ms = now.mono.since(oldest.at).as_millis() as u64;
            assert!(waited_ms < ANSWER_MS_MAX, "no answer for {waited_ms} ms: {oldest:?}");
        }
    }
}

/// A version that the broker serves.
pub fn any_version(rng: &mut Rng, api: ApiKey) -> i16 {
    let info = api.info();
    info.version_min + rng.below((info.version_max - info.version_min + 1) as u64) as i16
}

/// A moment soon: at most `ms_max` milliseconds ahead.
pub fn soon(rng: &mut Rng, now: Now, ms_max: u64) -> Mono {
    Mono(now.mono.0 + 1 + rng.below(ms_max * 1_000_000))
}
