//! What calibration leaves behind for one cut: basis, step, scales, bands, chunk schedule, static models.
//!
//! Device and edge must hold the same tables; they are bound by hash to the profile measured with them.

use super::plane::MAX_MAGNITUDE;
use super::statistics::{MOST_POOLED, Probe, STATISTICS};
use super::transform::Geometry;
use crate::predictor::Mlp;
use serde::{Deserialize, Serialize};

/// Classes of the ratio of a coefficient's scale to the current threshold, in half octaves.
pub const RATIO_CLASSES: usize = 14;
/// Lowest ratio, 2^(−4/2): a coefficient enters the scan once the threshold is within four times its scale.
pub const RATIO_MIN: i32 = -4;
/// Classes of the activity around a coefficient.
pub const ACTIVITY_CLASSES: usize = 8;
/// Contexts of "becomes significant".
pub const SIGNIFICANCE_CONTEXTS: usize = RATIO_CLASSES * ACTIVITY_CLASSES;
/// Contexts of "is larger still" in the plane where a coefficient enters.
pub const LARGER_CONTEXTS: usize = 14;
/// Classes of the magnitude known so far, for refinement bits and reconstruction points.
pub const MAGNITUDE_CLASSES: usize = 3;
/// All contexts.
pub const CONTEXTS: usize =
    SIGNIFICANCE_CONTEXTS + LARGER_CONTEXTS + MAGNITUDE_CLASSES * RATIO_CLASSES;
/// Most coefficients of a block.
pub const MAX_FREQUENCIES: usize = 4096;
/// Probabilities of `false` that models may state, of 2^15: no decision costs more than 10.5 bits.
pub const PROBABILITIES: std::ops::RangeInclusive<u16> = 24..=(1 << 15) - 24;
/// Most planes of a band.
pub const MAX_PLANES: usize = 15;
/// Passes of a plane, at most. With n of them pass `n p + r` of plane `p` visits, for r = n − 1, the coefficients that
/// entered r planes above or earlier, otherwise those that entered just r planes above: the larger a coefficient is
/// expected to be beside the threshold, the more a bit about it removes of the error, so they come in this order.
pub const PLANE_PASSES: u8 = 3;
/// Entry plane of a coefficient that is never sent.
pub const NEVER: u8 = u8::MAX;

/// A run of transformed maps, coded together and by nothing else: a loss stays inside its band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// First transformed map.
    pub first: u32,
    /// Number of maps.
    pub count: u32,
}

impl Band {
    /// Its transformed maps.
    pub fn maps(&self) -> std::ops::Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// One chunk of the stream: [passes](Tables::plane_passes) `high` down to `low` of a band.
///
/// It can be decoded when all passes above `high` of the same band have been; it needs no other band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkSpec {
    /// Index into [`Tables::bands`].
    pub band: u16,
    /// Highest pass inside.
    pub high: u8,
    /// Lowest pass inside.
    pub low: u8,
}

/// Basis of one direction, or of a whole map: `n × n` matrices, row = function.
#[derive(Clone, Debug, PartialEq)]
pub struct SquareBasis {
    /// `coefficients = analysis · samples`.
    pub analysis: Vec<f32>,
    /// `samples = synthesisᵀ · coefficients`.
    pub synthesis: Vec<f32>,
}

/// Transform inside each map.
#[derive(Clone, Debug, PartialEq)]
pub enum Spatial {
    /// Orthonormal DCT on the blocks of the geometry; nothing where a block is one sample.
    Blocks,
    /// A calibrated basis over the samples of a whole map.
    Full(SquareBasis),
    /// Calibrated bases over the rows' index and the columns' index, applied one after the other.
    Separable {
        /// Over the vertical index, `height × height`.
        vertical: SquareBasis,
        /// Over the horizontal index, `width × width`.
        horizontal: SquareBasis,
    },
}

/// How the decoder makes up for the energy that has not arrived.
///
/// What a prefix leaves out shrinks the feature, and the layers behind the cut, made for its full size, see too little.
/// Channel `c` is therefore stretched around its mean by `(σ_c²/σ̂_c²)^(η/2)`: σ̂² is the variance that the decoded
/// planes carry by calibration, η the exponent that moved the answer least there.
#[derive(Clone, Debug, PartialEq)]
pub struct Restoration {
    /// Variance per sample that map `k` contributes to the feature once pass `s` of its band is decoded, before the
    /// synthesis over channels: `K ×` [`Tables::most_passes`].
    pub energy: Vec<f32>,
    /// Variance of every channel, `maps`.
    pub variance: Vec<f32>,
    /// Pairs (decoded share of the total variance, η), shares rising; η is interpolated between them. Empty: none.
    pub exponents: Vec<[f32; 2]>,
}

/// No channel is stretched by more, whatever its exponent.
pub const MAX_STRETCH: f32 = 4.0;

