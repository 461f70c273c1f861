//! Cut 0: the picture itself goes over the air, coded as its profile says, and the edge runs the whole network.

use enachi_core::profile::{CutKind, LadderKind, Profile};
use enachi_model::images::{Preprocess, RgbCrop, to_picture, to_tensor};
use enachi_model::picture::{PictureCodec, Rung};

/// Bytes of a picture that travel as one chunk; the last is shorter.
pub const PART_BYTES: usize = 1024;
/// Most chunks of a picture: 1 MiB.
pub const MOST_PARTS: u32 = 1024;
/// The first chunk begins with the picture's length, as a 32-bit little-endian integer.
const LENGTH_BYTES: usize = 4;

/// How one stream of cut 0 codes pictures.
enum Coder {
    /// Levels of an image codec.
    Rungs(Vec<Rung>),
    /// Pixels as they are, R, G, B of each.
    Pixels,
}

/// The streams of cut 0 of a profile.
pub struct Pictures {
    preprocess: Preprocess,
    side: u32,
    /// By stream; `None` for one that this program cannot code.
    coders: Vec<Option<Coder>>,
}

impl Pictures {
    /// Of a profile whose input is a square picture; `None` for others, or where the profile does not say how it was coded.
    pub fn of(profile: &Profile) -> Option<Self> {
        let cut = profile.cuts.first().filter(|c| c.kind == CutKind::Input)?;
        let settings = &profile.meta.settings;
        let preprocess: Preprocess = settings.get("preprocess")?.parse().ok()?;
        let square = cut.maps == 3 && cut.height == cut.width && cut.width == preprocess.crop;
        if !square {
            return None;
        }
        let coder = |stream: &enachi_core::profile::Stream| {
            if stream.ladder != LadderKind::Alternatives {
                return None;
            }
            if stream.name == "pixels" {
                return Some(Coder::Pixels);
            }
            let codec = PictureCodec::of_stream(&stream.name)?;
            let rungs = settings.get(&format!("{}.rungs", stream.name))?;
            let rungs: Option<Vec<Rung>> =
                rungs.split(", ").map(|r| Rung::parse(codec, r)).collect();
            let fits = |rungs: &Vec<Rung>| {
                rungs.len() + 1 == stream.checkpoint_chunks.len()
                    && rungs.iter().all(|rung| rung.side <= preprocess.crop)
            };
            Some(Coder::Rungs(rungs.filter(fits)?))
        };
        Some(Self {
            side: preprocess.crop,
            coders: cut.streams.iter().map(coder).collect(),
            preprocess,
        })
    }

    /// Whether a stream can be coded.
    pub fn codes(&self, stream: usize) -> bool {
        self.coder(stream).is_some()
    }

    fn coder(&self, stream: usize) -> Option<&Coder> {
        self.coders.get(stream)?.as_ref()
    }

    /// Levels of a stream, from 1 on.
    pub fn levels(&self, stream: usize) -> usize {
        match self.coder(stream) {
            Some(Coder::Rungs(rungs)) => rungs.len(),
            Some(Coder::Pixels) => 1,
            None => 0,
        }
    }

    /// Values of the network's input.
    pub fn values(&self) -> usize {
        3 * (self.side * self.side) as usize
    }

    /// The picture that became the network's input `values`.
    pub fn picture(&self, values: &[f32]) -> RgbCrop {
        to_picture(values, self.side, &self.preprocess)
    }

    /// Code a picture at `level`, from 1 on.
    pub fn encode(
        &self,
        stream: usize,
        level: usize,
        picture: &RgbCrop,
    ) -> Result<Vec<u8>, String> {
        match self.coder(stream).ok_or(UNKNOWN)? {
            Coder::Pixels => Ok(picture.pixels.clone()),
            Coder::Rungs(rungs) => {
                let rung = level.checked_sub(1).and_then(|at| rungs.get(at));
                let rung = rung.ok_or("a level that this stream does not have")?;
                rung.encode(picture).map_err(|e| e.to_string())
            }
        }
    }

    /// The network's input from a coded picture, whatever its level. The bytes come from a peer.
    pub fn decode(&self, stream: usize, bytes: &[u8]) -> Result<Vec<f32>, String> {
        let picture = match self.coder(stream).ok_or(UNKNOWN)? {
            Coder::Pixels => {
                let pixels = bytes.to_vec();
                if pixels.len() != self.values() {
                    return Err("pixels of another picture".into());
                }
                RgbCrop {
                    width: self.side,
                    height: self.side,
                    pixels,
                }
            }
            Coder::Rungs(rungs) => {
                let codec = rungs.first().ok_or(UNKNOWN)?.codec;
                let decoded = codec.decode_within(bytes, self.side, self.side);
                decoded.map_err(|e| e.to_string())?
            }
        };
        Ok(to_tensor(&picture, &self.preprocess).data)
    }
}

