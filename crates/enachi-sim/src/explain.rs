//! Why one device did what it did in one frame: the run is replayed up to that frame and its plan taken apart.

use crate::deployment::Deployment;
use crate::policies::PolicyFactory;
use crate::runner::{Recorder, Runner};
use crate::simulate::{SimulateError, variants};
use enachi_core::profile::CutKind;
use enachi_core::record::{FrameRecord, SlotRecord};
use enachi_core::task::{Candidate, DeviceView, FrameView, PlanQuality, Slice, TaskGrant};
use serde::Serialize;

/// Which device-frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Policy as in the records; `None` for the first.
    pub policy: Option<String>,
    /// Seed; `None` for the first.
    pub seed: Option<u64>,
    /// Frame from 0.
    pub frame: u32,
    /// Device from 0.
    pub device: u32,
}

/// A question about something that is not in the run.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Out of range.
    #[error("--{key} {value}: must be {allowed}")]
    Range {
        /// Argument.
        key: &'static str,
        /// Value.
        value: String,
        /// What there is.
        allowed: String,
    },
    /// The run cannot be replayed.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
}

/// What a candidate was worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Cut.
    pub cut: String,
    /// Stream, where one is sent.
    pub stream: Option<String>,
    /// Whether it can finish in time at all.
    pub feasible: bool,
    /// Time to send (16) \[s\].
    pub transmit_time_s: f64,
    /// Energy before the first bit \[J\].
    pub local_energy_j: f64,
    /// Best use of the band that suits it at the frame's price (or of the granted band, where the policy has no price).
    pub bandwidth_hz: f64,
    /// Power there \[W\].
    pub power_w: f64,
    /// Bits there.
    pub bits: f64,
    /// Accuracy there.
    pub accuracy: f64,
    /// V·w·A − Q·(E_local + p·T) − λ·ω − μ·t_edge.
    pub utility: f64,
    /// Whether it was chosen.
    pub chosen: bool,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Policy.
    pub policy: String,
    /// Seed.
    pub seed: u64,
    /// Frame.
    pub frame: u32,
    /// Device.
    pub device: u32,
    /// Q before the frame \[J\].
    pub energy_queue_j: f64,
    /// Ē \[J\].
    pub energy_budget_j: f64,
    /// Gain that the plan knew.
    pub gain: f64,
    /// V·weight.
    pub worth: f64,
    /// λ \[objective/Hz\], where the policy has one.
    pub bandwidth_price: Option<f64>,
    /// Relative gap of the plan, where the policy has one.
    pub gap: Option<f64>,
    /// Candidates, in the order of the profile.
    pub choices: Vec<Choice>,
    /// Granted band \[Hz\].
    pub bandwidth_hz: f64,
    /// Granted reference power \[W\].
    pub reference_power_w: f64,
    /// What kept the device from doing better.
    pub binding: Vec<String>,
    /// What came of it.
    #[serde(skip)]
    pub record: FrameRecord,
    /// Its slots.
    #[serde(skip)]
    pub slots: Vec<SlotRecord>,
}

/// Replay the run of `deployment` up to the frame in question and take its plan apart.
pub fn explain(
    mut deployment: Deployment,
    factory: &PolicyFactory,
    question: &Question,
) -> Result<Explanation, ExplainError> {
    let variants = variants(&mut deployment, factory)?;
    let scenario = &deployment.scenario;
    let range = |key, value: &dyn std::fmt::Display, allowed: String| ExplainError::Range {
        key,
        value: value.to_string(),
        allowed,
    };
    let index = match &question.policy {
        None => 0,
        Some(name) => variants
            .iter()
            .position(|v| v.label == *name)
            .ok_or_else(|| {
                let known: Vec<&str> = variants.iter().map(|v| v.label.as_str()).collect();
                range("policy", name, format!("one of {}", known.join(", ")))
            })?,
    };
    let seed = question.seed.unwrap_or(scenario.seed);
    if !scenario.seed_range().any(|s| s == seed) {
        let last = scenario.seed + u64::from(scenario.seeds) - 1;
        return Err(range(
            "seed",
            &seed,
            format!("in {}..={last}", scenario.seed),
        ));
    }
    if question.frame >= scenario.frames {
        let last = scenario.frames - 1;
        return Err(range("frame", &question.frame, format!("in 0..={last}")));
    }
    if question.device as usize >= deployment.devices.len() {
        let last = deployment.devices.len() - 1;
        return Err(range("device", &question.device, format!("in 0..={last}")));
    }
    let variant = variants[index].clone();
    let label = variant.label.clone();
    let mut runner = Runner::new(&deployment, factory, variant, index as u16, seed)?;
    let mut recorder = Recorder::default();
    for _ in 0..question.frame {
        runner.plan();
        runner.execute(&mut recorder);
        recorder.frames.clear();
    }
    recorder.keep_slots = true;
    runner.plan();
    let device = question.device as usize;
    let (grant, quality) = (runner.grants()[device], runner.last_plan());
    let view = runner.view();
    let about = view.devices[device].clone();
    let worth = view.v * about.weight;
    let choices = choices(&deployment, &view, &about, &grant, quality);
    let chosen = grant.candidate.map(|c| view.candidates[c as usize].clone());
    let binding = match runner.failure() {
        Some(failure) => vec![format!("the policy failed: {failure}")],
        None if runner.refused(device) => vec!["the edge: it has no time for this task".into()],
        None => binding(&about, chosen.as_ref(), &grant, quality),
    };
    runner.execute(&mut recorder);
    let record = recorder.frames[device].clone();
    let mut slots = recorder.slots;
    slots.retain(|slot| slot.device == question.device);
    Ok(Explanation {
        policy: label,
        seed,
        frame: question.frame,
        device: question.device,
        energy_queue_j: about.energy_queue_j,
        energy_budget_j: about.energy_budget_j,
        gain: about.gain,
        worth,
        bandwidth_price: quality.map(|q| q.bandwidth_price),
        gap: quality.map(|q| (q.upper_bound - q.objective) / q.upper_bound.abs()),
        choices,
        bandwidth_hz: grant.bandwidth_hz,
        reference_power_w: grant.reference_power_w,
        binding,
        record,
        slots,
    })
}

