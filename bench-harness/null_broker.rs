//! The null broker: the ceiling for what a broker that keeps its promise can reach on this machine.
//!
//! It receives frames, writes the bytes of every Produce request with `O_DIRECT|O_DSYNC` into a file of zeros, and answers
//! with the correlation id alone. It looks at no record, knows no partition, keeps nothing to be read. While one write is
//! under way everything that arrives joins the next: the same group commit as a real broker's. One thread for the sockets,
//! one for the disk.
//!
//! It answers what a load asks before it begins (versions, metadata, topics, producer ids) as if every topic existed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::BytesMut;
use corelane_base::aligned::{aligned_buffer, block_ceil};
use corelane_wire::api::ApiKey;
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::api_versions::{ApiVersion, ApiVersionsResponse};
use corelane_wire::message::create_topics::{
    CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use corelane_wire::message::delete_topics::DeleteTopicsResponse;
use corelane_wire::message::init_producer_id::InitProducerIdResponse;
use corelane_wire::message::list_offsets::ListOffsetsResponse;
use corelane_wire::message::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use corelane_wire::message::produce::ProduceResponse;
use corelane_wire::primitive::{EncodeError, Reader, Writer};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;

use crate::link::Link;
use crate::poll::Poll;

/// What may wait for the disk at once.
const COMMIT_BYTES_MAX: usize = 64 << 20;

/// The file's size; it is written around and around.
const FILE_BYTES: u64 = 256 << 20;

const LISTENER: u64 = u64::MAX;
const WRITTEN: u64 = u64::MAX - 1;

/// A request that waits for the disk.
struct Waiting {
    connection: u64,
    header: RequestHeader<'static>,
}

/// What one write makes durable.
struct Commit {
    block: BytesMut,
    waiting: Vec<Waiting>,
}

/// Serves until it is killed. Prints `listening on HOST:PORT` when ready. Errors: the port, the file, or the disk.
pub fn serve(listen: &str, dir: &Path) -> io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let file = open_file(dir)?;
    let (to_disk, commits) = mpsc::sync_channel(1);
    let (to_network, written) = mpsc::sync_channel(1);
    let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
    let failure = Arc::new(Mutex::new(None));
    {
        let (bell, failure) = (Arc::clone(&bell), Arc::clone(&failure));
        thread::spawn(move || {
            if let Err(error) = write_commits(&file, &commits, &to_network, &bell) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                let _ = rustix::io::write(&*bell, &1_u64.to_ne_bytes());
            }
        });
    }
    let mut broker = NullBroker {
        address,
        links: HashMap::new(),
        next: 0,
        open: Commit { block: aligned_buffer(COMMIT_BYTES_MAX), waiting: Vec::new() },
        spare: Some(Commit { block: aligned_buffer(COMMIT_BYTES_MAX), waiting: Vec::new() }),
        topics: HashMap::new(),
        to_disk,
        written,
    };
    println!("listening on {address}");
    io::stdout().flush()?;
    let mut poll = Poll::new()?;
    poll.add(&listener, LISTENER)?;
    poll.add(&*bell, WRITTEN)?;
    let mut tokens = Vec::new();
    loop {
        poll.wait(1_000_000_000, &mut tokens)?;
        for &token in &tokens {
            match token {
                LISTENER => broker.accept(&listener, &poll)?,
                WRITTEN => {
                    let mut count = [0; 8];
                    let _ = rustix::io::read(&*bell, &mut count);
                    if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                        return Err(error);
                    }
                    broker.on_written();
                }
                connection => broker.on_ready(connection),
            }
        }
        broker.commit()?;
    }
}

/// A file of zeros, opened for direct, synced writes.
fn open_file(dir: &Path) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    let path = dir.join("null-broker");
    let mut zeros = File::create(&path)?;
    let step = vec![0; 1 << 20];
    for _ in 0..FILE_BYTES >> 20 {
        zeros.write_all(&step)?;
    }
    zeros.sync_all()?;
    let flags = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
    OpenOptions::new().write(true).custom_flags(flags).open(&path)
}

/// The disk's thread: writes one commit after the other.
fn write_commits(
    file: &File,
    commits: &Receiver<Commit>,
    to_network: &SyncSender<Commit>,
    bell: &OwnedFd,
) -> io::Result<()> {
    let mut at = 0;
    for mut commit in commits {
        let size = block_ceil(commit.block.len() as u64);
        commit.block.resize(size as usize, 0);
        if at + size > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&commit.block, at)?;
        at += size;
        commit.block.clear();
        if to_network.send(commit).is_err() {
            return Ok(());
        }
        rustix::io::write(bell, &1_u64.to_ne_bytes())?;
    }
    Ok(())
}

struct NullBroker {
    address: SocketAddr,
    links: HashMap<u64, Link>,
    next: u64,
    /// What arrives joins this.
    open: Commit,
    /// The other commit, unless the disk has it.
    spare: Option<Commit>,
    topics: HashMap<String, i32>,
    to_disk: SyncSender<Commit>,
    written: Receiver<Commit>,
}

