//! Labelled images: finding them, decoding them, and turning them into a network's input.
//!
//! The picture is kept as 8-bit RGB after resizing and cropping ([`RgbCrop`]): that is what cut 0 sends, and what the
//! whole network sees, so that pictures and features are compared on the same pixels.

mod labels;
mod resize;
mod split;

use std::io::Cursor;

use image::{ImageDecoder, ImageError as DecodeError, ImageReader, Limits};

pub use labels::{Item, LabelError, LabelledImages};
pub use resize::resize_bilinear;
pub use split::{SplitError, split};

use crate::tensor::Tensor;

/// Largest image file accepted \[byte\].
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Largest picture accepted \[pixel\]; checked before any pixel is decoded.
pub const MAX_PIXELS: u64 = 100_000_000;

/// From a picture to a network's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    /// Length of the short side after resizing \[pixel\].
    pub resize: u32,
    /// Side of the square cut from the centre \[pixel\]; at most `resize`.
    pub crop: u32,
    /// Mean of each channel R, G, B on the scale 0..=1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel on the scale 0..=1.
    pub std: [f32; 3],
}

impl Preprocess {
    /// The torchvision classification recipe: 256, 224, ImageNet mean and deviation.
    pub const IMAGENET: Self = Self {
        resize: 256,
        crop: 224,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// The TensorFlow recipe: 256, 224, x/127.5 − 1.
    pub const TF: Self = Self {
        resize: 256,
        crop: 224,
        mean: [0.5; 3],
        std: [0.5; 3],
    };

    /// The preset called `imagenet` or `tf`.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "imagenet" => Some(Self::IMAGENET),
            "tf" => Some(Self::TF),
            _ => None,
        }
    }

    /// Reject values that make no picture.
    pub fn check(&self) -> Result<(), ImageError> {
        let limit = 8192;
        if self.crop == 0 || self.crop > self.resize || self.resize > limit {
            return Err(ImageError::Preprocess(format!(
                "crop {} and resize {}: 1 <= crop <= resize <= {limit} is needed",
                self.crop, self.resize
            )));
        }
        if self.std.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(ImageError::Preprocess(format!(
                "standard deviations {:?}: finite values above 0 are needed",
                self.std
            )));
        }
        if self.mean.iter().any(|m| !m.is_finite()) {
            return Err(ImageError::Preprocess(format!(
                "means {:?}: finite values are needed",
                self.mean
            )));
        }
        Ok(())
    }
}

impl std::str::FromStr for Preprocess {
    type Err = ImageError;

    /// Read what `{:?}` writes, which is how profiles keep it.
    fn from_str(text: &str) -> Result<Self, ImageError> {
        let wrong = || ImageError::Preprocess(format!("cannot read {text:?}"));
        let numbers = text.split(|c: char| !(c.is_ascii_digit() || "+-.e".contains(c)));
        // Letters of the names fall away but for an `e`.
        let numbers = numbers.filter(|n| n.contains(|c: char| c.is_ascii_digit()));
        let numbers: Result<Vec<f32>, _> = numbers.map(str::parse).collect();
        let Ok([resize, crop, m0, m1, m2, s0, s1, s2]) = numbers.as_deref() else {
            return Err(wrong());
        };
        let read = Self {
            resize: *resize as u32,
            crop: *crop as u32,
            mean: [*m0, *m1, *m2],
            std: [*s0, *s1, *s2],
        };
        read.check()?;
        if format!("{read:?}") == text {
            Ok(read)
        } else {
            Err(wrong())
        }
    }
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot read the image: {0}")]
    Io(#[from] std::io::Error),
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the image file has {0} bytes; at most {MAX_FILE_BYTES} are accepted")]
    FileTooLarge(usize),
    /// The picture is larger than [`MAX_PIXELS`].
    #[error("the image has {width}×{height} pixels; at most {MAX_PIXELS} pixels are accepted")]
    TooManyPixels {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Damaged, truncated, or not a JPEG, PNG or WebP file.
    #[error("the image cannot be decoded: {0}")]
    Decode(String),
    /// Unusable settings.
    #[error("image preprocessing: {0}")]
    Preprocess(String),
}

/// A resized and cropped picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbCrop {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// R, G, B of each pixel, row by row.
    pub pixels: Vec<u8>,
}

/// Read a file of at most [`MAX_FILE_BYTES`].
pub fn read_image(path: &std::path::Path) -> Result<Vec<u8>, ImageError> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Decode a JPEG, PNG or WebP file, bring its short side to `resize` pixels and cut the centre.
pub fn decode_rgb_crop(bytes: &[u8], how: &Preprocess) -> Result<RgbCrop, ImageError> {
    how.check()?;
    let decoded = decode_rgb(bytes)?;
    let (width, height) = fit_short_side(decoded.width, decoded.height, how.resize);
    let resized = resize_bilinear(&decoded, width, height);
    Ok(centre_crop(&resized, how.crop))
}

fn decode_rgb(bytes: &[u8]) -> Result<RgbCrop, ImageError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(ImageError::FileTooLarge(bytes.len()));
    }
    let decode = |error: DecodeError| ImageError::Decode(error.to_string());
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut decoder = reader.into_decoder().map_err(decode)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || width == 0 || height == 0 {
        return Err(ImageError::TooManyPixels { width, height });
    }
    // What the decoder needs beside the pixels: up to 16 bytes each (four 32-bit channels).
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(16 * MAX_PIXELS);
    decoder.set_limits(limits).map_err(decode)?;
    let rgb = image::DynamicImage::from_decoder(decoder)
        .map_err(decode)?
        .into_rgb8();
    Ok(RgbCrop {
        width,
        height,
        pixels: rgb.into_raw(),
    })
}

