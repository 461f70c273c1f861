//! Second moments of features and gradients, and the bases that follow from them.
//!
//! The metric of the task is the Fisher information `F = E[g gᵀ]`, `g` the gradient of the log-probability of a label
//! drawn from the network's own answer. To second order `δᵀ F δ / 2` is the divergence of the answer that an error δ of
//! the feature causes. It is taken as a product of a factor over channels and one over positions, each measured as
//! the moment over the other index.

use super::{ChannelTransform, SpatialTransform};
use crate::codec::linalg::{gram, gram_columns, transpose, weighted_klt};
use crate::codec::tables::{Spatial, SquareBasis};
use crate::codec::transform::Geometry;

/// Exponent of the channel factor of the metric: 1 makes squared error in coefficients the metric itself.
const CHANNEL_EXPONENT: f64 = 1.0;
/// Exponent of the position factor. Less than 1 because the borders, which matter little to small errors, matter more
/// once errors are large.
const POSITION_EXPONENT: f64 = 0.6;
/// Largest map (samples) with a basis over all of its samples; larger ones get one per direction.
const MOST_FULL: usize = 256;
/// Longest side with a calibrated basis; larger maps get DCT blocks.
const MOST_SEPARABLE: usize = 64;

/// Kinds of transform inside a map that a setting leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpatialKind {
    Blocks,
    Full,
    Separable,
}

pub(super) fn spatial_kind(setting: SpatialTransform, height: usize, width: usize) -> SpatialKind {
    match setting {
        SpatialTransform::None | SpatialTransform::Dct => SpatialKind::Blocks,
        SpatialTransform::Task if height * width <= MOST_FULL => SpatialKind::Full,
        SpatialTransform::Task if height.max(width) <= MOST_SEPARABLE => SpatialKind::Separable,
        SpatialTransform::Task => SpatialKind::Blocks,
    }
}

/// `Σ_maps xᵀx` over whole maps, or over rows and over columns; empty for blocks.
pub(super) fn spatial_moments(kind: SpatialKind, g: &Geometry, maps: &[f32]) -> Vec<Vec<f64>> {
    let wide = |m: Vec<f32>| m.into_iter().map(f64::from).collect();
    match kind {
        SpatialKind::Blocks => vec![],
        SpatialKind::Full => vec![wide(gram_columns(maps, maps.len() / g.area(), g.area()))],
        SpatialKind::Separable => {
            let (h, w) = (g.height, g.width);
            let turned: Vec<f32> = maps
                .chunks_exact(g.area())
                .flat_map(|map| transpose(map, h, w))
                .collect();
            vec![
                wide(gram_columns(&turned, turned.len() / h, h)),
                wide(gram_columns(maps, maps.len() / w, w)),
            ]
        }
    }
}

/// Moments of the gradients of one image: over channels, then over positions.
pub(super) fn gradient_moments(
    channels: ChannelTransform,
    kind: SpatialKind,
    g: &Geometry,
    gradients: &[&[f32]],
) -> Vec<Vec<f64>> {
    let mut total: Vec<Vec<f64>> = Vec::new();
    for gradient in gradients {
        let over_channels = match channels {
            ChannelTransform::Task => gram(gradient, g.maps, g.area())
                .into_iter()
                .map(f64::from)
                .collect(),
            _ => vec![],
        };
        let moments = std::iter::once(over_channels).chain(spatial_moments(kind, g, gradient));
        if total.is_empty() {
            total = moments.collect();
            continue;
        }
        for (sum, moment) in total.iter_mut().zip(moments) {
            for (s, m) in sum.iter_mut().zip(moment) {
                *s += m;
            }
        }
    }
    total
}

/// Analysis (`maps × maps`) and synthesis (`maps × maps`, column = function) over channels.
pub(super) fn channel_basis(
    transform: ChannelTransform,
    covariance: &[f64],
    fisher: Option<&[f64]>,
    maps: usize,
) -> (Vec<f32>, Vec<f32>) {
    let narrow = |m: &[f64]| m.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let basis = match transform {
        ChannelTransform::None => {
            let mut order: Vec<usize> = (0..maps).collect();
            let variance = |i: usize| covariance[i * maps + i];
            order.sort_by(|&a, &b| variance(b).total_cmp(&variance(a)).then(a.cmp(&b)));
            let mut matrix = vec![0.0; maps * maps];
            for (row, &map) in order.iter().enumerate() {
                matrix[row * maps + map] = 1.0;
            }
            return (matrix.clone(), transpose(&matrix, maps, maps));
        }
        ChannelTransform::Klt => weighted_klt(covariance, None, 0.0, maps),
        ChannelTransform::Task => weighted_klt(covariance, fisher, CHANNEL_EXPONENT, maps),
    };
    let synthesis = transpose(&narrow(&basis.synthesis), maps, maps);
    (narrow(&basis.analysis), synthesis)
}

