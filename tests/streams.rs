//! Kafka Streams' word count against the broker, with at-least-once processing: exact while nothing fails, never too low
//! over a `kill -9` of the broker, restored from its changelog where the local state is gone, and started anew by Kafka's
//! own reset tool.

use std::collections::BTreeMap;
use std::path::Path;

use crate::clients;
use crate::companion::{Companion, TopicReader};
use crate::harness::{self, Broker};
use crate::tools::Tools;
use crate::wire_client::{self, Connection};

const PARTITION_COUNT: i32 = 2;
/// Lines written at a time.
const LINE_COUNT: u64 = 200;
const APPLICATION: &str = "word-count";

/// Counts by word.
type Counts = BTreeMap<String, u64>;

struct Job {
    broker: Broker,
    output: TopicReader,
    /// The last count of each word in the output.
    told: Counts,
    /// What was written so far.
    expected: Counts,
    lines: u64,
}

impl Job {
    fn start(&self, state: &Path) -> Companion {
        let mut command = clients::java();
        command.args(["-XX:TieredStopAtLevel=1", "WordCount", "--application", APPLICATION]);
        command.args(["--bootstrap", self.broker.address(), "--input", "lines", "--output", "counts"]);
        command.arg("--state").arg(state);
        Companion::start("streams", self.broker.dir(), &mut command)
    }

    /// Writes lines of three words each.
    fn write(&mut self) {
        let mut connection = Connection::open(self.broker.address());
        for number in self.lines..self.lines + LINE_COUNT {
            let words = ["all".to_owned(), format!("few-{}", number % 7), format!("some-{}", number % 50)];
            let batch = wire_client::batch_of(words.join(" ").as_bytes());
            let partition = (number % PARTITION_COUNT as u64) as i32;
            // A broker that has just started may not lead its partitions yet, and stores nothing then.
            while let Err(why) = wire_client::produce(&mut connection, -1, "lines", partition, &batch) {
                assert_eq!(why, "NOT_LEADER_OR_FOLLOWER", "the broker takes a line");
            }
            words.into_iter().for_each(|word| *self.expected.entry(word).or_default() += 1);
        }
        self.lines += LINE_COUNT;
    }

    /// Waits until every word has been counted at least as often as it was written.
    fn wait(&mut self, streams: &mut Companion, what: &str) {
        let Job { broker, output, told, expected, .. } = self;
        streams.wait(what, || {
            for (word, count) in output.poll(broker.address()) {
                told.insert(word, count.parse().expect("a count is a number"));
            }
            expected.iter().all(|(word, count)| told.get(word).is_some_and(|told| told >= count))
        });
    }
}

#[test]
fn streams_word_count_survives_the_broker_and_its_own_state() {
    let _busy = harness::busy();
    let broker = Broker::start_fixed("streams", &["--set", "group.initial.rebalance.delay.ms=0"]);
    for topic in ["lines", "counts"] {
        wire_client::create_topic(&mut Connection::open(broker.address()), topic, PARTITION_COUNT, &[]);
    }
    let output = TopicReader::new("counts", PARTITION_COUNT as usize);
    let mut job = Job { broker, output, told: Counts::new(), expected: Counts::new(), lines: 0 };
    let states = [job.broker.dir().join("state-1"), job.broker.dir().join("state-2")];
    job.write();
    let mut streams = job.start(&states[0]);
    job.wait(&mut streams, "the first lines are counted");
    assert_eq!(job.told, job.expected, "nothing has failed: the counts are exact");

    job.write();
    job.broker.kill();
    job.broker.launch();
    job.write();
    job.wait(&mut streams, "lines from before and after kill -9 of the broker are counted");
    let lines = job.lines;
    assert!(job.told.values().all(|count| *count <= 2 * lines), "no more than twice: {:?}", job.told);
    streams.close();

    // Another instance without any local state: everything comes from the changelog.
    let before = job.told.clone();
    job.expected.clone_from(&before);
    job.write();
    let mut streams = job.start(&states[1]);
    job.wait(&mut streams, "an instance without state goes on");
    assert_eq!(job.told, job.expected, "it goes on from where the other has stopped");
    streams.close();

    reset(&job);
    let fresh = job.broker.dir().join("state-3");
    job.told.clear();
    let mut streams = job.start(&fresh);
    let words: Counts = std::mem::take(&mut job.expected);
    job.expected = words.into_keys().map(|word| (word, 1)).collect();
    job.expected.insert("all".into(), job.lines);
    job.wait(&mut streams, "everything is counted again after the reset");
    assert_eq!(job.told["all"], job.lines, "from the first line on, each once");
    streams.close();
}

/// `kafka-streams-application-reset`, and a look at what Streams had made.
fn reset(job: &Job) {
    let tools = Tools { broker: &job.broker };
    let changelog = format!("{APPLICATION}-counts-changelog");
    let listed = tools.check("TopicCommand", &["--list"], &[&changelog]);
    assert!(listed.lines().any(|topic| topic.ends_with("-repartition")), "{listed}");
    tools.check("TopicCommand", &["--describe", "--topic", &changelog], &["cleanup.policy=compact"]);
    let arguments = ["--application-id", APPLICATION, "--input-topics", "lines", "--force"];
    tools.run("StreamsResetter", &arguments);
    let listed = tools.run("TopicCommand", &["--list"]);
    assert!(!listed.contains(&changelog), "its internal topics are deleted:\n{listed}");
}
