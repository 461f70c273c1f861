//! Tables fitted to a profile once, before the first frame: thresholds H_th, continuation values of the marginal stop rule,
//! and curves for planning again within a frame.

use super::{Deployment, DeploymentError};
use crate::mux::ConditionalTables;
use crate::scenario::{Packet, StopKind, UncertaintyKind};
use enachi_core::packet::marginal::{ContinuationTable, cross_fitted};
use enachi_core::packet::threshold::Thresholds;
use enachi_core::profile::{LadderKind, Stream};
use enachi_core::task::Replanning;

/// Everything fitted.
#[derive(Clone, Debug, Default)]
pub(super) struct Fitted {
    /// Continuation tables per stream name entry, for the marginal rule; empty if no policy uses it.
    continuation: PerUncertainty<Option<[ContinuationTable; 2]>>,
    /// H_th per stream name entry, where the scenario gives none and the stream is measured.
    thresholds: PerUncertainty<Option<Thresholds>>,
    /// What further bits are worth to tasks that were not stopped, by packet settings that some policy plans again under.
    conditional: Vec<(StopKind, UncertaintyKind, Replanning, ConditionalTables)>,
}

/// One entry per stream for each uncertainty that some policy's stop rule sees.
#[derive(Clone, Debug)]
struct PerUncertainty<T> {
    predictor: Vec<T>,
    tail: Vec<T>,
}

impl<T> Default for PerUncertainty<T> {
    fn default() -> Self {
        Self {
            predictor: Vec::new(),
            tail: Vec::new(),
        }
    }
}

impl<T> PerUncertainty<T> {
    fn of(&self, kind: UncertaintyKind) -> &Vec<T> {
        match kind {
            UncertaintyKind::Predictor => &self.predictor,
            UncertaintyKind::Tail => &self.tail,
        }
    }

    fn of_mut(&mut self, kind: UncertaintyKind) -> &mut Vec<T> {
        match kind {
            UncertaintyKind::Predictor => &mut self.predictor,
            UncertaintyKind::Tail => &mut self.tail,
        }
    }
}

/// H_th of streams without samples where the scenario gives none \[nat\].
const CURVE_THRESHOLD_NATS: f64 = 0.3;

impl Deployment {
    /// Prepare the tables of the marginal stop rule that sees `kind`.
    pub fn fit_continuation(&mut self, kind: UncertaintyKind) -> Result<(), DeploymentError> {
        if self.networks.iter().any(|network| network.images == 0) {
            return Err(DeploymentError::MarginalNeedsSamples);
        }
        if self.fitted.continuation.of(kind).is_empty() {
            *self.fitted.continuation.of_mut(kind) = self
                .measured_embedded()
                .map(|stream| stream.map(|stream| cross_fitted(&stream.samples, kind.into())))
                .collect();
        }
        Ok(())
    }

    /// The table that decides about `image`, fitted without it.
    pub fn continuation(
        &self,
        kind: UncertaintyKind,
        cut: u32,
        stream: u32,
        image: usize,
    ) -> Option<&ContinuationTable> {
        let tables = self
            .fitted
            .continuation
            .of(kind)
            .get(self.stream_index(cut, stream))?;
        tables.as_ref().map(|tables| &tables[image % 2])
    }

    /// Choose H_th for every measured stream and rules that see `kind`, unless the scenario gives it.
    pub fn fit_thresholds(&mut self, kind: UncertaintyKind) {
        let packet = &self.scenario.packet;
        if packet.entropy_threshold_nats.is_some() || !self.fitted.thresholds.of(kind).is_empty() {
            return;
        }
        let allowed = packet.threshold_loss;
        *self.fitted.thresholds.of_mut(kind) = self
            .measured_embedded()
            .map(|stream| {
                stream.map(|stream| Thresholds::fit(&stream.samples, kind.into(), allowed))
            })
            .collect();
    }

    /// Prepare the curves for planning again within a frame under `packet`'s stop rule; its thresholds come first.
    pub fn fit_conditional(
        &mut self,
        packet: &Packet,
        replanning: Replanning,
    ) -> Result<(), DeploymentError> {
        if replanning != Replanning::Never && self.conditional(packet, replanning).is_none() {
            let tables = ConditionalTables::fit(self, packet, replanning)?;
            let key = (packet.stop, packet.uncertainty, replanning, tables);
            self.fitted.conditional.push(key);
        }
        Ok(())
    }

    /// The curves that [`Self::fit_conditional`] prepared.
    pub fn conditional(
        &self,
        packet: &Packet,
        replanning: Replanning,
    ) -> Option<&ConditionalTables> {
        let wanted = (packet.stop, packet.uncertainty, replanning);
        let mut known = self.fitted.conditional.iter();
        let found = known.find(|(stop, kind, how, _)| (*stop, *kind, *how) == wanted);
        found.map(|(_, _, _, tables)| tables)
    }

    /// Uncertainty at which `packet`'s rule stops `image` \[nat\]; −∞ for rules without a threshold.
    pub fn stop_threshold_nats(&self, packet: &Packet, cut: u32, stream: u32, image: usize) -> f64 {
        match packet.stop {
            StopKind::Entropy => self.threshold_nats(packet.uncertainty, cut, stream, image),
            StopKind::Never | StopKind::Marginal => f64::NEG_INFINITY,
        }
    }

    /// H_th that decides about `image` for rules that see `kind` \[nat\].
    pub fn threshold_nats(
        &self,
        kind: UncertaintyKind,
        cut: u32,
        stream: u32,
        image: usize,
    ) -> f64 {
        self.scenario
            .packet
            .entropy_threshold_nats
            .unwrap_or_else(|| {
                let fitted = self
                    .fitted
                    .thresholds
                    .of(kind)
                    .get(self.stream_index(cut, stream));
                fitted
                    .and_then(Option::as_ref)
                    .map_or(CURVE_THRESHOLD_NATS, |thresholds| thresholds.of(image))
            })
    }

    /// Streams in the order of [`Names::streams`](enachi_core::record::Names::streams); `None` for those without samples of prefixes.
    fn measured_embedded(&self) -> impl Iterator<Item = Option<&Stream>> {
        let streams = self.cuts().flat_map(|cut| &cut.streams);
        streams.map(|stream| {
            let embedded = stream.ladder == LadderKind::Embedded;
            (embedded && stream.samples.images > 0).then_some(stream)
        })
    }
}
