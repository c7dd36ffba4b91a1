//! AlterConfigs, versions 0 to 2: replaces all settings of a resource. Kept for old clients; key 44 changes single ones.
//! Source: KIP-133, KIP-226.

use corelane_base::time::Now;
use corelane_control::alter_configs::{AlterConfigs, AlterResource, AlterResult};
use corelane_control::controller::Command;
use corelane_wire::message::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::control::outcome;
use crate::pending::{PendingBody, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn alter_configs(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = AlterConfigsRequest::decode(reader, meta.version)?;
        let resources = request.resources.iter().map(|resource| AlterResource {
            resource_type: resource.resource_type,
            name: resource.resource_name.to_owned(),
            configs: resource
                .configs
                .iter()
                .map(|c| (c.name.to_owned(), c.value.map(str::to_owned)))
                .collect(),
        });
        let command = AlterConfigs { resources: resources.collect(), validate_only: request.validate_only };
        self.command(now, meta, PendingBody::Control, Command::AlterConfigs(command), fx);
        Ok(())
    }

    pub(crate) fn answer_alter_configs(&mut self, meta: RequestMeta, results: &[AlterResult]) {
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
        let response = AlterConfigsResponse { responses, ..AlterConfigsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
