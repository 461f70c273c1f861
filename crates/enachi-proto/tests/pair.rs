//! Both sides on lines that misbehave.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{BATCH, CHUNKS, DEADLINE, Fate, Line, Pair};

const PERIOD: u64 = 70;
const TASKS: u64 = 6;

fn run(line: Line, seed: u64) -> Pair {
    let mut pair = Pair::new(line, seed);
    pair.run(PERIOD * TASKS, PERIOD);
    pair
}

/// Every task that was offered ended once at the device; the edge accounts for every task it saw.
fn check_ends(pair: &Pair) {
    for task in &pair.offered {
        let ends = pair.ends.get(task);
        assert!(ends.is_some_and(|e| e.len() == 1), "task {task}: {ends:?}");
    }
    assert!(pair.edge_offered.is_subset(&pair.offered));
    for task in &pair.edge_offered {
        let reported = pair.reported.get(task).copied().unwrap_or(0);
        let lost = u32::from(pair.unreported.contains(task));
        assert!(
            reported + lost <= 1,
            "task {task}: reported {reported}, lost {lost}"
        );
        assert!(
            !pair.cut || reported + lost == 1,
            "task {task} is forgotten"
        );
    }
}

#[test]
fn a_good_line_answers_every_task_from_what_a_stop_let_through() {
    let pair = run(Line::default(), 1);
    check_ends(&pair);
    assert!(pair.offered.len() as u64 >= TASKS - 1);
    for task in &pair.offered {
        // Two chunks a slot, sixteen before the stop, which takes effect at once.
        assert_eq!(pair.ends[task], [Fate::Answered { chunks: 16 }]);
        assert_eq!(pair.reported[task], 1);
        // Eight slots, one of them the stop's: band and power came anew every third.
        assert!((2..=3).contains(&pair.heard[task]), "{:?}", pair.heard);
    }
    assert_eq!(pair.progress as usize, 8 * pair.offered.len());
    assert_eq!(pair.idle, [pair.offered.len() as u32; 2]);
}

#[test]
fn without_a_stop_everything_arrives() {
    let line = Line {
        stop_at: u32::MAX,
        ..Line::default()
    };
    let pair = run(line, 1);
    for task in &pair.offered {
        assert_eq!(pair.ends[task], [Fate::Answered { chunks: CHUNKS }]);
    }
}

#[test]
fn a_stop_is_as_late_as_the_line() {
    let line = Line {
        delay: 2,
        ..Line::default()
    };
    let pair = run(line, 1);
    for task in &pair.offered {
        // Two ticks there, two back, the last of them before that tick's slot: three slots of two chunks after the sixteen.
        assert_eq!(pair.ends[task], [Fate::Answered { chunks: 22 }]);
    }
}

#[test]
fn loss_doubling_and_disorder_lose_chunks_and_nothing_else() {
    for seed in 0..60 {
        let line = Line {
            loss: seed % 40,
            doubled: 20,
            delay: seed % 4,
            jitter: seed % 9,
            ..Line::default()
        };
        let pair = run(line, seed);
        check_ends(&pair);
        for task in &pair.offered {
            assert!(matches!(pair.ends[task][..], [Fate::Answered { .. }]));
        }
        assert_eq!(pair.bad, 0);
    }
}

#[test]
fn mangled_datagrams_are_refused_or_decoded_and_never_end_the_session() {
    let mut bad = 0;
    for seed in 0..60 {
        let line = Line {
            mangled: 50,
            ..Line::default()
        };
        let pair = run(line, seed);
        check_ends(&pair);
        bad += pair.bad;
    }
    assert!(bad > 100, "{bad}");
}

#[test]
fn answers_that_come_after_the_deadline_are_not_taken() {
    let line = Line {
        delay: DEADLINE - BATCH,
        ..Line::default()
    };
    let pair = run(line, 3);
    check_ends(&pair);
    for task in &pair.offered {
        assert_eq!(pair.ends[task], [Fate::GivenUp]);
    }
    // What it has cost is known all the same.
    assert!(pair.reported.len() as u64 >= TASKS - 1);
}

#[test]
fn a_line_that_breaks_at_any_step_leaves_nothing_open() {
    let bad = Line {
        loss: 20,
        doubled: 20,
        mangled: 10,
        delay: 3,
        jitter: 6,
        ..Line::default()
    };
    for line in [Line::default(), bad] {
        let whole = run(line, 7).deliveries;
        assert!(whole > 200);
        for step in 0..whole {
            let line = Line {
                cut_after: Some(step),
                ..line
            };
            let pair = run(line, 7);
            assert!(pair.cut);
            check_ends(&pair);
        }
    }
}
