//! Planning again within a frame: `enachi-mux` and `enachi-max`.
//!
//! The task level fixes cuts at the start of the frame. Every `period_slots` the edge then solves P1.2 (17) once more
//! for the devices that still send, with what is left of each window, what is left of each stream, and the worth of further
//! bits to a task that has not been stopped ([`ConditionalCurves`]); the plan reaches the devices `delay_slots` later. A
//! band that a plan reserves for a device that is not (or no longer) sending is shared out among those that are, in
//! proportion to their own, at their planned power: bits for no energy.
//!
//! `enachi-max` counts equivalent bits ([`enachi_core::packet::stopping`]) at the mean rate of the fading channel.
//!
//! A picture is sent whole or not at all, so it keeps the band that it was granted (and its share of what lies idle). A device that
//! is to stop keeps its band until it has heard so, `feedback_slots` after the edge has decided it: no plan gives that band away.

mod party;

pub use party::{Leaving, Party, Standing, share_out};

use crate::deployment::{Deployment, DeploymentError};
use crate::scenario::{Packet, StopKind};
use crate::upload::{Law, Row, Rule, Upload, Uploaded};
use crate::world::Gains;
use enachi_core::curve::{AccuracyCurve, CurveError};
use enachi_core::fading::rate_share;
use enachi_core::packet::conditional::ConditionalCurves;
use enachi_core::packet::stopping::{EXPONENTS, exponent, nearest_exponent};
use enachi_core::packet::{Link, Sender, Slot};
use enachi_core::profile::{LadderKind, Stream};
use enachi_core::radio::Radio;
use enachi_core::task::{
    CutOption, DeviceProblem, Plan, PlanFailure, Problem, Replanning, Settings, Solver,
    solve_contained,
};

/// Parts into which images are divided to be left out of their own curves. The fewer images a curve has the more it wobbles, and
/// plans within the frame go after every wobble.
const FOLDS: usize = 10;

/// Curves of all embedded streams under one stop rule.
#[derive(Clone, Debug)]
pub struct ConditionalTables {
    /// Exponents of (E) for which there are curves; `None` for bits as they are.
    exponents: Vec<Option<f64>>,
    /// By stream, fold, exponent; fold `image % folds` was made without the image.
    curves: Vec<Vec<Vec<ConditionalCurves>>>,
}

impl ConditionalTables {
    /// Under the stop rule of `packet`. The marginal rule has no threshold: its curves are those of all tasks.
    pub fn fit(
        deployment: &Deployment,
        packet: &Packet,
        replanning: Replanning,
    ) -> Result<Self, DeploymentError> {
        let exponents = match replanning {
            Replanning::StoppingAware => EXPONENTS.map(Some).to_vec(),
            Replanning::Never | Replanning::Bits => vec![None],
        };
        let mut curves = Vec::new();
        for (cut_index, cut) in deployment.cuts().enumerate() {
            for (stream_index, stream) in cut.streams.iter().enumerate() {
                let (c, s) = (cut_index as u32, stream_index as u32);
                let threshold = |image| deployment.stop_threshold_nats(packet, c, s, image);
                let made = stream_curves(stream, packet, threshold, &exponents);
                curves.push(made.map_err(|source| DeploymentError::Curve {
                    cut: cut.name.clone(),
                    source,
                })?);
            }
        }
        Ok(Self { exponents, curves })
    }

    /// Of a device that holds `share` of the band at signal-to-noise ratio `snr`.
    fn of(&self, stream: usize, image: usize, share: f64, snr: f64) -> &ConditionalCurves {
        let folds = &self.curves[stream];
        let by_exponent = &folds[image % folds.len()];
        let entry = match self.exponents[0] {
            None => 0,
            Some(_) => nearest_exponent(exponent(share, snr)),
        };
        &by_exponent[entry]
    }
}

/// Curves of one stream, in folds where they are measured; none for a ladder of alternatives.
fn stream_curves(
    stream: &Stream,
    packet: &Packet,
    threshold_nats: impl Fn(usize) -> f64,
    exponents: &[Option<f64>],
) -> Result<Vec<Vec<ConditionalCurves>>, CurveError> {
    let samples = &stream.samples;
    if stream.ladder != LadderKind::Embedded {
        return Ok(Vec::new());
    }
    // A profile of a single image has nobody to learn from but itself; a modelled curve has no images.
    let folds = samples.images.clamp(1, FOLDS);
    let of_fold = |fold: usize| {
        let others = |image: usize| folds == 1 || image % folds != fold;
        let one = |exponent: &Option<f64>| {
            begun_curves(stream, packet, &threshold_nats, others, *exponent)
        };
        exponents.iter().map(one).collect()
    };
    (0..folds).map(of_fold).collect()
}

