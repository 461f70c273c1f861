//! `enachi trace`.

use anyhow::Context;
use enachi_data::trace::TraceWriter;
use enachi_sim::scenario::load;
use enachi_sim::world::{Setting, trace};
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Write the channel gains of a scenario's world as a trace that `channel.trace` can replay.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  enachi trace scenarios/urban.toml --out urban.parquet
  enachi trace scenarios/urban.toml --seed 3 --set frames=20 --out urban.csv
  enachi simulate scenarios/urban.toml --set channel.trace.path=$PWD/urban.parquet --set 'mobility.model=\"none\"'

One row per device and slot: device, slot (from the start of the run), gain, mean_gain (without small-scale fading).
docs/worlds.md describes the format.")]
pub struct Args {
    /// Scenario file (TOML).
    scenario: PathBuf,
    /// File to write; its name ends in .csv or .parquet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Seed of the world; the scenario's first without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Override a value of the scenario, e.g. `--set frames=20`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Replace the file.
    #[arg(long)]
    force: bool,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let scenario = load(&args.scenario, &args.overrides)?;
    if args.out.exists() && !args.force {
        anyhow::bail!(
            "--out {}: must be a file that does not exist yet, or pass --force to replace it",
            args.out.display()
        );
    }
    let setting = Arc::new(Setting::new(&scenario)?);
    let seed = args.seed.unwrap_or(scenario.seed);
    let mut out = TraceWriter::create(&args.out).context("--out")?;
    let bar =
        ProgressBar::with_draw_target(Some(scenario.frames.into()), ProgressDrawTarget::hidden());
    let started = Instant::now();
    trace::export(&setting, seed, scenario.frames, &mut out, || {
        let late = started.elapsed() > Duration::from_secs(2);
        if late && bar.is_hidden() && std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.inc(1);
    })
    .context("--out")?;
    out.finish().context("--out")?;
    bar.finish_and_clear();
    super::simulate::print(&format!(
        "wrote {}: seed {seed}, {} devices, {} frames of {} slots\n",
        args.out.display(),
        setting.sites.len(),
        scenario.frames,
        setting.slots
    ))
}
