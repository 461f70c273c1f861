//! The two engines against each other. Needs the feature `ort` and ORT_DYLIB_PATH.

#![cfg(feature = "ort")]
#![allow(clippy::unwrap_used)]

use enachi_model::engine::{Engine, EngineError, OrtEngine, RtenEngine};
use enachi_model::fixtures::{NetBuilder, pattern, residual_net};
use enachi_model::graph::{Graph, LoadOptions, OnnxModel};
use enachi_model::tensor::Tensor;
use rayon::prelude::*;

fn close(a: &Tensor, b: &Tensor) -> bool {
    let differences = a.data.iter().zip(&b.data).map(|(x, y)| (x - y).abs());
    a.shape == b.shape && differences.fold(0.0, f32::max) < 1e-4
}

#[test]
fn both_engines_agree_on_every_part() {
    let mut folded = NetBuilder::square(3, 8);
    folded.conv("stem", "input", (3, 8), 3, 1, 1);
    folded.batch_norm("bn", "stem", 8);
    folded.relu("relu", "bn");
    folded.classifier("relu", 8, 4);
    for net in [residual_net(8), folded] {
        let model = OnnxModel::from_bytes(&net.bytes(), &LoadOptions::default()).unwrap();
        let (ort, rten) = (
            OrtEngine::new(model.clone()).unwrap(),
            RtenEngine::new(model.clone()).unwrap(),
        );
        let x = pattern(&[2, 3, 8, 8]);
        let whole = rten.run("input", &x, "logits").unwrap();
        for cut in Graph::new(&model).unwrap().cuts() {
            let feature = ort.run("input", &x, &cut.name).unwrap();
            assert!(
                close(&feature, &rten.run("input", &x, &cut.name).unwrap()),
                "{}",
                cut.name
            );
            assert!(
                close(&ort.run(&cut.name, &feature, "logits").unwrap(), &whole),
                "{}",
                cut.name
            );
        }
        let answers: Vec<Tensor> = (0..32)
            .into_par_iter()
            .map(|_| ort.run("input", &x, "logits").unwrap())
            .collect();
        assert!(answers.iter().all(|answer| close(answer, &whole)));
    }
}

#[test]
fn wrong_requests_are_errors() {
    let model = OnnxModel::from_bytes(&residual_net(8).bytes(), &LoadOptions::default()).unwrap();
    let engine = OrtEngine::new(model).unwrap();
    let x = pattern(&[1, 3, 8, 8]);
    let inside = engine.run("input", &x, "block.a").unwrap();
    assert!(matches!(
        engine.run("block.a", &inside, "logits"),
        Err(EngineError::Run { .. })
    ));
    assert!(engine.run("input", &x, "nowhere").is_err());
    assert!(
        engine
            .run("input", &pattern(&[1, 4, 8, 8]), "logits")
            .is_err()
    );
    assert!(
        engine.name().starts_with("onnxruntime "),
        "{}",
        engine.name()
    );
}
