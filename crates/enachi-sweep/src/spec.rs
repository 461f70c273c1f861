//! The sweep file: which scenario, which axes, which policies. Read and checked here, once.

use enachi_data::sweep::{AxisInfo, split_unit};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Points that one file may ask for.
const MOST_POINTS: usize = 1_000_000;

/// A sweep file that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It cannot be read.
    #[error("cannot read sweep {file}: {source}")]
    Read {
        /// File.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or not these keys.
    #[error("{file}{place}: {message}")]
    Syntax {
        /// File.
        file: String,
        /// `:line:column`.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// A value that cannot be.
    #[error("{file}: {problem}")]
    Value {
        /// File.
        file: String,
        /// What, with the allowed range.
        problem: String,
    },
}

/// The whole of a sweep file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepFile {
    /// Name; the output folder is called after it.
    pub name: String,
    /// Scenario file, relative to the sweep file; without it the default scenario.
    pub scenario: Option<PathBuf>,
    /// Policies of every sweep that names none; without it the scenario's.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Scenario keys set for all sweeps.
    #[serde(default)]
    pub set: toml::Table,
    /// What `--quick` changes.
    pub quick: Option<Quick>,
    /// Where the upper bound is computed, in every sweep that does not say otherwise; without it nowhere.
    pub oracle: Option<OracleSpec>,
    /// The sweeps.
    #[serde(default, rename = "sweep")]
    pub sweeps: Vec<SweepSpec>,
}

/// What `--quick` changes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    /// Most values of an axis: the first, the last and some between.
    pub points: Option<usize>,
    /// The upper bound, in place of what the file and its sweeps say.
    pub oracle: Option<OracleSpec>,
    /// Scenario keys, e.g. `frames`.
    #[serde(default)]
    pub set: toml::Table,
}

/// The grid of the upper bound (`docs/oracle.md`), coarser than the sweep's: it takes longer than a policy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OracleSpec {
    /// Most values of an axis: the first, the last and some between; 0: none at all. Without it every value.
    pub points: Option<usize>,
    /// Seeds, from the first; without it all.
    pub seeds: Option<u32>,
    /// Frames of each seed, from frame 0; without it all.
    pub frames: Option<u32>,
}

impl OracleSpec {
    fn check(&self) -> Result<(), String> {
        for (key, value) in [("seeds", self.seeds), ("frames", self.frames)] {
            if value == Some(0) {
                return Err(format!(
                    "oracle.{key} = 0: must be at least 1; oracle.points = 0 computes no bound"
                ));
            }
        }
        Ok(())
    }
}

/// One `[[sweep]]`: the product of its axes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepSpec {
    /// Name, a column of the dataset.
    pub name: String,
    /// Title for people.
    pub title: Option<String>,
    /// Scenario file in place of the file's own.
    pub scenario: Option<PathBuf>,
    /// Policies in place of the file's own.
    pub policies: Option<Vec<String>>,
    /// Scenario keys set for this sweep.
    #[serde(default)]
    pub set: toml::Table,
    /// Where the upper bound is computed, in place of what the file says.
    pub oracle: Option<OracleSpec>,
    /// The axes.
    #[serde(default, rename = "axis")]
    pub axes: Vec<AxisSpec>,
}

/// One axis: a list of values, a range of them, or several keys in step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisSpec {
    /// Name; without it the last part of the key without its unit.
    pub name: Option<String>,
    /// Label for people.
    pub label: Option<String>,
    /// Unit; without it the one in the key's name.
    pub unit: Option<String>,
    /// Scenario key.
    pub key: Option<String>,
    /// Scenario keys that change together; then each of `values` is a list with one value per key.
    pub keys: Option<Vec<String>>,
    /// The values.
    pub values: Option<Vec<toml::Value>>,
    /// First value of a range.
    pub from: Option<toml::Value>,
    /// Last value of a range.
    pub to: Option<toml::Value>,
    /// Number of values of a range.
    pub points: Option<usize>,
    /// How a range is spaced and the axis drawn.
    pub scale: Option<Scale>,
}

/// Spacing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Equal differences.
    #[default]
    Linear,
    /// Equal ratios.
    Log,
}

/// An axis with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What the dataset says about it.
    pub info: AxisInfo,
    /// One entry per value, each with one value per key.
    pub values: Vec<Vec<toml::Value>>,
}

