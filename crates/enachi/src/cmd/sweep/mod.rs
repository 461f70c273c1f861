//! `enachi sweep`.

mod progress;
mod summary;

use super::signals::{STOPPED, cancel_on_signal};
use super::simulate::print;
use anyhow::Context;
use enachi_data::sweep::{Dataset, Manifest};
use enachi_sweep::plan::{Plan, Shard};
use enachi_sweep::{RunOptions, Sweep, merge};
use progress::Progress;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

/// Exit code of a sweep that finished, but some of whose runs failed.
const SOME_FAILED: u8 = 3;

/// Tables that summaries are made of.
const SHOWN: [&str; 3] = ["points.parquet", "pairs.parquet", "oracle.parquet"];

/// Arguments of `enachi sweep`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    whole: RunArgs,
}

const EXAMPLES: &str = "Examples:
  enachi sweep sweeps/paper.toml --quick       a first look, to runs/paper-quick
  enachi sweep sweeps/paper.toml               all of it; the same command goes on after a stop
  enachi sweep run sweeps/paper.toml --shard 3/16 --out shared/paper
  enachi sweep merge shared/paper
  enachi sweep show runs/paper --format csv > points.csv

Exit code: 0 all well, 1 could not run, 3 finished but some runs failed (recorded with their errors), 130 stopped.
The file's format and recipes for Ray, HyperQueue, Slurm and Kubernetes: docs/sweeps.md.";

#[derive(clap::Subcommand)]
enum Command {
    /// Say what would run, and check the file.
    Plan(PlanArgs),
    /// Run a sweep, or one shard of it; without --shard as `enachi sweep FILE`.
    Run(ShardArgs),
    /// Merge the parts of all shards into the dataset and print its summary.
    Merge(MergeArgs),
    /// Print the summary of a finished sweep.
    Show(ShowArgs),
}

/// What is swept.
#[derive(clap::Args)]
struct FileArgs {
    /// Sweep file (TOML).
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Use the file's `[quick]` settings: fewer points, seeds and frames.
    #[arg(long)]
    quick: bool,
    /// Policy to run in place of the file's; may be repeated.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Set a scenario key that no axis sets, e.g. `--set seeds=2`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl FileArgs {
    fn sweep(&self) -> anyhow::Result<Sweep> {
        let file = self.file.as_ref().context("a sweep file is missing")?;
        Ok(Sweep::read(file)?
            .quick(self.quick)
            .set(&self.overrides)
            .policies(&self.policies))
    }
}

/// How results are printed.
#[derive(clap::Args)]
struct PrintArgs {
    /// What to print: tables with block charts, JSON, or the points as CSV.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

/// Where and how a sweep runs.
#[derive(clap::Args)]
struct RunArgs {
    #[command(flatten)]
    what: FileArgs,
    /// Output folder; without it `runs/<name>`, or `runs/<name>-quick`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads; without it one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Drop what the output folder holds of another sweep, and run what it holds of this one again.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    print: PrintArgs,
}

#[derive(clap::Args)]
struct ShardArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Run part I of N only, counted from 0; merge when all parts are done.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

#[derive(clap::Args)]
struct PlanArgs {
    #[command(flatten)]
    what: FileArgs,
    /// Number of shards to show the split for.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shards: u32,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct MergeArgs {
    /// Folder of the sweep.
    folder: PathBuf,
    /// Parts that lie elsewhere: files, or folders of other shards.
    parts: Vec<PathBuf>,
    #[command(flatten)]
    print: PrintArgs,
}

#[derive(clap::Args)]
struct ShowArgs {
    /// Folder of the sweep.
    folder: PathBuf,
    #[command(flatten)]
    print: PrintArgs,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        None => shard(&args.whole, None),
        Some(Command::Plan(args)) => plan(&args),
        Some(Command::Run(args)) => shard(&args.run, args.shard),
        Some(Command::Merge(args)) => merged(&args.folder, &args.parts, &args.print),
        Some(Command::Show(args)) => {
            let data = Dataset::read_tables(&args.folder, &SHOWN)?;
            show(&data, &args.print)?;
            Ok(code(&data.manifest))
        }
    }
}

fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let plan = args.what.sweep()?.plan()?;
    let text = if args.json {
        plan.to_json() + "\n"
    } else {
        describe(&plan, args.shards)
    };
    print(&text)?;
    let fine = plan.points.iter().all(|point| point.error.is_none());
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        SOME_FAILED.into()
    })
}

