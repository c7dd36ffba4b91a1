//! Connections that behave badly: too many, too slow, half-open, deaf, or gone in the middle of a request.

use std::time::Instant;

use corelane_wire::api::ApiKey;
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic};

use super::healthy::Healthy;
use crate::wire_client::{Connection, Heard, batch_of, create_topic, fetch_request, produce, request};

/// How many connections come and go.
const VISITORS: usize = 10_000;

/// How many connections are held at once: within the usual limit of 1,024 descriptors on both sides.
const HELD: usize = 300;

/// Does something to the broker at this address while the healthy client looks on.
type Crowd = fn(&str, &Healthy);

/// Runs all of them.
pub fn run(address: &str, healthy: &Healthy) {
    // Whether Apache Kafka survives it: it reserves what is announced, and dies of a few hundred announcements.
    let crowds: [(&str, bool, Crowd); 8] = [
        ("10,000 connections opened and dropped", true, visitors),
        ("connections that say nothing", true, silent),
        ("slow loris", true, loris),
        ("clients that never read", true, deaf),
        ("long polls left behind", true, leavers),
        ("clients that fetch much and never read", true, hungry),
        ("large frames that never end", false, announcers),
        ("large frames that end half-way", false, half_sent),
    ];
    for (name, kafka, crowd) in crowds {
        if !kafka && super::is_on_kafka() {
            println!("{name}: left out, this is Apache Kafka");
            continue;
        }
        let began = Instant::now();
        crowd(address, healthy);
        tell(&format!("{name}, over after {:?}", began.elapsed()), healthy);
    }
}

/// Makes sure that the healthy client gets on, and tells how well.
fn tell(place: &str, healthy: &Healthy) {
    let slowest = healthy.check_alive(place);
    println!("{place}: the healthy client's slowest round trip took {slowest:?}");
}

fn all_metadata() -> Vec<u8> {
    request(ApiKey::Metadata, 1, |w, _| {
        w.i32(-1);
        Ok(())
    })
}

/// Opens and drops: at once, after half a frame, after a request whose answer is not read.
fn visitors(address: &str, _: &Healthy) {
    let whole = all_metadata();
    for number in 0..VISITORS {
        let mut connection = Connection::open(address);
        let _ = match number % 3 {
            0 => Ok(()),
            1 => connection.send(&whole[..1 + number % (whole.len() - 1)]),
            _ => connection.send(&whole),
        };
    }
}

fn silent(address: &str, healthy: &Healthy) {
    let held: Vec<Connection> = (0..HELD).map(|_| Connection::open(address)).collect();
    tell("connections that say nothing, held", healthy);
    drop(held);
}

/// Every connection sends a valid request a byte at a time, all in turn; in the end each gets its answer.
fn loris(address: &str, healthy: &Healthy) {
    let whole = all_metadata();
    let mut held: Vec<Connection> = (0..HELD).map(|_| Connection::open(address)).collect();
    for (at, byte) in whole.iter().enumerate() {
        for connection in &mut held {
            connection.send(&[*byte]).expect("a slow client is still a client");
        }
        if at % 8 == 0 {
            tell("slow loris, held", healthy);
        }
    }
    for connection in &mut held {
        assert!(matches!(connection.hear(), Heard::Frame(_)), "slow, but answered");
    }
}

/// Every connection announces 100 MiB and sends a little of it. Nothing may be reserved for what only was announced.
fn announcers(address: &str, healthy: &Healthy) {
    let announced =
        [&(100_i32 << 20).to_be_bytes()[..], &[0, 0, 0, 9, 0, 0, 0, 7, 0xff, 0xff], &[0; 65_536]].concat();
    let mut held: Vec<Connection> = (0..HELD).map(|_| Connection::open(address)).collect();
    for connection in &mut held {
        let _ = connection.send(&announced);
    }
    tell("large frames that never end, held", healthy);
}

