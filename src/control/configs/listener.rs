//! Addresses to listen on and to advertise: `NAME://host:port`, several with commas between.

use core::fmt;

use crate::configs::definition::split_list;

/// The protocol of every listener: bytes of the Kafka protocol over TCP, unencrypted.
pub const PLAINTEXT: &str = "PLAINTEXT";

/// The most listeners of a broker.
pub const LISTENERS_MAX: usize = 16;

/// One address under a name. The name ties an advertised address to the socket that a client came in by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Listener {
    /// In capitals; unique among a broker's listeners.
    pub name: String,
    /// A host name or address without brackets; empty for "every interface", which cannot be advertised.
    pub host: String,
    /// The TCP port; 0 lets the system choose, which cannot be advertised.
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}

/// Parses the value of `listeners`. Errors: the element that is wrong, and why.
pub fn parse_listeners(text: &str) -> Result<Vec<Listener>, String> {
    let listeners = parse_unique(text)?;
    for (at, listener) in listeners.iter().enumerate() {
        let same = |other: &&Listener| {
            other.port != 0 && (&other.host, other.port) == (&listener.host, listener.port)
        };
        if let Some(other) = listeners[..at].iter().find(same) {
            return Err(format!("{} and {} are the same address", other.name, listener.name));
        }
    }
    Ok(listeners)
}

/// Parses the value of `advertised.listeners`. Errors: as for [`parse_listeners`], and an address to which nobody
/// could connect.
pub fn parse_advertised(text: &str) -> Result<Vec<Listener>, String> {
    let listeners = parse_unique(text)?;
    for listener in &listeners {
        if matches!(listener.host.as_str(), "" | "0.0.0.0" | "::") {
            return Err(format!(
                "{listener} names every interface; advertise an address that clients can reach"
            ));
        }
        if listener.port == 0 {
            return Err(format!("{listener} has port 0; advertise the port that clients can reach"));
        }
    }
    Ok(listeners)
}

/// Parses the value of `listener.security.protocol.map` into the names that are known.
/// Errors: a protocol that is not served, or an element without a colon.
pub fn parse_protocols(text: &str) -> Result<Vec<String>, String> {
    split_list(text)
        .into_iter()
        .map(|part| match part.split_once(':') {
            Some((name, PLAINTEXT)) if is_name(name) => Ok(name.to_ascii_uppercase()),
            Some((name, protocol)) if is_name(name) => {
                Err(format!("{name} asks for {protocol}, but only PLAINTEXT is served"))
            }
            _ => Err(format!("'{part}' is not NAME:PROTOCOL")),
        })
        .collect()
}

fn parse_unique(text: &str) -> Result<Vec<Listener>, String> {
    let listeners = split_list(text).iter().map(|part| parse_one(part)).collect::<Result<Vec<_>, _>>()?;
    if listeners.is_empty() {
        return Err("must name at least one address, like PLAINTEXT://127.0.0.1:9092".into());
    }
    if listeners.len() > LISTENERS_MAX {
        return Err(format!("names {} addresses, more than {LISTENERS_MAX}", listeners.len()));
    }
    for (at, listener) in listeners.iter().enumerate() {
        if listeners[..at].iter().any(|other| other.name == listener.name) {
            return Err(format!("has two listeners named {}", listener.name));
        }
    }
    Ok(listeners)
}

fn parse_one(text: &str) -> Result<Listener, String> {
    let wrong = || format!("'{text}' is not NAME://host:port");
    let (name, address) = text.split_once("://").ok_or_else(wrong)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse::<u16>().map_err(|_| format!("'{text}' has no port between 0 and 65535"))?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(wrong)?,
        None if host.contains(':') => {
            return Err(format!("'{text}': write an IPv6 address in square brackets"));
        }
        None => host,
    };
    if !is_name(name) || !is_host(host) {
        return Err(wrong());
    }
    Ok(Listener { name: name.to_ascii_uppercase(), host: host.into(), port })
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:%".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        #[track_caller]
        fn check(text: &str, expected: Result<&str, &str>) {
            let printed = parse_listeners(text)
                .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
            match (printed, expected) {
                (Ok(printed), Ok(expected)) => assert_eq!(printed, expected),
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}"),
                (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
            }
        }
        check("PLAINTEXT://127.0.0.1:9092", Ok("PLAINTEXT://127.0.0.1:9092"));
        check(" plaintext://:9092 ", Ok("PLAINTEXT://:9092"));
        check("A://h:1, B://h:2", Ok("A://h:1,B://h:2"));
        check("A://h:0,B://h:0", Ok("A://h:0,B://h:0"));
        check("A://[::1]:9092", Ok("A://[::1]:9092"));
        check("A://::1:9092", Err("square brackets"));
        check("A://[::1:9092", Err("NAME://host:port"));
        check("", Err("at least one"));
        check("localhost:9092", Err("NAME://host:port"));
        check("A://h", Err("NAME://host:port"));
        check("A://h:65536", Err("65535"));
        check("A://h:-1", Err("65535"));
        check("://h:1", Err("NAME://host:port"));
        check("A://h/x:1", Err("NAME://host:port"));
        check("A://h:1,A://h:2", Err("two listeners"));
        check("A://h:1,B://h:1", Err("same address"));
        check("A://h:1,,", Err("NAME://host:port"));
        check(
            &(0..17).map(|n| format!("L{n}://h:{}", n + 1)).collect::<Vec<_>>().join(","),
            Err("more than 16"),
        );
    }

    #[test]
    fn unreachable_addresses_are_not_advertised() {
        assert!(parse_advertised("A://broker-1:9092").is_ok());
        for text in ["A://:9092", "A://0.0.0.0:9092", "A://[::]:9092", "A://h:0"] {
            assert!(parse_advertised(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_plaintext_is_mapped() {
        assert_eq!(parse_protocols("in:PLAINTEXT,OUT:PLAINTEXT"), Ok(vec!["IN".into(), "OUT".into()]));
        assert!(parse_protocols("A:SSL").is_err_and(|problem| problem.contains("only PLAINTEXT")));
        assert!(parse_protocols("A").is_err());
    }
}
