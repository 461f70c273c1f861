//! `oracle`: an upper bound on the accuracy of every policy in the same world, [`enachi_core::bound`] over the frames of a run.
//!
//! It is no policy. It knows all gains and every outcome, may give any band to any device in any slot, and may spend
//! energy in any frame as long as the mean per device is kept; so do policies that plan again within a frame, less well.
//! `docs/oracle.md` derives it.

mod prospects;
mod share;
mod ways;

pub use share::{OracleShare, oracle_shares};

use crate::deployment::{Deployment, DeploymentError, Offer, OfferedCuts};
use crate::scenario::CurveKind;
use crate::simulate::Monitor;
use crate::world::arrivals::Arrivals;
use crate::world::{Local, Places, World};
use enachi_core::bound::{
    BlindCut, BlindDevice, Cell, Device, EnergyPrices, FrameBound, FrameDual, MAX_BLOCKS,
    Prospects, Respond, Transmitter,
};
use enachi_core::packet::{GainSource, Window};
use enachi_core::profile::Uncertainty;
use enachi_core::task::{Candidate, StreamUse};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use ways::{add_ways, window};

/// Passes over all frames per case, at most; fewer where the cut is chosen blindly, which takes longer.
const PASSES: usize = 14;
const BLIND_PASSES: usize = 6;
/// About how much longer such a pass takes.
const BLIND_EFFORT: u64 = 20;
/// A search for energy prices ends when about this much mean accuracy is left to gain.
const PRICE_TOLERANCE: f64 = 1e-4;
const BLIND_PRICE_TOLERANCE: f64 = 5e-4;
/// How far the bound of a frame may lie above its least, per unit of worth.
const FRAME_TOLERANCE: f64 = 5e-5;
/// Frames that one job does in sequence; fixed, so that sums do not depend on the number of threads.
const CHUNK: u32 = 8;
/// Rise of energy prices in search of a solution that keeps the energy.
const DEARER: f64 = 1.1;
/// Grants may exceed the band by what the runner lets pass.
const BAND_SLACK: f64 = 1e-6;

/// What the bound knows of tasks. All gains are known in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Which answers are right: a bound on every path, for every policy.
    Answers,
    /// Nothing when the cut is chosen; after that, which uncertainty (the predictor's, or the tail's entropy) every checkpoint will
    /// have, and how often answers of that uncertainty are right there. It bounds the expectation over tasks of policies that
    /// judge an answer by its uncertainty. On a curve an answer's uncertainty *is* whether it is right.
    Uncertainty(Uncertainty),
}

/// Cuts and streams that the bound may use, per device.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    devices: Vec<Vec<Candidate>>,
}

impl Choices {
    /// Those that the scenario leaves to planners.
    ///
    /// # Errors
    /// As [`Deployment::offer`].
    pub fn of_planners(deployment: &Deployment) -> Result<Self, DeploymentError> {
        let offer = deployment.offer(
            StreamUse::Progressive,
            OfferedCuts::Plannable,
            CurveKind::Measured,
            None,
        )?;
        let mut choices = Self {
            devices: vec![Vec::new(); deployment.devices.len()],
        };
        choices.add(&offer);
        Ok(choices)
    }

    /// Those of `offer` as well: a policy that is about one cut may use one that planners may not.
    pub fn add(&mut self, offer: &Offer) {
        for (own, range) in self.devices.iter_mut().zip(&offer.device_candidates) {
            for candidate in &offer.candidates[range.start as usize..range.end as usize] {
                let same = |c: &Candidate| c.cut == candidate.cut && c.stream == candidate.stream;
                if !own.iter().any(same) {
                    // Curves and levels are of one offer; the bound needs neither.
                    own.push(Candidate {
                        curve: 0,
                        levels: 0..0,
                        ..candidate.clone()
                    });
                }
            }
        }
    }
}

