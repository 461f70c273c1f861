//! `enachi plan`: solve the task level of one frame.

use anyhow::Context;
use enachi_core::curve::AccuracyCurve;
use enachi_core::radio::{Noise, Radio};
use enachi_core::task::{CutOption, DeviceProblem, Plan, Problem, Sequential, Settings, Solver};
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::PathBuf;

const HELP: &str = r#"Maximises the sum over devices of
  v * weight * accuracy - energy_queue_j * (local_energy_j + power_w * transmit_time_s)
subject to: the bands sum to at most bandwidth_hz, power_w <= power_max_w, and
  bits <= bandwidth_hz * transmit_time_s * log2(1 + gain * power_w / noise).
Prints the plan with an upper bound that no feasible plan exceeds.

A curve is piecewise linear through its points; the first is what happens with
nothing sent (bits 0). Accuracy need not rise everywhere: a device may use fewer
bits than its band and power carry, and bits in the answer is what it uses. Any
cut may be taken with no band, no power and the first point, at the price of its
local energy. All-local is a cut with a single point and transmit_time_s 0. A
device without cuts sits the frame out: its grant has cut null and is worth 0.
Leave out cuts whose head does not fit the deadline.

Example:
  echo '{
    "bandwidth_hz": 1e6, "noise_psd_w_per_hz": 3.3e-20, "v": 50, "power_max_w": 2,
    "devices": [
      {"energy_queue_j": 20, "gain": 1.5e-11, "cuts": [
        {"name": "layer2.0", "transmit_time_s": 0.2, "local_energy_j": 0.06,
         "bits": [0, 2e4, 5e4, 2e5], "accuracy": [0.001, 0.6, 0.72, 0.79]},
        {"name": "local", "transmit_time_s": 0, "local_energy_j": 0.25,
         "bits": [0], "accuracy": [0.8]}]}]
  }' | enachi plan --input -

Optional keys:
  noise_power_w             instead of noise_psd_w_per_hz: noise that does not
                            grow with the band [W]
  spectral_cap_bps_per_hz   cap on spectral efficiency (default: none)
  variant                   "joint" (default), or "sequential": every device
                            first picks its own best cut at an equal share of
                            the band, then band and power are solved; the bound
                            stays that of the joint problem
  devices[].power_max_w     overrides the common power_max_w
  devices[].weight          weight of the device's accuracy (default 1)
  devices[].cuts[].ladder   "embedded" (default), or "alternatives": a level
                            counts only when all its bits arrive

Output (json):
  {"bandwidth_price", "objective", "upper_bound", "gap",
   "grants": [{"cut", "bandwidth_hz", "power_w", "bits", "accuracy"}]}
  bandwidth_price is in objective per hertz,
  gap = (upper_bound - objective)/|upper_bound|; grants are in the order of the
  devices, cut is the cut's name."#;

/// Arguments of `enachi plan`.
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// Problem as JSON (see the example in --help); `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// Form of the answer.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// One JSON object.
    Json,
    /// Aligned text.
    Table,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (name, text) = if args.input.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input")?;
        ("standard input".to_owned(), text)
    } else {
        let name = args.input.display().to_string();
        let text = std::fs::read_to_string(&args.input).with_context(|| name.clone())?;
        (name, text)
    };
    let input = Input::parse(&text).context(name)?;
    let plan = input.solve();
    match args.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&input.json(&plan))?),
        Format::Table => print!("{}", input.table(&plan)),
    }
    Ok(())
}

/// A parsed problem.
struct Input {
    bandwidth_hz: f64,
    radio: Radio,
    v: f64,
    sequential: bool,
    curves: Vec<AccuracyCurve>,
    names: Vec<String>,
    options: Vec<CutOption>,
    devices: Vec<DeviceProblem>,
}

