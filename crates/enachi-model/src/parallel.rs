//! Work on several images at once, one thread per image.
//!
//! Plain threads, each with a matrix-product pool of its own: inside a shared pool a thread that waits for a product
//! would start another image meanwhile, which doubles its memory and spoils its timing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A pool of one thread, for products inside one worker.
pub fn single_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        // Without threads to be had the products still run, on this one.
        Err(_) => work(),
    }
}

/// Apply `work` to `0..n` on `threads` threads; `done` sees each result as it comes, in any order, one at a time. Stops
/// at the first error, which is returned.
pub fn for_each_parallel<T: Send, E: Send>(
    threads: usize,
    n: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
    done: impl FnMut(usize, T) -> Result<(), E> + Send,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let done = Mutex::new(done);
    let fail = |error| {
        stop.store(true, Ordering::Relaxed);
        failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, n.max(1)) {
            scope.spawn(|| {
                single_thread(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        if i >= n {
                            break;
                        }
                        let outcome = work(i).and_then(|result| {
                            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                            done(i, result)
                        });
                        if let Err(error) = outcome {
                            fail(error);
                        }
                    }
                });
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Fold `work(0), work(1), …` in that order, computing them in parallel, one per thread at a time: a result can be large
/// (second moments of every cut), so no more are held than there are threads.
pub fn ordered_fold<T: Send, E: Send>(
    threads: usize,
    n: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
    mut fold: impl FnMut(usize, T),
) -> Result<(), E> {
    let batch = threads.max(1);
    for start in (0..n).step_by(batch) {
        let count = batch.min(n - start);
        let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
        for_each_parallel(
            threads,
            count,
            |i| work(start + i),
            |i, result| {
                results[i] = Some(result);
                Ok(())
            },
        )?;
        for (i, result) in results.into_iter().enumerate() {
            fold(start + i, result.expect("every index was worked on"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_in_order_and_stops_at_errors() {
        let mut seen = Vec::new();
        ordered_fold(3, 100, |i| Ok::<_, ()>(i * i), |i, v| seen.push((i, v))).expect("no errors");
        assert_eq!(seen, (0..100).map(|i| (i, i * i)).collect::<Vec<_>>());
        let outcome = for_each_parallel(
            2,
            1000,
            |i| if i == 17 { Err("seventeen") } else { Ok(i) },
            |_, _| Ok(()),
        );
        assert_eq!(outcome, Err("seventeen"));
    }
}
