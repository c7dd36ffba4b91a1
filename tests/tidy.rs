//! The repository's rules that a machine can check, checked.
//!
//! Each rule is a function from a path and a text to complaints. `the_repository_is_tidy` walks the tree once and
//! prints every complaint; the `samples` below show each rule failing on bad text and passing good text, so that no rule
//! can rot into one that never speaks. Nothing here asks git: the result depends on the files as they lie.
//!
//! Code rules look at text whose comments and literals are blanked (see `blank`), so a word in a comment never counts.
//! The alternative, parsing with `syn`, would add a dependency and a minute of building for no rule that needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const FILE_LINES_MAX: usize = 1000;
const FUNCTION_LINES_MAX: usize = 70;

/// Generated code: the limits on size do not apply, everything else does.
const GENERATED: &str = "src/wire/message/";

/// Functions that were too long when the limit came, with the length they may not exceed. The list only shrinks: when
/// one gets shorter, lower its figure; at seventy lines or fewer, delete its row.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// The layer of each package. A package may name only packages of lower layers; siblings do not know each other.
const LAYERS: &[(&str, u8)] = &[
    ("corelane-wiregen", 0),
    ("corelane-base", 0),
    ("corelane-wire", 1),
    ("corelane-log", 1),
    ("corelane-replication", 1),
    ("corelane-tuning", 1),
    ("corelane-control", 2),
    ("corelane-node", 3),
    ("corelane-sim", 4),
    ("corelane", 4),
    ("corelane-bench", 5),
    ("corelane-flamegraphs", 5),
];

/// Folders of crates that take time, chance and I/O results as arguments.
const PURE: &[&str] =
    &["src/base/", "src/wire/", "src/log/", "src/replication/", "src/control/", "src/node/"];

/// Folders whose crate root must forbid `unsafe`.
const FORBID_UNSAFE: &[&str] = &[
    "src/base/",
    "src/wire/",
    "src/wiregen/",
    "src/log/",
    "src/replication/",
    "src/control/",
    "src/node/",
    "src/sim/",
    "tuning/",
];

/// What a pure crate may not name, and what to do instead.
const IMPURE: &[(&str, &str)] = &[
    ("async", "events in, effects out"),
    ("std::thread", "a shard is one thread"),
    ("std::fs", "emit a disk operation"),
    ("std::net", "emit a send"),
    ("std::env", "take settings as arguments"),
    ("std::process", "the shell owns the process"),
    ("SystemTime", "take the time as an argument"),
    ("Instant", "take the time as an argument"),
    ("RandomState", "draw from a seeded generator"),
    ("println", "return it"),
    ("eprintln", "return it"),
];

/// Crates that belong to one place, with the path prefix of that place.
const CRATE_PLACES: &[(&str, &str)] = &[("glommio", "src/broker/rt"), ("io_uring", "src/broker/ring")];

/// Where `unsafe` may stand, as a path prefix.
const UNSAFE_PLACE: &str = "src/broker/ring";

/// Text that does not reach the main branch, in code or comment. Written in halves because this file is checked too.
const UNFINISHED: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("X", "XX:"),
    concat!("db", "g!("),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
];

/// Folders at the top of the repository.
const TOP: &[&str] = &["src", "bench-harness", "tuning", "tests", "flamegraphs"];

/// Folders that are made by building or running, never looked into.
const MADE: &[&str] = &["target", "corelane-data", "node_modules", "__pycache__", ".deps", ".git"];

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "misc", "prelude"];

#[test]
fn the_repository_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    let mut complaints = Vec::new();
    collect(root, root, &mut files, &mut complaints);
    for known in ["src/base/lib.rs", "src/broker/lib.rs", "tests/tidy.rs", "Cargo.toml", "src/STYLE.md"] {
        assert!(files.contains_key(known), "the walk did not see {known}: it looks in the wrong place");
    }
    for (path, text) in &files {
        complaints.extend(check_text(path, text));
        if path.ends_with(".rs") {
            complaints.extend(check_rust(path, text));
        }
        if path.ends_with("Cargo.toml") {
            complaints.extend(check_manifest(path, text));
        }
    }
    complaints.extend(check_ratchet(&files, LONG_FUNCTIONS));
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Reads every text file below `folder` into `files`, by its path from `root`.
fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>, complaints: &mut Vec<String>) {
    for item in std::fs::read_dir(folder).expect("a folder of the repository can be listed") {
        let item = item.expect("a folder of the repository can be listed");
        let (path, name) = (item.path(), item.file_name().to_string_lossy().into_owned());
        let kind = item.file_type().expect("a file of the repository has a type");
        if kind.is_dir() && !MADE.contains(&name.as_str()) {
            if folder == root {
                complaints.extend(check_top(&name));
            }
            collect(root, &path, files, complaints);
        }
        if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let inside = path.strip_prefix(root).expect("the walk began at the root");
            files.insert(inside.to_string_lossy().into_owned(), text);
        }
    }
}

