//! The random numbers of training: ChaCha8 from a seed, the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform on 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// A random order (Fisher and Yates).
    pub fn shuffle(&mut self, items: &mut [u32]) {
        for end in (1..items.len()).rev() {
            // The high half of the product maps 32 random bits to 0..=end; its bias is below 2⁻¹⁶ at 2¹⁶ items.
            let random = u64::from(self.0.next_u32());
            let at = (random * (end as u64 + 1)) >> 32;
            items.swap(end, at as usize);
        }
    }
}
