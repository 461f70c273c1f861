//! The barrier (9) in the plan of `enachi-max`: every upload of a deadline ends before the longest tail of that deadline.
//!
//! The paper plans each upload to its own edge delay (16), which promises at least as much. For each *length* that the
//! longest tail of a deadline may have, the cuts with tails no longer and windows that end so long before the deadline
//! make P1.2 (17) once more, and the best of these plans is the optimum. Which lengths are worth a plan is told by the dual
//! at the bandwidth price λ of the (16) plan: its value is a sum over devices, hence over deadlines, so that one response of
//! every device to λ per length bounds every combination of lengths. Combinations are planned from the best bound
//! down to where no bound exceeds the best plan.

use super::shared::Translation;
use crate::profile::CutKind;
use crate::task::policy::FrameView;
use crate::task::problem::Plan;
use crate::task::solver::Solver;
use std::ops::Range;

/// Most plans of a frame; where they do not suffice, the plan's bound says what it may miss.
const MOST_PLANS: u32 = 24;

/// Bounds closer than this to the best plan, relative to it, are not worth a plan.
const CLOSE: f64 = 1e-6;

/// Search for the lengths, in buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Barrier {
    groups: Vec<Group>,
    /// Group of each device; [`NONE`] where it has nothing to choose.
    group_of: Vec<usize>,
    lengths: Vec<Length>,
    /// Gains at which the frame is planned.
    gains: Vec<f64>,
    values: Vec<f64>,
    trial: Plan,
    best: Plan,
}

const NONE: usize = usize::MAX;

/// Devices of one deadline.
#[derive(Clone, Debug)]
struct Group {
    deadline_s: f64,
    /// Part of `lengths`, the most promising first.
    lengths: Range<usize>,
    /// Entry that is tried, and the one of the best plan.
    tried: usize,
    kept: usize,
}

/// How long the longest tail of a deadline may take.
#[derive(Clone, Copy, Debug)]
struct Length {
    edge_s: f64,
    /// What the group is worth at the price, then how much less than with its best length.
    value: f64,
}

impl Barrier {
    /// Whether the uploads of a plan of (16) end before the barriers that the plan itself sets.
    pub fn is_kept(
        &mut self,
        frame: &FrameView<'_>,
        translation: &Translation,
        plan: &Plan,
    ) -> bool {
        let on_edge = |device: usize| {
            let chosen = translation.chosen(frame, plan, device);
            chosen.filter(|(candidate, _)| candidate.kind != CutKind::Local)
        };
        // A longest tail per deadline; there are few deadlines.
        self.lengths.clear();
        self.group(frame, translation);
        for _ in &self.groups {
            self.lengths.push(Length {
                edge_s: 0.0,
                value: 0.0,
            });
        }
        for (device, &group) in self.group_of.iter().enumerate() {
            if let Some((candidate, _)) = on_edge(device) {
                let longest_s = &mut self.lengths[group].edge_s;
                *longest_s = longest_s.max(candidate.edge_time_s());
            }
        }
        self.group_of.iter().enumerate().all(|(device, &group)| {
            let Some((candidate, option)) = on_edge(device) else {
                return true;
            };
            let busy_s = candidate.head_time_s + candidate.encode_time_s;
            let deadline_s = frame.devices[device].deadline_s;
            let left_s = deadline_s - self.lengths[group].edge_s - busy_s;
            // One that sends nothing needs no window.
            plan.grants[device].bits <= 0.0 || option.transmit_time_s <= left_s + 1e-9 * deadline_s
        })
    }

    /// Devices by deadline.
    fn group(&mut self, frame: &FrameView<'_>, translation: &Translation) {
        self.groups.clear();
        self.group_of.clear();
        for (view, device) in frame.devices.iter().zip(&translation.devices) {
            if device.options.is_empty() {
                self.group_of.push(NONE);
                continue;
            }
            let known = self
                .groups
                .iter()
                .position(|group| group.deadline_s == view.deadline_s);
            self.group_of.push(known.unwrap_or(self.groups.len()));
            if known.is_none() {
                self.groups.push(Group {
                    deadline_s: view.deadline_s,
                    lengths: 0..0,
                    tried: 0,
                    kept: 0,
                });
            }
        }
    }

