//! Cuts, shapes and costs of small networks against the engine's own view and counts by hand.

#![allow(clippy::unwrap_used)]

use enachi_core::profile::CutKind;
use enachi_model::engine::{Engine, EngineError, RtenEngine};
use enachi_model::fixtures::{NetBuilder, int, pattern, residual_net};
use enachi_model::graph::{ElementType, Graph, LoadOptions};

fn graph(net: &NetBuilder) -> Graph {
    Graph::from_bytes(&net.bytes(), &LoadOptions::default()).unwrap()
}

fn engine(net: &NetBuilder) -> RtenEngine {
    RtenEngine::from_bytes(&net.bytes(), &LoadOptions::default()).unwrap()
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.cuts().iter().map(|cut| cut.name.as_str()).collect()
}

#[test]
fn a_residual_block_hides_its_inside() {
    let graph = graph(&residual_net(8));
    let expected = [
        "input",
        "stem",
        "stem.relu",
        "block.add",
        "block",
        "dw",
        "pw",
        "pw.relu",
        "pool",
        "flat",
        "logits",
    ];
    assert_eq!(names(&graph), expected);
    assert_eq!(graph.cuts()[0].kind, CutKind::Input);
    assert_eq!(graph.cuts()[10].kind, CutKind::Local);
    assert!(
        graph.cuts()[1..10]
            .iter()
            .all(|cut| cut.kind == CutKind::Feature)
    );
    assert_eq!(graph.classes(), 5);
    assert_eq!(graph.input_shape(), [1, 3, 8, 8]);
}

/// The engine refuses to run from a tensor to the output if something else is needed: an independent judge.
#[test]
fn cuts_are_where_the_tail_runs_alone() {
    let mut nets = vec![residual_net(8)];
    // Parallel branches of different length, a branch that is dropped, and a constant branch.
    let mut net = NetBuilder::square(3, 8);
    net.conv("a", "input", (3, 6), 3, 1, 1);
    net.relu("b1", "a");
    net.conv("b2", "b1", (6, 6), 1, 1, 1);
    net.conv("c1", "a", (6, 6), 1, 1, 1);
    net.node("Concat", "joined", &["b2", "c1"], vec![int("axis", 1)]);
    net.relu("unused", "c1");
    net.random_weight("k", &[1, 12, 1, 1], 1.0);
    net.relu("k.relu", "k");
    net.add("shifted", "joined", "k.relu");
    net.node("Sigmoid", "gate", &["shifted"], vec![]);
    net.node("Mul", "swish", &["shifted", "gate"], vec![]);
    net.classifier("swish", 12, 4);
    nets.push(net);
    for net in &nets {
        let (graph, engine) = (graph(net), engine(net));
        let mut judged = vec!["input".to_string()];
        for name in net.graph.node.iter().map(|node| &node.output[0]) {
            let head = engine.run("input", &pattern(graph.input_shape()), name);
            let Ok(value) = head else { continue };
            if engine.run(name, &value, graph.output_name()).is_ok() {
                judged.push(name.clone());
            }
        }
        assert_eq!(names(&graph), judged);
    }
}

#[test]
fn shapes_and_costs_by_hand() {
    let graph = graph(&residual_net(8));
    let cut = |name: &str| graph.cut(name).unwrap();
    let stem = 8 * 64 * 27;
    let block = 8 * 64 * (72 + 8);
    let (dw, pw, fc) = (8 * 16 * 9, 12 * 16 * 8, 5 * 12);
    let total = (stem + block + dw + pw + fc) as u64;
    assert_eq!(graph.total_macs(), total);
    for (name, head) in [
        ("input", 0),
        ("stem", stem),
        ("block", stem + block),
        ("dw", stem + block + dw),
        ("pool", stem + block + dw + pw),
        ("logits", stem + block + dw + pw + fc),
    ] {
        assert_eq!(cut(name).head_macs, head as u64, "{name}");
        assert_eq!(cut(name).tail_macs, total - head as u64, "{name}");
    }
    assert_eq!(cut("pw").shape, [1, 12, 4, 4]);
    assert_eq!(
        (cut("pw").maps, cut("pw").height, cut("pw").width),
        (12, 4, 4)
    );
    assert_eq!(
        (cut("flat").maps, cut("flat").height, cut("flat").width),
        (12, 1, 1)
    );
    assert_eq!((cut("block").elements, cut("block").bytes), (512, 2048));
}

