//! Which tasks to refuse where the tails do not fit.

use super::schedule::{Edge, Schedule, Scheduler, Tail};

/// Most attempts to fit in single tasks behind the first that did not fit.
const ATTEMPTS: usize = 64;

/// Chooses tasks so that all barriers are where they must be: those worth most per second of the edge.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    scheduler: Scheduler,
    order: Vec<usize>,
    chosen: Vec<usize>,
    tails: Vec<Tail>,
    schedule: Schedule,
}

impl Admission {
    /// Choose among `tails`, worth `values` each, so that no barrier comes before `at_least_s` (one per deadline).
    /// `admitted` and `out` are filled, `out.edge_s` for all tails (0 where refused).
    ///
    /// Greedy by value over time alone: the longest such prefix that fits, then whatever still fits behind it, or the single
    /// task worth most if that is more.
    #[allow(clippy::too_many_arguments)]
    pub fn admit(
        &mut self,
        edge: &Edge,
        deadlines_s: &[f64],
        at_least_s: &[f64],
        tails: &[Tail],
        values: &[f64],
        admitted: &mut Vec<bool>,
        out: &mut Schedule,
    ) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(0..tails.len());
        let density = |n: &usize| values[*n] / edge.alone_s(&tails[*n]).max(1e-12);
        order.sort_by(|a, b| density(b).total_cmp(&density(a)).then(a.cmp(b)));
        let mut fits = |chosen: &[usize]| {
            self.tails.clear();
            self.tails.extend(chosen.iter().map(|n| tails[*n]));
            let schedule = &mut self.schedule;
            self.scheduler
                .schedule(edge, deadlines_s, at_least_s, &self.tails, schedule);
            let barriers_s = &self.schedule.barriers_s;
            // Limits are computed from times as barriers are, up to rounding.
            barriers_s
                .iter()
                .zip(at_least_s)
                .all(|(barrier_s, least_s)| *barrier_s >= least_s - 1e-12)
        };
        let mut chosen = std::mem::take(&mut self.chosen);
        chosen.clear();
        if fits(&order) {
            chosen.extend_from_slice(&order);
        } else {
            let (mut fit, mut too_many) = (0, order.len());
            while too_many - fit > 1 {
                let middle = usize::midpoint(fit, too_many);
                if fits(&order[..middle]) {
                    fit = middle;
                } else {
                    too_many = middle;
                }
            }
            chosen.extend_from_slice(&order[..fit]);
            for &next in order[fit..].iter().take(ATTEMPTS) {
                chosen.push(next);
                if !fits(&chosen) {
                    chosen.pop();
                }
            }
            let worth: f64 = chosen.iter().map(|n| values[*n]).sum();
            let single = order.iter().filter(|n| values[**n] > worth);
            let mut single: Vec<usize> = single.copied().collect();
            single.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
            if let Some(best) = single.into_iter().find(|n| fits(&[*n])) {
                chosen.clear();
                chosen.push(best);
            }
        }
        // In the order of the tasks, so that equal choices make equal schedules.
        chosen.sort_unstable();
        fits(&chosen);
        admitted.clear();
        admitted.resize(tails.len(), false);
        out.barriers_s.clone_from(&self.schedule.barriers_s);
        out.batches = self.schedule.batches;
        out.edge_s.clear();
        out.edge_s.resize(tails.len(), 0.0);
        for (entry, &n) in chosen.iter().enumerate() {
            admitted[n] = true;
            out.edge_s[n] = self.schedule.edge_s[entry];
        }
        self.order = order;
        self.chosen = chosen;
    }
}
