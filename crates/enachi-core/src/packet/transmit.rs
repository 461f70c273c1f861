//! One device's upload within one frame.

use super::power::PowerControl;
use super::replay::Arrivals;
use super::stop::StopRule;
use crate::queue::PowerQueue;

/// Channel power gains by slot.
pub trait GainSource {
    /// Gain of slot `slot` of the frame. Called once per used slot, in ascending order.
    fn gain(&mut self, slot: u32) -> f64;

    /// What the device knows of that gain when it sets its power, asked right after [`GainSource::gain`].
    #[inline]
    fn known(&mut self, _slot: u32, gain: f64) -> f64 {
        gain
    }
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

/// Receives every used slot: any `FnMut(Slot)` does. `()` ignores them at no cost.
pub trait SlotObserver {
    /// Called at the end of the slot.
    fn slot(&mut self, slot: Slot);
}

impl SlotObserver for () {
    #[inline]
    fn slot(&mut self, _slot: Slot) {}
}

impl<F: FnMut(Slot)> SlotObserver for F {
    #[inline]
    fn slot(&mut self, slot: Slot) {
        self(slot);
    }
}

/// An upload that can pause at any slot, so that its link and reference power may be changed in between.
#[derive(Clone, Debug)]
pub struct Sender {
    window: Window,
    queue: PowerQueue,
    delivered: f64,
    gain_sum: f64,
    checkpoint: usize,
    /// Bits at the next checkpoint.
    next_bits: f64,
    total_bits: f64,
    /// First slot that a decided stop forbids; `u32::MAX` before a stop is decided.
    release: u32,
    used: u32,
    end_slot: u32,
    ending: Option<Ending>,
}

impl Sender {
    /// Before the first slot of `window`.
    pub fn new(window: Window, reference_power_w: f64, arrivals: &impl Arrivals) -> Self {
        let last = arrivals.last();
        Self {
            window,
            queue: PowerQueue::new(reference_power_w),
            delivered: 0.0,
            gain_sum: 0.0,
            checkpoint: 0,
            next_bits: arrivals.bits(last.min(1)),
            total_bits: arrivals.bits(last),
            release: u32::MAX,
            used: 0,
            end_slot: window.first,
            // There may be nothing to send.
            ending: (last == 0).then_some(Ending::AllSent),
        }
    }

    /// Slots open to the device.
    pub fn window(&self) -> Window {
        self.window
    }

    /// Whether the device has nothing more to do: all is sent, or it was told to stop, or a stop is on its way.
    pub fn released(&self) -> bool {
        self.ending.is_some() || self.release != u32::MAX
    }

    /// First slot in which it will send nothing, where a stop is on its way to it or has come.
    pub fn stops_at(&self) -> Option<u32> {
        (self.ending.is_none() && self.release != u32::MAX).then_some(self.release)
    }

    /// Share of the bits from the last checkpoint to the next that have arrived, in 0..1.
    pub fn begun(&self, arrivals: &impl Arrivals) -> f64 {
        self.begun_between(arrivals.bits(self.checkpoint), self.next_bits)
    }

    /// Share of the bits between two marks that have arrived, in 0..1.
    pub fn begun_between(&self, from: f64, to: f64) -> f64 {
        let gap = to - from;
        if gap > 0.0 {
            ((self.delivered - from) / gap).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// Last checkpoint reached.
    pub fn checkpoint(&self) -> usize {
        self.checkpoint
    }

    /// p̃ in force \[W\].
    pub fn reference_w(&self) -> f64 {
        self.queue.reference_w()
    }

    /// Track another reference power from the next slot on; what is owed to the old one stays owed.
    pub fn set_reference_w(&mut self, reference_power_w: f64) {
        self.queue.set_reference_w(reference_power_w);
    }

    /// A stop that was decided elsewhere: the device sends nothing in slot `slot` or later.
    pub fn release(&mut self, slot: u32) {
        self.release = self.release.min(slot);
    }

    /// Send in the slots of `slots` that lie in the window.
    ///
    /// Per slot: power from `power` (25) for the gain that the device knows, bits (3) at the true gain carried over
    /// towards the next checkpoint, queue update (23); where a checkpoint was crossed the edge asks `stop`, and a stop
    /// takes effect `feedback_slots` slots after the end of the slot in which it was decided. The calls' ranges must
    /// ascend.
    #[expect(
        clippy::too_many_arguments,
        reason = "one per part of the model; all are plain values"
    )]
    #[inline]
    pub fn advance<P, S, A, G, O>(
        &mut self,
        slots: std::ops::Range<u32>,
        link: &Link,
        power: &P,
        stop: &S,
        feedback_slots: u32,
        arrivals: &A,
        gains: &mut G,
        observer: &mut O,
    ) where
        P: PowerControl,
        S: StopRule,
        A: Arrivals,
        G: GainSource,
        O: SlotObserver,
    {
        let last = arrivals.last();
        let range = slots.start.max(self.window.first)..slots.end.min(self.window.end);
        for slot in range {
            if self.ending.is_some() {
                return;
            }
            if slot >= self.release {
                self.ending = Some(Ending::Stopped);
                return;
            }
            let gain = gains.gain(slot);
            let power_w = power.power_w(&self.queue, gains.known(slot, gain));
            let bits = link.slot_bits(power_w, gain);
            self.delivered += bits;
            self.gain_sum += gain;
            self.queue.update(power_w);
            self.used += 1;
            self.end_slot = slot + 1;
            if self.delivered >= self.next_bits {
                while self.checkpoint < last && self.delivered >= arrivals.bits(self.checkpoint + 1)
                {
                    self.checkpoint += 1;
                }
                if self.checkpoint == last {
                    self.ending = Some(Ending::AllSent);
                } else {
                    self.next_bits = arrivals.bits(self.checkpoint + 1);
                    if self.release == u32::MAX && stop.stop(arrivals, self.checkpoint) {
                        self.release = (slot + 1).saturating_add(feedback_slots);
                    }
                }
            }
            observer.slot(Slot {
                slot,
                gain,
                power_w,
                bits,
                queue_w: self.queue.level_w(),
                checkpoint: self.checkpoint,
            });
        }
    }

    /// What it did, once the window is over or the device released.
    pub fn finish(self) -> Transmission {
        // A release that falls on the barrier itself still was a stop, not a cut.
        let ending = self.ending.unwrap_or(if self.release <= self.window.end {
            Ending::Stopped
        } else {
            Ending::Deadline
        });
        Transmission {
            ending,
            checkpoint: self.checkpoint,
            bits: self.delivered.min(self.total_bits),
            slots: self.used,
            end_slot: self.end_slot,
            gain_sum: self.gain_sum,
            queue: self.queue,
        }
    }
}

/// Send `arrivals` over `link` within `window`: a [`Sender`] with one link and one reference power.
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
    let mut sender = Sender::new(window, reference_power_w, arrivals);
    let slots = window.first..window.end;
    sender.advance(
        slots,
        link,
        power,
        stop,
        feedback_slots,
        arrivals,
        gains,
        observer,
    );
    sender.finish()
}

#[cfg(test)]
#[path = "transmit_tests.rs"]
mod tests;
