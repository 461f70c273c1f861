//! The page of a run.

use super::blocks::{
    Block, Document, Section, Table, TableRow, code, column, fact, note, row, section,
};
use super::{Page, Sheets, difference, interval, minus, plural, published_blocks};
use crate::ReportError;
use crate::draw::scale::short;
use crate::figures::{fairness, frame, profile, run as figures, time};
use crate::published::{Achieved, Ran, Setting, compare};
use crate::run::estimate::Estimate;
use crate::run::replay::FrameDetail;
use crate::run::{FRAMES_FILE, Run};

/// The page of `run`.
///
/// # Errors
/// When the template fails.
pub fn run_page(run: &Run) -> Result<Page, ReportError> {
    let mut sheets = Sheets::default();
    let mut sections = vec![
        section("policies-section", "Policies", policies(run, &mut sheets)),
        section(
            "pareto-section",
            "Accuracy against energy",
            vec![sheets.show(figures::pareto(run))],
        ),
    ];
    sections.extend(published(run));
    if let Some(figure) = figures::oracle(run) {
        let figure = sheets.show(figure);
        sections.push(section("bound", "Upper bound", oracle(run, figure)));
    }
    let cuts = vec![sheets.show(figures::cuts(run))];
    sections.push(section("cuts-section", "Cuts", cuts));
    let mut sending = vec![sheets.show(figures::outcomes(run))];
    sending.extend(figures::stops(run).map(|figure| sheets.show(figure)));
    sending.push(sheets.show(figures::bits(run)));
    sections.push(section("sending", "Sending", sending));
    let energy = vec![
        sheets.show(time::queues(run)),
        sheets.show(time::cumulative(run)),
    ];
    sections.push(section("energy", "Energy over the run", energy));
    sections.push(section(
        "one-frame",
        "One frame",
        one_frame(run, &mut sheets),
    ));
    if let Some(figure) = fairness::devices(run) {
        let figure = sheets.show(figure);
        sections.push(section("fairness", "Fairness", fairness(run, figure)));
    }
    if let Some(fit) = run.profile.as_ref().and_then(profile::fit) {
        let fit = vec![sheets.show(fit)];
        sections.push(section("fit-section", "Accuracy curves", fit));
    }
    sections.push(section("made", "How it was made", made(run)));
    let document = Document {
        title: run.scenario.name.clone(),
        lead: lead(run),
        doubts: run.doubts.clone(),
        sections,
    };
    Ok(Page {
        html: document.html()?,
        figures: sheets.figures,
    })
}

fn lead(run: &Run) -> Vec<String> {
    let scenario = &run.scenario;
    let what = format!(
        "{} on {}, {} MHz, {} of {} ms, {}, {}.",
        network(run),
        plural(scenario.device_count(), "device", "devices"),
        short(scenario.channel.bandwidth_hz / 1e6),
        plural(scenario.frames as usize, "frame", "frames"),
        short(scenario.frame.length_s * 1e3),
        plural(scenario.seeds as usize, "seed", "seeds"),
        plural(run.extent.policies.len(), "policy", "policies"),
    );
    let first = &run.settled[0];
    let mut came = format!(
        "{} answers {} % right for {} mJ a task; {} mJ are allowed.",
        run.policy(0),
        interval(first.accuracy, 100.0, 1),
        interval(first.energy_j, 1e3, 1),
        short(run.budget_j() * 1e3),
    );
    let best = run
        .settled
        .iter()
        .enumerate()
        .filter(|(_, e)| e.energy_j.value <= run.budget_j() * 1.01)
        .max_by(|a, b| a.1.accuracy.value.total_cmp(&b.1.accuracy.value));
    match best {
        Some((0, _)) => came += " No policy within the allowance is more accurate.",
        Some((index, e)) => {
            came += &format!(
                " Most accurate within the allowance: {}, {} %.",
                run.policy(index),
                interval(e.accuracy, 100.0, 1)
            );
        }
        None => came += " No policy stays within the allowance.",
    }
    vec![what, came]
}

fn network(run: &Run) -> String {
    match (&run.profile, &run.scenario.profile.curves) {
        (_, Some(curves)) => format!("{} (curves)", curves.model),
        (Some(profile), None) => profile.meta.model_name.clone(),
        (None, None) => "A network".into(),
    }
}

