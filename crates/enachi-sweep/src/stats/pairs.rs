//! Paired differences between policies.

use super::{At, Drawn};
use enachi_data::sweep::PairRow;

impl At<'_> {
    /// All ordered pairs. The difference the other way round is the same with other signs.
    pub(super) fn pairs(&self, policies: &[String], drawn: &[Option<Drawn<'_>>]) -> Vec<PairRow> {
        let n = policies.len();
        let mut rows: Vec<Option<PairRow>> = vec![None; n * n];
        for (first, a) in drawn.iter().enumerate() {
            for (second, b) in drawn.iter().enumerate().skip(first + 1) {
                if let (Some(a), Some(b)) = (a, b) {
                    let names = [policies[first].as_str(), &policies[second]];
                    let Some(row) = self.compared(names, a, b) else {
                        continue;
                    };
                    rows[second * n + first] = Some(mirrored(&row));
                    rows[first * n + second] = Some(row);
                }
            }
        }
        rows.into_iter().flatten().collect()
    }

    /// Over the seeds that both have; nothing where there are none.
    fn compared(&self, names: [&str; 2], a: &Drawn<'_>, b: &Drawn<'_>) -> Option<PairRow> {
        if a.seeds.numbers == b.seeds.numbers {
            return Some(self.pair(names, a, b));
        }
        let common = a.seeds.common(b.seeds);
        (!common.is_empty()).then(|| {
            let (a, b) = (self.drawn(a.seeds, &common), self.drawn(b.seeds, &common));
            self.pair(names, &a, &b)
        })
    }

    fn pair(&self, [policy, other]: [&str; 2], a: &Drawn<'_>, b: &Drawn<'_>) -> PairRow {
        let accuracy = a.accuracy.less(&b.accuracy);
        let settled_j = a.settled_j.less(&b.settled_j);
        let [accuracy_low, accuracy_high] = a.interval(&accuracy);
        let [energy_low, energy_high] = a.interval(&settled_j);
        keyed!(
            self,
            policy,
            PairRow {
                other: other.to_owned(),
                accuracy_difference: accuracy.value,
                accuracy_difference_low: accuracy_low,
                accuracy_difference_high: accuracy_high,
                energy_settled_difference_j: settled_j.value,
                energy_settled_difference_low_j: energy_low,
                energy_settled_difference_high_j: energy_high,
            }
        )
    }
}

fn mirrored(row: &PairRow) -> PairRow {
    PairRow {
        sweep: row.sweep.clone(),
        point: row.point,
        policy: row.other.clone(),
        other: row.policy.clone(),
        accuracy_difference: 0.0 - row.accuracy_difference,
        accuracy_difference_low: 0.0 - row.accuracy_difference_high,
        accuracy_difference_high: 0.0 - row.accuracy_difference_low,
        energy_settled_difference_j: 0.0 - row.energy_settled_difference_j,
        energy_settled_difference_low_j: 0.0 - row.energy_settled_difference_high_j,
        energy_settled_difference_high_j: 0.0 - row.energy_settled_difference_low_j,
    }
}
