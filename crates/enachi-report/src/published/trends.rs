//! What the paper says of whole axes: where accuracy saturates over the band, and the regimes of V.

use super::{Achieved, Line, Ran, Setting, V, Verdict, close, percent, sweep};
use crate::draw::scale::short;
use enachi_sim::bootstrap::{Bootstrap, Design};

/// Accuracy this close to the best of the axis is saturated.
const SATURATED: f64 = 0.005;
/// Bands near 6 MHz \[MHz\].
const NEAR_6_MHZ: [f64; 2] = [5.0, 7.0];
/// Where the regimes in which energy is spared end.
const BALANCED: [f64; 2] = [10.0, 100.0];
/// Ē of the paper \[J\].
const ALLOWANCE_J: f64 = 0.25;

/// What is known of the first place of an axis where something holds: where it may hold first, where it seems to, and from
/// where on it is certain.
struct First {
    possibly: f64,
    seemingly: f64,
    certainly: Option<f64>,
}

impl First {
    /// Of `places`, ascending: each with the value that must reach `mark`, and its interval.
    fn reaching(mark: f64, places: &[(f64, [f64; 3])]) -> Option<Self> {
        let first = |end: usize| places.iter().find(|(_, value)| value[end] >= mark);
        Some(Self {
            possibly: first(2)?.0,
            seemingly: first(0)?.0,
            certainly: first(1).map(|place| place.0),
        })
    }

    /// Whether it lies in `range`.
    fn within(&self, range: [f64; 2]) -> Verdict {
        let held = |place: f64| (range[0]..=range[1]).contains(&place);
        let late = self.certainly.unwrap_or(f64::INFINITY);
        if held(self.possibly) && held(late) {
            Verdict::Reproduced
        } else if late < range[0] || self.possibly > range[1] {
            Verdict::NotReproduced
        } else {
            Verdict::Undecided
        }
    }
}

/// Accuracy at one place less that at another, with its interval over seeds, which meet the same worlds at both.
fn less(a: &Achieved, b: &Achieved) -> [f64; 3] {
    const REPLICATES: u32 = 1000;
    let value = a.accuracy.value - b.accuracy.value;
    if a.by_seed.len() != b.by_seed.len() || a.by_seed.len() < 2 {
        // Unpaired, and so too wide.
        let low = a.accuracy.low - b.accuracy.high;
        return [value, low, a.accuracy.high - b.accuracy.low];
    }
    let seeds: Vec<f64> = a
        .by_seed
        .iter()
        .zip(&b.by_seed)
        .map(|(a, b)| a - b)
        .collect();
    let bootstrap = Bootstrap::new(Design::Nested, 0, REPLICATES, seeds.len());
    let ends = bootstrap.interval(&bootstrap.mean(&seeds));
    let [low, high] = ends.unwrap_or([value; 2]);
    [value, low, high]
}

/// The band from which more of it brings nothing.
pub(super) fn saturation(ran: &[Ran]) -> Option<Line> {
    let mut bands: Vec<(f64, &Achieved)> = sweep(ran, |s| {
        close(s.deadline_s, 0.3) && s.users == 1 && close(s.v, V)
    })
    .into_iter()
    .filter_map(|r| Some((r.setting.bandwidth_hz / 1e6, r.enachi()?)))
    .collect();
    bands.sort_by(|a, b| a.0.total_cmp(&b.0));
    if bands.len() < 4 {
        return None;
    }
    let top = bands
        .iter()
        .max_by(|a, b| a.1.accuracy.value.total_cmp(&b.1.accuracy.value))?
        .1;
    let places: Vec<(f64, [f64; 3])> = bands
        .iter()
        .map(|(mhz, at)| (*mhz, less(at, top)))
        .collect();
    let from = First::reaching(-SATURATED, &places)?;
    let verdict = from.within(NEAR_6_MHZ);
    let why = match verdict {
        Verdict::NotReproduced if from.seemingly < NEAR_6_MHZ[0] => {
            "less band already gives all but half a point: the curves fitted to the published accuracies flatten early"
        }
        Verdict::NotReproduced => "accuracy still rises there",
        Verdict::Undecided => {
            "the intervals of what is left to gain hold half a point at too many bands"
        }
        _ => "",
    };
    Some(Line {
        what: "300 ms, one user: band at which accuracy saturates".into(),
        published: "near 6 MHz".into(),
        ours: format!(
            "{} MHz{}: within half a point of {}",
            short(from.seemingly),
            between(&from, " MHz"),
            percent(top.accuracy.value)
        ),
        verdict,
        why: why.into(),
    })
}

