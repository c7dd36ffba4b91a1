//! One file per API key, numbered; each says which versions it serves and where it departs from Kafka.

mod control;
mod query;

mod h00_produce;
mod h01_fetch;
mod h02_list_offsets;
mod h03_metadata;
mod h10_find_coordinator;
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
mod h44_incremental_alter_configs;
mod h60_describe_cluster;
mod h75_describe_topic_partitions;
