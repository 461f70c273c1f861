//! Bit-plane coding of one band with static context models.
//!
//! A coefficient is first looked at in its *entry plane*, the first whose threshold is within four times its calibrated
//! scale; above that it is taken to be zero (if it was not, its whole magnitude follows at entry). From then on each
//! plane adds one bit: "becomes significant" (context: scale over threshold, activity of the neighbours) or a
//! refinement bit. A plane is visited in up to three [passes](Tables::plane_passes), likely large coefficients first.
//! Neighbours are the adjacent frequencies, the adjacent blocks and the adjacent maps of the same band.
//! Encoder, decoder and calibration run the same function, [`PlaneCoder::code`], so they cannot disagree.

use super::range::{PROBABILITY_BITS, RangeDecoder, RangeEncoder};
use super::tables::*;

/// Largest magnitude of a quantised coefficient.
pub const MAX_MAGNITUDE: u16 = (1 << 15) - 1;

/// Where coded bits go to or come from.
pub trait BitIo {
    /// Code a bit in a context. A reader ignores `bit`.
    fn code(&mut self, context: usize, bit: bool) -> bool;
    /// Code an even bit.
    fn raw(&mut self, bit: bool) -> bool;
}

/// Writes a chunk.
pub struct Writer<'a> {
    /// Models of [`Tables::models`].
    pub models: &'a [u16],
    /// The code word so far.
    pub encoder: RangeEncoder,
}

impl BitIo for Writer<'_> {
    #[inline]
    fn code(&mut self, context: usize, bit: bool) -> bool {
        self.encoder.bit(self.models[context], bit);
        bit
    }
    #[inline]
    fn raw(&mut self, bit: bool) -> bool {
        self.encoder.bit(1 << 14, bit);
        bit
    }
}

/// Reads a chunk.
pub struct Reader<'a> {
    /// Models of [`Tables::models`].
    pub models: &'a [u16],
    /// The code word.
    pub decoder: RangeDecoder<'a>,
}

impl BitIo for Reader<'_> {
    #[inline]
    fn code(&mut self, context: usize, _: bool) -> bool {
        self.decoder.bit(self.models[context])
    }
    #[inline]
    fn raw(&mut self, _: bool) -> bool {
        self.decoder.bit(1 << 14)
    }
}

/// Counts bits per context, for calibration.
pub struct Counter<'a> {
    /// `[false, true]` counts per context.
    pub counts: &'a mut [[u64; 2]],
}

impl BitIo for Counter<'_> {
    #[inline]
    fn code(&mut self, context: usize, bit: bool) -> bool {
        self.counts[context][usize::from(bit)] += 1;
        bit
    }
    #[inline]
    fn raw(&mut self, bit: bool) -> bool {
        bit
    }
}

/// Adds up what bits would cost, for calibration: the ideal length of a code word, without the fraction of a byte that
/// its end wastes.
pub struct Price<'a> {
    /// [`price_list`] of the models.
    pub costs: &'a [[f64; 2]],
    /// Sum so far \[bit\].
    pub bits: f64,
}

/// Bits that `false` and `true` cost in every context.
pub fn price_list(models: &[u16]) -> Vec<[f64; 2]> {
    let whole = f64::from(1u32 << PROBABILITY_BITS);
    models
        .iter()
        .map(|&p| [f64::from(p), whole - f64::from(p)].map(|p| (whole / p).log2()))
        .collect()
}

impl BitIo for Price<'_> {
    #[inline]
    fn code(&mut self, context: usize, bit: bool) -> bool {
        self.bits += self.costs[context][usize::from(bit)];
        bit
    }
    #[inline]
    fn raw(&mut self, bit: bool) -> bool {
        self.bits += 1.0;
        bit
    }
}

/// Magnitudes and signs known so far: bit 15 is the sign, the rest the magnitude in units of the current plane.
#[derive(Clone, Default)]
pub struct Known {
    /// `K × coefficients`, as in [`super::transform`].
    pub values: Vec<u16>,
    activity: Vec<u8>,
}

impl Known {
    /// Forget everything.
    pub fn reset(&mut self, coefficients: usize) {
        self.values.clear();
        self.values.resize(coefficients, 0);
        self.activity.clear();
        self.activity.resize(coefficients, 0);
    }
}

/// Sign bit of [`Known::values`] and of quantised coefficients.
pub const SIGN: u16 = 1 << 15;

const NONE: u16 = u16::MAX;

