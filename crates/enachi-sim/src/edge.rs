//! Planning for an edge of finite capacity: plan → admission → plan, in the time and at the price that serve the cell best.
//!
//! Two numbers steer a frame. The *span* θ ∈ (0, 1] is the share of every deadline that is kept for the edge: uploads are
//! planned to end by (1 − θ)·T, and tails are admitted as long as their batches need not start before that. The *price* μ
//! is what a second of the edge costs a policy that can weigh it against accuracy and energy
//! ([`DeviceView::edge_price_per_s`]); it moves cuts to where the tail is shorter, so that more tasks fit.
//!
//! Where the plan with every tail alone, ENACHI (16), happens to fit, nothing else is tried. Otherwise the frame is
//! planned at several (θ, μ) around the best of the frame before (over a grid in the first frame, and now and then
//! after) and the plan that is worth most is kept. For a policy that prices energy a plan is worth what it is in P1.2
//! (17), for others the accuracy it counts on, of the tasks that are admitted.

use crate::deployment::{Deployment, Offer};
use crate::scenario::{Refused, Scenario};
use enachi_core::edge::{Admission, BatchTime, Edge, Schedule, Tail};
use enachi_core::profile::CutKind;
use enachi_core::task::{
    Candidate, DeviceView, FrameView, PlanFailure, PlanQuality, TaskGrant, TaskPolicy,
    plan_contained,
};
use std::ops::Range;

/// Spans of the grid.
const SPANS: [f64; 9] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9];
/// Spans that are tried where there is no time for more, until all tails fit and the plan is worth less than with a shorter one.
const QUICK_SPANS: [f64; 4] = [0.03, 0.1, 0.25, 0.5];
/// Frames from one grid search to the next.
const GRID_EVERY: u32 = 20;
/// Factor from a span to its neighbours.
const NEIGHBOUR: f64 = 1.15;
/// Steps of a search for the price, from nothing and around the last one.
const FAR_STEPS: u32 = 14;
const NEAR_STEPS: u32 = 7;
/// Prices of devices differ by so much, in an order that moves on with the frames: devices that are alike would otherwise
/// all change their cut at the same price.
const SPREAD: f64 = 0.02;

/// The server that a scenario describes; `None` without contention.
pub fn server(scenario: &Scenario) -> Option<Edge> {
    let edge = &scenario.edge;
    let workers = edge.workers?;
    let batch_time = if edge.batch_table.is_empty() {
        BatchTime::linear(edge.batch_overhead_s, edge.batch_per_item)
    } else {
        BatchTime::table(edge.batch_overhead_s, &edge.batch_table)
            .expect("scenarios are checked when they are read")
    };
    Some(Edge {
        workers: workers as usize,
        max_batch: edge.max_batch as usize,
        batch_time,
    })
}

/// A plan of a frame and what the edge makes of it.
#[derive(Clone, Debug, Default)]
struct Trial {
    grants: Vec<TaskGrant>,
    /// Whether the edge has no time for a device.
    refused: Vec<bool>,
    schedule: Schedule,
    /// From the barrier to the answer, per device \[s\].
    edge_s: Vec<f64>,
    quality: Option<PlanQuality>,
    value: f64,
    span: Option<f64>,
    price: f64,
}

impl Trial {
    fn refusals(&self) -> usize {
        self.refused.iter().filter(|refused| **refused).count()
    }
}

/// Everything about a frame that does not change from trial to trial.
struct Frame<'a> {
    deployment: &'a Deployment,
    policy: &'a mut dyn TaskPolicy,
    offer: &'a mut Offer,
    views: &'a mut [DeviceView],
    number: u32,
}

/// What the edge allows in a frame, kept from frame to frame.
pub struct Capacity {
    edge: Edge,
    refuse_to: Refused,
    /// (16) with every tail alone, per candidate \[s\].
    alone_s: Vec<f64>,
    /// Deadline of each candidate \[s\].
    deadline_s: Vec<f64>,
    admission: Admission,
    /// By candidate: what of its window it cannot use \[s\].
    lost_s: Vec<f64>,
    /// Candidates of each device in the planned frame; none where it has no task.
    ranges: Vec<Range<u32>>,
    tails: Vec<Tail>,
    values: Vec<f64>,
    owners: Vec<usize>,
    admitted: Vec<bool>,
    at_least_s: Vec<f64>,
    trial: Trial,
    best: Trial,
    /// Best span and price of the last frame that needed any.
    last: Option<(f64, f64)>,
    searched: u32,
    quick: bool,
}

/// From the barrier to the answer of what `device` was granted \[s\]: as an edge of finite capacity has planned it, else as
/// if the tail had the edge to itself, ENACHI (8).
pub fn edge_s(capacity: Option<&Capacity>, device: usize, candidate: &Candidate) -> f64 {
    match capacity {
        Some(capacity) if candidate.kind != CutKind::Local => capacity.edge_s(device),
        _ => candidate.edge_time_s(),
    }
}

