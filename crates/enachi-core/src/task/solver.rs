//! P1.2 (17) solved jointly over cuts, bandwidth and power, with a bound.
//!
//! The dual over the price of bandwidth ([`dual`](super::dual)) gives a bound and, at its optimum, two responses per
//! device, just below and just above the price. Where both are the same cut on a concave stretch of its curve a mixture
//! of the two is feasible and worth at least the mixture of their values: if that holds for all devices the plan is
//! optimal. Otherwise a device jumps, and the gap is closed by branch and bound: one child lets it have only what it does
//! below the price, the other only the rest. Curves have finitely many concave pieces, so the search is finite and,
//! unless it is cut short, exact.

use super::arm::{Arm, Envelopes, Response, Shared};
use super::band::option_at_band;
use super::dual::{Guess, Search, Tolerance};
use super::price::CheapestBit;
use super::problem::{Grant, Plan, Problem};
use crate::curve::{Shape, upper_envelope};
use crate::radio::Noise;
use std::f64::consts::LN_2;

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Gap at which a plan is good enough, relative to its bound (or to ΣV·w, if that is less).
    pub gap_target: f64,
    /// Most nodes of the branch and bound (each costs about as much as one warm-started search for the price).
    pub max_nodes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gap_target: 1e-7,
            max_nodes: 200,
        }
    }
}

/// A reusable workspace: after the first few problems of a size, [`Solver::solve`] does not allocate, and it starts
/// from the price of the last one.
#[derive(Debug, Default)]
pub struct Solver {
    settings: Settings,
    tolerance: Tolerance,
    /// Price of the last plan.
    warm_price: Option<f64>,
    arms: Vec<Arm>,
    envelopes: Envelopes,
    cheapest_bit: CheapestBit,
    /// Arms of the root, by device: first of `root_arms` and number.
    root_spans: Vec<(u32, u32)>,
    root_arms: Vec<u32>,
    /// By arm: its value at the root's price.
    values: Vec<f64>,
    search: Search,
    /// Nodes solved for the last plan.
    solved: u32,
    nodes: Vec<Node>,
    restrictions: Vec<Restriction>,
    restricted_arms: Vec<u32>,
    /// By device: its restriction at the node being solved.
    overriding: Vec<u32>,
    jumps: Vec<Jump>,
    trial: Vec<Choice>,
    best: Vec<Choice>,
}

/// An open node: its dual is solved, a device to branch on is known.
#[derive(Clone, Copy, Debug)]
struct Node {
    bound: f64,
    price: f64,
    /// Last of its chain of restrictions, or [`NONE`].
    restriction: u32,
    branch: Branch,
}

/// How to split a node.
#[derive(Clone, Copy, Debug)]
struct Branch {
    device: u32,
    /// Arm the device uses below the price.
    arm: u32,
    /// Split the arm's curve at this breakpoint; `None`: this arm against all others.
    breakpoint: Option<u32>,
}

/// A device's arms at a node and all below it.
#[derive(Clone, Copy, Debug)]
struct Restriction {
    parent: u32,
    device: u32,
    first: u32,
    count: u32,
}

/// A primal point of one device.
#[derive(Clone, Copy, Debug, Default)]
struct Choice {
    option: u32,
    bandwidth_hz: f64,
    power_w: f64,
    bits: f64,
}

/// A device whose responses at the two ends of the bracket cannot be mixed.
#[derive(Clone, Copy, Debug)]
struct Jump {
    device: u32,
    /// Band at the lower end less that at the upper.
    step_hz: f64,
    breakpoint: Option<u32>,
}

const NONE: u32 = u32::MAX;

impl Solver {
    /// A workspace with settings other than the default.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Forget the price of the last plan.
    pub fn cold(&mut self) {
        self.warm_price = None;
    }

    /// Responses computed since the workspace was made (a measure of work).
    pub fn evaluations(&self) -> u64 {
        self.search.evaluations
    }

    /// Nodes of the branch and bound solved for the last plan.
    pub fn nodes(&self) -> u32 {
        self.solved
    }

    /// Solve a problem that [`Problem::check`] accepts.
    pub fn solve(&mut self, problem: &Problem<'_>, plan: &mut Plan) {
        self.prepare(problem, |_| None);
        self.run(problem, plan);
    }

