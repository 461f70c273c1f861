//! From a network and labelled images to a measured [`Profile`].
//!
//! Three phases. *Calibration*: [`codec::train::PASSES`](crate::codec::train::PASSES) passes over the calibration
//! images train the codec of every cut at once; each pass runs the network once per image, handing the tensor on from
//! cut to cut. *Measurement*: every measured image is encoded at every cut with every stream, and the tail answers at
//! every checkpoint. *Timing*: head, encoder, decoder and tail, one thread, no other work of this program.
//!
//! Every finished image is appended to a journal, so a run that was stopped goes on where it was.

mod assemble;
mod calibrate;
mod journal;
mod measure;
mod pictures;
mod predict;
mod restoration;
mod sensitivity;
mod streams;
mod timing;

pub use calibrate::{Calibration, CutCalibration, RawStatistics};
pub use journal::JournalError;
pub use pictures::Ladder;
pub use streams::StreamPlan;

use crate::answer::{Answer, read_answer};
use crate::codec::{CodecSettings, TablesError};
use crate::engine::{Engine, EngineError};
use crate::gradient::{GradientEngine, GradientError};
use crate::graph::{Cut, Graph};
use crate::images::{
    ImageError, Item, Preprocess, RgbCrop, decode_rgb_crop, read_image, to_tensor,
};
use crate::picture::PictureError;
use crate::predictor::PredictorError;
use crate::tensor::Tensor;
use enachi_core::profile::Profile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What to measure and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileSettings {
    /// Seed of orders and bootstraps (the image lists are drawn by the caller).
    pub seed: u64,
    /// Checkpoints of a stream, besides "nothing sent".
    pub checkpoints: usize,
    /// The feature codec.
    pub codec: CodecSettings,
    /// Choose the quality of the whole stream per cut so that the answer moves by at most this divergence \[nat\];
    /// `None` takes `codec.snr_db` as it is.
    pub max_divergence_nats: Option<f64>,
    /// JPEG qualities of cut 0, ascending, 1..=100.
    pub jpeg_qualities: Vec<u8>,
    /// WebP qualities of cut 0, ascending, 1..=100; empty leaves WebP out.
    pub webp_qualities: Vec<u8>,
    /// Sides that the picture is shrunk to in the mixed ladders, besides its own \[pixel\]; empty leaves those out.
    pub picture_sides: Vec<u32>,
    /// How many of the measured images the raw-map streams are measured on; 0 leaves those streams out.
    pub raw_images: usize,
    /// Importance scores per cut and map that replace the activation energy in the order of raw maps.
    pub imported_scores: BTreeMap<String, Vec<f64>>,
    /// Added to a label of the images to get the class index of the network.
    pub label_offset: u16,
}

/// One profiling job.
pub struct Job<'a> {
    /// What to measure.
    pub settings: ProfileSettings,
    /// The network's structure.
    pub graph: &'a Graph,
    /// The network, running.
    pub engine: &'a dyn Engine,
    /// The engine whose times are taken: the one that will run the network.
    pub timing_engine: &'a dyn Engine,
    /// Gradients of the network's scores, where they are to be had.
    pub gradients: Option<&'a GradientEngine>,
    /// Picture to tensor.
    pub preprocess: Preprocess,
    /// Inner cuts to measure, in graph order.
    pub cuts: Vec<Cut>,
    /// Calibration images.
    pub calibration: Vec<Item>,
    /// Measured images, disjoint from those.
    pub measured: Vec<Item>,
    /// Threads, each with an image of its own.
    pub threads: usize,
    /// Folder for the journal.
    pub work_folder: PathBuf,
}

/// Progress of a job, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A phase begins: its name, units of work, units found done already.
    Begin(&'a str, u64, u64),
    /// Units done.
    Advance(u64),
}

