//! One file per API key, numbered; each says which versions it serves and where it departs from Kafka.

mod control;
mod groups;
mod query;

mod h00_produce;
mod h01_fetch;
mod h02_list_offsets;
mod h03_metadata;
mod h08_offset_commit;
mod h09_offset_fetch;
mod h10_find_coordinator;
mod h11_join_group;
mod h12_heartbeat;
mod h13_leave_group;
mod h14_sync_group;
mod h15_describe_groups;
mod h16_list_groups;
mod h18_api_versions;
mod h19_create_topics;
mod h20_delete_topics;
mod h21_delete_records;
mod h22_init_producer_id;
mod h23_offset_for_leader_epoch;
mod h32_describe_configs;
mod h33_alter_configs;
mod h35_describe_log_dirs;
mod h37_create_partitions;
mod h42_delete_groups;
mod h44_incremental_alter_configs;
mod h47_offset_delete;
mod h60_describe_cluster;
mod h68_consumer_group_heartbeat;
mod h69_consumer_group_describe;
mod h74_list_config_resources;
mod h75_describe_topic_partitions;
