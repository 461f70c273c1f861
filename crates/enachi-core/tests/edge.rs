//! Schedules and admission against exhaustive search on small cases.
#![allow(clippy::unwrap_used)]

mod common;

use common::Rng;
use enachi_core::edge::{Admission, BatchTime, Edge, Schedule, Scheduler, Tail};

fn random_tails(rng: &mut Rng, most: usize, deadlines: usize) -> Vec<Tail> {
    let kinds: Vec<(f64, f64)> = (0..3)
        .map(|_| (rng.range(0.005, 0.05), rng.range(0.0, 0.01)))
        .collect();
    (0..1 + rng.below(most))
        .map(|_| {
            let kind = rng.below(3);
            Tail {
                kind: kind as u32,
                deadline: rng.below(deadlines),
                tail_s: kinds[kind].0,
                decode_s: kinds[kind].1,
            }
        })
        .collect()
}

/// Least makespan over every way to form batches and to assign them to workers.
fn least_makespan(edge: &Edge, tails: &[Tail]) -> f64 {
    /// Put tail `n` into an existing batch of its kind, or into a new one on any worker.
    fn go(
        edge: &Edge,
        tails: &[Tail],
        n: usize,
        batches: &mut Vec<(usize, u32, usize)>,
        best: &mut f64,
    ) {
        let Some(tail) = tails.get(n) else {
            let mut load = vec![0.0; edge.workers];
            for (worker, kind, size) in batches.iter() {
                let tail = tails.iter().find(|t| t.kind == *kind).unwrap();
                let time = &edge.batch_time;
                load[*worker] += time.time_s(tail.tail_s, tail.decode_s, *size);
            }
            *best = best.min(load.into_iter().fold(0.0, f64::max));
            return;
        };
        for at in 0..batches.len() {
            if batches[at].1 == tail.kind && batches[at].2 < edge.max_batch {
                batches[at].2 += 1;
                go(edge, tails, n + 1, batches, best);
                batches[at].2 -= 1;
            }
        }
        for worker in 0..edge.workers {
            batches.push((worker, tail.kind, 1));
            go(edge, tails, n + 1, batches, best);
            batches.pop();
        }
    }
    let mut best = f64::INFINITY;
    go(edge, tails, 0, &mut Vec::new(), &mut best);
    best
}

fn schedule(edge: &Edge, deadlines_s: &[f64], tails: &[Tail]) -> Schedule {
    let mut out = Schedule::default();
    let least_s = vec![0.0; deadlines_s.len()];
    Scheduler::default().schedule(edge, deadlines_s, &least_s, tails, &mut out);
    out
}

fn random_edge(rng: &mut Rng) -> Edge {
    let batch_time = match rng.below(3) {
        0 => BatchTime::linear(0.0, 1.0),
        1 => BatchTime::linear(rng.range(0.0, 0.02), rng.unit()),
        _ => BatchTime::table(0.001, &[(1, 2.0), (2, 3.0), (4, 3.5), (8, 6.0)]).unwrap(),
    };
    Edge {
        workers: 1 + rng.below(3),
        max_batch: 1 + rng.below(6),
        batch_time,
    }
}

#[test]
fn barriers_are_close_to_the_latest_possible() {
    let mut rng = Rng(11);
    let mut worst: f64 = 1.0;
    for _ in 0..400 {
        let edge = random_edge(&mut rng);
        let tails = random_tails(&mut rng, 6, 1);
        let out = schedule(&edge, &[0.3], &tails);
        let (found, least) = (0.3 - out.barriers_s[0], least_makespan(&edge, &tails));
        assert!(found >= least - 1e-12, "{found} {least} {edge:?} {tails:?}");
        worst = worst.max(found / least);
        // Everything is done by the deadline, and something is done just then.
        let last = out.edge_s.iter().copied().fold(0.0, f64::max);
        assert!(out.barriers_s[0] + last <= 0.3 + 1e-12);
        if edge.batch_time == BatchTime::linear(0.0, 1.0) {
            // Batches do not matter, so this is LPT.
            let bound = 4.0 / 3.0 - 1.0 / (3.0 * edge.workers as f64);
            assert!(found <= bound * least + 1e-12, "{found} {least}");
        }
        if edge.workers == 1 && edge.max_batch >= tails.len() {
            assert!((found - least).abs() < 1e-12, "{found} {least} {edge:?}");
        }
    }
    assert!(worst < 1.5, "{worst}");
}

