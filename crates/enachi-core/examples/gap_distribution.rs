//! Distribution of the solver's reported gap over random problems: 4 to 64 devices, 1 to 8 cuts, odd curves, idle queues
//! mixed in. `cargo run --release -p enachi-core --example gap_distribution [problems] [constant]`
#[path = "../tests/common/mod.rs"]
mod common;

use common::{Draw, Rng, random_problem};
use enachi_core::task::{Plan, Solver};
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let problems: usize = args.get(1).and_then(|a| a.parse().ok()).unwrap_or(10_000);
    let constant_noise = args.get(2).is_some_and(|a| a == "constant");
    let mut rng = Rng(1);
    let draw = Draw {
        devices: (4, 64),
        max_cuts: 8,
        max_points: 33,
        constant_noise,
    };
    let mut solver = Solver::default();
    let mut plan = Plan::default();
    let (mut all, mut large) = (Vec::new(), Vec::new());
    let (mut elapsed_s, mut devices) = (Vec::new(), 0usize);
    for _ in 0..problems {
        let problem = random_problem(&mut rng, draw);
        let view = problem.view();
        view.check().expect("random problems are valid");
        solver.cold();
        let start = Instant::now();
        solver.solve(&view, &mut plan);
        elapsed_s.push(start.elapsed().as_secs_f64());
        devices += view.devices.len();
        assert!(plan.objective <= plan.upper_bound);
        all.push(plan.gap);
        if view.devices.len() >= 8 {
            large.push(plan.gap);
        }
    }
    println!(
        "{problems} problems, {devices} devices, {:.1} s of solving",
        elapsed_s.iter().sum::<f64>()
    );
    println!(
        "responses evaluated per device: {:.0}",
        solver.evaluations() as f64 / devices as f64
    );
    println!("gap                      median      90 %      99 %    99.9 %   largest");
    for (name, gaps) in [("all", &mut all), ("8 devices or more", &mut large)] {
        gaps.sort_by(f64::total_cmp);
        print!("{name:<20}");
        for q in [0.5, 0.9, 0.99, 0.999, 1.0] {
            print!("  {:>8.1e}", quantile(gaps, q));
        }
        println!();
    }
    elapsed_s.sort_by(f64::total_cmp);
    print!("time [µs]           ");
    for q in [0.5, 0.9, 0.99, 0.999, 1.0] {
        print!("  {:>8.1}", 1e6 * quantile(&elapsed_s, q));
    }
    println!();
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}
