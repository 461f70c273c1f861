//! Who takes part in plans within the frame, and how the band is shared out among them.

use super::Situation;
use enachi_core::fading::Fading;
use enachi_core::packet::Window;
use enachi_core::task::{DeviceProblem, snr_at_price};

/// A device that was told to stop and has not heard it yet: it goes on as it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leaving {
    /// First slot in which it sends nothing more.
    pub until: u32,
    /// Band that it sends on \[Hz\].
    pub bandwidth_hz: f64,
}

/// A device with an upload, as plans within the frame see it.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Slots open to it.
    pub window: Window,
    /// Whether it has nothing more to do, or will have been stopped.
    pub released: bool,
    /// The stop that is on its way to it.
    pub leaving: Option<Leaving>,
    /// Whether it takes part in the plans ([`Stream::is_divisible`]).
    pub planned: bool,
    /// Band of the plan \[Hz\].
    pub reserved_hz: f64,
    /// p̃ of the plan \[W\].
    pub reference_w: f64,
    /// Checkpoint reached.
    pub checkpoint: usize,
    /// Share of the way from there to the next, 0..=1.
    pub begun: f64,
    /// Stream, as [`Deployment::stream_index`] counts.
    pub stream: usize,
    /// Row of the profile's images; curves are those of others.
    pub image: usize,
    /// Gain that the frame's plan knew.
    pub gain: f64,
    /// How gains vary around it.
    pub fading: Fading,
    /// Q before the frame \[J\].
    pub energy_queue_j: f64,
    /// Most power that is drawn for sending \[W\].
    pub power_max_w: f64,
    /// Weight of its accuracy.
    pub weight: f64,
}

impl Standing {
    /// Share of the band and mean signal-to-noise ratio that the device was last planned at; of one that got nothing, those
    /// that it would have in the place of a sender, on `senders_hz` at the last plan's price. Were it judged at another share of
    /// the band than senders are, plans would prefer one or the other for nothing but that, and change places all the time.
    pub(super) fn outlook(
        &self,
        situation: &Situation,
        device: &DeviceProblem,
        time_s: f64,
        senders_hz: f64,
        price: f64,
    ) -> (f64, f64) {
        let radio = &situation.radio;
        let snr = radio.snr(self.reserved_hz, self.gain, self.reference_w);
        let (band_hz, snr) = if snr > 0.0 {
            (self.reserved_hz, snr)
        } else {
            let snr = snr_at_price(radio, device, time_s, price, senders_hz);
            (senders_hz, snr)
        };
        (band_hz / situation.bandwidth_hz, snr)
    }

    /// Whether it may still use band at or after `slot`.
    pub fn open_after(&self, slot: u32) -> bool {
        !self.released && self.window.end > slot
    }

    /// Band on which it still sends in `slot` because its stop has not reached it \[Hz\].
    pub fn held_hz(&self, slot: u32) -> f64 {
        let leaving = self.leaving.filter(|l| l.until.min(self.window.end) > slot);
        leaving.map_or(0.0, |leaving| leaving.bandwidth_hz)
    }
}

/// Whoever has a [`Standing`]: a simulated upload, or a task at an edge.
pub trait Party {
    /// Its standing now.
    fn standing(&self) -> Standing;
    /// Take note of the plan's band \[Hz\] and reference power \[W\].
    fn reserve(&mut self, bandwidth_hz: f64, reference_w: f64);
}

impl Party for Standing {
    fn standing(&self) -> Standing {
        *self
    }

    fn reserve(&mut self, bandwidth_hz: f64, reference_w: f64) {
        (self.reserved_hz, self.reference_w) = (bandwidth_hz, reference_w);
    }
}

/// Give the band to those that can use it before slot `next`, in proportion to what the plan reserved for them: `each` of them is
/// told its band \[Hz\]. Devices that have not heard of their stops in slot `effect` go on with theirs, and the others share the rest.
///
/// The rest may be less than what is reserved, as the plan knew of fewer stops or of smaller bands; then pictures, which are of no
/// use in part, keep what is reserved for them as long as it is there.
pub fn share_out<P: Party>(
    bandwidth_hz: f64,
    parties: &mut [P],
    effect: u32,
    next: u32,
    mut each: impl FnMut(&mut P, f64),
) {
    let can_use = |party: &Standing| party.open_after(effect) && party.window.first < next;
    let (mut reserved, mut of_pictures, mut held) = (0.0, 0.0, 0.0);
    for party in parties.iter().map(Party::standing) {
        held += party.held_hz(effect);
        if can_use(&party) {
            reserved += party.reserved_hz;
            of_pictures += if party.planned {
                0.0
            } else {
                party.reserved_hz
            };
        }
    }
    let rest = (bandwidth_hz - held).max(0.0);
    let stretch = |band: f64, over: f64| if over > 0.0 { band / over } else { 1.0 };
    let (planned, picture) = if held > 0.0 && reserved > rest {
        let picture = stretch(rest, of_pictures).min(1.0);
        let left = (rest - picture * of_pictures).max(0.0);
        (stretch(left, reserved - of_pictures), picture)
    } else {
        let all = stretch(rest, reserved);
        (all, all)
    };
    for party in parties.iter_mut() {
        let standing = party.standing();
        if can_use(&standing) {
            let stretch = if standing.planned { planned } else { picture };
            each(party, standing.reserved_hz * stretch);
        }
    }
}
