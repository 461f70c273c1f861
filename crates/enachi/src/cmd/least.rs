//! `enachi least`: the smallest band, budget, deadline, ... with which a policy still holds an accuracy.

use super::signals::cancel_on_signal;
use super::simulate::{align_right, find_profiles, plain_table, print, read_scenario};
use anyhow::{Context, bail};
use enachi_sim::deployment::Deployment;
use enachi_sim::least::{Least, most_probes, search};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::simulate::{Unwatched, simulate};
use enachi_sim::summary::{PolicySummary, summarise};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Arguments of `enachi least`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  The band that ResNet-50 needs for 72.5 % in 100 ms, policy by policy:
    enachi least scenarios/measured.toml --set device.deadline_s=0.1 \\
      --key channel.bandwidth_hz --from 1e4 --to 1e6 --accuracy 0.725
  The smallest energy budget of the default scenario that holds 75 %:
    enachi least --key device.energy_budget_j --from 0.01 --to 0.2 --accuracy 0.75 --policy enachi-max

More of the key must never lower the accuracy. A value holds if accuracy and energy after the warm-up frames do: the accuracy
is reached, the energy within the budget (--energy-slack). Give enough of them (warmup_frames) for the energy queues to fill.")]
pub struct Args {
    /// Scenario file (TOML); without it, the default scenario on the embedded profile.
    scenario: Option<PathBuf>,
    /// Key of the scenario to make as small as possible, e.g. `channel.bandwidth_hz`.
    #[arg(long)]
    key: String,
    /// Smallest value to try, above 0, in the key's unit.
    #[arg(long)]
    from: f64,
    /// Largest value to try.
    #[arg(long)]
    to: f64,
    /// Accuracy to hold, above 0 and at most 1.
    #[arg(long)]
    accuracy: f64,
    /// How close to come, as a share of the value.
    #[arg(long, default_value_t = 0.05)]
    tolerance: f64,
    /// How far the settled energy may exceed the budget, as a share of it.
    #[arg(long, default_value_t = 0.02)]
    energy_slack: f64,
    /// Policy in place of the scenario's; may be repeated.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Override a value of the scenario; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Profile file to run on, in place of the scenario's.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    /// A row of a Markdown table per policy.
    Markdown,
}

/// What was found for a policy.
#[derive(Serialize)]
struct Row {
    policy: String,
    /// Least value that holds; absent where even the largest does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// Whether `value` is the low end of the range: less might hold too.
    at_low_end: bool,
    accuracy_after_warmup: f64,
    energy_after_warmup_j: f64,
    energy_budget_j: f64,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    check(&args)?;
    let cancel = cancel_on_signal()?;
    let policies = if args.policies.is_empty() {
        read_scenario(args.scenario.as_deref(), &args.overrides)?.policies
    } else {
        args.policies.clone()
    };
    let probes = u64::from(most_probes(args.from, args.to, args.tolerance));
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::new(probes * policies.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {percent:>3} %  {eta} left") {
        bar.set_style(style);
    }
    let mut rows = Vec::with_capacity(policies.len());
    for (index, policy) in policies.iter().enumerate() {
        bar.set_message(policy.clone());
        let found = search(args.from, args.to, args.tolerance, |value| {
            let summary = probe(&args, policy, value, &cancel)?;
            bar.inc(1);
            Ok::<_, anyhow::Error>((holds(&args, &summary), summary))
        })?;
        bar.set_position(probes * (index as u64 + 1));
        rows.push(row(policy, found, args.from));
    }
    bar.finish_and_clear();
    match args.format {
        Format::Json => print(&(serde_json::to_string_pretty(&rows)? + "\n")),
        Format::Markdown => print(&rows.iter().map(markdown).collect::<String>()),
        Format::Table => print(&table(&args, &rows)),
    }
}

