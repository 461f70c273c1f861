//! From the journals of all shards to the dataset: the same bytes however the runs were spread.

use crate::SweepError;
use crate::curves::curve_rows;
use crate::folder::FolderLock;
use crate::journal::{Done, Entry, Index, Place, read_entry};
use crate::oracle::Bounds;
use crate::plan::{PLAN_FILE, Plan, Shard};
use crate::stats::{PolicyOutcome, Seeds, axis_columns, tables};
use enachi_data::sweep::{
    DatasetError, DatasetWriter, FORMAT, FORMAT_VERSION, Failure, Manifest, check_version,
    write_atomically,
};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};

/// File with wall times.
pub const TIMING_FILE: &str = "timing.json";

/// Read the plan that a sweep's folder holds.
pub fn read_plan(folder: &Path) -> Result<Plan, SweepError> {
    let path = folder.join(PLAN_FILE);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(SweepError::NoSweep {
                folder: folder.display().to_string(),
            });
        }
        other => other.map_err(|e| SweepError::io(&path, e))?,
    };
    let damaged = |reason: String| DatasetError::Damaged {
        file: path.display().to_string(),
        reason,
    };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    check_version(&path, &value)?;
    let plan: Plan = serde_json::from_value(value).map_err(|e| damaged(e.to_string()))?;
    if plan.hash() != plan.plan_sha256 {
        return Err(damaged("its checksum is wrong".into()).into());
    }
    Ok(plan)
}

/// What failures and times of the upper bound are called.
const ORACLE: &str = "oracle";

/// What the seeds of a policy, or of the bound, gave at a point.
struct Gathered<T> {
    first_seed: u64,
    /// By seed, counted from the first.
    found: Vec<(usize, T)>,
    errors: Vec<(u64, String)>,
    wall_s: f64,
}

impl<T> Gathered<T> {
    fn new(first_seed: u64) -> Self {
        Self {
            first_seed,
            found: Vec::new(),
            errors: Vec::new(),
            wall_s: 0.0,
        }
    }

    /// Add a seed; `of` takes what was wanted and its wall time.
    fn add(
        &mut self,
        seed: usize,
        entry: Entry,
        of: impl FnOnce(Done) -> Result<(T, f64), SweepError>,
    ) -> Result<(), SweepError> {
        match entry.outcome {
            Ok(done) => {
                let (found, wall_s) = of(done)?;
                self.wall_s += wall_s;
                self.found.push((seed, found));
            }
            Err(error) => {
                let seed = self.first_seed.wrapping_add(seed as u64);
                self.errors.push((seed, error));
            }
        }
        Ok(())
    }

    /// Every failure with its seed; one without where all of `seeds` failed alike.
    fn failures(&self, seeds: u32) -> impl Iterator<Item = (Option<u64>, &str)> {
        let same = self.errors.len() == seeds as usize
            && self
                .errors
                .iter()
                .all(|(_, error)| *error == self.errors[0].1);
        let shown = if same { 1 } else { self.errors.len() };
        self.errors[..shown.min(self.errors.len())]
            .iter()
            .map(move |(seed, error)| ((!same).then_some(*seed), error.as_str()))
    }
}

fn misplaced(file: &Path, run: usize) -> SweepError {
    SweepError::Part {
        file: file.display().to_string(),
        reason: format!("run {run} holds something else than the plan says"),
    }
}

/// A part that was found.
struct Part {
    path: PathBuf,
    index: Index,
}

/// Parts open for reading; few at a time, as there may be more of them than a process may open.
struct Files<'a> {
    parts: &'a [Part],
    /// The one that was opened first stands first.
    open: VecDeque<(usize, File)>,
}

impl<'a> Files<'a> {
    const MOST: usize = 64;

    fn of(parts: &'a [Part]) -> Self {
        Self {
            parts,
            open: VecDeque::new(),
        }
    }

    fn get(&mut self, part: usize) -> Result<&mut File, SweepError> {
        let known = self.open.iter().position(|(number, _)| *number == part);
        let index = match known {
            Some(index) => index,
            None => {
                if self.open.len() == Self::MOST {
                    self.open.pop_front();
                }
                let path = &self.parts[part].path;
                let file = File::open(path).map_err(|e| SweepError::io(path, e))?;
                self.open.push_back((part, file));
                self.open.len() - 1
            }
        };
        Ok(&mut self.open[index].1)
    }
}

