//! The transform inside each map, ready to run: nothing, a DCT on blocks, or a calibrated basis over the whole map.
//!
//! Coefficients of a map are laid out `[block][frequency]`, frequencies from low to high; with a basis over the whole
//! map there is one block. Maps are `height × width`, row-major, one after the other.

use super::linalg::{LeftMatrix, RightMatrix, transpose};
use super::tables::{Spatial, SquareBasis};
use super::transform::Geometry;

/// The transform of one cut.
pub(super) enum Inner {
    /// Coefficients are samples.
    Identity,
    /// One matrix per block.
    Blocks(Square),
    /// One matrix per map.
    Full(Square),
    /// Rows, then columns.
    Separable(Box<Separable>),
}

/// A basis of a block or map as right-hand factors.
pub(super) struct Square {
    forward: RightMatrix,
    inverse: RightMatrix,
}

impl Square {
    fn new(basis: &SquareBasis, n: usize) -> Self {
        // Rows are functions: coefficients = samples · analysisᵀ, samples = coefficients · synthesis.
        Self {
            forward: RightMatrix::new(&transpose(&basis.analysis, n, n), n, n),
            inverse: RightMatrix::new(&basis.synthesis, n, n),
        }
    }
}

pub(super) struct Separable {
    horizontal: Square,
    vertical_forward: LeftMatrix,
    vertical_inverse: LeftMatrix,
    /// Raster position of each coefficient.
    raster: Vec<u16>,
    /// One zero per row: the bias of a product.
    zeros: Vec<f32>,
}

impl Inner {
    pub(super) fn new(g: &Geometry, spatial: &Spatial) -> Self {
        match spatial {
            Spatial::Blocks if g.frequencies() == 1 => Self::Identity,
            Spatial::Blocks => {
                let dct = dct_matrix(g);
                let basis = SquareBasis {
                    synthesis: dct.clone(),
                    analysis: dct,
                };
                Self::Blocks(Square::new(&basis, g.frequencies()))
            }
            Spatial::Full(basis) => Self::Full(Square::new(basis, g.area())),
            Spatial::Separable {
                vertical,
                horizontal,
            } => {
                let (h, w) = (g.height, g.width);
                Self::Separable(Box::new(Separable {
                    horizontal: Square::new(horizontal, w),
                    vertical_forward: LeftMatrix::new(vertical.analysis.clone(), h, h),
                    vertical_inverse: LeftMatrix::new(transpose(&vertical.synthesis, h, h), h, h),
                    raster: g
                        .frequency_order()
                        .into_iter()
                        .map(|(u, v)| (u * w + v) as u16)
                        .collect(),
                    zeros: vec![0.0; h],
                }))
            }
        }
    }

    /// MACs per map, one way.
    pub(super) fn macs(&self, g: &Geometry) -> usize {
        match self {
            Self::Identity => 0,
            Self::Blocks(_) | Self::Full(_) => g.coefficients() * g.frequencies(),
            Self::Separable(_) => g.area() * (g.height + g.width),
        }
    }

    /// Coefficients of `count` maps.
    pub(super) fn forward(
        &self,
        g: &Geometry,
        count: usize,
        maps: &[f32],
        scratch: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let (area, per_map) = (g.area(), g.coefficients());
        match self {
            Self::Identity => out.copy_from_slice(&maps[..count * area]),
            Self::Full(square) => square.forward.product(maps, count, out),
            Self::Blocks(square) => {
                scratch.resize(count * per_map, 0.0);
                for (map, blocks) in maps[..count * area]
                    .chunks_exact(area)
                    .zip(scratch.chunks_exact_mut(per_map))
                {
                    gather_blocks(g, map, blocks);
                }
                square
                    .forward
                    .product(scratch, count * per_map / g.frequencies(), out);
            }
            Self::Separable(s) => {
                scratch.resize((count + 1) * area, 0.0);
                let (rows, column) = scratch.split_at_mut(count * area);
                s.horizontal.forward.product(maps, count * g.height, rows);
                for (map, out) in rows.chunks_exact(area).zip(out.chunks_exact_mut(area)) {
                    s.vertical_forward.product(map, g.width, &s.zeros, column);
                    for (o, &i) in out.iter_mut().zip(&s.raster) {
                        *o = column[usize::from(i)];
                    }
                }
            }
        }
    }

    /// Maps of the coefficients of `count` maps.
    pub(super) fn inverse<'s>(
        &self,
        g: &Geometry,
        count: usize,
        coefficients: &'s [f32],
        scratch: &'s mut Vec<f32>,
        maps: &'s mut Vec<f32>,
    ) -> &'s [f32] {
        let (area, per_map) = (g.area(), g.coefficients());
        maps.resize(count * area, 0.0);
        match self {
            Self::Identity => return coefficients,
            Self::Full(square) => square.inverse.product(coefficients, count, maps),
            Self::Blocks(square) => {
                scratch.resize(count * per_map, 0.0);
                square
                    .inverse
                    .product(coefficients, count * per_map / g.frequencies(), scratch);
                for (blocks, map) in scratch
                    .chunks_exact(per_map)
                    .zip(maps.chunks_exact_mut(area))
                {
                    scatter_blocks(g, blocks, map);
                }
            }
            Self::Separable(s) => {
                scratch.resize((count + 1) * area, 0.0);
                let (rows, column) = scratch.split_at_mut(count * area);
                for (map, row) in coefficients
                    .chunks_exact(area)
                    .zip(rows.chunks_exact_mut(area))
                {
                    for (&c, &i) in map.iter().zip(&s.raster) {
                        column[usize::from(i)] = c;
                    }
                    s.vertical_inverse.product(column, g.width, &s.zeros, row);
                }
                s.horizontal.inverse.product(rows, count * g.height, maps);
            }
        }
        maps
    }
}

/// Squared norm of every synthesis function, in the order of the coefficients of a map's block.
pub(super) fn synthesis_norms(g: &Geometry, spatial: &Spatial) -> Vec<f64> {
    let norms = |matrix: &[f32], n: usize| -> Vec<f64> {
        matrix
            .chunks_exact(n)
            .map(|row| row.iter().map(|&v| f64::from(v) * f64::from(v)).sum())
            .collect()
    };
    match spatial {
        Spatial::Blocks => vec![1.0; g.frequencies()],
        Spatial::Full(basis) => norms(&basis.synthesis, g.area()),
        Spatial::Separable {
            vertical,
            horizontal,
        } => {
            let down = norms(&vertical.synthesis, g.height);
            let across = norms(&horizontal.synthesis, g.width);
            g.frequency_order()
                .into_iter()
                .map(|(u, v)| down[u] * across[v])
                .collect()
        }
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