impl SweepFile {
    /// Read and check `path`.
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| SpecError::Read {
            file: file.clone(),
            source,
        })?;
        Self::parse(&text, &file)
    }

    /// Parse `text`, called `file` in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, SpecError> {
        let this: Self = toml::from_str(text).map_err(|error| {
            let (place, message, suggestion) = enachi_sim::scenario::locate(&error, text);
            SpecError::Syntax {
                file: file.into(),
                place,
                message: message + &suggestion,
            }
        })?;
        let fail = |problem: String| SpecError::Value {
            file: file.into(),
            problem,
        };
        if this.name.is_empty() || this.name.contains(['/', '\\']) {
            return Err(fail(format!(
                "name = {:?}: must be a name that a folder can have",
                this.name
            )));
        }
        if this.sweeps.is_empty() {
            return Err(fail("must have at least one [[sweep]]".into()));
        }
        if this
            .quick
            .as_ref()
            .is_some_and(|quick| quick.points == Some(0))
        {
            return Err(fail("quick.points = 0: must be at least 1".into()));
        }
        let of_quick = this.quick.as_ref().and_then(|quick| quick.oracle);
        for oracle in this.oracle.iter().chain(&of_quick) {
            oracle.check().map_err(&fail)?;
        }
        for (index, sweep) in this.sweeps.iter().enumerate() {
            if let Some(oracle) = sweep.oracle {
                let named = |problem| fail(format!("sweep {:?}: {problem}", sweep.name));
                oracle.check().map_err(named)?;
            }
            if sweep.name.is_empty() {
                return Err(fail(format!("sweep {index}: name must not be empty")));
            }
            if this.sweeps[..index]
                .iter()
                .any(|other| other.name == sweep.name)
            {
                return Err(fail(format!("two sweeps are called {:?}", sweep.name)));
            }
            let axes = sweep.axes().map_err(&fail)?;
            let keys: Vec<&String> = axes.iter().flat_map(|axis| &axis.info.keys).collect();
            if let Some(twice) = keys
                .iter()
                .enumerate()
                .find(|(i, key)| keys[..*i].contains(key))
            {
                return Err(fail(format!(
                    "sweep {:?}: {} is set by two axes",
                    sweep.name, twice.1
                )));
            }
            let size = axes
                .iter()
                .try_fold(1usize, |size, axis| size.checked_mul(axis.values.len()));
            if size.is_none_or(|size| size > MOST_POINTS) {
                return Err(fail(format!(
                    "sweep {:?}: has more than {MOST_POINTS} points",
                    sweep.name
                )));
            }
        }
        Ok(this)
    }
}

impl SweepSpec {
    /// The axes, checked.
    pub fn axes(&self) -> Result<Vec<Axis>, String> {
        let axes = self.axes.iter().enumerate();
        axes.map(|(index, axis)| {
            let named = || {
                axis.keys()
                    .first()
                    .cloned()
                    .unwrap_or_else(|| index.to_string())
            };
            axis.resolve()
                .map_err(|problem| format!("sweep {:?}: axis {:?}: {problem}", self.name, named()))
        })
        .collect()
    }
}

impl AxisSpec {
    fn keys(&self) -> Vec<String> {
        match (&self.key, &self.keys) {
            (Some(key), None) => vec![key.trim().to_owned()],
            (None, Some(keys)) => keys.iter().map(|key| key.trim().to_owned()).collect(),
            _ => Vec::new(),
        }
    }

    fn resolve(&self) -> Result<Axis, String> {
        let keys = self.keys();
        if keys.is_empty() || keys.iter().any(String::is_empty) {
            return Err(
                "must have either `key` or `keys`, e.g. key = \"channel.bandwidth_hz\"".into(),
            );
        }
        let zipped = self.keys.is_some();
        let values = match (&self.values, self.is_range()) {
            (Some(_), true) => {
                return Err("must have either `values` or `from`, `to` and `points`".into());
            }
            (Some(values), false) => self.listed(values, &keys, zipped)?,
            (None, _) if zipped => {
                return Err("`keys` needs `values`, each a list with one value per key".into());
            }
            (None, _) => self.range()?.into_iter().map(|value| vec![value]).collect(),
        };
        if values.is_empty() {
            return Err("has no values; must have at least one".into());
        }
        for value in values.iter().flatten() {
            let fine = match value {
                toml::Value::Float(number) => !number.is_nan(),
                toml::Value::Table(_) | toml::Value::Datetime(_) => false,
                _ => true,
            };
            if !fine {
                return Err(format!("{value} is no value of a scenario key"));
            }
        }
        let mut seen = HashSet::with_capacity(values.len());
        for value in &values {
            let shown: Vec<String> = value.iter().map(ToString::to_string).collect();
            let shown = shown.join(", ");
            if seen.contains(&shown) {
                return Err(format!("has the value {shown} twice"));
            }
            seen.insert(shown);
        }
        let (stem, unit) = split_unit(&keys[0]);
        let scale = match self.scale.unwrap_or_default() {
            Scale::Linear => "linear",
            Scale::Log => "log",
        };
        let name = self.name.clone().unwrap_or(stem);
        let stems: Vec<String> = keys.iter().map(|key| split_unit(key).0).collect();
        let stems = self.name.clone().unwrap_or_else(|| stems.join(" / "));
        Ok(Axis {
            info: AxisInfo {
                label: self
                    .label
                    .clone()
                    .unwrap_or_else(|| stems.replace('_', " ")),
                name,
                unit: self.unit.clone().unwrap_or(unit),
                scale: scale.into(),
                values: values
                    .iter()
                    .map(|value| value.iter().map(as_json).collect())
                    .collect(),
                keys,
            },
            values,
        })
    }

