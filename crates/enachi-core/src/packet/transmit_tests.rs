use super::*;
use crate::packet::power::{
    ConstantPower, PrintedTracking, ReferenceTracking, paper_kappa_w2, printed_level_w2,
};
use crate::packet::stop::{EntropyThreshold, Never};

/// Equal chunks; entropy falls by one nat per checkpoint from `last`.
struct Ramp {
    last: usize,
    chunk_bits: f64,
}

impl Arrivals for Ramp {
    fn last(&self) -> usize {
        self.last
    }
    fn bits(&self, checkpoint: usize) -> f64 {
        checkpoint as f64 * self.chunk_bits
    }
    fn entropy_nats(&self, checkpoint: usize) -> f64 {
        (self.last - checkpoint) as f64
    }
}

struct Flat(f64);

impl GainSource for Flat {
    fn gain(&mut self, _slot: u32) -> f64 {
        self.0
    }
}

/// Exponential gains from a small hash, so that the test needs no random number crate.
struct Exponential {
    mean: f64,
    state: u64,
}

impl GainSource for Exponential {
    fn gain(&mut self, _slot: u32) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        -self.mean * (((z >> 11) as f64 + 0.5) / (1u64 << 53) as f64).ln()
    }
}

const LINK: Link = Link {
    bandwidth_hz: 1e6,
    noise_w: 1e-13,
    max_efficiency: f64::INFINITY,
    slot_s: 1e-3,
};

/// At gain 1e-12 and 0.7 W the signal-to-noise ratio is 7: exactly 3 bit/s/Hz, 3000 bits a slot.
const POWER: ConstantPower = ConstantPower { power_w: 0.7 };
const WINDOW: Window = Window { first: 10, end: 60 };

#[test]
fn bits_are_carried_over_between_slots() {
    // 20 chunks of 4500 bits: 90 kbit take exactly 30 slots of 3 kbit, although no slot carries a whole chunk.
    let ramp = Ramp {
        last: 20,
        chunk_bits: 4500.0,
    };
    let sent = transmit(
        &LINK,
        WINDOW,
        0.7,
        &POWER,
        &Never,
        0,
        &ramp,
        &mut Flat(1e-12),
        &mut (),
    );
    assert_eq!(
        (sent.ending, sent.slots, sent.end_slot, sent.checkpoint),
        (Ending::AllSent, 30, 40, 20)
    );
    assert_eq!(sent.bits, 90_000.0);
    assert!((sent.queue.sum_w() - 21.0).abs() < 1e-9);
}

#[test]
fn the_barrier_cuts_what_is_left() {
    let ramp = Ramp {
        last: 1000,
        chunk_bits: 4500.0,
    };
    let sent = transmit(
        &LINK,
        WINDOW,
        0.7,
        &POWER,
        &Never,
        0,
        &ramp,
        &mut Flat(1e-12),
        &mut (),
    );
    // 50 slots, 150 kbit, 33 whole chunks.
    assert_eq!(
        (sent.ending, sent.slots, sent.checkpoint),
        (Ending::Deadline, 50, 33)
    );
}

#[test]
fn a_stop_takes_effect_after_the_feedback_delay() {
    // Entropy is 14 at checkpoint 6, whose 27 kbit are there at the end of the ninth slot.
    let ramp = Ramp {
        last: 20,
        chunk_bits: 4500.0,
    };
    let rule = EntropyThreshold {
        threshold_nats: 14.0,
    };
    for (delay, slots) in [(0, 9), (1, 10), (5, 14), (41, 30)] {
        let sent = transmit(
            &LINK,
            WINDOW,
            0.7,
            &POWER,
            &rule,
            delay,
            &ramp,
            &mut Flat(1e-12),
            &mut (),
        );
        assert_eq!(sent.slots, slots, "delay {delay}");
        let all = sent.checkpoint == 20;
        let ending = if all {
            Ending::AllSent
        } else {
            Ending::Stopped
        };
        assert_eq!(sent.ending, ending);
    }
}

#[test]
fn an_empty_window_sends_nothing() {
    let ramp = Ramp {
        last: 4,
        chunk_bits: 10.0,
    };
    let window = Window::between(0.2, 0.1, 1e-3);
    assert_eq!(window.slots(), 0);
    let sent = transmit(
        &LINK,
        window,
        0.7,
        &POWER,
        &Never,
        0,
        &ramp,
        &mut Flat(1e-12),
        &mut (),
    );
    assert_eq!((sent.slots, sent.bits, sent.checkpoint), (0, 0.0, 0));
}

