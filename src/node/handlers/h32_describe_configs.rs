//! DescribeConfigs, versions 1 to 4, for topics (2), this broker (4), the default of all brokers (4 with an empty name),
//! this broker's loggers (8), subscriptions to clients' metrics (16) and groups (32); other resource types have no
//! settings here. Source: KIP-133, KIP-226, KIP-412, KIP-569.

use corelane_control::command::State;
use corelane_control::describe_configs::{
    DescribeResource, DescribedConfig, DescribedResource, describe_configs,
};
use corelane_wire::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use corelane_wire::primitive::Reader;

use crate::handlers::control::outcome;
use crate::loggers::{self, BROKER_LOGGER};
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

/// `DYNAMIC_BROKER_LOGGER_CONFIG`.
const LOGGER_SOURCE: i8 = 6;

impl Shard {
    pub(crate) fn describe_configs(&mut self, meta: RequestMeta, reader: &mut Reader<'_>) -> Handled {
        let request = DescribeConfigsRequest::decode(reader, meta.version)?;
        let resources: Vec<DescribeResource> = request
            .resources
            .iter()
            .filter(|resource| resource.resource_type != BROKER_LOGGER)
            .map(|resource| DescribeResource {
                resource_type: resource.resource_type,
                name: resource.resource_name.to_owned(),
                keys: resource
                    .configuration_keys
                    .as_ref()
                    .map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
            })
            .collect();
        let state = State { image: &self.image, broker: self.broker_id, settings: &self.settings.config };
        let described = describe_configs(&state, &resources);
        let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
        let mut others = described.iter().map(|resource| result(resource, synonyms, documentation));
        let results = request.resources.iter().filter_map(|resource| match resource.resource_type {
            BROKER_LOGGER => Some(self.describe_loggers(resource)),
            _ => others.next(),
        });
        let results = results.collect();
        let response = DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
        Ok(())
    }
}

impl Shard {
    fn describe_loggers<'a>(&self, resource: &DescribeConfigsResource<'a>) -> DescribeConfigsResult<'a> {
        let mut result = DescribeConfigsResult {
            resource_type: BROKER_LOGGER,
            resource_name: resource.resource_name,
            ..DescribeConfigsResult::default()
        };
        if let Err((code, _)) = loggers::check_name(resource.resource_name, self.broker_id.0) {
            result.error_code = code.code();
            result.error_message = Some("the loggers of another broker, or of none: ask it, by its number");
            return result;
        }
        let keys = resource.configuration_keys.as_deref();
        let wanted = |name: &str| keys.is_none_or(|keys| keys.contains(&name));
        result.configs = self
            .loggers
            .effective()
            .filter(|(name, _)| wanted(name))
            .map(|(name, level)| DescribeConfigsResourceResult {
                name,
                value: Some(level),
                config_source: LOGGER_SOURCE,
                ..DescribeConfigsResourceResult::default()
            })
            .collect();
        result
    }
}

fn result(resource: &DescribedResource, synonyms: bool, documentation: bool) -> DescribeConfigsResult<'_> {
    let (error_code, error_message) = outcome(&resource.result);
    let configs = resource.result.iter().flatten();
    DescribeConfigsResult {
        error_code,
        error_message,
        resource_type: resource.resource_type,
        resource_name: &resource.name,
        configs: configs.map(|config| entry(config, synonyms, documentation)).collect(),
    }
}

fn entry(config: &DescribedConfig, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult<'_> {
    let synonyms = config.synonyms.iter().filter(|_| synonyms).map(|synonym| DescribeConfigsSynonym {
        name: synonym.name,
        value: synonym.value.as_deref(),
        source: synonym.source.code(),
    });
    DescribeConfigsResourceResult {
        name: config.name,
        value: config.value.as_deref(),
        read_only: config.read_only,
        config_source: config.source.code(),
        is_sensitive: config.sensitive,
        synonyms: synonyms.collect(),
        config_type: config.kind.code(),
        documentation: if documentation { Some(config.documentation) } else { None },
    }
}
