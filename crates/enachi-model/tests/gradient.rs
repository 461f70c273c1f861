//! Gradients against central differences of the engine's own scores.

#![allow(clippy::unwrap_used)]

use enachi_model::answer::{log_probabilities, log_probability_gradient};
use enachi_model::engine::{Engine, RtenEngine};
use enachi_model::fixtures::{NetBuilder, float, int, ints, pattern, residual_net, text};
use enachi_model::gradient::{GradientEngine, GradientError};
use enachi_model::graph::{Graph, LoadOptions, OnnxModel};
use enachi_model::tensor::Tensor;

struct Net {
    graph: Graph,
    engine: RtenEngine,
    gradients: GradientEngine,
}

impl Net {
    /// With gradients at every cut that holds floats.
    fn new(builder: &NetBuilder) -> Self {
        let model = OnnxModel::from_bytes(&builder.bytes(), &LoadOptions::default()).unwrap();
        let graph = Graph::new(&model).unwrap();
        let floats = graph.cuts().iter().filter(|c| c.splittable);
        let cuts: Vec<&str> = floats.map(|c| c.name.as_str()).collect();
        let gradients = GradientEngine::new(&model, &graph, &cuts).unwrap();
        Self {
            gradients,
            engine: RtenEngine::new(model).unwrap(),
            graph,
        }
    }

    fn value_at(&self, cut: &str, x: &Tensor) -> Tensor {
        self.engine.run(self.graph.input_name(), x, cut).unwrap()
    }

    fn scores(&self, from: &str, value: &Tensor) -> Vec<f32> {
        let output = self.graph.output_name();
        self.engine.run(from, value, output).unwrap().data
    }
}

/// A fixed weight for each score.
fn weights(classes: usize) -> Vec<f32> {
    (0..classes).map(|k| 1.0 - 0.37 * k as f32).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    products.sum()
}

/// Largest difference between the slope along a direction by the gradient and by central differences, relative to
/// the length of the gradient, over all cuts: along ±1 patterns and along the gradient itself.
fn worst(net: &Net, x: &Tensor, step: f32) -> f64 {
    let mut worst: f64 = 0.0;
    for cut in net.graph.cuts() {
        let value = net.value_at(&cut.name, x);
        let weights = weights(net.graph.classes());
        let found = net
            .gradients
            .gradients(&cut.name, &value, &|_| weights.clone(), &[&cut.name])
            .unwrap_or_else(|e| panic!("{}: {e}", cut.name));
        let gradient = &found[0];
        assert_eq!(gradient.shape, value.shape);
        let length = dot(&gradient.data, &gradient.data).sqrt();
        assert!(length > 0.0, "no gradient at {}", cut.name);
        let along: Vec<f32> = gradient.data.iter().map(|g| g / length as f32).collect();
        let count = value.data.len();
        let unit = 1.0 / (count as f32).sqrt();
        let signs = |salt: usize| {
            let sign = move |i: usize| {
                if (i * 7919 + salt * 131) % 1013 < 506 {
                    unit
                } else {
                    -unit
                }
            };
            (0..count).map(sign).collect::<Vec<f32>>()
        };
        for direction in [along, signs(1), signs(2)] {
            let moved = |by: f32| {
                let mut value = value.clone();
                value
                    .data
                    .iter_mut()
                    .zip(&direction)
                    .for_each(|(v, d)| *v += by * d);
                dot(&net.scores(&cut.name, &value), &weights)
            };
            let measured = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let error = (measured - dot(&gradient.data, &direction)).abs() / length;
            worst = worst.max(error);
        }
    }
    worst
}

#[track_caller]
fn agrees(builder: &NetBuilder, shape: &[usize]) {
    let error = worst(&Net::new(builder), &pattern(shape), 2e-3);
    assert!(error < 5e-3, "relative error {error}");
}

#[test]
fn a_residual_network_with_depthwise_strides() {
    agrees(&residual_net(9), &[1, 3, 9, 9]);
}

