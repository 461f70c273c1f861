//! Which pictures cut 0 sends: a ladder of qualities per image codec, and one per codec that mixes qualities with sides.
//!
//! The plain ladders (`jpeg`, `webp`) code the whole picture at every quality. The mixed ones (`jpeg-ladder`,
//! `webp-ladder`) are what somebody who tunes an image codec for a network ends up with: every (side, quality) is tried
//! on calibration images, and those stay that no other beats at its bits. Nothing is chosen on the measured images.

use super::journal::Row;
use super::streams::{Coder, StreamPlan};
use super::{Job, ProfilerError, Step};
use crate::answer::log_probabilities;
use crate::images::to_tensor;
use crate::parallel::ordered_fold;
use crate::picture::{PictureCodec, Rung};
use serde::{Deserialize, Serialize};

/// A stream of cut 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// Name in the profile.
    pub name: String,
    /// Bits rising.
    pub rungs: Vec<Rung>,
}

/// A rung as calibration images see it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tried {
    rung: Rung,
    /// Mean bits.
    bits: f64,
    /// Mean probability that the answer to the coded picture gives to the class the network names for the uncoded one:
    /// the expected agreement, smoother over few images than a count of equal answers.
    agreement: f64,
}

/// Calibration images on which rungs are tried.
const IMAGES: usize = 32;
/// Most rungs of a mixed ladder that the plain one does not have: only those cost answers of the network.
const SHRUNK_RUNGS: usize = 7;
/// Each rung has at least this many times the bits of the one below it on calibration images, so that bits rise on
/// other images too.
const LEAST_STEP: f64 = 1.03;

/// Try every rung on calibration images and build the ladders.
pub fn choose(job: &Job, progress: &(dyn Fn(Step) + Sync)) -> Result<Vec<Ladder>, ProfilerError> {
    let side = job.preprocess.crop;
    let settings = &job.settings;
    let mixed = !settings.picture_sides.is_empty();
    let mut rungs = Vec::new();
    for (codec, qualities) in [
        (PictureCodec::Jpeg, &settings.jpeg_qualities),
        (PictureCodec::Webp, &settings.webp_qualities),
    ] {
        for &side in std::iter::once(&side).chain(&settings.picture_sides) {
            rungs.extend(qualities.iter().map(|&quality| Rung {
                codec,
                side,
                quality,
            }));
        }
    }
    let tried = try_rungs(job, &rungs, mixed, progress)?;
    let mut ladders = Vec::new();
    for codec in [PictureCodec::Jpeg, PictureCodec::Webp] {
        let of = |t: &&Tried| t.rung.codec == codec;
        let plain: Vec<Tried> = tried
            .iter()
            .filter(of)
            .filter(|t| t.rung.side == side)
            .copied()
            .collect();
        if plain.is_empty() {
            continue;
        }
        ladders.push(Ladder {
            name: codec.name().into(),
            rungs: rising(plain).iter().map(|t| t.rung).collect(),
        });
        if mixed {
            let all = tried.iter().filter(of).copied().collect();
            ladders.push(Ladder {
                name: format!("{}-ladder", codec.name()),
                rungs: best_mix(all, side, SHRUNK_RUNGS)
                    .iter()
                    .map(|t| t.rung)
                    .collect(),
            });
        }
    }
    // Plain ladders first: the first stream of a cut is its default.
    ladders.sort_by_key(|ladder| ladder.name.ends_with("-ladder"));
    Ok(ladders)
}

