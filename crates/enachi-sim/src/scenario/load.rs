//! Reading a scenario: TOML and overrides in, a checked [`Scenario`] or one clear error out.

use super::{Scenario, check, model};
use crate::device::DeviceModelError;
use std::path::Path;

/// What is wrong with a scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read scenario {file}: {source}")]
    Read {
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
        /// `:line:column`, or the override that is wrong.
        place: String,
        /// What the parser says.
        message: String,
        /// "; did you mean ...", or nothing.
        suggestion: String,
    },
    /// `--set` without `key=value`, or a path that cannot be set.
    #[error("--set {argument}: {reason}")]
    Override {
        /// The argument.
        argument: String,
        /// Why.
        reason: String,
    },
    /// The description of a device cannot be used.
    #[error("{file}: {source}")]
    Device {
        /// File of the scenario.
        file: String,
        /// Why.
        source: Box<DeviceModelError>,
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

/// Read `path` and apply `overrides` (`a.b=c`).
pub fn load(path: &Path, overrides: &[String]) -> Result<Scenario, ScenarioError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read {
        file: file.clone(),
        source,
    })?;
    parse(&text, &file, overrides)
}

/// Parse `text` (called `file` in errors) and apply `overrides` (`a.b=c`).
pub fn parse(text: &str, file: &str, overrides: &[String]) -> Result<Scenario, ScenarioError> {
    // The text alone first: its errors have lines.
    let mut scenario: Scenario =
        toml::from_str(text).map_err(|error| syntax_error(&error, text, file))?;
    let describes = |s: &Scenario| {
        s.device.model.is_some() || s.devices.iter().any(|group| group.model.is_some())
    };
    if !overrides.is_empty() || describes(&scenario) {
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| syntax_error(&error, text, file))?;
        for argument in overrides {
            set(&mut table, argument)?;
            scenario = table.clone().try_into().map_err(|error: toml::de::Error| {
                ScenarioError::Syntax {
                    file: String::new(),
                    place: format!("--set {argument}"),
                    message: first_line(error.message()),
                    suggestion: suggestion(error.message()),
                }
            })?;
        }
        if describes(&scenario) {
            let folder = Path::new(file).parent().unwrap_or(Path::new(""));
            let fail = |error| ScenarioError::Device {
                file: file.into(),
                source: Box::new(error),
            };
            model::fill(&mut table, folder).map_err(fail)?;
            scenario = table
                .try_into()
                .map_err(|error| syntax_error(&error, text, file))?;
        }
    }
    if let Some(trace) = &mut scenario.channel.trace {
        trace.folder = Path::new(file).parent().unwrap_or(Path::new("")).into();
    }
    let problems = check::check(&scenario);
    if problems.is_empty() {
        Ok(scenario)
    } else {
        Err(ScenarioError::Range {
            file: file.into(),
            problems,
        })
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_string()
}

fn syntax_error(error: &toml::de::Error, text: &str, file: &str) -> ScenarioError {
    let (place, message, suggestion) = locate(error, text);
    ScenarioError::Syntax {
        file: file.into(),
        place,
        message,
        suggestion,
    }
}

