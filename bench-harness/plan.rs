//! What all threads of one load share and nobody changes: the workload, prepared records, the cluster, the times.

use std::ops::Range;

use corelane_base::rng::Rng;

use crate::batches::{Sizes, Template};
use crate::cluster::Cluster;
use crate::content::Pool;
use crate::keys::Keys;
use crate::workload::Workload;

/// Different templates, so that neighbouring batches do not hold the same bytes.
const VARIANTS: u64 = 8;

/// Prepared once per run: what records are made of.
pub struct Material {
    /// The bytes of values.
    pub pool: Pool,
    /// The sizes of values.
    pub sizes: Sizes,
    /// Records without keys, ready.
    pub templates: Vec<Template>,
    /// Keys, if the workload has any.
    pub keys: Option<Keys>,
}

impl Material {
    /// Draws everything from one seed.
    pub fn new(workload: &Workload, seed: u64) -> Material {
        let mut rng = Rng::new(seed);
        let pool = Pool::new(rng.next_u64(), workload.randomness);
        let sizes = Sizes::new(rng.next_u64(), workload.bytes_min, workload.bytes_max);
        let template = |variant| Template::new(&pool, &sizes, workload.batch_bytes, variant);
        let templates = (0..VARIANTS).map(template).collect();
        let keys =
            workload.keys.map(|plan| Keys::new(rng.next_u64(), plan.count, plan.skew, workload.partitions));
        Material { pool, sizes, templates, keys }
    }
}

/// One load: from when to when, by whom, on what.
pub struct Plan {
    /// What is sent and read.
    pub workload: Workload,
    /// Where to.
    pub cluster: Cluster,
    /// What it is made of.
    pub material: Material,
    /// When the load begins.
    pub start: u64,
    /// When it is measured.
    pub window: Range<u64>,
    /// From when on no record is due any more.
    pub stop: u64,
    /// How many records each producer sends at most.
    pub records_max: Option<u64>,
    /// The number of the first producer: a second load on the same topics goes on where the first ended.
    pub producer_base: u32,
    /// Producers of all loads on these topics.
    pub producers_total: u32,
    /// Whether an answer without any partition in it counts as success: the bare answer of a null broker.
    pub bare_answers: bool,
}
