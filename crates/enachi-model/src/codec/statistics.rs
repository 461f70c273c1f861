//! What is known about a feature before the tail has run: a few numbers that a predictor of the answer's uncertainty
//! can be fed with, in microseconds.
//!
//! Nothing here touches the whole feature. The lengths of the payloads tell how busy each part of it is; one coefficient
//! of each leading map gives a pooled feature, and a linear probe of that a rough idea of the scores.

use super::plane::SIGN;
use super::stream::{Codec, Decoder};
use super::tables::known_plane;

/// Leading maps whose first coefficient is pooled.
pub const MOST_POOLED: usize = 64;
/// Groups of bands whose received bytes are compared with what calibration images took.
const BYTE_GROUPS: usize = 8;
/// Groups of pooled maps whose energy is looked at.
const ENERGY_GROUPS: usize = 4;
/// Numbers that [`Decoder::statistics`] gives.
pub const STATISTICS: usize = 3 + BYTE_GROUPS + ENERGY_GROUPS + 3;

/// Where the share of the variance stands that the decoded planes carry: how far the stream has come.
pub const CARRIED_SHARE: usize = 2;
/// Where the three numbers of the probe's [`Opinion`] begin.
pub const OPINION: usize = STATISTICS - 3;

/// A linear map from pooled coefficients to the scores, found by ridge regression on calibration images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probe {
    /// Pooled maps.
    pub inputs: usize,
    /// `classes × inputs`.
    pub weights: Vec<f32>,
    /// One per class.
    pub bias: Vec<f32>,
}

/// What the probe thinks of a pooled feature.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Opinion {
    /// Entropy of the softmax of the probed scores \[nat\].
    pub entropy_nats: f32,
    /// Largest less second largest probed score.
    pub margin: f32,
    /// Largest probed score.
    pub peak: f32,
}

impl Probe {
    /// Ridge regression of `scores` (`images × classes`, logits or log-probabilities, centred per image) on `pooled`
    /// (`images × inputs`, of about unit variance). The probed scores get the spread of the real ones, which shrinkage
    /// would take away. An empty probe if there is nothing to learn from.
    pub fn fit(pooled: &[Vec<f32>], scores: &[Vec<f64>]) -> Self {
        let (Some(inputs), Some(classes)) =
            (pooled.first().map(Vec::len), scores.first().map(Vec::len))
        else {
            return Self::default();
        };
        let images = pooled.len();
        let mut gram = nalgebra::DMatrix::<f64>::zeros(inputs + 1, inputs + 1);
        let mut cross = nalgebra::DMatrix::<f64>::zeros(inputs + 1, classes);
        let row = |v: &[f32]| {
            nalgebra::DVector::from_iterator(
                inputs + 1,
                v.iter().map(|&x| f64::from(x)).chain([1.0]),
            )
        };
        let centred: Vec<Vec<f64>> = scores
            .iter()
            .map(|s| {
                // Log-probabilities of 0 are −∞; nothing is learnt from how far below −30 a score lies.
                let peak = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let s: Vec<f64> = s.iter().map(|v| (v - peak).max(-30.0)).collect();
                let mean = s.iter().sum::<f64>() / classes as f64;
                s.iter().map(|v| v - mean).collect()
            })
            .collect();
        for (v, s) in pooled.iter().zip(&centred) {
            let v = row(v);
            gram += &v * v.transpose();
            cross += &v * nalgebra::RowDVector::from_row_slice(s);
        }
        for i in 0..inputs {
            gram[(i, i)] += 0.1 * images as f64;
        }
        let Some(factor) = gram.cholesky() else {
            return Self::default();
        };
        let solution = factor.solve(&cross);
        let power = |rows: &mut dyn Iterator<Item = f64>| rows.map(|x| x * x).sum::<f64>();
        let real = power(&mut centred.iter().flatten().copied());
        let probed: f64 = pooled
            .iter()
            .map(|v| (row(v).transpose() * &solution).norm_squared())
            .sum();
        let gain = if probed > 0.0 {
            (real / probed).sqrt()
        } else {
            1.0
        };
        let at = |i: usize, class: usize| (gain * solution[(i, class)]) as f32;
        Self {
            inputs,
            weights: (0..classes)
                .flat_map(|class| (0..inputs).map(move |i| (i, class)))
                .map(|(i, class)| at(i, class))
                .collect(),
            bias: (0..classes).map(|class| at(inputs, class)).collect(),
        }
    }

    /// Entropy, margin and peak of the probed scores; zeros for an empty probe.
    pub fn opinion(&self, pooled: &[f32], scores: &mut Vec<f32>) -> Opinion {
        if self.bias.is_empty() {
            return Opinion::default();
        }
        scores.clear();
        scores.extend(
            self.weights
                .chunks_exact(self.inputs)
                .zip(&self.bias)
                .map(|(row, bias)| bias + dot(row, pooled)),
        );
        let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for &s in scores.iter() {
            second = second.max(s.min(first));
            first = first.max(s);
        }
        // H = ln Σ e^s − Σ s e^s / Σ e^s.
        let (mut sum, mut weighted) = (0.0f32, 0.0f32);
        for &s in scores.iter() {
            let e = (s - first).exp();
            sum += e;
            weighted += e * (s - first);
        }
        Opinion {
            entropy_nats: (sum.ln() - weighted / sum).max(0.0),
            margin: if second.is_finite() {
                first - second
            } else {
                0.0
            },
            peak: first,
        }
    }
}