/// Curves of an embedded stream from the images for which `use_image` holds, or of its surrogate.
fn begun_curves(
    stream: &Stream,
    packet: &Packet,
    threshold_nats: impl Fn(usize) -> f64,
    use_image: impl Fn(usize) -> bool,
    exponent: Option<f64>,
) -> Result<ConditionalCurves, CurveError> {
    let samples = &stream.samples;
    match &stream.surrogate {
        Some(surrogate) if samples.images == 0 => {
            let stops = packet.stop == StopKind::Entropy;
            let maps = stream.total_chunks as usize;
            ConditionalCurves::modelled(surrogate, maps, stream.total_bits, stops, exponent)
        }
        _ => {
            let nats = samples.uncertainty_nats(packet.uncertainty.into());
            ConditionalCurves::measured(samples, nats, threshold_nats, use_image, exponent)
        }
    }
}

/// Accuracy under `packet`'s stop rule against equivalent bits before the first slot, as the task level of a stopping-aware
/// policy in a cell of `devices` plans with it.
pub(crate) fn stopping_aware_curve(
    stream: &Stream,
    packet: &Packet,
    threshold_nats: impl Fn(usize) -> f64,
    devices: usize,
) -> Result<AccuracyCurve, CurveError> {
    // The plan is yet to be made: equal shares at 12 dB. Once devices send, their own share and ratio count.
    const SNR: f64 = 16.0;
    let exponent = exponent(1.0 / devices.max(1) as f64, SNR);
    let curves = begun_curves(stream, packet, threshold_nats, |_| true, Some(exponent))?;
    Ok(curves.at(0, 0.0).0.clone())
}

/// What is the same for all devices of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// ω_tot \[Hz\].
    pub bandwidth_hz: f64,
    /// Noise and cap.
    pub radio: Radio,
    /// V.
    pub v: f64,
    /// λ of the plan that the grants are of \[objective/Hz\].
    pub bandwidth_price: f64,
    /// t_slot \[s\].
    pub slot_s: f64,
    /// Slots from one plan to the next.
    pub period_slots: u32,
    /// Slots from a plan to its effect.
    pub delay_slots: u32,
    /// Slots from a stop to its effect.
    pub feedback_slots: u32,
}

/// One device with an upload in this frame.
pub struct Sending<'a, N> {
    upload: &'a Upload<'a>,
    row: Row<'a, N>,
    rule: Rule<'a>,
    gains: Gains,
    sender: Sender,
    planned_gain: f64,
    weight: f64,
    /// Whether it takes part in the plans (it sends an embedded stream).
    planned: bool,
    /// Stream in [`ConditionalTables`].
    stream: usize,
    /// Band of the plan \[Hz\].
    reserved_hz: f64,
    reference_w: f64,
    /// What it uses now.
    link: Link,
    law: Law,
    sent_any: bool,
}

/// A device's upload made ready: its replay, rule, channel and first grant.
pub fn sending<'a>(
    upload: &'a Upload<'a>,
    planned_gain: f64,
    weight: f64,
) -> Sending<'a, impl Fn(usize) -> f64 + Copy + use<>> {
    let row = upload.row();
    let grant = upload.grant;
    let link = upload.link(grant.bandwidth_hz);
    let stream = upload.candidate.stream.unwrap_or(0);
    Sending {
        sender: Sender::new(upload.window, grant.reference_power_w, &row),
        rule: upload.rule(),
        gains: upload
            .world
            .gains(upload.device, upload.frame, upload.local),
        planned: upload.stream().is_divisible(),
        stream: upload.deployment.stream_index(upload.candidate.cut, stream),
        reserved_hz: grant.bandwidth_hz,
        reference_w: grant.reference_power_w,
        law: upload.law(&link, grant.reference_power_w),
        link,
        planned_gain,
        weight,
        sent_any: false,
        row,
        upload,
    }
}

