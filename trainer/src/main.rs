//! Trains the network of `enachi-tiny` and writes it as an ONNX file with its SHA-256 beside it.

mod export;
mod net;

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::Parser;
use enachi_tiny::{CLASS_NAMES, CLASSES, SIDE, Split, hardness, image};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use sha2::{Digest, Sha256};

use net::Net;

/// Train the tiny network on pictures that are drawn as they are needed, each used once.
#[derive(Parser)]
struct Options {
    /// Seed of the weights at the start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// ONNX file to write; the hash goes into a file of the same name ending in `.sha256`.
    #[arg(long)]
    out: PathBuf,
    /// Steps of the optimiser.
    #[arg(long, default_value_t = 4000)]
    steps: u32,
    /// Pictures per step.
    #[arg(long, default_value_t = 64)]
    batch: u32,
    /// Largest learning rate; it rises over 100 steps, then falls to 0 along a cosine.
    #[arg(long, default_value_t = 4e-3)]
    rate: f64,
    /// Test pictures to measure the accuracy on.
    #[arg(long, default_value_t = 6000)]
    test: u32,
}

const WARM_UP: u32 = 100;
const WEIGHT_DECAY: f32 = 0.01;
/// Pictures per inference.
const TEST_BATCH: u32 = 100;

/// Inputs and labels of a run of pictures.
struct Batch {
    inputs: Vec<f32>,
    labels: Vec<i64>,
}

impl Batch {
    fn draw(split: Split, indices: impl Iterator<Item = u32>) -> Self {
        let pictures: Vec<_> = indices.map(|index| image(split, index)).collect();
        Self {
            inputs: pictures.iter().flat_map(|p| p.input()).collect(),
            labels: pictures.iter().map(|p| i64::from(p.label)).collect(),
        }
    }