fn check(args: &Args) -> anyhow::Result<()> {
    let positive = |key: &str, value: f64| {
        if value.is_finite() && value > 0.0 {
            Ok(())
        } else {
            bail!("--{key} {value}: must be finite and above 0")
        }
    };
    positive("from", args.from)?;
    positive("to", args.to)?;
    positive("tolerance", args.tolerance)?;
    if args.to <= args.from {
        bail!("--to {}: must be above --from {}", args.to, args.from);
    }
    if !(args.accuracy > 0.0 && args.accuracy <= 1.0) {
        bail!(
            "--accuracy {}: must be above 0 and at most 1",
            args.accuracy
        );
    }
    if args.energy_slack.is_nan() || args.energy_slack < 0.0 {
        bail!("--energy-slack {}: must be at least 0", args.energy_slack);
    }
    Ok(())
}

fn holds(args: &Args, summary: &PolicySummary) -> bool {
    summary.accuracy_after_warmup >= args.accuracy
        && summary.energy_after_warmup_j <= summary.energy_budget_j * (1.0 + args.energy_slack)
}

/// Simulate `policy` with the key at `value`.
fn probe(
    args: &Args,
    policy: &str,
    value: f64,
    cancel: &AtomicBool,
) -> anyhow::Result<PolicySummary> {
    let mut overrides = args.overrides.clone();
    overrides.push(format!("{}={value:e}", args.key));
    let mut scenario = read_scenario(args.scenario.as_deref(), &overrides)?;
    scenario.policies = vec![policy.to_owned()];
    let profiles = find_profiles(&scenario, args.scenario.as_deref(), args.profile.as_deref())?;
    if args.profile.is_some() {
        scenario.profile.curves = None;
    }
    let deployment = Deployment::new(scenario, profiles)?;
    let factory = PolicyFactory::on(&deployment);
    let (deployment, records) = simulate(deployment, &factory, cancel, &Unwatched)?;
    if records.interrupted {
        bail!("interrupted");
    }
    let summary = summarise(&deployment.scenario, &records);
    summary
        .policies
        .into_iter()
        .next()
        .context("a run of one policy has one summary")
}

fn row(policy: &str, found: Least<PolicySummary>, low: f64) -> Row {
    let (value, at_low_end, summary) = match found {
        Least::At { value, found } => (Some(value), false, found),
        Least::BelowRange(found) => (Some(low), true, found),
        Least::AboveRange(found) => (None, false, found),
    };
    Row {
        policy: policy.into(),
        value,
        at_low_end,
        accuracy_after_warmup: summary.accuracy_after_warmup,
        energy_after_warmup_j: summary.energy_after_warmup_j,
        energy_budget_j: summary.energy_budget_j,
    }
}

fn cells(row: &Row) -> [String; 4] {
    let value = match (row.value, row.at_low_end) {
        (Some(value), false) => format!("{value:.3e}"),
        (Some(value), true) => format!("≤ {value:.3e}"),
        (None, _) => "not within".into(),
    };
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    [
        row.policy.clone(),
        value,
        percent(row.accuracy_after_warmup),
        format!("{:.1}", row.energy_after_warmup_j * 1e3),
    ]
}

fn markdown(row: &Row) -> String {
    let [policy, value, accuracy, energy] = cells(row);
    format!("| `{policy}` | {value} | {accuracy} | {energy} |\n")
}

fn table(args: &Args, rows: &[Row]) -> String {
    let mut table = plain_table();
    table.set_header([
        "policy".into(),
        format!("least {}", args.key),
        "accuracy\nthere, %".into(),
        "settled\nmJ".to_owned(),
    ]);
    for row in rows {
        table.add_row(cells(row));
    }
    align_right(&mut table, 1..4);
    format!(
        "Accuracy of at least {:.1} % within the energy budget, {} from {:e} to {:e}, to {:.0} %\n\n{}\n\n\
         not within: not even the largest value holds; its figures are shown\n",
        args.accuracy * 100.0,
        args.key,
        args.from,
        args.to,
        args.tolerance * 100.0,
        table.trim_fmt()
    )
}
