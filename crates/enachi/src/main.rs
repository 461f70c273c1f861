//! The `enachi` command: profile a network, look at the profile, plan one frame, simulate many, sweep.

mod cmd;

use clap::{Parser, Subcommand};

/// Energy-aware split inference over a wireless link: profile, plan, simulate, sweep.
#[derive(Parser)]
#[command(name = "enachi", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the legal cuts of an ONNX network.
    Cuts(cmd::cuts::Args),
    /// Measure a profile of an ONNX network on labelled images.
    Profile(Box<cmd::profile::Args>),
    /// Print and draw a profile.
    Show(cmd::show::Args),
    /// Run devices and an edge server slot by slot.
    Simulate(cmd::simulate::Args),
    /// Run a grid of scenarios, policies and seeds on all cores.
    Sweep(Box<cmd::sweep::Args>),
    /// Find the smallest band, budget, deadline, ... that still holds an accuracy, per policy.
    Least(cmd::least::Args),
    /// Make one HTML page, and figures, of a run or a sweep.
    Report(cmd::report::Args),
    /// Solve the task-level problem of one frame.
    Plan(cmd::plan::Args),
    /// Explain one device-frame of a recorded run.
    Explain(cmd::explain::Args),
    /// Write the channel gains of a world as a trace.
    Trace(cmd::trace::Args),
    /// Show it live: an edge and several devices on this machine, over a real network.
    Demo(cmd::demo::Args),
    /// Be the edge: serve devices over the network.
    Serve(Box<cmd::serve::Args>),
    /// Be a device: run the head, send features, take answers.
    Device(Box<cmd::device::Args>),
    /// Make certificates for an edge and its devices.
    Pki(cmd::pki::Args),
}

fn main() -> std::process::ExitCode {
    let outcome = match Cli::parse().command {
        Command::Cuts(args) => cmd::cuts::run(args),
        Command::Profile(args) => cmd::profile::run(*args),
        Command::Show(args) => cmd::show::run(args),
        Command::Simulate(args) => cmd::simulate::run(args),
        Command::Sweep(args) => match cmd::sweep::run(*args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Least(args) => cmd::least::run(args),
        Command::Report(args) => cmd::report::run(args),
        Command::Plan(args) => cmd::plan::run(args),
        Command::Explain(args) => cmd::explain::run(args),
        Command::Trace(args) => cmd::trace::run(args),
        Command::Demo(args) => cmd::demo::run(&args),
        Command::Serve(args) => cmd::serve::run(*args),
        Command::Device(args) => cmd::device::run(*args),
        Command::Pki(args) => cmd::pki::run(args),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
