//! Faulty ONNX files: one clear error each, never a panic.

#![allow(clippy::unwrap_used)]

use enachi_model::fixtures::{NetBuilder, int, residual_net, value_info};
use enachi_model::graph::{Graph, GraphError, LoadOptions, MAX_MODEL_BYTES, OnnxModel};
use proptest::prelude::*;
use rten_onnx::onnx::{
    AttributeProto, DataLocation, DataType, Dimension, GraphProto, StringStringEntryProto,
};

fn error_of(net: &NetBuilder) -> GraphError {
    Graph::from_bytes(&net.bytes(), &LoadOptions::default()).unwrap_err()
}

#[test]
fn missing_and_oversized_files() {
    let missing = OnnxModel::load("/no/such/file.onnx", &LoadOptions::default()).unwrap_err();
    assert!(matches!(&missing, GraphError::Io { path, .. } if path == "/no/such/file.onnx"));

    // A sparse file: large, but it takes no room and must not be read.
    let path = std::env::temp_dir().join(format!("enachi-large-{}.onnx", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(MAX_MODEL_BYTES + 1).unwrap();
    let large = OnnxModel::load(&path, &LoadOptions::default());
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(large, Err(GraphError::TooLarge { .. })));
}

#[test]
fn other_files_and_truncated_ones() {
    for bytes in [&b""[..], b"not an onnx file", &[0xff; 64], &[0; 64]] {
        let error = Graph::from_bytes(bytes, &LoadOptions::default()).unwrap_err();
        assert!(
            matches!(error, GraphError::Corrupt(_)),
            "{bytes:?}: {error}"
        );
    }
    let whole = residual_net(8).bytes();
    for length in (0..whole.len()).step_by(7) {
        assert!(Graph::from_bytes(&whole[..length], &LoadOptions::default()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damaged_files_do_not_panic(damage in prop::collection::vec((any::<u32>(), any::<u8>()), 1..4)) {
        let mut bytes = residual_net(4).bytes();
        for (at, value) in damage {
            let at = at as usize % bytes.len();
            bytes[at] = value;
        }
        // Many changes hit a weight and leave a usable network.
        let _ = Graph::from_bytes(&bytes, &LoadOptions::default());
    }
}

#[test]
fn weights_in_another_file() {
    let mut net = residual_net(8);
    let weight = &mut net.graph.initializer[0];
    weight.raw_data = None;
    weight.data_location = Some(DataLocation::EXTERNAL);
    weight.external_data = vec![StringStringEntryProto {
        key: Some("location".into()),
        value: Some("weights.bin".into()),
    }];
    assert!(matches!(error_of(&net), GraphError::ExternalData(name) if name == "stem.w"));
}

#[test]
fn weights_that_disagree_with_their_shape() {
    let mut net = residual_net(8);
    net.graph.initializer[0].dims = vec![8, 3, 3, 4];
    assert!(matches!(error_of(&net), GraphError::Corrupt(text) if text.contains("stem.w")));
    net.graph.initializer[0].dims = vec![i64::MAX, i64::MAX];
    assert!(matches!(error_of(&net), GraphError::Corrupt(text) if text.contains("stem.w")));
    net.graph.initializer[0].dims = vec![-1, 216];
    assert!(matches!(error_of(&net), GraphError::Corrupt(text) if text.contains("stem.w")));
}

#[test]
fn unknown_operators_are_named() {
    let mut net = NetBuilder::square(3, 8);
    net.node("Frobnicate", "odd", &["input"], vec![]);
    net.classifier("odd", 3, 4);
    assert!(matches!(
        error_of(&net),
        GraphError::UnsupportedOperator { op, output, .. } if op == "Frobnicate" && output == "odd"
    ));
}

#[test]
fn operators_whose_work_cannot_be_counted() {
    let mut net = NetBuilder::square(3, 8);
    let equation = AttributeProto {
        name: Some("equation".into()),
        s: Some("nchw->nchw".into()),
        r#type: Some(rten_onnx::onnx::AttributeType::STRING),
        ..AttributeProto::default()
    };
    net.node("Einsum", "e", &["input"], vec![equation]);
    net.classifier("e", 3, 4);
    assert!(matches!(error_of(&net), GraphError::UnsupportedOperator { op, .. } if op == "Einsum"));
}

#[test]
fn control_flow_of_any_depth() {
    let mut net = residual_net(8);
    let mut inner = GraphProto::default();
    for _ in 0..50 {
        let mut outer = GraphProto::default();
        outer.node.push(rten_onnx::onnx::NodeProto {
            attribute: vec![AttributeProto {
                name: Some("body".into()),
                g: Some(inner),
                ..AttributeProto::default()
            }],
            ..Default::default()
        });
        inner = outer;
    }
    net.graph.node.extend(inner.node);
    assert!(
        matches!(error_of(&net), GraphError::UnsupportedFeature(what) if what.contains("control flow"))
    );
}

#[test]
fn cycles() {
    let mut net = NetBuilder::square(3, 8);
    net.add("a", "input", "b");
    net.relu("b", "a");
    net.classifier("b", 3, 4);
    assert!(matches!(error_of(&net), GraphError::Cycle(name) if name == "a" || name == "b"));
}

#[test]
fn tensors_defined_twice_or_never() {
    let mut net = residual_net(8);
    net.relu("stem", "input");
    assert!(matches!(error_of(&net), GraphError::DuplicateTensor(name) if name == "stem"));
    let mut net = residual_net(8);
    net.relu("input", "stem");
    assert!(matches!(error_of(&net), GraphError::DuplicateTensor(name) if name == "input"));
    let mut net = residual_net(8);
    net.random_weight("stem.w", &[1], 1.0);
    assert!(matches!(error_of(&net), GraphError::DuplicateTensor(name) if name == "stem.w"));

    let mut net = residual_net(8);
    net.graph.initializer.remove(0);
    assert!(matches!(
        error_of(&net),
        GraphError::MissingTensor { tensor, by } if tensor == "stem.w" && by.contains("stem")
    ));
    let mut net = residual_net(8);
    net.graph.output = vec![value_info("nothing", &[None, Some(5)])];
    assert!(
        matches!(error_of(&net), GraphError::MissingTensor { tensor, .. } if tensor == "nothing")
    );
}

#[test]
fn inputs_and_outputs_that_are_no_classifier() {
    let mut net = residual_net(8);
    net.graph.input.push(value_info("second", &[None, Some(3)]));
    assert!(matches!(error_of(&net), GraphError::Input(_)));
    let mut net = residual_net(8);
    net.graph.input[0] = value_info("input", &[None, Some(3)]);
    assert!(matches!(error_of(&net), GraphError::Input(_)));
    let mut net = residual_net(8);
    let tensor = net.graph.input[0]
        .r#type
        .as_mut()
        .unwrap()
        .tensor_type
        .as_mut()
        .unwrap();
    tensor.elem_type = Some(DataType::UINT8);
    assert!(matches!(error_of(&net), GraphError::Input(_)));
    let mut net = residual_net(8);
    net.graph.output.push(value_info("block", &[None]));
    assert!(matches!(error_of(&net), GraphError::Output(_)));
    // A feature map is not a list of classes.
    let mut net = residual_net(8);
    net.graph.output = vec![value_info("block", &[None])];
    assert!(matches!(error_of(&net), GraphError::Output(_)));
    // An output made of constants only.
    let mut net = residual_net(8);
    net.relu("constant", "fc.b");
    net.graph.output = vec![value_info("constant", &[Some(5)])];
    assert!(matches!(error_of(&net), GraphError::Output(_)));
}

#[test]
fn sizes_left_open_need_an_input_shape() {
    let mut net = residual_net(8);
    net.graph.input = vec![value_info("input", &[None, Some(3), None, None])];
    let bytes = net.bytes();
    let with = |shape: Option<&[usize]>| {
        let options = LoadOptions {
            input_shape: shape.map(<[usize]>::to_vec),
        };
        Graph::from_bytes(&bytes, &options)
    };
    let error = with(None).unwrap_err();
    assert!(
        matches!(&error, GraphError::Shape(text) if text.contains("--input-shape")),
        "{error}"
    );
    let graph = with(Some(&[1, 3, 12, 10])).unwrap();
    assert_eq!(graph.cut("dw").unwrap().shape, [1, 8, 6, 5]);
    for wrong in [
        &[1, 4, 8, 8][..],
        &[2, 3, 8, 8],
        &[3, 8, 8],
        &[1, 3, 0, 8],
        &[1, 3, 1 << 20, 1 << 20],
    ] {
        assert!(
            matches!(with(Some(wrong)), Err(GraphError::Shape(_))),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_fixed_batch_above_one() {
    let mut net = residual_net(8);
    net.graph.input = vec![value_info("input", &[Some(4), Some(3), Some(8), Some(8)])];
    assert!(matches!(error_of(&net), GraphError::Shape(text) if text.contains("batch")));
}

#[test]
fn tensors_too_large_to_hold() {
    let mut net = NetBuilder::square(3, 512);
    net.conv("wide", "input", (3, 2048), 1, 1, 1);
    net.classifier("wide", 2048, 4);
    assert!(matches!(error_of(&net), GraphError::Shape(text) if text.contains("wide")));
}

fn sizes(net: &mut NetBuilder, name: &str, values: &[i64]) {
    let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    net.raw_weight(name, &[values.len()], DataType::INT64, raw);
}

#[test]
fn constants_too_large_to_fold() {
    // A factor on the main path, the mean of a constant that is computed in two steps.
    let with = |side: i64| {
        let mut net = NetBuilder::square(3, 8);
        sizes(&mut net, "rows", &[side]);
        sizes(&mut net, "columns", &[side]);
        net.node(
            "Concat",
            "sizes",
            &["rows", "columns"],
            vec![int("axis", 0)],
        );
        net.node("ConstantOfShape", "zeros", &["sizes"], vec![]);
        net.node("ReduceMean", "mean", &["zeros"], vec![int("keepdims", 1)]);
        net.add("shifted", "input", "mean");
        net.classifier("shifted", 3, 4);
        net
    };
    let error = error_of(&with(60_000));
    assert!(
        matches!(&error, GraphError::Shape(text)
            if text.contains("`zeros`") && text.contains("3600000000") && text.contains("268435456")),
        "{error}"
    );
    Graph::from_bytes(&with(60).bytes(), &LoadOptions::default()).unwrap();
}

#[test]
fn side_paths_too_large_to_hold() {
    // The side path joins the main one again, so its tensors are no cuts; with the pads in one step, and in two.
    for steps in [&[[60_000, 60_000]][..], &[[60_000, 0], [0, 60_000]]] {
        let mut net = NetBuilder::square(3, 8);
        let mut wide = "input".to_string();
        for (i, [bottom, right]) in steps.iter().enumerate() {
            let pads = format!("pads{i}");
            sizes(&mut net, &pads, &[0, 0, 0, 0, 0, 0, *bottom, *right]);
            wide = net.node("Pad", &format!("wide{i}"), &[&wide, &pads], vec![]);
        }
        net.node("GlobalAveragePool", "side", &[&wide], vec![]);
        net.add("shifted", "input", "side");
        net.classifier("shifted", 3, 4);
        let error = error_of(&net);
        assert!(
            matches!(&error, GraphError::Shape(text)
                if text.contains(&format!("`{wide}`")) && text.contains("268435456")),
            "{error}"
        );
    }
}

#[test]
fn initialisers_listed_as_inputs_are_no_inputs() {
    let mut net = residual_net(8);
    net.graph
        .input
        .push(value_info("stem.w", &[Some(8), Some(3), Some(3), Some(3)]));
    assert!(Graph::from_bytes(&net.bytes(), &LoadOptions::default()).is_ok());
}

#[test]
fn negative_input_sizes() {
    let mut net = residual_net(8);
    let tensor = net.graph.input[0]
        .r#type
        .as_mut()
        .unwrap()
        .tensor_type
        .as_mut()
        .unwrap();
    tensor.shape.as_mut().unwrap().dim[2] = Dimension {
        dim_value: Some(-8),
        dim_param: None,
    };
    assert!(matches!(error_of(&net), GraphError::Shape(_)));
    let mut net = residual_net(8);
    net.graph.node[0].attribute.push(int("group", -1));
    assert!(Graph::from_bytes(&net.bytes(), &LoadOptions::default()).is_err());
}
