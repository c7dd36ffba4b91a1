//! Counts the connections of all shards against the broker's limits and gives out the places.
//!
//! Any shard accepts, so none knows alone how many clients there are. The first shard counts: each tells it of every
//! connection that comes and goes and serves none before it is admitted. As with Kafka, a connection beyond
//! `max.connections` waits for another to go, first come first served; one beyond `max.connections.per.ip` is closed when
//! its turn comes. Where Kafka leaves those who wait to the kernel, which drops what does not fit, they are accepted here:
//! so their number has a bound, beyond which they are closed. A limit set below what is connected closes nobody, where
//! Kafka closes those that were silent longest. Shares of the limits, one for each shard, would keep clients out long
//! before there are too many: the kernel deals connections out by chance.

use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};

use corelane_base::id::{ConnId, ShardId};
use corelane_control::configs::connection_limits::ConnectionLimits;

/// How many may wait for a place, of all shards together. Each costs what it has sent before reading stopped, and a
/// descriptor: a quarter of those that a broker should have at the least.
const WAITING_MAX: usize = 1024;

/// A limit that a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitBroken {
    /// `max.connections`, with its value, and there is no room to wait.
    OfAll(i32),
    /// `max.connections.per.ip` or its override, with the value.
    OfIp(i32),
}

impl fmt::Display for LimitBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitBroken::OfAll(limit) => {
                write!(f, "there are {limit} already and {WAITING_MAX} wait; see max.connections")
            }
            LimitBroken::OfIp(limit) => {
                write!(f, "its address has {limit} already; see max.connections.per.ip")
            }
        }
    }
}

/// A connection, told apart from those of all shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Who accepted it.
    pub shard: ShardId,
    /// That shard's name of it.
    pub conn: ConnId,
    /// From where it came.
    pub ip: IpAddr,
}

/// Who is connected. Invariant: the counts by address are above 0, and their sum is the count of all.
#[derive(Debug, Default)]
pub struct Connections {
    /// Those with a place, and the refused until they are gone.
    count: usize,
    by_ip: BTreeMap<IpAddr, usize>,
    /// Those without a place, which are not counted, in the order in which they came.
    waiting: VecDeque<Connection>,
}

impl Connections {
    /// Takes one in, to wait until `decide` names it.
    pub fn add(&mut self, connection: Connection) {
        self.waiting.push_back(connection);
    }

