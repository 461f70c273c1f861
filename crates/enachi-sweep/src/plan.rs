//! The plan of a sweep: its points, numbered, and which shard runs what. A pure function of the sweep file, the files it names
//! and the command line, so that every shard makes the same one.

use enachi_core::profile::{LadderKind, MeasuredCurve, Profile, Surrogate};
use enachi_data::sweep::{FORMAT, FORMAT_VERSION, ProfileInfo, SweepInfo, bytes_sha256};
use enachi_sim::RESULTS_VERSION;
use enachi_sim::bootstrap::Design;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Name of the plan in a sweep's folder.
pub const PLAN_FILE: &str = "plan.json";

/// All points, and all that merging needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of the software.
    pub enachi_version: String,
    /// [`RESULTS_VERSION`] of the software; 0 in plans that are older than it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub results_version: u32,
    /// Policies that the program added, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Added>,
    /// Name of the sweep file.
    pub name: String,
    /// Whether the file's `[quick]` settings are used.
    pub quick: bool,
    /// Hash of all else.
    pub plan_sha256: String,
    /// The sweeps.
    pub sweeps: Vec<SweepInfo>,
    /// Profiles used.
    pub profiles: Vec<ProfileInfo>,
    /// Their streams.
    pub curves: Vec<StreamCurve>,
    /// The points, in order.
    pub points: Vec<PointPlan>,
}

fn is_zero(version: &u32) -> bool {
    *version == 0
}

/// Policies of one's own, and what tells one state of them from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Their names.
    pub policies: Vec<String>,
    /// Hash of the program that holds them: another build is another plan, as nothing else knows whether they changed.
    pub program_sha256: String,
}

/// One point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointPlan {
    /// Its sweep.
    pub sweep: usize,
    /// What the axes set.
    pub values: Vec<(String, serde_json::Value)>,
    /// Why there is nothing to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// First seed.
    pub first_seed: u64,
    /// Seeds.
    pub seeds: u32,
    /// Frames per seed.
    pub frames: u32,
    /// Frames that settled figures leave out.
    pub warmup_frames: u32,
    /// Devices.
    pub devices: u64,
    /// Slots of a frame.
    pub slots: u32,
    /// Duration of a slot \[s\].
    pub slot_s: f64,
    /// Bootstrap replicates.
    pub replicates: u32,
    /// How the bootstrap's clusters belong to seeds.
    pub design: Design,
    /// The upper bound, where it is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle: Option<OraclePlan>,
    /// Hash of its scenario with every default written out, and of the gains that it replays.
    pub scenario_sha256: String,
}

/// Over what the upper bound of a point is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OraclePlan {
    /// Seeds, from the point's first.
    pub seeds: u32,
    /// Frames of each, from frame 0.
    pub frames: u32,
}

/// What is known of one stream's accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamCurve {
    /// Name of the network.
    pub profile: String,
    /// Cut.
    pub cut: String,
    /// Stream.
    pub stream: String,
    /// Bits of the whole stream.
    pub total_bits: f64,
    /// Measured means.
    pub measured: Option<MeasuredCurve>,
    /// ENACHI (14), for streams of which a prefix is useful.
    pub surrogate: Option<Surrogate>,
}

impl StreamCurve {
    /// All streams of `profile`.
    pub fn of(profile: &Profile) -> Vec<Self> {
        let cuts = profile.cuts.iter();
        cuts.flat_map(|cut| {
            cut.streams.iter().map(|stream| Self {
                profile: profile.meta.model_name.clone(),
                cut: cut.name.clone(),
                stream: stream.name.clone(),
                total_bits: stream.total_bits,
                measured: stream.measured.clone(),
                surrogate: stream
                    .surrogate
                    .filter(|_| stream.ladder == LadderKind::Embedded),
            })
        })
        .collect()
    }
}

/// What a run computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// A policy, as an index into its sweep's.
    Policy(usize),
    /// The upper bound for all of them.
    Oracle,
}