/// Scan lists of one cut, derived from its tables.
pub struct PlaneCoder {
    frequencies: usize,
    plane_passes: u8,
    blocks_down: usize,
    blocks_across: usize,
    bands: Vec<Band>,
    scale: Vec<i8>,
    /// Frequencies of each map by falling entry plane.
    order: Vec<u16>,
    /// How many of them have entered by plane `p`: `K × (MAX_PLANES + 2)`.
    entered: Vec<u16>,
    /// Adjacent frequencies, `NONE` where there is none.
    adjacent: Vec<[u16; 4]>,
}

/// Activity counts 0.. to classes.
const ACTIVITY_CLASS: [u8; 16] = [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 7, 7, 7, 7, 7];

impl PlaneCoder {
    /// Scan lists for validated tables.
    pub fn new(tables: &Tables) -> Self {
        let g = &tables.geometry;
        let f = g.frequencies();
        let mut order = Vec::with_capacity(tables.kept * f);
        let mut entered = Vec::with_capacity(tables.kept * (MAX_PLANES + 2));
        for scale in tables.scale.chunks_exact(f) {
            let mut list: Vec<u16> = (0..f as u16).collect();
            let key = |&i: &u16| match entry_plane(scale[usize::from(i)]) {
                NEVER => i32::MAX,
                plane => -i32::from(plane),
            };
            list.sort_by_key(key);
            for plane in 0..MAX_PLANES as i32 + 2 {
                entered.push(list.iter().filter(|i| key(i) <= -plane).count() as u16);
            }
            order.extend(list);
        }
        let at: std::collections::HashMap<(usize, usize), u16> = g
            .frequency_order()
            .into_iter()
            .enumerate()
            .map(|(i, uv)| (uv, i as u16))
            .collect();
        let find = |u: Option<usize>, v: Option<usize>| {
            u.zip(v).and_then(|uv| at.get(&uv).copied()).unwrap_or(NONE)
        };
        // Functions of a basis over whole maps have no order in which neighbours are alike.
        let isolated = matches!(tables.spatial, Spatial::Full(_));
        let find = |u, v| if isolated { NONE } else { find(u, v) };
        let adjacent = g
            .frequency_order()
            .into_iter()
            .map(|(u, v)| {
                [
                    find(u.checked_sub(1), Some(v)),
                    find(Some(u + 1), Some(v)),
                    find(Some(u), v.checked_sub(1)),
                    find(Some(u), Some(v + 1)),
                ]
            })
            .collect();
        let (blocks_down, blocks_across) = g.blocks();
        Self {
            frequencies: f,
            plane_passes: tables.plane_passes,
            blocks_down,
            blocks_across,
            bands: tables.bands.clone(),
            scale: tables.scale.clone(),
            order,
            entered,
            adjacent,
        }
    }

    /// How many frequencies of map `map` have entered by `plane`.
    fn entered(&self, map: usize, plane: u8) -> usize {
        usize::from(self.entered[map * (MAX_PLANES + 2) + usize::from(plane)])
    }

    /// Plane of a pass and its rank there: the last rank is visited first.
    fn place(&self, pass: u8) -> (u8, u8) {
        (pass / self.plane_passes, pass % self.plane_passes)
    }

    /// Plane that a pass is about.
    pub fn plane(&self, pass: u8) -> u8 {
        self.place(pass).0
    }

    /// Frequencies of map `map` that `pass` visits.
    pub fn visited(&self, map: usize, pass: u8) -> &[u16] {
        let (plane, rank) = self.place(pass);
        let start = if rank + 1 == self.plane_passes {
            0
        } else {
            self.entered(map, plane + rank + 1)
        };
        let end = self.entered(map, plane + rank);
        &self.order[map * self.frequencies..][start..end]
    }

    /// Frequencies of map `map` that are known once `pass` is decoded: down to the plane of the pass, and down to the
    /// plane above.
    pub fn known(&self, map: usize, pass: u8) -> [(&[u16], u8); 2] {
        let (plane, rank) = self.place(pass);
        let end = self.entered(map, plane + rank);
        let all = if rank == 0 {
            end
        } else {
            self.entered(map, plane + 1)
        };
        let order = &self.order[map * self.frequencies..];
        [(&order[..end], plane), (&order[end..all], plane + 1)]
    }

    /// Scale class of a coefficient.
    #[inline]
    pub fn scale(&self, map: usize, frequency: u16) -> i8 {
        self.scale[map * self.frequencies + usize::from(frequency)]
    }

    /// Blocks of a map.
    pub fn blocks(&self) -> usize {
        self.blocks_down * self.blocks_across
    }

