//! The streams that are measured at each cut, and their checkpoints.

use super::pictures::Ladder;
use super::{Calibration, Job, ProfilerError};
use crate::codec::{ChannelTransform, Codec, EncoderScratch, SpatialTransform};
use crate::parallel::ordered_fold;
use crate::picture::Rung;
use crate::raw::RawMaps;
use enachi_core::profile::LadderKind;

/// What turns a tensor into bits.
pub enum Coder {
    /// The feature codec.
    Feature {
        /// Encoder and decoder.
        codec: Box<Codec>,
        /// See [`CutCalibration::class_means`](super::CutCalibration).
        class_means: Vec<Vec<f32>>,
    },
    /// Raw maps in a fixed order, or (`None`) in an order drawn for each image.
    Raw(RawMaps, Option<Vec<usize>>),
    /// A coded picture, bits rising from rung to rung.
    Picture(Vec<Rung>),
    /// Uncompressed 8-bit pixels.
    Pixels,
}

/// One stream to be measured.
pub struct StreamPlan {
    /// Index of the cut: 0 is the input, `i + 1` is inner cut `i`.
    pub cut: usize,
    /// Name in the profile.
    pub name: String,
    /// What turns the tensor into bits.
    pub coder: Coder,
    /// Chunks (feature codec, maps) or levels at each checkpoint; the first is 0.
    pub checkpoints: Vec<u32>,
    /// Chunks, maps or levels of the whole stream.
    pub total_chunks: u32,
    /// The first so many measured images are measured with it.
    pub images: usize,
}

impl StreamPlan {
    /// Whether uncertainty is predicted from what has arrived.
    pub fn has_predictor(&self) -> bool {
        matches!(self.coder, Coder::Feature { .. })
    }

    /// Whether a prefix is useful.
    pub fn ladder(&self) -> LadderKind {
        match self.coder {
            Coder::Feature { .. } | Coder::Raw(..) => LadderKind::Embedded,
            Coder::Picture(_) | Coder::Pixels => LadderKind::Alternatives,
        }
    }

    /// MACs of encoder and decoder.
    pub fn macs(&self) -> (u64, u64) {
        match &self.coder {
            Coder::Feature { codec, .. } => (codec.macs(), codec.macs()),
            Coder::Raw(raw, _) => (raw.macs(), raw.macs()),
            // Image codecs are not matrix products; their cost is in the measured times.
            Coder::Picture(_) | Coder::Pixels => (0, 0),
        }
    }
}

/// Calibration images on which checkpoints are placed.
const LADDER_IMAGES: usize = 24;
/// First checkpoint of a coded stream as a share of the whole.
const FIRST_SHARE: f64 = 1.0 / 96.0;

