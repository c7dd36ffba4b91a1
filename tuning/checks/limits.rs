//! The kernel, io_uring, and the limits of the process.

use crate::checks::sysctl;
use crate::finding::{Finding, Knob, Verdict};
use crate::host::Host;
use crate::needs;

static VERSION: Knob = Knob {
    name: "kernel.version",
    why: "the broker's ring uses what io_uring has since Linux 6.1; on an older kernel it does not start",
};
static IO_URING: Knob = Knob { name: "kernel.io_uring_disabled", why: "without io_uring there is no broker" };
static MEMLOCK: Knob = Knob {
    name: "limits.memlock",
    why: "the rings of each shard lock memory; with too little the broker does not start",
};
static FILES: Knob = Knob {
    name: "limits.nofile",
    why: "each connection takes a descriptor and each partition two or more; at the limit produce is refused",
};

/// The knobs of this area, sysctls apart.
pub static KNOBS: &[&Knob] = &[&VERSION, &IO_URING, &MEMLOCK, &FILES];

/// Looks at them.
#[must_use]
pub fn check(host: &Host) -> Vec<Finding> {
    let mut findings = vec![version(host), io_uring(host), memlock(host), files(host)];
    findings.extend(sysctl::check(host, sysctl::FILES));
    findings
}

/// The first two numbers of a kernel's release.
#[must_use]
pub fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn version(host: &Host) -> Finding {
    let (major, minor) = needs::KERNEL_MIN;
    let want = format!("{major}.{minor} or newer");
    let release = match host.root.text("/proc/sys/kernel/osrelease") {
        Ok(release) => release,
        Err(why) => return Finding::untold(&VERSION, "", want, why),
    };
    match kernel_version(&release) {
        None => Finding::untold(&VERSION, "", want, format!("{release:?} is no version")),
        Some(version) if version >= needs::KERNEL_MIN => Finding::new(&VERSION, "", release, want),
        Some(_) => Finding::new(&VERSION, "", release, want).judged(Verdict::Bad).noted("upgrade the kernel"),
    }
}

fn io_uring(host: &Host) -> Finding {
    let path = format!("/proc/sys/{}", IO_URING.name.replace('.', "/"));
    if !host.root.has(&path) && host.root.has("/proc/sys/kernel") {
        let note = "this kernel has no switch for it";
        return Finding::new(&IO_URING, "", "no such switch", "0").noted(note);
    }
    let disabled = match host.root.number::<u32>(&path) {
        Ok(disabled) => disabled,
        Err(why) => return Finding::untold(&IO_URING, "", "0", why),
    };
    let finding = Finding::new(&IO_URING, "", disabled, "0");
    match disabled {
        0 => finding,
        1 if is_in_group(host) => finding.noted("this user is in kernel.io_uring_group"),
        1 => finding
            .judged(Verdict::Bad)
            .noted("only for members of kernel.io_uring_group: add the broker's user to it, or write 0")
            .mended_by(&path, 0),
        _ => finding.judged(Verdict::Bad).mended_by(&path, 0),
    }
}

/// Whether the process is in the group that may use io_uring.
fn is_in_group(host: &Host) -> bool {
    let Ok(group) = host.root.number::<i64>("/proc/sys/kernel/io_uring_group") else { return false };
    let groups = [host.status("Gid"), host.status("Groups")].into_iter().flatten();
    let groups: Vec<i64> = groups
        .flat_map(|text| text.split_whitespace().map(str::to_string).collect::<Vec<_>>())
        .flat_map(|id| id.parse())
        .collect();
    group >= 0 && groups.contains(&group)
}

/// A limit that cannot be raised any more, `u64::MAX` if there is none.
fn hard_limit(host: &Host, name: &str) -> Result<u64, String> {
    let path = host.process_file("limits");
    let text = host.root.text(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.ok_or_else(|| format!("{path} does not tell {name:?}"))?;
    match line.split_whitespace().nth(1) {
        Some("unlimited") => Ok(u64::MAX),
        Some(number) => number.parse().map_err(|_| format!("{path} tells {number:?} for {name:?}")),
        None => Err(format!("{path} does not tell {name:?}")),
    }
}

fn shown(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_string() } else { limit.to_string() }
}

fn limit(host: &Host, knob: &'static Knob, name: &str, min: u64, good: u64, note: &str) -> Finding {
    let want = format!("at least {good}");
    match hard_limit(host, name) {
        Err(why) => Finding::untold(knob, "", want, why),
        Ok(is) => {
            let finding = Finding::new(knob, "", shown(is), want);
            match is {
                _ if is >= good => finding,
                _ if is >= min => finding.judged(Verdict::CouldBeBetter).noted(note),
                _ => finding.judged(Verdict::Bad).noted(note),
            }
        }
    }
}

fn memlock(host: &Host) -> Finding {
    let min = match host.shard_count() {
        Ok(shards) => needs::memlock_bytes(shards as u64),
        Err(why) => return Finding::untold(&MEMLOCK, "", "enough for each shard", why),
    };
    let note = "raise it with LimitMEMLOCK= in the systemd unit, --ulimit memlock=-1 for a container, or 'ulimit -l'";
    // The rings of a killed broker are taken apart after it is gone, and until then count with those of the next.
    limit(host, &MEMLOCK, "Max locked memory", min, 2 * min, note)
}

fn files(host: &Host) -> Finding {
    let note = "raise it with LimitNOFILE= in the systemd unit, --ulimit nofile=1048576 for a container, or 'ulimit -Hn'";
    limit(host, &FILES, "Max open files", needs::FILES_MIN, needs::FILES_GOOD, note)
}
