//! Reading history through the broker beside a bare `sendfile` loop that sends the same number of bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use corelane_log::batch;
use corelane_wire::api::ApiKey;
use corelane_wire::message::fetch::FetchResponse;
use corelane_wire::primitive::Records;

use crate::Common;
use crate::broker::{Broker, fresh};
use crate::connection::{Connection, FETCH_VERSION, body, fetch_request, produce_request};

const TOPIC: &str = "history";
/// What a consumer asks for at once; Kafka's default per partition.
const FETCH_BYTES: i32 = 1 << 20;
/// The step of the bare loop, as in the broker.
const SENDFILE_STEP: usize = 64 << 10;

/// See the subcommand's help.
pub fn catch_up(common: &Common, mib: u64, rounds: u32) -> io::Result<()> {
    let dir = fresh(common, "catch-up")?;
    let data = dir.join("data");
    let broker = Broker::start(common, &data)?;
    fill(&broker.address, TOPIC, mib)?;
    // A new process has no tail in memory: everything is history.
    broker.stop()?;
    let broker = Broker::start(common, &data)?;
    let bare = dir.join("bare");
    write_file(&bare, mib << 20)?;
    println!(
        "history of {mib} MiB in batches of 64 KiB, fetches of {FETCH_BYTES} bytes, {} shards",
        common.shards
    );
    for round in 0..rounds {
        let cpu = broker.cpu()?;
        let (took, bytes) = read_all(&broker.address, TOPIC)?;
        let cpu = broker.cpu()? - cpu;
        let (bare_took, bare_bytes) = sendfile_loop(&bare)?;
        let rate = |bytes: u64, took: Duration| bytes as f64 / took.as_secs_f64() / 1e6;
        let (broker_rate, bare_rate) = (rate(bytes, took), rate(bare_bytes, bare_took));
        println!(
            "round {round}: broker {broker_rate:.0} MB/s, {:.2} CPU s/GB; sendfile {bare_rate:.0} MB/s; ratio {:.2}",
            cpu.as_secs_f64() / (bytes as f64 / 1e9),
            broker_rate / bare_rate
        );
    }
    broker.stop()?;
    std::fs::remove_dir_all(&dir)
}

/// Writes so many MiB of records into partition 0 of a new topic.
pub(super) fn fill(address: &str, topic: &str, mib: u64) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    connection.create_topic(topic, 1)?;
    // 64 records of 1 KiB make a batch.
    let frame = produce_request(topic, 0, 64, 1000);
    let requests = (mib << 20) / frame.len() as u64;
    let in_flight = 8.min(requests);
    for n in 0..requests + in_flight {
        if n < requests {
            connection.send(&frame)?;
        }
        if n >= in_flight {
            connection.produced()?;
        }
    }
    Ok(())
}

fn write_file(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let step = vec![7; 1 << 20];
    for _ in 0..bytes >> 20 {
        file.write_all(&step)?;
    }
    file.sync_all()
}

/// Reads a partition from its start to its end: how long it took, and how many bytes of batches came.
fn read_all(address: &str, topic: &str) -> io::Result<(Duration, u64)> {
    let mut connection = Connection::open(address)?;
    let (mut offset, mut total) = (0, 0);
    let began = Instant::now();
    loop {
        connection.send(&fetch_request(topic, 0, offset, FETCH_BYTES, 0))?;
        let mut reader = body(connection.receive()?, ApiKey::Fetch, FETCH_VERSION)?;
        let answer = FetchResponse::decode(&mut reader, FETCH_VERSION).map_err(io::Error::other)?;
        let partition = &answer.responses[0].partitions[0];
        if partition.error_code != 0 {
            return Err(io::Error::other(format!("fetch was refused with code {}", partition.error_code)));
        }
        let Some(Records::Borrowed(records)) = partition.records else { return Ok((began.elapsed(), total)) };
        let mut at = 0;
        // Headers only: the consumer's own work is not what is measured.
        while let Ok(Some(header)) = batch::peek(&records[at..]) {
            if at + header.size_bytes() > records.len() {
                break;
            }
            at += header.size_bytes();
            offset = header.next_offset().0;
        }
        if at == 0 {
            return Ok((began.elapsed(), total));
        }
        total += at as u64;
    }
}

/// Sends a file through loopback TCP with `sendfile` to a thread that reads and forgets it.
fn sendfile_loop(path: &Path) -> io::Result<(Duration, u64)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let reader = thread::spawn(move || -> io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; FETCH_BYTES as usize];
        let mut total = 0;
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(total),
                read => total += read as u64,
            }
        }
    });
    let file = File::open(path)?;
    let began = Instant::now();
    {
        let stream = TcpStream::connect(address)?;
        let mut offset = 0;
        while rustix::fs::sendfile(&stream, &file, Some(&mut offset), SENDFILE_STEP)? > 0 {}
    }
    let total = reader.join().expect("the reader does not panic")?;
    Ok((began.elapsed(), total))
}
