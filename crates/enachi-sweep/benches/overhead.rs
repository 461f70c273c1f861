//! What a sweep costs beyond the bare simulator: the same runs with a sink that drops every record, and as a sweep with its
//! statistics, journal and dataset. And what is lost with several threads: time in which one of them neither ran nor was ready to,
//! for locks, for work that one thread does alone, or as none was left. Both are CPU times or shares of them, so other programs hardly
//! disturb them: `cargo bench --workspace --bench overhead`.

use enachi_core::record::FrameRecord;
use enachi_sim::deployment::{Deployment, curve_profile};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::runner::{Runner, Sink};
use enachi_sim::scenario::parse;
use enachi_sim::simulate::variants;
use enachi_sweep::plan::Shard;
use enachi_sweep::{RunOptions, Sweep, Unwatched, merge};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::DirEntry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SCENARIO: &str = include_str!("../../../scenarios/paper.toml");
/// Those of `sweeps/paper.toml` that take least: the dearer ones would hide what a sweep adds.
const POLICIES: [&str; 10] = [
    "enachi",
    "enachi+stop-entropy",
    "progressive-ftx@L1",
    "progressive-ftx@L2",
    "progressive-ftx@L3",
    "progressive-ftx@L4",
    "effect-dnn",
    "sc-cao",
    "min-energy-split",
    "best-static-cut",
];
const USERS: [u32; 3] = [1, 5, 25];
const SETTINGS: [&str; 4] = [
    "frames=300",
    "warmup_frames=50",
    "seeds=10",
    "channel.bandwidth_hz=20e6",
];

struct Dropped;

impl Sink for Dropped {
    fn frame(&mut self, record: FrameRecord) {
        std::hint::black_box(&record);
    }
}

/// CPU time of this thread \[s\].
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")
        .expect("Linux counts CPU time per thread");
    let nanoseconds = text
        .split_whitespace()
        .next()
        .and_then(|field| field.parse::<f64>().ok());
    nanoseconds.expect("the first field is nanoseconds on a CPU") * 1e-9
}

fn bare() {
    for users in USERS {
        let mut overrides: Vec<String> = SETTINGS.iter().map(|s| s.to_string()).collect();
        overrides.push(format!("devices.0.count={users}"));
        let mut scenario = parse(SCENARIO, "paper.toml", &overrides).expect("a scenario");
        scenario.policies = POLICIES.map(String::from).to_vec();
        let profile = curve_profile(scenario.profile.curves.as_ref().expect("curves"));
        let factory = PolicyFactory::new(&profile, scenario.baselines);
        let mut deployment = Deployment::new(scenario, profile).expect("deployed");
        let variants = variants(&mut deployment, &factory).expect("policies");
        for (index, variant) in variants.into_iter().enumerate() {
            for seed in deployment.scenario.seed_range() {
                let mut runner =
                    Runner::new(&deployment, &factory, variant.clone(), index as u16, seed)
                        .expect("runs");
                for _ in 0..deployment.scenario.frames {
                    runner.plan();
                    runner.execute(&mut Dropped);
                }
            }
        }
    }
}

fn swept(threads: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("paper.toml"), SCENARIO).expect("written");
    let text = format!(
        "name = \"overhead\"\nscenario = \"paper.toml\"\npolicies = {POLICIES:?}\n[set]\n{}\n[[sweep]]\nname = \"users\"\n\
         [[sweep.axis]]\nkey = \"devices.0.count\"\nvalues = {USERS:?}\n",
        SETTINGS.join("\n")
    );
    let sweep = Sweep::parse(&text, &folder.path().join("sweep.toml")).expect("a sweep file");
    let options = RunOptions {
        shard: Shard::WHOLE,
        threads,
        ..RunOptions::default()
    };
    let out = folder.path().join("out");
    sweep.run(&out, &options, &Unwatched).expect("runs");
    merge(&out, &[]).expect("merges");
}

/// CPU time and time spent ready to run of every thread of this process \[s\].
fn threads_s() -> HashMap<OsString, [f64; 2]> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists threads");
    let read = |task: DirEntry| {
        // A thread may end between the two.
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let mut fields = text.split_whitespace().map(|field| field.parse::<f64>());
        let seconds = [fields.next()?.ok()? * 1e-9, fields.next()?.ok()? * 1e-9];
        Some((task.file_name(), seconds))
    };
    tasks.flatten().filter_map(read).collect()
}

/// CPU time of a sweep on `threads` threads \[s\], and the share of their time in which they ran or were ready to.
fn scaled(threads: usize) -> (f64, f64) {
    const EVERY: Duration = Duration::from_millis(1);
    let done = AtomicBool::new(false);
    let before = threads_s();
    std::thread::scope(|scope| {
        // Threads that have ended are not listed, so all are looked at again and again.
        let watch = scope.spawn(|| {
            let mut seen = HashMap::new();
            let own = std::fs::read_link("/proc/thread-self").expect("Linux names threads");
            let own = own.file_name().map(ToOwned::to_owned).unwrap_or_default();
            while !done.load(Ordering::Relaxed) {
                seen.extend(threads_s());
                std::thread::sleep(EVERY);
            }
            seen.extend(threads_s());
            seen.remove(&own);
            seen
        });
        let started = Instant::now();
        swept(threads);
        let wall_s = started.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        let seen = watch.join().expect("watched");
        let sum = |which: usize| -> f64 {
            let spent = seen.iter().map(|(thread, times)| {
                times[which] - before.get(thread).map_or(0.0, |times| times[which])
            });
            spent.sum()
        };
        (sum(0), (sum(0) + sum(1)) / (threads as f64 * wall_s))
    })
}

fn main() {
    let timed = |run: &dyn Fn()| {
        let before = cpu_s();
        run();
        cpu_s() - before
    };
    let (mut bare_s, mut swept_s) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        bare_s = bare_s.min(timed(&bare));
        swept_s = swept_s.min(timed(&|| swept(1)));
    }
    println!(
        "bare simulator {bare_s:.3} s, sweep {swept_s:.3} s, overhead {:+.1} % (least of 3, CPU time)",
        (swept_s / bare_s - 1.0) * 100.0
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in (1..=cores).filter(|threads| threads.is_power_of_two()) {
        let (cpu, busy) = scaled(threads);
        println!(
            "{threads} threads: {cpu:.3} s of CPU time, {:.1} % of the threads' time at work or ready for it",
            busy * 100.0
        );
    }
}
