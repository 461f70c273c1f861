//! The points of a sweep: each a scenario, a profile and the policies to run on it.

use crate::plan::{OraclePlan, Plan, PointPlan, StreamCurve};
use crate::spec::{Axis, OracleSpec, as_json, overrides, thin};
use crate::{Register, Sweep, SweepError};
use enachi_core::profile::Profile;
use enachi_data::sweep::{ProfileInfo, SweepInfo, bytes_sha256};
use enachi_sim::bootstrap::Design;
use enachi_sim::deployment::{Deployment, Profiles, curve_profile};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::{Scenario, ScenarioError, parse};
use enachi_sim::variant::Variant;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The scenario of sweeps that name none.
const DEFAULT_SCENARIO: &str = include_str!("../../../scenarios/default.toml");

/// What running needs to know of points.
pub trait Setting: Sync {
    /// Scenario and profiles of a point.
    fn scenario(&self, point: usize) -> Result<(Scenario, Profiles), String>;
    /// Its policies.
    fn policies(&self, point: usize) -> &[String];
    /// Its upper bound, if any.
    fn oracle(&self, point: usize) -> Option<OraclePlan>;
    /// Policies by name.
    fn factory(&self, deployment: &Deployment) -> PolicyFactory;
}

/// Plan and setting of a sweep.
pub struct Points {
    /// The plan.
    pub plan: Plan,
    /// One per sweep.
    bases: Vec<Base>,
    /// What the axes set, one per point.
    values: Vec<Vec<(String, toml::Value)>>,
    registered: Vec<Register>,
    files: Files,
}

/// A scenario file with everything set but the axes.
struct Base {
    text: String,
    file: String,
    overrides: Vec<String>,
}

impl Base {
    fn scenario(&self, values: &[(String, toml::Value)]) -> Result<Scenario, ScenarioError> {
        let axes = values.iter().map(|(key, value)| format!("{key}={value}"));
        let all: Vec<String> = self.overrides.iter().cloned().chain(axes).collect();
        parse(&self.text, &self.file, &all)
    }

    fn folder(&self) -> &Path {
        Path::new(&self.file).parent().unwrap_or(Path::new(""))
    }
}

/// A profile and its hash.
type Hashed = (Arc<Profile>, String);

/// Files that scenarios name, each read once.
#[derive(Default)]
struct Files {
    profiles: Mutex<HashMap<PathBuf, Hashed>>,
    traces: Mutex<HashMap<PathBuf, String>>,
}

/// What a scenario runs on.
struct Found {
    /// That of `[profile]`, and those that groups of devices name.
    default: Option<Hashed>,
    named: Vec<(String, Hashed)>,
    /// Hash of the gains that it replays.
    trace_sha256: Option<String>,
}

impl Found {
    /// Every profile, that of `[profile]` first.
    fn all(&self) -> impl Iterator<Item = &Hashed> {
        self.default
            .iter()
            .chain(self.named.iter().map(|(_, hashed)| hashed))
    }

    /// Frames of curves belong to their seed; images, where some profile has any, to all seeds.
    fn design(&self) -> Design {
        match self.all().all(|(profile, _)| profile.images.is_empty()) {
            true => Design::Nested,
            false => Design::Crossed,
        }
    }

    fn profiles(&self) -> Profiles {
        let named = self.named.iter();
        Profiles {
            default: self
                .default
                .as_ref()
                .map(|(profile, _)| (**profile).clone()),
            named: named
                .map(|(name, (profile, _))| (name.clone(), (**profile).clone()))
                .collect(),
        }
    }
}

impl Files {
    /// What `scenario` runs on; `folder` is that of its file.
    fn find(&self, scenario: &Scenario, folder: &Path) -> Result<Found, String> {
        let default = match scenario.uses_own_profile() {
            true => Some(self.default_profile(scenario, folder)?),
            false => None,
        };
        let named = scenario.group_profiles().into_iter().map(|name| {
            let path = folder.join(name);
            let hashed = self
                .profile(&path)
                .map_err(|e| format!("devices.N.profile = {name:?}: {e}"))?;
            Ok((name.to_owned(), hashed))
        });
        Ok(Found {
            default,
            named: named.collect::<Result<_, String>>()?,
            trace_sha256: self.trace_sha256(scenario)?,
        })
    }

