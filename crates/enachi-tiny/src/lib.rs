//! A small network of the project's own, and the pictures it is for.
//!
//! [`image`] draws labelled pictures of 12 kinds of figures; [`MODEL`] is a residual network of 0.1 million parameters
//! that tells them apart, trained by `trainer/` on the training split (`docs/tiny-network.md`). Both are part of the
//! repository, so that tests and demonstrations need no data from elsewhere.

mod folder;
mod random;
mod scene;
mod shapes;

pub use folder::{WriteError, write_folder};

use random::Random;
use shapes::Class;

/// Width and height of a picture \[pixel\].
pub const SIDE: u32 = 64;
/// Number of classes.
pub const CLASSES: usize = 12;
/// Name of each class; the index is the label.
pub const CLASS_NAMES: [&str; CLASSES] = [
    "disc", "ring", "triangle", "square", "star", "cross", "crescent", "spiral", "arrow", "heart",
    "striped", "checked",
];
/// Mean that is subtracted from each channel of a picture (on the scale 0..=1) before the network.
pub const MEAN: [f32; 3] = [0.5; 3];
/// What each channel is divided by after that.
pub const STD: [f32; 3] = [0.25; 3];

/// The network as an ONNX file: input `input` (N×3×64×64: R, G, B, after [`MEAN`] and [`STD`]), output `logits`
/// (N×12). Its stages end in the tensors `stem`, `stage1`, `stage2`, `stage3`.
pub const MODEL: &[u8] = include_bytes!("../model/tiny.onnx");
/// SHA-256 of [`MODEL`], lower-case hex.
pub const MODEL_SHA256: &str = include_str!("../model/tiny.sha256");

/// What a picture is for. No picture is in two splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// The network's weights were fitted to these.
    Train,
    /// For fitting what surrounds the network: codec tables, predictors.
    Calibration,
    /// For measuring.
    Test,
}

impl Split {
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Calibration => "calibration",
            Self::Test => "test",
        }
    }

    /// Domain of the random numbers. Domain + 4 shuffles the labels.
    fn domain(self) -> u32 {
        match self {
            Self::Train => 1,
            Self::Calibration => 2,
            Self::Test => 3,
        }
    }
}

/// A labelled picture of [`SIDE`] × [`SIDE`] pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Index into [`CLASS_NAMES`].
    pub label: u16,
    /// 0 (plain to see) to 1: scales noise, clutter and occlusion, and takes away contrast, size and sharpness.
    pub hardness: f32,
    /// R, G, B of each pixel, row by row.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// The network's input for this picture: 3×64×64 values, channel by channel, after [`MEAN`] and [`STD`].
    pub fn input(&self) -> Vec<f32> {
        (0..3)
            .flat_map(|channel| {
                self.pixels
                    .iter()
                    .skip(channel)
                    .step_by(3)
                    .map(move |&v| (f32::from(v) / 255.0 - MEAN[channel]) / STD[channel])
            })
            .collect()
    }
}

/// Picture `index` of a split. The same on every machine: only operations that IEEE 754 rounds exactly and the pure
/// Rust functions of `libm` are used. Any 12 pictures from a multiple of 12 on show every class once.
pub fn image(split: Split, index: u32) -> Picture {
    let (hardness, mut random) = start(split, index);
    scene::paint(class_of(split, index), hardness, &mut random)
}

/// [`Picture::hardness`] of picture `index`, without painting it. Half of the pictures are below 0.07, a tenth above
/// 0.4.
pub fn hardness(split: Split, index: u32) -> f32 {
    start(split, index).0
}

fn start(split: Split, index: u32) -> (f32, Random) {
    let mut random = Random::new(split.domain(), index);
    let u = random.unit();
    (0.55 * u * u * u, random)
}

/// Each block of 12 indices holds the 12 classes in an order of its own, so that neither a range nor every n-th picture
/// favours a class.
fn class_of(split: Split, index: u32) -> Class {
    let classes = CLASSES as u32;
    let mut order = Class::ALL;
    let mut random = Random::new(split.domain() + 4, index / classes);
    for last in (1..classes).rev() {
        order.swap(last as usize, random.below(last + 1) as usize);
    }
    order[(index % classes) as usize]
}
