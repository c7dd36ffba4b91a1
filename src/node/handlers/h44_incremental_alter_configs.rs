//! IncrementalAlterConfigs, versions 0 and 1: sets, deletes, appends to and subtracts from single settings. Levels of
//! loggers (resource type 8) are this broker's own and are changed at once; deviation: a request that names other
//! resources besides is refused for its loggers. A broker's settings, or those of all brokers, hold on every shard when
//! the answer leaves; deviations: a name that no setting has is refused (Kafka keeps it for plug-ins), and the keys of
//! retention and rolling in minutes and hours change at run time as those in milliseconds do. Source: KIP-226, KIP-339,
//! KIP-412.

use corelane_base::id::ShardId;
use corelane_base::time::Now;
use corelane_control::alter_configs::{AlterResult, IncrementalAlterConfigs, IncrementalResource, KeyChange};
use corelane_control::controller::Command;
use corelane_wire::message::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use corelane_wire::primitive::Reader;

use crate::event::{Effects, Lifecycle};
use crate::handlers::control::outcome;
use crate::loggers::{self, BROKER_LOGGER, LoggerRefusal};
use crate::mesh::MeshMessage;
use crate::pending::{PendingBody, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn incremental_alter_configs(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = IncrementalAlterConfigsRequest::decode(reader, meta.version)?;
        let is_logger = |resource_type: i8| resource_type == BROKER_LOGGER;
        let of_loggers = request.resources.iter().all(|resource| is_logger(resource.resource_type));
        let resources = request.resources.iter().map(|resource| IncrementalResource {
            resource_type: resource.resource_type,
            name: resource.resource_name.to_owned(),
            changes: resource
                .configs
                .iter()
                .map(|config| KeyChange {
                    key: config.name.to_owned(),
                    operation: config.config_operation,
                    value: config.value.map(str::to_owned),
                })
                .collect(),
        });
        let resources: Vec<IncrementalResource> = resources.collect();
        if of_loggers && !resources.is_empty() {
            let results = self.alter_loggers(now, resources, request.validate_only, fx);
            self.answer_loggers(meta, &results);
            return Ok(());
        }
        let command = IncrementalAlterConfigs { resources, validate_only: request.validate_only };
        self.command(now, meta, PendingBody::Control, Command::IncrementalAlterConfigs(command), fx);
        Ok(())
    }

    /// Changes the levels of loggers here, on the other shards and in the shell. Gives each resource's name and refusal.
    fn alter_loggers(
        &mut self,
        now: Now,
        resources: Vec<IncrementalResource>,
        validate_only: bool,
        fx: &mut Effects,
    ) -> Vec<(String, Option<LoggerRefusal>)> {
        let before = self.loggers;
        let mut results = Vec::with_capacity(resources.len());
        for resource in resources {
            let changed = loggers::check_name(&resource.name, self.broker_id.0)
                .and_then(|()| self.loggers.changed(&resource.changes));
            if let (Ok(changed), false) = (&changed, validate_only) {
                self.loggers = *changed;
            }
            results.push((resource.name, changed.err()));
        }
        if self.loggers != before {
            let own = self.id();
            for shard in (0..self.settings.shard_count).map(ShardId).filter(|shard| *shard != own) {
                self.tell(now, shard, MeshMessage::Loggers(self.loggers), fx);
            }
            fx.lifecycle.push(Lifecycle::LogFilter(self.loggers.filter()));
        }
        results
    }

    fn answer_loggers(&mut self, meta: RequestMeta, results: &[(String, Option<LoggerRefusal>)]) {
        let responses = results.iter().map(|(name, refusal)| AlterConfigsResourceResponse {
            error_code: refusal.as_ref().map_or(0, |(code, _)| code.code()),
            error_message: refusal.as_ref().map(|(_, text)| text.as_str()),
            resource_type: BROKER_LOGGER,
            resource_name: name,
        });
        let response = IncrementalAlterConfigsResponse {
            responses: responses.collect(),
            ..IncrementalAlterConfigsResponse::default()
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }

    pub(crate) fn answer_incremental_alter_configs(&mut self, meta: RequestMeta, results: &[AlterResult]) {
        let responses = results
            .iter()
            .map(|resource| {
                let (error_code, error_message) = outcome(&resource.result);
                AlterConfigsResourceResponse {
                    error_code,
                    error_message,
                    resource_type: resource.resource_type,
                    resource_name: &resource.name,
                }
            })
            .collect();
        let response =
            IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
