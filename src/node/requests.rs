//! From a frame to its handler, and from a handler's answer to bytes.

use corelane_base::id::ConnId;
use corelane_base::time::{Mono, Now};
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::primitive::{DecodeError, EncodeError, Reader, Writer};

use crate::event::Effects;
use crate::pending::RequestMeta;
use crate::send::{Reply, SendPart};
use crate::shard::Shard;
use crate::timing::Times;

/// How a handler ends: it has answered or keeps the request pending; or the bytes are no such request, and the
/// connection is closed as Kafka does. Bytes behind the request's last field are ignored, as in Kafka.
pub type Handled = Result<(), DecodeError>;

impl Shard {
    /// Serves one frame. The caller has checked that the connection may start another request.
    /// It has been whole since `arrived`.
    pub(crate) fn serve(&mut self, now: Now, arrived: Mono, conn: ConnId, frame: &[u8], fx: &mut Effects) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.closing {
            return;
        }
        let mut reader = Reader::new(frame);
        let Ok(peeked) = RequestHeader::peek(frame) else {
            self.refuse(conn, "a request too short for its header", fx);
            return;
        };
        let info = ApiKey::from_code(peeked.api_key).map(ApiKey::info);
        let served = info.is_some_and(|info| info.is_served() && info.serves(peeked.api_version));
        let is_api_versions = peeked.api_key == ApiKey::ApiVersions.code();
        if !served && !is_api_versions {
            let why = format!("api key {} version {} is not served", peeked.api_key, peeked.api_version);
            self.refuse(conn, &why, fx);
            return;
        }
        let Some(session) = self.session_mut(conn) else { return };
        let meta = RequestMeta {
            conn,
            sequence: session.begin(frame.len()),
            api_key: peeked.api_key,
            version: peeked.api_version,
            correlation_id: peeked.correlation_id,
            times: Times::served(arrived, now.mono),
        };
        self.metrics.on_request(meta.api_key, meta.version, frame.len());
        let handled = if served {
            RequestHeader::decode(&mut reader)
                .and_then(|header| self.dispatch(now, meta, header.client_id, &mut reader, fx))
        } else {
            self.unsupported_api_versions(meta);
            Ok(())
        };
        if let Err(error) = handled {
            self.refuse(conn, &format!("malformed request of api key {}: {error}", meta.api_key), fx);
        }
    }

    fn dispatch(
        &mut self,
        now: Now,
        meta: RequestMeta,
        client_id: Option<&str>,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let Some(key) = ApiKey::from_code(meta.api_key) else { return Ok(()) };
        match key {
            ApiKey::Produce => self.produce(now, meta, client_id, reader, fx),
            ApiKey::Fetch => self.fetch(now, meta, reader, fx),
            ApiKey::ListOffsets => self.list_offsets(now, meta, reader, fx),
            ApiKey::Metadata => self.metadata(now, meta, reader, fx),
            ApiKey::OffsetCommit => self.offset_commit(now, meta, reader, fx),
            ApiKey::OffsetFetch => self.offset_fetch(now, meta, reader, fx),
            ApiKey::FindCoordinator => self.find_coordinator(now, meta, reader, fx),
            ApiKey::JoinGroup => self.join_group(now, meta, client_id, reader, fx),
            ApiKey::Heartbeat => self.heartbeat(now, meta, reader, fx),
            ApiKey::LeaveGroup => self.leave_group(now, meta, reader, fx),
            ApiKey::SyncGroup => self.sync_group(now, meta, reader, fx),
            ApiKey::DescribeGroups => self.describe_groups(now, meta, reader, fx),
            ApiKey::ListGroups => self.list_groups(now, meta, reader, fx),
            ApiKey::ApiVersions => self.api_versions(meta, reader),
            ApiKey::CreateTopics => self.create_topics(now, meta, reader, fx),
            ApiKey::DeleteTopics => self.delete_topics(now, meta, reader, fx),
            ApiKey::DeleteRecords => self.delete_records(now, meta, reader, fx),
            ApiKey::InitProducerId => self.init_producer_id(now, meta, reader, fx),
            ApiKey::OffsetForLeaderEpoch => self.offset_for_leader_epoch(now, meta, reader, fx),
            ApiKey::DescribeConfigs => self.describe_configs(meta, reader),
            ApiKey::AlterConfigs => self.alter_configs(now, meta, reader, fx),
            ApiKey::IncrementalAlterConfigs => self.incremental_alter_configs(now, meta, reader, fx),
            ApiKey::DescribeLogDirs => self.describe_log_dirs(now, meta, reader, fx),
            ApiKey::CreatePartitions => self.create_partitions(now, meta, reader, fx),
            ApiKey::DeleteGroups => self.delete_groups(now, meta, reader, fx),
            ApiKey::OffsetDelete => self.offset_delete(now, meta, reader, fx),
            ApiKey::ConsumerGroupHeartbeat => self.consumer_group_heartbeat(now, meta, client_id, reader, fx),
            ApiKey::ConsumerGroupDescribe => self.consumer_group_describe(now, meta, reader, fx),
            ApiKey::DescribeCluster => self.describe_cluster(meta, reader),
            ApiKey::ListConfigResources => self.list_config_resources(meta, reader),
            ApiKey::DescribeTopicPartitions => self.describe_topic_partitions(meta, reader),
            // Not advertised, and `serve` lets only served keys through.
            _ => {
                self.respond_code(meta, ErrorCode::UnsupportedVersion);
                Ok(())
            }
        }
    }

    /// Answers with what `encode` writes. An answer that cannot be encoded is our own mistake and says so.
    pub(crate) fn respond_with(
        &mut self,
        meta: RequestMeta,
        encode: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
    ) {
        let parts = response_parts(meta, 256, encode, Vec::new());
        self.respond(meta, Some(parts));
    }

    fn respond_code(&mut self, meta: RequestMeta, error: ErrorCode) {
        self.respond_with(meta, |writer, _| {
            writer.error_code(error.code());
            Ok(())
        });
    }
}

/// Builds a response: header and body, with external slices at the places the body left for them.
pub(crate) fn response_parts(
    meta: RequestMeta,
    capacity: usize,
    encode: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
    external: Vec<Vec<SendPart>>,
) -> Reply {
    let mut writer = Writer::frame(capacity);
    ResponseHeader { correlation_id: meta.correlation_id }.encode(&mut writer, meta.api_key, meta.version);
    encode(&mut writer, meta.version).expect("responses are built for the version asked for");
    let errors = writer.errors();
    let (bytes, splices) = writer.into_parts().expect("responses are bounded far below 2 GiB");
    assert_eq!(splices.len(), external.len(), "one slice for each place");
    let mut parts = Vec::with_capacity(2 * splices.len() + 1);
    let mut at = 0;
    for (splice, slices) in splices.into_iter().zip(external) {
        if splice > at {
            parts.push(SendPart::Memory(bytes.slice(at..splice)));
        }
        at = splice;
        parts.extend(slices);
    }
    if at < bytes.len() {
        parts.push(SendPart::Memory(bytes.slice(at..)));
    }
    Reply { parts, errors }
}
