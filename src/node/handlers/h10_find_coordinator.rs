//! FindCoordinator, versions 0 to 6. There are no coordinators yet: every group and transaction is answered with
//! `COORDINATOR_NOT_AVAILABLE`, as Kafka does while it has none. Listed all the same, because librdkafka compresses with
//! lz4 only for a broker that lists it, and stores such batches uncompressed without a word otherwise.

use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use corelane_wire::primitive::Reader;

use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

const WHY: &str = "this broker coordinates neither groups nor transactions";

impl Shard {
    pub(crate) fn find_coordinator(&mut self, meta: RequestMeta, reader: &mut Reader<'_>) -> Handled {
        let request = FindCoordinatorRequest::decode(reader, meta.version)?;
        reader.finish()?;
        let error_code = ErrorCode::CoordinatorNotAvailable.code();
        let one =
            |key| Coordinator { key, node_id: -1, host: "", port: -1, error_code, error_message: Some(WHY) };
        let response = FindCoordinatorResponse {
            error_code,
            error_message: Some(WHY),
            node_id: -1,
            port: -1,
            coordinators: request.coordinator_keys.iter().map(|key| one(*key)).collect(),
            ..FindCoordinatorResponse::default()
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
        Ok(())
    }
}
