//! Feature ↔ chunks: the codec that device and edge run.

use super::linalg::transpose;
use super::plane::{Known, MAX_MAGNITUDE, PlaneCoder, Reader, SIGN, Writer};
use super::range::{RangeDecoder, RangeEncoder};
use super::restore::Carried;
use super::tables::*;
use super::transform::{Scratch, Transform};

/// Most bytes that one coefficient can add to a chunk: at most 15 + 14 decisions of 10.4 bits (the rarest outcome that
/// the models allow) and 30 even bits.
const COEFFICIENT_BYTES: usize = 48;

/// One unit of transmission: an identifier (position in order of importance) and an entropy-coded payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Index into [`Tables::chunks`].
    pub id: u16,
    /// Entropy-coded bits.
    pub payload: Vec<u8>,
}

impl Chunk {
    /// Bytes over the air: identifier and length as LEB128 integers, then the payload.
    pub fn air_bytes(&self) -> usize {
        framed_bytes(self.id, self.payload.len())
    }
}

/// Bytes over the air of a chunk with the given identifier and payload length.
pub fn framed_bytes(id: u16, payload: usize) -> usize {
    let varint = |n: usize| 1 + usize::from(n >= 1 << 7) + usize::from(n >= 1 << 14);
    varint(usize::from(id)) + varint(payload) + payload
}

/// Why a chunk was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChunkError {
    /// No such chunk in the tables.
    #[error("chunk {id} is not in the tables (0 to {last})")]
    UnknownId {
        /// What came.
        id: u16,
        /// Highest identifier.
        last: usize,
    },
    /// Longer than any image could make it.
    #[error("chunk {id} has {bytes} bytes, at most {limit} are possible")]
    TooLong {
        /// Which chunk.
        id: u16,
        /// Its length.
        bytes: usize,
        /// [`Codec::payload_limit`].
        limit: usize,
    },
}

/// Encoder and decoder of one cut.
pub struct Codec {
    tables: Tables,
    transform: Transform,
    planes: PlaneCoder,
    /// Chunk that covers the passes just above each chunk, in the same band.
    predecessor: Vec<Option<u16>>,
    /// Band of every map.
    band_of: Vec<u16>,
    /// What decoded planes carry, for restoration and statistics.
    carried: Carried,
}

/// Reusable memory of one encoding thread.
#[derive(Default)]
pub struct EncoderScratch {
    scratch: Scratch,
    coefficients: Vec<f32>,
    truth: Vec<u16>,
    known: Known,
}

impl EncoderScratch {
    /// Quantised and plain coefficients of the feature last seen by [`Codec::quantise`].
    pub(super) fn quantised(&self) -> (&[u16], &[f32]) {
        (&self.truth, &self.coefficients)
    }
}

impl Codec {
    /// Codec for tables that pass [`Tables::validate`].
    pub fn new(tables: Tables) -> Result<Self, TablesError> {
        tables.validate()?;
        let k = tables.kept;
        let maps = tables.geometry.maps;
        let synthesis = tables
            .synthesis
            .clone()
            .unwrap_or_else(|| transpose(&tables.analysis, k, maps));
        let transform = Transform::new(
            tables.geometry,
            k,
            tables.analysis.clone(),
            synthesis,
            tables.mean.clone(),
            &tables.spatial,
        );
        let planes = PlaneCoder::new(&tables);
        let band_of = (0u16..)
            .zip(&tables.bands)
            .flat_map(|(b, band)| std::iter::repeat_n(b, band.count as usize))
            .collect();
        let carried = Carried::new(&tables);
        let predecessor = tables
            .chunks
            .iter()
            .map(|chunk| {
                tables
                    .chunks
                    .iter()
                    .position(|c| c.band == chunk.band && c.low == chunk.high + 1)
                    .map(|i| i as u16)
            })
            .collect();
        Ok(Self {
            tables,
            transform,
            planes,
            predecessor,
            band_of,
            carried,
        })
    }

    /// Band of a map.
    pub(super) fn band_of(&self, map: usize) -> usize {
        usize::from(self.band_of[map])
    }

    /// The tables it was built from.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The transform alone.
    pub fn transform(&self) -> &Transform {
        &self.transform
    }

    /// What decoded planes carry.
    pub(super) fn carried(&self) -> &Carried {
        &self.carried
    }

    /// The plane coder alone (calibration trains its models).
    pub(super) fn planes(&self) -> &PlaneCoder {
        &self.planes
    }

    /// Chunks of a whole stream.
    pub fn chunk_count(&self) -> usize {
        self.tables.chunks.len()
    }

    /// The chunk that must be decoded before `id` can be, if any; always of the same band.
    pub fn predecessor(&self, id: u16) -> Option<u16> {
        self.predecessor.get(usize::from(id)).copied().flatten()
    }