/// Every connection sends requests as long as the broker takes them and reads no answer.
fn deaf(address: &str, healthy: &Healthy) {
    let requests = all_metadata().repeat(20_000);
    let mut held: Vec<Connection> = (0..20).map(|_| Connection::open(address)).collect();
    for connection in &mut held {
        connection.send_without_waiting(&requests);
    }
    tell("clients that never read, held", healthy);
    for connection in &mut held {
        connection.send_without_waiting(&requests);
    }
    tell("clients that never read, held on", healthy);
}

/// Every connection sends 32 MiB of a request of 100 MiB: so much must be held, but no more.
fn half_sent(address: &str, healthy: &Healthy) {
    let announced = [&(100_i32 << 20).to_be_bytes()[..], &[0, 0, 0, 9, 0, 0, 0, 7, 0xff, 0xff]].concat();
    let mut held: Vec<Connection> = (0..8).map(|_| Connection::open(address)).collect();
    for connection in &mut held {
        let _ = connection.send(&announced);
    }
    let part = vec![0; 1 << 20];
    for _ in 0..32 {
        for connection in &mut held {
            // The broker may have had enough of it.
            let _ = connection.send(&part);
        }
    }
    tell("large frames that end half-way, held", healthy);
}

/// Every connection asks for 20 MiB of records, again and again, and reads none of them.
fn hungry(address: &str, healthy: &Healthy) {
    let mut connection = Connection::open(address);
    create_topic(&mut connection, "feast", 1, &[]);
    let course = batch_of(&vec![7; 1_000_000]);
    for _ in 0..20 {
        produce(&mut connection, 1, "feast", 0, &course).expect("a valid batch");
    }
    let partition = FetchPartition {
        partition: 0,
        fetch_offset: 0,
        partition_max_bytes: 1 << 30,
        ..FetchPartition::default()
    };
    let topics = vec![FetchTopic { topic: "feast", partitions: vec![partition], ..FetchTopic::default() }];
    let message = FetchRequest { max_bytes: i32::MAX, topics, ..FetchRequest::default() };
    let greedy = request(ApiKey::Fetch, 11, |w, version| message.encode(w, version)).repeat(2_000);
    let mut held: Vec<Connection> = (0..50).map(|_| Connection::open(address)).collect();
    for connection in &mut held {
        connection.send_without_waiting(&greedy);
    }
    tell("clients that fetch much and never read, held", healthy);
}

/// The HTTP service beside the broker, given garbage, half requests and silence: it must still answer, and the broker
/// must not care.
pub fn http(address: &str, healthy: &Healthy) {
    let parts: [&[u8]; 6] = [
        b"",
        b"GET",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    let mut held: Vec<Connection> = (0..HELD).map(|_| Connection::open(address)).collect();
    for (number, connection) in held.iter_mut().enumerate() {
        let _ = connection.send(parts[number % parts.len()]);
    }
    let mut endless = Connection::open(address);
    let _ = endless.send(b"GET / HTTP/1.1\r\n");
    // A broker that has had enough closes, and sending fails.
    let line = [b"X-Header: ".as_slice(), &[b'x'; 60_000], b"\r\n"].concat();
    for _ in 0..200 {
        if endless.send(&line).is_err() {
            break;
        }
    }
    let mut scraper = Connection::open(address);
    scraper.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a valid request");
    let answer = scraper.hear_all();
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{:?}",
        String::from_utf8_lossy(&answer[..answer.len().min(200)])
    );
    tell("HTTP under attack", healthy);
}

/// Every connection asks for records that never come, as patiently as can be said, and leaves.
fn leavers(address: &str, healthy: &Healthy) {
    let patient = fetch_request(11, "silence", 0, 0, i32::MAX);
    let mut connection = Connection::open(address);
    create_topic(&mut connection, "silence", 1, &[]);
    for _ in 0..5 {
        let mut held: Vec<Connection> = (0..HELD).map(|_| Connection::open(address)).collect();
        for connection in &mut held {
            connection.send(&patient).expect("a valid request");
        }
        tell("long polls, held", healthy);
    }
}
