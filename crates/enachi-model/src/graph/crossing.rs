//! The exact test for legal cuts, on a plain directed graph.

/// Vertices through which every path from the first to the last vertex goes, ascending, ends included.
///
/// `successors[v]` lists where edges from `v` lead. The numbering must be topological (every edge leads to a higher
/// number) and every vertex must lie on some path from vertex 0 to the last one. Then `v` is on every path if and
/// only if no edge spans it: a path ascends, so it can miss `v` only by an edge from below `v` to above; and an edge
/// (a, b) with a < v < b extends to a path 0 … a → b … last whose lower part stays at or below a and whose upper
/// part stays at or above b.
pub(crate) fn unavoidable(successors: &[Vec<usize>]) -> Vec<usize> {
    let mut furthest = 0;
    let mut found = Vec::new();
    for (vertex, next) in successors.iter().enumerate() {
        if furthest <= vertex {
            found.push(vertex);
        }
        furthest = next.iter().copied().fold(furthest, usize::max);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::unavoidable;
    use proptest::prelude::*;

    /// Whether the last vertex can be reached from vertex 0 without `removed`.
    fn connected_without(successors: &[Vec<usize>], removed: usize) -> bool {
        let last = successors.len() - 1;
        let mut seen = vec![false; successors.len()];
        let mut stack = vec![0];
        while let Some(v) = stack.pop() {
            if v == removed || std::mem::replace(&mut seen[v], true) {
                continue;
            }
            stack.extend(&successors[v]);
        }
        seen[last]
    }

    /// Keep the vertices on some path from 0 to the last, renumbered in order.
    fn restrict(successors: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let n = successors.len();
        let mut from_source = vec![false; n];
        from_source[0] = true;
        for v in 0..n {
            if from_source[v] {
                successors[v].iter().for_each(|&w| from_source[w] = true);
            }
        }
        let mut to_sink = vec![false; n];
        to_sink[n - 1] = true;
        for v in (0..n).rev() {
            to_sink[v] |= successors[v].iter().any(|&w| to_sink[w]);
        }
        let keep: Vec<usize> = (0..n).filter(|&v| from_source[v] && to_sink[v]).collect();
        keep.iter()
            .map(|&v| {
                successors[v]
                    .iter()
                    .filter_map(|w| keep.binary_search(w).ok())
                    .collect()
            })
            .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_removing_each_vertex(
            n in 2usize..24,
            edges in prop::collection::vec((0usize..24, 0usize..24), 0..60),
            chain in prop::collection::vec(any::<bool>(), 24),
        ) {
            let mut successors = vec![Vec::new(); n];
            for (a, b) in edges {
                if a < b && b < n {
                    successors[a].push(b);
                }
            }
            for v in 0..n - 1 {
                if chain[v] {
                    successors[v].push(v + 1);
                }
            }
            let graph = restrict(&successors);
            prop_assume!(graph.len() >= 2);
            let by_removal: Vec<usize> = (0..graph.len())
                .filter(|&v| !connected_without(&graph, v))
                .collect();
            prop_assert_eq!(unavoidable(&graph), by_removal);
        }
    }

    #[test]
    fn a_skip_hides_what_it_spans() {
        // 0 → 1 → 2 → 3 → 4 with a skip 1 → 3.
        let graph = vec![vec![1], vec![2, 3], vec![3], vec![4], vec![]];
        assert_eq!(unavoidable(&graph), [0, 1, 3, 4]);
    }
}
