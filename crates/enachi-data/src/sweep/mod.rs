//! The dataset of a sweep: a folder of Parquet tables and `sweep.json`. Described in `docs/sweep-format.md`.
//!
//! [`DatasetWriter`] takes the points one after the other, so its memory does not grow with their number; the manifest is
//! written last, and only then is there a dataset. [`Dataset::read`] refuses one that is incomplete, damaged or of another
//! version.

mod manifest;
mod rows;
mod table;
mod write;

pub use manifest::{
    AxisInfo, FORMAT, FORMAT_VERSION, Failure, FileInfo, Manifest, ProfileInfo, SweepInfo,
    split_unit,
};
pub use rows::{
    CurveRow, CutRow, DeviceRow, ExampleRow, HistogramRow, OracleRow, PairRow, PointRow, SeedRow,
    SlotRow, TrajectoryRow,
};
pub use write::{DatasetWriter, PointTables, write_atomically};

use arrow_schema::DataType;
use parquet::errors::ParquetError;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use table::{Row, Value, read_batches};

/// Name of the manifest.
pub const MANIFEST_FILE: &str = "sweep.json";

/// The Parquet files of a dataset.
pub const TABLES: [&str; 11] = [
    "points.parquet",
    "seeds.parquet",
    "pairs.parquet",
    "cuts.parquet",
    "histograms.parquet",
    "trajectories.parquet",
    "devices.parquet",
    "examples.parquet",
    "slots.parquet",
    "oracle.parquet",
    "curves.parquet",
];

/// A dataset that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file system refused.
    #[error("{file}: {source}")]
    Io {
        /// File.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// There is none.
    #[error(
        "{folder}: holds no finished sweep: {MANIFEST_FILE} is missing; finish it with `enachi sweep merge {folder}`"
    )]
    Missing {
        /// Folder.
        folder: String,
    },
    /// Not readable.
    #[error("{file}: damaged or not of a sweep: {reason}")]
    Damaged {
        /// File.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Written by a version that has another format.
    #[error(
        "{file}: dataset of version {found}, written by enachi {by}; this enachi reads version {FORMAT_VERSION}: run the sweep again"
    )]
    Version {
        /// File.
        file: String,
        /// Its version.
        found: u64,
        /// What wrote it.
        by: String,
    },
}

impl DatasetError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            file: path.display().to_string(),
            source,
        }
    }

    pub(crate) fn damaged(path: &Path, reason: impl ToString) -> Self {
        Self::Damaged {
            file: path.display().to_string(),
            reason: reason.to_string(),
        }
    }

    /// What the disk refused stays what it is, wherever it surfaces.
    pub(crate) fn parquet(path: &Path, error: ParquetError) -> Self {
        if let ParquetError::External(source) = error {
            return match source.downcast::<io::Error>() {
                Ok(source) => Self::io(path, *source),
                Err(source) => Self::damaged(path, source),
            };
        }
        Self::damaged(path, error)
    }
}

/// All of a dataset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// What was run.
    pub manifest: Manifest,
    /// Point × policy.
    pub points: Vec<PointRow>,
    /// What the axes set, one column per key, aligned with `points`.
    pub axes: Vec<AxisColumn>,
    /// Point × policy × seed.
    pub seeds: Vec<SeedRow>,
    /// Paired differences.
    pub pairs: Vec<PairRow>,
    /// Shares of cuts.
    pub cuts: Vec<CutRow>,
    /// Histograms.
    pub histograms: Vec<HistogramRow>,
    /// Windows of frames.
    pub trajectories: Vec<TrajectoryRow>,
    /// Devices.
    pub devices: Vec<DeviceRow>,
    /// One device-frame per point and policy.
    pub examples: Vec<ExampleRow>,
    /// Their slots.
    pub slots: Vec<SlotRow>,
    /// Upper bounds, where they were asked for.
    pub oracle: Vec<OracleRow>,
    /// Curves of the profiles.
    pub curves: Vec<CurveRow>,
}

/// Values of one scenario key.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisColumn {
    /// The key, e.g. `channel.bandwidth_hz`.
    pub key: String,
    /// Its values.
    pub values: AxisValues,
}

/// Values of a key, `None` where it is not set.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisValues {
    /// All are numbers.
    Number(Vec<Option<f64>>),
    /// They are not.
    Text(Vec<Option<String>>),
}

impl Dataset {
    /// Read `folder`, checking every file against its checksum.
    pub fn read(folder: &Path) -> Result<Self, DatasetError> {
        Self::read_tables(folder, &TABLES)
    }