fn describe(plan: &Plan, shards: u32) -> String {
    let runs = plan.runs();
    let frames: u64 = (0..runs.count()).map(|run| runs.cost(run)).sum();
    let bounds: usize = (0..plan.points.len())
        .map(|point| runs.of_oracle(point).len())
        .sum();
    let of_bounds = match bounds {
        0 => String::new(),
        bounds => format!(" ({bounds} of them for the upper bound)"),
    };
    let mut text = format!(
        "{}: {} points, {} runs{of_bounds}, {:.2} M device-frames\n",
        plan.name,
        plan.points.len(),
        runs.count(),
        frames as f64 / 1e6
    );
    for sweep in &plan.sweeps {
        text += &format!(
            "\n{}: {} points × {} policies: {}\n",
            sweep.name,
            sweep.points,
            sweep.policies.len(),
            sweep.policies.join(", ")
        );
        for axis in &sweep.axes {
            let value = |values: &Vec<serde_json::Value>| {
                let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                texts.join("/")
            };
            let values: Vec<String> = axis.values.iter().map(value).collect();
            text += &format!("  {}: {}\n", axis.keys.join("/"), values.join(", "));
        }
    }
    for (number, point) in plan.points.iter().enumerate() {
        if let Some(error) = &point.error {
            text += &format!("\npoint {number} cannot run: {error}\n");
        }
    }
    if shards > 1 {
        text += "\nshard: runs, device-frames\n";
        let mut of = vec![(0_usize, 0); shards as usize];
        for run in 0..runs.count() {
            let (own, frames) = &mut of[runs.shard_of(run, shards) as usize];
            *own += 1;
            *frames += runs.cost(run);
        }
        for (index, (own, frames)) in of.into_iter().enumerate() {
            text += &format!("  {index}/{shards}: {own}, {frames}\n");
        }
    }
    text
}

fn shard(args: &RunArgs, shard: Option<Shard>) -> anyhow::Result<ExitCode> {
    let sweep = args.what.sweep()?;
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(sweep.folder_name()));
    let cancel = cancel_on_signal()?;
    let defaults = RunOptions::default();
    let options = RunOptions {
        shard: shard.unwrap_or(Shard::WHOLE),
        threads: args.threads.map_or(defaults.threads, usize::from),
        cancel: &cancel,
        force: args.force,
    };
    let progress = Progress::new(args.print.quiet);
    let outcome = sweep.run(&folder, &options, &progress);
    progress.clear();
    let outcome = outcome?;
    if cancel.load(Ordering::Relaxed) && outcome.left > 0 {
        eprintln!(
            "stopped: {} of {} runs are finished and kept in {}; the same command goes on from there",
            outcome.runs - outcome.left,
            outcome.runs,
            folder.display()
        );
        return Ok(STOPPED.into());
    }
    if shard.is_none() {
        return merged(&folder, &[], &args.print);
    }
    if !args.print.quiet {
        let failed = match outcome.failed {
            0 => String::new(),
            failed => format!(", {failed} of them failed"),
        };
        print(&format!(
            "shard {}: {} runs finished{failed}; when all are: enachi sweep merge {}\n",
            options.shard,
            outcome.runs,
            folder.display()
        ))?;
    }
    Ok(if outcome.failed > 0 {
        SOME_FAILED.into()
    } else {
        ExitCode::SUCCESS
    })
}

fn merged(folder: &Path, parts: &[PathBuf], how: &PrintArgs) -> anyhow::Result<ExitCode> {
    let manifest = merge(folder, parts)?;
    if !how.quiet {
        show(&Dataset::read_tables(folder, &SHOWN)?, how)?;
        if how.format == Format::Table {
            print(&format!("\nwrote {}\n", folder.display()))?;
        }
    }
    Ok(code(&manifest))
}

fn show(data: &Dataset, how: &PrintArgs) -> anyhow::Result<()> {
    if how.quiet {
        return Ok(());
    }
    print(&match how.format {
        Format::Table => summary::tables(data),
        Format::Json => summary::json(data)?,
        Format::Csv => summary::csv(data)?,
    })
}

fn code(manifest: &Manifest) -> ExitCode {
    if manifest.failed_runs > 0 {
        SOME_FAILED.into()
    } else {
        ExitCode::SUCCESS
    }
}