#[test]
fn a_worker_each_is_the_paper() {
    let mut rng = Rng(3);
    for _ in 0..200 {
        let edge = Edge {
            workers: 1000,
            max_batch: 1 + rng.below(8),
            batch_time: BatchTime::linear(0.0, rng.unit()),
        };
        let deadlines_s = [0.1, 0.3];
        let tails = random_tails(&mut rng, 30, 2);
        let out = schedule(&edge, &deadlines_s, &tails);
        for (deadline, deadline_s) in deadlines_s.iter().enumerate() {
            let own = tails.iter().filter(|t| t.deadline == deadline);
            let longest = own.map(|t| t.tail_s + t.decode_s).fold(0.0, f64::max);
            assert_eq!(out.barriers_s[deadline], deadline_s - longest);
        }
        for (tail, edge_s) in tails.iter().zip(&out.edge_s) {
            assert_eq!(*edge_s, tail.tail_s + tail.decode_s);
        }
    }
}

/// Whether tails that are there from their barriers on can all be done by their deadlines, by trying every assignment
/// and order of single tails.
fn feasible(workers: usize, barriers_s: &[f64], deadlines_s: &[f64], tails: &[Tail]) -> bool {
    fn go(
        left: &mut Vec<Tail>,
        ends_s: &mut [f64],
        barriers_s: &[f64],
        deadlines_s: &[f64],
    ) -> bool {
        if left.is_empty() {
            return true;
        }
        for at in 0..left.len() {
            let tail = left.swap_remove(at);
            for worker in 0..ends_s.len() {
                let before_s = ends_s[worker];
                let end_s = before_s.max(barriers_s[tail.deadline]) + tail.tail_s + tail.decode_s;
                if end_s <= deadlines_s[tail.deadline] + 1e-9 {
                    ends_s[worker] = end_s;
                    if go(left, ends_s, barriers_s, deadlines_s) {
                        return true;
                    }
                    ends_s[worker] = before_s;
                }
            }
            left.push(tail);
            let last = left.len() - 1;
            left.swap(at, last);
        }
        false
    }
    let mut ends_s = vec![f64::NEG_INFINITY; workers];
    go(&mut tails.to_vec(), &mut ends_s, barriers_s, deadlines_s)
}

#[test]
fn several_deadlines_share_the_workers() {
    let mut rng = Rng(8);
    let deadlines_s = [0.3, 0.12];
    for _ in 0..300 {
        let edge = Edge {
            workers: 1 + rng.below(2),
            max_batch: 8,
            batch_time: BatchTime::linear(0.0, 1.0),
        };
        let tails = random_tails(&mut rng, 5, 2);
        let out = schedule(&edge, &deadlines_s, &tails);
        assert!(feasible(
            edge.workers,
            &out.barriers_s,
            &deadlines_s,
            &tails
        ));
        for (tail, edge_s) in tails.iter().zip(&out.edge_s) {
            let barrier_s = out.barriers_s[tail.deadline];
            assert!(*edge_s >= tail.tail_s + tail.decode_s - 1e-12);
            assert!(barrier_s + edge_s <= deadlines_s[tail.deadline] + 1e-9);
        }
        // Alone, neither deadline could start later than list scheduling lets it with everything else out of the way.
        let alone: Vec<Tail> = tails.iter().copied().filter(|t| t.deadline == 0).collect();
        let alone = schedule(&edge, &deadlines_s, &alone);
        assert!(out.barriers_s[0] <= alone.barriers_s[0] + 1e-12);
    }
}