fn check_top(name: &str) -> Option<String> {
    let known = name.starts_with('.') || TOP.contains(&name);
    (!known).then(|| format!("{name}/: not one of the folders at the top ({})", TOP.join(", ")))
}

/// Rules for every text file, whatever its language.
fn check_text(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    // The licence and the lock file are not ours to write.
    if path == "LICENSE" || path.ends_with(".lock") || path.ends_with("package-lock.json") {
        return complaints;
    }
    // A picture carries the script of the library that has drawn it.
    let words: &[&str] = if path.ends_with(".svg") { &[] } else { UNFINISHED };
    for (index, line) in text.lines().enumerate() {
        let at = format!("{path}:{}", index + 1);
        for word in words {
            if line.contains(word) {
                complaints.push(format!("{at}: {word} does not reach the main branch"));
            }
        }
        if let Some(found) = machine_path(line) {
            complaints.push(format!("{at}: {found} is a path of one machine"));
        }
        if line.ends_with([' ', '\t']) && !path.ends_with(".md") {
            complaints.push(format!("{at}: white space at the end"));
        }
    }
    complaints
}

/// The first absolute path in `line` that only means something on somebody's machine.
fn machine_path(line: &str) -> Option<&str> {
    let heads = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/tm", "p/")];
    for head in heads {
        for (index, _) in line.match_indices(head) {
            let before = line[..index].chars().next_back();
            // A path below a variable or a host is fine; one that begins here is not.
            if !before.is_some_and(|char| char.is_alphanumeric() || "._-})~/".contains(char)) {
                return Some(head);
            }
        }
    }
    None
}

/// Rules for one Rust file.
fn check_rust(path: &str, text: &str) -> Vec<String> {
    let code = blank(text);
    let production = without_tests(path, &code);
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{path}:1: does not open with //! saying what it is"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX && !path.starts_with(GENERATED) {
        complaints.push(format!("{path}: {lines} lines, more than {FILE_LINES_MAX}"));
    }
    let crate_root = FORBID_UNSAFE.iter().any(|folder| path == format!("{folder}lib.rs"));
    if crate_root && !code.contains("#![forbid(unsafe_code)]") {
        complaints.push(format!("{path}: lacks #![forbid(unsafe_code)]"));
    }
    complaints.extend(check_places(path, &code));
    if PURE.iter().any(|folder| path.starts_with(folder)) {
        complaints.extend(check_pure(path, &production));
    }
    complaints.extend(check_names(path, &code));
    complaints.extend(check_unwrap(path, &production));
    complaints.extend(check_waiting(path, &code));
    complaints
}

/// The runtime, the ring and `unsafe` have one place each.
fn check_places(path: &str, code: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let at = format!("{path}:{}", index + 1);
        for (name, place) in CRATE_PLACES {
            // A function or a field may be called like the crate; a path that begins with it is the crate.
            let imported = line.trim().starts_with("use ") && contains_word(line, name);
            if (imported || contains_word(line, &format!("{name}::"))) && !path.starts_with(place) {
                complaints.push(format!("{at}: only {place} may name {name}"));
            }
        }
        if contains_word(line, "unsafe") && !path.starts_with(UNSAFE_PLACE) {
            complaints.push(format!("{at}: only {UNSAFE_PLACE} may name unsafe"));
        }
    }
    complaints
}

/// Pure crates do not reach out.
fn check_pure(path: &str, production: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, line) in production.lines().enumerate() {
        for (name, instead) in IMPURE {
            if contains_word(line, name) {
                complaints.push(format!("{path}:{}: {name} in a pure crate: {instead}", index + 1));
            }
        }
    }
    complaints
}

