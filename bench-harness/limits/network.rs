//! Loopback TCP: streams by `write` and by `sendfile`, and round trips.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::hdr;
use crate::load::pin;

use super::{cpu_s, round};

/// The file that `sendfile` sends again and again: small enough to stay in the page cache.
const FILE_BYTES: usize = 256 << 20;
/// What the receiver takes at once.
const RECEIVE_BYTES: usize = 1 << 20;

pub(super) fn measure(dir: &Path, each: Duration, cpus: &[usize]) -> io::Result<Value> {
    let (sender, receiver) = (cpus.first().copied(), cpus.get(1).or(cpus.first()).copied());
    let mut streams = Vec::new();
    for size in [4 << 10, 64 << 10, 1 << 20] {
        let bytes = vec![7; size];
        streams.push(stream("write", size, each, sender, receiver, |socket| {
            socket.write_all(&bytes).map(|()| size)
        })?);
    }
    let path = dir.join("limits-sendfile");
    let mut file = File::create(&path)?;
    let step = vec![7; 1 << 20];
    for _ in 0..FILE_BYTES / step.len() {
        file.write_all(&step)?;
    }
    file.sync_all()?;
    let file = File::open(&path)?;
    for size in [64 << 10, 256 << 10, 1 << 20] {
        let mut offset = 0;
        streams.push(stream("sendfile", size, each, sender, receiver, |socket| {
            let sent = rustix::fs::sendfile(&*socket, &file, Some(&mut offset), size)?;
            if sent == 0 {
                offset = 0;
            }
            Ok(sent)
        })?);
    }
    fs::remove_file(&path)?;
    let mut round_trips = Vec::new();
    for size in [100, 1 << 10, 16 << 10] {
        round_trips.push(round_trip(size, each, sender, receiver)?);
    }
    Ok(json!({ "streams": streams, "round_trips": round_trips }))
}

/// Sends for a while to a thread that reads and forgets.
fn stream(
    what: &str,
    size: usize,
    each: Duration,
    sender: Option<usize>,
    receiver: Option<usize>,
    mut send: impl FnMut(&mut TcpStream) -> io::Result<usize> + Send,
) -> io::Result<Value> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let cpu = cpu_s();
    let began = Instant::now();
    let total = thread::scope(|scope| {
        let reading = scope.spawn(move || -> io::Result<u64> {
            pin(receiver)?;
            let (mut socket, _) = listener.accept()?;
            let (mut buffer, mut total) = (vec![0; RECEIVE_BYTES], 0);
            loop {
                match socket.read(&mut buffer)? {
                    0 => return Ok(total),
                    received => total += received as u64,
                }
            }
        });
        let sending = scope.spawn(move || -> io::Result<()> {
            pin(sender)?;
            let mut socket = TcpStream::connect(address)?;
            while began.elapsed() < each {
                send(&mut socket)?;
            }
            Ok(())
        });
        sending.join().map_err(|_| io::Error::other("a thread panicked"))??;
        reading.join().map_err(|_| io::Error::other("a thread panicked"))?
    })?;
    let gb = total as f64 / 1e9;
    Ok(json!({
        "what": what,
        "size": size,
        "gb_per_s": round(gb / began.elapsed().as_secs_f64()),
        "cpu_s_per_gb": round((cpu_s() - cpu) / gb),
    }))
}

/// Sends so many bytes and waits for a short answer, again and again.
fn round_trip(
    size: usize,
    each: Duration,
    sender: Option<usize>,
    receiver: Option<usize>,
) -> io::Result<Value> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let latencies = thread::scope(|scope| {
        scope.spawn(move || -> io::Result<()> {
            pin(receiver)?;
            let (mut socket, _) = listener.accept()?;
            socket.set_nodelay(true)?;
            let mut request = vec![0; size];
            loop {
                // Ends with an error when the other side is through.
                socket.read_exact(&mut request)?;
                socket.write_all(&[0; 64])?;
            }
        });
        let asking = scope.spawn(move || {
            pin(sender)?;
            let mut socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            let (request, mut latencies, began) = (vec![7; size], hdr::fine(), Instant::now());
            while began.elapsed() < each {
                let before = Instant::now();
                socket.write_all(&request)?;
                socket.read_exact(&mut [0; 64])?;
                latencies.saturating_record(before.elapsed().as_nanos() as u64);
            }
            Ok::<_, io::Error>(latencies)
        });
        asking.join().map_err(|_| io::Error::other("a thread panicked"))?
    })?;
    let us = |percentile| round(hdr::at_ms(&latencies, percentile) * 1000.0);
    Ok(json!({
        "what": "blocking",
        "size": size,
        "p50_us": us(50.0),
        "p99_us": us(99.0),
        "p99_9_us": us(99.9),
    }))
}
