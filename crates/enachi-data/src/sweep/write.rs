//! Writing a dataset point by point.

use super::table::{Row, TableWriter, Value};
use super::{
    AXIS_PREFIX, AxisColumn, AxisValues, CurveRow, CutRow, DatasetError, DeviceRow, ExampleRow,
    FileInfo, HistogramRow, MANIFEST_FILE, Manifest, OracleRow, PairRow, PointRow, SeedRow,
    SlotRow, TABLES, TrajectoryRow, file_sha256,
};
use arrow_schema::DataType;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// All rows of one point.
#[derive(Clone, Debug, Default)]
pub struct PointTables {
    /// One per policy.
    pub points: Vec<PointRow>,
    /// What the axes set, aligned with `points`; the same keys, in the same order, at every point.
    pub axes: Vec<AxisColumn>,
    /// One per policy and seed.
    pub seeds: Vec<SeedRow>,
    /// One per ordered pair of policies.
    pub pairs: Vec<PairRow>,
    /// One per policy and cut.
    pub cuts: Vec<CutRow>,
    /// Histograms.
    pub histograms: Vec<HistogramRow>,
    /// Windows of frames.
    pub trajectories: Vec<TrajectoryRow>,
    /// One per policy, seed and device.
    pub devices: Vec<DeviceRow>,
    /// One per policy.
    pub examples: Vec<ExampleRow>,
    /// Their slots.
    pub slots: Vec<SlotRow>,
    /// One per policy, where the upper bound was asked for.
    pub oracle: Vec<OracleRow>,
}

/// A dataset being written. Nothing of an older one in the folder is touched before [`DatasetWriter::finish`].
pub struct DatasetWriter {
    folder: PathBuf,
    /// In the order of [`TABLES`].
    tables: Vec<TableWriter>,
}

impl DatasetWriter {
    /// Start a dataset in `folder`, whose points have an `axis.` column for each of `axes` (key, whether it is a number).
    pub fn create(folder: &Path, axes: &[(String, bool)]) -> Result<Self, DatasetError> {
        let mut points = columns::<PointRow>();
        for (index, (key, number)) in axes.iter().enumerate() {
            let kind = if *number {
                DataType::Float64
            } else {
                DataType::Utf8
            };
            // Behind sweep and point.
            points.insert(2 + index, (format!("{AXIS_PREFIX}{key}"), kind));
        }
        let columns = [
            points,
            columns::<SeedRow>(),
            columns::<PairRow>(),
            columns::<CutRow>(),
            columns::<HistogramRow>(),
            columns::<TrajectoryRow>(),
            columns::<DeviceRow>(),
            columns::<ExampleRow>(),
            columns::<SlotRow>(),
            columns::<OracleRow>(),
            columns::<CurveRow>(),
        ];
        let tables = TABLES
            .iter()
            .zip(columns)
            .map(|(name, columns)| TableWriter::create(temporary(&folder.join(name)), columns))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            folder: folder.into(),
            tables,
        })
    }

    /// Append a point.
    pub fn point(&mut self, of: &PointTables) -> Result<(), DatasetError> {
        let mut points = PointRow::arrays(&of.points);
        for (index, axis) in of.axes.iter().enumerate() {
            let array = match &axis.values {
                AxisValues::Number(values) => Option::<f64>::array(values.iter()),
                AxisValues::Text(values) => Option::<String>::array(values.iter()),
            };
            points.insert(2 + index, array);
        }
        let arrays = [
            points,
            SeedRow::arrays(&of.seeds),
            PairRow::arrays(&of.pairs),
            CutRow::arrays(&of.cuts),
            HistogramRow::arrays(&of.histograms),
            TrajectoryRow::arrays(&of.trajectories),
            DeviceRow::arrays(&of.devices),
            ExampleRow::arrays(&of.examples),
            SlotRow::arrays(&of.slots),
            OracleRow::arrays(&of.oracle),
        ];
        for (table, arrays) in self.tables.iter_mut().zip(arrays) {
            table.append(arrays)?;
        }
        Ok(())
    }

    /// Append the curves of the profiles and publish everything: tables first, the manifest, completed with their checksums,
    /// last.
    pub fn finish(
        mut self,
        curves: &[CurveRow],
        mut manifest: Manifest,
    ) -> Result<Manifest, DatasetError> {
        if let Some(table) = self.tables.last_mut() {
            table.append(CurveRow::arrays(curves))?;
        }
        for (name, table) in TABLES.iter().zip(std::mem::take(&mut self.tables)) {
            let rows = table.finish()?;
            let sha256 = file_sha256(&temporary(&self.folder.join(name)))?;
            manifest
                .files
                .insert((*name).into(), FileInfo { sha256, rows });
        }
        for name in TABLES {
            let path = self.folder.join(name);
            std::fs::rename(temporary(&path), &path).map_err(|e| DatasetError::io(&path, e))?;
        }
        let path = self.folder.join(MANIFEST_FILE);
        let text =
            serde_json::to_string_pretty(&manifest).map_err(|e| DatasetError::damaged(&path, e))?;
        write_atomically(&path, (text + "\n").as_bytes())?;
        Ok(manifest)
    }
}

impl Drop for DatasetWriter {
    /// Tables that were not published are of no use to anyone; published ones have their names by now.
    fn drop(&mut self) {
        for name in TABLES {
            let _ = std::fs::remove_file(temporary(&self.folder.join(name)));
        }
    }
}

fn columns<R: Row>() -> Vec<(String, DataType)> {
    let named = R::columns().into_iter();
    named.map(|(name, kind)| (name.to_owned(), kind)).collect()
}

/// The name that `path` has until it is whole; of this process alone, so that two may merge at a time. Processes in containers
/// and on several machines may have the same number.
fn temporary(path: &Path) -> PathBuf {
    static TAG: OnceLock<String> = OnceLock::new();
    let tag = TAG.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        format!(
            "{}-{:x}",
            std::process::id(),
            since.unwrap_or_default().as_nanos()
        )
    });
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{tag}.tmp"));
    path.with_file_name(name)
}

/// Write `path` so that it is there as a whole or not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), DatasetError> {
    let io = |e| DatasetError::io(path, e);
    // Threads may write the same file at a time.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let during = temporary(path).with_extension(format!("{number}.tmp"));
    let written = File::create(&during)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&during, path));
    if written.is_err() {
        // Half a file is of no use to anyone; what matters is the error that made it.
        let _ = std::fs::remove_file(&during);
    }
    written.map_err(io)
}
