//! Every check against good, bad, missing and senseless values, in a tree of our own.

use std::fs;

use crate::checks;
use crate::finding::{Finding, Verdict};
use crate::host::Host;
use crate::tree_test::Tree;

use Verdict::{Bad, CannotTell, CouldBeBetter, Good};

/// The worst finding of a knob.
#[track_caller]
fn worst(host: &Host, knob: &str) -> Finding {
    let all = checks::all(host).into_iter().filter(|finding| finding.knob.name == knob);
    let rank = |verdict| [Good, CouldBeBetter, CannotTell, Bad].iter().position(|one| *one == verdict);
    all.max_by_key(|finding| rank(finding.verdict)).expect("every knob is told of")
}

/// Checks what is said of `knob` when the good tree holds `text` at `path`.
#[track_caller]
fn check(knob: &str, path: &str, text: &str, verdict: Verdict, said: &str) {
    let tree = Tree::good();
    tree.put(path, text);
    let finding = worst(&tree.host(), knob);
    assert_eq!(finding.verdict, verdict, "{knob} with {text:?} at {path}: {finding:?}");
    let words = format!("{} {}", finding.is, finding.note);
    assert!(words.contains(said), "{knob}: {words:?} lacks {said:?}");
}

/// Folders and files of the good tree, for short rows.
const CPU: &str = "/sys/devices/system/cpu";
const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0";
const QUEUE: &str = "/sys/devices/pci0/nvme/nvme0/nvme0n1/queue";
const MOUNTS: &str = "/proc/self/mountinfo";
const STATUS: &str = "/proc/self/status";
const LIMITS: &str = "/proc/self/limits";
const GROUP: &str = "/sys/fs/cgroup/system.slice";

#[test]
fn a_good_host_is_good_throughout() {
    let tree = Tree::good();
    for finding in checks::all(&tree.host()) {
        assert_eq!(finding.verdict, Good, "{finding:?}");
        assert!(finding.changes.is_empty(), "{finding:?}");
    }
}

#[test]
fn every_knob_is_told_of_on_every_host() {
    for tree in [Tree::good(), Tree::empty()] {
        let findings = checks::all(&tree.host());
        for knob in checks::knobs() {
            assert!(findings.iter().any(|finding| finding.knob.name == knob.name), "{}", knob.name);
            assert!(!knob.why.is_empty() && !knob.why.ends_with('.'), "{}", knob.name);
        }
        for finding in &findings {
            let known = checks::knobs().any(|knob| std::ptr::eq(knob, finding.knob));
            assert!(known, "{} is in no list", finding.knob.name);
            assert!(finding.verdict != CannotTell || !finding.note.is_empty(), "{finding:?}");
        }
    }
}

/// On an empty tree nothing can be told, and nothing is called good by mistake.
#[test]
fn nothing_is_good_where_nothing_is() {
    let tree = Tree::empty();
    // A kernel without nodes has no folder for them; what does not run does not run.
    let may = ["numa.placement", "irq.balance"];
    for finding in checks::all(&tree.host()) {
        assert!(may.contains(&finding.knob.name) || finding.verdict == CannotTell, "{finding:?}");
    }
}

/// Each file in turn removed, and filled with nonsense: nothing panics, and what was read from it is not called good.
#[test]
fn missing_and_senseless_files_are_told() {
    // What a good host need not have, or what is only looked at when something else is wrong.
    let optional = [
        "boot_id",
        "swaps",
        "available_clocksource",
        "wbt_lat_usec",
        "fua",
        "rotational",
        "name",
        "latency",
        "msi_irqs",
        "cpu.max",
        "memory.max",
        "affinity_list",
        "isolated",
        "nohz_full",
        "operstate",
        "numa_balancing",
        "io_uring_disabled",
        "scheduler",
        "cgroup",
    ];
    let tree = Tree::good();
    let paths: Vec<String> = tree.values().into_keys().collect();
    assert!(paths.len() > 80, "{} files", paths.len());
    for path in paths {
        let place = tree.root().locate(&path);
        let sound = fs::read(&place).expect("it was just listed");
        for nonsense in [None, Some(&b"\xff\xfe\x00"[..]), Some(b"-"), Some(b"99999999999999999999999 x [")] {
            match nonsense {
                None => tree.remove(&path),
                Some(bytes) => fs::write(&place, bytes).expect("room"),
            }
            let noticed = checks::all(&tree.host()).iter().any(|finding| finding.verdict != Good);
            // Cores 2 and 3 run no shards.
            let unused = path.contains("/cpu2/") || path.contains("/cpu3/");
            let silent = unused || optional.iter().any(|name| path.contains(name));
            assert!(noticed || silent, "{nonsense:?} at {path} went unnoticed");
        }
        fs::write(&place, sound).expect("room");
    }
}