/// Kernel, stride, padding, dilation and groups in combinations that leave odd rows over.
#[test]
fn convolutions_of_every_geometry() {
    for (k, stride, pads, dilation, group) in [
        (1, 2, [0, 0, 0, 0], 1, 1),
        (3, 2, [1, 1, 1, 1], 1, 2),
        (3, 2, [0, 1, 2, 1], 1, 6),
        (5, 3, [2, 2, 2, 2], 1, 1),
        (3, 1, [2, 0, 1, 2], 2, 3),
        (2, 1, [2, 2, 2, 2], 1, 1),
        (3, 2, [2, 2, 2, 2], 2, 6),
    ] {
        for side in [8, 9] {
            let mut net = NetBuilder::square(6, side);
            net.random_weight("w", &[12, 6 / group, k, k], 0.5);
            let attributes = vec![
                ints("kernel_shape", &[k as i64; 2]),
                ints("strides", &[stride; 2]),
                ints("pads", &pads),
                ints("dilations", &[dilation; 2]),
                int("group", group as i64),
            ];
            net.node("Conv", "c", &["input", "w"], attributes);
            net.classifier("c", 12, 4);
            agrees(&net, &[1, 6, side, side]);
        }
    }
}

#[test]
fn automatic_padding() {
    for how in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        let mut net = NetBuilder::square(3, 8);
        net.random_weight("w", &[4, 3, 3, 3], 0.5);
        let attributes = vec![
            ints("kernel_shape", &[3, 3]),
            ints("strides", &[2, 2]),
            text("auto_pad", how),
        ];
        net.node("Conv", "c", &["input", "w"], attributes);
        net.classifier("c", 4, 4);
        agrees(&net, &[1, 3, 8, 8]);
    }
}

#[test]
fn pools_of_every_geometry() {
    for (op, k, stride, pad, ceil, with_padding) in [
        ("MaxPool", 2, 2, 0, 0, 0),
        ("MaxPool", 3, 2, 1, 0, 0),
        ("MaxPool", 3, 2, 0, 1, 0),
        ("MaxPool", 3, 1, 1, 0, 0),
        ("MaxPool", 2, 3, 0, 0, 0),
        ("AveragePool", 2, 2, 0, 0, 0),
        ("AveragePool", 3, 2, 1, 0, 0),
        ("AveragePool", 3, 2, 1, 0, 1),
        ("AveragePool", 3, 2, 1, 1, 1),
        ("AveragePool", 2, 3, 0, 1, 0),
    ] {
        for side in [8, 9] {
            let mut net = NetBuilder::square(3, side);
            net.conv("c", "input", (3, 5), 3, 1, 1);
            let mut attributes = vec![
                ints("kernel_shape", &[k; 2]),
                ints("strides", &[stride; 2]),
                ints("pads", &[pad; 4]),
                int("ceil_mode", ceil),
            ];
            if op == "AveragePool" {
                attributes.push(int("count_include_pad", with_padding));
            }
            net.node(op, "p", &["c"], attributes);
            net.conv("d", "p", (5, 5), 3, 1, 1);
            net.classifier("d", 5, 4);
            agrees(&net, &[1, 3, side, side]);
        }
    }
}

/// Activations, each behind a convolution and before a linear classifier.
#[test]
fn activations() {
    let activations: [(&str, Vec<_>); 8] = [
        ("Relu", vec![]),
        ("LeakyRelu", vec![float("alpha", 0.2)]),
        ("Sigmoid", vec![]),
        ("HardSigmoid", vec![float("alpha", 0.4)]),
        ("HardSwish", vec![]),
        ("Tanh", vec![]),
        ("Erf", vec![]),
        ("Exp", vec![]),
    ];
    for (op, attributes) in activations {
        let mut net = NetBuilder::square(3, 6);
        net.conv("c", "input", (3, 5), 3, 1, 1);
        net.node(op, "a", &["c"], attributes);
        net.classifier("a", 5, 4);
        agrees(&net, &[1, 3, 6, 6]);
    }
}

#[test]
fn clips_with_bounds_as_attributes_and_as_inputs() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 5), 3, 1, 1);
    let bounds = vec![float("min", -0.3), float("max", 0.6)];
    net.node("Clip", "a", &["c"], bounds);
    net.conv("d", "a", (5, 5), 3, 1, 1);
    net.weight("low", &[], &[0.0]);
    net.weight("high", &[], &[0.5]);
    net.node("Clip", "b", &["d", "low", "high"], vec![]);
    net.conv("e", "b", (5, 5), 3, 1, 1);
    net.node("Clip", "f", &["e", "low"], vec![]);
    net.classifier("f", 5, 4);
    agrees(&net, &[1, 3, 6, 6]);
}

