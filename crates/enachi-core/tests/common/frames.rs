//! Frames as policies see them, made from a seed.

use super::Rng;
use enachi_core::curve::AccuracyCurve;
use enachi_core::profile::{CutKind, LadderKind};
use enachi_core::radio::{Noise, Radio};
use enachi_core::task::{Candidate, DeviceView, Fading, FrameView, Level, StreamUse};

/// Cuts of every frame.
pub const CUTS: [&str; 4] = ["input", "layer1.0", "layer2.0", "all"];

/// What a [`FrameView`] borrows.
pub struct Owned {
    pub radio: Radio,
    pub curves: Vec<AccuracyCurve>,
    pub levels: Vec<Level>,
    pub candidates: Vec<Candidate>,
    pub devices: Vec<DeviceView>,
}

impl Owned {
    pub fn view(&self, frame: u64) -> FrameView<'_> {
        FrameView {
            frame,
            slot_s: 1e-3,
            bandwidth_hz: 5e6,
            radio: self.radio,
            v: 50.0,
            curves: &self.curves,
            levels: &self.levels,
            candidates: &self.candidates,
            devices: &self.devices,
        }
    }
}

/// A frame of `n` devices with the candidates that a policy of this stream use is offered.
pub fn frame(n: usize, stream_use: StreamUse, deadline_s: f64, rng: &mut Rng) -> Owned {
    let embedded = |total: f64| {
        let bits: Vec<f64> = (0..17)
            .map(|i| total * (f64::from(i) / 16.0).powi(2))
            .collect();
        let accuracy: Vec<f64> = bits
            .iter()
            .map(|b| 0.79 - 0.789 * (-b / (0.1 * total)).exp())
            .collect();
        AccuracyCurve::measured(&bits, &accuracy).expect("valid")
    };
    let level_bits = [0.0, 2e4, 5e4, 9e4];
    let level_accuracy = [0.001, 0.4, 0.7, 0.77];
    let curves = vec![
        match stream_use {
            StreamUse::ImageCodec => {
                AccuracyCurve::levels(&level_bits, &level_accuracy).expect("valid")
            }
            _ => embedded(1.2e6),
        },
        embedded(6e5),
        embedded(2e5),
        AccuracyCurve::constant(0.8).expect("valid"),
    ];
    let levels = level_bits
        .iter()
        .zip(&level_accuracy)
        .map(|(&bits, &accuracy)| Level { bits, accuracy })
        .collect();
    let (mut candidates, mut devices) = (Vec::new(), Vec::new());
    let kinds = [
        CutKind::Input,
        CutKind::Feature,
        CutKind::Feature,
        CutKind::Local,
    ];
    for _ in 0..n {
        let first = candidates.len() as u32;
        for (cut, kind) in kinds.into_iter().enumerate() {
            let offered = match stream_use {
                StreamUse::RawInput | StreamUse::ImageCodec => cut == 0,
                _ => true,
            };
            if !offered {
                continue;
            }
            let head_time_s = [0.0, 0.02, 0.08, 0.27][cut];
            let tail_time_s = [0.027, 0.025, 0.02, 0.0][cut];
            let ladder = match (cut, stream_use) {
                (0, StreamUse::ImageCodec) => LadderKind::Alternatives,
                _ => LadderKind::Embedded,
            };
            let total_bits = curves[cut].total_bits();
            candidates.push(Candidate {
                cut: cut as u32,
                stream: (kind != CutKind::Local).then_some(0),
                kind,
                ladder,
                curve: cut as u32,
                levels: if ladder == LadderKind::Alternatives {
                    0..4
                } else {
                    0..0
                },
                head_time_s,
                encode_time_s: 0.0,
                tail_time_s,
                decode_time_s: 0.0,
                transmit_time_s: deadline_s - head_time_s - tail_time_s,
                local_energy_j: 0.8 * head_time_s,
                total_bits,
                raw_bits: 8.0 * total_bits,
                head_macs: (1e9 * head_time_s) as u64,
                encode_macs: 0,
                tail_macs: 0,
                decode_macs: 0,
            });
        }
        devices.push(DeviceView {
            energy_queue_j: if rng.chance(0.2) {
                0.0
            } else {
                rng.decade(-1.0, 2.0)
            },
            energy_budget_j: 0.25,
            gain: rng.decade(-12.0, -10.5),
            fading: Fading::Rayleigh,
            power_max_w: 2.0,
            deadline_s,
            weight: 1.0,
            edge_price_per_s: 0.0,
            candidates: first..candidates.len() as u32,
        });
    }
    let radio = Radio {
        noise: Noise::Exact {
            psd_w_per_hz: 3.3e-20,
        },
        spectral_cap: 7.4,
    };
    Owned {
        radio,
        curves,
        levels,
        candidates,
        devices,
    }
}
