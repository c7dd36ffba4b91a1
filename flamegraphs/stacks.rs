//! Call chains with the CPU time spent in each: read from what `perf script` prints, folded by inferno, names made short.

use std::collections::BTreeMap;
use std::io;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};

use crate::names::shown;

/// Nanoseconds of CPU time by call chain: the thread's name, then frames from the outermost in, joined by `;`.
pub type Stacks = BTreeMap<String, u64>;

/// The kernel's threads of io_uring; each has a number behind its name that means nothing later.
const KERNEL_WORKERS: [&str; 2] = ["iou-wrk", "iou-sqp"];

/// Folds the text of `perf script` with the fields comm, tid, time, period, event, ip, sym, dso.
///
/// Errors: there is no sample in it.
pub fn fold(script: &[u8]) -> io::Result<Stacks> {
    let mut options = Options::default();
    options.annotate_kernel = true;
    let mut folded = Vec::new();
    if !script.iter().all(u8::is_ascii_whitespace) {
        Folder::from(options).collapse(script, &mut folded)?;
    }
    let folded = String::from_utf8_lossy(&folded);
    let mut stacks = Stacks::new();
    for line in folded.lines() {
        let Some((stack, ns)) = line.rsplit_once(' ') else { continue };
        let (thread, frames) = stack.split_once(';').unwrap_or((stack, "[unknown]"));
        let thread = KERNEL_WORKERS.iter().find(|name| thread.starts_with(**name)).unwrap_or(&thread);
        let frames: Vec<String> =
            std::iter::once((*thread).to_owned()).chain(frames.split(';').map(shown)).collect();
        *stacks.entry(frames.join(";")).or_default() += ns.parse::<u64>().map_err(io::Error::other)?;
    }
    if stacks.is_empty() {
        return Err(io::Error::other(
            "there is no sample in the profile: the broker was not busy while it was taken",
        ));
    }
    Ok(stacks)
}

/// One `stack count` a line, counts in microseconds: what flame graph programs read.
pub fn to_text(stacks: &Stacks) -> String {
    stacks.iter().map(|(stack, ns)| format!("{stack} {}\n", ns.div_ceil(1000))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_profile_is_folded() {
        let stacks = fold(include_bytes!("samples/script.txt")).expect("samples");
        let text = to_text(&stacks);
        let kernel = "entry_SYSCALL_64_after_hwframe_[k];do_syscall_64_[k]";
        for (row, ns) in [
            // Two samples, one stack.
            (
                format!(
                    "shard-0-1;syscall;{kernel};__do_sys_io_uring_enter_[k];io_cqring_wait_[k];schedule_[k];\
                __schedule_[k];finish_task_switch.isra.0_[k]"
                ),
                2_006_018,
            ),
            (
                format!(
                    "corelane-admin;corelane::rt::port::Port::order;{kernel};ksys_write_[k];vfs_write_[k];\
                eventfd_write_[k];_raw_spin_unlock_irq_[k]"
                ),
                1_003_009,
            ),
            ("shard-0-1;corelane_node::owner::reads::watch".to_owned(), 1_003_009),
            ("shard-0-1;[unknown];_int_malloc".to_owned(), 1_003_009),
        ] {
            assert_eq!(stacks.get(&row), Some(&ns), "{row} in\n{text}");
        }
        assert!(!text.contains('/'), "a path stayed:\n{text}");
        assert_eq!(text.lines().count(), 6);
    }

    #[test]
    fn no_sample_is_refused() {
        for nothing in ["", "\n\n"] {
            let error = fold(nothing.as_bytes()).expect_err("nothing to fold");
            assert!(error.to_string().contains("no sample"), "{error}");
        }
    }
}