    /// Solve with each device's option given (those of `fixed`, one per device; ignored where a device has none). The
    /// bound holds for these options only.
    pub fn solve_fixed(&mut self, problem: &Problem<'_>, fixed: &[u32], plan: &mut Plan) {
        self.prepare(problem, |device| Some(fixed[device]));
        self.run(problem, plan);
    }

    /// What every device makes of a bandwidth price λ > 0 \[objective/Hz\], into `values`: the most that
    /// V·w·A − Q·(E + p·T) − charge − λ·ω comes to over its options (0 where it has none). By weak duality no plan is worth more
    /// than their sum with λ·ω_tot.
    pub fn values_at(&mut self, problem: &Problem<'_>, price: f64, values: &mut Vec<f64>) {
        self.prepare(problem, |_| None);
        let shared = shared(problem, &self.envelopes, &self.cheapest_bit);
        values.clear();
        for &(first, count) in &self.root_spans {
            let mut best = if count == 0 { 0.0 } else { f64::NEG_INFINITY };
            for &arm in &self.root_arms[first as usize..(first + count) as usize] {
                best = self.arms[arm as usize]
                    .respond(&shared, price)
                    .value
                    .max(best);
            }
            values.push(best);
        }
    }

    /// Build the arms of the root.
    fn prepare(&mut self, problem: &Problem<'_>, only: impl Fn(usize) -> Option<u32>) {
        self.arms.clear();
        self.envelopes.vertex.clear();
        self.envelopes.slope.clear();
        self.root_arms.clear();
        self.root_spans.clear();
        self.nodes.clear();
        self.restrictions.clear();
        self.restricted_arms.clear();
        let noise_w = match problem.radio.noise {
            Noise::Exact { psd_w_per_hz } => psd_w_per_hz,
            Noise::Constant { power_w } => power_w,
        };
        for (n, device) in problem.devices.iter().enumerate() {
            let first = self.root_arms.len() as u32;
            let worth = problem.v * device.weight;
            // Of all ways to send nothing only the best matters.
            let mut quiet: Option<Arm> = None;
            for (o, option) in problem.options_of(device).iter().enumerate() {
                if only(n).is_some_and(|fixed| fixed != o as u32) {
                    continue;
                }
                let curve = &problem.curves[option.curve as usize];
                let time_s = option.transmit_time_s;
                let mut arm = Arm {
                    option: o as u32,
                    curve: option.curve,
                    lo: 0,
                    hi: match &curve.shape {
                        Shape::Points(points) => points.bits.len() as u32 - 1,
                        Shape::Fitted(_) => 1,
                    },
                    envelope: None,
                    worth,
                    base: -device.energy_queue_j * option.local_energy_j - option.charge,
                    time_s,
                    snr_cost: device.energy_queue_j * time_s * noise_w / device.gain,
                    reach: device.gain * device.power_max_w / noise_w,
                    per_time: 1.0 / time_s,
                    x: 0.0,
                    vertex: 0,
                    full: 0,
                };
                let can_send = time_s > 0.0 && device.gain > 0.0 && device.power_max_w > 0.0;
                if !can_send || worth <= 0.0 || curve.ceiling() <= curve.nothing_sent() {
                    arm.hi = 0;
                    let value = arm.base + worth * curve.nothing_sent();
                    let best = quiet
                        .map(|q| q.base + worth * problem.curves[q.curve as usize].nothing_sent());
                    if best.is_none_or(|best| value > best) {
                        quiet = Some(arm);
                    }
                } else {
                    self.root_arms.push(self.arms.len() as u32);
                    self.arms.push(arm);
                }
            }
            if let Some(arm) = quiet {
                self.root_arms.push(self.arms.len() as u32);
                self.arms.push(arm);
            }
            self.root_spans
                .push((first, self.root_arms.len() as u32 - first));
        }
        self.overriding.clear();
        self.overriding.resize(problem.devices.len(), NONE);
        self.best.clear();
        self.best.resize(problem.devices.len(), Choice::default());
        self.trial.clear();
        self.trial.resize(problem.devices.len(), Choice::default());
    }

