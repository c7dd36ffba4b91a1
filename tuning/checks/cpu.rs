//! The cores: clock rate, sleep states, the clock, isolation, and which node they belong to.

use crate::cpus::Cpus;
use crate::finding::{Finding, Knob, Verdict};
use crate::host::Host;

static GOVERNOR: Knob = Knob {
    name: "cpu.governor",
    why: "a core that was idle starts at its lowest clock rate and takes milliseconds to speed up",
};
static SLEEP: Knob = Knob {
    name: "cpu.c-states",
    why: "waking a core from a deep sleep state takes longer than answering the request that woke it",
};
static CLOCK: Knob = Knob {
    name: "cpu.clocksource",
    why: "the broker reads the clock each turn: nanoseconds from a register, a microsecond or more from a device",
};
static ISOLATION: Knob = Knob {
    name: "cpu.isolation",
    why: "whatever else the kernel runs on a shard's core delays every request of that shard",
};
static NODES: Knob = Knob {
    name: "numa.placement",
    why: "memory, network card and disk of another node are each a hop away, at every access",
};

/// The knobs of this area.
pub static KNOBS: &[&Knob] = &[&GOVERNOR, &SLEEP, &CLOCK, &ISOLATION, &NODES];

/// Waking up may take this long, in microseconds: not much beside the system call that follows.
const WAKE_US_MAX: u64 = 10;
/// From here on, in microseconds, it is more than a synced write on a good disk.
const WAKE_US_BAD: u64 = 50;