/// A gate as in squeeze-and-excitation, x·sigmoid(x), broadcasts in both directions, a concatenation, normalisation.
#[test]
fn branches_that_meet() {
    let mut net = NetBuilder::square(3, 7);
    net.conv("stem", "input", (3, 6), 3, 1, 1);
    net.batch_norm("bn", "stem", 6);
    net.node("Sigmoid", "sig", &["bn"], vec![]);
    net.node("Mul", "silu", &["bn", "sig"], vec![]);
    let axes = vec![ints("axes", &[2, 3]), int("keepdims", 1)];
    net.node("ReduceMean", "squeeze", &["silu"], axes);
    net.conv("excite", "squeeze", (6, 6), 1, 1, 1);
    net.node("Sigmoid", "gate", &["excite"], vec![]);
    net.node("Mul", "gated", &["gate", "silu"], vec![]);
    net.conv("left", "gated", (6, 4), 3, 2, 2);
    net.conv("right", "gated", (6, 5), 1, 2, 1);
    net.node("Concat", "joined", &["left", "right"], vec![int("axis", 1)]);
    net.node("Sub", "centred", &["joined", "one"], vec![]);
    net.weight("one", &[9, 1, 1], &[0.3; 9]);
    net.node("Div", "quotient", &["centred", "positive"], vec![]);
    net.weight("one.b", &[1], &[2.0]);
    // Depends on the image too: 2 + |·|² of the squeezed maps.
    net.node("Mul", "square", &["squeeze", "squeeze"], vec![]);
    let axes = vec![ints("axes", &[1]), int("keepdims", 1)];
    net.node("ReduceSum", "power", &["square"], axes);
    net.node("Add", "positive", &["one.b", "power"], vec![]);
    net.classifier("quotient", 9, 4);
    agrees(&net, &[1, 3, 7, 7]);
}

/// Operators that only move elements, among them a padding and a split in two.
#[test]
fn layouts() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 6), 3, 1, 1);
    net.integers("pads", &[0, 0, 0, 1, 0, 0, 1, 2]);
    net.node("Pad", "padded", &["c", "pads"], vec![]);
    let order = vec![ints("perm", &[0, 2, 3, 1])];
    net.node("Transpose", "last", &["padded"], order);
    let back = vec![ints("perm", &[0, 3, 1, 2])];
    net.node("Transpose", "first", &["last"], back);
    for (name, from, to) in [("low", 0, 2), ("high", -4, 6)] {
        let list = ["starts", "ends", "axes"].map(|part| format!("{name}.{part}"));
        for (part, value) in list.iter().zip([from, to, 1]) {
            net.integers(part, &[value]);
        }
        let inputs = ["first", &list[0], &list[1], &list[2]];
        net.node("Slice", name, &inputs, vec![]);
    }
    net.conv("a", "low", (2, 3), 3, 1, 1);
    net.conv("b", "high", (4, 3), 3, 1, 1);
    net.add("sum", "a", "b");
    net.integers("shape", &[0, 3, -1]);
    net.node("Reshape", "rows", &["sum", "shape"], vec![]);
    net.integers("shape4", &[0, 3, 7, 9]);
    net.node("Reshape", "unflat", &["rows", "shape4"], vec![]);
    net.node("Identity", "same", &["unflat"], vec![]);
    net.classifier("same", 3, 4);
    agrees(&net, &[1, 3, 6, 6]);
}

