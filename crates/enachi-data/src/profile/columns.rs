//! The sample rows as Parquet columns: one row per (cut, stream, image, checkpoint), in that order.

use std::sync::{Arc, LazyLock};

use enachi_core::profile::{Profile, Samples, Stream, round_prediction};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{BoolType, DataType, FloatType, Int32Type};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::{MAX_ROWS, Problem, empty_samples, pages, round_entropy};

/// Every column is there in every row. The unit of `bits` is bit, that of `entropy_nats` and `predicted_nats` nat. The last
/// column is left out where no stream has a predictor.
const SCHEMA: &str = "message enachi_profile {
    REQUIRED INT32 cut (INTEGER(16, false));
    REQUIRED INT32 stream (INTEGER(16, false));
    REQUIRED INT32 image (INTEGER(32, false));
    REQUIRED INT32 checkpoint (INTEGER(16, false));
    REQUIRED INT32 chunks (INTEGER(32, false));
    REQUIRED INT32 bits (INTEGER(32, false));
    REQUIRED INT32 top1 (INTEGER(16, false));
    REQUIRED BOOLEAN correct;
    REQUIRED FLOAT entropy_nats;
    REQUIRED FLOAT predicted_nats;
}";
const CUT: usize = 0;
const STREAM: usize = 1;
const IMAGE: usize = 2;
const CHECKPOINT: usize = 3;
const CHUNKS: usize = 4;
const BITS: usize = 5;
const TOP1: usize = 6;
const CORRECT: usize = 7;
const ENTROPY: usize = 8;
const PREDICTED: usize = 9;

/// No column needs more uncompressed bytes per row than this, whatever its encoding.
const MAX_BYTES_PER_ROW: u64 = 8;
/// Room for page headers and encoder preambles of a small column.
const MAX_BYTES_EXTRA: u64 = 1 << 16;

static SCHEMA_TYPE: LazyLock<TypePtr> =
    LazyLock::new(|| Arc::new(parse_message_type(SCHEMA).expect("SCHEMA is well formed")));

/// [`SCHEMA_TYPE`], with or without its last column.
fn schema(predictions: bool) -> TypePtr {
    if predictions {
        return SCHEMA_TYPE.clone();
    }
    let fields = SCHEMA_TYPE.get_fields()[..PREDICTED].to_vec();
    let group = Type::group_type_builder(SCHEMA_TYPE.name()).with_fields(fields);
    Arc::new(group.build().expect("SCHEMA is well formed"))
}

/// A stream with its place in the profile.
pub(super) struct StreamSamples<'a> {
    cut: usize,
    index: usize,
    stream: &'a Stream,
}

/// The streams of a profile in file order.
pub(super) fn streams(profile: &Profile) -> Vec<StreamSamples<'_>> {
    let mut list = Vec::new();
    for (cut, owner) in profile.cuts.iter().enumerate() {
        for (index, stream) in owner.streams.iter().enumerate() {
            list.push(StreamSamples { cut, index, stream });
        }
    }
    list
}

/// The indices that name a row.
struct Row<'a> {
    owner: &'a StreamSamples<'a>,
    image: usize,
    checkpoint: usize,
}

impl Row<'_> {
    fn cell(&self) -> usize {
        self.owner.stream.samples.at(self.image, self.checkpoint)
    }

    fn samples(&self) -> &Samples {
        &self.owner.stream.samples
    }
}