/// Merge the parts in `folder`, and those of `elsewhere`, into the dataset of `folder`.
pub fn merge(folder: &Path, elsewhere: &[PathBuf]) -> Result<Manifest, SweepError> {
    read_plan(folder)?;
    let _lock = FolderLock::shared(folder)?;
    let plan = read_plan(folder)?;
    let parts = find_parts(folder, elsewhere, &plan)?;
    let places = collect(folder, &plan, &parts)?;
    let columns = axis_columns(&plan);
    let runs = plan.runs();
    let mut files = Files::of(&parts);
    let mut writer = DatasetWriter::create(folder, &columns)?;
    let mut failures = Vec::new();
    let mut timings = Vec::new();
    let mut failed_runs = 0;
    for (point, of) in plan.points.iter().enumerate() {
        let sweep = &plan.sweeps[of.sweep].name;
        let failure = |policy: &str, seed: Option<u64>, error: &str| Failure {
            sweep: sweep.clone(),
            point: point as u64,
            policy: policy.to_owned(),
            seed,
            error: error.to_owned(),
        };
        let mut read = |run: usize| {
            let (part, place) = places[run];
            let entry = read_entry(files.get(part)?, &parts[part].path, &place)?;
            Ok::<_, SweepError>((part, entry))
        };
        let mut outcomes: Vec<PolicyOutcome> = Vec::new();
        for (policy, name) in plan.policies(point).iter().enumerate() {
            if let Some(error) = &of.error {
                failures.push(failure(name, None, error));
                failed_runs += u64::from(of.seeds);
                outcomes.push(Err(error.clone()));
                continue;
            }
            let mut gathered = Gathered::new(of.first_seed);
            for seed in 0..of.seeds as usize {
                let run = runs.of_policies(point).start + policy * of.seeds as usize + seed;
                let (part, entry) = read(run)?;
                gathered.add(seed, entry, |done| match done {
                    Done::Policy(mut tally) => {
                        let wall_s = std::mem::take(&mut tally.wall_s);
                        Ok((*tally, wall_s))
                    }
                    Done::Oracle(_) => Err(misplaced(&parts[part].path, run)),
                })?;
            }
            timings.push(RunTiming {
                point,
                policy: name.clone(),
                wall_s: gathered.wall_s,
            });
            failed_runs += gathered.errors.len() as u64;
            let failed = gathered.failures(of.seeds);
            failures.extend(failed.map(|(seed, error)| failure(name, seed, error)));
            // Seeds that went well count, unless there are none.
            outcomes.push(match gathered.errors.into_iter().next() {
                Some((_, error)) if gathered.found.is_empty() => Err(error),
                _ => Ok(Seeds::new(gathered.found)),
            });
        }
        let mut bounds: Gathered<Bounds> = Gathered::new(of.first_seed);
        for (seed, run) in runs.of_oracle(point).enumerate() {
            let (part, entry) = read(run)?;
            bounds.add(seed, entry, |done| match done {
                Done::Oracle(mut bounds) => {
                    let wall_s = std::mem::take(&mut bounds.wall_s);
                    Ok((bounds, wall_s))
                }
                Done::Policy(_) => Err(misplaced(&parts[part].path, run)),
            })?;
        }
        if let (Some(oracle), false) = (&of.oracle, runs.of_oracle(point).is_empty()) {
            timings.push(RunTiming {
                point,
                policy: ORACLE.into(),
                wall_s: bounds.wall_s,
            });
            failed_runs += bounds.errors.len() as u64;
            let failed = bounds.failures(oracle.seeds);
            failures.extend(failed.map(|(seed, error)| failure(ORACLE, seed, error)));
        }
        let bounds: Vec<Bounds> = bounds.found.into_iter().map(|(_, found)| found).collect();
        writer.point(&tables(&plan, &columns, point, &outcomes, &bounds))?;
    }
    let manifest = Manifest {
        format: FORMAT.into(),
        format_version: FORMAT_VERSION,
        enachi_version: plan.enachi_version.clone(),
        name: plan.name.clone(),
        quick: plan.quick,
        plan_sha256: plan.plan_sha256.clone(),
        points: plan.points.len() as u64,
        runs: (0..plan.points.len())
            .map(|point| {
                let policies = plan.policies(point).len() as u64;
                policies * u64::from(plan.points[point].seeds) + runs.of_oracle(point).len() as u64
            })
            .sum(),
        failed_runs,
        sweeps: plan.sweeps.clone(),
        profiles: plan.profiles.clone(),
        failures,
        files: BTreeMap::new(),
    };
    let manifest = writer.finish(&curve_rows(&plan.curves), manifest)?;
    let path = folder.join(TIMING_FILE);
    let json = serde_json::to_string_pretty(&Timing { runs: timings })
        .expect("plain data with finite numbers");
    write_atomically(&path, (json + "\n").as_bytes())?;
    Ok(manifest)
}