/// Mean energy per frame that every device may spend: by seed, then device \[J\].
pub type Energies = Vec<Vec<f64>>;

/// The bound for one case of energies.
#[derive(Clone, Debug, PartialEq)]
pub struct OracleBound {
    /// No policy is right more often, as a share of tasks weighted by device; mean over seeds.
    pub accuracy: f64,
    /// The same by seed.
    pub seed_accuracy: Vec<f64>,
    /// Accuracy of a solution of the same problem that keeps band and energy, so the bound is loose by at most the
    /// difference (as a bound on this problem; no policy knows what it knows). 0 if none was found, as for
    /// [`Knowledge::Uncertainty`].
    pub kept_accuracy: f64,
    /// Passes over all frames that were made for this case.
    pub passes: u32,
}

/// The bound on the weighted accuracy of any policy on `deployment`, restricted to `choices`, over `seeds` and the scenario's
/// frames, for every case of `energies`.
///
/// Each case takes up to 14 passes over all frames (6 for [`Knowledge::Uncertainty`], which cost about twenty times as
/// much), later cases fewer: a bound at some prices is one for every energy, so
/// cases share what was computed. Energies below what a device takes to do nothing count as that. Once `cancel` is set, the
/// bounds found so far are returned: valid, but not as low as they could be. `monitor` sees progress of [`effort`] in all.
pub fn oracle_bound(
    deployment: &Deployment,
    choices: &Choices,
    knowledge: Knowledge,
    seeds: &[u64],
    energies: &[Energies],
    cancel: &AtomicBool,
    monitor: &impl Monitor,
) -> Vec<OracleBound> {
    let mut search = Search::new(deployment, choices, knowledge, seeds);
    energies
        .iter()
        .map(|case| search.case(case, cancel, monitor))
        .collect()
}

/// Progress that the bounds of so many cases make, in frames of the bound with outcomes known.
pub fn effort(deployment: &Deployment, knowledge: Knowledge, cases: usize) -> u64 {
    let scenario = &deployment.scenario;
    let frames = u64::from(scenario.frames) * u64::from(scenario.seeds);
    frames * case_effort(knowledge) * cases as u64
}

fn case_effort(knowledge: Knowledge) -> u64 {
    match knowledge {
        // And one for a solution that keeps the energy.
        Knowledge::Answers => PASSES as u64 + 1,
        Knowledge::Uncertainty(_) => BLIND_PASSES as u64 * BLIND_EFFORT,
    }
}

/// What one pass found for a seed.
#[derive(Clone, Debug)]
struct Point {
    prices: Vec<f64>,
    /// Σ of the frames' duals, without the energy allowed.
    value: f64,
    used_j: Vec<f64>,
    /// Worth and energy of answers that keep the band of every frame.
    kept_worth: f64,
    kept_j: Vec<f64>,
}

impl Point {
    fn keeps(&self, allowed_j: &[f64]) -> bool {
        self.kept_j
            .iter()
            .zip(allowed_j)
            .all(|(used, allowed)| used <= allowed)
    }
}

struct Search<'a> {
    deployment: &'a Deployment,
    choices: &'a Choices,
    knowledge: Knowledge,
    /// By device and candidate, where the cut is chosen blindly.
    blind: Option<Vec<Vec<Arc<Prospects>>>>,
    worlds: Vec<World>,
    /// Channels by seed, then frame and device; `None` in frames without a task.
    locals: Vec<Vec<Option<Local>>>,
    /// Worth of all tasks of a seed, by device.
    at_stake: Vec<Vec<f64>>,
    weights: Vec<f64>,
    cell: Cell,
    /// Slots that some device can use.
    open: Window,
    /// Band price of every frame in the last pass, by seed.
    guesses: Vec<Vec<f64>>,
    prices: Vec<EnergyPrices>,
    /// Of every pass, by seed.
    points: Vec<Vec<Point>>,
}

