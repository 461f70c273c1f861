//! Restoration: an incomplete feature stretched by as much as calibration found best
//! ([`Restoration`](super::tables::Restoration)).
//!
//! What a prefix carries follows from which passes of which bands have been decoded, not from the image. It is added up
//! once per cut, so that a decoder does no more than a few additions per channel.

use super::linalg::transpose;
use super::stream::Decoder;
use super::tables::*;

/// What the planes that a decoder has carry by calibration.
pub(super) struct Carried {
    /// Share of the feature's variance that map `k` carries once pass `s` is decoded: `K ×` [`Tables::most_passes`].
    shares: Vec<f32>,
    /// Variance of every channel that the band of chunk `i` carries once the chunk is decoded: chunks × maps.
    variance: Vec<f32>,
}

impl Carried {
    /// For validated tables.
    pub(super) fn new(tables: &Tables) -> Self {
        let passes = tables.most_passes();
        let energy = &tables.restoration.energy;
        let squares = squared_synthesis(tables);
        let total: f32 = tables.restoration.variance.iter().sum();
        let weight: Vec<f32> = squares
            .chunks_exact(tables.geometry.maps)
            .map(|row| row.iter().sum())
            .collect();
        let shares = energy
            .iter()
            .enumerate()
            .map(|(i, e)| e * weight[i / passes] / total.max(f32::MIN_POSITIVE))
            .collect();
        let mut variance = vec![0.0f32; tables.chunks.len() * tables.geometry.maps];
        for (chunk, row) in tables
            .chunks
            .iter()
            .zip(variance.chunks_exact_mut(tables.geometry.maps))
        {
            for map in tables.bands[usize::from(chunk.band)].maps() {
                let energy = energy[map * passes + usize::from(chunk.low)];
                let squares = &squares[map * row.len()..][..row.len()];
                for (sum, square) in row.iter_mut().zip(squares) {
                    *sum += square * energy;
                }
            }
        }
        Self { shares, variance }
    }
}

/// Squares of the synthesis matrix, transformed map by transformed map: `kept × maps`.
fn squared_synthesis(tables: &Tables) -> Vec<f32> {
    let by_map = match &tables.synthesis {
        Some(synthesis) => transpose(synthesis, tables.geometry.maps, tables.kept),
        // The basis is orthonormal: synthesis is the transpose of analysis.
        None => tables.analysis.clone(),
    };
    by_map.into_iter().map(|w| w * w).collect()
}

impl Decoder<'_> {
    /// Share of the feature's variance that the decoded planes carry by calibration.
    pub fn carried_share(&self) -> f32 {
        let codec = self.codec();
        let passes = codec.tables().most_passes();
        let bands = codec.tables().bands.iter();
        bands
            .zip(self.reached())
            .filter_map(|(band, pass)| Some((band, usize::from((*pass)?))))
            .flat_map(|(band, pass)| {
                band.maps()
                    .map(move |map| codec.carried().shares[map * passes + pass])
            })
            .sum()
    }

    /// Variance of every channel that the decoded planes carry by calibration, σ̂² of
    /// [`Restoration`](super::tables::Restoration).
    pub fn carried(&self) -> Vec<f32> {
        let codec = self.codec();
        let tables = codec.tables();
        let mut carried = vec![0.0; tables.geometry.maps];
        for (chunk, row) in tables
            .chunks
            .iter()
            .zip(codec.carried().variance.chunks_exact(carried.len()))
        {
            // The last chunk decoded of each band stands for the band.
            if self.reached()[usize::from(chunk.band)] == Some(chunk.low) {
                for (sum, part) in carried.iter_mut().zip(row) {
                    *sum += part;
                }
            }
        }
        carried
    }

    /// Stretch every channel of a plain estimate to make up for the energy that has not arrived; `carried` comes from
    /// [`Self::carried`].
    pub fn restore(&self, carried: &[f32], exponent: f32, out: &mut [f32]) {
        if exponent == 0.0 {
            return;
        }
        let tables = self.codec().tables();
        let area = tables.geometry.area();
        for (((map, &mean), &variance), &carried) in out
            .chunks_exact_mut(area)
            .zip(&tables.mean)
            .zip(&tables.restoration.variance)
            .zip(carried)
        {
            if carried <= 0.0 {
                continue;
            }
            let stretch = (variance / carried)
                .clamp(1.0, MAX_STRETCH * MAX_STRETCH)
                .powf(exponent / 2.0);
            for v in map {
                *v = mean + (*v - mean) * stretch;
            }
        }
    }
}
