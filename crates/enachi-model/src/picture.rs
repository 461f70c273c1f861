//! Cut 0: the picture itself, as JPEG or WebP at some quality and side, or as raw pixels.
//!
//! A [`Rung`] is one way to send a picture: shrink it to a side, code it, and at the edge decode it and enlarge it to
//! what the network takes. Below some rate a small picture at a fair quality says more than a large one at a bad one.

use crate::images::{RgbCrop, resize_bilinear};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Default qualities of the JPEG ladder.
pub const JPEG_QUALITIES: [u8; 16] = [2, 4, 6, 8, 11, 14, 18, 23, 30, 38, 48, 60, 72, 82, 90, 96];
/// Default qualities of the WebP ladder.
pub const WEBP_QUALITIES: [u8; 13] = [1, 5, 10, 18, 28, 40, 54, 68, 80, 90, 95, 98, 100];

/// Default sides that a picture is shrunk to before it is coded, besides its own: 5/7 and 1/2 of it, which are 160 and
/// 112 pixels of 224.
pub fn reduced_sides(side: u32) -> Vec<u32> {
    let mut sides = vec![(side * 5 + 3) / 7, side / 2];
    sides.retain(|&s| s > 0 && s < side);
    sides.dedup();
    sides
}

/// An image codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureCodec {
    /// Progressive, 4:2:0, optimised Huffman tables.
    Jpeg,
    /// Lossy WebP (libwebp at its slowest and best effort).
    Webp,
}

impl PictureCodec {
    /// Name of its stream in a profile.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// The codec of a stream of a profile, by its name: `jpeg`, `jpeg-ladder`, `webp`, `webp-ladder`.
    pub fn of_stream(name: &str) -> Option<Self> {
        let plain = name.strip_suffix("-ladder").unwrap_or(name);
        [Self::Jpeg, Self::Webp]
            .into_iter()
            .find(|codec| codec.name() == plain)
    }

    /// Decode bytes that may come from anybody, to a picture of at most `most` pixels a side, and enlarge it to `side` pixels.
    ///
    /// # Errors
    /// When the bytes are damaged, or hold a picture that is larger.
    pub fn decode_within(self, bytes: &[u8], most: u32, side: u32) -> Result<RgbCrop, DecodeError> {
        let format = match self {
            Self::Jpeg => image::ImageFormat::Jpeg,
            Self::Webp => image::ImageFormat::WebP,
        };
        let mut reader = image::ImageReader::with_format(std::io::Cursor::new(bytes), format);
        // Checked before any memory is taken for pixels.
        let mut limits = image::Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(most), Some(most));
        reader.limits(limits);
        let decoded = reader.decode().map_err(|e| DecodeError(e.to_string()))?;
        let decoded = decoded.into_rgb8();
        let small = RgbCrop {
            width: decoded.width(),
            height: decoded.height(),
            pixels: decoded.into_raw(),
        };
        Ok(resize_bilinear(&small, side, side))
    }
}

/// Bytes that hold no picture that may be used.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be decoded: {0}")]
pub struct DecodeError(String);

/// One way to send a square picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rung {
    /// The codec.
    pub codec: PictureCodec,
    /// Side of what is coded \[pixel\].
    pub side: u32,
    /// Quality on the codec's own scale, 1..=100.
    pub quality: u8,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} q{}", self.side, self.quality)
    }
}

/// Why a picture could not be coded.
#[derive(Debug, thiserror::Error)]
#[error("{} {rung}: {reason}", .rung.codec.name())]
pub struct PictureError {
    /// How it was to be coded.
    pub rung: Rung,
    /// What the coder said.
    pub reason: String,
}

impl Rung {
    /// Shrink and code a picture. The result is all that goes over the air.
    ///
    /// # Errors
    /// When the codec refuses, e.g. a JPEG of more than 65535 pixels on a side.
    pub fn encode(&self, picture: &RgbCrop) -> Result<Vec<u8>, PictureError> {
        let small = resize_bilinear(picture, self.side, self.side);
        match self.codec {
            PictureCodec::Jpeg => self.encode_jpeg(&small),
            PictureCodec::Webp => self.encode_webp(&small),
        }
    }