    /// Bytes that the payload of chunk `id` cannot exceed, whatever the feature; 0 for a chunk that is not in the tables.
    pub fn payload_limit(&self, id: u16) -> usize {
        let Some(spec) = self.tables.chunks.get(usize::from(id)) else {
            return 0;
        };
        let band = self.tables.bands[usize::from(spec.band)];
        8 + band.count as usize * self.tables.geometry.coefficients() * COEFFICIENT_BYTES
    }

    /// Whether coefficient `index` is ever sent: its calibrated scale is not far below the finest step.
    pub fn is_sent(&self, index: usize) -> bool {
        let g = &self.tables.geometry;
        let (map, frequency) = (index / g.coefficients(), index % g.frequencies());
        entry_plane(self.planes.scale(map, frequency as u16)) != NEVER
    }

    /// MACs of the transform in one direction.
    pub fn macs(&self) -> u64 {
        self.transform.macs()
    }

    /// Quantised coefficients (sign in bit 15, magnitude in steps) of a feature.
    pub fn quantise<'s>(&self, feature: &[f32], scratch: &'s mut EncoderScratch) -> &'s [u16] {
        self.transform
            .forward(feature, &mut scratch.scratch, &mut scratch.coefficients);
        let inverse_step = 1.0 / self.tables.step;
        scratch.truth.clear();
        scratch.truth.extend(scratch.coefficients.iter().map(|&y| {
            // Dead zone: everything below one step is zero.
            let magnitude = (y.abs() * inverse_step).min(f32::from(MAX_MAGNITUDE)) as u16;
            magnitude | if y < 0.0 { SIGN } else { 0 }
        }));
        &scratch.truth
    }

    /// All chunks of a feature (`maps × height × width`, row-major), most important first.
    pub fn encode(&self, feature: &[f32], scratch: &mut EncoderScratch) -> Vec<Chunk> {
        self.quantise(feature, scratch);
        self.encode_quantised(scratch)
    }

    fn encode_quantised(&self, scratch: &mut EncoderScratch) -> Vec<Chunk> {
        scratch.known.reset(scratch.truth.len());
        let mut chunks: Vec<Chunk> = Vec::with_capacity(self.tables.chunks.len());
        for (id, spec) in self.tables.chunks.iter().enumerate() {
            let mut writer = Writer {
                models: &self.tables.models,
                encoder: RangeEncoder::default(),
            };
            for pass in (spec.low..=spec.high).rev() {
                self.planes.code(
                    usize::from(spec.band),
                    pass,
                    &scratch.truth,
                    &mut scratch.known,
                    &mut writer,
                );
            }
            chunks.push(Chunk {
                id: id as u16,
                payload: writer.encoder.finish(),
            });
        }
        chunks
    }

    /// A decoder for one feature.
    pub fn decoder(&self) -> Decoder<'_> {
        let mut known = Known::default();
        known.reset(self.tables.kept * self.tables.geometry.coefficients());
        Decoder {
            codec: self,
            known,
            reached: vec![None; self.tables.bands.len()],
            waiting: vec![None; self.tables.chunks.len()],
            waiting_bytes: 0,
            decoded: vec![false; self.tables.chunks.len()],
            received: vec![None; self.tables.chunks.len()],
            coefficients: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Value of a coefficient whose magnitude at `plane` is `known`.
    #[inline]
    pub(super) fn value(&self, known: u16, scale: i8, plane: u8) -> f32 {
        let magnitude = known & !SIGN;
        let point = self.tables.points
            [magnitude_class(magnitude) * RATIO_CLASSES + ratio_class(scale, plane)];
        let value = (f32::from(magnitude) + point) * self.tables.step * (1u32 << plane) as f32;
        if known & SIGN != 0 { -value } else { value }
    }
}

/// Collects chunks of one feature in any order, with losses, and estimates the feature from what is there.
pub struct Decoder<'a> {
    codec: &'a Codec,
    known: Known,
    /// Lowest pass decoded of each band.
    reached: Vec<Option<u8>>,
    /// Chunks whose predecessor has not arrived yet.
    waiting: Vec<Option<Vec<u8>>>,
    waiting_bytes: usize,
    decoded: Vec<bool>,
    /// Payload bytes of the chunks decoded so far.
    received: Vec<Option<u16>>,
    coefficients: Vec<f32>,
    scratch: Scratch,
}

