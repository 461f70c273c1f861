//! Head and tail against the whole network.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use enachi_model::engine::{Engine, EngineError, RtenEngine};
use enachi_model::fixtures::{NetBuilder, ints, pattern, residual_net};
use enachi_model::graph::{Graph, LoadOptions};
use enachi_model::tensor::Tensor;
use rayon::prelude::*;

fn load(net: &NetBuilder) -> (Graph, RtenEngine) {
    let (bytes, options) = (net.bytes(), LoadOptions::default());
    (
        Graph::from_bytes(&bytes, &options).unwrap(),
        RtenEngine::from_bytes(&bytes, &options).unwrap(),
    )
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape, b.shape);
    let differences = a.data.iter().zip(&b.data).map(|(x, y)| (x - y).abs());
    differences.fold(0.0, f32::max)
}

/// A convolution written out, the only arithmetic here that does not come from the engine.
fn convolve(x: &Tensor, weight: &[f32], bias: &[f32], c_out: usize, k: usize) -> Vec<f32> {
    let (c_in, side) = (x.shape[1], x.shape[2] as i64);
    let mut out = Vec::new();
    for (o, bias) in bias.iter().enumerate().take(c_out) {
        for row in 0..side {
            for column in 0..side {
                let mut sum = *bias;
                for i in 0..c_in {
                    for (dy, dx) in (0..k * k).map(|t| ((t / k) as i64, (t % k) as i64)) {
                        let (y, z) = (row + dy - k as i64 / 2, column + dx - k as i64 / 2);
                        if (0..side).contains(&y) && (0..side).contains(&z) {
                            let at = (i as i64 * side + y) * side + z;
                            let w = ((o * c_in + i) * k) as i64 * k as i64 + dy * k as i64 + dx;
                            sum += weight[w as usize] * x.data[at as usize];
                        }
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}

fn floats(net: &NetBuilder, name: &str) -> Vec<f32> {
    let tensor = net
        .graph
        .initializer
        .iter()
        .find(|t| t.name.as_deref() == Some(name))
        .unwrap();
    let raw = tensor.raw_data.as_ref().unwrap().borrow();
    raw.chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

#[test]
fn the_engine_convolves() {
    let net = residual_net(6);
    let (_, engine) = load(&net);
    let x = pattern(&[1, 3, 6, 6]);
    let expected = convolve(&x, &floats(&net, "stem.w"), &floats(&net, "stem.b"), 8, 3);
    let found = engine.run("input", &x, "stem").unwrap();
    assert_eq!(found.shape, [1, 8, 6, 6]);
    assert!(
        found
            .data
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() < 1e-5)
    );
}

#[test]
fn head_then_tail_is_the_whole_network_to_the_last_bit() {
    let (graph, engine) = load(&residual_net(8));
    for batch in [1, 3] {
        let x = pattern(&[batch, 3, 8, 8]);
        let whole = engine.run("input", &x, "logits").unwrap();
        assert_eq!(whole.shape, [batch, 5]);
        for cut in graph.cuts() {
            let feature = engine.run("input", &x, &cut.name).unwrap();
            assert_eq!(feature.shape[0], batch);
            assert_eq!(feature.shape[1..], cut.shape[1..]);
            let answer = engine.run(&cut.name, &feature, "logits").unwrap();
            assert_eq!(answer, whole, "at {} with batch {batch}", cut.name);
        }
    }
}

#[test]
fn a_batch_is_its_samples() {
    let (_, engine) = load(&residual_net(8));
    let x = pattern(&[4, 3, 8, 8]);
    let together = engine.run("input", &x, "logits").unwrap();
    for i in 0..4 {
        let alone = engine.run("input", &x.sample(i), "logits").unwrap();
        assert!(largest_difference(&alone, &together.sample(i)) < 1e-5);
    }
}

/// A file that fixes the batch, and one that writes the 1 down in a reshape.
#[test]
fn a_network_made_for_one_sample_runs_batches() {
    let mut fixed = NetBuilder::new([Some(1), Some(3), Some(8), Some(8)]);
    fixed.conv("stem", "input", (3, 8), 3, 1, 1);
    fixed.classifier("stem", 8, 4);

    let mut reshaped = NetBuilder::square(3, 8);
    reshaped.conv("stem", "input", (3, 8), 3, 8, 1);
    let target: Vec<u8> = [1i64, 8].iter().flat_map(|v| v.to_le_bytes()).collect();
    reshaped.raw_weight("target", &[2], rten_onnx::onnx::DataType::INT64, target);
    reshaped.node("Reshape", "flat", &["stem", "target"], vec![]);
    reshaped.random_weight("w", &[8, 4], 1.0);
    reshaped.node("MatMul", "logits", &["flat", "w"], vec![]);
    reshaped.graph.output = vec![enachi_model::fixtures::value_info(
        "logits",
        &[None, Some(4)],
    )];

    for net in [fixed, reshaped] {
        let (graph, engine) = load(&net);
        let x = pattern(&[3, 3, 8, 8]);
        let whole = engine.run("input", &x, "logits").unwrap();
        assert_eq!(whole.shape, [3, 4]);
        for i in 0..3 {
            let alone = engine.run("input", &x.sample(i), "logits").unwrap();
            assert_eq!(whole.sample(i), alone);
        }
        for cut in graph.cuts() {
            let feature = engine.run("input", &x, &cut.name).unwrap();
            assert_eq!(engine.run(&cut.name, &feature, "logits").unwrap(), whole);
        }
    }
}

/// Batch normalisation is folded into the convolution before it, whose output then exists no more.
#[test]
fn the_output_of_a_fused_convolution_can_be_had() {
    let mut net = NetBuilder::square(3, 8);
    net.conv("stem", "input", (3, 8), 3, 1, 1);
    net.batch_norm("bn", "stem", 8);
    net.relu("relu", "bn");
    net.classifier("relu", 8, 4);
    let (graph, engine) = load(&net);
    let x = pattern(&[2, 3, 8, 8]);
    let whole = engine.run("input", &x, "logits").unwrap();
    let stem = engine.run("input", &x, "stem").unwrap();
    let expected = convolve(
        &x.sample(0),
        &floats(&net, "stem.w"),
        &floats(&net, "stem.b"),
        8,
        3,
    );
    assert!(
        stem.sample(0)
            .data
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() < 1e-5)
    );
    for cut in graph.cuts() {
        let feature = engine.run("input", &x, &cut.name).unwrap();
        let answer = engine.run(&cut.name, &feature, "logits").unwrap();
        assert!(
            largest_difference(&answer, &whole) < 1e-4,
            "at {}",
            cut.name
        );
    }
}

/// While a rayon worker waits for the engine it must not start another image: with two workers, two runs at most.
#[test]
fn rayon_workers_wait_for_their_own_run() {
    let (_, engine) = load(&residual_net(24));
    let expected = engine
        .run("input", &pattern(&[1, 3, 24, 24]), "logits")
        .unwrap();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let answers: Vec<Tensor> = pool.install(|| {
        (0..64)
            .into_par_iter()
            .map(|_| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let answer = engine.run("input", &pattern(&[1, 3, 24, 24]), "logits");
                running.fetch_sub(1, Ordering::SeqCst);
                answer.unwrap()
            })
            .collect()
    });
    assert!(answers.iter().all(|answer| *answer == expected));
    assert!(most.into_inner() <= 2);
}

#[test]
fn wrong_requests_are_errors() {
    let (_, engine) = load(&residual_net(8));
    let x = pattern(&[1, 3, 8, 8]);
    let error = |from: &str, x: &Tensor, to: &str| engine.run(from, x, to).unwrap_err();
    assert!(
        matches!(error("input", &x, "nowhere"), EngineError::UnknownTensor(n) if n == "nowhere")
    );
    assert!(
        matches!(error("nowhere", &x, "logits"), EngineError::UnknownTensor(n) if n == "nowhere")
    );
    // The inside of the residual block is not enough for the output.
    let inside = engine.run("input", &x, "block.a").unwrap();
    assert!(matches!(
        error("block.a", &inside, "logits"),
        EngineError::Run { .. }
    ));
    // Backwards.
    assert!(
        engine
            .run("block", &pattern(&[1, 8, 8, 8]), "stem")
            .is_err()
    );
    let wrong_length = Tensor {
        shape: vec![1, 3, 8, 8],
        data: vec![0.0; 5],
    };
    assert!(matches!(
        error("input", &wrong_length, "logits"),
        EngineError::BadInput { .. }
    ));
    let empty = Tensor {
        shape: vec![0, 3, 8, 8],
        data: vec![],
    };
    assert!(matches!(
        error("input", &empty, "logits"),
        EngineError::BadInput { .. }
    ));
    for shape in [&[1, 3, 8, 9][..], &[1, 4, 8, 8], &[3, 8, 8]] {
        assert!(
            engine.run("input", &pattern(shape), "logits").is_err(),
            "{shape:?}"
        );
    }
}

/// The engine computes padded borders of this operator wrongly, so it is refused.
#[test]
fn padded_integer_convolutions_are_refused() {
    let mut net = NetBuilder::square(3, 8);
    net.quantise("input8", "input", 0.05);
    net.raw_weight(
        "w",
        &[4, 3, 3, 3],
        rten_onnx::onnx::DataType::INT8,
        vec![1; 108],
    );
    net.node(
        "ConvInteger",
        "sum",
        &["input8_q", "w"],
        vec![ints("pads", &[1, 1, 1, 1])],
    );
    net.node(
        "Cast",
        "float",
        &["sum"],
        vec![enachi_model::fixtures::int("to", 1)],
    );
    net.classifier("float", 4, 3);
    let error = Graph::from_bytes(&net.bytes(), &LoadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("ConvInteger"), "{error}");
    assert!(RtenEngine::from_bytes(&net.bytes(), &LoadOptions::default()).is_err());
}
