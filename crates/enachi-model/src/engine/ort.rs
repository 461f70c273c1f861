//! ONNX Runtime as a faster engine (cargo feature `ort`).
//!
//! It runs whole files only, so every part of the network that is asked for becomes a file of its own in memory, and
//! as a session runs one request at a time, each thread that runs a part at the same moment gets its own session.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::value::TensorRef;

use super::{Engine, EngineError, run_batch};
use crate::graph::{GraphError, OnnxModel, sub_model};
use crate::tensor::Tensor;

/// Sessions kept for later runs; each holds the weights of its part. A profile of eight cuts uses sixteen parts on every
/// thread.
const MAX_IDLE_SESSIONS: usize = 64;

/// A part of the network: from, sizes of one sample there, to.
type Part = (String, Vec<usize>, String);

/// Runs parts of a network with ONNX Runtime, one thread per run, without spinning.
pub struct OrtEngine {
    source: Arc<OnnxModel>,
    environment: Environment,
    /// Most recently used last.
    idle: Mutex<Vec<(Part, Session)>>,
}

/// A process can hold one environment only.
static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

fn environment() -> Result<Environment, GraphError> {
    let start = || {
        let library = std::env::var_os("ORT_DYLIB_PATH")
            .ok_or("ORT_DYLIB_PATH must name its library, e.g. libonnxruntime.so")?;
        let environment = ort::init_from(library)
            .map_err(|e| e.to_string())?
            .with_telemetry(false)
            .build()
            .map_err(|e| e.to_string())?;
        // What goes wrong comes back as an error.
        environment.set_log_level(LogLevel::Fatal);
        Ok(environment)
    };
    ENVIRONMENT
        .get_or_init(start)
        .clone()
        .map_err(|reason| GraphError::Engine(format!("ONNX Runtime: {reason}")))
}

impl OrtEngine {
    /// Use the library that the environment variable `ORT_DYLIB_PATH` names (`libonnxruntime.so`, version 1.24 or
    /// later; the PyPI package `onnxruntime` has one in `capi/`).
    pub fn new(source: Arc<OnnxModel>) -> Result<Self, GraphError> {
        Ok(Self {
            source,
            environment: environment()?,
            idle: Mutex::new(Vec::new()),
        })
    }

    fn session(&self, part: &Part) -> Result<Session, EngineError> {
        let waiting = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let found = idle.iter().rposition(|(known, _)| known == part);
            found.map(|at| idle.remove(at).1)
        };
        match waiting {
            Some(session) => Ok(session),
            None => self.open(part),
        }
    }

    fn open(&self, (from, sample, to): &Part) -> Result<Session, EngineError> {
        let failed = |reason: String| EngineError::Run {
            from: from.clone(),
            to: to.clone(),
            reason,
        };
        let bytes = sub_model(&self.source, from, sample, to)?.ok_or_else(|| {
            failed("the wanted tensor needs more than the given one, or does not exist".into())
        })?;
        let build = || -> Result<Session, String> {
            Session::builder(&self.environment)
                .map_err(|e| e.to_string())?
                .with_intra_threads(1)
                .map_err(|e| e.to_string())?
                .with_inter_threads(1)
                .map_err(|e| e.to_string())?
                .with_intra_op_spinning(false)
                .map_err(|e| e.to_string())?
                .commit_from_memory(&bytes)
                .map_err(|e| e.to_string())
        };
        build().map_err(failed)
    }

    fn put_back(&self, part: Part, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((part, session));
        if idle.len() > MAX_IDLE_SESSIONS {
            idle.remove(0);
        }
    }

    fn run_once(&self, from: &str, input: &Tensor, to: &str) -> Result<Tensor, EngineError> {
        let failed = |reason: String| EngineError::Run {
            from: from.into(),
            to: to.into(),
            reason,
        };
        let sample = input.shape.get(1..).unwrap_or_default().to_vec();
        let part = (from.to_string(), sample, to.to_string());
        let mut session = self.session(&part)?;
        let view = TensorRef::from_array_view((input.shape.as_slice(), input.data.as_slice()))
            .map_err(|e| failed(e.to_string()))?;
        let output = {
            let outputs = session
                .run(ort::inputs![view])
                .map_err(|e| failed(e.to_string()))?;
            let (shape, data) = outputs[0]
                .try_extract_tensor::<f32>()
                .map_err(|_| EngineError::NotFloat(to.into()))?;
            Tensor {
                shape: shape.iter().map(|&size| size as usize).collect(),
                data: data.to_vec(),
            }
        };
        self.put_back(part, session);
        Ok(output)
    }
}

impl Engine for OrtEngine {
    fn name(&self) -> String {
        format!("onnxruntime {}", build_id(ort::info()))
    }

    fn run(&self, from: &str, input: &Tensor, to: &str) -> Result<Tensor, EngineError> {
        run_batch(self.source.fixed_batch, from, input, to, |sample| {
            self.run_once(from, sample, to)
        })
    }
}

/// The commit in a line such as `ORT Build Info: git-branch=…, git-commit-id=…, build type=…`.
fn build_id(info: &str) -> &str {
    let commit = info.split_once("git-commit-id=").map(|(_, rest)| rest);
    commit
        .and_then(|rest| rest.split([',', ' ']).next())
        .unwrap_or("of unknown build")
}