    /// Branch and bound from the root.
    fn run(&mut self, problem: &Problem<'_>, plan: &mut Plan) {
        let worth: f64 = problem.devices.iter().map(|d| problem.v * d.weight).sum();
        self.tolerance = Tolerance {
            relative: self.settings.gap_target,
            stake: worth,
        };
        let least = (worth * 1e-13 / problem.bandwidth_hz).max(f64::MIN_POSITIVE);
        let guess = match self.warm_price {
            Some(price) => Guess {
                price,
                step: 4.0,
                least,
            },
            None => Guess {
                price: 0.1 * worth / problem.bandwidth_hz,
                step: 1.7,
                least,
            },
        };
        let mut incumbent = f64::NEG_INFINITY;
        let mut root_price = 0.0;
        // The greatest bound among nodes that could not be branched.
        let mut settled = f64::NEG_INFINITY;
        if let Some(root) = self.solve_node(problem, NONE, f64::INFINITY, guess, &mut incumbent) {
            root_price = root.price;
            self.push(root, &mut settled, incumbent);
            if !self.nodes.is_empty() && !self.target(incumbent, root.bound) {
                self.fix_arms(problem, root.price, root.bound, incumbent);
            }
        }
        let mut solved = 1;
        while let Some(top) = self.widest() {
            if self.target(incumbent, self.nodes[top].bound.max(settled))
                || solved >= self.settings.max_nodes
            {
                break;
            }
            let node = self.nodes.swap_remove(top);
            for child in self.split(problem, &node) {
                let guess = Guess {
                    price: node.price,
                    step: 4.0,
                    least,
                };
                if let Some(child) =
                    self.solve_node(problem, child, node.bound, guess, &mut incumbent)
                {
                    self.push(child, &mut settled, incumbent);
                }
                solved += 1;
            }
        }
        self.solved = solved;
        let open = self
            .nodes
            .iter()
            .map(|node| node.bound)
            .fold(settled, f64::max);
        // With nothing at stake the only slack is that of the least price.
        let open = if worth > 0.0 { open } else { incumbent };
        if !self.target(incumbent, open) {
            incumbent = incumbent.max(self.improve(problem));
        }
        self.warm_price = (root_price > least).then_some(root_price);
        self.write(
            problem,
            plan,
            incumbent,
            incumbent.max(open),
            if root_price > least { root_price } else { 0.0 },
        );
    }

    /// Let every device make the best of the band it has: other bits, or another of the options it may use here.
    fn improve(&mut self, problem: &Problem<'_>) -> f64 {
        for n in 0..problem.devices.len() {
            let device = &problem.devices[n];
            let value = |choice: &Choice| {
                let option = &problem.options_of(device)[choice.option as usize];
                problem.v
                    * device.weight
                    * problem.curves[option.curve as usize].accuracy(choice.bits)
                    - device.energy_queue_j
                        * (option.local_energy_j + choice.power_w * option.transmit_time_s)
                    - option.charge
            };
            let (first, count) = self.root_spans[n];
            for i in first..first + count {
                let arm = &self.arms[self.root_arms[i as usize] as usize];
                let option = &problem.options_of(device)[arm.option as usize];
                let bandwidth_hz = self.best[n].bandwidth_hz;
                let found = option_at_band(problem, device, option, bandwidth_hz);
                let choice = Choice {
                    option: arm.option,
                    bandwidth_hz,
                    power_w: found.power_w,
                    bits: found.bits,
                };
                if value(&choice) > value(&self.best[n]) {
                    self.best[n] = choice;
                }
            }
        }
        finish(problem, &mut self.best)
    }

    /// Whether a bound is close enough to the incumbent.
    fn target(&self, incumbent: f64, bound: f64) -> bool {
        bound - incumbent <= self.tolerance.of(bound)
    }

    /// Open node with the greatest bound.
    fn widest(&self) -> Option<usize> {
        (0..self.nodes.len()).max_by(|&a, &b| self.nodes[a].bound.total_cmp(&self.nodes[b].bound))
    }

    /// Keep a solved node open, or note its bound if there is nothing to branch on.
    fn push(&mut self, node: Node, settled: &mut f64, incumbent: f64) {
        if node.bound <= incumbent {
            return;
        }
        if node.branch.device == NONE {
            *settled = settled.max(node.bound);
        } else {
            self.nodes.push(node);
        }
    }

