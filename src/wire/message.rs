//! The messages: one module per API, each with its request and its response.
//!
//! Generated from `schema/` by `cargo run -p corelane-wiregen`; change those files, not these.

#[rustfmt::skip]
pub mod produce;
#[rustfmt::skip]
pub mod fetch;
#[rustfmt::skip]
pub mod list_offsets;
#[rustfmt::skip]
pub mod metadata;
#[rustfmt::skip]
pub mod offset_commit;
#[rustfmt::skip]
pub mod offset_fetch;
#[rustfmt::skip]
pub mod find_coordinator;
#[rustfmt::skip]
pub mod join_group;
#[rustfmt::skip]
pub mod heartbeat;
#[rustfmt::skip]
pub mod leave_group;
#[rustfmt::skip]
pub mod sync_group;
#[rustfmt::skip]
pub mod describe_groups;
#[rustfmt::skip]
pub mod list_groups;
#[rustfmt::skip]
pub mod api_versions;
#[rustfmt::skip]
pub mod create_topics;
#[rustfmt::skip]
pub mod delete_topics;
#[rustfmt::skip]
pub mod delete_records;
#[rustfmt::skip]
pub mod init_producer_id;
#[rustfmt::skip]
pub mod offset_for_leader_epoch;
#[rustfmt::skip]
pub mod describe_configs;
#[rustfmt::skip]
pub mod alter_configs;
#[rustfmt::skip]
pub mod describe_log_dirs;
#[rustfmt::skip]
pub mod create_partitions;
#[rustfmt::skip]
pub mod delete_groups;
#[rustfmt::skip]
pub mod incremental_alter_configs;
#[rustfmt::skip]
pub mod offset_delete;
#[rustfmt::skip]
pub mod describe_cluster;
#[rustfmt::skip]
pub mod consumer_group_heartbeat;
#[rustfmt::skip]
pub mod consumer_group_describe;
#[rustfmt::skip]
pub mod list_config_resources;
#[rustfmt::skip]
pub mod describe_topic_partitions;
