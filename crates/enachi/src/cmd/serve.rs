//! `enachi serve`.

use super::live::{NetworkArgs, logs, scenario};
use super::signals::cancel_on_signal;
use anyhow::{Context, bail};
use enachi_core::record::Names;
use enachi_data::records::{Format, append_frames, lines_to_parquet, write_frames};
use enachi_proto::{EdgeSettings, Limits};
use enachi_runtime::cell::Cell;
use enachi_runtime::edge::EdgeOptions;
use enachi_runtime::ledger::Ledger;
use enachi_runtime::monitor::Monitor;
use enachi_runtime::pki::credentials;
use enachi_runtime::serve::{ServeOptions, Served, Sink, serve};
use enachi_runtime::transport::{Server, ServerOptions, inputs};
use enachi_sim::scenario::DeviceGroup;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
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
    /// Write the records of all tasks to this Parquet file at the end; it must not exist. Until then they are appended as JSON lines to
    /// FILE with the ending `.partial.jsonl`, which is what an edge that is killed leaves.
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

/// Records as they are finished, for the case that the edge is killed: JSON lines beside the file that is written at the end.
struct Journal(PathBuf);

impl Journal {
    fn beside(records: &Path) -> anyhow::Result<Self> {
        let path = records.with_extension("partial.jsonl");
        if path.exists() {
            bail!(
                "{}: holds the records of an edge that was killed; move it away first",
                path.display()
            );
        }
        Ok(Self(path))
    }

    /// The file comes with the first record, so that an edge which does not start leaves none.
    fn sink(&self, names: &Names) -> Sink {
        let (path, names) = (self.0.clone(), names.clone());
        let mut file: Option<(File, u64)> = None;
        Sink(Box::new(move |rows| {
            let fail = |e: std::io::Error| format!("{}: {e}", path.display());
            let (out, whole) = match &mut file {
                Some(open) => open,
                None => file.insert((File::create_new(&path).map_err(fail)?, 0)),
            };
            let appended = append_frames(out, &names, rows).and_then(|()| out.stream_position());
            match appended {
                Ok(end) => *whole = end,
                Err(error) => {
                    // Not half of a line, before the same rows come again.
                    out.set_len(*whole).map_err(fail)?;
                    out.seek(SeekFrom::Start(*whole)).map_err(fail)?;
                    return Err(fail(error));
                }
            }
            Ok(())
        }))
    }

    /// Make the one file of everything, which takes the place of this one.
    fn end(&self, path: &Path, names: &Names, served: &Served) -> anyhow::Result<u64> {
        let missing = served.records.len() as u64 + served.lost_records;
        if missing > 0 {
            bail!(
                "{missing} records could not be written; the others are in {}",
                self.0.display()
            );
        }
        let rows = match self.0.exists() {
            true => lines_to_parquet(&self.0, path, names),
            false => write_frames(path, Format::Parquet, names, &[]).map(|()| 0),
        };
        let rows = rows.inspect_err(|_| {
            // Half a file is of no use, and would be in the way.
            let _ = std::fs::remove_file(path);
        })?;
        let _ = std::fs::remove_file(&self.0);
        Ok(rows)
    }
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
    let names = cell.deployment.names(vec![cell.variant.label.clone()]);
    let journal = args.records.as_deref().map(Journal::beside).transpose()?;
    let stop = cancel_on_signal()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = ServeOptions {
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
        ledger: None,
        keep_records: args.records.is_some(),
        sink: journal.as_ref().map(|j| j.sink(&names)),
        stop: Arc::clone(&stop),
    };
    let connections = usize::from(args.devices) + 16;
    let (sender, inputs) = inputs(connections);
    let server = Server::listen(
        &ServerOptions {
            address: args.listen,
            pki: args.pki.clone(),
            connections,
            bytes_per_s: args.bytes_per_second,
        },
        credentials(&args.pki, "edge")?,
        sender.clone(),
    )?;
    let monitor = Arc::new(Mutex::new(Monitor::default()));
    let page = args.page.map(|page| {
        let serving = enachi_runtime::http::serve(page, Arc::clone(&monitor));
        let at = server.handle().block_on(serving);
        at.with_context(|| format!("--page {page}"))
    });
    let page = page.transpose()?;
    // The last thing that may fail, since it leaves files.
    let ledger = args.queues.as_deref().map(Ledger::open_to_write);
    options.ledger = ledger.transpose()?;
    if let Some(at) = page {
        eprintln!("live page: http://{at}/   metrics: http://{at}/metrics");
    }
    eprintln!("listening on {} (UDP)", server.address);
    if let Some(seconds) = args.seconds {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs_f64(seconds.max(0.0)));
            stop.store(true, Ordering::Relaxed);
        });
    }
    let served = serve(
        cell,
        &network,
        options,
        sender,
        &inputs,
        &server.lines,
        &monitor,
    )?;
    server.close();
    if let Some((path, journal)) = args.records.as_deref().zip(journal.as_ref()) {
        let rows = journal.end(path, &names, &served);
        let rows = rows.with_context(|| format!("--records {}", path.display()))?;
        eprintln!("{rows} records in {}", path.display());
    }
    served
        .ledger
        .context("the energy queues were not written")?;
    Ok(())
}