    fn is_range(&self) -> bool {
        self.from.is_some() || self.to.is_some() || self.points.is_some()
    }

    fn listed(
        &self,
        values: &[toml::Value],
        keys: &[String],
        zipped: bool,
    ) -> Result<Vec<Vec<toml::Value>>, String> {
        let one = |value: &toml::Value| match value {
            toml::Value::Array(entries) if zipped && entries.len() == keys.len() => {
                Ok(entries.clone())
            }
            _ if zipped => Err(format!(
                "{value}: must be a list of {} values, one for each of {}",
                keys.len(),
                keys.join(", ")
            )),
            _ => Ok(vec![value.clone()]),
        };
        values.iter().map(one).collect()
    }

    fn range(&self) -> Result<Vec<toml::Value>, String> {
        let number = |value: &Option<toml::Value>| match value {
            Some(toml::Value::Integer(number)) => Some((*number as f64, true)),
            Some(toml::Value::Float(number)) if number.is_finite() => Some((*number, false)),
            _ => None,
        };
        let (Some((from, from_whole)), Some((to, to_whole)), Some(points)) =
            (number(&self.from), number(&self.to), self.points)
        else {
            return Err(
                "must have `values`, or numbers `from` and `to` and a count `points`".into(),
            );
        };
        if points == 0 {
            return Err("points = 0: must be at least 1".into());
        }
        if points > MOST_POINTS {
            return Err(format!("points = {points}: must be at most {MOST_POINTS}"));
        }
        let log = self.scale == Some(Scale::Log);
        if log && (from <= 0.0 || to <= 0.0) {
            return Err("a log scale needs `from` and `to` above 0".into());
        }
        let values: Vec<f64> = (0..points)
            .map(|index| {
                if index == 0 {
                    return from;
                }
                if index == points - 1 {
                    return to;
                }
                let share = index as f64 / (points - 1) as f64;
                let value = if log {
                    from * (to / from).powf(share)
                } else {
                    from + (to - from) * share
                };
                twelve_digits(value)
            })
            .collect();
        let whole = from_whole && to_whole && values.iter().all(|value| value.fract() == 0.0);
        let as_value = |value: &f64| match whole {
            true => toml::Value::Integer(*value as i64),
            false => toml::Value::Float(*value),
        };
        Ok(values.iter().map(as_value).collect())
    }
}

/// A value in JSON, which has no infinity: that becomes text.
pub fn as_json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Float(number) if number.is_infinite() => value.to_string().into(),
        _ => serde_json::to_value(value).unwrap_or_default(),
    }
}