fn rows<'a>(streams: &'a [StreamSamples<'a>]) -> impl Iterator<Item = Row<'a>> {
    streams.iter().flat_map(|owner| {
        let samples = &owner.stream.samples;
        (0..samples.images).flat_map(move |image| {
            (0..samples.checkpoints).map(move |checkpoint| Row {
                owner,
                image,
                checkpoint,
            })
        })
    })
}

/// An index column's value in a row. Signed, as Parquet stores unsigned integers in the bits of signed ones.
fn index_value(column: usize, row: &Row) -> u32 {
    let value = match column {
        CUT => row.owner.cut,
        STREAM => row.owner.index,
        IMAGE => row.image,
        CHECKPOINT => row.checkpoint,
        CHUNKS => return row.owner.stream.checkpoint_chunks[row.checkpoint],
        BITS => return row.samples().bits[row.cell()],
        _ => return u32::from(row.samples().top1[row.cell()]),
    };
    u32::try_from(value).expect("a valid profile has fewer than 2^32 of anything")
}

/// A floating-point column's value in a row; not a number where the stream has no predictor.
fn float_value(column: usize, row: &Row) -> f32 {
    let samples = row.samples();
    if column == ENTROPY {
        round_entropy(samples.entropy_nats[row.cell()])
    } else if samples.has_predictions() {
        round_prediction(samples.predicted_nats[row.cell()])
    } else {
        f32::NAN
    }
}

/// The file's bytes: the rows, then the key-value pairs that `pairs` makes of the column data before the footer.
pub(super) fn encode(
    streams: &[StreamSamples],
    pairs: impl FnOnce(&[u8]) -> Vec<KeyValue>,
) -> Result<Vec<u8>, Problem> {
    let count = rows(streams).take(MAX_ROWS + 1).count();
    if count > MAX_ROWS {
        return Err(Problem::Columns(format!("more than {MAX_ROWS}")));
    }
    write_file(streams, count, pairs).map_err(|error| Problem::Columns(error.to_string()))
}

fn write_file(
    streams: &[StreamSamples],
    count: usize,
    pairs: impl FnOnce(&[u8]) -> Vec<KeyValue>,
) -> parquet::errors::Result<Vec<u8>> {
    let predictions = streams
        .iter()
        .any(|owner| owner.stream.samples.has_predictions());
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema(predictions), writer_properties()?)?;
    if count > 0 {
        let mut group = writer.next_row_group()?;
        let mut column = 0;
        while let Some(mut slot) = group.next_column()? {
            match slot.untyped() {
                ColumnWriter::Int32ColumnWriter(out) => {
                    let values: Vec<i32> = rows(streams)
                        .map(|row| index_value(column, &row) as i32)
                        .collect();
                    out.write_batch(&values, None, None)?;
                }
                ColumnWriter::BoolColumnWriter(out) => {
                    let values: Vec<bool> = rows(streams)
                        .map(|row| row.samples().correct[row.cell()])
                        .collect();
                    out.write_batch(&values, None, None)?;
                }
                ColumnWriter::FloatColumnWriter(out) => {
                    let values: Vec<f32> =
                        rows(streams).map(|row| float_value(column, &row)).collect();
                    out.write_batch(&values, None, None)?;
                }
                _ => unreachable!("SCHEMA has no other physical type"),
            }
            slot.close()?;
            column += 1;
        }
        group.close()?;
    }
    writer.flush()?;
    for pair in pairs(writer.inner()) {
        writer.append_key_value_metadata(pair);
    }
    writer.into_inner()
}

fn writer_properties() -> parquet::errors::Result<WriterPropertiesPtr> {
    let mut properties = WriterProperties::builder()
        .set_created_by("enachi".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(19)?))
        // Dictionaries save little after Zstandard, and without them a reader can bound its memory (see `pages`).
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        .set_data_page_size_limit(1 << 22)
        .set_data_page_row_count_limit(usize::MAX);
    for (column, encoding) in ENCODINGS {
        let path = ColumnPath::from(SCHEMA_TYPE.get_fields()[column].name());
        properties = properties.set_column_encoding(path, encoding);
    }
    Ok(Arc::new(properties.build()))
}

/// The encoding of each column: whichever makes the file smallest after Zstandard.
const ENCODINGS: [(usize, Encoding); 10] = [
    (CUT, Encoding::PLAIN),
    (STREAM, Encoding::PLAIN),
    (IMAGE, Encoding::DELTA_BINARY_PACKED),
    (CHECKPOINT, Encoding::PLAIN),
    (CHUNKS, Encoding::PLAIN),
    (BITS, Encoding::BYTE_STREAM_SPLIT),
    (TOP1, Encoding::BYTE_STREAM_SPLIT),
    (CORRECT, Encoding::PLAIN),
    (ENTROPY, Encoding::BYTE_STREAM_SPLIT),
    (PREDICTED, Encoding::BYTE_STREAM_SPLIT),
];

