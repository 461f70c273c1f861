//! A small measured profile and a plain policy, made up for tests.
#![allow(dead_code, clippy::unwrap_used)]

use enachi_core::profile::{
    CutKind, CutProfile, Image, LadderKind, MeasuredCurve, Meta, Profile, Samples, Stream,
    Surrogate,
};
use enachi_core::task::policies::PolicyParams;
use enachi_core::task::{FrameView, PlanFailure, PowerMode, StreamUse, TaskGrant, TaskPolicy};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::{Scenario, parse};

pub const IMAGES: usize = 60;

/// Difficulty of an image in 0..1: the share of bits from which its answer is right; the last tenth never is.
pub fn difficulty(image: usize) -> f64 {
    let rank = (image * 37 % IMAGES) as f64 / IMAGES as f64;
    if rank >= 0.9 { 2.0 } else { rank * rank / 0.81 }
}

fn stream(name: &str, ladder: LadderKind, fractions: &[f64], total_bits: f64) -> Stream {
    let mut samples = Samples {
        images: IMAGES,
        checkpoints: fractions.len(),
        ..Samples::default()
    };
    for image in 0..IMAGES {
        // Streams differ in length by image, a fifth to either side.
        let length = total_bits * (0.8 + 0.4 * (image % 5) as f64 / 4.0);
        for fraction in fractions {
            let right = *fraction >= difficulty(image) && *fraction > 0.0;
            samples.bits.push((length * fraction) as u32);
            samples.correct.push(right);
            samples
                .top1
                .push(if right { image as u16 % 10 } else { 10 });
            let doubt = (difficulty(image).min(1.0) - fraction).max(0.0);
            samples.entropy_nats.push((2.3 * doubt) as f32);
        }
    }
    let mean = |at: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..fractions.len())
            .map(|c| (0..IMAGES).map(|i| at(samples.at(i, c))).sum::<f64>() / IMAGES as f64)
            .collect()
    };
    let top1 = mean(&|i| f64::from(u8::from(samples.correct[i])));
    let loss: Vec<f64> = top1.iter().map(|a| 0.9 - a).collect();
    let measured = MeasuredCurve {
        bits: mean(&|i| f64::from(samples.bits[i])),
        top1_low: top1.iter().map(|a| (a - 0.1).max(0.0)).collect(),
        top1_high: top1.iter().map(|a| (a + 0.1).min(1.0)).collect(),
        top1,
        loss_low: loss.iter().map(|l| l - 0.1).collect(),
        loss_high: loss.iter().map(|l| l + 0.1).collect(),
        loss,
        envelope: (0..fractions.len() as u32).collect(),
    };
    Stream {
        name: name.into(),
        ladder,
        encode_macs: 1_000_000,
        decode_macs: 1_000_000,
        encode_time: None,
        decode_time: None,
        total_bits: *measured.bits.last().unwrap(),
        total_chunks: 100,
        checkpoint_chunks: match ladder {
            LadderKind::Embedded => fractions.iter().map(|f| (f * 100.0) as u32).collect(),
            LadderKind::Alternatives => (0..fractions.len() as u32).collect(),
        },
        surrogate: Some(Surrogate {
            a0: 60.0,
            a1: 0.0,
            a2: 0.92,
            floor: 0.1,
            rmse: 0.0,
            max_error: 0.0,
        }),
        measured: Some(measured),
        predictor: None,
        samples,
    }
}

/// Input with a quality ladder, two feature cuts (also raw, in random order), all local.
pub fn profile() -> Profile {
    let fine = [0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0];
    let cut = |name: &str, kind, head_macs: u64, streams| CutProfile {
        name: name.into(),
        kind,
        maps: 32,
        height: 28,
        width: 28,
        head_macs,
        tail_macs: 400_000_000 - head_macs,
        head_time: None,
        tail_time: None,
        streams,
        top1_uncompressed: 0.9,
    };
    let feature = |total_bits: f64| {
        vec![
            stream("klt-dct", LadderKind::Embedded, &fine, total_bits),
            stream(
                "raw8-random",
                LadderKind::Embedded,
                &[0.0, 0.5, 1.0],
                4.0 * total_bits,
            ),
        ]
    };
    Profile {
        meta: Meta {
            model_name: "toy".into(),
            classes: 11,
            top1_uncompressed: 0.9,
            ..Meta::default()
        },
        cuts: vec![
            cut(
                "input",
                CutKind::Input,
                0,
                vec![stream(
                    "jpeg",
                    LadderKind::Alternatives,
                    &[0.0, 0.3, 0.6, 1.0],
                    150_000.0,
                )],
            ),
            cut("block1", CutKind::Feature, 60_000_000, feature(300_000.0)),
            cut("block2", CutKind::Feature, 200_000_000, feature(120_000.0)),
            cut("output", CutKind::Local, 400_000_000, Vec::new()),
        ],
        images: (0..IMAGES)
            .map(|i| Image {
                name: format!("{i}.jpg"),
                label: i as u16 % 10,
                top1: if difficulty(i) <= 1.0 {
                    i as u16 % 10
                } else {
                    10
                },
            })
            .collect(),
    }
}

/// Every device gets the same candidate, an equal share of the band, and a fixed power.
#[derive(Clone)]
pub struct Equal {
    pub candidate: u32,
    pub power_w: f64,
    pub power: PowerMode,
    pub stop: bool,
    pub bits_limit: f64,
    pub level: Option<u32>,
}

pub const EQUAL: Equal = Equal {
    candidate: 1,
    power_w: 0.4,
    power: PowerMode::Tracking,
    stop: true,
    bits_limit: f64::INFINITY,
    level: None,
};

impl TaskPolicy for Equal {
    fn name(&self) -> &str {
        "equal"
    }
    fn stream_use(&self) -> StreamUse {
        StreamUse::Progressive
    }
    fn plan(&mut self, frame: &FrameView<'_>, grants: &mut [TaskGrant]) -> Result<(), PlanFailure> {
        let share = frame.bandwidth_hz / grants.len() as f64;
        for (grant, device) in grants.iter_mut().zip(frame.devices) {
            if device.candidates.is_empty() {
                *grant = TaskGrant::default();
                continue;
            }
            *grant = TaskGrant {
                candidate: Some(device.candidates.start + self.candidate),
                bandwidth_hz: share,
                reference_power_w: self.power_w,
                level: self.level,
                bits_limit: self.bits_limit,
                power: self.power,
                stop: self.stop,
                bits: 0.0,
                accuracy: 0.0,
            };
        }
        Ok(())
    }
}

/// `tracking`, `constant`, `never`, `level`, `half`, all on [`EQUAL`].
pub fn factory() -> PolicyFactory {
    PolicyFactory::new(&profile(), PolicyParams::default())
        .with("tracking", || EQUAL)
        .with("constant", || Equal {
            power: PowerMode::Constant,
            ..EQUAL
        })
        .with("never", || Equal {
            stop: false,
            ..EQUAL
        })
        .with("level", || Equal {
            candidate: 0,
            level: Some(2),
            power: PowerMode::Constant,
            ..EQUAL
        })
        .with("half", || Equal {
            bits_limit: 29_000.0,
            stop: false,
            ..EQUAL
        })
        .with("local", || Equal {
            candidate: 3,
            ..EQUAL
        })
}

pub fn scenario(text: &str) -> Scenario {
    parse(text, "test.toml", &[]).unwrap()
}
