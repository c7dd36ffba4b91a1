//! The topics in a consumer's subscription.
//!
//! ```text
//! subscription = version:i16  count:i32  count * topic:( length:i16  UTF-8 )  whatever a version adds
//! ```

use std::collections::BTreeSet;

use crate::groups::bytes::RecordReader;
use crate::groups::effect::GroupReplayError;

/// The protocol type of consumers.
pub const CONSUMER: &str = "consumer";

/// Adds the topics of a subscription to `topics`. All versions begin like version 0. Errors: for bytes that are not a
/// subscription, which some clients of the type `consumer` do send.
pub fn add_topics(metadata: &[u8], topics: &mut BTreeSet<String>) -> Result<(), GroupReplayError> {
    let mut reader = RecordReader::new(metadata);
    if reader.i16()? < 0 {
        return Err(GroupReplayError("a subscription has a negative version".into()));
    }
    for _ in 0..reader.count(2)? {
        let topic = reader.string()?;
        if !topics.contains(topic) {
            topics.insert(topic.to_owned());
        }
    }
    Ok(())
}
