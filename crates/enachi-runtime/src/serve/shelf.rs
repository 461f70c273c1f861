//! Records on their way to a sink.

use super::Sink;
use enachi_core::record::FrameRecord;
use tracing::{info, warn};

/// Most records that wait for a sink that cannot take them: some hundred megabytes.
const MOST: usize = 500_000;

/// Records that no sink has taken yet.
pub(super) struct Shelf {
    pub(super) records: Vec<FrameRecord>,
    /// Whether the sink did not take the last records that it was offered.
    failing: bool,
    /// Records for which there was no more room.
    pub(super) lost: u64,
    sink: Option<Sink>,
}

impl Shelf {
    /// Without a sink all records stay.
    pub(super) fn new(sink: Option<Sink>) -> Self {
        Self {
            records: Vec::new(),
            failing: false,
            lost: 0,
            sink,
        }
    }

    pub(super) fn push(&mut self, record: FrameRecord) {
        self.records.push(record);
    }

    /// Hand new records on. What the sink cannot take is offered again.
    pub(super) fn empty(&mut self) {
        self.empty_to(MOST);
    }

    fn empty_to(&mut self, most: usize) {
        let Some(sink) = self.sink.as_mut().filter(|_| !self.records.is_empty()) else {
            return;
        };
        match sink.0(&self.records) {
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

    #[test]
    fn what_a_sink_cannot_take_is_offered_again_and_its_room_is_bounded() {
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
        let record = |frame| idle_record(1, frame, 0, 0.0, &idle);
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
        let mut shelf = Shelf::new(Some(sink));
        for frame in 0..10 {
            shelf.push(record(frame));
            shelf.empty_to(2);
        }
        // Three failures with room for two: the oldest is gone, the others came in order and once.
        assert_eq!(
            seen.try_iter().collect::<Vec<_>>(),
            (1..10).collect::<Vec<_>>()
        );
        assert_eq!((shelf.lost, shelf.records.len()), (1, 0));
        let mut kept = Shelf::new(None);
        (0..10).for_each(|frame| kept.push(record(frame)));
        kept.empty_to(2);
        assert_eq!((kept.lost, kept.records.len()), (0, 10));
    }
}