impl Capacity {
    /// For the candidates of `offer`; `None` without contention.
    pub fn new(deployment: &Deployment, offer: &Offer) -> Option<Self> {
        let edge = server(&deployment.scenario)?;
        let mut deadline_s = vec![0.0; offer.candidates.len()];
        for (device, range) in deployment.devices.iter().zip(&offer.device_candidates) {
            let range = range.start as usize..range.end as usize;
            deadline_s[range].fill(device.values.deadline_s);
        }
        Some(Self {
            refuse_to: deployment.scenario.edge.refused,
            alone_s: {
                let overhead_s = edge.batch_time.time_s(0.0, 0.0, 1);
                let alone_s = offer.candidates.iter().map(|c| match c.kind {
                    CutKind::Local => c.transmit_time_s,
                    _ => c.transmit_time_s - overhead_s,
                });
                alone_s.collect()
            },
            edge,
            lost_s: vec![0.0; deadline_s.len()],
            deadline_s,
            admission: Admission::default(),
            ranges: Vec::new(),
            tails: Vec::new(),
            values: Vec::new(),
            owners: Vec::new(),
            admitted: Vec::new(),
            at_least_s: Vec::new(),
            trial: Trial::default(),
            best: Trial::default(),
            last: None,
            searched: 0,
            quick: false,
        })
    }

    /// Try a few spans and no prices, for an edge whose clock runs: at most nine plans a frame, and three where all tails
    /// fit easily.
    pub fn quick(self) -> Self {
        Self {
            quick: true,
            ..self
        }
    }

    /// Barrier of a deadline in the planned frame \[s\].
    pub fn barrier_s(&self, deadline: usize) -> f64 {
        self.best.schedule.barriers_s[deadline]
    }

    /// From its barrier to its answer, for a device whose tail runs in the planned frame \[s\].
    fn edge_s(&self, device: usize) -> f64 {
        self.best.edge_s[device]
    }

    /// Whether the edge has no time for a device in the planned frame.
    pub fn refused(&self, device: usize) -> bool {
        self.best.refused[device]
    }

    /// Quality of the planned frame's plan.
    pub fn quality(&self) -> Option<PlanQuality> {
        self.best.quality
    }

    /// Plan a frame. `views` are ready but for candidates and prices of the edge.
    pub fn plan(
        &mut self,
        deployment: &Deployment,
        policy: &mut dyn TaskPolicy,
        offer: &mut Offer,
        views: &mut [DeviceView],
        number: u32,
        grants: &mut [TaskGrant],
    ) -> Result<(), PlanFailure> {
        let mut frame = Frame {
            deployment,
            policy,
            offer,
            views,
            number,
        };
        self.ranges.clear();
        self.ranges
            .extend(frame.views.iter().map(|view| view.candidates.clone()));
        let result = self.search(&mut frame);
        if result.is_err() {
            self.best.grants.clear();
            self.best.grants.resize(grants.len(), TaskGrant::default());
            self.best.refused.fill(false);
            self.best.refused.resize(grants.len(), false);
            self.best
                .schedule
                .barriers_s
                .clone_from(&deployment.deadlines_s);
            self.best.edge_s.clear();
            self.best.edge_s.resize(grants.len(), 0.0);
            self.best.quality = None;
        }
        // What is told about the frame from here on is what the plan that was kept was made with.
        self.set_windows(frame.offer, self.best.span);
        set_prices(frame.views, self.best.price, number);
        for (view, range) in frame.views.iter_mut().zip(&self.ranges) {
            view.candidates = range.clone();
        }
        grants.copy_from_slice(&self.best.grants);
        result
    }

    fn search(&mut self, frame: &mut Frame<'_>) -> Result<(), PlanFailure> {
        self.try_at(frame, None, 0.0)?;
        std::mem::swap(&mut self.trial, &mut self.best);
        if !self.best.refused.contains(&true) {
            return Ok(());
        }
        // A plan that leaves its barrier behind is none; any other is better.
        self.best.value = f64::NEG_INFINITY;
        if self.quick {
            for span in QUICK_SPANS {
                let best = self.best.value;
                if !self.keep_at(frame, span, 0.0)? && self.trial.value < best {
                    break;
                }
            }
            return Ok(());
        }
        let grid = self.last.is_none() || self.searched.is_multiple_of(GRID_EVERY);
        self.searched += 1;
        if grid {
            for span in SPANS {
                self.price(frame, span, None)?;
            }
        }
        if let Some((span, price)) = self.last {
            self.price(frame, span, Some(price))?;
            let neighbour = match frame.number % 2 {
                0 => span * NEIGHBOUR,
                _ => span / NEIGHBOUR,
            };
            self.keep_at(frame, neighbour.min(1.0), price)?;
        }
        if let Some(span) = self.best.span {
            self.last = Some((span, self.best.price));
        }
        Ok(())
    }

