//! Subscriptions by pattern: RE2's syntax, matched against whole names of topics.
//!
//! The engine is the crate `regex`, which like RE2 works in time linear to pattern and text. What its syntax reads
//! differently is rewritten first: `\Q..\E` quotes; inside a class `[`, `&&`, `--` and `~~` are plain characters there
//! and mean set operations here; a brace that begins no count is a plain character; a count goes up to 1,000; what is
//! repeated cannot be repeated again; the flags `x`, `R` and `u` do not exist. Names of topics are ASCII, so that it
//! does not matter whether `\d` means all of Unicode.
//!
//! A pattern comes from a client: its compiled size and its nesting are bounded.

use core::fmt;
use std::collections::BTreeSet;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::image::ClusterImage;

/// The most bytes of a compiled pattern, and of the cache that matching it may use.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting.
const NESTING_MAX: u32 = 200;
/// The largest count in `x{n}`, RE2's.
const REPEAT_MAX: u32 = 1_000;

/// What a pattern stood for when it was last looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResolvedRegex {
    /// The topics, by name.
    pub topics: BTreeSet<Arc<str>>,
    /// The version of the metadata then. This broker has none and writes 0.
    pub version: i64,
    /// When it was looked at, in milliseconds of wall-clock time.
    pub timestamp: i64,
}

/// A pattern that is none (`INVALID_REGULAR_EXPRESSION`). The text says why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRegex(pub String);

impl fmt::Display for BadRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadRegex {}

/// A compiled pattern.
#[derive(Debug)]
pub struct TopicRegex(Regex);

impl TopicRegex {
    /// Compiles `pattern`. Errors: [`BadRegex`], also for one that would be too large.
    pub fn new(pattern: &str) -> Result<TopicRegex, BadRegex> {
        let pattern = rewrite(pattern)?;
        let compile = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(COMPILED_BYTES_MAX)
                .dfa_size_limit(COMPILED_BYTES_MAX)
                .nest_limit(NESTING_MAX)
                .build()
                .map_err(|error| BadRegex(error.to_string()))
        };
        // By itself first: what closes a parenthesis that it did not open would otherwise close ours.
        compile(&pattern)?;
        compile(&format!(r"\A(?:{pattern})\z")).map(TopicRegex)
    }

    /// Whether the pattern stands for the whole of `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    /// The topics that it stands for.
    #[must_use]
    pub fn resolve(&self, image: &ClusterImage) -> BTreeSet<Arc<str>> {
        image
            .topics()
            .filter(|topic| self.matches(&topic.name))
            .map(|topic| Arc::clone(&topic.name))
            .collect()
    }
}

/// Rewrites what RE2 and `regex` read differently.
fn rewrite(pattern: &str) -> Result<String, BadRegex> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut repeated = false;
    while let Some(char) = rest.chars().next() {
        if let Some(length) = repeat_length(rest)? {
            if repeated {
                return Err(BadRegex(format!("nested repetition at `{rest}`")));
            }
            // The mark of laziness belongs to it.
            let length = length + usize::from(rest[length..].starts_with('?'));
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            repeated = true;
            continue;
        }
        repeated = false;
        let mut length = char.len_utf8();
        if let Some(quoted) = rest.strip_prefix(r"\Q") {
            let (literal, behind) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(literal));
            rest = behind;
            continue;
        } else if char == '[' {
            rest = rewrite_class(rest, &mut out);
            continue;
        } else if char == '{' {
            // No count: a character like any other.
            out.push('\\');
        } else if char == '\\' {
            length = rest.chars().take(2).map(char::len_utf8).sum();
        } else if rest.starts_with("(?") {
            check_flags(rest)?;
            length = 2;
        }
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Ok(out)
}

/// Rewrites the class that `text` begins with; returns what is behind it.
fn rewrite_class<'a>(text: &'a str, out: &mut String) -> &'a str {
    let mut rest = &text[1..];
    out.push('[');
    if let Some(behind) = rest.strip_prefix('^') {
        out.push('^');
        rest = behind;
    }
    // A bracket in the first place is a member of the class.
    if let Some(behind) = rest.strip_prefix(']') {
        out.push_str(r"\]");
        rest = behind;
    }
    while let Some(char) = rest.chars().next() {
        let mut length = char.len_utf8();
        match char {
            ']' => {
                out.push(']');
                return &rest[1..];
            }
            '\\' => {
                length = rest.chars().take(2).map(char::len_utf8).sum();
                out.push_str(&rest[..length]);
            }
            '[' if rest.starts_with("[:") && rest.contains(":]") => {
                length = rest.find(":]").map_or(1, |end| end + 2);
                out.push_str(&rest[..length]);
            }
            '-' if !rest.starts_with("--") => out.push('-'),
            '-' => {
                length = 2;
                out.push_str(r"-\-");
            }
            '[' | '&' | '~' => out.extend(['\\', char]),
            other => out.push(other),
        }
        rest = &rest[length..];
    }
    rest
}

