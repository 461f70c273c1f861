//! Gradients of the class scores with respect to the tensors at the cuts.
//!
//! The backward pass is written as ONNX nodes behind those of the network (reverse-mode differentiation, one rule per
//! operator in `rules`) and run by the engine that runs the network. One model holds both passes: the forward run
//! hands out the scores and the tensors that the backward rules read, the backward run takes these in.
//!
//! What is differentiated are the scores as they leave the graph, logits or probabilities; a softmax at the end is
//! differentiated like any other operator. [`crate::answer::log_probability_gradient`] gives the cotangent that
//! belongs to the log-likelihood of a class in either case.
//!
//! At a kink (ReLU at 0, bounds of a clip) the derivative is 0; equal maxima of a pool share it. Quantised activations are
//! differentiated straight through: slope 1 within their range, 0 beyond.

mod attributes;
mod facts;
mod reverse;
mod rules;
mod tape;

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rten::{Model, ModelOptions, NodeId, RunOptions, Value, ValueOrView, ValueView};
use rten_onnx::onnx::{
    DataType, Dimension, GraphProto, ModelProto, TensorShapeProto, TypeProto, TypeProtoTensor,
    ValueInfoProto,
};
use rten_tensor::{AsView, Layout};

use self::facts::Facts;
use self::tape::Tape;
use crate::engine::OneThread;
use crate::graph::{Graph, GraphError, OnnxModel};
use crate::tensor::Tensor;

/// A node that cannot be differentiated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no gradient through {op} -> `{node}`: {reason}")]
pub struct Unsupported {
    /// ONNX operator type.
    pub op: String,
    /// First output of the node.
    pub node: String,
    /// What is missing.
    pub reason: String,
}

