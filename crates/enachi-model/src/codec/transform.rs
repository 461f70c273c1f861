//! The separable transform: across channels (KLT or identity), then a 2-D DCT on blocks inside each map.
//!
//! Both parts are orthonormal unless the tables say otherwise, so squared error in coefficients is squared error in
//! the feature. Coefficients are laid out `[map][block][frequency]`, frequencies from low to high.

use super::linalg::{LeftMatrix, RightMatrix, transpose};

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
    dct: Option<(RightMatrix, RightMatrix)>,
}

/// Scratch memory of one thread.
#[derive(Default)]
pub struct Scratch {
    maps: Vec<f32>,
    blocks: Vec<f32>,
}

impl Transform {
    /// Build from an analysis matrix (`kept × maps`), a synthesis matrix (`maps × kept`) and the channel means.
    pub fn new(
        geometry: Geometry,
        kept: usize,
        analysis: Vec<f32>,
        synthesis: Vec<f32>,
        mean: Vec<f32>,
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
        let f = geometry.frequencies();
        let dct = (f > 1).then(|| {
            let forward = dct_matrix(&geometry);
            let transposed = transpose(&forward, f, f);
            // Rows of `forward` are basis functions: coefficients = samples · forwardᵀ, samples = coefficients · forward.
            (
                RightMatrix::new(&transposed, f, f),
                RightMatrix::new(&forward, f, f),
            )
        });
        Self {
            geometry,
            kept,
            analysis: LeftMatrix::new(analysis, kept, geometry.maps),
            analysis_bias,
            synthesis: LeftMatrix::new(synthesis, geometry.maps, kept),
            mean,
            dct,
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
        let channel = self.kept * g.maps * g.area();
        let spatial = if self.dct.is_some() {
            self.kept * g.coefficients() * g.frequencies()
        } else {
            0
        };
        (channel + spatial) as u64
    }

    /// Coefficients (`kept × coefficients()`) of a feature (`maps × height × width`).
    pub fn forward(&self, feature: &[f32], scratch: &mut Scratch, out: &mut Vec<f32>) {
        let g = &self.geometry;
        scratch.maps.resize(self.kept * g.area(), 0.0);
        self.analysis
            .product(feature, g.area(), &self.analysis_bias, &mut scratch.maps);
        out.resize(self.kept * g.coefficients(), 0.0);
        match &self.dct {
            None => out.copy_from_slice(&scratch.maps),
            Some((forward, _)) => {
                scratch.blocks.resize(self.kept * g.coefficients(), 0.0);
                for k in 0..self.kept {
                    gather_blocks(
                        g,
                        &scratch.maps[k * g.area()..][..g.area()],
                        &mut scratch.blocks[k * g.coefficients()..][..g.coefficients()],
                    );
                }
                let rows = self.kept * g.coefficients() / g.frequencies();
                forward.product(&scratch.blocks, rows, out);
            }
        }
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
        let maps: &[f32] = match &self.dct {
            None => coefficients,
            Some((_, inverse)) => {
                let rows = used * g.coefficients() / g.frequencies();
                scratch.blocks.resize(self.kept * g.coefficients(), 0.0);
                inverse.product(coefficients, rows, &mut scratch.blocks);
                scratch.maps.resize(self.kept * g.area(), 0.0);
                for k in 0..used {
                    scatter_blocks(
                        g,
                        &scratch.blocks[k * g.coefficients()..][..g.coefficients()],
                        &mut scratch.maps[k * g.area()..][..g.area()],
                    );
                }
                &scratch.maps
            }
        };
        self.synthesis
            .product_leading(used, maps, g.area(), &self.mean, out);
    }
}

/// Copy a map into blocks, repeating the last row and column where a block overhangs.
fn gather_blocks(g: &Geometry, map: &[f32], blocks: &mut [f32]) {
    let (down, across) = g.blocks();
    for (by, bx) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
        let block = &mut blocks[(by * across + bx) * g.frequencies()..][..g.frequencies()];
        for (r, row) in block.chunks_exact_mut(g.block_width).enumerate() {
            let y = (by * g.block_height + r).min(g.height - 1);
            let x = bx * g.block_width;
            let source = &map[y * g.width..][..g.width];
            let inside = g.block_width.min(g.width - x);
            row[..inside].copy_from_slice(&source[x..x + inside]);
            row[inside..].fill(source[g.width - 1]);
        }
    }
}

/// Inverse of [`gather_blocks`]; the overhang is dropped.
fn scatter_blocks(g: &Geometry, blocks: &[f32], map: &mut [f32]) {
    let (down, across) = g.blocks();
    for (by, bx) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
        let block = &blocks[(by * across + bx) * g.frequencies()..][..g.frequencies()];
        for (r, row) in block.chunks_exact(g.block_width).enumerate() {
            let y = by * g.block_height + r;
            if y >= g.height {
                break;
            }
            let x = bx * g.block_width;
            let inside = g.block_width.min(g.width - x);
            map[y * g.width + x..][..inside].copy_from_slice(&row[..inside]);
        }
    }
}

/// Orthonormal 2-D DCT-II of a block as one matrix: row = frequency (low to high), column = sample (raster).
///
/// One `frequencies² `-product per block costs more operations than two separable passes, but runs at the speed of a
/// matrix product: 14 × 14 blocks of 512 maps take about a millisecond.
fn dct_matrix(g: &Geometry) -> Vec<f32> {
    let (h, w) = (g.block_height, g.block_width);
    let cosine = |n: usize, u: usize, y: usize| {
        let scale = if u == 0 {
            (1.0 / n as f64).sqrt()
        } else {
            (2.0 / n as f64).sqrt()
        };
        scale * (std::f64::consts::PI * (y as f64 + 0.5) * u as f64 / n as f64).cos()
    };
    let mut matrix = Vec::with_capacity(h * w * h * w);
    for (u, v) in g.frequency_order() {
        for y in 0..h {
            for x in 0..w {
                matrix.push((cosine(h, u, y) * cosine(w, v, x)) as f32);
            }
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let t = Transform::new(g, 3, a, at, mean.clone());
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
