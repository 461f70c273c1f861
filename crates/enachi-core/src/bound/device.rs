//! One device in one frame at given prices.

use super::delivery::Need;
use super::slots::{Cell, SlotTable, Transmitter};
use super::{Blocks, MAX_BLOCKS};
use std::ops::Range;

/// A way of answering: a cut, and the bits after which the answer there is worth something.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Whether the answer is then right, or how likely, in 0..=1.
    pub right: f64,
    /// Energy of head and encoder, beyond what doing nothing takes \[J\].
    pub fixed_energy_j: f64,
    /// Bits over the air; 0 where it takes none.
    pub bits: f64,
    /// Slots in which they may be sent.
    pub window: Range<u32>,
}

impl Way {
    /// Whether `other` is never better.
    fn beats(&self, other: &Self) -> bool {
        self.right >= other.right
            && self.fixed_energy_j <= other.fixed_energy_j
            && self.bits <= other.bits
            && (self.bits <= 0.0
                || self.window.start <= other.window.start && self.window.end >= other.window.end)
    }
}

/// What a device does at some prices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Response {
    /// Worth of the answer less the price of what it takes, from above.
    pub value: f64,
    /// Worth of the answer: the device's weight times how likely it is right.
    pub worth: f64,
    /// Band by block, in whole bands times slots.
    pub shares: Blocks,
    /// Energy beyond that of doing nothing \[J\].
    pub energy_j: f64,
}

/// A device-frame that answers to prices.
pub trait Respond {
    /// What it does at band prices `band` (β by block) and `energy_price` μ \[1/J\], its value exact to `tolerance` and never
    /// too low.
    fn respond(&mut self, band: &Blocks, energy_price: f64, tolerance: f64) -> Response;
}

/// A device-frame whose answers are known, ready to be asked.
#[derive(Clone, Debug)]
pub struct Device {
    weight: f64,
    slot_s: f64,
    slot_unit_bits: f64,
    transmitter: Transmitter,
    table: SlotTable,
    ways: Vec<Way>,
    /// Pieces and blocks of each way's window.
    windows: Vec<Vec<(usize, usize)>>,
    pieces: Vec<Range<u32>>,
    /// Bit price at which each way was last answered.
    bit_prices: Vec<f64>,
    /// Way of the last answer.
    favourite: usize,
    kept: usize,
}

impl Device {
    /// A device whose right answers are worth `weight`.
    pub fn new(weight: f64, transmitter: Transmitter) -> Self {
        Self {
            weight,
            slot_s: 0.0,
            slot_unit_bits: 0.0,
            transmitter,
            table: SlotTable::default(),
            ways: Vec::new(),
            windows: Vec::new(),
            pieces: Vec::new(),
            bit_prices: Vec::new(),
            favourite: 0,
            kept: 0,
        }
    }

    /// Make the device ready for a frame: its `ways` of answering, and the gains of slots `first..`. `edges` are the
    /// slots at which a new block of band price begins, ascending, at most one fewer than [`MAX_BLOCKS`].
    pub fn prepare(&mut self, cell: &Cell, ways: &[Way], first: u32, gains: &[f64], edges: &[u32]) {
        self.slot_s = cell.slot_s;
        self.slot_unit_bits = cell.slot_unit_bits();
        self.keep_undominated(ways);
        self.pieces.clear();
        for (way, window) in self.ways.iter().zip(&mut self.windows).take(self.kept) {
            window.clear();
            if way.bits <= 0.0 {
                continue;
            }
            let mut start = way.window.start;
            for (block, end) in edges.iter().chain(&[u32::MAX]).enumerate() {
                let end = (*end).min(way.window.end);
                if end <= start {
                    continue;
                }
                let slots = start..end;
                let known = self.pieces.iter().position(|piece| *piece == slots);
                let piece = known.unwrap_or_else(|| {
                    self.pieces.push(slots);
                    self.pieces.len() - 1
                });
                window.push((piece, block));
                start = end;
            }
        }
        self.table
            .fill(cell, &self.transmitter, first, gains, &self.pieces);
        // What the window cannot carry is no way.
        let mut index = 0;
        while index < self.kept {
            let possible = self.ways[index].bits <= 0.0 || self.need(index).possible(&self.table);
            if possible {
                index += 1;
            } else {
                self.kept -= 1;
                self.ways.swap(index, self.kept);
                self.windows.swap(index, self.kept);
            }
        }
        self.bit_prices.clear();
        for index in 0..self.kept {
            let efficiency = self.need(index).efficiency;
            let worth = self.weight * self.ways[index].right;
            self.bit_prices.push(0.5 * worth / efficiency);
        }
        self.favourite = 0;
    }

    fn keep_undominated(&mut self, ways: &[Way]) {
        self.kept = 0;
        for (index, way) in ways.iter().enumerate() {
            let beaten = ways.iter().enumerate().any(|(other_index, other)| {
                other_index != index
                    && other.beats(way)
                    && (!way.beats(other) || other_index < index)
            });
            if beaten {
                continue;
            }
            if self.kept == self.ways.len() {
                self.ways.push(way.clone());
                self.windows.push(Vec::new());
            } else {
                self.ways[self.kept].clone_from(way);
            }
            self.kept += 1;
        }
    }

    fn need(&self, way: usize) -> Need<'_> {
        Need {
            efficiency: self.ways[way].bits / self.slot_unit_bits,
            pieces: &self.windows[way],
        }
    }

    /// Ways that are left after those that another beats and those that the channel cannot carry.
    pub fn ways(&self) -> &[Way] {
        &self.ways[..self.kept]
    }
}

impl Respond for Device {
    fn respond(&mut self, band: &Blocks, energy_price: f64, tolerance: f64) -> Response {
        let power_price = energy_price * self.slot_s;
        let mut best = Response::default();
        // The last answer first: it is likely to beat the others at once.
        let favourite = self.favourite;
        let order = (0..self.kept).map(move |i| match i {
            0 => favourite,
            i if i <= favourite => i - 1,
            i => i,
        });
        for index in order {
            let way = &self.ways[index];
            let worth = self.weight * way.right;
            let mut left = worth - energy_price * way.fixed_energy_j;
            if way.bits > 0.0 {
                left -= energy_price * self.transmitter.tail_energy_j;
            }
            if left <= best.value {
                continue;
            }
            if way.bits <= 0.0 {
                best = Response {
                    value: left,
                    worth,
                    shares: [0.0; MAX_BLOCKS],
                    energy_j: way.fixed_energy_j,
                };
                self.favourite = index;
                continue;
            }
            let need = Need {
                efficiency: way.bits / self.slot_unit_bits,
                pieces: &self.windows[index],
            };
            let found = need.cheapest(
                &self.table,
                band,
                power_price,
                self.bit_prices[index],
                tolerance,
                left - best.value,
            );
            if let Some(delivery) = found {
                self.bit_prices[index] = delivery.bits_price;
                best = Response {
                    value: left - delivery.cost,
                    worth,
                    shares: delivery.shares,
                    energy_j: way.fixed_energy_j
                        + self.transmitter.tail_energy_j
                        + delivery.power_w * self.slot_s,
                };
                self.favourite = index;
            }
        }
        best
    }
}
