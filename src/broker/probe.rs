//! What the machine must offer, looked at before anything is started.
//!
//! Every probe answers with nothing or with one sentence that says what is wrong and how to mend it. There is no
//! half-working fallback: a broker that starts without direct I/O or io_uring would keep none of its promises.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use corelane_base::aligned::{BLOCK_BYTES, aligned_buffer};
use corelane_tuning::checks::limits::kernel_version;
use corelane_tuning::needs::{BACKLOG, FILES_WANTED, KERNEL_MIN, SEND_BUFFER_BYTES, memlock_bytes};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ring;

/// How long a port may stay taken. The kernel takes apart the rings of a killed process after the process is gone, and
/// they hold its listeners: a supervisor that starts the next broker at once meets the port of the last.
const PORT_PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks at a taken port.
const PORT_PAUSE: Duration = Duration::from_millis(5);
/// File systems that take `O_DIRECT` and ignore it.
const IN_MEMORY: &[(i64, &str)] = &[(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];

/// Checks kernel, io_uring and limits. Raises the limits of open files and of locked memory as far as it may.
pub fn machine(shards: u16) -> Result<(), String> {
    kernel(&rustix::system::uname().release().to_string_lossy())?;
    memlock(getrlimit(Resource::Memlock), shards)?;
    ring_allowed()?;
    raise_files();
    Ok(())
}

/// Raises the limit of open files: what may raise the hard limit raises it, too; all others take what it allows.
fn raise_files() {
    let hard = getrlimit(Resource::Nofile).maximum;
    let known = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    let wanted = hard.map(|hard| hard.max(FILES_WANTED.min(known.unwrap_or(0))));
    // Failing both, as many as there were.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: wanted })
        .or_else(|_| setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }));
}

fn kernel(release: &str) -> Result<(), String> {
    if kernel_version(release).is_some_and(|found| found >= KERNEL_MIN) {
        return Ok(());
    }
    let (major, minor) = KERNEL_MIN;
    Err(format!(
        "this kernel is Linux {release}, but Corelane needs {major}.{minor} or newer: upgrade the kernel"
    ))
}

/// Raises the limit to what the shards need, as far as it may. What is missing then is only refused below what a single
/// shard needs: a privileged process is not held to it.
fn memlock(limit: Rlimit, shards: u16) -> Result<(), String> {
    let (least, wanted) = (memlock_bytes(1), memlock_bytes(u64::from(shards)));
    let mut allowed = limit.current.unwrap_or(u64::MAX);
    let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    if allowed < raised
        && setrlimit(Resource::Memlock, Rlimit { current: Some(raised), maximum: limit.maximum }).is_ok()
    {
        allowed = raised;
    }
    if allowed >= least {
        return Ok(());
    }
    Err(format!(
        "only {allowed} bytes of memory may be locked, but io_uring needs {wanted}: raise it with 'ulimit -l {}', \
         LimitMEMLOCK={}K in a systemd unit, or --ulimit memlock={wanted} for a container",
        wanted >> 10,
        wanted >> 10,
    ))
}

fn ring_allowed() -> Result<(), String> {
    let Err(e) = ring::probe() else { return Ok(()) };
    let setting = "/proc/sys/kernel/io_uring_disabled";
    let disabled = fs::read_to_string(setting).unwrap_or_default();
    Err(match (e.raw_os_error(), disabled.trim()) {
        (Some(libc::EPERM), "1" | "2") => format!(
            "io_uring is switched off on this machine (kernel.io_uring_disabled={}): switch it on with \
             'sysctl -w kernel.io_uring_disabled=0'",
            disabled.trim()
        ),
        (Some(libc::EPERM | libc::EACCES), _) => "io_uring is forbidden to this process, most likely by a container \
             runtime's seccomp profile: allow io_uring_setup, io_uring_enter and io_uring_register in the profile, or \
             start the container with --security-opt seccomp=unconfined"
            .to_string(),
        (Some(libc::ENOSYS), _) => {
            "this kernel was built without io_uring: use one with CONFIG_IO_URING=y".to_string()
        }
        (Some(libc::ENOMEM), _) => "io_uring may not lock enough memory: raise the limit with 'ulimit -l 8192' or \
             LimitMEMLOCK=8M in a systemd unit"
            .to_string(),
        _ => format!("io_uring cannot be set up ({e}): Corelane needs Linux {}.{}", KERNEL_MIN.0, KERNEL_MIN.1),
    })
}

