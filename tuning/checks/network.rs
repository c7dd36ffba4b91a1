//! Network interfaces as far as `/sys` tells of them, and the sockets' sysctls.

use crate::checks::sysctl;
use crate::finding::{Finding, Knob, Verdict};
use crate::host::Host;

static QUEUES: Knob = Knob {
    name: "nic.queues",
    why: "with a receive queue for each shard the card spreads connections over cores without anybody's help",
};
static RING: Knob = Knob {
    name: "nic.ring",
    why: "a receive ring that overflows drops packets, and each costs a retransmission of 200 ms or more",
};
static COALESCING: Knob = Knob {
    name: "nic.coalescing",
    why: "packets that wait for others before the interrupt comes add that wait to every request",
};

/// The knobs of this area, sysctls apart.
pub static KNOBS: &[&Knob] = &[&QUEUES, &RING, &COALESCING];

/// Looks at them.
#[must_use]
pub fn check(host: &Host) -> Vec<Finding> {
    let interfaces = host.interfaces();
    let mut findings = Vec::new();
    if interfaces.is_empty() {
        let why = "/sys shows no interface with hardware behind it that is up";
        findings.extend(KNOBS.iter().map(|knob| Finding::untold(knob, "", "an interface", why)));
    }
    for name in &interfaces {
        findings.extend([queues(host, name), ring(name, host), coalescing(host, name)]);
    }
    findings.extend(sysctl::check(host, sysctl::NETWORK));
    findings
}

fn queues(host: &Host, interface: &str) -> Finding {
    let names = host.root.names(&format!("/sys/class/net/{interface}/queues"));
    let found = names.iter().filter(|name| name.starts_with("rx-")).count();
    let shards = match host.shard_count() {
        Ok(shards) => shards,
        Err(why) => return Finding::untold(&QUEUES, interface, "one for each shard", why),
    };
    let want = format!("at least {shards}, one for each shard");
    let finding = Finding::new(&QUEUES, interface, found, want);
    match found {
        0 => Finding::untold(&QUEUES, interface, "one for each shard", "/sys names no receive queues"),
        _ if found >= shards => finding,
        _ => finding.judged(Verdict::CouldBeBetter).noted(format!(
            "'ethtool -l {interface}' tells what the card has, 'ethtool -L {interface} combined {shards}' asks for more; \
             otherwise see nic.rps"
        )),
    }
}

fn ring(interface: &str, host: &Host) -> Finding {
    let want = "no packet missed for want of room";
    let folder = format!("/sys/class/net/{interface}/statistics");
    let read = |name: &str| host.root.number::<u64>(&format!("{folder}/{name}"));
    match (read("rx_missed_errors"), read("rx_fifo_errors")) {
        (Ok(missed), Ok(overrun)) => {
            let lost = missed.saturating_add(overrun);
            let finding =
                Finding::new(&RING, interface, format!("{lost} packets missed since it came up"), want);
            match lost {
                0 => finding.noted("its size: 'ethtool -g', /sys does not tell"),
                _ => finding.judged(Verdict::CouldBeBetter).noted(format!(
                    "if the count still grows: 'ethtool -g {interface}' tells the most that fits, 'ethtool -G {interface} rx \
                     N' sets it"
                )),
            }
        }
        (Err(why), _) | (_, Err(why)) => Finding::untold(&RING, interface, want, why),
    }
}

fn coalescing(host: &Host, interface: &str) -> Finding {
    let want = "0 ns, 0 interrupts put off";
    let path = |name: &str| format!("/sys/class/net/{interface}/{name}");
    let names = ["gro_flush_timeout", "napi_defer_hard_irqs"];
    let values: Result<Vec<u64>, String> = names.iter().map(|name| host.root.number(&path(name))).collect();
    match values {
        Err(why) => Finding::untold(&COALESCING, interface, want, why),
        Ok(values) => {
            let is = format!("{} ns, {} interrupts put off", values[0], values[1]);
            let note = format!("the card's own: 'ethtool -c {interface}', /sys does not tell");
            let mut finding = Finding::new(&COALESCING, interface, is, want).noted(note);
            for (name, value) in names.iter().zip(&values) {
                if *value != 0 {
                    finding = finding.judged(Verdict::CouldBeBetter).mended_by(&path(name), 0);
                }
            }
            finding
        }
    }
}