#[test]
fn windows_are_whole_slots_inside_the_interval() {
    let window = |ready, batch| Window::between(ready, batch, 1e-3);
    assert_eq!(window(0.0, 0.1), Window { first: 0, end: 100 });
    assert_eq!(
        window(0.0301, 0.2999),
        Window {
            first: 31,
            end: 299
        }
    );
    assert_eq!(
        window(0.03, 0.3),
        Window {
            first: 30,
            end: 300
        }
    );
}

#[test]
fn the_batch_waits_for_the_slowest_tail() {
    assert_eq!(batch_time_s(0.3, [0.01, 0.0275, 0.002]), 0.3 - 0.0275);
    assert_eq!(batch_time_s(0.3, []), 0.3);
}

#[test]
fn the_efficiency_cap_holds() {
    let link = Link {
        max_efficiency: 2.0,
        ..LINK
    };
    assert_eq!(link.slot_bits(0.7, 1e-12), 2000.0);
}

/// Mean power over a window of 200 slots, averaged over 200 channels.
fn mean_power(power: &impl PowerControl, reference_w: f64, mean_gain: f64) -> f64 {
    let endless = Ramp {
        last: 1,
        chunk_bits: 1e12,
    };
    let window = Window { first: 0, end: 200 };
    let mut gains = Exponential {
        mean: mean_gain,
        state: 7,
    };
    let total: f64 = (0..200)
        .map(|_| {
            let sent = transmit(
                &LINK,
                window,
                reference_w,
                power,
                &Never,
                0,
                &endless,
                &mut gains,
                &mut (),
            );
            // Theorem 1 without its constants: Σ p ≤ K p̃ + q.
            assert!(
                sent.queue.sum_w() <= 200.0 * reference_w + sent.queue.level_w() + 1e-9,
                "identity of the power queue"
            );
            sent.queue.sum_w() / 200.0
        })
        .sum();
    total / 200.0
}

#[test]
fn corrected_law_tracks_the_reference_and_the_printed_one_overshoots() {
    // Table I: v = 5, 1 MHz, 56 × 56 maps at 32 bits, p_max = 2 W.
    let map_bits = 32.0 * 56.0 * 56.0;
    for reference_w in [0.2, 0.5, 1.0] {
        let corrected = ReferenceTracking {
            kappa_w2: 1.0,
            noise_w: LINK.noise_w,
            power_max_w: 2.0,
        };
        let mean = mean_power(&corrected, reference_w, 1.5e-11);
        // The queue settles where κ/q = p̃, so the mean exceeds the reference by about κ/(p̃ K).
        let excess = 1.0 / (reference_w * 200.0);
        assert!(mean > reference_w, "{mean} for {reference_w}");
        assert!(
            mean < reference_w + 1.2 * excess,
            "{mean} for {reference_w}"
        );

        let printed = PrintedTracking {
            level_w2: printed_level_w2(5.0, 1e6, map_bits),
            noise_w: LINK.noise_w,
            power_max_w: 2.0,
        };
        let mean = mean_power(&printed, reference_w, 1.5e-11);
        assert!(
            mean > reference_w + 0.15,
            "printed: {mean} for {reference_w}"
        );

        // The paper's own κ is 0.07 W² here.
        let kappa_w2 = paper_kappa_w2(5.0, 1e6, 1e-3, map_bits);
        assert!((kappa_w2 - 0.0719).abs() < 1e-3);
    }
}

#[test]
fn observers_see_every_used_slot() {
    struct Sum(u32, f64, f64);
    impl SlotObserver for Sum {
        fn slot(&mut self, slot: Slot) {
            assert_eq!(slot.slot, 10 + self.0);
            self.0 += 1;
            self.1 += slot.bits;
            self.2 += slot.power_w;
        }
    }
    let ramp = Ramp {
        last: 20,
        chunk_bits: 4500.0,
    };
    let mut sum = Sum(0, 0.0, 0.0);
    let sent = transmit(
        &LINK,
        WINDOW,
        0.7,
        &POWER,
        &Never,
        0,
        &ramp,
        &mut Flat(1e-12),
        &mut sum,
    );
    assert_eq!(sum.0, sent.slots);
    assert!((sum.1 - 90_000.0).abs() < 1e-6);
    assert!((sum.2 - sent.queue.sum_w()).abs() < 1e-12);
}
