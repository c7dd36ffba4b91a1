//! Which topic names are allowed. Source: Kafka's rules for topic names, which its tools and metrics rely on.

/// The longest name, in bytes: a file system's 255 less a dash and a partition number.
pub const NAME_BYTES_MAX: usize = 249;

/// The topic in which groups keep their offsets.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// The topic in which transactions keep their state.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// The name under which a cluster's metadata log is known; never a topic of a client's.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Checks a name against the rules: 1 to 249 of ASCII letters, digits, `.`, `_` and `-`, but not `.` or `..`.
/// Errors: the rule that is broken, in words, to become `INVALID_TOPIC_EXCEPTION`.
pub fn check(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("topic name is invalid: it is empty".into());
    }
    if name == "." || name == ".." {
        return Err(format!("topic name is invalid: '{name}' is not allowed"));
    }
    if name.len() > NAME_BYTES_MAX {
        let length = name.len();
        return Err(format!(
            "topic name is invalid: its length {length} is above the limit of {NAME_BYTES_MAX}"
        ));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(format!(
            "topic name is invalid: '{name}' has characters other than ASCII letters, digits, '.', '_' \
             and '-'"
        ));
    }
    Ok(())
}

/// Whether the broker itself owns what is in the topic; clients see the flag in metadata.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name == CONSUMER_OFFSETS || name == TRANSACTION_STATE
}

/// Whether the name could collide with another one once `.` and `_` are the same, as they are in metric names.
#[must_use]
pub fn may_collide(name: &str) -> bool {
    name.bytes().any(|b| b == b'.' || b == b'_')
}

/// The name with every `.` as `_`: two names collide if these are equal.
#[must_use]
pub fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        #[track_caller]
        fn allowed(name: &str, expected: bool) {
            assert_eq!(check(name).is_ok(), expected, "{name}");
        }
        allowed("a", true);
        allowed("Orders.v1_eu-west", true);
        allowed("...", true);
        allowed("__consumer_offsets", true);
        allowed(&"x".repeat(249), true);
        allowed(&"x".repeat(250), false);
        allowed("", false);
        allowed(".", false);
        allowed("..", false);
        allowed("../etc/passwd", false);
        allowed("a/b", false);
        allowed("a b", false);
        allowed("a\0", false);
        allowed("a\n", false);
        allowed("töpfe", false);
        allowed("a:b", false);
        allowed("a*", false);
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert_eq!(collision_key("a.b_c"), collision_key("a_b.c"));
        assert_ne!(collision_key("a.b"), collision_key("a-b"));
        assert!(may_collide("a.b") && may_collide("a_b") && !may_collide("a-b"));
    }
}