impl Restoration {
    /// η where the decoded planes carry `share` of the variance.
    pub fn exponent(&self, share: f32) -> f32 {
        let after = self.exponents.partition_point(|knot| knot[0] <= share);
        match (after.checked_sub(1), self.exponents.get(after)) {
            (None, None) => 0.0,
            (None, Some(first)) => first[1],
            (Some(last), None) => self.exponents[last][1],
            (Some(before), Some(&[x1, y1])) => {
                let [x0, y0] = self.exponents[before];
                y0 + (y1 - y0) * (share - x0) / (x1 - x0)
            }
        }
    }
}

/// Most knots of [`Restoration::exponents`].
pub const MAX_EXPONENTS: usize = 64;
/// Largest product of chunks and maps: a codec keeps a number for each pair. Real networks stay below a sixteenth of it.
pub const MOST_CARRIED: usize = 1 << 24;

/// Calibrated tables of one cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// Shape of the tensor and of the blocks.
    pub geometry: Geometry,
    /// Transformed maps kept (`K`).
    pub kept: usize,
    /// Channel means, `maps`.
    pub mean: Vec<f32>,
    /// Analysis matrix, `K × maps`.
    pub analysis: Vec<f32>,
    /// Synthesis matrix, `maps × K`; `None` when it is the transpose of the analysis.
    pub synthesis: Option<Vec<f32>>,
    /// Transform inside each map.
    pub spatial: Spatial,
    /// Quantiser step of plane 0.
    pub step: f32,
    /// Scale of every (map, frequency) in half octaves over `step`: `round(2·log2(σ/step))`, `K × frequencies`.
    pub scale: Vec<i8>,
    /// Passes of a plane, 1 to [`PLANE_PASSES`].
    pub plane_passes: u8,
    /// Bands, in order of maps.
    pub bands: Vec<Band>,
    /// Chunks, most important first. Chunk `i` of a stream has identifier `i`.
    pub chunks: Vec<ChunkSpec>,
    /// Payload bytes of each chunk, mean over calibration images.
    pub chunk_bytes: Vec<f32>,
    /// Probability of `false`, of 2^15, per context.
    pub models: Vec<u16>,
    /// Reconstruction point inside the interval, per magnitude class and ratio class.
    pub points: Vec<f32>,
    /// What makes up for missing energy.
    pub restoration: Restoration,
    /// Rough scores from a few coefficients, for the predictor of the answer's uncertainty.
    pub probe: Probe,
    /// Uncertainty of the answer from [`STATISTICS`](super::statistics::STATISTICS) numbers of the decoder.
    pub predictor: Option<Mlp>,
}

/// What is wrong with tables.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("codec tables: {0}")]
pub struct TablesError(pub String);

/// Plane in which a coefficient of scale class `scale` is first coded.
pub fn entry_plane(scale: i8) -> u8 {
    let above = i32::from(scale) - RATIO_MIN;
    if above < 0 {
        NEVER
    } else {
        (above / 2).min(MAX_PLANES as i32 - 1) as u8
    }
}

/// Plane down to which a coefficient of scale class `scale` is known once `pass` of its band is decoded, with so many passes
/// of a plane; `None` before it enters.
#[inline]
pub fn known_plane(scale: i8, pass: u8, plane_passes: u8) -> Option<u8> {
    let (plane, rank) = (pass / plane_passes, pass % plane_passes);
    let entry = entry_plane(scale);
    if entry == NEVER || entry < plane {
        return None;
    }
    let visited = (entry - plane).min(plane_passes - 1) >= rank;
    match (visited, entry > plane) {
        (true, _) => Some(plane),
        (false, true) => Some(plane + 1),
        (false, false) => None,
    }
}

/// Class of the ratio of scale to threshold at `plane`.
#[inline]
pub fn ratio_class(scale: i8, plane: u8) -> usize {
    (i32::from(scale) - 2 * i32::from(plane) - RATIO_MIN).clamp(0, RATIO_CLASSES as i32 - 1)
        as usize
}

/// Class of a magnitude ≥ 1 known so far.
#[inline]
pub fn magnitude_class(magnitude: u16) -> usize {
    match magnitude {
        0 | 1 => 0,
        2 | 3 => 1,
        _ => 2,
    }
}

