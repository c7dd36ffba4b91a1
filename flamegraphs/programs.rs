//! The programs that a recording needs: the broker with frame pointers, the load, perf.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the broker with frame pointers is built, below the repository: its flags are not those of other builds.
const PROFILED: &str = "target/profiling";

/// What is run, and what it was built from.
pub struct Programs {
    /// The broker.
    pub broker: PathBuf,
    /// `corelane-bench`.
    pub bench: PathBuf,
    /// `commit 0123456789`, or that the broker was given.
    pub commit: String,
}

impl Programs {
    /// Builds what is not given. Errors: perf is absent, or a build failed.
    pub fn prepare(root: &Path, given: Option<&Path>) -> io::Result<Programs> {
        check_perf("perf")?;
        let commit = match given {
            Some(_) => "a given broker".to_owned(),
            None => format!("commit {}", commit(root)?),
        };
        build(root, &["--release", "-p", "corelane-bench"], "")?;
        let broker = match given {
            Some(broker) => broker.canonicalize().map_err(|error| {
                io::Error::other(format!("{} cannot be used as a broker: {error}", broker.display()))
            })?,
            None => {
                let args = ["--profile", "profiling", "-p", "corelane", "--target-dir", PROFILED];
                build(root, &args, "-Cforce-frame-pointers=yes")?;
                root.join(PROFILED).join("profiling/corelane")
            }
        };
        Ok(Programs { broker, bench: root.join("target/release/corelane-bench"), commit })
    }
}

/// The repository that the current directory lies in. Errors: it lies in none.
pub fn repository() -> io::Result<PathBuf> {
    let here = std::env::current_dir()?;
    let root = here.ancestors().find(|folder| folder.join("flamegraphs/Cargo.toml").exists());
    root.map(Path::to_owned)
        .ok_or_else(|| io::Error::other("this is not Corelane's repository: change into it and try again"))
}

/// What a program printed. Errors: it failed, and what it said.
pub fn output(command: &mut Command) -> io::Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{name} failed ({}): {}", output.status, said.trim())))
}

/// Whether perf can be run. Errors: how to install it.
fn check_perf(perf: &str) -> io::Result<()> {
    output(Command::new(perf).arg("--version")).map(drop).map_err(|error| {
        io::Error::other(format!(
            "perf cannot be run ({error}): install it (Debian: apt-get install linux-perf, \
             Ubuntu: apt-get install linux-tools-generic)"
        ))
    })
}

/// The commit that lies checked out, with a `+` if files differ from it; pictures and readings are no part of what is built.
fn commit(root: &Path) -> io::Result<String> {
    let git = |args: &[&str]| output(Command::new("git").arg("-C").arg(root).args(args));
    let name = String::from_utf8_lossy(&git(&["rev-parse", "--short=10", "HEAD"])?).trim().to_owned();
    let changed = !git(&["status", "--porcelain", "--", ".", ":!flamegraphs"])?.is_empty();
    Ok(name + if changed { "+" } else { "" })
}

fn build(root: &Path, args: &[&str], flags: &str) -> io::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).arg("build").args(args);
    if !flags.is_empty() {
        command.env("RUSTFLAGS", flags);
    }
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("cargo build {} failed", args.join(" "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_perf_is_explained() {
        let error = check_perf("no-such-perf").expect_err("not there");
        assert!(error.to_string().contains("apt-get install linux-perf"), "{error}");
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let error =
            output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).expect_err("it failed");
        assert!(error.to_string().contains("broken"), "{error}");
        assert_eq!(output(Command::new("echo").arg("fine")).expect("it ran"), b"fine\n");
    }
}
