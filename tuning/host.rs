//! The host as the checks see it: a tree, whose limits count, where the data lies, and which cores run shards.

use crate::cpus::Cpus;
use crate::root::Root;

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where `/proc` and `/sys` are.
    pub root: Root,
    /// Whose limits count: the folder below `/proc`, `self` or a process id.
    pub process: String,
    /// The data directory, absolute, inside the root. It need not exist yet.
    pub data_dir: String,
    /// How many shards run or will run; `None` is the broker's default, one for each core it may use.
    pub shards: Option<u16>,
    /// Whether a ring could be set up just now, or why not; `None` if nobody tried.
    pub ring: Option<Result<(), String>>,
}

/// Where the data directory is mounted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mount {
    /// Where, as a path.
    pub point: String,
    /// `MAJOR:MINOR` of the file system.
    pub device: String,
    /// `ext4`, `xfs`...
    pub kind: String,
    /// What was mounted, mostly a path below `/dev`.
    pub source: String,
    /// The options of the mount and of the file system.
    pub options: Vec<String>,
}

/// A disk, not a part of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disk {
    /// `sda`, `nvme0n1`...
    pub name: String,
    /// Its folder below `/sys`, without links.
    pub folder: String,
}

impl Host {
    /// A file of the process in question.
    #[must_use]
    pub fn process_file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process)
    }

    /// A field of the process's `status`. Errors: why there is none.
    pub fn status(&self, field: &str) -> Result<String, String> {
        let path = self.process_file("status");
        let text = self.root.text(&path)?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.map(|value| value.trim().to_string()).ok_or_else(|| format!("{path} does not tell {field}"))
    }

    /// The cores that the process may use. Errors: why that is not known.
    pub fn allowed(&self) -> Result<Cpus, String> {
        let text = self.status("Cpus_allowed_list")?;
        let known = Cpus::of_list(&text).filter(|cpus| !cpus.0.is_empty());
        known.ok_or_else(|| format!("{text:?} is no list of cores"))
    }

    /// The cores that are switched on. Errors: why that is not known.
    pub fn online(&self) -> Result<Cpus, String> {
        let path = "/sys/devices/system/cpu/online";
        let text = self.root.text(path)?;
        let known = Cpus::of_list(&text).filter(|cpus| !cpus.0.is_empty());
        known.ok_or_else(|| format!("{path} holds {text:?}, which is no list of cores"))
    }

    /// The cores that shards are pinned to: the first of the allowed ones. Errors: why that is not known.
    pub fn shard_cores(&self) -> Result<Cpus, String> {
        let allowed = self.allowed()?;
        let count = self.shards.map_or(allowed.0.len(), usize::from);
        Ok(Cpus::of(allowed.0.into_iter().take(count)))
    }

    /// The cores that run no shard. Errors: why that is not known.
    pub fn spare_cores(&self) -> Result<Cpus, String> {
        Ok(self.online()?.without(&self.shard_cores()?))
    }

    /// How many shards there are. Errors: why that is not known.
    pub fn shard_count(&self) -> Result<usize, String> {
        match self.shards {
            Some(count) => Ok(usize::from(count)),
            None => Ok(self.allowed()?.0.len()),
        }
    }

    /// The mount that the data directory lies on. Errors: why that is not known.
    pub fn mount(&self) -> Result<Mount, String> {
        let path = self.process_file("mountinfo");
        let text = self.root.text(&path)?;
        let dir = self.real_dir();
        let holds = |point: &str| {
            point == "/"
                || dir.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mounts = text.lines().filter_map(parse_mount).filter(|mount| holds(&mount.point));
        // Of several on one point the last one hides the others.
        let found = mounts.max_by_key(|mount| mount.point.len());
        found.ok_or_else(|| format!("{path} names no mount for {dir}"))
    }

    /// The data directory without links, as far as it exists.
    fn real_dir(&self) -> String {
        let mut known = self.data_dir.trim_end_matches('/');
        loop {
            let missing = &self.data_dir[known.len()..];
            match self.root.resolve(known) {
                Some(real) => {
                    return format!("{}{}", real.trim_end_matches('/'), missing.trim_end_matches('/'));
                }
                None => known = known.rsplit_once('/').map_or("", |(parent, _)| parent),
            }
            if known.is_empty() {
                return self.data_dir.clone();
            }
        }
    }

    /// The disks below the data directory; several if it is striped or mirrored. Errors: why they are not known.
    pub fn disks(&self) -> Result<Vec<Disk>, String> {
        let mount = self.mount()?;
        let by_number = self.root.resolve(&format!("/sys/dev/block/{}", mount.device));
        let by_name = || {
            let name = mount.source.strip_prefix("/dev/")?;
            self.root.resolve(&format!("/sys/class/block/{}", name.rsplit('/').next()?))
        };
        let folder = by_number.or_else(by_name).ok_or_else(|| {
            format!("the {} of {} lies on no block device that /sys shows", mount.kind, mount.point)
        })?;
        let mut disks = Vec::new();
        self.gather_disks(folder, 0, &mut disks);
        Ok(disks)
    }

    /// Adds the disks below the device at `folder`, through partitions and mappings.
    fn gather_disks(&self, mut folder: String, depth: u32, disks: &mut Vec<Disk>) {
        const DEPTH_MAX: u32 = 8;
        if self.root.has(&format!("{folder}/partition")) {
            folder.truncate(folder.rfind('/').unwrap_or(folder.len()));
        }
        let below = self.root.names(&format!("{folder}/slaves"));
        if below.is_empty() || depth == DEPTH_MAX {
            let name = folder.rsplit('/').next().unwrap_or(&folder).to_string();
            let disk = Disk { name, folder };
            if !disks.contains(&disk) {
                disks.push(disk);
            }
            return;
        }
        for name in below {
            if let Some(next) = self.root.resolve(&format!("{folder}/slaves/{name}")) {
                self.gather_disks(next, depth + 1, disks);
            }
        }
    }

    /// The network interfaces with hardware (or a hypervisor) behind them that are up.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        let up = |name: &String| {
            let state = self.root.text(&format!("/sys/class/net/{name}/operstate"));
            state.is_ok_and(|state| state != "down")
        };
        let names = self.root.names("/sys/class/net").into_iter();
        names.filter(|name| self.root.has(&format!("/sys/class/net/{name}/device"))).filter(up).collect()
    }

    /// The interrupts of the device at `path` below `/sys`, or of the one that it sits in.
    #[must_use]
    pub fn interrupts(&self, path: &str) -> Vec<u32> {
        const PARENTS_MAX: usize = 4;
        let Some(mut folder) = self.root.resolve(path) else { return Vec::new() };
        for _ in 0..PARENTS_MAX {
            let numbers: Vec<u32> = self
                .root
                .names(&format!("{folder}/msi_irqs"))
                .iter()
                .filter_map(|name| name.parse().ok())
                .filter(|number| self.root.has(&format!("/proc/irq/{number}/smp_affinity_list")))
                .collect();
            if !numbers.is_empty() {
                return numbers;
            }
            folder.truncate(folder.rfind('/').unwrap_or(0));
            if !folder.contains("/devices/") {
                break;
            }
        }
        Vec::new()
    }
}

