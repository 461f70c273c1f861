//! Calibration: from features of calibration images to [`Tables`].
//!
//! Five passes over the same images, each an exact sum over images taken in order, so that the result does not
//! depend on the number of threads: moments of channels and gradients → basis over channels; moments inside maps → basis
//! over positions; coefficient scales → step, entry planes and bands; context and reconstruction counts → static models;
//! bytes, distortion and energy per pass → chunks, their order, and what makes up for missing ones.

mod basis;
mod observe;
mod schedule;

use self::basis::{SpatialKind, spatial_kind};
use self::schedule::{FRAME_BYTES, schedule, split_bands, water_level};
use super::linalg::gram;
use super::statistics::Probe;
use super::stream::{Codec, EncoderScratch};
use super::tables::*;
use super::transform::{Geometry, Scratch, Transform};
use serde::{Deserialize, Serialize};

/// Transform over channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelTransform {
    /// Maps as they are, by falling energy.
    None,
    /// Eigenvectors of the channel covariance.
    Klt,
    /// Eigenvectors in the metric of the answer's sensitivity to each channel; `Klt` where no gradients are to be had.
    Task,
}

/// Transform inside each map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpatialTransform {
    /// Samples as they are.
    None,
    /// Orthonormal 2-D DCT on blocks.
    Dct,
    /// Eigenvectors over positions in the metric of the answer's sensitivity to each position (unweighted where no
    /// gradients are to be had): over all samples of maps up to 256, per direction up to a side of 64, else `Dct`.
    Task,
}

/// What the user chooses about the codec.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodecSettings {
    /// Transform over channels.
    pub channels: ChannelTransform,
    /// Transform inside each map.
    pub spatial: SpatialTransform,
    /// Side of a DCT block, or `None` to choose by the size of the map.
    pub block: Option<usize>,
    /// Most transformed maps kept, or `None` for all that the finest step can see.
    pub keep: Option<usize>,
    /// Signal-to-noise ratio of the whole stream \[dB\]; sets the finest step.
    pub snr_db: f64,
    /// Least mean size of a chunk far into the stream \[byte\]; passes are merged up to it. The first chunks are smaller.
    pub chunk_bytes: f64,
    /// Size that a band should have in the whole stream \[byte\]; sets the number of bands, which is at least
    /// [`LEAST_BANDS`]. A prefix does best when a pass of a band fills a chunk, so bands must not be narrow.
    pub band_bytes: f64,
}

/// Bands that a short stream is to have.
pub const LEAST_BANDS: f64 = 4.0;

impl Default for CodecSettings {
    fn default() -> Self {
        Self {
            channels: ChannelTransform::Task,
            spatial: SpatialTransform::Task,
            block: None,
            keep: None,
            snr_db: 12.0,
            chunk_bytes: 60.0,
            band_bytes: 4000.0,
        }
    }
}

/// Reconstruction point inside a quantiser interval before it is measured.
const INITIAL_POINT: f32 = 0.45;

/// What the first pass leaves to the later ones.
struct Channels {
    analysis: Vec<f32>,
    synthesis: Vec<f32>,
    variance: Vec<f32>,
    /// Moments of the gradients over positions; empty without gradients.
    fisher: Vec<Vec<f64>>,
    transform: Transform,
}

enum Stage {
    Moments,
    Shape(Box<Channels>),
    Spread {
        channels: Box<Channels>,
        spatial: Spatial,
        transform: Box<Transform>,
    },
    Counts(Box<Codec>),
    Rates(Box<Codec>),
    Done(Box<Tables>),
}

/// One image's contribution to a pass: arrays to be added up.
pub struct Partial(Vec<Vec<f64>>);

/// Sum of the contributions of a pass. Add them in a fixed order of images.
#[derive(Default)]
pub struct Accumulator {
    images: usize,
    sums: Vec<Vec<f64>>,
}

impl Accumulator {
    /// Add one image's contribution.
    pub fn add(&mut self, partial: Partial) {
        self.images += 1;
        if self.sums.is_empty() {
            self.sums = partial.0;
            return;
        }
        for (total, part) in self.sums.iter_mut().zip(partial.0) {
            for (t, p) in total.iter_mut().zip(part) {
                *t += p;
            }
        }
    }
}

/// Builds the tables of one cut, pass by pass.
pub struct Trainer {
    settings: CodecSettings,
    geometry: Geometry,
    kind: SpatialKind,
    mean: Vec<f32>,
    stage: Stage,
}

/// Passes over the calibration images.
pub const PASSES: usize = 5;
/// The pass in which [`Trainer::observe`] looks at gradients.
pub const GRADIENT_PASS: usize = 0;
/// The pass whose sums [`Trainer::degrade`] needs.
pub const SPREAD_PASS: usize = 2;
/// The last pass, in which [`Trainer::pooled`] answers.
pub const RATES_PASS: usize = 4;

