//! Path loss: log-distance, and 3GPP TR 38.901 (V17) for urban macro cells and street canyons outdoors.
//!
//! Distances in m, carrier in Hz, losses in dB. Table and equation numbers are those of TR 38.901.

/// Speed of light as TR 38.901 has it \[m/s\].
pub const LIGHT_M_PER_S: f64 = 3.0e8;

/// Where the formulas of TR 38.901 hold, horizontally \[m\].
pub const URBAN_DISTANCE_M: [f64; 2] = [10.0, 5000.0];

/// Heights of devices for which they hold \[m\].
pub const URBAN_HEIGHT_M: [f64; 2] = [1.5, 22.5];

/// Carriers for which they hold \[Hz\].
pub const URBAN_CARRIER_HZ: [f64; 2] = [0.5e9, 100e9];

/// Loss at 1 m and an exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogDistance {
    /// Loss at 1 m \[dB\].
    pub at_1m_db: f64,
    /// Exponent.
    pub exponent: f64,
}

impl LogDistance {
    /// Loss at `distance_m`.
    pub fn loss_db(&self, distance_m: f64) -> f64 {
        self.at_1m_db + 10.0 * self.exponent * distance_m.log10()
    }
}

/// Scenarios of TR 38.901.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrbanKind {
    /// UMi – Street Canyon.
    StreetCanyon,
    /// UMa.
    Macro,
}

/// One base station in a scenario of TR 38.901, and devices of one height, outdoors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Urban {
    /// Scenario.
    pub kind: UrbanKind,
    /// f_c \[Hz\].
    pub carrier_hz: f64,
    /// h_BS \[m\].
    pub base_height_m: f64,
    /// h_UT \[m\].
    pub device_height_m: f64,
}

impl UrbanKind {
    /// h_BS of Table 7.4.1-1 \[m\].
    pub fn base_height_m(self) -> f64 {
        match self {
            Self::StreetCanyon => 10.0,
            Self::Macro => 25.0,
        }
    }

    /// σ_SF of Table 7.4.1-1 \[dB\].
    pub fn shadowing_db(self, line_of_sight: bool) -> f64 {
        match (self, line_of_sight) {
            (_, true) => 4.0,
            (Self::StreetCanyon, false) => 7.82,
            (Self::Macro, false) => 6.0,
        }
    }

    /// Correlation distance of shadow fading, Table 7.5-6 \[m\].
    pub fn shadowing_distance_m(self, line_of_sight: bool) -> f64 {
        match (self, line_of_sight) {
            (Self::StreetCanyon, true) => 10.0,
            (Self::StreetCanyon, false) => 13.0,
            (Self::Macro, true) => 37.0,
            (Self::Macro, false) => 50.0,
        }
    }

    /// Correlation distance of the line-of-sight state, Table 7.6.3.1-2 \[m\].
    pub fn sight_distance_m(self) -> f64 {
        50.0
    }
}

impl Urban {
    /// d_3D \[m\].
    fn slant_m(&self, distance_m: f64) -> f64 {
        distance_m.hypot(self.base_height_m - self.device_height_m)
    }

    /// Probability of line of sight at d_2D, Table 7.4.2-1.
    pub fn sight_probability(&self, distance_m: f64) -> f64 {
        let d = distance_m;
        if d <= 18.0 {
            return 1.0;
        }
        match self.kind {
            UrbanKind::StreetCanyon => 18.0 / d + (-d / 36.0).exp() * (1.0 - 18.0 / d),
            UrbanKind::Macro => {
                let near = 18.0 / d + (-d / 63.0).exp() * (1.0 - 18.0 / d);
                let height = self.height_factor();
                // At great heights the product exceeds 1 by a little.
                (near * (1.0 + height * 1.25 * (d / 100.0).powi(3) * (-d / 150.0).exp())).min(1.0)
            }
        }
    }

    /// C′(h_UT) of Table 7.4.2-1.
    fn height_factor(&self) -> f64 {
        ((self.device_height_m - 13.0).max(0.0) / 10.0).powf(1.5)
    }

