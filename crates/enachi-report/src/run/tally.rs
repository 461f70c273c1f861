//! What the rows of `frames.parquet` add up to. Everything a figure needs is counted in one pass over the rows.

use enachi_core::record::{Outcome, StopReason};
use enachi_data::records::RecordsError;
use enachi_data::records::scan::{Batch, NameColumn, scan};
use std::collections::BTreeMap;
use std::path::Path;

/// Points on the time axis at most; longer runs are averaged over as many frames as it takes.
const FRAME_BINS: usize = 400;
/// Bins of the histogram of when sending ended.
pub const STOP_BINS: usize = 30;
/// Bins per factor of two in the histogram of bits.
const BITS_PER_OCTAVE: f64 = 8.0;
/// Bins of that histogram: 2⁴⁰ bits are more than a frame carries.
const BITS_BINS: usize = 320;
/// Cells of the bootstrap (clusters × seeds) that a policy has at most.
const CELLS: usize = 65_536;
/// Clusters of the bootstrap at most. Beyond it whole clusters are bundled, which leaves the interval unbiased.
const CLUSTERS: usize = 4096;

/// Columns that are read.
pub const COLUMNS: [&str; 21] = [
    "policy",
    "seed",
    "frame",
    "device",
    "image",
    "cut",
    "reference_power_w",
    "planned_bits",
    "bits",
    "outcome",
    "stop_reason",
    "correct",
    "energy_local_j",
    "energy_codec_j",
    "energy_transmit_j",
    "energy_queue_j",
    "slots",
    "ready_time_s",
    "sent_time_s",
    "batch_time_s",
    "answer_time_s",
];

/// What the scenario says about the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Extent {
    /// Labels, in the order in which they ran.
    pub policies: Vec<String>,
    /// First seed.
    pub first_seed: u64,
    /// Number of seeds.
    pub seeds: u32,
    /// Frames per seed.
    pub frames: u32,
    /// Frames before the settled ones.
    pub warmup_frames: u32,
    /// Devices.
    pub devices: u32,
    /// Length of a frame \[s\].
    pub length_s: f64,
    /// The frame to be shown device by device: policy, seed and frame.
    pub shown: (usize, u64, u32),
}

impl Extent {
    /// Frames per point of the time axis.
    pub fn frames_per_bin(&self) -> usize {
        (self.frames as usize).div_ceil(FRAME_BINS).max(1)
    }

    /// Clusters that are kept apart.
    fn clusters(&self) -> usize {
        (CELLS / self.seeds.max(1) as usize).clamp(64, CLUSTERS)
    }
}

/// Sums over device-frames.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Device-frames.
    pub frames: f64,
    /// Of these, with a task. The others cost energy and answer nothing.
    pub tasks: f64,
    /// Right answers.
    pub right: f64,
    /// Energy of head and idling \[J\].
    pub local_j: f64,
    /// Energy of the encoder \[J\].
    pub codec_j: f64,
    /// Energy of the radio \[J\].
    pub transmit_j: f64,
    /// Energy queue before the frame \[J\].
    pub queue_j: f64,
    /// Bits that arrived.
    pub bits: f64,
    /// Bits that the plan counted on.
    pub planned_bits: f64,
    /// Time from the start of the frame to the answer \[s\].
    pub answer_s: f64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.tasks += other.tasks;
        self.right += other.right;
        self.local_j += other.local_j;
        self.codec_j += other.codec_j;
        self.transmit_j += other.transmit_j;
        self.queue_j += other.queue_j;
        self.bits += other.bits;
        self.planned_bits += other.planned_bits;
        self.answer_s += other.answer_s;
    }

    /// A sum as a mean over device-frames; 0 without any.
    pub fn per_frame(&self, sum: f64) -> f64 {
        if self.frames > 0.0 {
            sum / self.frames
        } else {
            0.0
        }
    }

    /// A sum as a mean over tasks; 0 without any.
    pub fn per_task(&self, sum: f64) -> f64 {
        if self.tasks > 0.0 {
            sum / self.tasks
        } else {
            0.0
        }
    }

    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.per_task(self.right)
    }

    /// Mean energy ENACHI (7) \[J\].
    pub fn energy_j(&self) -> f64 {
        self.per_frame(self.local_j + self.codec_j + self.transmit_j)
    }
}

