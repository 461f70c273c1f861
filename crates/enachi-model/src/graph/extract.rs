//! A part of a network as an ONNX file of its own, for engines that run whole files only.

use std::collections::{HashMap, HashSet};

use rten_onnx::onnx::{
    DataType, Dimension, ModelProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};

use super::error::GraphError;
use super::file::{BATCH, OnnxModel};

/// The part from tensor `from` to tensor `to`; `from` becomes the input with the sizes `sample` behind an open batch.
/// `Ok(None)` if `to` needs more than `from`, or there is no such tensor.
pub(crate) fn sub_model(
    model: &OnnxModel,
    from: &str,
    sample: &[usize],
    to: &str,
) -> Result<Option<Vec<u8>>, GraphError> {
    let mut proto =
        ModelProto::parse_buf(&model.bytes).map_err(|e| GraphError::Corrupt(e.to_string()))?;
    let graph = proto
        .graph
        .as_mut()
        .expect("checked when the model was loaded");
    let producers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(i, node)| node.output.iter().map(move |name| (name.as_str(), i)))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let constants: HashSet<&str> = graph
        .initializer
        .iter()
        .filter_map(|t| t.name.as_deref())
        .collect();
    let mut nodes = HashSet::new();
    let mut used: HashSet<String> = HashSet::from([to.to_string()]);
    let mut open = vec![to];
    while let Some(name) = open.pop() {
        if name == from || constants.contains(name) {
            continue;
        }
        // The input of the whole network, or a tensor that does not exist.
        let Some(&node) = producers.get(name) else {
            return Ok(None);
        };
        if nodes.insert(node) {
            for input in graph.node[node].input.iter().filter(|n| !n.is_empty()) {
                if used.insert(input.clone()) {
                    open.push(input);
                }
            }
        }
    }
    if !used.contains(from) {
        return Ok(None);
    }
    let mut index = 0;
    graph.node.retain(|_| {
        index += 1;
        nodes.contains(&(index - 1))
    });
    graph
        .initializer
        .retain(|t| t.name.as_ref().is_some_and(|name| used.contains(name)));
    let batch = Dimension {
        dim_value: model.fixed_batch.then_some(1),
        dim_param: (!model.fixed_batch).then(|| BATCH.into()),
    };
    let rest = sample.iter().map(|&size| Dimension {
        dim_value: Some(size as i64),
        dim_param: None,
    });
    graph.input = vec![tensor(
        from,
        Some([batch].into_iter().chain(rest).collect()),
    )];
    graph.output = vec![tensor(to, None)];
    proto
        .write_buf()
        .map(Some)
        .map_err(|e| GraphError::Engine(e.to_string()))
}

fn tensor(name: &str, dim: Option<Vec<Dimension>>) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(DataType::FLOAT),
                shape: dim.map(|dim| TensorShapeProto { dim }),
            }),
            sequence: None,
        }),
    }
}
