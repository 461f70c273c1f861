//! Runs of the default engine on one thread each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rten::ThreadPool;

/// Idle thread pools of one thread: a run takes one and gives it back, so concurrent runs never share.
#[derive(Default)]
pub(crate) struct OneThread {
    idle: Mutex<Vec<Arc<ThreadPool>>>,
}

impl OneThread {
    /// Call `work` with a pool of one thread that nobody else uses meanwhile. A panic inside the engine comes back
    /// as its message.
    pub fn run<R: Send>(
        &self,
        work: impl FnOnce(Arc<ThreadPool>) -> R + Send,
    ) -> Result<R, String> {
        let pool = self.lock_idle().pop();
        let pool = pool.unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(1)));
        let guarded = {
            let pool = Arc::clone(&pool);
            move || catch_unwind(AssertUnwindSafe(|| work(pool)))
        };
        // A rayon worker that waits for another pool takes up further jobs of its own pool meanwhile: every image of
        // a `par_iter` would be started at once. A plain thread just waits.
        let outcome = if rayon::current_thread_index().is_some() {
            std::thread::scope(|scope| scope.spawn(guarded).join())
                .unwrap_or_else(|panic| Err(panic))
        } else {
            guarded()
        };
        if outcome.is_ok() {
            self.lock_idle().push(pool);
        }
        outcome.map_err(|panic| {
            let text = panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_string())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            format!(
                "the engine panicked: {}",
                text.unwrap_or_else(|| "no message".into())
            )
        })
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Arc<ThreadPool>>> {
        // The list is whole at every moment, so a panic elsewhere does not spoil it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
