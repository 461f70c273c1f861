//! `enachi profile`: measure a network on labelled images.

use anyhow::{Context, bail};
use enachi_core::profile::CutKind;
use enachi_model::codec::{ChannelTransform, CodecSettings, SpatialTransform};
use enachi_model::engine::{Engine, RtenEngine};
use enachi_model::gradient::GradientEngine;
use enachi_model::graph::{Cut, Graph, LoadOptions, OnnxModel};
use enachi_model::images::{Item, LabelledImages, Preprocess, split};
use enachi_model::profiler::{Job, ProfileSettings, Step};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Arguments of `enachi profile`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  enachi profile resnet50.onnx --images photos/ --labels labels.csv --out resnet50.parquet
  enachi profile mobilenetv2.onnx --images photos/ --labels labels.csv --preprocess tf \\
      --calibration 300 --measured 600 --out mobilenetv2.parquet
  enachi profile net.onnx --images by-class/ --cuts layer2.0,layer3.5 --measured 200 --out quick.parquet

Writes the profile and, beside it, the codec tables (OUT with the ending .tables.safetensors) and the lists of images
(.images.csv). A run that was stopped goes on when the same command is given again; its work is kept in OUT.work.")]
pub struct Args {
    /// ONNX file of a feed-forward image classifier.
    model: PathBuf,
    /// Folder of images, or of one folder of images per class index.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// CSV file `file,label` with class indices; without it the folder must hold one folder per class, or labels.csv
    /// must lie in it or beside it.
    #[arg(long, value_name = "CSV")]
    labels: Option<PathBuf>,
    /// Profile to write (Parquet).
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    /// Cuts to measure, by tensor name (`enachi cuts` lists them). Default: one per stage of the network. The input (cut
    /// 0) and all-local are always in.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    cuts: Vec<String>,
    /// Images for calibration (default: a third).
    #[arg(long, value_name = "N")]
    calibration: Option<usize>,
    /// Images to measure on, none of them used for calibration (default: all others).
    #[arg(long, value_name = "N")]
    measured: Option<usize>,
    /// Seed of the draw of images and of the bootstrap.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Picture to tensor: imagenet (256 → 224, mean .485 .456 .406, std .229 .224 .225) or tf (256 → 224, x/127.5 − 1).
    #[arg(long, default_value = "imagenet", value_parser = ["imagenet", "tf"])]
    preprocess: String,
    /// Length of the short side after resizing [pixel], instead of the preset's.
    #[arg(long, value_name = "PX")]
    resize: Option<u32>,
    /// Side of the centre crop [pixel], instead of the network's input size.
    #[arg(long, value_name = "PX")]
    crop: Option<u32>,
    /// Channel means on the scale 0 to 1, instead of the preset's.
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', num_args = 1)]
    mean: Option<Vec<f32>>,
    /// Channel deviations on the scale 0 to 1, instead of the preset's.
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', num_args = 1)]
    std: Option<Vec<f32>>,
    /// Added to every label to get the network's class index (1 for networks with a background class).
    #[arg(long, default_value_t = 0)]
    label_offset: u16,
    /// Input sizes where the file leaves them open.
    #[arg(long, value_name = "1,C,H,W", value_delimiter = ',', num_args = 1)]
    input_shape: Option<Vec<usize>>,
    /// Transform over channels.
    #[arg(long, value_enum, default_value = "task")]
    channels: Channels,
    /// Transform inside each map.
    #[arg(long, value_enum, default_value = "task")]
    spatial: Spatial,
    /// Side of a block of `--spatial dct` (default: the one up to 16 that fits the map best).
    #[arg(long, value_name = "N")]
    block: Option<usize>,
    /// Most transformed maps kept (truncates the KLT and its cost).
    #[arg(long, value_name = "K")]
    keep: Option<usize>,
    /// Quality of a whole stream [dB]. Default: per cut, the least that leaves the answers alone.
    #[arg(long, value_name = "DB")]
    snr_db: Option<f64>,
    /// How far a whole stream may move the answer: mean KL divergence [nat].
    #[arg(
        long,
        value_name = "NAT",
        default_value_t = 0.005,
        conflicts_with = "snr_db"
    )]
    max_divergence: f64,
    /// Checkpoints of a stream.
    #[arg(long, default_value_t = 16)]
    checkpoints: usize,
    /// WebP qualities of the picture, 1 to 100, rising; 0 leaves WebP out.
    #[arg(
        long,
        value_name = "Q,…",
        value_delimiter = ',',
        default_values_t = enachi_model::picture::WEBP_QUALITIES
    )]
    webp_qualities: Vec<u8>,
    /// JPEG qualities of the picture, 1 to 100, rising.
    #[arg(
        long,
        value_name = "Q,…",
        value_delimiter = ',',
        default_values_t = enachi_model::picture::JPEG_QUALITIES
    )]
    jpeg_qualities: Vec<u8>,
    /// Sides that the mixed picture ladders shrink the picture to, besides its own [pixel]; 0 leaves those ladders out.
    /// Default: 5/7 and 1/2 of the network's input.
    #[arg(long, value_name = "PX,…", value_delimiter = ',')]
    picture_sides: Option<Vec<u32>>,
    /// Measured images on which the raw-map streams are measured too; 0 leaves them out.
    #[arg(long, value_name = "N", default_value_t = 100)]
    raw_images: usize,
    /// Importance scores of raw maps: JSON `{"cut": [score per map]}`, instead of Taylor scores.
    #[arg(long, value_name = "JSON")]
    scores: Option<PathBuf>,
    /// Fail when more than this share of the images cannot be decoded.
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    max_bad_images: f64,
    /// Keep OUT.work after success: the same command then only takes the times again.
    #[arg(long)]
    keep_work: bool,
    /// Engine that answers. Times are always taken with rten, which runs the network in production; onnxruntime only
    /// makes a profile sooner (cargo feature `ort`, library named by ORT_DYLIB_PATH).
    #[arg(long, default_value = "rten", value_parser = ["rten", "onnxruntime"])]
    engine: String,
    /// Threads, each with an image of its own (default: all cores).
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Name of the network in the profile (default: the file name).
    #[arg(long)]
    name: Option<String>,
    /// What the images are and under which terms, kept in the profile.
    #[arg(long, default_value = "", hide_default_value = true)]
    data_source: String,
    /// Licence of the weights, kept in the profile and shown with it.
    #[arg(long, default_value = "", hide_default_value = true)]
    licence_note: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Channels {
    /// Maps as they are, by falling energy.
    None,
    /// Principal components.
    Klt,
    /// Principal components in the metric of the answer's sensitivity.
    Task,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Spatial {
    /// Samples as they are.
    None,
    /// Cosine transform on blocks.
    Dct,
    /// Principal components over positions, in the metric of the answer's sensitivity.
    Task,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let tables_path = beside(&args.out, "tables.safetensors");
    let lists_path = beside(&args.out, "images.csv");
    for path in [&args.out, &tables_path, &lists_path] {
        if path.exists() && !args.force {
            bail!("{} exists; --force replaces it", path.display());
        }
    }
    if args.keep == Some(0) {
        bail!("--keep 0: at least 1 transformed map must be kept");
    }
    if args.block == Some(0) || args.block.is_some_and(|b| b > 64) {
        bail!("--block: must lie in 1 to 64");
    }
    check_range("--max-divergence", args.max_divergence, 1e-6, 10.0)?;
    check_range("--snr-db", args.snr_db.unwrap_or(12.0), 0.0, 60.0)?;
    check_range("--max-bad-images", args.max_bad_images, 0.0, 1.0)?;
    let options = LoadOptions {
        input_shape: args.input_shape.clone(),
    };
    let at_model = || format!("{}", args.model.display());
    let model = OnnxModel::load(&args.model, &options).with_context(at_model)?;
    let graph = Graph::new(&model).with_context(at_model)?;
    let engine = RtenEngine::new(model.clone()).with_context(at_model)?;
    let preprocess = preprocess(&args, &graph)?;
    let cuts = choose_cuts(&args, &graph)?;
    let images = LabelledImages::find(&args.images, args.labels.as_deref(), graph.classes())?;
    let (calibration, measured, skipped) = choose_images(&args, &images, &preprocess, &graph)?;
    eprintln!(
        "{}: {} cuts besides input and all-local; {} calibration and {} measured images",
        args.model.display(),
        cuts.len(),
        calibration.len(),
        measured.len()
    );
    let answers = answering_engine(&args, &model).with_context(at_model)?;
    let names: Vec<&str> = cuts.iter().map(|cut| cut.name.as_str()).collect();
    let gradients = GradientEngine::new(&model, &graph, &names).with_context(at_model)?;
    for (cut, reason) in gradients.supported() {
        if let Err(reason) = reason {
            eprintln!("{cut}: codec not weighted by the task: {reason}");
        }
    }
    let job = Job {
        settings: settings(&args, preprocess.crop)?,
        graph: &graph,
        engine: answers.as_deref().unwrap_or(&engine),
        timing_engine: &engine,
        gradients: Some(&gradients),
        preprocess,
        cuts,
        calibration,
        measured,
        threads: args.threads.unwrap_or_else(cores).max(1),
        work_folder: beside(&args.out, "work"),
    };
    let bars = Bars::default();
    let started = std::time::Instant::now();
    let (mut profile, tables) = job.run(&|step| bars.step(step))?;
    bars.finish();
    report_time(&job, &profile, started.elapsed().as_secs_f64());
    let meta = &mut profile.meta;
    meta.settings
        .insert("skipped_images".into(), skipped.to_string());
    meta.model_name = args.name.clone().unwrap_or_else(|| stem(&args.model));
    meta.tables_sha256 = format!("{:x}", Sha256::digest(&tables));
    meta.data_source = args.data_source.clone();
    meta.licence_note = args.licence_note.clone();
    meta.enachi_version = env!("CARGO_PKG_VERSION").into();
    meta.machine = format!("{}, 1 thread per run", cpu_model());
    meta.command_line = command_line();
    write_new(&tables_path, &tables)?;
    write_new(&lists_path, image_lists(&job).as_bytes())?;
    enachi_data::profile::write(&args.out, &profile, args.force)?;
    if !args.keep_work {
        std::fs::remove_dir_all(&job.work_folder)
            .with_context(|| format!("{}", job.work_folder.display()))?;
    }
    eprintln!(
        "top-1 of the whole network on the measured images: {:.4}",
        profile.meta.top1_uncompressed
    );
    for path in [&args.out, &tables_path, &lists_path] {
        println!("{}", path.display());
    }
    Ok(())
}

/// The engine that answers, where it is not the one whose times are taken.
fn answering_engine(
    args: &Args,
    model: &std::sync::Arc<OnnxModel>,
) -> anyhow::Result<Option<Box<dyn Engine>>> {
    match args.engine.as_str() {
        "rten" => Ok(None),
        #[cfg(feature = "ort")]
        _ => Ok(Some(Box::new(enachi_model::engine::OrtEngine::new(
            model.clone(),
        )?))),
        #[cfg(not(feature = "ort"))]
        other => {
            let _ = model;
            bail!("--engine {other}: this build has no ONNX Runtime; build with --features ort")
        }
    }
}

/// How the time compares with what the tails alone take: the rest is calibration, heads and the codec.
fn report_time(job: &Job, profile: &enachi_core::profile::Profile, seconds: f64) {
    let mut runs = 0.0;
    let mut tails_s = 0.0;
    for cut in &profile.cuts {
        let tail_s = cut.tail_time.map_or(0.0, |t| t.median_s);
        for stream in cut.streams.iter().filter(|s| s.name != "pixels") {
            let n = stream.samples.images * stream.samples.checkpoints.saturating_sub(1);
            runs += n as f64;
            tails_s += n as f64 * tail_s;
        }
    }
    let threads = job.threads as f64;
    eprintln!(
        "{runs:.0} answers, {:.1} s on {threads} threads at the measured times; this run took {seconds:.1} s, {:.2} times that",
        tails_s / threads,
        seconds * threads / tails_s
    );
}

fn check_range(key: &str, value: f64, low: f64, high: f64) -> anyhow::Result<()> {
    if !(low..=high).contains(&value) {
        bail!("{key} {value}: must lie in {low} to {high}");
    }
    Ok(())
}

/// `side` is that of the network's input \[pixel\].
fn settings(args: &Args, side: u32) -> anyhow::Result<ProfileSettings> {
    let defaults = CodecSettings::default();
    Ok(ProfileSettings {
        seed: args.seed,
        checkpoints: args.checkpoints,
        codec: CodecSettings {
            channels: match args.channels {
                Channels::None => ChannelTransform::None,
                Channels::Klt => ChannelTransform::Klt,
                Channels::Task => ChannelTransform::Task,
            },
            spatial: match args.spatial {
                Spatial::None => SpatialTransform::None,
                Spatial::Dct => SpatialTransform::Dct,
                Spatial::Task => SpatialTransform::Task,
            },
            keep: args.keep,
            block: args.block,
            snr_db: args.snr_db.unwrap_or(defaults.snr_db),
            ..defaults
        },
        max_divergence_nats: args.snr_db.is_none().then_some(args.max_divergence),
        jpeg_qualities: args.jpeg_qualities.clone(),
        webp_qualities: match args.webp_qualities.as_slice() {
            [0] => Vec::new(),
            qualities => qualities.to_vec(),
        },
        picture_sides: match args.picture_sides.as_deref() {
            Some([0]) => Vec::new(),
            Some(sides) => sides.to_vec(),
            None => enachi_model::picture::reduced_sides(side),
        },
        raw_images: args.raw_images,
        imported_scores: match &args.scores {
            None => BTreeMap::new(),
            Some(path) => {
                let at = || format!("{}", path.display());
                let text = std::fs::read(path).with_context(at)?;
                serde_json::from_slice(&text).with_context(at)?
            }
        },
        label_offset: args.label_offset,
    })
}

fn preprocess(args: &Args, graph: &Graph) -> anyhow::Result<Preprocess> {
    let mut how = Preprocess::preset(&args.preprocess)
        .with_context(|| format!("no preset `{}`", args.preprocess))?;
    let shape = graph.input_shape();
    let &[_, 3, height, width] = shape else {
        bail!("the input has shape {shape:?}; an image network takes 1×3×H×W");
    };
    if height != width {
        bail!("the input is {height}×{width}; only square inputs can be fed from a centre crop");
    }
    how.crop = args.crop.unwrap_or(u32::try_from(height)?);
    // Keep the preset's ratio of crop to short side for other input sizes.
    how.resize = args.resize.unwrap_or((how.crop * 8).div_ceil(7));
    if how.crop as usize != height {
        bail!("--crop {}: the network takes {height} pixels", how.crop);
    }
    let triple = |key: &str, values: &Option<Vec<f32>>, default: [f32; 3]| match values {
        None => Ok(default),
        Some(v) => <[f32; 3]>::try_from(v.as_slice())
            .map_err(|_| anyhow::anyhow!("{key} has {} values, 3 are needed", v.len())),
    };
    how.mean = triple("--mean", &args.mean, how.mean)?;
    how.std = triple("--std", &args.std, how.std)?;
    how.check()?;
    Ok(how)
}

fn choose_cuts(args: &Args, graph: &Graph) -> anyhow::Result<Vec<Cut>> {
    if args.cuts.is_empty() {
        return Ok(graph.stage_cuts().into_iter().cloned().collect());
    }
    let mut cuts = Vec::new();
    for name in &args.cuts {
        let Some(cut) = graph.cut(name) else {
            bail!(
                "--cuts {name}: not a legal cut of {}; `enachi cuts` lists them",
                args.model.display()
            );
        };
        if !cut.splittable {
            bail!("--cuts {name}: its values are not floats, so it cannot be coded");
        }
        // The input and the output are always in the profile.
        if cut.kind == CutKind::Feature {
            cuts.push(cut.clone());
        }
    }
    cuts.sort_by_key(|cut| cut.index);
    cuts.dedup_by_key(|cut| cut.index);
    Ok(cuts)
}

/// Draw the two lists, and drop what cannot be decoded, up to a set share.
fn choose_images(
    args: &Args,
    images: &LabelledImages,
    how: &Preprocess,
    graph: &Graph,
) -> anyhow::Result<(Vec<Item>, Vec<Item>, usize)> {
    let found = images.items.len();
    for item in &images.items {
        let class = usize::from(item.label) + usize::from(args.label_offset);
        if class >= graph.classes() {
            bail!(
                "{}: label {} plus --label-offset {} is not below the network's {} classes",
                item.name,
                item.label,
                args.label_offset,
                graph.classes()
            );
        }
    }
    let calibration = match (args.calibration, args.measured) {
        (Some(n), _) => n,
        (None, Some(measured)) => (found / 3).min(found.saturating_sub(measured)),
        (None, None) => found / 3,
    };
    let measured = args.measured.unwrap_or(found.saturating_sub(calibration));
    let (mut calibration, mut measured) = split(images, args.seed, calibration, measured)?;
    let drawn = LabelledImages {
        items: calibration.iter().chain(&measured).cloned().collect(),
    };
    let (_, bad) = drawn.without_undecodable(how, args.max_bad_images)?;
    for (name, problem) in bad.iter().take(5) {
        eprintln!("skipped {name}: {problem}");
    }
    if !bad.is_empty() {
        eprintln!(
            "skipped {} of {} images",
            bad.len(),
            calibration.len() + measured.len()
        );
        let good = |item: &Item| bad.iter().all(|(name, _)| *name != item.name);
        calibration.retain(good);
        measured.retain(good);
    }
    Ok((calibration, measured, bad.len()))
}

/// `list,file,label` of both lists.
fn image_lists(job: &Job) -> String {
    let mut csv = String::from("list,file,label\n");
    for (list, items) in [
        ("calibration", &job.calibration),
        ("measured", &job.measured),
    ] {
        for item in items {
            csv += &format!("{list},{},{}\n", item.name, item.label);
        }
    }
    csv
}

/// `path` with its last ending replaced.
fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(ending)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Write a file so that it is there whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let part = path.with_extension("part");
    let write = || {
        std::fs::write(&part, bytes)?;
        std::fs::rename(&part, path)
    };
    write().with_context(|| format!("{}", path.display()))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name"));
    name.and_then(|l| l.split(':').nth(1))
        .map_or_else(|| std::env::consts::ARCH.into(), |s| s.trim().to_string())
}

