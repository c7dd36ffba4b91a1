//! Knobs that are one number below `/proc/sys`: a table with what each should be.
//!
//! `deploy/90-corelane.conf` sets the same values when the machine starts; a test holds the two against each other.

use crate::finding::{Finding, Knob, Verdict};
use crate::host::Host;
use crate::needs;

/// What a number should be.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// This much or more.
    AtLeast(u64),
    /// Of three numbers (least, usual, most), the last this much or more.
    MostAtLeast(u64),
    /// Exactly this.
    Exactly(u64),
}

/// A number below `/proc/sys` that every host has.
#[derive(Debug)]
pub struct Sysctl {
    /// Its name is the sysctl's.
    pub knob: Knob,
    /// What it should be.
    pub want: Want,
    /// What it is called if it is not so.
    pub otherwise: Verdict,
}

/// A row of a table.
const fn row(name: &'static str, want: Want, otherwise: Verdict, why: &'static str) -> Sysctl {
    Sysctl { knob: Knob { name, why }, want, otherwise }
}

/// Of files.
pub static FILES: &[Sysctl] = &[
    row(
        "fs.file-max",
        Want::AtLeast(1 << 20),
        Verdict::CouldBeBetter,
        "all processes together may not open more files and sockets than this",
    ),
    row(
        "fs.nr_open",
        Want::AtLeast(1 << 20),
        Verdict::CouldBeBetter,
        "no process's limit of open files can be raised above this",
    ),
];

/// Of memory.
pub static MEMORY: &[Sysctl] = &[row(
    "vm.zone_reclaim_mode",
    Want::Exactly(0),
    Verdict::CouldBeBetter,
    "a node that is short of memory would search itself before it takes some from its neighbour, on the shard's time",
)];

/// Of the network.
pub static NETWORK: &[Sysctl] = &[
    row(
        "net.core.somaxconn",
        Want::AtLeast(needs::BACKLOG as u64),
        Verdict::CouldBeBetter,
        "when many clients come back at once, those beyond this wait for a second or more before they try again",
    ),
    row(
        "net.ipv4.tcp_max_syn_backlog",
        Want::AtLeast(needs::BACKLOG as u64),
        Verdict::CouldBeBetter,
        "the same for connections whose handshake is not finished",
    ),
    row(
        "net.core.netdev_max_backlog",
        Want::AtLeast(5000),
        Verdict::CouldBeBetter,
        "packets that one core takes for another (loopback, RPS) beyond this are dropped and sent again after 200 ms",
    ),
    row(
        "net.core.wmem_max",
        Want::AtLeast(needs::SEND_BUFFER_BYTES as u64),
        Verdict::Bad,
        "cuts the send buffer that the broker asks for; smaller ones mean more wake-ups for each fetch",
    ),
    row(
        "net.core.rmem_max",
        Want::AtLeast(needs::SEND_BUFFER_BYTES as u64),
        Verdict::CouldBeBetter,
        "cuts the receive buffers that clients on this host ask for",
    ),
    row(
        "net.ipv4.tcp_rmem",
        Want::MostAtLeast(4 << 20),
        Verdict::CouldBeBetter,
        "how far a connection's receive window grows: a producer far away is limited by window divided by round trip",
    ),
    row(
        "net.ipv4.tcp_wmem",
        Want::MostAtLeast(4 << 20),
        Verdict::CouldBeBetter,
        "how much a client on this host, whose send buffer the kernel sizes, may have on its way",
    ),
    row(
        "net.ipv4.tcp_slow_start_after_idle",
        Want::Exactly(0),
        Verdict::CouldBeBetter,
        "a connection that was idle for a moment starts slowly again, and the first large answer takes several round trips",
    ),
    row(
        "net.core.busy_poll",
        Want::Exactly(0),
        Verdict::CouldBeBetter,
        "clients that poll would burn their core for this many microseconds; the broker waits in its ring and gains nothing",
    ),
    row("net.core.busy_read", Want::Exactly(0), Verdict::CouldBeBetter, "the same for reads that block"),
];

/// All tables.
pub static ALL: &[&[Sysctl]] = &[FILES, MEMORY, NETWORK];

impl Sysctl {
    /// Its file.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/sys/{}", self.knob.name.replace('.', "/"))
    }

    /// What to write where `is` stands now. `None`: it is good as it is. Errors: `is` cannot be understood.
    pub fn mended(&self, is: &str) -> Result<Option<String>, String> {
        let numbers: Result<Vec<u64>, _> = is.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|_| format!("{} holds {is:?}, which is no number", self.path()))?;
        Ok(match (self.want, numbers.as_slice()) {
            (Want::AtLeast(least), [is]) => (*is < least).then(|| least.to_string()),
            (Want::Exactly(value), [is]) => (*is != value).then(|| value.to_string()),
            (Want::MostAtLeast(least), [low, usual, most]) => {
                (*most < least).then(|| format!("{low} {usual} {least}"))
            }
            _ => return Err(format!("{} holds {is:?}, which is not what it should hold", self.path())),
        })
    }

    /// What it should be, in words.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self.want {
            Want::AtLeast(least) => format!("at least {least}"),
            Want::MostAtLeast(least) => format!("the last at least {least}"),
            Want::Exactly(value) => value.to_string(),
        }
    }

    fn check(&'static self, host: &Host) -> Finding {
        let (path, wanted) = (self.path(), self.wanted());
        let judged = host.root.value(&path).and_then(|is| Ok((self.mended(&is)?, is)));
        match judged {
            Err(why) => Finding::untold(&self.knob, "", wanted, why),
            Ok((None, is)) => Finding::new(&self.knob, "", is, wanted),
            Ok((Some(value), is)) => {
                Finding::new(&self.knob, "", is, wanted).judged(self.otherwise).mended_by(&path, value)
            }
        }
    }
}

/// Looks at a table.
pub fn check(host: &Host, table: &'static [Sysctl]) -> Vec<Finding> {
    table.iter().map(|sysctl| sysctl.check(host)).collect()
}
