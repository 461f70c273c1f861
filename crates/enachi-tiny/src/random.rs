//! Random numbers of one picture.

/// 2⁶⁴ divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) started at a hash of a key: draw `n` depends on the key and on `n`
/// alone, so pictures can be made in any order and on any number of threads.
pub(crate) struct Random {
    counter: u64,
}

impl Random {
    /// The stream of `(domain, index)`. Different domains never share a stream's start: the hash is a bijection of
    /// `index` for each domain, and of `domain` for each index.
    pub fn new(domain: u32, index: u32) -> Self {
        Self {
            counter: mix(mix(u64::from(domain) << 32 | u64::from(index)) ^ GOLDEN),
        }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(GOLDEN);
        mix(self.counter)
    }

    /// Uniform in 0..1 (24 bits, 1 excluded).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    /// Uniform in `low..high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// Uniform in 0..`n`; the bias is below `n` / 2³².
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// Mean 0, variance 1: the sum of four uniform numbers of 16 bits. No logarithm, so the same on every machine.
    pub fn bell(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u32 = (0..4)
            .map(|lane| (bits >> (16 * lane)) as u32 & 0xffff)
            .sum();
        // The sum has mean 4 · 32767.5 and variance 4 · 65536² / 12.
        (sum as f32 - 131_070.0) * (1.732_050_8 / 65_536.0)
    }

    /// A uniform direction as (cosine, sine).
    pub fn direction(&mut self) -> (f32, f32) {
        let angle = self.between(0.0, std::f32::consts::TAU);
        (libm::cosf(angle), libm::sinf(angle))
    }
}

/// The output function of SplitMix64, a bijection.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer() {
        // The published first outputs of SplitMix64 from state 1234567.
        let mut random = Random { counter: 1_234_567 };
        let first = [random.bits(), random.bits()];
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn moments() {
        let mut random = Random::new(0, 0);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| f64::from(random.bell())).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        // Five standard errors.
        assert!(mean.abs() < 5.0 / f64::from(n).sqrt(), "{mean}");
        assert!(
            (variance - 1.0).abs() < 5.0 * (2.0 / f64::from(n)).sqrt(),
            "{variance}"
        );
        assert!((0..1000).all(|_| random.below(7) < 7));
    }
}