/// One run: a policy, or the bound, at a point in a seed. The unit that is resumed, sharded and run in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the point.
    pub point: usize,
    /// What is computed there.
    pub job: Job,
    /// Seed, counted from the point's first.
    pub seed: usize,
}

/// Part `index` of `count`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, from 0.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 0, count: 1 };
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: u32 = 100_000;
        let parsed = text.split_once('/').and_then(|(index, count)| {
            Some(Self {
                index: index.trim().parse().ok()?,
                count: count.trim().parse().ok()?,
            })
        });
        match parsed {
            Some(shard) if shard.index < shard.count && shard.count <= MOST => Ok(shard),
            _ => Err(format!(
                "must be i/n with i from 0 to n - 1 and n at most {MOST}, e.g. 0/4"
            )),
        }
    }
}

impl Plan {
    /// Number the points and hash everything.
    pub fn new(
        name: &str,
        quick: bool,
        added: Option<Added>,
        sweeps: Vec<SweepInfo>,
        profiles: Vec<ProfileInfo>,
        curves: Vec<StreamCurve>,
        points: Vec<PointPlan>,
    ) -> Self {
        let mut plan = Self {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            enachi_version: env!("CARGO_PKG_VERSION").into(),
            results_version: RESULTS_VERSION,
            added,
            name: name.into(),
            quick,
            plan_sha256: String::new(),
            sweeps,
            profiles,
            curves,
            points,
        };
        plan.plan_sha256 = plan.hash();
        plan
    }

    /// What [`Plan::plan_sha256`] must be.
    pub fn hash(&self) -> String {
        let mut bare = self.clone();
        bare.plan_sha256 = String::new();
        bytes_sha256(bare.to_json().as_bytes())
    }

    /// As kept in [`PLAN_FILE`].
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a plan is plain data with finite numbers")
    }

    /// Policies at a point.
    pub fn policies(&self, point: usize) -> &[String] {
        &self.sweeps[self.points[point].sweep].policies
    }

    /// The numbering of all runs: point by point; there the policies, seed by seed, and then the bound.
    pub fn runs(&self) -> Runs {
        let mut blocks = Vec::with_capacity(2 * self.points.len());
        let mut first = vec![0];
        for (index, point) in self.points.iter().enumerate() {
            let policies = self.policies(index).len();
            let oracle_seeds = point.oracle.map_or(0, |oracle| oracle.seeds as usize);
            let fine = point.error.is_none();
            for (size, seeds, each) in [
                (
                    policies * point.seeds as usize,
                    point.seeds as usize,
                    point.cost(),
                ),
                (oracle_seeds, oracle_seeds, point.oracle_cost(policies)),
            ] {
                let size = if fine { size } else { 0 };
                first.push(first[first.len() - 1] + size);
                blocks.push(Block { seeds, each });
            }
        }
        Runs::new(blocks, first)
    }
}

/// What the bound costs per policy and device-frame, in device-frames of a policy; measured on curves, where it is least.
const ORACLE_COST: u128 = 8;

impl PointPlan {
    /// Device-frames of a run, a measure of what it costs.
    pub fn cost(&self) -> u128 {
        u128::from(self.devices.max(1)) * u128::from(self.frames.max(1))
    }

    /// What the bound for `policies` policies costs in a seed, in device-frames of a policy.
    fn oracle_cost(&self, policies: usize) -> u128 {
        let frames = self.oracle.map_or(1, |oracle| oracle.frames.max(1));
        let device_frames = u128::from(self.devices.max(1)) * u128::from(frames);
        device_frames * policies.max(1) as u128 * ORACLE_COST
    }
}

/// Runs of a point that cost the same.
#[derive(Clone, Copy, Debug)]
struct Block {
    seeds: usize,
    each: u128,
}

