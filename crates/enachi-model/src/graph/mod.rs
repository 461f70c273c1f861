//! The network as a graph: files, legal cuts, shapes and costs.

mod bounds;
mod crossing;
mod error;
#[cfg(feature = "ort")]
mod extract;
mod file;
mod macs;
mod shapes;
mod stages;
mod structure;
mod wire;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use enachi_core::profile::CutKind;

pub use error::GraphError;
#[cfg(feature = "ort")]
pub(crate) use extract::sub_model;
pub(crate) use file::node_index;
pub use file::{LoadOptions, MAX_INPUT_ELEMENTS, MAX_MODEL_BYTES, OnnxModel};
pub use shapes::{ElementType, MAX_TENSOR_ELEMENTS};
pub(crate) use shapes::{TensorInfo, shapes_of};
pub(crate) use structure::Structure;

/// A place where the network can be split: one tensor crosses, nothing else does.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Position in [`Graph::cuts`].
    pub index: usize,
    /// ONNX tensor name.
    pub name: String,
    /// The input, an inner tensor, or the output (all local).
    pub kind: CutKind,
    /// Shape at batch 1.
    pub shape: Vec<usize>,
    /// Number of feature maps: the second size (1×C×H×W, 1×C×L or 1×C).
    pub maps: usize,
    /// Rows of a map: the third size, or 1.
    pub height: usize,
    /// Columns of a map: the product of the further sizes, or 1.
    pub width: usize,
    /// `maps · height · width`.
    pub elements: usize,
    /// How the engine holds one element.
    pub element: ElementType,
    /// Size of the raw tensor \[byte\].
    pub bytes: usize,
    /// Whether the tensor can cross: float values, one sample along the leading dimension.
    pub splittable: bool,
    /// MACs from the input up to this tensor.
    pub head_macs: u64,
    /// MACs from this tensor to the output.
    pub tail_macs: u64,
}

/// A network whose legal cuts, shapes and costs are known.
#[derive(Clone, Debug)]
pub struct Graph {
    input: String,
    output: String,
    input_shape: Vec<usize>,
    classes: usize,
    sha256: String,
    cuts: Vec<Cut>,
    /// Per cut: ends a sum or concatenation of paths that run in parallel after the cut before.
    joins: Vec<bool>,
}

impl Graph {
    /// Read and analyse a file.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, GraphError> {
        Self::new(&*OnnxModel::load(path, options)?)
    }

    /// Analyse the bytes of a file.
    pub fn from_bytes(bytes: &[u8], options: &LoadOptions) -> Result<Self, GraphError> {
        Self::new(&*OnnxModel::from_bytes(bytes, options)?)
    }

    /// Analyse a model that is already parsed.
    pub fn new(model: &OnnxModel) -> Result<Self, GraphError> {
        let path = PathGraph::find(model)?;
        let wanted = path.wanted_shapes();
        let shapes = shapes::shapes_of(model, &wanted)?;
        let classes = match shapes[path.output].shape.as_slice() {
            [1, classes] | [1, classes, 1, 1] if (2..=1 << 16).contains(classes) => *classes,
            other => {
                return Err(GraphError::Output(format!(
                    "`{}` has shape {other:?} (2 to 65536 classes are accepted)",
                    path.output
                )));
            }
        };
        let (cuts, joins) = path.cuts(&shapes)?;
        Ok(Self {
            input: model.input.clone(),
            output: model.output.clone(),
            input_shape: model.input_shape.clone(),
            classes,
            sha256: model.sha256().to_string(),
            cuts,
            joins,
        })
    }

    /// Every legal cut, in graph order: first the input, last the output (all local).
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// The cut at a tensor.
    pub fn cut(&self, name: &str) -> Option<&Cut> {
        self.cuts.iter().find(|cut| cut.name == name)
    }

    /// A sensible choice of feature cuts: one per stage of the network (without the input and the output). The
    /// last tensor of each run of equal shapes that is a bottleneck or ends residual blocks.
    pub fn stage_cuts(&self) -> Vec<&Cut> {
        stages::stage_cuts(&self.cuts, &self.joins)
            .into_iter()
            .map(|index| &self.cuts[index])
            .collect()
    }

    /// Name of the image input.
    pub fn input_name(&self) -> &str {
        &self.input
    }

    /// Name of the output.
    pub fn output_name(&self) -> &str {
        &self.output
    }

    /// Shape of the input at batch 1, N×C×H×W.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// MACs of the whole network.
    pub fn total_macs(&self) -> u64 {
        self.cuts.last().map_or(0, |cut| cut.head_macs)
    }

    /// SHA-256 of the ONNX file, hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// The part of the graph between the input and the output, in topological order.
