//! The typed arguments of `corelane serve`.
//!
//! What it is: exactly what stood on the command line, syntax checked, nothing resolved. What it is not: the settings the
//! broker runs with. Those come from four places (flags, `CORELANE_*` variables, the configuration file, defaults, in
//! this order) and are merged and checked where the broker starts, so that a mistake in any of them reads the same.

use std::net::ToSocketAddrs;
use std::path::PathBuf;

/// Start a broker and serve Kafka clients until SIGTERM or SIGINT.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Where the logs lie; created if absent. Default: ./corelane-data
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// The address Kafka clients connect to. Default: 127.0.0.1:9092
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_host_port)]
    pub listen: Option<HostPort>,

    /// The address of the HTTP admin and metrics service. Default: 127.0.0.1:9644
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_host_port)]
    pub http: Option<HostPort>,

    /// How many shards to run, one core each. Default: every core this process may use, fewer under a container's CPU quota
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: Option<u16>,

    /// The configuration file. Default: corelane.toml in the current directory, if there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Which log lines to print: off, error, warn, info, debug, trace, or levels by target as in
    /// warn,corelane::shard=debug. Default: info
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// How log lines look: text for people, json for programs. Default: text
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// One broker setting by its Kafka name, as often as needed; beats environment and file
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub settings: Vec<Setting>,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  corelane serve
  corelane serve --data-dir /var/lib/corelane --listen 0.0.0.0:9092
  corelane serve --shards 2 --set log.retention.ms=86400000 --set num.partitions=4

Settings are looked up in this order: flags, CORELANE_* variables, the configuration file, defaults.
Where Kafka has a name for a setting, that name and Kafka's default hold.";

/// A host name or address with a port, not looked up yet.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostPort {
    /// A name, an IPv4 address, or an IPv6 address without its brackets. Never empty.
    pub host: String,
    /// The port; 0 asks the kernel for a free one where a socket is opened, and is refused where one is dialled.
    pub port: u16,
}

impl HostPort {
    /// Looks the host up. Errors: what the resolver says, or "not found" if it knows no address.
    pub fn resolve(&self) -> std::io::Result<Vec<std::net::SocketAddr>> {
        let found: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        if found.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

/// Parses `HOST:PORT` or `[IPV6]:PORT`. Errors: a text for the person who typed it.
pub fn parse_host_port(text: &str) -> Result<HostPort, String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT, for example 127.0.0.1:9092")?;
    let port = port.parse::<u16>().map_err(|_| format!("{port:?} is not a port (0 to 65535)"))?;
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match inner {
        Some(address) if address.contains(':') => address,
        Some(_) => return Err("only an IPv6 address stands in brackets".to_string()),
        None if host.contains(':') => return Err("an IPv6 address needs brackets: [::1]:9092".to_string()),
        None => host,
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("the host is missing; 0.0.0.0 means every IPv4 address of this machine".to_string());
    }
    Ok(HostPort { host: host.to_string(), port })
}

/// One `KEY=VALUE` from the command line, unchecked beyond its shape.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// Kafka's or Corelane's name of the setting. Never empty, without white space.
    pub key: String,
    /// Everything behind the first `=`, as typed; may be empty.
    pub value: String,
}

/// Parses `KEY=VALUE`. Errors: a text for the person who typed it.
pub fn parse_setting(text: &str) -> Result<Setting, String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(format!("{key:?} cannot be the name of a setting"));
    }
    Ok(Setting { key: key.to_string(), value: value.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_host_port(text: &str, expected: Option<(&str, u16)>) {
        let parsed = parse_host_port(text);
        match expected {
            Some((host, port)) => assert_eq!(parsed, Ok(HostPort { host: host.to_string(), port })),
            None => assert!(parsed.is_err(), "{text:?} was taken as {parsed:?}"),
        }
    }

    #[test]
    fn host_and_port() {
        check_host_port("127.0.0.1:9092", Some(("127.0.0.1", 9092)));
        check_host_port("broker.example:1", Some(("broker.example", 1)));
        check_host_port("[::1]:9092", Some(("::1", 9092)));
        check_host_port("localhost:0", Some(("localhost", 0)));
        for bad in
            ["", ":", ":9092", "host", "host:", "host:65536", "host:-1", "::1:9092", "[host]:1", "a b:1"]
        {
            check_host_port(bad, None);
        }
    }

    #[test]
    fn host_and_port_print_as_they_parse() {
        for text in ["127.0.0.1:9092", "[::1]:9092", "localhost:0"] {
            assert_eq!(parse_host_port(text).map(|parsed| parsed.to_string()), Ok(text.to_string()));
        }
    }

    #[test]
    fn settings() {
        let parsed = parse_setting("a.b=c=d");
        assert_eq!(parsed, Ok(Setting { key: "a.b".to_string(), value: "c=d".to_string() }));
        assert_eq!(parse_setting("a=").map(|setting| setting.value), Ok(String::new()));
        for bad in ["", "a", "=b", "a b=c"] {
            assert!(parse_setting(bad).is_err(), "{bad:?} was taken");
        }
    }
}