fn policies(run: &Run, sheets: &mut Sheets) -> Vec<Block> {
    let figure = sheets.show(figures::achieved(run));
    let warm = run.extent.warmup_frames > 0;
    let settled = match warm {
        true => format!("from frame {} on", run.extent.warmup_frames),
        false => "all frames".into(),
    };
    let against = format!("against {}", run.policy(0));
    let main = Table {
        groups: vec![(String::new(), 1), (settled.clone(), 5)],
        header: vec![
            column("policy", ""),
            column("accuracy", "%"),
            column(against.clone(), "points"),
            column("energy", "mJ"),
            column(against, "mJ"),
            column("answer after", "ms"),
        ],
        rows: by_policy(run, |index| {
            let (estimate, sums) = (&run.settled[index], &run.tally.policies[index].settled);
            vec![
                interval(estimate.accuracy, 100.0, 1),
                paired(index, estimate.accuracy_difference, 100.0),
                interval(estimate.energy_j, 1e3, 1),
                paired(index, estimate.energy_difference_j, 1e3),
                format!("{:.0}", sums.per_task(sums.answer_s) * 1e3),
            ]
        }),
    };
    let mut groups = vec![
        (String::new(), 1),
        (format!("energy by part, {settled}, mJ"), 4),
    ];
    let mut header = vec![
        column("policy", ""),
        column("head", ""),
        column("encoder", ""),
        column("radio", ""),
        column("allowed", ""),
    ];
    if warm {
        groups.push(("all frames".into(), 3));
        header.extend([
            column("accuracy", "%"),
            column("difference", "points"),
            column("energy", "mJ"),
        ]);
    }
    let parts = Table {
        groups,
        header,
        rows: by_policy(run, |index| {
            let (all, sums) = (&run.all[index], &run.tally.policies[index].settled);
            let milli = |sum: f64| format!("{:.1}", sums.per_frame(sum) * 1e3);
            let mut cells = vec![
                milli(sums.local_j),
                milli(sums.codec_j),
                milli(sums.transmit_j),
                format!("{:.1}", run.budget_j() * 1e3),
            ];
            if warm {
                cells.extend([
                    interval(all.accuracy, 100.0, 1),
                    paired(index, all.accuracy_difference, 100.0),
                    format!("{:.1}", all.energy_j.value * 1e3),
                ]);
            }
            cells
        }),
    };
    let of = clusters(run);
    vec![
        figure,
        Block::Table(main),
        Block::Table(parts),
        note(format!(
            "Brackets: 95 % intervals by a bootstrap over {}. Differences are paired: both policies meet the same \
             {of} and the same channel. An interval that holds 0 does not show that two policies are equal, only that this run cannot \
             tell them apart.",
            drawn(run)
        )),
    ]
}

/// A row per policy.
fn by_policy(run: &Run, cells: impl Fn(usize) -> Vec<String>) -> Vec<TableRow> {
    let rows = (0..run.extent.policies.len()).map(|index| {
        let name = run.policy(index).to_owned();
        row(
            index == 0,
            std::iter::once(name).chain(cells(index)).collect(),
        )
    });
    rows.collect()
}

/// A difference to the first policy; nothing for that policy itself.
fn paired(index: usize, estimate: Estimate, factor: f64) -> String {
    match index {
        0 => String::new(),
        _ => difference(estimate, factor, 1),
    }
}

/// What the bootstrap draws.
fn drawn(run: &Run) -> &'static str {
    match (run.tally.images, run.extent.seeds) {
        (true, 1) => "the images of one seed, which says nothing of other seeds",
        (true, _) => "images and seeds",
        (false, 1) => "the frames of one seed, which says nothing of other seeds",
        (false, _) => {
            "frames within each seed, and seeds as far as they differ beyond that; energies over seeds alone"
        }
    }
}

fn clusters(run: &Run) -> &'static str {
    if run.tally.images { "images" } else { "tasks" }
}

/// The paired lead of the first policy over policy `index`, where the first one is `enachi`.
fn trails_by(run: &Run, index: usize) -> Option<Estimate> {
    let behind = run.all[index].accuracy_difference;
    (run.policy(0) == "enachi").then_some(Estimate {
        value: -behind.value,
        low: -behind.high,
        high: -behind.low,
    })
}

fn published(run: &Run) -> Option<Section> {
    let ran = Ran {
        setting: Setting::of(&run.scenario)?,
        policies: (0..run.extent.policies.len())
            .map(|index| Achieved {
                policy: run.policy(index).into(),
                accuracy: run.all[index].accuracy,
                energy_j: run.settled[index].energy_j,
                trails_by: trails_by(run, index),
                by_seed: Vec::new(),
            })
            .collect(),
    };
    let ran = [ran];
    let lines = compare(&ran);
    let blocks = published_blocks(&lines, &ran);
    (!lines.is_empty()).then(|| section("published", "Published figures", blocks))
}

fn oracle(run: &Run, figure: Block) -> Vec<Block> {
    let percent = |value: f64| format!("{:.1}", value * 100.0);
    let rows = run.oracle.iter().enumerate().filter_map(|(index, share)| {
        let o = (*share)?;
        let values = [
            o.accuracy,
            o.bound,
            o.share,
            o.uncertain_bound,
            o.uncertain_share,
        ];
        let cells = std::iter::once(run.policy(index).to_owned()).chain(values.map(percent));
        Some(row(index == 0, cells.collect()))
    });
    let table = Table {
        groups: Vec::new(),
        header: vec![
            column("policy", ""),
            column("accuracy", "%"),
            column("bound", "%"),
            column("share of it", "%"),
            column("blind bound", "%"),
            column("share of it", "%"),
        ],
        rows: rows.collect(),
    };
    vec![
        figure,
        Block::Table(table),
        note(
            "Bound: the Lagrangian dual with all gains and answers known, at the energy the policy spent or its allowance, whichever is more. Blind: \
             the same where answers are known only as well as their entropy tells. docs/oracle.md says more.",
        ),
    ]
}