/// Refuses the flags that RE2 does not have.
fn check_flags(rest: &str) -> Result<(), BadRegex> {
    let flags = rest.strip_prefix("(?").and_then(|inside| inside.split([':', ')']).next()).unwrap_or("");
    let named = flags.starts_with("P<") || flags.starts_with('<');
    match flags.chars().find(|flag| !named && !"imsU-".contains(*flag)) {
        Some(flag) => Err(BadRegex(format!("unknown flag or group `{flag}`"))),
        None => Ok(()),
    }
}

/// The length of the repetition that `rest` begins with. Errors: a count above RE2's limit.
fn repeat_length(rest: &str) -> Result<Option<usize>, BadRegex> {
    if rest.starts_with(['*', '+', '?']) {
        return Ok(Some(1));
    }
    let Some((counts, _)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) else {
        return Ok(None);
    };
    let (least, most) = counts.split_once(',').unwrap_or((counts, counts));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(least) || !(most.is_empty() || is_number(most)) {
        return Ok(None);
    }
    let too_large = |count: &str| count.parse::<u32>().map_or(!count.is_empty(), |count| count > REPEAT_MAX);
    match [least, most].into_iter().find(|count| too_large(count)) {
        Some(count) => Err(BadRegex(format!("count {count} is above {REPEAT_MAX}"))),
        None => Ok(Some(counts.len() + 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::TopicRegex;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let regex = TopicRegex::new(pattern).unwrap_or_else(|bad| panic!("{pattern}: {bad}"));
        yes.iter().for_each(|name| assert!(regex.matches(name), "{pattern} stands for {name}"));
        no.iter().for_each(|name| assert!(!regex.matches(name), "{pattern} does not stand for {name}"));
    }

    #[test]
    fn patterns_stand_for_whole_names() {
        check("foo", &["foo"], &["foobar", "afoo", "Foo"]);
        check("foo*", &["fo", "foo", "fooo"], &["foobar"]);
        check("foo.*", &["foo", "foobar"], &["barfoo"]);
        check("a|ab", &["a", "ab"], &["abc", "b"]);
        check("^a$", &["a"], &["ab"]);
        check("(?i)foo", &["FOO", "foo"], &["fo"]);
        check("", &[""], &["a"]);
        check(r"t\d+", &["t1", "t42"], &["t", "ta"]);
        check(r"\Qa.b\E.*", &["a.b", "a.bc"], &["axb"]);
        check(r"\Qa.b", &["a.b"], &["axb"]);
        check("(?P<name>a)b", &["ab"], &["a"]);
        check("(?:a)b", &["ab"], &["a"]);
        check("[[:alpha:]]+", &["abc"], &["a1"]);
        check("[^a]", &["b"], &["a"]);
        check("a{2,3}", &["aa", "aaa"], &["a", "aaaa"]);
        check(r"\.", &["."], &["a"]);
        check("a*?b+?c??", &["b", "aabbc"], &["a"]);
        check("(?:ab?)*", &["", "ab", "aaba"], &["b"]);
        check("a{", &["a{"], &["a"]);
        check("a{,2}", &["a{,2}"], &["aa"]);
        check("a{1,}", &["a", "aa"], &[""]);
    }

    #[test]
    fn classes_have_no_set_operations() {
        check("[a&&b]+", &["a&b", "ab"], &["c"]);
        check("[a~~b]+", &["a~b"], &["c"]);
        check("[[a]+", &["[a", "a"], &["b"]);
        check("[+--]+", &["+,-"], &["."]);
        check("[]a]+", &["]a"], &["b"]);
        check("[a-]+", &["a-"], &["b"]);
        check("[^]a]+", &["b"], &["]"]);
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["(", ")", "a)(b", "[", "[a", "*", r"\", "a{2,1}", "(?x)a", "(?R)a", "(?=a)", "(?<!a)b"] {
            assert!(TopicRegex::new(bad).is_err(), "{bad}");
        }
        for bad in ["a{1001}", "a{1,1001}", "a{99999999999}", "(a{1000}){1000}", r"\k", "(?z)a", "[[:word"] {
            assert!(TopicRegex::new(bad).is_err(), "{bad}");
        }
        for bad in ["a**", "a++", "a*{2}", "a{2}{2}", "a???", "|*"] {
            assert!(TopicRegex::new(bad).is_err(), "{bad}");
        }
        assert!(TopicRegex::new(&"(".repeat(10_000)).is_err());
        assert!(TopicRegex::new(&format!("{}{}", "(".repeat(1_000), ")".repeat(1_000))).is_err());
    }
}
