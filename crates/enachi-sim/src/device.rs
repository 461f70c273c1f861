//! Descriptions of real devices: clock, work per MAC, energy and radio, each with its sources.
//!
//! Some come with the program ([`DeviceModel::known`], the files of `devices/`); others are TOML files of the same form.
//! Their keys are those of `[device]` in a scenario.

use crate::scenario::nearest;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A figure and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The figure.
    pub what: String,
    /// Author, title, table.
    #[serde(rename = "where")]
    pub place: String,
    /// Address.
    pub url: String,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceModel {
    /// Name in scenarios.
    pub name: String,
    /// One line.
    pub description: String,
    /// How far the values may be off.
    pub uncertainty: String,
    /// Clock f \[Hz\].
    pub frequency_hz: f64,
    /// Cycles per multiply-accumulate ρ.
    pub cycles_per_mac: f64,
    /// Effective switched capacitance α \[W/Hz³\]: α f³ is what computing adds to doing nothing.
    pub capacitance_w_per_hz3: f64,
    /// Power while doing nothing that the task has to pay \[W\].
    #[serde(default)]
    pub idle_power_w: f64,
    /// Largest radiated power \[W\].
    pub power_max_w: f64,
    /// Share of the amplifier's power that is radiated, above 0 and at most 1.
    #[serde(default = "one")]
    pub amplifier_efficiency: f64,
    /// Power of the radio beside the amplifier's in every slot it is used \[W\].
    #[serde(default)]
    pub circuit_power_w: f64,
    /// Power of the radio after its last slot \[W\].
    #[serde(default)]
    pub tail_power_w: f64,
    /// How long the radio stays up after its last slot \[s\].
    #[serde(default)]
    pub tail_time_s: f64,
    /// Where the values come from.
    pub sources: Vec<Source>,
}

fn one() -> f64 {
    1.0
}

/// Keys that a description fills in a scenario.
pub const DEVICE_KEYS: [&str; 9] = [
    "frequency_hz",
    "cycles_per_mac",
    "capacitance_w_per_hz3",
    "idle_power_w",
    "power_max_w",
    "amplifier_efficiency",
    "circuit_power_w",
    "tail_power_w",
    "tail_time_s",
];

/// Why a description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceModelError {
    /// No device of that name comes with the program.
    #[error(
        "{key} = {name:?}: must be a known device ({known}) or a file ending in .toml{suggestion}"
    )]
    Unknown {
        /// Key in the scenario.
        key: String,
        /// Name given.
        name: String,
        /// Names there are.
        known: String,
        /// "; did you mean ...", or nothing.
        suggestion: String,
    },
    /// The file cannot be read.
    #[error("{key}: cannot read {file}: {source}")]
    Read {
        /// Key in the scenario.
        key: String,
        /// File.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or a key or value has the wrong name or type.
    #[error("{file}{place}: {message}{suggestion}")]
    Syntax {
        /// File.
        file: String,
        /// `:line:column (key)`.
        place: String,
        /// What the parser says.
        message: String,
        /// "; did you mean ...", or nothing.
        suggestion: String,
    },
    /// Values out of range; all of them, one a line.
    #[error("{file}: {}", .problems.join("\n  "))]
    Range {
        /// File.
        file: String,
        /// `key = value: must be ...`.
        problems: Vec<String>,
    },
}

/// Files of `devices/`, by name.
const KNOWN: [(&str, &str); 6] = [
    (
        "enachi-paper",
        include_str!("../../../devices/enachi-paper.toml"),
    ),
    (
        "raspberry-pi-4",
        include_str!("../../../devices/raspberry-pi-4.toml"),
    ),
    (
        "jetson-nano",
        include_str!("../../../devices/jetson-nano.toml"),
    ),
    ("phone-lte", include_str!("../../../devices/phone-lte.toml")),
    (
        "stm32h7-wifi",
        include_str!("../../../devices/stm32h7-wifi.toml"),
    ),
    (
        "stm32h7-lte-m",
        include_str!("../../../devices/stm32h7-lte-m.toml"),
    ),
];

