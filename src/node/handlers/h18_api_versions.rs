//! ApiVersions, versions 0 to 4. An unknown version is answered in version 0 with code 35 and the list, so that the
//! client can choose again. From version 3 the client names its software; a name that is no name is refused as Kafka
//! does. Source: KIP-35, KIP-511.

use corelane_wire::api::advertised;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use corelane_wire::primitive::Reader;

use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn api_versions(&mut self, meta: RequestMeta, reader: &mut Reader<'_>) -> Handled {
        let request = ApiVersionsRequest::decode(reader, meta.version)?;
        let named = is_software_name(request.client_software_name)
            && is_software_name(request.client_software_version);
        let response = if meta.version >= 3 && !named {
            ApiVersionsResponse {
                error_code: ErrorCode::InvalidRequest.code(),
                ..ApiVersionsResponse::default()
            }
        } else {
            list(ErrorCode::None)
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
        Ok(())
    }

    pub(crate) fn unsupported_api_versions(&mut self, meta: RequestMeta) {
        let meta = RequestMeta { version: 0, ..meta };
        self.respond_with(meta, |writer, version| {
            list(ErrorCode::UnsupportedVersion).encode(writer, version)
        });
    }
}

fn list(error: ErrorCode) -> ApiVersionsResponse<'static> {
    let api_keys = advertised()
        .map(|api| ApiVersion {
            api_key: api.api_key,
            min_version: api.min_version,
            max_version: api.max_version,
        })
        .collect();
    ApiVersionsResponse { error_code: error.code(), api_keys, ..ApiVersionsResponse::default() }
}

/// Letters and digits with `.` and `-` between them. Source: Kafka `ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN`.
fn is_software_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(edge) && name.ends_with(edge) && name.chars().all(|c| edge(c) || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names() {
        for good in ["a", "apache-kafka-java", "4.2.0", "librdkafka"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "é"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