/// Normalisation by the image's own statistics, whole and as older exporters write it out.
#[test]
fn normalisations() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 6), 3, 1, 1);
    net.random_weight("maps.scale", &[6], 1.0);
    net.random_weight("maps.bias", &[6], 1.0);
    let inputs = ["c", "maps.scale", "maps.bias"];
    net.node(
        "InstanceNormalization",
        "maps",
        &inputs,
        vec![float("epsilon", 1e-3)],
    );
    net.integers("shape", &[0, 6, 36]);
    net.node("Reshape", "rows", &["maps", "shape"], vec![]);
    let turn = || vec![ints("perm", &[0, 2, 1])];
    net.node("Transpose", "tokens", &["rows"], turn());
    net.random_weight("layer.scale", &[6], 1.0);
    net.random_weight("layer.bias", &[6], 1.0);
    let inputs = ["tokens", "layer.scale", "layer.bias"];
    net.node(
        "LayerNormalization",
        "layer",
        &inputs,
        vec![int("axis", -1)],
    );
    let axes = || vec![ints("axes", &[-1]), int("keepdims", 1)];
    net.node("ReduceMean", "mean", &["layer"], axes());
    net.node("Sub", "centred", &["layer", "mean"], vec![]);
    net.weight("two", &[], &[2.0]);
    net.node("Pow", "square", &["centred", "two"], vec![]);
    net.node("ReduceMean", "power", &["square"], axes());
    net.weight("floor", &[], &[0.3]);
    net.node("Add", "variance", &["power", "floor"], vec![]);
    net.node("Sqrt", "deviation", &["variance"], vec![]);
    net.node("Div", "unit", &["centred", "deviation"], vec![]);
    net.node("Transpose", "back", &["unit"], turn());
    net.integers("square.shape", &[0, 6, 6, 6]);
    net.node("Reshape", "plane", &["back", "square.shape"], vec![]);
    net.conv("d", "plane", (6, 5), 3, 1, 1);
    net.classifier("d", 5, 4);
    agrees(&net, &[1, 3, 6, 6]);
}

/// Half of the channels by bounds that are computed from the shape, and a place picked along an axis.
#[test]
fn bounds_computed_from_shapes() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 6), 3, 1, 1);
    net.node("Shape", "sizes", &["c"], vec![]);
    for (name, value) in [("zero", 0), ("one", 1), ("two", 2), ("third", -3)] {
        net.integers(name, &[value]);
    }
    net.node("Gather", "channels", &["sizes", "third"], vec![]);
    net.node("Cast", "wide", &["channels"], vec![int("to", 7)]);
    net.node("Div", "half", &["wide", "two"], vec![]);
    net.node("Mul", "whole", &["half", "two"], vec![]);
    net.node("Slice", "low", &["c", "zero", "half", "one"], vec![]);
    // Both axes: channels from the half, rows from 0 to all of them.
    let rows = vec![int("start", 2), int("end", -1)];
    net.node("Shape", "rows.size", &["c"], rows);
    net.node("Sub", "none", &["rows.size", "rows.size"], vec![]);
    net.node("Add", "all", &["rows.size", "none"], vec![]);
    net.node("Concat", "starts", &["half", "none"], vec![int("axis", 0)]);
    net.node("Concat", "ends", &["whole", "all"], vec![int("axis", 0)]);
    net.integers("axes", &[1, 2]);
    net.node("Slice", "high", &["c", "starts", "ends", "axes"], vec![]);
    net.conv("a", "low", (3, 4), 3, 1, 1);
    net.conv("b", "high", (3, 4), 1, 1, 1);
    net.add("sum", "a", "b");
    net.integers("shape", &[0, 4, 36]);
    net.node("Reshape", "rows", &["sum", "shape"], vec![]);
    net.integers("last", &[-2]);
    net.node("Gather", "token", &["rows", "last"], vec![int("axis", 2)]);
    net.classifier("token", 4, 4);
    agrees(&net, &[1, 3, 6, 6]);
}

/// Bounds that take a hundred times more steps from node to node are given up, not followed.
#[test]
fn bounds_that_would_take_for_ever_are_not_followed() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 6), 3, 1, 1);
    net.node(
        "Shape",
        "size.0",
        &["c"],
        vec![int("start", 1), int("end", 2)],
    );
    net.integers("zero", &[0]);
    net.integers("one", &[1]);
    for level in 0..12 {
        let (from, many, one) = (
            format!("size.{level}"),
            format!("many.{level}"),
            format!("size.{}", level + 1),
        );
        net.node("Concat", &many, &[from.as_str(); 60], vec![int("axis", 0)]);
        net.node("Gather", &one, &[&many, "zero"], vec![]);
    }
    net.node("Sub", "start", &["size.12", "size.12"], vec![]);
    net.node("Slice", "all", &["c", "start", "size.0", "one"], vec![]);
    net.classifier("all", 6, 4);
    let net = Net::new(&net);
    let refused = net
        .gradients
        .supported()
        .filter(|(_, outcome)| outcome.is_err());
    assert!(refused.count() > 0);
}

