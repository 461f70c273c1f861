//! Planning does not allocate once the workspace has seen problems of the size.
#![allow(unsafe_code)]
mod common;

use common::{Draw, Rng, random_problem};
use enachi_core::task::{Plan, Solver};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: forwards to the system allocator, which keeps the contract; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's own obligation.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's own obligation.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's own obligation.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn planning_does_not_allocate_once_warm() {
    let mut rng = Rng(71);
    let draw = Draw {
        devices: (20, 30),
        max_cuts: 6,
        max_points: 33,
        constant_noise: false,
    };
    let problems: Vec<_> = (0..40).map(|_| random_problem(&mut rng, draw)).collect();
    let mut solver = Solver::default();
    let mut plan = Plan::default();
    for problem in &problems {
        solver.cold();
        solver.solve(&problem.view(), &mut plan);
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for problem in &problems {
        solver.cold();
        solver.solve(&problem.view(), &mut plan);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
}
