//! `corelane serve`: from arguments to a running broker and back to an exit code.

use std::process::ExitCode;

use crate::args::ServeArgs;

/// Runs a broker until it is told to stop. This build has no shell yet and says so.
pub fn run(args: ServeArgs) -> ExitCode {
    eprintln!("corelane: this build cannot serve yet ({args:?})");
    ExitCode::FAILURE
}