impl Input {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_str(text).context("not valid JSON")?;
        let top = Object::new(&value, String::new())?;
        top.only(&[
            "bandwidth_hz",
            "noise_psd_w_per_hz",
            "noise_power_w",
            "spectral_cap_bps_per_hz",
            "v",
            "power_max_w",
            "variant",
            "devices",
        ])?;
        let noise = match (top.has("noise_psd_w_per_hz"), top.has("noise_power_w")) {
            (true, true) => {
                anyhow::bail!("noise_psd_w_per_hz and noise_power_w exclude each other")
            }
            (false, true) => Noise::Constant {
                power_w: top.positive("noise_power_w")?,
            },
            _ => Noise::Exact {
                psd_w_per_hz: top.positive("noise_psd_w_per_hz")?,
            },
        };
        let spectral_cap = match top.has("spectral_cap_bps_per_hz") {
            true => top.positive("spectral_cap_bps_per_hz")?,
            false => f64::INFINITY,
        };
        let common_power_w = match top.has("power_max_w") {
            true => Some(top.not_negative("power_max_w")?),
            false => None,
        };
        let mut input = Self {
            bandwidth_hz: top.positive("bandwidth_hz")?,
            radio: Radio {
                noise,
                spectral_cap,
            },
            v: top.not_negative("v")?,
            sequential: top.choice("variant", &["joint", "sequential"])? == 1,
            curves: Vec::new(),
            names: Vec::new(),
            options: Vec::new(),
            devices: Vec::new(),
        };
        for device in top.objects("devices")? {
            device.only(&["energy_queue_j", "gain", "power_max_w", "weight", "cuts"])?;
            let start = input.options.len() as u32;
            for cut in device.objects("cuts")? {
                input.cut(&cut, start as usize)?;
            }
            input.devices.push(DeviceProblem {
                energy_queue_j: device.not_negative("energy_queue_j")?,
                gain: device.not_negative("gain")?,
                power_max_w: match (device.has("power_max_w"), common_power_w) {
                    (false, Some(common)) => common,
                    (false, None) => return Err(missing("power_max_w")),
                    (true, _) => device.not_negative("power_max_w")?,
                },
                weight: if device.has("weight") {
                    device.not_negative("weight")?
                } else {
                    1.0
                },
                options: start..input.options.len() as u32,
            });
        }
        if common_power_w.is_none() && input.devices.is_empty() {
            return Err(missing("power_max_w"));
        }
        input.problem().check()?;
        Ok(input)
    }

    fn cut(&mut self, cut: &Object<'_>, first: usize) -> anyhow::Result<()> {
        cut.only(&[
            "name",
            "transmit_time_s",
            "local_energy_j",
            "ladder",
            "bits",
            "accuracy",
        ])?;
        let name = cut.text("name")?;
        if self.names[first..].iter().any(|other| other == name) {
            anyhow::bail!(
                "{} is {name:?}, must differ from the device's other cuts",
                cut.key("name")
            );
        }
        let (bits, accuracy) = (cut.numbers("bits")?, cut.numbers("accuracy")?);
        let curve = match cut.choice("ladder", &["embedded", "alternatives"])? {
            0 => AccuracyCurve::measured(&bits, &accuracy),
            _ => AccuracyCurve::levels(&bits, &accuracy),
        };
        let curve = curve.with_context(|| cut.path.clone())?;
        self.options.push(CutOption {
            curve: self.curves.len() as u32,
            transmit_time_s: cut.not_negative("transmit_time_s")?,
            local_energy_j: cut.not_negative("local_energy_j")?,
            charge: 0.0,
        });
        self.curves.push(curve);
        self.names.push(name.to_owned());
        Ok(())
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            bandwidth_hz: self.bandwidth_hz,
            radio: self.radio,
            v: self.v,
            curves: &self.curves,
            options: &self.options,
            devices: &self.devices,
        }
    }

    fn solve(&self) -> Plan {
        let mut plan = Plan::default();
        if self.sequential {
            Sequential::new().solve(&self.problem(), &mut plan);
        } else {
            // One frame, so time for a proof; less of it where a node is dear.
            let max_nodes = (200_000 / self.devices.len().max(1)).clamp(200, 5_000) as u32;
            let settings = Settings {
                gap_target: 1e-9,
                max_nodes,
            };
            Solver::new(settings).solve(&self.problem(), &mut plan);
        }
        plan
    }

    /// Name of the cut that a device was granted.
    fn cut_name(&self, device: &DeviceProblem, cut: Option<u32>) -> Option<&str> {
        cut.map(|cut| self.names[(device.options.start + cut) as usize].as_str())
    }

    fn json(&self, plan: &Plan) -> Value {
        let grants: Vec<Value> = self
            .devices
            .iter()
            .zip(&plan.grants)
            .map(|(device, grant)| {
                json!({
                    "cut": self.cut_name(device, grant.cut),
                    "bandwidth_hz": grant.bandwidth_hz,
                    "power_w": grant.reference_power_w,
                    "bits": grant.bits,
                    "accuracy": grant.accuracy,
                })
            })
            .collect();
        json!({
            "bandwidth_price": plan.bandwidth_price,
            "objective": plan.objective,
            "upper_bound": plan.upper_bound,
            "gap": plan.gap,
            "grants": grants,
        })
    }

    fn table(&self, plan: &Plan) -> String {
        use std::fmt::Write;
        let names = self
            .devices
            .iter()
            .zip(&plan.grants)
            .map(|(d, g)| self.cut_name(d, g.cut).unwrap_or("-"));
        let names: Vec<&str> = names.collect();
        let width = names
            .iter()
            .map(|name| name.len())
            .max()
            .unwrap_or(0)
            .max(3);
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "device  {:<width$}  bandwidth [kHz]  power [mW]  bits [kbit]  accuracy  energy [mJ]",
            "cut"
        );
        for (n, (device, grant)) in self.devices.iter().zip(&plan.grants).enumerate() {
            let energy_j = grant.cut.map_or(0.0, |cut| {
                let option = &self.options[(device.options.start + cut) as usize];
                option.local_energy_j + grant.reference_power_w * option.transmit_time_s
            });
            let _ = writeln!(
                out,
                "{n:>6}  {:<width$}  {:>15.3}  {:>10.3}  {:>11.3}  {:>8.4}  {:>11.3}",
                names[n],
                grant.bandwidth_hz / 1e3,
                grant.reference_power_w * 1e3,
                grant.bits / 1e3,
                grant.accuracy,
                energy_j * 1e3,
            );
        }
        let _ = writeln!(
            out,
            "objective {:.6}, upper bound {:.6}, gap {:.1e}, bandwidth price {:.4e} per Hz",
            plan.objective, plan.upper_bound, plan.gap, plan.bandwidth_price
        );
        out
    }
}