    /// Search the price at which everybody who wants the edge fits, and keep the best plan met on the way.
    fn price(
        &mut self,
        frame: &mut Frame<'_>,
        span: f64,
        around: Option<f64>,
    ) -> Result<(), PlanFailure> {
        let full = self.keep_at(frame, span, 0.0)?;
        if !full || self.trial.quality.is_none() {
            return Ok(());
        }
        let scenario = &frame.deployment.scenario;
        let (mut low, mut high, steps) = match around {
            Some(price) if price > 0.0 => (price / 1.3, price * 1.3, NEAR_STEPS),
            // From far below what a whole answer is worth per second of the span, up to far beyond.
            _ => {
                let longest_s = frame
                    .deployment
                    .deadlines_s
                    .iter()
                    .copied()
                    .fold(0.0, f64::max);
                let scale = scenario.task.v / (span * longest_s * self.edge.workers as f64);
                (1e-3 * scale, 1e3 * scale, FAR_STEPS)
            }
        };
        for _ in 0..steps {
            let middle = (low * high).sqrt();
            if self.keep_at(frame, span, middle)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(())
    }

    /// Try a span and a price; keep the plan if it is the best. Whether anybody was refused.
    fn keep_at(
        &mut self,
        frame: &mut Frame<'_>,
        span: f64,
        price: f64,
    ) -> Result<bool, PlanFailure> {
        let full = self.try_at(frame, Some(span), price)?;
        // A policy that counts on nothing still serves better the more tasks run.
        let (trial, best) = (&self.trial, &self.best);
        let as_good = trial.value == best.value && trial.refusals() < best.refusals();
        if trial.value > best.value || as_good {
            self.best.clone_from(&self.trial);
        }
        Ok(full)
    }

    /// Plan at a span (`None`: every tail alone) and a price, admit, and plan again without those refused. Whether
    /// anybody was refused by the first plan.
    fn try_at(
        &mut self,
        frame: &mut Frame<'_>,
        span: Option<f64>,
        price: f64,
    ) -> Result<bool, PlanFailure> {
        let count = frame.views.len();
        self.set_windows(frame.offer, span);
        set_prices(frame.views, price, frame.number);
        for (view, range) in frame.views.iter_mut().zip(&self.ranges) {
            view.candidates = range.clone();
        }
        self.trial.span = span;
        self.trial.price = price;
        self.trial.grants.resize(count, TaskGrant::default());
        self.trial.refused.clear();
        self.trial.refused.resize(count, false);
        self.trial.quality = plan_once(frame, &mut self.trial.grants)?;
        let full = self.admit(frame, span);
        // One more plan gives their band to the others; what that adds to the load is refused for good.
        if full && span.is_some() {
            for (n, view) in frame.views.iter_mut().enumerate() {
                if self.trial.refused[n] {
                    let range = view.candidates.clone();
                    let local = |index: &u32| {
                        self.refuse_to == Refused::Local
                            && frame.offer.candidates[*index as usize].kind == CutKind::Local
                    };
                    // All local is the last cut of a profile.
                    let last = range.clone().last().filter(local);
                    view.candidates = last.map_or(range.end..range.end, |last| last..range.end);
                }
            }
            self.trial.quality = plan_once(frame, &mut self.trial.grants)?;
            self.admit(frame, span);
            for (grant, refused) in self.trial.grants.iter_mut().zip(&self.trial.refused) {
                let runs = grant
                    .candidate
                    .map(|c| frame.offer.candidates[c as usize].kind);
                if *refused && runs.is_some_and(|kind| kind != CutKind::Local) {
                    *grant = TaskGrant::default();
                }
            }
        }
        self.trial.value = worth(frame, &self.trial.grants, self.trial.quality.is_some());
        Ok(full)
    }

    /// Let the edge choose among the tasks that want it; sets `refused` for those that it does not take. Whether it
    /// refused any.
    fn admit(&mut self, frame: &Frame<'_>, span: Option<f64>) -> bool {
        let deployment = frame.deployment;
        let deadlines_s = &deployment.deadlines_s;
        self.tails.clear();
        self.values.clear();
        self.owners.clear();
        self.at_least_s.clear();
        match span {
            Some(span) => {
                let barriers_s = deadlines_s
                    .iter()
                    .map(|deadline_s| (1.0 - span) * deadline_s);
                self.at_least_s.extend(barriers_s);
            }
            None => self.at_least_s.clone_from(deadlines_s),
        }
        let priced = self.trial.quality.is_some();
        for (n, grant) in self.trial.grants.iter().enumerate() {
            let Some(index) = grant.candidate else {
                continue;
            };
            let candidate = &frame.offer.candidates[index as usize];
            if candidate.kind == CutKind::Local {
                continue;
            }
            let deadline = deployment.devices[n].batch;
            let stream = candidate.stream.unwrap_or(0);
            let tail = Tail {
                kind: deployment.stream_index(candidate.cut, stream) as u32,
                deadline,
                tail_s: candidate.tail_time_s,
                decode_s: candidate.decode_time_s,
            };
            if span.is_none() {
                let start_s = deadlines_s[deadline] - self.edge.alone_s(&tail);
                self.at_least_s[deadline] = self.at_least_s[deadline].min(start_s);
            }
            self.tails.push(tail);
            self.values.push(value(frame, n, grant, priced));
            self.owners.push(n);
        }
        self.admission.admit(
            &self.edge,
            deadlines_s,
            &self.at_least_s,
            &self.tails,
            &self.values,
            &mut self.admitted,
            &mut self.trial.schedule,
        );
        self.trial.edge_s.clear();
        self.trial.edge_s.resize(self.trial.grants.len(), 0.0);
        for (entry, &n) in self.owners.iter().enumerate() {
            self.trial.edge_s[n] = self.trial.schedule.edge_s[entry];
            if !self.admitted[entry] {
                self.trial.refused[n] = true;
            }
        }
        self.admitted.contains(&false)
    }

    /// Plan with windows that are shorter by `lost_s` for the candidates in `range` \[s\].
    pub fn set_lost(&mut self, range: Range<usize>, lost_s: f64) {
        self.lost_s[range].fill(lost_s);
    }

    /// (16) for a span: a tail that takes longer than the whole span cannot run.
    fn set_windows(&self, offer: &mut Offer, span: Option<f64>) {
        let times = self.alone_s.iter().zip(&self.deadline_s).zip(&self.lost_s);
        for (candidate, ((alone_s, deadline_s), lost_s)) in offer.candidates.iter_mut().zip(times) {
            let window_s = match span {
                Some(span) if candidate.kind != CutKind::Local => {
                    let overhead_s = self.edge.batch_time.time_s(0.0, 0.0, 1);
                    let (edge_s, kept_s) =
                        (candidate.edge_time_s() + overhead_s, span * deadline_s);
                    if edge_s <= kept_s {
                        alone_s + edge_s - kept_s
                    } else {
                        0.0
                    }
                }
                _ => *alone_s,
            };
            candidate.transmit_time_s = match candidate.kind {
                CutKind::Local => window_s,
                _ => window_s - lost_s,
            };
        }
    }
}

fn set_prices(views: &mut [DeviceView], price: f64, frame: u32) {
    let count = views.len();
    for (n, view) in views.iter_mut().enumerate() {
        let rank = (n + frame as usize) % count;
        view.edge_price_per_s = price * (1.0 + SPREAD * rank as f64 / count as f64);
    }
}

fn plan_once(
    frame: &mut Frame<'_>,
    grants: &mut [TaskGrant],
) -> Result<Option<PlanQuality>, PlanFailure> {
    let view = frame_view(frame.deployment, frame.offer, frame.views, frame.number);
    plan_contained(frame.policy, &view, grants)
}

/// What a policy is told of a frame.
pub fn frame_view<'a>(
    deployment: &Deployment,
    offer: &'a Offer,
    devices: &'a [DeviceView],
    frame: u32,
) -> FrameView<'a> {
    let scenario = &deployment.scenario;
    FrameView {
        frame: u64::from(frame),
        slot_s: scenario.frame.slot_s,
        bandwidth_hz: scenario.channel.bandwidth_hz,
        radio: deployment.radio,
        v: scenario.task.v,
        curves: &offer.curves,
        levels: &offer.levels,
        candidates: &offer.candidates,
        devices,
    }
}

/// What a granted task counts for: V·w·A, less Q·(E_local + p̃·T) of (17) where the policy prices energy.
fn value(frame: &Frame<'_>, device: usize, grant: &TaskGrant, priced: bool) -> f64 {
    let view = &frame.views[device];
    let Some(index) = grant.candidate else {
        return 0.0;
    };
    let candidate = &frame.offer.candidates[index as usize];
    let worth = frame.deployment.scenario.task.v * view.weight * grant.accuracy;
    if !priced {
        return worth;
    }
    let sending_s = match candidate.kind {
        CutKind::Local => 0.0,
        _ => candidate.transmit_time_s.max(0.0),
    };
    let energy_j = candidate.local_energy_j + grant.reference_power_w * sending_s;
    worth - view.energy_queue_j * energy_j
}

fn worth(frame: &Frame<'_>, grants: &[TaskGrant], priced: bool) -> f64 {
    let values = grants.iter().enumerate();
    values
        .map(|(n, grant)| value(frame, n, grant, priced))
        .sum()
}