/// Gives every stream of a profile an empty table of the announced shape.
pub(super) fn shape_samples(
    profile: &mut Profile,
    sampled_images: &[Vec<usize>],
) -> Result<(), Problem> {
    let images = profile.images.len();
    if sampled_images.len() != profile.cuts.len() {
        return Err(Problem::Columns(format!(
            "`sampled_images` lists {} cuts of {}",
            sampled_images.len(),
            profile.cuts.len()
        )));
    }
    let mut total = 0usize;
    for (cut, counts) in profile.cuts.iter_mut().zip(sampled_images) {
        if counts.len() != cut.streams.len() {
            return Err(Problem::Columns(format!(
                "`sampled_images` lists {} streams of {} at cut {}",
                counts.len(),
                cut.streams.len(),
                cut.name
            )));
        }
        for (stream, &count) in cut.streams.iter_mut().zip(counts) {
            if count > images {
                return Err(Problem::Columns(format!(
                    "`sampled_images` has {count} images of {images} at cut {}, stream {}",
                    cut.name, stream.name
                )));
            }
            let checkpoints = stream.checkpoint_chunks.len();
            stream.samples = empty_samples(count, checkpoints);
            // Cannot overflow: `count` is at most the number of images held in memory, and so is `checkpoints`.
            total = total.saturating_add(count.saturating_mul(checkpoints));
        }
    }
    if total > MAX_ROWS {
        return Err(Problem::Columns(format!(
            "{total}, at most {MAX_ROWS} allowed"
        )));
    }
    Ok(())
}

/// Fills the shaped tables of `profile` from the columns of the file.
pub(super) fn decode(
    bytes: Vec<u8>,
    data_len: usize,
    metadata: &ParquetMetaData,
    profile: &mut Profile,
) -> Result<(), Problem> {
    let count: usize = streams(profile)
        .iter()
        .map(|s| cells(&s.stream.samples))
        .sum();
    let predictions = check_layout(&bytes[..data_len], metadata, count)?;
    if count == 0 {
        return Ok(());
    }
    let unreadable = |error: parquet::errors::ParquetError| Problem::Columns(error.to_string());
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(unreadable)?;
    let group = reader.get_row_group(0).map_err(unreadable)?;
    let group = group.as_ref();

    // The row order is part of the format, so the index columns must say exactly this.
    for column in [CUT, STREAM, IMAGE, CHECKPOINT, CHUNKS] {
        let values = read_column::<Int32Type>(group, column, count)?;
        let list = streams(profile);
        let odd = rows(&list)
            .zip(&values)
            .position(|(row, &value)| index_value(column, &row) != value as u32);
        if let Some(row) = odd {
            return Err(Problem::Columns(format!(
                "column `{}` is {} in row {row}, out of the order of the format",
                column_name(column),
                values[row] as u32
            )));
        }
    }

    let bits = read_column::<Int32Type>(group, BITS, count)?;
    spread(profile, bits.iter().map(|&v| v as u32), |s| &mut s.bits);
    drop(bits);
    let top1 = read_column::<Int32Type>(group, TOP1, count)?;
    if let Some(row) = top1.iter().position(|&v| u16::try_from(v).is_err()) {
        return Err(Problem::Columns(format!(
            "column `top1` is {} in row {row}, outside 0..=65535",
            top1[row] as u32
        )));
    }
    spread(profile, top1.iter().map(|&v| v as u16), |s| &mut s.top1);
    drop(top1);
    let correct = read_column::<BoolType>(group, CORRECT, count)?;
    spread(profile, correct.into_iter(), |s| &mut s.correct);
    let entropy = read_column::<FloatType>(group, ENTROPY, count)?;
    spread(profile, entropy.into_iter(), |s| &mut s.entropy_nats);
    if predictions {
        let predicted = read_column::<FloatType>(group, PREDICTED, count)?;
        spread(profile, predicted.into_iter(), |s| &mut s.predicted_nats);
        drop_missing_predictions(profile);
    }
    Ok(())
}

/// A stream whose predictions are all "not a number" has no predictor. One that has some is left to the checks of values,
/// which name the place.
fn drop_missing_predictions(profile: &mut Profile) {
    for stream in profile.cuts.iter_mut().flat_map(|cut| &mut cut.streams) {
        let predicted = &mut stream.samples.predicted_nats;
        if predicted.iter().all(|nats| nats.is_nan()) {
            *predicted = Vec::new();
        }
    }
}

fn cells(samples: &Samples) -> usize {
    samples.images * samples.checkpoints
}

