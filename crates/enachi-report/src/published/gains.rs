//! Gains over benchmarks: leads in accuracy, savings in energy.
//!
//! Both are judged against the benchmark that is hardest to beat: a lead against the most accurate one, a saving against the
//! thriftiest of those that are as accurate as `enachi` (answering less for less is no saving; the most accurate where none is). The
//! easiest, the least accurate and the most wasteful, is shown beside it and decides nothing.

use super::{Achieved, CLOSE, Line, Point, Ran, Verdict, WIDE, judge};
use crate::draw::scale::short;
use crate::run::estimate::Estimate;

/// Why leads come out smaller here, by docs/fidelity.md.
const SAME_CURVES: &str = "the benchmarks see the same curves of maps sent in order of importance here; no curve for an unordered tensor is published";
/// p_max of the paper's setting \[W\]: no device draws more, as the head takes α f³ = 0.8 W.
const MOST_W: f64 = 2.0;

/// The lead at `point`.
pub(super) fn lead(point: &Point, published: f64, enachi: &Achieved, here: &Ran) -> Option<Line> {
    let by = |a: &&Achieved, b: &&Achieved| a.accuracy.value.total_cmp(&b.accuracy.value);
    let best = here.benchmarks().max_by(by)?;
    let worst = here.benchmarks().min_by(by)?;
    let lead = leads(enachi, best);
    let verdict = judge(lead, published);
    let signed = |lead: f64| format!("{:+.1}", lead * 100.0).replace('-', "−");
    let mut ours = format!(
        "{} [{}, {}] points over {}, the most accurate",
        signed(lead.value),
        signed(lead.low),
        signed(lead.high),
        best.policy
    );
    if best.policy != worst.policy {
        let easy = leads(enachi, worst).value;
        ours += &format!("; {} over {}, the least", signed(easy), worst.policy);
    }
    Some(Line {
        what: format!("{}: lead over the benchmarks", point.name),
        published: format!("{:+.2} %", published * 100.0),
        ours,
        verdict,
        why: match verdict {
            Verdict::NotReproduced => SAME_CURVES.into(),
            Verdict::Undecided => WIDE.into(),
            _ => String::new(),
        },
    })
}

/// By how much `enachi` is more accurate; unpaired, and so too wide, where nothing better is known.
fn leads(enachi: &Achieved, other: &Achieved) -> Estimate {
    let (a, b) = (enachi.accuracy, other.accuracy);
    other.trails_by.unwrap_or(Estimate {
        value: a.value - b.value,
        low: a.low - b.high,
        high: a.high - b.low,
    })
}

/// A saving somewhere.
struct Saving<'a> {
    share: Estimate,
    enachi: &'a Achieved,
    other: &'a Achieved,
    deadline_s: f64,
}

impl<'a> Saving<'a> {
    /// Against `other`, with the widest interval that those of both energies allow.
    fn of(here: &'a Ran, enachi: &'a Achieved, other: &'a Achieved) -> Option<Self> {
        let (e, o) = (enachi.energy_j, other.energy_j);
        let share = |e: f64, o: f64| 1.0 - e / o;
        let value = share(e.value, o.value);
        // Without an interval, of one seed, the figure stands alone.
        let or_value = |end: f64| if end.is_finite() { end } else { value };
        (o.value > 0.0).then(|| Self {
            share: Estimate {
                value,
                low: or_value(share(e.high, o.low)),
                high: or_value(share(e.low, o.high)),
            },
            enachi,
            other,
            deadline_s: here.setting.deadline_s,
        })
    }

    /// Against the benchmark that is hardest to save against.
    fn hard(here: &'a Ran) -> Option<Self> {
        let enachi = here.enachi()?;
        let most = |a: &&Achieved, b: &&Achieved| a.accuracy.value.total_cmp(&b.accuracy.value);
        let least = |a: &&Achieved, b: &&Achieved| a.energy_j.value.total_cmp(&b.energy_j.value);
        let equal = |other: &&Achieved| other.accuracy.value >= enachi.accuracy.value - CLOSE;
        let thriftiest = here.benchmarks().filter(equal).min_by(least);
        let other = thriftiest.or_else(|| here.benchmarks().max_by(most))?;
        Self::of(here, enachi, other)
    }

    /// Against the one that spends most.
    fn easy(here: &'a Ran) -> Option<Self> {
        let least = |a: &&Achieved, b: &&Achieved| a.energy_j.value.total_cmp(&b.energy_j.value);
        Self::of(here, here.enachi()?, here.benchmarks().max_by(least)?)
    }

    fn text(&self) -> String {
        let share = self.share.value;
        format!(
            "{}{:.1} % against {}",
            if share > 0.0 { "−" } else { "+" },
            (share * 100.0).abs(),
            self.other.policy
        )
    }
}

/// The largest saving over `points`, published as the share `published`.
pub(super) fn saving(what: String, published: f64, points: &[&Ran]) -> Option<Line> {
    let largest = |a: &Saving<'_>, b: &Saving<'_>| a.share.value.total_cmp(&b.share.value);
    let hard = points.iter().filter_map(|here| Saving::hard(here));
    let easy = points.iter().filter_map(|here| Saving::easy(here));
    let (hard, easy) = (hard.max_by(largest)?, easy.max_by(largest)?);
    let verdict = judge(hard.share, published);
    let place = |of: &Saving<'_>| match points {
        [_] => String::new(),
        _ => format!(" at {} ms", short(of.deadline_s * 1e3)),
    };
    let trails = hard.enachi.accuracy.value - hard.other.accuracy.value;
    let which = match trails > CLOSE {
        true => "the most accurate",
        false => "the thriftiest that is as accurate",
    };
    let mut ours = format!("{}{}, {which}", hard.text(), place(&hard));
    if easy.other.policy != hard.other.policy || easy.deadline_s != hard.deadline_s {
        ours += &format!("; {}{}, the most wasteful", easy.text(), place(&easy));
    }
    Some(Line {
        what,
        published: format!("−{:.2} %", published * 100.0),
        ours,
        verdict,
        why: match verdict {
            Verdict::Undecided => WIDE.into(),
            Verdict::NotReproduced => out_of_reach(&easy, published),
            _ if trails < -0.001 => format!(
                "{} is {:.1} points more accurate there",
                hard.other.policy,
                -trails * 100.0
            ),
            _ => String::new(),
        },
    })
}

/// Why a saving is not reached: for what `enachi` spends, nobody could waste so much, or nobody does.
fn out_of_reach(easy: &Saving<'_>, published: f64) -> String {
    let spent = easy.enachi.energy_j.value;
    let (needed, most) = (spent / (1.0 - published), MOST_W * easy.deadline_s);
    if needed > most {
        format!(
            "where enachi spends {spent:.2} J, a benchmark would have to spend {needed:.2} J; {MOST_W} W all through the deadline are {most:.2} J"
        )
    } else {
        format!(
            "the benchmarks spend at most {:.3} J here, and {:.3} J would be needed; the paper gives no settings of theirs",
            easy.other.energy_j.value, needed
        )
    }
}