    /// Decides about one that waits and counts it: the first is admitted or breaks the limit of its address if there is a
    /// place, the last is refused if too many wait. Call it until it gives nothing, whenever one has come or gone or the
    /// limits have changed.
    pub fn decide(&mut self, limits: &ConnectionLimits) -> Option<(Connection, Result<(), LimitBroken>)> {
        let is_below = |count: usize, limit: i32| count < usize::try_from(limit).unwrap_or(0);
        let has_place = is_below(self.count, limits.count_max);
        let connection = if has_place {
            self.waiting.pop_front()?
        } else if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_back()?
        } else {
            return None;
        };
        let of_ip = self.by_ip.entry(connection.ip).or_default();
        let verdict = if !has_place {
            Err(LimitBroken::OfAll(limits.count_max))
        } else if !is_below(*of_ip, limits.of_ip(connection.ip)) {
            Err(LimitBroken::OfIp(limits.of_ip(connection.ip)))
        } else {
            Ok(())
        };
        *of_ip += 1;
        self.count += 1;
        Some((connection, verdict))
    }

    /// Forgets one that is gone. Panics: if it had not come.
    pub fn remove(&mut self, connection: Connection) {
        if let Some(index) = self.waiting.iter().position(|waiting| *waiting == connection) {
            self.waiting.remove(index);
            return;
        }
        let of_ip = self.by_ip.get_mut(&connection.ip).expect("whoever goes has come");
        *of_ip -= 1;
        if *of_ip == 0 {
            self.by_ip.remove(&connection.ip);
        }
        self.count -= 1;
    }

    /// How many wait for a place.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Panics: if the state contradicts itself.
    pub fn check_invariants(&self) {
        assert!(self.by_ip.values().all(|&count| count > 0));
        assert_eq!(self.by_ip.values().sum::<usize>(), self.count);
        assert!(self.waiting.len() <= WAITING_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_control::configs::connection_limits::parse_overrides;

    fn limits(count_max: i32, per_ip_max: i32, overrides: &str) -> ConnectionLimits {
        let per_ip_overrides = parse_overrides(overrides).expect("valid");
        ConnectionLimits { count_max, per_ip_max, per_ip_overrides }
    }

    /// The connection `number`, from the address that ends in `last`.
    fn connection(number: u32, last: u8) -> Connection {
        let conn = ConnId { slot: number, generation: 1 };
        Connection { shard: ShardId(1), conn, ip: IpAddr::from([10, 0, 0, last]) }
    }

    #[track_caller]
    fn check(
        connections: &mut Connections,
        limits: &ConnectionLimits,
        expected: &[(Connection, Result<(), LimitBroken>)],
    ) {
        let decided: Vec<_> = core::iter::from_fn(|| connections.decide(limits)).collect();
        assert_eq!(decided, expected);
        connections.check_invariants();
    }

    #[test]
    fn an_address_beyond_its_limit_is_refused() {
        let mut connections = Connections::default();
        let mut come = |number, last, limits: &ConnectionLimits, expected| {
            connections.add(connection(number, last));
            check(&mut connections, limits, &[(connection(number, last), expected)]);
        };
        come(0, 1, &limits(i32::MAX, i32::MAX, ""), Ok(()));
        // Those from before a limit was set count.
        let tight = limits(i32::MAX, 2, "10.0.0.3:0");
        come(1, 1, &tight, Ok(()));
        come(2, 1, &tight, Err(LimitBroken::OfIp(2)));
        come(3, 3, &tight, Err(LimitBroken::OfIp(0)));
        come(4, 2, &tight, Ok(()));
        // A refused one counts until it is gone.
        connections.remove(connection(0, 1));
        connections.add(connection(5, 1));
        check(&mut connections, &tight, &[(connection(5, 1), Err(LimitBroken::OfIp(2)))]);
        for (number, last) in [(1, 1), (2, 1), (3, 3), (4, 2), (5, 1)] {
            connections.remove(connection(number, last));
            connections.check_invariants();
        }
        assert_eq!(connections.count, 0);
    }

    #[test]
    fn one_beyond_the_limit_of_all_waits_for_a_place() {
        let mut connections = Connections::default();
        let two = limits(2, 1, "");
        for number in 0..5 {
            connections.add(connection(number, number as u8));
        }
        check(&mut connections, &two, &[(connection(0, 0), Ok(())), (connection(1, 1), Ok(()))]);
        // Whoever gives up leaves the others where they are.
        connections.remove(connection(2, 2));
        check(&mut connections, &two, &[]);
        connections.remove(connection(0, 0));
        check(&mut connections, &two, &[(connection(3, 3), Ok(()))]);
        // The limit of its address is looked at when its turn comes.
        connections.add(connection(5, 1));
        check(&mut connections, &two, &[]);
        let four = limits(4, 1, "");
        check(
            &mut connections,
            &four,
            &[(connection(4, 4), Ok(())), (connection(5, 1), Err(LimitBroken::OfIp(1)))],
        );
        check(&mut connections, &limits(0, 1, ""), &[]);
    }

    #[test]
    fn too_many_do_not_wait() {
        let mut connections = Connections::default();
        let none = limits(0, i32::MAX, "");
        for number in 0..WAITING_MAX as u32 {
            connections.add(connection(number, 1));
            check(&mut connections, &none, &[]);
        }
        let last = connection(WAITING_MAX as u32, 1);
        connections.add(last);
        check(&mut connections, &none, &[(last, Err(LimitBroken::OfAll(0)))]);
        connections.remove(last);
        assert_eq!((connections.count, connections.waiting_count()), (0, WAITING_MAX));
    }
}
