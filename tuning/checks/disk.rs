//! The disk below the data directory: its file system, how it is mounted, and its queue.

use crate::finding::{Change, Finding, Knob, Verdict};
use crate::host::{Disk, Host};
use crate::profile::Bounds;

static FILE_SYSTEM: Knob = Knob {
    name: "disk.filesystem",
    why: "the log is written past the page cache, in place, into blocks allocated before; not every file system does that",
};
static OPTIONS: Knob = Knob {
    name: "disk.mount-options",
    why: "some options make direct writes slow or impossible, and some let acknowledged data vanish with the power",
};
static SCHEDULER: Knob = Knob {
    name: "disk.scheduler",
    why: "a scheduler holds commits back to sort them; the broker bounds and orders its operations itself",
};
static REQUESTS: Knob = Knob {
    name: "disk.nr_requests",
    why: "beyond the queue's places the kernel hands each submission to a thread of its own",
};
static CACHE: Knob = Knob {
    name: "disk.write-cache",
    why: "with a volatile cache every synced write has to wait until the device has emptied it",
};
static MERGES: Knob = Knob {
    name: "disk.nomerges",
    why: "the kernel compares each request with those that wait, although the log writes whole commits already",
};
static COMPLETION: Knob = Knob {
    name: "disk.rq_affinity",
    why: "a completion that is handled on another core than it was asked from costs an interrupt between cores",
};

/// The knobs of this area.
pub static KNOBS: &[&Knob] = &[&FILE_SYSTEM, &OPTIONS, &SCHEDULER, &REQUESTS, &CACHE, &MERGES, &COMPLETION];

/// File systems on which the broker is at home, works, and does not.
const GOOD_KINDS: &[&str] = &["ext4", "xfs"];
const USABLE_KINDS: &[&str] = &["btrfs", "f2fs", "zfs", "bcachefs", "ext3", "ext2"];
const BAD_KINDS: &[&str] =
    &["tmpfs", "ramfs", "overlay", "nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "squashfs"];

/// Looks at them.
#[must_use]
pub fn check(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    match host.mount() {
        Ok(mount) => {
            findings.push(file_system(&mount.kind, &mount.point));
            findings.push(options(&mount.options, &mount.point));
        }
        Err(why) => {
            findings.push(Finding::untold(&FILE_SYSTEM, "", "ext4 or xfs", &why));
            findings.push(Finding::untold(&OPTIONS, "", "harmless ones", why));
        }
    }
    match host.disks() {
        Ok(disks) => {
            for disk in &disks {
                findings.extend([
                    scheduler(host, disk),
                    requests(host, disk),
                    cache(host, disk),
                    merges(host, disk),
                    completion(host, disk),
                ]);
            }
        }
        Err(why) => {
            let of_queue = [&SCHEDULER, &REQUESTS, &CACHE, &MERGES, &COMPLETION];
            findings.extend(of_queue.map(|knob| Finding::untold(knob, "", "a disk", &why)));
        }
    }
    findings
}

fn file_system(kind: &str, point: &str) -> Finding {
    let want = "ext4 or xfs";
    let finding = Finding::new(&FILE_SYSTEM, point, kind, want);
    let is_one_of = |kinds: &[&str]| {
        kinds.contains(&kind) || kinds.iter().any(|one| kind.starts_with(&format!("{one}.")))
    };
    if is_one_of(GOOD_KINDS) {
        finding
    } else if is_one_of(USABLE_KINDS) {
        let note = "it copies or journals what ext4 and xfs overwrite in place; measure it with 'corelane tune disk'";
        finding.judged(Verdict::CouldBeBetter).noted(note)
    } else if is_one_of(BAD_KINDS) {
        finding
            .judged(Verdict::Bad)
            .noted("put the data directory on a local disk; in a container, on a volume")
    } else {
        Finding::untold(
            &FILE_SYSTEM,
            point,
            want,
            format!("{kind} has not been tried; measure it with 'corelane tune disk'"),
        )
    }
}

/// Options that matter, and what they do.
const OPTION_ROWS: &[(&str, Verdict, &str)] = &[
    ("ro", Verdict::Bad, "nothing can be written"),
    ("nobarrier", Verdict::Bad, "acknowledged records are lost with the power"),
    ("barrier=0", Verdict::Bad, "acknowledged records are lost with the power"),
    ("data=journal", Verdict::Bad, "every write goes through the journal and the page cache"),
    ("sync", Verdict::CouldBeBetter, "writes wait for the disk that nobody asked to be synced"),
    ("dirsync", Verdict::CouldBeBetter, "creating and deleting segments waits for the disk each time"),
    ("discard", Verdict::CouldBeBetter, "deleting segments stalls the disk; use fstrim.timer instead"),
    ("strictatime", Verdict::CouldBeBetter, "each read writes a time"),
];

fn options(options: &[String], point: &str) -> Finding {
    let want = "none that costs latency or safety";
    let is = options.join(",");
    let found: Vec<_> =
        OPTION_ROWS.iter().filter(|(name, ..)| options.iter().any(|option| option == name)).collect();
    let finding = Finding::new(&OPTIONS, point, is, want);
    let Some(worst) = found.iter().map(|(_, verdict, _)| *verdict).max() else { return finding };
    let notes: Vec<String> = found.iter().map(|(name, _, what)| format!("{name}: {what}")).collect();
    finding.judged(worst).noted(format!("{}; change it in /etc/fstab and remount", notes.join("; ")))
}

/// A file of the disk's queue.
fn queue(disk: &Disk, name: &str) -> String {
    format!("{}/queue/{name}", disk.folder)
}

/// Whether it turns. A hypervisor's disk says so too, to be on the safe side, and does not.
fn is_turning(host: &Host, disk: &Disk) -> bool {
    let virtual_disk = disk.name.starts_with("vd") || disk.name.starts_with("xvd");
    !virtual_disk && host.root.number::<u32>(&queue(disk, "rotational")) == Ok(1)
}

fn scheduler(host: &Host, disk: &Disk) -> Finding {
    let path = queue(disk, "scheduler");
    let wanted = if is_turning(host, disk) { "mq-deadline" } else { "none" };
    let text = match host.root.text(&path) {
        Ok(text) => text,
        Err(why) => return Finding::untold(&SCHEDULER, &disk.name, wanted, why),
    };
    let offered: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches(['[', ']'])).collect();
    let is = crate::root::value_of(&text);
    let verdict = match is.as_str() {
        is if is == wanted => return Finding::new(&SCHEDULER, &disk.name, is, wanted),
        "none" | "mq-deadline" | "kyber" | "deadline" | "noop" => Verdict::CouldBeBetter,
        "bfq" | "cfq" => Verdict::Bad,
        _ => return Finding::untold(&SCHEDULER, &disk.name, wanted, format!("{path} holds {text:?}")),
    };
    let mut finding = Finding::new(&SCHEDULER, &disk.name, is, wanted).judged(verdict);
    if offered.contains(&wanted) {
        let resets = ["nr_requests", "wbt_lat_usec"].map(|name| queue(disk, name));
        let resets = resets.into_iter().filter(|path| host.root.has(path)).collect();
        finding.changes.push(Change { path, value: wanted.to_string(), resets });
    }
    finding
}