    /// h_E of Table 7.4.1-1, note 1 \[m\]: 1 m but for high devices in a macro cell, where `uniform` (a draw in (0,1) that
    /// belongs to the device) picks it.
    pub fn environment_height_m(&self, distance_m: f64, uniform: f64) -> f64 {
        let d = distance_m;
        let g = if d <= 18.0 {
            0.0
        } else {
            1.25 * (d / 100.0).powi(3) * (-d / 150.0).exp()
        };
        let c = g * self.height_factor();
        let low = 1.0 / (1.0 + c);
        if self.kind == UrbanKind::StreetCanyon || uniform < low {
            return 1.0;
        }
        // Uniform over 12, 15, ..., (h_UT − 1.5).
        let choices = ((self.device_height_m - 1.5 - 12.0) / 3.0).floor().max(0.0) + 1.0;
        let pick = ((uniform - low) / (1.0 - low) * choices).floor();
        12.0 + 3.0 * pick.clamp(0.0, choices - 1.0)
    }

    /// d′_BP = 4 h′_BS h′_UT f_c/c \[m\], Table 7.4.1-1, note 1.
    pub fn breakpoint_m(&self, environment_m: f64) -> f64 {
        // An environment as high as the device itself leaves no height; the standard's list ends 1.5 m below it.
        4.0 * (self.base_height_m - environment_m)
            * (self.device_height_m - environment_m)
            * self.carrier_hz
            / LIGHT_M_PER_S
    }

    /// Path loss at d_2D \[dB\], Table 7.4.1-1, without shadow fading.
    pub fn loss_db(&self, distance_m: f64, line_of_sight: bool, environment_m: f64) -> f64 {
        let sight = self.sight_loss_db(distance_m, environment_m);
        if line_of_sight {
            return sight;
        }
        let slant = self.slant_m(distance_m).log10();
        let carrier = (self.carrier_hz / 1e9).log10();
        let above = self.device_height_m - 1.5;
        let obstructed = match self.kind {
            UrbanKind::StreetCanyon => 35.3 * slant + 22.4 + 21.3 * carrier - 0.3 * above,
            UrbanKind::Macro => 13.54 + 39.08 * slant + 20.0 * carrier - 0.6 * above,
        };
        sight.max(obstructed)
    }

