//! Running the runs of a shard on all cores.

use crate::journal::{Done, Entry, Journal, JournalError};
use crate::oracle::bounds;
use crate::plan::{Job, OraclePlan, Run, Runs};
use crate::points::Setting;
use crate::tally::{Clusters, Tallying};
use crate::{Monitor, Watch};
use enachi_core::record::Names;
use enachi_sim::bootstrap::ClusterWeights;
use enachi_sim::deployment::{Deployment, Profiles};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::runner::Runner;
use enachi_sim::scenario::Scenario;
use enachi_sim::simulate::variants;
use enachi_sim::variant::Variant;
use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest that finished runs stay off the disk.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// All that the runs of a point share.
struct Point {
    deployment: Deployment,
    factory: PolicyFactory,
    names: Names,
    clusters: Clusters,
    weights: ClusterWeights,
    oracle: Option<OraclePlan>,
    /// One per policy of the sweep, or why it cannot run here.
    variants: Vec<Result<Variant, String>>,
}

impl Point {
    fn new(
        scenario: Scenario,
        profiles: Profiles,
        policies: &[String],
        oracle: Option<OraclePlan>,
        setting: &dyn Setting,
    ) -> Result<Self, String> {
        let (seed, replicates) = (scenario.seed, scenario.output.bootstrap_replicates);
        let frames = scenario.frames as usize;
        let mut deployment = Deployment::new(scenario, profiles).map_err(|e| e.to_string())?;
        let factory = setting.factory(&deployment);
        // One after the other, so that a policy that cannot run here does not keep the others from running.
        let variants = policies
            .iter()
            .map(|label| {
                deployment.scenario.policies = vec![label.clone()];
                let made = variants(&mut deployment, &factory).map_err(|e| e.to_string())?;
                made.into_iter()
                    .next()
                    .ok_or_else(|| format!("{label}: no policy"))
            })
            .collect();
        let clusters = Clusters::new(&deployment, frames);
        Ok(Self {
            names: deployment.names(policies.to_vec()),
            weights: ClusterWeights::new(seed, replicates, clusters.count),
            deployment,
            factory,
            clusters,
            oracle,
            variants,
        })
    }

    /// `None` when cancelled.
    fn run(&self, run: Run, cancel: &AtomicBool) -> Option<Result<Done, String>> {
        match run.job {
            Job::Policy(policy) => self.run_policy(policy, run.seed, cancel),
            Job::Oracle => self.run_oracle(run.seed, cancel),
        }
    }

    fn seed(&self, number: usize) -> u64 {
        self.deployment.scenario.seed.wrapping_add(number as u64)
    }

    fn run_oracle(&self, seed: usize, cancel: &AtomicBool) -> Option<Result<Done, String>> {
        let started = Instant::now();
        let found = bounds(
            &self.deployment,
            &self.factory,
            &self.variants,
            self.oracle?,
            self.seed(seed),
            cancel,
        )?;
        Some(found.map(|mut bounds| {
            bounds.wall_s = started.elapsed().as_secs_f64();
            Done::Oracle(bounds)
        }))
    }

    fn run_policy(
        &self,
        policy: usize,
        seed: usize,
        cancel: &AtomicBool,
    ) -> Option<Result<Done, String>> {
        let variant = match &self.variants[policy] {
            Ok(variant) => variant.clone(),
            Err(error) => return Some(Err(error.clone())),
        };
        let started = Instant::now();
        let scenario = &self.deployment.scenario;
        let runner = Runner::new(
            &self.deployment,
            &self.factory,
            variant,
            policy as u16,
            self.seed(seed),
        );
        let mut runner = match runner {
            Ok(runner) => runner,
            Err(error) => return Some(Err(error.to_string())),
        };
        let mut tallying = Tallying::new(&self.deployment, &self.names, &self.clusters, seed == 0);
        for frame in 0..scenario.frames {
            if cancel.load(Ordering::Relaxed) {
                return None;
            }
            tallying.begin(frame);
            runner.plan();
            runner.execute(&mut tallying);
        }
        Some(tallying.finish(&self.weights).map(|mut tally| {
            tally.wall_s = started.elapsed().as_secs_f64();
            Done::Policy(Box::new(tally))
        }))
    }
}

type SharedPoint = Arc<Result<Point, String>>;

/// Points that are in use, each set up once and forgotten after its last run.
struct Points<'a> {
    setting: &'a dyn Setting,
    /// By number: what is set up, and runs that still need it.
    slots: Mutex<HashMap<usize, Slot>>,
}