const UNKNOWN: &str = "a stream that this runtime does not send";

/// The chunks of a coded picture.
pub fn parts(picture: &[u8]) -> Vec<Vec<u8>> {
    let mut framed = (picture.len() as u32).to_le_bytes().to_vec();
    framed.extend(picture);
    framed.chunks(PART_BYTES).map(<[u8]>::to_vec).collect()
}

/// A picture on its way in. Holds at most [`MOST_PARTS`] chunks.
#[derive(Clone, Debug, Default)]
pub struct Arriving {
    /// Chunks side by side, each at its identifier times [`PART_BYTES`].
    bytes: Vec<u8>,
    /// How long each is; `None` for one that has not come.
    lengths: Vec<Option<u16>>,
}

impl Arriving {
    /// A chunk has come; one that no picture has is ignored.
    pub fn push(&mut self, id: u16, payload: &[u8]) {
        let at = usize::from(id);
        if at >= MOST_PARTS as usize || payload.len() > PART_BYTES {
            return;
        }
        if self.lengths.len() <= at {
            self.lengths.resize(at + 1, None);
            self.bytes.resize((at + 1) * PART_BYTES, 0);
        }
        self.lengths[at] = Some(payload.len() as u16);
        self.bytes[at * PART_BYTES..][..payload.len()].copy_from_slice(payload);
    }

    /// Bytes that have arrived.
    pub fn length_bytes(&self) -> usize {
        let lengths = self.lengths.iter().flatten();
        lengths.map(|length| usize::from(*length)).sum()
    }

    /// The chunks up to the first gap.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let places = self.bytes.chunks_exact(PART_BYTES).zip(&self.lengths);
        places.map_while(|(place, length)| length.map(|length| &place[..usize::from(length)]))
    }

    /// The picture, once all of it is there.
    pub fn whole(&self) -> Option<Vec<u8>> {
        let length = self.length()?;
        // Chunks behind a gap are not needed, or it is not whole.
        let framed: Vec<&[u8]> = self.parts().collect();
        let mut bytes = framed.concat().split_off(LENGTH_BYTES);
        if bytes.len() < length {
            return None;
        }
        bytes.truncate(length);
        Some(bytes)
    }

    /// Whether all of it is there.
    pub fn is_whole(&self) -> bool {
        let there: usize = self.parts().map(<[u8]>::len).sum();
        let length = self.length();
        length.is_some_and(|length| there >= length + LENGTH_BYTES)
    }

    fn length(&self) -> Option<usize> {
        let bytes = self.parts().next()?.first_chunk::<LENGTH_BYTES>()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_picture_in_any_order_once_all_are_there() {
        for length in [0, 1, PART_BYTES - 4, PART_BYTES - 3, 5 * PART_BYTES] {
            let picture: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let mut sent: Vec<_> = (0u16..).zip(parts(&picture)).collect();
            sent.reverse();
            let mut arriving = Arriving::default();
            for (at, (id, part)) in sent.iter().enumerate() {
                assert!(!arriving.is_whole() && arriving.whole().is_none(), "{at}");
                arriving.push(*id, part);
                arriving.push(*id, part);
            }
            assert!(arriving.is_whole());
            assert_eq!(arriving.whole(), Some(picture));
        }
    }

    #[test]
    fn chunks_of_no_picture_take_no_memory() {
        let mut arriving = Arriving::default();
        arriving.push(MOST_PARTS as u16, &[1]);
        arriving.push(0, &[0; PART_BYTES + 1]);
        assert!(arriving.bytes.is_empty() && arriving.whole().is_none());
        // A chunk behind a gap, of a picture that is whole without it.
        let mut short = Arriving::default();
        short.push(9, &[1]);
        short.push(0, &[2, 0, 0, 0, 7, 8]);
        assert!(short.is_whole());
        assert_eq!(short.whole(), Some(vec![7, 8]));
        // A length that no chunks reach.
        arriving.push(0, &u32::MAX.to_le_bytes());
        assert!(!arriving.is_whole() && arriving.whole().is_none());
    }
}
