//! Records on their way to a sink, which a thread of its own fills: who keeps deadlines does not wait for a disk.

use super::Sink;
use enachi_core::record::FrameRecord;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{info, warn};

/// Most records that wait for a sink that cannot take them: some hundred megabytes.
const MOST: usize = 500_000;

/// How often records that the sink could not take are offered again.
const AGAIN: Duration = Duration::from_millis(250);

/// Takes records from the engine.
pub(super) struct Clerk {
    /// Records for which the thread has no time yet.
    waiting: Vec<FrameRecord>,
    /// Records for which there was no more room here.
    lost: u64,
    thread: Option<(SyncSender<Vec<FrameRecord>>, JoinHandle<Shelf>)>,
}

impl Clerk {
    /// Start the thread; without a sink there is none, and all records stay.
    pub(super) fn start(sink: Option<Sink>) -> std::io::Result<Self> {
        let thread = sink.map(|sink| {
            let (records, queue) = sync_channel(1);
            let thread = std::thread::Builder::new()
                .name("enachi-records".into())
                .spawn(move || fill(Shelf::new(sink), &queue))?;
            Ok::<_, std::io::Error>((records, thread))
        });
        Ok(Self {
            waiting: Vec::new(),
            lost: 0,
            thread: thread.transpose()?,
        })
    }

    pub(super) fn push(&mut self, record: FrameRecord) {
        self.waiting.push(record);
    }

    /// Hand new records on. Never waits: what the thread has no time for goes with the next call.
    pub(super) fn hand_on(&mut self) {
        let Some((records, _)) = self.thread.as_ref().filter(|_| !self.waiting.is_empty()) else {
            return;
        };
        match records.try_send(std::mem::take(&mut self.waiting)) {
            Ok(()) => {}
            Err(TrySendError::Full(waiting) | TrySendError::Disconnected(waiting)) => {
                self.waiting = waiting;
                let over = self.waiting.len().saturating_sub(MOST);
                self.waiting.drain(..over);
                self.lost += over as u64;
            }
        }
    }

    /// See everything written: what no sink has taken, and how many records were lost.
    pub(super) fn close(self) -> (Vec<FrameRecord>, u64) {
        let Some((records, thread)) = self.thread else {
            return (self.waiting, self.lost);
        };
        // A thread that is gone says why below.
        let _ = records.send(self.waiting);
        drop(records);
        let shelf = thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (shelf.records, self.lost + shelf.lost)
    }
}

fn fill(mut shelf: Shelf, queue: &Receiver<Vec<FrameRecord>>) -> Shelf {
    loop {
        match queue.recv_timeout(AGAIN) {
            Ok(records) => shelf.records.extend(records),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                shelf.empty();
                return shelf;
            }
        }
        shelf.empty();
    }
}

/// Records that no sink has taken yet.
struct Shelf {
    records: Vec<FrameRecord>,
    /// Whether the sink did not take the last records that it was offered.
    failing: bool,
    /// Records for which there was no more room.
    lost: u64,
    sink: Sink,
}

impl Shelf {
    fn new(sink: Sink) -> Self {
        Self {
            records: Vec::new(),
            failing: false,
            lost: 0,
            sink,
        }
    }

    /// Offer what is there to the sink. What it cannot take is offered again.
    fn empty(&mut self) {
        self.empty_to(MOST);
    }

    fn empty_to(&mut self, most: usize) {
        if self.records.is_empty() {
            return;
        }
        match self.sink.0(&self.records) {
            Ok(()) => {
                self.records.clear();
                if std::mem::take(&mut self.failing) {
                    info!("records are written again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(error, "records are not written; trying again");
                }
                let over = self.records.len().saturating_sub(most);
                self.records.drain(..over);
                self.lost += over as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::idle_record;
    use enachi_proto::message::{Account, Fading, Idle};
    use std::sync::mpsc::channel;

    fn record(frame: u32) -> FrameRecord {
        let idle = Idle {
            frames: 1,
            gain: 1.0,
            fading: Fading::None,
            mean_gain: 1.0,
            energy_queue_j: 0.0,
            energy_j: 0.0,
            account: Account::default(),
            tasks: None,
        };
        idle_record(1, frame, 0, 0.0, &idle)
    }

    #[test]
    fn what_a_sink_cannot_take_is_offered_again_and_its_room_is_bounded() {
        let (taken, seen) = channel();
        let mut full = 3;
        let sink = Sink(Box::new(move |rows| {
            full -= 1;
            if full >= 0 {
                return Err("the disk is full".into());
            }
            rows.iter()
                .try_for_each(|row| taken.send(row.frame))
                .map_err(|e| e.to_string())
        }));
        let mut shelf = Shelf::new(sink);
        for frame in 0..10 {
            shelf.records.push(record(frame));
            shelf.empty_to(2);
        }
        // Three failures with room for two: the oldest is gone, the others came in order and once.
        assert_eq!(
            seen.try_iter().collect::<Vec<_>>(),
            (1..10).collect::<Vec<_>>()
        );
        assert_eq!((shelf.lost, shelf.records.len()), (1, 0));
    }

    #[test]
    fn all_records_reach_the_sink_in_order_however_slow_it_is() {
        let (taken, seen) = channel();
        let sink = Sink(Box::new(move |rows| {
            std::thread::sleep(Duration::from_millis(3));
            rows.iter()
                .try_for_each(|row| taken.send(row.frame))
                .map_err(|e| e.to_string())
        }));
        let mut clerk = Clerk::start(Some(sink)).expect("a thread");
        for frame in 0..3000 {
            clerk.push(record(frame));
            clerk.hand_on();
        }
        let (left, lost) = clerk.close();
        assert_eq!((left.len(), lost), (0, 0));
        assert!(seen.try_iter().eq(0..3000));
        // Without a sink they stay.
        let mut kept = Clerk::start(None).expect("no thread");
        (0..10).for_each(|frame| kept.push(record(frame)));
        kept.hand_on();
        let (left, lost) = kept.close();
        assert_eq!((left.len(), lost), (10, 0));
    }
}
