//! Device-frames back from Parquet.

use super::RecordsError;
use super::scan::Batch;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_schema::DataType;
use bytes::Bytes;
use enachi_core::record::{FrameRecord, Names, Outcome, StopReason, TaskQueue};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::path::Path;

/// Read what [`super::write_frames`] wrote as Parquet. Cuts and streams are numbered as they appear.
pub fn read_frames(path: &Path) -> Result<(Names, Vec<FrameRecord>), RecordsError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| RecordsError::Io {
        file: file.clone(),
        source,
    })?;
    read_frames_bytes(&file, Bytes::from(bytes))
}

/// The same from memory; `file` is what errors call it.
pub fn read_frames_bytes(
    file: &str,
    bytes: Bytes,
) -> Result<(Names, Vec<FrameRecord>), RecordsError> {
    let bad = |source| RecordsError::Parquet {
        file: file.into(),
        source,
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(|builder| builder.build())
        .map_err(bad)?;
    let (mut names, mut rows) = (Names::default(), Vec::new());
    for batch in reader {
        let batch = batch.map_err(|source| RecordsError::Arrow {
            file: file.into(),
            source,
        })?;
        let columns = Columns(Batch {
            file,
            batch: &batch,
        });
        columns.append(&mut names, &mut rows)?;
    }
    Ok((names, rows))
}

/// The columns of whole records.
struct Columns<'a>(Batch<'a>);

type Getter<'a, T> = Box<dyn Fn(usize) -> Option<T> + 'a>;

impl<'a> Columns<'a> {
    fn text(&self, name: &'static str) -> Result<Getter<'a, &'a str>, RecordsError> {
        let array = self.0.column(name, &DataType::Utf8)?.as_string::<i32>();
        Ok(Box::new(move |row| {
            array.is_valid(row).then(|| array.value(row))
        }))
    }

