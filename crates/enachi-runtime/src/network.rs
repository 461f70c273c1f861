//! The network that edge and device hold: one loaded model for all cuts, codec tables and predictors, bound to a profile.

use crate::picture::Pictures;
use enachi_core::profile::{CutKind, Profile};
use enachi_model::answer::{log_probabilities, read_answer};
use enachi_model::codec::{Codec, TablesError, file};
use enachi_model::engine::{Engine, EngineError, RtenEngine};
use enachi_model::graph::{Graph, GraphError, LoadOptions, OnnxModel};
use enachi_model::tensor::Tensor;
use enachi_proto::message::Scored;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Instant;

/// Classes of an answer.
const TOP: usize = 5;

/// A network that does not fit its profile.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The model cannot be loaded.
    #[error("the network: {0}")]
    Graph(#[from] GraphError),
    /// The tables cannot be used.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// Another model than the profile's.
    #[error(
        "this network (SHA-256 {found}) is not the one that the profile of {name} was measured with ({wanted})"
    )]
    Model {
        /// Hash of the file.
        found: String,
        /// Hash in the profile.
        wanted: String,
        /// Network of the profile.
        name: String,
    },
    /// A profile without hashes, that is of curves alone.
    #[error("the profile of {0} was not measured with a network")]
    Unmeasured(String),
    /// A cut of the profile that the network does not have.
    #[error("the network has no cut {0:?}, which the profile has")]
    Cut(String),
}

/// The best classes with their probabilities, and the entropy of all \[nat\].
pub type Reading = (Vec<Scored>, f32);

/// One cut, as it can be run.
struct Cut {
    tensor: String,
    shape: Vec<usize>,
    /// Coder of its first stream, where that is the feature codec.
    codec: Option<Codec>,
}

/// A network ready to run.
pub struct Network {
    engine: Box<dyn Engine>,
    input: String,
    output: String,
    cuts: Vec<Cut>,
    pictures: Option<Pictures>,
    /// SHA-256 of the model.
    pub model_sha256: [u8; 32],
    /// SHA-256 of the codec tables.
    pub tables_sha256: [u8; 32],
}

impl Network {
    /// Put `model` and `tables`, the bytes of both files, on the profile that was measured with them.
    pub fn new(profile: &Profile, model: &[u8], tables: &[u8]) -> Result<Self, NetworkError> {
        let name = profile.meta.model_name.clone();
        if profile.meta.model_sha256.is_empty() {
            return Err(NetworkError::Unmeasured(name));
        }
        let digest = Sha256::digest(model);
        let found = format!("{digest:x}");
        let wanted = profile.meta.model_sha256.clone();
        if found != wanted {
            return Err(NetworkError::Model {
                found,
                wanted,
                name,
            });
        }
        let mut tables_of = file::for_profile(profile, tables)?;
        let source: Arc<OnnxModel> = OnnxModel::from_bytes(model, &LoadOptions::default())?;
        let graph = Graph::new(&source)?;
        let mut cuts = Vec::with_capacity(profile.cuts.len());
        for cut in &profile.cuts {
            let tensor = match cut.kind {
                CutKind::Input => graph.input_name(),
                CutKind::Feature => &cut.name,
                CutKind::Local => graph.output_name(),
            };
            let shape = match cut.kind {
                CutKind::Input => graph.input_shape().to_vec(),
                _ => {
                    let known = graph.cut(tensor);
                    let known = known.ok_or_else(|| NetworkError::Cut(cut.name.clone()))?;
                    known.shape.clone()
                }
            };
            let place = tables_of.iter().position(|(name, _)| *name == cut.name);
            let codec = place.map(|at| Codec::new(tables_of.swap_remove(at).1));
            cuts.push(Cut {
                tensor: tensor.to_owned(),
                shape,
                codec: codec.transpose()?,
            });
        }
        Ok(Self {
            input: graph.input_name().to_owned(),
            output: graph.output_name().to_owned(),
            engine: Box::new(RtenEngine::new(source)?),
            cuts,
            pictures: Pictures::of(profile),
            model_sha256: digest.into(),
            tables_sha256: Sha256::digest(tables).into(),
        })
    }

