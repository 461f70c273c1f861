//! A walk over the page headers of a column chunk, before any page is decompressed.
//!
//! A page header states how large the page becomes, and the Parquet reader reserves that much; a damaged or hostile
//! header may state 2 GiB. A page that refers to a dictionary where there is none makes the reader panic. So the
//! headers are read first (Thrift compact protocol, `PageHeader` in parquet.thrift): only plain kinds of page
//! pass, and their sizes can be held against what the announced rows need.

/// `PageType::DATA_PAGE`, the only kind of page in a profile.
const DATA_PAGE: i64 = 0;
/// `Encoding::{PLAIN, RLE, DELTA_BINARY_PACKED, BYTE_STREAM_SPLIT}`: those that need nothing but the page itself.
const ENCODINGS: [i64; 4] = [0, 3, 5, 9];
/// Deepest nesting of structures accepted when skipping fields.
const MAX_DEPTH: u32 = 8;

/// What the pages of a column chunk announce, added up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Bytes after decompression.
    pub bytes: u64,
    /// Values.
    pub values: u64,
}

/// Adds up the pages of `chunk`.
pub(super) fn totals(chunk: &[u8]) -> Result<Totals, String> {
    let mut cursor = Cursor { bytes: chunk };
    let mut totals = Totals::default();
    while !cursor.bytes.is_empty() {
        let header = cursor.page_header().ok_or("a page header is damaged")?;
        if header.page_type != DATA_PAGE || !ENCODINGS.contains(&header.encoding) {
            return Err(format!(
                "a page of type {} in encoding {}, which profiles do not use",
                header.page_type, header.encoding
            ));
        }
        let compressed = usize::try_from(header.compressed).unwrap_or(usize::MAX);
        cursor.bytes = cursor
            .bytes
            .get(compressed..)
            .ok_or("a page runs past the end of its column")?;
        let size = |n: i64| u64::try_from(n).map_err(|_| "a page has a negative size");
        totals.bytes += size(header.uncompressed)?;
        totals.values += size(header.values)?;
    }
    Ok(totals)
}

/// The fields of `PageHeader`, and of the `DataPageHeader` in it, that matter here.
struct PageHeader {
    page_type: i64,
    uncompressed: i64,
    compressed: i64,
    values: i64,
    encoding: i64,
}

/// The integers in fields 1, 2 and 3 of a structure.
type Integers = [Option<i64>; 3];

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn advance(&mut self, count: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let raw = self.varint()?;
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The next field of a structure: its id and compact type, `None` at the stop byte.
    fn field(&mut self, previous: i64) -> Option<Option<(i64, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        let id = match byte >> 4 {
            0 => self.zigzag()?,
            delta => previous + i64::from(delta),
        };
        Some(Some((id, byte & 0x0f)))
    }

    /// The fields of a structure: the integers of fields 1, 2 and 3, and those of the structure in field 5.
    fn integers(&mut self, depth: u32) -> Option<(Integers, Integers)> {
        let (mut own, mut inner) = ([None; 3], None);
        let mut id = 0;
        while let Some((next, kind)) = self.field(id)? {
            // A field given twice, or out of order, would let a second reader see another value.
            if next <= id {
                return None;
            }
            id = next;
            match (id, kind) {
                // Compact type 5 is a 32-bit integer, 12 a structure.
                (1..=3, 5) => own[id as usize - 1] = Some(self.zigzag()?),
                (5, 12) if depth == 0 => inner = Some(self.integers(1)?.0),
                _ => self.skip(kind, MAX_DEPTH)?,
            }
        }
        Some((own, inner.unwrap_or_default()))
    }

    fn page_header(&mut self) -> Option<PageHeader> {
        let ([page_type, uncompressed, compressed], [values, encoding, _]) = self.integers(0)?;
        Some(PageHeader {
            page_type: page_type?,
            uncompressed: uncompressed?,
            compressed: compressed?,
            // Pages of other kinds have no such fields and are refused by their type.
            values: values.unwrap_or(-1),
            encoding: encoding.unwrap_or(-1),
        })
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // Booleans live in the field header.
            1 | 2 => Some(()),
            3 => self.advance(1),
            4..=6 => self.varint().map(drop),
            7 => self.advance(8),
            8 => {
                let length = self.varint()?;
                self.advance(length)
            }
            12 => {
                let mut id = 0;
                while let Some((next, kind)) = self.field(id)? {
                    id = next;
                    self.skip(kind, depth)?;
                }
                Some(())
            }
            // Lists, sets and maps do not occur in a page header.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PageHeader { type: 0, uncompressed_page_size: 300, compressed_page_size: 2, data_page_header: { num_values: 3,
    /// encoding: 5 } }`, encoded by hand after the Thrift compact protocol, and two bytes of page.
    const PAGE: [u8; 15] = [
        0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0x04, 0x2c, 0x15, 0x06, 0x15, 0x0a, 0x00, 0x00, 0xaa,
    ];

    fn pages(count: usize) -> Vec<u8> {
        (0..count)
            .flat_map(|_| PAGE.into_iter().chain([0xbb]))
            .collect()
    }

    #[test]
    fn adds_up_the_pages_of_a_chunk() {
        assert_eq!(totals(&pages(0)), Ok(Totals::default()));
        let expected = Totals {
            bytes: 900,
            values: 9,
        };
        assert_eq!(totals(&pages(3)), Ok(expected));
    }

    #[test]
    fn refuses_every_truncation_inside_a_page() {
        let whole = pages(1);
        for end in 1..whole.len() {
            assert!(totals(&whole[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn refuses_dictionaries_and_fields_given_twice() {
        let mut dictionary_page = pages(1);
        dictionary_page[1] = 0x04;
        assert!(totals(&dictionary_page).is_err());
        let mut dictionary_indices = pages(1);
        dictionary_indices[11] = 0x10;
        assert!(totals(&dictionary_indices).is_err());
        // Field 1 twice: the second time with a delta of 0 and its id written out.
        let mut twice = pages(1);
        twice.splice(2..2, [0x05, 0x02, 0x00]);
        assert!(totals(&twice).is_err());
    }
}
