//! `corelane produce`: records from standard input into a topic.
//!
//! A thread of its own reads standard input and hands over what one read of the system gave, so that typed lines go out
//! at once and files go out in full batches, without any waiting time to configure.

use std::io::{self, BufReader, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use corelane_base::time::WallMs;
use corelane_log::batch::Compression;
use serde_json::{Value, json};

use crate::args::{Setting, parse_setting};
use crate::cli::connect::ConnectArgs;
use crate::cli::escape::unescape;
use crate::cli::failure::Failure;
use crate::cli::input::{Line, LineFormat, parse_line, read_line};
use crate::cli::moment;
use crate::cli::output::{Output, Progress, print_json};
use crate::producer::{Acks, ProducerSettings, Sender};
use crate::records::Header;

const EXAMPLES: &str = "\
Examples:
  echo hello | corelane produce greetings
  corelane produce orders --key-separator : --compression zstd < orders.txt
  corelane produce orders --header source=import --partition 3 --acks 1 < orders.txt
  corelane consume orders --output json | corelane produce copy --input json

JSON input has one object per line, every field optional:
  {\"key\":\"k\", \"value\":\"v\", \"headers\":[{\"key\":\"a\",\"value\":\"1\"}], \"timestamp\":1700000000000, \"partition\":0}
Bytes that are no text stand as hexadecimal digits under key_hex and value_hex. That is what consume prints.

With --acks all a repeated request is stored once. With 0 or 1 it may be stored twice.";

/// How much is read at once, and about how much a piece holds.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that may wait between reader and sender: 16 of 256 KiB.
const PIECES_MAX: usize = 16;
/// The longest record that is read.
const LINE_BYTES_MAX: usize = 64 << 20;
/// What is collected before a flush, over all partitions.
const PENDING_BYTES_MAX: usize = 8 << 20;

/// The arguments of `corelane produce`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ProduceArgs {
    /// Where to; the broker may create it
    topic: String,

    #[command(flatten)]
    connect: ConnectArgs,

    /// Read lines of text, or a JSON object per line
    #[arg(short, long, value_enum, default_value_t = Input::Text)]
    input: Input,

    /// What stands between key and value of a line, such as : or \t; without it records have no key
    #[arg(short, long, value_name = "TEXT")]
    key_separator: Option<String>,

    /// What ends a record, one byte, such as \0
    #[arg(short, long, value_name = "BYTE", default_value = "\\n")]
    delimiter: String,

    /// A key or value that is exactly this becomes null; a null value is a tombstone
    #[arg(long, value_name = "TEXT")]
    null_marker: Option<String>,

    /// A header for every record, as often as needed
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE", value_parser = parse_setting)]
    headers: Vec<Setting>,

    /// The timestamp of every record, in milliseconds or like 2023-11-14T22:13:20Z; now if not given
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    timestamp: Option<WallMs>,

    /// Which partition; by the key's hash if not given, and evenly for records without a key
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// When the broker confirms: never, when the leader has written, or when all in-sync replicas have synced
    #[arg(short, long, value_enum, default_value_t = AcksArg::All)]
    acks: AcksArg,

    /// How batches are compressed
    #[arg(short = 'z', long, value_enum, default_value_t = CompressionArg::None)]
    compression: CompressionArg,

    /// How large a batch may grow before it is sent, uncompressed, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 900_000, value_parser = clap::value_parser!(u32).range(1..))]
    batch_bytes: u32,

    /// How to print the summary: a sentence on standard error, or JSON on standard output
    #[arg(long, value_enum, default_value_t)]
    output: Output,

    /// No summary and no progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Input {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum AcksArg {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum CompressionArg {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl ProduceArgs {
    fn line_format(&self) -> Result<LineFormat, Failure> {
        let bytes = |name: &str, text: &str| {
            unescape(text).map_err(|reason| Failure::Usage(format!("--{name}: {reason}")))
        };
        let separator = self.key_separator.as_deref().map(|text| bytes("key-separator", text)).transpose()?;
        if separator.as_ref().is_some_and(Vec::is_empty) {
            return Err(Failure::Usage("--key-separator: must not be empty".to_string()));
        }
        let [delimiter] = bytes("delimiter", &self.delimiter)?[..] else {
            return Err(Failure::Usage("--delimiter: must be one byte".to_string()));
        };
        if self.input == Input::Json && (separator.is_some() || self.null_marker.is_some()) {
            let text = "--key-separator and --null-marker have no meaning with --input json";
            return Err(Failure::Usage(text.to_string()));
        }
        let headers = self.headers.iter().map(|header| Header {
            key: header.key.clone().into(),
            value: Some(header.value.clone().into()),
        });
        Ok(LineFormat {
            json: self.input == Input::Json,
            key_separator: separator,
            delimiter,
            null_marker: self.null_marker.clone().map(String::into_bytes),
            headers: headers.collect(),
            timestamp: self.timestamp,
            line_bytes_max: LINE_BYTES_MAX,
        })
    }

    fn settings(&self) -> ProducerSettings {
        ProducerSettings {
            topic: self.topic.clone(),
            partition: self.partition,
            acks: match self.acks {
                AcksArg::None => Acks::None,
                AcksArg::Leader => Acks::Leader,
                AcksArg::All => Acks::All,
            },
            compression: match self.compression {
                CompressionArg::None => Compression::None,
                CompressionArg::Gzip => Compression::Gzip,
                CompressionArg::Snappy => Compression::Snappy,
                CompressionArg::Lz4 => Compression::Lz4,
                CompressionArg::Zstd => Compression::Zstd,
            },
            batch_bytes: self.batch_bytes as usize,
        }
    }
}

/// What the reader hands over: some records, and why it cannot go on if it cannot.
#[derive(Debug, Default)]
struct Piece {
    lines: Vec<Line>,
    failure: Option<String>,
}

/// Runs the command.
pub fn run(args: &ProduceArgs) -> Result<(), Failure> {
    let format = args.line_format()?;
    let mut client = args.connect.connect()?;
    let mut sender = Sender::new(&mut client, args.settings())?;
    let (pieces_in, pieces) = sync_channel(PIECES_MAX);
    std::thread::Builder::new()
        .name("stdin".to_string())
        .spawn(move || read_pieces(&format, &pieces_in))
        .map_err(|error| Failure::Local(format!("cannot start a thread: {error}")))?;
    let typed = io::stdin().is_terminal();
    if typed && !args.quiet {
        eprintln!("one record per line; Ctrl-D ends");
    }
    // Between lines that somebody types, a line of progress would only be in the way.
    let mut progress = (!args.quiet && !typed).then(|| Progress::new("records"));
    let outcome = pump(&pieces, &mut sender, progress.as_mut());
    if let Some(progress) = &mut progress {
        progress.clear();
    }
    // What was stored is told even if the rest was not.
    match args.output {
        Output::Json => print_json(&summary_json(&args.topic, &sender))?,
        Output::Human if !args.quiet => eprintln!("{}", summary_text(&args.topic, &sender)),
        Output::Human => {}
    }
    outcome
}

fn pump(
    pieces: &Receiver<Piece>,
    sender: &mut Sender<'_>,
    mut progress: Option<&mut Progress>,
) -> Result<(), Failure> {
    let mut failure = None;
    // The sending half is gone when standard input has ended.
    while failure.is_none()
        && let Ok(first) = pieces.recv()
    {
        let mut next = Some(first);
        let (mut count, mut bytes) = (0, 0);
        while let Some(piece) = next {
            for line in piece.lines {
                count += 1;
                bytes += line.record.encoded_bytes_max() as u64;
                sender.push(line.record, line.partition)?;
            }
            failure = piece.failure;
            next = match pieces.try_recv() {
                Ok(piece) if failure.is_none() && sender.pending_bytes() < PENDING_BYTES_MAX => Some(piece),
                Ok(piece) => {
                    // Full: this one still fits, a piece is small.
                    for line in piece.lines {
                        count += 1;
                        sender.push(line.record, line.partition)?;
                    }
                    failure = failure.or(piece.failure);
                    None
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
            };
        }
        sender.flush()?;
        if let Some(progress) = &mut progress {
            progress.add(count, bytes);
        }
    }
    failure.map_or(Ok(()), |text| Err(Failure::Local(text)))
}

/// Reads standard input to its end, or until the other side has stopped listening.
fn read_pieces(format: &LineFormat, pieces: &SyncSender<Piece>) {
    let mut input = BufReader::with_capacity(PIECE_BYTES, io::stdin().lock());
    let mut number = 0_u64;
    loop {
        let mut piece = Piece::default();
        let ended = loop {
            number += 1;
            match read_line(&mut input, format) {
                Ok(None) => break true,
                Ok(Some(line)) => match parse_line(&line, format, now()) {
                    Ok(line) => piece.lines.push(line),
                    Err(reason) => piece.failure = Some(format!("standard input, line {number}: {reason}")),
                },
                Err(error) => piece.failure = Some(format!("standard input, line {number}: {error}")),
            }
            if piece.failure.is_some() {
                break true;
            }
            // What one read gave is used up: do not let it wait for the next.
            let delimiter = if format.json { b'\n' } else { format.delimiter };
            if !input.buffer().contains(&delimiter) {
                break false;
            }
        };
        let empty = piece.lines.is_empty() && piece.failure.is_none();
        if (!empty && pieces.send(piece).is_err()) || ended {
            return;
        }
    }
}

fn now() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    WallMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn summary_json(topic: &str, sender: &Sender<'_>) -> Value {
    let partitions = sender.written().iter().map(|(partition, written)| {
        json!({
            "partition": partition,
            "records": written.records,
            "first_offset": written.first_offset,
            "last_offset": written.last_offset,
        })
    });
    let records: u64 = sender.written().values().map(|written| written.records).sum();
    json!({"topic": topic, "records": records, "partitions": partitions.collect::<Value>()})
}

fn summary_text(topic: &str, sender: &Sender<'_>) -> String {
    let records: u64 = sender.written().values().map(|written| written.records).sum();
    let noun = if records == 1 { "record" } else { "records" };
    let partitions = sender.written().iter().filter(|(_, written)| written.records > 0);
    let places: Vec<String> = partitions
        .map(|(partition, written)| match (written.first_offset, written.last_offset) {
            (Some(first), Some(last)) if first == last => format!("partition {partition} at {first}"),
            (Some(first), Some(last)) => format!("partition {partition} at {first} to {last}"),
            _ => format!("partition {partition}"),
        })
        .collect();
    match places.len() {
        0 => format!("nothing written to {topic}"),
        1..=4 => format!("{records} {noun} written to {topic}: {}", places.join(", ")),
        many => format!("{records} {noun} written to {many} partitions of {topic}"),
    }
}
