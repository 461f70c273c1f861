//! Binary range coder with given probabilities (carry propagation as in LZMA, minimal termination).
//!
//! A chunk is one code word: nothing is shared between chunks, so each must end cheaply. Termination picks the value
//! inside the final interval with the most trailing zero bytes and drops them; the decoder reads zeros past the end.
//! Measured against `constriction` in `benches/codec.rs`: the same ideal length, shorter by its two-word seal per
//! chunk.

/// Bits of a probability; `p` is the probability of `false`, in `1 ..= 2^BITS − 1`.
pub const PROBABILITY_BITS: u32 = 15;
const TOP: u32 = 1 << 24;

/// Encoder of one chunk.
pub struct RangeEncoder {
    low: u64,
    range: u32,
    cache: u8,
    pending: u64,
    first: bool,
    out: Vec<u8>,
}

impl Default for RangeEncoder {
    fn default() -> Self {
        Self {
            low: 0,
            range: u32::MAX,
            cache: 0,
            pending: 0,
            first: true,
            out: Vec::new(),
        }
    }
}

impl RangeEncoder {
    /// Encode `bit`, where `p` / 2^15 is the probability of `false`.
    #[inline]
    pub fn bit(&mut self, p: u16, bit: bool) {
        let bound = (self.range >> PROBABILITY_BITS) * u32::from(p);
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
    }

    fn shift(&mut self) {
        if self.low < 0xFF00_0000 || self.low > 0xFFFF_FFFF {
            let carry = (self.low >> 32) as u8;
            // The very first cached byte is always zero: the interval starts below 2^32.
            if !self.first {
                self.out.push(self.cache.wrapping_add(carry));
            }
            self.first = false;
            for _ in 0..self.pending {
                self.out.push(0xFFu8.wrapping_add(carry));
            }
            self.pending = 0;
            self.cache = (self.low >> 24) as u8;
        } else {
            self.pending += 1;
        }
        self.low = (self.low & 0x00FF_FFFF) << 8;
    }

    /// The code word.
    pub fn finish(mut self) -> Vec<u8> {
        let end = self.low + u64::from(self.range);
        for shift in (0..=32).rev() {
            let candidate = (end - 1) >> shift << shift;
            if candidate >= self.low {
                self.low = candidate;
                break;
            }
        }
        for _ in 0..5 {
            self.shift();
        }
        while self.out.last() == Some(&0) {
            self.out.pop();
        }
        self.out
    }
}

/// Decoder of one chunk. Never fails: any bytes decode to some bits.
pub struct RangeDecoder<'a> {
    bytes: &'a [u8],
    position: usize,
    range: u32,
    code: u32,
}

impl<'a> RangeDecoder<'a> {
    /// Decoder at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self {
            bytes,
            position: 0,
            range: u32::MAX,
            code: 0,
        };
        for _ in 0..4 {
            decoder.code = decoder.code << 8 | u32::from(decoder.next());
        }
        decoder
    }

    #[inline]
    fn next(&mut self) -> u8 {
        let byte = self.bytes.get(self.position).copied().unwrap_or(0);
        self.position += 1;
        byte
    }

    /// Decode a bit that is `false` with probability `p` / 2^15.
    #[inline]
    pub fn bit(&mut self, p: u16) -> bool {
        let bound = (self.range >> PROBABILITY_BITS) * u32::from(p);
        let bit = self.code >= bound;
        if bit {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(self.next());
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random_bits(seed: u64, n: usize) -> Vec<(u16, bool)> {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        (0..n)
            .map(|_| {
                let r = next();
                let p = match r % 5 {
                    0 => 1,
                    1 => 32767,
                    2 => 16384,
                    _ => 1 + (r >> 8) as u16 % 32767,
                };
                (p, (next() % 32768) as u16 >= p)
            })
            .collect()
    }

    #[test]
    fn decode_inverts_encode_at_near_ideal_length() {
        for seed in 0..400 {
            let n = (seed as usize * 37) % 3000;
            let bits = random_bits(seed, n);
            let mut encoder = RangeEncoder::default();
            let mut ideal = 0.0;
            for &(p, bit) in &bits {
                encoder.bit(p, bit);
                let q = f64::from(p) / 32768.0;
                ideal -= if bit { (1.0 - q).log2() } else { q.log2() };
            }
            let bytes = encoder.finish();
            assert!(
                (bytes.len() as f64) * 8.0 <= ideal * 1.001 + 9.0,
                "{n} bits: {} bytes for an ideal of {} bits",
                bytes.len(),
                ideal
            );
            let mut decoder = RangeDecoder::new(&bytes);
            for &(p, bit) in &bits {
                assert_eq!(decoder.bit(p), bit);
            }
            // All bytes were used, and no more were wanted than termination explains.
            assert!((bytes.len()..=bytes.len() + 5).contains(&decoder.position));
        }
    }
}
