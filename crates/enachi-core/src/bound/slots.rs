//! What a device does in the slots of a frame at given prices, summed over slots without visiting them.
//!
//! With a price on bits, on band and on energy every slot is a problem of its own:
//!
//! ```text
//! max over 0 ≤ ω ≤ ω_tot, 0 ≤ p ≤ p_max of   ν·t·ω·min(log2(1 + h·p/(N0·ω)), cap) − λ·ω − μ·t·(p + p_circuit)
//! ```
//!
//! and its answer depends on the gain `h` alone, through thresholds: a bad slot is left out; then the power is that of
//! water-filling; then p_max, in a slice of the band at first and in all of it later; then what reaches the cap. So the
//! gains are sorted once, with running sums of what each regime needs, and a query is a few binary searches.
//!
//! Scaled variables: γ = h/(N0·ω_tot) \[1/W\], the snr per watt in the whole band (h/σ² with constant noise); bit price
//! `r` = ν·t·ω_tot, band price `β` = λ·ω_tot, power price `ε` = μ·t, all per slot; band in shares of ω_tot; bits in
//! multiples of t·ω_tot ("efficiency").

use crate::radio::{Noise, Radio};
use crate::task::price::full_power_margin;
use std::ops::Range;

/// What all devices share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Noise and cap.
    pub radio: Radio,
    /// ω_tot \[Hz\].
    pub bandwidth_hz: f64,
    /// t_slot \[s\].
    pub slot_s: f64,
}

impl Cell {
    /// Bits of a slot in the whole band at 1 bit/s/Hz.
    pub fn slot_unit_bits(&self) -> f64 {
        self.bandwidth_hz * self.slot_s
    }

    fn noise_w(&self) -> f64 {
        self.radio.noise_power_w(self.bandwidth_hz)
    }

    fn cap_snr(&self) -> f64 {
        (self.radio.spectral_cap * std::f64::consts::LN_2).exp_m1()
    }
}

/// The radio of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transmitter {
    /// p_max, as drawn \[W\].
    pub power_max_w: f64,
    /// Circuit power in a used slot \[W\].
    pub circuit_power_w: f64,
    /// Energy after the last used slot \[J\].
    pub tail_energy_j: f64,
}

/// Prices that a device sees in a run of slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// r: worth of t·ω_tot bits.
    pub bits: f64,
    /// β: the whole band in one slot.
    pub band: f64,
    /// ε: one watt in one slot.
    pub power: f64,
}

/// What the slots yield and take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Bits over t·ω_tot.
    pub efficiency: f64,
    /// Band, in whole bands times slots.
    pub share: f64,
    /// Sum of powers with circuit power \[W\].
    pub power_w: f64,
    /// Worth of the bits less the cost of band and power; never negative.
    pub surplus: f64,
}

/// Running sums over ascending gains.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    log2_gain: f64,
    inverse_gain: f64,
    full_power: f64,
    gain: f64,
}

/// Slots of one device-frame, sorted by gain, one piece per range of slots asked for.
#[derive(Clone, Debug, Default)]
pub struct SlotTable {
    order: Vec<(f64, u32)>,
    terms: Vec<Sums>,
    gains: Vec<f64>,
    sums: Vec<Sums>,
    pieces: Vec<Range<usize>>,
    power_max_w: f64,
    circuit_power_w: f64,
    cap: f64,
    cap_snr: f64,
    slices: bool,
}

impl SlotTable {
    /// Fill the table for `pieces` (ranges of slots) from the channel gains of slots `first..`.
    pub fn fill(
        &mut self,
        cell: &Cell,
        transmitter: &Transmitter,
        first: u32,
        gains: &[f64],
        pieces: &[Range<u32>],
    ) {
        let noise_w = cell.noise_w();
        self.power_max_w = transmitter.power_max_w;
        self.circuit_power_w = transmitter.circuit_power_w;
        self.cap = cell.radio.spectral_cap;
        self.cap_snr = cell.cap_snr();
        self.slices = matches!(cell.radio.noise, Noise::Exact { .. });
        self.order.clear();
        self.order.extend(
            gains
                .iter()
                .enumerate()
                .map(|(slot, gain)| (gain / noise_w, first + slot as u32)),
        );
        self.order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        self.terms.clear();
        self.terms.extend(self.order.iter().map(|(gain, _)| Sums {
            log2_gain: gain.log2(),
            inverse_gain: 1.0 / gain,
            full_power: (1.0 + gain * transmitter.power_max_w).log2(),
            gain: *gain,
        }));
        self.gains.clear();
        self.sums.clear();
        self.pieces.clear();
        for piece in pieces {
            let start = self.gains.len();
            let mut sum = Sums::default();
            // One more sum than gains in every piece, so gains get an unused entry too.
            self.sums.push(sum);
            for ((gain, slot), term) in self.order.iter().zip(&self.terms) {
                if piece.contains(slot) {
                    self.gains.push(*gain);
                    sum.log2_gain += term.log2_gain;
                    sum.inverse_gain += term.inverse_gain;
                    sum.full_power += term.full_power;
                    sum.gain += term.gain;
                    self.sums.push(sum);
                }
            }
            self.pieces.push(start..self.gains.len());
            self.gains.push(f64::INFINITY);
        }
    }