    fn default_profile(&self, scenario: &Scenario, folder: &Path) -> Result<Hashed, String> {
        if let Some(curves) = &scenario.profile.curves {
            let profile = Arc::new(curve_profile(curves));
            let json = serde_json::to_string(&*profile).map_err(|e| e.to_string())?;
            return Ok((profile, bytes_sha256(json.as_bytes())));
        }
        match &scenario.profile.path {
            Some(path) => self
                .profile(&folder.join(path))
                .map_err(|e| format!("profile.path: {e}")),
            // The embedded profile goes under a path that no file can have.
            None => self.profile(Path::new("")),
        }
    }

    fn profile(&self, path: &Path) -> Result<Hashed, String> {
        let mut read = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(path) {
            return Ok(known.clone());
        }
        let fresh = if path.as_os_str().is_empty() {
            let profile = enachi_data::profile::embedded_default().map_err(|e| e.to_string())?;
            let json = serde_json::to_string(&profile).map_err(|e| e.to_string())?;
            (Arc::new(profile), bytes_sha256(json.as_bytes()))
        } else {
            let profile = enachi_data::profile::read(path).map_err(|e| e.to_string())?;
            let sha256 = enachi_data::sweep::file_sha256(path).map_err(|e| e.to_string())?;
            (Arc::new(profile), sha256)
        };
        read.insert(path.into(), fresh.clone());
        Ok(fresh)
    }

    fn trace_sha256(&self, scenario: &Scenario) -> Result<Option<String>, String> {
        let Some(trace) = &scenario.channel.trace else {
            return Ok(None);
        };
        let path = trace.file();
        let mut read = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(&path) {
            return Ok(Some(known.clone()));
        }
        let sha256 = enachi_data::sweep::file_sha256(&path)
            .map_err(|e| format!("channel.trace.path: {e}"))?;
        read.insert(path, sha256.clone());
        Ok(Some(sha256))
    }
}

impl Points {
    /// Plan `sweep`.
    pub fn of(sweep: &Sweep) -> Result<Self, SweepError> {
        let fail = |problem: String| SweepError::Plan {
            file: sweep.path.display().to_string(),
            problem,
        };
        let added = sweep.added().map_err(&fail)?;
        let mut this = Self {
            plan: Plan::new(
                &sweep.file.name,
                sweep.quick,
                None,
                Vec::new(),
                Vec::new(),
                Vec::new(),
                Vec::new(),
            ),
            bases: Vec::new(),
            values: Vec::new(),
            registered: sweep.registered.clone(),
            files: Files::default(),
        };
        let (mut sweeps, mut points) = (Vec::new(), Vec::new());
        let (mut profiles, mut curves): (Vec<ProfileInfo>, Vec<StreamCurve>) = Default::default();
        for (index, spec) in sweep.file.sweeps.iter().enumerate() {
            let named = |problem: String| fail(format!("sweep {:?}: {problem}", spec.name));
            let mut axes = spec.axes().map_err(&fail)?;
            if sweep.quick {
                let quick = sweep.file.quick.as_ref().ok_or_else(|| {
                    fail("has no [quick] table, which --quick needs, e.g. points = 3 and set.frames = 200".into())
                })?;
                if let Some(most) = quick.points {
                    axes.iter_mut().for_each(|axis| thin_axis(axis, most));
                }
            }
            let base = base(sweep, index, &axes).map_err(&named)?;
            check_keys(&base, &axes).map_err(&named)?;
            let first = points.len();
            let mut policies: Option<Vec<String>> = None;
            let of_quick = sweep.file.quick.as_ref().filter(|_| sweep.quick);
            let oracle = of_quick
                .and_then(|quick| quick.oracle)
                .or(spec.oracle)
                .or(sweep.file.oracle);
            for (number, values) in product(&axes).enumerate() {
                let found = match base.scenario(&values) {
                    Ok(scenario) => match this.files.find(&scenario, base.folder()) {
                        Ok(found) => Ok((scenario, found)),
                        Err(problem) => Err(problem),
                    },
                    Err(error @ (ScenarioError::Range { .. } | ScenarioError::Device { .. })) => {
                        Err(error.to_string())
                    }
                    Err(error) => return Err(named(bare(&error))),
                };
                if let Ok((scenario, files)) = &found {
                    if policies.is_none()
                        && let Ok(deployment) = Deployment::new(scenario.clone(), files.profiles())
                    {
                        let chosen = chosen_policies(sweep, spec.policies.as_deref(), scenario);
                        check_policies(&chosen, scenario, &this.factory(&deployment))
                            .map_err(&named)?;
                        policies = Some(chosen);
                    }
                    for (profile, sha256) in files.all() {
                        if !profiles.iter().any(|known| known.sha256 == *sha256) {
                            profiles.push(profile_info(profile, sha256));
                            curves.extend(StreamCurve::of(profile));
                        }
                    }
                }
                let bounded = oracle.filter(|oracle| of_coarse_grid(&axes, number, oracle.points));
                points.push(point_plan(index, &values, found, bounded));
                this.values.push(values);
            }
            let scenario = base
                .scenario(&[])
                .map(|scenario| scenario.to_toml())
                .unwrap_or_default();
            sweeps.push(SweepInfo {
                name: spec.name.clone(),
                title: spec.title.clone().unwrap_or_else(|| spec.name.clone()),
                policies: policies.unwrap_or_else(|| {
                    spec.policies.clone().unwrap_or(sweep.file.policies.clone())
                }),
                first_point: first as u64,
                points: (points.len() - first) as u64,
                axes: axes.into_iter().map(|axis| axis.info).collect(),
                scenario,
            });
            this.bases.push(base);
        }
        let errors = points.iter().map(|point| point.error.as_ref());
        if let Some(first) = errors
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.first().cloned())
        {
            return Err(fail(format!("no point can run: {first}")));
        }
        this.plan = Plan::new(
            &sweep.file.name,
            sweep.quick,
            added,
            sweeps,
            profiles,
            curves,
            points,
        );
        Ok(this)
    }
}

