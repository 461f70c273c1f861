//! Who may join, and at which place of the cell.

use super::engine::{Edge, Happening};
use super::judge::Judge;
use crate::cell;
use enachi_proto::message::{Hello, RefuseReason};

impl<J: Judge> Edge<J> {
    pub(super) fn admit(&mut self, connection: u64, hello: &Hello, identity: Option<&str>) {
        let refusal = match self.place(hello, identity) {
            Ok(device) => return self.seat(connection, device, hello),
            Err(refusal) => refusal,
        };
        let (reason, detail) = refusal;
        if let Some(connected) = self.connections.get_mut(&connection) {
            connected.session.refuse(reason, &detail);
        }
        self.happenings.push_back(Happening::Refused { detail });
    }

    /// Number of the device that introduces itself.
    fn place(
        &mut self,
        hello: &Hello,
        identity: Option<&str>,
    ) -> Result<usize, (RefuseReason, String)> {
        let name = &hello.name;
        if let Some(proven) = identity.filter(|proven| proven != name) {
            let detail = format!("device {name:?} shows a certificate for {proven:?}");
            return Err((RefuseReason::Identity, detail));
        }
        if let Some(known) = self.names.iter().position(|n| n == name) {
            if let Some(old) = self.lines[known] {
                if identity.is_none() {
                    let detail = format!("device {name:?} is connected already");
                    return Err((RefuseReason::Identity, detail));
                }
                // A device that was killed comes back before its old line is known to be broken.
                self.replaced(old, name);
            }
            return Ok(known);
        }
        if self.names.len() >= self.lines.len() {
            let detail = format!("{} devices are all that this cell takes", self.lines.len());
            return Err((RefuseReason::Full, detail));
        }
        self.names.push(name.clone());
        Ok(self.names.len() - 1)
    }

    /// End the session of a device that has connected again; its certificate proves that it is the same.
    fn replaced(&mut self, connection: u64, name: &str) {
        let detail = format!("another connection with the certificate of {name:?} takes its place");
        if let Some(connected) = self.connections.get_mut(&connection) {
            connected.session.refuse(RefuseReason::Identity, &detail);
        }
        self.events(connection, None);
        self.flush(connection);
    }

    fn seat(&mut self, connection: u64, device: usize, hello: &Hello) {
        let now = &self.cell.deployment.devices[device];
        if cell::energy(now) != hello.energy || !self.cell.has_cuts(device, &hello.cuts) {
            let described = cell::device(&hello.energy, now);
            self.cell.replace_device(device, described, &hello.cuts);
            self.planner.forget(device);
        }
        let account = self.accounts.get(&hello.name).copied();
        let outstanding = self.options.settings.limits.outstanding_tasks;
        let welcome = self.cell.welcome(device as u32, outstanding, account);
        if let Some(connected) = self.connections.get_mut(&connection) {
            // It asked just now, and a cell's own values are in range.
            if connected.session.welcome(welcome).is_ok() {
                connected.device = Some(device);
                self.lines[device] = Some(connection);
                let name = hello.name.clone();
                let radio = hello.radio;
                self.happenings.push_back(Happening::Joined {
                    device,
                    name,
                    radio,
                });
            }
        }
    }

    pub(super) fn left(&mut self, connection: u64, device: usize) {
        if self.lines[device] == Some(connection) {
            self.lines[device] = None;
            self.offers[device] = None;
            let name = self.names[device].clone();
            self.happenings.push_back(Happening::Left { device, name });
        }
    }
}