/// Normalisation over the positions of maps that have none.
#[test]
fn normalisation_without_positions_is_refused() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 6), 3, 1, 1);
    net.node("GlobalAveragePool", "mean", &["c"], vec![]);
    net.node("Flatten", "row", &["mean"], vec![int("axis", 1)]);
    net.random_weight("s", &[6], 1.0);
    net.random_weight("b", &[6], 1.0);
    net.node("InstanceNormalization", "n", &["row", "s", "b"], vec![]);
    net.integers("shape", &[0, 6, 1, 1]);
    net.node("Reshape", "plane", &["n", "shape"], vec![]);
    net.classifier("plane", 6, 4);
    let model = OnnxModel::from_bytes(&net.bytes(), &LoadOptions::default()).unwrap();
    let graph = Graph::new(&model).unwrap();
    let gradients = GradientEngine::new(&model, &graph, &["c"]).unwrap();
    let (_, outcome) = gradients.supported().next().unwrap();
    assert!(outcome.unwrap_err().to_string().contains("no positions"));
}

#[test]
fn matrix_products() {
    let mut net = NetBuilder::square(3, 4);
    net.conv("c", "input", (3, 4), 3, 1, 1);
    net.integers("shape", &[0, 4, 16]);
    net.node("Reshape", "rows", &["c", "shape"], vec![]);
    net.random_weight("m", &[16, 5], 0.5);
    net.node("MatMul", "narrow", &["rows", "m"], vec![]);
    let order = vec![ints("perm", &[0, 2, 1])];
    net.node("Transpose", "turned", &["narrow"], order);
    net.node("MatMul", "gram", &["narrow", "turned"], vec![]);
    net.random_weight("n", &[3, 4], 0.5);
    net.node("MatMul", "mixed", &["n", "gram"], vec![]);
    net.node("Flatten", "long", &["mixed"], vec![int("axis", 1)]);
    net.random_weight("w", &[12, 4], 0.5);
    let scaled = vec![float("alpha", 0.7), float("beta", 2.0)];
    net.random_weight("v", &[4], 0.5);
    net.node("Gemm", "logits", &["long", "w", "v"], scaled);
    net.graph.output = vec![enachi_model::fixtures::value_info(
        "logits",
        &[None, Some(4)],
    )];
    agrees(&net, &[1, 3, 4, 4]);
}

#[test]
fn a_softmax_at_the_end_is_part_of_the_network() {
    for op in ["Softmax", "LogSoftmax"] {
        let mut net = residual_net(8);
        net.node(op, "probabilities", &["logits"], vec![int("axis", 1)]);
        net.graph.output[0].name = Some("probabilities".into());
        agrees(&net, &[1, 3, 8, 8]);
    }
}

/// The likelihood has the same gradient whether the network ends in logits or in probabilities.
#[test]
fn the_likelihood_does_not_care_for_the_head() {
    let plain = Net::new(&residual_net(8));
    let mut builder = residual_net(8);
    builder.node(
        "Softmax",
        "probabilities",
        &["logits"],
        vec![int("axis", 1)],
    );
    builder.graph.output[0].name = Some("probabilities".into());
    let headed = Net::new(&builder);
    let x = pattern(&[1, 3, 8, 8]);
    for class in 0..5 {
        let of = |net: &Net| {
            let cotangent = |scores: &[f32]| log_probability_gradient(scores, class, 1.0);
            let wanted = ["block", "input"];
            net.gradients
                .gradients("input", &x, &cotangent, &wanted)
                .unwrap()
        };
        let (a, b) = (of(&plain), of(&headed));
        for (a, b) in a.iter().zip(&b) {
            let length = dot(&a.data, &a.data).sqrt() as f32;
            let differs = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs());
            assert!(differs.fold(0.0, f32::max) < 1e-4 * length);
        }
        // And it is the slope of the log-likelihood.
        let along = &a[1].data;
        let moved = |by: f32| {
            let mut x = x.clone();
            x.data.iter_mut().zip(along).for_each(|(v, d)| *v += by * d);
            log_probabilities(&plain.scores("input", &x))[class]
        };
        let step = 1e-3 / dot(along, along).sqrt() as f32;
        let measured = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        let expected = dot(along, along);
        assert!(
            (measured - expected).abs() < 0.02 * expected,
            "{measured} {expected}"
        );
    }
}

