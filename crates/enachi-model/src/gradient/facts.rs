//! What is known about a network before it is differentiated.

use std::collections::{HashMap, HashSet};

use rten_onnx::onnx::{GraphProto, NodeProto, TensorProto};

use super::attributes::{floats_of, int, integers_of};
use crate::graph::{ElementType, GraphError, OnnxModel, TensorInfo, shapes_of};

/// Nodes that are looked at to compute one list of integers.
const MOST_VISITS: usize = 256;
/// Longest list of integers that is computed.
const MOST_VALUES: usize = 64;

/// Shapes at batch 1, constants, and which tensors depend on the image.
pub(super) struct Facts<'a> {
    pub nodes: &'a [NodeProto],
    /// Nodes between input and output, producers first.
    pub order: Vec<usize>,
    infos: HashMap<String, TensorInfo>,
    constants: HashMap<&'a str, &'a TensorProto>,
    /// Node that makes a tensor.
    producers: HashMap<&'a str, &'a NodeProto>,
    /// Between input and output: depends on the one, is needed by the other.
    active: HashSet<&'a str>,
    /// Outputs of `QuantizeLinear`.
    quantised: HashSet<&'a str>,
}

impl<'a> Facts<'a> {
    pub fn collect(model: &OnnxModel, graph: &'a GraphProto) -> Result<Self, GraphError> {
        let nodes = graph.node.as_slice();
        let mut constants: HashMap<&str, &TensorProto> = graph
            .initializer
            .iter()
            .filter_map(|t| Some((t.name.as_deref()?, t)))
            .collect();
        for node in nodes {
            if node.op_type.as_deref() == Some("Constant")
                && let Some(value) = node.attribute.iter().find_map(|a| a.t.as_ref())
                && let Some(name) = node.output.first()
            {
                constants.insert(name, value);
            }
        }
        let order = &model.structure.order;
        let input = graph
            .input
            .iter()
            .find_map(|i| i.name.as_deref().filter(|n| *n == model.input));
        let mut depends: HashSet<&str> = input.into_iter().collect();
        for &index in order {
            let node = &nodes[index];
            if node.input.iter().any(|n| depends.contains(n.as_str())) {
                depends.extend(node.output.iter().map(String::as_str));
            }
        }
        let mut needed: HashSet<&str> = HashSet::from([model.output.as_str()]);
        for &index in order.iter().rev() {
            let node = &nodes[index];
            if node.output.iter().any(|n| needed.contains(n.as_str())) {
                needed.extend(node.input.iter().map(String::as_str));
            }
        }
        let active: HashSet<&str> = depends
            .into_iter()
            .filter(|name| !name.is_empty() && needed.contains(name))
            .collect();
        let order: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&i| nodes[i].output.iter().any(|n| active.contains(n.as_str())))
            .collect();
        let mut names: Vec<&str> = active.iter().copied().collect();
        let mut seen = active.clone();
        for name in order.iter().flat_map(|&i| &nodes[i].input) {
            if !name.is_empty() && !constants.contains_key(name.as_str()) && seen.insert(name) {
                names.push(name);
            }
        }
        names.sort_unstable();
        let infos = shapes_of(model, &names)?;
        let producers = nodes
            .iter()
            .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
            .collect();
        let quantised = nodes
            .iter()
            .filter(|node| node.op_type.as_deref() == Some("QuantizeLinear"))
            .filter_map(|node| node.output.first().map(String::as_str))
            .collect();
        Ok(Self {
            nodes,
            order,
            infos,
            constants,
            producers,
            active,
            quantised,
        })
    }

    /// Whether the tensor depends on the image and matters for the scores.
    pub fn is_active(&self, name: &str) -> bool {
        self.active.contains(name)
    }

    /// Whether a gradient can flow into the tensor: a float, or the integers of a quantised activation.
    pub fn carries_gradient(&self, name: &str) -> bool {
        let smooth = self.element(name) == Some(ElementType::F32) || self.quantised.contains(name);
        smooth && self.is_active(name)
    }

    /// Type of a tensor that no constant holds.
    pub fn element(&self, name: &str) -> Option<ElementType> {
        Some(self.infos.get(name)?.element)
    }

    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match self.constants.get(name) {
            Some(tensor) => Some(tensor.dims.iter().map(|&d| d as usize).collect()),
            None => Some(self.infos.get(name)?.shape.clone()),
        }
    }

    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        floats_of(self.constants.get(name)?)
    }

    /// Integers that are the same for every image: constants, and what is computed from them and from shapes, as exporters
    /// write for networks of any batch or size.
    pub fn integers(&self, name: &str) -> Option<Vec<i64>> {
        match self.constants.get(name) {
            Some(tensor) => integers_of(tensor),
            None => self.computed(name, &mut { MOST_VISITS }),
        }
    }

    /// Lists and single numbers only, of at most [`MOST_VALUES`], in at most `visits` nodes: more no exporter needs, and a
    /// file made for the purpose could ask for any amount of work.
    fn computed(&self, name: &str, visits: &mut usize) -> Option<Vec<i64>> {
        *visits = visits.checked_sub(1)?;
        if self.shape(name)?.len() > 1 {
            return None;
        }
        if let Some(tensor) = self.constants.get(name) {
            return integers_of(tensor).filter(|list| list.len() <= MOST_VALUES);
        }
        let node = *self.producers.get(name)?;
        let mut of = |index: usize| self.computed(node.input.get(index)?, visits);
        let list = match node.op_type.as_deref()? {
            "Identity" | "Squeeze" | "Unsqueeze" => of(0)?,
            // 6 and 7 are the integers of 32 and 64 bits in ONNX. Through floats a quotient would keep its fraction.
            "Cast" if matches!(int(node, "to", 0), 6 | 7) => of(0)?,
            "Shape" => {
                let shape = self.shape(node.input.first()?)?;
                let place = |name: &str, default: usize| {
                    let at = int(node, name, default as i64);
                    let at = if at < 0 {
                        at.saturating_add(shape.len() as i64)
                    } else {
                        at
                    };
                    at.clamp(0, shape.len() as i64) as usize
                };
                let sizes = shape.get(place("start", 0)..place("end", shape.len()))?;
                sizes.iter().map(|&n| n as i64).collect()
            }
            "Gather" => {
                let (from, places) = (of(0)?, of(1)?);
                let size = from.len() as i64;
                places
                    .into_iter()
                    .map(|at| if at < 0 { at.saturating_add(size) } else { at })
                    .map(|at| from.get(usize::try_from(at).ok()?).copied())
                    .collect::<Option<_>>()?
            }
            "Concat" => {
                let mut joined = Vec::new();
                for index in 0..node.input.len() {
                    joined.extend(of(index)?);
                    if joined.len() > MOST_VALUES {
                        return None;
                    }
                }
                joined
            }
            op @ ("Add" | "Sub" | "Mul" | "Div") => {
                let (a, b) = (of(0)?, of(1)?);
                let at = |list: &[i64], i: usize| match list.len() {
                    1 => Some(list[0]),
                    _ => list.get(i).copied(),
                };
                (0..a.len().max(b.len()))
                    .map(|i| {
                        let (a, b) = (at(&a, i)?, at(&b, i)?);
                        match op {
                            "Add" => a.checked_add(b),
                            "Sub" => a.checked_sub(b),
                            "Mul" => a.checked_mul(b),
                            _ => a.checked_div(b),
                        }
                    })
                    .collect::<Option<_>>()?
            }
            _ => return None,
        };
        (list.len() <= MOST_VALUES).then_some(list)
    }
}
