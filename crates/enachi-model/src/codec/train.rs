//! Calibration: from features of calibration images to [`Tables`].
//!
//! Four passes over the same images, each an exact sum over images taken in order, so that the result does not
//! depend on the number of threads: channel moments → basis; coefficient scales → step, entry planes and bands;
//! context and reconstruction counts → static models; bytes and distortion per plane → chunks and their order.

use super::linalg::{gram, symmetric_eigen, transpose};
use super::plane::{Counter, Known, SIGN, Writer};
use super::range::RangeEncoder;
use super::stream::{Codec, EncoderScratch, framed_bytes};
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
}

/// Transform inside each map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpatialTransform {
    /// Samples as they are.
    None,
    /// Orthonormal 2-D DCT on blocks.
    Dct,
}

/// What the user chooses about the codec.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodecSettings {
    /// Transform over channels.
    pub channels: ChannelTransform,
    /// Transform inside each map.
    pub spatial: SpatialTransform,
    /// Side of a block, or `None` to choose by the size of the map.
    pub block: Option<usize>,
    /// Most transformed maps kept, or `None` for all that the finest step can see.
    pub keep: Option<usize>,
    /// Signal-to-noise ratio of the whole stream \[dB\]; sets the finest step.
    pub snr_db: f64,
    /// Least mean size of a chunk \[byte\]; planes are merged up to it. Short streams get smaller chunks, so that about
    /// [`LEAST_CHUNKS`] remain.
    pub chunk_bytes: f64,
    /// Size that a band should have in the whole stream \[byte\]; sets the number of bands. Short streams get at
    /// least [`LEAST_BANDS`].
    pub band_bytes: f64,
}

/// Chunks that a short stream is to have, as far as [`SMALLEST_CHUNK_BYTES`] allows.
pub const LEAST_CHUNKS: f64 = 40.0;
/// Bands that a short stream is to have.
pub const LEAST_BANDS: f64 = 8.0;
/// No chunk is made smaller than this for the sake of their number \[byte\]: two to four bytes of each are framing.
pub const SMALLEST_CHUNK_BYTES: f64 = 24.0;

impl Default for CodecSettings {
    fn default() -> Self {
        Self {
            channels: ChannelTransform::Klt,
            spatial: SpatialTransform::Dct,
            block: None,
            keep: None,
            snr_db: 12.0,
            chunk_bytes: 60.0,
            band_bytes: 400.0,
        }
    }
}

/// Reconstruction point inside a quantiser interval before it is measured.
const INITIAL_POINT: f32 = 0.45;

enum Stage {
    Moments,
    Spread {
        transform: Box<Transform>,
        analysis: Vec<f32>,
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
    mean: Vec<f32>,
    stage: Stage,
}

/// Passes over the calibration images.
pub const PASSES: usize = 4;
/// The pass whose sums [`Trainer::degrade`] needs.
pub const SPREAD_PASS: usize = 1;

impl Trainer {
    /// Trainer for a tensor of `maps × height × width`.
    pub fn new(settings: CodecSettings, maps: usize, height: usize, width: usize) -> Self {
        let block = |length: usize| match (settings.spatial, settings.block) {
            (SpatialTransform::None, _) => 1,
            (SpatialTransform::Dct, Some(side)) => side.clamp(1, length),
            (SpatialTransform::Dct, None) => Geometry::best_block(length),
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
            mean: Vec::new(),
            stage: Stage::Moments,
        }
    }

    /// Change the signal-to-noise ratio of the whole stream; has an effect up to the end of the second pass.
    pub fn set_snr_db(&mut self, snr_db: f64) {
        self.settings.snr_db = snr_db;
    }