/// Why profiling stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfilerError {
    /// An image that could be read before no longer can.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Gradients that should be there cannot be computed.
    #[error(transparent)]
    Gradient(#[from] GradientError),
    /// Predictors cannot be fitted.
    #[error(transparent)]
    Predictor(#[from] PredictorError),
    /// Calibration of a cut failed.
    #[error("cut `{cut}`: {source}")]
    Codec {
        /// The cut.
        cut: String,
        /// Why.
        source: TablesError,
    },
    /// The network answered with values that are not finite.
    #[error("the network's scores for {image} are not finite numbers, so they are no answer")]
    NotFinite {
        /// Which image.
        image: String,
    },
    /// The picture could not be coded.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A setting does not fit the network.
    #[error("{0}")]
    Setting(String),
}

impl Job<'_> {
    /// Run all phases, or what is left of them.
    ///
    /// Returns the profile, without provenance (the caller knows it), and the bytes of the codec tables.
    pub fn run(
        &self,
        progress: &(dyn Fn(Step) + Sync),
    ) -> Result<(Profile, Vec<u8>), ProfilerError> {
        self.check()?;
        let mut journal = journal::Journal::open(self)?;
        let calibration = match journal.calibration(self)? {
            Some(found) => found,
            None => {
                let made = calibrate::calibrate(self, progress)?;
                journal.store_calibration(self, &made)?;
                made
            }
        };
        let pictures = match journal.pictures()? {
            Some(found) => found,
            None => {
                let made = pictures::choose(self, progress)?;
                journal.store_pictures(&made)?;
                made
            }
        };
        let mut plan = streams::plan(self, &calibration, &pictures)?;
        journal.keep_matching(&plan);
        measure::measure(self, &plan, &mut journal, progress)?;
        let mut rows: Vec<journal::Row> = journal.rows().values().cloned().collect();
        pictures::put_in_order(&mut plan, &mut rows);
        let nothing = self.nothing_sent(&calibration)?;
        let samples = assemble::samples(self, &plan, &rows, &nothing);
        let predictors = predict::fit_all(self, &plan, &rows, &samples, progress)?;
        let timings = timing::measure(self, &plan, &predictors, progress)?;
        let tables = predict::into_tables(&plan, &predictors);
        let names = self.cuts.iter().map(|cut| cut.name.as_str());
        let tables =
            crate::codec::file::to_bytes(self.graph.sha256(), names.zip(&tables).collect())
                .map_err(|source| ProfilerError::Codec {
                    cut: String::new(),
                    source,
                })?;
        let profile = assemble::profile(self, &plan, &rows, samples, &predictors, &timings);
        Ok((profile, tables))
    }

    fn check(&self) -> Result<(), ProfilerError> {
        let fail = |what: String| Err(ProfilerError::Setting(what));
        if self.calibration.len() < 2 || self.measured.is_empty() {
            return fail(format!(
                "{} calibration and {} measured images: at least 2 and 1 are needed",
                self.calibration.len(),
                self.measured.len()
            ));
        }
        if !(2..=64).contains(&self.settings.checkpoints) {
            return fail(format!(
                "{} checkpoints: 2 to 64 are allowed",
                self.settings.checkpoints
            ));
        }
        for (key, qualities) in [
            ("JPEG", &self.settings.jpeg_qualities),
            ("WebP", &self.settings.webp_qualities),
        ] {
            let rising = qualities.windows(2).all(|pair| pair[0] < pair[1]);
            if !rising || qualities.iter().any(|q| !(1..=100).contains(q)) {
                return fail(format!(
                    "{key} qualities {qualities:?}: must rise within 1 to 100"
                ));
            }
        }
        if self.settings.jpeg_qualities.is_empty() {
            return fail("JPEG qualities: at least 1 is needed".into());
        }
        let side = self.preprocess.crop;
        let sides = &self.settings.picture_sides;
        if sides.iter().any(|s| !(1..side).contains(s))
            || (1..sides.len()).any(|i| sides[..i].contains(&sides[i]))
        {
            return fail(format!(
                "picture sides {sides:?}: must differ and lie in 1 to {} (the picture has {side})",
                side - 1
            ));
        }
        for (name, scores) in &self.settings.imported_scores {
            let Some(cut) = self.cuts.iter().find(|cut| &cut.name == name) else {
                return fail(format!(
                    "scores for `{name}`, which is not a cut to be measured"
                ));
            };
            if scores.len() != cut.maps || scores.iter().any(|s| !s.is_finite()) {
                return fail(format!(
                    "scores for `{name}`: {} values, {} finite ones are needed",
                    scores.len(),
                    cut.maps
                ));
            }
        }
        Ok(())
    }

    /// The network's answer, per cut from the input on, when nothing was sent and means fill every map.
    fn nothing_sent(&self, calibration: &Calibration) -> Result<Vec<(u16, f32)>, ProfilerError> {
        let means = std::iter::once(&calibration.input_mean)
            .chain(calibration.cuts.iter().map(|cut| &cut.raw.mean));
        let shapes = std::iter::once((self.graph.input_name(), self.graph.input_shape())).chain(
            self.cuts
                .iter()
                .map(|cut| (cut.name.as_str(), cut.shape.as_slice())),
        );
        means
            .zip(shapes)
            .map(|(mean, (name, shape))| {
                let mut tensor = Tensor::zeros(shape);
                let area = tensor.data.len() / mean.len();
                for (map, &m) in tensor.data.chunks_exact_mut(area).zip(mean) {
                    map.fill(m);
                }
                let scores = self.engine.run(name, &tensor, self.graph.output_name())?;
                let answer = self.read(&scores, "the mean image")?;
                Ok((answer.top1, answer.entropy_nats))
            })
            .collect()
    }

    fn read(&self, scores: &Tensor, image: &str) -> Result<Answer, ProfilerError> {
        self.read_scores(&scores.data, image)
    }

    fn read_scores(&self, scores: &[f32], image: &str) -> Result<Answer, ProfilerError> {
        read_answer(scores).ok_or_else(|| ProfilerError::NotFinite {
            image: image.to_string(),
        })
    }

    /// Indices of the inner cuts at which there are gradients.
    fn differentiable(&self) -> Vec<usize> {
        let Some(engine) = self.gradients else {
            return Vec::new();
        };
        let names: Vec<&str> = engine
            .supported()
            .filter_map(|(name, how)| how.is_ok().then_some(name))
            .collect();
        (0..self.cuts.len())
            .filter(|&i| names.contains(&self.cuts[i].name.as_str()))
            .collect()
    }

    /// Class index of an image in the network's output.
    fn class(&self, item: &Item) -> u16 {
        item.label.saturating_add(self.settings.label_offset)
    }

    fn picture(&self, item: &Item) -> Result<RgbCrop, ProfilerError> {
        read_image(&item.path)
            .and_then(|bytes| decode_rgb_crop(&bytes, &self.preprocess))
            .map_err(|source| ProfilerError::Image {
                path: item.path.clone(),
                source,
            })
    }

    /// The tensors at all inner cuts, handing each on to the next, then the network's answer.
    fn features(&self, picture: &RgbCrop) -> Result<(Vec<Tensor>, Tensor), ProfilerError> {
        let mut features: Vec<Tensor> = Vec::with_capacity(self.cuts.len());
        let input = to_tensor(picture, &self.preprocess);
        let (mut from, mut last) = (self.graph.input_name(), &input);
        for cut in &self.cuts {
            let feature = self.engine.run(from, last, &cut.name)?;
            features.push(feature);
            from = &cut.name;
            last = features.last().expect("pushed just now");
        }
        let scores = self.engine.run(from, last, self.graph.output_name())?;
        Ok((features, scores))
    }
}