impl DeviceModel {
    /// The devices that come with the program.
    pub fn known() -> impl Iterator<Item = Self> {
        KNOWN.iter().map(|(name, text)| {
            Self::parse(text, name).expect("a test reads every description in the program")
        })
    }

    /// The device that `key = name` of a scenario in `folder` means.
    ///
    /// # Errors
    /// When there is none of that name, or its file is wrong.
    pub fn find(name: &str, key: &str, folder: &Path) -> Result<Self, DeviceModelError> {
        if name.ends_with(".toml") || name.contains(['/', '\\']) {
            let path = folder.join(name);
            let file = path.display().to_string();
            let text = std::fs::read_to_string(&path).map_err(|source| DeviceModelError::Read {
                key: key.into(),
                file: file.clone(),
                source,
            })?;
            return Self::parse(&text, &file);
        }
        let names = || KNOWN.iter().map(|(known, _)| *known);
        match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((known, text)) => Self::parse(text, known),
            None => Err(DeviceModelError::Unknown {
                key: key.into(),
                name: name.into(),
                known: names().collect::<Vec<_>>().join(", "),
                suggestion: nearest(name, names())
                    .map_or(String::new(), |near| format!("; did you mean `{near}`?")),
            }),
        }
    }

    /// Read a description; `file` is what errors call it.
    ///
    /// # Errors
    /// When it is no TOML, lacks a key, has one too many, or a value is out of range.
    pub fn parse(text: &str, file: &str) -> Result<Self, DeviceModelError> {
        let model: Self = toml::from_str(text).map_err(|error| {
            let (place, message, suggestion) = crate::scenario::locate(&error, text);
            DeviceModelError::Syntax {
                file: file.into(),
                place,
                message,
                suggestion,
            }
        })?;
        let problems = model.problems();
        if problems.is_empty() {
            Ok(model)
        } else {
            Err(DeviceModelError::Range {
                file: file.into(),
                problems,
            })
        }
    }

    /// What it fills in a scenario, in the order of [`DEVICE_KEYS`].
    pub fn values(&self) -> [(&'static str, f64); DEVICE_KEYS.len()] {
        let values = [
            self.frequency_hz,
            self.cycles_per_mac,
            self.capacitance_w_per_hz3,
            self.idle_power_w,
            self.power_max_w,
            self.amplifier_efficiency,
            self.circuit_power_w,
            self.tail_power_w,
            self.tail_time_s,
        ];
        std::array::from_fn(|i| (DEVICE_KEYS[i], values[i]))
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value) in self.values() {
            let (fits, allowed) = match key {
                "frequency_hz" | "cycles_per_mac" | "power_max_w" => {
                    (value.is_finite() && value > 0.0, "finite and above 0")
                }
                "amplifier_efficiency" => (value > 0.0 && value <= 1.0, "above 0 and at most 1"),
                _ => (value.is_finite() && value >= 0.0, "finite and at least 0"),
            };
            if !fits {
                problems.push(format!("{key} = {value}: must be {allowed}"));
            }
        }
        for (key, text) in [
            ("name", &self.name),
            ("description", &self.description),
            ("uncertainty", &self.uncertainty),
        ] {
            if text.trim().is_empty() {
                problems.push(format!("{key} = {text:?}: must not be empty"));
            }
        }
        if self.sources.is_empty() {
            problems.push("sources = []: must name at least one source".into());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enachi_core::energy::Compute;

    fn model(name: &str) -> DeviceModel {
        DeviceModel::find(name, "device.model", Path::new("")).expect("known")
    }

    fn compute(name: &str) -> Compute {
        let model = model(name);
        Compute {
            frequency_hz: model.frequency_hz,
            cycles_per_mac: model.cycles_per_mac,
            capacitance_w_per_hz3: model.capacitance_w_per_hz3,
        }
    }

    #[test]
    fn every_known_device_reads_and_keeps_its_name() {
        let names: Vec<String> = DeviceModel::known().map(|m| m.name).collect();
        assert_eq!(names, KNOWN.map(|(name, _)| name));
        for model in DeviceModel::known() {
            for source in &model.sources {
                assert!(source.url.starts_with("https://"), "{}", source.url);
            }
        }
    }

    /// The figures that the files cite, computed back from their values.
    #[test]
    fn values_give_back_the_cited_figures() {
        const RESNET50: u64 = 4_089_000_000;
        for (name, macs, seconds, watts) in [
            ("enachi-paper", RESNET50, 0.275, 0.8),
            ("raspberry-pi-4", RESNET50, 0.487, 3.6),
            ("jetson-nano", RESNET50, 1.0 / 36.0, 8.0),
            ("phone-lte", RESNET50, 0.526, 1.0),
            ("stm32h7-wifi", 126_000_000, 0.463, 0.132 * 3.3),
            ("stm32h7-lte-m", 126_000_000, 0.463, 0.132 * 3.3),
        ] {
            let device = compute(name);
            let (t, p) = (device.time_s(macs), device.power_w());
            assert!((t / seconds - 1.0).abs() < 0.01, "{name}: {t} s");
            assert!((p / watts - 1.0).abs() < 0.02, "{name}: {p} W");
        }
        // ESP32: 240 mA at 19.5 dBm, 180 mA at 14 dBm, 3.3 V.
        let wifi = model("stm32h7-wifi");
        for (dbm, ampere) in [(19.5f64, 0.240), (14.0, 0.180)] {
            let radiated_w = 10f64.powf(dbm / 10.0) / 1e3;
            let drawn_w = wifi.circuit_power_w + radiated_w / wifi.amplifier_efficiency;
            assert!(
                (drawn_w / (3.3 * ampere) - 1.0).abs() < 0.02,
                "{dbm} dBm: {drawn_w} W"
            );
        }
    }

    #[test]
    fn wrong_descriptions_get_one_clear_error() {
        let good = KNOWN[0].1;
        let error = |text: &str| {
            DeviceModel::parse(text, "mine.toml")
                .expect_err("must be refused")
                .to_string()
        };
        for (from, to, parts) in [
            (
                "frequency_hz",
                "frequenzy_hz",
                ["mine.toml:", "did you mean `frequency_hz`?"],
            ),
            (
                "= 2e9",
                "= -2e9",
                ["mine.toml: frequency_hz = -2000000000", "above 0"],
            ),
            ("= 2e9", "= \"fast\"", ["mine.toml:", "expected f64"]),
            ("= 2e9", "= nan", ["frequency_hz = NaN", "finite"]),
            (
                "power_max_w = 2.0",
                "",
                ["mine.toml", "missing field `power_max_w`"],
            ),
            (
                "power_max_w = 2.0",
                "power_max_w = 2.0\namplifier_efficiency = 1.5",
                ["amplifier_efficiency = 1.5", "at most 1"],
            ),
            (
                "description = ",
                "description = \"\" #",
                ["description = \"\"", "empty"],
            ),
            ("url = ", "uri = ", ["mine.toml:", "did you mean `url`?"]),
        ] {
            assert!(good.contains(from), "{from}");
            let message =
                error(&good.replacen(from, to, if from == "frequency_hz" { 9 } else { 1 }));
            for part in parts {
                assert!(message.contains(part), "`{part}` is not in: {message}");
            }
        }
        let unknown = DeviceModel::find("rasberry-pi-4", "devices.0.model", Path::new(""))
            .expect_err("must be refused")
            .to_string();
        for part in [
            "devices.0.model",
            "did you mean `raspberry-pi-4`?",
            "jetson-nano",
        ] {
            assert!(unknown.contains(part), "`{part}` is not in: {unknown}");
        }
        let absent = DeviceModel::find("no/such.toml", "device.model", Path::new("here"))
            .expect_err("must be refused")
            .to_string();
        assert!(
            absent.contains("device.model: cannot read here/no/such.toml"),
            "{absent}"
        );
    }
}
