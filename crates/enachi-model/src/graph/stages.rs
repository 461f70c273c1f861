//! Which cuts to profile when nobody names any.

use super::{Cut, CutKind};

/// Consecutive cuts of one shape, as indices into the list of all cuts.
struct Group {
    elements: usize,
    /// More than one position per map.
    spatial: bool,
    /// Some cut of it ends a sum or concatenation of parallel paths (a residual block).
    joins: bool,
    /// Its last cut that can carry a feature.
    last: Option<usize>,
}

/// Names a cut per stage. Consecutive cuts of one shape form a group; a group of feature maps with more than one
/// position is a stage if
///
/// * it holds fewer elements than the groups before and after it (a bottleneck: the linear output of an inverted
///   residual, a pooling layer before wider convolutions; groups after the network forgot positions do not count),
/// * or it ends residual blocks: parallel paths are added or concatenated right before one of its cuts.
///
/// Of a stage the last cut is taken: the same bits, the most work done. If that leaves nothing, every feature cut is
/// taken. `joins[i]` tells whether such a sum or concatenation lies between cuts `i − 1` and `i`.
pub(super) fn stage_cuts(cuts: &[Cut], joins: &[bool]) -> Vec<usize> {
    let usable = |cut: &Cut| cut.kind == CutKind::Feature && cut.splittable;
    let mut groups: Vec<Group> = Vec::new();
    let mut shape: Option<&[usize]> = None;
    for (cut, joins) in cuts.iter().zip(joins) {
        if shape != Some(&cut.shape) {
            shape = Some(&cut.shape);
            groups.push(Group {
                elements: cut.elements,
                spatial: cut.height * cut.width > 1,
                joins: false,
                last: None,
            });
        }
        let group = groups.last_mut().expect("pushed for the first shape");
        group.joins |= joins;
        if usable(cut) {
            group.last = Some(cut.index);
        }
    }
    let stages: Vec<usize> = (0..groups.len())
        .filter(|&i| {
            let group = &groups[i];
            let before = i.checked_sub(1).map(|i| &groups[i]);
            let after = groups.get(i + 1).filter(|g| g.spatial);
            let bottleneck = before.is_some_and(|g| group.elements < g.elements)
                && after.is_none_or(|g| group.elements < g.elements);
            group.spatial && (bottleneck || group.joins)
        })
        .filter_map(|i| groups[i].last)
        .collect();
    if stages.is_empty() {
        let all = cuts.iter().filter(|cut| usable(cut));
        return all.map(|cut| cut.index).collect();
    }
    stages
}
