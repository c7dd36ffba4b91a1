//! `corelane log`: looks into segment files, and checks them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use corelane_base::id::Offset;
use corelane_log::batch::BatchHeader;
use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::moment;
use crate::cli::output::{Output, Progress, Table, human_bytes, print_json, print_text};
use crate::cli::template::record_json;
use crate::records::decode_batch;
use crate::segment_file::{Place, SegmentWalk, base_offset_of, find_segments};

const EXAMPLES: &str = "\
Examples:
  corelane log verify corelane-data
  corelane log inspect corelane-data/.../00000000000000000000.log
  corelane log inspect corelane-data --records --output json | jq .records[].value

Both only read. On the files of a running broker the last batch may be found half written.
verify ends with exit code 5 if it finds damage. A torn end of a log's last segment is no damage: it is what a
crash leaves of writes that nobody was told of, and the broker cuts it off when it starts.";

/// What the records of one batch may unfold to, in bytes.
const BATCH_BYTES_MAX: usize = 512 << 20;

/// The arguments of `corelane log`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,

    /// How to print
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Output,
}

#[derive(Subcommand, Debug)]
enum LogCommand {
    /// List the batches of segment files
    Inspect {
        /// A segment file, or a folder to look for them
        path: PathBuf,
        /// Also the records inside
        #[arg(long)]
        records: bool,
    },
    /// Check checksums, offsets and epochs of every batch
    Verify {
        /// A segment file, or a folder to look for them
        path: PathBuf,
        /// Also take every batch apart
        #[arg(long)]
        records: bool,
    },
}

/// Runs the command.
pub fn run(args: &LogArgs) -> Result<(), Failure> {
    match &args.command {
        LogCommand::Inspect { path, records } => inspect(path, *records, args.output),
        LogCommand::Verify { path, records } => verify(path, *records, args.output),
    }
}

fn segments(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let found = find_segments(path).map_err(|error| local(path, &error))?;
    match found.is_empty() {
        true => Err(Failure::Local(format!("{}: no segment files there", path.display()))),
        false => Ok(found),
    }
}

fn local(path: &Path, error: &io::Error) -> Failure {
    Failure::Local(format!("{}: {error}", path.display()))
}

fn inspect(path: &Path, records: bool, output: Output) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for segment in segments(path)? {
        let mut walk = SegmentWalk::open(&segment).map_err(|error| local(&segment, &error))?;
        if output == Output::Human {
            let size = human_bytes(walk.file_bytes());
            writeln!(out, "{} ({size})", segment.display()).map_err(Failure::output)?;
            writeln!(out, "{}", heading()).map_err(Failure::output)?;
        }
        while let Some(place) = walk.step().map_err(|error| local(&segment, &error))? {
            let text = match output {
                Output::Human => place_text(&place, &walk, records),
                Output::Json => place_json(&segment, &place, &walk, records).to_string() + "\n",
            };
            out.write_all(text.as_bytes()).map_err(Failure::output)?;
        }
    }
    out.flush().map_err(Failure::output)
}

fn heading() -> String {
    format!(
        "{:>10} {:>9} {:>12} {:>12} {:>7} {:<6} {:<24} {:>5} {:<18} FLAGS",
        "POSITION", "BYTES", "FIRST", "LAST", "RECORDS", "CODEC", "MAX TIMESTAMP", "EPOCH", "PRODUCER"
    )
}

fn place_text(place: &Place, walk: &SegmentWalk, records: bool) -> String {
    match place {
        Place::Batch { position, header, gap } => {
            let producer = match header.has_producer() {
                true => {
                    let (id, epoch) = (header.producer_id(), header.producer_epoch());
                    format!("{id}/{epoch} at {}", header.base_sequence())
                }
                false => "-".to_string(),
            };
            let mut line = format!(
                "{position:>10} {:>9} {:>12} {:>12} {:>7} {:<6} {:<24} {:>5} {producer:<18} {}",
                header.size_bytes(),
                header.base_offset().0,
                header.last_offset().0,
                header.record_count(),
                codec(header),
                moment::format(header.max_timestamp()),
                header.leader_epoch().0,
                flags(header, *gap).join(","),
            );
            line.truncate(line.trim_end().len());
            line.push('\n');
            if records {
                line += &records_text(walk.batch());
            }
            line
        }
        Place::End { position } => format!("{position:>10} end\n"),
        Place::Invalid { position, reason, continues_at } => {
            let more = continues_at.map_or(String::new(), |at| format!("; batches go on at {at}"));
            format!("{position:>10} no batch: {reason}{more}\n")
        }
    }
}

