//! Cut 0: the picture itself, as JPEG over a quality ladder or as raw pixels.

use crate::images::RgbCrop;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Default qualities of the JPEG ladder.
pub const QUALITIES: [u8; 16] = [2, 4, 6, 8, 11, 14, 18, 23, 30, 38, 48, 60, 72, 82, 90, 96];

/// Why a picture could not be coded.
#[derive(Debug, thiserror::Error)]
#[error("JPEG at quality {quality}: {reason}")]
pub struct JpegError {
    /// Asked quality.
    pub quality: u8,
    /// What the coder said.
    pub reason: String,
}

/// Progressive JPEG, 4:2:0, optimised Huffman tables.
pub fn encode_jpeg(picture: &RgbCrop, quality: u8) -> Result<Vec<u8>, JpegError> {
    let fail = |reason: String| JpegError { quality, reason };
    let side = |n: u32| u16::try_from(n).map_err(|_| fail(format!("{n} pixels on a side")));
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
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
        .map_err(|e| fail(e.to_string()))?;
    Ok(bytes)
}

/// Pixels of a JPEG that [`encode_jpeg`] made.
pub fn decode_jpeg(bytes: &[u8], quality: u8) -> Result<RgbCrop, JpegError> {
    let decoded = image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg)
        .map_err(|e| JpegError {
            quality,
            reason: e.to_string(),
        })?
        .into_rgb8();
    Ok(RgbCrop {
        width: decoded.width(),
        height: decoded.height(),
        pixels: decoded.into_raw(),
    })
}
