//! Plain structs as rows of Parquet files, both ways: one declaration gives the columns, the writer and the reader.

use super::DatasetError;
use arrow_array::builder::{BooleanBuilder, Float64Builder, StringBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows in a row group: bounds the memory of a writer.
const ROW_GROUP: usize = 65_536;

/// A struct that is a row of some table.
pub trait Row: Sized {
    /// Names of its columns and what they hold, in order.
    fn columns() -> Vec<(&'static str, DataType)>;
    /// One array per column.
    fn arrays(rows: &[Self]) -> Vec<ArrayRef>;
    /// The rows of `source`.
    fn rows(source: &Source<'_>) -> Result<Vec<Self>, DatasetError>;
}

/// Declares a struct that is a [`Row`].
macro_rules! row {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        pub struct $name {
            $($(#[$about])* pub $field: $kind,)*
        }

        impl $name {
            /// Names of the columns, in order.
            pub const COLUMNS: &[&str] = &[$(stringify!($field),)*];
        }

        impl $crate::sweep::table::Row for $name {
            fn columns() -> Vec<(&'static str, arrow_schema::DataType)> {
                vec![$((stringify!($field), <$kind as $crate::sweep::table::Value>::kind()),)*]
            }

            fn arrays(rows: &[Self]) -> Vec<arrow_array::ArrayRef> {
                use $crate::sweep::table::Value;
                vec![$(<$kind>::array(rows.iter().map(|row| &row.$field)),)*]
            }

            fn rows(source: &$crate::sweep::table::Source<'_>) -> Result<Vec<Self>, $crate::sweep::DatasetError> {
                use $crate::sweep::table::Value;
                $(let $field = source.column(stringify!($field), &<$kind>::kind())?;)*
                (0..source.len())
                    .map(|row| Ok(Self {
                        $($field: source.must(stringify!($field), <$kind>::get($field, row))?,)*
                    }))
                    .collect()
            }
        }
    };
}
pub(crate) use row;

/// A type that a column can hold.
pub trait Value: Sized {
    /// What the column is.
    fn kind() -> DataType;
    /// A column of `values`.
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef
    where
        Self: 'a;
    /// The value in `row` of a column of this kind; `None` where it is missing and must not be.
    fn get(column: &dyn Array, row: usize) -> Option<Self>;
}

impl Value for String {
    fn kind() -> DataType {
        DataType::Utf8
    }
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = StringBuilder::new();
        values.for_each(|value| builder.append_value(value));
        Arc::new(builder.finish())
    }
    fn get(column: &dyn Array, row: usize) -> Option<Self> {
        column
            .is_valid(row)
            .then(|| column.as_string::<i32>().value(row).to_owned())
    }
}

impl Value for Option<String> {
    fn kind() -> DataType {
        DataType::Utf8
    }
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = StringBuilder::new();
        values.for_each(|value| builder.append_option(value.as_deref()));
        Arc::new(builder.finish())
    }
    fn get(column: &dyn Array, row: usize) -> Option<Self> {
        Some(String::get(column, row))
    }
}

impl Value for u64 {
    fn kind() -> DataType {
        DataType::UInt64
    }
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = UInt64Builder::new();
        values.for_each(|value| builder.append_value(*value));
        Arc::new(builder.finish())
    }
    fn get(column: &dyn Array, row: usize) -> Option<Self> {
        let column = column.as_primitive::<UInt64Type>();
        column.is_valid(row).then(|| column.value(row))
    }
}

/// NaN is written as a missing value and read back from one.
impl Value for f64 {
    fn kind() -> DataType {
        DataType::Float64
    }
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = Float64Builder::new();
        values.for_each(|value| builder.append_option((!value.is_nan()).then_some(*value)));
        Arc::new(builder.finish())
    }
    fn get(column: &dyn Array, row: usize) -> Option<Self> {
        Some(Option::<f64>::get(column, row)?.unwrap_or(f64::NAN))
    }
}

