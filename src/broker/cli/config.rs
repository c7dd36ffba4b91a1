//! `corelane config`: shows and changes the settings of brokers, topics, groups, loggers and subscriptions to clients'
//! metrics, while the broker runs.

use clap::{Args, Subcommand};
use corelane_base::id::BrokerId;
use serde_json::json;

use crate::args::{Setting as Assignment, parse_setting};
use crate::cli::connect::{ClientArgs, ConnectArgs};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table, print_json, print_text};
use crate::client::{Client, ClientError, Node};
use crate::configs::{self, Change, Kind, Resource, SOURCE_DEFAULT, Setting};

const EXAMPLES: &str = "\
Examples:
  corelane config describe broker 1 --all-settings
  corelane config alter broker --set log.retention.ms=86400000
  corelane config alter broker 1 --set message.max.bytes=2000000 --unset log.retention.ms
  corelane config alter topic orders --set retention.ms=3600000
  corelane config alter group billing --set consumer.session.timeout.ms=50000
  corelane config alter broker-logger 1 --set root=DEBUG

Without a name 'broker' means all brokers. What holds for one broker beats what holds for all, which beats what it was
started with.";

/// The arguments of `corelane config`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,

    #[command(flatten)]
    shared: ClientArgs,
}

#[derive(Args, Debug)]
struct Entity {
    /// Of what
    #[arg(value_enum)]
    kind: Kind,
    /// Of which one
    name: Option<String>,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Show settings, and from where they are
    Describe {
        #[command(flatten)]
        entity: Entity,
        /// Also the settings that nobody has set
        #[arg(long)]
        all_settings: bool,
    },
    /// Change settings, all that are given or none
    Alter {
        #[command(flatten)]
        entity: Entity,
        /// A setting to change, as often as needed
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting, required_unless_present = "unset")]
        set: Vec<Assignment>,
        /// A setting to give back its default, as often as needed
        #[arg(long = "unset", value_name = "KEY")]
        unset: Vec<String>,
        /// Only check whether it could be done
        #[arg(long)]
        validate_only: bool,
    },
}

/// Runs the command.
pub fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let output = args.shared.output;
    match &args.command {
        ConfigCommand::Describe { entity, all_settings } => {
            let (mut client, resource) = entity.resource(&args.shared.connect)?;
            let mut settings = configs::describe(&mut client, &resource)?;
            settings.retain(|setting| *all_settings || setting.source != SOURCE_DEFAULT);
            show(&settings, output)
        }
        ConfigCommand::Alter { entity, set, unset, validate_only } => {
            let (mut client, resource) = entity.resource(&args.shared.connect)?;
            let change = Change { set, unset, validate_only: *validate_only };
            let (code, message) = configs::alter(&mut client, &resource, change)?;
            if code != 0 {
                let refusal = ClientError::refused(entity.text(), code, message.as_deref());
                return Err(Failure::Refused(refusal.to_string()));
            }
            let done = if *validate_only { "could be altered" } else { "altered" };
            match output {
                Output::Json => print_json(&json!({"entity": entity.text(), "error": null})),
                Output::Human => print_text(&format!("{}: {done}\n", entity.text())),
            }
        }
    }
}

impl Entity {
    /// Connects to whom it concerns: a broker's own settings are known to that broker alone.
    fn resource(&self, connect: &ConnectArgs) -> Result<(Client, Resource<'_>), Failure> {
        let name = self.name.as_deref().unwrap_or_default();
        let node = match self.kind {
            Kind::Broker if name.is_empty() => Node::Any,
            Kind::Broker | Kind::BrokerLogger => {
                let id = name.parse::<i32>();
                let id = id.map_err(|_| Failure::Usage("give the number of a broker".to_string()))?;
                Node::Broker(BrokerId(id))
            }
            Kind::Topic | Kind::Group | Kind::ClientMetrics if name.is_empty() => {
                return Err(Failure::Usage(format!("give the name of a {}", self.word())));
            }
            Kind::Topic | Kind::Group | Kind::ClientMetrics => Node::Any,
        };
        let mut client = connect.connect()?;
        if matches!(node, Node::Broker(_)) {
            let deadline = client.deadline();
            client.retry(deadline, |client| client.metadata(Some(&[]), false, deadline))?;
        }
        Ok((client, Resource { kind: self.kind, name, node }))
    }

    fn word(&self) -> &'static str {
        match self.kind {
            Kind::Topic => "topic",
            Kind::Broker => "broker",
            Kind::BrokerLogger => "broker-logger",
            Kind::ClientMetrics => "client-metrics",
            Kind::Group => "group",
        }
    }

    fn text(&self) -> String {
        match &self.name {
            Some(name) => format!("{} {name}", self.word()),
            None => "all brokers".to_string(),
        }
    }
}

/// From where a value is, by its number on the wire.
fn origin(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker",
        3 => "all brokers",
        4 => "start",
        5 => "default",
        6 => "logger",
        7 => "client metrics",
        8 => "group",
        _ => "unknown",
    }
}

fn show(settings: &[Setting], output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        let rows = settings.iter().map(|setting| {
            json!({
                "name": setting.name,
                "value": setting.value,
                "from": origin(setting.source),
                "read_only": setting.read_only,
            })
        });
        return print_json(&rows.collect());
    }
    if settings.is_empty() {
        return print_text("Nothing is set. What holds is shown with --all-settings.\n");
    }
    let mut table = Table::new(&["SETTING", "VALUE", "FROM", "NOTE"]);
    for setting in settings {
        table.row(vec![
            setting.name.clone(),
            setting.value.clone().unwrap_or_default(),
            origin(setting.source).to_string(),
            if setting.read_only { "changes with a restart".to_string() } else { String::new() },
        ]);
    }
    print_text(&table.render())
}