/// One cluster (image, or frame on a curve-only profile) in one seed: the unit of the bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// Device-frames.
    pub frames: f64,
    /// Of these, with a task.
    pub tasks: f64,
    /// Right answers.
    pub right: f64,
    /// Energy \[J\].
    pub energy_j: f64,
}

impl Cell {
    fn add(&mut self, other: &Self) {
        self.add_times(1.0, other);
    }

    /// Adds `other` as if it were there `weight` times.
    pub fn add_times(&mut self, weight: f64, other: &Self) {
        self.frames += weight * other.frames;
        self.tasks += weight * other.tasks;
        self.right += weight * other.right;
        self.energy_j += weight * other.energy_j;
    }
}

/// One policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyTally {
    /// All frames.
    pub all: Sums,
    /// Frames after the warm-up.
    pub settled: Sums,
    /// By [`Outcome`], settled.
    pub outcomes: [u64; Outcome::ALL.len()],
    /// By cut, settled. Devices that sit out have none.
    pub cuts: BTreeMap<String, u64>,
    /// When sending ended, by [`StopReason`], in [`STOP_BINS`] equal parts of the frame; settled rows that sent.
    pub stop_times: Vec<[u64; STOP_BINS]>,
    /// Bits that arrived, settled tasks: nothing first, then logarithmic bins.
    pub bits: Vec<u64>,
    /// Over the run, by bin of frames.
    pub by_frame: Vec<Sums>,
    /// Settled, by device.
    pub by_device: Vec<Sums>,
    /// All frames: cluster × seeds + seed.
    pub cells: Vec<Cell>,
    /// The same over settled frames.
    pub settled_cells: Vec<Cell>,
}

/// A device in the frame that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// Device.
    pub device: u32,
    /// Cut, if any.
    pub cut: Option<String>,
    /// When the head and the encoder were done \[s\].
    pub ready_s: f64,
    /// When the last used slot ended \[s\].
    pub sent_s: f64,
    /// When the batch started \[s\].
    pub batch_s: f64,
    /// When the answer was there \[s\].
    pub answer_s: f64,
    /// Bits that arrived.
    pub bits: f64,
    /// p̃ \[W\].
    pub reference_power_w: f64,
    /// Energy \[J\].
    pub energy_j: f64,
    /// Slots used.
    pub slots: u64,
    /// Outcome.
    pub outcome: Outcome,
    /// Why sending ended.
    pub stop: StopReason,
    /// Whether the answer is right.
    pub correct: bool,
}

/// All rows, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// In the order of [`Extent::policies`].
    pub policies: Vec<PolicyTally>,
    /// The frame that is shown, by device.
    pub lanes: Vec<Lane>,
    /// Rows.
    pub rows: u64,
    /// Whether rows name an image, so that a cluster is an image and not a frame.
    pub images: bool,
}

/// Count the rows of the file at `path`.
///
/// # Errors
/// When the file cannot be read, lacks a column, or does not fit `extent`.
pub fn tally(path: &Path, extent: &Extent) -> Result<Tally, RecordsError> {
    let start = || Tally {
        policies: vec![PolicyTally::default(); extent.policies.len()],
        ..Tally::default()
    };
    let parts = scan(path, &COLUMNS, start, |tally, batch| {
        tally.add_batch(extent, batch)
    })?;
    let mut whole = start();
    for part in parts {
        whole.merge(part);
    }
    whole.lanes.sort_by_key(|lane| lane.device);
    Ok(whole)
}

/// Bin of a number of bits.
fn bits_bin(bits: f64) -> usize {
    if bits < 1.0 {
        return 0;
    }
    (1 + (bits.log2() * BITS_PER_OCTAVE) as usize).min(BITS_BINS - 1)
}

/// Quantile `q` of a histogram of bits, in the middle of its bin (a bin is 9 % wide); `None` when it is empty.
pub fn bits_quantile(histogram: &[u64], q: f64) -> Option<f64> {
    let total: u64 = histogram.iter().sum();
    let rank = (q * total as f64).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (bin, &count) in histogram.iter().enumerate() {
        seen += count;
        if count > 0 && seen >= rank {
            return Some(match bin {
                0 => 0.0,
                _ => ((bin as f64 - 0.5) / BITS_PER_OCTAVE).exp2(),
            });
        }
    }
    None
}