/// The disk operations that all shards together hand over at once, after what was measured or by default, against the
/// queues to take them.
fn requests(host: &Host, disk: &Disk) -> Finding {
    let path = queue(disk, "nr_requests");
    let shards = match host.shard_count() {
        Ok(shards) => u16::try_from(shards).unwrap_or(u16::MAX),
        Err(why) => return Finding::untold(&REQUESTS, &disk.name, "room for all shards", why),
    };
    let queues = host.root.names(&format!("{}/mq", disk.folder)).len().max(1) as u64;
    let measured = Bounds::read(&host.root.locate(&host.data_dir)).ok().flatten();
    let share = measured.map_or(Bounds::UNMEASURED, |bounds| bounds.share(shards));
    let each = (u64::from(shards) * u64::from(share.writes_max + share.reads_max)).div_ceil(queues);
    let want = format!("at least {each}");
    let is = match host.root.number::<u64>(&path) {
        Ok(is) => is,
        Err(why) => return Finding::untold(&REQUESTS, &disk.name, want, why),
    };
    let finding = Finding::new(&REQUESTS, &disk.name, is, want);
    if is >= each {
        return finding;
    }
    let note =
        "'corelane tune disk' measures how much at once the disk works best on, and the broker keeps to it";
    let finding = finding.judged(Verdict::CouldBeBetter).noted(note);
    // Without a scheduler the device's own places are all there is.
    let scheduled = host.root.value(&queue(disk, "scheduler")).is_ok_and(|is| is != "none");
    let stays = is_turning(host, disk);
    if scheduled && stays { finding.mended_by(&path, each) } else { finding }
}

fn cache(host: &Host, disk: &Disk) -> Finding {
    let want = "write through, or forced writes (FUA)";
    let is = match host.root.text(&queue(disk, "write_cache")) {
        Ok(is) => is,
        Err(why) => return Finding::untold(&CACHE, &disk.name, want, why),
    };
    let forced = host.root.number::<u32>(&queue(disk, "fua")) == Ok(1);
    match is.as_str() {
        "write through" => Finding::new(&CACHE, &disk.name, is, want),
        "write back" if forced => Finding::new(&CACHE, &disk.name, "write back with FUA", want),
        "write back" => Finding::new(&CACHE, &disk.name, "write back without FUA", want)
            .judged(Verdict::CouldBeBetter)
            .noted(
                "choose a disk that survives a loss of power by itself; never write 'write through' there for one that \
                 does not: the kernel would stop flushing, and acknowledged records would be lost with the power",
            ),
        _ => Finding::untold(&CACHE, &disk.name, want, format!("write_cache holds {is:?}")),
    }
}

fn merges(host: &Host, disk: &Disk) -> Finding {
    let path = queue(disk, "nomerges");
    let want = if is_turning(host, disk) { 0 } else { 2 };
    match host.root.number::<u32>(&path) {
        Err(why) => Finding::untold(&MERGES, &disk.name, want, why),
        Ok(is) if is == want => Finding::new(&MERGES, &disk.name, is, want),
        Ok(is) if is <= 2 => {
            Finding::new(&MERGES, &disk.name, is, want).judged(Verdict::CouldBeBetter).mended_by(&path, want)
        }
        Ok(is) => Finding::untold(&MERGES, &disk.name, want, format!("{path} holds {is}")),
    }
}

fn completion(host: &Host, disk: &Disk) -> Finding {
    let (path, want) = (queue(disk, "rq_affinity"), 2);
    match host.root.number::<u32>(&path) {
        Err(why) => Finding::untold(&COMPLETION, &disk.name, want, why),
        Ok(is) if is == want => Finding::new(&COMPLETION, &disk.name, is, want),
        Ok(is) if is <= 2 => Finding::new(&COMPLETION, &disk.name, is, want)
            .judged(Verdict::CouldBeBetter)
            .mended_by(&path, want),
        Ok(is) => Finding::untold(&COMPLETION, &disk.name, want, format!("{path} holds {is}")),
    }
}