/// Mean bits of every rung on calibration images and, if `answers`, its agreement (0 otherwise).
fn try_rungs(
    job: &Job,
    rungs: &[Rung],
    answers: bool,
    progress: &(dyn Fn(Step) + Sync),
) -> Result<Vec<Tried>, ProfilerError> {
    let images = job.calibration.len().min(IMAGES);
    progress(Step::Begin("trying pictures", images as u64, 0));
    let mut tried: Vec<Tried> = rungs
        .iter()
        .map(|&rung| Tried {
            rung,
            bits: 0.0,
            agreement: 0.0,
        })
        .collect();
    let (input, output) = (job.graph.input_name(), job.graph.output_name());
    ordered_fold(
        job.threads,
        images,
        |i| {
            let picture = job.picture(&job.calibration[i])?;
            let name = &job.calibration[i].name;
            let answer = |picture: &_| {
                let x = to_tensor(picture, &job.preprocess);
                let scores = job.engine.run(input, &x, output)?;
                let top1 = job.read(&scores, name)?.top1;
                Ok::<_, ProfilerError>((top1, scores))
            };
            let whole = match answers {
                true => Some(answer(&picture)?.0),
                false => None,
            };
            rungs
                .iter()
                .map(|rung| {
                    let bytes = rung.encode(&picture)?;
                    let agreement = match whole {
                        None => 0.0,
                        Some(class) => {
                            let (_, scores) = answer(&rung.decode(&bytes, picture.width)?)?;
                            log_probabilities(&scores.data)[usize::from(class)].exp()
                        }
                    };
                    Ok((bytes.len() as f64 * 8.0, agreement))
                })
                .collect::<Result<Vec<_>, ProfilerError>>()
        },
        |_, found| {
            for (total, (bits, agreement)) in tried.iter_mut().zip(found) {
                total.bits += bits / images as f64;
                total.agreement += agreement / images as f64;
            }
            progress(Step::Advance(1));
        },
    )?;
    Ok(tried)
}

/// Drop the rungs whose mean bits on the measured images do not rise above those of the rung below: a profile's levels
/// ascend, and calibration images promise that only nearly. Nothing is known of answers here.
pub fn drop_falling(plan: &mut [StreamPlan], rows: &mut [Row]) {
    for (s, stream) in plan.iter_mut().enumerate() {
        let Coder::Picture(rungs) = &mut stream.coder else {
            continue;
        };
        let mut kept = Vec::new();
        let mut below = 0;
        for level in 0..rungs.len() {
            let outcomes = rows.iter().flat_map(|row| &row.streams[s]);
            let bits: u64 = outcomes.map(|o| u64::from(o[level].0)).sum();
            if bits > below {
                below = bits;
                kept.push(level);
            }
        }
        *rungs = kept.iter().map(|&level| rungs[level]).collect();
        stream.total_chunks = kept.len() as u32;
        stream.checkpoints.truncate(kept.len() + 1);
        for outcomes in rows.iter_mut().flat_map(|row| &mut row.streams[s]) {
            *outcomes = kept.iter().map(|&level| outcomes[level]).collect();
        }
    }
}

/// In order of bits, without rungs that cost hardly more than the one below.
fn rising(mut tried: Vec<Tried>) -> Vec<Tried> {
    tried.sort_by(|a, b| a.bits.total_cmp(&b.bits));
    let mut kept: Vec<Tried> = Vec::new();
    for t in tried {
        if kept
            .last()
            .is_none_or(|last| t.bits >= last.bits * LEAST_STEP)
        {
            kept.push(t);
        }
    }
    kept
}

