//! Unsigned LEB128 integers of at most 32 bits, as in the chunk headers that profiles count.

/// Bytes of `value`.
pub fn length(value: u32) -> usize {
    (32 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Append `value` at `out[at..]` and return the place after it; `None` if there is no room.
#[inline]
pub fn put(out: &mut [u8], mut at: usize, mut value: u32) -> Option<usize> {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        let more = value != 0;
        *out.get_mut(at)? = byte | if more { 0x80 } else { 0 };
        at += 1;
        if !more {
            return Some(at);
        }
    }
}

/// Take an integer off the front of `bytes`; `None` if it is cut off, longer than 32 bits, or not in its shortest form.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for (index, shift) in (0..5).map(|i| (i, 7 * i)) {
        let byte = *bytes.get(index)?;
        let bits = u32::from(byte & 0x7f);
        if shift == 28 && bits > 0xf {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return None;
            }
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_and_take_the_bytes_promised() {
        let mut values: Vec<u32> = (0..32).flat_map(|s| [1u32 << s, (1u32 << s) - 1]).collect();
        values.push(u32::MAX);
        for value in values {
            let mut out = [0u8; 8];
            let end = put(&mut out, 1, value).expect("room for five bytes");
            assert_eq!(end - 1, length(value));
            let mut rest = &out[1..end];
            assert_eq!(take(&mut rest), Some(value));
            assert!(rest.is_empty());
            assert_eq!(put(&mut out[..end - 1], 1, value), None);
            assert_eq!(take(&mut &out[1..end - 1]), None);
        }
    }

    #[test]
    fn other_spellings_of_an_integer_are_refused() {
        assert_eq!(take(&mut &[0x80, 0x00][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..]), None);
        assert_eq!(take(&mut &[][..]), None);
    }
}
