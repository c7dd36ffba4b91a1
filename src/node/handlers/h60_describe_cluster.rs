//! DescribeCluster, versions 0 to 2. Only brokers can be asked for (endpoint type 1): the controller has no endpoint of
//! its own. Source: KIP-700, KIP-919.

use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use corelane_wire::primitive::Reader;

use crate::handlers::h03_metadata::{CLUSTER_OPERATIONS, OPERATIONS_UNASKED};
use crate::pending::RequestMeta;
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;

const ENDPOINT_BROKERS: i8 = 1;

impl Shard {
    pub(crate) fn describe_cluster(&mut self, meta: RequestMeta, reader: &mut Reader<'_>) -> Handled {
        let request = DescribeClusterRequest::decode(reader, meta.version)?;
        if request.endpoint_type != ENDPOINT_BROKERS {
            let response = DescribeClusterResponse {
                error_code: ErrorCode::UnsupportedEndpointType.code(),
                error_message: Some("only brokers have endpoints here"),
                endpoint_type: request.endpoint_type,
                ..DescribeClusterResponse::default()
            };
            self.respond_with(meta, |writer, version| response.encode(writer, version));
            return Ok(());
        }
        let parts = {
            let response = DescribeClusterResponse {
                endpoint_type: ENDPOINT_BROKERS,
                cluster_id: self.image.cluster_id().unwrap_or_default(),
                controller_id: self.broker_id.0,
                brokers: vec![DescribeClusterBroker {
                    broker_id: self.broker_id.0,
                    host: &self.settings.advertised_host,
                    port: i32::from(self.settings.advertised_port),
                    rack: self.config.rack.as_deref(),
                    ..DescribeClusterBroker::default()
                }],
                cluster_authorized_operations: if request.include_cluster_authorized_operations {
                    CLUSTER_OPERATIONS
                } else {
                    OPERATIONS_UNASKED
                },
                ..DescribeClusterResponse::default()
            };
            response_parts(meta, 256, |writer, version| response.encode(writer, version), Vec::new())
        };
        self.respond(meta, Some(parts));
        Ok(())
    }
}