/// A JSON object and where it is.
struct Object<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Object<'a> {
    fn new(value: &'a Value, path: String) -> anyhow::Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            other => {
                let place = if path.is_empty() {
                    "the problem"
                } else {
                    &path
                };
                anyhow::bail!("{place} is {}, must be an object", kind(other))
            }
        }
    }

    /// Full name of a key.
    fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Refuse keys other than these.
    fn only(&self, allowed: &[&str]) -> anyhow::Result<()> {
        for key in self.map.keys() {
            if !allowed.contains(&key.as_str()) {
                let hint = match enachi_core::task::nearest(key, allowed.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("allowed are {}", allowed.join(", ")),
                };
                anyhow::bail!("unknown key {}: {hint}", self.key(key));
            }
        }
        Ok(())
    }

    fn get(&self, key: &str) -> anyhow::Result<&'a Value> {
        self.map.get(key).ok_or_else(|| missing(&self.key(key)))
    }

    fn number(&self, key: &str, allowed: &str, ok: impl Fn(f64) -> bool) -> anyhow::Result<f64> {
        let value = self.get(key)?;
        match value.as_f64() {
            Some(number) if number.is_finite() && ok(number) => Ok(number),
            Some(number) => anyhow::bail!("{} is {number}, must be {allowed}", self.key(key)),
            None => anyhow::bail!(
                "{} is {}, must be a number {allowed}",
                self.key(key),
                kind(value)
            ),
        }
    }

    fn positive(&self, key: &str) -> anyhow::Result<f64> {
        self.number(key, "above 0", |x| x > 0.0)
    }

    fn not_negative(&self, key: &str) -> anyhow::Result<f64> {
        self.number(key, "at least 0", |x| x >= 0.0)
    }

    fn numbers(&self, key: &str) -> anyhow::Result<Vec<f64>> {
        self.array(key)?
            .iter()
            .enumerate()
            .map(|(i, value)| {
                let place = || {
                    format!(
                        "{}[{i}] is {}, must be a number",
                        self.key(key),
                        kind(value)
                    )
                };
                value.as_f64().with_context(place)
            })
            .collect()
    }

    fn array(&self, key: &str) -> anyhow::Result<&'a Vec<Value>> {
        let value = self.get(key)?;
        value
            .as_array()
            .with_context(|| format!("{} is {}, must be an array", self.key(key), kind(value)))
    }

    fn objects(&self, key: &str) -> anyhow::Result<Vec<Object<'a>>> {
        let items = self.array(key)?.iter().enumerate();
        items
            .map(|(i, value)| Object::new(value, format!("{}[{i}]", self.key(key))))
            .collect()
    }

    fn text(&self, key: &str) -> anyhow::Result<&'a str> {
        let value = self.get(key)?;
        value
            .as_str()
            .with_context(|| format!("{} is {}, must be a string", self.key(key), kind(value)))
    }

    /// Index of an optional choice; the first is the default.
    fn choice(&self, key: &str, allowed: &[&str]) -> anyhow::Result<usize> {
        if !self.has(key) {
            return Ok(0);
        }
        let text = self.text(key)?;
        let place = || {
            format!(
                "{} is {text:?}, must be one of {}",
                self.key(key),
                allowed.join(", ")
            )
        };
        allowed
            .iter()
            .position(|choice| *choice == text)
            .with_context(place)
    }
}

fn missing(key: &str) -> anyhow::Error {
    anyhow::anyhow!("{key} is missing")
}

/// What a value is, for messages.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => format!("the string {s:?}"),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