/// The rungs that no cheaper one reaches in agreement. Those that are smaller than the whole picture are thinned to at
/// most `most`: while there are more, the one goes that stands out least above the line between its neighbours (over log
/// bits).
fn best_mix(mut tried: Vec<Tried>, whole: u32, most: usize) -> Vec<Tried> {
    tried.sort_by(|a, b| {
        a.bits
            .total_cmp(&b.bits)
            .then(b.agreement.total_cmp(&a.agreement))
    });
    let mut front: Vec<Tried> = Vec::new();
    for t in tried {
        if front.last().is_none_or(|last| t.agreement > last.agreement) {
            front.push(t);
        }
    }
    // From the top, so that what goes has a better rung at hardly more bits.
    let mut above = f64::INFINITY;
    let mut spaced = front.len();
    for i in (0..front.len()).rev() {
        if front[i].bits * LEAST_STEP <= above {
            above = front[i].bits;
            spaced -= 1;
            front[spaced] = front[i];
        }
    }
    front.drain(..spaced);
    let gain = |front: &[Tried], i: usize| {
        // The ends stay: without them the ladder would be shorter.
        if i == 0 || i + 1 == front.len() {
            return f64::INFINITY;
        }
        let (a, t, b) = (front[i - 1], front[i], front[i + 1]);
        let share = (t.bits / a.bits).ln() / (b.bits / a.bits).ln();
        t.agreement - a.agreement - share * (b.agreement - a.agreement)
    };
    loop {
        let shrunk: Vec<usize> = (0..front.len())
            .filter(|&i| front[i].rung.side != whole)
            .collect();
        if shrunk.len() <= most {
            return front;
        }
        let least = shrunk
            .into_iter()
            .min_by(|&a, &b| gain(&front, a).total_cmp(&gain(&front, b)));
        match least {
            Some(i) => front.remove(i),
            None => return front,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(side: u32, quality: u8, bits: f64, agreement: f64) -> Tried {
        Tried {
            rung: Rung {
                codec: PictureCodec::Webp,
                side,
                quality,
            },
            bits,
            agreement,
        }
    }

    #[test]
    fn rungs_that_hardly_cost_more_are_dropped() {
        let kept = rising(vec![
            tried(8, 30, 300.0, 0.0),
            tried(8, 10, 100.0, 0.0),
            tried(8, 11, 101.0, 0.0),
            tried(8, 12, 104.0, 0.0),
        ]);
        let bits: Vec<f64> = kept.iter().map(|t| t.bits).collect();
        assert_eq!(bits, [100.0, 104.0, 300.0]);
    }

    #[test]
    fn the_mix_beats_every_rung_at_its_bits() {
        // Two sides whose curves cross, on a grid dense enough to be thinned.
        let mut all = Vec::new();
        for quality in 1..=60u8 {
            let q = f64::from(quality);
            all.push(tried(8, quality, 50.0 * q, 0.9 * (1.0 - (-q / 8.0).exp())));
            all.push(tried(16, quality, 200.0 * q, 1.0 - (-q / 5.0).exp()));
        }
        let whole = best_mix(all.clone(), 16, usize::MAX);
        for t in &all {
            let best = whole.iter().filter(|k| k.bits <= t.bits * LEAST_STEP);
            let best = best.map(|k| k.agreement).fold(0.0, f64::max);
            assert!(best >= t.agreement, "{t:?} beats the mix");
        }
        let kept = best_mix(all.clone(), 16, 7);
        let at = |ladder: &[Tried], side| ladder.iter().filter(|t| t.rung.side == side).count();
        assert!(at(&whole, 8) > 7, "nothing to thin");
        assert_eq!(at(&kept, 8), 7);
        assert_eq!(at(&kept, 16), at(&whole, 16));
        assert_eq!(kept[0], whole[0]);
        assert_eq!(kept.last(), whole.last());
        assert!(kept.windows(2).all(|w| w[1].bits >= w[0].bits * LEAST_STEP));
        assert!(kept.windows(2).all(|w| w[1].agreement > w[0].agreement));
        // Between kept rungs little is lost: the chord stays within two points of the whole front.
        for t in &whole {
            let above = kept
                .iter()
                .position(|k| k.bits >= t.bits)
                .expect("the last stays");
            if above > 0 {
                let (a, b) = (&kept[above - 1], &kept[above]);
                let share = (t.bits / a.bits).ln() / (b.bits / a.bits).ln();
                let chord = a.agreement + share * (b.agreement - a.agreement);
                assert!(t.agreement - chord < 0.03, "{t:?} {chord}");
            }
        }
    }

    #[test]
    fn rungs_that_fall_on_measured_images_leave_plan_and_rows_alike() {
        let rungs: Vec<Rung> = (1..=4).map(|q| tried(8, q, 0.0, 0.0).rung).collect();
        let mut plan = [StreamPlan {
            cut: 0,
            name: "webp".into(),
            coder: Coder::Picture(rungs.clone()),
            checkpoints: (0..=4).collect(),
            total_chunks: 4,
            images: 2,
        }];
        let row = |image, bits: [u32; 4]| Row {
            known: vec![],
            image,
            top1: 0,
            streams: vec![Some(bits.iter().map(|&b| (b, b as u16, 0.0)).collect())],
        };
        // Means 10, 20, 19, 30: the third goes, though it rises on one of the images.
        let mut rows = [row(0, [10, 20, 25, 30]), row(1, [10, 20, 13, 30])];
        drop_falling(&mut plan, &mut rows);
        let Coder::Picture(kept) = &plan[0].coder else {
            panic!("still a picture");
        };
        assert_eq!(*kept, [rungs[0], rungs[1], rungs[3]]);
        assert_eq!(plan[0].checkpoints, [0, 1, 2, 3]);
        assert_eq!(plan[0].total_chunks, 3);
        for row in &rows {
            let bits: Vec<u32> = row.streams[0].iter().flatten().map(|o| o.0).collect();
            assert_eq!(bits, [10, 20, 30]);
        }
    }

    #[test]
    fn a_lone_rung_is_a_ladder() {
        assert_eq!(best_mix(vec![tried(8, 1, 10.0, 0.0)], 8, 7).len(), 1);
    }
}
