//! How a stream is cut up: the finest step, bands of maps, chunks of planes and their order.

use crate::codec::tables::{Band, ChunkSpec};

/// Level θ at which reverse water-filling leaves the given distortion: Σ min(σ², θ) = `distortion`.
pub(super) fn water_level(variance: &[f64], distortion: f64) -> f64 {
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
pub(super) fn split_bands(bits: &[f64], target: f64) -> Vec<Band> {
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

/// Merge single planes into chunks of at least `chunk_bytes` (mean), and order them by distortion removed per byte.
///
/// Inside a band the order is given; between bands the next chunk is taken from the band whose best look-ahead
/// (largest mean slope over any number of its next chunks) is steepest, which follows the convex hull of each band.
pub(super) fn schedule(
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