    fn input_tensor(&self, device: &Device) -> Tensor<4> {
        let side = SIDE as usize;
        let data = TensorData::new(self.inputs.clone(), [self.labels.len(), 3, side, side]);
        Tensor::from_data(data, device)
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let net = train(&options)?;
    let side = SIDE as usize;
    let bytes = export::onnx(&net, side, CLASSES)?;
    let hash: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    report(&net, &bytes, options.test)?;
    let hash_file = options.out.with_extension("sha256");
    std::fs::write(&options.out, &bytes)
        .with_context(|| format!("cannot write {}", options.out.display()))?;
    std::fs::write(&hash_file, &hash)
        .with_context(|| format!("cannot write {}", hash_file.display()))?;
    println!("{} bytes, SHA-256 {hash}", bytes.len());
    Ok(())
}

fn train(options: &Options) -> Result<Net> {
    ensure!(
        options.steps > WARM_UP,
        "--steps: more than {WARM_UP} are needed"
    );
    ensure!(options.batch > 1, "--batch: more than 1 is needed");
    let device = Device::flex().autodiff();
    device.seed(options.seed);
    let mut net = Net::init(CLASSES, &device);
    println!("{} parameters", net.num_params());
    let mut optimiser = AdamWConfig::new().with_weight_decay(WEIGHT_DECAY).init();
    let loss_of = CrossEntropyLossConfig::new().init(&device);
    let (steps, size) = (options.steps, options.batch);
    let (sender, receiver) = sync_channel(4);
    let painter = thread::spawn(move || {
        let mut indices = 0..u32::MAX;
        for step in 0..steps {
            let limit = hardness_limit(step, steps);
            let wanted = indices
                .by_ref()
                .filter(|&index| hardness(Split::Train, index) <= limit);
            let batch = Batch::draw(Split::Train, wanted.take(size as usize));
            if sender.send(batch).is_err() {
                return;
            }
        }
    });
    let start = Instant::now();
    let (mut loss_sum, mut hits) = (0.0, 0);
    for step in 0..steps {
        let batch = receiver.recv().context("no more pictures came")?;
        let labels = TensorData::new(batch.labels.clone(), [batch.labels.len()]);
        let labels = Tensor::<1, Int>::from_data(labels, &device);
        let logits = net.forward(batch.input_tensor(&device));
        hits += count_hits(&answers(logits.clone()), &batch.labels);
        let loss = loss_of.forward(logits, labels);
        loss_sum += loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimiser.step(rate(options, step), net, gradients);
        let every = 100;
        if (step + 1) % every == 0 {
            println!(
                "step {:5}  loss {:.3}  right {:.3}  {:.0} s",
                step + 1,
                loss_sum / every as f32,
                f64::from(hits) / f64::from(every * size),
                start.elapsed().as_secs_f64()
            );
            (loss_sum, hits) = (0.0, 0);
        }
    }
    ensure!(painter.join().is_ok(), "drawing the pictures failed");
    Ok(net.valid())
}

/// Hardest pictures shown at a step: plain ones first, all from 40 % of the steps on. Untrained filters learn little
/// from figures that are hardly visible; this halves the pictures needed.
fn hardness_limit(step: u32, steps: u32) -> f32 {
    (0.03 + step as f32 / (0.4 * steps as f32)).min(1.0)
}

fn rate(options: &Options, step: u32) -> f64 {
    if step < WARM_UP {
        return options.rate * f64::from(step + 1) / f64::from(WARM_UP);
    }
    let done = f64::from(step - WARM_UP) / f64::from(options.steps - WARM_UP);
    options.rate * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

/// Index of the largest logit of each picture.
fn answers(logits: Tensor<2>) -> Vec<i64> {
    let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
    values.chunks(CLASSES).map(largest).collect()
}

fn largest(row: &[f32]) -> i64 {
    let mut best = 0;
    for (k, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = k;
        }
    }
    best as i64
}

fn count_hits(answers: &[i64], labels: &[i64]) -> u32 {
    answers.iter().zip(labels).filter(|(a, b)| a == b).count() as u32
}

/// Measure the accuracy with the trained network and again with the file in another engine; they must agree but for
/// rounding.
fn report(net: &Net, file: &[u8], count: u32) -> Result<()> {
    let device = Device::flex();
    let model = rten::Model::load(file.to_vec()).context("the exported file does not load")?;
    let side = SIDE as usize;
    let (mut hits, mut file_hits, mut total) = (0, 0, 0);
    let mut worst = 0f32;
    let mut confusion = vec![[0u32; CLASSES]; CLASSES];
    for first in (0..count).step_by(TEST_BATCH as usize) {
        let batch = Batch::draw(Split::Test, first..count.min(first + TEST_BATCH));
        let logits = net.forward(batch.input_tensor(&device));
        let own: Vec<f32> = logits.clone().into_data().iter::<f32>().collect();
        let shape = [batch.labels.len(), 3, side, side];
        let input = NdTensor::from_data(shape, batch.inputs.clone());
        let output: NdTensor<f32, 2> = model.run_one(input.into(), None)?.try_into()?;
        let other = output.to_vec();
        worst = own
            .iter()
            .zip(&other)
            .map(|(a, b)| (a - b).abs())
            .fold(worst, f32::max);
        let answers = answers(logits);
        let file_answers: Vec<i64> = other.chunks(CLASSES).map(largest).collect();
        hits += count_hits(&answers, &batch.labels);
        file_hits += count_hits(&file_answers, &batch.labels);
        total += batch.labels.len() as u32;
        for (answer, label) in file_answers.iter().zip(&batch.labels) {
            confusion[*label as usize][*answer as usize] += 1;
        }
    }
    let share = |n: u32| f64::from(n) / f64::from(total.max(1));
    for (name, row) in CLASS_NAMES.iter().zip(&confusion) {
        println!("{name:>9} {}", row.map(|n| format!("{n:4}")).concat());
    }
    println!(
        "right on {total} test pictures: {hits} ({:.4})",
        share(hits)
    );
    println!(
        "the same from the file with rten: {file_hits} ({:.4})",
        share(file_hits)
    );
    println!("largest difference of a logit: {worst:.1e}");
    ensure!(worst < 1e-2, "the file does not compute what was trained");
    Ok(())
}
