//! The topics that the group storm's members read. A name may bear one topic after another: each has a number of its own,
//! and places say the number, so that nobody takes what is left of an old topic for the new one's.

use corelane_base::id::{BrokerId, LeaderEpoch, TopicId};
use corelane_control::image::ClusterImage;
use corelane_control::record::{MetadataRecord, Partition};

/// How many names there are.
pub const NAMES: usize = 3;
/// How many partitions each topic has.
pub const PARTITION_COUNT: i32 = 24;

/// A topic's number and a partition's.
pub type Place = (usize, i32);
/// The number of the topic that each name bears, if any.
pub type Living = [Option<usize>; NAMES];

/// All topics that there have been.
#[derive(Clone, Debug, Default)]
pub struct GroupTopics {
    /// The name of each, by number.
    names: Vec<usize>,
    living: Living,
}

impl GroupTopics {
    /// A topic of each name, made in `image`.
    #[must_use]
    pub fn new(image: &mut ClusterImage) -> GroupTopics {
        let mut topics = GroupTopics::default();
        (0..NAMES).for_each(|name| topics.create(name, image));
        topics
    }

    /// Makes a topic of that name. Panics: if there is one.
    pub fn create(&mut self, name: usize, image: &mut ClusterImage) {
        assert_eq!(self.living[name], None, "a name bears one topic at a time");
        let partition = Partition {
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: Box::new([BrokerId(1)]),
            isr: Box::new([BrokerId(1)]),
        };
        let number = self.names.len();
        self.names.push(name);
        self.living[name] = Some(number);
        let record = MetadataRecord::TopicCreated {
            topic_id: self.id(number),
            name: topic_name(name),
            partitions: vec![partition; PARTITION_COUNT as usize],
            configs: Vec::new(),
        };
        image.replay(&record).expect("a new topic fits");
    }

    /// Deletes the topic of that name. Panics: if there is none.
    pub fn delete(&mut self, name: usize, image: &mut ClusterImage) {
        let number = self.living[name].take().expect("a topic to delete");
        let topic_id = self.id(number);
        image.replay(&MetadataRecord::TopicDeleted { topic_id }).expect("it was there");
    }

    /// The id of a topic.
    #[must_use]
    pub fn id(&self, number: usize) -> TopicId {
        TopicId((number as u128 + 1).to_be_bytes())
    }

    /// The topic of an id. Panics: if there has never been one.
    #[must_use]
    pub fn number_of(&self, id: TopicId) -> usize {
        let number = u128::from_be_bytes(id.0) as usize - 1;
        assert!(number < self.names.len(), "{id:?} is a topic of ours");
        number
    }

    /// The name of a topic.
    #[must_use]
    pub fn name_of(&self, number: usize) -> usize {
        self.names[number]
    }

    /// What there is now.
    #[must_use]
    pub fn living(&self) -> Living {
        self.living
    }

    /// Whether a topic has not been deleted.
    #[must_use]
    pub fn is_living(&self, number: usize) -> bool {
        self.living[self.names[number]] == Some(number)
    }
}

/// A name as the broker knows it.
#[must_use]
pub fn topic_name(name: usize) -> String {
    format!("topic-{name}")
}
