//! Every decoder's fuzzer in one registry: those of the wire codec and of the log, and those of what else lies in files.
//!
//! Inputs are sound ones that were damaged, because noise hardly ever gets past a first length. What must hold: no panic,
//! and whatever decodes encodes to something that decodes to the same.

use bytes::Bytes;
use corelane_base::fuzz::{Fuzzer, damage};
use corelane_base::id::{PartitionIndex, ProducerId, TopicId};
use corelane_base::rng::Rng;
use corelane_control::record::{MetadataRecord, decode_set, encode_set};
use corelane_node::checkpoint;
use corelane_node::mesh::PartitionKey;

/// All fuzzers.
pub fn registry() -> impl Iterator<Item = Fuzzer> {
    let own = [
        Fuzzer { name: "metadata records", run: fuzz_metadata },
        Fuzzer { name: "checkpoint", run: fuzz_checkpoint },
    ];
    corelane_wire::fuzz::FUZZERS.iter().chain(corelane_log::fuzz::FUZZERS).copied().chain(own)
}

fn fuzz_metadata(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let topic_id = TopicId(rng.bytes16());
        let changes =
            vec![("retention.ms".to_owned(), Some("5".to_owned())), ("segment.ms".to_owned(), None)];
        let set = [
            MetadataRecord::ClusterFormatted { cluster_id: "c".repeat(rng.below(30) as usize) },
            MetadataRecord::TopicConfigChanged { topic_id, changes },
            MetadataRecord::ProducerIdsAllocated { next: ProducerId(rng.below(1 << 40) as i64) },
            MetadataRecord::TopicDeleted { topic_id },
        ];
        let mut bytes = Vec::new();
        encode_set(&set, &mut bytes);
        assert_eq!(decode_set(&bytes).expect("its own bytes"), set);
        for _ in 0..1 + rng.below(3) {
            damage(&mut rng, &mut bytes);
        }
        if let Ok(decoded) = decode_set(&bytes) {
            let mut again = Vec::new();
            encode_set(&decoded, &mut again);
            assert_eq!(decode_set(&again).expect("its own bytes"), decoded);
        }
    }
}

fn fuzz_checkpoint(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let content = vec![rng.next_u64() as u8; rng.below(50) as usize];
        let keys: Vec<PartitionKey> = (0..rng.below(5))
            .map(|n| PartitionKey { topic: TopicId(rng.bytes16()), partition: PartitionIndex(n as i32) })
            .collect();
        let file = checkpoint::encode(seed, keys.iter().map(|key| (*key, &content[..])));
        let (incarnation, logs) = checkpoint::decode(&file).expect("its own bytes");
        assert_eq!((incarnation, logs.len()), (seed, keys.len()));
        let mut bytes = file.to_vec();
        for _ in 0..1 + rng.below(3) {
            damage(&mut rng, &mut bytes);
        }
        if let Some((_, decoded)) = checkpoint::decode(&Bytes::from(bytes)) {
            assert!(decoded.len() <= file.len());
        }
    }
}
