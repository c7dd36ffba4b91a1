//! Groups of the classic protocol: members join, the leader among them assigns, everybody fetches its share.
//!
//! The coordinator relays subscriptions and assignments without reading them; of the consumer protocol's subscription
//! it reads the topics' names, because offsets of subscribed topics neither expire nor can be deleted.

pub mod subscription;
pub mod member;
pub mod group;
pub mod stored;
pub mod join;
pub mod sync;