/// Shapes read off the engine's inference and shapes seen in a run agree: batch normalisation is fused, which hides
/// its input from inference and forces the run.
#[test]
fn a_run_on_zeros_fills_in_what_inference_misses() {
    let mut net = NetBuilder::square(3, 8);
    net.conv("stem", "input", (3, 8), 3, 2, 1);
    net.batch_norm("bn", "stem", 8);
    net.relu("relu", "bn");
    net.classifier("relu", 8, 4);
    let graph = graph(&net);
    assert_eq!(
        names(&graph),
        ["input", "stem", "bn", "relu", "pool", "flat", "logits"]
    );
    assert_eq!(graph.cut("stem").unwrap().shape, [1, 8, 4, 4]);
    assert_eq!(graph.cut("bn").unwrap().head_macs, 8 * 16 * 27);
}

#[test]
fn quantised_tensors_are_listed_but_cannot_cross() {
    let mut net = NetBuilder::square(3, 8);
    net.conv("stem", "input", (3, 8), 3, 1, 1);
    net.quantise("stem8", "stem", 0.05);
    net.relu("relu", "stem8_dq");
    net.classifier("relu", 8, 4);
    let (graph, engine) = (graph(&net), engine(&net));
    let quantised = graph.cut("stem8_q").unwrap();
    assert_eq!(quantised.element, ElementType::I8);
    assert_eq!((quantised.bytes, quantised.splittable), (512, false));
    let back = graph.cut("stem8_dq").unwrap();
    assert_eq!((back.bytes, back.splittable), (2048, true));
    let x = pattern(&[1, 3, 8, 8]);
    assert!(matches!(
        engine.run("input", &x, "stem8_q"),
        Err(EngineError::NotFloat(name)) if name == "stem8_q"
    ));
    let half = engine.run("input", &x, "stem8_dq").unwrap();
    // What came back lies on the quantiser's grid.
    assert!(
        half.data
            .iter()
            .all(|v| ((v / 0.05).round() * 0.05 - v).abs() < 1e-5)
    );
}

#[test]
fn stages_of_a_residual_network_and_of_bottlenecks() {
    let stages = |net: &NetBuilder| -> Vec<String> {
        let graph = graph(net);
        graph
            .stage_cuts()
            .iter()
            .map(|cut| cut.name.clone())
            .collect()
    };
    // `block` ends a residual block; `pw` is wider than `dw` before it, which is therefore a bottleneck.
    assert_eq!(stages(&residual_net(8)), ["block", "dw"]);

    // Inverted residuals: narrow linear outputs between wide layers.
    let mut net = NetBuilder::square(3, 16);
    net.conv("stem", "input", (3, 16), 3, 1, 1);
    net.conv("narrow1", "stem", (16, 4), 1, 1, 1);
    net.conv("wide1", "narrow1", (4, 24), 1, 1, 1);
    net.conv("dw1", "wide1", (24, 24), 3, 1, 24);
    net.conv("narrow1b", "dw1", (24, 4), 1, 1, 1);
    net.add("sum1", "narrow1", "narrow1b");
    net.conv("wide2", "sum1", (4, 24), 1, 1, 1);
    net.conv("dw2", "wide2", (24, 24), 3, 2, 24);
    net.conv("narrow2", "dw2", (24, 6), 1, 1, 1);
    net.conv("last", "narrow2", (6, 32), 1, 1, 1);
    net.classifier("last", 32, 4);
    assert_eq!(stages(&net), ["sum1", "narrow2"]);

    // Nothing stands out: every feature.
    let mut net = NetBuilder::square(1, 4);
    net.conv("up", "input", (1, 4), 1, 1, 1);
    net.conv("up2", "up", (4, 8), 1, 1, 1);
    net.classifier("up2", 8, 2);
    assert_eq!(stages(&net), ["up", "up2", "pool", "flat"]);
}
