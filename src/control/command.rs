//! What all commands share: the state they look at, the outcome they compute, and how large one may be.

use corelane_base::id::BrokerId;

use crate::configs::broker::BrokerConfig;
use crate::configs::layers::Layers;
use crate::configs::settings::Settings;
use crate::error::{ErrorKind, Refusal};
use crate::image::ClusterImage;
use crate::record::{MetadataRecord, encode_set};

/// The most partitions of the cluster: what one broker's memory and start-up time are made for.
pub const PARTITION_COUNT_MAX: usize = 100_000;
/// The most partitions that one command may create.
pub const CREATED_PARTITIONS_MAX: usize = 10_000;
/// The most bytes of one command's records, encoded. They are one value of the metadata log.
pub const SET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a command decides by. Borrowed: a command changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// The metadata.
    pub image: &'a ClusterImage,
    /// This broker's number.
    pub broker: BrokerId,
    /// What this broker was started with.
    pub settings: &'a Settings,
}

impl<'a> State<'a> {
    /// The layers of this broker's settings.
    #[must_use]
    pub fn layers(&self) -> Layers<'a> {
        self.image.layers(self.broker, self.settings)
    }

    /// This broker's settings.
    #[must_use]
    pub fn broker_config(&self) -> BrokerConfig {
        self.image.broker_config(self.broker, self.settings)
    }
}

/// What a command comes to: records to store and replay as one set, and what to answer once they are stored.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome<T> {
    /// To be stored whole before the answer leaves; empty if nothing changes.
    pub records: Vec<MetadataRecord>,
    /// The answer.
    pub answer: T,
}

/// Gathers a command's records within the limits above. What would exceed them is refused by itself; the rest of the
/// command goes on.
pub(crate) struct Records {
    records: Vec<MetadataRecord>,
    bytes: usize,
    partitions: usize,
    partitions_before: usize,
}

impl Records {
    pub(crate) fn new(image: &ClusterImage) -> Records {
        Records { records: Vec::new(), bytes: 0, partitions: 0, partitions_before: image.partition_count() }
    }

    /// Refuses `count` further partitions if they are too many, before anything is made of them.
    pub(crate) fn check_partitions(&self, count: usize) -> Result<(), Refusal> {
        let created = self.partitions.saturating_add(count);
        if created > CREATED_PARTITIONS_MAX {
            let text = format!("a request may create {CREATED_PARTITIONS_MAX} partitions, not {created}");
            return Err(Refusal::new(ErrorKind::PolicyViolation, text));
        }
        if self.partitions_before + created > PARTITION_COUNT_MAX {
            let before = self.partitions_before;
            let text = format!(
                "{created} more partitions than the {before} there are would exceed the limit of \
                 {PARTITION_COUNT_MAX}"
            );
            return Err(Refusal::new(ErrorKind::PolicyViolation, text));
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, record: MetadataRecord) -> Result<(), Refusal> {
        let created = match &record {
            MetadataRecord::TopicCreated { partitions, .. }
            | MetadataRecord::PartitionsAdded { partitions, .. } => partitions.len(),
            _ => 0,
        };
        self.check_partitions(created)?;
        let mut encoded = Vec::new();
        encode_set(core::slice::from_ref(&record), &mut encoded);
        if self.bytes + encoded.len() > SET_BYTES_MAX {
            let text =
                format!("a request may change {SET_BYTES_MAX} bytes of metadata; send the rest by itself");
            return Err(Refusal::new(ErrorKind::PolicyViolation, text));
        }
        self.bytes += encoded.len();
        self.partitions += created;
        self.records.push(record);
        Ok(())
    }

    pub(crate) fn into_vec(self) -> Vec<MetadataRecord> {
        self.records
    }
}

/// The positions of the elements whose key occurs more than once, and the first position of every key.
/// One pass, so that a request of a million names costs no more than sorting them.
pub(crate) fn duplicates<K: Ord>(keys: impl Iterator<Item = K>) -> Vec<bool> {
    let keys: Vec<K> = keys.collect();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|&a, &b| keys[a].cmp(&keys[b]));
    let mut twice = vec![false; keys.len()];
    for pair in order.windows(2) {
        if keys[pair[0]] == keys[pair[1]] {
            twice[pair[0]] = true;
            twice[pair[1]] = true;
        }
    }
    twice
}
