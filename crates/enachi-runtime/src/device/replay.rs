//! Work that replays a profile: chunks as long as those that were measured.

use super::{Outgoing, Work};
use enachi_core::packet::Arrivals;
use enachi_core::task::Candidate;
use enachi_proto::message::Scored;
use enachi_sim::deployment::Deployment;
use enachi_sim::upload::{Row, Upload};
use enachi_sim::world::World;

/// A device of the simulator's world.
pub struct ReplayedWork<'a> {
    /// Scenario on profile.
    pub deployment: &'a Deployment,
    /// The world.
    pub world: World,
    /// Place of the device in it.
    pub device: u32,
}

/// What replayed chunks carry: only their times of arrival matter.
const PAYLOAD: [u8; 2] = [0xa5; 2];

impl Work for ReplayedWork<'_> {
    fn head(&mut self, upload: &Upload<'_>) -> Result<Outgoing, String> {
        let stream = upload.stream();
        let row = upload.row();
        let mut outgoing = Outgoing::default();
        match &row {
            Row::Measured(prefix) => {
                for checkpoint in 1..=prefix.last() {
                    let range = &stream.checkpoint_chunks[checkpoint - 1..=checkpoint];
                    let (from, to) = (row.bits(checkpoint - 1), row.bits(checkpoint));
                    let chunks = range[1] - range[0];
                    for chunk in 1..=chunks {
                        // Where chunks end inside an interval is not measured; that its last ends with it is.
                        let end = if chunk == chunks {
                            to
                        } else {
                            from + (to - from) * f64::from(chunk) / f64::from(chunks)
                        };
                        outgoing.push_at(&PAYLOAD, end);
                    }
                }
                outgoing.set_checkpoints(&stream.checkpoint_chunks[..=prefix.last()]);
                outgoing.set_total_bits(prefix.inner.bits(prefix.inner.last()));
            }
            Row::Curve(prefix) => {
                for checkpoint in 1..=prefix.last() {
                    outgoing.push_at(&PAYLOAD, row.bits(checkpoint));
                }
                outgoing.set_total_bits(stream.total_bits);
            }
            Row::Level(one, level) => {
                outgoing.push_at(&PAYLOAD, one.bits(1));
                outgoing.level = Some(*level as u16);
            }
        }
        Ok(outgoing)
    }

    /// The replaying edge knows what it is.
    fn whole(&mut self, _task: u32) -> Option<Scored> {
        None
    }

    fn label(&self, _task: u32) -> Option<u16> {
        None
    }

    fn draw(&self, task: u32, candidate: Option<&Candidate>) -> (f64, Option<usize>) {
        let draw = self.world.task(self.device, task);
        let images = self.deployment.networks[0].images;
        if images == 0 {
            return (draw, None);
        }
        let image = (draw * images as f64) as usize;
        let streamed = candidate.and_then(|c| Some((c.cut as usize, c.stream? as usize)));
        let own = streamed.map_or(0, |(cut, stream)| {
            let cut = &self.deployment.networks[0].profile.cuts[cut];
            cut.streams[stream].samples.images
        });
        (draw, Some(if own > 0 { image % own } else { image }))
    }

    fn falls_back(&self) -> bool {
        false
    }
}
