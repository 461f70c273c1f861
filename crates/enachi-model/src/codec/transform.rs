//! The transform: across channels, then inside each map ([`super::spatial`]).
//!
//! Where the bases are orthonormal, squared error in coefficients is squared error in the feature; where they are
//! weighted by the task, it is the error in the metric of the weights. Coefficients are laid out
//! `[map][block][frequency]`, frequencies from low to high.

use super::linalg::LeftMatrix;
use super::spatial::Inner;
use super::tables::Spatial;

/// Size of the tensor at a cut and of the blocks of the spatial transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Maps (channels) of the tensor.
    pub maps: usize,
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
    /// Rows of a block of the spatial transform; 1 × 1 means none.
    pub block_height: usize,
    /// Columns of a block.
    pub block_width: usize,
}

impl Geometry {
    /// Blocks down and across; the last row and column of blocks may overhang the map.
    pub fn blocks(&self) -> (usize, usize) {
        (
            self.height.div_ceil(self.block_height),
            self.width.div_ceil(self.block_width),
        )
    }

    /// Coefficients of one block.
    pub fn frequencies(&self) -> usize {
        self.block_height * self.block_width
    }

    /// Coefficients of one map, overhang included.
    pub fn coefficients(&self) -> usize {
        let (down, across) = self.blocks();
        down * across * self.frequencies()
    }

    /// Elements of one map.
    pub fn area(&self) -> usize {
        self.height * self.width
    }

    /// Elements of the tensor.
    pub fn elements(&self) -> usize {
        self.maps * self.area()
    }

    /// The side up to 16 with the least overhang, then the largest.
    pub fn best_block(length: usize) -> usize {
        (1..=length.min(16))
            .min_by_key(|&b| {
                let overhang = length.div_ceil(b) * b - length;
                // A block below 6 loses more to poor energy compaction than some overhang costs.
                (b < 6 && length >= 6, overhang, std::cmp::Reverse(b))
            })
            .unwrap_or(1)
    }

    /// Frequencies `(u, v)` of a block in order of rising radial frequency.
    pub fn frequency_order(&self) -> Vec<(usize, usize)> {
        let (h, w) = (self.block_height, self.block_width);
        let mut order: Vec<(usize, usize)> =
            (0..h).flat_map(|u| (0..w).map(move |v| (u, v))).collect();
        order.sort_by_key(|&(u, v)| {
            let radius = (u * w) * (u * w) + (v * h) * (v * h);
            (radius, u, v)
        });
        order
    }
}

/// The transform at one cut, ready to run.
pub struct Transform {
    geometry: Geometry,
    kept: usize,
    analysis: LeftMatrix,
    analysis_bias: Vec<f32>,
    synthesis: LeftMatrix,
    mean: Vec<f32>,
    inner: Inner,
}

/// Scratch memory of one thread.
#[derive(Default)]
pub struct Scratch {
    maps: Vec<f32>,
    blocks: Vec<f32>,
}

impl Transform {
    /// Build from an analysis matrix (`kept × maps`), a synthesis matrix (`maps × kept`), the channel means, and what
    /// happens inside each map.
    pub fn new(
        geometry: Geometry,
        kept: usize,
        analysis: Vec<f32>,
        synthesis: Vec<f32>,
        mean: Vec<f32>,
        spatial: &Spatial,
    ) -> Self {
        let analysis_bias = analysis
            .chunks_exact(geometry.maps)
            .map(|row| {
                -row.iter()
                    .zip(&mean)
                    .map(|(&a, &m)| f64::from(a) * f64::from(m))
                    .sum::<f64>() as f32
            })
            .collect();
        Self {
            geometry,
            kept,
            analysis: LeftMatrix::new(analysis, kept, geometry.maps),
            analysis_bias,
            synthesis: LeftMatrix::new(synthesis, geometry.maps, kept),
            mean,
            inner: Inner::new(&geometry, spatial),
        }
    }

    /// Shape of the tensor and its blocks.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Transformed maps kept.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// MACs of [`Self::forward`], and of [`Self::inverse`] of everything.
    pub fn macs(&self) -> u64 {
        let g = &self.geometry;
        (self.kept * (g.maps * g.area() + self.inner.macs(g))) as u64
    }

    /// Transformed maps (`kept × area`) of a feature (`maps × height × width`), before the transform inside each map.
    pub fn forward_channels(&self, feature: &[f32], out: &mut Vec<f32>) {
        let area = self.geometry.area();
        out.resize(self.kept * area, 0.0);
        self.analysis
            .product(feature, area, &self.analysis_bias, out);
    }

    /// Coefficients (`kept × coefficients()`) of a feature (`maps × height × width`).
    pub fn forward(&self, feature: &[f32], scratch: &mut Scratch, out: &mut Vec<f32>) {
        let g = &self.geometry;
        self.forward_channels(feature, &mut scratch.maps);
        out.resize(self.kept * g.coefficients(), 0.0);
        self.inner
            .forward(g, self.kept, &scratch.maps, &mut scratch.blocks, out);
    }