impl Decoder<'_> {
    /// Take in a chunk; duplicates are ignored. A chunk that comes before its predecessor waits for it.
    pub fn push(&mut self, id: u16, payload: &[u8]) -> Result<(), ChunkError> {
        let index = usize::from(id);
        if index >= self.decoded.len() {
            return Err(ChunkError::UnknownId {
                id,
                last: self.decoded.len().saturating_sub(1),
            });
        }
        let limit = self.codec.payload_limit(id);
        if payload.len() > limit {
            return Err(ChunkError::TooLong {
                id,
                bytes: payload.len(),
                limit,
            });
        }
        if self.decoded[index] || self.waiting[index].is_some() {
            return Ok(());
        }
        if let Some(before) = self.codec.predecessor[index]
            && !self.decoded[usize::from(before)]
        {
            // Early chunks are kept only up to the size of the raw feature; what comes beyond counts as lost.
            if self.waiting_bytes + payload.len() <= self.codec.tables.geometry.elements() * 4 {
                self.waiting_bytes += payload.len();
                self.waiting[index] = Some(payload.to_vec());
            }
            return Ok(());
        }
        self.decode(index, payload);
        // Followers of this chunk that were waiting, one after the other.
        let mut last = id;
        while let Some(next) = (0..self.waiting.len())
            .find(|&i| self.waiting[i].is_some() && self.codec.predecessor[i] == Some(last))
        {
            let payload = self.waiting[next]
                .take()
                .expect("found because it is there");
            self.waiting_bytes -= payload.len();
            self.decode(next, &payload);
            last = next as u16;
        }
        Ok(())
    }

    fn decode(&mut self, index: usize, payload: &[u8]) {
        let spec = self.codec.tables.chunks[index];
        let mut reader = Reader {
            models: &self.codec.tables.models,
            decoder: RangeDecoder::new(payload),
        };
        for pass in (spec.low..=spec.high).rev() {
            self.codec.planes.code(
                usize::from(spec.band),
                pass,
                &[],
                &mut self.known,
                &mut reader,
            );
        }
        self.reached[usize::from(spec.band)] = Some(spec.low);
        self.decoded[index] = true;
        self.received[index] = Some(u16::try_from(payload.len()).unwrap_or(u16::MAX));
    }

    /// The codec it decodes for.
    pub(super) fn codec(&self) -> &Codec {
        self.codec
    }

    /// Lowest pass decoded of each band.
    pub(super) fn reached(&self) -> &[Option<u8>] {
        &self.reached
    }

    /// Payload bytes of every chunk that has been decoded.
    pub(super) fn received_bytes(&self) -> &[Option<u16>] {
        &self.received
    }

    /// Whether chunk `id` has been decoded.
    pub fn has(&self, id: u16) -> bool {
        self.decoded.get(usize::from(id)).copied().unwrap_or(false)
    }

    /// Quantised coefficients as known now: magnitude in units of the lowest plane that they are
    /// [known](known_plane) down to, sign in bit 15; and the lowest decoded pass per band (`None`: nothing decoded).
    pub fn levels(&self) -> (&[u16], &[Option<u8>]) {
        (&self.known.values, &self.reached)
    }

    /// Estimated coefficients of what has arrived, zero elsewhere, and how many leading maps are not all zero.
    pub fn coefficients(&mut self) -> (&[f32], usize) {
        let codec = self.codec;
        let g = &codec.tables.geometry;
        let f = g.frequencies();
        self.coefficients.clear();
        self.coefficients
            .resize(codec.tables.kept * g.coefficients(), 0.0);
        let mut used = 0;
        for (band, reached) in codec.tables.bands.iter().zip(&self.reached) {
            let Some(pass) = *reached else { continue };
            for map in band.maps() {
                for (frequencies, plane) in codec.planes.known(map, pass) {
                    for block in 0..codec.planes.blocks() {
                        let base = (map * codec.planes.blocks() + block) * f;
                        for &frequency in frequencies {
                            let i = base + usize::from(frequency);
                            let known = self.known.values[i];
                            if known & !SIGN != 0 {
                                let scale = codec.planes.scale(map, frequency);
                                self.coefficients[i] = codec.value(known, scale, plane);
                                used = map + 1;
                            }
                        }
                    }
                }
            }
        }
        (&self.coefficients, used)
    }

    /// Best estimate of the feature; what is missing is filled with the calibration mean, and what is there is stretched
    /// by as much as calibration found best ([`Restoration`](super::tables::Restoration)).
    pub fn reconstruct(&mut self, out: &mut [f32]) {
        self.reconstruct_plain(out);
        if self.codec.tables.restoration.exponents.is_empty() {
            return;
        }
        let exponent = self.codec.tables.restoration.exponent(self.carried_share());
        self.restore(&self.carried(), exponent, out);
    }

    /// The estimate of least squared error: without restoration.
    pub fn reconstruct_plain(&mut self, out: &mut [f32]) {
        let used = self.coefficients().1;
        let codec = self.codec;
        codec
            .transform
            .inverse(&self.coefficients, used, &mut self.scratch, out);
    }
}