impl Trainer {
    /// Trainer for a tensor of `maps × height × width`.
    pub fn new(settings: CodecSettings, maps: usize, height: usize, width: usize) -> Self {
        let kind = spatial_kind(settings.spatial, height, width);
        let block = |length: usize| match (settings.spatial, settings.block) {
            (SpatialTransform::None, _) => 1,
            _ if kind != SpatialKind::Blocks => length,
            (_, Some(side)) => side.clamp(1, length),
            (_, None) => Geometry::best_block(length),
        };
        Self {
            settings,
            geometry: Geometry {
                maps,
                height,
                width,
                block_height: block(height),
                block_width: block(width),
            },
            kind,
            mean: Vec::new(),
            stage: Stage::Moments,
        }
    }

    /// Change the signal-to-noise ratio of the whole stream; has an effect up to the end of the spread pass.
    pub fn set_snr_db(&mut self, snr_db: f64) {
        self.settings.snr_db = snr_db;
    }

    /// Look at one feature, and in [`GRADIENT_PASS`] at gradients of the log-probability of labels drawn from the
    /// network's answer to it (each of the size of the feature; none where there are none to be had, but then for every
    /// image). Pure, so images can be looked at in parallel.
    ///
    /// # Panics
    /// After the last pass.
    pub fn observe(&self, feature: &[f32], gradients: &[&[f32]]) -> Partial {
        let g = &self.geometry;
        match &self.stage {
            Stage::Moments => {
                let maps = feature.chunks_exact(g.area());
                let sum = maps
                    .map(|map| map.iter().map(|&v| f64::from(v)).sum())
                    .collect();
                let outer = gram(feature, g.maps, g.area())
                    .into_iter()
                    .map(f64::from)
                    .collect();
                let mut moments = vec![sum, outer];
                moments.extend(basis::gradient_moments(
                    self.settings.channels,
                    self.kind,
                    g,
                    gradients,
                ));
                Partial(moments)
            }
            Stage::Shape(channels) => {
                let mut maps = Vec::new();
                channels.transform.forward_channels(feature, &mut maps);
                Partial(basis::spatial_moments(self.kind, g, &maps))
            }
            Stage::Spread { transform, .. } => {
                let (mut y, mut scratch) = (Vec::new(), Scratch::default());
                transform.forward(feature, &mut scratch, &mut y);
                let f = g.frequencies();
                let mut energy = vec![0.0; transform.kept() * f];
                for (map, values) in y.chunks_exact(g.coefficients()).enumerate() {
                    for block in values.chunks_exact(f) {
                        for (sum, &v) in energy[map * f..][..f].iter_mut().zip(block) {
                            *sum += f64::from(v) * f64::from(v);
                        }
                    }
                }
                Partial(vec![energy])
            }
            Stage::Counts(codec) => observe::observe_counts(codec, feature),
            Stage::Rates(codec) => observe::observe_rates(codec, feature),
            Stage::Done(_) => unreachable!("training has ended"),
        }
    }

    /// What a feature would look like after a whole stream at `snr_db`, before any model is trained, with this share of
    /// the missing energy (in decibels) made up for in all coefficients alike. `None` outside [`SPREAD_PASS`]; `sums` are
    /// that pass's.
    pub fn degrade(
        &self,
        sums: &Accumulator,
        snr_db: f64,
        restored: f64,
        feature: &[f32],
    ) -> Option<Vec<f32>> {
        let Stage::Spread { transform, .. } = &self.stage else {
            return None;
        };
        let step = self.step(&self.variance(sums), snr_db)? as f32;
        let (mut y, mut scratch) = (Vec::new(), Scratch::default());
        transform.forward(feature, &mut scratch, &mut y);
        let (mut before, mut after) = (0.0, 0.0);
        for v in &mut y {
            before += f64::from(*v * *v);
            let magnitude = (v.abs() / step).floor();
            *v = if magnitude > 0.0 {
                (magnitude + INITIAL_POINT) * step * v.signum()
            } else {
                0.0
            };
            after += f64::from(*v * *v);
        }
        let stretch = (before / after.max(before * 1e-2)).powf(0.5 * restored) as f32;
        y.iter_mut().for_each(|v| *v *= stretch);
        let mut out = vec![0.0; feature.len()];
        transform.inverse(&y, transform.kept(), &mut scratch, &mut out);
        Some(out)
    }

    /// Pooled feature of a feature, for the probe; `None` before [`RATES_PASS`].
    pub fn pooled(&self, feature: &[f32]) -> Option<Vec<f32>> {
        let Stage::Rates(codec) = &self.stage else {
            return None;
        };
        let mut scratch = EncoderScratch::default();
        codec.quantise(feature, &mut scratch);
        Some(codec.pool(scratch.quantised().1))
    }

