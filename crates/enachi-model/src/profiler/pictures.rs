//! Which pictures cut 0 sends: a ladder of qualities per image codec, and one per codec that mixes qualities with sides.
//!
//! The plain ladders (`jpeg`, `webp`) code the whole picture at every quality. The mixed ones (`jpeg-ladder`,
//! `webp-ladder`) are what somebody who tunes an image codec for a network ends up with: all rungs of the plain ladder, and
//! of the shrunk pictures, each tried on calibration images, those that none beats at its bits. So a mixed ladder loses
//! nothing against the plain one. Nothing is chosen on the measured images.

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
#[derive(Clone, Debug, PartialEq)]
struct Tried {
    rung: Rung,
    /// Mean bits.
    bits: f64,
    /// Per image, the probability that the answer to the coded picture gives to the class the network names for the uncoded
    /// one: its expected agreement, smoother over few images than a count of equal answers. Empty if it was not asked for.
    agreements: Vec<f64>,
}

impl Tried {
    fn agreement(&self) -> f64 {
        mean(&self.agreements)
    }

    /// Whether `other` agrees more by so much that it is not the luck of these images: by more than a standard error of
    /// the mean difference, image by image.
    fn is_beaten_by(&self, other: &Self) -> bool {
        let pairs = other.agreements.iter().zip(&self.agreements);
        let differences: Vec<f64> = pairs.map(|(theirs, own)| theirs - own).collect();
        let (lead, count) = (mean(&differences), differences.len() as f64);
        let squares: f64 = differences.iter().map(|d| (d - lead).powi(2)).sum();
        lead > (squares / (count * (count - 1.0).max(1.0))).sqrt()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Calibration images on which rungs are tried.
const IMAGES: usize = 64;
/// Most rungs of a mixed ladder that the plain one does not have: only those cost answers of the network.
const SHRUNK_RUNGS: usize = 7;
/// Each rung of a plain ladder has at least this many times the bits of the one below it on calibration images.
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
        let (plain, shrunk): (Vec<Tried>, Vec<Tried>) = tried
            .iter()
            .filter(of)
            .cloned()
            .partition(|t| t.rung.side == side);
        if plain.is_empty() {
            continue;
        }
        let plain = rising(plain);
        let rungs = |ladder: &[Tried]| ladder.iter().map(|t| t.rung).collect();
        ladders.push(Ladder {
            name: codec.name().into(),
            rungs: rungs(&plain),
        });
        if mixed {
            ladders.push(Ladder {
                name: format!("{}-ladder", codec.name()),
                rungs: rungs(&mix(plain, &shrunk, SHRUNK_RUNGS)),
            });
        }
    }
    // Plain ladders first: the first stream of a cut is its default.
    ladders.sort_by_key(|ladder| ladder.name.ends_with("-ladder"));
    Ok(ladders)
}

/// Mean bits of every rung on calibration images and, if `answers`, its agreement.
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
            agreements: Vec::new(),
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
                        None => None,
                        Some(class) => {
                            let (_, scores) = answer(&rung.decode(&bytes, picture.width)?)?;
                            Some(log_probabilities(&scores.data)[usize::from(class)].exp())
                        }
                    };
                    Ok((bytes.len() as f64 * 8.0, agreement))
                })
                .collect::<Result<Vec<_>, ProfilerError>>()
        },
        |_, found| {
            for (total, (bits, agreement)) in tried.iter_mut().zip(found) {
                total.bits += bits / images as f64;
                total.agreements.extend(agreement);
            }
            progress(Step::Advance(1));
        },
    )?;
    Ok(tried)
}