fn records_text(batch: &[u8]) -> String {
    match decode_batch(batch, BATCH_BYTES_MAX) {
        Ok(Some((batch, _))) => {
            let lines = batch.records.iter().map(|record| {
                let (at, time) = (record.offset, moment::format(record.timestamp));
                let bytes = |bytes: &Option<Vec<u8>>| match bytes {
                    Some(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
                    None => "null".to_string(),
                };
                let headers = record.headers.len();
                let headers = if headers > 0 { format!("  {headers} headers") } else { String::new() };
                format!("{:>32} {time} {}: {}{headers}\n", at.0, bytes(&record.key), bytes(&record.value))
            });
            lines.collect()
        }
        Ok(None) => "           no whole batch\n".to_string(),
        Err(error) => format!("           {error}\n"),
    }
}

fn codec(header: &BatchHeader) -> String {
    header.compression().map_or("?".to_string(), |codec| format!("{codec:?}").to_lowercase())
}

fn flags(header: &BatchHeader, gap: i64) -> Vec<&'static str> {
    let append_time = header.timestamp_type() == corelane_log::batch::TimestampType::LogAppendTime;
    let all = [
        (append_time, "append-time"),
        (header.is_transactional(), "transactional"),
        (header.is_control(), "control"),
        (header.has_delete_horizon(), "delete-horizon"),
        (gap > 0, "gap"),
    ];
    all.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
}

fn place_json(segment: &Path, place: &Place, walk: &SegmentWalk, records: bool) -> Value {
    let file = segment.display().to_string();
    match place {
        Place::Batch { position, header, gap } => {
            let mut row = json!({
                "file": file,
                "position": position,
                "bytes": header.size_bytes(),
                "base_offset": header.base_offset().0,
                "last_offset": header.last_offset().0,
                "records_count": header.record_count(),
                "compression": codec(header),
                "base_timestamp": header.base_timestamp().0,
                "max_timestamp": header.max_timestamp().0,
                "leader_epoch": header.leader_epoch().0,
                "producer_id": header.producer_id().0,
                "producer_epoch": header.producer_epoch().0,
                "base_sequence": header.base_sequence(),
                "crc": header.crc(),
                "flags": flags(header, *gap),
            });
            if records {
                row["records"] = match decode_batch(walk.batch(), BATCH_BYTES_MAX) {
                    Ok(Some((batch, _))) => {
                        let rows = batch.records.iter().map(|record| {
                            let mut row = record_json("", 0, record);
                            if let Some(map) = row.as_object_mut() {
                                map.remove("topic");
                                map.remove("partition");
                            }
                            row
                        });
                        rows.collect()
                    }
                    Ok(None) => Value::Null,
                    Err(error) => json!({"error": error.to_string()}),
                };
            }
            row
        }
        Place::End { position } => json!({"file": file, "position": position, "end": true}),
        Place::Invalid { position, reason, continues_at } => {
            json!({"file": file, "position": position, "invalid": reason, "continues_at": continues_at})
        }
    }
}

/// What `verify` found in one segment.
#[derive(Debug)]
struct Verdict {
    path: PathBuf,
    batches: u64,
    records: u64,
    bytes: u64,
    first: Offset,
    next: Offset,
    gaps: u64,
    /// Behind the last batch, no damage: what a crash tears.
    torn: Option<String>,
    damage: Option<String>,
}

