//! `enachi simulate`.

use super::signals::cancel_on_signal;
use anyhow::Context;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, LineStyle, Table, TableStyle};
use enachi_core::profile::Profile;
use enachi_report::policies::{PolicyFigure, PolicyRow};
use enachi_sim::deployment::{Deployment, Profiles, curve_profile};
use enachi_sim::device::DeviceModel;
use enachi_sim::feasible;
use enachi_sim::oracle::oracle_shares;
use enachi_sim::output::{RunFolder, RunInfo};
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::{Scenario, load, parse};
use enachi_sim::simulate::{Monitor, Records, policy_warnings, simulate};
use enachi_sim::summary::{PolicySummary, Summary, summarise};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The scenario that runs without arguments.
const DEFAULT_SCENARIO: &str = include_str!("../../../../scenarios/default.toml");

/// What `--list-policies` says of the bound.
const ORACLE: &str = "\
`oracle` is no policy but a bound: `--oracle` prints what no policy can exceed with all gains and all answers known,
and the share of it that each policy reaches (docs/oracle.md).";

/// Arguments of `enachi simulate`.
#[derive(clap::Args)]
pub struct Args {
    /// Scenario file (TOML); without it, the default scenario on the embedded profile.
    scenario: Option<PathBuf>,
    /// Policy to run in place of the scenario's, e.g. `enachi` or `enachi+printed`; may be repeated.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Override a value of the scenario, e.g. `--set channel.bandwidth_hz=3e6`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Profile file to run on, in place of the scenario's.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Output folder; without it `runs/<name>-<seed>`, with a number behind it from the second run on.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the run in the output folder.
    #[arg(long)]
    force: bool,
    /// What to print: a table, or the summary as JSON and nothing else.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Bound what any policy could reach with all gains and answers known, and print the share that each reaches
    /// (docs/oracle.md); the same as `output.oracle = true`.
    #[arg(long)]
    oracle: bool,
    /// Print the scenario with every default written out, and run nothing.
    #[arg(long)]
    print_scenario: bool,
    /// Print the JSON Schema of scenario files, and run nothing.
    #[arg(long)]
    print_schema: bool,
    /// Print the names of all policies, and run nothing.
    #[arg(long)]
    list_policies: bool,
    /// Print the devices that a scenario may name with `model = "..."`, and run nothing.
    #[arg(long)]
    list_devices: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    if args.print_schema {
        return print(&(Scenario::json_schema() + "\n"));
    }
    if args.list_devices {
        return print(&list_devices());
    }
    let mut scenario = read_scenario(args.scenario.as_deref(), &args.overrides)?;
    if !args.policies.is_empty() {
        scenario.policies.clone_from(&args.policies);
    }
    scenario.output.oracle |= args.oracle;
    let profiles = find_profiles(&scenario, args.scenario.as_deref(), args.profile.as_deref())?;
    if args.profile.is_some() {
        scenario.profile.curves = None;
    }
    if args.print_scenario {
        return print(&scenario.to_toml());
    }
    if args.list_policies {
        let deployment = Deployment::new(scenario, profiles)?;
        let factory = PolicyFactory::on(&deployment);
        let names: Vec<&str> = factory.names().collect();
        return print(&(names.join("\n") + "\n\n" + ORACLE + "\n"));
    }
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| free_folder(&scenario.name, scenario.seed));
    let force = args.force;
    RunFolder::check(&folder, force)?;
    let deployment = Deployment::new(scenario, profiles)?;
    let factory = PolicyFactory::on(&deployment);
    feasible::check(&deployment, &factory).with_context(|| named(args.scenario.as_deref()))?;
    for warning in policy_warnings(&deployment, &factory)? {
        eprintln!("warning: {warning}");
    }

    let cancel = cancel_on_signal()?;
    let bar = Bar::new(&deployment.scenario);
    let started = Instant::now();
    let (deployment, records) = simulate(deployment, &factory, &cancel, &bar)?;
    bar.0.finish_and_clear();
    let took = started.elapsed();

    let mut summary = summarise(&deployment.scenario, &records);
    let mut bounding = Duration::ZERO;
    if deployment.scenario.output.oracle && !records.interrupted {
        let started = Instant::now();
        let bar = Bar::for_oracle(&deployment.scenario);
        let shares = oracle_shares(&deployment, &factory, &records, &cancel, &bar)?;
        bar.0.finish_and_clear();
        for (policy, share) in summary.policies.iter_mut().zip(shares) {
            policy.oracle = Some(share);
        }
        bounding = started.elapsed();
    }
    let folder = RunFolder::create(&folder, force)?;
    let info = RunInfo {
        enachi_version: env!("CARGO_PKG_VERSION").into(),
        command_line: std::env::args().collect::<Vec<_>>().join(" "),
        interrupted: records.interrupted,
    };
    let mut files = folder.write(&deployment, &records, &summary, &info)?;
    let figure = folder.path().join("policies");
    policy_figure(&deployment, &summary).save_both(&figure)?;
    files.extend([figure.with_extension("svg"), figure.with_extension("png")]);
    match args.format {
        Format::Json => print(&(serde_json::to_string_pretty(&summary)? + "\n"))?,
        Format::Table => print(&report(
            &deployment,
            &records,
            &summary,
            &files,
            [took, bounding],
        ))?,
    }
    if records.interrupted {
        anyhow::bail!("interrupted: the figures are of the frames that were finished");
    }
    if !bounding.is_zero() && cancel.load(Ordering::Relaxed) {
        anyhow::bail!("interrupted: the bounds hold, but are not as low as they could be");
    }
    Ok(())
}