    /// Code one pass of one band. `truth` holds the quantised coefficients (sign in bit 15) when writing, and is
    /// empty when reading.
    pub fn code<B: BitIo>(
        &self,
        band: usize,
        pass: u8,
        truth: &[u16],
        known: &mut Known,
        io: &mut B,
    ) {
        let maps = self.bands[band].maps();
        let (plane, rank) = self.place(pass);
        let mut ratios = [0u8; MAX_FREQUENCIES];
        for map in maps.clone() {
            let visited = self.visited(map, pass);
            if visited.is_empty() {
                continue;
            }
            // Those that enter come last; all others of this pass have been looked at in the plane above.
            let seen = match rank {
                0 if self.plane_passes == 1 => self.entered(map, plane + 1),
                0 => 0,
                _ => visited.len(),
            };
            let scale = &self.scale[map * self.frequencies..][..self.frequencies];
            for (ratio, &frequency) in ratios.iter_mut().zip(visited) {
                *ratio = ratio_class(scale[usize::from(frequency)], plane) as u8;
            }
            for block in 0..self.blocks() {
                let base = (map * self.blocks() + block) * self.frequencies;
                let values = &mut known.values[base..base + self.frequencies];
                let truth = truth.get(base..base + self.frequencies).unwrap_or(&[]);
                for (j, (&frequency, &ratio)) in visited.iter().zip(&ratios).enumerate() {
                    let f = usize::from(frequency);
                    let true_value = truth.get(f).copied().unwrap_or(0);
                    let target = (true_value & !SIGN) >> plane;
                    let old = values[f];
                    if old & !SIGN != 0 {
                        let magnitude = old & !SIGN;
                        let context = SIGNIFICANCE_CONTEXTS
                            + LARGER_CONTEXTS
                            + magnitude_class(magnitude) * RATIO_CLASSES
                            + usize::from(ratio);
                        let bit = io.code(context, target & 1 != 0);
                        let magnitude = (magnitude << 1 | u16::from(bit)) & MAX_MAGNITUDE;
                        values[f] = old & SIGN | magnitude;
                        continue;
                    }
                    let activity = ACTIVITY_CLASS[usize::from(known.activity[base + f].min(15))];
                    let context = usize::from(ratio) * ACTIVITY_CLASSES + usize::from(activity);
                    if !io.code(context, target != 0) {
                        continue;
                    }
                    let magnitude = if j < seen {
                        1
                    } else {
                        Self::code_larger(target, io)
                    };
                    let negative = io.raw(true_value & SIGN != 0);
                    values[f] = magnitude | if negative { SIGN } else { 0 };
                    self.spread_activity(map, maps.clone(), block, frequency, &mut known.activity);
                }
            }
        }
    }

    /// Magnitude ≥ 1 of a coefficient that enters: unary up to 15, then Elias gamma.
    fn code_larger<B: BitIo>(target: u16, io: &mut B) -> u16 {
        let mut magnitude = 1u16;
        while usize::from(magnitude) <= LARGER_CONTEXTS {
            let context = SIGNIFICANCE_CONTEXTS + usize::from(magnitude) - 1;
            if !io.code(context, target > magnitude) {
                return magnitude;
            }
            magnitude += 1;
        }
        let rest = u32::from(target.saturating_sub(magnitude)) + 1;
        let digits = 31 - rest.leading_zeros();
        let mut length = 0;
        while length < 15 && io.raw(length < digits) {
            length += 1;
        }
        let mut value = 1u32;
        for bit in (0..length).rev() {
            value = value << 1 | u32::from(io.raw(rest >> bit & 1 != 0));
        }
        (u32::from(magnitude) + value - 1).min(u32::from(MAX_MAGNITUDE)) as u16
    }

    /// Tell the neighbours of a coefficient that it has become significant.
    fn spread_activity(
        &self,
        map: usize,
        band: std::ops::Range<usize>,
        block: usize,
        frequency: u16,
        activity: &mut [u8],
    ) {
        let f = usize::from(frequency);
        let at = |map: usize, block: usize, f: usize| {
            (map * self.blocks() + block) * self.frequencies + f
        };
        let mut add = |i: usize| activity[i] = activity[i].saturating_add(1);
        for &neighbour in &self.adjacent[f] {
            if neighbour != NONE {
                add(at(map, block, usize::from(neighbour)));
            }
        }
        if map > band.start {
            add(at(map - 1, block, f));
        }
        if map + 1 < band.end {
            add(at(map + 1, block, f));
        }
        if self.blocks() > 1 {
            let (y, x) = (block / self.blocks_across, block % self.blocks_across);
            if y > 0 {
                add(at(map, block - self.blocks_across, f));
            }
            if y + 1 < self.blocks_down {
                add(at(map, block + self.blocks_across, f));
            }
            if x > 0 {
                add(at(map, block - 1, f));
            }
            if x + 1 < self.blocks_across {
                add(at(map, block + 1, f));
            }
        }
    }
}
