//! Gain traces: channel power gains of devices over time, from CSV or Parquet.
//!
//! One row per device and step, in any interleaving of devices, in order of time within a device, on a regular grid from
//! time 0. Columns: `device` (from 0); `slot` (from the start of the run) or `time_s`; `gain` or `gain_db`; optionally
//! `mean_gain` or `mean_gain_db`, the gain without small-scale fading. Other columns are ignored.

mod table;

use arrow_array::builder::{Float64Builder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Most rows of a trace, all devices together.
const MAX_ROWS: u64 = 200_000_000;
/// Most devices.
const MAX_DEVICES: usize = 100_000;
/// How far a step from row to row may be off the first, as a share of it: times are printed with few digits.
const JITTER: f64 = 0.1;

/// Time from one row of a device to its next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TraceStep {
    /// So many slots.
    Slots(u32),
    /// So many seconds.
    Seconds(f64),
}

/// Gains by device and step. A gain holds from its time to that of the next row.
#[derive(Clone, Debug, PartialEq)]
pub struct GainTrace {
    /// Time from row to row.
    pub step: TraceStep,
    /// Power gains, by device; equally many each.
    pub gains: Vec<Vec<f64>>,
    /// Gains without small-scale fading, where the trace has them.
    pub mean_gains: Option<Vec<Vec<f64>>>,
}

