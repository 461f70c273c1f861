//! Edge and devices in one process, on a line of no time and a clock of slots: the simulator's run through the live engines.

use crate::cell::{Cell, CellError, energy};
use crate::device::{Device, DeviceOptions, Emulated, ReplayedWork};
use crate::edge::{Edge, EdgeOptions, Happening, Replay};
use enachi_core::profile::Profile;
use enachi_core::record::{FrameRecord, TaskQueue};
use enachi_proto::message::{Hello, RadioKind, Waiting};
use enachi_proto::{EdgeSettings, Limits};
use enachi_sim::scenario::Scenario;
use enachi_sim::world::World;
use enachi_sim::world::arrivals::Arrivals;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Why a run has failed.
#[derive(Debug, thiserror::Error)]
pub enum VirtualError {
    /// The scenario cannot be run.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The two sides did not understand each other, which is a defect.
    #[error("the line: {0}")]
    Line(String),
}

/// Control bytes that reach a device at the beginning of a slot.
struct Due {
    slot: u32,
    bytes: Vec<u8>,
}

/// Run the scenario's only policy in the world of `seed` and return the records, by frame and device.
pub fn run(
    scenario: Scenario,
    profile: Profile,
    seed: u64,
) -> Result<Vec<FrameRecord>, VirtualError> {
    run_on(scenario, profile, seed, |_| {})
}

/// [`run`] on a cell that `prepare` has changed.
pub fn run_on(
    scenario: Scenario,
    profile: Profile,
    seed: u64,
    prepare: impl FnOnce(&mut Cell),
) -> Result<Vec<FrameRecord>, VirtualError> {
    let mut cell = Cell::new(scenario.clone(), profile.clone())?;
    prepare(&mut cell);
    let deployment = Arc::new(Cell::new(scenario, profile)?.deployment);
    let scenario = &deployment.scenario;
    let world = World::new(seed, &deployment.setting);
    let packet = cell.variant.packet.clone();
    let settings = EdgeSettings {
        model_sha256: [0; 32],
        tables_sha256: [0; 32],
        cuts: deployment.networks[0].profile.cuts.len() as u16,
        limits: Limits::default(),
    };
    let options = EdgeOptions {
        settings,
        barrier: true,
        seed,
    };
    let mut edge = Edge::new(cell, options, Replay::new(world.clone()), BTreeMap::new());
    let cuts: Vec<u16> = (0..deployment.networks[0].profile.cuts.len() as u16).collect();
    let mut devices = Vec::new();
    for (index, device) in deployment.devices.iter().enumerate() {
        let index = index as u32;
        let hello = Hello {
            name: format!("device-{index}"),
            model_sha256: [0; 32],
            tables_sha256: [0; 32],
            cuts: cuts.clone(),
            energy: energy(device),
            radio: RadioKind::Emulated,
        };
        let options = DeviceOptions {
            datagram_bytes: 1162,
            deadline_s: device.values.deadline_s,
        };
        let radio = Emulated {
            world: world.clone(),
            device: index,
        };
        let work = ReplayedWork {
            deployment: &deployment,
            world: world.clone(),
            device: index,
        };
        let device = Device::new(
            Arc::clone(&deployment),
            packet.clone(),
            options,
            hello,
            radio,
            work,
        );
        devices.push(device.map_err(|e| VirtualError::Line(e.to_string()))?);
        edge.connect(u64::from(index));
    }
    let slot_s = scenario.frame.slot_s;
    let slots = (scenario.frame.length_s / slot_s).round() as u32 + 1;
    let mut line = Line {
        slot_s,
        slots,
        feedback_slots: packet.feedback_slots,
        to_device: devices.iter().map(|_| VecDeque::new()).collect(),
    };
    line.settle(&mut edge, &mut devices, 0)?;
    let mut arrivals = Arrivals::new(&world, &scenario.arrivals, devices.len());
    let mut records = Vec::new();
    for frame in 0..scenario.frames {
        let began_s = f64::from(frame) * scenario.frame.length_s;
        arrivals.begin(frame);
        for (index, device) in devices.iter_mut().enumerate() {
            let tasks = arrivals.queue(index).map(waiting);
            if arrivals.has_task(index) {
                let offered = device.offer(frame, tasks);
                offered.map_err(|e| VirtualError::Line(e.to_string()))?;
            } else {
                device.idle(frame, 1, tasks);
            }
        }
        line.settle(&mut edge, &mut devices, 0)?;
        edge.begin_frame(began_s);
        line.settle(&mut edge, &mut devices, 0)?;
        for slot in 0..slots {
            line.deliver(&mut devices, slot)?;
            let now_s = began_s + f64::from(slot) * line.slot_s;
            edge.tick(now_s);
            line.settle(&mut edge, &mut devices, slot)?;
            // What a slot carries is there at its end.
            for (index, device) in devices.iter_mut().enumerate() {
                device.slot(slot, |bytes| {
                    edge.datagram(index as u64, bytes, now_s + line.slot_s);
                });
            }
            line.collect(&mut edge, slot + 1 + line.feedback_slots);
        }
        let end_s = began_s + f64::from(slots) * line.slot_s;
        edge.tick(end_s);
        line.settle(&mut edge, &mut devices, u32::MAX)?;
        while let Some(happening) = edge.poll_happening() {
            match happening {
                Happening::Done(done) => records.push(done.record),
                Happening::Idle(record) => records.push(*record),
                Happening::Failed { detail, .. } | Happening::Refused { detail } => {
                    return Err(VirtualError::Line(detail));
                }
                _ => {}
            }
        }
        for device in &mut devices {
            device.take_signals();
        }
    }
    records.sort_by_key(|record| (record.frame, record.device));
    Ok(records)
}

