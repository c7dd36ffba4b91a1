//! Who handles interrupts and packets: the shards' cores, or others.

use crate::cpus::Cpus;
use crate::finding::{Change, Finding, Knob, Verdict};
use crate::host::Host;

static AFFINITY: Knob = Knob {
    name: "irq.affinity",
    why: "an interrupt on a shard's core, and the packets it brings, are handled before the shard goes on",
};
static BALANCE: Knob = Knob {
    name: "irq.balance",
    why: "irqbalance moves interrupts as it sees fit, onto shards' cores too, and undoes what was set by hand",
};
static RPS: Knob = Knob {
    name: "nic.rps",
    why: "with fewer receive queues than shards one core handles the packets of all, unless it hands them on",
};
static XPS: Knob = Knob {
    name: "nic.xps",
    why: "a core without a transmit queue of its own shares one, and its lock, with other cores",
};

/// The knobs of this area.
pub static KNOBS: &[&Knob] = &[&AFFINITY, &BALANCE, &RPS, &XPS];

/// The cores as these checks need them.
struct Cores {
    shards: Cpus,
    spare: Cpus,
}

/// Looks at them.
#[must_use]
pub fn check(host: &Host) -> Vec<Finding> {
    let cores = match (host.shard_cores(), host.spare_cores()) {
        (Ok(shards), Ok(spare)) => Cores { shards, spare },
        (Err(why), _) | (_, Err(why)) => {
            return KNOBS.iter().map(|knob| Finding::untold(knob, "", "away from shards", &why)).collect();
        }
    };
    let interfaces = host.interfaces();
    let mut findings = Vec::new();
    let cards = interfaces.iter().map(|name| (name.clone(), format!("/sys/class/net/{name}/device")));
    let disks = host.disks().unwrap_or_default().into_iter();
    let disks = disks.map(|disk| (disk.name, format!("{}/device", disk.folder)));
    for (name, path) in cards.chain(disks) {
        findings.push(affinity(host, &cores, &name, &host.interrupts(&path)));
    }
    findings.push(balance(host, &cores));
    for name in &interfaces {
        findings.push(rps(host, &cores, name));
        findings.push(xps(host, &cores, name));
    }
    findings
}

fn affinity(host: &Host, cores: &Cores, device: &str, interrupts: &[u32]) -> Finding {
    let want = match cores.spare.0.is_empty() {
        true => "any core: all run shards".to_string(),
        false => format!("cores {}, which run no shard", cores.spare),
    };
    if interrupts.is_empty() {
        let why = "/sys names no interrupts for it that could be moved";
        return Finding::untold(&AFFINITY, device, want, why);
    }
    let (mut all, mut wrong) = (Cpus::default(), Vec::new());
    for number in interrupts {
        let folder = format!("/proc/irq/{number}");
        let setting = format!("{folder}/smp_affinity_list");
        // Which of the allowed cores really gets it, where the kernel tells; empty before its first use.
        let effective = host.root.text(&format!("{folder}/effective_affinity_list"));
        let text =
            effective.ok().filter(|text| !text.is_empty()).map_or_else(|| host.root.text(&setting), Ok);
        let on = match text.map(|text| (Cpus::of_list(&text), text)) {
            Ok((Some(on), _)) if !on.0.is_empty() => on,
            Ok((_, text)) => {
                return Finding::untold(&AFFINITY, device, want, format!("{setting} holds {text:?}"));
            }
            Err(why) => return Finding::untold(&AFFINITY, device, want, why),
        };
        if !on.apart_from(&cores.shards) {
            wrong.push(setting);
        }
        all.0.extend(on.0);
    }
    let finding = Finding::new(&AFFINITY, device, format!("cores {all}"), want);
    if cores.spare.0.is_empty() {
        return finding.noted("every core runs a shard; --shards leaves some free");
    }
    if wrong.is_empty() {
        return finding;
    }
    let note = "interrupts that the kernel manages itself (most of NVMe) refuse to be moved";
    let finding = finding.judged(Verdict::CouldBeBetter).noted(note);
    wrong.iter().fold(finding, |finding, setting| finding.mended_by(setting, &cores.spare))
}