/// The whole of [`TIMING_FILE`].
#[derive(Serialize)]
struct Timing {
    runs: Vec<RunTiming>,
}

/// Wall time of a policy at a point, all seeds together.
#[derive(Serialize)]
struct RunTiming {
    point: usize,
    policy: String,
    wall_s: f64,
}

/// Every part in the folder and elsewhere, checked to be of this plan and of one split, each there once.
fn find_parts(folder: &Path, elsewhere: &[PathBuf], plan: &Plan) -> Result<Vec<Part>, SweepError> {
    let mut paths = Vec::new();
    let own = folder.join("parts");
    if own.is_dir() {
        paths.extend(journals(&own)?);
    }
    for given in elsewhere {
        // A sweep's folder, its parts' folder, or a part.
        let inner = given.join("parts");
        if inner.is_dir() {
            paths.extend(journals(&inner)?);
        } else if given.is_dir() {
            paths.extend(journals(given)?);
        } else {
            paths.push(given.clone());
        }
    }
    paths.sort();
    let mut parts: Vec<Part> = Vec::new();
    for path in paths {
        let file = path.display().to_string();
        let Some(index) = Index::read(&path)? else {
            // Not even its first line was finished: as good as not there.
            continue;
        };
        if index.header.plan_sha256 != plan.plan_sha256
            || index.header.enachi_version != plan.enachi_version
        {
            return Err(SweepError::Part {
                file,
                reason: format!(
                    "is of another sweep, other settings or another version than {PLAN_FILE}"
                ),
            });
        }
        parts.push(Part { path, index });
    }
    let Some(first) = parts.first() else {
        return Ok(parts);
    };
    let count = first.index.header.shard.count;
    if let Some(other) = parts
        .iter()
        .find(|part| part.index.header.shard.count != count)
    {
        return Err(SweepError::Part {
            file: other.path.display().to_string(),
            reason: format!(
                "is shard {}, but {} is shard {}: parts of different splits cannot be merged; remove one of them",
                other.index.header.shard,
                first.path.display(),
                first.index.header.shard
            ),
        });
    }
    for (index, part) in parts.iter().enumerate() {
        let shard = part.index.header.shard;
        if let Some(twin) = parts[..index]
            .iter()
            .find(|other| other.index.header.shard == shard)
        {
            return Err(SweepError::Part {
                file: part.path.display().to_string(),
                reason: format!(
                    "shard {shard} is there twice, also as {}; remove one of them",
                    twin.path.display()
                ),
            });
        }
    }
    Ok(parts)
}

fn journals(folder: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| SweepError::io(folder, e))? {
        let path = entry.map_err(|e| SweepError::io(folder, e))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Where the outcome of every run stands; an error that says which shards are missing or not finished.
fn collect(folder: &Path, plan: &Plan, parts: &[Part]) -> Result<Vec<(usize, Place)>, SweepError> {
    let runs = plan.runs();
    let count = parts
        .first()
        .map_or(1, |part| part.index.header.shard.count);
    let mut places: Vec<Option<(usize, Place)>> = vec![None; runs.count()];
    for (number, part) in parts.iter().enumerate() {
        let shard = part.index.header.shard;
        for place in &part.index.places {
            if place.run >= runs.count() || runs.shard_of(place.run, count) != shard.index {
                return Err(SweepError::Part {
                    file: part.path.display().to_string(),
                    reason: format!("holds run {}, which is not of its shard", place.run),
                });
            }
            // A run that failed was run again: what went well counts.
            let slot = &mut places[place.run];
            if slot.is_none_or(|(_, known)| known.failed) {
                *slot = Some((number, *place));
            }
        }
    }
    // Runs of each shard, and how many of them are there.
    let mut counts = vec![(0, 0); count as usize];
    for (run, place) in places.iter().enumerate() {
        let (total, there) = &mut counts[runs.shard_of(run, count) as usize];
        *total += 1;
        *there += usize::from(place.is_some());
    }
    let mut missing = Vec::new();
    for (index, (total, there)) in (0..count).zip(counts) {
        let shard = Shard { index, count };
        if there < total {
            let known = parts.iter().find(|part| part.index.header.shard == shard);
            missing.push(match known {
                None => format!("{shard} is missing"),
                Some(part) => match part.index.damaged.first() {
                    None => format!("{shard} has {there} of {total} runs"),
                    Some(line) => format!(
                        "{shard} has {there} of {total} runs, as line {line} of {} is damaged",
                        part.path.display()
                    ),
                },
            });
        }
    }
    match places.into_iter().collect() {
        Some(all) => Ok(all),
        None => Err(SweepError::Unfinished {
            folder: folder.display().to_string(),
            missing: missing.join(", "),
        }),
    }
}
