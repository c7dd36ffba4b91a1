//! Kafka Connect in distributed mode against the broker, with its three compacted internal topics: a file source and a file
//! sink carry lines through a topic, over a `kill -9` of the broker and a restart of the worker. At least once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::clients;
use crate::companion::{self, Companion};
use crate::harness::{self, Broker};
use crate::tools::Tools;
use crate::wire_client::{self, Connection};

/// Lines written at a time.
const LINE_COUNT: u64 = 200;

struct Pipe {
    broker: Broker,
    /// Where the worker answers.
    rest: String,
    source: PathBuf,
    sink: PathBuf,
    lines: u64,
}

impl Pipe {
    fn worker(&self) -> Companion {
        let properties = format!(
            "bootstrap.servers={}\n\
             group.id=connect\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             config.storage.topic=connect-configs\n\
             offset.storage.topic=connect-offsets\n\
             status.storage.topic=connect-status\n\
             config.storage.replication.factor=1\n\
             offset.storage.replication.factor=1\n\
             status.storage.replication.factor=1\n\
             offset.storage.partitions=5\n\
             offset.flush.interval.ms=500\n\
             plugin.discovery=service_load\n\
             listeners=http://{}\n",
            self.broker.address(),
            self.rest
        );
        let file = self.broker.dir().join("worker.properties");
        fs::write(&file, properties).expect("writes a file of its own");
        let mut command = clients::java();
        command
            .args(["-XX:TieredStopAtLevel=1", "org.apache.kafka.connect.cli.ConnectDistributed"])
            .arg(file);
        Companion::start("connect", self.broker.dir(), &mut command)
    }

    /// Appends lines to the source's file.
    fn write(&mut self) {
        let mut text = String::new();
        for number in self.lines..self.lines + LINE_COUNT {
            writeln!(text, "line {number}").expect("a String takes everything");
        }
        self.lines += LINE_COUNT;
        let mut file =
            File::options().create(true).append(true).open(&self.source).expect("a file of its own");
        file.write_all(text.as_bytes()).expect("a file of its own");
    }

    /// How many times each line is in the sink's file. Panics: if there is a line that nobody wrote.
    fn sunk(&self) -> BTreeMap<u64, u64> {
        let text = fs::read_to_string(&self.sink).unwrap_or_default();
        let mut found = BTreeMap::new();
        // The last line may be half written.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let number = line.strip_prefix("line ").and_then(|rest| rest.trim_end().parse::<u64>().ok());
            let number = number.unwrap_or_else(|| panic!("the sink holds {line:?}"));
            assert!(number < self.lines, "the sink holds {line:?}");
            *found.entry(number).or_default() += 1;
        }
        found
    }

    fn wait(&self, worker: &mut Companion, what: &str) {
        worker.wait(what, || self.sunk().len() as u64 == self.lines);
    }

    /// Creates a connector once the worker takes it.
    fn create(&self, worker: &mut Companion, name: &str, config: &serde_json::Value) {
        let path = format!("/connectors/{name}/config");
        let mut last = String::new();
        worker.wait(&format!("the worker takes {name}"), || {
            let answer = companion::http(&self.rest, "PUT", &path, &config.to_string());
            last = format!("{answer:?}");
            answer.is_ok_and(|(status, _)| status == 201 || status == 200)
        });
        println!("{name}: {last}");
    }
}

#[test]
fn connect_file_source_and_sink_survive_the_broker_and_the_worker() {
    let _busy = harness::busy();
    let broker = Broker::start_fixed("connect", &["--set", "group.initial.rebalance.delay.ms=0"]);
    let (source, sink) = (broker.dir().join("source.txt"), broker.dir().join("sink.txt"));
    let rest = format!("127.0.0.1:{}", harness::free_port());
    let mut pipe = Pipe { broker, rest, source, sink, lines: 0 };
    wire_client::create_topic(&mut Connection::open(pipe.broker.address()), "connect-lines", 1, &[]);
    let mut worker = pipe.worker();
    let class = |name: &str| format!("org.apache.kafka.connect.file.FileStream{name}Connector");
    pipe.write();
    let from = json!({"connector.class": class("Source"), "file": pipe.source, "topic": "connect-lines"});
    pipe.create(&mut worker, "source", &from);
    let to = json!({"connector.class": class("Sink"), "file": pipe.sink, "topics": "connect-lines"});
    pipe.create(&mut worker, "sink", &to);
    pipe.wait(&mut worker, "the first lines arrive");
    assert!(pipe.sunk().values().all(|times| *times == 1), "nothing has failed: every line once");

    pipe.write();
    pipe.broker.kill();
    pipe.write();
    pipe.broker.launch();
    pipe.wait(&mut worker, "lines from before, during and after kill -9 of the broker arrive");
    worker.terminate();
    pipe.write();
    let mut worker = pipe.worker();
    pipe.wait(&mut worker, "a new worker knows its connectors and goes on");
    let lines = pipe.sunk();
    let copies: u64 = lines.values().sum();
    println!("{} lines, {copies} copies", lines.len());
    // What was under way at the kill and not yet committed may come again; what came before cannot.
    assert!((0..LINE_COUNT / 2).all(|number| lines[&number] <= 2), "lines come back again and again");
    worker.terminate();
    let tools = Tools { broker: &pipe.broker };
    for topic in ["connect-configs", "connect-offsets", "connect-status"] {
        tools.check("TopicCommand", &["--describe", "--topic", topic], &["cleanup.policy=compact"]);
    }
    let groups = tools.run("ConsumerGroupCommand", &["--describe", "--group", "connect-sink"]);
    let total = pipe.lines.to_string();
    assert!(groups.contains("connect-lines"), "the sink is a consumer group; of {total} lines:\n{groups}");
}