/// Clocks that are read without a system call.
const GOOD_CLOCKS: &[&str] =
    &["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "riscv_clocksource"];
/// Clocks behind a slow bus.
const BAD_CLOCKS: &[&str] = &["hpet", "acpi_pm", "refined-jiffies", "jiffies", "pit"];

/// Looks at them.
#[must_use]
pub fn check(host: &Host) -> Vec<Finding> {
    vec![governor(host), sleep(host), clock(host), isolation(host), nodes(host)]
}

/// Whether the core's driver takes "powersave" for a leaning, and not for the lowest clock rate.
fn leans_only(host: &Host, core: usize) -> bool {
    let driver = host.root.text(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_driver"));
    driver.is_ok_and(|driver| driver == "intel_pstate" || driver == "amd-pstate-epp")
}

fn governor(host: &Host) -> Finding {
    let want = "performance";
    let cores = match host.shard_cores() {
        Ok(cores) => cores,
        Err(why) => return Finding::untold(&GOVERNOR, "", want, why),
    };
    let path = |core: usize| format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
    let (mut others, mut wrong, mut lowest) = (Vec::new(), Vec::new(), false);
    for core in &cores.0 {
        match host.root.text(&path(*core)) {
            Ok(is) if is == want => {}
            Ok(is) => {
                wrong.push(*core);
                lowest |= is == "powersave" && !leans_only(host, *core);
                if !others.contains(&is) {
                    others.push(is);
                }
            }
            Err(why) => {
                let why = format!("{why}: the firmware or the hypervisor rules the clock rate");
                return Finding::untold(&GOVERNOR, "", want, why);
            }
        }
    }
    if wrong.is_empty() {
        return Finding::new(&GOVERNOR, "", want, want);
    }
    let is = format!("{} on cores {}", others.join(", "), Cpus::of(wrong.iter().copied()));
    let verdict = if lowest { Verdict::Bad } else { Verdict::CouldBeBetter };
    let finding = Finding::new(&GOVERNOR, "", is, want).judged(verdict);
    wrong.iter().fold(finding, |finding, core| finding.mended_by(&path(*core), want))
}

/// A sleep state that may be entered.
struct SleepState {
    name: String,
    /// Microseconds to wake up.
    wake_us: u64,
    /// Holds 1 if it may not be entered.
    switch: String,
}

/// The states of a core that may be entered and are slow to leave. Errors: why they are not known.
fn slow_states(host: &Host, core: usize) -> Result<Vec<SleepState>, String> {
    let folder = format!("/sys/devices/system/cpu/cpu{core}/cpuidle");
    let mut slow = Vec::new();
    for state in host.root.names(&folder) {
        let at = format!("{folder}/{state}");
        let switch = format!("{at}/disable");
        let wake_us = host.root.number(&format!("{at}/latency"))?;
        if host.root.number::<u32>(&switch)? == 0 && wake_us > WAKE_US_MAX {
            slow.push(SleepState { name: host.root.text(&format!("{at}/name"))?, wake_us, switch });
        }
    }
    Ok(slow)
}

/// How long waking up may take at most because somebody holds `/dev/cpu_dma_latency` open, in microseconds.
fn promised_wake_us(host: &Host) -> Option<u64> {
    let bytes: [u8; 4] = host.root.bytes("/dev/cpu_dma_latency").ok()?.try_into().ok()?;
    u64::try_from(i32::from_ne_bytes(bytes)).ok()
}

fn sleep(host: &Host) -> Finding {
    let want = format!("awake within {WAKE_US_MAX} us");
    let cores = match host.shard_cores() {
        Ok(cores) => cores,
        Err(why) => return Finding::untold(&SLEEP, "", want, why),
    };
    let none =
        |core: &usize| host.root.names(&format!("/sys/devices/system/cpu/cpu{core}/cpuidle")).is_empty();
    if cores.0.iter().any(none) {
        let why = "/sys shows no sleep states: the hypervisor or the kernel command line rules them";
        return Finding::untold(&SLEEP, "", want, why);
    }
    let states: Result<Vec<Vec<SleepState>>, String> =
        cores.0.iter().map(|core| slow_states(host, *core)).collect();
    let states: Vec<SleepState> = match states {
        Ok(states) => states.into_iter().flatten().collect(),
        Err(why) => return Finding::untold(&SLEEP, "", want, why),
    };
    let Some(slowest) = states.iter().max_by_key(|state| state.wake_us) else {
        return Finding::new(&SLEEP, "", "no slow state is allowed", want);
    };
    let is = format!("{} allowed, {} us to wake", slowest.name, slowest.wake_us);
    if let Some(promised) = promised_wake_us(host).filter(|promised| *promised <= WAKE_US_MAX) {
        let note = format!("somebody holds /dev/cpu_dma_latency at {promised} us");
        return Finding::new(&SLEEP, "", is, want).noted(note);
    }
    let verdict = if slowest.wake_us >= WAKE_US_BAD { Verdict::Bad } else { Verdict::CouldBeBetter };
    let finding =
        Finding::new(&SLEEP, "", is, want).judged(verdict).noted("costs power, and the others' turbo");
    states.iter().fold(finding, |finding, state| finding.mended_by(&state.switch, 1))
}

fn clock(host: &Host) -> Finding {
    let folder = "/sys/devices/system/clocksource/clocksource0";
    let (path, want) =
        (format!("{folder}/current_clocksource"), "tsc, or another that is read in user space");
    let is = match host.root.text(&path) {
        Ok(is) => is,
        Err(why) => return Finding::untold(&CLOCK, "", want, why),
    };
    if GOOD_CLOCKS.contains(&is.as_str()) {
        return Finding::new(&CLOCK, "", is, want);
    }
    let bad = BAD_CLOCKS.contains(&is.as_str());
    let finding =
        Finding::new(&CLOCK, "", &is, want).judged(if bad { Verdict::Bad } else { Verdict::CouldBeBetter });
    let offered = host.root.text(&format!("{folder}/available_clocksource")).unwrap_or_default();
    match offered.split_whitespace().find(|name| GOOD_CLOCKS.contains(name)) {
        Some(better) => finding.mended_by(&path, better),
        None => finding.noted("the kernel offers no better one: see its log for why it distrusts the TSC"),
    }
}

fn isolation(host: &Host) -> Finding {
    let (cores, spare) = match (host.shard_cores(), host.spare_cores()) {
        (Ok(cores), Ok(spare)) => (cores, spare),
        (Err(why), _) | (_, Err(why)) => return Finding::untold(&ISOLATION, "", "shard cores isolated", why),
    };
    let list =
        |path: &str| host.root.text(path).ok().and_then(|text| Cpus::of_list(&text)).unwrap_or_default();
    let isolated = list("/sys/devices/system/cpu/isolated");
    let tickless = list("/sys/devices/system/cpu/nohz_full");
    let shown = |cpus: &Cpus| if cpus.0.is_empty() { "none".to_string() } else { cpus.to_string() };
    let is = format!("isolated: {}, without ticks: {}", shown(&isolated), shown(&tickless));
    if spare.0.is_empty() {
        let note = "every core runs a shard, so there is nowhere else for the rest of the system; --shards leaves some";
        return Finding::new(&ISOLATION, "", is, "nothing").noted(note);
    }
    let finding = Finding::new(&ISOLATION, "", is, format!("isolated: {cores}"));
    if cores.within(&isolated) {
        return finding;
    }
    let note = format!(
        "by the kernel command line: isolcpus=managed_irq,domain,{cores} nohz_full={cores} rcu_nocbs={cores}, and start \
         the broker with CPUAffinity={cores}; or keep the rest of the system away with a cpuset"
    );
    finding.judged(Verdict::CouldBeBetter).noted(note)
}

fn nodes(host: &Host) -> Finding {
    let want = "shards, network card and disk on one node";
    let base = "/sys/devices/system/node";
    let mut nodes = Vec::new();
    for name in host.root.names(base) {
        let Some(number) = name.strip_prefix("node").and_then(|number| number.parse::<i32>().ok()) else {
            continue;
        };
        match host.root.text(&format!("{base}/{name}/cpulist")).map(|text| Cpus::of_list(&text)) {
            Ok(Some(cores)) => nodes.push((number, cores)),
            _ => {
                return Finding::untold(
                    &NODES,
                    "",
                    want,
                    format!("{base}/{name}/cpulist holds no list of cores"),
                );
            }
        }
    }
    let cores = match host.shard_cores() {
        _ if nodes.is_empty() => return Finding::new(&NODES, "", "the kernel knows no nodes", want),
        _ if nodes.len() == 1 => return Finding::new(&NODES, "", "one node", want),
        Ok(cores) => cores,
        Err(why) => return Finding::untold(&NODES, "", want, why),
    };
    let mut used: Vec<i32> =
        nodes.iter().filter(|(_, of)| !of.apart_from(&cores)).map(|(number, _)| *number).collect();
    let mut is = format!("shards on node {}", used.iter().map(i32::to_string).collect::<Vec<_>>().join(", "));
    let cards =
        host.interfaces().into_iter().map(|name| (format!("/sys/class/net/{name}/device/numa_node"), name));
    let disks = host.disks().unwrap_or_default().into_iter();
    let disks = disks.map(|disk| (format!("{}/device/device/numa_node", disk.folder), disk.name));
    for (path, name) in cards.chain(disks) {
        // A negative number: the firmware does not say.
        if let Ok(node) = host.root.number::<i32>(&path)
            && node >= 0
        {
            is += &format!(", {name} on {node}");
            used.push(node);
        }
    }
    used.sort_unstable();
    used.dedup();
    let finding = Finding::new(&NODES, "", is, want);
    match used.len() {
        0 | 1 => finding,
        _ => finding
            .judged(Verdict::CouldBeBetter)
            .noted("start the broker on the cores of the card's node (CPUAffinity=, numactl --cpunodebind)"),
    }
}