    /// Read those of [`TABLES`] that `tables` names, and check them; the others stay empty.
    pub fn read_tables(folder: &Path, tables: &[&str]) -> Result<Self, DatasetError> {
        let manifest = read_manifest(folder)?;
        for name in tables {
            let path = folder.join(name);
            let expected = manifest.files.get(*name).map(|file| file.sha256.as_str());
            let found = file_sha256(&path)?;
            if expected != Some(found.as_str()) {
                return Err(DatasetError::damaged(
                    &path,
                    format!(
                        "its checksum is not the one in {MANIFEST_FILE}; merge again with `enachi sweep merge`"
                    ),
                ));
            }
        }
        let wanted = Wanted { folder, tables };
        let mut axes = Vec::new();
        let mut points = Vec::new();
        if let Some(path) = wanted.path("points") {
            read_batches(&path, |source| {
                points.extend(PointRow::rows(source)?);
                read_axes(source, &mut axes)
            })?;
        }
        Ok(Self {
            points,
            axes,
            seeds: wanted.read("seeds")?,
            pairs: wanted.read("pairs")?,
            cuts: wanted.read("cuts")?,
            histograms: wanted.read("histograms")?,
            trajectories: wanted.read("trajectories")?,
            devices: wanted.read("devices")?,
            examples: wanted.read("examples")?,
            slots: wanted.read("slots")?,
            oracle: wanted.read("oracle")?,
            curves: wanted.read("curves")?,
            manifest,
        })
    }
}

/// The rows of `point`, whose number `number` tells. All tables of a dataset but `curves` ascend by point.
pub fn of_point<R>(rows: &[R], point: u64, number: impl Fn(&R) -> u64) -> &[R] {
    let first = rows.partition_point(|row| number(row) < point);
    let rows = &rows[first..];
    &rows[..rows.partition_point(|row| number(row) == point)]
}

/// Read the manifest of `folder`.
pub fn read_manifest(folder: &Path) -> Result<Manifest, DatasetError> {
    let path = folder.join(MANIFEST_FILE);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DatasetError::Missing {
                folder: folder.display().to_string(),
            });
        }
        other => other.map_err(|e| DatasetError::io(&path, e))?,
    };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| DatasetError::damaged(&path, e))?;
    check_version(&path, &value)?;
    serde_json::from_value(value).map_err(|e| DatasetError::damaged(&path, e))
}

/// Whether `value`, read from `path`, is of a sweep and of this version.
pub fn check_version(path: &Path, value: &serde_json::Value) -> Result<(), DatasetError> {
    if value["format"] != FORMAT {
        return Err(DatasetError::damaged(
            path,
            format!("`format` is not {FORMAT:?}"),
        ));
    }
    let found = value["format_version"].as_u64().unwrap_or(0);
    if found == u64::from(FORMAT_VERSION) {
        Ok(())
    } else {
        Err(DatasetError::Version {
            file: path.display().to_string(),
            found,
            by: value["enachi_version"].as_str().unwrap_or("?").into(),
        })
    }
}

/// SHA-256 of a file, hex.
pub fn file_sha256(path: &Path) -> Result<String, DatasetError> {
    let mut file = std::fs::File::open(path).map_err(|e| DatasetError::io(path, e))?;
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash).map_err(|e| DatasetError::io(path, e))?;
    Ok(hex(&hash.finalize()))
}

/// SHA-256 of bytes, hex.
pub fn bytes_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tables that are read.
struct Wanted<'a> {
    folder: &'a Path,
    tables: &'a [&'a str],
}

impl Wanted<'_> {
    /// File of `table`, if it is one of them.
    fn path(&self, table: &str) -> Option<PathBuf> {
        let file = format!("{table}.parquet");
        let wanted = self.tables.contains(&file.as_str());
        wanted.then(|| self.folder.join(file))
    }

    fn read<R: Row>(&self, table: &str) -> Result<Vec<R>, DatasetError> {
        let mut rows = Vec::new();
        if let Some(path) = self.path(table) {
            read_batches(&path, |source| {
                rows.extend(R::rows(source)?);
                Ok(())
            })?;
        }
        Ok(rows)
    }
}

/// Append the `axis.` columns of a batch.
fn read_axes(source: &table::Source<'_>, axes: &mut Vec<AxisColumn>) -> Result<(), DatasetError> {
    let schema = source.batch.schema();
    let fields = schema.fields().iter().filter_map(|field| {
        let key = field.name().strip_prefix(AXIS_PREFIX)?;
        Some((key.to_owned(), field.data_type().clone()))
    });
    for (index, (key, kind)) in fields.enumerate() {
        let column = source.column(&format!("{AXIS_PREFIX}{key}"), &kind)?;
        if axes.len() == index {
            let values = match kind {
                DataType::Float64 => AxisValues::Number(Vec::new()),
                _ => AxisValues::Text(Vec::new()),
            };
            axes.push(AxisColumn { key, values });
        }
        for row in 0..source.len() {
            match &mut axes[index].values {
                AxisValues::Number(values) => {
                    values.push(Option::<f64>::get(column, row).flatten())
                }
                AxisValues::Text(values) => {
                    values.push(Option::<String>::get(column, row).flatten())
                }
            }
        }
    }
    Ok(())
}

/// What the name of an axis column begins with.
pub(crate) const AXIS_PREFIX: &str = "axis.";

#[cfg(test)]
mod tests {
    use super::of_point;

    #[test]
    fn rows_of_a_point_are_found_in_ascending_tables() {
        let rows = [(0, 'a'), (0, 'b'), (2, 'c'), (2, 'd'), (2, 'e'), (5, 'f')];
        for point in 0..7 {
            let expected: Vec<(u64, char)> =
                rows.iter().copied().filter(|row| row.0 == point).collect();
            assert_eq!(of_point(&rows, point, |row| row.0), expected);
        }
        assert!(of_point(&rows[..0], 1, |row| row.0).is_empty());
    }
}