/// Dot product in eight lanes, so that it is vectorised.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            lanes[i] += x[i] * y[i];
        }
    }
    rest + lanes.iter().sum::<f32>()
}

impl Codec {
    /// Maps that are pooled.
    pub fn pooled_maps(&self) -> usize {
        self.tables().kept.min(MOST_POOLED)
    }

    /// Pooled feature of whole coefficients (`kept × coefficients`): the first coefficient of each leading map, mean over
    /// blocks, in units of its calibrated deviation.
    pub fn pool(&self, coefficients: &[f32]) -> Vec<f32> {
        self.pool_with(|i| coefficients[i])
    }

    fn pool_with(&self, value: impl Fn(usize) -> f32) -> Vec<f32> {
        let g = &self.tables().geometry;
        let blocks = self.planes().blocks();
        (0..self.pooled_maps())
            .map(|map| {
                let sum: f32 = (0..blocks)
                    .map(|block| value(map * g.coefficients() + block * g.frequencies()))
                    .sum();
                let deviation =
                    self.tables().step * 2f32.powf(f32::from(self.planes().scale(map, 0)) / 2.0);
                sum / (deviation * blocks as f32)
            })
            .collect()
    }
}

impl Decoder<'_> {
    /// Pooled feature of what has arrived, zero where nothing has.
    pub fn pooled(&self) -> Vec<f32> {
        let codec = self.codec();
        let g = &codec.tables().geometry;
        let (known, reached) = self.levels();
        codec.pool_with(|i| {
            let map = i / g.coefficients();
            if known[i] & !SIGN == 0 {
                return 0.0;
            }
            let scale = codec.planes().scale(map, 0);
            reached[codec.band_of(map)]
                .and_then(|pass| known_plane(scale, pass, codec.tables().plane_passes))
                .map_or(0.0, |plane| codec.value(known[i], scale, plane))
        })
    }

    /// [`STATISTICS`] numbers about what has arrived, in `out`; `scratch` is working memory.
    pub fn statistics(&self, scratch: &mut Vec<f32>, out: &mut Vec<f32>) -> Opinion {
        let codec = self.codec();
        let tables = codec.tables();
        let bands = tables.bands.len();
        let mut received = [0.0f32; BYTE_GROUPS];
        let mut expected = [0.0f32; BYTE_GROUPS];
        for ((spec, &usual), bytes) in tables
            .chunks
            .iter()
            .zip(&tables.chunk_bytes)
            .zip(self.received_bytes())
        {
            if let Some(bytes) = bytes {
                let group = usize::from(spec.band) * BYTE_GROUPS / bands;
                received[group] += f32::from(*bytes);
                expected[group] += usual;
            }
        }
        let (all, usual): (f32, f32) = (received.iter().sum(), expected.iter().sum());
        out.clear();
        out.push((1.0 + all).ln());
        out.push(((all + 8.0) / (usual + 8.0)).ln());
        out.push(self.carried_share());
        out.extend(
            received
                .iter()
                .zip(&expected)
                .map(|(r, e)| ((r + 4.0) / (e + 4.0)).ln()),
        );
        let pooled = self.pooled();
        let size = pooled.len().div_ceil(ENERGY_GROUPS);
        for group in 0..ENERGY_GROUPS {
            let part = pooled.get(group * size..).unwrap_or(&[]);
            let part = &part[..part.len().min(size)];
            out.push((1e-3 + dot(part, part) / part.len().max(1) as f32).ln());
        }
        let opinion = tables.probe.opinion(&pooled, scratch);
        out.extend([opinion.entropy_nats, opinion.margin, opinion.peak]);
        debug_assert_eq!(out.len(), STATISTICS);
        opinion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_finds_a_linear_relation_and_its_opinion_is_a_softmax() {
        let (inputs, classes, images) = (5, 7, 200);
        let wave = |i: usize| ((i * i) as f32 * 0.37).sin() * 1.4;
        let truth: Vec<f32> = (0..classes * inputs).map(|i| wave(i + 900) * 2.0).collect();
        let pooled: Vec<Vec<f32>> = (0..images)
            .map(|n| (0..inputs).map(|i| wave(n * inputs + i)).collect())
            .collect();
        let scores: Vec<Vec<f64>> = pooled
            .iter()
            .map(|v| {
                truth
                    .chunks(inputs)
                    .map(|row| f64::from(dot(row, v)))
                    .collect()
            })
            .collect();
        let probe = Probe::fit(&pooled, &scores);
        let mut scratch = Vec::new();
        let mut hits = 0;
        for (v, s) in pooled.iter().zip(&scores) {
            let opinion = probe.opinion(v, &mut scratch);
            let best = (0..classes).max_by(|&a, &b| s[a].total_cmp(&s[b]));
            let probed = (0..classes).max_by(|&a, &b| scratch[a].total_cmp(&scratch[b]));
            hits += usize::from(best == probed);
            let total: f64 = scratch.iter().map(|&s| f64::from(s).exp()).sum();
            let entropy: f64 = scratch
                .iter()
                .map(|&s| f64::from(s).exp() / total)
                .map(|p| -p * p.ln())
                .sum();
            assert!((entropy - f64::from(opinion.entropy_nats)).abs() < 1e-4);
            let mut sorted = scratch.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            assert_eq!(opinion.margin, sorted[0] - sorted[1]);
        }
        assert!(hits > 190, "{hits} of {images}");
        assert_eq!(
            Probe::default().opinion(&[], &mut scratch),
            Opinion::default()
        );
    }
}