/// One line of `mountinfo`: `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - KIND SOURCE OPTIONS`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ').skip(2);
    let (device, _root, point, options) = (front.next()?, front.next()?, front.next()?, front.next()?);
    let mut back = back.split(' ');
    let (kind, source, more) = (back.next()?, back.next()?, back.next().unwrap_or(""));
    let options = options.split(',').chain(more.split(',')).filter(|option| !option.is_empty());
    Some(Mount {
        point: unescape(point),
        device: device.to_string(),
        kind: kind.to_string(),
        source: unescape(source),
        options: options.map(str::to_string).collect(),
    })
}

/// Blanks and the like stand in `mountinfo` as three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or("").to_string();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii);
        match code {
            Some(code) => {
                out.push(char::from(code));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::tree_test::Tree;

    #[test]
    fn the_deepest_mount_counts() {
        let tree = Tree::good();
        tree.put(
            "/proc/self/mountinfo",
            "27 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
             30 27 0:30 / /var rw - tmpfs tmpfs rw\n\
             31 27 8:2 / /var rw,noatime shared:1 - xfs /dev/sda2 rw\n\
             32 27 8:3 / /var/lib/core rw - ext4 /dev/sda3 rw\n\
             33 27 8:4 / /var/lib/co\\040re rw - ext4 /dev/sda4 rw\n\
             garbage",
        );
        let mut host = tree.host();
        let mut check = |dir: &str, point: &str, device: &str| {
            host.data_dir = dir.to_string();
            let mount = host.mount().expect("the root is mounted");
            assert_eq!((mount.point.as_str(), mount.device.as_str()), (point, device), "{dir}");
        };
        check("/var/lib/corelane", "/var", "8:2");
        check("/srv/data", "/", "8:1");
        tree.folder("/var/lib/core/data");
        check("/var/lib/core/data/deeper", "/var/lib/core", "8:3");
        tree.folder("/var/lib/co re");
        check("/var/lib/co re", "/var/lib/co re", "8:4");
    }

    #[test]
    fn disks_are_found_below_partitions_and_mappings() {
        let tree = Tree::good();
        let host = tree.host();
        assert_eq!(host.disks().expect("a disk")[0].name, "nvme0n1");
        for disk in ["sdb", "sdc"] {
            tree.put(&format!("/sys/devices/{disk}/{disk}1/partition"), "1");
            tree.link(
                &format!("/sys/devices/virtual/dm-0/slaves/{disk}1"),
                &format!("../../../{disk}/{disk}1"),
            );
        }
        tree.link("/sys/dev/block/259:1", "../../devices/virtual/dm-0");
        let names: Vec<String> = host.disks().expect("disks").into_iter().map(|disk| disk.name).collect();
        assert_eq!(names, ["sdb", "sdc"]);
        tree.remove("/sys/dev/block/259:1");
        assert!(host.disks().expect_err("nothing is there").contains("no block device"));
    }

    #[test]
    fn shards_take_the_first_cores() {
        let tree = Tree::good();
        let mut host = tree.host();
        for (shards, cores, spare) in [(Some(2), "0-1", "2-3"), (Some(9), "0-3", ""), (None, "0-3", "")] {
            host.shards = shards;
            assert_eq!(host.shard_cores().map(|cores| cores.to_string()), Ok(cores.to_string()));
            assert_eq!(host.spare_cores().map(|cores| cores.to_string()), Ok(spare.to_string()));
        }
        tree.put("/proc/self/status", "Cpus_allowed_list:\tmany");
        assert!(host.shard_cores().expect_err("no list").contains("\"many\""));
    }
}
