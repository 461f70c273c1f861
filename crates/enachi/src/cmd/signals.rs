//! What Ctrl-C does.

use anyhow::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a program that was stopped.
pub const STOPPED: u8 = 130;

/// A flag that the first Ctrl-C (or termination) sets; the second ends a program that does not listen to the first.
pub fn cancel_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    let on_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || {
        if on_signal.swap(true, Ordering::Relaxed) {
            std::process::exit(STOPPED.into());
        }
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(cancel)
}
