//! Time and energy of computing, and the energy of a frame: ENACHI (1), (2), (7), (8).

/// A processor of ENACHI (1) and (2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compute {
    /// Clock f \[Hz\].
    pub frequency_hz: f64,
    /// Cycles per multiply-accumulate ρ.
    pub cycles_per_mac: f64,
    /// Effective switched capacitance α \[W/Hz³\]; 0 for a machine whose energy is not counted.
    pub capacitance_w_per_hz3: f64,
}

impl Compute {
    /// ENACHI (1) and (8): t = ρ·R/f \[s\] for `macs` multiply-accumulates.
    #[inline]
    pub fn time_s(&self, macs: u64) -> f64 {
        self.cycles_per_mac * macs as f64 / self.frequency_hz
    }

    /// Power while computing, α f³ \[W\].
    #[inline]
    pub fn power_w(&self) -> f64 {
        self.capacitance_w_per_hz3 * self.frequency_hz.powi(3)
    }

    /// ENACHI (2): E = α f³ t \[J\] for `macs` multiply-accumulates.
    #[inline]
    pub fn energy_j(&self, macs: u64) -> f64 {
        self.power_w() * self.time_s(macs)
    }
}

/// What a radio costs beside the radiated power. All zero in the paper's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RadioOverhead {
    /// Circuit power in every slot that is used \[W\].
    pub circuit_power_w: f64,
    /// Power after the last used slot \[W\].
    pub tail_power_w: f64,
    /// How long the radio stays up after the last used slot \[s\].
    pub tail_time_s: f64,
}

impl RadioOverhead {
    /// The transmit part of ENACHI (7): Σ p_k t_slot over the used slots, plus circuit power and radio tail \[J\].
    ///
    /// `power_sum_w` is the sum of the slot powers, `slots` the number of used slots, `slot_s` their length.
    #[inline]
    pub fn transmit_energy_j(&self, power_sum_w: f64, slots: u32, slot_s: f64) -> f64 {
        if slots == 0 {
            return 0.0;
        }
        (power_sum_w + f64::from(slots) * self.circuit_power_w) * slot_s
            + self.tail_power_w * self.tail_time_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_resnet50_costs_what_the_paper_implies() {
        // 4.089 GMAC at 2 GHz with ρ = 0.1345 take 0.275 s and 0.22 J (spec: device-only infeasible below 275 ms).
        let device = Compute {
            frequency_hz: 2e9,
            cycles_per_mac: 0.1345,
            capacitance_w_per_hz3: 1e-28,
        };
        assert!((device.time_s(4_089_000_000) - 0.275).abs() < 1e-4);
        assert!((device.energy_j(4_089_000_000) - 0.22).abs() < 1e-3);
    }

    #[test]
    fn unused_radio_costs_nothing() {
        let radio = RadioOverhead {
            circuit_power_w: 0.1,
            tail_power_w: 0.5,
            tail_time_s: 0.01,
        };
        assert_eq!(radio.transmit_energy_j(0.0, 0, 1e-3), 0.0);
        // Three slots: (1.5 + 3·0.1) W · 1 ms + 5 mJ.
        assert!((radio.transmit_energy_j(1.5, 3, 1e-3) - 0.0068).abs() < 1e-12);
    }
}