    /// Solve a node's dual, try its primal as the incumbent, and find where to branch.
    fn solve_node(
        &mut self,
        problem: &Problem<'_>,
        restriction: u32,
        parent_bound: f64,
        guess: Guess,
        incumbent: &mut f64,
    ) -> Option<Node> {
        let mut link = restriction;
        while link != NONE {
            let Restriction { parent, device, .. } = self.restrictions[link as usize];
            if self.overriding[device as usize] == NONE {
                self.overriding[device as usize] = link;
            }
            link = parent;
        }
        self.search.clear();
        for (device, &(first, count)) in self.root_spans.iter().enumerate() {
            let link = self.overriding[device];
            if link == NONE {
                // A device without options takes no part.
                let arms = &self.root_arms[first as usize..(first + count) as usize];
                self.search.device(arms.iter().copied());
            } else {
                let Restriction { first, count, .. } = self.restrictions[link as usize];
                let arms = &self.restricted_arms[first as usize..(first + count) as usize];
                self.search.device(arms.iter().copied());
                self.overriding[device] = NONE;
            }
        }
        let shared = shared(problem, &self.envelopes, &self.cheapest_bit);
        let tolerance = Tolerance {
            relative: 0.5 * self.tolerance.relative,
            ..self.tolerance
        };
        let dual = self.search.minimise(
            &mut self.arms,
            &shared,
            problem.bandwidth_hz,
            guess,
            tolerance,
            *incumbent,
        )?;
        let branch = self.primal(problem, dual.share);
        let value = finish(problem, &mut self.trial);
        if value > *incumbent {
            *incumbent = value;
            std::mem::swap(&mut self.best, &mut self.trial);
        }
        Some(Node {
            bound: dual.bound.min(parent_bound),
            price: dual.price,
            restriction,
            branch,
        })
    }

    /// Make a feasible plan of the responses at the ends of the bracket, into `trial`. At the price in between both are
    /// (nearly) best for every device, so whatever uses up the band exactly is (nearly) optimal. Devices that may mix
    /// the two do; of those that must jump as many as fit take the end with more band. Returns where to branch.
    fn primal(&mut self, problem: &Problem<'_>, share: f64) -> Branch {
        self.jumps.clear();
        // Band of all others at the upper and at the lower end.
        let (mut least_hz, mut most_hz) = (0.0, 0.0);
        for (n, device) in problem.devices.iter().enumerate() {
            if device.options.is_empty() {
                continue;
            }
            let [(low_arm, low), (high_arm, high)] = self.ends(n, share);
            let mut jump = Jump {
                device: n as u32,
                step_hz: low.bandwidth_hz - high.bandwidth_hz,
                breakpoint: None,
            };
            least_hz += high.bandwidth_hz;
            if low_arm != high_arm {
                self.jumps.push(jump);
                continue;
            }
            if low.bits != high.bits {
                let arm = &self.arms[high_arm as usize];
                let curve = &problem.curves[arm.curve as usize];
                let due =
                    share * curve.accuracy(low.bits) + (1.0 - share) * curve.accuracy(high.bits);
                let bits = share * low.bits + (1.0 - share) * high.bits;
                if due - curve.accuracy(bits) > 1e-13 {
                    jump.breakpoint = self.breakpoint(problem, arm, bits);
                    self.jumps.push(jump);
                    continue;
                }
            }
            most_hz += jump.step_hz;
        }
        let mut spare_hz = problem.bandwidth_hz - least_hz;
        let mut branch = Branch {
            device: NONE,
            arm: NONE,
            breakpoint: None,
        };
        // Large steps first: small ones fill what remains.
        self.jumps.sort_unstable_by(|a, b| {
            b.step_hz
                .total_cmp(&a.step_hz)
                .then(a.device.cmp(&b.device))
        });
        for n in 0..problem.devices.len() {
            self.trial[n] = self.mixture(n, 0.0, share);
        }
        for i in 0..self.jumps.len() {
            let Jump {
                device,
                step_hz,
                breakpoint,
            } = self.jumps[i];
            if step_hz <= spare_hz {
                spare_hz -= step_hz;
                self.trial[device as usize] = self.mixture(device as usize, 1.0, share);
            } else if branch.device == NONE && spare_hz > most_hz {
                let [(arm, _), _] = self.ends(device as usize, share);
                branch = Branch {
                    device,
                    arm,
                    breakpoint,
                };
            }
        }
        // The others take up the rest between them.
        let mix = if most_hz > 0.0 {
            (spare_hz / most_hz).clamp(0.0, 1.0)
        } else {
            0.0
        };
        let mut jumps = std::mem::take(&mut self.jumps);
        jumps.sort_unstable_by_key(|jump| jump.device);
        let mut next = jumps.iter().peekable();
        for n in 0..problem.devices.len() {
            if next.next_if(|jump| jump.device as usize == n).is_none() {
                self.trial[n] = self.mixture(n, mix, share);
            }
        }
        self.jumps = jumps;
        let used_hz: f64 = self.trial.iter().map(|choice| choice.bandwidth_hz).sum();
        if used_hz > 0.0 {
            // Leftover band lowers everybody's power.
            let scale = problem.bandwidth_hz / used_hz;
            for choice in &mut self.trial {
                choice.bandwidth_hz *= scale;
            }
        }
        branch
    }

