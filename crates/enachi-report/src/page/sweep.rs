//! The page of a sweep.

use super::blocks::{
    Block, Document, Section, Table, code, column, fact, note, row, section, words,
};
use super::{Page, Sheets, interval, minus, plural, published_blocks};
use crate::ReportError;
use crate::figures::profile::{Dots, FitPanel};
use crate::figures::sweep as figures;
use crate::published::{Line, compare, fit};
use crate::run::estimate::Estimate;
use crate::sweep::{Sweep, View};

/// The page of `sweep`.
///
/// # Errors
/// When the template fails.
pub fn sweep_page(sweep: &Sweep) -> Result<Page, ReportError> {
    let mut sheets = Sheets::default();
    let mut sections = Vec::new();
    let fits = figures::fits(sweep);
    let mut lines = compare(&sweep.ran);
    lines.extend(fit_line(&fits));
    if !lines.is_empty() {
        let blocks = published_blocks(&lines, &sweep.ran);
        sections.push(section("published", "Published figures", blocks));
    }
    let shown = sections.len();
    for view in &sweep.views {
        sections.extend(along(sweep, view, &mut sheets));
    }
    let left = sweep.views.len() - (sections.len() - shown);
    if left > 0 {
        let text = format!(
            "{} left out, as the page would be too large: `enachi report --figures DIR` writes their figures, `enachi sweep show --format csv` has all.",
            plural(left, "section like these is", "sections like these are")
        );
        sections.push(section("left-out", "Left out", vec![note(text)]));
    }
    let table = fit_table(&fits);
    let mut curves: Vec<Block> = fits
        .figures
        .into_iter()
        .map(|figure| sheets.show(figure))
        .collect();
    if !curves.is_empty() {
        curves.push(table);
        sections.push(section("curves", "Accuracy curves", curves));
    }
    sections.extend(failures(sweep));
    sections.push(section("made", "How it was made", made(sweep)));
    let document = Document {
        title: sweep.data.manifest.name.clone(),
        lead: lead(sweep),
        doubts: doubts(sweep),
        sections,
    };
    Ok(Page {
        html: document.html()?,
        figures: sheets.figures,
    })
}

/// What becomes of the paper's figure 4; nothing where no cut has a fit.
fn fit_line(fits: &figures::Fits) -> Option<Line> {
    let panels = || fits.panels.iter().flat_map(|(_, panels)| panels);
    let measured = || panels().filter(|panel| panel.is_measured());
    let worst = measured()
        .map(|panel| (panel.surrogate.rmse, panel.cut.as_str()))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    (panels().count() > 0).then(|| fit(worst, measured().count()))
}

/// The parameters of every fit, and how far dots lie from it.
fn fit_table(fits: &figures::Fits) -> Block {
    let points = |value: f64| format!("{:.2}", value * 100.0);
    let row_of = |network: &str, panel: &FitPanel| {
        let s = &panel.surrogate;
        let measured = |value: f64| match panel.is_measured() {
            true => points(value),
            false => "–".into(),
        };
        row(
            false,
            vec![
                network.to_owned(),
                panel.cut.clone(),
                minus(format!("{:.4}", s.a0)),
                minus(format!("{:.4}", s.a1)),
                minus(format!("{:.4}", s.a2)),
                measured(s.rmse),
                measured(s.max_error),
                panel.dots.len().to_string(),
                match panel.kind {
                    Dots::Measured if panel.dots.is_empty() => "–".into(),
                    Dots::Measured => "measured".into(),
                    Dots::Achieved => "achieved".into(),
                },
                panel.worst().map_or("–".into(), points),
            ],
        )
    };
    let rows = fits
        .panels
        .iter()
        .flat_map(|(network, panels)| panels.iter().map(move |panel| row_of(network, panel)));
    Block::Table(Table {
        groups: Vec::new(),
        header: vec![
            column("network", ""),
            column("cut", ""),
            column("a0", ""),
            column("a1", ""),
            column("a2", ""),
            column("fit, r.m.s.", "points"),
            column("fit, at worst", "points"),
            column("dots", ""),
            column("which are", ""),
            column("farthest from the line", "points"),
        ],
        rows: rows.collect(),
    })
}

