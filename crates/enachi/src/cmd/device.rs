//! `enachi device`.

use super::live::{Drawn, Files, NetworkArgs, folder, lines, logs, scenario};
use super::signals::cancel_on_signal;
use anyhow::{Context, bail};
use enachi_model::images::Preprocess;
use enachi_proto::message::RadioKind;
use enachi_runtime::client::{ClientOptions, Done, run as run_device};
use enachi_runtime::device::{Inputs, LiveWork};
use enachi_runtime::pki::credentials;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `enachi device`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  enachi device camera-1 --pki lab --tasks 100\n  \
    enachi device camera-1 --pki lab --edge 192.0.2.7:4433 --images pictures/\n  \
    find pictures -name '*.png' | enachi device camera-1 --pki lab --list -"
)]
pub struct Args {
    /// Name of the device; its certificate is NAME.pem in the --pki folder.
    name: String,
    /// Scenario file (TOML): the first device of it describes this one. Without it, the demonstration's.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Override a value of the scenario; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Folder with ca.pem, NAME.pem and NAME.key.
    #[arg(long, value_name = "DIR")]
    pki: PathBuf,
    /// Address of the edge (UDP).
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4433")]
    edge: SocketAddr,
    /// Send the images of this folder, in order of their names, over and over.
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    images: Option<PathBuf>,
    /// Send the images that this file names, one a line, `PATH` or `PATH,LABEL`; `-` reads the names from standard input as they
    /// come. Without images the device draws the pictures of the small network.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Preprocessing of images: `imagenet` or `tf`; without it the small network's.
    #[arg(long, value_name = "NAME")]
    preprocess: Option<String>,
    /// End after so many tasks.
    #[arg(long)]
    tasks: Option<u32>,
    /// First drawn picture.
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Seed of the emulated channel.
    #[arg(long)]
    seed: Option<u64>,
    /// How bits reach the edge: over the scenario's channel model, or as fast as the network lets them, at the full power that
    /// the scenario describes.
    #[arg(long, value_enum, default_value_t = RadioArg::Emulated)]
    radio: RadioArg,
    /// Fail if the edge cannot be reached at first, in place of answering alone until it can.
    #[arg(long)]
    must_connect: bool,
    /// File that keeps this device's energy queue over restarts; without it the edge's copy is all that is left.
    #[arg(long, value_name = "FILE")]
    queue: Option<PathBuf>,
    /// Print one JSON object per task.
    #[arg(long)]
    json: bool,
    /// Log more.
    #[arg(short, long)]
    verbose: bool,
}

/// Names of the radios.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RadioArg {
    Emulated,
    Host,
}

/// The small network's own preprocessing.
const TINY: Preprocess = Preprocess {
    resize: enachi_tiny::SIDE,
    crop: enachi_tiny::SIDE,
    mean: enachi_tiny::MEAN,
    std: enachi_tiny::STD,
};

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let level = if args.verbose {
        tracing::Level::DEBUG
    } else {
        tracing::Level::INFO
    };
    logs(level, false);
    let mut scenario = scenario(args.scenario.as_deref(), &args.overrides)?;
    scenario.devices.truncate(1);
    if let Some(first) = scenario.devices.first_mut() {
        first.count = 1;
    }
    let (profile, network) = args.network.load()?;
    let inputs = inputs(&args)?;
    let credentials = credentials(&args.pki, &args.name)?;
    let cancel = cancel_on_signal()?;
    let options = ClientOptions {
        edge: args.edge,
        seed: args.seed.unwrap_or(scenario.seed),
        name: args.name,
        radio: match args.radio {
            RadioArg::Emulated => RadioKind::Emulated,
            RadioArg::Host => RadioKind::Host,
        },
        tasks: args.tasks,
        must_connect: args.must_connect,
        ledger: args.queue,
    };
    let work = LiveWork::new(&network, inputs);
    let json = args.json;
    let each = |finished: &enachi_runtime::device::Finished| {
        if json {
            let line = serde_json::json!({
                "task": finished.task,
                "frame": finished.grant.as_ref().map(|grant| grant.frame),
                "class": finished.class,
                "label": finished.report.label,
                "by_edge": finished.answer.as_ref().is_some_and(|a| !a.top.is_empty()),
                "cut": finished.grant.as_ref().and_then(|grant| grant.choice).map(|choice| choice.cut),
                "chunks": finished.answer.as_ref().map(|answer| answer.chunks),
                "checkpoint": finished.answer.as_ref().map(|answer| answer.checkpoint),
                "elapsed_s": finished.elapsed_s,
                "late": finished.late,
                "ready_s": finished.report.ready_s,
                "sent_s": finished.report.sent_s,
                "tail_s": finished.answer.as_ref().map(|answer| answer.tail_s),
                "bits": finished.report.bits,
                "slots": finished.report.slots,
                "energy_j": finished.report.energy_local_j + finished.report.energy_codec_j
                    + finished.report.energy_transmit_j,
                "queue_j": finished.report.account.queue_j,
                "spent_j": finished.report.account.spent_j,
                "frames": finished.report.account.frames,
            });
            println!("{line}");
        }
    };
    let done = run_device(
        &options,
        scenario,
        &profile,
        &network,
        work,
        &credentials,
        &cancel,
        each,
    )?;
    eprintln!("{}", summary(&done));
    Ok(())
}

/// One paragraph.
pub fn summary(done: &Done) -> String {
    let right = if done.known > 0 {
        format!(
            ", {:.1} % right",
            100.0 * done.right as f64 / done.known as f64
        )
    } else {
        String::new()
    };
    let unsent = match done.unsent_datagrams {
        0 => String::new(),
        lost => format!("; {lost} datagrams lost for want of room on the path"),
    };
    format!(
        "{} tasks: {} answered by the edge, {} by the device, {} not; {} late{right}; {:.3} mJ per task, queue {:.3} mJ{unsent}",
        done.tasks,
        done.by_edge,
        done.by_device,
        done.unanswered,
        done.late,
        1e3 * done.account.spent_j / done.account.frames.max(1) as f64,
        1e3 * done.account.queue_j,
    )
}

fn inputs(args: &Args) -> anyhow::Result<Box<dyn Inputs>> {
    let preprocess = match &args.preprocess {
        None => TINY,
        Some(name) => Preprocess::preset(name)
            .with_context(|| format!("--preprocess {name}: must be imagenet or tf"))?,
    };
    if let Some(path) = &args.list {
        let paths = lines(path)?;
        return Ok(Box::new(Files { paths, preprocess }));
    }
    if let Some(path) = &args.images {
        let paths = folder(path)?.into_iter().cycle().map(Ok);
        return Ok(Box::new(Files { paths, preprocess }));
    }
    if !args.network.is_tiny() {
        bail!("--images or --list: needed with --model");
    }
    Ok(Box::new(Drawn {
        next: args.first,
        step: 1,
    }))
}