/// Names and imports that hide where things live.
fn check_names(path: &str, code: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let at = format!("{path}:{}", index + 1);
        let declared = line.trim().trim_start_matches("pub ").strip_prefix("mod ");
        if let Some(name) = declared.map(|rest| rest.trim_end_matches([';', '{', ' ']))
            && EMPTY_NAMES.contains(&name)
        {
            complaints.push(format!("{at}: a module called {name} says nothing about what is inside"));
        }
        let line = line.trim();
        if line.starts_with("pub use ") {
            complaints.push(format!("{at}: no re-exports: a thing has one path"));
        }
        if line.starts_with("use super::super") {
            complaints.push(format!("{at}: write use crate::..."));
        }
    }
    complaints
}

/// Outside tests, a value that may be absent is handled or its presence is argued for.
fn check_unwrap(path: &str, production: &str) -> Vec<String> {
    let found = production.lines().enumerate().filter(|(_, line)| line.contains(".unwrap()"));
    found.map(|(index, _)| format!("{path}:{}: unwrap outside tests", index + 1)).collect()
}

/// Tests wait for conditions, not for time, and none is switched off.
fn check_waiting(path: &str, code: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let tests_only = path.starts_with("tests/");
    let production = without_tests(path, code);
    for (index, (line, kept)) in code.lines().zip(production.lines()).enumerate() {
        let at = format!("{path}:{}", index + 1);
        let in_tests = tests_only || line != kept;
        if in_tests && contains_word(line, "thread::sleep") {
            complaints.push(format!("{at}: a test waits for a condition, never for time"));
        }
        if line.contains("#[ignore") {
            complaints.push(format!("{at}: a test that does not run is no test"));
        }
        if line.contains("#[should_panic") {
            complaints.push(format!("{at}: check the error itself"));
        }
    }
    complaints
}

/// Function lengths, against the limit and the list of old long ones.
fn check_ratchet(files: &BTreeMap<String, String>, old: &[(&str, &str, usize)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut met = BTreeSet::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".rs") && !path.starts_with(GENERATED))
    {
        for function in functions(&blank(text)) {
            let Function { name, line, lines } = &function;
            let listed = old.iter().find(|(file, of, _)| file == path && of == name);
            let allowed = listed.map_or(FUNCTION_LINES_MAX, |row| row.2);
            if *lines > allowed {
                complaints.push(format!("{path}:{line}: fn {name} has {lines} lines, more than {allowed}"));
            }
            if let Some(row) = listed {
                met.insert((row.0, row.1));
                if *lines < allowed {
                    complaints
                        .push(format!("{path}:{line}: fn {name} got shorter: write {lines} in the list"));
                }
            }
        }
    }
    for (path, name, _) in old.iter().filter(|row| !met.contains(&(row.0, row.1))) {
        complaints.push(format!("{path}: fn {name} is gone: delete it from the list of long functions"));
    }
    complaints
}

/// Layers, exact versions and shared lints, from one manifest.
fn check_manifest(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let Some(package) = manifest_name(text) else {
        return vec![format!("{path}: has no package name")];
    };
    let layer_of = |name: &str| LAYERS.iter().find(|row| row.0 == name).map(|row| row.1);
    let Some(own) = layer_of(package) else {
        return vec![format!("{path}: {package} has no layer yet: give it one in tests/tidy.rs")];
    };
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| section.ends_with("dependencies")) else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        let name = key.trim_matches('"').split('.').next().unwrap_or(key);
        // The workspace's own list says where packages lie; a test may use whatever is built beside it.
        let judged = section != "workspace.dependencies" && (section != "dev-dependencies" || own < 4);
        if name.starts_with("corelane") && judged && layer_of(name).is_none_or(|other| other >= own) {
            complaints.push(format!("{path}: {package} may not depend on {name}"));
        }
        let pinned = value.starts_with("\"=") || value.contains("version = \"=");
        let elsewhere = key.ends_with(".workspace") || value.contains("workspace = true");
        let inside = value.contains("path = \"");
        if !pinned && !elsewhere && !inside {
            complaints.push(format!("{path}: {name} is not pinned to one version"));
        }
    }
    if !text.contains("[lints]\nworkspace = true") {
        complaints.push(format!("{path}: does not take the workspace's lints"));
    }
    complaints
}

/// The `name` in the `[package]` section.
fn manifest_name(text: &str) -> Option<&str> {
    let (_, package) = text.split_once("[package]")?;
    let section = package.split("\n[").next()?;
    let line = section.lines().find(|line| line.trim_start().starts_with("name"))?;
    line.split('"').nth(1)
}

