//! Waiting for others: for a process to end, which the kernel tells, and for a broker to be ready, which nobody tells.

use std::io;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Between two questions to a broker that was not ready: short against a start, long against an answer.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until a process has ended, but no longer than `patience`; how it ended, none if it still runs.
pub fn ended_within(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Ok(_) => return child.try_wait(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Asks until there is an answer, but no longer than `patience`; none if there was none by then.
///
/// The only place of this program that sleeps between looks: a broker cannot be asked to say when it will be ready, when a
/// partition has found its leader or when producer ids can be had, so clients ask again. Errors: the question's own.
pub fn ask_until_answered<T>(
    patience: Duration,
    mut ask: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        thread::sleep(ASK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_end_is_noticed_and_patience_has_one() {
        let mut lasting = Command::new("sleep").arg("600").spawn().expect("started");
        assert_eq!(ended_within(&mut lasting, Duration::from_millis(1)).expect("waited"), None);
        lasting.kill().expect("killed");
        let status =
            ended_within(&mut lasting, Duration::from_secs(60)).expect("waited").expect("it has ended");
        assert!(!status.success());
        assert_eq!(ended_within(&mut lasting, Duration::ZERO).expect("known"), Some(status));
    }

    #[test]
    fn questions_end_with_an_answer_an_error_or_patience() {
        let mut asked = 0;
        let mut third = || {
            asked += 1;
            Ok((asked == 3).then_some("yes"))
        };
        assert_eq!(ask_until_answered(Duration::from_secs(60), &mut third).expect("no error"), Some("yes"));
        assert_eq!(asked, 3);
        assert_eq!(ask_until_answered(Duration::ZERO, || Ok(None::<()>)).expect("no error"), None);
        let refused =
            ask_until_answered(Duration::from_secs(60), || Err::<Option<()>, _>(io::Error::other("no")));
        assert!(refused.is_err());
    }
}