/// The first folder of a scenario's name and seed that is not there yet.
fn free_folder(name: &str, seed: u64) -> PathBuf {
    let runs = Path::new("runs");
    let numbered = (2..).map(|n| format!("{name}-{seed}-{n}"));
    std::iter::once(format!("{name}-{seed}"))
        .chain(numbered)
        .map(|folder| runs.join(folder))
        .find(|folder| !folder.exists())
        .unwrap_or_else(|| runs.to_path_buf())
}

/// The known devices as a table.
fn list_devices() -> String {
    let mut table = plain_table();
    table.set_header([
        "model",
        "compute\nGMAC/s",
        "compute\nW",
        "J per\nGMAC",
        "radiated\nW at most",
        "drawn\nW at most",
        "what it is",
    ]);
    for device in DeviceModel::known() {
        let macs_per_s = device.frequency_hz / device.cycles_per_mac;
        let power_w = device.capacitance_w_per_hz3 * device.frequency_hz.powi(3);
        let drawn_w = device.circuit_power_w + device.power_max_w / device.amplifier_efficiency;
        table.add_row([
            device.name,
            format!("{:.3}", macs_per_s / 1e9),
            format!("{power_w:.2}"),
            format!("{:.3}", power_w / macs_per_s * 1e9),
            format!("{:.3}", device.power_max_w),
            format!("{drawn_w:.2}"),
            device.description,
        ]);
    }
    align_right(&mut table, 1..6);
    format!(
        "{table}\n\nSources and uncertainty of every value: devices/*.toml and docs/devices.md.\n"
    )
}

/// The scenario of a file, or the default one, with `overrides`.
pub fn read_scenario(file: Option<&Path>, overrides: &[String]) -> anyhow::Result<Scenario> {
    Ok(match file {
        Some(path) => load(path, overrides)?,
        None => parse(DEFAULT_SCENARIO, &named(file), overrides)?,
    })
}

/// What a scenario's file is called in errors.
pub fn named(file: Option<&Path>) -> String {
    file.map_or("the default scenario".into(), |file| {
        file.display().to_string()
    })
}