/// Why there is no gradient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GradientError {
    /// A node between the cut and the output cannot be differentiated.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The model cannot be analysed or loaded.
    #[error(transparent)]
    Model(#[from] GraphError),
    /// Not one of the cuts the engine was made for.
    #[error("`{0}` is not a cut that gradients were asked for")]
    UnknownCut(String),
    /// Integers at the cut.
    #[error("the cut `{0}` does not hold float32 values")]
    NotFloat(String),
    /// The gradient is wanted at a cut before the one that is given.
    #[error("the gradient at `{wanted}` cannot be had from `{from}`, which lies behind it")]
    Before {
        /// Given tensor.
        from: String,
        /// Wanted tensor.
        wanted: String,
    },
    /// The value has the wrong size.
    #[error("the value for tensor `{tensor}` is not usable: {reason}")]
    BadInput {
        /// Tensor the value was given for, or `scores` for the cotangent.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// The engine failed.
    #[error("computing gradients: {0}")]
    Run(String),
}

/// One cut that gradients were asked for.
struct Place {
    name: String,
    shape: Vec<usize>,
    /// Position in the graph.
    index: usize,
    /// Tensor with the gradient and forward tensors that it is computed from.
    derived: Result<reverse::Derived, Unsupported>,
}

/// Computes gradients of the scores at the cuts of one network. Every run uses one thread; call it from several
/// threads at once.
pub struct GradientEngine {
    model: Model,
    /// Requested cuts, in graph order.
    places: Vec<Place>,
    input: String,
    input_shape: Vec<usize>,
    output: String,
    output_index: usize,
    cotangent: String,
    scores_shape: Vec<usize>,
    threads: OneThread,
}

/// A forward run, from which any number of backward runs can start.
pub struct ForwardPass {
    scores: Vec<f32>,
    saved: Vec<(NodeId, Value)>,
    /// Indices of places.
    wanted: Vec<usize>,
}

impl ForwardPass {
    /// The scores as the network gives them, one per class.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }
}

impl GradientEngine {
    /// Prepare gradients at `cuts` (names of cuts in `graph`, in any order).
    ///
    /// A cut with an operator behind it that cannot be differentiated is no error here: see
    /// [`GradientEngine::supported`].
    ///
    /// # Errors
    /// Names that are no float cuts of the graph; a model that the engine cannot load.
    pub fn new(model: &OnnxModel, graph: &Graph, cuts: &[&str]) -> Result<Self, GradientError> {
        let mut chosen = Vec::new();
        for name in cuts {
            let cut = graph
                .cut(name)
                .ok_or_else(|| GradientError::UnknownCut((*name).to_string()))?;
            if !cut.splittable {
                return Err(GradientError::NotFloat(cut.name.clone()));
            }
            chosen.push(cut);
        }
        chosen.sort_by_key(|cut| cut.index);
        chosen.dedup_by_key(|cut| cut.index);
        let mut proto =
            ModelProto::parse_buf(&model.bytes).map_err(|e| GraphError::Corrupt(e.to_string()))?;
        let network = proto
            .graph
            .as_mut()
            .expect("checked when the model was loaded");
        let mut tape = Tape::new(unused_prefix(network));
        let names: Vec<&str> = chosen.iter().map(|cut| cut.name.as_str()).collect();
        let facts = Facts::collect(model, network)?;
        let derived = reverse::walk(&facts, &mut tape, model.output_name(), &names);
        let places: Vec<Place> = chosen
            .iter()
            .zip(derived)
            .map(|(cut, derived)| Place {
                name: cut.name.clone(),
                shape: cut.shape.clone(),
                index: cut.index,
                derived,
            })
            .collect();
        let last = graph.cuts().last().expect("a graph has at least two cuts");
        let cotangent = tape.cotangent();
        append(network, tape, model, &places, &last.shape);
        let bytes = proto
            .write_buf()
            .map_err(|e| GraphError::Engine(e.to_string()))?;
        drop(proto);
        Ok(Self {
            model: load(bytes)?,
            places,
            input: model.input_name().to_string(),
            input_shape: model.input_shape().to_vec(),
            output: model.output_name().to_string(),
            output_index: last.index,
            cotangent,
            scores_shape: last.shape.clone(),
            threads: OneThread::default(),
        })
    }

    /// The cuts asked for, in graph order; for each, whether its gradient can be computed, and if not, why.
    pub fn supported(&self) -> impl Iterator<Item = (&str, Result<(), &Unsupported>)> {
        self.places
            .iter()
            .map(|place| (place.name.as_str(), place.derived.as_ref().map(|_| ())))
    }

    /// Run the network from `value` at tensor `from` (the input or one of the cuts; batch 1) to the scores, and keep
    /// what the gradients at `wanted` need. `wanted` are cuts at or behind `from`.
    ///
    /// # Errors
    /// See [`GradientError`].
    pub fn forward(
        &self,
        from: &str,
        value: &Tensor,
        wanted: &[&str],
    ) -> Result<ForwardPass, GradientError> {
        let (start, shape) = self.start(from)?;
        check(from, value, shape)?;
        let mut indices = Vec::with_capacity(wanted.len());
        let mut saved: BTreeSet<&str> = BTreeSet::new();
        for name in wanted {
            let index = self.place(name)?;
            let place = &self.places[index];
            let derived = place.derived.as_ref().map_err(Unsupported::clone)?;
            if place.index < start {
                return Err(GradientError::Before {
                    from: from.into(),
                    wanted: (*name).to_string(),
                });
            }
            saved.extend(derived.saved.iter().map(String::as_str));
            indices.push(index);
        }
        let given = saved.remove(from);
        let needs_scores = saved.remove(self.output.as_str());
        let view = ValueView::from_shape(shape, &value.data)
            .map_err(|e| GradientError::Run(e.to_string()))?;
        let from_id = self.id(from)?;
        let mut values = if start == self.output_index {
            Vec::new()
        } else {
            let mut outputs = vec![self.id(&self.output)?];
            for name in &saved {
                outputs.push(self.id(name)?);
            }
            let found = self.run(vec![(from_id, ValueOrView::from(view))], &outputs)?;
            outputs.into_iter().zip(found).collect()
        };
        let scores = match values.first() {
            None => value.data.clone(),
            Some((_, scores)) => read(scores, &self.output)?.data,
        };
        if !needs_scores && !values.is_empty() {
            values.swap_remove(0);
        }
        if given {
            let copy = rten_tensor::Tensor::from_data(shape, value.data.clone());
            values.push((from_id, Value::from(copy)));
        }
        Ok(ForwardPass {
            scores,
            saved: values,
            wanted: indices,
        })
    }

    /// The gradients of the scalar L at the cuts that the forward run was asked for, in that order and with the
    /// shapes of the tensors, for `cotangent` = dL/dscores (one number per class).
    ///
    /// # Errors
    /// A cotangent of another length; a failure of the engine.
    pub fn backward(
        &self,
        pass: &ForwardPass,
        cotangent: &[f32],
    ) -> Result<Vec<Tensor>, GradientError> {
        if cotangent.len() != pass.scores.len() {
            return Err(GradientError::BadInput {
                tensor: "scores".into(),
                reason: format!(
                    "{} derivatives for {} scores",
                    cotangent.len(),
                    pass.scores.len()
                ),
            });
        }
        let view = ValueView::from_shape(self.scores_shape.as_slice(), cotangent)
            .map_err(|e| GradientError::Run(e.to_string()))?;
        let mut gradients: HashMap<&str, Tensor> = HashMap::new();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for &index in &pass.wanted {
            names.insert(self.derived(index)?.gradient.as_str());
        }
        if names.remove(self.cotangent.as_str()) {
            let tensor = Tensor {
                shape: self.scores_shape.clone(),
                data: cotangent.to_vec(),
            };
            gradients.insert(&self.cotangent, tensor);
        }
        if !names.is_empty() {
            let mut inputs: Vec<(NodeId, ValueOrView)> = pass
                .saved
                .iter()
                .map(|(id, value)| (*id, ValueOrView::from(value.as_view())))
                .collect();
            inputs.push((self.id(&self.cotangent)?, ValueOrView::from(view)));
            let outputs = names
                .iter()
                .map(|name| self.id(name))
                .collect::<Result<Vec<_>, _>>()?;
            let found = self.run(inputs, &outputs)?;
            for (name, value) in names.into_iter().zip(&found) {
                gradients.insert(name, read(value, name)?);
            }
        }
        pass.wanted
            .iter()
            .map(|&index| {
                let place = &self.places[index];
                let gradient = &gradients[self.derived(index)?.gradient.as_str()];
                if gradient.data.len() != place.shape.iter().product::<usize>() {
                    return Err(GradientError::Run(format!(
                        "the gradient at `{}` came out as {:?}",
                        place.name, gradient.shape
                    )));
                }
                Ok(Tensor {
                    shape: place.shape.clone(),
                    data: gradient.data.clone(),
                })
            })
            .collect()
    }

    /// [`GradientEngine::forward`], then [`GradientEngine::backward`] for the cotangent that `cotangent` computes from
    /// the scores.
    ///
    /// # Errors
    /// See [`GradientError`].
    pub fn gradients(
        &self,
        from: &str,
        value: &Tensor,
        cotangent: &dyn Fn(&[f32]) -> Vec<f32>,
        wanted: &[&str],
    ) -> Result<Vec<Tensor>, GradientError> {
        let pass = self.forward(from, value, wanted)?;
        self.backward(&pass, &cotangent(&pass.scores))
    }

    fn place(&self, name: &str) -> Result<usize, GradientError> {
        self.places
            .iter()
            .position(|place| place.name == name)
            .ok_or_else(|| GradientError::UnknownCut(name.into()))
    }

    fn derived(&self, index: usize) -> Result<&reverse::Derived, GradientError> {
        let derived = self.places[index].derived.as_ref();
        Ok(derived.map_err(Unsupported::clone)?)
    }

    /// Position and shape of a tensor that a run can start from.
    fn start(&self, from: &str) -> Result<(usize, &[usize]), GradientError> {
        if from == self.input {
            return Ok((0, &self.input_shape));
        }
        let place = &self.places[self.place(from)?];
        Ok((place.index, &place.shape))
    }

    fn id(&self, name: &str) -> Result<NodeId, GradientError> {
        self.model
            .find_node(name)
            .ok_or_else(|| GradientError::Run(format!("the engine has lost tensor `{name}`")))
    }

    fn run(
        &self,
        inputs: Vec<(NodeId, ValueOrView)>,
        outputs: &[NodeId],
    ) -> Result<Vec<Value>, GradientError> {
        let outcome = self.threads.run(|pool| {
            let options = RunOptions::default().with_thread_pool(Some(pool));
            self.model.run(inputs, outputs, Some(options))
        });
        match outcome {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(error)) => Err(GradientError::Run(error.to_string())),
            Err(panic) => Err(GradientError::Run(panic)),
        }
    }
}

