//! `enachi serve`.

use super::live::{NetworkArgs, logs, scenario};
use anyhow::Context;
use enachi_data::records::{Format, write_frames};
use enachi_proto::{EdgeSettings, Limits};
use enachi_runtime::cell::Cell;
use enachi_runtime::edge::EdgeOptions;
use enachi_runtime::ledger::Ledger;
use enachi_runtime::monitor::Monitor;
use enachi_runtime::pki::credentials;
use enachi_runtime::serve::{ServeOptions, serve};
use enachi_runtime::transport::{Input, Server, ServerOptions};
use enachi_sim::scenario::DeviceGroup;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Arguments of `enachi serve`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  enachi pki init lab && enachi pki admit lab camera-1\n  enachi serve --pki lab\n  \
    enachi serve cell.toml --pki lab --listen 0.0.0.0:4433 --page 127.0.0.1:8080 --queues lab/queues.txt"
)]
pub struct Args {
    /// Scenario file (TOML): frame, slot, band, noise, policy, packet level. Its devices are a template: those that join
    /// describe themselves. Without it, the demonstration's.
    scenario: Option<PathBuf>,
    /// Override a value of the scenario; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Folder with ca.pem, edge.pem, edge.key and devices.txt (`enachi pki`).
    #[arg(long, value_name = "DIR")]
    pki: PathBuf,
    /// Address for devices (UDP).
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4433")]
    listen: SocketAddr,
    /// Address of the live page and of /metrics (TCP); no page without it.
    #[arg(long, value_name = "ADDRESS")]
    page: Option<SocketAddr>,
    /// File that keeps the devices' energy queues over restarts.
    #[arg(long, value_name = "FILE")]
    queues: Option<PathBuf>,
    /// Write the records of all tasks to this Parquet file at the end; it must not exist.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// Devices that the cell takes, by name; one that has left keeps its place.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    devices: u16,
    /// Threads that run tails; without it, one per core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Plan every task as it comes and answer it as soon as its upload ends, without frames and batches.
    #[arg(long)]
    no_barrier: bool,
    /// Bytes per second that one device may send.
    #[arg(long, default_value_t = 8_000_000)]
    bytes_per_second: u64,
    /// End after so many seconds; without it, at Ctrl-C.
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    seconds: Option<f64>,
    /// Write logs as JSON.
    #[arg(long)]
    log_json: bool,
    /// Log every task.
    #[arg(short, long)]
    verbose: bool,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let level = if args.verbose {
        tracing::Level::DEBUG
    } else {
        tracing::Level::INFO
    };
    logs(level, args.log_json);
    if let Some(records) = args.records.as_ref().filter(|path| path.exists()) {
        anyhow::bail!("--records {}: must not exist yet", records.display());
    }
    if let Some(records) = &args.records {
        let folder = records.parent().filter(|f| !f.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            anyhow::bail!("--records {}: there is no such folder", records.display());
        }
    }
    let mut scenario = scenario(args.scenario.as_deref(), &args.overrides)?;
    let template = scenario.devices.first().cloned().unwrap_or_default();
    scenario.devices = (0..args.devices)
        .map(|_| DeviceGroup {
            count: 1,
            ..template.clone()
        })
        .collect();
    let (profile, network) = args.network.load()?;
    let cuts = profile.cuts.len() as u16;
    let seed = scenario.seed;
    let cell = Cell::new(scenario, profile)?;
    enachi_runtime::serve::check(&cell, &network)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = ServeOptions {
        edge: EdgeOptions {
            settings: EdgeSettings {
                model_sha256: network.model_sha256,
                tables_sha256: network.tables_sha256,
                cuts,
                limits: Limits::default(),
            },
            barrier: !args.no_barrier,
            seed,
        },
        workers: args.workers.map_or(cores, usize::from),
        ledger: args
            .queues
            .as_deref()
            .map(Ledger::open_to_write)
            .transpose()?,
        keep_records: args.records.is_some(),
    };
    let (sender, inputs) = sync_channel(1 << 14);
    let server = Server::listen(
        &ServerOptions {
            address: args.listen,
            pki: args.pki.clone(),
            connections: usize::from(args.devices) + 16,
            bytes_per_s: args.bytes_per_second,
        },
        credentials(&args.pki, "edge")?,
        sender.clone(),
    )?;
    let monitor = Arc::new(Mutex::new(Monitor::default()));
    if let Some(page) = args.page {
        let serving = enachi_runtime::http::serve(page, Arc::clone(&monitor));
        let at = server.handle().block_on(serving);
        let at = at.with_context(|| format!("--page {page}"))?;
        eprintln!("live page: http://{at}/   metrics: http://{at}/metrics");
    }
    eprintln!("listening on {} (UDP)", server.address);
    let on_signal = sender.clone();
    ctrlc::set_handler(move || drop(on_signal.try_send(Input::Stop)))
        .context("cannot listen for Ctrl-C")?;
    if let Some(seconds) = args.seconds {
        let on_time = sender.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs_f64(seconds.max(0.0)));
            let _ = on_time.send(Input::Stop);
        });
    }
    let names = cell.deployment.names(vec![cell.variant.label.clone()]);
    let records = serve(
        cell,
        &network,
        options,
        sender,
        &inputs,
        &server.lines,
        &monitor,
    )?;
    server.close();
    if let Some(path) = &args.records {
        write_frames(path, Format::Parquet, &names, &records)
            .with_context(|| format!("--records {}", path.display()))?;
        eprintln!("{} records in {}", records.len(), path.display());
    }
    Ok(())
}