fn column_name(column: usize) -> &'static str {
    SCHEMA_TYPE.get_fields()[column].name()
}

/// Deals the values of a column to the streams in file order.
fn spread<T>(
    profile: &mut Profile,
    mut values: impl Iterator<Item = T>,
    column: impl Fn(&mut Samples) -> &mut Vec<T>,
) {
    for cut in &mut profile.cuts {
        for stream in &mut cut.streams {
            let count = cells(&stream.samples);
            *column(&mut stream.samples) = values.by_ref().take(count).collect();
        }
    }
}

/// Everything that can be known about the columns before a page is decompressed. Says whether there are predictions.
fn check_layout(data: &[u8], metadata: &ParquetMetaData, count: usize) -> Result<bool, Problem> {
    let wrong = |what: String| Err(Problem::Columns(what));
    let found = metadata.file_metadata().schema();
    let predictions = fields(found)
        .iter()
        .any(|field| field.name() == column_name(PREDICTED));
    for (index, expected) in schema(predictions).get_fields().iter().enumerate() {
        let name = expected.name();
        let Some(field) = fields(found).iter().find(|field| field.name() == name) else {
            return wrong(format!("column `{name}` is missing"));
        };
        if !field.is_primitive()
            || field.get_physical_type() != expected.get_physical_type()
            || field.is_optional()
        {
            return wrong(format!(
                "column `{name}` must be a required {}",
                expected.get_physical_type()
            ));
        }
        if fields(found)[index].name() != name {
            return wrong(format!("column `{name}` must be column {index}"));
        }
    }
    let groups = metadata.row_groups();
    let announced = metadata.file_metadata().num_rows();
    if announced != count as i64 || groups.len() != usize::from(count > 0) {
        return wrong(format!(
            "{announced} in {} row groups, expected {count} in {}",
            groups.len(),
            usize::from(count > 0)
        ));
    }
    for group in groups {
        if group.num_rows() != announced {
            return wrong(format!(
                "a row group of {} rows, expected {announced}",
                group.num_rows()
            ));
        }
        for chunk in group.columns() {
            let name = chunk.column_path().string();
            let problem = |what: &str| Problem::Columns(format!("column `{name}`: {what}"));
            let bytes = chunk_bytes(data, chunk).ok_or_else(|| problem("lies outside the file"))?;
            let totals = pages::totals(bytes).map_err(|what| problem(&what))?;
            if totals.values != count as u64 {
                return Err(problem(&format!(
                    "{} values, expected {count}",
                    totals.values
                )));
            }
            let limit = MAX_BYTES_PER_ROW * totals.values + MAX_BYTES_EXTRA;
            if totals.bytes > limit {
                return Err(problem(&format!(
                    "{} bytes uncompressed, {count} rows need at most {limit}",
                    totals.bytes
                )));
            }
        }
    }
    Ok(predictions)
}

fn fields(schema: &Type) -> &[TypePtr] {
    if schema.is_group() {
        schema.get_fields()
    } else {
        &[]
    }
}

fn chunk_bytes<'a>(
    data: &'a [u8],
    chunk: &parquet::file::metadata::ColumnChunkMetaData,
) -> Option<&'a [u8]> {
    if chunk.dictionary_page_offset().is_some() {
        return None;
    }
    let start = usize::try_from(chunk.data_page_offset()).ok()?;
    let length = usize::try_from(chunk.compressed_size()).ok()?;
    data.get(start..start.checked_add(length)?)
}

fn read_column<T: DataType>(
    group: &dyn RowGroupReader,
    column: usize,
    count: usize,
) -> Result<Vec<T::T>, Problem> {
    let name = column_name(column);
    let unreadable = |error: parquet::errors::ParquetError| {
        Problem::Columns(format!("column `{name}`: {error}"))
    };
    let reader = group.get_column_reader(column).map_err(unreadable)?;
    let mut reader = parquet::column::reader::get_typed_column_reader::<T>(reader);
    let mut values = Vec::new();
    let (read, _, _) = reader
        .read_records(count, None, None, &mut values)
        .map_err(unreadable)?;
    if read != count || values.len() != count {
        return Err(Problem::Columns(format!(
            "column `{name}` has {read} values, expected {count}"
        )));
    }
    Ok(values)
}
