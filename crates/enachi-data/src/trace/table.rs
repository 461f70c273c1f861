//! Rows of a trace out of CSV and Parquet.

use super::{Builder, Columns, GainTrace, Row, TraceFileError, parquet_error};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::Path;

fn open(path: &Path) -> Result<(String, File), TraceFileError> {
    let file = path.display().to_string();
    match File::open(path) {
        Ok(handle) => Ok((file, handle)),
        Err(source) => Err(TraceFileError::Io { file, source }),
    }
}

pub(super) fn read_csv(path: &Path) -> Result<GainTrace, TraceFileError> {
    let (file, handle) = open(path)?;
    let bad = |error: csv::Error| TraceFileError::Format {
        file: file.clone(),
        kind: "CSV",
        reason: error.to_string(),
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(handle);
    let header = reader.headers().map_err(bad)?.clone();
    let columns = Columns::find(&file, header.iter())?;
    let at = |name: &str| header.iter().position(|known| known == name);
    let places = [
        ("device", at("device")),
        (columns.time, at(columns.time)),
        (columns.gain, at(columns.gain)),
        ("mean", columns.mean.and_then(at)),
    ];
    let mut builder = Builder::new(&file, columns);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(bad)? {
        let line = record.position().map_or(0, csv::Position::line);
        let mut values = [0.0; 4];
        for (value, (column, place)) in values.iter_mut().zip(places) {
            let Some(place) = place else { continue };
            let text = record.get(place).unwrap_or_default();
            *value = text.parse().map_err(|_| TraceFileError::Value {
                file: file.clone(),
                row: line,
                column: column.into(),
                value: format!("{text:?}"),
                allowed: "a number".into(),
            })?;
        }
        let [device, time, gain, mean] = values;
        builder.push(Row {
            number: line,
            device,
            time,
            gain,
            mean,
        })?;
    }
    builder.finish()
}

pub(super) fn read_parquet(path: &Path) -> Result<GainTrace, TraceFileError> {
    let (file, handle) = open(path)?;
    let made = ParquetRecordBatchReaderBuilder::try_new(handle);
    let made = made.map_err(|error| parquet_error(&file, &error))?;
    let schema = made.schema().clone();
    let columns = Columns::find(&file, schema.fields().iter().map(|f| f.name().as_str()))?;
    let reader = made.build().map_err(|error| parquet_error(&file, &error))?;
    let mut builder = Builder::new(&file, columns);
    let mut number = 0;
    for batch in reader {
        let batch = batch.map_err(|error| parquet_error(&file, &error))?;
        let device = numbers(&file, &batch, "device")?;
        let time = numbers(&file, &batch, columns.time)?;
        let gain = numbers(&file, &batch, columns.gain)?;
        let mean = columns
            .mean
            .map(|column| numbers(&file, &batch, column))
            .transpose()?;
        for row in 0..batch.num_rows() {
            number += 1;
            builder.push(Row {
                number,
                device: device[row],
                time: time[row],
                gain: gain[row],
                mean: mean.as_ref().map_or(0.0, |mean| mean[row]),
            })?;
        }
    }
    builder.finish()
}

/// A column as numbers; a missing value is NaN, which is in no range.
fn numbers(file: &str, batch: &RecordBatch, name: &str) -> Result<Vec<f64>, TraceFileError> {
    let refuse = |reason: String| TraceFileError::Column {
        file: file.into(),
        column: format!("`{name}`"),
        reason,
    };
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| refuse("is missing".into()))?;
    fn of<T: ArrowPrimitiveType>(
        column: &dyn Array,
        number: impl Fn(T::Native) -> f64,
    ) -> Vec<f64> {
        let values = column.as_primitive::<T>();
        values
            .iter()
            .map(|value| value.map_or(f64::NAN, &number))
            .collect()
    }
    Ok(match column.data_type() {
        DataType::Float64 => of::<Float64Type>(column, |x| x),
        DataType::Float32 => of::<Float32Type>(column, f64::from),
        DataType::Int64 => of::<Int64Type>(column, |x| x as f64),
        DataType::UInt64 => of::<UInt64Type>(column, |x| x as f64),
        DataType::Int32 => of::<Int32Type>(column, f64::from),
        DataType::UInt32 => of::<UInt32Type>(column, f64::from),
        other => return Err(refuse(format!("is {other}, not a number"))),
    })
}
