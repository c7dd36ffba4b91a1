//! The checks: each reads the host's tree and gives findings, and never writes.
//!
//! Each file holds the knobs of one area, the reasons first. A file that is missing or holds nonsense makes a finding
//! that cannot tell, with the reason; nothing here fails.

pub mod sysctl;

pub mod container;
pub mod cpu;
pub mod disk;
pub mod interrupts;
pub mod limits;
pub mod memory;
pub mod network;

use crate::finding::{Finding, Knob};
use crate::host::Host;

/// Looks at everything.
#[must_use]
pub fn all(host: &Host) -> Vec<Finding> {
    let mut findings = limits::check(host);
    findings.extend(container::check(host));
    findings.extend(cpu::check(host));
    findings.extend(interrupts::check(host));
    findings.extend(memory::check(host));
    findings.extend(disk::check(host));
    findings.extend(network::check(host));
    findings
}

/// Every knob there is, in the order of the report.
pub fn knobs() -> impl Iterator<Item = &'static Knob> {
    let areas = [
        limits::KNOBS,
        container::KNOBS,
        cpu::KNOBS,
        interrupts::KNOBS,
        memory::KNOBS,
        disk::KNOBS,
        network::KNOBS,
    ];
    let others = areas.into_iter().flatten().copied();
    others.chain(sysctl::ALL.iter().flat_map(|area| area.iter().map(|sysctl| &sysctl.knob)))
}