impl<N: Fn(usize) -> f64> Sending<'_, N> {
    /// Index of the device.
    pub fn device(&self) -> usize {
        self.upload.device as usize
    }

    /// How it went, and whether it was ever granted anything.
    pub fn finish(self) -> (Uploaded, bool) {
        let uploaded = self.upload.settle(self.sender.finish(), &self.row);
        (uploaded, self.sent_any)
    }

    /// Use `bandwidth_hz` at the planned power from now on.
    fn set_band(&mut self, bandwidth_hz: f64) {
        if bandwidth_hz == self.link.bandwidth_hz && self.reference_w == self.sender.reference_w() {
            return;
        }
        self.sender.set_reference_w(self.reference_w);
        self.link = self.upload.link(bandwidth_hz);
        self.law = self.upload.law(&self.link, self.reference_w);
    }

    fn advance(
        &mut self,
        from: u32,
        to: u32,
        feedback_slots: u32,
        seen: &mut impl FnMut(u32, Slot),
    ) {
        // What the device has been told, not what the edge has planned since.
        if self.link.bandwidth_hz <= 0.0 || self.sender.reference_w() <= 0.0 {
            return;
        }
        self.sent_any = true;
        let device = self.upload.device;
        self.sender.advance(
            from..to,
            &self.link,
            &self.law,
            &self.rule,
            feedback_slots,
            &self.row,
            &mut self.gains,
            &mut |slot| seen(device, slot),
        );
    }
}

impl<N: Fn(usize) -> f64> Party for Sending<'_, N> {
    fn standing(&self) -> Standing {
        Standing {
            window: self.sender.window(),
            released: self.sender.released(),
            leaving: self.sender.stops_at().map(|until| Leaving {
                until,
                bandwidth_hz: self.link.bandwidth_hz,
            }),
            planned: self.planned,
            reserved_hz: self.reserved_hz,
            reference_w: self.reference_w,
            checkpoint: self.sender.checkpoint(),
            begun: self.sender.begun(&self.row),
            stream: self.stream,
            image: self.upload.image,
            gain: self.planned_gain,
            fading: self.upload.known.fading,
            energy_queue_j: self.upload.energy_queue_j,
            power_max_w: self.upload.power_max_w(),
            weight: self.weight,
        }
    }

    fn reserve(&mut self, bandwidth_hz: f64, reference_w: f64) {
        (self.reserved_hz, self.reference_w) = (bandwidth_hz, reference_w);
    }
}

/// Solver and buffers, used again from plan to plan.
#[derive(Debug)]
pub struct Replanner {
    solver: Solver,
    plan: Plan,
    options: Vec<CutOption>,
    devices: Vec<DeviceProblem>,
    /// One curve per device of a plan; longer than that once there were more.
    curves: Vec<AccuracyCurve>,
    /// Entry of [`DeviceProblem`]s in the list of uploads.
    origin: Vec<usize>,
    /// Everybody's standing when the plan is made.
    standings: Vec<Standing>,
    /// λ of the last plan \[objective/Hz\].
    price: f64,
    replanning: Replanning,
}

impl Replanner {
    /// `None` for a policy whose plan holds for the frame.
    pub fn new(replanning: Replanning) -> Option<Self> {
        (replanning != Replanning::Never).then(|| Self {
            replanning,
            solver: solver(),
            plan: Plan::default(),
            options: Vec::new(),
            devices: Vec::new(),
            curves: Vec::new(),
            origin: Vec::new(),
            standings: Vec::new(),
            price: 0.0,
        })
    }

    /// A frame begins, whose own plan had the price `bandwidth_price` \[objective/Hz\].
    pub fn begin(&mut self, bandwidth_price: f64) {
        self.price = bandwidth_price;
    }

