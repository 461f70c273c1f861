//! A frame that does not grow a buffer does not allocate, whatever the packet level does.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../enachi-proto/tests/counting/mod.rs"]
mod counting;

use common::{factory, profile, scenario};
use counting::allocations;
use enachi_core::record::FrameRecord;
use enachi_sim::deployment::Deployment;
use enachi_sim::runner::{Runner, Sink};
use enachi_sim::scenario::UncertaintyKind;
use enachi_sim::variant::Variant;

/// Keeps a total, no rows.
#[derive(Default)]
struct Total(f64, u32);

impl Sink for Total {
    fn frame(&mut self, record: FrameRecord) {
        self.0 += record.energy_j();
        self.1 += record.slots;
    }
}

#[test]
fn frames_do_not_allocate() {
    let text = "[channel]\nbandwidth_hz = 1e6\nshadowing_db = 4\n[[devices]]\ncount = 6";
    let mut deployment = Deployment::new(scenario(text), profile()).unwrap();
    deployment
        .fit_continuation(UncertaintyKind::Predictor)
        .unwrap();
    for label in [
        "tracking",
        "tracking+printed",
        "tracking+paper-tracking",
        "tracking+water-filling",
        "tracking+stop-marginal",
        "tracking+stop-never",
        "constant",
        "level",
        "half",
        "local",
    ] {
        let task = &deployment.scenario.task;
        let variant = Variant::parse(label, &deployment.scenario.packet, task).unwrap();
        let mut runner = Runner::new(&deployment, &factory(), variant, 0, 1).unwrap();
        let mut total = Total::default();
        runner.plan();
        runner.execute(&mut total);
        let before = allocations();
        for _ in 0..50 {
            runner.plan();
            runner.execute(&mut total);
        }
        let after = allocations();
        assert_eq!(after - before, 0, "{label}");
        assert!(total.0 > 0.0);
    }
    // The counter counts.
    let before = allocations();
    drop(vec![0u8; 100]);
    assert!(allocations() > before);
}
