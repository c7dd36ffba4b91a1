//! acks=all at depth 1 beside its two unavoidable parts: a synced write of the same size, and a round trip.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Instant;

use bytes::BytesMut;
use corelane_base::aligned::{aligned_buffer, block_ceil, is_aligned};
use rustix::fs::OFlags;

use super::{histogram, percentiles, record};
use crate::Common;
use crate::broker::{Broker, fresh};
use crate::connection::{Connection, produce_request};

const TOPIC: &str = "latency";
/// The three are measured in turns of so many, so that the machine's moods meet all of them.
const TURN: u32 = 100;

/// See the subcommand's help.
pub fn latency(common: &Common, bytes: usize, requests: u32) -> io::Result<()> {
    let dir = fresh(common, "latency")?;
    let broker = Broker::start(common, &dir.join("data"))?;
    let mut connection = Connection::open(&broker.address)?;
    connection.create_topic(TOPIC, 1)?;
    let frame = produce_request(TOPIC, 0, 1, bytes);
    let write_bytes = block_ceil(bytes as u64) as usize;
    let mut bare = BareWrite::open(&dir.join("bare"), write_bytes, requests)?;
    let mut echo = Echo::start(frame.len())?;
    let (mut produced, mut written, mut echoed) = (histogram(), histogram(), histogram());
    let mut done = 0;
    while done < requests {
        for _ in 0..TURN {
            let began = Instant::now();
            connection.send(&frame)?;
            connection.produced()?;
            record(&mut produced, began.elapsed());
        }
        for _ in 0..TURN {
            let began = Instant::now();
            bare.write()?;
            record(&mut written, began.elapsed());
        }
        for _ in 0..TURN {
            let began = Instant::now();
            echo.round(&frame)?;
            record(&mut echoed, began.elapsed());
        }
        done += TURN;
    }
    println!("acks=all, one record of {bytes} bytes, depth 1, {done} requests, {} shards", common.shards);
    println!("{}", percentiles("produce", &produced));
    println!("{}", percentiles(&format!("O_DIRECT|O_DSYNC write of {write_bytes}"), &written));
    println!("{}", percentiles("loopback round trip", &echoed));
    for percentile in [50.0, 99.0] {
        let at = |h: &hdrhistogram::Histogram<u64>| h.value_at_percentile(percentile) as f64;
        let allowed = 1.5 * at(&written) + at(&echoed);
        println!("p{percentile}: produce / (1.5 x write + round trip) = {:.2}", at(&produced) / allowed);
    }
    broker.stop()?;
    std::fs::remove_dir_all(&dir)
}

/// The same write as a program without a broker would do it: into a file of zeros, front to back.
struct BareWrite {
    file: File,
    block: BytesMut,
    at: u64,
    end: u64,
}

impl BareWrite {
    fn open(path: &Path, bytes: usize, writes: u32) -> io::Result<BareWrite> {
        let end = bytes as u64 * u64::from(writes.min(50_000));
        let mut zeros = File::create(path)?;
        let step = vec![0; 1 << 20];
        let mut left = end;
        while left > 0 {
            let now = left.min(step.len() as u64) as usize;
            zeros.write_all(&step[..now])?;
            left -= now as u64;
        }
        zeros.sync_all()?;
        let flags = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
        let mut block = aligned_buffer(bytes);
        block.resize(bytes, b'w');
        assert!(is_aligned(&block), "resizing within the capacity does not move it");
        Ok(BareWrite { file, block, at: 0, end })
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.block, self.at)?;
        self.at += self.block.len() as u64;
        if self.at >= self.end {
            self.at = 0;
        }
        Ok(())
    }
}

/// A thread that answers each request with a few bytes, over loopback TCP, blocking: the cheapest broker there is.
struct Echo {
    stream: TcpStream,
}

/// About the length of a produce's answer.
const ECHO_BYTES: usize = 64;

impl Echo {
    fn start(request_bytes: usize) -> io::Result<Echo> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let mut request = vec![0; request_bytes];
            loop {
                stream.read_exact(&mut request)?;
                stream.write_all(&[0; ECHO_BYTES])?;
            }
        });
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Echo { stream })
    }

    fn round(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)?;
        self.stream.read_exact(&mut [0; ECHO_BYTES])
    }
}
