//! One device in one frame that must choose its cut before it knows anything of its task.
//!
//! What the task turns out to be is one of many *paths*: how likely its answer is right after so many bits. The cut is
//! chosen by the mean over paths, where the last bits of each path are chosen knowing it: V = max_s E_path max_c (w·right −
//! cost(bits)) − μ·fixed. All of it is rounded upwards: bits down to one of a few levels, the cost to its tangents at a few
//! bit prices.

use super::device::{Respond, Response};
use super::slots::{Cell, Prices, SlotTable, Transmitter, margin_snr};
use super::{Blocks, MAX_BLOCKS};
use std::ops::Range;

/// Levels that bits are rounded down to.
const LEVELS: usize = 56;
/// Bit prices at which the cost of a delivery has its tangents.
const TANGENTS: usize = 20;

/// What a stream's tasks may turn out to be.
#[derive(Clone, Debug, Default)]
pub struct Prospects {
    /// Bits of every level; level 0 takes none.
    bits: Vec<f64>,
    /// Share of each path, and where its points end.
    paths: Vec<(f32, u32)>,
    /// Level and right, both ascending along a path.
    points: Vec<(u32, f32)>,
    /// Mean of what paths reach at best.
    ceiling: f64,
}

impl Prospects {
    /// From paths of equal weight, each a list of (bits, right).
    pub fn new(paths: &[Vec<(f64, f64)>]) -> Self {
        let sizes = || paths.iter().flatten().map(|p| p.0).filter(|b| *b > 0.0);
        let (least, most) = (
            sizes().fold(f64::INFINITY, f64::min),
            sizes().fold(0.0, f64::max),
        );
        let mut prospects = Self {
            bits: vec![0.0],
            ..Self::default()
        };
        if most > 0.0 {
            let ratio = most / least;
            let level = |i: usize| least * ratio.powf(i as f64 / (LEVELS - 1) as f64);
            prospects.bits.extend((0..LEVELS).map(level));
        }
        let share = 1.0 / paths.len().max(1) as f32;
        let mut path_points: Vec<(u32, f32)> = Vec::new();
        for path in paths {
            path_points.clear();
            path_points.extend(path.iter().map(|(bits, right)| {
                // Rounded down: the last level of no more bits, and the first if rounding made it more.
                let level = prospects
                    .bits
                    .partition_point(|b| *b <= *bits * (1.0 + 1e-12));
                let first = usize::from(*bits > 0.0);
                ((level - 1).max(first.min(level)) as u32, *right as f32)
            }));
            path_points.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
            let mut best = 0.0;
            for (level, right) in &path_points {
                if *right > best {
                    prospects.points.push((*level, *right));
                    best = *right;
                }
            }
            prospects.ceiling += f64::from(share * best);
            prospects.paths.push((share, prospects.points.len() as u32));
        }
        prospects
    }
}

/// A cut on offer.
#[derive(Clone, Copy, Debug)]
pub struct BlindCut<'a> {
    /// What its tasks may turn out to be.
    pub prospects: &'a Prospects,
    /// Energy of head and encoder, beyond what doing nothing takes \[J\].
    pub fixed_energy_j: f64,
    /// First slot in which it may send.
    pub first: u32,
    /// One past the last.
    pub end: u32,
}

/// A device-frame whose task is not known.
#[derive(Clone, Debug)]
pub struct BlindDevice<'a> {
    weight: f64,
    transmitter: Transmitter,
    slot_s: f64,
    slot_unit_bits: f64,
    cuts: Vec<BlindCut<'a>>,
    table: SlotTable,
    pieces: Vec<Range<u32>>,
    windows: Vec<Vec<(usize, usize)>>,
    costs: Vec<f32>,
    tangents: Vec<usize>,
    mass: Vec<f32>,
    resting: bool,
}

/// All uses of slots at one bit price.
#[derive(Clone, Copy, Debug, Default)]
struct Tangent {
    price: f64,
    surplus: f64,
    shares: Blocks,
    power_w: f64,
}

impl<'a> BlindDevice<'a> {
    /// A device whose right answers are worth `weight`, with its `cuts`; `edges` as in
    /// [`Device::prepare`](super::Device::prepare).
    pub fn new(
        weight: f64,
        transmitter: Transmitter,
        cuts: Vec<BlindCut<'a>>,
        edges: &[u32],
    ) -> Self {
        let mut pieces: Vec<Range<u32>> = Vec::new();
        let windows = cuts
            .iter()
            .map(|cut| {
                let mut window = Vec::new();
                let mut start = cut.first;
                for (block, end) in edges.iter().chain(&[u32::MAX]).enumerate() {
                    let end = (*end).min(cut.end);
                    if end <= start {
                        continue;
                    }
                    let slots = start..end;
                    let known = pieces.iter().position(|piece| *piece == slots);
                    let piece = known.unwrap_or_else(|| {
                        pieces.push(slots);
                        pieces.len() - 1
                    });
                    window.push((piece, block));
                    start = end;
                }
                window
            })
            .collect();
        Self {
            weight,
            transmitter,
            slot_s: 0.0,
            slot_unit_bits: 0.0,
            cuts,
            table: SlotTable::default(),
            pieces,
            windows,
            costs: Vec::new(),
            tangents: Vec::new(),
            mass: Vec::new(),
            resting: true,
        }
    }

