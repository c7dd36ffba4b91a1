//! Trees of `/proc` and `/sys` for tests: folders for temporary files, gone with the test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::host::Host;
use crate::root::Root;

/// A tree, removed when it is dropped.
pub struct Tree(PathBuf);

impl Tree {
    /// The disk of a good tree.
    pub const DISK: &'static str = "/sys/devices/pci0/nvme/nvme0/nvme0n1";
    /// The network card of a good tree.
    pub const CARD: &'static str = "/sys/class/net/eth0";

    /// Nothing in it.
    pub fn empty() -> Tree {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("corelane-tuning-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for temporary files");
        Tree(path)
    }

    /// A host with four cores, two of them for shards, an NVMe disk and a network card, on which all is as it should be.
    pub fn good() -> Tree {
        let tree = Tree::empty();
        for (path, text) in GOOD {
            tree.put(path, text);
        }
        for core in 0..4 {
            let folder = format!("/sys/devices/system/cpu/cpu{core}");
            tree.put(&format!("{folder}/cpufreq/scaling_governor"), "performance");
            for (state, name, latency, disable) in
                [("state0", "POLL", "0", "0"), ("state1", "C6", "133", "1")]
            {
                tree.put(&format!("{folder}/cpuidle/{state}/name"), name);
                tree.put(&format!("{folder}/cpuidle/{state}/latency"), latency);
                tree.put(&format!("{folder}/cpuidle/{state}/disable"), disable);
            }
        }
        for number in [40, 41] {
            tree.put(&format!("/proc/irq/{number}/smp_affinity_list"), "2-3");
            tree.put(&format!("/proc/irq/{number}/effective_affinity_list"), "2");
        }
        tree.put("/sys/devices/pci0/nic/msi_irqs/40", "msix");
        tree.put("/sys/devices/pci0/nvme/msi_irqs/41", "msix");
        tree.link("/sys/class/net/eth0/device", "../../../devices/pci0/nic");
        tree.link(&format!("{}/device", Tree::DISK), "../../nvme0");
        tree.link("/sys/dev/block/259:1", "../../devices/pci0/nvme/nvme0/nvme0n1");
        for queue in 0..2 {
            tree.put(&format!("{}/queues/rx-{queue}/rps_cpus", Tree::CARD), "0");
            tree.put(&format!("{}/queues/tx-{queue}/xps_cpus", Tree::CARD), ["5", "a"][queue]);
        }
        tree
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// As the checks see it.
    pub fn root(&self) -> Root {
        Root::new(&self.0)
    }

    /// The host that it stands for, with two shards.
    pub fn host(&self) -> Host {
        Host {
            root: self.root(),
            process: "self".to_string(),
            data_dir: "/var/lib/corelane".to_string(),
            shards: Some(2),
            ring: None,
        }
    }

    /// Writes a file as the kernel would show it.
    pub fn put(&self, path: &str, text: &str) {
        let path = self.root().locate(path);
        fs::create_dir_all(path.parent().expect("below the tree")).expect("room");
        fs::write(path, format!("{text}\n")).expect("room");
    }

    /// Makes a folder.
    pub fn folder(&self, path: &str) {
        fs::create_dir_all(self.root().locate(path)).expect("room");
    }

    /// Makes a link, in the place of one that is there.
    pub fn link(&self, path: &str, to: &str) {
        let path = self.root().locate(path);
        fs::create_dir_all(path.parent().expect("below the tree")).expect("room");
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(to, path).expect("room");
    }

    /// Removes a file or a link.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.root().locate(path)).expect("it is there");
    }

    /// Every file below `/proc` and `/sys` with its value.
    pub fn values(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        for top in ["proc", "sys"] {
            gather(&self.0, &self.0.join(top), &mut values);
        }
        values
    }
}

