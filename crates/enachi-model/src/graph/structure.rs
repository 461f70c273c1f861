//! Nodes and tensors of a graph without their data, in an order in which they can be computed.

use std::collections::{HashMap, HashSet, VecDeque};

use rten_onnx::onnx::GraphProto;

use super::error::GraphError;

/// One operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeDef {
    /// ONNX operator type.
    pub op: String,
    /// Tensor names; empty for an optional input that is left out.
    pub inputs: Vec<String>,
    /// Tensor names; empty for an optional output that is left out.
    pub outputs: Vec<String>,
    /// Integer attributes, single ones as lists of one.
    pub ints: HashMap<String, Vec<i64>>,
    /// String attributes.
    pub strings: HashMap<String, String>,
}

impl NodeDef {
    /// Integer attribute `name`, or `default`.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.ints
            .get(name)
            .and_then(|list| list.first())
            .copied()
            .unwrap_or(default)
    }
}

/// The graph without its weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Structure {
    /// Nodes in file order (the order of the node numbers given to engines).
    pub nodes: Vec<NodeDef>,
    /// Indices of `nodes`, producers before consumers; ties in file order.
    pub order: Vec<usize>,
    /// Shapes of initialisers and of the results of `Constant` nodes.
    pub constants: HashMap<String, Vec<usize>>,
    /// Node that makes a tensor.
    pub producers: HashMap<String, usize>,
}

impl Structure {
    /// Check names and order. `input` is the graph's only input.
    pub fn new(graph: &GraphProto, input: &str, output: &str) -> Result<Self, GraphError> {
        let mut initialisers = HashMap::new();
        for tensor in &graph.initializer {
            let name = tensor.name.clone().unwrap_or_default();
            if name.is_empty() {
                return Err(GraphError::Corrupt("an initialiser has no name".into()));
            }
            let dims = tensor.dims.iter().map(|&d| d as usize).collect();
            if initialisers.insert(name.clone(), dims).is_some() {
                return Err(GraphError::DuplicateTensor(name));
            }
        }
        let nodes: Vec<NodeDef> = graph
            .node
            .iter()
            .map(|node| NodeDef {
                op: node.op_type.clone().unwrap_or_default(),
                inputs: node.input.clone(),
                outputs: node.output.clone(),
                ints: node
                    .attribute
                    .iter()
                    .filter_map(|a| {
                        let list = match a.i {
                            Some(i) => vec![i],
                            None if a.ints.is_empty() => return None,
                            None => a.ints.clone(),
                        };
                        Some((a.name.clone()?, list))
                    })
                    .collect(),
                strings: node
                    .attribute
                    .iter()
                    .filter_map(|a| Some((a.name.clone()?, a.s.clone()?)))
                    .collect(),
            })
            .collect();

        let mut producer: HashMap<&str, usize> = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for name in node.outputs.iter().filter(|n| !n.is_empty()) {
                let known = initialisers.contains_key(name) || name == input;
                if known || producer.insert(name, index).is_some() {
                    return Err(GraphError::DuplicateTensor(name.clone()));
                }
            }
        }
        let missing = |tensor: &str, by: String| GraphError::MissingTensor {
            tensor: tensor.into(),
            by,
        };
        let mut consumers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        let mut waits_for = vec![0usize; nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            let distinct: HashSet<&String> = node.inputs.iter().filter(|n| !n.is_empty()).collect();
            for name in distinct {
                if let Some(&from) = producer.get(name.as_str()) {
                    consumers[from].push(index);
                    waits_for[index] += 1;
                } else if name != input && !initialisers.contains_key(name) {
                    let output = node.outputs.first().map_or("", String::as_str);
                    return Err(missing(name, format!("{} -> `{output}`", node.op)));
                }
            }
        }
        if !producer.contains_key(output) {
            return Err(missing(output, "the output of the graph".into()));
        }
        let producers = producer
            .iter()
            .map(|(name, index)| ((*name).to_string(), *index))
            .collect();
        let order = topological(&consumers, waits_for).map_err(|index| {
            GraphError::Cycle(nodes[index].outputs.first().cloned().unwrap_or_default())
        })?;
        let mut constants = initialisers;
        for node in graph
            .node
            .iter()
            .filter(|n| n.op_type.as_deref() == Some("Constant"))
        {
            let value = node.attribute.iter().find_map(|a| a.t.as_ref());
            if let (Some(name), Some(value)) = (node.output.first(), value) {
                let dims = value.dims.iter().map(|&d| d as usize).collect();
                constants.insert(name.clone(), dims);
            }
        }
        Ok(Self {
            nodes,
            order,
            constants,
            producers,
        })
    }
}

/// Order of the nodes, or the index of a node on or behind a cycle.
fn topological(consumers: &[Vec<usize>], mut waits_for: Vec<usize>) -> Result<Vec<usize>, usize> {
    let mut ready: VecDeque<usize> = (0..waits_for.len())
        .filter(|&i| waits_for[i] == 0)
        .collect();
    let mut order = Vec::with_capacity(waits_for.len());
    while let Some(index) = ready.pop_front() {
        order.push(index);
        for &next in &consumers[index] {
            waits_for[next] -= 1;
            if waits_for[next] == 0 {
                ready.push_back(next);
            }
        }
    }
    match waits_for.iter().position(|&n| n > 0) {
        Some(stuck) => Err(stuck),
        None => Ok(order),
    }
}