impl Setting for Points {
    fn scenario(&self, point: usize) -> Result<(Scenario, Profiles), String> {
        let base = &self.bases[self.plan.points[point].sweep];
        let scenario = base
            .scenario(&self.values[point])
            .map_err(|e| e.to_string())?;
        let found = self.files.find(&scenario, base.folder())?;
        Ok((scenario, found.profiles()))
    }

    fn policies(&self, point: usize) -> &[String] {
        self.plan.policies(point)
    }

    fn oracle(&self, point: usize) -> Option<OraclePlan> {
        self.plan.points[point].oracle
    }

    fn factory(&self, deployment: &Deployment) -> PolicyFactory {
        let known = PolicyFactory::on(deployment);
        self.registered
            .iter()
            .fold(known, |factory, policy| (policy.with)(factory))
    }
}

/// Whether point `number` of the product of `axes` is one of the grid that keeps at most `most` values of each.
fn of_coarse_grid(axes: &[Axis], number: usize, most: Option<usize>) -> bool {
    match most {
        None => true,
        Some(0) => false,
        Some(most) => axes.iter().zip(indices(axes, number)).all(|(axis, index)| {
            let all: Vec<usize> = (0..axis.values.len()).collect();
            thin(&all, most).contains(&index)
        }),
    }
}

fn thin_axis(axis: &mut Axis, most: usize) {
    axis.values = thin(&axis.values, most);
    axis.info.values = thin(&axis.info.values, most);
}

/// Scenario text and everything that is set before the axes; the command line last.
fn base(sweep: &Sweep, index: usize, axes: &[Axis]) -> Result<Base, String> {
    let spec = &sweep.file.sweeps[index];
    let named = spec.scenario.as_ref().or(sweep.file.scenario.as_ref());
    let (text, file) = match named {
        None => (
            DEFAULT_SCENARIO.to_owned(),
            "the default scenario".to_owned(),
        ),
        Some(name) => {
            let path = sweep.path.parent().unwrap_or(Path::new("")).join(name);
            let file = path.display().to_string();
            let text = std::fs::read_to_string(&path)
                .map_err(|e| format!("cannot read scenario {file}: {e}"))?;
            (text, file)
        }
    };
    let mut all = overrides(&sweep.file.set);
    all.extend(overrides(&spec.set));
    if let (true, Some(quick)) = (sweep.quick, &sweep.file.quick) {
        all.extend(overrides(&quick.set));
    }
    for argument in &sweep.overrides {
        let key = argument.split('=').next().unwrap_or_default().trim();
        if axes
            .iter()
            .flat_map(|axis| &axis.info.keys)
            .any(|swept| swept == key)
        {
            return Err(format!("--set {argument}: an axis sets {key}"));
        }
        all.push(argument.clone());
    }
    Ok(Base {
        text,
        file,
        overrides: all,
    })
}

