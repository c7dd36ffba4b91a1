//! A disk that fills up under load: produce is refused with an error that clients retry, reads and deletions go on,
//! room that returns is used without a restart, and nothing acknowledged is lost, not even by `kill -9` on the full
//! disk.
//!
//! The disk is a small ext4 file system in a file, mounted through a loop device. That needs root; without it the
//! test says so and ends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use corelane_base::rng::Rng;
use corelane_log::{batch, records};

use crate::harness::{self, Broker};
use crate::wire_client::{Connection, batch_of, create_topic, delete_topic, fetch, produce, topic_id};

/// Size of the disk.
const DISK_MIB: u64 = 256;

/// Size of a record's value in bytes.
const VALUE_SIZE: usize = 60_000;

/// So many refusals one behind the other mean that the disk counts as full, and not that something passed by.
const REFUSALS: u32 = 50;

/// How long filling, healing and restarting may take each, on a loaded machine.
const PHASE_MAX: Duration = Duration::from_secs(120);

/// What a full disk is answered with: clients try again.
const REFUSED: &str = "KAFKA_STORAGE_ERROR";

/// A small file system; unmounted when dropped.
struct SmallDisk {
    mounted_at: PathBuf,
}

impl SmallDisk {
    /// Makes and mounts it. Errors: what the tool that failed says.
    fn mount(image: &Path, mounted_at: &Path) -> Result<SmallDisk, String> {
        let file = std::fs::File::create(image).map_err(|error| error.to_string())?;
        file.set_len(DISK_MIB << 20).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-b", "4096"]).arg(image))?;
        std::fs::create_dir_all(mounted_at).map_err(|error| error.to_string())?;
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(mounted_at))?;
        Ok(SmallDisk { mounted_at: mounted_at.to_path_buf() })
    }

    /// Takes every block that is left, as somebody else's file does. Removing it gives them back.
    fn take_the_rest(&self) -> PathBuf {
        let path = self.mounted_at.join("somebody-elses-file");
        let mut file = std::fs::File::create(&path).expect("an inode is left");
        for size in [1 << 20, 4096] {
            let zeros = vec![0; size];
            while file.write(&zeros).is_ok_and(|count| count > 0) {}
        }
        assert!(self.free() < 4096, "nothing is left");
        path
    }

    /// Bytes that can still be written.
    fn free(&self) -> u64 {
        let text =
            run(Command::new("stat").args(["-f", "-c", "%a %S"]).arg(&self.mounted_at)).expect("stat(1)");
        let numbers: Vec<u64> = text.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        numbers[0] * numbers[1]
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(why) = run(Command::new("umount").arg(&self.mounted_at)) {
            eprintln!("cannot unmount {}: {why}", self.mounted_at.display());
        }
    }
}

/// Runs a command to its end: what it printed. Errors: what it complained about.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// The value of one record: which it is, and bytes that follow from that.
fn value(partition: i32, number: u64) -> Vec<u8> {
    let mut rng = Rng::new(number * 64 + partition as u64);
    let mut value = number.to_be_bytes().to_vec();
    value.extend(std::iter::repeat_with(|| rng.next_u64().to_le_bytes()).take(VALUE_SIZE / 8).flatten());
    value
}

/// What one writer wrote to its partition: offset and number of each acknowledged record.
#[derive(Default)]
struct Written {
    acknowledged: Vec<(i64, u64)>,
    number: u64,
}

impl Written {
    /// Writes until it is refused, again and again. Errors: anything else than success and the refusal.
    fn fill(&mut self, address: &str, topic: &str, partition: i32) -> Result<(), String> {
        let mut connection = Connection::open(address);
        let end = Instant::now() + PHASE_MAX;
        let mut refusals = 0;
        while refusals < REFUSALS {
            if Instant::now() > end {
                return Err(format!(
                    "partition {partition} never refused, {} records",
                    self.acknowledged.len()
                ));
            }
            match self.write(&mut connection, topic, partition) {
                Ok(()) => refusals = 0,
                Err(why) if why == REFUSED => refusals += 1,
                Err(why) => return Err(format!("partition {partition}: {why}")),
            }
        }
        Ok(())
    }

    fn write(&mut self, connection: &mut Connection, topic: &str, partition: i32) -> Result<(), String> {
        let number = self.number;
        self.number += 1;
        let offset = produce(connection, -1, topic, partition, &batch_of(&value(partition, number)))?;
        self.acknowledged.push((offset, number));
        Ok(())
    }