struct PathGraph<'a> {
    structure: &'a Structure,
    output: &'a str,
    vertices: Vec<Vertex<'a>>,
    successors: Vec<Vec<usize>>,
}

#[derive(Clone, Copy)]
enum Vertex<'a> {
    Tensor(&'a str),
    /// Index of a node of the structure.
    Node(usize),
}

impl<'a> PathGraph<'a> {
    fn find(model: &'a OnnxModel) -> Result<Self, GraphError> {
        let structure = &model.structure;
        let (input, output) = (model.input.as_str(), model.output.as_str());
        // Forwards: what depends on the input. Backwards: what the output needs.
        let mut depends: HashSet<&str> = HashSet::from([input]);
        for &index in &structure.order {
            let node = &structure.nodes[index];
            if node
                .inputs
                .iter()
                .any(|name| depends.contains(name.as_str()))
            {
                depends.extend(node.outputs.iter().map(String::as_str));
            }
        }
        let mut needed: HashSet<&str> = HashSet::from([output]);
        for &index in structure.order.iter().rev() {
            let node = &structure.nodes[index];
            if node
                .outputs
                .iter()
                .any(|name| needed.contains(name.as_str()))
            {
                needed.extend(node.inputs.iter().map(String::as_str));
            }
        }
        let on_path =
            |name: &str| !name.is_empty() && depends.contains(name) && needed.contains(name);
        if !on_path(output) || !on_path(input) {
            return Err(GraphError::Output(format!(
                "`{output}` does not depend on the input `{input}`"
            )));
        }
        let mut vertices = vec![Vertex::Tensor(input)];
        let mut successors = vec![Vec::new()];
        let mut position: HashMap<&str, usize> = HashMap::from([(input, 0)]);
        for &index in &structure.order {
            let node = &structure.nodes[index];
            let sources: HashSet<usize> = node
                .inputs
                .iter()
                .filter_map(|name| position.get(name.as_str()).copied())
                .collect();
            let results: Vec<&str> = node
                .outputs
                .iter()
                .map(String::as_str)
                .filter(|name| on_path(name))
                .collect();
            if sources.is_empty() || results.is_empty() {
                continue;
            }
            let at = vertices.len();
            vertices.push(Vertex::Node(index));
            successors.push(Vec::new());
            sources.iter().for_each(|&from| successors[from].push(at));
            for name in results {
                successors[at].push(vertices.len());
                position.insert(name, vertices.len());
                vertices.push(Vertex::Tensor(name));
                successors.push(Vec::new());
            }
        }
        // Nothing behind the output is on a path to it, so the output is the last vertex that was added.
        Ok(Self {
            structure,
            output,
            vertices,
            successors,
        })
    }

    /// Tensors that every path crosses, as vertex numbers.
    fn crossings(&self) -> Vec<(usize, &'a str)> {
        crossing::unavoidable(&self.successors)
            .into_iter()
            .filter_map(|v| match self.vertices[v] {
                Vertex::Tensor(name) => Some((v, name)),
                Vertex::Node(_) => None,
            })
            .collect()
    }

    /// Tensors whose shape must be known: cuts, and operands and results of counted operators.
    fn wanted_shapes(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.crossings().iter().map(|(_, name)| *name).collect();
        for node in self.nodes() {
            let operands = macs::operands(node);
            if !operands.is_empty() {
                names.extend(node.outputs.first().map(String::as_str));
            }
            for &operand in operands {
                if let Some(name) = node.inputs.get(operand)
                    && self.constant_shape(name).is_none()
                {
                    names.push(name);
                }
            }
        }
        let mut seen = HashSet::new();
        names.retain(|name| !name.is_empty() && seen.insert(*name));
        names
    }

