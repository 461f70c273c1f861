//! Raw maps, the transmission that the paper describes: whole maps at 8 or 32 bits, in a fixed order.

use std::ops::Range;

/// Bytes of framing per map: two for the map's index. Its length is known.
pub const MAP_HEADER_BYTES: usize = 2;

/// How raw maps of one cut are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct RawMaps {
    /// Elements of a map.
    pub area: usize,
    /// 8 (uniform over `range` of the map) or 32 (IEEE 754).
    pub bits_per_element: u32,
    /// Fill for maps that are missing, per map.
    pub mean: Vec<f32>,
    /// Smallest and largest value on calibration images, per map.
    pub range: Vec<Range<f32>>,
}

impl RawMaps {
    /// Bytes over the air of one map.
    pub fn map_bytes(&self) -> usize {
        self.area * self.bits_per_element as usize / 8 + MAP_HEADER_BYTES
    }

    /// MACs of quantising or restoring all maps: one per element at 8 bits.
    pub fn macs(&self) -> u64 {
        if self.bits_per_element == 8 {
            (self.area * self.mean.len()) as u64
        } else {
            0
        }
    }

    /// What the edge has when only `arrived` maps came: those as quantised, the others filled with their mean.
    pub fn receive(&self, feature: &[f32], arrived: &[usize], out: &mut [f32]) {
        for (map, &mean) in out.chunks_exact_mut(self.area).zip(&self.mean) {
            map.fill(mean);
        }
        for &map in arrived {
            let elements = map * self.area..(map + 1) * self.area;
            let (source, target) = (&feature[elements.clone()], &mut out[elements]);
            if self.bits_per_element != 8 {
                target.copy_from_slice(source);
                continue;
            }
            let Range { start, end } = self.range[map];
            let step = (end - start) / 255.0;
            for (t, &s) in target.iter_mut().zip(source) {
                // A constant map has step 0 and needs no level.
                let level = if step > 0.0 {
                    ((s - start) / step).round().clamp(0.0, 255.0)
                } else {
                    0.0
                };
                *t = start + level * step;
            }
        }
    }
}

/// A seeded order of `n` maps (Fisher–Yates on a counter-based generator), the same on every machine.
pub fn random_order(seed: u64, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        // SplitMix64 of (seed, i): the bias of the remainder is below n / 2^64.
        let mut z = seed ^ (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        order.swap(i, ((z ^ (z >> 31)) % (i as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_maps_are_means_and_the_rest_is_within_half_a_step() {
        let raw = RawMaps {
            area: 4,
            bits_per_element: 8,
            mean: vec![0.5, -1.0],
            range: vec![0.0..2.0, -3.0..1.0],
        };
        let x = [0.1, 0.7, 1.9, 2.5, -3.0, 0.0, 1.0, -0.7];
        let mut out = [0.0; 8];
        raw.receive(&x, &[0], &mut out);
        for (got, want) in out.iter().zip([0.1, 0.7, 1.9, 2.0, -1.0, -1.0, -1.0, -1.0]) {
            assert!((got - want).abs() <= 1.0 / 255.0 + 1e-6, "{got} {want}");
        }
        assert_eq!(raw.map_bytes(), 4 + MAP_HEADER_BYTES);
    }

    #[test]
    fn random_orders_are_permutations_that_differ() {
        let (a, b) = (random_order(1, 50), random_order(2, 50));
        assert_ne!(a, b);
        let mut sorted = a;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
