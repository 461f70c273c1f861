//! `enachi demo`: an edge and several devices on loopback, with the network and the pictures that come with the program.

use super::live::{DEMO_SCENARIO, Drawn, logs, tiny};
use super::signals::cancel_on_signal;
use anyhow::{Context, anyhow};
use comfy_table::{Cell as Entry, CellAlignment, LineStyle, Table, TableStyle};
use enachi_proto::message::RadioKind;
use enachi_proto::{EdgeSettings, Limits};
use enachi_runtime::cell::Cell;
use enachi_runtime::client::{ClientError, ClientOptions, Done, run as run_device};
use enachi_runtime::device::LiveWork;
use enachi_runtime::edge::EdgeOptions;
use enachi_runtime::monitor::{DeviceFigures, Monitor};
use enachi_runtime::pki;
use enachi_runtime::serve::{ServeOptions, serve};
use enachi_runtime::transport::{Server, ServerOptions, inputs};
use enachi_sim::scenario::{DeviceGroup, Scenario, parse};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Arguments of `enachi demo`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  enachi demo\n  enachi demo --devices 8 --seconds 60 --page 127.0.0.1:8080"
)]
pub struct Args {
    /// Devices.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    devices: u32,
    /// How long it runs \[s\].
    #[arg(long, default_value_t = 20.0, value_parser = super::seconds)]
    seconds: f64,
    /// Address of the live page; by default a free port of this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    page: SocketAddr,
    /// Override a value of the scenario; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Print the scenario, and run nothing.
    #[arg(long)]
    print_scenario: bool,
}

/// Ring in which the devices stand, from the nearest to the farthest \[m\].
const RING_M: [f64; 2] = [40.0, 260.0];

/// Run the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut scenario = parse(DEMO_SCENARIO, "demo.toml (embedded)", &args.overrides)?;
    if args.print_scenario {
        print!("{}", scenario.to_toml());
        return Ok(());
    }
    logs(tracing::Level::WARN, false);
    let template = scenario.devices.first().cloned().unwrap_or_default();
    scenario.devices = (0..args.devices)
        .map(|index| {
            let share = (f64::from(index) + 0.5) / f64::from(args.devices);
            let distance_m = RING_M[0] + share * (RING_M[1] - RING_M[0]);
            DeviceGroup {
                count: 1,
                distance_m: Some([distance_m; 2]),
                ..template.clone()
            }
        })
        .collect();
    let (profile, network) = tiny()?;
    let cell = Cell::new(scenario.clone(), profile.clone())?;
    let lab = Lab::new(args.devices)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let connections = args.devices as usize + 4;
    let (sender, inputs) = inputs(connections);
    let server = Server::listen(
        &ServerOptions {
            address: ([127, 0, 0, 1], 0).into(),
            pki: lab.0.clone(),
            connections,
            bytes_per_s: 8_000_000,
        },
        pki::credentials(&lab.0, "edge")?,
        sender.clone(),
    )?;
    let monitor = Arc::new(Mutex::new(Monitor::default()));
    let serving = enachi_runtime::http::serve(args.page, Arc::clone(&monitor));
    let page = server.handle().block_on(serving);
    let page = page.with_context(|| format!("--page {}", args.page))?;
    let stop = Arc::new(AtomicBool::new(false));
    let options = ServeOptions {
        edge: EdgeOptions {
            settings: EdgeSettings {
                model_sha256: network.model_sha256,
                tables_sha256: network.tables_sha256,
                cuts: profile.cuts.len() as u16,
                limits: Limits::default(),
            },
            barrier: true,
            seed: scenario.seed,
        },
        workers: cores,
        ledger: None,
        keep_records: false,
        sink: None,
        stop: Arc::clone(&stop),
    };
    println!(
        "edge on {} (UDP), {} devices at {:.0} to {:.0} m, policy {}, a task every {:.0} ms; {:.0} s in all",
        server.address,
        args.devices,
        RING_M[0],
        RING_M[1],
        cell.variant.label,
        1e3 * scenario.frame.length_s,
        args.seconds,
    );
    println!("live page: http://{page}/");
    let cancel = cancel_on_signal()?;
    let (served, devices) = std::thread::scope(|scope| {
        let lines = server.lines.clone();
        let (network, monitor) = (&network, &monitor);
        let edge =
            scope.spawn(move || serve(cell, network, options, sender, &inputs, &lines, monitor));
        let workers: Vec<_> = (0..args.devices)
            .map(|index| {
                let (cancel, lab, profile) = (&cancel, &lab, &profile);
                let scenario = own_scenario(&scenario, index);
                let address = server.address;
                scope.spawn(move || -> Result<Done, ClientError> {
                    let name = Lab::device(index);
                    let credentials = pki::credentials(&lab.0, &name)
                        .map_err(|e| ClientError::Transport(e.into()))?;
                    let drawn = Drawn {
                        next: index,
                        step: args.devices,
                    };
                    let options = ClientOptions {
                        edge: address,
                        name,
                        seed: scenario.seed + u64::from(index),
                        radio: RadioKind::Emulated,
                        tasks: None,
                        must_connect: true,
                        ledger: None,
                    };
                    let work = LiveWork::new(network, Box::new(drawn));
                    run_device(
                        &options,
                        scenario,
                        profile,
                        network,
                        work,
                        &credentials,
                        cancel,
                        |_| {},
                    )
                })
            })
            .collect();
        let until = Instant::now() + Duration::from_secs_f64(args.seconds.max(0.5));
        let mut shown = Instant::now();
        while Instant::now() < until && !cancel.load(Ordering::Relaxed) && !edge.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
            if shown.elapsed() >= Duration::from_secs(2) {
                shown = Instant::now();
                let monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner);
                println!("{}", progress(&monitor));
            }
        }
        cancel.store(true, Ordering::Relaxed);
        let devices: Vec<_> = workers.into_iter().map(|device| device.join()).collect();
        stop.store(true, Ordering::Relaxed);
        (edge.join(), devices)
    });
    served.map_err(|_| anyhow!("the edge panicked"))??;
    for (index, device) in devices.into_iter().enumerate() {
        let device = device.map_err(|_| anyhow!("device {index} panicked"))?;
        device.with_context(|| format!("device {index}"))?;
    }
    let monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{}", report(&monitor, &scenario));
    server.close();
    Ok(())
}

