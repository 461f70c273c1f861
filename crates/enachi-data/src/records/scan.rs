//! Columns of large record files, a part of the rows at a time: only the columns asked for are read, row groups in
//! parallel, and never more than a batch per thread is in memory.

use super::RecordsError;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, UInt64Type};
use arrow_array::{Array, BooleanArray, Float64Array, Int32Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use rayon::prelude::*;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Rows of a batch.
const BATCH: usize = 16_384;
/// Parts into which the row groups of a file are split at most. Results are merged part by part, so that sums do not
/// depend on the number of threads.
const PARTS: usize = 16;

/// Reads `columns` of the Parquet file at `path` and folds its rows into one `T` per part of the file; the parts are
/// returned in the order of the rows, and are the same on any number of threads.
///
/// # Errors
/// When the file cannot be read, is damaged, or lacks a column; and what `fold` returns.
pub fn scan<T: Send>(
    path: &Path,
    columns: &[&'static str],
    start: impl Fn() -> T + Sync,
    fold: impl Fn(&mut T, &Batch<'_>) -> Result<(), RecordsError> + Sync,
) -> Result<Vec<T>, RecordsError> {
    let scanner = Scanner::open(path, columns)?;
    let groups = scanner.metadata.metadata().num_row_groups();
    let size = groups.div_ceil(PARTS).max(1);
    let parts: Vec<Vec<usize>> = (0..groups)
        .collect::<Vec<_>>()
        .chunks(size)
        .map(<[usize]>::to_vec)
        .collect();
    parts
        .into_par_iter()
        .map(|groups| {
            let mut part = start();
            scanner.read(groups, |batch| fold(&mut part, batch))?;
            Ok(part)
        })
        .collect()
}

/// Rows of the file at `path`, from its footer alone.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub fn row_count(path: &Path) -> Result<u64, RecordsError> {
    let scanner = Scanner::open(path, &[])?;
    let rows = scanner.metadata.metadata().file_metadata().num_rows();
    Ok(u64::try_from(rows).unwrap_or(0))
}

struct Scanner<'a> {
    name: String,
    path: &'a Path,
    metadata: ArrowReaderMetadata,
    columns: &'a [&'static str],
}

impl<'a> Scanner<'a> {
    fn open(path: &'a Path, columns: &'a [&'static str]) -> Result<Self, RecordsError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| RecordsError::Io {
            file: name.clone(),
            source,
        })?;
        let bad = |source| RecordsError::Parquet {
            file: name.clone(),
            source,
        };
        let plain = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).map_err(bad)?;
        // Names repeat over millions of rows: read them as numbers into a dictionary.
        let fields: Vec<_> = plain
            .schema()
            .fields()
            .iter()
            .map(|field| match field.data_type() {
                DataType::Utf8 if columns.contains(&field.name().as_str()) => {
                    let values = Box::new(DataType::Utf8);
                    let kind = DataType::Dictionary(Box::new(DataType::Int32), values);
                    Arc::new(field.as_ref().clone().with_data_type(kind))
                }
                _ => Arc::clone(field),
            })
            .collect();
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
        let metadata =
            ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options).map_err(bad)?;
        for column in columns {
            if metadata.schema().column_with_name(column).is_none() {
                return Err(RecordsError::Column {
                    file: name,
                    column,
                    reason: "is missing".into(),
                });
            }
        }
        Ok(Self {
            name,
            path,
            metadata,
            columns,
        })
    }

    fn read(
        &self,
        groups: Vec<usize>,
        mut each: impl FnMut(&Batch<'_>) -> Result<(), RecordsError>,
    ) -> Result<(), RecordsError> {
        let bad = |source| RecordsError::Parquet {
            file: self.name.clone(),
            source,
        };
        // A handle of its own: clones share their position, and threads would read each other's pages.
        let file = File::open(self.path).map_err(|source| RecordsError::Io {
            file: self.name.clone(),
            source,
        })?;
        let schema = self.metadata.metadata().file_metadata().schema_descr();
        let projection = ProjectionMask::columns(schema, self.columns.iter().copied());
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(groups)
                .with_projection(projection)
                .with_batch_size(BATCH)
                .build()
                .map_err(bad)?;
        for batch in reader {
            let batch = batch.map_err(|source| RecordsError::Arrow {
                file: self.name.clone(),
                source,
            })?;
            each(&Batch {
                file: &self.name,
                batch: &batch,
            })?;
        }
        Ok(())
    }
}

/// Some rows of the columns that were asked for.
pub struct Batch<'a> {
    pub(super) file: &'a str,
    pub(super) batch: &'a RecordBatch,
}

