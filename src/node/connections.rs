//! Counts the connections of all shards against the broker's limits.
//!
//! Any shard accepts, so none knows alone how many clients there are. The first shard counts: each tells it of every
//! connection that comes and goes, and it names those beyond a limit, which their shard closes. A shard does not wait for
//! that word: a connection that comes when there are too many may be served for the moment until it arrives. Shares of
//! the limits, one for each shard, would refuse clients long before there are too many: the kernel deals connections out by
//! chance.

use core::fmt;
use core::net::IpAddr;
use std::collections::BTreeMap;

use corelane_control::configs::connection_limits::ConnectionLimits;

/// A limit that a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitBroken {
    /// `max.connections`, with its value.
    OfAll(i32),
    /// `max.connections.per.ip` or its override, with the value.
    OfIp(i32),
}

impl fmt::Display for LimitBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitBroken::OfAll(limit) => write!(f, "there are {limit} already; see max.connections"),
            LimitBroken::OfIp(limit) => {
                write!(f, "its address has {limit} already; see max.connections.per.ip")
            }
        }
    }
}

/// How many clients are connected. Invariant: the counts by address are above 0, and their sum is the count of all.
#[derive(Debug, Default)]
pub struct Connections {
    count: usize,
    by_ip: BTreeMap<IpAddr, usize>,
}

impl Connections {
    /// Counts one in. A refused one counts, too, until it is gone. Errors: the limit it breaks.
    pub fn add(&mut self, ip: IpAddr, limits: &ConnectionLimits) -> Result<(), LimitBroken> {
        let of_ip = self.by_ip.entry(ip).or_default();
        *of_ip += 1;
        self.count += 1;
        let is_above = |count: usize, limit: i32| count > usize::try_from(limit).unwrap_or(0);
        if is_above(self.count, limits.count_max) {
            Err(LimitBroken::OfAll(limits.count_max))
        } else if is_above(*of_ip, limits.of_ip(ip)) {
            Err(LimitBroken::OfIp(limits.of_ip(ip)))
        } else {
            Ok(())
        }
    }

    /// Counts one out. Panics: if it was not counted in.
    pub fn remove(&mut self, ip: IpAddr) {
        let of_ip = self.by_ip.get_mut(&ip).expect("whoever goes has come");
        *of_ip -= 1;
        if *of_ip == 0 {
            self.by_ip.remove(&ip);
        }
        self.count -= 1;
    }

    /// Panics: if the state contradicts itself.
    pub fn check_invariants(&self) {
        assert!(self.by_ip.values().all(|&count| count > 0));
        assert_eq!(self.by_ip.values().sum::<usize>(), self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_control::configs::connection_limits::parse_overrides;

    #[test]
    fn limits_hold_for_all_and_for_each_address() {
        let limits = |count_max, per_ip_max, overrides| ConnectionLimits {
            count_max,
            per_ip_max,
            per_ip_overrides: parse_overrides(overrides).expect("valid"),
        };
        let ip = |last| IpAddr::from([10, 0, 0, last]);
        let mut connections = Connections::default();
        let free = limits(i32::MAX, i32::MAX, "");
        assert_eq!(connections.add(ip(1), &free), Ok(()));
        // Those from before a limit was set count.
        let tight = limits(4, 2, "10.0.0.3:0");
        assert_eq!(connections.add(ip(1), &tight), Ok(()));
        assert_eq!(connections.add(ip(1), &tight), Err(LimitBroken::OfIp(2)));
        connections.remove(ip(1));
        assert_eq!(connections.add(ip(3), &tight), Err(LimitBroken::OfIp(0)));
        connections.remove(ip(3));
        assert_eq!(connections.add(ip(2), &tight), Ok(()));
        assert_eq!(connections.add(ip(2), &tight), Ok(()));
        assert_eq!(connections.add(ip(4), &tight), Err(LimitBroken::OfAll(4)));
        connections.check_invariants();
        for last in [4, 2, 2, 1, 1] {
            connections.remove(ip(last));
            connections.check_invariants();
        }
        assert_eq!(connections.count, 0);
        assert_eq!(connections.add(ip(4), &limits(0, 1, "")), Err(LimitBroken::OfAll(0)));
    }
}