/// Of an error in `text`: its place (`:3:1` and the line), the message, and "; did you mean ..." or nothing.
pub fn locate(error: &toml::de::Error, text: &str) -> (String, String, String) {
    let place = error.span().map_or(String::new(), |span| {
        let before = &text[..span.start.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let key = text.lines().nth(line - 1).unwrap_or_default().trim();
        format!(":{line}:{column} (`{key}`)")
    });
    let message = error.message();
    (place, first_line(message), suggestion(message))
}

/// The expected name that is nearest to an unknown one, from a message such as
/// "unknown field `a`, expected one of `b`, `c`".
fn suggestion(message: &str) -> String {
    if !message.starts_with("unknown ") {
        return String::new();
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(wrong) = names.next() else {
        return String::new();
    };
    nearest(wrong, names).map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

/// The name most like `wrong`, if any is like it at all.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Set one dotted path; numbers index into arrays. What is not TOML is taken as a string.
fn set(table: &mut toml::Table, argument: &str) -> Result<(), ScenarioError> {
    let fail = |reason: &str| ScenarioError::Override {
        argument: argument.into(),
        reason: reason.into(),
    };
    let (path, text) = argument
        .split_once('=')
        .ok_or_else(|| fail("expected key=value, e.g. channel.bandwidth_hz=3e6"))?;
    let value = toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| toml::Value::String(text.trim().to_string()));
    let mut keys: Vec<&str> = path.trim().split('.').map(str::trim).collect();
    let last = keys.pop().filter(|key| !key.is_empty());
    let last = last.ok_or_else(|| fail("the key is empty"))?;
    let mut place = Place::Table(table);
    for key in keys {
        place = place
            .enter(key)
            .ok_or_else(|| fail(&format!("`{key}` is not a table or has no such entry")))?;
    }
    if place.put(last, value) {
        Ok(())
    } else {
        Err(fail(&format!("`{last}` is not an entry of its array")))
    }
}

enum Place<'a> {
    Table(&'a mut toml::Table),
    Array(&'a mut Vec<toml::Value>),
}

impl<'a> Place<'a> {
    fn enter(self, key: &str) -> Option<Self> {
        let value = match self {
            Place::Table(table) => table
                .entry(key)
                .or_insert_with(|| toml::Value::Table(toml::Table::new())),
            Place::Array(array) => array.get_mut(key.parse::<usize>().ok()?)?,
        };
        match value {
            toml::Value::Table(table) => Some(Place::Table(table)),
            toml::Value::Array(array) => Some(Place::Array(array)),
            _ => None,
        }
    }

    fn put(self, key: &str, value: toml::Value) -> bool {
        match self {
            Place::Table(table) => {
                table.insert(key.into(), value);
                true
            }
            Place::Array(array) => {
                let entry = key.parse::<usize>().ok().and_then(|i| array.get_mut(i));
                entry.is_some_and(|entry| {
                    *entry = value;
                    true
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, overrides: &[&str]) -> String {
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        parse(text, "a.toml", &overrides)
            .expect_err("must be refused")
            .to_string()
    }

    #[test]
    fn an_empty_file_is_all_defaults_and_echoes_completely() {
        let scenario = parse("", "a.toml", &[]).expect("defaults are valid");
        assert_eq!(scenario, Scenario::default());
        let echoed = scenario.to_toml();
        let again = parse(&echoed, "echo", &[]).expect("the echo is a scenario");
        assert_eq!(again.to_toml(), echoed);
        for key in ["kappa_w2", "energy_budget_j", "threshold_loss"] {
            assert!(echoed.contains(key), "{key} is not echoed");
        }
        // Groups are written out too: once in [device], once in [[devices]].
        assert_eq!(echoed.matches("power_max_w").count(), 2);
    }

    #[test]
    fn unknown_keys_get_a_line_and_a_suggestion() {
        let message = error("seed = 3\n[channel]\nbandwith_hz = 1e6\n", &[]);
        assert!(message.contains("a.toml:3:1"), "{message}");
        assert!(
            message.contains("did you mean `bandwidth_hz`?"),
            "{message}"
        );
        let message = error("[[devices]]\ncuont = 3\n", &[]);
        assert!(message.contains("did you mean `count`?"), "{message}");
        let message = error("[packet]\npower = \"constnt\"\n", &[]);
        assert!(message.contains("did you mean `constant`?"), "{message}");
    }

    #[test]
    fn overrides_reach_tables_and_arrays() {
        let text = "[[devices]]\ncount = 2\n[[devices]]\ncount = 3\n";
        let overrides = [
            "channel.bandwidth_hz=3e6",
            "devices.1.count = 7",
            "packet.power=water-filling",
            "policies=[\"enachi\", \"device-only\"]",
        ];
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        let scenario = parse(text, "a.toml", &overrides).expect("valid");
        assert_eq!(scenario.channel.bandwidth_hz, 3e6);
        assert_eq!(scenario.devices[1].count, 7);
        assert_eq!(scenario.packet.power, super::super::PowerKind::WaterFilling);
        assert_eq!(scenario.policies.len(), 2);
    }

    #[test]
    fn a_model_fills_what_is_not_given() {
        let text = "[device]\nmodel = \"raspberry-pi-4\"\ncircuit_power_w = 0.7\nenergy_budget_j = 9.0\n\
            [[devices]]\ncount = 1\n\
            [[devices]]\ncount = 2\nmodel = \"phone-lte\"\npower_max_w = 0.1\n";
        let scenario = parse(text, "a.toml", &[]).expect("valid");
        let groups: Vec<_> = scenario
            .devices
            .iter()
            .map(|g| g.resolved(&scenario.device))
            .collect();
        // The first group is as [device]: described, but for the key that [device] gives itself.
        assert_eq!(groups[0], scenario.device);
        assert_eq!(
            (groups[0].frequency_hz, groups[0].circuit_power_w),
            (1.5e9, 0.7)
        );
        assert_eq!(groups[0].amplifier_efficiency, 0.32);
        // The second has a model of its own, which goes before [device], and a key of its own, which goes before that.
        assert_eq!(
            (groups[1].frequency_hz, groups[1].circuit_power_w),
            (2.45e9, 1.288)
        );
        assert_eq!(
            (groups[1].power_max_w, groups[1].energy_budget_j),
            (0.1, 9.0)
        );
        // Written out, it says all of this by itself.
        let echoed = scenario.to_toml();
        let moved = echoed.replace("\"phone-lte\"", "\"elsewhere/phone.toml\"");
        assert_ne!(moved, echoed);
        let again = parse(&moved, "echo", &[]).expect("complete");
        assert_eq!(again.to_toml(), moved);
        // From the command line, too.
        let by_hand = parse("", "a.toml", &["device.model=\"jetson-nano\"".to_string()]);
        assert_eq!(by_hand.expect("valid").device.frequency_hz, 9.216e8);
        let message = error("", &["device.model=jetson-nan"]);
        assert!(message.contains("did you mean `jetson-nano`?"), "{message}");
        let message = error("[[devices]]\ncount = 1\nmodel = \"x.toml\"\n", &[]);
        assert!(
            message.contains("devices.0.model: cannot read x.toml"),
            "{message}"
        );
    }

    #[test]
    fn bad_overrides_are_named() {
        assert!(error("", &["channel.bandwidth_hz"]).contains("expected key=value"));
        assert!(error("", &["channel.bandwith_hz=1"]).contains("did you mean `bandwidth_hz`?"));
        assert!(error("", &["devices.4.count=1"]).contains("--set devices.4.count=1"));
        assert!(error("seed = 1", &["seed.x=1"]).contains("not a table"));
    }

    #[test]
    fn values_out_of_range_name_key_value_and_range() {
        for (text, key) in [
            (
                "[channel]\nbandwidth_hz = 0",
                "channel.bandwidth_hz = 0: must be",
            ),
            (
                "[channel]\nbandwidth_hz = nan",
                "channel.bandwidth_hz = NaN",
            ),
            (
                "[channel]\nnoise_psd_w_per_hz = -1",
                "channel.noise_psd_w_per_hz = -1",
            ),
            (
                "[device]\nenergy_budget_j = -0.1",
                "device.energy_budget_j = -0.1",
            ),
            (
                "[device]\nidle_power_w = 1",
                "device.energy_budget_j = 0.25",
            ),
            ("[device]\ndeadline_s = 0.5", "device.deadline_s = 0.5"),
            ("[[devices]]\ncount = 0", "devices.0.count = 0"),
            (
                "[[devices]]\ncount = 1\nmean_gain = 0",
                "devices.0.mean_gain = 0",
            ),
            ("[frame]\nslot_s = 1", "frame.slot_s = 1"),
            (
                "[device]\namplifier_efficiency = 0",
                "device.amplifier_efficiency = 0",
            ),
            ("frames = 0", "frames = 0"),
            ("policies = []", "policies"),
            ("[packet]\nkappa_w2 = 0", "packet.kappa_w2 = 0"),
        ] {
            let message = error(text, &[]);
            assert!(message.contains(key), "{text}: {message}");
        }
    }

    #[test]
    fn the_schema_knows_every_table() {
        let schema = Scenario::json_schema();
        for key in [
            "bandwidth_hz",
            "kappa_w2",
            "energy_budget_j",
            "bits_per_element",
        ] {
            assert!(schema.contains(key));
        }
        assert!(schema.contains("additionalProperties"));
    }
}