fn check(from: &str, value: &Tensor, shape: &[usize]) -> Result<(), GradientError> {
    if value.shape == shape && value.data.len() == shape.iter().product::<usize>() {
        return Ok(());
    }
    Err(GradientError::BadInput {
        tensor: from.into(),
        reason: format!(
            "{} values for shape {:?}; {shape:?} is needed",
            value.data.len(),
            value.shape
        ),
    })
}

fn read(value: &Value, name: &str) -> Result<Tensor, GradientError> {
    match value {
        Value::FloatTensor(tensor) => Ok(Tensor {
            shape: tensor.shape().to_vec(),
            data: tensor.to_vec(),
        }),
        _ => Err(GradientError::NotFloat(name.into())),
    }
}

/// A beginning of names that no tensor of the file has.
fn unused_prefix(graph: &GraphProto) -> String {
    // A control character that no exporter writes; more of them if a file uses it all the same.
    let mut prefix = String::from("\u{2}");
    let names = || {
        let made = graph.node.iter().flat_map(|n| &n.output);
        let weights = graph.initializer.iter().filter_map(|t| t.name.as_ref());
        let inputs = graph.input.iter().filter_map(|i| i.name.as_ref());
        made.chain(weights).chain(inputs)
    };
    while names().any(|name| name.starts_with(&prefix)) {
        prefix.push('\u{2}');
    }
    prefix
}

