//! System calls and CPU per request, counted from outside by perf and the kernel's accounting.

use std::io;

use crate::Common;
use crate::broker::{Broker, fresh};
use crate::connection::{Connection, fetch_request, produce_request};
use crate::syscalls::Counting;

const TOPIC: &str = "cost";

/// See the subcommand's help.
pub fn cost(common: &Common, requests: u32, records: u32, bytes: usize, depth: usize) -> io::Result<()> {
    let dir = fresh(common, "cost")?;
    let broker = Broker::start(common, &dir)?;
    let mut connection = Connection::open(&broker.address)?;
    connection.create_topic(TOPIC, 1)?;
    println!(
        "{requests} requests, {records} records of {bytes} bytes each, depth {depth}, {} shards",
        common.shards
    );
    let produce = produce_request(TOPIC, 0, records, bytes);
    // Warm: the partition's first segment exists, its chunks have grown.
    run(&mut connection, 1000, depth, &produce)?;
    measure(&broker, "produce", requests, || run(&mut connection, requests, depth, &produce))?;
    let fetch = fetch_request(TOPIC, 0, i64::from(records) * 500, 64 << 10, 0);
    measure(&broker, "fetch of 64 KiB", requests, || run(&mut connection, requests, depth, &fetch))?;
    broker.stop()?;
    std::fs::remove_dir_all(&dir)
}

/// Sends the same request again and again, `depth` under way.
fn run(connection: &mut Connection, requests: u32, depth: usize, frame: &[u8]) -> io::Result<()> {
    let depth = depth as u32;
    for n in 0..requests + depth {
        if n < requests {
            connection.send(frame)?;
        }
        if n >= depth {
            connection.receive()?;
        }
    }
    Ok(())
}

fn measure(
    broker: &Broker,
    name: &str,
    requests: u32,
    mut work: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let counting = Counting::start(broker.pid());
    let before = broker.cpu()?;
    work()?;
    let cpu = broker.cpu()? - before;
    let per_request = |total: f64| total / f64::from(requests);
    let calls = match counting.and_then(Counting::stop) {
        Ok(calls) => {
            let named = calls.by_name.iter().map(|(name, count)| (name, per_request(*count as f64)));
            let named =
                named.filter(|(_, each)| *each >= 0.005).map(|(name, each)| format!("{name} {each:.2}"));
            let named: Vec<String> = named.collect();
            format!("{:.2} system calls per request: {}", per_request(calls.count as f64), named.join(", "))
        }
        Err(error) => format!("system calls unknown ({error})"),
    };
    println!("{name:<16} {:.1} us of CPU, {calls}", per_request(cpu.as_secs_f64() * 1e6));
    Ok(())
}