impl<'a> Batch<'a> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// An error about `column` of this file.
    pub fn fail<T>(
        &self,
        column: &'static str,
        reason: impl Into<String>,
    ) -> Result<T, RecordsError> {
        Err(RecordsError::Column {
            file: self.file.into(),
            column,
            reason: reason.into(),
        })
    }

    pub(super) fn column(
        &self,
        name: &'static str,
        kind: &DataType,
    ) -> Result<&'a dyn Array, RecordsError> {
        match self.batch.column_by_name(name) {
            None => self.fail(name, "is missing"),
            Some(column) if column.data_type() != kind => {
                self.fail(name, format!("is {}, not {kind}", column.data_type()))
            }
            Some(column) => Ok(column.as_ref()),
        }
    }

    fn whole(&self, name: &'static str, array: &dyn Array) -> Result<(), RecordsError> {
        if array.null_count() > 0 {
            return self.fail(name, "has a missing value");
        }
        Ok(())
    }

    /// A column of numbers without gaps.
    ///
    /// # Errors
    /// When it is not that.
    pub fn numbers(&self, name: &'static str) -> Result<&'a [f64], RecordsError> {
        let array: &Float64Array = self
            .column(name, &DataType::Float64)?
            .as_primitive::<Float64Type>();
        self.whole(name, array)?;
        Ok(array.values())
    }

    fn count_array(&self, name: &'static str) -> Result<&'a UInt64Array, RecordsError> {
        let array = self.column(name, &DataType::UInt64)?;
        Ok(array.as_primitive::<UInt64Type>())
    }

    /// A column of counts without gaps.
    ///
    /// # Errors
    /// When it is not that.
    pub fn counts(&self, name: &'static str) -> Result<&'a [u64], RecordsError> {
        let array = self.count_array(name)?;
        self.whole(name, array)?;
        Ok(array.values())
    }

    /// A column of counts, by row; `None` where one is missing.
    ///
    /// # Errors
    /// When it is not that.
    pub fn maybe_counts(
        &self,
        name: &'static str,
    ) -> Result<impl Fn(usize) -> Option<u64> + use<'a>, RecordsError> {
        let array = self.count_array(name)?;
        Ok(move |row| array.is_valid(row).then(|| array.value(row)))
    }

    /// A column of truth values without gaps, by row.
    ///
    /// # Errors
    /// When it is not that.
    pub fn flags(
        &self,
        name: &'static str,
    ) -> Result<impl Fn(usize) -> bool + use<'a>, RecordsError> {
        let array: &BooleanArray = self.column(name, &DataType::Boolean)?.as_boolean();
        self.whole(name, array)?;
        Ok(move |row| array.value(row))
    }

    /// A column of names.
    ///
    /// # Errors
    /// When it is not that.
    pub fn names(&self, name: &'static str) -> Result<NameColumn<'a>, RecordsError> {
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let array = self.column(name, &kind)?.as_dictionary::<Int32Type>();
        let values = array.values().as_string::<i32>();
        Ok(NameColumn {
            keys: array.keys(),
            names: values.iter().map(Option::unwrap_or_default).collect(),
        })
    }
}

/// Names, each row by its number in a list.
pub struct NameColumn<'a> {
    keys: &'a Int32Array,
    names: Vec<&'a str>,
}

impl<'a> NameColumn<'a> {
    /// The different names of this batch; some may not occur in it.
    pub fn different(&self) -> &[&'a str] {
        &self.names
    }

    /// Where row `row`'s name stands in [`NameColumn::different`]; `None` where it has none.
    pub fn key(&self, row: usize) -> Option<usize> {
        self.keys
            .is_valid(row)
            .then(|| self.keys.value(row) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;
    use arrow_schema::Field;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    const GROUPS: u64 = 50;
    const ROWS: u64 = 2000;

    /// A file of many row groups, so that several threads read it at once.
    fn file(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("rows.parquet");
        let fields = vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("count", DataType::UInt64, true),
            Field::new("number", DataType::Float64, true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(ROWS as usize))
            .build();
        let out = File::create(&path).expect("created");
        let mut writer =
            ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties)).expect("a writer");
        for group in 0..GROUPS {
            let counts = (group * ROWS)..((group + 1) * ROWS);
            let names: Vec<String> = counts.clone().map(|c| format!("n{}", c % 7)).collect();
            let batch = RecordBatch::try_new(
                Arc::clone(&schema),
                vec![
                    Arc::new(StringArray::from(names)),
                    Arc::new(UInt64Array::from_iter_values(counts.clone())),
                    Arc::new(Float64Array::from_iter_values(counts.map(|c| c as f64))),
                ],
            )
            .expect("columns of one length");
            writer.write(&batch).expect("written");
        }
        writer.close().expect("closed");
        path
    }

    #[test]
    fn every_row_is_seen_once_and_in_order_whatever_the_threads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path());
        assert_eq!(row_count(&path).expect("a footer"), GROUPS * ROWS);
        let parts = scan(
            &path,
            &["name", "count", "number"],
            Vec::new,
            |rows, batch| {
                let (names, counts) = (batch.names("name")?, batch.counts("count")?);
                let numbers = batch.numbers("number")?;
                for row in 0..batch.rows() {
                    let name = names.key(row).map(|key| names.different()[key].to_owned());
                    assert_eq!(name, Some(format!("n{}", counts[row] % 7)));
                    assert_eq!(numbers[row], counts[row] as f64);
                    rows.push(counts[row]);
                }
                Ok(())
            },
        )
        .expect("readable");
        assert!(parts.len() > 4 && parts.len() <= PARTS);
        assert!(parts.concat().into_iter().eq(0..GROUPS * ROWS));
    }

    #[test]
    fn a_missing_column_or_another_type_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path());
        let error = scan(&path, &["power"], || (), |_, _| Ok(())).expect_err("no such column");
        assert!(
            error.to_string().contains("column `power` is missing"),
            "{error}"
        );
        let wrong = scan(
            &path,
            &["count"],
            || (),
            |_, batch| batch.numbers("count").map(|_| ()),
        );
        let error = wrong.expect_err("another type");
        assert!(
            error
                .to_string()
                .contains("column `count` is UInt64, not Float64"),
            "{error}"
        );
    }
}
