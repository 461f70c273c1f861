//! The wire format: what is written is read, what is not ours is refused, and a golden of the bytes that never change.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use enachi_proto::datagram::{Datagram, End, Prefix, Writer, chunk_bytes, write_progress};
use enachi_proto::message::{
    Answer, Failure, Refuse, RefuseReason, Scored, Stop, StopReason, ToDevice, ToEdge,
};
use enachi_proto::stream::{Reader, decode, encode, preamble};
use enachi_proto::{
    DeviceSession, EdgeEvent, EdgeSession, MAX_MESSAGE_BYTES, ProtocolError, SessionError,
};
use proptest::prelude::*;

fn to_edge() -> Vec<ToEdge> {
    vec![
        ToEdge::Hello(common::hello()),
        ToEdge::Offer(common::offer(7)),
        ToEdge::Report(common::report(7)),
        ToEdge::Idle(common::idle()),
        ToEdge::Bye,
    ]
}

fn to_device() -> Vec<ToDevice> {
    vec![
        ToDevice::Welcome(common::welcome()),
        ToDevice::Refuse(Refuse {
            reason: RefuseReason::Full,
            detail: "no room".into(),
        }),
        ToDevice::Grant(common::grant(7)),
        ToDevice::Regrant(common::regrant(7, 1)),
        ToDevice::Stop(Stop {
            task: 7,
            reason: StopReason::Certain,
        }),
        ToDevice::Answer(Answer {
            task: 7,
            top: vec![
                Scored {
                    class: 4,
                    probability: 0.25
                };
                16
            ],
            entropy_nats: 0.3,
            chunks: 5,
            bits: 4096,
            checkpoint: 3,
            batch_s: 0.08,
            tail_s: 0.001,
            failure: Some(Failure::Tail),
        }),
    ]
}

