//! Check and time gradients on a real network. By hand, for it needs a model and images:
//!
//! ```sh
//! cargo run --release -p enachi-model --example gradients -- MODEL IMAGES PREPROCESSING COUNT CUT...
//! ```
//!
//! Per cut, the median over the images of the difference between the slope by gradient and by central differences,
//! of the log-likelihood of the second likeliest class (the likeliest often has no slope), relative to the length of
//! the gradient: along the gradient, along a random direction, and along the gradient with half the step. And the
//! time of a forward and a backward run beside that of the plain tail.

use std::error::Error;
use std::time::Instant;

use enachi_model::answer::{log_probabilities, log_probability_gradient, read_answer};
use enachi_model::engine::{Engine, RtenEngine};
use enachi_model::gradient::GradientEngine;
use enachi_model::graph::{Graph, LoadOptions, OnnxModel};
use enachi_model::images::{Preprocess, decode_rgb_crop, read_image, to_tensor};
use enachi_model::tensor::Tensor;

/// Change of the log-likelihood that a step along the gradient aims at.
const CHANGE: f32 = 0.02;
/// Tries per time; the shortest counts.
const TRIES: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, images, how, count, cuts @ ..] = arguments.as_slice() else {
        return Err("MODEL IMAGES PREPROCESSING COUNT CUT...".into());
    };
    let how = Preprocess::preset(how).ok_or("no such preprocessing")?;
    let mut files: Vec<_> = std::fs::read_dir(images)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort();
    files.truncate(count.parse()?);
    let model = OnnxModel::load(model, &LoadOptions::default())?;
    let graph = Graph::new(&model)?;
    let cuts: Vec<&str> = cuts.iter().map(String::as_str).collect();
    let start = Instant::now();
    let gradients = GradientEngine::new(&model, &graph, &cuts)?;
    println!("prepared in {:.2} s", start.elapsed().as_secs_f64());
    let engine = RtenEngine::new(model.clone())?;
    let inputs = files
        .iter()
        .map(|file| Ok(to_tensor(&decode_rgb_crop(&read_image(file)?, &how)?, &how)))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    println!(
        "{:<24} {:>9} {:>9} {:>9} | {:>8} {:>8} {:>8} {:>6}",
        "cut", "along g", "random", "step/2", "tail ms", "fwd ms", "bwd ms", "ratio"
    );
    for (cut, outcome) in gradients.supported() {
        if let Err(reason) = outcome {
            println!("{cut:<24} {reason}");
            continue;
        }
        let mut errors = [Vec::new(), Vec::new(), Vec::new()];
        for x in &inputs {
            let found = compare(&graph, &engine, &gradients, cut, x)?;
            errors
                .iter_mut()
                .zip(found)
                .for_each(|(all, e)| all.push(e));
        }
        let medians = errors.map(|mut all| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        });
        let value = engine.run(graph.input_name(), &inputs[0], cut)?;
        let tail = shortest(|| Ok(engine.run(cut, &value, graph.output_name()).map(drop)?))?;
        let forward = shortest(|| Ok(gradients.forward(cut, &value, &[cut]).map(drop)?))?;
        let pass = gradients.forward(cut, &value, &[cut])?;
        let cotangent = log_probability_gradient(pass.scores(), 0, 1.0);
        let backward = shortest(|| Ok(gradients.backward(&pass, &cotangent).map(drop)?))?;
        println!(
            "{cut:<24} {:>9.1e} {:>9.1e} {:>9.1e} | {tail:>8.1} {forward:>8.1} {backward:>8.1} {:>6.2}",
            medians[0],
            medians[1],
            medians[2],
            (forward + backward) / tail
        );
    }
    Ok(())
}

/// Milliseconds.
fn shortest(mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}

/// Differences of slopes, relative to the length of the gradient: along the gradient, along a random direction of the
/// feature's size, and along the gradient with half the step.
fn compare(
    graph: &Graph,
    engine: &RtenEngine,
    gradients: &GradientEngine,
    cut: &str,
    x: &Tensor,
) -> Result<[f64; 3], Box<dyn Error>> {
    let value = engine.run(graph.input_name(), x, cut)?;
    let pass = gradients.forward(cut, &value, &[cut])?;
    let class = usize::from(read_answer(pass.scores()).ok_or("no answer")?.top1);
    let likelihood = log_probabilities(pass.scores());
    let class = (0..likelihood.len())
        .filter(|&k| k != class)
        .max_by(|&a, &b| likelihood[a].total_cmp(&likelihood[b]))
        .ok_or("one class")?;
    let gradient =
        &gradients.backward(&pass, &log_probability_gradient(pass.scores(), class, 1.0))?[0];
    let length = dot(&gradient.data, &gradient.data).sqrt();
    let along: Vec<f32> = gradient.data.iter().map(|g| g / length as f32).collect();
    let mut state = 1u64;
    let random: Vec<f32> = (0..value.data.len())
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            if state >> 63 == 0 { 1.0 } else { -1.0 }
        })
        .collect();
    let unit = dot(&random, &random).sqrt() as f32;
    let random: Vec<f32> = random.iter().map(|r| r / unit).collect();
    let error = |direction: &[f32], step: f32| -> Result<f64, Box<dyn Error>> {
        let at = |by: f32| -> Result<f64, Box<dyn Error>> {
            let mut value = value.clone();
            value
                .data
                .iter_mut()
                .zip(direction)
                .for_each(|(v, d)| *v += by * d);
            let scores = engine.run(cut, &value, graph.output_name())?.data;
            Ok(log_probabilities(&scores)[class])
        };
        let measured = (at(step)? - at(-step)?) / (2.0 * f64::from(step));
        Ok((measured - dot(&gradient.data, direction)).abs() / length)
    };
    let step = CHANGE / length as f32;
    Ok([
        error(&along, step)?,
        error(&random, step)?,
        error(&along, step / 2.0)?,
    ])
}