    /// Decode what [`encode`](Self::encode) made, and enlarge it to `side` pixels.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn decode(&self, bytes: &[u8], side: u32) -> Result<RgbCrop, PictureError> {
        let decoded = self.codec.decode_within(bytes, self.side, side);
        decoded.map_err(|DecodeError(reason)| self.error(reason))
    }

    /// Read what [`Display`](fmt::Display) writes.
    pub fn parse(codec: PictureCodec, text: &str) -> Option<Self> {
        let (side, quality) = text.split_once(" q")?;
        let (side, quality) = (side.parse().ok()?, quality.parse().ok()?);
        let sound = side > 0 && (1..=100).contains(&quality);
        sound.then_some(Self {
            codec,
            side,
            quality,
        })
    }

    fn encode_jpeg(&self, picture: &RgbCrop) -> Result<Vec<u8>, PictureError> {
        let side = |n: u32| {
            u16::try_from(n).map_err(|_| self.error(format!("{n} pixels on a side are too many")))
        };
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.quality);
        encoder.set_progressive(true);
        encoder.set_optimized_huffman_tables(true);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder
            .encode(
                &picture.pixels,
                side(picture.width)?,
                side(picture.height)?,
                ColorType::Rgb,
            )
            .map_err(|e| self.error(e.to_string()))?;
        Ok(bytes)
    }

    fn encode_webp(&self, picture: &RgbCrop) -> Result<Vec<u8>, PictureError> {
        let mut config = webp::WebPConfig::new()
            .map_err(|()| self.error("libwebp has no default settings".into()))?;
        config.quality = f32::from(self.quality);
        config.method = 6;
        webp::Encoder::from_rgb(&picture.pixels, picture.width, picture.height)
            .encode_advanced(&config)
            .map(|memory| memory.to_vec())
            .map_err(|e| self.error(format!("{e:?}")))
    }

    fn error(&self, reason: String) -> PictureError {
        PictureError {
            rung: *self,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_read_as_they_are_written() {
        let rung = Rung {
            codec: PictureCodec::Webp,
            side: 46,
            quality: 18,
        };
        assert_eq!(Rung::parse(rung.codec, &rung.to_string()), Some(rung));
        for wrong in [
            "", "46", "46 q", "46 q0", "46 q101", "0 q5", "-1 q5", "46 q5 ",
        ] {
            assert_eq!(Rung::parse(rung.codec, wrong), None, "{wrong:?}");
        }
        assert_eq!(PictureCodec::of_stream("webp-ladder"), Some(rung.codec));
        assert_eq!(PictureCodec::of_stream("pixels"), None);
    }

    #[test]
    fn pictures_that_are_too_large_are_refused_before_they_are_decoded() {
        for codec in [PictureCodec::Jpeg, PictureCodec::Webp] {
            let rung = Rung {
                codec,
                side: 33,
                quality: 50,
            };
            let bytes = rung.encode(&picture(33)).expect("a small picture");
            assert!(codec.decode_within(&bytes, 32, 32).is_err());
            let decoded = codec.decode_within(&bytes, 33, 40).expect("our own bytes");
            assert_eq!((decoded.width, decoded.height), (40, 40));
            assert!(codec.decode_within(&bytes[..20], 33, 33).is_err());
        }
    }

    /// A smooth picture with an edge in it.
    fn picture(side: u32) -> RgbCrop {
        let mut pixels = Vec::new();
        for y in 0..side {
            for x in 0..side {
                let edge = if x + y > side { 60 } else { 0 };
                pixels.extend([(x * 180 / side) as u8 + edge, (y * 180 / side) as u8, 90]);
            }
        }
        RgbCrop {
            width: side,
            height: side,
            pixels,
        }
    }

    fn distance(a: &RgbCrop, b: &RgbCrop) -> f64 {
        let pairs = a.pixels.iter().zip(&b.pixels);
        let sum: f64 = pairs
            .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
            .sum();
        (sum / a.pixels.len() as f64).sqrt()
    }

    #[test]
    fn every_rung_gives_the_picture_back_at_the_networks_size() {
        let original = picture(96);
        for codec in [PictureCodec::Jpeg, PictureCodec::Webp] {
            for side in [96, 69, 48, 1] {
                let rung = Rung {
                    codec,
                    side,
                    quality: 95,
                };
                let bytes = rung.encode(&original).expect("can be coded");
                let received = rung.decode(&bytes, 96).expect("can be decoded");
                assert_eq!((received.width, received.height), (96, 96));
                let error = distance(&original, &received);
                let limit = if side == 1 { 80.0 } else { 6.0 };
                assert!(error < limit, "{codec:?} {rung}: {error}");
            }
        }
    }

    #[test]
    fn more_quality_and_more_pixels_cost_more_bytes_and_come_nearer() {
        let original = picture(96);
        for codec in [PictureCodec::Jpeg, PictureCodec::Webp] {
            let at = |side, quality| {
                let rung = Rung {
                    codec,
                    side,
                    quality,
                };
                let bytes = rung.encode(&original).expect("can be coded");
                let received = rung.decode(&bytes, 96).expect("can be decoded");
                (bytes.len(), distance(&original, &received))
            };
            let (low, high, small) = (at(96, 5), at(96, 90), at(48, 90));
            assert!(low.0 < high.0 && low.1 > high.1, "{low:?} {high:?}");
            assert!(small.0 < high.0 && small.1 > high.1, "{small:?} {high:?}");
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_that_names_the_rung() {
        for codec in [PictureCodec::Jpeg, PictureCodec::Webp] {
            let rung = Rung {
                codec,
                side: 48,
                quality: 50,
            };
            let error = rung.decode(b"no picture", 96).expect_err("must fail");
            assert!(error.to_string().contains("48 q50"), "{error}");
            assert!(error.to_string().starts_with(codec.name()), "{error}");
        }
    }

    #[test]
    fn sides_shrink_in_proportion() {
        assert_eq!(reduced_sides(224), [160, 112]);
        assert_eq!(reduced_sides(448), [320, 224]);
        assert_eq!(reduced_sides(1), Vec::<u32>::new());
        assert_eq!(reduced_sides(2), [1]);
    }
}