    /// Make the device ready for a frame with the gains of slots `first..`.
    pub fn prepare(&mut self, cell: &Cell, first: u32, gains: &[f64]) {
        self.resting = false;
        self.slot_s = cell.slot_s;
        self.slot_unit_bits = cell.slot_unit_bits();
        self.table
            .fill(cell, &self.transmitter, first, gains, &self.pieces);
    }

    /// A frame without a task.
    pub fn rest(&mut self) {
        self.resting = true;
    }

    fn cut(&mut self, index: usize, band: &Blocks, energy_price: f64) -> Response {
        let BlindCut {
            prospects,
            fixed_energy_j,
            ..
        } = self.cuts[index];
        let power = energy_price * self.slot_s;
        let tail_j = self.transmitter.tail_energy_j;
        let levels = prospects.bits.len();
        let mut tangents = [Tangent::default(); TANGENTS];
        self.costs.clear();
        self.costs.resize(levels, f32::INFINITY);
        self.costs[0] = 0.0;
        self.tangents.clear();
        self.tangents.resize(levels, 0);
        self.mass.clear();
        self.mass.resize(levels, 0.0);
        if levels > 1 && !self.windows[index].is_empty() {
            let efficiency = |level: usize| prospects.bits[level] / self.slot_unit_bits;
            let (low, high) = (
                0.02 * self.weight / efficiency(levels - 1),
                4.0 * self.weight / efficiency(1),
            );
            for (j, tangent) in tangents.iter_mut().enumerate() {
                tangent.price = low * (high / low).powf(j as f64 / (TANGENTS - 1) as f64);
                let (mut priced, mut margin) = (f64::NAN, 0.0);
                for (piece, block) in &self.windows[index] {
                    let band = band[*block];
                    if band != priced {
                        (priced, margin) = (band, margin_snr(tangent.price, band));
                    }
                    let prices = Prices {
                        bits: tangent.price,
                        band,
                        power,
                    };
                    let flow = self.table.flow(*piece, &prices, margin);
                    tangent.surplus += flow.surplus;
                    tangent.shares[*block] += flow.share;
                    tangent.power_w += flow.power_w;
                }
            }
            let mut at = 0;
            for level in 1..levels {
                let efficiency = efficiency(level);
                let cost = |j: usize| tangents[j].price * efficiency - tangents[j].surplus;
                // The tangent that binds moves to higher prices with the bits.
                while at + 1 < TANGENTS && cost(at + 1) >= cost(at) {
                    at += 1;
                }
                let cost = cost(at).max(0.0) + energy_price * tail_j;
                self.costs[level] = (cost / self.weight) as f32;
                self.tangents[level] = at;
            }
        }
        let mut start = 0;
        let mut value = 0.0;
        let mut right = 0.0;
        for (share, end) in &prospects.paths {
            let (mut best, mut level, mut worth) = (0.0f32, 0usize, 0.0f32);
            for (at, right) in &prospects.points[start..*end as usize] {
                let net = right - self.costs[*at as usize];
                if net > best {
                    (best, level, worth) = (net, *at as usize, *right);
                }
            }
            start = *end as usize;
            value += f64::from(share * best);
            right += f64::from(share * worth);
            self.mass[level] += share;
        }
        let mut response = Response {
            value: self.weight * value - energy_price * fixed_energy_j,
            worth: self.weight * right,
            shares: [0.0; MAX_BLOCKS],
            energy_j: fixed_energy_j,
        };
        for level in 1..levels {
            let mass = f64::from(self.mass[level]);
            let tangent = &tangents[self.tangents[level]];
            for (sum, share) in response.shares.iter_mut().zip(&tangent.shares) {
                *sum += mass * share;
            }
            response.energy_j += mass * (tangent.power_w * self.slot_s + tail_j);
        }
        response
    }
}

impl Respond for BlindDevice<'_> {
    fn respond(&mut self, band: &Blocks, energy_price: f64, _tolerance: f64) -> Response {
        let mut best = Response::default();
        if self.resting {
            return best;
        }
        for index in 0..self.cuts.len() {
            let cut = &self.cuts[index];
            let most = self.weight * cut.prospects.ceiling - energy_price * cut.fixed_energy_j;
            if most > best.value {
                let response = self.cut(index, band, energy_price);
                if response.value > best.value {
                    best = response;
                }
            }
        }
        best
    }
}
