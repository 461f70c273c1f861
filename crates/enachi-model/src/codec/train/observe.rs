//! What one image contributes to the passes that follow quantisation.

use super::Partial;
use crate::codec::plane::{Counter, Known, SIGN, Writer};
use crate::codec::range::RangeEncoder;
use crate::codec::spatial::synthesis_norms;
use crate::codec::stream::{Codec, EncoderScratch, framed_bytes};
use crate::codec::tables::*;

/// Decisions per context, and where coefficients lie inside their intervals.
pub(super) fn observe_counts(codec: &Codec, feature: &[f32]) -> Partial {
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

/// Per band and plane: bytes, distortion left, energy; and the energy that each map's estimate carries.
pub(super) fn observe_rates(codec: &Codec, feature: &[f32]) -> Partial {
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
    let norms = synthesis_norms(&tables.geometry, &tables.spatial);
    let mut carried = vec![0.0; tables.kept * MAX_PLANES];
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
            carried[i / per_map * MAX_PLANES + usize::from(spec.low)] +=
                estimate * estimate * norms[i % norms.len()];
            removed += y * y - (y - estimate) * (y - estimate);
        });
        distortion.push(energy[band] - removed);
    }
    Partial(vec![bytes, distortion, energy, carried])
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