fn admit(edge: &Edge, least_s: f64, tails: &[Tail], values: &[f64]) -> (Vec<bool>, Schedule) {
    let (mut admitted, mut out) = (Vec::new(), Schedule::default());
    Admission::default().admit(
        edge,
        &[0.3],
        &[least_s],
        tails,
        values,
        &mut admitted,
        &mut out,
    );
    (admitted, out)
}

#[test]
fn admission_is_close_to_the_best_set() {
    let mut rng = Rng(21);
    let (mut sum, mut cases) = (0.0, 0.0);
    for _ in 0..150 {
        let edge = Edge {
            workers: 1 + rng.below(2),
            max_batch: 8,
            batch_time: BatchTime::linear(0.0, if rng.chance(0.5) { 1.0 } else { 0.4 }),
        };
        let tails = random_tails(&mut rng, 7, 1);
        let values: Vec<f64> = tails.iter().map(|_| rng.range(0.05, 1.0)).collect();
        let span_s = rng.range(0.01, 0.15);
        let (admitted, out) = admit(&edge, 0.3 - span_s, &tails, &values);
        assert!(out.barriers_s[0] >= 0.3 - span_s - 1e-12);
        let worth = |chosen: &dyn Fn(usize) -> bool| -> f64 {
            (0..tails.len())
                .filter(|n| chosen(*n))
                .map(|n| values[n])
                .sum()
        };
        let found = worth(&|n| admitted[n]);
        let mut best: f64 = 0.0;
        for set in 0..1usize << tails.len() {
            let chosen = |n: usize| set >> n & 1 == 1;
            let value = worth(&chosen);
            if value > best {
                let subset: Vec<Tail> = (0..tails.len())
                    .filter(|n| chosen(*n))
                    .map(|n| tails[n])
                    .collect();
                if least_makespan(&edge, &subset) <= span_s + 1e-12 {
                    best = value;
                }
            }
        }
        assert!(found <= best + 1e-12);
        if edge.workers == 1 && edge.batch_time == BatchTime::linear(0.0, 1.0) {
            // A knapsack: greedy or the best single one is at least half.
            assert!(found >= 0.5 * best - 1e-12, "{found} {best}");
        }
        if best > 0.0 {
            (sum, cases) = (sum + found / best, cases + 1.0);
        }
        for (n, edge_s) in out.edge_s.iter().enumerate() {
            assert_eq!(admitted[n], *edge_s > 0.0);
        }
    }
    assert!(sum / cases > 0.95, "{}", sum / cases);
}

#[test]
fn everybody_is_let_in_where_there_is_room() {
    let edge = Edge {
        workers: 1,
        max_batch: 64,
        batch_time: BatchTime::linear(0.0, 1.0),
    };
    let tail = Tail {
        kind: 0,
        deadline: 0,
        tail_s: 0.0275,
        decode_s: 0.0,
    };
    // 25 users × 27.5 ms do not fit in 300 ms: 10 do.
    let values: Vec<f64> = (0..25).map(f64::from).collect();
    let (admitted, out) = admit(&edge, 0.0, &[tail; 25], &values);
    let chosen: Vec<usize> = (0..25).filter(|n| admitted[*n]).collect();
    assert_eq!(chosen, (15..25).collect::<Vec<_>>());
    assert!((out.barriers_s[0] - 0.025).abs() < 1e-12);
    let (admitted, out) = admit(&edge, 0.0, &[tail; 10], &values[..10]);
    assert!(admitted.iter().all(|yes| *yes));
    assert!((out.barriers_s[0] - 0.025).abs() < 1e-12);
    // Nobody at all, and nobody left.
    assert_eq!(admit(&edge, 0.3, &[], &[]).1.barriers_s, [0.3]);
    assert_eq!(admit(&edge, 0.3, &[tail; 2], &[1.0, 2.0]).0, [false, false]);
}