/// Makes the data directory if it is missing and takes its lock, which holds as long as the file is open.
pub fn lock_data_dir(dir: &Path) -> Result<File, String> {
    fs::create_dir_all(dir).map_err(|e| {
        format!(
            "the data directory {} cannot be created ({e}): choose another with --data-dir",
            dir.display()
        )
    })?;
    let path = dir.join("lock");
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut lock = opened.map_err(|e| {
        format!(
            "{} cannot be opened ({e}): the data directory must belong to the broker's user",
            path.display()
        )
    })?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            let holder = if pid.trim().is_empty() {
                "another process".into()
            } else {
                format!("process {}", pid.trim())
            };
            return Err(format!(
                "the data directory {} is in use by {holder}: stop that broker or choose another with --data-dir",
                dir.display()
            ));
        }
        Err(fs::TryLockError::Error(e)) => {
            return Err(format!(
                "{} cannot be locked ({e}): put the data directory on a local file system",
                path.display()
            ));
        }
    }
    let written =
        lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
    written
        .map_err(|e| format!("{} cannot be written ({e}): make room on the file system", path.display()))?;
    Ok(lock)
}

/// Checks that files in `dir` can be read and written past the page cache, for true.
pub fn direct_io(dir: &Path) -> Result<(), String> {
    let shown = dir.display();
    let kind = rustix::fs::statfs(dir)
        .map_err(|e| format!("the file system of {shown} cannot be asked: {e}"))?
        .f_type;
    if let Some((_, name)) = IN_MEMORY.iter().find(|(magic, _)| *magic == kind as i64) {
        return Err(format!(
            "the data directory {shown} lies on {name}, which keeps files in memory only: choose a directory on a \
             disk with --data-dir"
        ));
    }
    let path = dir.join(".probe");
    let tried = || -> io::Result<()> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path)?;
        let mut block = aligned_buffer(BLOCK_BYTES);
        block.resize(BLOCK_BYTES, 0);
        rustix::io::pwrite(&file, &block, 0)?;
        Ok(())
    };
    let result = tried();
    let _ = fs::remove_file(&path);
    let Err(e) = result else { return Ok(()) };
    let full = matches!(e.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
    if full && dir.join("metadata").is_dir() {
        // A broker has run here, so direct I/O works. It has to start: reading and deleting is how room is made.
        return Ok(());
    }
    Err(match e.raw_os_error() {
        Some(libc::EINVAL) => format!(
            "the file system of the data directory {shown} has no direct I/O (O_DIRECT): choose a directory on ext4, \
             XFS or another local file system with --data-dir"
        ),
        Some(libc::ENOSPC | libc::EDQUOT) => {
            format!(
                "the file system of the data directory {shown} is full: make room or choose another with --data-dir"
            )
        }
        _ => {
            format!("the data directory {shown} cannot be written ({e}): it must belong to the broker's user")
        }
    })
}