    /// Reads the partition from its beginning and compares every acknowledged record.
    fn check(&self, connection: &mut Connection, topic: &str, partition: i32) {
        let mut acknowledged = self.acknowledged.iter().peekable();
        let mut offset = 0;
        while acknowledged.peek().is_some() {
            let bytes = fetch(connection, 11, topic, partition, offset, 500).expect("reads go on");
            let mut rest = &bytes[..];
            while let Some(header) = batch::check_stored(rest).expect("whole batches") {
                let (_, payload) = records::payload(rest, 1 << 20).expect("uncompressed");
                let record =
                    records::iter(&header, &payload).next().expect("one record").expect("well-formed");
                if acknowledged.peek().is_some_and(|known| known.0 == record.offset.0) {
                    let (_, number) = acknowledged.next().expect("just seen");
                    assert!(record.value == Some(&value(partition, *number)), "record {number} is another");
                }
                assert_eq!(header.base_offset().0, offset, "offsets are dense");
                offset = header.next_offset().0;
                rest = &rest[header.size_bytes()..];
            }
            let missing = acknowledged.peek().filter(|known| known.0 < offset || bytes.is_empty());
            assert!(
                missing.is_none(),
                "{topic}-{partition}: acknowledged, but gone: {missing:?}, end {offset}"
            );
        }
    }
}

/// Fills several partitions at once.
fn fill_all(address: &str, topic: &'static str, written: &mut [Written]) {
    let result: Vec<Result<(), String>> = thread::scope(|scope| {
        let writers: Vec<_> = (0..)
            .zip(written.iter_mut())
            .map(|(partition, written)| scope.spawn(move || written.fill(address, topic, partition)))
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("writers do not panic")).collect()
    });
    let failed: Vec<String> = result.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

fn check_all(address: &str, topic: &str, written: &[Written]) {
    let mut connection = Connection::open(address);
    for (partition, written) in (0..).zip(written) {
        written.check(&mut connection, topic, partition);
    }
}

/// Writes until it works again. Panics: if it does not in time.
fn heal(address: &str, topic: &str, written: &mut Written) {
    let mut connection = Connection::open(address);
    let end = Instant::now() + PHASE_MAX;
    loop {
        match written.write(&mut connection, topic, 0) {
            Ok(()) => return,
            Err(why) => assert_eq!(why, REFUSED),
        }
        assert!(Instant::now() < end, "there is room again, but produce is still refused");
    }
}

/// Waits until a started broker serves a topic, and checks all of it.
fn check_after_start(broker: &Broker, topic: &str, written: &[Written]) {
    let mut connection = Connection::open(broker.address());
    while topic_id(&mut connection, topic).is_none() {}
    check_all(broker.address(), topic, written);
}

fn count(written: &[Written]) -> u64 {
    written.iter().map(|each| each.acknowledged.len() as u64).sum()
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_heals() {
    // Filling its disk keeps the real one busy, on which another test measures how fast brokers start.
    let _busy = harness::busy();
    if std::env::var_os("CORELANE_TEST_BOOTSTRAP").is_some() {
        println!("skipped: the broker under test is not ours to fill up");
        return;
    }
    let mut broker = Broker::start_with("full-disk", &["--set", "log.segment.bytes=2097152"]);
    broker.stop();
    // Over the data directory of a broker that has run once: what it wrote lies hidden below.
    let disk = match SmallDisk::mount(&broker.dir().join("disk.img"), &broker.data_dir()) {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: cannot mount a small file system here (root is needed): {why}");
            return;
        }
    };
    let began = Instant::now();
    let tell = |what: &str, written: &[Written]| {
        let (took, free) = (began.elapsed(), disk.free() >> 20);
        println!("{what} after {took:?}: {} records acknowledged, {free} MiB free", count(written));
    };
    broker.launch();
    let address = broker.address().to_string();
    let mut connection = Connection::open(&address);
    create_topic(&mut connection, "ballast", 1, &[]);
    create_topic(&mut connection, "kept", 3, &[]);
    let mut ballast = [Written::default()];
    let mut kept = [Written::default(), Written::default(), Written::default()];
    let half = (DISK_MIB << 20) / 2 / VALUE_SIZE as u64;
    for _ in 0..half {
        ballast[0].write(&mut connection, "ballast", 0).expect("the disk is not full yet");
    }
    tell("half full", &kept);
    fill_all(&address, "kept", &mut kept);
    tell("full", &kept);
    check_all(&address, "kept", &kept);
    check_all(&address, "ballast", &ballast);

    delete_topic(&mut connection, "ballast");
    heal(&address, "kept", &mut kept[0]);
    tell("healed", &kept);
    let before = count(&kept);
    fill_all(&address, "kept", &mut kept);
    tell("full again", &kept);
    assert!(count(&kept) > before + half / 2, "the room of what was deleted is used");

    broker.kill();
    let foreign = disk.take_the_rest();
    broker.launch();
    check_after_start(&broker, "kept", &kept);
    tell("killed and started without a free block", &kept);
    broker.stop();
    broker.launch();
    check_after_start(&broker, "kept", &kept);
    tell("stopped and started without a free block", &kept);
    std::fs::remove_file(foreign).expect("somebody else's file");
    delete_topic(&mut Connection::open(broker.address()), "kept");
    let mut connection = Connection::open(broker.address());
    create_topic(&mut connection, "after", 1, &[]);
    let mut after = [Written::default()];
    heal(broker.address(), "after", &mut after[0]);
    check_all(broker.address(), "after", &after);
    tell("emptied and written to again", &after);
    broker.kill();
}