/// One function found in blanked code.
#[derive(Debug, Eq, PartialEq)]
struct Function {
    name: String,
    /// The line `fn` stands on, counted from 1.
    line: usize,
    /// From that line to the closing brace, both included.
    lines: usize,
}

/// Every function with a body, nested ones included.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (index, _) in code.match_indices("fn ") {
        let starts_word = code[..index].chars().next_back().is_none_or(|char| !is_word(char));
        let name: String = code[index + 3..].chars().take_while(|char| is_word(*char)).collect();
        if !starts_word || name.is_empty() {
            continue;
        }
        let Some(length) = body_end(&code[index..]) else { continue };
        let line = code[..index].matches('\n').count() + 1;
        found.push(Function { name, line, lines: code[index..index + length].matches('\n').count() + 1 });
    }
    found
}

/// Where the first braced block of `code` ends, unless a `;` outside brackets ends the item before it begins.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_u32, 0_u32);
    for (index, char) in code.char_indices() {
        match char {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' if braces <= 1 => return Some(index + 1),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// Blanks what stands under `#[cfg(test)]`, and everything in a file that is a test module itself. Lines stay in place.
fn without_tests(path: &str, code: &str) -> String {
    let blanked =
        |text: &str| -> String { text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect() };
    let name = path.rsplit('/').next().unwrap_or(path);
    let in_tests = ["tests/", "/tests/", "/benches/"].iter().any(|part| match part.starts_with('/') {
        true => path.contains(part),
        false => path.starts_with(part),
    });
    if in_tests || name == "tests.rs" || name.ends_with("_test.rs") || name.ends_with("_tests.rs") {
        return blanked(code);
    }
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(index) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..index]);
        // The item under the attribute: a braced block, or up to the `;`.
        let item = &rest[index..];
        let after = "#[cfg(test)]".len();
        let length = match body_end(&item[after..]) {
            Some(length) => after + length,
            None => item.find(';').map_or(item.len(), |end| end + 1),
        };
        out.push_str(&blanked(&item[..length]));
        rest = &item[length..];
    }
    out.push_str(rest);
    out
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether `name` (which may contain `::` or end in it) stands in `line` as a whole word.
fn contains_word(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(index, _)| {
        let before = line[..index].chars().next_back();
        let after = line[index + name.len()..].chars().next();
        !before.is_some_and(is_word) && (name.ends_with(':') || !after.is_some_and(is_word))
    })
}

/// What `blank` is inside of.
enum Inside {
    Code,
    LineComment,
    /// Block comments nest.
    BlockComment(u32),
    /// A literal with escapes, up to this quote.
    Quoted(char),
    /// A raw string, up to a quote and this many `#`.
    Raw(usize),
}

/// Replaces the contents of comments, strings and characters by spaces. Lines and columns (in characters) stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut inside = Inside::Code;
    let mut index = 0;
    while index < chars.len() {
        let rest = &chars[index..];
        let (next, taken, visible) = step(inside, rest, index.checked_sub(1).map(|before| chars[before]));
        for char in &rest[..taken] {
            out.push(if visible || *char == '\n' { *char } else { ' ' });
        }
        inside = next;
        index += taken;
    }
    out
}

/// One step of `blank`: the state after it, how many characters it took, and whether they are code.
fn step(inside: Inside, rest: &[char], before: Option<char>) -> (Inside, usize, bool) {
    let second = rest.get(1).copied();
    match inside {
        Inside::Code => step_in_code(rest, before),
        Inside::LineComment if rest[0] == '\n' => (Inside::Code, 1, false),
        Inside::LineComment => (Inside::LineComment, 1, false),
        Inside::BlockComment(depth) => match (rest[0], second) {
            ('*', Some('/')) if depth == 1 => (Inside::Code, 2, false),
            ('*', Some('/')) => (Inside::BlockComment(depth - 1), 2, false),
            ('/', Some('*')) => (Inside::BlockComment(depth + 1), 2, false),
            _ => (Inside::BlockComment(depth), 1, false),
        },
        Inside::Quoted(quote) if rest[0] == quote => (Inside::Code, 1, true),
        Inside::Quoted(quote) if rest[0] == '\\' => (Inside::Quoted(quote), rest.len().min(2), false),
        Inside::Quoted(quote) => (Inside::Quoted(quote), 1, false),
        Inside::Raw(hashes) => {
            let closes =
                rest[0] == '"' && rest[1..].iter().take_while(|char| **char == '#').count() >= hashes;
            if closes { (Inside::Code, 1 + hashes, true) } else { (Inside::Raw(hashes), 1, false) }
        }
    }
}

