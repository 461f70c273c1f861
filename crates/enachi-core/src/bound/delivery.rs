//! The least cost of delivering some bits in a window, from below.
//!
//! min Σ_slots (λ·ω + μ·t·(p + p_circuit)) subject to Σ bits ≥ b has the dual max_r r·b/(t·ω_tot) − Σ surplus(r): concave in
//! the bit price r, and at *any* r a lower bound on the cost. So an unfinished search is still a bound.

use super::slots::{Flow, Prices, SlotTable, margin_snr};
use super::{Blocks, MAX_BLOCKS};

/// What is to be delivered, and where.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// Bits over t·ω_tot.
    pub efficiency: f64,
    /// Pieces of the table that make up the window, each with its block.
    pub pieces: &'a [(usize, usize)],
}

/// The cheapest delivery found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delivery {
    /// No way of delivering costs less.
    pub cost: f64,
    /// Band by block, in whole bands times slots.
    pub shares: Blocks,
    /// Sum of powers, with circuit power \[W\].
    pub power_w: f64,
    /// Bit price at which it was found; the next search may start from it.
    pub bits_price: f64,
}

/// The dual at one bit price.
#[derive(Clone, Copy, Debug)]
struct Point {
    price: f64,
    dual: f64,
    efficiency: f64,
    shares: Blocks,
    power_w: f64,
}

impl Point {
    fn delivery(&self) -> Delivery {
        Delivery {
            cost: self.dual,
            shares: self.shares,
            power_w: self.power_w,
            bits_price: self.price,
        }
    }
}

impl Need<'_> {
    /// Whether the window could carry it at full power in the whole band.
    pub fn possible(&self, table: &SlotTable) -> bool {
        let most: f64 = self
            .pieces
            .iter()
            .map(|(piece, _)| table.most_efficiency(*piece))
            .sum();
        // What a simulated device delivers is rounded too.
        self.efficiency <= most * (1.0 + 1e-9)
    }

    fn point(&self, table: &SlotTable, band: &Blocks, power: f64, bits_price: f64) -> Point {
        let mut point = Point {
            price: bits_price,
            dual: bits_price * self.efficiency,
            efficiency: 0.0,
            shares: [0.0; MAX_BLOCKS],
            power_w: 0.0,
        };
        let (mut priced, mut margin) = (f64::NAN, 0.0);
        for (piece, block) in self.pieces {
            let band = band[*block];
            if band != priced {
                (priced, margin) = (band, margin_snr(bits_price, band));
            }
            let prices = Prices {
                bits: bits_price,
                band,
                power,
            };
            let Flow {
                efficiency,
                share,
                power_w,
                surplus,
            } = table.flow(*piece, &prices, margin);
            point.efficiency += efficiency;
            point.shares[*block] += share;
            point.power_w += power_w;
            point.dual -= surplus;
        }
        point
    }

    /// The least cost at band prices `band` (β by block) and power price `power` (ε), to within `tolerance`, from a first
    /// guess of the bit price. `None` as soon as it is sure to cost `worthless` or more.
    pub fn cheapest(
        &self,
        table: &SlotTable,
        band: &Blocks,
        power: f64,
        guess: f64,
        tolerance: f64,
        worthless: f64,
    ) -> Option<Delivery> {
        let at = |price: f64| self.point(table, band, power, price);
        let mut point = at(guess);
        let (mut low, mut high) = (None, None);
        let mut factor = 1.5;
        // Bracket: too little is delivered at `low`, enough at `high`.
        loop {
            if point.dual >= worthless {
                return None;
            }
            if point.efficiency < self.efficiency {
                low = Some(point);
            } else {
                high = Some(point);
            }
            if low.is_some() && high.is_some() || !(1e-40..1e40).contains(&point.price) {
                break;
            }
            point = at(if high.is_none() {
                point.price * factor
            } else {
                point.price / factor
            });
            factor *= 1.5;
        }
        let (Some(mut low), Some(mut high)) = (low, high) else {
            // The window carries it only just, or it is nothing: whatever the price is, it is a bound.
            return Some(point.delivery());
        };
        for round in 0..40 {
            // Where the tangents meet no point of the dual is higher.
            let (up, down) = (
                self.efficiency - low.efficiency,
                high.efficiency - self.efficiency,
            );
            let step = (high.dual - low.dual + down * (high.price - low.price)) / (up + down);
            let ceiling = low.dual + up * step;
            if ceiling - low.dual.max(high.dual) <= tolerance {
                break;
            }
            // Tangents settle kinks at once, the secant of the slopes settles what is smooth.
            let secant = (high.price - low.price) * up / (up + down);
            let step = if round % 2 == 0 { step } else { secant };
            let width = high.price - low.price;
            let next = at(low.price + step.clamp(1e-3 * width, 0.999 * width));
            if next.dual >= worthless {
                return None;
            }
            if next.efficiency < self.efficiency {
                low = next;
            } else {
                high = next;
            }
        }
        let best = if low.dual > high.dual { low } else { high };
        // A mixture of the two delivers exactly what is needed.
        let part = (self.efficiency - low.efficiency) / (high.efficiency - low.efficiency);
        let mix = |a: f64, b: f64| a + part * (b - a);
        let mut delivery = best.delivery();
        for (block, share) in delivery.shares.iter_mut().enumerate() {
            *share = mix(low.shares[block], high.shares[block]);
        }
        delivery.power_w = mix(low.power_w, high.power_w);
        Some(delivery)
    }
}
