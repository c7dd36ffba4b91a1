//! `corelane topic`: create, list, describe, alter and delete topics.

use clap::{Args, Subcommand};
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use corelane_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use corelane_wire::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use serde_json::{Value, json};

use crate::args::{Setting, parse_setting};
use crate::cli::connect::ClientArgs;
use crate::cli::describe;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table, print_json, print_text};
use crate::client::{Client, ClientError, Node, error_name, exchange};
use crate::configs::{self, Change, Resource};

exchange!(CreateTopicsRequest, CreateTopicsResponse, CreateTopics);
// Below version 6 the names stand in another list; every broker since 2021 knows 6.
exchange!(DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopics, 6, 6);
exchange!(CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitions);

const EXAMPLES: &str = "\
Examples:
  corelane topic create orders --partitions 8 --set retention.ms=86400000
  corelane topic list --output json
  corelane topic describe orders
  corelane topic alter orders --partitions 16 --set retention.bytes=1073741824 --unset retention.ms
  corelane topic delete orders";

/// The arguments of `corelane topic`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TopicArgs {
    #[command(subcommand)]
    command: TopicCommand,

    #[command(flatten)]
    shared: ClientArgs,
}

#[derive(Subcommand, Debug)]
enum TopicCommand {
    /// Create topics
    Create(CreateArgs),
    /// List the topics
    List {
        /// Also those that the broker keeps for itself
        #[arg(long)]
        internal: bool,
    },
    /// Show partitions, offsets and settings
    Describe {
        /// Which topics; all of them if none is named
        topics: Vec<String>,
        /// Also the settings that have their default value
        #[arg(long)]
        all_settings: bool,
    },
    /// Change settings or add partitions
    Alter(AlterArgs),
    /// Delete topics with all their records
    Delete {
        /// Which topics
        #[arg(required = true)]
        topics: Vec<String>,
        /// A topic that does not exist is no failure
        #[arg(long)]
        if_exists: bool,
    },
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Which topics
    #[arg(required = true)]
    topics: Vec<String>,
    /// How many partitions; the broker's num.partitions if not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas; the broker's default.replication.factor if not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting of the topic, by Kafka's name, as often as needed
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<Setting>,
    /// A topic that exists already is no failure
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether it could be done
    #[arg(long)]
    validate_only: bool,
}

#[derive(Args, Debug)]
struct AlterArgs {
    /// Which topic
    topic: String,
    /// How many partitions it shall have; never fewer than it has
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A setting to change, as often as needed
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<Setting>,
    /// A setting to give back its default, as often as needed
    #[arg(long = "unset", value_name = "KEY")]
    unset: Vec<String>,
    /// Only check whether it could be done
    #[arg(long)]
    validate_only: bool,
}

/// Runs the command.
pub fn run(args: &TopicArgs) -> Result<(), Failure> {
    let mut client = args.shared.connect.connect()?;
    let output = args.shared.output;
    match &args.command {
        TopicCommand::Create(create) => {
            let results = create_topics(&mut client, create)?;
            finish(results, if create.validate_only { "could be created" } else { "created" }, output)
        }
        TopicCommand::List { internal } => list(&mut client, *internal, output),
        TopicCommand::Describe { topics, all_settings } => {
            describe::run(&mut client, topics, *all_settings, output)
        }
        TopicCommand::Alter(alter) => {
            let results = alter_topic(&mut client, alter)?;
            finish(results, if alter.validate_only { "could be altered" } else { "altered" }, output)
        }
        TopicCommand::Delete { topics, if_exists } => {
            let results = delete_topics(&mut client, topics, *if_exists)?;
            finish(results, "deleted", output)
        }
    }
}

/// What became of one topic.
#[derive(Debug)]
struct TopicResult {
    topic: String,
    code: i16,
    message: Option<String>,
    /// The code is one that the user said is no failure.
    tolerated: bool,
}

impl TopicResult {
    fn new(topic: &str, code: i16, message: Option<&str>, tolerated: Option<ErrorCode>) -> TopicResult {
        let tolerated = tolerated.is_some_and(|tolerated| tolerated as i16 == code);
        TopicResult { topic: topic.to_string(), code, message: message.map(str::to_string), tolerated }
    }

    fn failed(&self) -> bool {
        self.code != 0 && !self.tolerated
    }
}

fn finish(results: Vec<TopicResult>, done: &str, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => {
            let rows = results.iter().map(|result| {
                json!({
                    "topic": result.topic,
                    "error": (result.code != 0).then(|| error_name(result.code)),
                    "message": result.message,
                })
            });
            print_json(&rows.collect())?;
        }
        Output::Human => {
            for result in results.iter().filter(|result| !result.failed()) {
                let name = &result.topic;
                match result.code {
                    0 => print_text(&format!("{name}: {done}\n"))?,
                    code => print_text(&format!("{name}: unchanged ({})\n", error_name(code)))?,
                }
            }
        }
    }
    let refusals = results.iter().filter(|result| result.failed());
    let texts: Vec<String> = refusals
        .map(|result| ClientError::refused(&result.topic, result.code, result.message.as_deref()).to_string())
        .collect();
    match texts.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(texts.join("\ncorelane: "))),
    }
}

