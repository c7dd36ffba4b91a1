//! IncrementalAlterConfigs, versions 0 and 1: sets, deletes, appends to and subtracts from single settings.
//! Source: KIP-339.

use corelane_base::time::Now;
use corelane_control::alter_configs::{AlterResult, IncrementalAlterConfigs, IncrementalResource, KeyChange};
use corelane_control::controller::Command;
use corelane_wire::message::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::control::outcome;
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
        reader.finish()?;
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
        let command =
            IncrementalAlterConfigs { resources: resources.collect(), validate_only: request.validate_only };
        self.command(now, meta, PendingBody::Control, Command::IncrementalAlterConfigs(command), fx);
        Ok(())
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
