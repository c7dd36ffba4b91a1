//! The `corelane` program. Everything it does lives in the library beside it, where tests can reach it.

fn main() -> std::process::ExitCode {
    corelane::cli::run()
}
