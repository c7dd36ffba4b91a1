//! How many clients may be connected at the same time, in all and from one address.

use core::net::IpAddr;
use std::collections::BTreeMap;

use crate::configs::definition::split_list;

/// The limits. All are at least 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    /// `max.connections`: of the whole broker.
    pub count_max: i32,
    /// `max.connections.per.ip`.
    pub per_ip_max: i32,
    /// `max.connections.per.ip.overrides`: for single addresses in place of the one above.
    pub per_ip_overrides: BTreeMap<IpAddr, i32>,
}

impl ConnectionLimits {
    /// How many connections this address may have.
    #[must_use]
    pub fn of_ip(&self, ip: IpAddr) -> i32 {
        self.per_ip_overrides.get(&ip).copied().unwrap_or(self.per_ip_max)
    }
}

/// Parses the value of `max.connections.per.ip.overrides`: `address:count`, several with commas between. An address of
/// IPv6 holds colons itself; the last one ends it, brackets are allowed. Errors: the element that is wrong, and why.
pub fn parse_overrides(text: &str) -> Result<BTreeMap<IpAddr, i32>, String> {
    let mut found = BTreeMap::new();
    for element in split_list(text) {
        let parsed = element.rsplit_once(':').and_then(|(ip, count)| {
            let ip = ip.trim().trim_start_matches('[').trim_end_matches(']');
            let count = count.trim().parse::<i32>().ok().filter(|&count| count >= 0)?;
            Some((ip.parse::<IpAddr>().ok()?.to_canonical(), count))
        });
        let Some((ip, count)) = parsed else {
            return Err(format!("'{element}' must be an IP address and a number, address:count"));
        };
        if found.insert(ip, count).is_some() {
            return Err(format!("must name each address once, not {ip} twice"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_parsed() {
        #[track_caller]
        fn check(text: &str, expected: Result<&[(&str, i32)], &str>) {
            match (parse_overrides(text), expected) {
                (Ok(found), Ok(expected)) => {
                    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
                    assert_eq!(found, expected.iter().map(|(text, count)| (ip(text), *count)).collect());
                }
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}"),
                (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
            }
        }
        check("", Ok(&[]));
        check("127.0.0.1:5", Ok(&[("127.0.0.1", 5)]));
        check(" 10.0.0.1 : 0 , ::1:7", Ok(&[("10.0.0.1", 0), ("::1", 7)]));
        check("[fe80::1]:2147483647", Ok(&[("fe80::1", i32::MAX)]));
        check("::ffff:10.0.0.1:3", Ok(&[("10.0.0.1", 3)]));
        check("10.0.0.1:3,::ffff:10.0.0.1:4", Err("not 10.0.0.1 twice"));
        check("10.0.0.1", Err("'10.0.0.1' must be an IP address and a number"));
        check("10.0.0.1:", Err("address:count"));
        check("10.0.0.1:-1", Err("address:count"));
        check("10.0.0.1:2147483648", Err("address:count"));
        check("localhost:1", Err("'localhost:1' must be"));
        check("10.0.0.1:1,", Err("''"));
    }

    #[test]
    fn an_override_stands_in_place_of_the_limit() {
        let limits = ConnectionLimits {
            count_max: 9,
            per_ip_max: 2,
            per_ip_overrides: parse_overrides("10.0.0.1:0").expect("valid"),
        };
        assert_eq!(limits.of_ip("10.0.0.1".parse().expect("an address")), 0);
        assert_eq!(limits.of_ip("10.0.0.2".parse().expect("an address")), 2);
    }
}