/// Put the rungs in the order of their mean bits on the measured images, without those that have the same: a profile's levels
/// ascend, and calibration images promise that only nearly. Nothing is known of answers here.
pub fn put_in_order(plan: &mut [StreamPlan], rows: &mut [Row]) {
    for (s, stream) in plan.iter_mut().enumerate() {
        let Coder::Picture(rungs) = &mut stream.coder else {
            continue;
        };
        let bits = |level: usize| -> u64 {
            let outcomes = rows.iter().flat_map(|row| &row.streams[s]);
            outcomes.map(|o| u64::from(o[level].0)).sum()
        };
        let mut order: Vec<(u64, usize)> = (0..rungs.len()).map(|l| (bits(l), l)).collect();
        order.sort_unstable();
        order.dedup_by_key(|(bits, _)| *bits);
        *rungs = order.iter().map(|&(_, level)| rungs[level]).collect();
        stream.total_chunks = order.len() as u32;
        stream.checkpoints.truncate(order.len() + 1);
        for outcomes in rows.iter_mut().flat_map(|row| &mut row.streams[s]) {
            *outcomes = order.iter().map(|&(_, level)| outcomes[level]).collect();
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

/// All of `plain`, and of `shrunk` those that no rung beats at as many bits or less, in order of bits. Of the latter at most
/// `most`: while there are more, the one goes that stands out least above the line between its neighbours (over log bits).
fn mix(plain: Vec<Tried>, shrunk: &[Tried], most: usize) -> Vec<Tried> {
    let side = plain.first().map(|t| t.rung.side);
    let beaten = |t: &Tried| {
        let mut others = plain.iter().chain(shrunk);
        others.any(|other| other.bits <= t.bits && t.is_beaten_by(other))
    };
    let unbeaten: Vec<Tried> = shrunk.iter().filter(|t| !beaten(t)).cloned().collect();
    let mut ladder = plain;
    ladder.extend(unbeaten);
    ladder.sort_by(|a, b| a.bits.total_cmp(&b.bits));
    let gain = |ladder: &[Tried], i: usize| {
        // The ends stay: without them the ladder would be shorter.
        if i == 0 || i + 1 == ladder.len() {
            return f64::INFINITY;
        }
        let (a, t, b) = (&ladder[i - 1], &ladder[i], &ladder[i + 1]);
        let share = (t.bits / a.bits).ln() / (b.bits / a.bits).ln().max(f64::MIN_POSITIVE);
        t.agreement() - a.agreement() - share * (b.agreement() - a.agreement())
    };
    loop {
        let shrunk: Vec<usize> = (0..ladder.len())
            .filter(|&i| Some(ladder[i].rung.side) != side)
            .collect();
        if shrunk.len() <= most {
            return ladder;
        }
        let least = shrunk
            .into_iter()
            .min_by(|&a, &b| gain(&ladder, a).total_cmp(&gain(&ladder, b)));
        match least {
            Some(i) => ladder.remove(i),
            None => return ladder,
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
            agreements: vec![agreement; 4],
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
        let (mut plain, mut shrunk) = (Vec::new(), Vec::new());
        for quality in 1..=60u8 {
            let q = f64::from(quality);
            shrunk.push(tried(8, quality, 50.0 * q, 0.9 * (1.0 - (-q / 8.0).exp())));
            plain.push(tried(16, quality, 200.0 * q, 1.0 - (-q / 5.0).exp()));
        }
        let whole = mix(plain.clone(), &shrunk, usize::MAX);
        let at = |ladder: &[Tried], side| ladder.iter().filter(|t| t.rung.side == side).count();
        assert!(at(&whole, 8) > 7, "nothing to thin");
        assert!(at(&whole, 8) < 60, "nothing is beaten");
        for t in plain.iter().chain(&shrunk) {
            let best = whole.iter().filter(|k| k.bits <= t.bits);
            let best = best.map(Tried::agreement).fold(0.0, f64::max);
            assert!(best >= t.agreement(), "{t:?} beats the mix");
        }
        let kept = mix(plain.clone(), &shrunk, 7);
        assert_eq!((at(&kept, 8), at(&kept, 16)), (7, 60));
        assert_eq!(kept[0], whole[0]);
        assert!(kept.windows(2).all(|w| w[1].bits >= w[0].bits));
        // Between kept rungs little is lost: the best chord stays within three points.
        for t in &whole {
            let below = kept.iter().filter(|k| k.bits <= t.bits);
            let chord = below
                .flat_map(|a| kept.iter().map(move |b| (a, b)))
                .filter(|(_, b)| b.bits > t.bits)
                .map(|(a, b)| {
                    let share = (t.bits / a.bits).ln() / (b.bits / a.bits).ln();
                    a.agreement() + share * (b.agreement() - a.agreement())
                })
                .fold(0.0, f64::max);
            let last = t.bits >= kept[kept.len() - 1].bits;
            assert!(last || t.agreement() - chord < 0.03, "{t:?} {chord}");
        }
    }

    #[test]
    fn the_plain_ladder_stays_and_luck_is_no_reason_to_go() {
        let with = |mut t: Tried, agreements: [f64; 4]| {
            t.agreements = agreements.to_vec();
            t
        };
        // Better by 0.05 in the mean, but not on every image: within a standard error. And better on all of them.
        let lucky = with(tried(16, 1, 100.0, 0.0), [0.9, 0.3, 0.8, 0.6]);
        let clear = with(tried(16, 2, 400.0, 0.0), [0.9, 0.8, 0.9, 0.9]);
        let near = with(tried(8, 1, 110.0, 0.0), [0.5, 0.6, 0.6, 0.7]);
        let far = with(tried(8, 2, 410.0, 0.0), [0.7, 0.7, 0.7, 0.8]);
        let kept = mix(vec![lucky, clear], &[near, far], 7);
        let bits: Vec<f64> = kept.iter().map(|t| t.bits).collect();
        assert_eq!(bits, [100.0, 110.0, 400.0]);
        // A plain rung stays though a shrunk one beats it.
        let kept = mix(
            vec![tried(16, 1, 120.0, 0.2)],
            &[tried(8, 9, 100.0, 0.9)],
            7,
        );
        assert_eq!(kept.len(), 2);
    }

    #[test]
    fn rungs_follow_their_measured_bits_in_plan_and_rows_alike() {
        let rungs: Vec<Rung> = (1..=5).map(|q| tried(8, q, 0.0, 0.0).rung).collect();
        let mut plan = [StreamPlan {
            cut: 0,
            name: "webp".into(),
            coder: Coder::Picture(rungs.clone()),
            checkpoints: (0..=5).collect(),
            total_chunks: 5,
            images: 2,
        }];
        let row = |image, bits: [u32; 5]| Row {
            known: vec![],
            image,
            top1: 0,
            streams: vec![Some(bits.iter().map(|&b| (b, b as u16, 0.0)).collect())],
        };
        // Means 10, 20, 19, 30, 30: the third goes before the second, though it is longer on one of the images, and the fifth
        // is no level of its own.
        let mut rows = [row(0, [10, 20, 25, 30, 31]), row(1, [10, 20, 13, 30, 29])];
        put_in_order(&mut plan, &mut rows);
        let Coder::Picture(kept) = &plan[0].coder else {
            panic!("still a picture");
        };
        assert_eq!(*kept, [rungs[0], rungs[2], rungs[1], rungs[3]]);
        assert_eq!(plan[0].checkpoints, [0, 1, 2, 3, 4]);
        assert_eq!(plan[0].total_chunks, 4);
        let bits =
            |row: &Row| -> Vec<u32> { row.streams[0].iter().flatten().map(|o| o.0).collect() };
        assert_eq!(bits(&rows[0]), [10, 25, 20, 30]);
        assert_eq!(bits(&rows[1]), [10, 13, 20, 30]);
    }

    #[test]
    fn a_lone_rung_is_a_ladder() {
        assert_eq!(mix(vec![tried(8, 1, 10.0, 0.0)], &[], 7).len(), 1);
    }
}