/// The figures of a view and its table, as far as the page has room; nothing where it has none.
fn along(sweep: &Sweep, view: &View, sheets: &mut Sheets) -> Option<Section> {
    let mut all = vec![figures::accuracy(sweep, view), figures::energy(sweep, view)];
    all.extend(figures::difference(sweep, view));
    all.push(figures::pareto(sweep, view));
    all.extend(figures::oracle(sweep, view));
    all.extend(figures::cuts(sweep, view));
    all.extend(figures::outcomes(sweep, view));
    all.push(figures::bits(sweep, view));
    all.extend(figures::fairness(sweep, view));
    all.extend(figures::stops(sweep, view));
    all.extend(figures::over_time(sweep, view));
    all.extend(figures::slots(sweep, view));
    let count = all.len();
    let shown = all
        .into_iter()
        .filter_map(|figure| sheets.show_if_room(figure));
    let mut blocks: Vec<Block> = shown.collect();
    let left = count - blocks.len();
    let table = table(sweep, view);
    match (sheets.has_room(&table), blocks.len()) {
        (true, 2..) => {
            let summary = TABLE.into();
            blocks.insert(2, Block::Folded { summary, table });
        }
        (true, _) => blocks.insert(0, Block::Table(table)),
        (false, 0) => return None,
        (false, _) => blocks.push(note("The table is left out, as the page would be too large: `enachi sweep show --format csv` has it.")),
    }
    if left > 0 {
        let figures = plural(left, "figure is", "figures are");
        blocks.push(note(format!(
            "{figures} left out here, as the page would be too large: `enachi report --figures DIR` writes them."
        )));
    }
    Some(Section {
        id: format!("{}-sweep", view.id),
        title: view.title.clone(),
        blocks,
    })
}

/// What the table of a view is.
const TABLE: &str = "Figures as a table: accuracy with its 95 % interval, energy after the warm-up";

/// Accuracy and energy of every policy at every point.
fn table(sweep: &Sweep, view: &View) -> Table {
    let policies = &sweep.info(view).policies;
    let mut header = vec![column(view.axis.label.clone(), "")];
    header.extend(policies.iter().map(|p| column(p.clone(), "%, J")));
    let rows = view.points.iter().enumerate().map(|(i, point)| {
        let mut cells = vec![view.axis.names[i].clone()];
        cells.extend(
            policies
                .iter()
                .map(|policy| match sweep.row(*point, policy) {
                    None => "failed".to_owned(),
                    Some(r) => {
                        let accuracy = Estimate {
                            value: r.accuracy,
                            low: r.accuracy_low,
                            high: r.accuracy_high,
                        };
                        format!(
                            "{}, {:.3}",
                            interval(accuracy, 100.0, 1),
                            r.energy_settled_j
                        )
                    }
                }),
        );
        row(false, cells)
    });
    Table {
        groups: Vec::new(),
        header,
        rows: rows.collect(),
    }
}

