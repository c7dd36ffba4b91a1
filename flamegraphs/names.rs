//! Names of functions, made short and free of the machine they were built on.
//!
//! perf gives Rust's symbols mangled or half demangled, with hashes, type arguments and paths of files. What is left
//! here is what a person reads, and equal on every machine, so that pictures of two commits can be compared.

use std::fmt::Write;

/// How a frame of the kernel ends, as inferno writes it.
pub const KERNEL_MARK: &str = "_[k]";

/// Accepts the name of a workload of the library. Errors: says what is expected.
pub fn parse_workload(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
    if is_name {
        return Ok(text.to_owned());
    }
    Err("expected the name of a workload that comes with corelane-bench, such as produce-1k".to_owned())
}

/// A frame as it is shown: demangled, without hash, type arguments and folders.
pub fn shown(frame: &str) -> String {
    let (name, mark) = frame.strip_suffix(KERNEL_MARK).map_or((frame, ""), |name| (name, KERNEL_MARK));
    let mut whole = String::new();
    match rustc_demangle::try_demangle(name) {
        // The alternate form leaves hashes out.
        Ok(demangled) => write!(whole, "{demangled:#}").expect("a string takes everything"),
        Err(_) => whole.push_str(name),
    }
    let mut short = without_arguments(without_hash(&whole));
    if let Some((folders, file)) = short.rsplit_once('/') {
        // A module's path, in brackets when its function is unknown.
        short = format!("{}{file}", if folders.starts_with('[') { "[" } else { "" });
    }
    // Folded stacks are joined by it.
    short.replace(';', ":") + mark
}

/// `a::b::h0123456789abcdef` without its end.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((front, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => front,
        _ => name,
    }
}

/// Leaves out what stands in angle brackets behind a name; `<Type as Trait>::method` stays.
fn without_arguments(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut skipped = 0_u32;
    let mut before = ' ';
    for char in name.chars() {
        let after_name = before.is_alphanumeric() || before == '_';
        match char {
            '<' if skipped > 0 => skipped += 1,
            '<' if after_name || before == ':' => {
                skipped = 1;
                short.truncate(short.trim_end_matches(':').len());
            }
            // The arrow of a function's type closes nothing.
            '>' if skipped > 0 && before != '-' => skipped -= 1,
            _ if skipped == 0 => short.push(char),
            _ => {}
        }
        before = char;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_name() {
        for (frame, expected) in [
            ("tcp_sendmsg_locked_[k]", "tcp_sendmsg_locked_[k]"),
            ("corelane::ring::Ring::submit::h0123456789abcdef", "corelane::ring::Ring::submit"),
            ("_ZN8corelane4ring4Ring6submit17h0123456789abcdefE", "corelane::ring::Ring::submit"),
            ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
            ("core::ptr::drop_in_place<alloc::vec::Vec<u8>>", "core::ptr::drop_in_place"),
            (
                "<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop",
                "<alloc::vec::Vec as core::ops::drop::Drop>::drop",
            ),
            ("map::<fn(u8) -> u8, X>::next", "map::next"),
            ("[/opt/build/target/corelane]", "[corelane]"),
            ("/opt/lib/libc.so.6", "libc.so.6"),
            ("<[u8; 4] as a::B>::c", "<[u8: 4] as a::B>::c"),
        ] {
            assert_eq!(shown(frame), expected, "{frame}");
        }
    }

    #[test]
    fn workloads_are_names_not_files() {
        assert_eq!(parse_workload("produce-1k"), Ok("produce-1k".to_owned()));
        for bad in ["", "../x", "my.toml", "a b"] {
            let refusal = parse_workload(bad).expect_err("no name");
            assert!(refusal.contains("such as produce-1k"), "{refusal}");
        }
    }
}
