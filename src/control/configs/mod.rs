//! The registry of configuration keys, their layers, and the checked typed settings that travel.
//!
//! A key has one definition: name, type, default, range, documentation. Its value comes from layers, strongest
//! first: the topic or group, this broker's dynamic settings, the cluster's dynamic defaults, what the broker was started
//! with, the built-in default. Strings end here: everything below works with [`topic::TopicConfig`] and
//! [`broker::BrokerConfig`].

pub mod definition;

pub mod connection_limits;
pub mod listener;

pub mod broker_definitions;
pub mod topic_definitions;

pub mod settings;

pub mod layers;
pub mod group_definitions;
pub mod client_metrics_definitions;

pub mod broker;
pub mod topic;