struct Slot {
    point: Arc<Mutex<Option<SharedPoint>>>,
    runs_left: usize,
}

impl<'a> Points<'a> {
    fn new(setting: &'a dyn Setting, runs: &Runs, todo: &[usize]) -> Self {
        let mut slots: HashMap<usize, Slot> = HashMap::new();
        for run in todo {
            let slot = slots.entry(runs.get(*run).point).or_insert_with(|| Slot {
                point: Arc::default(),
                runs_left: 0,
            });
            slot.runs_left += 1;
        }
        Self {
            setting,
            slots: Mutex::new(slots),
        }
    }

    /// The point, set up by whoever comes first.
    fn get(&self, point: usize) -> SharedPoint {
        let place = match lock(&self.slots).get(&point) {
            Some(slot) => Arc::clone(&slot.point),
            None => return Arc::new(Err("has no runs left".into())),
        };
        let mut place = lock(&place);
        let made = place.get_or_insert_with(|| {
            let made = caught(|| {
                let (scenario, profiles) = self.setting.scenario(point)?;
                Point::new(
                    scenario,
                    profiles,
                    self.setting.policies(point),
                    self.setting.oracle(point),
                    self.setting,
                )
            });
            Arc::new(made.and_then(|made| made))
        });
        Arc::clone(made)
    }

    fn done(&self, point: usize) {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get_mut(&point) {
            slot.runs_left -= 1;
            if slot.runs_left == 0 {
                slots.remove(&point);
            }
        }
    }
}

/// What a thread does next.
#[derive(Clone, Copy)]
enum Task {
    /// Set a point up before its runs are reached.
    Prepare(usize),
    Run(usize),
}

/// Runs in order, points set up while the runs before theirs still go.
fn tasks(runs: &Runs, todo: &[usize], threads: usize) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::with_capacity(todo.len());
    let mut prepared = 0;
    let ahead = 2 * threads;
    for (index, run) in todo.iter().enumerate() {
        while prepared < todo.len().min(index + ahead + 1) {
            let point = runs.get(todo[prepared]).point;
            if prepared == 0 || runs.get(todo[prepared - 1]).point != point {
                tasks.push(Task::Prepare(point));
            }
            prepared += 1;
        }
        tasks.push(Task::Run(*run));
    }
    tasks
}

/// Run `todo` and write every outcome to `journal`. Ends early when cancelled, or when the journal cannot be written.
pub fn work(
    setting: &dyn Setting,
    runs: &Runs,
    todo: &[usize],
    threads: usize,
    journal: &mut Journal,
    cancel: &AtomicBool,
    watch: &Watch<'_, impl Monitor>,
) -> Result<(), JournalError> {
    let tasks = tasks(runs, todo, threads);
    let points = Points::new(setting, runs, todo);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    struct Sink<'a> {
        journal: &'a mut Journal,
        synced: Instant,
        error: Option<JournalError>,
    }
    let sink = Mutex::new(Sink {
        journal,
        synced: Instant::now(),
        error: None,
    });
    let thread = || {
        while !stop.load(Ordering::Relaxed) && !cancel.load(Ordering::Relaxed) {
            let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            let run = match *task {
                Task::Prepare(point) => {
                    points.get(point);
                    continue;
                }
                Task::Run(run) => run,
            };
            let which = runs.get(run);
            let point = points.get(which.point);
            let outcome = match point.as_ref() {
                Err(error) => Some(Err(error.clone())),
                Ok(point) => match caught(|| point.run(which, cancel)) {
                    Ok(outcome) => outcome,
                    Err(panic) => Some(Err(panic)),
                },
            };
            drop(point);
            points.done(which.point);
            let Some(outcome) = outcome else {
                return;
            };
            let failed = outcome.is_err();
            let mut sink = lock(&sink);
            let mut written = sink.journal.append(&Entry { run, outcome });
            if written.is_ok() && sink.synced.elapsed() > SYNC_EVERY {
                written = sink.journal.sync();
                sink.synced = Instant::now();
            }
            if let Err(error) = written {
                sink.error.get_or_insert(error);
                stop.store(true, Ordering::Relaxed);
                return;
            }
            watch.run_finished(run, failed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(thread);
        }
        thread();
    });
    let sink = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    match sink.error {
        Some(error) => Err(error),
        None => sink.journal.sync(),
    }
}

/// A panic in one run must not end the others.
fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|panic| format!("panicked: {}", message(panic.as_ref())))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// A lock whose holder panicked guards data that is whole all the same: panics of runs are caught outside.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