fn balance(host: &Host, cores: &Cores) -> Finding {
    let want = "not running, or told to leave the shards' cores alone";
    let processes = host.root.names("/proc");
    let mut processes = processes.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let runs = processes
        .any(|id| host.root.text(&format!("/proc/{id}/comm")).is_ok_and(|name| name == "irqbalance"));
    let finding = Finding::new(&BALANCE, "", if runs { "runs" } else { "does not run" }, want);
    match runs && !cores.spare.0.is_empty() {
        false => finding,
        true => finding.judged(Verdict::CouldBeBetter).noted(format!(
            "stop it ('systemctl disable --now irqbalance') or give it IRQBALANCE_BANNED_CPULIST={}",
            cores.shards
        )),
    }
}

/// The queues of an interface of one kind (`rx`, `tx`), by their folders.
fn queues(host: &Host, interface: &str, kind: &str) -> Vec<String> {
    let folder = format!("/sys/class/net/{interface}/queues");
    let names = host.root.names(&folder).into_iter();
    let mut names: Vec<(u32, String)> = names
        .filter_map(|name| Some((name.strip_prefix(kind)?.strip_prefix('-')?.parse().ok()?, name)))
        .collect();
    names.sort();
    names.into_iter().map(|(_, name)| format!("{folder}/{name}")).collect()
}

fn rps(host: &Host, cores: &Cores, interface: &str) -> Finding {
    let queues = queues(host, interface, "rx");
    // Hardware that has a queue for each shard spreads packets better than software.
    let by_hardware = queues.len() >= cores.shards.0.len();
    let takers = if cores.spare.0.is_empty() { &cores.shards } else { &cores.spare };
    let wanted = if by_hardware { Cpus::default() } else { takers.clone() };
    let want = match by_hardware {
        true => "off: there is a queue for each shard".to_string(),
        false => format!("handed to cores {wanted}"),
    };
    if queues.is_empty() {
        return Finding::untold(&RPS, interface, want, "/sys names no receive queues");
    }
    let (mut found, mut changes) = (Cpus::default(), Vec::new());
    for queue in &queues {
        let path = format!("{queue}/rps_cpus");
        match host.root.text(&path).map(|text| (Cpus::of_mask(&text), text)) {
            Ok((Some(on), _)) => {
                if on != wanted {
                    changes.push(Change { path, value: wanted.mask(), resets: Vec::new() });
                }
                found.0.extend(on.0);
            }
            Ok((None, text)) => {
                return Finding::untold(&RPS, interface, want, format!("{path} holds {text:?}"));
            }
            Err(why) => return Finding::untold(&RPS, interface, want, why),
        }
    }
    let is = if found.0.is_empty() { "off".to_string() } else { format!("cores {found}") };
    let mut finding = Finding::new(&RPS, interface, format!("{is}, {} queues", queues.len()), want);
    if !changes.is_empty() {
        finding.verdict = Verdict::CouldBeBetter;
        finding.changes = changes;
    }
    finding
}

fn xps(host: &Host, cores: &Cores, interface: &str) -> Finding {
    let queues = queues(host, interface, "tx");
    let want = "each shard's core has a queue";
    if queues.len() == 1 {
        return Finding::new(&XPS, interface, "one queue, nothing to choose", want);
    }
    if queues.is_empty() {
        return Finding::untold(&XPS, interface, want, "/sys names no transmit queues");
    }
    let mut served = Cpus::default();
    for queue in &queues {
        let path = format!("{queue}/xps_cpus");
        match host.root.text(&path).map(|text| (Cpus::of_mask(&text), text)) {
            Ok((Some(on), _)) => served.0.extend(on.0),
            Ok((None, text)) => {
                return Finding::untold(&XPS, interface, want, format!("{path} holds {text:?}"));
            }
            Err(why) => return Finding::untold(&XPS, interface, want, why),
        }
    }
    let is = if served.0.is_empty() { "none has".to_string() } else { format!("cores {served} have") };
    let finding = Finding::new(&XPS, interface, is, want);
    if cores.shards.within(&served) {
        return finding;
    }
    // Round and round: queue by queue the cores of the shards, then the others.
    let order: Vec<usize> = cores.shards.0.iter().chain(&cores.spare.0).copied().collect();
    let of_queue = |index: usize| Cpus::of(order.iter().copied().skip(index).step_by(queues.len()));
    let finding = finding.judged(Verdict::CouldBeBetter);
    queues.iter().enumerate().fold(finding, |finding, (index, queue)| {
        finding.mended_by(&format!("{queue}/xps_cpus"), of_queue(index).mask())
    })
}
