//! Settings of brokers, topics and groups, asked for and changed by a client.

use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use corelane_wire::message::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use crate::client::{Client, ClientError, Node, exchange};

exchange!(DescribeConfigsRequest, DescribeConfigsResponse, DescribeConfigs);
exchange!(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, IncrementalAlterConfigs);

const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;

/// What can have settings. The number is the code on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[repr(i8)]
pub enum Kind {
    /// A topic.
    Topic = 2,
    /// A broker, or all of them.
    Broker = 4,
    /// The loggers of a broker.
    BrokerLogger = 8,
    /// A subscription to metrics of clients.
    ClientMetrics = 16,
    /// A consumer group.
    Group = 32,
}

/// Whose settings are meant.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// What it is.
    pub kind: Kind,
    /// Which one; nothing for all brokers.
    pub name: &'a str,
    /// Whom to ask.
    pub node: Node,
}

impl<'a> Resource<'a> {
    /// A topic, asked for at `node`.
    pub fn topic(name: &'a str, node: Node) -> Resource<'a> {
        Resource { kind: Kind::Topic, name, node }
    }
}

/// One setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// Kafka's name of it.
    pub name: String,
    /// What holds; `None` if nothing does or it is not shown.
    pub value: Option<String>,
    /// From where, by the number on the wire.
    pub source: i8,
    /// Only a restart changes it.
    pub read_only: bool,
}

/// The [`Setting::source`] of a topic's own.
pub const SOURCE_TOPIC: i8 = 1;
/// The [`Setting::source`] of what nobody has set.
pub const SOURCE_DEFAULT: i8 = 5;

/// Asks for all settings of a resource, in the order of their names. Errors: the broker's refusal, too.
pub fn describe(client: &mut Client, resource: &Resource<'_>) -> Result<Vec<Setting>, ClientError> {
    let asked = DescribeConfigsResource {
        resource_type: resource.kind as i8,
        resource_name: resource.name,
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest {
        resources: vec![asked],
        include_synonyms: false,
        include_documentation: false,
    };
    let deadline = client.deadline();
    client.retry(deadline, |client| {
        let answer = client.call(resource.node, &request, deadline)?;
        let response = answer.decode()?;
        let result = response.results.first();
        let result = result.ok_or_else(|| ClientError::Protocol("no settings in the answer".to_string()))?;
        if result.error_code != ErrorCode::None as i16 {
            let what = format!("settings of {}", resource.name);
            return Err(ClientError::refused(what, result.error_code, result.error_message));
        }
        let rows = result.configs.iter().map(|config| Setting {
            name: config.name.to_string(),
            value: config.value.map(str::to_string),
            source: config.config_source,
            read_only: config.read_only,
        });
        let mut rows: Vec<Setting> = rows.collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    })
}

/// What shall become of settings.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Names and values.
    pub set: &'a [crate::args::Setting],
    /// Names that shall have their default again.
    pub unset: &'a [String],
    /// Only whether it could be done.
    pub validate_only: bool,
}

/// Changes settings of a resource, all or none: the error code, which may be none, and what the broker says to it.
pub fn alter(
    client: &mut Client,
    resource: &Resource<'_>,
    change: Change<'_>,
) -> Result<(i16, Option<String>), ClientError> {
    let set = change.set.iter().map(|setting| AlterableConfig {
        name: &setting.key,
        config_operation: OPERATION_SET,
        value: Some(&setting.value),
    });
    let unset = change.unset.iter().map(|name| AlterableConfig {
        name,
        config_operation: OPERATION_DELETE,
        value: None,
    });
    let altered = AlterConfigsResource {
        resource_type: resource.kind as i8,
        resource_name: resource.name,
        configs: set.chain(unset).collect(),
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![altered], validate_only: change.validate_only };
    let deadline = client.deadline();
    client.retry(deadline, |client| {
        let answer = client.call(resource.node, &request, deadline)?;
        let response = answer.decode()?;
        let row = response.responses.first();
        let row = row.ok_or_else(|| ClientError::Protocol("no outcome in the answer".to_string()))?;
        if row.error_code == ErrorCode::NotController as i16 {
            return Err(ClientError::refused("asking the controller", row.error_code, None));
        }
        Ok((row.error_code, row.error_message.map(str::to_string)))
    })
}
