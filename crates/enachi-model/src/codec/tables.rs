//! What calibration leaves behind for one cut: basis, step, scales, bands, chunk schedule, static models.
//!
//! Device and edge must hold the same tables; they are bound by hash to the profile measured with them.

use super::transform::Geometry;
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

/// One chunk of the stream: bit planes `high` down to `low` of a band.
///
/// It can be decoded when all planes above `high` of the same band have been; it needs no other band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkSpec {
    /// Index into [`Tables::bands`].
    pub band: u16,
    /// Highest plane inside.
    pub high: u8,
    /// Lowest plane inside.
    pub low: u8,
}

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
    /// Quantiser step of plane 0.
    pub step: f32,
    /// Scale of every (map, frequency) in half octaves over `step`: `round(2·log2(σ/step))`, `K × frequencies`.
    pub scale: Vec<i8>,
    /// Bands, in order of maps.
    pub bands: Vec<Band>,
    /// Chunks, most important first. Chunk `i` of a stream has identifier `i`.
    pub chunks: Vec<ChunkSpec>,
    /// Probability of `false`, of 2^15, per context.
    pub models: Vec<u16>,
    /// Reconstruction point inside the interval, per magnitude class and ratio class.
    pub points: Vec<f32>,
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
        for (name, got, want) in sizes {
            if got != want {
                return fail(format!("{name} has {got} entries, must be {want}"));
            }
        }
        if !(self.step.is_finite() && self.step > 0.0) {
            return fail(format!("step {} must be finite and above 0", self.step));
        }
        let floats = [&self.mean, &self.analysis, &self.points];
        if floats
            .into_iter()
            .chain(&self.synthesis)
            .any(|v| v.iter().any(|x| !x.is_finite()))
        {
            return fail("a matrix entry is not finite".into());
        }
        if self.models.iter().any(|p| !PROBABILITIES.contains(p)) {
            return fail(format!("a probability lies outside {PROBABILITIES:?}"));
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
        let mut reached: Vec<u8> = (0..self.bands.len()).map(|b| self.planes(b)).collect();
        for chunk in &self.chunks {
            let Some(plane) = reached.get_mut(usize::from(chunk.band)) else {
                return fail(format!("{chunk:?} names a band that is not there"));
            };
            if usize::from(chunk.high) >= MAX_PLANES
                || chunk.high < chunk.low
                || chunk.high + 1 != *plane
            {
                return fail(format!(
                    "{chunk:?} does not follow plane {plane} of its band"
                ));
            }
            *plane = chunk.low;
        }
        if reached.iter().any(|&p| p != 0) || self.chunks.len() > 1 << 14 {
            return fail("the chunks do not cover every plane once".into());
        }
        Ok(())
    }

    /// Planes of band `band`: one more than the highest entry plane of its coefficients.
    pub fn planes(&self, band: usize) -> u8 {
        let f = self.geometry.frequencies();
        let Band { first, count } = self.bands[band];
        self.scale[first as usize * f..(first + count) as usize * f]
            .iter()
            .map(|&s| entry_plane(s))
            .filter(|&p| p != NEVER)
            .max()
            .map_or(0, |p| p + 1)
    }
}
