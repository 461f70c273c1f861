//! A bounded walk over the bytes of an ONNX file, before any of them is decoded into structures.
//!
//! `rten-onnx` decodes recursively and expects repeated integers of attributes and shapes unpacked. Both matter for
//! files from elsewhere: nesting of any depth would exhaust the stack, and writers built on proto3 (prost,
//! burn-onnx) pack such fields. This pass copies the fields that are used into an equivalent message whose nesting
//! is limited by the tables below and whose integers are unpacked.

/// Why a file is refused at this level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WireError {
    /// Not a well-formed message; what was being read, and the byte offset.
    Malformed(&'static str, usize),
    /// Well-formed, but uses something that cannot be split: named here.
    Unsupported(&'static str),
}

#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
}

enum Action {
    Copy,
    Drop,
    Into(Message),
    UnpackVarints,
    UnpackFixed32,
    Refuse(&'static str),
}

/// Field numbers of onnx.proto3.
fn action(message: Message, field: u64) -> Action {
    use Action::{Copy, Drop, Into, Refuse, UnpackFixed32, UnpackVarints};
    match (message, field) {
        (Message::Model, 1 | 2 | 3 | 8) => Copy,
        (Message::Model, 7) => Into(Message::Graph),
        (Message::Graph, 1) => Into(Message::Node),
        (Message::Graph, 5) => Into(Message::Tensor),
        (Message::Graph, 11 | 12) => Into(Message::ValueInfo),
        (Message::Graph, 15) => Refuse("sparse initialisers"),
        (Message::Node, 1..=4 | 7) => Copy,
        (Message::Node, 5) => Into(Message::Attribute),
        (Message::Attribute, 1..=4 | 9 | 20) => Copy,
        (Message::Attribute, 5) => Into(Message::Tensor),
        (Message::Attribute, 6 | 11) => Refuse("control flow (an operator with a subgraph)"),
        (Message::Attribute, 7) => UnpackFixed32,
        (Message::Attribute, 8) => UnpackVarints,
        (Message::Tensor, 1) => UnpackVarints,
        (Message::Tensor, 2 | 4 | 5 | 7..=10 | 13 | 14) => Copy,
        (Message::ValueInfo, 1) => Copy,
        (Message::ValueInfo, 2) => Into(Message::Type),
        (Message::Type, 1) => Into(Message::TensorType),
        (Message::Type, 4 | 5 | 8 | 9) => Refuse("an input or output that is not a tensor"),
        (Message::TensorType, 1) => Copy,
        (Message::TensorType, 2) => Into(Message::Shape),
        (Message::Shape, 1) => Copy,
        // Documentation, per-value annotations (shapes are inferred again), metadata, unknown fields.
        _ => Drop,
    }
}

/// Rewrite a `ModelProto`.
pub(super) fn normalise(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 64 + 1024);
    let mut reader = Reader { bytes, at: 0 };
    copy_message(&mut reader, bytes.len(), Message::Model, &mut out)?;
    Ok(out)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn varint(&mut self, end: usize) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            if self.at >= end {
                return Err(WireError::Malformed("a number cut short", self.at));
            }
            let byte = self.bytes[self.at];
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Malformed(
            "a number longer than 64 bits",
            self.at,
        ))
    }

    fn take(&mut self, len: u64, end: usize) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= end - self.at)
            .ok_or(WireError::Malformed(
                "a field longer than its message",
                self.at,
            ))?;
        let slice = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(slice)
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes reserved for a length that is not known yet: a padded varint of 35 bits.
const LENGTH_BYTES: usize = 5;