    /// Run the slots of a frame. Where a plan fails the one before holds; the first that did is told in the end.
    pub fn run<N: Fn(usize) -> f64>(
        &mut self,
        situation: &Situation,
        tables: &ConditionalTables,
        uploads: &mut [Sending<'_, N>],
        mut seen: impl FnMut(u32, Slot),
    ) -> Result<(), PlanFailure> {
        let Situation {
            period_slots,
            delay_slots,
            feedback_slots,
            ..
        } = *situation;
        let end = uploads.iter().map(|u| u.sender.window().end).max();
        let end = end.unwrap_or(0);
        self.begin(situation.bandwidth_price);
        let mut decided = 0;
        let mut outcome = Ok(());
        while decided < end {
            // The first plan is part of the frame's own grant and needs no further message.
            let effect = if decided == 0 {
                0
            } else {
                decided + delay_slots
            };
            let next = decided + period_slots + delay_slots;
            let planned = self.plan(situation, tables, uploads, effect);
            outcome = outcome.and(planned);
            for upload in &mut *uploads {
                upload.advance(decided, effect, feedback_slots, &mut seen);
            }
            share_out(
                situation.bandwidth_hz,
                uploads,
                effect,
                next,
                Sending::set_band,
            );
            decided += period_slots;
            for upload in &mut *uploads {
                upload.advance(effect, decided, feedback_slots, &mut seen);
            }
        }
        outcome
    }

    /// Mean band of those that the last plan lets send after slot `effect`; if there are none, equal shares \[Hz\].
    fn senders_hz(&self, bandwidth_hz: f64, effect: u32) -> f64 {
        let open = || {
            self.standings
                .iter()
                .filter(|party| party.open_after(effect))
        };
        let sends = |party: &&Standing| party.reserved_hz > 0.0 && party.reference_w > 0.0;
        match open().filter(sends).count() {
            0 => bandwidth_hz / open().count().max(1) as f64,
            count => {
                open()
                    .filter(sends)
                    .map(|party| party.reserved_hz)
                    .sum::<f64>()
                    / count as f64
            }
        }
    }

    /// P1.2 for what is left from slot `effect` on.
    ///
    /// # Errors
    /// A plan that cannot be carried out; then nothing has changed for anybody.
    pub fn plan<P: Party>(
        &mut self,
        situation: &Situation,
        tables: &ConditionalTables,
        parties: &mut [P],
        effect: u32,
    ) -> Result<(), PlanFailure> {
        self.options.clear();
        self.devices.clear();
        self.origin.clear();
        let mut free_hz = situation.bandwidth_hz;
        self.standings.clear();
        self.standings.extend(parties.iter().map(Party::standing));
        let senders_hz = self.senders_hz(situation.bandwidth_hz, effect);
        for (index, party) in self.standings.iter().enumerate() {
            free_hz -= party.held_hz(effect);
            if !party.open_after(effect) {
                continue;
            }
            if !party.planned {
                free_hz -= party.reserved_hz;
                continue;
            }
            let window = party.window;
            let slots = window.end - window.first.max(effect);
            let first = self.options.len() as u32;
            let time_s = f64::from(slots) * situation.slot_s;
            let mut device = DeviceProblem {
                energy_queue_j: party.energy_queue_j,
                gain: party.gain,
                power_max_w: party.power_max_w,
                weight: party.weight,
                options: first..first + 1,
            };
            let (mut share, mut snr) = (0.0, 0.0);
            if self.replanning == Replanning::StoppingAware {
                (share, snr) = party.outlook(situation, &device, time_s, senders_hz, self.price);
                device.gain *= rate_share(party.fading, snr);
            }
            let curves = tables.of(party.stream, party.image, share, snr);
            let (curve, begun) = curves.at(party.checkpoint, party.begun);
            if self.curves.len() == self.options.len() {
                self.curves.push(curve.clone());
            }
            curve.begun(begun, &mut self.curves[first as usize]);
            self.options.push(CutOption {
                curve: first,
                transmit_time_s: time_s,
                local_energy_j: 0.0,
                charge: 0.0,
            });
            self.devices.push(device);
            self.origin.push(index);
        }
        // Pictures and devices about to stop may hold all of it; then the others keep what was reserved for them.
        if self.origin.is_empty() || free_hz <= 1e-9 * situation.bandwidth_hz {
            return Ok(());
        }
        let problem = Problem {
            bandwidth_hz: free_hz,
            radio: situation.radio,
            v: situation.v,
            curves: &self.curves,
            options: &self.options,
            devices: &self.devices,
        };
        let solver = &mut self.solver;
        let solved = solve_contained(effect, &problem, &mut self.plan, |problem, plan| {
            solver.solve(problem, plan);
        });
        if solved.is_err() {
            // What it has begun is not to be trusted.
            *solver = self::solver();
            return solved;
        }
        self.price = self.plan.bandwidth_price;
        for (index, grant) in self.origin.iter().zip(&self.plan.grants) {
            parties[*index].reserve(grant.bandwidth_hz, grant.reference_power_w);
        }
        Ok(())
    }
}

/// One option per device: what is left to search is which of two points of a curve, worth little.
fn solver() -> Solver {
    Solver::new(Settings {
        gap_target: 1e-4,
        max_nodes: 4,
    })
}