fn waiting(tasks: TaskQueue) -> Waiting {
    Waiting {
        arrived: tasks.arrived,
        dropped: tasks.dropped,
        waiting: tasks.waiting,
        waited_frames: tasks.waited_frames,
    }
}

struct Line {
    slot_s: f64,
    /// Slots of a frame.
    slots: u32,
    feedback_slots: u32,
    to_device: Vec<VecDeque<Due>>,
}

impl Line {
    /// Take what the edge says; it arrives at `slot`.
    fn collect(&mut self, edge: &mut Edge<Replay>, slot: u32) {
        while let Some((connection, bytes)) = edge.poll_transmit() {
            self.to_device[connection as usize].push_back(Due { slot, bytes });
        }
    }

    /// Hand devices what is due at the beginning of `slot`.
    fn deliver(
        &mut self,
        devices: &mut [Device<ReplayedWork<'_>, Emulated>],
        slot: u32,
    ) -> Result<(), VirtualError> {
        for (device, queue) in devices.iter_mut().zip(&mut self.to_device) {
            // An answer takes no time, whatever a stop takes.
            let now_s = f64::from(slot.min(self.slots)) * self.slot_s;
            device.at(now_s.min(device.deadline_s()));
            while queue.front().is_some_and(|due| due.slot <= slot) {
                if let Some(due) = queue.pop_front() {
                    let outcome = device.control(&due.bytes);
                    outcome.map_err(|e| VirtualError::Line(e.to_string()))?;
                }
            }
        }
        Ok(())
    }

    /// Carry control bytes both ways until neither side has more to say.
    fn settle(
        &mut self,
        edge: &mut Edge<Replay>,
        devices: &mut [Device<ReplayedWork<'_>, Emulated>],
        slot: u32,
    ) -> Result<(), VirtualError> {
        loop {
            let mut quiet = true;
            for (index, device) in devices.iter_mut().enumerate() {
                while let Some(bytes) = device.poll_transmit() {
                    quiet = false;
                    let outcome = edge.control(index as u64, &bytes, None);
                    outcome.map_err(|e| VirtualError::Line(e.to_string()))?;
                }
            }
            self.collect(edge, slot);
            self.deliver(devices, slot)?;
            if quiet {
                return Ok(());
            }
        }
    }
}
