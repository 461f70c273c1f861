//! What one image contributes to the passes that follow quantisation.

use super::Partial;
use crate::codec::plane::{Counter, Known, Price, SIGN, price_list};
use crate::codec::spatial::synthesis_norms;
use crate::codec::stream::{Codec, EncoderScratch};
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
        let plane = codec.planes().plane(spec.low);
        let unit = tables.step * (1u32 << plane) as f32;
        let visited = |map| [(codec.planes().visited(map, spec.low), plane)];
        for_significant(codec, band, &known, visited, |i, value, scale, _| {
            let magnitude = value & !SIGN;
            let offset = coefficients[i].abs() / unit - f32::from(magnitude);
            let class = magnitude_class(magnitude) * RATIO_CLASSES + ratio_class(scale, plane);
            points[class][0] += f64::from(offset.clamp(0.0, 1.0));
            points[class][1] += 1.0;
        });
    }
    let flat = counts.iter().flatten().map(|&n| n as f64).collect();
    Partial(vec![flat, points.concat()])
}

/// Per band and pass: payload bytes, distortion left, energy; and the energy that each map's estimate carries.
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
    let costs = price_list(&tables.models);
    let norms = synthesis_norms(&tables.geometry, &tables.spatial);
    let mut carried = vec![0.0; tables.kept * tables.most_passes()];
    for spec in &tables.chunks {
        let band = usize::from(spec.band);
        let mut price = Price {
            costs: &costs,
            bits: 0.0,
        };
        codec
            .planes()
            .code(band, spec.low, truth, &mut known, &mut price);
        bytes.push(price.bits / 8.0);
        let mut removed = 0.0;
        let reached = |map| codec.planes().known(map, spec.low);
        for_significant(codec, band, &known, reached, |i, value, scale, plane| {
            let y = f64::from(coefficients[i]);
            let estimate = f64::from(codec.value(value, scale, plane));
            carried[i / per_map * tables.most_passes() + usize::from(spec.low)] +=
                estimate * estimate * norms[i % norms.len()];
            removed += y * y - (y - estimate) * (y - estimate);
        });
        distortion.push(energy[band] - removed);
    }
    Partial(vec![bytes, distortion, energy, carried])
}

/// Visit the significant ones among some frequencies of every map of a band, given with the plane they are known down
/// to: index, known value, scale class, plane.
fn for_significant<'c, const N: usize>(
    codec: &Codec,
    band: usize,
    known: &Known,
    frequencies: impl Fn(usize) -> [(&'c [u16], u8); N],
    mut visit: impl FnMut(usize, u16, i8, u8),
) {
    let planes = codec.planes();
    let f = codec.tables().geometry.frequencies();
    for map in codec.tables().bands[band].maps() {
        for (frequencies, plane) in frequencies(map) {
            for block in 0..planes.blocks() {
                for &frequency in frequencies {
                    let i = (map * planes.blocks() + block) * f + usize::from(frequency);
                    if known.values[i] & !SIGN != 0 {
                        visit(i, known.values[i], planes.scale(map, frequency), plane);
                    }
                }
            }
        }
    }
}