fn one_frame(run: &Run, sheets: &mut Sheets) -> Vec<Block> {
    let mut blocks: Vec<Block> = frame::lanes(run)
        .map(|figure| sheets.show(figure))
        .into_iter()
        .collect();
    match &run.detail {
        Ok(detail) => {
            blocks.extend(frame::slots(run, detail).map(|figure| sheets.show(figure)));
            blocks.extend(choices(detail));
        }
        Err(why) => blocks.push(note(format!(
            "One device slot by slot is not shown: {why}."
        ))),
    }
    blocks
}

/// What the device could choose from.
fn choices(detail: &FrameDetail) -> Vec<Block> {
    let e = &detail.explanation;
    let rows = e.choices.iter().map(|choice| {
        let mut cut = choice.cut.clone();
        if choice.chosen {
            cut += " (chosen)";
        }
        row(
            choice.chosen,
            vec![
                cut,
                choice.stream.clone().unwrap_or_default(),
                if choice.feasible {
                    format!("{:.1}", choice.transmit_time_s * 1e3)
                } else {
                    "too late".into()
                },
                format!("{:.2}", choice.local_energy_j * 1e3),
                short(choice.bandwidth_hz / 1e3),
                short(choice.power_w * 1e3),
                short(choice.bits / 1e3),
                format!("{:.1}", choice.accuracy * 100.0),
                minus(format!("{:.4}", choice.utility)),
            ],
        )
    });
    let table = Table {
        groups: Vec::new(),
        header: vec![
            column("cut", ""),
            column("stream", ""),
            column("time to send", "ms"),
            column("before sending", "mJ"),
            column("band", "kHz"),
            column("power", "mW"),
            column("bits", "kbit"),
            column("accuracy", "%"),
            column("utility", ""),
        ],
        rows: rows.collect(),
    };
    vec![
        Block::Heading {
            text: format!("What device {} could choose from", e.device),
        },
        Block::Table(table),
        note(format!(
            "Q = {} J against an allowance of {} J; a right answer is worth {}; granted {} kHz and a reference of {} mW. Bound by {}.",
            short(e.energy_queue_j),
            short(e.energy_budget_j),
            short(e.worth),
            short(e.bandwidth_hz / 1e3),
            short(e.reference_power_w * 1e3),
            e.binding.join("; ")
        )),
    ]
}

fn fairness(run: &Run, figure: Block) -> Vec<Block> {
    let index = |value: Option<f64>| value.map_or("–".into(), |v| format!("{v:.4}"));
    let rows = fairness::fairness(run);
    let rows = rows.iter().enumerate().map(|(policy, fair)| {
        row(
            policy == 0,
            vec![
                run.policy(policy).to_owned(),
                index(fair.accuracy),
                format!("{:.1}", fair.worst * 100.0),
                format!("{:.1}", fair.best * 100.0),
                index(fair.energy),
                format!("{:.1}", fair.most_spent * 100.0),
            ],
        )
    });
    let table = Table {
        groups: Vec::new(),
        header: vec![
            column("policy", ""),
            column("Jain's index", "of accuracy"),
            column("worst device", "%"),
            column("best device", "%"),
            column("Jain's index", "of energy by allowance"),
            column("most spent", "% of its allowance"),
        ],
        rows: rows.collect(),
    };
    vec![
        figure,
        Block::Table(table),
        note(
            "Jain's index (Σx)²/(n Σx²) is 1 where all devices have the same and 1/n where one has everything.",
        ),
    ]
}

fn made(run: &Run) -> Vec<Block> {
    let scenario = &run.scenario;
    let more = u64::from(scenario.seeds.saturating_sub(1));
    let last = scenario.seed.wrapping_add(more);
    let mut facts = vec![
        code("command", run.info.command_line.clone()),
        fact("version", format!("enachi {}", run.info.enachi_version)),
        fact("seeds", format!("{} to {last}", scenario.seed)),
        fact(
            "records",
            format!("{} device-frames in {FRAMES_FILE}", run.tally.rows),
        ),
    ];
    if let Some(profile) = &run.profile {
        let meta = &profile.meta;
        facts.push(fact("network", meta.model_name.clone()));
        let more = [
            ("SHA-256 of the network", meta.model_sha256.clone()),
            ("images", meta.data_source.clone()),
            ("licence", meta.licence_note.clone()),
        ];
        let given = more.into_iter().filter(|(_, text)| !text.is_empty());
        facts.extend(given.map(|(name, text)| fact(name, text)));
    }
    facts.push(fact(
        "intervals",
        format!(
            "bootstrap, {} replicates, over {}; all policies share the draws",
            scenario.output.bootstrap_replicates,
            drawn(run)
        ),
    ));
    vec![
        Block::Facts { facts },
        Block::Text {
            text: "The same again: enachi simulate scenario.toml, with this scenario beside its profile, in the folder of the run.".into(),
        },
        Block::Details {
            summary: "scenario.toml, every default written out".into(),
            text: run.scenario_text.clone(),
        },
    ]
}
