//! What a container or a service manager puts around the process: seccomp and control groups.

use crate::finding::{Finding, Knob, Verdict};
use crate::host::Host;
use crate::needs;

static SECCOMP: Knob = Knob {
    name: "container.seccomp",
    why: "the profile that container runtimes use unasked forbids io_uring, and then there is no broker",
};
static CPU_QUOTA: Knob = Knob {
    name: "container.cpu-quota",
    why: "a group that has used up its quota stands still for the rest of the period, tens of milliseconds at a time",
};
static MEMORY: Knob = Knob {
    name: "container.memory",
    why: "a group above its limit is killed, and one close to it loses the page cache that history is sent from",
};
static CORES: Knob = Knob {
    name: "container.cores",
    why: "with more shards than cores none is pinned, and they take turns on the scheduler's terms",
};

/// The knobs of this area.
pub static KNOBS: &[&Knob] = &[&SECCOMP, &CPU_QUOTA, &MEMORY, &CORES];

/// A limit this large is none: version 1 of control groups writes the largest number of pages.
const NO_LIMIT: u64 = 1 << 62;

/// Looks at them.
#[must_use]
pub fn check(host: &Host) -> Vec<Finding> {
    vec![seccomp(host), cpu_quota(host), memory(host), cores(host)]
}

fn seccomp(host: &Host) -> Finding {
    let want = "io_uring allowed";
    let mode = match host.status("Seccomp") {
        Ok(mode) => mode,
        Err(why) => return Finding::untold(&SECCOMP, "", want, why),
    };
    let is = match mode.as_str() {
        "0" => "no filter",
        "1" | "2" => "filtered",
        _ => return Finding::untold(&SECCOMP, "", want, format!("{mode:?} is no seccomp mode")),
    };
    match &host.ring {
        Some(Err(why)) => Finding::new(&SECCOMP, "", format!("{is}, no ring"), want)
            .judged(Verdict::Bad)
            .noted(format!("a ring cannot be set up ({why}): use tuning/deploy/seccomp.json")),
        Some(Ok(())) => Finding::new(&SECCOMP, "", format!("{is}, a ring can be set up"), want),
        None if mode == "0" => Finding::new(&SECCOMP, "", is, want),
        None => Finding::untold(&SECCOMP, "", want, "there is a filter, and only the process itself can try"),
    }
}

/// The folders of the process's control group and those above it, the deepest first: version 2's, and version 1's of
/// `controller`.
fn group_folders(host: &Host, controller: &str) -> Result<Vec<String>, String> {
    let text = host.root.text(&host.process_file("cgroup"))?;
    let mut folders = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let bases: &[String] = if controllers.is_empty() {
            &["/sys/fs/cgroup".to_string(), "/sys/fs/cgroup/unified".to_string()]
        } else if controllers.split(',').any(|name| name == controller) {
            &[format!("/sys/fs/cgroup/{controllers}"), format!("/sys/fs/cgroup/{controller}")]
        } else {
            continue;
        };
        for base in bases {
            let mut path = path.trim_end_matches('/');
            loop {
                folders.push(format!("{base}{path}"));
                let Some((above, _)) = path.rsplit_once('/') else { break };
                path = above;
            }
        }
    }
    Ok(folders)
}

/// The smallest of what `read` finds in the group and above it; `None` if there is no limit.
fn tightest<T: PartialOrd>(folders: &[String], read: impl Fn(&str) -> Option<T>) -> Option<T> {
    folders.iter().filter_map(|folder| read(folder)).reduce(|a, b| if b < a { b } else { a })
}

/// The quota of a group, in cores.
fn quota(host: &Host, folder: &str) -> Option<f64> {
    let root = &host.root;
    let (quota, period) = match root.text(&format!("{folder}/cpu.max")) {
        Ok(text) => {
            let (quota, period) = text.split_once(' ')?;
            (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?)
        }
        Err(_) => (
            root.number::<f64>(&format!("{folder}/cpu.cfs_quota_us")).ok()?,
            root.number::<f64>(&format!("{folder}/cpu.cfs_period_us")).ok()?,
        ),
    };
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

fn cpu_quota(host: &Host) -> Finding {
    let want = "no quota";
    let (folders, shards) = match (group_folders(host, "cpu"), host.shard_count()) {
        (Ok(folders), Ok(shards)) => (folders, shards),
        (Err(why), _) | (_, Err(why)) => return Finding::untold(&CPU_QUOTA, "", want, why),
    };
    let Some(cores) = tightest(&folders, |folder| quota(host, folder)) else {
        return Finding::new(&CPU_QUOTA, "", "no quota", want);
    };
    let finding = Finding::new(&CPU_QUOTA, "", format!("{cores:.2} cores"), want);
    let note = "give whole cores instead (CPUAffinity=, --cpuset-cpus, the static CPU manager of Kubernetes)";
    let enough = cores >= shards as f64;
    finding.judged(if enough { Verdict::CouldBeBetter } else { Verdict::Bad }).noted(note)
}

fn memory(host: &Host) -> Finding {
    let good = 2 * needs::MEMORY_BYTES;
    let want = format!("at least {good}");
    let folders = match group_folders(host, "memory") {
        Ok(folders) => folders,
        Err(why) => return Finding::untold(&MEMORY, "", want, why),
    };
    let read = |folder: &str| {
        let limit = host.root.number::<u64>(&format!("{folder}/memory.max"));
        limit.or_else(|_| host.root.number(&format!("{folder}/memory.limit_in_bytes"))).ok()
    };
    match tightest(&folders, read).filter(|limit| *limit < NO_LIMIT) {
        None => Finding::new(&MEMORY, "", "no limit", want),
        Some(limit) if limit >= good => Finding::new(&MEMORY, "", limit, want),
        Some(limit) => {
            let verdict = if limit > needs::MEMORY_BYTES { Verdict::CouldBeBetter } else { Verdict::Bad };
            let note = "raise it, or lower corelane.memory.bytes to less than half of it";
            Finding::new(&MEMORY, "", limit, want).judged(verdict).noted(note)
        }
    }
}

fn cores(host: &Host) -> Finding {
    let (allowed, shards) = match (host.allowed(), host.shard_count()) {
        (Ok(allowed), Ok(shards)) => (allowed, shards),
        (Err(why), _) | (_, Err(why)) => return Finding::untold(&CORES, "", "a core for each shard", why),
    };
    let want = format!("at least {shards}, one for each shard");
    let finding = Finding::new(&CORES, "", format!("{} ({allowed})", allowed.0.len()), want);
    match allowed.0.len() >= shards {
        true => finding,
        false => finding.judged(Verdict::Bad).noted("run fewer shards (--shards) or allow more cores"),
    }
}