/// A trace that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TraceFileError {
    /// The file system refused.
    #[error("{file}: {source}")]
    Io {
        /// File.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Neither CSV nor Parquet by its name.
    #[error("{file}: must end in .csv or .parquet")]
    Name {
        /// File.
        file: String,
    },
    /// Not readable as what its name says.
    #[error("{file}: not a readable {kind} file: {reason}")]
    Format {
        /// File.
        file: String,
        /// CSV or Parquet.
        kind: &'static str,
        /// Why.
        reason: String,
    },
    /// Columns are missing or contradict each other.
    #[error("{file}: column {column}: {reason}")]
    Column {
        /// File.
        file: String,
        /// Column, or the choice of columns.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value out of range. Rows are lines of a CSV file (the header is line 1) and count from 1 in Parquet.
    #[error("{file}: row {row}: {column} = {value}: must be {allowed}")]
    Value {
        /// File.
        file: String,
        /// Row.
        row: u64,
        /// Column.
        column: String,
        /// Value.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// Devices whose rows end early, or none at all.
    #[error("{file}: {reason}")]
    Rows {
        /// File.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// Which columns a trace has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    time: &'static str,
    gain: &'static str,
    mean: Option<&'static str>,
}

impl Columns {
    /// From the names of a file's columns.
    fn find<'a>(
        file: &str,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, TraceFileError> {
        let one_of = |choice: [&'static str; 2], required: bool| {
            let mut found = choice
                .into_iter()
                .filter(|name| names.clone().any(|known| known == *name));
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => Err(TraceFileError::Column {
                    file: file.into(),
                    column: format!("`{}`, `{}`", choice[0], choice[1]),
                    reason: "must be one of the two, not both".into(),
                }),
                (None, _) if required => Err(TraceFileError::Column {
                    file: file.into(),
                    column: format!("`{}` or `{}`", choice[0], choice[1]),
                    reason: format!(
                        "is missing; there are {}",
                        names.clone().collect::<Vec<_>>().join(", ")
                    ),
                }),
                (found, _) => Ok(found),
            }
        };
        if !names.clone().any(|name| name == "device") {
            return Err(TraceFileError::Column {
                file: file.into(),
                column: "`device`".into(),
                reason: format!(
                    "is missing; there are {}",
                    names.clone().collect::<Vec<_>>().join(", ")
                ),
            });
        }
        Ok(Self {
            time: one_of(["slot", "time_s"], true)?.unwrap_or("slot"),
            gain: one_of(["gain", "gain_db"], true)?.unwrap_or("gain"),
            mean: one_of(["mean_gain", "mean_gain_db"], false)?,
        })
    }
}

/// One row as it stands in the file.
#[derive(Clone, Copy, Debug)]
struct Row {
    number: u64,
    device: f64,
    time: f64,
    gain: f64,
    mean: f64,
}

/// Checks rows as they come and keeps them.
struct Builder<'a> {
    file: &'a str,
    columns: Columns,
    /// Step, once a device has two rows.
    step: Option<f64>,
    gains: Vec<Vec<f64>>,
    means: Vec<Vec<f64>>,
    /// Time of each device's last row.
    last: Vec<f64>,
    rows: u64,
}

impl<'a> Builder<'a> {
    fn new(file: &'a str, columns: Columns) -> Self {
        Self {
            file,
            columns,
            step: None,
            gains: Vec::new(),
            means: Vec::new(),
            last: Vec::new(),
            rows: 0,
        }
    }

    fn refuse<T>(
        &self,
        row: u64,
        column: &str,
        value: f64,
        allowed: String,
    ) -> Result<T, TraceFileError> {
        Err(TraceFileError::Value {
            file: self.file.into(),
            row,
            column: column.into(),
            value: value.to_string(),
            allowed,
        })
    }

    fn gain(&self, row: u64, column: &str, value: f64) -> Result<f64, TraceFileError> {
        if column.ends_with("_db") {
            if (-400.0..=0.0).contains(&value) {
                return Ok(10f64.powf(value / 10.0));
            }
            let allowed = "in -400..=0; a path loss of 90 dB is a gain of -90";
            return self.refuse(row, column, value, allowed.into());
        }
        if value > 0.0 && value <= 1.0 {
            return Ok(value);
        }
        self.refuse(row, column, value, "above 0 and at most 1".into())
    }

    fn push(&mut self, row: Row) -> Result<(), TraceFileError> {
        self.rows += 1;
        if self.rows > MAX_ROWS {
            return Err(TraceFileError::Rows {
                file: self.file.into(),
                reason: format!("more than {MAX_ROWS} rows"),
            });
        }
        let known = self.gains.len();
        let whole = row.device >= 0.0 && row.device.fract() == 0.0;
        if !whole || row.device > known.min(MAX_DEVICES - 1) as f64 {
            let allowed = format!("a whole number in 0..={known}, as devices begin in order");
            return self.refuse(row.number, "device", row.device, allowed);
        }
        let device = row.device as usize;
        if device == known {
            self.gains.push(Vec::new());
            self.means.push(Vec::new());
            self.last.push(0.0);
        }
        let index = self.gains[device].len();
        self.time(&row, device, index)?;
        self.last[device] = row.time;
        let gain = self.gain(row.number, self.columns.gain, row.gain)?;
        if let Some(column) = self.columns.mean {
            let mean = self.gain(row.number, column, row.mean)?;
            self.means[device].push(mean);
        }
        self.gains[device].push(gain);
        Ok(())
    }

    /// Rows lie on a grid from time 0, one device as the other.
    fn time(&mut self, row: &Row, device: usize, index: usize) -> Result<(), TraceFileError> {
        let column = self.columns.time;
        let refuse = |allowed: String| self.refuse(row.number, column, row.time, allowed);
        if !(row.time.is_finite() && row.time >= 0.0) {
            return refuse("finite and at least 0".into());
        }
        if column == "slot" && (row.time.fract() != 0.0 || row.time > f64::from(u32::MAX)) {
            return refuse(format!("a whole number in 0..={}", u32::MAX));
        }
        match (index, self.step) {
            (0, _) if row.time > 0.0 => refuse(format!("0 in the first row of device {device}")),
            (0, _) => Ok(()),
            (1, None) if row.time > 0.0 => {
                self.step = Some(row.time);
                Ok(())
            }
            (1, None) => refuse("above 0 in the second row of a device".into()),
            (_, step) => {
                let step = step.unwrap_or(0.0);
                let expected = self.last[device] + step;
                if (row.time - expected).abs() > JITTER * step {
                    return refuse(format!(
                        "{expected} in row {} of device {device}: rows are in order of time, {step} apart and without gaps",
                        index + 1
                    ));
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<GainTrace, TraceFileError> {
        let refuse = |reason: String| {
            Err(TraceFileError::Rows {
                file: self.file.into(),
                reason,
            })
        };
        let Some(step) = self.step else {
            return refuse(format!(
                "{} rows: must be at least two rows of every device",
                self.rows
            ));
        };
        let rows = self.gains[0].len();
        for (device, gains) in self.gains.iter().enumerate() {
            if gains.len() != rows {
                return refuse(format!(
                    "device {device} has {} rows: must be {rows}, as many as device 0",
                    gains.len()
                ));
            }
        }
        Ok(GainTrace {
            step: match self.columns.time {
                "slot" => TraceStep::Slots(step as u32),
                // Over all rows: the first step alone carries the rounding of one printed time.
                _ => TraceStep::Seconds(self.last[0] / (rows - 1) as f64),
            },
            mean_gains: self.columns.mean.map(|_| self.means),
            gains: self.gains,
        })
    }
}

impl GainTrace {
    /// Read a file whose name ends in `.csv` or `.parquet`.
    pub fn read(path: &Path) -> Result<Self, TraceFileError> {
        match extension(path).as_str() {
            "csv" => table::read_csv(path),
            "parquet" => table::read_parquet(path),
            _ => Err(TraceFileError::Name {
                file: path.display().to_string(),
            }),
        }
    }

    /// Rows of every device.
    pub fn rows(&self) -> usize {
        self.gains.first().map_or(0, Vec::len)
    }
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

/// One row to be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceRow {
    /// Device from 0.
    pub device: u32,
    /// Slot from the start of the run.
    pub slot: u64,
    /// Power gain of the slot.
    pub gain: f64,
    /// Power gain without small-scale fading.
    pub mean_gain: f64,
}

/// Writes a trace, some rows at a time.
pub struct TraceWriter {
    file: String,
    out: Out,
}

enum Out {
    Csv(BufWriter<File>),
    Parquet(Box<ArrowWriter<File>>, Arc<Schema>),
}

impl TraceWriter {
    /// A new file whose name ends in `.csv` or `.parquet`.
    pub fn create(path: &Path) -> Result<Self, TraceFileError> {
        let file = path.display().to_string();
        let extension = extension(path);
        if !["csv", "parquet"].contains(&extension.as_str()) {
            return Err(TraceFileError::Name { file });
        }
        let io = |source| TraceFileError::Io {
            file: file.clone(),
            source,
        };
        let handle = File::create(path).map_err(io)?;
        let out = if extension == "csv" {
            let mut out = BufWriter::new(handle);
            writeln!(out, "device,slot,gain,mean_gain").map_err(io)?;
            Out::Csv(out)
        } else {
            let field = |name, kind| Field::new(name, kind, false);
            let schema = Arc::new(Schema::new(vec![
                field("device", DataType::UInt64),
                field("slot", DataType::UInt64),
                field("gain", DataType::Float64),
                field("mean_gain", DataType::Float64),
            ]));
            let bad = |error: parquet::errors::ParquetError| parquet_error(&file, &error);
            let level = ZstdLevel::try_new(3).map_err(bad)?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(level))
                .set_created_by("enachi".into())
                .build();
            let writer = ArrowWriter::try_new(handle, schema.clone(), Some(properties));
            Out::Parquet(Box::new(writer.map_err(bad)?), schema)
        };
        Ok(Self { file, out })
    }

    /// Append rows.
    pub fn write(&mut self, rows: &[TraceRow]) -> Result<(), TraceFileError> {
        match &mut self.out {
            Out::Csv(out) => {
                for row in rows {
                    let TraceRow {
                        device,
                        slot,
                        gain,
                        mean_gain,
                    } = row;
                    writeln!(out, "{device},{slot},{gain:e},{mean_gain:e}").map_err(|source| {
                        TraceFileError::Io {
                            file: self.file.clone(),
                            source,
                        }
                    })?;
                }
            }
            Out::Parquet(writer, schema) => {
                let count = |get: &dyn Fn(&TraceRow) -> u64| -> ArrayRef {
                    let mut builder = UInt64Builder::with_capacity(rows.len());
                    rows.iter().for_each(|row| builder.append_value(get(row)));
                    Arc::new(builder.finish())
                };
                let number = |get: &dyn Fn(&TraceRow) -> f64| -> ArrayRef {
                    let mut builder = Float64Builder::with_capacity(rows.len());
                    rows.iter().for_each(|row| builder.append_value(get(row)));
                    Arc::new(builder.finish())
                };
                let arrays = vec![
                    count(&|row| row.device.into()),
                    count(&|row| row.slot),
                    number(&|row| row.gain),
                    number(&|row| row.mean_gain),
                ];
                let batch = RecordBatch::try_new(schema.clone(), arrays)
                    .map_err(|error| parquet_error(&self.file, &error))?;
                writer
                    .write(&batch)
                    .map_err(|error| parquet_error(&self.file, &error))?;
            }
        }
        Ok(())
    }

    /// Finish the file.
    pub fn finish(self) -> Result<(), TraceFileError> {
        match self.out {
            Out::Csv(mut out) => out.flush().map_err(|source| TraceFileError::Io {
                file: self.file,
                source,
            }),
            Out::Parquet(writer, _) => match writer.close() {
                Ok(_) => Ok(()),
                Err(error) => Err(parquet_error(&self.file, &error)),
            },
        }
    }
}

fn parquet_error(file: &str, error: &dyn std::fmt::Display) -> TraceFileError {
    TraceFileError::Format {
        file: file.into(),
        kind: "Parquet",
        reason: error.to_string(),
    }
}