impl Value for Option<f64> {
    fn kind() -> DataType {
        DataType::Float64
    }
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = Float64Builder::new();
        values.for_each(|value| builder.append_option(*value));
        Arc::new(builder.finish())
    }
    fn get(column: &dyn Array, row: usize) -> Option<Self> {
        let column = column.as_primitive::<Float64Type>();
        Some(column.is_valid(row).then(|| column.value(row)))
    }
}

impl Value for bool {
    fn kind() -> DataType {
        DataType::Boolean
    }
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = BooleanBuilder::new();
        values.for_each(|value| builder.append_value(*value));
        Arc::new(builder.finish())
    }
    fn get(column: &dyn Array, row: usize) -> Option<Self> {
        column.is_valid(row).then(|| column.as_boolean().value(row))
    }
}

/// Rows being read.
pub struct Source<'a> {
    /// The file, for errors.
    pub file: &'a Path,
    /// What was read of it.
    pub batch: &'a RecordBatch,
}

impl<'a> Source<'a> {
    /// Rows.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// The column called `name`, which must hold `kind`.
    pub fn column(&self, name: &str, kind: &DataType) -> Result<&'a dyn Array, DatasetError> {
        let fail = |reason: String| DatasetError::Damaged {
            file: self.file.display().to_string(),
            reason: format!("column `{name}` {reason}"),
        };
        let column = self
            .batch
            .column_by_name(name)
            .ok_or_else(|| fail("is missing".into()))?;
        if column.data_type() == kind {
            Ok(column.as_ref())
        } else {
            Err(fail(format!("is {}, not {kind}", column.data_type())))
        }
    }

    /// A value that must be there.
    pub fn must<T>(&self, name: &str, value: Option<T>) -> Result<T, DatasetError> {
        value.ok_or_else(|| DatasetError::Damaged {
            file: self.file.display().to_string(),
            reason: format!("column `{name}` has a missing value"),
        })
    }
}

/// A table being written, under a temporary name until [`TableWriter::finish`].
pub struct TableWriter {
    writer: ArrowWriter<File>,
    schema: Arc<Schema>,
    path: PathBuf,
    rows: u64,
}

impl TableWriter {
    /// Start `path`.
    pub fn create(path: PathBuf, columns: Vec<(String, DataType)>) -> Result<Self, DatasetError> {
        let fields: Vec<Field> = columns
            .into_iter()
            .map(|(name, kind)| Field::new(name, kind, true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let level = ZstdLevel::try_new(3).map_err(|e| DatasetError::parquet(&path, e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by("enachi".into())
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let file = File::create(&path).map_err(|e| DatasetError::io(&path, e))?;
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|e| DatasetError::parquet(&path, e))?;
        Ok(Self {
            writer,
            schema,
            path,
            rows: 0,
        })
    }

    /// Append rows, given as one array per column.
    pub fn append(&mut self, arrays: Vec<ArrayRef>) -> Result<(), DatasetError> {
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)
            .map_err(|e| DatasetError::parquet(&self.path, e.into()))?;
        self.rows += batch.num_rows() as u64;
        self.writer
            .write(&batch)
            .map_err(|e| DatasetError::parquet(&self.path, e))
    }

    /// Write the end and make sure that it is on the disk. Returns the rows written.
    pub fn finish(self) -> Result<u64, DatasetError> {
        let path = self.path;
        let file = self
            .writer
            .into_inner()
            .map_err(|e| DatasetError::parquet(&path, e))?;
        file.sync_all().map_err(|e| DatasetError::io(&path, e))?;
        Ok(self.rows)
    }
}

/// Every batch of `path`, one after the other.
pub fn read_batches(
    path: &Path,
    mut each: impl FnMut(&Source<'_>) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let file = File::open(path).map_err(|e| DatasetError::io(path, e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(ROW_GROUP).build())
        .map_err(|e| DatasetError::parquet(path, e))?;
    for batch in reader {
        let batch = batch.map_err(|e| DatasetError::parquet(path, e.into()))?;
        each(&Source {
            file: path,
            batch: &batch,
        })?;
    }
    Ok(())
}
