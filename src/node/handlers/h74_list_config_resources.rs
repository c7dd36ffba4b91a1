//! ListConfigResources, versions 0 and 1: what has settings of its own, by type. Version 0 knows client metrics alone.
//! Source: KIP-1000, KIP-1142.

use corelane_control::describe_configs::{
    RESOURCE_BROKER, RESOURCE_CLIENT_METRICS, RESOURCE_GROUP, RESOURCE_TOPIC,
};
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use corelane_wire::primitive::Reader;

use crate::loggers::BROKER_LOGGER;
use crate::pending::RequestMeta;
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;

impl Shard {
    pub(crate) fn list_config_resources(&mut self, meta: RequestMeta, reader: &mut Reader<'_>) -> Handled {
        let request = ListConfigResourcesRequest::decode(reader, meta.version)?;
        let all = [RESOURCE_TOPIC, RESOURCE_BROKER, BROKER_LOGGER, RESOURCE_CLIENT_METRICS, RESOURCE_GROUP];
        let types = match meta.version {
            0 => vec![RESOURCE_CLIENT_METRICS],
            _ if request.resource_types.is_empty() => all.to_vec(),
            _ => request.resource_types,
        };
        let broker = self.broker_id.to_string();
        let mut error = ErrorCode::None;
        let mut config_resources = Vec::new();
        for (at, resource_type) in types.iter().copied().enumerate() {
            if types[..at].contains(&resource_type) {
                continue;
            }
            let named = |resource_name| ConfigResource { resource_name, resource_type };
            match resource_type {
                RESOURCE_TOPIC => {
                    config_resources.extend(self.image.topics().map(|topic| named(&topic.name)))
                }
                RESOURCE_BROKER | BROKER_LOGGER => config_resources.push(named(&broker)),
                RESOURCE_CLIENT_METRICS => {
                    config_resources.extend(self.image.client_metrics_subscriptions().map(named));
                }
                RESOURCE_GROUP => config_resources.extend(self.image.configured_groups().map(named)),
                _ => error = ErrorCode::UnsupportedVersion,
            }
        }
        if error != ErrorCode::None {
            config_resources.clear();
        }
        let error_code = error.code();
        let capacity = 64 + 32 * config_resources.len();
        let response = ListConfigResourcesResponse {
            error_code,
            config_resources,
            ..ListConfigResourcesResponse::default()
        };
        let encode = |writer: &mut _, version| response.encode(writer, version);
        let parts = response_parts(meta, capacity, encode, Vec::new());
        self.respond(meta, Some(parts));
        Ok(())
    }
}