/// All streams of all cuts, in the order of the profile.
pub fn plan(
    job: &Job,
    calibration: &Calibration,
    pictures: &[Ladder],
) -> Result<Vec<StreamPlan>, ProfilerError> {
    let codecs = calibration
        .cuts
        .iter()
        .map(|cut| {
            Codec::new(cut.tables.clone()).map_err(|source| ProfilerError::Codec {
                cut: cut.name.clone(),
                source,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let bytes = mean_chunk_bytes(job, &codecs)?;
    let measured = job.measured.len();
    let mut plan: Vec<StreamPlan> = pictures
        .iter()
        .map(|ladder| StreamPlan {
            cut: 0,
            name: ladder.name.clone(),
            total_chunks: ladder.rungs.len() as u32,
            coder: Coder::Picture(ladder.rungs.clone()),
            checkpoints: (0..=ladder.rungs.len() as u32).collect(),
            images: measured,
        })
        .collect();
    plan.push(StreamPlan {
        cut: 0,
        name: "pixels".into(),
        coder: Coder::Pixels,
        checkpoints: vec![0, 1],
        total_chunks: 1,
        images: measured,
    });
    let settings = &job.settings;
    let name = match (settings.codec.channels, settings.codec.spatial) {
        (ChannelTransform::Klt, SpatialTransform::Dct) => "klt-dct",
        (ChannelTransform::Klt, SpatialTransform::None) => "klt",
        (ChannelTransform::None, SpatialTransform::Dct) => "dct",
        (ChannelTransform::None, SpatialTransform::None) => "planes",
        (ChannelTransform::Task, SpatialTransform::Task) => "task-klt",
        (ChannelTransform::Task, _) | (_, SpatialTransform::Task) => "task-mixed",
    };
    for (i, ((codec, bytes), cut)) in codecs.into_iter().zip(bytes).zip(&job.cuts).enumerate() {
        plan.push(StreamPlan {
            cut: i + 1,
            name: name.into(),
            checkpoints: geometric_ladder(&bytes, settings.checkpoints),
            total_chunks: bytes.len() as u32,
            coder: Coder::Feature {
                codec: Box::new(codec),
                class_means: calibration.cuts[i].class_means.clone(),
            },
            images: measured,
        });
        let raw_images = settings.raw_images.min(measured);
        if raw_images == 0 {
            continue;
        }
        let statistics = &calibration.cuts[i].raw;
        let by_score = |scores: &[f64]| {
            let mut order: Vec<usize> = (0..cut.maps).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
            Some(order)
        };
        // The energy needs no gradients; it stays in for comparison where there is a better score.
        let scores = match settings.imported_scores.get(&cut.name) {
            Some(imported) => ("imported", imported),
            None if !statistics.taylor.is_empty() => ("taylor", &statistics.taylor),
            None => ("energy", &statistics.energy),
        };
        let mut orders = vec![
            (format!("raw8-{}", scores.0), 8, by_score(scores.1)),
            (format!("raw32-{}", scores.0), 32, by_score(scores.1)),
            ("raw8-random".to_string(), 8, None),
            ("raw32-random".to_string(), 32, None),
        ];
        if scores.0 != "energy" {
            let energy = by_score(&statistics.energy);
            orders.insert(2, ("raw8-energy".into(), 8, energy));
        }
        for (name, bits_per_element, order) in orders {
            let ranges = statistics.low.iter().zip(&statistics.high);
            let raw = RawMaps {
                area: cut.height * cut.width,
                bits_per_element,
                mean: statistics.mean.clone(),
                range: ranges.map(|(&low, &high)| low..high).collect(),
            };
            plan.push(StreamPlan {
                cut: i + 1,
                name,
                checkpoints: power_ladder(cut.maps, settings.checkpoints),
                total_chunks: cut.maps as u32,
                coder: Coder::Raw(raw, order),
                images: raw_images,
            });
        }
    }
    Ok(plan)
}

/// Mean bytes of every chunk of every cut over a few calibration images.
fn mean_chunk_bytes(job: &Job, codecs: &[Codec]) -> Result<Vec<Vec<f64>>, ProfilerError> {
    let images = job.calibration.len().min(LADDER_IMAGES);
    let mut mean: Vec<Vec<f64>> = codecs.iter().map(|c| vec![0.0; c.chunk_count()]).collect();
    ordered_fold(
        job.threads,
        images,
        |i| {
            let (features, _) = job.features(&job.picture(&job.calibration[i])?)?;
            let mut scratch = EncoderScratch::default();
            Ok::<_, ProfilerError>(
                features
                    .iter()
                    .zip(codecs)
                    .map(|(f, codec)| {
                        let chunks = codec.encode(&f.data, &mut scratch);
                        chunks.iter().map(|c| c.air_bytes()).collect::<Vec<_>>()
                    })
                    .collect::<Vec<_>>(),
            )
        },
        |_, bytes| {
            for (mean, bytes) in mean.iter_mut().zip(bytes) {
                for (m, b) in mean.iter_mut().zip(bytes) {
                    *m += b as f64 / images as f64;
                }
            }
        },
    )?;
    Ok(mean)
}

/// Checkpoints whose bits grow by a constant factor from [`FIRST_SHARE`] to the whole stream, each at the end of a
/// chunk; nothing sent comes first.
fn geometric_ladder(bytes: &[f64], checkpoints: usize) -> Vec<u32> {
    let total: f64 = bytes.iter().sum();
    let mut ladder = vec![0u32];
    let mut sent = 0.0;
    let mut next = 0;
    for (i, b) in bytes.iter().enumerate() {
        sent += b;
        // Chunks still to come must not run out before the checkpoints do.
        let left = (checkpoints - next) as i32 - 1;
        let due = total * FIRST_SHARE.powf(f64::from(left) / (checkpoints - 1) as f64);
        if i + 1 == bytes.len() || (sent >= due * 0.999 && left > 0) {
            ladder.push(i as u32 + 1);
            while next < checkpoints - 1
                && total
                    * FIRST_SHARE
                        .powf(((checkpoints - next) as f64 - 1.0) / (checkpoints - 1) as f64)
                    <= sent * 1.001
            {
                next += 1;
            }
        }
    }
    ladder
}

/// Checkpoints at `n · (j / checkpoints)^1.5` maps, each at least one more than the last.
fn power_ladder(n: usize, checkpoints: usize) -> Vec<u32> {
    let mut ladder = vec![0u32];
    for j in 1..=checkpoints {
        let share = (j as f64 / checkpoints as f64).powf(1.5);
        let maps = (n as f64 * share).round() as u32;
        if maps > ladder[ladder.len() - 1] {
            ladder.push(maps);
        }
    }
    ladder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders_rise_from_nothing_to_everything() {
        for bytes in [vec![100.0; 300], vec![5000.0, 10.0, 10.0], vec![1.0]] {
            for checkpoints in [2, 16] {
                let ladder = geometric_ladder(&bytes, checkpoints);
                assert_eq!(ladder[0], 0);
                assert_eq!(*ladder.last().expect("not empty"), bytes.len() as u32);
                assert!(ladder.windows(2).all(|w| w[0] < w[1]), "{ladder:?}");
                assert!(ladder.len() <= checkpoints + 1, "{ladder:?}");
            }
        }
        let dense = geometric_ladder(&vec![100.0; 300], 16);
        assert_eq!(dense.len(), 17);
        assert!(dense[8] < 40, "dense at the start: {dense:?}");
        assert_eq!(power_ladder(3, 16), vec![0, 1, 2, 3]);
        assert_eq!(power_ladder(512, 16).len(), 17);
    }
}