/// Every candidate at its best: at the price of the band, or in the granted band where there is no price.
fn choices(
    deployment: &Deployment,
    view: &FrameView<'_>,
    about: &DeviceView,
    grant: &TaskGrant,
    quality: Option<PlanQuality>,
) -> Vec<Choice> {
    let names = deployment.cut_names();
    let worth = view.v * about.weight;
    let price = quality.map_or(0.0, |q| q.bandwidth_price);
    about
        .candidates
        .clone()
        .map(|index| {
            let candidate = &view.candidates[index as usize];
            let curve = &view.curves[candidate.curve as usize];
            let at = |bandwidth_hz: f64| {
                let slice = Slice {
                    radio: view.radio,
                    bandwidth_hz,
                    gain: about.gain,
                    power_max_w: about.power_max_w,
                    time_s: candidate.transmit_time_s,
                };
                slice.best(curve, worth, about.energy_queue_j)
            };
            let sends = candidate.kind != CutKind::Local && candidate.transmit_time_s > 0.0;
            let net = |bandwidth_hz: f64| at(bandwidth_hz).value - price * bandwidth_hz;
            let bandwidth_hz = match (sends, quality) {
                (false, _) => 0.0,
                (true, None) => grant.bandwidth_hz,
                (true, Some(_)) => best_bandwidth_hz(view.bandwidth_hz, net),
            };
            let (value, power_w, bits, accuracy) = if sends && bandwidth_hz > 0.0 {
                let best = at(bandwidth_hz);
                (
                    best.value - price * bandwidth_hz,
                    best.power_w,
                    best.bits,
                    best.accuracy,
                )
            } else {
                let nothing = curve.nothing_sent();
                (worth * nothing, 0.0, 0.0, nothing)
            };
            let cut = deployment.cut(candidate.cut);
            Choice {
                cut: names[candidate.cut as usize].clone(),
                stream: candidate
                    .stream
                    .map(|s| cut.streams[s as usize].name.clone()),
                feasible: candidate.feasible(),
                transmit_time_s: candidate.transmit_time_s,
                local_energy_j: candidate.local_energy_j,
                bandwidth_hz,
                power_w,
                bits,
                accuracy,
                utility: value
                    - about.energy_queue_j * candidate.local_energy_j
                    - about.edge_price_per_s * candidate.edge_time_s(),
                chosen: grant.candidate == Some(index),
            }
        })
        .collect()
}

/// The band that gives the most: a grid over six decades, refined around its best point.
fn best_bandwidth_hz(total_hz: f64, net: impl Fn(f64) -> f64) -> f64 {
    const POINTS: usize = 240;
    let (mut low, mut high) = (total_hz * 1e-6, total_hz);
    let mut best = 0.0;
    let mut value = f64::NEG_INFINITY;
    for _ in 0..4 {
        let ratio = (high / low).powf(1.0 / POINTS as f64);
        let (mut at, mut found) = (low, low);
        for _ in 0..=POINTS {
            let here = net(at.min(total_hz));
            if here > value {
                (value, best, found) = (here, at.min(total_hz), at);
            }
            at *= ratio;
        }
        if found > low {
            (low, high) = (found / ratio, found * ratio);
        } else {
            high = low * ratio;
        }
    }
    best
}

/// What kept the device from doing better, in words.
fn binding(
    about: &DeviceView,
    chosen: Option<&Candidate>,
    grant: &TaskGrant,
    quality: Option<PlanQuality>,
) -> Vec<String> {
    let mut binding = Vec::new();
    if about.candidates.is_empty() {
        binding.push("nothing: it has no task in this frame".into());
        return binding;
    }
    let Some(candidate) = chosen else {
        binding.push("the deadline: no candidate leaves time to send".into());
        return binding;
    };
    if candidate.kind == CutKind::Local {
        binding.push("nothing: the whole network runs on the device".into());
        return binding;
    }
    if grant.reference_power_w >= about.power_max_w * (1.0 - 1e-6) {
        binding.push(format!("p_max = {} W", about.power_max_w));
    } else if grant.reference_power_w > 0.0 {
        binding.push(format!("energy: a joule costs {:.4}", about.energy_queue_j));
    }
    if grant.bits >= candidate.total_bits * (1.0 - 1e-6) {
        binding.push("the stream: all of it is planned to be sent".into());
    }
    if about.edge_price_per_s > 0.0 {
        let price = about.edge_price_per_s * 1e-3;
        binding.push(format!("the edge: a further ms would be worth {price:.4}"));
    }
    match quality {
        Some(q) if q.bandwidth_price > 0.0 => binding.push(format!(
            "the band: a further MHz would be worth {:.4}",
            q.bandwidth_price * 1e6
        )),
        Some(_) => {}
        None => binding.push("the band, by the policy's own rule".into()),
    }
    binding
}
