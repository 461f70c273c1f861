//! Counter-based random numbers: every draw is a pure function of (seed, purpose, device, frame, index).
//!
//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw: *Parallel random numbers: as easy as 1, 2, 3*, SC 2011). The key is the seed,
//! the counter is (index, frame, device, purpose), so all policies meet the same world and the order or the number
//! of threads in which draws are made cannot matter.

/// What a draw is for; each purpose is a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Fading of a slot.
    Fading = 1,
    /// Which image, or the difficulty of a task on a curve-only profile.
    Task = 2,
    /// Where a device stands.
    Placement = 3,
    /// Shadowing of a frame, and line of sight.
    Shadowing = 4,
    /// Error of the uncertainty prediction at a checkpoint.
    Prediction = 5,
    /// Resampling of the bootstrap.
    Bootstrap = 6,
    /// Waves of fading with a Doppler spectrum.
    Doppler = 20,
    /// The steady wave of such fading.
    SteadyWave = 21,
    /// Where a device goes next.
    Waypoint = 22,
    /// Velocity of a device.
    Velocity = 23,
    /// Tasks of a frame.
    Arrival = 24,
    /// Error of the gain known at the start of a frame.
    FrameEstimate = 25,
    /// Error of the gain known in a slot.
    SlotEstimate = 26,
}

const ROUND: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Philox4x32-10: four random words for a counter and a key.
#[inline]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(ROUND[0]) * u64::from(counter[0]);
        let b = u64::from(ROUND[1]) * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// Draws of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    key: [u32; 2],
}

impl Draws {
    /// All draws of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
        }
    }

    /// Four words for (purpose, device, frame, index).
    #[inline]
    pub fn block(&self, purpose: Purpose, device: u32, frame: u32, index: u32) -> [u32; 4] {
        philox([index, frame, device, purpose as u32], self.key)
    }

    /// A uniform in the open interval (0,1) with 52 bits.
    #[inline]
    pub fn uniform(&self, purpose: Purpose, device: u32, frame: u32, index: u32) -> f64 {
        let [a, b, ..] = self.block(purpose, device, frame, index);
        let word = (u64::from(a) << 32) | u64::from(b);
        ((word >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// A standard normal (Box–Muller).
    pub fn normal(&self, purpose: Purpose, device: u32, frame: u32, index: u32) -> f64 {
        let [a, b, c, d] = self.block(purpose, device, frame, index);
        let open = |hi: u32, lo: u32| {
            let word = (u64::from(hi) << 32) | u64::from(lo);
            ((word >> 12) as f64 + 0.5) / (1u64 << 52) as f64
        };
        (-2.0 * open(a, b).ln()).sqrt() * (std::f64::consts::TAU * open(c, d)).cos()
    }
}

/// A uniform in (0,1) from 32 bits; its logarithm reaches from −22.9 to −1.2e-10.
#[inline]
pub fn open_unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) * (1.0 / 4_294_967_296.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        // kat_vectors of Random123 1.14, philox4x32 10.
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn moments_of_uniform_and_normal() {
        let draws = Draws::new(42);
        let n = 40_000;
        let (mut mean, mut square, mut normal, mut normal_square) = (0.0, 0.0, 0.0, 0.0);
        for i in 0..n {
            let u = draws.uniform(Purpose::Task, i % 7, i / 7, 0);
            let z = draws.normal(Purpose::Shadowing, i % 7, i / 7, 0);
            mean += u;
            square += u * u;
            normal += z;
            normal_square += z * z;
        }
        let n = f64::from(n);
        // Five standard errors each.
        assert!((mean / n - 0.5).abs() < 5.0 * (1.0_f64 / 12.0 / n).sqrt());
        assert!((square / n - 1.0 / 3.0).abs() < 5.0 * (4.0_f64 / 45.0 / n).sqrt());
        assert!((normal / n).abs() < 5.0 / n.sqrt());
        assert!((normal_square / n - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
    }
}