#[test]
fn sysctls() {
    for (name, text, verdict) in [
        ("fs.file-max", "1048575", CouldBeBetter),
        ("fs.nr_open", "1024", CouldBeBetter),
        ("vm.zone_reclaim_mode", "1", CouldBeBetter),
        ("net.core.somaxconn", "128", CouldBeBetter),
        ("net.core.somaxconn", "many", CannotTell),
        ("net.core.wmem_max", "131071", Bad),
        ("net.ipv4.tcp_rmem", "4096 131072 4194303", CouldBeBetter),
        ("net.ipv4.tcp_rmem", "4096 131072", CannotTell),
        ("net.ipv4.tcp_slow_start_after_idle", "1", CouldBeBetter),
        ("net.core.busy_poll", "50", CouldBeBetter),
    ] {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        check(name, &path, text, verdict, "");
    }
}

#[test]
fn kernel_and_limits() {
    check("kernel.version", "/proc/sys/kernel/osrelease", "5.15.0-1-generic", Bad, "upgrade");
    check("kernel.version", "/proc/sys/kernel/osrelease", "6.1", Good, "");
    check("kernel.version", "/proc/sys/kernel/osrelease", "newest", CannotTell, "\"newest\"");
    let switch = "/proc/sys/kernel/io_uring_disabled";
    check("kernel.io_uring_disabled", switch, "2", Bad, "");
    check("kernel.io_uring_disabled", switch, "1", Bad, "kernel.io_uring_group");
    check("kernel.io_uring_disabled", switch, "no", CannotTell, "\"no\"");
    let tree = Tree::good();
    tree.put(switch, "1");
    tree.put("/proc/sys/kernel/io_uring_group", "992");
    assert_eq!(worst(&tree.host(), "kernel.io_uring_disabled").verdict, Good);
    tree.put("/proc/sys/kernel/io_uring_group", "-1");
    assert_eq!(worst(&tree.host(), "kernel.io_uring_disabled").verdict, Bad);
    for (locked, verdict) in
        [("786431", Bad), ("786432", CouldBeBetter), ("1572864", Good), ("x", CannotTell)]
    {
        let text = format!("Max open files 1024 4095 files\nMax locked memory 1 {locked} bytes");
        check("limits.memlock", LIMITS, &text, verdict, "");
        check("limits.nofile", LIMITS, &text, Bad, "4095");
    }
    check("limits.nofile", LIMITS, "Max open files 1024 4096 files", CouldBeBetter, "LimitNOFILE");
    check("limits.nofile", LIMITS, "Max locked memory 1 1 bytes", CannotTell, "does not tell");
}

