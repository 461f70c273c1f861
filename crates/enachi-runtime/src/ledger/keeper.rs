//! A ledger on a thread of its own: who keeps deadlines does not wait for a disk.

use super::{Ledger, LedgerError, SYNC};
use enachi_proto::message::Account;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);

type Changes = BTreeMap<String, Account>;

/// Hands changes of accounts to the thread that writes them.
#[derive(Debug)]
pub struct Keeper {
    changes: SyncSender<Changes>,
    /// Changes for which the thread has no time yet: the latest of each name.
    waiting: Changes,
    thread: JoinHandle<Result<(), LedgerError>>,
}

impl Keeper {
    /// Start the thread.
    pub fn start(ledger: Ledger) -> std::io::Result<Self> {
        let (changes, queue) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("enachi-ledger".into())
            .spawn(move || keep(ledger, &queue))?;
        Ok(Self {
            changes,
            waiting: Changes::new(),
            thread,
        })
    }

    /// Have accounts written. Never waits: what the thread has no time for goes with the next call.
    pub fn enter(&mut self, accounts: impl IntoIterator<Item = (String, Account)>) {
        self.waiting.extend(accounts);
        if self.waiting.is_empty() {
            return;
        }
        match self.changes.try_send(std::mem::take(&mut self.waiting)) {
            Ok(()) => {}
            Err(TrySendError::Full(changes) | TrySendError::Disconnected(changes)) => {
                self.waiting = changes;
            }
        }
    }

    /// Write what is left, and see it on the disk. The error is that of the last attempt.
    pub fn close(self) -> Result<(), LedgerError> {
        let Self {
            changes,
            waiting,
            thread,
        } = self;
        // A thread that is gone says why below.
        let _ = changes.send(waiting);
        drop(changes);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn keep(mut ledger: Ledger, changes: &Receiver<Changes>) -> Result<(), LedgerError> {
    let mut synced = Instant::now();
    let mut failing = false;
    loop {
        match changes.recv_timeout(AGAIN) {
            Ok(changed) => changed
                .into_iter()
                .for_each(|(name, account)| ledger.set(&name, account)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return ledger.save(true),
        }
        let sync = synced.elapsed() > SYNC;
        match ledger.save(sync) {
            Ok(()) => {
                if std::mem::take(&mut failing) {
                    info!("the energy queues are written again");
                }
                if sync {
                    synced = Instant::now();
                }
            }
            // Devices are served all the same; said once, not four times a second.
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "the energy queues are not written; trying again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(frames: u64) -> Account {
        Account {
            queue_j: 0.0,
            spent_j: frames as f64,
            frames,
        }
    }

    fn wait(what: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !what() {
            assert!(Instant::now() < until, "nothing is written");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// However many changes come faster than the disk takes them, the last one of each name is what is kept.
    #[test]
    fn the_newest_of_each_name_is_on_the_disk_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queues.txt");
        let ledger = Ledger::open_to_write(&path).expect("writable");
        let mut keeper = Keeper::start(ledger).expect("a thread");
        for frames in 0..2000 {
            let name = format!("device-{}", frames % 3);
            keeper.enter([(name, account(frames))]);
        }
        keeper.close().expect("written");
        for path in [path.clone(), super::super::beside(&path, "synced")] {
            let kept = Ledger::open(&path).expect("whole");
            let frames: Vec<u64> = kept.accounts().values().map(|a| a.frames).collect();
            assert_eq!(frames, [1998, 1999, 1997]);
        }
    }

    /// A folder takes the place of the file that is written: no write succeeds until it goes.
    #[test]
    fn a_write_that_fails_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queues.txt");
        let ledger = Ledger::open_to_write(&path).expect("writable");
        let in_the_way = super::super::beside(&path, "part");
        std::fs::create_dir(&in_the_way).expect("a folder");
        let mut keeper = Keeper::start(ledger).expect("a thread");
        keeper.enter([("a".into(), account(1))]);
        std::thread::sleep(Duration::from_millis(50));
        keeper.enter([("b".into(), account(2))]);
        std::thread::sleep(Duration::from_millis(50));
        assert!(Ledger::open(&path).expect("old").accounts().is_empty());
        std::fs::remove_dir(&in_the_way).expect("empty");
        // Without another change.
        wait(|| Ledger::open(&path).is_ok_and(|kept| kept.accounts().len() == 2));
        // What cannot be written at the end is an error.
        keeper.enter([("c".into(), account(3))]);
        wait(|| Ledger::open(&path).is_ok_and(|kept| kept.accounts().len() == 3));
        std::fs::create_dir(&in_the_way).expect("a folder");
        keeper.enter([("d".into(), account(4))]);
        assert!(keeper.close().is_err());
    }
}
