//! Burrow, Debian's lag monitor, against the broker. It reads `__consumer_offsets` as an outside reader and judges groups by
//! what it finds there.
//!
//! Debian's version does not start without a ZooKeeper, which it needs for nothing but the election of one Burrow among
//! several. `Zookeeper` below stands in for it: it agrees to everything.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use crate::companion::{self, Companion};
use crate::groups::load;
use crate::groups::member::{Client, Member, Place, Program};
use crate::groups::watch::Watch;
use crate::harness::{self, Broker};
use crate::wire_client::{self, Connection};

const PARTITION_COUNT: i32 = 3;
/// Batches of five records: read and committed, and written afterwards.
const READ_COUNT: u64 = 8;
const BEHIND_COUNT: u64 = 4;

/// Serves ZooKeeper's protocol as far as Burrow's start needs it; ends with the test process. Returns its address.
fn zookeeper() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Burrow's own end closes the connection.
            thread::spawn(move || drop(agree(stream)));
        }
    });
    address
}

/// One session: the opening, then an answer without error to each request.
fn agree(mut stream: TcpStream) -> io::Result<()> {
    const PASSWORD: [u8; 16] = [0; 16];
    read_packet(&mut stream)?;
    // Protocol version, session timeout, session id.
    let mut opening = [0_i32.to_be_bytes(), 10_000_i32.to_be_bytes()].concat();
    opening.extend(1_i64.to_be_bytes());
    opening.extend((PASSWORD.len() as i32).to_be_bytes());
    opening.extend(PASSWORD);
    write_packet(&mut stream, &opening)?;
    loop {
        // A number that the answer repeats, the operation, and for the creation of a node its path.
        let request = read_packet(&mut stream)?;
        let (number, rest) = request.split_at(4);
        let (operation, rest) = rest.split_at(4);
        let mut answer = number.to_vec();
        answer.extend([0; 12]);
        if operation == 1_i32.to_be_bytes() {
            let length = i32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
            answer.extend(&rest[..4 + length]);
        }
        write_packet(&mut stream, &answer)?;
    }
}

fn read_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut packet = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut packet)?;
    Ok(packet)
}

fn write_packet(stream: &mut TcpStream, packet: &[u8]) -> io::Result<()> {
    stream.write_all(&[&(packet.len() as u32).to_be_bytes(), packet].concat())
}

fn start(broker: &Broker, http: &str) -> Companion {
    let servers = broker.address();
    // The newest protocol that this version of Burrow knows.
    let config = format!(
        "[general]\npidfile = \"{dir}/burrow.pid\"\n\
         [logging]\nlevel = \"info\"\n\
         [zookeeper]\nservers = [\"{zookeeper}\"]\ntimeout = 10\nroot-path = \"/burrow\"\n\
         [client-profile.test]\nclient-id = \"burrow\"\nkafka-version = \"2.1.0\"\n\
         [cluster.local]\nclass-name = \"kafka\"\nservers = [\"{servers}\"]\nclient-profile = \"test\"\n\
         topic-refresh = 2\noffset-refresh = 1\n\
         [consumer.local]\nclass-name = \"kafka\"\ncluster = \"local\"\nservers = [\"{servers}\"]\n\
         client-profile = \"test\"\noffsets-topic = \"__consumer_offsets\"\n\
         [httpserver.default]\naddress = \"{http}\"\n\
         [storage.default]\nclass-name = \"inmemory\"\nworkers = 2\nintervals = 5\nmin-distance = 0\n",
        dir = broker.dir().display(),
        zookeeper = zookeeper()
    );
    let dir = broker.dir().join("burrow");
    fs::create_dir_all(&dir).expect("a directory of its own");
    fs::write(dir.join("burrow.toml"), config).expect("writes a file of its own");
    let mut command = Command::new("Burrow");
    command.arg("--config-dir").arg(&dir).current_dir(broker.dir());
    Companion::start("burrow", broker.dir(), &mut command)
}

#[test]
fn burrow_tells_the_lag_of_a_group() {
    let _busy = harness::busy();
    let broker = Broker::start_fixed("burrow", &["--set", "group.initial.rebalance.delay.ms=0"]);
    wire_client::create_topic(&mut Connection::open(broker.address()), "watched", PARTITION_COUNT, &[]);
    let place = Place {
        bootstrap: broker.address().to_owned(),
        topic: "watched".into(),
        group: "watchers".into(),
        commit: "after",
        session_ms: 45_000,
        dir: broker.dir().to_owned(),
    };
    let watch: Arc<Watch> = Arc::default();
    let client =
        Client { name: "confluent", program: Program::Python("confluent_member.py"), protocol: "classic" };
    let write =
        |count| load::write_once(broker.address(), "watched", PARTITION_COUNT, count, &watch).len() as u64;
    let count = write(READ_COUNT);
    let member = Member::start(client, &place, &watch, "member", "");
    watch.wait("everything is read", |state| state.processed() == count);
    member.leave();
    let behind = write(BEHIND_COUNT);

    let http = format!("127.0.0.1:{}", harness::free_port());
    let mut burrow = start(&broker, &http);
    let path = "/v3/kafka/local/consumer/watchers/lag";
    let mut last = String::new();
    burrow.wait("Burrow knows the group's lag", || {
        let answer = companion::http(&http, "GET", path, "");
        last = format!("{answer:?}");
        answer.is_ok_and(|(status, json)| status == 200 && json["status"]["totallag"] == behind)
    });
    println!("{last}");
    let (_, topics) = companion::http(&http, "GET", "/v3/kafka/local/topic/watched", "").expect("an answer");
    let each = (count + behind) / PARTITION_COUNT as u64;
    assert_eq!(topics["offsets"], serde_json::json!([each, each, each]), "{topics}");
    burrow.terminate();
}