/// Whether scenarios have every key that axes set, one axis at a time so that the error names the one that is wrong.
fn check_keys(base: &Base, axes: &[Axis]) -> Result<(), String> {
    let fine = |outcome: Result<Scenario, ScenarioError>| match outcome {
        // Ranges are a matter of points.
        Ok(_) | Err(ScenarioError::Range { .. } | ScenarioError::Device { .. }) => Ok(()),
        Err(error) => Err(bare(&error)),
    };
    fine(base.scenario(&[]))?;
    for axis in axes {
        for value in &axis.values {
            let values = axis.info.keys.iter().cloned().zip(value.iter().cloned());
            fine(base.scenario(&values.collect::<Vec<_>>()))
                .map_err(|error| format!("axis {:?}: {error}", axis.info.name))?;
        }
    }
    Ok(())
}

/// An error about a key, without the `--set` that nobody typed.
fn bare(error: &ScenarioError) -> String {
    let text = error.to_string();
    text.trim_start_matches("--set ").to_owned()
}

/// Index of each axis' value at point `rest` of their product.
fn indices(axes: &[Axis], mut rest: usize) -> Vec<usize> {
    let mut indices = vec![0; axes.len()];
    for (index, axis) in axes.iter().enumerate().rev() {
        indices[index] = rest % axis.values.len();
        rest /= axis.values.len();
    }
    indices
}

/// Every combination of the axes' values, the last axis fastest.
fn product(axes: &[Axis]) -> impl Iterator<Item = Vec<(String, toml::Value)>> {
    let size = axes.iter().map(|axis| axis.values.len()).product::<usize>();
    (0..size).map(move |number| {
        let chosen = axes.iter().zip(indices(axes, number));
        chosen
            .flat_map(|(axis, index)| {
                axis.info
                    .keys
                    .iter()
                    .cloned()
                    .zip(axis.values[index].iter().cloned())
            })
            .collect()
    })
}

fn chosen_policies(sweep: &Sweep, own: Option<&[String]>, scenario: &Scenario) -> Vec<String> {
    let given = [
        Some(sweep.policies.as_slice()),
        own,
        Some(sweep.file.policies.as_slice()),
    ];
    let first = given
        .into_iter()
        .flatten()
        .find(|policies| !policies.is_empty());
    first.map_or_else(|| scenario.policies.clone(), <[String]>::to_vec)
}

fn check_policies(
    labels: &[String],
    scenario: &Scenario,
    factory: &PolicyFactory,
) -> Result<(), String> {
    for (index, label) in labels.iter().enumerate() {
        if labels[..index].contains(label) {
            return Err(format!("policies: {label:?} is named twice"));
        }
        let variant =
            Variant::parse(label, &scenario.packet, &scenario.task).map_err(|e| e.to_string())?;
        factory
            .make(&variant.policy)
            .map_err(|e| format!("policies: {e}"))?;
    }
    Ok(())
}

fn profile_info(profile: &Profile, sha256: &str) -> ProfileInfo {
    ProfileInfo {
        model: profile.meta.model_name.clone(),
        sha256: sha256.into(),
        curve_only: profile.images.is_empty(),
        data_source: profile.meta.data_source.clone(),
        licence_note: profile.meta.licence_note.clone(),
    }
}

fn point_plan(
    sweep: usize,
    values: &[(String, toml::Value)],
    found: Result<(Scenario, Found), String>,
    oracle: Option<OracleSpec>,
) -> PointPlan {
    let values = values
        .iter()
        .map(|(key, value)| (key.clone(), as_json(value)))
        .collect();
    let (scenario, design, trace_sha256, error) = match found {
        Ok((scenario, found)) => (scenario, found.design(), found.trace_sha256, None),
        Err(error) => (Scenario::default(), Design::Nested, None, Some(error)),
    };
    let most = |asked: Option<u32>, there: u32| asked.map_or(there, |asked| asked.min(there));
    PointPlan {
        sweep,
        values,
        first_seed: scenario.seed,
        seeds: scenario.seeds,
        frames: scenario.frames,
        warmup_frames: scenario.warmup_frames,
        devices: scenario.device_count() as u64,
        slots: (scenario.frame.length_s / scenario.frame.slot_s).round() as u32,
        slot_s: scenario.frame.slot_s,
        replicates: scenario.output.bootstrap_replicates,
        design,
        oracle: oracle.filter(|_| error.is_none()).map(|of| OraclePlan {
            seeds: most(of.seeds, scenario.seeds),
            frames: most(of.frames, scenario.frames),
        }),
        scenario_sha256: {
            let text = scenario.to_toml() + &trace_sha256.unwrap_or_default();
            bytes_sha256(text.as_bytes())
        },
        error,
    }
}