/// All profiles a scenario means: those that groups name, in files beside it, and that of the other groups.
pub fn find_profiles(
    scenario: &Scenario,
    scenario_file: Option<&Path>,
    given: Option<&Path>,
) -> anyhow::Result<Profiles> {
    let default = if scenario.uses_own_profile() {
        Some(find_profile(scenario, scenario_file, given)?)
    } else if given.is_some() {
        anyhow::bail!("--profile: every group of devices names a profile of its own");
    } else {
        None
    };
    let folder = scenario_file
        .and_then(Path::parent)
        .unwrap_or(Path::new(""));
    let read = |name: &str| {
        let profile = enachi_data::profile::read(&folder.join(name));
        let profile = profile.with_context(|| format!("devices.N.profile = {name:?}"))?;
        anyhow::Ok((name.to_owned(), profile))
    };
    let named = scenario.group_profiles().into_iter().map(read);
    Ok(Profiles {
        default,
        named: named.collect::<anyhow::Result<_>>()?,
    })
}

/// The profile a scenario means: given by hand, in its curves, in a file beside it, or embedded.
pub fn find_profile(
    scenario: &Scenario,
    scenario_file: Option<&Path>,
    given: Option<&Path>,
) -> anyhow::Result<Profile> {
    if let Some(path) = given {
        return Ok(enachi_data::profile::read(path)?);
    }
    if let Some(curves) = &scenario.profile.curves {
        return Ok(curve_profile(curves));
    }
    if let Some(path) = &scenario.profile.path {
        let base = scenario_file
            .and_then(Path::parent)
            .unwrap_or(Path::new(""));
        return enachi_data::profile::read(&base.join(path)).context("profile.path");
    }
    Ok(enachi_data::profile::embedded_default()?)
}

/// To stdout; a reader that has gone away is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Progress on the terminal, for runs over two seconds.
struct Bar(ProgressBar, Instant);

impl Bar {
    fn new(scenario: &Scenario) -> Self {
        let total =
            u64::from(scenario.frames) * u64::from(scenario.seeds) * scenario.policies.len() as u64;
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self(bar, Instant::now())
    }
}

impl Bar {
    fn for_oracle(scenario: &Scenario) -> Self {
        let bar = Self::new(scenario);
        let template = "oracle {bar:40} {percent:>3} %  at most {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.0.set_style(style);
        }
        bar
    }
}

impl Monitor for Bar {
    fn expect(&self, frames: u64) {
        self.0.set_length(frames);
    }

