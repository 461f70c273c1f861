//! One device's upload within one frame.

use super::power::PowerControl;
use super::replay::Arrivals;
use super::stop::StopRule;
use crate::queue::PowerQueue;

/// Channel power gains by slot.
pub trait GainSource {
    /// Gain of slot `slot` of the frame. Called once per used slot, in ascending order.
    fn gain(&mut self, slot: u32) -> f64;
}

/// The device's channel within a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// ω \[Hz\].
    pub bandwidth_hz: f64,
    /// σ² = N0·ω, or the paper's constant \[W\].
    pub noise_w: f64,
    /// Cap on spectral efficiency \[bit/s/Hz\], infinite for none.
    pub max_efficiency: f64,
    /// t_slot \[s\].
    pub slot_s: f64,
}

impl Link {
    /// Bits of one slot, ENACHI (3) times t_slot.
    #[inline]
    pub fn slot_bits(&self, power_w: f64, gain: f64) -> f64 {
        let efficiency = (1.0 + gain * power_w / self.noise_w).log2();
        self.bandwidth_hz * self.slot_s * efficiency.min(self.max_efficiency)
    }
}

/// The slots in which a device may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First slot that begins after the head and the encoder are done.
    pub first: u32,
    /// One past the last slot that ends before the batch starts.
    pub end: u32,
}

impl Window {
    /// Slots between `ready_s` (head and encoder done) and `batch_s` (the batch starts), both from the start of the frame.
    pub fn between(ready_s: f64, batch_s: f64, slot_s: f64) -> Self {
        // Times are sums of products; a hair of slack keeps 100 ms / 1 ms at 100 slots.
        const SLACK: f64 = 1e-9;
        let first = (ready_s / slot_s - SLACK).ceil().max(0.0) as u32;
        let end = (batch_s / slot_s + SLACK).floor().max(0.0) as u32;
        Self {
            first,
            end: end.max(first),
        }
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.end - self.first
    }
}

/// ENACHI (9), from the start of the frame: the batch starts max t_edge before the deadline \[s\].
pub fn batch_time_s(deadline_s: f64, edge_times_s: impl IntoIterator<Item = f64>) -> f64 {
    deadline_s - edge_times_s.into_iter().fold(0.0, f64::max)
}

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was sent.
    AllSent,
    /// The stop rule released the device.
    Stopped,
    /// The batch barrier (9) cut it.
    Deadline,
}

/// What an upload did.
#[derive(Clone, Debug, PartialEq)]
pub struct Transmission {
    /// Why it ended.
    pub ending: Ending,
    /// Last checkpoint reached.
    pub checkpoint: usize,
    /// Bits that arrived, at most the whole stream.
    pub bits: f64,
    /// Slots used.
    pub slots: u32,
    /// One past the last slot used (the window's first slot if none).
    pub end_slot: u32,
    /// Sum of the gains over the used slots.
    pub gain_sum: f64,
    /// The power queue (23) after the last slot, with the sum of powers.
    pub queue: PowerQueue,
}

/// One slot, as an observer sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Slot of the frame.
    pub slot: u32,
    /// Channel power gain.
    pub gain: f64,
    /// p_k \[W\].
    pub power_w: f64,
    /// Bits of this slot.
    pub bits: f64,
    /// q after the slot \[W\].
    pub queue_w: f64,
    /// Checkpoint reached at its end.
    pub checkpoint: usize,
}

/// Receives every used slot. `()` ignores them at no cost.
pub trait SlotObserver {
    /// Called at the end of the slot.
    fn slot(&mut self, slot: Slot);
}

impl SlotObserver for () {
    #[inline]
    fn slot(&mut self, _slot: Slot) {}
}

/// Send `arrivals` over `link` within `window`.
///
/// Per slot: power from `power` (25), bits (3) carried over towards the next checkpoint, queue update (23); where a
/// checkpoint was crossed the edge asks `stop`, and a stop takes effect `feedback_slots` slots after the end of
/// the slot in which it was decided.
#[expect(
    clippy::too_many_arguments,
    reason = "one per part of the model; all are plain values"
)]
pub fn transmit<P, S, A, G, O>(
    link: &Link,
    window: Window,
    reference_power_w: f64,
    power: &P,
    stop: &S,
    feedback_slots: u32,
    arrivals: &A,
    gains: &mut G,
    observer: &mut O,
) -> Transmission
where
    P: PowerControl,
    S: StopRule,
    A: Arrivals,
    G: GainSource,
    O: SlotObserver,
{
    let mut queue = PowerQueue::new(reference_power_w);
    let last = arrivals.last();
    let total_bits = arrivals.bits(last);
    let (mut delivered, mut gain_sum) = (0.0, 0.0);
    let mut checkpoint = 0;
    let mut next_bits = arrivals.bits(last.min(1));
    let mut release = u32::MAX;
    let mut end_slot = window.first;
    let mut ending = Ending::Deadline;
    let mut end = window.end;
    if last == 0 {
        // There is nothing to send.
        (ending, end) = (Ending::AllSent, window.first);
    }
    for slot in window.first..end {
        if slot >= release {
            ending = Ending::Stopped;
            break;
        }
        let gain = gains.gain(slot);
        let power_w = power.power_w(&queue, gain);
        let bits = link.slot_bits(power_w, gain);
        delivered += bits;
        gain_sum += gain;
        queue.update(power_w);
        end_slot = slot + 1;
        if delivered >= next_bits {
            while checkpoint < last && delivered >= arrivals.bits(checkpoint + 1) {
                checkpoint += 1;
            }
            if checkpoint == last {
                ending = Ending::AllSent;
            } else {
                next_bits = arrivals.bits(checkpoint + 1);
                if release == u32::MAX && stop.stop(arrivals, checkpoint) {
                    release = (slot + 1).saturating_add(feedback_slots);
                }
            }
        }
        observer.slot(Slot {
            slot,
            gain,
            power_w,
            bits,
            queue_w: queue.level_w(),
            checkpoint,
        });
        if ending == Ending::AllSent {
            break;
        }
    }
    // A release that falls on the barrier itself still was a stop, not a cut.
    if ending == Ending::Deadline && release <= window.end {
        ending = Ending::Stopped;
    }
    Transmission {
        ending,
        checkpoint,
        bits: delivered.min(total_bits),
        slots: end_slot - window.first,
        end_slot,
        gain_sum,
        queue,
    }
}

#[cfg(test)]
#[path = "transmit_tests.rs"]
mod tests;