    /// End a pass. After [`PASSES`] of them [`Self::into_tables`] is ready.
    pub fn finish_pass(&mut self, sums: Accumulator) -> Result<(), TablesError> {
        if sums.images == 0 {
            return Err(TablesError("no calibration features".into()));
        }
        let images = sums.images as f64;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Moments) {
            Stage::Moments => self.choose_channels(&sums.sums, images),
            Stage::Shape(channels) => self.choose_spatial(channels, &sums.sums, images),
            Stage::Spread {
                channels, spatial, ..
            } => {
                let tables = self.choose_scales(*channels, spatial, &self.variance(&sums))?;
                Stage::Counts(Box::new(Codec::new(tables)?))
            }
            Stage::Counts(codec) => {
                let mut tables = codec.tables().clone();
                tables.models = sums.sums[0]
                    .chunks_exact(2)
                    .map(|c| probability_of_false(c[0], c[1]))
                    .collect();
                // Two samples at the middle of a falling density steady the rare classes.
                tables.points = sums.sums[1]
                    .chunks_exact(2)
                    .map(|c| ((c[0] + 2.0 * f64::from(INITIAL_POINT)) / (c[1] + 2.0)) as f32)
                    .collect();
                Stage::Rates(Box::new(Codec::new(tables)?))
            }
            Stage::Rates(codec) => {
                let mut tables = codec.tables().clone();
                let bytes: Vec<f64> = sums.sums[0].iter().map(|b| b / images).collect();
                let chunks = schedule(
                    &tables.chunks,
                    &bytes,
                    &sums.sums[1],
                    &sums.sums[2],
                    self.settings.chunk_bytes,
                );
                tables.chunk_bytes = chunks
                    .iter()
                    .map(|chunk| merged_bytes(&tables.chunks, &bytes, chunk))
                    .collect();
                tables.chunks = chunks;
                let samples = images * self.geometry.area() as f64;
                tables.restoration.energy =
                    sums.sums[3].iter().map(|e| (e / samples) as f32).collect();
                tables.validate()?;
                Stage::Done(Box::new(tables))
            }
            Stage::Done(tables) => Stage::Done(tables),
        };
        Ok(())
    }

    /// The tables, after [`PASSES`] passes.
    pub fn into_tables(self) -> Option<Tables> {
        match self.stage {
            Stage::Done(tables) => Some(*tables),
            _ => None,
        }
    }

    /// Variance of every (map, frequency) from the sums of the second pass.
    fn variance(&self, sums: &Accumulator) -> Vec<f64> {
        let (down, across) = self.geometry.blocks();
        let samples = (sums.images * down * across) as f64;
        sums.sums[0].iter().map(|e| e / samples).collect()
    }

    /// Finest step for a signal-to-noise ratio, by reverse water-filling; `None` for a tensor that does not vary.
    ///
    /// Coefficients far above the step are left with step²/12, those below it with their variance; 6 is between, and
    /// what a dead-zone quantiser was seen to need.
    fn step(&self, variance: &[f64], snr_db: f64) -> Option<f64> {
        let total: f64 = variance.iter().sum();
        (total.is_finite() && total > 0.0)
            .then(|| (6.0 * water_level(variance, total / 10f64.powf(snr_db / 10.0))).sqrt())
    }

    fn choose_channels(&mut self, sums: &[Vec<f64>], images: f64) -> Stage {
        let maps = self.geometry.maps;
        let samples = images * self.geometry.area() as f64;
        let (sum, outer, fisher) = (&sums[0], &sums[1], &sums[2..]);
        let mean: Vec<f64> = sum.iter().map(|s| s / samples).collect();
        self.mean = mean.iter().map(|&m| m as f32).collect();
        let mut covariance = vec![0.0; maps * maps];
        for i in 0..maps {
            for j in 0..maps {
                let second = (outer[i * maps + j] + outer[j * maps + i]) / 2.0;
                covariance[i * maps + j] = second / samples - mean[i] * mean[j];
            }
        }
        let (analysis, synthesis) = basis::channel_basis(
            self.settings.channels,
            &covariance,
            fisher.first().filter(|f| !f.is_empty()).map(Vec::as_slice),
            maps,
        );
        let kept = self.settings.keep.unwrap_or(maps).clamp(1, maps);
        let analysis = analysis[..kept * maps].to_vec();
        let synthesis = leading_columns(&synthesis, maps, maps, kept);
        Stage::Shape(Box::new(Channels {
            variance: (0..maps)
                .map(|i| covariance[i * maps + i].max(0.0) as f32)
                .collect(),
            fisher: fisher.iter().skip(1).cloned().collect(),
            transform: Transform::new(
                self.geometry,
                kept,
                analysis.clone(),
                synthesis.clone(),
                self.mean.clone(),
                &Spatial::Blocks,
            ),
            analysis,
            synthesis,
        }))
    }

    fn choose_spatial(&self, channels: Box<Channels>, sums: &[Vec<f64>], images: f64) -> Stage {
        let maps_seen = images * channels.transform.kept() as f64;
        let fisher = &channels.fisher;
        let spatial = basis::spatial_basis(self.kind, &self.geometry, sums, maps_seen, fisher);
        Stage::Spread {
            transform: Box::new(Transform::new(
                self.geometry,
                channels.transform.kept(),
                channels.analysis.clone(),
                channels.synthesis.clone(),
                self.mean.clone(),
                &spatial,
            )),
            channels,
            spatial,
        }
    }

    fn choose_scales(
        &self,
        channels: Channels,
        spatial: Spatial,
        variance: &[f64],
    ) -> Result<Tables, TablesError> {
        let g = self.geometry;
        let f = g.frequencies();
        let (down, across) = g.blocks();
        let step = self.step(variance, self.settings.snr_db).ok_or_else(|| {
            TablesError("the tensor does not vary over the calibration images".into())
        })?;
        let scale_class = |v: f64| {
            // v = 0 gives −∞, which saturates.
            (2.0 * (v.sqrt() / step).log2())
                .round()
                .clamp(-127.0, 127.0) as i8
        };
        let scale: Vec<i8> = variance.iter().map(|&v| scale_class(v)).collect();
        let kept = scale
            .chunks_exact(f)
            .rposition(|map| map.iter().any(|&s| entry_plane(s) != NEVER))
            .map_or(1, |last| last + 1);
        let scale = scale[..kept * f].to_vec();
        let bits: Vec<f64> = variance[..kept * f]
            .chunks_exact(f)
            .map(|map| {
                map.iter()
                    .map(|v| 0.5 * (1.0 + 3.0 * v / (step * step)).log2())
                    .sum::<f64>()
                    * (down * across) as f64
            })
            .collect();
        let total_bits: f64 = bits.iter().sum();
        let band_bits = (self.settings.band_bytes * 8.0).min(total_bits / LEAST_BANDS);
        let bands = split_bands(&bits, band_bits);
        let mut tables = Tables {
            geometry: g,
            kept,
            mean: self.mean.clone(),
            analysis: channels.analysis[..kept * g.maps].to_vec(),
            synthesis: (self.settings.channels == ChannelTransform::Task).then(|| {
                let columns = channels.analysis.len() / g.maps;
                leading_columns(&channels.synthesis, g.maps, columns, kept)
            }),
            spatial,
            step: step as f32,
            scale,
            plane_passes: PLANE_PASSES,
            bands,
            chunks: Vec::new(),
            chunk_bytes: Vec::new(),
            models: vec![1 << 14; CONTEXTS],
            points: vec![INITIAL_POINT; MAGNITUDE_CLASSES * RATIO_CLASSES],
            restoration: Restoration {
                energy: vec![0.0; kept * MAX_PLANES * usize::from(PLANE_PASSES)],
                variance: channels.variance,
                exponents: Vec::new(),
            },
            probe: Probe::default(),
            predictor: None,
        };
        for band in 0..tables.bands.len() {
            for pass in (0..tables.passes(band)).rev() {
                tables.chunks.push(ChunkSpec {
                    band: band as u16,
                    high: pass,
                    low: pass,
                });
                tables.chunk_bytes.push(0.0);
            }
        }
        Ok(tables)
    }
}

/// Mean bytes of a chunk from the payload of single passes.
fn merged_bytes(single: &[ChunkSpec], bytes: &[f64], chunk: &ChunkSpec) -> f32 {
    let inside =
        |pass: &ChunkSpec| pass.band == chunk.band && (chunk.low..=chunk.high).contains(&pass.low);
    single
        .iter()
        .zip(bytes)
        .filter(|(pass, _)| inside(pass))
        .map(|(_, b)| *b as f32)
        .sum::<f32>()
        + FRAME_BYTES as f32
}

/// The first `kept` columns of a `rows × columns` matrix.
fn leading_columns(matrix: &[f32], rows: usize, columns: usize, kept: usize) -> Vec<f32> {
    (0..rows)
        .flat_map(|r| &matrix[r * columns..][..kept])
        .copied()
        .collect()
}

/// Krichevsky–Trofimov estimate, in 2^15 parts.
fn probability_of_false(zeros: f64, ones: f64) -> u16 {
    let p = (zeros + 0.5) / (zeros + ones + 1.0);
    let (low, high) = (*PROBABILITIES.start(), *PROBABILITIES.end());
    (p * 32768.0).round().clamp(low.into(), high.into()) as u16
}