    fn progress(&self, frames: u64) {
        let late = self.1.elapsed() > Duration::from_secs(2);
        if late && self.0.is_hidden() && std::io::stderr().is_terminal() {
            self.0.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.0.inc(frames);
    }
}

fn policy_figure(deployment: &Deployment, summary: &Summary) -> PolicyFigure {
    let scenario = &deployment.scenario;
    PolicyFigure {
        title: scenario.name.clone(),
        subtitle: format!(
            "{} on {} device{}, {:.3} MHz, {} frames of {:.0} ms, {} seed{}",
            deployment.network_names(),
            scenario.device_count(),
            plural(scenario.device_count()),
            scenario.channel.bandwidth_hz / 1e6,
            scenario.frames,
            scenario.frame.length_s * 1e3,
            scenario.seeds,
            plural(scenario.seeds as usize),
        ),
        rows: summary
            .policies
            .iter()
            .map(|p| PolicyRow {
                name: p.policy.clone(),
                accuracy: [p.accuracy, p.accuracy_low, p.accuracy_high],
                energy_j: [p.energy_local_j, p.energy_codec_j, p.energy_transmit_j],
                budget_j: p.energy_budget_j,
            })
            .collect(),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn report(
    deployment: &Deployment,
    records: &Records,
    summary: &Summary,
    files: &[PathBuf],
    [took, bounding]: [Duration; 2],
) -> String {
    let scenario = &deployment.scenario;
    let slots: u64 = records.frames.iter().map(|r| u64::from(r.slots)).sum();
    let mut text = format!(
        "{}: {} on {} device{}, {} frames, {} seed{}\n\n",
        scenario.name,
        deployment.network_names(),
        scenario.device_count(),
        plural(scenario.device_count()),
        scenario.frames,
        scenario.seeds,
        plural(scenario.seeds as usize),
    );
    text += &policy_table(summary).trim_fmt();
    let deadlines = deployment.deadlines_s.len();
    if deadlines > 1 || deployment.networks.len() > 1 {
        text += "\n\n";
        text += &group_table(deployment, summary).trim_fmt();
    }
    text += &format!(
        "\n\naccuracy: share of right answers, 95 % interval over {}; against {}: paired difference in points\n\
         energy: mean per device and frame; settled: without the first {} frames, while the energy queue fills\n\
         {}cut: ended by the batch barrier; stop: released early{}\n\
         {} device-frames and {:.1} M slots in {:.1} s\n\n",
        match (
            deployment.networks.iter().all(|n| n.images == 0),
            scenario.seeds
        ) {
            (true, 1) => "the frames of one seed",
            (true, _) => "frames within seeds, and seeds",
            (false, 1) => "the images of one seed",
            (false, _) => "images and seeds",
        },
        summary.policies.first().map_or("", |p| p.policy.as_str()),
        scenario.warmup_frames,
        if summary.policies.iter().any(|p| p.groups.len() > 1) {
            "most: settled energy of the group that spends most of its allowance, in per cent of it\n"
        } else {
            ""
        },
        if scenario.edge.workers.is_some() {
            "; refused: no time for it on the edge"
        } else {
            ""
        },
        records.frames.len(),
        slots as f64 / 1e6,
        took.as_secs_f64(),
    );
    // Arrivals are the world's: the same for all policies.
    if let Some(any) = summary
        .policies
        .first()
        .filter(|p| p.tasks < p.device_frames || p.dropped_rate > 0.0)
    {
        text += &format!(
            "{} of the device-frames had a task; {:.1} % of those that arrived found no place, the others waited {:.0} ms on average\n\n",
            any.tasks,
            any.dropped_rate * 100.0,
            any.mean_waiting_s * 1e3
        );
    }
    if !bounding.is_zero() {
        text += &format!(
            "oracle: no policy is right more often with the energy that this one spent (at least the allowance), all gains and\n\
             answers known; blind: the same where answers are known only as well as their entropy tells; share: of that bound.\n\
             {:.1} s\n\n",
            bounding.as_secs_f64(),
        );
    }
    for policy in &summary.policies {
        if let Some(first) = &policy.first_failure {
            text += &format!(
                "{} failed {} time{}, first in {first}; nobody sends in such a frame\n\n",
                policy.policy,
                policy.failures,
                plural(policy.failures as usize),
            );
        }
    }
    for file in files {
        text += &format!("wrote {}\n", file.display());
    }
    text
}

fn policy_table(summary: &Summary) -> Table {
    let first = summary.policies.first().map_or("", |p| p.policy.as_str());
    // A column for those that have an edge of finite capacity.
    let refused = summary.policies.iter().any(|p| p.refused_rate > 0.0);
    let mut table = plain_table();
    let mut header: Vec<String> = vec![
        "policy".into(),
        "accuracy\n%".into(),
        format!("against\n{first}"),
        "energy\nmJ".into(),
        "settled\nmJ".into(),
        "allowed\nmJ".into(),
        "most\n%".into(),
        "radio\nmJ".into(),
        "kbit".into(),
        "cut\n%".into(),
        "stop\n%".into(),
        "oracle\n%".into(),
        "share\n%".into(),
        "blind\n%".into(),
        "share\n%".into(),
        "where it splits".into(),
    ];
    if refused {
        header.insert(11, "refused\n%".into());
    }
    table.set_header(header);
    for (index, policy) in summary.policies.iter().enumerate() {
        let mut cells = row(policy, index == 0);
        if refused {
            let share = format!("{:.1}", policy.refused_rate * 100.0);
            cells.insert(11, Cell::new(share));
        }
        table.add_row(cells);
    }
    if summary.policies.iter().all(|p| p.groups.len() < 2)
        && let Some(column) = table.column_mut(6)
    {
        column.set_constraint(ColumnConstraint::Hidden);
    }
    let more = usize::from(refused);
    align_right(&mut table, 1..15 + more);
    if summary.policies.iter().all(|p| p.oracle.is_none()) {
        for column in table.column_iter_mut().skip(11 + more).take(4) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
    table
}

/// What each group of devices gets.
fn group_table(deployment: &Deployment, summary: &Summary) -> Table {
    let mut table = plain_table();
    table.set_header([
        "policy",
        "group",
        "devices",
        "network",
        "deadline\nms",
        "accuracy\n%",
        "settled\nmJ",
        "allowed\nmJ",
        "kbit",
        "cut\n%",
        "stop\n%",
        "refused\n%",
        "where it splits",
    ]);
    for policy in &summary.policies {
        for group in &policy.groups {
            let figures = &group.figures;
            let percent = |share: f64| format!("{:.1}", share * 100.0);
            let device = deployment.devices.iter().find(|d| d.group == group.group);
            let network = device.map_or("", |d| &deployment.networks[d.network].name);
            table.add_row([
                policy.policy.clone(),
                group.group.to_string(),
                group.devices.to_string(),
                network.to_owned(),
                format!("{:.0}", group.deadline_s * 1e3),
                format!(
                    "{:.1} [{:.1}, {:.1}]",
                    figures.accuracy * 100.0,
                    figures.accuracy_low * 100.0,
                    figures.accuracy_high * 100.0
                ),
                format!("{:.1}", figures.energy_after_warmup_j * 1e3),
                format!("{:.1}", figures.energy_budget_j * 1e3),
                format!("{:.1}", figures.mean_bits / 1e3),
                percent(figures.deadline_cut_rate),
                percent(figures.stop_rate),
                percent(figures.refused_rate),
                cut_text(figures),
            ]);
        }
    }
    align_right(&mut table, 4..12);
    table
}

/// What the group that spends most spends of its own allowance: a mean over devices hides a battery that is drained.
fn largest_share_of_allowance(p: &PolicySummary) -> f64 {
    p.groups
        .iter()
        .map(|group| group.figures.energy_after_warmup_j / group.figures.energy_budget_j)
        .fold(f64::NAN, f64::max)
}

/// The three cuts chosen most.
fn cut_text(p: &PolicySummary) -> String {
    let mut cuts = p.cut_share.clone();
    cuts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let cuts: Vec<String> = cuts
        .iter()
        .take(3)
        .map(|(name, share)| format!("{name} {:.0} %", share * 100.0))
        .collect();
    if cuts.is_empty() {
        "nothing feasible".into()
    } else {
        cuts.join(", ")
    }
}

/// A rule under the header, and nothing else.
pub(super) fn plain_table() -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table
}

pub(super) fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if columns.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn row(p: &PolicySummary, first: bool) -> Vec<Cell> {
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let milli = |joule: f64| format!("{:.1}", joule * 1e3);
    let difference = if first {
        String::new()
    } else {
        format!(
            "{:+.1} [{:+.1}, {:+.1}]",
            p.accuracy_difference * 100.0,
            p.accuracy_difference_low * 100.0,
            p.accuracy_difference_high * 100.0
        )
    };
    [
        p.policy.clone(),
        format!(
            "{:.1} [{:.1}, {:.1}]",
            p.accuracy * 100.0,
            p.accuracy_low * 100.0,
            p.accuracy_high * 100.0
        ),
        difference,
        milli(p.energy_j),
        milli(p.energy_after_warmup_j),
        milli(p.energy_budget_j),
        format!("{:.0}", largest_share_of_allowance(p) * 100.0),
        milli(p.energy_transmit_j),
        format!("{:.1}", p.mean_bits / 1e3),
        percent(p.deadline_cut_rate),
        percent(p.stop_rate),
        p.oracle.map_or(String::new(), |o| percent(o.bound)),
        p.oracle.map_or(String::new(), |o| percent(o.share)),
        p.oracle
            .map_or(String::new(), |o| percent(o.uncertain_bound)),
        p.oracle
            .map_or(String::new(), |o| percent(o.uncertain_share)),
        cut_text(p),
    ]
    .into_iter()
    .map(Cell::new)
    .collect()
}