impl<'a> Search<'a> {
    fn new(
        deployment: &'a Deployment,
        choices: &'a Choices,
        knowledge: Knowledge,
        seeds: &[u64],
    ) -> Self {
        let scenario = &deployment.scenario;
        let worlds: Vec<World> = seeds
            .iter()
            .map(|seed| World::new(*seed, &deployment.setting))
            .collect();
        let windows = choices
            .devices
            .iter()
            .zip(&deployment.devices)
            .flat_map(|(candidates, device)| {
                candidates.iter().map(|candidate| {
                    window(candidate, device.values.deadline_s, scenario.frame.slot_s)
                })
            })
            .filter(|window| window.slots() > 0);
        let open = windows
            .reduce(|a, b| Window {
                first: a.first.min(b.first),
                end: a.end.max(b.end),
            })
            .unwrap_or(Window { first: 0, end: 0 });
        let total: f64 = deployment.devices.iter().map(|d| d.values.weight).sum();
        let count = deployment.devices.len() as f64;
        let weights: Vec<f64> = deployment
            .devices
            .iter()
            .map(|d| d.values.weight * count / total)
            .collect();
        let locals: Vec<_> = worlds.iter().map(|w| locals(deployment, w)).collect();
        let at_stake = locals.iter().map(|locals| {
            let mut worth = vec![0.0; weights.len()];
            for frame in locals.chunks_exact(weights.len()) {
                for ((worth, weight), local) in worth.iter_mut().zip(&weights).zip(frame) {
                    *worth += if local.is_some() { *weight } else { 0.0 };
                }
            }
            worth
        });
        Self {
            at_stake: at_stake.collect(),
            locals,
            blind: match knowledge {
                Knowledge::Answers => None,
                Knowledge::Uncertainty(kind) => Some(blind(deployment, choices, kind)),
            },
            deployment,
            choices,
            knowledge,
            guesses: vec![vec![0.0; scenario.frames as usize]; seeds.len()],
            prices: Vec::new(),
            points: vec![Vec::new(); seeds.len()],
            worlds,
            weights,
            cell: Cell {
                radio: deployment.radio,
                bandwidth_hz: scenario.channel.bandwidth_hz * (1.0 + BAND_SLACK),
                slot_s: scenario.frame.slot_s,
            },
            open,
        }
    }

    /// Energy that each device may spend over all frames beyond doing nothing \[J\].
    fn allowed(&self, means_j: &[f64]) -> Vec<f64> {
        let scenario = &self.deployment.scenario;
        let frames = f64::from(scenario.frames);
        self.deployment
            .devices
            .iter()
            .zip(means_j)
            .map(|(device, mean_j)| {
                let idle_j = device.values.idle_power_w * scenario.frame.length_s;
                // Sums of the records are rounded.
                (mean_j * (1.0 + 1e-9) - idle_j).max(0.0) * frames
            })
            .collect()
    }