impl Tables {
    /// Check every size and range; anything that passes can be run without panics.
    pub fn validate(&self) -> Result<(), TablesError> {
        let fail = |what: String| Err(TablesError(what));
        let g = &self.geometry;
        if [g.maps, g.height, g.width, g.block_height, g.block_width]
            .iter()
            .any(|&n| n == 0 || n > 1 << 16)
            || g.block_height > g.height
            || g.block_width > g.width
            || g.frequencies() > MAX_FREQUENCIES
            || g.elements() > 1 << 28
        {
            return fail(format!("impossible geometry {g:?}"));
        }
        if !(1..=PLANE_PASSES).contains(&self.plane_passes) {
            return fail(format!(
                "{} passes of a plane, must be 1 to {PLANE_PASSES}",
                self.plane_passes
            ));
        }
        let k = self.kept;
        if k == 0 || k > g.maps {
            return fail(format!("{k} maps kept, must be 1 to {}", g.maps));
        }
        let sizes = [
            ("mean", self.mean.len(), g.maps),
            ("analysis", self.analysis.len(), k * g.maps),
            ("scale", self.scale.len(), k * g.frequencies()),
            ("models", self.models.len(), CONTEXTS),
            (
                "points",
                self.points.len(),
                MAGNITUDE_CLASSES * RATIO_CLASSES,
            ),
            (
                "synthesis",
                self.synthesis.as_ref().map_or(k * g.maps, Vec::len),
                k * g.maps,
            ),
        ];
        let whole_map = g.block_height == g.height && g.block_width == g.width;
        if self.spatial != Spatial::Blocks && !whole_map {
            return fail(format!("a basis over whole maps with blocks in {g:?}"));
        }
        let (h, w) = (g.height, g.width);
        let bases = match &self.spatial {
            Spatial::Blocks => vec![],
            Spatial::Full(basis) => vec![("basis", basis, g.area())],
            Spatial::Separable {
                vertical,
                horizontal,
            } => vec![
                ("vertical basis", vertical, h),
                ("horizontal basis", horizontal, w),
            ],
        };
        let carried = self.chunks.len().saturating_mul(g.maps);
        if carried > MOST_CARRIED {
            return fail(format!(
                "{} chunks of {} maps, their product must be at most {MOST_CARRIED}",
                self.chunks.len(),
                g.maps
            ));
        }
        let r = &self.restoration;
        let sizes = bases
            .iter()
            .flat_map(|(name, basis, n)| {
                [&basis.analysis, &basis.synthesis].map(|m| (*name, m.len(), n * n))
            })
            .chain(sizes)
            .chain([
                ("energy", r.energy.len(), k * self.most_passes()),
                ("variance", r.variance.len(), g.maps),
                ("chunk_bytes", self.chunk_bytes.len(), self.chunks.len()),
                (
                    "probe",
                    self.probe.weights.len(),
                    self.probe.inputs.saturating_mul(self.probe.bias.len()),
                ),
            ]);
        let pooled = if self.probe.bias.is_empty() {
            0
        } else {
            k.min(MOST_POOLED)
        };
        if self.probe.inputs != pooled {
            return fail(format!(
                "the probe has {} inputs, must be {pooled}",
                self.probe.inputs
            ));
        }
        for (name, got, want) in sizes {
            if got != want {
                return fail(format!("{name} has {got} entries, must be {want}"));
            }
        }
        if !(self.step.is_finite() && self.step > 0.0) {
            return fail(format!("step {} must be finite and above 0", self.step));
        }
        if let Some(mlp) = &self.predictor
            && mlp.inputs() != STATISTICS
        {
            return fail(format!(
                "the predictor has {} inputs, must be {STATISTICS}",
                mlp.inputs()
            ));
        }
        let floats = [
            &self.mean,
            &self.analysis,
            &self.points,
            &self.probe.weights,
            &self.probe.bias,
        ];
        let matrices = bases
            .iter()
            .flat_map(|(_, basis, _)| [&basis.analysis, &basis.synthesis]);
        if floats
            .into_iter()
            .chain(&self.synthesis)
            .chain(matrices)
            .any(|v| v.iter().any(|x| !x.is_finite()))
        {
            return fail("a matrix entry is not finite".into());
        }
        if self.models.iter().any(|p| !PROBABILITIES.contains(p)) {
            return fail(format!("a probability lies outside {PROBABILITIES:?}"));
        }
        let positive = |v: &[f32]| v.iter().all(|x| x.is_finite() && *x >= 0.0);
        if !positive(&r.energy) || !positive(&r.variance) || !positive(&self.chunk_bytes) {
            return fail("an energy is negative or not finite".into());
        }
        if r.exponents.len() > MAX_EXPONENTS
            || !r
                .exponents
                .iter()
                .all(|knot| positive(knot) && knot[1] <= 2.0)
            || !r.exponents.is_sorted_by(|a, b| a[0] < b[0])
        {
            return fail("the restoration exponents must be 0 to 2 at rising shares".into());
        }
        if !self.points.iter().all(|x| (0.0..=1.0).contains(x)) {
            return fail("a reconstruction point lies outside its interval, 0 to 1".into());
        }
        if !self.stays_finite() {
            return fail("entries so large that decoding could overflow".into());
        }
        let mut next = 0;
        for band in &self.bands {
            if band.first != next || band.count == 0 {
                return fail(format!("band {band:?} does not start at map {next}"));
            }
            next = band.first.saturating_add(band.count);
        }
        if next as usize != k || self.bands.len() > 1 << 12 {
            return fail(format!("bands end at map {next}, must be {k}"));
        }
        let mut reached: Vec<u8> = (0..self.bands.len()).map(|b| self.passes(b)).collect();
        for chunk in &self.chunks {
            let Some(pass) = reached.get_mut(usize::from(chunk.band)) else {
                return fail(format!("{chunk:?} names a band that is not there"));
            };
            if usize::from(chunk.high) >= self.most_passes()
                || chunk.high < chunk.low
                || chunk.high + 1 != *pass
            {
                return fail(format!("{chunk:?} does not follow pass {pass} of its band"));
            }
            *pass = chunk.low;
        }
        if reached.iter().any(|&p| p != 0) || self.chunks.len() > 1 << 14 {
            return fail("the chunks do not cover every pass once".into());
        }
        Ok(())
    }

