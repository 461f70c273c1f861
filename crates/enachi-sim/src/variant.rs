//! Policy names with variants of the packet level: `enachi+printed`, `enachi+constant+stop-never`.

use crate::scenario::{CurveKind, Packet, PowerKind, StopKind, Task, UncertaintyKind, nearest};

/// Variants that may follow a policy's name.
const VARIANTS: [&str; 12] = [
    "reference-tracking",
    "paper-tracking",
    "printed",
    "constant",
    "water-filling",
    "stop-entropy",
    "stop-marginal",
    "stop-never",
    "predictor",
    "tail",
    "measured",
    "fitted",
];

/// How one entry of `policies` is executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The name as given, in records.
    pub label: String,
    /// The task-level policy.
    pub policy: String,
    /// Packet level.
    pub packet: Packet,
    /// Curve that the task level plans with.
    pub curve: CurveKind,
}

/// An entry of `policies` that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("policies: `+{name}` in {label:?}: must be one of {known}{suggestion}", known = VARIANTS.join(", "))]
pub struct VariantError {
    label: String,
    name: String,
    suggestion: String,
}

impl Variant {
    /// Read `label`, starting from the scenario's settings.
    pub fn parse(label: &str, packet: &Packet, task: &Task) -> Result<Self, VariantError> {
        let mut parts = label.split('+');
        let mut variant = Self {
            label: label.into(),
            policy: parts.next().unwrap_or_default().into(),
            packet: packet.clone(),
            curve: task.curve,
        };
        for name in parts {
            match name {
                "reference-tracking" => variant.packet.power = PowerKind::ReferenceTracking,
                "paper-tracking" => variant.packet.power = PowerKind::PaperTracking,
                "printed" => variant.packet.power = PowerKind::Printed,
                "constant" => variant.packet.power = PowerKind::Constant,
                "water-filling" => variant.packet.power = PowerKind::WaterFilling,
                "stop-entropy" => variant.packet.stop = StopKind::Entropy,
                "stop-marginal" => variant.packet.stop = StopKind::Marginal,
                "stop-never" => variant.packet.stop = StopKind::Never,
                "predictor" => variant.packet.uncertainty = UncertaintyKind::Predictor,
                "tail" => variant.packet.uncertainty = UncertaintyKind::Tail,
                "measured" => variant.curve = CurveKind::Measured,
                "fitted" => variant.curve = CurveKind::Fitted,
                _ => {
                    return Err(VariantError {
                        label: label.into(),
                        name: name.into(),
                        suggestion: nearest(name, VARIANTS)
                            .map_or(String::new(), |near| format!("; did you mean `{near}`?")),
                    });
                }
            }
        }
        Ok(variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_change_what_they_name() {
        let (packet, task) = (Packet::default(), Task::default());
        let plain = Variant::parse("enachi", &packet, &task).expect("plain");
        assert_eq!((plain.policy.as_str(), &plain.packet), ("enachi", &packet));
        let both = Variant::parse("enachi+printed+stop-never", &packet, &task).expect("two");
        assert_eq!(both.policy, "enachi");
        assert_eq!(both.label, "enachi+printed+stop-never");
        assert_eq!(both.packet.power, PowerKind::Printed);
        assert_eq!(both.packet.stop, StopKind::Never);
        let error = Variant::parse("enachi+prnted", &packet, &task).expect_err("unknown");
        assert!(
            error.to_string().contains("did you mean `printed`?"),
            "{error}"
        );
    }

    #[test]
    fn every_listed_variant_is_accepted() {
        for name in VARIANTS {
            let label = format!("enachi+{name}");
            Variant::parse(&label, &Packet::default(), &Task::default()).expect(name);
        }
    }
}