    /// Feature from the coefficients of the first `used` transformed maps (the others are zero).
    pub fn inverse(
        &self,
        coefficients: &[f32],
        used: usize,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let g = &self.geometry;
        if used == 0 {
            for (map, &mean) in out.chunks_exact_mut(g.area()).zip(&self.mean) {
                map.fill(mean);
            }
            return;
        }
        let maps = self.inner.inverse(
            g,
            used,
            &coefficients[..used * g.coefficients()],
            &mut scratch.blocks,
            &mut scratch.maps,
        );
        self.synthesis
            .product_leading(used, maps, g.area(), &self.mean, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tables::SquareBasis;

    #[test]
    fn inverse_undoes_forward_and_energy_is_kept() {
        for (h, w, bh, bw) in [(14, 14, 14, 14), (8, 12, 4, 6), (13, 9, 7, 5), (1, 1, 1, 1)] {
            let g = Geometry {
                maps: 3,
                height: h,
                width: w,
                block_height: bh,
                block_width: bw,
            };
            // A rotation in the first two channels: orthonormal and not symmetric.
            let (c, s) = (0.8f32, 0.6f32);
            let a = vec![c, s, 0.0, -s, c, 0.0, 0.0, 0.0, 1.0];
            let at = vec![c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0];
            let mean = vec![0.3, -0.2, 5.0];
            let t = Transform::new(g, 3, a, at, mean.clone(), &Spatial::Blocks);
            let x: Vec<f32> = (0..g.elements())
                .map(|i| ((i * i) as f32 * 0.013).sin() * 2.0)
                .collect();
            let (mut y, mut scratch) = (Vec::new(), Scratch::default());
            t.forward(&x, &mut scratch, &mut y);
            let mut back = vec![0.0; x.len()];
            t.inverse(&y, 3, &mut scratch, &mut back);
            for (a, b) in x.iter().zip(&back) {
                assert!((a - b).abs() < 1e-4);
            }
            if h % bh == 0 && w % bw == 0 {
                let energy: f64 = x
                    .chunks(g.area())
                    .zip(&mean)
                    .flat_map(|(map, m)| map.iter().map(move |v| f64::from(v - m).powi(2)))
                    .sum();
                let coded: f64 = y.iter().map(|&v| f64::from(v).powi(2)).sum();
                assert!((energy - coded).abs() < 1e-4 * energy);
            }
        }
    }

    /// An oblique basis: unit upper triangular, and the transpose of its inverse.
    fn oblique(n: usize) -> SquareBasis {
        let (mut analysis, mut synthesis) = (vec![0.0; n * n], vec![0.0; n * n]);
        for i in 0..n {
            (analysis[i * n + i], synthesis[i * n + i]) = (1.0, 1.0);
            if i + 1 < n {
                analysis[i * n + i + 1] = 0.5;
            }
            // (I + S/2)⁻¹ = Σ (−S/2)^k, transposed.
            for j in 0..i {
                synthesis[i * n + j] = (-0.5f32).powi((i - j) as i32);
            }
        }
        SquareBasis {
            analysis,
            synthesis,
        }
    }

    #[test]
    fn calibrated_bases_invert_and_separable_is_the_product_of_its_directions() {
        let (h, w) = (5, 3);
        let g = Geometry {
            maps: 2,
            height: h,
            width: w,
            block_height: h,
            block_width: w,
        };
        let identity = || vec![1.0, 0.0, 0.0, 1.0];
        let (vertical, horizontal) = (oblique(h), oblique(w));
        let order = g.frequency_order();
        let product = |down: &[f32], across: &[f32]| -> Vec<f32> {
            order
                .iter()
                .flat_map(|&(u, v)| {
                    (0..h * w).map(move |p| down[u * h + p / w] * across[v * w + p % w])
                })
                .collect()
        };
        let full = Spatial::Full(SquareBasis {
            analysis: product(&vertical.analysis, &horizontal.analysis),
            synthesis: product(&vertical.synthesis, &horizontal.synthesis),
        });
        let separable = Spatial::Separable {
            vertical,
            horizontal,
        };
        let x: Vec<f32> = (0..g.elements()).map(|i| (i as f32 * 0.7).sin()).collect();
        let results = [full, separable].map(|spatial| {
            let t = Transform::new(g, 2, identity(), identity(), vec![0.1, 0.2], &spatial);
            let (mut y, mut scratch) = (Vec::new(), Scratch::default());
            t.forward(&x, &mut scratch, &mut y);
            let mut back = vec![0.0; x.len()];
            t.inverse(&y, 2, &mut scratch, &mut back);
            for (a, b) in x.iter().zip(&back) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
            (y, crate::codec::spatial::synthesis_norms(&g, &spatial))
        });
        for (a, b) in results[0].0.iter().zip(&results[1].0) {
            assert!((a - b).abs() < 1e-5);
        }
        for (a, b) in results[0].1.iter().zip(&results[1].1) {
            assert!((a - b).abs() < 1e-5);
        }
    }

    #[test]
    fn blocks_fit_common_sizes() {
        for (length, block) in [
            (56, 14),
            (28, 14),
            (14, 14),
            (7, 7),
            (112, 16),
            (1, 1),
            (32, 16),
        ] {
            assert_eq!(Geometry::best_block(length), block, "length {length}");
        }
    }
}