    /// Arm and response of a device at the (lower, upper) end of the bracket; twice the upper if there is no bracket.
    fn ends(&self, device: usize, share: f64) -> [(u32, Response); 2] {
        let ends = self.search.ends(device);
        if share > 0.0 {
            ends
        } else {
            [ends[1], ends[1]]
        }
    }

    /// `weight` of a device's response at the lower end and the rest of that at the upper.
    fn mixture(&self, device: usize, weight: f64, share: f64) -> Choice {
        if self.root_spans[device].1 == 0 {
            return Choice::default();
        }
        let [(low_arm, low), (high_arm, high)] = self.ends(device, share);
        let mix = |low: f64, high: f64| weight * low + (1.0 - weight) * high;
        Choice {
            option: self.arms[if weight > 0.0 { low_arm } else { high_arm } as usize].option,
            bandwidth_hz: mix(low.bandwidth_hz, high.bandwidth_hz),
            power_w: 0.0,
            bits: mix(low.bits, high.bits),
        }
    }

    /// Where to split an arm's curve so that `bits` no longer lies under a chord of its envelope.
    fn breakpoint(&self, problem: &Problem<'_>, arm: &Arm, bits: f64) -> Option<u32> {
        let Shape::Points(points) = &problem.curves[arm.curve as usize].shape else {
            // A fitted curve splits into its floor and the rest.
            return (arm.lo == 0).then_some(0);
        };
        let (vertex, _) =
            shared(problem, &self.envelopes, &self.cheapest_bit).envelope(arm, points);
        let k = vertex
            .partition_point(|&i| points.bits[i as usize] <= bits)
            .saturating_sub(1);
        let (left, right) = (vertex[k] as usize, *vertex.get(k + 1)? as usize);
        if right == left + 1 {
            return points.steps.then_some(left as u32);
        }
        // The breakpoint that comes closest to the chord.
        let rise = (points.accuracy[right] - points.accuracy[left])
            / (points.bits[right] - points.bits[left]);
        let under = |i: usize| {
            points.accuracy[left] + rise * (points.bits[i] - points.bits[left]) - points.accuracy[i]
        };
        (left + 1..right)
            .min_by(|&a, &b| under(a).total_cmp(&under(b)))
            .map(|i| i as u32)
    }

    /// The two children of a node: chains of restrictions.
    fn split(&mut self, problem: &Problem<'_>, node: &Node) -> [u32; 2] {
        let Branch {
            device,
            arm,
            breakpoint,
        } = node.branch;
        // The device's arms at this node.
        let mut link = node.restriction;
        while link != NONE && self.restrictions[link as usize].device != device {
            link = self.restrictions[link as usize].parent;
        }
        let (from_root, first, count) = if link == NONE {
            let (first, count) = self.root_spans[device as usize];
            (true, first, count)
        } else {
            let Restriction { first, count, .. } = self.restrictions[link as usize];
            (false, first, count)
        };
        let (lower, upper) = match breakpoint {
            None => (None, arm),
            Some(at) => {
                let Arm { lo, hi, curve, .. } = self.arms[arm as usize];
                // Alternatives and the floor of (14) have nothing between two points.
                let gap = match &problem.curves[curve as usize].shape {
                    Shape::Points(points) => points.steps,
                    Shape::Fitted(_) => true,
                };
                let lower = self.sub_arm(problem, arm, lo, at);
                (
                    Some(lower),
                    self.sub_arm(problem, arm, if gap { at + 1 } else { at }, hi),
                )
            }
        };
        let begin = self.restricted_arms.len() as u32;
        for i in first..first + count {
            let other = if from_root {
                self.root_arms[i as usize]
            } else {
                self.restricted_arms[i as usize]
            };
            if other != arm {
                self.restricted_arms.push(other);
            }
        }
        self.restricted_arms.extend(lower);
        let middle = self.restricted_arms.len() as u32;
        self.restricted_arms.push(upper);
        let parent = node.restriction;
        let link = self.restrictions.len() as u32;
        self.restrictions.push(Restriction {
            parent,
            device,
            first: middle,
            count: 1,
        });
        self.restrictions.push(Restriction {
            parent,
            device,
            first: begin,
            count: middle - begin,
        });
        [link, link + 1]
    }