/// One forward run serves many cotangents, and the gradients are linear in them; a later start gives the same.
#[test]
fn one_forward_run_serves_many_cotangents() {
    let net = Net::new(&residual_net(8));
    let x = pattern(&[1, 3, 8, 8]);
    let wanted = ["pool", "block", "stem.relu"];
    let pass = net.gradients.forward("input", &x, &wanted).unwrap();
    assert_eq!(pass.scores().len(), 5);
    let unit = |k: usize| {
        (0..5)
            .map(|i| if i == k { 1.0 } else { 0.0 })
            .collect::<Vec<_>>()
    };
    let each: Vec<Vec<Tensor>> = (0..5)
        .map(|k| net.gradients.backward(&pass, &unit(k)).unwrap())
        .collect();
    let weights = weights(5);
    let together = net.gradients.backward(&pass, &weights).unwrap();
    for (at, name) in wanted.iter().enumerate() {
        for i in 0..together[at].data.len() {
            let sum: f32 = (0..5).map(|k| weights[k] * each[k][at].data[i]).sum();
            assert!((sum - together[at].data[i]).abs() < 1e-4, "{name}");
        }
        let value = net.value_at(name, &x);
        let later = net
            .gradients
            .gradients(name, &value, &|_| weights.clone(), &[name])
            .unwrap();
        let differs = later[0].data.iter().zip(&together[at].data);
        assert!(differs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-5);
    }
}

#[test]
fn threads_do_not_disturb_each_other() {
    let net = Net::new(&residual_net(8));
    let of = |salt: usize| {
        let mut x = pattern(&[1, 3, 8, 8]);
        x.data.rotate_left(salt);
        let cotangent = |scores: &[f32]| log_probability_gradient(scores, salt % 5, 1.0);
        net.gradients
            .gradients("input", &x, &cotangent, &["block"])
            .unwrap()
    };
    let alone: Vec<_> = (0..8).map(of).collect();
    std::thread::scope(|scope| {
        let of = &of;
        let together: Vec<_> = (0..8).map(|salt| scope.spawn(move || of(salt))).collect();
        for (thread, alone) in together.into_iter().zip(&alone) {
            assert_eq!(&thread.join().unwrap(), alone);
        }
    });
}

/// An operator without a rule stands in the way of the cuts before it only, and is named.
#[test]
fn an_unsupported_operator_is_named_per_cut() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 5), 3, 1, 1);
    net.node("Floor", "steps", &["c"], vec![]);
    net.conv("d", "steps", (5, 5), 3, 1, 1);
    net.classifier("d", 5, 4);
    let net = Net::new(&net);
    for (name, outcome) in net.gradients.supported() {
        match outcome {
            Ok(()) => assert!(!["input", "c"].contains(&name)),
            Err(error) => {
                assert!(["input", "c"].contains(&name));
                assert_eq!((error.op.as_str(), error.node.as_str()), ("Floor", "steps"));
            }
        }
    }
    let value = net.value_at("steps", &pattern(&[1, 3, 6, 6]));
    let ones = |scores: &[f32]| vec![1.0; scores.len()];
    let at = |wanted: &str| net.gradients.gradients("steps", &value, &ones, &[wanted]);
    assert!(at("steps").is_ok());
    assert!(matches!(at("c"), Err(GradientError::Unsupported(e)) if e.op == "Floor"));
    let text = at("c").unwrap_err().to_string();
    assert!(text.contains("Floor") && text.contains("steps"), "{text}");
}