/// The cores this process may run on, in order.
pub fn cores() -> Result<Vec<usize>, String> {
    let set = rustix::thread::sched_getaffinity(None)
        .map_err(|e| format!("the kernel does not say which cores this process may use: {e}"))?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// How many shards to run if nobody says: one for each of `cores`, but no more than a container's quota can feed.
#[must_use]
pub fn shards_by_default(cores: usize) -> usize {
    std::thread::available_parallelism().map_or(cores, |fed| cores.min(fed.get()))
}

/// Binds one socket per shard to `address`, none listening yet. Port 0 becomes a free port, the same for all.
pub fn bind(address: SocketAddr, shards: u16) -> Result<Vec<OwnedFd>, String> {
    let wrong = |e: io::Error| match e.kind() {
        ErrorKind::AddrInUse => {
            format!("{address} is in use by another process: stop it or choose another address with --listen")
        }
        ErrorKind::AddrNotAvailable => format!(
            "{} is no address of this machine: choose one that is, or 0.0.0.0 for all, with --listen",
            address.ip()
        ),
        ErrorKind::PermissionDenied => {
            format!(
                "port {} is kept for the system's own services: choose one above 1023 with --listen",
                address.port()
            )
        }
        _ => format!("cannot listen on {address}: {e}"),
    };
    if address.port() != 0 {
        // The shards' sockets share their port, with another broker of the same user as well: this one does not.
        free(address).map_err(wrong)?;
    }
    let mut sockets: Vec<OwnedFd> = Vec::new();
    let mut at = address;
    for _ in 0..shards {
        let bound = socket(at, true).map_err(wrong)?;
        at = local_address(&bound).map_err(wrong)?;
        sockets.push(bound);
    }
    Ok(sockets)
}

/// Waits until nobody listens on a port, as long as `PORT_PATIENCE`.
fn free(address: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + PORT_PATIENCE;
    loop {
        match socket(address, false) {
            Err(e) if e.kind() == ErrorKind::AddrInUse && Instant::now() < end => {
                std::thread::sleep(PORT_PAUSE);
            }
            result => return result.map(drop),
        }
    }
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
        // What accepted sockets inherit; Linux doubles the size for its own book-keeping.
        sockopt::set_tcp_nodelay(&socket, true)?;
        // A client that vanished without a word is found in the end.
        sockopt::set_socket_keepalive(&socket, true)?;
        sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// The address a socket is bound to.
pub fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let bound = rustix::net::getsockname(socket)?;
    SocketAddr::try_from(bound).map_err(|_| io::Error::other("an internet socket has an internet address"))
}

/// Lets clients connect to bound sockets.
pub fn open(sockets: &[OwnedFd]) -> Result<(), String> {
    for socket in sockets {
        rustix::net::listen(socket, BACKLOG).map_err(|e| format!("cannot listen: {e}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart() {
        for (release, expected) in [
            ("6.1.0", true),
            ("6.18.44-fc", true),
            ("7.0", true),
            ("6.0.19-x", false),
            ("5.15.0", false),
            ("?", false),
        ] {
            assert_eq!(kernel(release).is_ok(), expected, "{release}");
        }
    }

    #[test]
    fn too_little_lockable_memory_is_refused_with_a_remedy() {
        let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
        assert_eq!(memlock(limit(memlock_bytes(1)), 1), Ok(()));
        let why = memlock(limit(65536), 16).expect_err("too little");
        assert!(why.contains("65536") && why.contains("ulimit -l 6144"), "{why}");
    }

    #[test]
    fn all_open_files_that_the_system_allows_are_taken() {
        let before = getrlimit(Resource::Nofile);
        raise_files();
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.current, after.maximum);
        assert!(after.maximum >= before.maximum, "{after:?} after {before:?}");
    }

    #[test]
    fn this_machine_passes() {
        assert_eq!(machine(2), Ok(()));
        assert!(!cores().expect("a number of cores").is_empty());
    }

    #[test]
    fn memory_file_systems_are_refused() {
        let why = direct_io(Path::new("/dev/shm")).expect_err("files in memory only");
        assert!(why.contains("tmpfs") && why.contains("--data-dir"), "{why}");
    }

    #[test]
    fn a_second_broker_is_refused_with_the_first_ones_pid() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/probe-{}", std::process::id()));
        let lock = lock_data_dir(&dir).expect("a new directory");
        assert_eq!(direct_io(&dir), Ok(()));
        let why = lock_data_dir(&dir).expect_err("it is locked");
        assert!(why.contains(&format!("process {}", std::process::id())), "{why}");
        drop(lock);
        assert!(lock_data_dir(&dir).is_ok(), "the lock ends with its file");
        fs::remove_dir_all(&dir).expect("removes what it made");
    }

    #[test]
    fn sockets_share_a_port_and_a_taken_one_is_refused() {
        let sockets = bind("127.0.0.1:0".parse().expect("an address"), 3).expect("a free port");
        let addresses: Vec<SocketAddr> =
            sockets.iter().map(|one| local_address(one).expect("bound")).collect();
        assert!(
            addresses.iter().all(|address| *address == addresses[0] && address.port() != 0),
            "{addresses:?}"
        );
        open(&sockets).expect("nobody else has the port");
        let why = bind(addresses[0], 1).expect_err("the port is taken");
        assert!(why.contains("in use"), "{why}");
    }
}