    fn count(&self, name: &'static str) -> Result<Getter<'a, u64>, RecordsError> {
        let array = self
            .0
            .column(name, &DataType::UInt64)?
            .as_primitive::<UInt64Type>();
        Ok(Box::new(move |row| {
            array.is_valid(row).then(|| array.value(row))
        }))
    }

    fn number(&self, name: &'static str) -> Result<Getter<'a, f64>, RecordsError> {
        let array = self
            .0
            .column(name, &DataType::Float64)?
            .as_primitive::<Float64Type>();
        Ok(Box::new(move |row| {
            array.is_valid(row).then(|| array.value(row))
        }))
    }

    /// A count that only some files have.
    fn optional_count(&self, name: &'static str) -> Result<Getter<'a, u64>, RecordsError> {
        match self.0.batch.column_by_name(name) {
            None => Ok(Box::new(|_| None)),
            Some(_) => self.count(name),
        }
    }

    /// A required value.
    fn must<T>(&self, column: &'static str, value: Option<T>) -> Result<T, RecordsError> {
        match value {
            Some(value) => Ok(value),
            None => self.0.fail(column, "has a missing value"),
        }
    }

    /// A count that fits its type.
    fn small<T: TryFrom<u64>>(
        &self,
        column: &'static str,
        value: Option<u64>,
    ) -> Result<T, RecordsError> {
        let value = self.must(column, value)?;
        match T::try_from(value) {
            Ok(value) => Ok(value),
            Err(_) => self
                .0
                .fail(column, format!("has {value}, which is too large")),
        }
    }

    fn maybe_small<T: TryFrom<u64>>(
        &self,
        column: &'static str,
        value: Option<u64>,
    ) -> Result<Option<T>, RecordsError> {
        value.map(|v| self.small(column, Some(v))).transpose()
    }

    fn append(&self, names: &mut Names, rows: &mut Vec<FrameRecord>) -> Result<(), RecordsError> {
        let (policy, cut) = (self.text("policy")?, self.text("cut")?);
        let (stream, outcome) = (self.text("stream")?, self.text("outcome")?);
        let stop_reason = self.text("stop_reason")?;
        let correct = self.0.column("correct", &DataType::Boolean)?.as_boolean();
        let (seed, frame, device) = (
            self.count("seed")?,
            self.count("frame")?,
            self.count("device")?,
        );
        let (image, stream_index) = (self.count("image")?, self.count("stream_index")?);
        let (level, chunks, slots) = (
            self.count("level")?,
            self.count("chunks")?,
            self.count("slots")?,
        );
        let entropy = self.number("entropy_nats")?;
        let (arrived, dropped, waiting, waited) = (
            self.optional_count("arrived")?,
            self.optional_count("dropped")?,
            self.optional_count("waiting")?,
            self.optional_count("waited_frames")?,
        );
        const NUMBERS: [&str; 18] = [
            "bandwidth_hz",
            "reference_power_w",
            "mean_power_w",
            "planned_gain",
            "mean_gain",
            "planned_bits",
            "planned_accuracy",
            "bits",
            "fraction",
            "energy_local_j",
            "energy_codec_j",
            "energy_transmit_j",
            "energy_queue_j",
            "power_queue_w",
            "ready_time_s",
            "sent_time_s",
            "batch_time_s",
            "answer_time_s",
        ];
        let numbers = NUMBERS
            .iter()
            .map(|name| self.number(name))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..self.0.rows() {
            let mut values = [0.0; NUMBERS.len()];
            for ((value, get), name) in values.iter_mut().zip(&numbers).zip(NUMBERS) {
                *value = self.must(name, get(row))?;
            }
            let [
                bandwidth_hz,
                reference_power_w,
                mean_power_w,
                planned_gain,
                mean_gain,
                planned_bits,
                planned_accuracy,
                bits,
                fraction,
                energy_local_j,
                energy_codec_j,
                energy_transmit_j,
                energy_queue_j,
                power_queue_w,
                ready_time_s,
                sent_time_s,
                batch_time_s,
                answer_time_s,
            ] = values;
            let outcome_name = self.must("outcome", outcome(row))?;
            let reason_name = self.must("stop_reason", stop_reason(row))?;
            let stream: Option<u16> = match (stream(row), stream_index(row)) {
                (Some(name), index) => {
                    let index = self.small::<u16>("stream_index", index)?;
                    let slot = usize::from(index);
                    if names.streams.len() <= slot {
                        names.streams.resize(slot + 1, String::new());
                    }
                    names.streams[slot] = name.into();
                    Some(index)
                }
                (None, _) => None,
            };
            let tasks = match arrived(row) {
                None => None,
                Some(arrived) => Some(TaskQueue {
                    arrived: self.small("arrived", Some(arrived))?,
                    dropped: self.small("dropped", dropped(row))?,
                    waiting: self.small("waiting", waiting(row))?,
                    waited_frames: self.small("waited_frames", waited(row))?,
                }),
            };
            rows.push(FrameRecord {
                policy: number_of(&mut names.policies, self.must("policy", policy(row))?),
                seed: self.must("seed", seed(row))?,
                frame: self.small("frame", frame(row))?,
                device: self.small("device", device(row))?,
                image: self.maybe_small("image", image(row))?,
                cut: cut(row).map(|name| number_of(&mut names.cuts, name)),
                stream,
                level: self.maybe_small("level", level(row))?,
                bandwidth_hz,
                reference_power_w,
                mean_power_w,
                planned_gain,
                mean_gain,
                planned_bits,
                planned_accuracy,
                bits,
                chunks: self.small("chunks", chunks(row))?,
                fraction,
                outcome: match Outcome::from_name(outcome_name) {
                    Some(outcome) => outcome,
                    None => return self.0.fail("outcome", format!("has {outcome_name:?}")),
                },
                stop_reason: match StopReason::from_name(reason_name) {
                    Some(reason) => reason,
                    None => return self.0.fail("stop_reason", format!("has {reason_name:?}")),
                },
                correct: correct.is_valid(row) && correct.value(row),
                entropy_nats: entropy(row),
                energy_local_j,
                energy_codec_j,
                energy_transmit_j,
                energy_queue_j,
                power_queue_w,
                slots: self.small("slots", slots(row))?,
                ready_time_s,
                sent_time_s,
                batch_time_s,
                answer_time_s,
                tasks,
            });
        }
        Ok(())
    }
}

/// Position of `name` in `names`, where it is added if new.
fn number_of(names: &mut Vec<String>, name: &str) -> u16 {
    let index = names
        .iter()
        .position(|known| known == name)
        .unwrap_or_else(|| {
            names.push(name.into());
            names.len() - 1
        });
    index as u16
}