fn step_in_code(rest: &[char], before: Option<char>) -> (Inside, usize, bool) {
    let second = rest.get(1).copied();
    match (rest[0], second) {
        ('/', Some('/')) => (Inside::LineComment, 2, false),
        ('/', Some('*')) => (Inside::BlockComment(1), 2, false),
        ('"', _) => (Inside::Quoted('"'), 1, true),
        // 'a' and '\n' are characters; 'a without a closing quote is a lifetime.
        ('\'', Some('\\')) => (Inside::Quoted('\''), 1, true),
        ('\'', Some(_)) if rest.get(2) == Some(&'\'') => (Inside::Quoted('\''), 1, true),
        ('r', _) if !before.is_some_and(|char| is_word(char) && char != 'b' && char != 'c') => {
            let hashes = rest[1..].iter().take_while(|char| **char == '#').count();
            match rest.get(1 + hashes) {
                Some('"') => (Inside::Raw(hashes), 2 + hashes, true),
                _ => (Inside::Code, 1, true),
            }
        }
        _ => (Inside::Code, 1, true),
    }
}

/// Each rule on text it must refuse and text it must take.
mod samples {
    use super::*;

    /// `expected` is a part of the only complaint, or empty if there must be none.
    #[track_caller]
    fn check(complaints: Vec<String>, expected: &str) {
        match expected {
            "" => assert!(complaints.is_empty(), "unexpected: {complaints:?}"),
            _ => {
                assert_eq!(complaints.len(), 1, "one complaint about {expected:?} in {complaints:?}");
                assert!(complaints[0].contains(expected), "{expected:?} in {complaints:?}");
            }
        }
    }

    #[test]
    fn text_rules() {
        let bad = |text: &str, expected: &str| check(check_text("src/log/a.rs", text), expected);
        bad("fine\n", "");
        bad(concat!("// FIX", "ME later"), concat!("a.rs:1: FIX", "ME"));
        bad(concat!("\n// TO", "DO later"), concat!("a.rs:2: TO", "DO"));
        bad(concat!("db", "g!(x);"), "does not reach");
        bad(concat!("to", "do!()"), "does not reach");
        bad(concat!("unimple", "mented!()"), "does not reach");
        bad("let x = 1; \n", "white space");
        check(check_text("LICENSE", concat!("TO", "DO")), "");
    }

    #[test]
    fn machine_paths() {
        let bad = |text: &str, expected: &str| check(check_text("README.md", text), expected);
        bad(concat!("see /ro", "ot/x"), "path of one machine");
        bad(concat!("\"/ho", "me/x\""), "path of one machine");
        bad(concat!("/tm", "p/x"), "path of one machine");
        bad(concat!("(/wo", "rk/x)"), "path of one machine");
        bad(concat!("$dir/tm", "p/x"), "");
        bad(concat!("https://host/wo", "rk/x"), "");
        bad("/usr/lib/x and /var/lib/y", "");
    }

    #[test]
    fn top_level() {
        check(check_top("examples").into_iter().collect(), "not one of the folders");
        check(check_top("src").into_iter().collect(), "");
        check(check_top(".ci").into_iter().collect(), "");
    }

    #[test]
    fn headers_and_sizes() {
        check(check_rust("src/broker/a.rs", "fn a() {}\n"), "does not open with //!");
        check(check_rust("src/broker/a.rs", "//! What it is.\nfn a() {}\n"), "");
        let long = format!("//! What it is.\n{}", "\n".repeat(FILE_LINES_MAX));
        check(check_rust("src/broker/a.rs", &long), "1001 lines, more than 1000");
        check(check_rust(&format!("{GENERATED}a.rs"), &long), "");
    }

    #[test]
    fn unsafe_is_forbidden_and_kept_in_its_place() {
        check(check_rust("src/log/lib.rs", "//! L.\n"), "lacks #![forbid");
        check(check_rust("src/log/lib.rs", "//! L.\n// #![forbid(unsafe_code)]\n"), "lacks #![forbid");
        check(check_rust("src/log/lib.rs", "//! L.\n#![forbid(unsafe_code)]\n"), "");
        let with_unsafe = "//! L.\nfn a() { unsafe { b() } }\n";
        check(check_rust("src/broker/rt.rs", with_unsafe), "only src/broker/ring may name unsafe");
        check(check_rust("tests/a.rs", with_unsafe), "only src/broker/ring may name unsafe");
        check(check_rust("src/broker/ring/socket.rs", with_unsafe), "");
    }

