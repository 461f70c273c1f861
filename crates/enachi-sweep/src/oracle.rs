//! The upper bound at a point in a seed, for every policy of the sweep: `enachi_sim::oracle` over the first frames of the runs.

use crate::plan::OraclePlan;
use enachi_core::record::Outcome;
use enachi_sim::deployment::Deployment;
use enachi_sim::oracle::{OracleShare, oracle_shares};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::runner::{Recorder, Runner};
use enachi_sim::simulate::{Records, Unwatched};
use enachi_sim::variant::Variant;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};

/// The bound in one seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// One per policy of the sweep; `None` for one that cannot run, whose own runs say why.
    pub policies: Vec<Option<Bound>>,
    /// Wall time; no part of the dataset \[s\].
    pub wall_s: f64,
}

/// A policy against the bound for the energy that it spent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Device-frames.
    pub device_frames: u64,
    /// Of them, those with a task.
    pub tasks: u64,
    /// Sum of the weights of their devices.
    pub worth: f64,
    /// Energy of all device-frames \[J\].
    pub energy_j: f64,
    /// Right answers of the policy, a weighted share.
    pub accuracy: f64,
    /// The bound with answers known.
    pub bound: f64,
    /// A solution of the same problem that keeps band and energy.
    pub kept: f64,
    /// The bound where only the entropy of answers is known.
    pub blind_bound: f64,
}

/// Run every policy of a point over the frames of `oracle` in `seed`, and bound it. On this thread alone: a sweep is parallel over
/// runs. `None` when cancelled.
///
/// # Errors
/// Where there is no bound: no task arrives in these frames, or a figure is not finite.
pub fn bounds(
    of: &Deployment,
    factory: &PolicyFactory,
    variants: &[Result<Variant, String>],
    oracle: OraclePlan,
    seed: u64,
    cancel: &AtomicBool,
) -> Option<Result<Bounds, String>> {
    let mut deployment = of.clone();
    let scenario = &mut deployment.scenario;
    (scenario.seed, scenario.seeds, scenario.frames) = (seed, 1, oracle.frames);
    scenario.policies.clear();
    let mut records = Records::default();
    // Index among the policies that run, by index in the sweep.
    let mut places: Vec<Option<usize>> = vec![None; variants.len()];
    for (variant, place) in variants.iter().zip(&mut places) {
        let Ok(variant) = variant else { continue };
        let index = deployment.scenario.policies.len();
        let runner = Runner::new(&deployment, factory, variant.clone(), index as u16, seed);
        let Ok(mut runner) = runner else { continue };
        let mut recorder = Recorder::default();
        for _ in 0..oracle.frames {
            if cancel.load(Ordering::Relaxed) {
                return None;
            }
            runner.plan();
            runner.execute(&mut recorder);
        }
        records.frames.extend(recorder.frames);
        deployment.scenario.policies.push(variant.label.clone());
        *place = Some(index);
    }
    records.names = deployment.names(deployment.scenario.policies.clone());
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let shares = alone.map_err(|e| e.to_string()).and_then(|pool| {
        pool.install(|| oracle_shares(&deployment, factory, &records, cancel, &Unwatched))
            .map_err(|e| e.to_string())
    });
    // A bound that was cut short holds, but depends on when that was.
    if cancel.load(Ordering::Relaxed) {
        return None;
    }
    Some(shares.and_then(|shares| {
        let bound = |place: Option<usize>| {
            place.map(|index| bound(&deployment, &records, index, &shares[index]))
        };
        let policies = places.into_iter().map(|place| bound(place).transpose());
        Ok(Bounds {
            policies: policies.collect::<Result<_, _>>()?,
            wall_s: 0.0,
        })
    }))
}

fn bound(
    deployment: &Deployment,
    records: &Records,
    policy: usize,
    share: &OracleShare,
) -> Result<Bound, String> {
    let mut bound = Bound {
        device_frames: 0,
        tasks: 0,
        worth: 0.0,
        energy_j: 0.0,
        accuracy: share.accuracy,
        bound: share.bound,
        kept: share.kept,
        blind_bound: share.uncertain_bound,
    };
    let own = records.frames.iter();
    for record in own.filter(|record| usize::from(record.policy) == policy) {
        bound.device_frames += 1;
        bound.energy_j += record.energy_j();
        if record.outcome != Outcome::NoTask {
            bound.tasks += 1;
            bound.worth += deployment.devices[record.device as usize].values.weight;
        }
    }
    let figures = [
        bound.energy_j,
        bound.accuracy,
        bound.bound,
        bound.kept,
        bound.blind_bound,
    ];
    if bound.worth <= 0.0 {
        Err("no task arrives in the frames of the bound".into())
    } else if figures.iter().all(|figure| figure.is_finite()) {
        Ok(bound)
    } else {
        Err("a figure of the bound is not finite".into())
    }
}