/// 0.15 where a range computes 0.15000000000000002.
fn twelve_digits(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

/// At most `most` of `values`: the first, the last, and some at equal distances between.
pub fn thin<T: Clone>(values: &[T], most: usize) -> Vec<T> {
    let n = values.len();
    if most >= n || most == 0 {
        return values.to_vec();
    }
    if most == 1 {
        return vec![values[n - 1].clone()];
    }
    (0..most)
        .map(|i| values[(i * (n - 1) + (most - 1) / 2) / (most - 1)].clone())
        .collect()
}

/// The leaves of a table as `key=value`, nested tables as dotted keys, in the order of the file.
pub fn overrides(table: &toml::Table) -> Vec<String> {
    let mut all = Vec::new();
    flatten("", table, &mut all);
    all
}

fn flatten(prefix: &str, table: &toml::Table, all: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(inner) => flatten(&path, inner, all),
            _ => all.push(format!("{path}={value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(text: &str) -> Result<Axis, String> {
        let text = format!("name = \"x\"\n[[sweep]]\nname = \"s\"\n[[sweep.axis]]\n{text}");
        let file: SweepFile = toml::from_str(&text).expect("a sweep file");
        Ok(file.sweeps[0].axes()?.remove(0))
    }

    #[test]
    fn axes_are_lists_ranges_and_zips() {
        let list = axis("key = \"channel.bandwidth_hz\"\nvalues = [1e6, 2e6]").expect("list");
        assert_eq!(
            (list.info.name.as_str(), list.info.unit.as_str()),
            ("bandwidth", "Hz")
        );
        assert_eq!(list.values.len(), 2);
        let range =
            axis("key = \"device.deadline_s\"\nfrom = 0.1\nto = 0.3\npoints = 5").expect("range");
        let numbers: Vec<f64> = range
            .values
            .iter()
            .filter_map(|v| v[0].as_float())
            .collect();
        assert_eq!(numbers, [0.1, 0.15, 0.2, 0.25, 0.3]);
        let log =
            axis("key = \"task.v\"\nfrom = 1\nto = 100\npoints = 3\nscale = \"log\"").expect("log");
        assert_eq!(log.values[1], [toml::Value::Integer(10)]);
        let zip = axis("keys = [\"devices.0.count\", \"task.v\"]\nvalues = [[1, 5.0], [2, 9.0]]")
            .expect("zip");
        assert_eq!(zip.info.keys.len(), 2);
        assert_eq!(
            zip.values[1],
            [toml::Value::Integer(2), toml::Value::Float(9.0)]
        );
    }

    #[test]
    fn bad_axes_are_named() {
        for (text, problem) in [
            (
                "key = \"task.v\"\nvalues = []",
                "axis \"task.v\": has no values",
            ),
            ("key = \"task.v\"", "must have `values`"),
            ("values = [1]", "either `key` or `keys`"),
            (
                "key = \"task.v\"\nvalues = [1]\nfrom = 2",
                "either `values` or `from`",
            ),
            ("key = \"task.v\"\nvalues = [1, 2, 1]", "the value 1 twice"),
            ("key = \"task.v\"\nvalues = [nan]", "no value"),
            (
                "keys = [\"a\", \"b\"]\nvalues = [[1]]",
                "a list of 2 values, one for each of a, b",
            ),
            (
                "key = \"task.v\"\nfrom = 1\nto = 2\npoints = 0",
                "points = 0",
            ),
            (
                "key = \"task.v\"\nfrom = 0\nto = 2\npoints = 3\nscale = \"log\"",
                "above 0",
            ),
        ] {
            let message = axis(text).expect_err(text);
            assert!(message.contains(problem), "{text}: {message}");
        }
    }

    #[test]
    fn files_are_checked() {
        let error = |text: &str| {
            SweepFile::parse(text, "a.toml")
                .expect_err(text)
                .to_string()
        };
        assert!(error("name = \"x\"").contains("at least one [[sweep]]"));
        assert!(error("name = \"a/b\"\n[[sweep]]\nname = \"s\"").contains("name = \"a/b\""));
        let twice = "name = \"x\"\n[[sweep]]\nname = \"s\"\n[[sweep]]\nname = \"s\"";
        assert!(error(twice).contains("two sweeps"));
        let message = error("name = \"x\"\n[[sweep]]\nname = \"s\"\npolicy = []");
        assert!(
            message.contains("a.toml:4:1") && message.contains("did you mean `policies`?"),
            "{message}"
        );
        let huge = "key = \"a\"\nfrom = 0\nto = 1\npoints = 100000\n";
        let huge = format!(
            "name = \"x\"\n[[sweep]]\nname = \"s\"\n[[sweep.axis]]\n{huge}[[sweep.axis]]\n{}",
            huge.replace("\"a\"", "\"b\"")
        );
        assert!(error(&huge).contains("more than 1000000 points"));
    }

    #[test]
    fn thinning_keeps_the_ends() {
        let nine: Vec<u32> = (0..9).collect();
        assert_eq!(thin(&nine, 3), [0, 4, 8]);
        assert_eq!(thin(&nine, 2), [0, 8]);
        assert_eq!(thin(&nine, 20), nine);
        assert_eq!(thin(&nine, 1), [8]);
    }

    #[test]
    fn nested_tables_become_dotted_keys() {
        let table: toml::Table =
            toml::from_str("frames = 3\ndevices.0.count = 2\n[channel]\nfading = \"none\"")
                .expect("TOML");
        let mut all = overrides(&table);
        all.sort();
        assert_eq!(
            all,
            ["channel.fading=\"none\"", "devices.0.count=2", "frames=3"]
        );
    }
}