    /// Whether every number that decoding can come to is finite, whatever arrives: the largest coefficient there can be, through the
    /// largest entry of every matrix, and the largest statistics.
    fn stays_finite(&self) -> bool {
        let largest = |values: &[f32]| {
            let sizes = values.iter().map(|x| f64::from(x.abs()));
            sizes.fold(0.0, f64::max)
        };
        let g = &self.geometry;
        let (kept, maps) = (self.kept as f64, g.maps as f64);
        let basis = |b: &SquareBasis, n: usize| n as f64 * largest(&b.synthesis);
        let inner = match &self.spatial {
            // Orthonormal.
            Spatial::Blocks => g.frequencies() as f64,
            Spatial::Full(b) => basis(b, g.area()),
            Spatial::Separable {
                vertical,
                horizontal,
            } => basis(vertical, g.height).max(1.0) * basis(horizontal, g.width).max(1.0),
        };
        let steps = f64::from(MAX_MAGNITUDE) + 1.0;
        let plane = 2f64.powi(MAX_PLANES as i32 - 1);
        let coefficient = steps * plane * f64::from(self.step);
        let synthesis = largest(self.synthesis.as_ref().unwrap_or(&self.analysis));
        // Exponents of at most 2 square the stretch.
        let stretch = f64::from(MAX_STRETCH * MAX_STRETCH);
        let mean = largest(&self.mean);
        let whole = (kept * synthesis).max(1.0) * inner.max(1.0) * coefficient + mean;
        let r = &self.restoration;
        let variance = kept * maps * synthesis.max(1.0).powi(2) * largest(&r.energy);
        let total = largest(&r.variance).max(f64::from(f32::MIN_POSITIVE));
        // In units of its deviation, which is at least 2^(RATIO_MIN/2) steps where anything is coded.
        let pooled = steps * plane * 2f64.powi(-RATIO_MIN / 2);
        let probed = pooled.powi(2) * (1.0 + largest(&self.probe.weights)) * MOST_POOLED as f64;
        let bytes = largest(&self.chunk_bytes) * self.chunks.len() as f64;
        [
            (whole + mean) * stretch,
            variance,
            maps * largest(&r.variance),
            kept * variance / total,
            probed + largest(&self.probe.bias),
            bytes,
        ]
        .into_iter()
        .all(|value| value < f64::from(f32::MAX))
    }

    /// Passes that a band can have.
    pub fn most_passes(&self) -> usize {
        MAX_PLANES * usize::from(self.plane_passes)
    }

    /// Passes of band `band`: the first is the one in which the coefficients of its highest entry plane enter.
    pub fn passes(&self, band: usize) -> u8 {
        let f = self.geometry.frequencies();
        let maps = self.bands[band].maps();
        self.scale[maps.start * f..maps.end * f]
            .iter()
            .map(|&s| entry_plane(s))
            .filter(|&p| p != NEVER)
            .max()
            .map_or(0, |plane| plane * self.plane_passes + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_coefficient_is_visited_once_a_plane_and_known_down_to_its_last_visit() {
        for scale in -8..(RATIO_MIN as i8 + 2 * MAX_PLANES as i8) {
            for n in 1..=PLANE_PASSES {
                let entry = entry_plane(scale);
                // Passes that visit it, by definition: in plane p the one of rank min(entry - p, n - 1).
                let visits: Vec<u8> = match entry {
                    NEVER => vec![],
                    _ => (0..=entry)
                        .map(|p| n * p + (entry - p).min(n - 1))
                        .collect(),
                };
                for pass in 0..MAX_PLANES as u8 * n {
                    let last = visits.iter().position(|&visit| visit >= pass);
                    assert_eq!(
                        known_plane(scale, pass, n),
                        last.map(|plane| plane as u8),
                        "scale {scale}, pass {pass} of {n}"
                    );
                }
            }
        }
    }
}
