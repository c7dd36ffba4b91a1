//! The controller: the metadata together with everything that may be done to it.
//!
//! ```text
//! let outcome = controller.handle(&command, now);     changes nothing
//! store outcome.records as one value of the metadata log; then, before the next command:
//! controller.replay(&outcome.records)                 changes the state
//! once stored: every shard's image replays the records, and the answer leaves
//! ```
//!
//! Commands are handled one after another: each sees the records of those before it replayed. Whoever drives it may
//! replay before the records are durable, as long as no answer leaves earlier and a failed store ends the run.

use corelane_base::id::BrokerId;
use corelane_base::time::Now;

use crate::alter_configs::{
    AlterConfigs, AlterResult, IncrementalAlterConfigs, alter_configs, incremental_alter_configs,
};
use crate::command::{Outcome, State};
use crate::configs::settings::Settings;
use crate::create_partitions::{CreatePartitions, CreatePartitionsResult, create_partitions};
use crate::create_topics::{
    AutoCreateResult, AutoCreateTopics, CreateTopicResult, CreateTopics, auto_create_topics, create_topics,
};
use crate::delete_topics::{DeleteTopicResult, DeleteTopics, delete_topics};
use crate::error::Refusal;
use crate::image::{ClusterImage, ReplayError};
use crate::membership::{FormatCluster, StartBroker, format_cluster, start_broker};
use crate::producer_ids::{ProducerIdBlock, allocate_producer_ids};
use crate::record::MetadataRecord;

/// Everything that can be asked of the controller. Owned, so that it can cross shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// See [`FormatCluster`].
    FormatCluster(FormatCluster),
    /// See [`StartBroker`].
    StartBroker(StartBroker),
    /// See [`CreateTopics`].
    CreateTopics(CreateTopics),
    /// See [`AutoCreateTopics`].
    AutoCreateTopics(AutoCreateTopics),
    /// See [`DeleteTopics`].
    DeleteTopics(DeleteTopics),
    /// See [`CreatePartitions`].
    CreatePartitions(CreatePartitions),
    /// See [`AlterConfigs`].
    AlterConfigs(AlterConfigs),
    /// See [`IncrementalAlterConfigs`].
    IncrementalAlterConfigs(IncrementalAlterConfigs),
    /// Hand out a block of producer ids.
    AllocateProducerIds,
}

/// What a command comes to; the variant is that of the command.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// Whether this is the cluster.
    FormatCluster(Result<(), Refusal>),
    /// The broker is known.
    StartBroker,
    /// One result per distinct name.
    CreateTopics(Vec<CreateTopicResult>),
    /// One result per name.
    AutoCreateTopics(Vec<AutoCreateResult>),
    /// One result per topic.
    DeleteTopics(Vec<DeleteTopicResult>),
    /// One result per topic.
    CreatePartitions(Vec<CreatePartitionsResult>),
    /// One result per resource.
    AlterConfigs(Vec<AlterResult>),
    /// One result per resource.
    IncrementalAlterConfigs(Vec<AlterResult>),
    /// The block.
    AllocateProducerIds(Result<ProducerIdBlock, Refusal>),
}

/// The metadata and what this broker was started with.
#[derive(Clone, PartialEq, Debug)]
pub struct Controller {
    image: ClusterImage,
    broker: BrokerId,
    settings: Settings,
}

impl Controller {
    /// A controller on broker `broker` that goes on from `image`.
    #[must_use]
    pub fn new(image: ClusterImage, broker: BrokerId, settings: Settings) -> Controller {
        Controller { image, broker, settings }
    }

    /// The metadata as replayed.
    #[must_use]
    pub fn image(&self) -> &ClusterImage {
        &self.image
    }

    /// What commands and queries decide by.
    #[must_use]
    pub fn state(&self) -> State<'_> {
        State { image: &self.image, broker: self.broker, settings: &self.settings }
    }

    /// Decides a command and changes nothing. `_now` is for commands that depend on time, of which there are none
    /// yet.
    #[must_use]
    pub fn handle(&self, command: &Command, _now: Now) -> Outcome<Answer> {
        let state = &self.state();
        match command {
            Command::FormatCluster(command) => wrap(format_cluster(state, command), Answer::FormatCluster),
            Command::StartBroker(command) => wrap(start_broker(state, command), |()| Answer::StartBroker),
            Command::CreateTopics(command) => wrap(create_topics(state, command), Answer::CreateTopics),
            Command::AutoCreateTopics(command) => {
                wrap(auto_create_topics(state, command), Answer::AutoCreateTopics)
            }
            Command::DeleteTopics(command) => wrap(delete_topics(state, command), Answer::DeleteTopics),
            Command::CreatePartitions(command) => {
                wrap(create_partitions(state, command), Answer::CreatePartitions)
            }
            Command::AlterConfigs(command) => wrap(alter_configs(state, command), Answer::AlterConfigs),
            Command::IncrementalAlterConfigs(command) => {
                wrap(incremental_alter_configs(state, command), Answer::IncrementalAlterConfigs)
            }
            Command::AllocateProducerIds => wrap(allocate_producer_ids(state), Answer::AllocateProducerIds),
        }
    }

    /// Replays one set of records. Errors: they do not fit; the controller is then to be dropped.
    pub fn replay(&mut self, records: &[MetadataRecord]) -> Result<(), ReplayError> {
        self.image.replay_set(records)
    }
}

fn wrap<T>(outcome: Outcome<T>, answer: impl FnOnce(T) -> Answer) -> Outcome<Answer> {
    Outcome { records: outcome.records, answer: answer(outcome.answer) }
}
