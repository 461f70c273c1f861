//! Disjoint images for calibration and measurement.

use sha2::{Digest, Sha256};

use super::labels::{Item, LabelledImages};

/// Too few images for the split asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{calibration} calibration and {measured} measured images were asked for, but there are only {found} usable images"
)]
pub struct SplitError {
    /// Calibration images wanted.
    pub calibration: usize,
    /// Measured images wanted.
    pub measured: usize,
    /// Images there are.
    pub found: usize,
}

/// Draw `calibration` and `measured` images without overlap. The draw depends on the seed and the names only: every
/// image has the rank of SHA-256(seed, name), so images that are not there do not change the order of the others.
/// Both lists come sorted by name.
pub fn split(
    images: &LabelledImages,
    seed: u64,
    calibration: usize,
    measured: usize,
) -> Result<(Vec<Item>, Vec<Item>), SplitError> {
    let found = images.items.len();
    if calibration
        .checked_add(measured)
        .is_none_or(|wanted| wanted > found)
    {
        return Err(SplitError {
            calibration,
            measured,
            found,
        });
    }
    let mut ranked: Vec<_> = images
        .items
        .iter()
        .map(|item| (rank(seed, &item.name), item))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let take = |range: std::ops::Range<usize>| {
        let mut items: Vec<Item> = ranked[range]
            .iter()
            .map(|(_, item)| (*item).clone())
            .collect();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        items
    };
    Ok((
        take(0..calibration),
        take(calibration..calibration + measured),
    ))
}

fn rank(seed: u64, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    hash.finalize().into()
}
