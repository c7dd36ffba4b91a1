//! Where the time went, in a table: shares of user and kernel, of components, of the broker's functions with all that they
//! called outside it, of the functions that ran themselves.
//!
//! A component is what a sample's time is for, seen from its innermost frame outwards: in the kernel the first frame that
//! belongs to a part in the table below, in the broker the first crate that is not the standard library. So a `memcpy`
//! counts for who called it.

use std::collections::BTreeMap;

use crate::names::KERNEL_MARK;
use crate::stacks::Stacks;

/// Rows of each table.
const ROWS_MAX: usize = 12;

/// Parts of the kernel by the beginnings of their functions' names; the first part that knows a frame has it.
const KERNEL: &[(&str, &[&str])] = &[
    (
        "kernel: waiting",
        &[
            "schedule",
            "__schedule",
            "io_schedule",
            "futex",
            "try_to_wake",
            "__wake_up",
            "wake_up",
            "ttwu",
            "io_cqring_wait",
            "ep_poll",
            "do_epoll",
            "hrtimer",
            "pick_next_task",
            "finish_task_switch",
            "eventfd",
        ],
    ),
    (
        "kernel: network",
        &[
            "tcp_",
            "__tcp",
            "ip_",
            "__ip",
            "inet_",
            "sock_",
            "__sock",
            "__sys_send",
            "__sys_recv",
            "skb_",
            "__skb",
            "kfree_skb",
            "net_",
            "__net",
            "netif",
            "process_backlog",
            "__napi",
            "napi",
            "__dev_",
            "dev_",
            "loopback",
            "release_sock",
            "lock_sock",
            "__release_sock",
            "sk_",
            "__sk_",
            "ipv4",
            "nf_",
        ],
    ),
    (
        "kernel: files and disk",
        &[
            "blk_",
            "__blk",
            "bio_",
            "submit_bio",
            "__submit_bio",
            "ext4_",
            "__ext4",
            "iomap_",
            "__iomap",
            "virtblk",
            "virtqueue",
            "jbd2",
            "dio_",
            "nvme",
            "xfs_",
            "btrfs_",
            "blkdev",
            "filemap",
            "splice",
            "__splice",
            "do_splice",
            "vfs_",
            "do_sendfile",
            "folio",
            "file_",
            "generic_file",
            "scsi",
        ],
    ),
    (
        "kernel: memory",
        &[
            "clear_page",
            "handle_mm_fault",
            "exc_page_fault",
            "do_user_addr_fault",
            "do_anonymous_page",
            "__alloc_pages",
            "pin_user",
            "gup_",
            "internal_get_user",
            "iov_iter_extract",
            "unmap",
            "tlb_",
            "mmap",
        ],
    ),
    ("kernel: io_uring", &["io_", "__io_", "__do_sys_io_uring"]),
    (
        "kernel: interrupts",
        &[
            "handle_softirq",
            "irq_",
            "__irq",
            "asm_sysvec",
            "sysvec",
            "run_ksoftirqd",
            "asm_common_interrupt",
            "common_interrupt",
        ],
    ),
];

/// Crates whose functions work for whoever calls them.
const FOR_CALLERS: &[&str] =
    &["core", "std", "alloc", "compiler_builtins", "hashbrown", "bytes", "futures_lite"];

/// Where CPU time went.
pub struct Summary {
    /// All of it, in nanoseconds.
    pub total_ns: u64,
    /// Nanoseconds in the kernel.
    pub kernel_ns: u64,
    /// By component; the largest first.
    pub components: Vec<(String, u64)>,
    /// By the broker's innermost function, with what libraries and the kernel did for it; the largest first.
    pub askers: Vec<(String, u64)>,
    /// By the function that ran; the largest first.
    pub functions: Vec<(String, u64)>,
}

impl Summary {
    /// Sums a profile up.
    pub fn of(stacks: &Stacks) -> Summary {
        let (mut components, mut askers, mut functions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut total_ns, mut kernel_ns) = (0, 0);
        for (stack, &ns) in stacks {
            // The first is the thread's name.
            let frames: Vec<&str> = stack.split(';').skip(1).collect();
            let innermost = frames.last().copied().unwrap_or("[unknown]");
            total_ns += ns;
            kernel_ns += if innermost.ends_with(KERNEL_MARK) { ns } else { 0 };
            *components.entry(component(&frames)).or_default() += ns;
            *askers.entry(asker(&frames)).or_default() += ns;
            *functions.entry(innermost.to_owned()).or_default() += ns;
        }
        Summary {
            total_ns,
            kernel_ns,
            components: ranked(components),
            askers: ranked(askers),
            functions: ranked(functions),
        }
    }