    /// The feature codec of a cut of the profile, where it has one.
    pub fn codec(&self, cut: usize) -> Option<&Codec> {
        self.cuts.get(cut)?.codec.as_ref()
    }

    /// Coders of the picture, which is what cut 0 sends.
    pub fn pictures(&self, cut: usize) -> Option<&Pictures> {
        self.pictures.as_ref().filter(|_| cut == 0)
    }

    /// Whether a stream of a cut is one that this runtime sends: a picture, or the cut's first, coded by the feature codec.
    pub fn sends(&self, cut: usize, stream: usize) -> bool {
        match self.pictures(cut) {
            Some(pictures) => pictures.codes(stream),
            None => stream == 0 && self.codec(cut).is_some(),
        }
    }

    /// Shape of the input at batch 1.
    pub fn input_shape(&self) -> &[usize] {
        self.cuts.first().map_or(&[], |cut| &cut.shape)
    }

    /// The head: from an input to the tensor at a cut.
    pub fn head(&self, input: &Tensor, cut: usize) -> Result<Tensor, EngineError> {
        self.engine.run(&self.input, input, &self.cuts[cut].tensor)
    }

    /// The whole network on one input.
    pub fn whole(&self, input: &Tensor) -> Result<Option<Reading>, EngineError> {
        let scores = self.engine.run(&self.input, input, &self.output)?;
        Ok(read(&scores.data))
    }

    /// The tail on features of one cut, joined to a batch of `count`. One answer each; `None` where scores are not numbers.
    pub fn tails(
        &self,
        cut: usize,
        features: Vec<f32>,
        count: usize,
    ) -> Result<Vec<Option<Reading>>, EngineError> {
        let cut = &self.cuts[cut];
        let mut shape = cut.shape.clone();
        if let Some(batch) = shape.first_mut() {
            *batch = count;
        }
        let input = Tensor {
            shape,
            data: features,
        };
        let scores = self.engine.run(&cut.tensor, &input, &self.output)?;
        let classes = scores.data.len() / count.max(1);
        Ok(scores.data.chunks_exact(classes.max(1)).map(read).collect())
    }

    /// Values of the tensor at a cut.
    pub fn elements(&self, cut: usize) -> usize {
        self.cuts[cut].shape.iter().product()
    }

    /// How long decoder and tail of a cut's stream take on this machine, one at a time: lower quartile of `runs` \[s\],
    /// as what else the machine did meanwhile is not the tail's.
    pub fn time_edge_s(&self, cut: usize, stream: usize, runs: usize) -> Result<f64, EngineError> {
        let grey = vec![0.0; self.elements(cut)];
        let picture = self.pictures(cut).and_then(|pictures| {
            let grey = pictures.picture(&grey);
            let coded = pictures.encode(stream, pictures.levels(stream), &grey);
            Some((pictures, coded.ok()?))
        });
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs.max(1) {
            let start = Instant::now();
            let mut feature = grey.clone();
            match (&picture, self.codec(cut)) {
                (Some((pictures, coded)), _) => drop(pictures.decode(stream, coded)),
                (None, Some(codec)) => codec.decoder().reconstruct(&mut feature),
                (None, None) => return Ok(0.0),
            }
            self.tails(cut, feature, 1)?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 4])
    }
}

/// The best classes with their probabilities, and the entropy.
fn read(scores: &[f32]) -> Option<Reading> {
    let answer = read_answer(scores)?;
    let logs = log_probabilities(scores);
    let mut order: Vec<usize> = (0..logs.len()).collect();
    order.sort_by(|a, b| logs[*b].total_cmp(&logs[*a]).then(a.cmp(b)));
    let top = order.iter().take(TOP).map(|&class| Scored {
        class: class as u16,
        probability: (logs[class].exp() as f32).clamp(0.0, 1.0),
    });
    Some((top.collect(), answer.entropy_nats))
}