    #[test]
    fn the_runtime_and_the_ring_have_one_place_each() {
        let runtime = "//! L.\nuse glommio::LocalExecutor;\n";
        check(check_rust("src/broker/serve.rs", runtime), "only src/broker/rt may name glommio");
        check(check_rust("src/broker/rt/shard.rs", runtime), "");
        let ring = "//! L.\nuse io_uring::IoUring;\n";
        check(check_rust("src/broker/rt.rs", ring), "only src/broker/ring may name io_uring");
        check(check_rust("src/broker/ring.rs", ring), "");
        let path = "//! L.\nfn a() { io_uring::types::Fd(1); }\n";
        check(check_rust("tests/a.rs", path), "only src/broker/ring may name io_uring");
        check(check_rust("src/broker/probe.rs", "//! L.\nfn io_uring() { my_io_uring::a(); }\n"), "");
        check(
            check_rust("src/broker/serve.rs", "//! glommio\n// io_uring\nconst A: &str = \"io_uring\";\n"),
            "",
        );
    }

    #[test]
    fn pure_crates_stay_pure() {
        for (bad, name) in [
            ("async fn a() {}", "async"),
            ("use std::thread;", "std::thread"),
            ("fn a() { std::fs::read(b); }", "std::fs"),
            ("use std::net::TcpStream;", "std::net"),
            ("fn a() { let b = SystemTime::now(); }", "SystemTime"),
            ("fn a() { let b = Instant::now(); }", "Instant"),
            ("fn a() { let b = RandomState::new(); }", "RandomState"),
            ("fn a() { println!(); }", "println"),
        ] {
            let text = format!("//! L.\n{bad}\n");
            for folder in PURE {
                check(check_rust(&format!("{folder}a.rs"), &text), &format!("{name} in a pure crate"));
            }
            check(check_rust("src/broker/a.rs", &text), "");
            let test = format!("//! L.\nconst A: [u8; 2] = [0; 2];\n#[cfg(test)]\nmod tests {{\n{bad}\n}}\n");
            check(check_rust("src/log/a.rs", &test), "");
            let after = format!("{test}{bad}\n");
            check(check_rust("src/log/a.rs", &after), &format!("a.rs:7: {name} in a pure crate"));
        }
        check(
            check_rust("src/log/a.rs", "//! L.\n#[cfg(test)]\nmod tests;\nuse std::fs;\n"),
            "a.rs:4: std::fs",
        );
    }

    #[test]
    fn names_and_imports() {
        check(check_rust("src/log/a.rs", "//! L.\npub mod utils;\n"), "says nothing");
        check(check_rust("src/log/a.rs", "//! L.\nmod helpers {\n}\n"), "says nothing");
        check(check_rust("src/log/a.rs", "//! L.\npub use crate::b::C;\n"), "no re-exports");
        check(check_rust("src/log/a.rs", "//! L.\nuse super::super::b;\n"), "write use crate");
        check(check_rust("src/log/a.rs", "//! L.\npub mod segment;\nuse crate::b::C;\n"), "");
    }

    #[test]
    fn unwrap() {
        check(check_rust("src/broker/a.rs", "//! L.\nfn a() { b().unwrap(); }\n"), "a.rs:2: unwrap outside");
        check(check_rust("src/broker/a.rs", "//! L.\nfn a() { b().unwrap_or(1); }\n"), "");
        check(
            check_rust("src/broker/a.rs", "//! L.\n#[cfg(test)]\nmod t { fn a() { b().unwrap(); } }\n"),
            "",
        );
        check(check_rust("tests/a.rs", "//! L.\nfn a() { b().unwrap(); }\n"), "");
    }

    #[test]
    fn waiting_and_skipping() {
        let sleeps = "//! L.\nfn a() { std::thread::sleep(b); }\n";
        check(check_rust("tests/a.rs", sleeps), "never for time");
        check(check_rust("src/broker/a.rs", sleeps), "");
        let in_unit_test = "//! L.\n#[cfg(test)]\nmod tests { fn a() { thread::sleep(b); } }\n";
        check(check_rust("src/broker/a.rs", in_unit_test), "never for time");
        check(check_rust("tests/a.rs", "//! L.\n#[ignore]\nfn a() {}\n"), "does not run");
        check(check_rust("tests/a.rs", "//! L.\n#[ignore = \"slow\"]\nfn a() {}\n"), "does not run");
        check(check_rust("tests/a.rs", "//! L.\n#[should_panic]\nfn a() {}\n"), "check the error");
    }