    fn nodes(&self) -> impl Iterator<Item = &'a structure::NodeDef> {
        self.vertices.iter().filter_map(|vertex| match vertex {
            Vertex::Node(index) => Some(&self.structure.nodes[*index]),
            Vertex::Tensor(_) => None,
        })
    }

    /// Shape of a weight, also behind operators that keep the shape (a dequantised weight).
    fn constant_shape(&self, name: &str) -> Option<Vec<usize>> {
        let mut name = name;
        loop {
            if let Some(shape) = self.structure.constants.get(name) {
                return Some(shape.clone());
            }
            let node = &self.structure.nodes[*self.structure.producers.get(name)?];
            match node.op.as_str() {
                "DequantizeLinear" | "QuantizeLinear" | "Identity" | "Cast" => {
                    name = node.inputs.first()?;
                }
                _ => return None,
            }
        }
    }

    fn macs_of(
        &self,
        node: &structure::NodeDef,
        shapes: &HashMap<String, shapes::TensorInfo>,
    ) -> Result<u64, GraphError> {
        let known = |name: &str| {
            self.constant_shape(name)
                .or_else(|| Some(shapes.get(name)?.shape.clone()))
        };
        let operands: Vec<Vec<usize>> = macs::operands(node)
            .iter()
            .filter_map(|&i| known(node.inputs.get(i)?))
            .collect();
        if operands.len() < macs::operands(node).len() {
            return Err(GraphError::Corrupt(format!(
                "{} -> `{}` lacks an input",
                node.op,
                node.outputs.first().map_or("", String::as_str)
            )));
        }
        let output = node.outputs.first().and_then(|name| shapes.get(name));
        let output = output.map_or(&[][..], |info| info.shape.as_slice());
        macs::macs(node, &operands, output)
    }

    /// Whether a vertex adds or concatenates parallel paths (a product of paths is an activation or a gate).
    fn is_join(&self, vertex: usize) -> bool {
        let Vertex::Node(index) = self.vertices[vertex] else {
            return false;
        };
        let sums = matches!(
            self.structure.nodes[index].op.as_str(),
            "Add" | "Sum" | "Concat"
        );
        sums && self
            .successors
            .iter()
            .filter(|next| next.contains(&vertex))
            .count()
            > 1
    }

    fn cuts(
        &self,
        shapes: &HashMap<String, shapes::TensorInfo>,
    ) -> Result<(Vec<Cut>, Vec<bool>), GraphError> {
        let overflow = || GraphError::Shape("the MACs of the network overflow 64 bits".into());
        // MACs of all vertices before each one.
        let mut before = Vec::with_capacity(self.vertices.len());
        let mut total = 0u64;
        for vertex in &self.vertices {
            before.push(total);
            if let Vertex::Node(index) = vertex {
                let macs = self.macs_of(&self.structure.nodes[*index], shapes)?;
                total = total.checked_add(macs).ok_or_else(overflow)?;
            }
        }
        let crossings = self.crossings();
        let last = crossings.len() - 1;
        let mut cuts = Vec::with_capacity(crossings.len());
        let mut joins = Vec::with_capacity(crossings.len());
        let mut previous = 0;
        for (index, (vertex, name)) in crossings.into_iter().enumerate() {
            let info = &shapes[name];
            let size = |axis: usize| info.shape.get(axis).copied().unwrap_or(1);
            let elements: usize = info.shape.iter().product();
            let kind = match index {
                0 => CutKind::Input,
                i if i == last => CutKind::Local,
                _ => CutKind::Feature,
            };
            joins.push((previous..vertex).any(|v| self.is_join(v)));
            previous = vertex;
            cuts.push(Cut {
                index,
                name: name.to_string(),
                kind,
                maps: size(1),
                height: size(2),
                width: info.shape.iter().skip(3).product(),
                elements,
                element: info.element,
                bytes: elements * info.element.bytes(),
                splittable: info.element == ElementType::F32
                    && info.shape.len() >= 2
                    && info.shape[0] == 1
                    && elements > 0,
                shape: info.shape.clone(),
                head_macs: before[vertex],
                tail_macs: total - before[vertex],
            });
        }
        Ok((cuts, joins))
    }
}
