//! The network while it is trained.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// Channels behind the stem and behind each stage; each of the four halves the picture's sides.
pub const CHANNELS: [usize; 4] = [16, 24, 48, 64];

/// Convolution without bias, then batch normalisation.
#[derive(Module, Debug)]
pub struct ConvNorm {
    pub conv: Conv2d,
    pub norm: BatchNorm,
}

impl ConvNorm {
    fn init(from: usize, to: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        let pad = kernel / 2;
        let conv = Conv2dConfig::new([from, to], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(false)
            .with_initializer(Initializer::KaimingNormal {
                gain: std::f64::consts::SQRT_2,
                fan_out_only: false,
            })
            .init(device);
        let norm = BatchNormConfig::new(to).init(device);
        Self { conv, norm }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x))
    }
}

/// Two 3×3 convolutions, the first of stride 2, beside a 1×1 convolution of stride 2.
#[derive(Module, Debug)]
pub struct Stage {
    pub a: ConvNorm,
    pub b: ConvNorm,
    pub skip: ConvNorm,
}

impl Stage {
    fn init(from: usize, to: usize, device: &Device) -> Self {
        Self {
            a: ConvNorm::init(from, to, 3, 2, device),
            b: ConvNorm::init(to, to, 3, 1, device),
            skip: ConvNorm::init(from, to, 1, 2, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let inner = relu(self.a.forward(x.clone()));
        relu(self.b.forward(inner) + self.skip.forward(x))
    }
}

/// Stem, three residual stages, global mean, one fully connected layer.
#[derive(Module, Debug)]
pub struct Net {
    pub stem: ConvNorm,
    pub stages: Vec<Stage>,
    pub classifier: Linear,
}

impl Net {
    pub fn init(classes: usize, device: &Device) -> Self {
        let last = CHANNELS[CHANNELS.len() - 1];
        Self {
            stem: ConvNorm::init(3, CHANNELS[0], 3, 2, device),
            stages: CHANNELS
                .windows(2)
                .map(|pair| Stage::init(pair[0], pair[1], device))
                .collect(),
            classifier: LinearConfig::new(last, classes).init(device),
        }
    }

    /// From N×3×S×S to N×classes.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = relu(self.stem.forward(x));
        for stage in &self.stages {
            x = stage.forward(x);
        }
        let [batch, channels, height, width] = x.dims();
        let mean = x.reshape([batch, channels, height * width]).mean_dim(2);
        self.classifier.forward(mean.reshape([batch, channels]))
    }
}
