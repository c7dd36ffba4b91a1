//! The machine a figure was taken on: a figure without it says nothing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// What `/proc` and `/sys` say of cores, memory, kernel, load, and the file system that `dir` is on.
pub fn describe(dir: &Path) -> Value {
    let cpuinfo = read("/proc/cpuinfo");
    let cpu = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let memory = read("/proc/meminfo");
    let memory_kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    let uname = rustix::system::uname();
    let (mount, device, file_system, options) =
        mount_of(dir, &read("/proc/self/mountinfo")).unwrap_or_default();
    let mut machine = json!({
        "cpu": cpu("model name"),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "virtual": cpu("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        "memory_gib": memory_kib.map(|kib| (kib as f64 / f64::from(1 << 20) * 10.0).round() / 10.0),
        "kernel": uname.release().to_string_lossy(),
        "governor": option("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "clock_source": option("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "load_average": read("/proc/loadavg").split(' ').next().and_then(|one| one.parse::<f64>().ok()),
        "mount": mount,
        "device": device,
        "file_system": file_system,
        "mount_options": options,
    });
    machine["in_a_line"] = in_a_line(&machine).into();
    machine
}

/// One line for tables and captions.
pub fn in_a_line(machine: &Value) -> String {
    let text = |name: &str| machine[name].as_str().unwrap_or("?").to_owned();
    format!(
        "{} {}, {} cores, {} GiB, Linux {}, {} on {}, load {} at the start",
        if machine["virtual"] == true { "virtual machine," } else { "" },
        text("cpu"),
        machine["cores"],
        machine["memory_gib"],
        text("kernel"),
        text("file_system"),
        text("device"),
        machine["load_average"],
    )
    .trim_start()
    .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn option(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Mount point, device, type and options of the file system that holds `dir`.
fn mount_of(dir: &Path, mountinfo: &str) -> Option<(String, String, String, String)> {
    // The directory may not exist yet: its nearest ancestor does.
    let dir = dir
        .ancestors()
        .find_map(|dir| dir.canonicalize().ok())
        .or_else(|| Path::new(".").canonicalize().ok())?;
    let mounts = mountinfo.lines().filter_map(|line| {
        let (front, behind) = line.split_once(" - ")?;
        let front: Vec<&str> = front.split(' ').collect();
        let behind: Vec<&str> = behind.split(' ').collect();
        let mount = (*front.get(4)?).to_owned();
        Some((
            mount,
            (*behind.get(1)?).to_owned(),
            (*behind.first()?).to_owned(),
            (*front.get(5)?).to_owned(),
        ))
    });
    mounts.filter(|mount| dir.starts_with(&mount.0)).max_by_key(|mount| mount.0.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_holds_the_directory() {
        let info = "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                    2 1 0:5 / /proc rw - proc proc rw\n\
                    3 1 8:2 / /usr rw,noatime - xfs /dev/vdb rw\n";
        let found = |dir: &str| mount_of(Path::new(dir), info).map(|mount| (mount.0, mount.2, mount.3));
        let row = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found("/usr/lib"), row("/usr", "xfs", "rw,noatime"));
        assert_eq!(found("/etc"), row("/", "ext4", "rw,relatime"));
        assert_eq!(found("/usr/not-there-at-all/x"), row("/usr", "xfs", "rw,noatime"));
    }

    #[test]
    fn this_machine_is_described() {
        let machine = describe(Path::new("."));
        assert!(machine["cores"].as_u64().is_some_and(|cores| cores > 0));
        assert!(machine["in_a_line"].as_str().is_some_and(|line| line.contains("Linux")));
    }
}
