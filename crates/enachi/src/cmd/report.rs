//! `enachi report`.

use super::simulate::print;
use anyhow::{Context, bail};
use enachi_data::sweep::write_atomically;
use enachi_report::ReportError;
use enachi_report::draw::{png_file, svg_file};
use enachi_report::page::{Page, run_page, sweep_page};
use enachi_report::run::{Run, Shown};
use enachi_report::sweep::Sweep;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `enachi report`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  enachi report runs/default-1                       # writes runs/default-1/report.html
  enachi report runs/default-1 --out page.html --force
  enachi report runs/default-1 --figures figures/ --figure-format png
  enachi report runs/paper                           # a sweep
  enachi report runs/default-1 --policy sc-cao --frame 42 --device 3")]
pub struct Args {
    /// Output folder of a run or of a sweep.
    folder: PathBuf,
    /// File to write; without it report.html in the folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write each figure to a file of its own in this folder, too.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Format of these files.
    #[arg(long, value_enum, default_value_t = FigureFormat::Svg)]
    figure_format: FigureFormat,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
    /// Policy whose frame is shown slot by slot; the run's first without it.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Seed of that frame; the run's first without it.
    #[arg(long)]
    seed: Option<u64>,
    /// That frame, from 0; the first after the warm-up without it.
    #[arg(long)]
    frame: Option<u32>,
    /// Device shown there, from 0; the one that sent longest without it.
    #[arg(long)]
    device: Option<u32>,
    /// Print nothing.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FigureFormat {
    Svg,
    Png,
}

impl FigureFormat {
    fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    if !args.folder.is_dir() {
        bail!("{}: must be a folder", args.folder.display());
    }
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.folder.join("report.html"));
    free(&out, "--out", args.force)?;
    let bar = spinner(args.quiet);
    let page = page(&args)?;
    write(&out, page.html.as_bytes())?;
    let mut written = vec![out];
    if let Some(folder) = &args.figures {
        written.extend(figures(&args, folder, &page)?);
    }
    bar.finish_and_clear();
    if args.quiet {
        return Ok(());
    }
    let lines: String = written
        .iter()
        .map(|file| format!("wrote {}\n", file.display()))
        .collect();
    print(&lines)
}

fn page(args: &Args) -> anyhow::Result<Page> {
    let shown = Shown {
        policy: args.policy.clone(),
        seed: args.seed,
        frame: args.frame,
        device: args.device,
    };
    if Run::is_at(&args.folder) {
        return Ok(run_page(&Run::open(&args.folder, &shown)?)?);
    }
    if Sweep::is_at(&args.folder) {
        let wanted = [
            ("--policy", args.policy.is_some()),
            ("--seed", args.seed.is_some()),
            ("--frame", args.frame.is_some()),
            ("--device", args.device.is_some()),
        ];
        if let Some((name, _)) = wanted.into_iter().find(|w| w.1) {
            bail!("{name}: chooses a frame of a run; a sweep keeps one frame per point");
        }
        return Ok(sweep_page(&Sweep::open(&args.folder)?)?);
    }
    let folder = args.folder.display().to_string();
    Err(ReportError::NotResults { folder }.into())
}

/// Write the figures; none is written if one is there already and may not be replaced.
fn figures(args: &Args, folder: &Path, page: &Page) -> anyhow::Result<Vec<PathBuf>> {
    let extension = args.figure_format.extension();
    let files: Vec<PathBuf> = page
        .figures
        .iter()
        .map(|figure| folder.join(format!("{}.{extension}", figure.id)))
        .collect();
    for file in &files {
        free(file, "--figures", args.force)?;
    }
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (figure, file) in page.figures.iter().zip(&files) {
        let drawing = figure.drawing.as_ref();
        let bytes = match args.figure_format {
            FigureFormat::Svg => svg_file(drawing).into_bytes(),
            FigureFormat::Png => png_file(drawing)?,
        };
        write(file, &bytes)?;
    }
    Ok(files)
}

fn free(file: &Path, argument: &str, force: bool) -> anyhow::Result<()> {
    if file.exists() && !force {
        bail!(
            "{argument}: {} is there already; pass --force to replace it",
            file.display()
        );
    }
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    // Whole or not at all: nobody sees half a page, and what was there stays until the new one is.
    Ok(write_atomically(file, bytes)?)
}

/// Shows that something happens; large records take seconds.
fn spinner(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} reading records, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
