//! The default engine, pure Rust.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rten::{
    Model, ModelOptions, RunError, RunErrorKind, RunOptions, Value, ValueOrView, ValueView,
};
use rten_tensor::Layout;

use super::one_thread::OneThread;
use super::{Engine, EngineError, run_batch};
use crate::graph::{GraphError, LoadOptions, OnnxModel, Structure, node_index};
use crate::tensor::Tensor;

/// Runs any value to any value of an unmodified model with [`rten`].
pub struct RtenEngine {
    source: Arc<OnnxModel>,
    optimised: Model,
    /// Fusions remove values (the output of a convolution that takes in its batch normalisation). Requests that need
    /// one of those run here; loaded at the first such request.
    plain: OnceLock<Result<Model, String>>,
    threads: OneThread,
}

impl RtenEngine {
    /// Load a file.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, GraphError> {
        Self::new(OnnxModel::load(path, options)?)
    }

    /// Load the bytes of a file.
    pub fn from_bytes(bytes: &[u8], options: &LoadOptions) -> Result<Self, GraphError> {
        Self::new(OnnxModel::from_bytes(bytes, options)?)
    }

    /// Load a model that is already parsed.
    pub fn new(source: Arc<OnnxModel>) -> Result<Self, GraphError> {
        Ok(Self {
            optimised: load_model(&source, true)?,
            source,
            plain: OnceLock::new(),
            threads: OneThread::default(),
        })
    }

    /// The values of `names` when the whole network, without fusions, runs on `input`.
    pub(crate) fn probe(
        source: &OnnxModel,
        input: &Tensor,
        names: &[&str],
    ) -> Result<Vec<Value>, String> {
        let model = load_model(source, false).map_err(|e| e.to_string())?;
        let find = |name: &str| model.node_id(name).map_err(|e| e.to_string());
        let wanted = names
            .iter()
            .map(|n| find(n))
            .collect::<Result<Vec<_>, _>>()?;
        let view = ValueView::from_shape(input.shape.as_slice(), &input.data)
            .map_err(|e| e.to_string())?;
        let inputs = vec![(find(&source.input)?, ValueOrView::from(view))];
        match catch_unwind(AssertUnwindSafe(|| model.run(inputs, &wanted, None))) {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(error)) => Err(readable(&error.to_string(), source)),
            Err(_) => Err("the engine panicked".into()),
        }
    }

    fn plain(&self) -> Result<&Model, EngineError> {
        self.plain
            .get_or_init(|| load_model(&self.source, false).map_err(|e| e.to_string()))
            .as_ref()
            .map_err(|reason| GraphError::Engine(reason.clone()).into())
    }

    /// One run as it is, in the optimised model where it can serve the request.
    fn run_once(&self, from: &str, input: &Tensor, to: &str) -> Result<Tensor, EngineError> {
        match self.run_on(&self.optimised, from, input, to) {
            Err(Failure::NotPlannable) => match self.run_on(self.plain()?, from, input, to) {
                Err(Failure::NotPlannable) => Err(self.explain_unplannable(from, to)),
                other => other.map_err(Failure::into_error),
            },
            other => other.map_err(Failure::into_error),
        }
    }

    fn explain_unplannable(&self, from: &str, to: &str) -> EngineError {
        match self.plain() {
            Err(error) => error,
            Ok(model) => match [from, to].iter().find(|n| model.find_node(n).is_none()) {
                Some(name) => EngineError::UnknownTensor((*name).to_string()),
                None => EngineError::Run {
                    from: from.into(),
                    to: to.into(),
                    reason: "the wanted tensor needs more than the given one".into(),
                },
            },
        }
    }

    fn run_on(
        &self,
        model: &Model,
        from: &str,
        input: &Tensor,
        to: &str,
    ) -> Result<Tensor, Failure> {
        let (Some(from_id), Some(to_id)) = (model.find_node(from), model.find_node(to)) else {
            return Err(Failure::NotPlannable);
        };
        let view = ValueView::from_shape(input.shape.as_slice(), &input.data).map_err(|error| {
            Failure::Other(EngineError::BadInput {
                tensor: from.into(),
                reason: error.to_string(),
            })
        })?;
        let inputs = vec![(from_id, ValueOrView::from(view))];
        let outcome = self.threads.run(|pool| {
            let options = RunOptions::default().with_thread_pool(Some(pool));
            model.run(inputs, &[to_id], Some(options))
        });
        let failed = |reason: String| {
            Failure::Other(EngineError::Run {
                from: from.into(),
                to: to.into(),
                reason,
            })
        };
        let mut values = match outcome {
            Ok(Ok(values)) => values,
            Ok(Err(error)) if is_unplannable(&error) => return Err(Failure::NotPlannable),
            Ok(Err(error)) => return Err(failed(readable(&error.to_string(), &self.source))),
            Err(panic) => return Err(failed(panic)),
        };
        match values.pop() {
            Some(Value::FloatTensor(tensor)) => Ok(Tensor {
                shape: tensor.shape().to_vec(),
                data: tensor.into_data(),
            }),
            _ => Err(Failure::Other(EngineError::NotFloat(to.into()))),
        }
    }
}