/// The interval of a place, where it is more than that place.
fn between(first: &First, unit: &str) -> String {
    match first.certainly {
        Some(last) if last == first.possibly => String::new(),
        Some(last) => format!(" [{}, {}]", short(first.possibly), short(last)),
        None => format!(" [{}{unit} or more]", short(first.possibly)),
    }
}

/// Regimes of V.
pub(super) fn regimes(ran: &[Ran]) -> Option<Line> {
    // The sweep over V is the one with most values of it; other sweeps may have a point of it, too.
    let mut best: Vec<&Ran> = Vec::new();
    for r in ran {
        let mut alike = sweep(ran, |s| {
            Setting { v: 0.0, ..*s }
                == Setting {
                    v: 0.0,
                    ..r.setting
                }
        });
        alike.sort_by(|a, b| a.setting.v.total_cmp(&b.setting.v));
        alike.dedup_by(|a, b| a.setting.v == b.setting.v);
        if alike.len() > best.len() {
            best = alike;
        }
    }
    if best.len() < 5 {
        return None;
    }
    let energies: Vec<(f64, [f64; 3])> = best
        .iter()
        .filter_map(|r| {
            let e = r.enachi()?.energy_j;
            let known = e.low.is_finite();
            let ends = if known { [e.low, e.high] } else { [e.value; 2] };
            Some((r.setting.v, [e.value, ends[0], ends[1]]))
        })
        .collect();
    let most = energies.iter().map(|e| e.1[0]).fold(0.0, f64::max);
    let settled = First::reaching(0.98 * most.min(ALLOWANCE_J), &energies)?;
    let verdict = settled.within(BALANCED);
    Some(Line {
        what: "V: conservative, balanced, saturated".into(),
        published: "[1, 10], (10, 100], above 100".into(),
        ours: format!(
            "the allowance is spent from V = {}{} on",
            short(settled.seemingly),
            between(&settled, "")
        ),
        verdict,
        why: match verdict {
            Verdict::NotReproduced => {
                "the same three regimes at other values: V weighs accuracy against joules, and the scale of neither is given"
            }
            Verdict::Undecided => "the intervals of the energies hold the allowance at too many values",
            _ => "",
        }
        .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::ran;
    use super::*;

    const BANDS: [(f64, f64); 4] = [(1e6, 0.76), (2e6, 0.79), (3e6, 0.797), (6e6, 0.80)];

    fn points(spread: f64) -> Vec<Ran> {
        let of = |(band, accuracy): &(f64, f64)| {
            let mut here = ran(*band, &[("enachi", *accuracy, 0.2)]);
            // Seeds that all lie as far apart at every band, but for what is left to chance.
            let shift =
                |i: u32| f64::from(i) * 0.01 + if i == 3 { spread * band / 1e6 } else { 0.0 };
            here.policies[0].by_seed = (0..5).map(|i| accuracy + shift(i)).collect();
            here
        };
        BANDS.iter().map(of).collect()
    }

    #[test]
    fn the_band_saturates_where_the_last_half_point_is_reached() {
        let line = saturation(&points(0.0)).expect("four bands");
        assert!(line.ours.starts_with("3 MHz:"), "{line:?}");
        assert_eq!(line.verdict, Verdict::NotReproduced);
        assert!(!line.why.is_empty());
    }

    #[test]
    fn regimes_are_told_though_another_sweep_has_a_point_of_them() {
        let at = |(v, energy): &(f64, f64)| {
            let mut here = ran(3e6, &[("enachi", 0.78, *energy)]);
            here.setting.v = *v;
            here
        };
        let values = [
            (1.0, 0.1),
            (10.0, 0.2),
            (30.0, 0.25),
            (50.0, 0.25),
            (100.0, 0.25),
        ];
        let mut points: Vec<Ran> = values.iter().map(at).collect();
        points.push(at(&(50.0, 0.25)));
        let line = regimes(&points).expect("five values");
        assert!(line.ours.contains("V = 30 on"), "{line:?}");
        assert_eq!(line.verdict, Verdict::Reproduced);
    }

    #[test]
    fn seeds_that_differ_leave_the_band_open() {
        let line = saturation(&points(0.02)).expect("four bands");
        assert_eq!(line.verdict, Verdict::Undecided, "{line:?}");
    }
}