    /// A paragraph and a table in Markdown.
    pub fn to_markdown(&self) -> String {
        let share = |ns: u64| format!("{:.1} %", ns as f64 * 100.0 / self.total_ns.max(1) as f64);
        let mut lines = vec![
            format!(
                "{:.2} s of CPU sampled: {} in the broker's code, {} in the kernel.",
                self.total_ns as f64 / 1e9,
                share(self.total_ns - self.kernel_ns),
                share(self.kernel_ns),
            ),
            String::new(),
            "| component | | broker's function, with what it called outside | | function, by its own time | |".to_owned(),
            "|---|--:|---|--:|---|--:|".to_owned(),
        ];
        let cells = |row: Option<&(String, u64)>, quote: &str| match row {
            Some((name, ns)) => format!("{quote}{name}{quote} | {}", share(*ns)),
            None => " | ".to_owned(),
        };
        let rows = self.components.len().max(self.askers.len()).max(self.functions.len()).min(ROWS_MAX);
        lines.extend((0..rows).map(|at| {
            let component = cells(self.components.get(at), "");
            let asker = cells(self.askers.get(at), "`");
            format!("| {component} | {asker} | {} |", cells(self.functions.get(at), "`"))
        }));
        lines.join("\n")
    }
}

fn ranked(by_name: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut rows: Vec<_> = by_name.into_iter().collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    rows
}

/// What the time in the innermost of these frames is for.
fn component(frames: &[&str]) -> String {
    let in_kernel = frames.last().is_some_and(|frame| frame.ends_with(KERNEL_MARK));
    let mut inner = frames.iter().rev();
    if in_kernel {
        let mut kernel = inner.take_while(|frame| frame.ends_with(KERNEL_MARK));
        let part = kernel.find_map(|frame| {
            let knows = |parts: &&(&str, &[&str])| parts.1.iter().any(|start| frame.starts_with(start));
            KERNEL.iter().find(knows).map(|parts| parts.0)
        });
        return part.unwrap_or("kernel: other").to_owned();
    }
    inner.find_map(|frame| crate_of(frame)).unwrap_or_else(|| "libraries, unnamed".to_owned())
}

/// The broker's innermost function, without its crate's prefix.
fn asker(frames: &[&str]) -> String {
    let of_broker = |frame: &&&str| frame.trim_start_matches('<').starts_with("corelane");
    let name = frames.iter().rev().find(of_broker).copied().unwrap_or("(none known)");
    name.replace("corelane_", "").replace("corelane::", "")
}

/// The crate a function belongs to, the broker's own with its first module; none for who works for callers.
fn crate_of(frame: &str) -> Option<String> {
    let path = frame.trim_start_matches(['<', '&', '*', ' ']);
    let path = path.strip_prefix("mut ").or_else(|| path.strip_prefix("dyn ")).unwrap_or(path);
    let mut parts = path.split("::");
    let name = parts.next().filter(|name| name.chars().all(|char| char.is_alphanumeric() || char == '_'))?;
    let module = parts.next()?;
    match name {
        _ if FOR_CALLERS.contains(&name) => None,
        "corelane" => Some(format!("broker: {module}")),
        _ => Some(name.strip_prefix("corelane_").unwrap_or(name).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stack: &str, expected: &str) {
        let frames: Vec<&str> = stack.split(';').collect();
        assert_eq!(component(&frames), expected, "{stack}");
    }

    #[test]
    fn components() {
        check("main;corelane::rt::shard::run;memcpy", "broker: rt");
        check("corelane_node::x;<alloc::vec::Vec as core::ops::drop::Drop>::drop", "node");
        check("<corelane_wire::reader::Reader as a::B>::next;core::slice::copy", "wire");
        check("crc_fast::checksum", "crc_fast");
        check("start;[unknown]", "libraries, unnamed");
        check(
            "corelane::ring::enter;io_uring_enter;entry_[k];io_submit_sqes_[k];tcp_sendmsg_[k];memcpy_[k]",
            "kernel: network",
        );
        check(
            "a::b;io_submit_sqes_[k];io_write_[k];ext4_file_write_iter_[k];blk_mq_submit_bio_[k]",
            "kernel: files and disk",
        );
        check("a::b;entry_SYSCALL_64_[k]", "kernel: other");
        check("a::b;io_cqring_wait_[k];schedule_[k]", "kernel: waiting");
    }

    #[test]
    fn shares_and_ranks() {
        let rows = [
            ("t;corelane::rt::run", 250),
            ("t;corelane::rt::run;io_write_[k]", 700),
            ("t;corelane_log::x", 50),
        ];
        let stacks = rows.iter().map(|(stack, ns)| ((*stack).to_owned(), *ns)).collect();
        let summary = Summary::of(&stacks);
        assert_eq!((summary.total_ns, summary.kernel_ns), (1000, 700));
        assert_eq!(summary.components[0], ("kernel: io_uring".to_owned(), 700));
        assert_eq!(summary.functions[1], ("corelane::rt::run".to_owned(), 250));
        let text = summary.to_markdown();
        for part in [
            "30.0 % in the broker's code, 70.0 % in the kernel",
            "| broker: rt | 25.0 % | `log::x` | 5.0 % | `corelane::rt::run` | 25.0 % |",
            "| kernel: io_uring | 70.0 % | `rt::run` | 95.0 % | `io_write_[k]` | 70.0 % |",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