    /// Look at one feature; pure, so images can be looked at in parallel.
    ///
    /// # Panics
    /// After the last pass.
    pub fn observe(&self, feature: &[f32]) -> Partial {
        let g = &self.geometry;
        match &self.stage {
            Stage::Moments => {
                let maps = feature.chunks_exact(g.area());
                let sum = maps
                    .clone()
                    .map(|map| map.iter().map(|&v| f64::from(v)).sum())
                    .collect();
                let outer = match self.settings.channels {
                    ChannelTransform::None => maps
                        .map(|map| map.iter().map(|&v| f64::from(v) * f64::from(v)).sum())
                        .collect(),
                    ChannelTransform::Klt => gram(feature, g.maps, g.area())
                        .into_iter()
                        .map(f64::from)
                        .collect(),
                };
                Partial(vec![sum, outer])
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
            Stage::Counts(codec) => observe_counts(codec, feature),
            Stage::Rates(codec) => observe_rates(codec, feature),
            Stage::Done(_) => unreachable!("training has ended"),
        }
    }

    /// What a feature would look like after a whole stream at `snr_db`, before any model is trained. `None` outside
    /// the second pass; `sums` are that pass's.
    pub fn degrade(&self, sums: &Accumulator, snr_db: f64, feature: &[f32]) -> Option<Vec<f32>> {
        let Stage::Spread { transform, .. } = &self.stage else {
            return None;
        };
        let step = self.step(&self.variance(sums), snr_db)? as f32;
        let (mut y, mut scratch) = (Vec::new(), Scratch::default());
        transform.forward(feature, &mut scratch, &mut y);
        for v in &mut y {
            let magnitude = (v.abs() / step).floor();
            *v = if magnitude > 0.0 {
                (magnitude + INITIAL_POINT) * step * v.signum()
            } else {
                0.0
            };
        }
        let mut out = vec![0.0; feature.len()];
        transform.inverse(&y, transform.kept(), &mut scratch, &mut out);
        Some(out)
    }

    /// End a pass. After [`PASSES`] of them [`Self::into_tables`] is ready.
    pub fn finish_pass(&mut self, sums: Accumulator) -> Result<(), TablesError> {
        if sums.images == 0 {
            return Err(TablesError("no calibration features".into()));
        }
        let images = sums.images as f64;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Moments) {
            Stage::Moments => self.choose_basis(&sums.sums[0], &sums.sums[1], images),
            Stage::Spread { analysis, .. } => {
                let tables = self.choose_scales(analysis, &self.variance(&sums))?;
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
                let least = bytes.iter().sum::<f64>() / LEAST_CHUNKS;
                let chunk_bytes = least.clamp(
                    SMALLEST_CHUNK_BYTES.min(self.settings.chunk_bytes),
                    self.settings.chunk_bytes,
                );
                tables.chunks = schedule(
                    &tables.chunks,
                    &bytes,
                    &sums.sums[1],
                    &sums.sums[2],
                    chunk_bytes,
                );
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

    fn choose_basis(&mut self, sum: &[f64], outer: &[f64], images: f64) -> Stage {
        let maps = self.geometry.maps;
        let samples = images * self.geometry.area() as f64;
        let mean: Vec<f64> = sum.iter().map(|s| s / samples).collect();
        self.mean = mean.iter().map(|&m| m as f32).collect();
        let analysis: Vec<f32> = match self.settings.channels {
            ChannelTransform::Klt => {
                let mut covariance = vec![0.0; maps * maps];
                for i in 0..maps {
                    for j in 0..maps {
                        let second = (outer[i * maps + j] + outer[j * maps + i]) / 2.0;
                        covariance[i * maps + j] = second / samples - mean[i] * mean[j];
                    }
                }
                let (vectors, _) = symmetric_eigen(&covariance, maps);
                vectors.iter().map(|&v| v as f32).collect()
            }
            ChannelTransform::None => {
                let variance = |i: usize| outer[i] / samples - mean[i] * mean[i];
                let mut order: Vec<usize> = (0..maps).collect();
                order.sort_by(|&a, &b| variance(b).total_cmp(&variance(a)).then(a.cmp(&b)));
                let mut matrix = vec![0.0; maps * maps];
                for (row, &map) in order.iter().enumerate() {
                    matrix[row * maps + map] = 1.0;
                }
                matrix
            }
        };
        let kept = self.settings.keep.unwrap_or(maps).clamp(1, maps);
        let analysis = analysis[..kept * maps].to_vec();
        let transform = Transform::new(
            self.geometry,
            kept,
            analysis.clone(),
            transpose(&analysis, kept, maps),
            self.mean.clone(),
        );
        Stage::Spread {
            transform: Box::new(transform),
            analysis,
        }
    }

    fn choose_scales(&self, analysis: Vec<f32>, variance: &[f64]) -> Result<Tables, TablesError> {
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
            analysis: analysis[..kept * g.maps].to_vec(),
            synthesis: None,
            step: step as f32,
            scale,
            bands,
            chunks: Vec::new(),
            models: vec![1 << 14; CONTEXTS],
            points: vec![INITIAL_POINT; MAGNITUDE_CLASSES * RATIO_CLASSES],
        };
        for band in 0..tables.bands.len() {
            for plane in (0..tables.planes(band)).rev() {
                tables.chunks.push(ChunkSpec {
                    band: band as u16,
                    high: plane,
                    low: plane,
                });
            }
        }
        Ok(tables)
    }
}

/// Level θ at which reverse water-filling leaves the given distortion: Σ min(σ², θ) = `distortion`.
fn water_level(variance: &[f64], distortion: f64) -> f64 {
    let (mut low, mut high) = (0.0, variance.iter().copied().fold(0.0, f64::max));
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if variance.iter().map(|&v| v.min(middle)).sum::<f64>() > distortion {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Most bands of a cut.
const MOST_BANDS: usize = 64;

/// Split maps into runs of about equal expected bits.
fn split_bands(bits: &[f64], target: f64) -> Vec<Band> {
    let total: f64 = bits.iter().sum();
    let count = (total / target)
        .ceil()
        .clamp(1.0, bits.len().min(MOST_BANDS) as f64);
    let mut bands: Vec<Band> = Vec::new();
    let (mut first, mut sum) = (0, 0.0);
    for (map, b) in bits.iter().enumerate() {
        sum += b;
        let due = total * (bands.len() + 1) as f64 / count;
        if sum >= due * (1.0 - 1e-12) || map + 1 == bits.len() {
            bands.push(Band {
                first: first as u32,
                count: (map + 1 - first) as u32,
            });
            first = map + 1;
        }
    }
    bands
}

/// Krichevsky–Trofimov estimate, in 2^15 parts.
fn probability_of_false(zeros: f64, ones: f64) -> u16 {
    let p = (zeros + 0.5) / (zeros + ones + 1.0);
    let (low, high) = (*PROBABILITIES.start(), *PROBABILITIES.end());
    (p * 32768.0).round().clamp(low.into(), high.into()) as u16
}

fn observe_counts(codec: &Codec, feature: &[f32]) -> Partial {
    let tables = codec.tables();
    let mut scratch = EncoderScratch::default();
    codec.quantise(feature, &mut scratch);
    let (truth, coefficients) = scratch.quantised();
    let mut known = Known::default();
    known.reset(truth.len());
    let mut counts = vec![[0u64; 2]; CONTEXTS];
    let mut points = vec![[0.0f64; 2]; MAGNITUDE_CLASSES * RATIO_CLASSES];
    for spec in &tables.chunks {
        let mut counter = Counter {
            counts: &mut counts,
        };
        let band = usize::from(spec.band);
        codec
            .planes()
            .code(band, spec.low, truth, &mut known, &mut counter);
        let unit = tables.step * (1u32 << spec.low) as f32;
        for_significant(codec, band, spec.low, &known, |i, value, scale| {
            let magnitude = value & !SIGN;
            let offset = coefficients[i].abs() / unit - f32::from(magnitude);
            let class = magnitude_class(magnitude) * RATIO_CLASSES + ratio_class(scale, spec.low);
            points[class][0] += f64::from(offset.clamp(0.0, 1.0));
            points[class][1] += 1.0;
        });
    }
    let flat = counts.iter().flatten().map(|&n| n as f64).collect();
    Partial(vec![flat, points.concat()])
}

fn observe_rates(codec: &Codec, feature: &[f32]) -> Partial {
    let tables = codec.tables();
    let mut scratch = EncoderScratch::default();
    codec.quantise(feature, &mut scratch);
    let (truth, coefficients) = scratch.quantised();
    let per_map = tables.geometry.coefficients();
    let energy: Vec<f64> = tables
        .bands
        .iter()
        .map(|band| {
            coefficients[band.first as usize * per_map..][..band.count as usize * per_map]
                .iter()
                .map(|&y| f64::from(y) * f64::from(y))
                .sum()
        })
        .collect();
    let mut known = Known::default();
    known.reset(truth.len());
    let (mut bytes, mut distortion) = (Vec::new(), Vec::new());
    for (id, spec) in tables.chunks.iter().enumerate() {
        let band = usize::from(spec.band);
        let mut writer = Writer {
            models: &tables.models,
            encoder: RangeEncoder::default(),
        };
        codec
            .planes()
            .code(band, spec.low, truth, &mut known, &mut writer);
        bytes.push(framed_bytes(id as u16, writer.encoder.finish().len()) as f64);
        let mut removed = 0.0;
        for_significant(codec, band, spec.low, &known, |i, value, scale| {
            let y = f64::from(coefficients[i]);
            let estimate = f64::from(codec.value(value, scale, spec.low));
            removed += y * y - (y - estimate) * (y - estimate);
        });
        distortion.push(energy[band] - removed);
    }
    Partial(vec![bytes, distortion, energy])
}

/// Visit every significant coefficient of a band: index, known value, scale class.
fn for_significant(
    codec: &Codec,
    band: usize,
    plane: u8,
    known: &Known,
    mut visit: impl FnMut(usize, u16, i8),
) {
    let planes = codec.planes();
    let Band { first, count } = codec.tables().bands[band];
    let f = codec.tables().geometry.frequencies();
    for map in first as usize..(first + count) as usize {
        for block in 0..planes.blocks() {
            for &frequency in planes.active(map, plane) {
                let i = (map * planes.blocks() + block) * f + usize::from(frequency);
                if known.values[i] & !SIGN != 0 {
                    visit(i, known.values[i], planes.scale(map, frequency));
                }
            }
        }
    }
}

/// Merge single planes into chunks of at least `chunk_bytes` (mean), and order them by distortion removed per byte.
///
/// Inside a band the order is given; between bands the next chunk is taken from the band whose best look-ahead
/// (largest mean slope over any number of its next chunks) is steepest, which follows the convex hull of each band.
fn schedule(
    single: &[ChunkSpec],
    bytes: &[f64],
    distortion: &[f64],
    energy: &[f64],
    chunk_bytes: f64,
) -> Vec<ChunkSpec> {
    struct Unit {
        spec: ChunkSpec,
        bytes: f64,
        gain: f64,
    }
    let mut bands: Vec<Vec<Unit>> = energy.iter().map(|_| Vec::new()).collect();
    let mut before = energy.to_vec();
    for (i, &spec) in single.iter().enumerate() {
        let band = usize::from(spec.band);
        let gain = before[band] - distortion[i];
        before[band] = distortion[i];
        match bands[band].last_mut() {
            Some(unit) if unit.bytes < chunk_bytes => {
                unit.spec.low = spec.low;
                unit.bytes += bytes[i];
                unit.gain += gain;
            }
            _ => bands[band].push(Unit {
                spec,
                bytes: bytes[i],
                gain,
            }),
        }
    }
    let slope = |units: &[Unit]| {
        let (mut gain, mut cost, mut best) = (0.0, 0.0, f64::NEG_INFINITY);
        for unit in units {
            gain += unit.gain;
            cost += unit.bytes;
            best = f64::max(best, gain / cost);
        }
        best
    };
    let mut next = vec![0; bands.len()];
    let mut order = Vec::new();
    loop {
        let steepest = (0..bands.len())
            .filter(|&b| next[b] < bands[b].len())
            .map(|b| (slope(&bands[b][next[b]..]), b))
            .max_by(|x, y| x.0.total_cmp(&y.0).then(y.1.cmp(&x.1)));
        let Some((_, band)) = steepest else {
            return order;
        };
        order.push(bands[band][next[band]].spec);
        next[band] += 1;
    }
}