/// The numbers that a batch's names have outside of it.
fn numbers_of<T>(
    batch: &Batch<'_>,
    column: &'static str,
    names: &NameColumn<'_>,
    number: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, RecordsError> {
    names
        .different()
        .iter()
        .map(|name| match number(name) {
            Some(number) => Ok(number),
            None => batch.fail(
                column,
                format!("has {name:?}, which this run does not know"),
            ),
        })
        .collect()
}

fn required(
    batch: &Batch<'_>,
    column: &'static str,
    key: Option<usize>,
) -> Result<usize, RecordsError> {
    match key {
        Some(key) => Ok(key),
        None => batch.fail(column, "has a missing value"),
    }
}

/// Entry `index` of a list that grows as needed.
fn grown<T: Clone + Default>(list: &mut Vec<T>, index: usize) -> &mut T {
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    &mut list[index]
}

impl Tally {
    fn add_batch(&mut self, extent: &Extent, batch: &Batch<'_>) -> Result<(), RecordsError> {
        let policies = batch.names("policy")?;
        let policy_numbers = numbers_of(batch, "policy", &policies, |name| {
            extent.policies.iter().position(|p| p == name)
        })?;
        let outcomes = batch.names("outcome")?;
        let outcome_of = numbers_of(batch, "outcome", &outcomes, Outcome::from_name)?;
        let reasons = batch.names("stop_reason")?;
        let reason_of = numbers_of(batch, "stop_reason", &reasons, StopReason::from_name)?;
        let cuts = batch.names("cut")?;
        // Counted by the batch's own numbers first: a map lookup per row would cost more than all else.
        let mut cut_counts = vec![0u64; extent.policies.len() * cuts.different().len()];
        let (seeds, frames) = (batch.counts("seed")?, batch.counts("frame")?);
        let (devices, slots) = (batch.counts("device")?, batch.counts("slots")?);
        let images = batch.maybe_counts("image")?;
        let correct = batch.flags("correct")?;
        let (bits, planned_bits) = (batch.numbers("bits")?, batch.numbers("planned_bits")?);
        let local = batch.numbers("energy_local_j")?;
        let codec = batch.numbers("energy_codec_j")?;
        let transmit = batch.numbers("energy_transmit_j")?;
        let queue = batch.numbers("energy_queue_j")?;
        let reference = batch.numbers("reference_power_w")?;
        let (ready, sent) = (
            batch.numbers("ready_time_s")?,
            batch.numbers("sent_time_s")?,
        );
        let (batches, answers) = (
            batch.numbers("batch_time_s")?,
            batch.numbers("answer_time_s")?,
        );
        let clusters = extent.clusters();
        let (seed_count, frames_per_bin) = (extent.seeds as usize, extent.frames_per_bin());
        for row in 0..batch.rows() {
            let number = policy_numbers[required(batch, "policy", policies.key(row))?];
            let outcome = outcome_of[required(batch, "outcome", outcomes.key(row))?];
            let reason = reason_of[required(batch, "stop_reason", reasons.key(row))?];
            let seed = seeds[row].wrapping_sub(extent.first_seed);
            let (frame, device) = (frames[row], devices[row]);
            let ranges = [
                ("seed", seed, u64::from(extent.seeds)),
                ("frame", frame, u64::from(extent.frames)),
                ("device", device, u64::from(extent.devices)),
            ];
            for (column, value, end) in ranges {
                if value >= end {
                    let value = if column == "seed" { seeds[row] } else { value };
                    return batch.fail(
                        column,
                        format!("has {value}, beyond the {end} of the scenario"),
                    );
                }
            }
            let image = images(row);
            self.images |= image.is_some();
            let cluster = image.unwrap_or(frame) as usize % clusters;
            let has_task = outcome != Outcome::NoTask;
            let tasks = f64::from(u8::from(has_task));
            let right = f64::from(u8::from(has_task && correct(row)));
            let row_sums = Sums {
                frames: 1.0,
                tasks,
                right,
                local_j: local[row],
                codec_j: codec[row],
                transmit_j: transmit[row],
                queue_j: queue[row],
                bits: bits[row],
                planned_bits: planned_bits[row],
                answer_s: answers[row],
            };
            let cell = Cell {
                frames: 1.0,
                tasks,
                right,
                energy_j: local[row] + codec[row] + transmit[row],
            };
            let at = cluster * seed_count + seed as usize;
            let tally = &mut self.policies[number];
            tally.all.add(&row_sums);
            grown(&mut tally.by_frame, frame as usize / frames_per_bin).add(&row_sums);
            grown(&mut tally.cells, at).add(&cell);
            if frame >= u64::from(extent.warmup_frames) {
                tally.settled.add(&row_sums);
                grown(&mut tally.by_device, device as usize).add(&row_sums);
                grown(&mut tally.settled_cells, at).add(&cell);
                tally.outcomes[outcome as usize] += 1;
                if has_task {
                    *grown(&mut tally.bits, bits_bin(bits[row])) += 1;
                }
                if let Some(cut) = cuts.key(row) {
                    cut_counts[number * cuts.different().len() + cut] += 1;
                }
                if slots[row] > 0 {
                    let share = sent[row] / extent.length_s * STOP_BINS as f64;
                    // The last used slot ends at the end of the bin it belongs to.
                    let bin = (share - 1e-6).max(0.0) as usize;
                    grown(&mut tally.stop_times, reason as usize)[bin.min(STOP_BINS - 1)] += 1;
                }
            }
            if extent.shown == (number, seeds[row], frame as u32) {
                self.lanes.push(Lane {
                    device: device as u32,
                    cut: cuts.key(row).map(|key| cuts.different()[key].to_owned()),
                    ready_s: ready[row],
                    sent_s: sent[row],
                    batch_s: batches[row],
                    answer_s: answers[row],
                    bits: bits[row],
                    reference_power_w: reference[row],
                    energy_j: cell.energy_j,
                    slots: slots[row],
                    outcome,
                    stop: reason,
                    correct: correct(row),
                });
            }
        }
        self.rows += batch.rows() as u64;
        for (at, count) in cut_counts.into_iter().enumerate().filter(|(_, n)| *n > 0) {
            let (number, cut) = (at / cuts.different().len(), at % cuts.different().len());
            let name = cuts.different()[cut];
            *self.policies[number].cuts.entry(name.into()).or_default() += count;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.policies.iter_mut().zip(other.policies) {
            mine.merge(theirs);
        }
        self.lanes.extend(other.lanes);
        self.rows += other.rows;
        self.images |= other.images;
    }
}

impl PolicyTally {
    fn merge(&mut self, other: Self) {
        fn each<T: Clone + Default>(mine: &mut Vec<T>, theirs: &[T], add: impl Fn(&mut T, &T)) {
            for (index, value) in theirs.iter().enumerate() {
                add(grown(mine, index), value);
            }
        }
        self.all.add(&other.all);
        self.settled.add(&other.settled);
        for (mine, theirs) in self.outcomes.iter_mut().zip(other.outcomes) {
            *mine += theirs;
        }
        for (cut, count) in other.cuts {
            *self.cuts.entry(cut).or_default() += count;
        }
        each(&mut self.stop_times, &other.stop_times, |mine, theirs| {
            for (a, b) in mine.iter_mut().zip(theirs) {
                *a += b;
            }
        });
        each(&mut self.bits, &other.bits, |a, b| *a += b);
        each(&mut self.by_frame, &other.by_frame, Sums::add);
        each(&mut self.by_device, &other.by_device, Sums::add);
        each(&mut self.cells, &other.cells, Cell::add);
        each(&mut self.settled_cells, &other.settled_cells, Cell::add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_bits_are_within_a_bin() {
        let mut histogram = vec![0; BITS_BINS];
        for bits in 1..=1000u32 {
            histogram[bits_bin(f64::from(bits))] += 1;
        }
        for (q, exact) in [(0.05, 50.0), (0.5, 500.0), (0.95, 950.0)] {
            let got = bits_quantile(&histogram, q).expect("not empty");
            assert!(
                (got / exact).log2().abs() < 1.0 / BITS_PER_OCTAVE,
                "{got} {exact}"
            );
        }
        assert_eq!(bits_quantile(&[5, 0, 1], 0.5), Some(0.0));
        assert_eq!(bits_quantile(&[], 0.5), None);
    }
}