    /// An arm confined to breakpoints `lo..=hi` of its curve.
    fn sub_arm(&mut self, problem: &Problem<'_>, arm: u32, lo: u32, hi: u32) -> u32 {
        let mut part = Arm {
            lo,
            hi,
            vertex: 0,
            full: 0,
            ..self.arms[arm as usize]
        };
        if let Shape::Points(points) = &problem.curves[part.curve as usize].shape {
            let Envelopes { vertex, slope } = &mut self.envelopes;
            let first = vertex.len() as u32;
            upper_envelope(
                &points.bits,
                &points.accuracy,
                lo as usize,
                hi as usize,
                vertex,
                slope,
            );
            part.envelope = Some((first, vertex.len() as u32));
        }
        self.arms.push(part);
        self.arms.len() as u32 - 1
    }

    /// Drop arms of the root that cannot be part of a plan better than the incumbent: even with the best of all other
    /// devices at this price they fall short of it.
    fn fix_arms(&mut self, problem: &Problem<'_>, price: f64, bound: f64, incumbent: f64) {
        self.values.resize(self.arms.len(), 0.0);
        let shared = shared(problem, &self.envelopes, &self.cheapest_bit);
        let slack = (bound - incumbent) * (1.0 + 1e-9);
        let mut write = 0;
        for (first, count) in &mut self.root_spans {
            let range = *first as usize..(*first + *count) as usize;
            *first = write as u32;
            let mut top = f64::NEG_INFINITY;
            if range.len() > 1 {
                for &arm in &self.root_arms[range.clone()] {
                    self.values[arm as usize] =
                        self.arms[arm as usize].respond(&shared, price).value;
                    top = top.max(self.values[arm as usize]);
                }
            }
            for i in range.clone() {
                let arm = self.root_arms[i];
                if range.len() == 1 || self.values[arm as usize] >= top - slack {
                    self.root_arms[write] = arm;
                    write += 1;
                }
            }
            *count = write as u32 - *first;
        }
    }

    fn write(
        &self,
        problem: &Problem<'_>,
        plan: &mut Plan,
        objective: f64,
        upper_bound: f64,
        price: f64,
    ) {
        plan.bandwidth_price = price;
        plan.objective = objective;
        plan.set_bound(upper_bound);
        plan.grants.clear();
        for (device, choice) in problem.devices.iter().zip(&self.best) {
            plan.grants.push(if device.options.is_empty() {
                Grant::default()
            } else {
                let option = &problem.options_of(device)[choice.option as usize];
                Grant {
                    cut: Some(choice.option),
                    bandwidth_hz: choice.bandwidth_hz,
                    reference_power_w: choice.power_w,
                    bits: choice.bits,
                    accuracy: problem.curves[option.curve as usize].accuracy(choice.bits),
                }
            });
        }
    }
}

fn shared<'a>(
    problem: &'a Problem<'_>,
    envelopes: &'a Envelopes,
    cheapest_bit: &'a CheapestBit,
) -> Shared<'a> {
    Shared {
        curves: problem.curves,
        envelopes,
        cheapest_bit,
        x_cap: problem.radio.spectral_cap * LN_2,
        exact_noise: matches!(problem.radio.noise, Noise::Exact { .. }),
    }
}

/// Give every choice the least power that carries its bits, and add up what the plan is worth.
fn finish(problem: &Problem<'_>, choices: &mut [Choice]) -> f64 {
    let mut objective = 0.0;
    for (device, choice) in problem.devices.iter().zip(choices) {
        if device.options.is_empty() {
            continue;
        }
        let option = &problem.options_of(device)[choice.option as usize];
        let curve = &problem.curves[option.curve as usize];
        let time_s = option.transmit_time_s;
        choice.power_w = 0.0;
        if choice.bits > 0.0 {
            let power_w = problem.radio.power_for_bits_w(
                choice.bandwidth_hz,
                device.gain,
                choice.bits,
                time_s,
            );
            choice.power_w = power_w.min(device.power_max_w);
            choice.bits = choice.bits.min(problem.radio.bits(
                choice.bandwidth_hz,
                device.gain,
                choice.power_w,
                time_s,
            ));
        }
        objective += problem.v * device.weight * curve.accuracy(choice.bits)
            - device.energy_queue_j * (option.local_energy_j + choice.power_w * time_s)
            - option.charge;
    }
    objective
}
