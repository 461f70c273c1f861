//! Records of a run on disk: Parquet, CSV and JSON lines, with units in the column names.
//!
//! One table of columns serves all formats. Rows are written in the order given; the same rows give the same bytes.

mod columns;
mod lines;
mod read;
pub mod scan;
mod text;

use arrow_array::builder::{BooleanBuilder, Float64Builder, StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use columns::{Cell, Table};
use enachi_core::record::{FrameRecord, Names, SlotRecord};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

pub use lines::lines_to_parquet;
pub use read::{read_frames, read_frames_bytes};

/// Rows that are turned into columns at a time.
const BATCH: usize = 65_536;

/// File formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet, zstd.
    Parquet,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

impl Format {
    /// Usual ending of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }
}

/// Records that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The file system refused.
    #[error("{file}: {source}")]
    Io {
        /// File.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not Parquet, or damaged.
    #[error("{file}: not a readable Parquet file: {source}")]
    Parquet {
        /// File.
        file: String,
        /// Why.
        source: ParquetError,
    },
    /// Columns cannot be built.
    #[error("{file}: {source}")]
    Arrow {
        /// File.
        file: String,
        /// Why.
        source: ArrowError,
    },
    /// Not the JSON lines of these records.
    #[error("{file}, line {line}: not a record: {reason}")]
    Line {
        /// File.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Parquet, but not these records.
    #[error("{file}: not the records of a run: column `{column}` {reason}")]
    Column {
        /// File.
        file: String,
        /// Column.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Write device-frames to `path`.
pub fn write_frames(
    path: &Path,
    format: Format,
    names: &Names,
    rows: &[FrameRecord],
) -> Result<(), RecordsError> {
    write(
        path,
        format,
        &columns::in_use(columns::frames(names), rows),
        rows,
    )
}

/// Append device-frames to `out` as JSON lines, so that a program which is killed leaves whole lines.
pub fn append_frames(
    out: &mut impl Write,
    names: &Names,
    rows: &[FrameRecord],
) -> std::io::Result<()> {
    let table = columns::in_use(columns::frames(names), rows);
    let mut lines = Vec::new();
    text::json_lines(&mut lines, &table, rows)?;
    out.write_all(&lines)
}

/// Write slots to `path`.
pub fn write_slots(
    path: &Path,
    format: Format,
    names: &Names,
    rows: &[SlotRecord],
) -> Result<(), RecordsError> {
    write(path, format, &columns::slots(names), rows)
}

fn write<R>(path: &Path, format: Format, table: &Table<R>, rows: &[R]) -> Result<(), RecordsError> {
    let io = |source| RecordsError::Io {
        file: path.display().to_string(),
        source,
    };
    let file = std::fs::File::create(path).map_err(io)?;
    let mut out = BufWriter::new(file);
    match format {
        Format::Parquet => parquet(&mut out, path, table, rows)?,
        Format::Csv => text::csv(&mut out, table, rows).map_err(io)?,
        Format::JsonLines => text::json_lines(&mut out, table, rows).map_err(io)?,
    }
    out.flush().map_err(io)
}

fn parquet<R>(
    out: &mut (impl Write + Send),
    path: &Path,
    table: &Table<R>,
    rows: &[R],
) -> Result<(), RecordsError> {
    let mut writer = ParquetFile::new(out, path, table)?;
    for part in rows.chunks(BATCH) {
        writer.write(table, part)?;
    }
    writer.close()
}

/// A Parquet file that is written batch by batch.
struct ParquetFile<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    file: String,
}

impl<W: Write + Send> ParquetFile<W> {
    fn new<R>(out: W, path: &Path, table: &Table<R>) -> Result<Self, RecordsError> {
        let file = path.display().to_string();
        let bad = |source| RecordsError::Parquet {
            file: file.clone(),
            source,
        };
        let fields: Vec<Field> = table
            .iter()
            .map(|column| Field::new(column.name, data_type(column.kind), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let level = ZstdLevel::try_new(3).map_err(bad)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by("enachi".into())
            .build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(bad)?;
        Ok(Self {
            writer,
            schema,
            file,
        })
    }

    fn bad(&self, source: ParquetError) -> RecordsError {
        RecordsError::Parquet {
            file: self.file.clone(),
            source,
        }
    }

    /// `table` has the columns that the file was begun with.
    fn write<R>(&mut self, table: &Table<R>, rows: &[R]) -> Result<(), RecordsError> {
        let arrays = table.iter().map(|column| array(column, rows)).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), arrays);
        let batch = batch.map_err(|source| RecordsError::Arrow {
            file: self.file.clone(),
            source,
        })?;
        self.writer.write(&batch).map_err(|e| self.bad(e))
    }

    fn close(self) -> Result<(), RecordsError> {
        let Self { writer, file, .. } = self;
        let closed = writer.close();
        closed.map_err(|source| RecordsError::Parquet { file, source })?;
        Ok(())
    }
}

fn data_type(kind: columns::Kind) -> DataType {
    match kind {
        columns::Kind::Text => DataType::Utf8,
        columns::Kind::Count => DataType::UInt64,
        columns::Kind::Number => DataType::Float64,
        columns::Kind::Flag => DataType::Boolean,
    }
}

fn array<R>(column: &columns::Column<'_, R>, rows: &[R]) -> ArrayRef {
    let cells = rows.iter().map(|row| (column.cell)(row));
    // A cell of another kind than its column is written as missing; columns.rs holds no such column (tested).
    match column.kind {
        columns::Kind::Text => {
            let mut builder = StringBuilder::new();
            cells.for_each(|cell| match cell {
                Cell::Text(text) => builder.append_value(text),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        columns::Kind::Count => {
            let mut builder = UInt64Builder::with_capacity(rows.len());
            cells.for_each(|cell| match cell {
                Cell::Count(count) => builder.append_value(count),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        columns::Kind::Number => {
            let mut builder = Float64Builder::with_capacity(rows.len());
            cells.for_each(|cell| match cell {
                Cell::Number(number) => builder.append_value(number),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        columns::Kind::Flag => {
            let mut builder = BooleanBuilder::with_capacity(rows.len());
            cells.for_each(|cell| match cell {
                Cell::Flag(flag) => builder.append_value(flag),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
    }
}
