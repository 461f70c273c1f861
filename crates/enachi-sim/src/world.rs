//! The world that all policies meet: where devices stand, how channels fade, which task each frame brings.

use crate::rng::{Draws, Purpose, open_unit};
use enachi_core::packet::GainSource;

/// How gains vary from slot to slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FadingModel {
    /// The gain of the frame in every slot.
    None,
    /// Rayleigh block fading: exponential power gains, constant over `coherence_slots`, independent between blocks.
    Rayleigh {
        /// Slots per block, ≥ 1.
        coherence_slots: u32,
    },
}

/// The random draws of one seed.
#[derive(Clone, Copy, Debug)]
pub struct World {
    draws: Draws,
    fading: FadingModel,
    shadowing_db: f64,
}

impl World {
    /// The world of `seed`; `shadowing_db` is the standard deviation of the log-normal shadowing of a frame.
    pub fn new(seed: u64, fading: FadingModel, shadowing_db: f64) -> Self {
        Self {
            draws: Draws::new(seed),
            fading,
            shadowing_db,
        }
    }

    /// Distance of `device`, uniform over the area of the ring between `near_m` and `far_m` \[m\].
    pub fn distance_m(&self, device: u32, near_m: f64, far_m: f64) -> f64 {
        let u = self.draws.uniform(Purpose::Placement, device, 0, 0);
        (near_m * near_m + u * (far_m * far_m - near_m * near_m)).sqrt()
    }

    /// Shadowing factor of a device in a frame (1 without shadowing; its mean in dB is 0).
    pub fn shadowing(&self, device: u32, frame: u32) -> f64 {
        if self.shadowing_db == 0.0 {
            return 1.0;
        }
        let normal = self.draws.normal(Purpose::Shadowing, device, frame, 0);
        10f64.powf(self.shadowing_db * normal / 10.0)
    }

    /// The task of a device in a frame: a uniform that picks the image, or the difficulty of a curve-only task.
    pub fn task(&self, device: u32, frame: u32) -> f64 {
        self.draws.uniform(Purpose::Task, device, frame, 0)
    }

    /// Error of the uncertainty prediction at a checkpoint, standard normal.
    pub fn prediction_error(&self, device: u32, frame: u32, checkpoint: u32) -> f64 {
        self.draws
            .normal(Purpose::Prediction, device, frame, checkpoint)
    }

    /// Gains of a device in a frame whose local average is `mean_gain`.
    pub fn gains(&self, device: u32, frame: u32, mean_gain: f64) -> Gains {
        Gains {
            draws: self.draws,
            fading: self.fading,
            device,
            frame,
            mean_gain,
            block: [0.0; 4],
            block_index: u32::MAX,
        }
    }

    /// Average of the realised gains over slots 0..`slots`.
    pub fn frame_average_gain(&self, device: u32, frame: u32, mean_gain: f64, slots: u32) -> f64 {
        if self.fading == FadingModel::None || slots == 0 {
            return mean_gain;
        }
        let mut gains = self.gains(device, frame, mean_gain);
        (0..slots).map(|k| gains.gain(k)).sum::<f64>() / f64::from(slots)
    }
}

/// Channel gains of one device-frame. One Philox block serves four fading blocks.
#[derive(Clone, Copy, Debug)]
pub struct Gains {
    draws: Draws,
    fading: FadingModel,
    device: u32,
    frame: u32,
    mean_gain: f64,
    block: [f64; 4],
    block_index: u32,
}

impl GainSource for Gains {
    #[inline]
    fn gain(&mut self, slot: u32) -> f64 {
        let FadingModel::Rayleigh { coherence_slots } = self.fading else {
            return self.mean_gain;
        };
        let fade = if coherence_slots == 1 {
            slot
        } else {
            slot / coherence_slots
        };
        if fade / 4 != self.block_index {
            self.block_index = fade / 4;
            let words =
                self.draws
                    .block(Purpose::Fading, self.device, self.frame, self.block_index);
            self.block = words.map(|word| -self.mean_gain * open_unit(word).ln());
        }
        self.block[(fade % 4) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAYLEIGH: FadingModel = FadingModel::Rayleigh { coherence_slots: 1 };

    #[test]
    fn gains_do_not_depend_on_where_one_starts() {
        let world = World::new(9, RAYLEIGH, 0.0);
        let mut all = world.gains(3, 17, 2e-12);
        let from_start: Vec<f64> = (0..50).map(|k| all.gain(k)).collect();
        for start in 0..50 {
            let mut late = world.gains(3, 17, 2e-12);
            for (k, expected) in from_start.iter().enumerate().skip(start) {
                assert_eq!(late.gain(k as u32), *expected);
            }
        }
        assert_ne!(world.gains(4, 17, 2e-12).gain(0), from_start[0]);
        assert_ne!(world.gains(3, 18, 2e-12).gain(0), from_start[0]);
    }

    #[test]
    fn rayleigh_gains_are_exponential() {
        let world = World::new(1, RAYLEIGH, 0.0);
        let mut values = Vec::new();
        for frame in 0..100 {
            let mut gains = world.gains(0, frame, 1.0);
            values.extend((0..400).map(|k| gains.gain(k)));
        }
        let n = values.len() as f64;
        values.sort_by(f64::total_cmp);
        // Kolmogorov–Smirnov distance against 1 − e^(−x), 0.1 % level.
        let distance = values
            .iter()
            .enumerate()
            .map(|(i, x)| (1.0 - (-x).exp() - i as f64 / n).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / n.sqrt(), "{distance}");
    }

    #[test]
    fn coherence_holds_the_gain() {
        let world = World::new(1, FadingModel::Rayleigh { coherence_slots: 5 }, 0.0);
        let mut gains = world.gains(0, 0, 1.0);
        let values: Vec<f64> = (0..20).map(|k| gains.gain(k)).collect();
        for k in 0..20 {
            assert!(values[k] == values[k / 5 * 5]);
        }
        assert_ne!(values[0], values[5]);
    }

    #[test]
    fn distances_are_uniform_over_the_ring() {
        let world = World::new(5, RAYLEIGH, 0.0);
        let inner = (0..20_000)
            .filter(|d| world.distance_m(*d, 10.0, 100.0) < 50.0)
            .count() as f64
            / 20_000.0;
        let expected = (2500.0 - 100.0) / (10_000.0 - 100.0);
        assert!((inner - expected).abs() < 0.015, "{inner} {expected}");
    }

    #[test]
    fn shadowing_has_its_spread() {
        let world = World::new(5, RAYLEIGH, 4.0);
        let db: Vec<f64> = (0..20_000)
            .map(|f| 10.0 * world.shadowing(0, f).log10())
            .collect();
        let mean = db.iter().sum::<f64>() / 20_000.0;
        let sd = (db.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0).sqrt();
        assert!(mean.abs() < 0.15 && (sd - 4.0).abs() < 0.1);
    }
}