fn create_topics(client: &mut Client, args: &CreateArgs) -> Result<Vec<TopicResult>, Failure> {
    let deadline = client.deadline();
    let configs = |settings: &'_ [Setting]| -> Vec<(String, String)> {
        settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect()
    };
    let configs = configs(&args.settings);
    let topics = args.topics.iter().map(|name| CreatableTopic {
        name,
        num_partitions: args.partitions.unwrap_or(-1),
        replication_factor: args.replication_factor.unwrap_or(-1),
        assignments: Vec::new(),
        configs: configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name, value: Some(value) })
            .collect(),
    });
    let request = CreateTopicsRequest {
        topics: topics.collect(),
        timeout_ms: client.timeout_ms(),
        validate_only: args.validate_only,
    };
    let tolerated = args.if_not_exists.then_some(ErrorCode::TopicAlreadyExists);
    let results = client.retry(deadline, |client| {
        let answer = client.call(Node::Controller, &request, deadline)?;
        let response = answer.decode()?;
        check_controller(response.topics.iter().map(|topic| topic.error_code))?;
        let row = |topic: &corelane_wire::message::create_topics::CreatableTopicResult<'_>| {
            TopicResult::new(topic.name, topic.error_code, topic.error_message, tolerated)
        };
        Ok(response.topics.iter().map(row).collect())
    })?;
    Ok(results)
}

/// A broker that is not the controller says so for every topic alike: worth another attempt as a whole.
fn check_controller(mut codes: impl Iterator<Item = i16>) -> Result<(), ClientError> {
    let not_controller = ErrorCode::NotController as i16;
    match codes.any(|code| code == not_controller) {
        true => Err(ClientError::refused("asking the controller", not_controller, None)),
        false => Ok(()),
    }
}

fn delete_topics(
    client: &mut Client,
    topics: &[String],
    if_exists: bool,
) -> Result<Vec<TopicResult>, Failure> {
    let deadline = client.deadline();
    let states = topics.iter().map(|name| DeleteTopicState { name: Some(name), topic_id: [0; 16] });
    let request = DeleteTopicsRequest {
        topics: states.collect(),
        topic_names: Vec::new(),
        timeout_ms: client.timeout_ms(),
    };
    let tolerated = if_exists.then_some(ErrorCode::UnknownTopicOrPartition);
    let results = client.retry(deadline, |client| {
        let answer = client.call(Node::Controller, &request, deadline)?;
        let response = answer.decode()?;
        check_controller(response.responses.iter().map(|topic| topic.error_code))?;
        let rows = response.responses.iter().map(|topic| {
            TopicResult::new(topic.name.unwrap_or_default(), topic.error_code, topic.error_message, tolerated)
        });
        Ok(rows.collect())
    })?;
    Ok(results)
}

fn alter_topic(client: &mut Client, args: &AlterArgs) -> Result<Vec<TopicResult>, Failure> {
    if args.partitions.is_none() && args.settings.is_empty() && args.unset.is_empty() {
        return Err(Failure::Usage("nothing to alter: give --partitions, --set or --unset".to_string()));
    }
    let mut results = Vec::new();
    if !args.settings.is_empty() || !args.unset.is_empty() {
        results.push(alter_settings(client, args)?);
    }
    if let Some(count) = args.partitions
        && results.iter().all(|result| !result.failed())
    {
        results.push(add_partitions(client, args, count)?);
    }
    // One line per topic: the first refusal, or the success of all.
    let worst = results.iter().position(TopicResult::failed).unwrap_or(0);
    Ok(vec![results.swap_remove(worst)])
}

fn alter_settings(client: &mut Client, args: &AlterArgs) -> Result<TopicResult, ClientError> {
    let resource = Resource::topic(&args.topic, Node::Controller);
    let change = Change { set: &args.settings, unset: &args.unset, validate_only: args.validate_only };
    let (code, message) = configs::alter(client, &resource, change)?;
    Ok(TopicResult::new(&args.topic, code, message.as_deref(), None))
}

fn add_partitions(client: &mut Client, args: &AlterArgs, count: i32) -> Result<TopicResult, ClientError> {
    let deadline = client.deadline();
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic { name: &args.topic, count, assignments: None }],
        timeout_ms: client.timeout_ms(),
        validate_only: args.validate_only,
    };
    client.retry(deadline, |client| {
        let answer = client.call(Node::Controller, &request, deadline)?;
        let response = answer.decode()?;
        check_controller(response.results.iter().map(|topic| topic.error_code))?;
        let row = response.results.first().ok_or_else(|| missing(ApiKey::CreatePartitions))?;
        Ok(TopicResult::new(&args.topic, row.error_code, row.error_message, None))
    })
}

fn missing(api: ApiKey) -> ClientError {
    ClientError::Protocol(format!("the answer to {} leaves out what was asked", api.name()))
}

fn list(client: &mut Client, internal: bool, output: Output) -> Result<(), Failure> {
    let deadline = client.deadline();
    let metadata = client.retry(deadline, |client| client.metadata(None, false, deadline))?;
    let mut topics: Vec<_> = metadata.topics.iter().filter(|topic| internal || !topic.internal).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    if output == Output::Json {
        let rows = topics.iter().map(|topic| {
            json!({
                "topic": topic.name,
                "id": crate::cli::escape::to_hex(&topic.id),
                "partitions": topic.partitions.len(),
                "replication_factor": topic.partitions.first().map(|partition| partition.replicas.len()),
                "internal": topic.internal,
            })
        });
        return print_json(&Value::Array(rows.collect()));
    }
    if topics.is_empty() {
        return print_text("There is no topic yet. Create one with: corelane topic create NAME\n");
    }
    let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS", "IN SYNC"]);
    for topic in topics {
        let partitions = &topic.partitions;
        let replicas = partitions.first().map_or(0, |partition| partition.replicas.len());
        let whole = partitions.iter().filter(|partition| partition.isr.len() == partition.replicas.len());
        let in_sync = match whole.count() {
            all if all == partitions.len() => "all".to_string(),
            some => format!("{some} of {}", partitions.len()),
        };
        table.row(vec![topic.name.clone(), partitions.len().to_string(), replicas.to_string(), in_sync]);
    }
    print_text(&table.render())
}
