//! What can go wrong with a report.

use crate::plot::PlotError;
use enachi_data::profile::ProfileFileError;
use enachi_data::records::RecordsError;
use enachi_data::sweep::DatasetError;
use enachi_sim::scenario::ScenarioError;

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Neither a run nor a sweep.
    #[error(
        "{folder}: must be the output folder of `enachi simulate` (scenario.toml, run.json, summary.json, frames.parquet) or of \
         `enachi sweep` (sweep.json, points.parquet)"
    )]
    NotResults {
        /// Folder.
        folder: String,
    },
    /// Part of a run or a sweep.
    #[error(
        "{folder}: {file} is missing; was the run cut off, or written with other output.records than \"parquet\"?"
    )]
    Missing {
        /// Folder.
        folder: String,
        /// File.
        file: String,
    },
    /// No rows.
    #[error("{file}: holds no rows")]
    Empty {
        /// File.
        file: String,
    },
    /// The operating system refused.
    #[error("{file}: {source}")]
    Io {
        /// File.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not the JSON it should be.
    #[error("{file}: {source}")]
    Json {
        /// File.
        file: String,
        /// What and where.
        source: serde_json::Error,
    },
    /// A scenario that this version does not understand.
    #[error("{source} (the run was made by version {made_by}, this is {})", env!("CARGO_PKG_VERSION"))]
    Scenario {
        /// Version that wrote it.
        made_by: String,
        /// What is wrong.
        source: Box<ScenarioError>,
    },
    /// A sweep's dataset.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A sweep's manifest that contradicts itself.
    #[error("{file}: {reason}")]
    Manifest {
        /// File.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Records.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Profile.
    #[error(transparent)]
    Profile(#[from] ProfileFileError),
    /// A choice that the data do not offer.
    #[error("--{key} {value}: must be one of {allowed}")]
    Choice {
        /// Argument.
        key: &'static str,
        /// Value.
        value: String,
        /// What there is.
        allowed: String,
    },
    /// A figure.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The page's template.
    #[error("the page cannot be written: {0}")]
    Template(#[from] minijinja::Error),
}