/// Straight through: what a clip to the range of the integers has for a gradient, where the layers behind it are linear
/// (so that it does not matter at which point they are differentiated). The range is narrow enough to saturate.
#[test]
fn quantised_activations_are_differentiated_straight_through() {
    const SCALE: f32 = 4e-3;
    let (x, weights) = (pattern(&[1, 3, 6, 6]), weights(4));
    let gradient_at_c = |net: &Net| {
        let value = net.value_at("c", &x);
        let found = net
            .gradients
            .gradients("c", &value, &|_| weights.clone(), &["c"])
            .unwrap();
        (value.data, found.into_iter().next().unwrap().data)
    };
    let start = || {
        let mut net = NetBuilder::square(3, 6);
        net.conv("c", "input", (3, 5), 3, 1, 1);
        net
    };
    let mut quantised = start();
    let q = quantised.quantise("a", "c", SCALE);
    quantised.classifier(&q, 5, 4);
    let mut clipped = start();
    let bounds = vec![float("min", -128.5 * SCALE), float("max", 127.5 * SCALE)];
    clipped.node("Clip", "a_dq", &["c"], bounds);
    clipped.classifier("a_dq", 5, 4);
    let (values, through) = gradient_at_c(&Net::new(&quantised));
    let (_, clip) = gradient_at_c(&Net::new(&clipped));
    assert_eq!(through, clip);
    let beyond = values.iter().filter(|v| v.abs() > 129.0 * SCALE).count();
    assert!(
        beyond > 10 && beyond + 10 < values.len(),
        "{beyond} of {}",
        values.len()
    );
    let still = through.iter().filter(|&&g| g == 0.0).count();
    assert!(still >= beyond && still < values.len());
}

/// A scale per channel is for weights; on an activation it stands in the way, and is named.
#[test]
fn an_activation_with_a_scale_per_channel_is_refused() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 5), 3, 1, 1);
    net.weight("s", &[5], &[0.05; 5]);
    net.node("QuantizeLinear", "q", &["c", "s"], vec![int("axis", 1)]);
    net.node("DequantizeLinear", "dq", &["q", "s"], vec![int("axis", 1)]);
    net.classifier("dq", 5, 4);
    let net = Net::new(&net);
    let outcome = net.gradients.supported().find(|(name, _)| *name == "c");
    assert_eq!(outcome.unwrap().1.unwrap_err().op, "QuantizeLinear");
}

#[test]
fn misuse_is_an_error_with_a_name() {
    let builder = residual_net(8);
    let model = OnnxModel::from_bytes(&builder.bytes(), &LoadOptions::default()).unwrap();
    let graph = Graph::new(&model).unwrap();
    let unknown = GradientEngine::new(&model, &graph, &["block.a"])
        .err()
        .unwrap();
    assert!(unknown.to_string().contains("block.a"));
    let engine = GradientEngine::new(&model, &graph, &["stem.relu", "block"]).unwrap();
    let (x, ones) = (pattern(&[1, 3, 8, 8]), |s: &[f32]| vec![1.0; s.len()]);
    let text = |outcome: Result<Vec<Tensor>, GradientError>| outcome.unwrap_err().to_string();
    assert!(text(engine.gradients("pool", &x, &ones, &["block"])).contains("pool"));
    assert!(text(engine.gradients("input", &x, &ones, &["pool"])).contains("pool"));
    let block = Tensor::zeros(&[1, 8, 8, 8]);
    let before = engine.gradients("block", &block, &ones, &["stem.relu"]);
    assert!(matches!(before, Err(GradientError::Before { .. })));
    let wrong = engine.gradients("block", &x, &ones, &["block"]);
    assert!(matches!(wrong, Err(GradientError::BadInput { .. })));
    let two = |_: &[f32]| vec![1.0; 2];
    assert!(text(engine.gradients("input", &x, &two, &["block"])).contains("2 derivatives"));
}

/// Two halves of a split, one turned round and one with a learned slope, summed; the largest element of each map.
#[test]
fn split_and_global_maximum() {
    let mut net = NetBuilder::square(3, 6);
    net.conv("c", "input", (3, 6), 3, 1, 1);
    net.node("Split", "low", &["c"], vec![int("axis", 1)]);
    net.graph.node.last_mut().unwrap().output = vec!["low".into(), "high".into()];
    net.node("Neg", "turned", &["low"], vec![]);
    net.weight("slope", &[3, 1, 1], &[0.2, -0.4, 0.7]);
    net.node("PRelu", "bent", &["high", "slope"], vec![]);
    net.node("Sum", "sum", &["turned", "bent", "low"], vec![]);
    net.add("more", "sum", "bent");
    net.conv("d", "more", (3, 6), 3, 1, 1);
    net.node("GlobalMaxPool", "peak", &["d"], vec![]);
    net.classifier("peak", 6, 4);
    agrees(&net, &[1, 3, 6, 6]);
}