fn verify(path: &Path, records: bool, output: Output) -> Result<(), Failure> {
    let found = segments(path)?;
    let mut progress = Progress::new("batches");
    let mut verdicts: Vec<Verdict> = Vec::new();
    for (index, segment) in found.iter().enumerate() {
        let next = found.get(index + 1).filter(|next| next.parent() == segment.parent());
        let mut verdict = verify_segment(segment, records, next.is_none(), &mut progress)?;
        let next_base = next.and_then(|next| base_offset_of(next));
        // The next segment begins where this one ends; compaction may leave less at an end.
        if let Some(base) = next_base.filter(|base| *base < verdict.next) {
            let text = format!("ends at offset {}, but the next segment begins at {base}", verdict.next);
            verdict.damage.get_or_insert(text);
        } else if next_base.is_some_and(|base| base > verdict.next) {
            verdict.gaps += 1;
        }
        verdicts.push(verdict);
    }
    progress.clear();
    match output {
        Output::Json => print_json(&verdicts.iter().map(verdict_json).collect())?,
        Output::Human => print_text(&verdicts_text(path, &verdicts))?,
    }
    let damaged = verdicts.iter().filter(|verdict| verdict.damage.is_some()).count();
    match damaged {
        0 => Ok(()),
        1 => Err(Failure::Damaged("one segment is damaged".to_string())),
        many => Err(Failure::Damaged(format!("{many} segments are damaged"))),
    }
}

fn verify_segment(
    path: &Path,
    records: bool,
    is_last: bool,
    progress: &mut Progress,
) -> Result<Verdict, Failure> {
    let mut walk = SegmentWalk::open(path).map_err(|error| local(path, &error))?;
    let first = walk.next_offset();
    let mut verdict = Verdict {
        path: path.to_path_buf(),
        batches: 0,
        records: 0,
        bytes: 0,
        first,
        next: first,
        gaps: 0,
        torn: None,
        damage: None,
    };
    while let Some(place) = walk.step().map_err(|error| local(path, &error))? {
        match place {
            Place::Batch { position, header, gap } => {
                verdict.batches += 1;
                verdict.records += u64::try_from(header.record_count()).unwrap_or(0);
                verdict.bytes += header.size_bytes() as u64;
                verdict.gaps += u64::from(gap > 0);
                progress.add(1, header.size_bytes() as u64);
                if records && let Err(error) = decode_batch(walk.batch(), BATCH_BYTES_MAX) {
                    verdict.damage.get_or_insert(format!("records of the batch at {position}: {error}"));
                }
            }
            Place::End { .. } => {}
            Place::Invalid { position, reason, continues_at } => match continues_at {
                None if is_last => verdict.torn = Some(format!("at {position}: {reason}")),
                None => verdict.damage = Some(format!("at {position}: {reason}")),
                Some(at) => {
                    verdict.damage = Some(format!("at {position}: {reason}; batches go on at {at}"));
                }
            },
        }
    }
    verdict.next = walk.next_offset();
    Ok(verdict)
}

fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "file": verdict.path.display().to_string(),
        "batches": verdict.batches,
        "records": verdict.records,
        "bytes": verdict.bytes,
        "base_offset": verdict.first.0,
        "next_offset": verdict.next.0,
        "gaps": verdict.gaps,
        "torn_end": verdict.torn,
        "damage": verdict.damage,
    })
}

fn verdicts_text(root: &Path, verdicts: &[Verdict]) -> String {
    let mut table = Table::new(&["SEGMENT", "BATCHES", "RECORDS", "FIRST", "NEXT", "BYTES", "STATE"]);
    let (mut batches, mut records, mut bytes) = (0, 0, 0);
    for verdict in verdicts {
        let state = match (&verdict.damage, &verdict.torn, verdict.gaps) {
            (Some(damage), _, _) => format!("DAMAGED {damage}"),
            (None, Some(torn), _) => format!("torn end {torn}"),
            (None, None, 0) => "good".to_string(),
            (None, None, gaps) => format!("good, {gaps} gaps"),
        };
        let name = verdict.path.strip_prefix(root).unwrap_or(&verdict.path);
        let name = if name.as_os_str().is_empty() { &verdict.path } else { name };
        table.row(vec![
            name.display().to_string(),
            verdict.batches.to_string(),
            verdict.records.to_string(),
            verdict.first.to_string(),
            verdict.next.to_string(),
            verdict.bytes.to_string(),
            state,
        ]);
        batches += verdict.batches;
        records += verdict.records;
        bytes += verdict.bytes;
    }
    let bytes = human_bytes(bytes);
    let count = verdicts.len();
    table.render() + &format!("{count} segments, {batches} batches, {records} records, {bytes}\n")
}