fn copy_message(
    reader: &mut Reader<'_>,
    end: usize,
    message: Message,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    while reader.at < end {
        let tag = reader.varint(end)?;
        let (field, wire_type) = (tag >> 3, tag & 7);
        let action = action(message, field);
        if let Action::Refuse(what) = action {
            return Err(WireError::Unsupported(what));
        }
        match wire_type {
            0 => {
                let value = reader.varint(end)?;
                match action {
                    Action::Copy | Action::UnpackVarints => {
                        put_varint(out, tag);
                        put_varint(out, value);
                    }
                    Action::Drop => {}
                    _ => return Err(WireError::Malformed("a field of the wrong type", reader.at)),
                }
            }
            1 | 5 => {
                let value = reader.take(if wire_type == 1 { 8 } else { 4 }, end)?;
                match action {
                    Action::Copy | Action::UnpackFixed32 => {
                        put_varint(out, tag);
                        out.extend_from_slice(value);
                    }
                    Action::Drop => {}
                    _ => return Err(WireError::Malformed("a field of the wrong type", reader.at)),
                }
            }
            2 => {
                let len = reader.varint(end)?;
                let body_at = reader.at;
                let body = reader.take(len, end)?;
                match action {
                    Action::Copy => {
                        put_varint(out, tag);
                        put_varint(out, len);
                        out.extend_from_slice(body);
                    }
                    Action::Into(inner) => {
                        put_varint(out, tag);
                        let length_at = out.len();
                        out.extend_from_slice(&[0; LENGTH_BYTES]);
                        let body_end = reader.at;
                        reader.at = body_at;
                        copy_message(reader, body_end, inner, out)?;
                        let mut written = out.len() - length_at - LENGTH_BYTES;
                        for (i, byte) in out[length_at..length_at + LENGTH_BYTES]
                            .iter_mut()
                            .enumerate()
                        {
                            let more = if i + 1 < LENGTH_BYTES { 0x80 } else { 0 };
                            *byte = (written & 0x7f) as u8 | more;
                            written >>= 7;
                        }
                    }
                    Action::UnpackVarints => {
                        let body_end = reader.at;
                        reader.at = body_at;
                        while reader.at < body_end {
                            let value = reader.varint(body_end)?;
                            put_varint(out, field << 3);
                            put_varint(out, value);
                        }
                    }
                    Action::UnpackFixed32 => {
                        if body.len() % 4 != 0 {
                            return Err(WireError::Malformed(
                                "a list of floats cut short",
                                body_at,
                            ));
                        }
                        for value in body.chunks_exact(4) {
                            put_varint(out, field << 3 | 5);
                            out.extend_from_slice(value);
                        }
                    }
                    Action::Drop | Action::Refuse(_) => {}
                }
            }
            _ => return Err(WireError::Malformed("an unknown wire type", reader.at)),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rten_onnx::onnx::ModelProto;

    fn message(field: u64, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, field << 3 | 2);
        put_varint(&mut out, body.len() as u64);
        out.extend_from_slice(body);
        out
    }

    /// Model > graph > node > attribute with these attribute bytes.
    fn model_with_attribute(attribute: &[u8]) -> Vec<u8> {
        message(7, &message(1, &message(5, attribute)))
    }

    #[test]
    fn packed_lists_become_plain_ones() {
        let mut attribute = message(1, b"pads");
        // -1 takes ten bytes.
        let mut packed = vec![3, 0x80, 0x01];
        put_varint(&mut packed, u64::MAX);
        attribute.extend(message(8, &packed));
        attribute.extend(message(
            7,
            &[1.5f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat(),
        ));
        let tensor = [message(1, &[2, 3]), message(8, b"w")].concat();
        let bytes = [
            model_with_attribute(&attribute),
            message(7, &message(5, &tensor)),
        ];
        // rten-onnx itself refuses these.
        assert!(ModelProto::parse_buf(&bytes[0]).is_err());
        assert!(ModelProto::parse_buf(&bytes[1]).is_err());
        let model = ModelProto::parse_buf(&normalise(&bytes[0]).unwrap()).unwrap();
        let attribute = &model.graph.unwrap().node[0].attribute[0];
        assert_eq!(attribute.name.as_deref(), Some("pads"));
        assert_eq!(attribute.ints, [3, 128, -1]);
        assert_eq!(attribute.floats, [1.5, 2.0]);
        let model = ModelProto::parse_buf(&normalise(&bytes[1]).unwrap()).unwrap();
        assert_eq!(model.graph.unwrap().initializer[0].dims, [2, 3]);
    }

    #[test]
    fn a_plain_file_means_the_same_afterwards() {
        let bytes = crate::fixtures::residual_net(8).bytes();
        let once = normalise(&bytes).unwrap();
        let again = ModelProto::parse_buf(&once).unwrap().write_buf().unwrap();
        assert_eq!(again, bytes);
    }

    #[test]
    fn nesting_is_refused_before_it_is_followed() {
        let mut inner = Vec::new();
        for _ in 0..10_000 {
            inner = message(1, &message(5, &message(6, &inner)));
        }
        let error = normalise(&message(7, &inner)).unwrap_err();
        assert!(matches!(error, WireError::Unsupported(_)));
    }

    #[test]
    fn malformed_messages() {
        for bytes in [
            &[0x3a][..],
            &[0x3a, 0x05, 0x00],
            &[0x3b],
            &[0x08, 0x80],
            &[
                0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
            // The graph as a number.
            &[0x38, 0x01],
            &[
                0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
        ] {
            let error = normalise(bytes).unwrap_err();
            assert!(matches!(error, WireError::Malformed(..)), "{bytes:?}");
        }
    }
}