fn gather(root: &Path, folder: &Path, values: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let entry = entry.expect("a folder of the tree");
        let kind = entry.file_type().expect("it has a type");
        if kind.is_dir() {
            gather(root, &entry.path(), values);
        } else if kind.is_file() {
            let text = fs::read_to_string(entry.path()).expect("text");
            let path = entry.path().strip_prefix(root).expect("below it").display().to_string();
            values.insert(format!("/{path}"), crate::root::value_of(&text));
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Files of a host on which all is well.
const GOOD: &[(&str, &str)] = &[
    ("/proc/sys/kernel/osrelease", "6.12.9-amd64"),
    ("/proc/sys/kernel/io_uring_disabled", "0"),
    ("/proc/sys/kernel/numa_balancing", "0"),
    ("/proc/sys/kernel/random/boot_id", "5a5c"),
    ("/proc/sys/fs/file-max", "9223372036854775807"),
    ("/proc/sys/fs/nr_open", "1073741816"),
    ("/proc/sys/vm/swappiness", "1"),
    ("/proc/sys/vm/zone_reclaim_mode", "0"),
    ("/proc/sys/net/core/somaxconn", "4096"),
    ("/proc/sys/net/ipv4/tcp_max_syn_backlog", "4096"),
    ("/proc/sys/net/core/netdev_max_backlog", "5000"),
    ("/proc/sys/net/core/wmem_max", "212992"),
    ("/proc/sys/net/core/rmem_max", "212992"),
    ("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456"),
    ("/proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304"),
    ("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "0"),
    ("/proc/sys/net/core/busy_poll", "0"),
    ("/proc/sys/net/core/busy_read", "0"),
    ("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/nvme0n1p2 partition 1 0 -2"),
    (
        "/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units\n\
         Max open files            1024                 1048576              files\n\
         Max locked memory         8388608              unlimited            bytes",
    ),
    (
        "/proc/self/status",
        "Name:\tcorelane\nGid:\t990\t990\t990\t990\nGroups:\t991 992\nSeccomp:\t0\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3",
    ),
    ("/proc/self/cgroup", "0::/system.slice/corelane.service"),
    ("/sys/fs/cgroup/system.slice/corelane.service/cpu.max", "max 100000"),
    ("/sys/fs/cgroup/system.slice/corelane.service/memory.max", "max"),
    ("/proc/self/mountinfo", "29 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1 rw,errors=remount-ro"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never"),
    ("/sys/devices/system/cpu/online", "0-3"),
    ("/sys/devices/system/cpu/isolated", "0-1"),
    ("/sys/devices/system/cpu/nohz_full", "0-1"),
    ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc"),
    ("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm"),
    ("/sys/devices/system/node/node0/cpulist", "0-3"),
    ("/sys/devices/pci0/nvme/nvme0/nvme0n1/queue/scheduler", "[none] mq-deadline"),
    ("/sys/devices/pci0/nvme/nvme0/nvme0n1/queue/nr_requests", "1023"),
    ("/sys/devices/pci0/nvme/nvme0/nvme0n1/queue/wbt_lat_usec", "2000"),
    ("/sys/devices/pci0/nvme/nvme0/nvme0n1/queue/rotational", "0"),
    ("/sys/devices/pci0/nvme/nvme0/nvme0n1/queue/write_cache", "write through"),
    ("/sys/devices/pci0/nvme/nvme0/nvme0n1/queue/fua", "0"),
    ("/sys/devices/pci0/nvme/nvme0/nvme0n1/queue/nomerges", "2"),
    ("/sys/devices/pci0/nvme/nvme0/nvme0n1/queue/rq_affinity", "2"),
    ("/sys/class/net/eth0/operstate", "up"),
    ("/sys/class/net/eth0/gro_flush_timeout", "0"),
    ("/sys/class/net/eth0/napi_defer_hard_irqs", "0"),
    ("/sys/class/net/eth0/statistics/rx_missed_errors", "0"),
    ("/sys/class/net/eth0/statistics/rx_fifo_errors", "0"),
];