    /// Most that a piece carries, at full power in the whole band.
    pub fn most_efficiency(&self, piece: usize) -> f64 {
        let Range { start, end } = self.pieces[piece];
        let capped =
            start + self.gains[start..end].partition_point(|g| g * self.power_max_w < self.cap_snr);
        let carried = self.sums[capped].full_power - self.sums[start].full_power;
        // No cap: nothing is capped, and 0·∞ is no number.
        let held = (end - capped) as f64;
        if held > 0.0 {
            carried + held * self.cap
        } else {
            carried
        }
    }

    /// The best use of a piece's slots at `prices`; `margin` is [`margin_snr`] of them.
    pub fn flow(&self, piece: usize, prices: &Prices, margin: f64) -> Flow {
        let Range { start, end } = self.pieces[piece];
        let Prices { bits, band, power } = *prices;
        // An endless margin: band so dear that what a slot takes of it, and gains by it, is nothing.
        if bits <= 0.0 || start == end || self.slices && margin == f64::INFINITY {
            return Flow::default();
        }
        let gains = &self.gains[start..end];
        let power_max_w = self.power_max_w;
        // Water level \[W\]; infinite where energy is free.
        let level = bits / (power * std::f64::consts::LN_2);
        // At full power, the snr below which the device takes less than the whole band.
        let slice_snr = if self.slices {
            margin.min(self.cap_snr)
        } else {
            0.0
        };
        let slot = SlotProblem {
            prices,
            level,
            power_max_w,
            cap: self.cap,
            cap_snr: self.cap_snr,
            slice_snr,
        };
        let circuit = power * self.circuit_power_w;
        let used = if circuit > 0.0 || !self.slices {
            gains.partition_point(|gain| slot.value(*gain) <= circuit)
        } else {
            let least = if margin <= self.cap_snr {
                (1.0 + margin) / level
            } else if bits * self.cap > band {
                power * self.cap_snr / (bits * self.cap - band)
            } else {
                return Flow::default();
            };
            gains.partition_point(|gain| *gain <= least)
        };
        if used == gains.len() {
            return Flow::default();
        }
        let at = |limit: f64| used + gains[used..].partition_point(|gain| *gain < limit);
        let capped = at(((1.0 + self.cap_snr) / level).max(self.cap_snr / power_max_w));
        let full = if level > power_max_w {
            at(1.0 / (level - power_max_w)).min(capped)
        } else {
            capped
        };
        let whole = at(slice_snr / power_max_w).clamp(full, capped);

        let sums = &self.sums[self.sum_start(piece)..];
        let count = |from: usize, to: usize| (to - from) as f64;
        let mut flow = Flow::default();
        if full > used {
            let n = count(used, full);
            flow.efficiency +=
                (n * level.log2() + sums[full].log2_gain - sums[used].log2_gain).max(0.0);
            flow.power_w +=
                (n * level - (sums[full].inverse_gain - sums[used].inverse_gain)).max(0.0);
            flow.share += n;
        }
        if whole > full {
            let share = power_max_w / slice_snr * (sums[whole].gain - sums[full].gain);
            flow.share += share;
            flow.efficiency += share * slice_snr.ln_1p() * std::f64::consts::LOG2_E;
            flow.power_w += count(full, whole) * power_max_w;
        }
        if capped > whole {
            flow.share += count(whole, capped);
            flow.efficiency += sums[capped].full_power - sums[whole].full_power;
            flow.power_w += count(whole, capped) * power_max_w;
        }
        if gains.len() > capped {
            let n = count(capped, gains.len());
            flow.share += n;
            flow.efficiency += n * self.cap;
            flow.power_w +=
                self.cap_snr * (sums[gains.len()].inverse_gain - sums[capped].inverse_gain);
        }
        flow.power_w += count(used, gains.len()) * self.circuit_power_w;
        flow.surplus = (bits * flow.efficiency - band * flow.share - power * flow.power_w).max(0.0);
        flow
    }

    fn sum_start(&self, piece: usize) -> usize {
        // Every piece has as many gains as sums, with the unused entry.
        self.pieces[piece].start
    }
}

/// The snr from which more band is worth its price at full power: ln(1 + y) − y/(1 + y) = β ln 2/r.
pub fn margin_snr(bits_price: f64, band_price: f64) -> f64 {
    if band_price <= 0.0 {
        return 0.0;
    }
    full_power_margin(band_price * std::f64::consts::LN_2 / bits_price).exp_m1()
}

/// One slot.
struct SlotProblem<'a> {
    prices: &'a Prices,
    level: f64,
    power_max_w: f64,
    cap: f64,
    cap_snr: f64,
    slice_snr: f64,
}

impl SlotProblem<'_> {
    /// Worth of the slot without circuit power, negative or 0 where it is best left out; grows with the gain.
    fn value(&self, gain: f64) -> f64 {
        let Prices { bits, band, power } = *self.prices;
        let snr = (self.level * gain - 1.0).min(self.cap_snr);
        if snr <= 0.0 {
            return 0.0;
        }
        let log2 = |snr: f64| (snr.ln_1p() * std::f64::consts::LOG2_E).min(self.cap);
        let power_w = snr / gain;
        if power_w <= self.power_max_w {
            return bits * log2(snr) - band - power * power_w;
        }
        let snr = gain * self.power_max_w;
        let spent = power * self.power_max_w;
        if snr < self.slice_snr {
            (bits * log2(self.slice_snr) - band) * snr / self.slice_snr - spent
        } else {
            bits * log2(snr) - band - spent
        }
    }
}