    /// PL_UMi-LOS or PL_UMa-LOS \[dB\].
    fn sight_loss_db(&self, distance_m: f64, environment_m: f64) -> f64 {
        let slant = self.slant_m(distance_m).log10();
        let carrier = 20.0 * (self.carrier_hz / 1e9).log10();
        let breakpoint_m = self.breakpoint_m(environment_m);
        let near = distance_m <= breakpoint_m;
        let step = || {
            let heights = self.base_height_m - self.device_height_m;
            (breakpoint_m * breakpoint_m + heights * heights).log10()
        };
        match (self.kind, near) {
            (UrbanKind::StreetCanyon, true) => 32.4 + 21.0 * slant + carrier,
            (UrbanKind::StreetCanyon, false) => 32.4 + 40.0 * slant + carrier - 9.5 * step(),
            (UrbanKind::Macro, true) => 28.0 + 22.0 * slant + carrier,
            (UrbanKind::Macro, false) => 28.0 + 40.0 * slant + carrier - 9.0 * step(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urban(kind: UrbanKind, carrier_hz: f64) -> Urban {
        Urban {
            kind,
            carrier_hz,
            base_height_m: kind.base_height_m(),
            device_height_m: 1.5,
        }
    }

    #[test]
    fn table_7_4_1_1_by_hand() {
        use UrbanKind::{Macro, StreetCanyon};
        // Worked out from the table with a calculator; d'_BP is 300 m and 800 m at 5 GHz.
        for (kind, carrier_hz, distance_m, sight, loss_db) in [
            (StreetCanyon, 5e9, 10.0, true, 69.8591),
            (StreetCanyon, 5e9, 100.0, true, 88.4122),
            (StreetCanyon, 5e9, 1000.0, true, 119.3114),
            (Macro, 5e9, 10.0, true, 72.9380),
            (Macro, 5e9, 100.0, true, 86.2362),
            (Macro, 5e9, 1000.0, true, 109.7252),
            // 35.3·log10(100.3606) + 22.4 + 21.3·log10(3.5) = 70.6552 + 22.4 + 11.5886.
            (StreetCanyon, 3.5e9, 100.0, false, 104.6438),
            // 13.54 + 39.08·log10(500.5519) + 20·log10(2) = 13.54 + 105.4945 + 6.0206.
            (Macro, 2e9, 500.0, false, 125.0551),
            (Macro, 2e9, 10.0, false, 74.5543),
        ] {
            let found = urban(kind, carrier_hz).loss_db(distance_m, sight, 1.0);
            assert!(
                (found - loss_db).abs() < 1e-4,
                "{kind:?} {carrier_hz} {distance_m} {sight}: {found} {loss_db}"
            );
            let seen = urban(kind, carrier_hz).loss_db(distance_m, true, 1.0);
            assert!(found >= seen);
        }
        assert_eq!(urban(StreetCanyon, 5e9).breakpoint_m(1.0), 300.0);
        assert_eq!(urban(Macro, 5e9).breakpoint_m(1.0), 800.0);
    }

    #[test]
    fn loss_is_continuous_at_the_breakpoint_and_grows() {
        for kind in [UrbanKind::StreetCanyon, UrbanKind::Macro] {
            let cell = urban(kind, 3.5e9);
            let at = cell.breakpoint_m(1.0);
            let step = cell.loss_db(at * (1.0 + 1e-9), true, 1.0) - cell.loss_db(at, true, 1.0);
            assert!(step.abs() < 1e-6, "{step}");
            for sight in [true, false] {
                let losses: Vec<f64> = (10..5000)
                    .map(|d| cell.loss_db(f64::from(d), sight, 1.0))
                    .collect();
                assert!(losses.is_sorted());
            }
        }
    }

    #[test]
    fn table_7_4_2_1_by_hand() {
        let street = urban(UrbanKind::StreetCanyon, 3.5e9);
        let cell = urban(UrbanKind::Macro, 3.5e9);
        // 0.18 + e^(−100/36)·0.82 and 0.18 + e^(−100/63)·0.82.
        for (urban, distance_m, probability) in [
            (street, 18.0, 1.0),
            (street, 100.0, 0.230_985),
            (street, 36.0, 0.683_940),
            (cell, 100.0, 0.347_671),
            (cell, 1000.0, 0.018),
        ] {
            let found = urban.sight_probability(distance_m);
            assert!((found - probability).abs() < 1e-5, "{distance_m}: {found}");
        }
        // h_UT = 23 m: C' = 1, so 1 + 1.25·1·e^(−100/150) = 1.641771 times as likely at 100 m.
        let high = Urban {
            device_height_m: 23.0,
            ..cell
        };
        let found = high.sight_probability(100.0) / cell.sight_probability(100.0);
        assert!((found - 1.641_771).abs() < 1e-5, "{found}");
    }

    #[test]
    fn high_devices_see_other_environments() {
        let high = Urban {
            device_height_m: 22.5,
            ..urban(UrbanKind::Macro, 3.5e9)
        };
        let mut seen = std::collections::BTreeMap::new();
        for i in 0..10_000 {
            let uniform = (f64::from(i) + 0.5) / 10_000.0;
            let height = high.environment_height_m(200.0, uniform);
            *seen.entry(height as u32).or_insert(0) += 1;
        }
        // C = (0.95)^1.5 · 1.25·8·e^(−4/3) = 2.4409, so 1/(1 + C) = 0.2906, and 12, 15, 18, 21 share the rest.
        assert_eq!(
            seen.keys().copied().collect::<Vec<_>>(),
            [1, 12, 15, 18, 21]
        );
        assert!(
            (f64::from(seen[&1]) / 1e4 - 0.2906).abs() < 1e-3,
            "{seen:?}"
        );
        assert!(
            (f64::from(seen[&15]) / 1e4 - 0.1773).abs() < 1e-3,
            "{seen:?}"
        );
        let low = urban(UrbanKind::Macro, 3.5e9);
        assert_eq!(low.environment_height_m(200.0, 0.999), 1.0);
    }
}
