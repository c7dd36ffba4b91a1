//! The files in `deploy/` and the sections of `README.md` say what the checks ask for.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::checks;
use crate::checks::sysctl;
use crate::finding::Verdict;
use crate::needs;
use crate::tree_test::Tree;

const SYSCTLS: &str = include_str!("deploy/90-corelane.conf");
const UNIT: &str = include_str!("deploy/corelane.service");
const SECCOMP: &str = include_str!("deploy/seccomp.json");
const DOCKERFILE: &str = include_str!("deploy/Dockerfile");
const COMPOSE: &str = include_str!("deploy/compose.yaml");
const README: &str = include_str!("README.md");

/// Names and values of the sysctl file.
fn sysctls() -> Vec<(&'static str, &'static str)> {
    let lines = SYSCTLS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once('=').expect("name = value"));
    pairs.map(|(name, value)| (name.trim().trim_start_matches('-'), value.trim())).collect()
}

#[test]
fn the_sysctl_file_sets_what_the_checks_ask_for() {
    let given = sysctls();
    for table in sysctl::ALL {
        for row in *table {
            assert!(given.iter().any(|(name, _)| *name == row.knob.name), "{} is not set", row.knob.name);
        }
    }
    for (name, value) in given {
        let tree = Tree::good();
        tree.put(&format!("/proc/sys/{}", name.replace('.', "/")), value);
        let findings = checks::all(&tree.host());
        let about: Vec<_> = findings.iter().filter(|finding| finding.knob.name == name).collect();
        assert!(!about.is_empty(), "{name} is no knob");
        assert!(about.iter().all(|finding| finding.verdict == Verdict::Good), "{about:?}");
        assert!(about.iter().all(|finding| finding.is == value), "{name} was not looked at: {about:?}");
    }
}

/// The value of a line `KEY=VALUE` in the unit.
fn unit(key: &str) -> &'static str {
    let line = UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("the unit has no {key}"))
}

#[test]
fn the_unit_raises_the_limits() {
    assert_eq!(unit("LimitNOFILE"), needs::FILES_WANTED.to_string());
    assert_eq!(unit("LimitMEMLOCK"), "infinity");
    for name in ["io_uring_setup", "io_uring_enter", "io_uring_register", "cachestat"] {
        assert!(unit("SystemCallFilter").split(' ').any(|allowed| allowed == name), "{name}");
    }
    // What the limits come to in /proc.
    let tree = Tree::good();
    let limits =
        format!("Max open files 1024 {} files\nMax locked memory 1 unlimited bytes", unit("LimitNOFILE"));
    tree.put("/proc/self/limits", &limits);
    let findings = checks::all(&tree.host());
    let limits = findings.iter().filter(|finding| finding.knob.name.starts_with("limits."));
    assert_eq!(limits.filter(|finding| finding.verdict == Verdict::Good).count(), 2);
}

#[test]
fn the_container_recipe_agrees_with_the_unit() {
    for (key, value) in [("memlock", "-1"), ("nofile", unit("LimitNOFILE"))] {
        assert!(COMPOSE.contains(&format!("{key}: {value}\n")), "compose: {key}");
        assert!(DOCKERFILE.contains(&format!("--ulimit {key}={value}")), "Dockerfile: {key}");
    }
    assert!(COMPOSE.contains("seccomp=./seccomp.json"));
    assert!(DOCKERFILE.contains("seccomp=tuning/deploy/seccomp.json"));
    assert!(unit("ExecStart").contains("serve --data-dir /var/lib/corelane"));
    assert!(DOCKERFILE.contains(r#"CMD ["serve", "--data-dir", "/var/lib/corelane""#));
}

/// System calls that the profile allows without a condition.
fn allowed(profile: &Value) -> BTreeSet<String> {
    let rules = profile["syscalls"].as_array().expect("a list");
    let free = rules.iter().filter(|rule| rule["action"] == "SCMP_ACT_ALLOW" && rule["args"].is_null());
    let names = free.flat_map(|rule| rule["names"].as_array().expect("a list"));
    names.map(|name| name.as_str().expect("a name").to_string()).collect()
}

#[test]
fn the_seccomp_profile_allows_io_uring_and_not_everything() {
    let profile: Value = serde_json::from_str(SECCOMP).expect("JSON");
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let allowed = allowed(&profile);
    // The ring's own, and what a traced broker was seen to use besides.
    for name in
        ["io_uring_setup", "io_uring_enter", "io_uring_register", "sched_setaffinity", "cachestat", "mincore"]
    {
        assert!(allowed.contains(name), "{name}");
    }
    for name in [
        "mount",
        "ptrace",
        "bpf",
        "kexec_load",
        "init_module",
        "setns",
        "unshare",
        "reboot",
        "keyctl",
        "clone",
    ] {
        assert!(!allowed.contains(name), "{name}");
    }
    let rules = profile["syscalls"].as_array().expect("a list").iter();
    let names: Vec<&Value> = rules.flat_map(|rule| rule["names"].as_array().expect("a list")).collect();
    let distinct: BTreeSet<&str> = names.iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(names.len(), distinct.len(), "a system call stands in two rules");
}

#[test]
fn the_readme_has_a_section_for_each_knob() {
    let mut sections: Vec<(&str, &str)> = Vec::new();
    for part in README.split("\n### ").skip(1) {
        let (head, body) = part.split_once('\n').expect("a heading and what follows");
        for name in head.split(", ") {
            sections.push((name.trim_matches('`'), body));
        }
    }
    let known: Vec<&str> = checks::knobs().map(|knob| knob.name).collect();
    for name in &known {
        let found: Vec<_> = sections.iter().filter(|(head, _)| head == name).collect();
        assert_eq!(found.len(), 1, "sections about {name}");
        for word in ["- Why: ", "- See: ", "- Change: ", "- Risk: "] {
            assert!(found[0].1.contains(word), "{name} lacks {word:?}");
        }
    }
    for (name, _) in sections {
        assert!(known.contains(&name), "{name} is no knob");
    }
}
