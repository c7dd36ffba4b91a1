//! Why a command did not succeed, and the exit code that tells a script so.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::client::ClientError;

/// Every way a command can fail. The numbers are promised in `corelane --help`.
#[derive(Debug)]
pub enum Failure {
    /// The broker said no, or part of the work was refused. Each refusal has been printed already where there are many.
    Refused(String),
    /// The command line asks for something that contradicts itself in a way the parser cannot see.
    Usage(String),
    /// No broker answers, or not in time.
    Unreachable(String),
    /// A local file, standard input or standard output.
    Local(String),
    /// A check found what it looks for.
    Damaged(String),
    /// Whoever read our standard output has had enough. No failure at all.
    OutputClosed,
}

impl Failure {
    /// Wraps a failed write to standard output.
    pub fn output(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Local(format!("cannot write to standard output: {error}")),
        }
    }

    /// The number for scripts.
    pub fn code(&self) -> u8 {
        match self {
            Failure::OutputClosed => 0,
            Failure::Refused(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unreachable(_) => 3,
            Failure::Local(_) => 4,
            Failure::Damaged(_) => 5,
        }
    }

    /// Prints the reason on standard error and gives the code.
    pub fn report(&self) -> ExitCode {
        if !matches!(self, Failure::OutputClosed) {
            eprintln!("corelane: {self}");
        }
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(text)
            | Failure::Usage(text)
            | Failure::Unreachable(text)
            | Failure::Local(text)
            | Failure::Damaged(text) => out.write_str(text),
            Failure::OutputClosed => out.write_str("standard output was closed"),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Unreachable { .. } | ClientError::Lost { .. } | ClientError::Deadline { .. } => {
                Failure::Unreachable(error.to_string())
            }
            ClientError::Refused { .. } | ClientError::Protocol(_) | ClientError::NotServed { .. } => {
                Failure::Refused(error.to_string())
            }
        }
    }
}
