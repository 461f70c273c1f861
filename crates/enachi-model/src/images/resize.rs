//! Bilinear resizing with antialiasing, bit for bit as Pillow does it: triangle filter stretched by the scale when
//! shrinking, fixed-point weights of 22 bits, rows first, 8 bits in between.

use super::RgbCrop;

const PRECISION_BITS: u32 = 32 - 8 - 2;

/// First source pixel and weights of every target pixel.
struct Weights {
    first: Vec<usize>,
    taps: Vec<Vec<i32>>,
}

impl Weights {
    fn new(from: u32, to: u32) -> Self {
        let scale = f64::from(from) / f64::from(to);
        let stretch = scale.max(1.0);
        let mut first = Vec::with_capacity(to as usize);
        let mut taps = Vec::with_capacity(to as usize);
        for target in 0..to {
            let centre = (f64::from(target) + 0.5) * scale;
            let low = ((centre - stretch + 0.5) as i64).max(0);
            let high = ((centre + stretch + 0.5) as i64).min(i64::from(from));
            let weight =
                |x: i64| (1.0 - ((x as f64 - centre + 0.5) * (1.0 / stretch)).abs()).max(0.0);
            let raw: Vec<f64> = (low..high).map(weight).collect();
            let sum: f64 = raw.iter().sum();
            first.push(low as usize);
            taps.push(
                raw.iter()
                    .map(|w| (w / sum * f64::from(1 << PRECISION_BITS) + 0.5) as i32)
                    .collect(),
            );
        }
        Self { first, taps }
    }
}

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Resize an RGB picture. A side that keeps its length is left untouched.
pub fn resize_bilinear(picture: &RgbCrop, width: u32, height: u32) -> RgbCrop {
    let mut current = picture.clone();
    if width != current.width {
        let weights = Weights::new(current.width, width);
        let mut pixels = vec![0; width as usize * current.height as usize * 3];
        let row_in = current.width as usize * 3;
        let row_out = width as usize * 3;
        if row_in > 0 && row_out > 0 {
            for (source, target) in current
                .pixels
                .chunks_exact(row_in)
                .zip(pixels.chunks_exact_mut(row_out))
            {
                for (x, out) in target.chunks_exact_mut(3).enumerate() {
                    let start = weights.first[x] * 3;
                    let mut sums = [HALF; 3];
                    for (tap, pixel) in weights.taps[x].iter().zip(source[start..].chunks_exact(3))
                    {
                        for (sum, value) in sums.iter_mut().zip(pixel) {
                            *sum += tap * i32::from(*value);
                        }
                    }
                    out.copy_from_slice(&sums.map(to_byte));
                }
            }
        }
        current = RgbCrop {
            width,
            height: current.height,
            pixels,
        };
    }
    if height != current.height {
        let weights = Weights::new(current.height, height);
        let row = current.width as usize * 3;
        let mut pixels = vec![0; row * height as usize];
        let mut sums = vec![HALF; row];
        for (y, target) in pixels.chunks_exact_mut(row.max(1)).enumerate() {
            sums.fill(HALF);
            for (i, tap) in weights.taps[y].iter().enumerate() {
                let source = &current.pixels[(weights.first[y] + i) * row..][..row];
                for (sum, value) in sums.iter_mut().zip(source) {
                    *sum += tap * i32::from(*value);
                }
            }
            for (out, sum) in target.iter_mut().zip(&sums) {
                *out = to_byte(*sum);
            }
        }
        current = RgbCrop {
            width: current.width,
            height,
            pixels,
        };
    }
    current
}