#[test]
fn messages_come_back_in_pieces_of_any_size() {
    let (up, down) = (to_edge(), to_device());
    let mut bytes = preamble().to_vec();
    for message in &up {
        bytes.extend(encode(message).unwrap());
    }
    for size in 1..bytes.len() {
        let (mut reader, mut got) = (Reader::<ToEdge>::default(), Vec::new());
        for piece in bytes.chunks(size) {
            reader
                .push(piece, |message| {
                    got.push(message);
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(got, up);
    }
    for message in down {
        assert_eq!(
            decode::<ToDevice>(&encode(&message).unwrap()[2..]).unwrap(),
            message
        );
    }
}

#[test]
fn the_preamble_and_the_head_of_a_datagram_are_these_bytes() {
    assert_eq!(preamble(), *b"ENCH\x04\x00");
    assert_eq!(encode(&ToEdge::Bye).unwrap(), [1, 0, 4]);
    let prefix = Prefix {
        task: 300,
        cut: 2,
        slot: 5,
        end: End::Nothing,
    };
    let mut buffer = [0u8; 32];
    let mut writer = Writer::new(&mut buffer, prefix).unwrap();
    assert!(writer.push(1, b"ab") && writer.push(200, b""));
    let length = writer.finish(End::Slot);
    assert_eq!(
        buffer[..length],
        [0x81, 0xac, 0x02, 2, 5, 1, 2, b'a', b'b', 0xc8, 0x01, 0]
    );
    assert_eq!(chunk_bytes(1, 2) + chunk_bytes(200, 0), length - 5);
    let end = End::Slot;
    let length = write_progress(&mut buffer, Prefix { end, ..prefix }, 0.5).unwrap();
    let progress = [0x83, 0xac, 0x02, 2, 5, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f];
    assert_eq!(buffer[..length], progress);
    assert_eq!(Datagram::parse(&progress).unwrap().progress(), Some(0.5));
}

#[test]
fn other_versions_and_other_protocols_are_told_apart() {
    let mut reader = Reader::<ToEdge>::default();
    let other = reader.push(b"ENCH\x01\x00", |_| unreachable!());
    assert_eq!(other, Err(ProtocolError::Version { peer: 1 }));
    let mut reader = Reader::<ToEdge>::default();
    assert_eq!(
        reader.push(b"GET / HTTP/1.1\r\n", |_| unreachable!()),
        Err(ProtocolError::NotOurs)
    );
    // A device meets an edge of another version: the session says so and is over.
    let mut device = DeviceSession::new(common::hello()).unwrap();
    assert_eq!(
        device.received(b"ENCH\x09\x00"),
        Err(ProtocolError::Version { peer: 9 })
    );
    assert!(device.is_closed());
}

#[test]
fn progress_is_a_share() {
    let prefix = Prefix {
        task: 1,
        cut: 2,
        slot: 3,
        end: End::Slot,
    };
    let mut buffer = [0u8; 12];
    for (share, good) in [(0.0, true), (1.0, true), (-0.1, false), (1.1, false)] {
        let length = write_progress(&mut buffer, prefix, share).unwrap();
        assert_eq!(Datagram::parse(&buffer[..length]).is_ok(), good, "{share}");
        assert!(Datagram::parse(&buffer[..length - 1]).is_err());
    }
    let length = write_progress(&mut buffer, prefix, f64::NAN).unwrap();
    assert!(Datagram::parse(&buffer[..length]).is_err());
    assert_eq!(write_progress(&mut buffer[..11], prefix, 0.5), None);
}

#[test]
fn values_out_of_range_are_named_on_both_sides() {
    let mut offer = common::offer(1);
    offer.gain = f64::NAN;
    let Err(ProtocolError::Value { field: "gain", .. }) = encode(&ToEdge::Offer(offer)) else {
        panic!("not refused");
    };
    let mut session = DeviceSession::new(common::hello()).unwrap();
    assert!(matches!(
        session.offer(common::offer(1)),
        Err(SessionError::NotReady(_))
    ));
    let mut grant = common::grant(1);
    grant.planned_accuracy = 1.5;
    assert!(encode(&ToDevice::Grant(grant)).is_err());
    // A re-grant that would take the place of the grant.
    assert!(encode(&ToDevice::Regrant(common::regrant(1, 1))).is_ok());
    assert!(encode(&ToDevice::Regrant(common::regrant(1, 0))).is_err());
    // Accounts that nobody can compute with.
    for (queue_j, frames) in [(2e12, 1), (f64::INFINITY, 1), (0.0, u64::MAX)] {
        let mut report = common::report(1);
        report.account.queue_j = queue_j;
        report.account.frames = frames;
        assert!(encode(&ToEdge::Report(report)).is_err());
    }
}

fn greeted() -> EdgeSession {
    let mut edge = EdgeSession::new(common::settings());
    edge.received(&preamble()).unwrap();
    edge.received(&encode(&ToEdge::Hello(common::hello())).unwrap())
        .unwrap();
    assert!(matches!(edge.poll_event(), Some(EdgeEvent::Hello(_))));
    edge.welcome(common::welcome()).unwrap();
    edge
}

#[test]
fn a_device_that_floods_with_offers_is_refused() {
    let mut edge = greeted();
    for task in 0..4 {
        edge.received(&encode(&ToEdge::Offer(common::offer(task))).unwrap())
            .unwrap();
    }
    let fifth = edge.received(&encode(&ToEdge::Offer(common::offer(4))).unwrap());
    assert_eq!(
        fifth,
        Err(ProtocolError::TooManyTasks { task: 4, limit: 4 })
    );
    assert!(edge.is_closed());
    let again = greeted().received(&encode(&ToEdge::Hello(common::hello())).unwrap());
    assert!(matches!(
        again,
        Err(ProtocolError::Unexpected {
            message: "hello",
            ..
        })
    ));
}

#[test]
fn wrong_networks_are_refused_with_the_reason() {
    for (change, reason) in [
        (
            (|h: &mut enachi_proto::message::Hello| h.model_sha256 = [9; 32])
                as fn(&mut enachi_proto::message::Hello),
            RefuseReason::Model,
        ),
        (
            |h: &mut enachi_proto::message::Hello| h.tables_sha256 = [9; 32],
            RefuseReason::Tables,
        ),
        (
            |h: &mut enachi_proto::message::Hello| h.cuts.push(5),
            RefuseReason::Cuts,
        ),
    ] {
        let mut hello = common::hello();
        change(&mut hello);
        let mut edge = EdgeSession::new(common::settings());
        let mut device = DeviceSession::new(hello).unwrap();
        while let Some(bytes) = device.poll_transmit() {
            edge.received(&bytes).unwrap();
        }
        while let Some(bytes) = edge.poll_transmit() {
            device.received(&bytes).unwrap();
        }
        let Some(enachi_proto::DeviceEvent::Refused(refuse)) = device.poll_event() else {
            panic!("not refused");
        };
        assert_eq!(refuse.reason, reason);
        assert!(device.is_closed() && edge.is_closed());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_and_read_again_alike(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = decode::<ToEdge>(&bytes) {
            let again = encode(&message).unwrap();
            prop_assert_eq!(decode::<ToEdge>(&again[2..]).unwrap(), message);
        }
        if let Ok(message) = decode::<ToDevice>(&bytes) {
            let again = encode(&message).unwrap();
            prop_assert_eq!(decode::<ToDevice>(&again[2..]).unwrap(), message);
        }
        if let Ok(datagram) = Datagram::parse(&bytes) {
            let total: usize = datagram.parts().map(|part| part.bytes.len()).sum();
            prop_assert!(total < bytes.len());
        }
    }

    #[test]
    fn a_stream_of_any_bytes_never_holds_more_than_a_message(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let mut reader = Reader::<ToEdge>::default();
        reader.push(&preamble(), |_| Ok(())).unwrap();
        let mut messages = 0usize;
        let _ = reader.push(&bytes, |_| { messages += 1; Ok(()) });
        prop_assert!(messages <= bytes.len() / 3);
    }

    #[test]
    fn mutated_messages_never_panic(which in 0usize..11, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = if which < 5 {
            encode(&to_edge()[which]).unwrap()
        } else {
            encode(&to_device()[which - 5]).unwrap()
        };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len() + 1));
        let mut edge = greeted();
        let _ = edge.received(&bytes);
        let mut device = DeviceSession::new(common::hello()).unwrap();
        let _ = device.received(&preamble());
        let _ = device.received(&bytes);
    }

    #[test]
    fn chunks_come_back(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..12), end in any::<bool>()) {
        let prefix = Prefix { task: u32::MAX, cut: u16::MAX, slot: 1 << 20, end: End::Nothing };
        let mut buffer = vec![0u8; 1200];
        let mut writer = Writer::new(&mut buffer, prefix).unwrap();
        let mut kept = Vec::new();
        for (id, payload) in (0u16..).zip(&payloads) {
            if writer.push(id * 300, payload) {
                kept.push((id * 300, payload.clone()));
            }
        }
        let length = writer.finish(if end { End::Upload } else { End::Slot });
        let datagram = Datagram::parse(&buffer[..length]).unwrap();
        prop_assert_eq!(datagram.prefix, Prefix { end: if end { End::Upload } else { End::Slot }, ..prefix });
        let got: Vec<_> = datagram.parts().map(|p| (p.id, p.bytes.to_vec())).collect();
        prop_assert_eq!(got, kept);
    }
}

#[test]
fn no_message_is_longer_than_the_limit() {
    let mut hello = common::hello();
    hello.name = "n".repeat(64);
    hello.cuts = vec![u16::MAX; 256];
    let bytes = encode(&ToEdge::Hello(hello.clone())).unwrap();
    assert!(bytes.len() < MAX_MESSAGE_BYTES);
    // One more of anything is refused by the reader.
    hello.cuts.push(1);
    assert!(decode::<ToEdge>(&encode(&ToEdge::Hello(hello)).unwrap()[2..]).is_err());
}