/// Numbering of runs.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Two per point: its policies, and its bound.
    blocks: Vec<Block>,
    /// First run of each block, and the number of all.
    first: Vec<usize>,
    /// Where the seeds of each policy of each block begin in the order of dealing; policies of a block follow each other.
    dealt: Vec<usize>,
    /// First entry of each block in `dealt`.
    dealt_of: Vec<usize>,
}

impl Runs {
    /// Runs are dealt the costly ones first, and of those that cost the same number of device-frames policy by policy: a policy
    /// costs up to fifteen times what another does, and every shard gets as many runs of each.
    fn new(blocks: Vec<Block>, first: Vec<usize>) -> Self {
        let policies = |block: usize| {
            let runs = first[block + 1] - first[block];
            runs.checked_div(blocks[block].seeds).unwrap_or(0)
        };
        let mut dealt_of = Vec::with_capacity(blocks.len());
        let mut groups = 0;
        for block in 0..blocks.len() {
            dealt_of.push(groups);
            groups += policies(block);
        }
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|block| std::cmp::Reverse(blocks[*block].each));
        let mut dealt = vec![0; groups];
        let mut next = 0;
        for alike in order.chunk_by(|a, b| blocks[*a].each == blocks[*b].each) {
            let most = alike.iter().map(|block| policies(*block)).max();
            for policy in 0..most.unwrap_or(0) {
                for block in alike.iter().filter(|block| policy < policies(**block)) {
                    dealt[dealt_of[*block] + policy] = next;
                    next += blocks[*block].seeds;
                }
            }
        }
        Self {
            blocks,
            first,
            dealt,
            dealt_of,
        }
    }

    /// All runs.
    pub fn count(&self) -> usize {
        self.first[self.first.len() - 1]
    }

    /// The block of run number `run`.
    fn block(&self, run: usize) -> usize {
        self.first.partition_point(|first| *first <= run) - 1
    }

    /// Run number `run`.
    ///
    /// # Panics
    /// When there is no such run.
    pub fn get(&self, run: usize) -> Run {
        assert!(run < self.count(), "run {run}");
        let block = self.block(run);
        let within = run - self.first[block];
        let seeds = self.blocks[block].seeds;
        Run {
            point: block / 2,
            job: match block % 2 {
                0 => Job::Policy(within / seeds),
                _ => Job::Oracle,
            },
            seed: within % seeds,
        }
    }

    /// Runs of the policies of a point.
    pub fn of_policies(&self, point: usize) -> Range<usize> {
        self.first[2 * point]..self.first[2 * point + 1]
    }

    /// Runs of the bound of a point.
    pub fn of_oracle(&self, point: usize) -> Range<usize> {
        self.first[2 * point + 1]..self.first[2 * point + 2]
    }

    /// Device-frames of a run; for the bound, of policies that would take as long.
    pub fn cost(&self, run: usize) -> u64 {
        u64::try_from(self.blocks[self.block(run)].each).unwrap_or(u64::MAX)
    }

    /// Which of `count` shards has run number `run`.
    pub fn shard_of(&self, run: usize, count: u32) -> u32 {
        let block = self.block(run);
        let within = run - self.first[block];
        let seeds = self.blocks[block].seeds;
        let place = self.dealt[self.dealt_of[block] + within / seeds] + within % seeds;
        (place % count as usize) as u32
    }

    /// Runs of a shard, ascending.
    pub fn of_shard(&self, shard: Shard) -> Vec<usize> {
        let own = |run: &usize| self.shard_of(*run, shard.count) == shard.index;
        (0..self.count()).filter(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(devices: &[u64], policies: usize, seeds: u32) -> Plan {
        let sweeps = vec![SweepInfo {
            policies: (0..policies).map(|p| format!("p{p}")).collect(),
            ..SweepInfo::default()
        }];
        let point = |devices: &u64| PointPlan {
            sweep: 0,
            values: Vec::new(),
            error: (*devices == 0).then(|| "none".into()),
            first_seed: 1,
            seeds,
            frames: 10,
            warmup_frames: 1,
            devices: *devices,
            slots: 300,
            slot_s: 1e-3,
            replicates: 10,
            design: Design::Nested,
            oracle: (*devices % 2 == 1).then_some(OraclePlan {
                seeds: 2,
                frames: 3,
            }),
            scenario_sha256: String::new(),
        };
        Plan::new(
            "x",
            false,
            None,
            sweeps,
            Vec::new(),
            Vec::new(),
            devices.iter().map(point).collect(),
        )
    }

    #[test]
    fn shards_are_a_partition_of_about_equal_cost() {
        for devices in [vec![1, 5, 0, 25, 2], vec![0], vec![0, 0, 3], vec![7]] {
            let runs = plan(&devices, 3, 4).runs();
            for count in [1, 2, 3, 7, 12, 40] {
                let shards: Vec<Vec<usize>> = (0..count)
                    .map(|index| runs.of_shard(Shard { index, count }))
                    .collect();
                let mut all = shards.concat();
                all.sort_unstable();
                assert!(all.iter().copied().eq(0..runs.count()));
                let cost = |run: &usize| runs.cost(*run);
                let costs = shards.iter().map(|runs| runs.iter().map(cost).sum::<u64>());
                let (least, most) = costs.fold((u64::MAX, 0), |(least, most), cost| {
                    (least.min(cost), most.max(cost))
                });
                let largest = (0..runs.count()).map(|run| runs.cost(run)).max();
                assert!(most - least <= largest.unwrap_or(0), "{least}..{most}");
            }
        }
    }

    /// Whatever a policy costs beside the others.
    #[test]
    fn every_shard_has_as_many_runs_of_each_policy() {
        // Twenty shards divide the runs of a point, so that dealing point by point would give a policy to half of them.
        let (policies, points) = (14, 30);
        let runs = plan(&vec![2; points], policies, 10).runs();
        for count in [2, 3, 16, 20, 140] {
            for policy in 0..policies {
                let mut held = vec![0; count as usize];
                for run in (0..runs.count()).filter(|r| runs.get(*r).job == Job::Policy(policy)) {
                    held[runs.shard_of(run, count) as usize] += 1;
                }
                let (least, most) = (held.iter().min(), held.iter().max());
                let apart = most.zip(least).map(|(most, least)| most - least);
                assert!(apart.is_some_and(|apart| apart <= 1), "{count}: {held:?}");
            }
        }
    }

    #[test]
    fn numbers_and_runs_correspond() {
        let plan = plan(&[1, 0, 2], 3, 4);
        let runs = plan.runs();
        assert_eq!(runs.count(), 26);
        let mut all = Vec::new();
        for point in [0, 2] {
            for policy in 0..3 {
                all.extend((0..4).map(|seed| Run {
                    point,
                    job: Job::Policy(policy),
                    seed,
                }));
            }
            let bounds = if point == 0 { 2 } else { 0 };
            all.extend((0..bounds).map(|seed| Run {
                point,
                job: Job::Oracle,
                seed,
            }));
        }
        let numbered: Vec<Run> = (0..26).map(|run| runs.get(run)).collect();
        assert_eq!(numbered, all);
        assert_eq!((runs.of_policies(0), runs.of_oracle(0)), (0..12, 12..14));
        assert_eq!((runs.of_policies(1), runs.of_oracle(1)), (14..14, 14..14));
        assert_eq!((runs.of_policies(2), runs.of_oracle(2)), (14..26, 26..26));
    }

    #[test]
    fn shards_are_parsed() {
        assert_eq!("3/4".parse(), Ok(Shard { index: 3, count: 4 }));
        for bad in ["4/4", "1", "a/b", "-1/2", "0/0", "0/100001"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_hash_covers_what_matters() {
        let (a, mut b) = (plan(&[1, 2], 2, 2), plan(&[1, 2], 2, 2));
        assert_eq!(a, b);
        b.points[1].scenario_sha256 = "other".into();
        assert_ne!(a.hash(), b.hash());
        assert_eq!(a.hash(), a.plan_sha256);
    }
}