impl Engine for RtenEngine {
    fn name(&self) -> String {
        "rten 0.27.0".into()
    }

    fn run(&self, from: &str, input: &Tensor, to: &str) -> Result<Tensor, EngineError> {
        run_batch(self.source.fixed_batch, from, input, to, |sample| {
            self.run_once(from, sample, to)
        })
    }
}

enum Failure {
    /// This model cannot serve the request; the unfused one may.
    NotPlannable,
    Other(EngineError),
}

impl Failure {
    fn into_error(self) -> EngineError {
        match self {
            Self::Other(error) => error,
            Self::NotPlannable => unreachable!("handled by the callers"),
        }
    }
}

fn is_unplannable(error: &RunError) -> bool {
    matches!(
        error.kind(),
        RunErrorKind::PlanningError | RunErrorKind::NodeNotFound
    )
}

/// Replace our node numbers in a message by the operator and its output.
fn readable(message: &str, source: &OnnxModel) -> String {
    message
        .split('"')
        .map(
            |part| match node_index(part).and_then(|i| source.structure.nodes.get(i)) {
                Some(node) => format!(
                    "{} -> {}",
                    node.op,
                    node.outputs.first().map_or("?", String::as_str)
                ),
                None => part.to_string(),
            },
        )
        .collect::<Vec<_>>()
        .join("\"")
}

/// Load with or without fusions; a panic of the loader is an error too.
pub(crate) fn load_model(source: &OnnxModel, optimise: bool) -> Result<Model, GraphError> {
    refuse_wrong_results(&source.structure)?;
    let bytes = source.bytes.clone();
    let loaded = catch_unwind(AssertUnwindSafe(|| {
        ModelOptions::with_all_ops()
            .enable_optimization(optimise)
            .load(bytes)
    }));
    let error = match loaded {
        Ok(Ok(model)) => return Ok(model),
        Ok(Err(error)) => error,
        Err(_) => return Err(GraphError::Engine("its loader panicked".into())),
    };
    let node = error
        .node()
        .and_then(node_index)
        .and_then(|i| source.structure.nodes.get(i));
    Err(match (error.kind(), node) {
        (rten::LoadErrorKind::OperatorInvalid, Some(node)) => GraphError::UnsupportedOperator {
            op: node.op.clone(),
            output: node.outputs.first().cloned().unwrap_or_default(),
            reason: readable(&error.to_string(), source),
        },
        _ => GraphError::Engine(readable(&error.to_string(), source)),
    })
}

/// Operators that the engine accepts but computes wrongly.
fn refuse_wrong_results(structure: &Structure) -> Result<(), GraphError> {
    for node in &structure.nodes {
        let padded = node
            .ints
            .get("pads")
            .is_some_and(|pads| pads.iter().any(|&p| p != 0))
            || node
                .strings
                .get("auto_pad")
                .is_some_and(|how| how.starts_with("SAME"));
        if node.op == "ConvInteger" && padded {
            return Err(GraphError::UnsupportedOperator {
                op: node.op.clone(),
                output: node.outputs.first().cloned().unwrap_or_default(),
                reason: "rten 0.27 computes its padded borders wrongly; \
                         use a QDQ model (QuantizeLinear/DequantizeLinear around float operators)"
                    .into(),
            });
        }
    }
    Ok(())
}
