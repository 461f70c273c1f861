//! Framing chunks and taking them in allocates nothing per packet.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod counting;

use counting::allocations;
use enachi_proto::datagram::{End, Prefix, Writer};
use enachi_proto::message::ToEdge;
use enachi_proto::stream::{encode, preamble};
use enachi_proto::{Arrival, EdgeSession};

#[test]
fn packets_cost_no_allocation() {
    let mut edge = EdgeSession::new(common::settings());
    edge.received(&preamble()).unwrap();
    edge.received(&encode(&ToEdge::Hello(common::hello())).unwrap())
        .unwrap();
    edge.welcome(common::welcome()).unwrap();
    edge.received(&encode(&ToEdge::Offer(common::offer(1))).unwrap())
        .unwrap();
    edge.grant(common::grant(1), 4000).unwrap();
    let payload = [5u8; 90];
    let mut buffer = [0u8; 1162];
    let mut handed = 0;
    let before = allocations();
    for slot in 0..400u32 {
        let prefix = Prefix {
            task: 1,
            cut: common::CUT,
            slot,
            end: End::Nothing,
        };
        let mut writer = Writer::new(&mut buffer, prefix).unwrap();
        for id in 0..10 {
            assert!(writer.push((slot * 10 + id) as u16, &payload));
        }
        let length = writer.finish(End::Slot);
        // Every datagram comes twice.
        for _ in 0..2 {
            let arrival = edge.datagram(&buffer[..length], |_, _, bytes| handed += bytes.len());
            assert!(matches!(arrival, Arrival::Upload(_)));
        }
    }
    assert_eq!(allocations(), before);
    assert_eq!(handed, 4000 * 90);
}