/// Maps seen per position at which half of a covariance over positions is still taken from its separable part.
const MAPS_PER_POSITION: f64 = 20.0;

/// A covariance over positions from few maps, drawn towards the product of its marginals, which few maps determine.
fn shrink_to_separable(covariance: &[f64], g: &Geometry, maps_seen: f64) -> Vec<f64> {
    let (h, w, area) = (g.height, g.width, g.area());
    let (mut down, mut across, mut total) = (vec![0.0; h * h], vec![0.0; w * w], 0.0);
    for p in 0..area {
        let (y, x) = (p / w, p % w);
        total += covariance[p * area + p];
        for other in 0..h {
            down[y * h + other] += covariance[p * area + other * w + x];
        }
        for other in 0..w {
            across[x * w + other] += covariance[p * area + y * w + other];
        }
    }
    if total <= 0.0 {
        return covariance.to_vec();
    }
    let half = MAPS_PER_POSITION * area as f64;
    let share = half / (half + maps_seen);
    (0..area * area)
        .map(|i| {
            let (p, q) = (i / area, i % area);
            let product = down[p / w * h + q / w] * across[p % w * w + q % w] / total;
            (1.0 - share) * covariance[i] + share * product
        })
        .collect()
}

/// The transform inside maps from moments of `maps_seen` transformed maps and of the gradients.
pub(super) fn spatial_basis(
    kind: SpatialKind,
    g: &Geometry,
    moments: &[Vec<f64>],
    maps_seen: f64,
    fisher: &[Vec<f64>],
) -> Spatial {
    let square = |i: usize, n: usize| {
        let shrunk;
        let covariance = match kind {
            SpatialKind::Full => {
                shrunk = shrink_to_separable(&moments[i], g, maps_seen);
                &shrunk
            }
            _ => &moments[i],
        };
        let basis = weighted_klt(
            covariance,
            fisher.get(i).map(Vec::as_slice),
            POSITION_EXPONENT,
            n,
        );
        let narrow = |m: Vec<f64>| m.into_iter().map(|v| v as f32).collect();
        SquareBasis {
            analysis: narrow(basis.analysis),
            synthesis: narrow(basis.synthesis),
        }
    };
    match kind {
        SpatialKind::Blocks => Spatial::Blocks,
        SpatialKind::Full => Spatial::Full(square(0, g.area())),
        SpatialKind::Separable => Spatial::Separable {
            vertical: square(0, g.height),
            horizontal: square(1, g.width),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_the_marginals_and_leaves_a_separable_covariance_alone() {
        let g = Geometry {
            maps: 1,
            height: 3,
            width: 4,
            block_height: 3,
            block_width: 4,
        };
        let wishart = |n: usize, salt: usize| -> Vec<f64> {
            let b = |i: usize, k: usize| ((i * 5 + k * 3 + salt) as f64 * 0.7).sin();
            (0..n * n)
                .map(|ij| (0..n).map(|k| b(ij / n, k) * b(ij % n, k)).sum())
                .collect()
        };
        let (down, across) = (wishart(3, 1), wishart(4, 2));
        let product: Vec<f64> = (0..144)
            .map(|i| {
                let (p, q) = (i / 12, i % 12);
                down[p / 4 * 3 + q / 4] * across[p % 4 * 4 + q % 4]
            })
            .collect();
        for (a, b) in shrink_to_separable(&product, &g, 7.0).iter().zip(&product) {
            assert!((a - b).abs() < 1e-12);
        }
        let any = wishart(12, 3);
        let trace = |m: &[f64]| (0..12).map(|i| m[i * 13]).sum::<f64>();
        let shrunk = shrink_to_separable(&any, &g, 100.0);
        assert!((trace(&shrunk) - trace(&any)).abs() < 1e-9);
        let much = shrink_to_separable(&any, &g, 1e12);
        assert!(much.iter().zip(&any).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