impl NullBroker {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    let link = Link::over(stream)?;
                    poll.add(link.stream(), self.next)?;
                    self.links.insert(self.next, link);
                    // It may have spoken before it was watched.
                    self.next += 1;
                    self.on_ready(self.next - 1);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn on_ready(&mut self, connection: u64) {
        // Taken out while its frames are looked at; put back unless it is to be closed.
        let Some(mut link) = self.links.remove(&connection) else { return };
        loop {
            let Ok(more) = link.flush().and_then(|()| link.receive()) else { return };
            loop {
                match link.next_frame() {
                    Ok(Some(frame)) => {
                        if self.on_frame(connection, &mut link, frame).is_none() {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
            if !more {
                break;
            }
        }
        if link.flush().is_ok() {
            self.links.insert(connection, link);
        }
    }

    /// Takes a request in; none if the connection is to be closed.
    fn on_frame(&mut self, connection: u64, link: &mut Link, frame: std::ops::Range<usize>) -> Option<()> {
        let bytes = link.bytes(frame);
        let header = RequestHeader::peek(bytes).ok()?;
        if header.api_key == ApiKey::Produce.code() {
            if self.open.block.len() + bytes.len() > COMMIT_BYTES_MAX {
                return None;
            }
            self.open.block.extend_from_slice(bytes);
            self.open.waiting.push(Waiting { connection, header });
            return Some(());
        }
        let answer = self.answer(bytes)?;
        link.outbound.extend_from_slice(&answer);
        Some(())
    }

    /// Gives the disk what has arrived, if it is idle.
    fn commit(&mut self) -> io::Result<()> {
        if self.open.waiting.is_empty() {
            return Ok(());
        }
        let Some(spare) = self.spare.take() else { return Ok(()) };
        let full = std::mem::replace(&mut self.open, spare);
        self.to_disk.send(full).map_err(|_| io::Error::other("the disk's thread has ended"))
    }

    fn on_written(&mut self) {
        let Ok(mut commit) = self.written.try_recv() else { return };
        for waiting in commit.waiting.drain(..) {
            let Some(link) = self.links.get_mut(&waiting.connection) else { continue };
            let version = waiting.header.api_version;
            let answer = frame(&waiting.header, |w| ProduceResponse::default().encode(w, version));
            link.outbound.extend_from_slice(&answer.unwrap_or_default());
        }
        self.links.retain(|_, link| link.flush().is_ok());
        self.spare = Some(commit);
    }

    /// Answers what a load asks before it begins.
    fn answer(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader::new(bytes);
        let header = RequestHeader::decode(&mut reader).ok()?;
        let version = header.api_version;
        match ApiKey::from_code(header.api_key)? {
            ApiKey::ApiVersions => {
                let served = [ApiKey::Produce, ApiKey::Fetch, ApiKey::Metadata];
                let entry = |key: ApiKey| ApiVersion { api_key: key.code(), min_version: 0, max_version: 99 };
                let api_keys = served.map(entry).to_vec();
                let answer = ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() };
                frame(&header, |w| answer.encode(w, 0))
            }
            ApiKey::CreateTopics => {
                let wish = CreateTopicsRequest::decode(&mut reader, version).ok()?;
                for topic in &wish.topics {
                    self.topics.insert(topic.name.to_owned(), topic.num_partitions);
                }
                let made = |name| CreatableTopicResult { name, ..CreatableTopicResult::default() };
                let topics = wish.topics.iter().map(|topic| made(topic.name)).collect();
                let answer = CreateTopicsResponse { topics, ..CreateTopicsResponse::default() };
                frame(&header, |w| answer.encode(w, version))
            }
            ApiKey::Metadata => {
                let wish = MetadataRequest::decode(&mut reader, version).ok()?;
                self.metadata(&header, &wish)
            }
            ApiKey::InitProducerId => {
                let answer = InitProducerIdResponse { producer_id: 1, ..InitProducerIdResponse::default() };
                frame(&header, |w| answer.encode(w, version))
            }
            // Nothing is led that could have an error.
            ApiKey::ListOffsets => frame(&header, |w| ListOffsetsResponse::default().encode(w, version)),
            ApiKey::DeleteTopics => frame(&header, |w| DeleteTopicsResponse::default().encode(w, version)),
            _ => None,
        }
    }

    fn metadata(&self, header: &RequestHeader<'_>, wish: &MetadataRequest<'_>) -> Option<Vec<u8>> {
        let partition = |partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: 1,
            ..MetadataResponsePartition::default()
        };
        let names = wish.topics.iter().flatten().filter_map(|topic| topic.name);
        let topic = |name: &'_ str| {
            let count = self.topics.get(name).copied().unwrap_or(1);
            (0..count).map(partition).collect()
        };
        let topics = names.map(|name| MetadataResponseTopic {
            name: Some(name),
            partitions: topic(name),
            ..MetadataResponseTopic::default()
        });
        let host = self.address.ip().to_string();
        let broker = MetadataResponseBroker {
            node_id: 1,
            host: &host,
            port: i32::from(self.address.port()),
            ..MetadataResponseBroker::default()
        };
        let answer = MetadataResponse {
            brokers: vec![broker],
            topics: topics.collect(),
            ..MetadataResponse::default()
        };
        frame(header, |w| answer.encode(w, header.api_version))
    }
}

/// A frame with the answer to a request; none if it cannot be said in that version.
fn frame(
    header: &RequestHeader<'_>,
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Option<Vec<u8>> {
    let mut writer = Writer::frame(64);
    let answer = ResponseHeader { correlation_id: header.correlation_id };
    answer.encode(&mut writer, header.api_key, header.api_version);
    encode(&mut writer).ok()?;
    Some(writer.into_parts().ok()?.0.to_vec())
}