/// The scenario of one device alone.
fn own_scenario(scenario: &Scenario, index: u32) -> Scenario {
    Scenario {
        devices: vec![scenario.devices[index as usize].clone()],
        ..scenario.clone()
    }
}

/// Certificates in a folder that goes with the demonstration.
struct Lab(std::path::PathBuf);

impl Lab {
    fn new(devices: u32) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("enachi-demo-{}", std::process::id()));
        pki::init(&folder, &[], 1)?;
        let lab = Self(folder);
        for index in 0..devices {
            pki::admit(&lab.0, &Self::device(index), 1)?;
        }
        Ok(lab)
    }

    fn device(index: u32) -> String {
        format!("device-{:02}", index + 1)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One line: the cuts of the last tasks of every device.
fn progress(monitor: &Monitor) -> String {
    let total = monitor.totals();
    let mut line = format!(
        "{:>5} tasks, right {}",
        total.tasks,
        percent(total.right, total.known)
    );
    for device in monitor.devices.iter().take(6) {
        let recent = device.recent_cuts.iter().rev().take(8).rev();
        let cuts: Vec<String> = recent.map(|cut| short(monitor, *cut)).collect();
        line.push_str(&format!(" | {} {}", device.name, cuts.join(" ")));
    }
    line
}

/// A cut in a letter or two: its place in the network, or `L` for the whole network on the device.
fn short(monitor: &Monitor, cut: u16) -> String {
    let cut = usize::from(cut);
    match cut {
        _ if cut + 1 == monitor.cuts.len() => "L".into(),
        _ if cut >= monitor.cuts.len() => "-".into(),
        _ => cut.to_string(),
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".into();
    }
    format!("{:.1} %", 100.0 * part as f64 / whole as f64)
}

fn report(monitor: &Monitor, scenario: &Scenario) -> String {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_header(vec![
        "device",
        "tasks",
        "right",
        "stopped",
        "missed",
        "kbit/task",
        "saved",
        "mJ/task",
        "budget mJ",
        "cuts",
    ]);
    let mut rows: Vec<DeviceFigures> = monitor.devices.clone();
    rows.push(DeviceFigures {
        name: "all".into(),
        ..monitor.totals()
    });
    for row in &rows {
        let tasks = row.tasks.max(1) as f64;
        let budget_j = scenario.devices[0]
            .energy_budget_j
            .unwrap_or(scenario.device.energy_budget_j);
        let mut cuts: Vec<_> = row.cuts.iter().collect();
        cuts.sort_by(|a, b| b.1.cmp(a.1));
        let cuts: Vec<String> = cuts.iter().map(|(cut, n)| format!("{cut} {n}")).collect();
        let whole = row.bits + row.bits_saved;
        let cells = [
            row.name.clone(),
            row.tasks.to_string(),
            percent(row.right, row.known),
            percent(row.stopped, row.tasks),
            row.missed.to_string(),
            format!("{:.2}", row.bits / tasks / 1e3),
            if whole > 0.0 {
                format!("{:.0} %", 100.0 * row.bits_saved / whole)
            } else {
                "-".into()
            },
            format!("{:.2}", 1e3 * row.energy_j / tasks),
            format!("{:.2}", 1e3 * budget_j),
            cuts.join(", "),
        ];
        table.add_row(cells.into_iter().enumerate().map(|(i, text)| {
            let alignment = if i == 0 || i == 9 {
                CellAlignment::Left
            } else {
                CellAlignment::Right
            };
            Entry::new(text).set_alignment(alignment)
        }));
    }
    let mean_ms = 1e3 * monitor.latency_sum_s / monitor.answers.max(1) as f64;
    format!(
        "{table}\nanswers after {mean_ms:.1} ms on average, {:.1} ms at most (deadline {:.0} ms); {} failed, {} unreported",
        1e3 * monitor.latency_max_s,
        1e3 * scenario.device.deadline_s,
        monitor.failed,
        monitor.unreported,
    )
}
