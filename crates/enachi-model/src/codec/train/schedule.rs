//! How a stream is cut up: the finest step, bands of maps, chunks of passes and their order.

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

/// Least mean size of the first chunk \[byte\]: framing takes two or three.
const FIRST_CHUNK_BYTES: f64 = 24.0;
/// Share of what was sent before that a chunk should have at least: a short prefix is cut finely, a long one not.
const CHUNK_GROWTH: f64 = 0.06;

/// Bytes of a chunk that are not its payload: identifier, length, and what the end of a code word wastes.
pub(super) const FRAME_BYTES: f64 = 2.5;

/// Merge single passes (payload `bytes`, mean) into chunks, and order them by distortion removed per byte.
///
/// Inside a band the order is given; between bands the next chunk is taken from the band whose best look-ahead
/// (largest mean slope over any number of its next passes) is steepest, which follows the convex hull of each band. A
/// chunk takes passes until it is large enough for its place in the stream: `chunk_bytes`, less near the start.
pub(super) fn schedule(
    single: &[ChunkSpec],
    bytes: &[f64],
    distortion: &[f64],
    energy: &[f64],
    chunk_bytes: f64,
) -> Vec<ChunkSpec> {
    struct Pass {
        pass: u8,
        bytes: f64,
        gain: f64,
    }
    let mut bands: Vec<Vec<Pass>> = energy.iter().map(|_| Vec::new()).collect();
    let mut before = energy.to_vec();
    for (i, &spec) in single.iter().enumerate() {
        let band = usize::from(spec.band);
        bands[band].push(Pass {
            pass: spec.low,
            bytes: bytes[i],
            gain: before[band] - distortion[i],
        });
        before[band] = distortion[i];
    }
    let slope = |passes: &[Pass]| {
        let (mut gain, mut cost, mut best) = (0.0, FRAME_BYTES, f64::NEG_INFINITY);
        for pass in passes {
            gain += pass.gain;
            cost += pass.bytes;
            best = f64::max(best, gain / cost);
        }
        best
    };
    let mut next = vec![0; bands.len()];
    let mut order = Vec::new();
    let mut sent = 0.0;
    loop {
        let steepest = (0..bands.len())
            .filter(|&b| next[b] < bands[b].len())
            .map(|b| (slope(&bands[b][next[b]..]), b))
            .max_by(|x, y| x.0.total_cmp(&y.0).then(y.1.cmp(&x.1)));
        let Some((_, band)) = steepest else {
            return order;
        };
        let least = (CHUNK_GROWTH * sent).clamp(FIRST_CHUNK_BYTES.min(chunk_bytes), chunk_bytes);
        let passes = &bands[band][next[band]..];
        let (mut taken, mut size) = (0, FRAME_BYTES);
        let mut left: f64 = passes.iter().map(|pass| pass.bytes).sum();
        // What would be left of the band must be worth a chunk too.
        while taken < passes.len() && (taken == 0 || size < least || left < least) {
            size += passes[taken].bytes;
            left -= passes[taken].bytes;
            taken += 1;
        }
        order.push(ChunkSpec {
            band: band as u16,
            high: passes[0].pass,
            low: passes[taken - 1].pass,
        });
        next[band] += taken;
        sent += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes of bands with given (bytes, gain) each.
    fn order(bands: &[Vec<(f64, f64)>], chunk_bytes: f64) -> Vec<ChunkSpec> {
        let (mut single, mut bytes, mut distortion, mut energy) = (vec![], vec![], vec![], vec![]);
        for (band, passes) in (0u16..).zip(bands) {
            let mut left: f64 = passes.iter().map(|(_, gain)| gain).sum();
            energy.push(left);
            for (i, (size, gain)) in passes.iter().enumerate() {
                let pass = (passes.len() - 1 - i) as u8;
                single.push(ChunkSpec {
                    band,
                    high: pass,
                    low: pass,
                });
                left -= gain;
                bytes.push(*size);
                distortion.push(left);
            }
        }
        schedule(&single, &bytes, &distortion, &energy, chunk_bytes)
    }

    #[test]
    fn large_passes_of_falling_slope_go_out_by_slope_one_by_one() {
        let bands: Vec<Vec<(f64, f64)>> = [1.0, 0.7, 0.31]
            .iter()
            .map(|scale| {
                (0..5)
                    .map(|i| (100.0, scale * 0.4f64.powi(i)))
                    .collect::<Vec<_>>()
            })
            .collect();
        let order = order(&bands, 60.0);
        assert_eq!(order.len(), 15);
        let gains: Vec<f64> = order
            .iter()
            .map(|chunk| {
                assert_eq!(chunk.high, chunk.low);
                bands[usize::from(chunk.band)][4 - usize::from(chunk.low)].1
            })
            .collect();
        assert!(gains.is_sorted_by(|a, b| a >= b), "{gains:?}");
    }

    #[test]
    fn small_passes_are_merged_more_the_further_into_the_stream_and_each_is_sent_once() {
        let bands: Vec<Vec<(f64, f64)>> = (0..40)
            .map(|band| {
                (0..30)
                    .map(|i| (8.0, 0.8f64.powi(i) / f64::from(band + 1)))
                    .collect()
            })
            .collect();
        let order = order(&bands, 60.0);
        let mut next = vec![30u8; bands.len()];
        for chunk in &order {
            let next = &mut next[usize::from(chunk.band)];
            assert_eq!(chunk.high + 1, *next);
            *next = chunk.low;
        }
        assert!(next.iter().all(|&pass| pass == 0));
        let size = |chunk: &ChunkSpec| 8.0 * f64::from(chunk.high - chunk.low + 1) + FRAME_BYTES;
        assert!(order.iter().all(|chunk| size(chunk) >= FIRST_CHUNK_BYTES));
        let (first, last) = (size(&order[0]), size(&order[order.len() - 1]));
        assert!(
            first < FIRST_CHUNK_BYTES + 8.0 && last >= 60.0,
            "{first}, {last}"
        );
    }
}
