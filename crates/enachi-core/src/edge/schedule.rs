//! When batches must start: list scheduling backwards from the deadlines.
//!
//! Every deadline has one barrier, the instant at which its uploads end and its batches may start. Time runs backwards:
//! batches of the latest deadline are placed first, longest first, each on the worker that lets it start latest; then those of
//! the deadline before, which must end before both their own deadline and what is placed already. The barrier of a
//! deadline is the earliest start among its batches. With one deadline this is LPT (longest processing time first), whose
//! makespan is at most 4/3 − 1/(3 W) of the least for the same batches.
//!
//! How many tails go into a batch is chosen as one largest size for all kinds, each kind's tails split evenly: small batches
//! keep all workers busy, large ones cost less in all.

use super::batch::BatchTime;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The server.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Batches that run at the same time, ≥ 1.
    pub workers: usize,
    /// Most tails in a batch, ≥ 1.
    pub max_batch: usize,
    /// Time of a batch.
    pub batch_time: BatchTime,
}

/// The tail of one task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// Tails of the same kind may share a batch; they take the same time.
    pub kind: u32,
    /// Index of its deadline.
    pub deadline: usize,
    /// Time of the tail alone \[s\].
    pub tail_s: f64,
    /// Time of the decoder \[s\].
    pub decode_s: f64,
}

impl Edge {
    /// Time of a tail in a batch of its own \[s\].
    pub fn alone_s(&self, tail: &Tail) -> f64 {
        self.batch_time.time_s(tail.tail_s, tail.decode_s, 1)
    }
}

/// Barriers, and what every task waits for behind its barrier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Barrier of every deadline, from the start of the frame; below 0 where the tails do not fit \[s\].
    pub barriers_s: Vec<f64>,
    /// From its barrier to the end of its batch, for every tail \[s\].
    pub edge_s: Vec<f64>,
    /// Batches.
    pub batches: usize,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    deadline: usize,
    /// Its tails are `order[first..first + size]`.
    first: usize,
    size: usize,
    time_s: f64,
    worker: usize,
}

/// A worker in the heap: the one that is free until the latest first, then the lowest number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Free(f64, Reverse<usize>);

impl Eq for Free {}

impl PartialOrd for Free {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Free {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// Makes schedules, in buffers that are used again.
#[derive(Clone, Debug, Default)]
pub struct Scheduler {
    /// Tails by deadline from the latest on, then kind.
    order: Vec<usize>,
    /// Runs of one deadline and kind in `order`: (first, length).
    runs: Vec<(usize, usize)>,
    sizes: Vec<usize>,
    batches: Vec<Batch>,
    free: BinaryHeap<Free>,
    ends_s: Vec<f64>,
    trial: Schedule,
}

impl Scheduler {
    /// Schedule `tails` for `deadlines_s`. `at_least_s` are the barriers that matter (one per deadline): the schedule found
    /// is the one whose barriers leave most room behind them, in the worst of the deadlines.
    pub fn schedule(
        &mut self,
        edge: &Edge,
        deadlines_s: &[f64],
        at_least_s: &[f64],
        tails: &[Tail],
        out: &mut Schedule,
    ) {
        self.sort(deadlines_s, tails);
        self.collect_sizes(edge);
        // Nothing can start later than the longest tail alone lets it.
        let mut latest = deadlines_s.to_vec();
        for tail in tails {
            let start_s = deadlines_s[tail.deadline] - edge.alone_s(tail);
            latest[tail.deadline] = latest[tail.deadline].min(start_s);
        }
        let mut trial = std::mem::take(&mut self.trial);
        let mut best = f64::NEG_INFINITY;
        for index in 0..self.sizes.len().max(1) {
            let size = self.sizes.get(index).copied().unwrap_or(1);
            self.place(edge, deadlines_s, tails, size, &mut trial);
            let room = trial
                .barriers_s
                .iter()
                .zip(at_least_s)
                .map(|(barrier_s, least_s)| barrier_s - least_s)
                .fold(f64::INFINITY, f64::min);
            if index == 0 || room > best {
                best = room;
                std::mem::swap(&mut trial, out);
                if out.barriers_s == latest {
                    break;
                }
            }
        }
        self.trial = trial;
    }

