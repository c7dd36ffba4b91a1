//! Swapping, huge pages and memory nodes.

use crate::checks::sysctl;
use crate::finding::{Finding, Knob, Verdict};
use crate::host::Host;

static SWAPPINESS: Knob = Knob {
    name: "vm.swappiness",
    why: "memory of an idle shard that went to the swap comes back page by page, milliseconds each, when requests do",
};
static HUGE_PAGES: Knob = Knob {
    name: "vm.transparent-hugepages",
    why: "a page fault may wait while the kernel makes two megabytes of free memory, and whole huge pages are held for a few bytes",
};
static BALANCING: Knob = Knob {
    name: "kernel.numa_balancing",
    why: "the kernel unmaps pages to see who touches them and moves them; shards are pinned and gain nothing",
};

/// The knobs of this area, sysctls apart.
pub static KNOBS: &[&Knob] = &[&SWAPPINESS, &HUGE_PAGES, &BALANCING];

/// The most at which the kernel rather drops cache than swaps.
const SWAPPINESS_MAX: u32 = 10;

/// Looks at them.
#[must_use]
pub fn check(host: &Host) -> Vec<Finding> {
    let mut findings = vec![swappiness(host), huge_pages(host), balancing(host)];
    findings.extend(sysctl::check(host, sysctl::MEMORY));
    findings
}

fn swappiness(host: &Host) -> Finding {
    let (path, want) = ("/proc/sys/vm/swappiness", format!("at most {SWAPPINESS_MAX}"));
    let is = match host.root.number::<u32>(path) {
        Ok(is) => is,
        Err(why) => return Finding::untold(&SWAPPINESS, "", want, why),
    };
    // The first line is the heading.
    let without_swap = host.root.text("/proc/swaps").is_ok_and(|text| text.lines().count() == 1);
    match is {
        _ if is <= SWAPPINESS_MAX => Finding::new(&SWAPPINESS, "", is, want),
        _ if without_swap => Finding::new(&SWAPPINESS, "", format!("{is}, but there is no swap"), want),
        _ => Finding::new(&SWAPPINESS, "", is, want).judged(Verdict::CouldBeBetter).mended_by(path, 1),
    }
}

fn huge_pages(host: &Host) -> Finding {
    let (path, want) = ("/sys/kernel/mm/transparent_hugepage/enabled", "madvise or never");
    match host.root.value(path) {
        Ok(is) if is == "madvise" || is == "never" => Finding::new(&HUGE_PAGES, "", is, want),
        Ok(is) if is == "always" => {
            Finding::new(&HUGE_PAGES, "", is, want).judged(Verdict::CouldBeBetter).mended_by(path, "madvise")
        }
        Ok(is) => Finding::untold(&HUGE_PAGES, "", want, format!("{path} holds {is:?}")),
        Err(why) => Finding::untold(&HUGE_PAGES, "", want, why),
    }
}

fn balancing(host: &Host) -> Finding {
    let (path, want) = ("/proc/sys/kernel/numa_balancing", "0");
    if host.root.has("/proc/sys/kernel") && !host.root.has(path) {
        return Finding::new(&BALANCING, "", "not in this kernel", want);
    }
    match host.root.number::<u32>(path) {
        Ok(0) => Finding::new(&BALANCING, "", 0, want),
        Ok(is) => Finding::new(&BALANCING, "", is, want).judged(Verdict::CouldBeBetter).mended_by(path, 0),
        Err(why) => Finding::untold(&BALANCING, "", want, why),
    }
}
