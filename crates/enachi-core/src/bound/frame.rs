//! All devices of one frame: the price of its band.

use super::device::{Respond, Response};
use super::{Blocks, MAX_BLOCKS};

/// The dual of a frame at given energy prices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameDual {
    /// No choice of the frame has more worth less the price of its energy.
    pub value: f64,
    /// Worth of the (mixed) answers behind it.
    pub worth: f64,
    /// Energy of each device beyond that of doing nothing, of the same mixture \[J\].
    pub energy_j: Vec<f64>,
    /// Worth of answers that keep the band, whole ones each.
    pub kept_worth: f64,
    /// Energy of each device for those \[J\].
    pub kept_energy_j: Vec<f64>,
    /// β by block at which it was found.
    pub band: Blocks,
    /// Times that all devices were asked.
    pub rounds: u32,
}

/// Search for the best band price of a frame. Keeps its buffers.
#[derive(Clone, Debug, Default)]
pub struct FrameBound {
    low: Side,
    high: Side,
    next: Side,
}

/// Relative error of sums of shares.
const ROUNDING: f64 = 1e-6;

/// All devices at one price.
#[derive(Clone, Debug, Default)]
struct Side {
    band: Blocks,
    value: f64,
    /// Band left, in whole bands times slots.
    slack: f64,
    responses: Vec<Response>,
}

impl Side {
    /// Ask every device.
    fn ask(
        &mut self,
        devices: &mut [impl Respond],
        energy_prices: &[f64],
        capacity: &Blocks,
        band: Blocks,
        tolerance: f64,
    ) {
        self.band = band;
        self.responses.clear();
        self.value = 0.0;
        let mut left = *capacity;
        for (price, held) in band.iter().zip(capacity) {
            self.value += price * held;
        }
        for (device, price) in devices.iter_mut().zip(energy_prices) {
            let response = device.respond(&band, *price, tolerance);
            self.value += response.value;
            for (left, share) in left.iter_mut().zip(&response.shares) {
                *left -= share;
            }
            self.responses.push(response);
        }
        self.slack = left.iter().sum();
    }
}

impl FrameBound {
    /// The least dual over one price for the whole frame. `capacity` is what each block holds, in whole bands times slots;
    /// `guess` the price to start from; `tolerance` how far above the least the result may be.
    pub fn solve(
        &mut self,
        devices: &mut [impl Respond],
        energy_prices: &[f64],
        capacity: &Blocks,
        guess: f64,
        tolerance: f64,
        dual: &mut FrameDual,
    ) {
        let inner = 0.2 * tolerance / devices.len().max(1) as f64;
        let mut rounds = 0;
        let mut ask = |side: &mut Side, price: f64| {
            rounds += 1;
            side.ask(devices, energy_prices, capacity, [price; MAX_BLOCKS], inner);
        };
        // Too much band is asked for at `low`, no more than there is at `high`.
        let mut factor = 2.0;
        let mut price = guess.max(0.0);
        let mut bracket = [false; 2];
        let total: f64 = capacity.iter().sum();
        while bracket != [true; 2] {
            ask(&mut self.next, price);
            // Shares are rounded: what is asked for at no price may come out a hair above all there is.
            let rounding = if price == 0.0 { ROUNDING * total } else { 0.0 };
            if self.next.slack >= -rounding {
                std::mem::swap(&mut self.next, &mut self.high);
                bracket[1] = true;
                // Free band, and enough of it.
                if price == 0.0 {
                    self.finish(false, dual, rounds);
                    return;
                }
                price = if factor > 20.0 { 0.0 } else { price / factor };
            } else {
                std::mem::swap(&mut self.next, &mut self.low);
                bracket[0] = true;
                price = if price == 0.0 {
                    self.low.value / total.max(1.0)
                } else {
                    price * factor
                };
            }
            factor *= 2.0;
        }
        for round in 0..30 {
            let (low, high) = (&self.low, &self.high);
            let width = high.band[0] - low.band[0];
            let (down, up) = (-low.slack, high.slack);
            // Where the tangents meet no point of the dual is lower.
            let step = (low.value - high.value + up * width) / (down + up);
            let floor = low.value - down * step;
            if low.value.min(high.value) - floor <= tolerance || width <= 0.0 {
                break;
            }
            let secant = width * down / (down + up);
            let step = if round % 2 == 0 { step } else { secant };
            let price = low.band[0] + step.clamp(1e-3 * width, 0.999 * width);
            ask(&mut self.next, price);
            if self.next.slack >= 0.0 {
                std::mem::swap(&mut self.next, &mut self.high);
            } else {
                std::mem::swap(&mut self.next, &mut self.low);
            }
        }
        self.finish(true, dual, rounds);
    }

    fn finish(&self, both: bool, dual: &mut FrameDual, rounds: u32) {
        let (low, high) = (&self.low, &self.high);
        let best = if both && low.value < high.value {
            low
        } else {
            high
        };
        dual.value = best.value;
        dual.band = best.band;
        dual.rounds = rounds;
        dual.worth = 0.0;
        dual.energy_j.clear();
        dual.kept_worth = high.responses.iter().map(|r| r.worth).sum();
        dual.kept_energy_j.clear();
        let energies = high.responses.iter().map(|r| r.energy_j);
        dual.kept_energy_j.extend(energies);
        // The mixture that uses exactly the band there is.
        let part = if both {
            -low.slack / (high.slack - low.slack)
        } else {
            1.0
        };
        for (index, high) in high.responses.iter().enumerate() {
            let low = if both { &low.responses[index] } else { high };
            dual.worth += low.worth + part * (high.worth - low.worth);
            dual.energy_j
                .push(low.energy_j + part * (high.energy_j - low.energy_j));
        }
    }
}