    /// Replace a plan of (16) by the best one that keeps its own barriers, at the same gains.
    pub fn respect(
        &mut self,
        frame: &FrameView<'_>,
        translation: &mut Translation,
        solver: &mut Solver,
        plan: &mut Plan,
    ) {
        self.gains.clear();
        self.gains
            .extend(translation.devices.iter().map(|device| device.gain));
        self.group(frame, translation);
        self.list_lengths(frame);
        let worth: f64 = frame.devices.iter().map(|d| frame.v * d.weight).sum();
        let least = (1e-13 * worth / frame.bandwidth_hz).max(f64::MIN_POSITIVE);
        let price = plan.bandwidth_price.max(least);
        let bound = self.bound_lengths(frame, translation, solver, price);
        // The first combination has the best bound; the others follow as long as they might be better than the best plan.
        self.best.objective = f64::NEG_INFINITY;
        let mut upper_bound = f64::NEG_INFINITY;
        let mut plans = 0;
        loop {
            self.fill(frame, translation, |group| group.tried);
            solver.solve(&translation.problem(frame), &mut self.trial);
            upper_bound = self.trial.upper_bound.max(upper_bound);
            if self.trial.objective > self.best.objective {
                std::mem::swap(&mut self.trial, &mut self.best);
                for group in &mut self.groups {
                    group.kept = group.tried;
                }
            }
            plans += 1;
            let close = CLOSE * self.best.objective.abs().min(worth);
            let slack = bound - self.best.objective - close;
            if !self.next_combination(slack) {
                upper_bound = upper_bound.max(self.best.objective + close);
                break;
            }
            if plans == MOST_PLANS {
                upper_bound = bound;
                break;
            }
        }
        self.fill(frame, translation, |group| group.kept);
        let relaxed = plan.upper_bound;
        std::mem::swap(plan, &mut self.best);
        plan.set_bound(upper_bound.min(relaxed));
    }

    /// Lengths of every group: from what its devices cannot do without to its longest tail.
    fn list_lengths(&mut self, frame: &FrameView<'_>) {
        self.lengths.clear();
        for (index, group) in self.groups.iter_mut().enumerate() {
            let first = self.lengths.len();
            let mut least_s: f64 = 0.0;
            for (view, _) in
                (frame.devices.iter().zip(&self.group_of)).filter(|(_, g)| **g == index)
            {
                let range = view.candidates.start as usize..view.candidates.end as usize;
                let feasible = frame.candidates[range].iter().filter(|c| c.feasible());
                let mut shortest_s = f64::INFINITY;
                for candidate in feasible {
                    let edge_s = candidate.edge_time_s();
                    shortest_s = shortest_s.min(edge_s);
                    self.lengths.push(Length { edge_s, value: 0.0 });
                }
                least_s = least_s.max(shortest_s);
            }
            let listed = &mut self.lengths[first..];
            listed.sort_unstable_by(|a, b| a.edge_s.total_cmp(&b.edge_s));
            // Distinct ones that are long enough, in place.
            let mut count = 0;
            for i in 0..listed.len() {
                let edge_s = listed[i].edge_s;
                if edge_s >= least_s && (count == 0 || listed[count - 1].edge_s < edge_s) {
                    listed[count] = listed[i];
                    count += 1;
                }
            }
            self.lengths.truncate(first + count);
            group.lengths = first..first + count;
        }
    }

    /// Set every length's value to what it loses against the best of its group, best first. Returns the bound of the best
    /// combination.
    fn bound_lengths(
        &mut self,
        frame: &FrameView<'_>,
        translation: &mut Translation,
        solver: &mut Solver,
        price: f64,
    ) -> f64 {
        let rounds = self.groups.iter().map(|group| group.lengths.len()).max();
        for round in 0..rounds.unwrap_or(0) {
            let at = |group: &Group| round.min(group.lengths.len() - 1);
            self.fill(frame, translation, at);
            solver.values_at(&translation.problem(frame), price, &mut self.values);
            for (value, &group) in self.values.iter().zip(&self.group_of) {
                if group != NONE && round < self.groups[group].lengths.len() {
                    self.lengths[self.groups[group].lengths.start + round].value += value;
                }
            }
        }
        let mut bound = price * frame.bandwidth_hz;
        for group in &self.groups {
            let listed = &mut self.lengths[group.lengths.clone()];
            listed.sort_unstable_by(|a, b| {
                (b.value.total_cmp(&a.value)).then(a.edge_s.total_cmp(&b.edge_s))
            });
            let best = listed[0].value;
            for length in listed {
                length.value = best - length.value;
            }
            bound += best;
        }
        bound
    }

    /// Windows for the lengths that `entry` picks, at the gains of the frame.
    fn fill(
        &self,
        frame: &FrameView<'_>,
        translation: &mut Translation,
        entry: impl Fn(&Group) -> usize,
    ) {
        translation.fill_before(frame, |device| {
            let group = &self.groups[self.group_of[device]];
            self.lengths[group.lengths.start + entry(group)].edge_s
        });
        for (device, gain) in translation.devices.iter_mut().zip(&self.gains) {
            device.gain = *gain;
        }
    }

    /// Step to the next combination of lengths that loses less than `slack`. Losses rise within a group, so whatever lies
    /// beyond one that loses too much does so too.
    fn next_combination(&mut self, slack: f64) -> bool {
        for last in (0..self.groups.len()).rev() {
            self.groups[last].tried += 1;
            let tried = &self.groups[last];
            if tried.tried < tried.lengths.len() {
                let loss = |group: &Group| self.lengths[group.lengths.start + group.tried].value;
                if self.groups.iter().map(loss).sum::<f64>() < slack {
                    return true;
                }
            }
            self.groups[last].tried = 0;
        }
        false
    }
}