    fn case(
        &mut self,
        energies: &Energies,
        cancel: &AtomicBool,
        monitor: &impl Monitor,
    ) -> OracleBound {
        let at_stake: Vec<f64> = self.at_stake.iter().map(|w| w.iter().sum()).collect();
        let at_stake = &at_stake;
        let allowed: Vec<Vec<f64>> = energies.iter().map(|e| self.allowed(e)).collect();
        let dual = |seed: usize, point: &Point, allowed: &[f64]| {
            let spent: f64 = point.prices.iter().zip(allowed).map(|(p, a)| p * a).sum();
            (point.value + spent) / at_stake[seed].max(f64::MIN_POSITIVE)
        };
        let (most_passes, tolerance) = match self.blind {
            Some(_) => (BLIND_PASSES, BLIND_PRICE_TOLERANCE),
            None => (PASSES, PRICE_TOLERANCE),
        };
        let mut passes = 0;
        if self.prices.is_empty() {
            let seeds = allowed.iter().zip(&self.at_stake);
            self.prices = seeds
                .map(|(allowed, worth)| EnergyPrices::new(allowed, worth))
                .collect();
            if self.blind.is_some() {
                // Where energy does not bind its price is nothing, and a search from above would be long in finding it.
                self.prices.iter_mut().for_each(EnergyPrices::waive);
            }
            self.pass(monitor);
            passes += 1;
            let mut binds = false;
            if self.blind.is_some() {
                for (seed, allowed) in allowed.iter().enumerate() {
                    let point = self.points[seed].last().expect("a pass was made");
                    binds |= self.prices[seed].search_for(&point.used_j, allowed);
                }
            }
            if binds {
                self.pass(monitor);
                passes += 1;
            }
        } else {
            // Go on from the best prices known.
            for (seed, allowed) in allowed.iter().enumerate() {
                let best = best(&self.points[seed], |point| dual(seed, point, allowed));
                self.prices[seed].restart(&self.points[seed][best].prices);
                let point = self.points[seed].remove(best);
                self.points[seed].push(point);
            }
        }
        loop {
            let mut to_gain = 0.0;
            for (seed, allowed) in allowed.iter().enumerate() {
                let point = self.points[seed].last().expect("a pass was made");
                to_gain += self.prices[seed].update(&point.used_j, allowed)
                    / at_stake[seed].max(f64::MIN_POSITIVE);
            }
            to_gain /= allowed.len().max(1) as f64;
            let enough = to_gain < tolerance || passes >= most_passes;
            if enough || cancel.load(Ordering::Relaxed) {
                break;
            }
            self.pass(monitor);
            passes += 1;
        }
        // One more pass at somewhat dearer energy, for a solution that keeps it (of a blind choice there is none).
        let kept = |seed: usize, points: &[Point], allowed: &[f64]| {
            let kept = points.iter().filter(|point| point.keeps(allowed));
            kept.map(|point| point.kept_worth / at_stake[seed].max(f64::MIN_POSITIVE))
                .fold(0.0, f64::max)
        };
        let all_keep = |points: &[Vec<Point>]| {
            let mut seeds = points.iter().zip(&allowed).enumerate();
            seeds.all(|(seed, (points, allowed))| kept(seed, points, allowed) > 0.0)
        };
        if self.blind.is_none() && !all_keep(&self.points) && !cancel.load(Ordering::Relaxed) {
            for (seed, allowed) in allowed.iter().enumerate() {
                let best = best(&self.points[seed], |point| dual(seed, point, allowed));
                let prices = &self.points[seed][best].prices;
                let dearer: Vec<f64> = prices.iter().map(|p| DEARER * p).collect();
                self.prices[seed].restart(&dearer);
            }
            self.pass(monitor);
            passes += 1;
        }
        let seed_accuracy: Vec<f64> = self
            .points
            .iter()
            .zip(&allowed)
            .enumerate()
            .map(|(seed, (points, allowed))| {
                let best = best(points, |point| dual(seed, point, allowed));
                dual(seed, &points[best], allowed).clamp(0.0, 1.0)
            })
            .collect();
        let kept_sum: f64 = self
            .points
            .iter()
            .zip(&allowed)
            .enumerate()
            .map(|(seed, (points, allowed))| at_stake[seed] * kept(seed, points, allowed))
            .sum();
        // Passes that were not needed are done as well.
        let left = case_effort(self.knowledge).saturating_sub(passes as u64 * self.pass_effort());
        let frames = u64::from(self.deployment.scenario.frames) * self.worlds.len() as u64;
        monitor.progress(left * frames);
        // Seeds count by their tasks, as in the accuracy of a policy.
        let bound_sum: f64 = seed_accuracy.iter().zip(at_stake).map(|(a, w)| a * w).sum();
        let all = at_stake.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        OracleBound {
            accuracy: (bound_sum / all).min(1.0),
            seed_accuracy,
            kept_accuracy: if self.blind.is_some() {
                0.0
            } else {
                kept_sum / all
            },
            passes: passes as u32,
        }
    }

