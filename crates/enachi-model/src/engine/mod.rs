//! Running parts of a network.
//!
//! An [`Engine`] computes any value of a graph from any other. The head up to a tensor `t` is
//! `run(input, x, t)`, the tail is `run(t, feature, output)`; one loaded model serves every cut and every thread.

mod one_thread;
#[cfg(feature = "ort")]
mod ort;
mod rten;

pub(crate) use self::one_thread::OneThread;
#[cfg(feature = "ort")]
pub use self::ort::OrtEngine;
pub use self::rten::RtenEngine;
pub(crate) use self::rten::load_model;
use crate::tensor::Tensor;

/// Runs parts of one network. Every run uses one thread; parallelism comes from calling [`Engine::run`] from several
/// threads at once.
pub trait Engine: Send + Sync {
    /// Name and version, e.g. `rten 0.27.0`.
    fn name(&self) -> String;

    /// The value of tensor `to`, given the value of tensor `from` (ONNX tensor names; equal names give the input
    /// back). The leading dimension of `input` is the batch; the other sizes are those of the tensor.
    ///
    /// Whatever is not derived from `from` must be constant: `from` has to be a legal cut of the part of the graph
    /// that ends in `to`.
    fn run(&self, from: &str, input: &Tensor, to: &str) -> Result<Tensor, EngineError>;
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The model could not be loaded.
    #[error(transparent)]
    Load(#[from] crate::graph::GraphError),
    /// There is no such tensor.
    #[error("the network has no tensor `{0}` that can be computed or given")]
    UnknownTensor(String),
    /// The tensor holds integers, so it cannot cross a cut.
    #[error("tensor `{0}` does not hold float32 values")]
    NotFloat(String),
    /// Data and shape of the input disagree, or the batch is empty.
    #[error("the value for tensor `{tensor}` is not usable: {reason}")]
    BadInput {
        /// Tensor the value was given for.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// The engine failed.
    #[error("running from `{from}` to `{to}`: {reason}")]
    Run {
        /// Given tensor.
        from: String,
        /// Wanted tensor.
        to: String,
        /// What the engine said.
        reason: String,
    },
}

/// What every engine does around its own run: check the input, answer `from` = `to`, and fall back to one sample at a
/// time where the graph is made for one (a fixed batch, or a reshape that writes the 1 down).
fn run_batch(
    fixed_batch: bool,
    from: &str,
    input: &Tensor,
    to: &str,
    run_once: impl Fn(&Tensor) -> Result<Tensor, EngineError>,
) -> Result<Tensor, EngineError> {
    let bad = |reason: String| EngineError::BadInput {
        tensor: from.into(),
        reason,
    };
    let elements = input
        .shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d));
    if elements != Some(input.data.len()) || input.data.is_empty() {
        return Err(bad(format!(
            "{} values for shape {:?}",
            input.data.len(),
            input.shape
        )));
    }
    if from == to {
        return Ok(input.clone());
    }
    let batch = input.batch();
    if batch == 1 {
        return run_once(input);
    }
    if !fixed_batch
        && let Ok(output) = run_once(input)
        && output.batch() == batch
    {
        return Ok(output);
    }
    let samples: Vec<Tensor> = (0..batch)
        .map(|i| run_once(&input.sample(i)))
        .collect::<Result<_, _>>()?;
    Tensor::stack(&samples).ok_or_else(|| bad("the results have different shapes".into()))
}