    fn sort(&mut self, deadlines_s: &[f64], tails: &[Tail]) {
        self.order.clear();
        self.order.extend(0..tails.len());
        self.order.sort_by(|a, b| {
            let (a, b) = (&tails[*a], &tails[*b]);
            deadlines_s[b.deadline]
                .total_cmp(&deadlines_s[a.deadline])
                .then(a.deadline.cmp(&b.deadline))
                .then(a.kind.cmp(&b.kind))
        });
        self.runs.clear();
        let same = |a: &usize, b: &usize| {
            (tails[*a].deadline, tails[*a].kind) == (tails[*b].deadline, tails[*b].kind)
        };
        let mut first = 0;
        for run in self.order.chunk_by(same) {
            self.runs.push((first, run.len()));
            first += run.len();
        }
    }

    /// Largest batch sizes worth trying: 1, and what splits a run evenly over some of the workers.
    fn collect_sizes(&mut self, edge: &Edge) {
        self.sizes.clear();
        self.sizes.push(1);
        for (_, length) in &self.runs {
            for parts in 1..=edge.workers.min(*length) {
                self.sizes.push(length.div_ceil(parts).min(edge.max_batch));
            }
        }
        self.sizes.sort_unstable();
        self.sizes.dedup();
    }

    /// Place batches of at most `most` tails.
    fn place(
        &mut self,
        edge: &Edge,
        deadlines_s: &[f64],
        tails: &[Tail],
        most: usize,
        out: &mut Schedule,
    ) {
        self.batches.clear();
        for &(first, length) in &self.runs {
            let tail = &tails[self.order[first]];
            let parts = length.div_ceil(most);
            for part in 0..parts {
                let (from, to) = (part * length / parts, (part + 1) * length / parts);
                self.batches.push(Batch {
                    deadline: tail.deadline,
                    first: first + from,
                    size: to - from,
                    time_s: edge
                        .batch_time
                        .time_s(tail.tail_s, tail.decode_s, to - from),
                    worker: 0,
                });
            }
        }
        self.batches.sort_by(|a, b| {
            deadlines_s[b.deadline]
                .total_cmp(&deadlines_s[a.deadline])
                .then(a.deadline.cmp(&b.deadline))
                .then(b.time_s.total_cmp(&a.time_s))
                .then(a.first.cmp(&b.first))
        });
        self.free.clear();
        let workers = edge.workers.min(self.batches.len());
        self.free
            .extend((0..workers).map(|worker| Free(f64::INFINITY, Reverse(worker))));
        out.barriers_s.clear();
        out.barriers_s.extend_from_slice(deadlines_s);
        out.batches = self.batches.len();
        for batch in &mut self.batches {
            let Free(until_s, Reverse(worker)) = self.free.pop().expect("at least one worker");
            let start_s = until_s.min(deadlines_s[batch.deadline]) - batch.time_s;
            batch.worker = worker;
            let barrier_s = &mut out.barriers_s[batch.deadline];
            *barrier_s = barrier_s.min(start_s);
            self.free.push(Free(start_s, Reverse(worker)));
        }
        self.run_forward(workers, tails.len(), out);
    }

    /// What really happens: every worker takes its batches in order, each as soon as its barrier is there.
    fn run_forward(&mut self, workers: usize, tails: usize, out: &mut Schedule) {
        out.edge_s.clear();
        out.edge_s.resize(tails, 0.0);
        self.ends_s.clear();
        self.ends_s.resize(workers, f64::NEG_INFINITY);
        for batch in self.batches.iter().rev() {
            let barrier_s = out.barriers_s[batch.deadline];
            let end_s = &mut self.ends_s[batch.worker];
            let waited_s = (*end_s - barrier_s).max(0.0);
            let edge_s = waited_s + batch.time_s;
            *end_s = barrier_s + edge_s;
            for &tail in &self.order[batch.first..batch.first + batch.size] {
                out.edge_s[tail] = edge_s;
            }
        }
    }
}