    fn pass_effort(&self) -> u64 {
        if self.blind.is_some() {
            BLIND_EFFORT
        } else {
            1
        }
    }

    /// All frames of all seeds at the current energy prices.
    fn pass(&mut self, monitor: &impl Monitor) {
        let frames = self.deployment.scenario.frames;
        let effort = self.pass_effort();
        let jobs: Vec<(usize, u32)> = (0..self.worlds.len())
            .flat_map(|seed| (0..frames).step_by(CHUNK as usize).map(move |f| (seed, f)))
            .collect();
        let parts: Vec<Vec<FrameDual>> = jobs
            .par_iter()
            .map(|(seed, first)| {
                let duals = self.chunk(*seed, *first..(*first + CHUNK).min(frames));
                monitor.progress(duals.len() as u64 * effort);
                duals
            })
            .collect();
        for (seed, prices) in self.prices.iter().enumerate() {
            self.points[seed].push(Point {
                prices: prices.prices().to_vec(),
                value: 0.0,
                used_j: vec![0.0; self.weights.len()],
                kept_worth: 0.0,
                kept_j: vec![0.0; self.weights.len()],
            });
        }
        for ((seed, first), duals) in jobs.iter().zip(parts) {
            let point = self.points[*seed].last_mut().expect("just pushed");
            for (offset, dual) in duals.iter().enumerate() {
                self.guesses[*seed][*first as usize + offset] = dual.band[0];
                point.value += dual.value;
                point.kept_worth += dual.kept_worth;
                add(&mut point.used_j, &dual.energy_j);
                add(&mut point.kept_j, &dual.kept_energy_j);
            }
        }
    }

    fn chunk(&self, seed: usize, frames: Range<u32>) -> Vec<FrameDual> {
        let slot_s = self.deployment.scenario.frame.slot_s;
        let transmitters = self.deployment.devices.iter().map(|device| Transmitter {
            power_max_w: device.drawn_power_max_w,
            circuit_power_w: device.radio.circuit_power_w,
            tail_energy_j: device.radio.tail_power_w * device.radio.tail_time_s,
        });
        let weighted = transmitters.zip(&self.weights);
        let first = self.open.first;
        let Some(blind) = &self.blind else {
            let mut devices: Vec<Device> = weighted
                .map(|(transmitter, weight)| Device::new(*weight, transmitter))
                .collect();
            let mut ways = Vec::new();
            return self.duals(seed, frames, &mut devices, |device, n, task, gains| {
                ways.clear();
                if let Some(task) = task {
                    for candidate in &self.choices.devices[n] {
                        add_ways(self.deployment, n, candidate, task, &mut ways);
                    }
                }
                device.prepare(&self.cell, &ways, first, gains, &[]);
            });
        };
        let mut devices: Vec<BlindDevice> = weighted
            .enumerate()
            .map(|(n, (transmitter, weight))| {
                let values = &self.deployment.devices[n].values;
                let cuts = self.choices.devices[n].iter().zip(&blind[n]);
                let cuts = cuts.map(|(candidate, prospects)| {
                    let window = window(candidate, values.deadline_s, slot_s);
                    BlindCut {
                        prospects,
                        fixed_energy_j: self.fixed_energy_j(n, candidate),
                        first: window.first,
                        end: window.end,
                    }
                });
                BlindDevice::new(*weight, transmitter, cuts.collect(), &[])
            })
            .collect();
        self.duals(seed, frames, &mut devices, |device, _, task, gains| {
            if task.is_some() {
                device.prepare(&self.cell, first, gains);
            } else {
                device.rest();
            }
        })
    }

