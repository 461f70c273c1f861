//! The columns of both kinds of record: name, kind, and how to get the cell of a row.

use enachi_core::record::{FrameRecord, Names, SlotRecord};

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Missing,
    Text(&'a str),
    Count(u64),
    Number(f64),
    Flag(bool),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Count,
    Number,
    Flag,
}

/// One column.
pub struct Column<'a, R> {
    pub name: &'static str,
    pub kind: Kind,
    /// Left out of a file in which no row has it.
    pub optional: bool,
    pub cell: Box<dyn Fn(&R) -> Cell<'a> + 'a>,
}

/// All columns of a record.
pub type Table<'a, R> = Vec<Column<'a, R>>;

fn text<'a, R>(name: &'static str, get: impl Fn(&R) -> Option<&'a str> + 'a) -> Column<'a, R> {
    Column {
        name,
        kind: Kind::Text,
        optional: false,
        cell: Box::new(move |row| get(row).map_or(Cell::Missing, Cell::Text)),
    }
}

fn count<'a, R>(name: &'static str, get: impl Fn(&R) -> Option<u64> + 'a) -> Column<'a, R> {
    Column {
        name,
        kind: Kind::Count,
        optional: false,
        cell: Box::new(move |row| get(row).map_or(Cell::Missing, Cell::Count)),
    }
}

fn number<'a, R>(name: &'static str, get: impl Fn(&R) -> f64 + 'a) -> Column<'a, R> {
    maybe(name, move |row| Some(get(row)))
}

fn maybe<'a, R>(name: &'static str, get: impl Fn(&R) -> Option<f64> + 'a) -> Column<'a, R> {
    Column {
        name,
        kind: Kind::Number,
        optional: false,
        cell: Box::new(move |row| get(row).map_or(Cell::Missing, Cell::Number)),
    }
}

/// A count that a file has only if some row has it.
fn rare<'a, R>(name: &'static str, get: impl Fn(&R) -> Option<u64> + 'a) -> Column<'a, R> {
    Column {
        optional: true,
        ..count(name, get)
    }
}

/// Leave out the optional columns that no row has.
pub fn in_use<'a, R>(table: Table<'a, R>, rows: &[R]) -> Table<'a, R> {
    let mut table = table;
    table.retain(|column| {
        let has = |row| (column.cell)(row) != Cell::Missing;
        !column.optional || rows.iter().any(has)
    });
    table
}

fn name(names: &[String], index: impl Into<usize>) -> Option<&str> {
    names.get(index.into()).map(String::as_str)
}

/// Columns of device-frames.
pub fn frames(names: &Names) -> Table<'_, FrameRecord> {
    vec![
        text("policy", |r: &FrameRecord| name(&names.policies, r.policy)),
        count("seed", |r: &FrameRecord| Some(r.seed)),
        count("frame", |r: &FrameRecord| Some(r.frame.into())),
        count("device", |r: &FrameRecord| Some(r.device.into())),
        count("image", |r: &FrameRecord| r.image.map(Into::into)),
        text("cut", |r: &FrameRecord| name(&names.cuts, r.cut?)),
        // Streams of all cuts stand in one list; the index tells two of the same name apart.
        count("stream_index", |r: &FrameRecord| r.stream.map(Into::into)),
        text("stream", |r: &FrameRecord| name(&names.streams, r.stream?)),
        count("level", |r: &FrameRecord| r.level.map(Into::into)),
        number("bandwidth_hz", |r: &FrameRecord| r.bandwidth_hz),
        number("reference_power_w", |r: &FrameRecord| r.reference_power_w),
        number("mean_power_w", |r: &FrameRecord| r.mean_power_w),
        number("planned_gain", |r: &FrameRecord| r.planned_gain),
        number("mean_gain", |r: &FrameRecord| r.mean_gain),
        number("planned_bits", |r: &FrameRecord| r.planned_bits),
        number("planned_accuracy", |r: &FrameRecord| r.planned_accuracy),
        number("bits", |r: &FrameRecord| r.bits),
        count("chunks", |r: &FrameRecord| Some(r.chunks.into())),
        number("fraction", |r: &FrameRecord| r.fraction),
        text("outcome", |r: &FrameRecord| Some(r.outcome.name())),
        text("stop_reason", |r: &FrameRecord| Some(r.stop_reason.name())),
        Column {
            name: "correct",
            kind: Kind::Flag,
            optional: false,
            cell: Box::new(|r: &FrameRecord| Cell::Flag(r.correct)),
        },
        maybe("entropy_nats", |r: &FrameRecord| r.entropy_nats),
        number("energy_j", FrameRecord::energy_j),
        number("energy_local_j", |r: &FrameRecord| r.energy_local_j),
        number("energy_codec_j", |r: &FrameRecord| r.energy_codec_j),
        number("energy_transmit_j", |r: &FrameRecord| r.energy_transmit_j),
        number("energy_queue_j", |r: &FrameRecord| r.energy_queue_j),
        number("power_queue_w", |r: &FrameRecord| r.power_queue_w),
        count("slots", |r: &FrameRecord| Some(r.slots.into())),
        number("ready_time_s", |r: &FrameRecord| r.ready_time_s),
        number("sent_time_s", |r: &FrameRecord| r.sent_time_s),
        number("batch_time_s", |r: &FrameRecord| r.batch_time_s),
        number("answer_time_s", |r: &FrameRecord| r.answer_time_s),
        rare("arrived", |r: &FrameRecord| Some(r.tasks?.arrived.into())),
        rare("dropped", |r: &FrameRecord| Some(r.tasks?.dropped.into())),
        rare("waiting", |r: &FrameRecord| Some(r.tasks?.waiting.into())),
        rare("waited_frames", |r: &FrameRecord| {
            Some(r.tasks?.waited_frames.into())
        }),
    ]
}

/// Columns of slots.
pub fn slots(names: &Names) -> Table<'_, SlotRecord> {
    vec![
        text("policy", |r: &SlotRecord| name(&names.policies, r.policy)),
        count("seed", |r: &SlotRecord| Some(r.seed)),
        count("frame", |r: &SlotRecord| Some(r.frame.into())),
        count("device", |r: &SlotRecord| Some(r.device.into())),
        count("slot", |r: &SlotRecord| Some(r.slot.into())),
        number("gain", |r: &SlotRecord| r.gain),
        number("power_w", |r: &SlotRecord| r.power_w),
        number("bits", |r: &SlotRecord| r.bits),
        number("power_queue_w", |r: &SlotRecord| r.power_queue_w),
        count("checkpoint", |r: &SlotRecord| Some(r.checkpoint.into())),
    ]
}