fn lead(sweep: &Sweep) -> Vec<String> {
    let manifest = &sweep.data.manifest;
    let networks: Vec<String> = manifest
        .profiles
        .iter()
        .map(|p| {
            let kind = if p.curve_only { " (curves)" } else { "" };
            format!("{}{kind}", p.model)
        })
        .collect();
    let mut policies: Vec<&String> = Vec::new();
    for policy in manifest.sweeps.iter().flat_map(|s| &s.policies) {
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    vec![format!(
        "{}: {}, {}, {}.",
        networks.join(", "),
        plural(manifest.points as usize, "point", "points"),
        plural(policies.len(), "policy", "policies"),
        plural(manifest.runs as usize, "run", "runs"),
    )]
}

fn doubts(sweep: &Sweep) -> Vec<String> {
    let manifest = &sweep.data.manifest;
    let mut doubts = Vec::new();
    if manifest.quick {
        doubts.push("this is the quick version of the sweep: fewer points, seeds or frames".into());
    }
    if manifest.failed_runs > 0 {
        doubts.push(format!(
            "{} of {} runs failed; they are listed below. A policy's figures are those of its other seeds, and missing where all failed",
            manifest.failed_runs, manifest.runs
        ));
    }
    if manifest.enachi_version != env!("CARGO_PKG_VERSION") {
        doubts.push(format!(
            "the sweep was run by version {}, this page is by version {}",
            manifest.enachi_version,
            env!("CARGO_PKG_VERSION")
        ));
    }
    doubts
}

fn failures(sweep: &Sweep) -> Option<Section> {
    let failures = &sweep.data.manifest.failures;
    if failures.is_empty() {
        return None;
    }
    const SHOWN: usize = 200;
    let rows = failures.iter().take(SHOWN).map(|f| {
        let seed = f.seed.map_or("all".into(), |s| s.to_string());
        row(
            false,
            vec![
                f.sweep.clone(),
                f.point.to_string(),
                f.policy.clone(),
                seed,
                f.error.clone(),
            ],
        )
    });
    let table = Table {
        groups: Vec::new(),
        header: vec![
            column("sweep", ""),
            column("point", ""),
            words("policy"),
            column("seed", ""),
            words("error"),
        ],
        rows: rows.collect(),
    };
    let mut blocks = vec![Block::Table(table)];
    if failures.len() > SHOWN {
        let more = failures.len() - SHOWN;
        blocks.push(note(format!("{more} more are in sweep.json.")));
    }
    Some(section("failures", "What failed", blocks))
}

/// How intervals are made.
fn drawn(sweep: &Sweep) -> String {
    let data = &sweep.data;
    let curves = data.manifest.profiles.iter().all(|p| p.curve_only);
    let clusters = match curves {
        true => "frames within each seed, and seeds as far as they differ beyond that",
        false => {
            "images and seeds (where a profile has curves alone: frames within each seed, and seeds as far as they differ beyond that)"
        }
    };
    let mut text = format!(
        "two-level bootstrap of accuracies over {clusters}; of energies and bits over seeds; all policies share the draws"
    );
    if data
        .points
        .iter()
        .any(|row| row.error.is_none() && row.seeds == 1)
    {
        text += ". With one seed, accuracies have the interval of that seed's images or frames alone, energies and bits none";
    }
    text
}

fn made(sweep: &Sweep) -> Vec<Block> {
    let manifest = &sweep.data.manifest;
    let mut facts = vec![
        fact(
            "version",
            format!(
                "enachi {}, dataset format {}",
                manifest.enachi_version, manifest.format_version
            ),
        ),
        code("SHA-256 of the plan", manifest.plan_sha256.clone()),
    ];
    for profile in &manifest.profiles {
        facts.push(fact("network", profile.model.clone()));
        facts.push(code("SHA-256 of the profile", profile.sha256.clone()));
        let more = [
            ("images", &profile.data_source),
            ("licence", &profile.licence_note),
        ];
        let given = more.into_iter().filter(|(_, text)| !text.is_empty());
        facts.extend(given.map(|(name, text)| fact(name, text.clone())));
    }
    facts.push(fact("intervals", drawn(sweep)));
    let mut blocks = vec![Block::Facts { facts }];
    for info in &manifest.sweeps {
        let axes: Vec<String> = info
            .axes
            .iter()
            .map(|a| format!("{} ({} values)", a.keys.join(" with "), a.values.len()))
            .collect();
        blocks.push(Block::Details {
            summary: format!(
                "{}: {}; its scenario, every default written out",
                info.name,
                axes.join(" × ")
            ),
            text: info.scenario.clone(),
        });
    }
    blocks
}