/// The command line, with folders taken off paths: they say nothing to another reader.
fn command_line() -> String {
    std::env::args()
        .enumerate()
        .map(|(i, arg)| {
            let path = Path::new(&arg);
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            match name {
                Some(name) if i == 0 || path.is_absolute() || arg.starts_with("..") => name,
                _ if arg.contains(' ') => format!("'{arg}'"),
                _ => arg,
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// One progress bar after the other, on standard error, hidden when that is not a terminal.
#[derive(Default)]
struct Bars(Mutex<Option<ProgressBar>>);

impl Bars {
    fn step(&self, step: Step) {
        let Ok(mut bar) = self.0.lock() else { return };
        match step {
            Step::Begin(name, total, done) => {
                if let Some(old) = bar.take() {
                    old.finish();
                }
                let style = ProgressStyle::with_template(
                    "{msg:18} {wide_bar} {pos}/{len} {elapsed} (left {eta})",
                )
                .unwrap_or_else(|_| ProgressStyle::default_bar());
                let new = ProgressBar::new(total).with_style(style);
                new.set_message(name.to_string());
                new.set_position(done);
                new.reset_eta();
                if new.is_hidden() {
                    eprintln!("{name}: {done} of {total} done");
                }
                *bar = Some(new);
            }
            Step::Advance(n) => {
                if let Some(bar) = bar.as_ref() {
                    bar.inc(n);
                }
            }
        }
    }

    fn finish(&self) {
        if let Ok(mut bar) = self.0.lock()
            && let Some(bar) = bar.take()
        {
            bar.finish();
        }
    }
}