/// Put the backward pass into the network, at batch 1.
fn append(
    network: &mut GraphProto,
    tape: Tape,
    model: &OnnxModel,
    places: &[Place],
    scores: &[usize],
) {
    let cotangent = tape.cotangent();
    network.node.extend(tape.nodes);
    network.initializer.extend(tape.constants);
    let mut kept: BTreeSet<&str> = BTreeSet::from([model.output_name()]);
    for place in places {
        kept.insert(&place.name);
        if let Ok(derived) = &place.derived {
            kept.insert(&derived.gradient);
            kept.extend(derived.saved.iter().map(String::as_str));
        }
    }
    kept.remove(model.input_name());
    kept.remove(cotangent.as_str());
    // Outputs survive the engine's fusions.
    network.output = kept.into_iter().map(|name| float(name, None)).collect();
    network.input = vec![
        float(model.input_name(), Some(model.input_shape())),
        float(&cotangent, Some(scores)),
    ];
}

fn float(name: &str, shape: Option<&[usize]>) -> ValueInfoProto {
    let fixed = |&size: &usize| Dimension {
        dim_value: Some(size as i64),
        dim_param: None,
    };
    let shape = shape.map(|shape| TensorShapeProto {
        dim: shape.iter().map(fixed).collect(),
    });
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(DataType::FLOAT),
                shape,
            }),
            sequence: None,
        }),
    }
}

fn load(bytes: Vec<u8>) -> Result<Model, GradientError> {
    let loaded = catch_unwind(AssertUnwindSafe(|| {
        ModelOptions::with_all_ops().load(bytes)
    }));
    match loaded {
        Ok(Ok(model)) => Ok(model),
        Ok(Err(error)) => Err(GraphError::Engine(format!("its gradients: {error}")).into()),
        Err(_) => Err(GraphError::Engine("its loader panicked on the gradients".into()).into()),
    }
}