    fn manifest(name: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n\n{dependencies}\n\n[lints]\nworkspace = true\n");
        check_manifest("x/Cargo.toml", &text)
    }

    #[test]
    fn layers() {
        let on = |other: &str| format!("[dependencies]\n{other}.workspace = true");
        check(manifest("corelane-log", &on("corelane-base")), "");
        check(manifest("corelane-node", &on("corelane-control")), "");
        check(manifest("corelane-log", &on("corelane-wire")), "may not depend on corelane-wire");
        check(manifest("corelane-base", &on("corelane-log")), "may not depend on corelane-log");
        check(manifest("corelane-log", &on("corelane-new")), "may not depend on corelane-new");
        check(manifest("corelane", &on("corelane-sim")), "may not depend on corelane-sim");
        check(manifest("corelane", "[dev-dependencies]\ncorelane-sim.workspace = true"), "");
        let dev = "[dev-dependencies]\ncorelane-node.workspace = true";
        check(manifest("corelane-log", dev), "may not depend on corelane-node");
        let table = "[dependencies]\ncorelane-node = { path = \"../node\" }";
        check(manifest("corelane-wire", table), "may not depend on corelane-node");
        check(manifest("corelane-new", ""), "has no layer yet");
        check(check_manifest("x/Cargo.toml", "[workspace]\n"), "has no package name");
    }

    #[test]
    fn versions_and_lints() {
        check(manifest("corelane-log", "[dependencies]\nbytes = \"=1.2.3\""), "");
        check(manifest("corelane-log", "[dependencies]\nbytes = { version = \"=1.2.3\" }"), "");
        check(manifest("corelane-log", "[dependencies]\nbytes = \"1.2.3\""), "bytes is not pinned");
        check(manifest("corelane-log", "[build-dependencies]\ncc = { version = \"1\" }"), "cc is not pinned");
        check(manifest("corelane", "[workspace.dependencies]\nbytes = \"1\""), "bytes is not pinned");
        check(check_manifest("x/Cargo.toml", "[package]\nname = \"corelane-log\"\n"), "workspace's lints");
    }

    fn ratchet(body_lines: usize, old: &[(&str, &str, usize)]) -> Vec<String> {
        let text = format!("//! L.\nfn long() {{\n{}}}\n", "    a();\n".repeat(body_lines));
        check_ratchet(&BTreeMap::from([("src/a.rs".to_string(), text)]), old)
    }

    #[test]
    fn function_lengths() {
        check(ratchet(68, &[]), "");
        check(ratchet(69, &[]), "a.rs:2: fn long has 71 lines, more than 70");
        check(ratchet(98, &[("src/a.rs", "long", 100)]), "");
        check(ratchet(99, &[("src/a.rs", "long", 100)]), "has 101 lines, more than 100");
        check(ratchet(90, &[("src/a.rs", "long", 100)]), "write 92 in the list");
        check(ratchet(10, &[("src/a.rs", "other", 100)]), "fn other is gone");
    }

    #[test]
    fn functions_are_found_whole() {
        let code =
            "trait T {\n fn a();\n fn b(x: [u8; 2]) -> u8\n {\n  if x { y }\n }\n}\nconst F: fn (u8) = c;\n";
        let found = functions(code);
        assert_eq!(found, [Function { name: "b".to_string(), line: 3, lines: 4 }]);
    }

    #[test]
    fn blanking() {
        #[track_caller]
        fn check_blank(text: &str, expected: &str) {
            assert_eq!(blank(text), expected, "of {text:?}");
        }
        check_blank("a // b\nc", "a     \nc");
        check_blank("a /* b /* c */ d */ e", "a                   e");
        check_blank("\"a\\\"b\" c", "\"    \" c");
        check_blank("'a' 'b c '\\'' d", "' ' 'b c '  ' d");
        check_blank("r\"a\\\" b", "r\"  \" b");
        check_blank("br#\"a\"b\"# c", "br#\"   \"# c");
        check_blank("for\"a\"", "for\" \"");
        check_blank("&'static str", "&'static str");
        check_blank("r#type", "r#type");
    }
}