/// Sizes after the short side becomes `short`; the long side is rounded down, as torchvision does. A long side of
/// more than 64 short ones is cut to that, to bound memory.
fn fit_short_side(width: u32, height: u32, short: u32) -> (u32, u32) {
    let long = |long: u32, of: u32| {
        let exact = u64::from(long) * u64::from(short) / u64::from(of);
        exact.min(64 * u64::from(short)) as u32
    };
    if width <= height {
        (short, long(height, width))
    } else {
        (long(width, height), short)
    }
}

fn centre_crop(picture: &RgbCrop, side: u32) -> RgbCrop {
    // Half a pixel goes to the even neighbour, as Python's round() in torchvision's CenterCrop.
    let offset = |size: u32| {
        let spare = size - side;
        let half = spare / 2;
        (if spare % 2 == 1 && half % 2 == 1 {
            half + 1
        } else {
            half
        }) as usize
    };
    let (left, top) = (offset(picture.width), offset(picture.height));
    let (row, side_px) = (picture.width as usize * 3, side as usize);
    let mut pixels = Vec::with_capacity(side_px * side_px * 3);
    for y in top..top + side_px {
        let start = y * row + left * 3;
        pixels.extend_from_slice(&picture.pixels[start..start + side_px * 3]);
    }
    RgbCrop {
        width: side,
        height: side,
        pixels,
    }
}

/// The network's input, 1×3×H×W: (pixel/255 − mean)/std for each channel.
pub fn to_tensor(picture: &RgbCrop, how: &Preprocess) -> Tensor {
    let plane = picture.width as usize * picture.height as usize;
    let mut data = vec![0.0; 3 * plane];
    for (channel, out) in data.chunks_exact_mut(plane.max(1)).enumerate() {
        let (mean, std) = (how.mean[channel], how.std[channel]);
        for (value, pixel) in out.iter_mut().zip(picture.pixels.chunks_exact(3)) {
            *value = (f32::from(pixel[channel]) / 255.0 - mean) / std;
        }
    }
    Tensor {
        shape: vec![1, 3, picture.height as usize, picture.width as usize],
        data,
    }
}

/// The picture of `side` pixels a side from which [`to_tensor`] made `values`.
pub fn to_picture(values: &[f32], side: u32, how: &Preprocess) -> RgbCrop {
    let plane = side as usize * side as usize;
    let mut pixels = vec![0; 3 * plane];
    for (channel, values) in values.chunks_exact(plane.max(1)).take(3).enumerate() {
        let (mean, std) = (how.mean[channel], how.std[channel]);
        for (pixel, value) in pixels.chunks_exact_mut(3).zip(values) {
            pixel[channel] = ((value * std + mean) * 255.0).round() as u8;
        }
    }
    RgbCrop {
        width: side,
        height: side,
        pixels,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