    fn fixed_energy_j(&self, device: usize, candidate: &Candidate) -> f64 {
        let scenario = &self.deployment.scenario;
        let values = &self.deployment.devices[device].values;
        (candidate.local_energy_j - values.idle_power_w * scenario.frame.length_s).max(0.0)
    }

    /// The frames' duals; `prepare` readies a device for its task, if it has one, and the gains of the open slots.
    fn duals<D: Respond>(
        &self,
        seed: usize,
        frames: Range<u32>,
        devices: &mut [D],
        mut prepare: impl FnMut(&mut D, usize, Option<f64>, &[f64]),
    ) -> Vec<FrameDual> {
        let mut bound = FrameBound::default();
        let mut gains = Vec::new();
        let mut capacity = [0.0; MAX_BLOCKS];
        capacity[0] = f64::from(self.open.slots());
        let tolerance = FRAME_TOLERANCE * self.weights.iter().sum::<f64>();
        let world = &self.worlds[seed];
        let mut guess = 0.0;
        frames
            .map(|frame| {
                for (n, device) in devices.iter_mut().enumerate() {
                    let index = n as u32;
                    gains.clear();
                    let place = frame as usize * self.weights.len() + n;
                    let Some(local) = self.locals[seed][place] else {
                        prepare(device, n, None, &gains);
                        continue;
                    };
                    let mut source = world.gains(index, frame, local);
                    gains.extend((self.open.first..self.open.end).map(|k| source.gain(k)));
                    prepare(device, n, Some(world.task(index, frame)), &gains);
                }
                let known = self.guesses[seed][frame as usize];
                let mut dual = FrameDual::default();
                bound.solve(
                    devices,
                    self.prices[seed].prices(),
                    &capacity,
                    if known > 0.0 { known } else { guess },
                    tolerance,
                    &mut dual,
                );
                guess = dual.band[0];
                dual
            })
            .collect()
    }
}

/// What tasks may turn out to be, by device and candidate; made once per cut and stream.
fn blind(
    deployment: &Deployment,
    choices: &Choices,
    uncertainty: Uncertainty,
) -> Vec<Vec<Arc<Prospects>>> {
    type Key = (usize, u32, Option<u32>, bool);
    let mut made: Vec<(Key, Arc<Prospects>)> = Vec::new();
    let mut of = |device: usize, candidate: &Candidate| {
        let network = deployment.devices[device].network;
        let key = (
            network,
            candidate.cut,
            candidate.stream,
            candidate.feasible(),
        );
        match made.iter().find(|(known, _)| *known == key) {
            Some((_, prospects)) => Arc::clone(prospects),
            None => {
                let prospects = prospects::prospects(deployment, device, candidate, uncertainty);
                let prospects = Arc::new(prospects);
                made.push((key, Arc::clone(&prospects)));
                prospects
            }
        }
    };
    let devices = choices.devices.iter().enumerate();
    devices
        .map(|(n, candidates)| candidates.iter().map(|c| of(n, c)).collect())
        .collect()
}

/// Channels of all frames and devices; `None` where there is no task.
fn locals(deployment: &Deployment, world: &World) -> Vec<Option<Local>> {
    let (scenario, devices) = (&deployment.scenario, deployment.devices.len());
    let mut places = Places::new(world.clone());
    let mut arrivals = Arrivals::new(world, &scenario.arrivals, devices);
    let mut locals = Vec::with_capacity(devices * scenario.frames as usize);
    for frame in 0..scenario.frames {
        places.advance_to(frame);
        arrivals.begin(frame);
        let here = (0..devices).map(|n| arrivals.has_task(n).then(|| places.local(n as u32)));
        locals.extend(here);
    }
    locals
}

fn add(sums: &mut [f64], values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

fn best(points: &[Point], dual: impl Fn(&Point) -> f64) -> usize {
    let order = |a: &usize, b: &usize| dual(&points[*a]).total_cmp(&dual(&points[*b]));
    (0..points.len()).min_by(order).expect("a pass was made")
}