#[test]
fn containers() {
    let status = |seccomp: &str, cores: &str| format!("Seccomp:\t{seccomp}\nCpus_allowed_list:\t{cores}");
    check("container.seccomp", STATUS, &status("2", "0-3"), CannotTell, "only the process itself");
    check("container.seccomp", STATUS, &status("7", "0-3"), CannotTell, "\"7\"");
    let tree = Tree::good();
    tree.put(STATUS, &status("2", "0-3"));
    let mut host = tree.host();
    for (ring, verdict) in [(Ok(()), Good), (Err("not permitted".to_string()), Bad)] {
        host.ring = Some(ring);
        assert_eq!(worst(&host, "container.seccomp").verdict, verdict);
    }
    check("container.cores", STATUS, &status("0", "3"), Bad, "--shards");
    check("container.cores", STATUS, &status("0", "x"), CannotTell, "\"x\"");
    let quota = format!("{GROUP}/corelane.service/cpu.max");
    check("container.cpu-quota", &quota, "150000 100000", Bad, "1.50 cores");
    check("container.cpu-quota", &quota, "400000 100000", CouldBeBetter, "4.00 cores");
    check("container.cpu-quota", &format!("{GROUP}/cpu.max"), "50000 100000", Bad, "0.50 cores");
    let memory = format!("{GROUP}/corelane.service/memory.max");
    check("container.memory", &memory, "1073741824", Bad, "corelane.memory.bytes");
    check("container.memory", &memory, "3221225472", CouldBeBetter, "3221225472");
    check("container.memory", &memory, "9223372036854771712", Good, "no limit");
    // Version 1 of control groups.
    let tree = Tree::good();
    tree.put("/proc/self/cgroup", "9:name=systemd:/\n4:memory:/docker/ab\n1:cpu,cpuacct:/docker/ab\n0::/");
    tree.put("/sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes", "1000000");
    tree.put("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "100000");
    tree.put("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000");
    assert_eq!(worst(&tree.host(), "container.memory").verdict, Bad);
    assert_eq!(worst(&tree.host(), "container.cpu-quota").is, "1.00 cores");
}

#[test]
fn cores() {
    let governor = format!("{CPU}/cpu1/cpufreq/scaling_governor");
    check("cpu.governor", &governor, "powersave", Bad, "powersave on cores 1");
    // There it only leans towards saving.
    let tree = Tree::good();
    tree.put(&governor, "powersave");
    tree.put(&governor.replace("governor", "driver"), "intel_pstate");
    assert_eq!(worst(&tree.host(), "cpu.governor").verdict, CouldBeBetter);
    check("cpu.governor", &governor, "schedutil", CouldBeBetter, "schedutil on cores 1");
    check("cpu.governor", &format!("{CPU}/cpu3/cpufreq/scaling_governor"), "powersave", Good, "");
    let disable = format!("{CPU}/cpu0/cpuidle/state1/disable");
    check("cpu.c-states", &disable, "0", Bad, "C6 allowed, 133 us");
    check("cpu.c-states", &disable, "maybe", CannotTell, "\"maybe\"");
    let tree = Tree::good();
    tree.put(&disable, "0");
    tree.folder("/dev");
    fs::write(tree.path().join("dev/cpu_dma_latency"), 5_i32.to_ne_bytes()).expect("room");
    let finding = worst(&tree.host(), "cpu.c-states");
    assert_eq!(finding.verdict, Good, "somebody keeps the cores awake: {finding:?}");
    fs::write(tree.path().join("dev/cpu_dma_latency"), 2000_i32.to_ne_bytes()).expect("room");
    assert_eq!(worst(&tree.host(), "cpu.c-states").verdict, Bad);
    check("cpu.clocksource", &format!("{CLOCK}/current_clocksource"), "hpet", Bad, "");
    check("cpu.clocksource", &format!("{CLOCK}/current_clocksource"), "xen", CouldBeBetter, "");
    check(
        "cpu.isolation",
        &format!("{CPU}/isolated"),
        "1-3",
        CouldBeBetter,
        "isolcpus=managed_irq,domain,0-1",
    );
    check("numa.placement", "/sys/devices/system/node/node1/cpulist", "", Good, "");
    check("numa.placement", "/sys/devices/system/node/node1/cpulist", "x", CannotTell, "node1");
    let tree = Tree::good();
    tree.put("/sys/devices/system/node/node0/cpulist", "0-1");
    tree.put("/sys/devices/system/node/node1/cpulist", "2-3");
    assert_eq!(worst(&tree.host(), "numa.placement").is, "shards on node 0");
    tree.put("/sys/devices/pci0/nic/numa_node", "1");
    let finding = worst(&tree.host(), "numa.placement");
    assert_eq!((finding.verdict, finding.is.as_str()), (CouldBeBetter, "shards on node 0, eth0 on 1"));
    tree.put("/sys/devices/pci0/nic/numa_node", "-1");
    assert_eq!(worst(&tree.host(), "numa.placement").verdict, Good);
}

#[test]
fn interrupts_and_queues() {
    let effective = "/proc/irq/40/effective_affinity_list";
    check("irq.affinity", effective, "0", CouldBeBetter, "cores 0");
    check("irq.affinity", effective, "", Good, "");
    check("irq.affinity", effective, "?", CannotTell, "\"?\"");
    check("irq.balance", "/proc/77/comm", "irqbalance", CouldBeBetter, "IRQBALANCE_BANNED_CPULIST=0-1");
    check("irq.balance", "/proc/77/comm", "sshd", Good, "does not run");
    let (rps, xps) =
        (format!("{}/queues/rx-1/rps_cpus", Tree::CARD), format!("{}/queues/tx-1/xps_cpus", Tree::CARD));
    check("nic.rps", &rps, "f", CouldBeBetter, "cores 0-3, 2 queues");
    check("nic.rps", &rps, "zero", CannotTell, "\"zero\"");
    check("nic.xps", &xps, "0", CouldBeBetter, "cores 0,2 have");
    check("nic.xps", &xps, "", CannotTell, "\"\"");
    check("nic.coalescing", &format!("{}/gro_flush_timeout", Tree::CARD), "20000", CouldBeBetter, "20000 ns");
    check(
        "nic.ring",
        &format!("{}/statistics/rx_missed_errors", Tree::CARD),
        "3",
        CouldBeBetter,
        "3 packets",
    );
    check("nic.queues", &format!("{}/operstate", Tree::CARD), "down", CannotTell, "no interface");
    // One queue for two shards: packets are handed to the cores without shards, or to all if there are none.
    for (shards, mask) in [(2, "0000000c"), (4, "0000000f")] {
        let tree = Tree::good();
        tree.remove(&rps);
        fs::remove_dir(tree.root().locate(&rps).parent().expect("a folder")).expect("it is empty");
        let mut host = tree.host();
        host.shards = Some(shards);
        assert_eq!(worst(&host, "nic.queues").verdict, CouldBeBetter);
        assert_eq!(worst(&host, "nic.rps").changes[0].value, mask);
    }
    // Without spare cores interrupts may go anywhere.
    let tree = Tree::good();
    tree.put(effective, "0");
    let mut host = tree.host();
    host.shards = None;
    assert_eq!(worst(&host, "irq.affinity").verdict, Good);
}

#[test]
fn memory() {
    check("vm.swappiness", "/proc/sys/vm/swappiness", "60", CouldBeBetter, "60");
    check("vm.swappiness", "/proc/sys/vm/swappiness", "10", Good, "");
    let tree = Tree::good();
    tree.put("/proc/sys/vm/swappiness", "60");
    tree.put("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority");
    assert_eq!(worst(&tree.host(), "vm.swappiness").is, "60, but there is no swap");
    let huge = "/sys/kernel/mm/transparent_hugepage/enabled";
    check("vm.transparent-hugepages", huge, "[always] madvise never", CouldBeBetter, "always");
    check("vm.transparent-hugepages", huge, "always madvise [never]", Good, "");
    check("vm.transparent-hugepages", huge, "[sometimes]", CannotTell, "sometimes");
    check("kernel.numa_balancing", "/proc/sys/kernel/numa_balancing", "1", CouldBeBetter, "1");
}

#[test]
fn disks() {
    check("disk.scheduler", &format!("{QUEUE}/scheduler"), "none [bfq]", Bad, "bfq");
    check(
        "disk.scheduler",
        &format!("{QUEUE}/scheduler"),
        "[mq-deadline] none",
        CouldBeBetter,
        "mq-deadline",
    );
    check("disk.scheduler", &format!("{QUEUE}/scheduler"), "[fifo]", CannotTell, "fifo");
    check("disk.scheduler", &format!("{QUEUE}/rotational"), "1", CouldBeBetter, "none");
    check("disk.nr_requests", &format!("{QUEUE}/nr_requests"), "64", CouldBeBetter, "corelane tune disk");
    // What was measured counts, and a damaged file does not.
    for (text, places, verdict) in [
        ("version = 1\n[bounds]\nwrites_max = 20\nreads_max = 4", "24", Good),
        ("version = 1\n[bounds]\nwrites_max = 20\nreads_max = 4", "23", CouldBeBetter),
        ("version = 1\n[bounds]\nwrites_max = 20", "159", CouldBeBetter),
        ("version = 1\n[bounds]\nwrites_max = 20", "160", Good),
    ] {
        let tree = Tree::good();
        tree.put("/var/lib/corelane/disk.toml", text);
        tree.put(&format!("{QUEUE}/nr_requests"), places);
        assert_eq!(worst(&tree.host(), "disk.nr_requests").verdict, verdict, "{places} with {text:?}");
    }
    check("disk.write-cache", &format!("{QUEUE}/write_cache"), "write back", CouldBeBetter, "never write");
    check("disk.write-cache", &format!("{QUEUE}/write_cache"), "none", CannotTell, "\"none\"");
    check("disk.nomerges", &format!("{QUEUE}/nomerges"), "0", CouldBeBetter, "0");
    check("disk.nomerges", &format!("{QUEUE}/nomerges"), "3", CannotTell, "3");
    check("disk.rq_affinity", &format!("{QUEUE}/rq_affinity"), "1", CouldBeBetter, "1");
    let tree = Tree::good();
    tree.put(&format!("{QUEUE}/write_cache"), "write back");
    tree.put(&format!("{QUEUE}/fua"), "1");
    assert_eq!(worst(&tree.host(), "disk.write-cache").verdict, Good);
    // Whatever is found, the write cache is not ours to declare away.
    assert!(worst(&tree.host(), "disk.write-cache").changes.is_empty());
    let row = |kind: &str, options: &str| format!("29 1 259:1 / / rw - {kind} /dev/nvme0n1 {options}");
    for (kind, verdict) in
        [("xfs", Good), ("btrfs", CouldBeBetter), ("tmpfs", Bad), ("fuse.sshfs", Bad), ("newfs", CannotTell)]
    {
        check("disk.filesystem", MOUNTS, &row(kind, "rw"), verdict, "");
    }
    for (options, verdict, said) in [
        ("rw,noatime", Good, ""),
        ("rw,discard", CouldBeBetter, "fstrim"),
        ("rw,discard,nobarrier", Bad, "lost with the power"),
        ("rw,data=journal", Bad, "journal"),
    ] {
        check("disk.mount-options", MOUNTS, &row("ext4", options), verdict, said);
    }
    check("disk.scheduler", MOUNTS, "29 1 0:5 / / rw - overlay overlay rw", CannotTell, "no block device");
}
