//! For few devices the solver is exact: it is compared with an exhaustive search over cuts (and concave pieces of their
//! curves) with a convex search over the band inside, which knows nothing of prices.
mod common;

use common::{Draw, Owned, Rng, audit, best_at_band, random_problem};
use enachi_core::task::{CutOption, DeviceProblem, Plan, Problem, Solver};

/// All (option, piece) of a device.
fn pieces(problem: &Problem<'_>, device: &DeviceProblem) -> Vec<(CutOption, usize)> {
    let mut all = Vec::new();
    for option in problem.options_of(device) {
        let knots = problem.curves[option.curve as usize].knots().len();
        for piece in 0..(knots - 1).max(1) {
            all.push((*option, piece));
        }
    }
    all
}

/// Top of a concave function on [0, end].
fn golden(end: f64, steps: usize, mut f: impl FnMut(f64) -> f64) -> f64 {
    let g = 0.618_033_988_749_894_9;
    let (mut a, mut b) = (0.0, end);
    let (mut c, mut d) = (b - g * (b - a), a + g * (b - a));
    let (mut fc, mut fd) = (f(c), f(d));
    let mut best = fc.max(fd).max(f(end));
    for _ in 0..steps {
        if fc < fd {
            (a, c, fc) = (c, d, fd);
            d = a + g * (b - a);
            fd = f(d);
        } else {
            (b, d, fd) = (d, c, fc);
            c = b - g * (b - a);
            fc = f(c);
        }
        best = best.max(fc).max(fd);
    }
    best
}

/// Best plan for up to three devices.
fn exhaustive(problem: &Problem<'_>, steps: usize) -> f64 {
    let total = problem.bandwidth_hz;
    let all: Vec<_> = problem.devices.iter().map(|d| pieces(problem, d)).collect();
    let value = |n: usize, (option, piece): &(CutOption, usize), band: f64| {
        best_at_band(problem, &problem.devices[n], option, band, Some(*piece)).0
    };
    let mut best = f64::NEG_INFINITY;
    for a in &all[0] {
        if all.len() == 1 {
            best = best.max(value(0, a, total));
            continue;
        }
        for b in &all[1] {
            if all.len() == 2 {
                best = best.max(golden(total, steps, |w| {
                    value(0, a, w) + value(1, b, total - w)
                }));
                continue;
            }
            for c in &all[2] {
                best = best.max(golden(total, steps, |w| {
                    let rest = total - w;
                    value(0, a, w) + golden(rest, steps, |u| value(1, b, u) + value(2, c, rest - u))
                }));
            }
        }
    }
    best
}

fn compare(problem: &Owned, steps: usize) {
    let view = problem.view();
    view.check().expect("valid");
    let mut plan = Plan::default();
    Solver::default().solve(&view, &mut plan);
    audit(&view, &plan);
    let expected = exhaustive(&view, steps);
    let scale = plan.upper_bound.abs().max(view.v);
    assert!(
        plan.objective >= expected - 2e-7 * scale,
        "{} < {expected}",
        plan.objective
    );
    assert!(
        plan.upper_bound >= expected - 1e-9 * scale,
        "bound {} < {expected}",
        plan.upper_bound
    );
    assert!(
        plan.gap <= 1e-6 || plan.upper_bound - plan.objective <= 1e-6 * scale,
        "gap {}",
        plan.gap
    );
}

#[test]
fn one_device() {
    let mut rng = Rng(11);
    for _ in 0..300 {
        let draw = Draw {
            devices: (1, 1),
            max_cuts: 5,
            max_points: 12,
            constant_noise: false,
        };
        compare(&random_problem(&mut rng, draw), 0);
    }
}

#[test]
fn two_devices() {
    let mut rng = Rng(12);
    for _ in 0..150 {
        let draw = Draw {
            devices: (2, 2),
            max_cuts: 3,
            max_points: 6,
            constant_noise: false,
        };
        compare(&random_problem(&mut rng, draw), 60);
    }
}

#[test]
fn three_devices() {
    let mut rng = Rng(13);
    for _ in 0..25 {
        let draw = Draw {
            devices: (3, 3),
            max_cuts: 2,
            max_points: 3,
            constant_noise: false,
        };
        compare(&random_problem(&mut rng, draw), 36);
    }
}
