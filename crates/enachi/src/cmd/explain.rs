//! `enachi explain`.

use super::simulate::{find_profiles, print};
use anyhow::Context;
use comfy_table::Table;
use enachi_core::record::{FrameRecord, Outcome};
use enachi_sim::deployment::Deployment;
use enachi_sim::explain::{Explanation, Question, explain};
use enachi_sim::output::SCENARIO_FILE;
use enachi_sim::policies::PolicyFactory;
use enachi_sim::scenario::load;
use std::path::PathBuf;

/// Arguments of `enachi explain`.
#[derive(clap::Args)]
pub struct Args {
    /// Output folder of a run.
    run: PathBuf,
    /// Frame, from 0.
    #[arg(long)]
    frame: u32,
    /// Device, from 0.
    #[arg(long)]
    device: u32,
    /// Policy; the run's first without it.
    #[arg(long)]
    policy: Option<String>,
    /// Seed; the run's first without it.
    #[arg(long)]
    seed: Option<u64>,
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let file = args.run.join(SCENARIO_FILE);
    if !file.is_file() {
        anyhow::bail!(
            "{}: must be the output folder of a run; it has no {SCENARIO_FILE}",
            args.run.display()
        );
    }
    let scenario = load(&file, &[])?;
    let profiles = find_profiles(&scenario, Some(&file), None)?;
    let question = Question {
        policy: args.policy,
        seed: args.seed,
        frame: args.frame,
        device: args.device,
    };
    let deployment = Deployment::new(scenario, profiles)?;
    let factory = PolicyFactory::on(&deployment);
    let names = deployment.names(Vec::new());
    let answer = explain(deployment, &factory, &question).context("cannot explain")?;
    print(&text(&answer, &names.cuts))
}

fn text(e: &Explanation, cuts: &[String]) -> String {
    let mut text = format!(
        "{}, seed {}, frame {}, device {}\n\n\
         energy queue Q = {:.4} J against an allowance of {:.4} J a frame; right answers are worth V = {}\n\
         planned gain {:.3e}\n",
        e.policy, e.seed, e.frame, e.device, e.energy_queue_j, e.energy_budget_j, e.worth, e.gain
    );
    match (e.bandwidth_price, e.gap) {
        (Some(price), Some(gap)) => {
            text += &format!(
                "price of the band {:.4} per MHz, plan within {:.1e} of its bound\n\n\
                 candidates, each with the band that suits it at that price:\n",
                price * 1e6,
                gap.max(0.0)
            );
        }
        _ => text += "\ncandidates, each in the band that the policy granted:\n",
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header([
        "",
        "cut",
        "stream",
        "time to send ms",
        "before sending mJ",
        "band kHz",
        "power mW",
        "kbit",
        "accuracy %",
        "utility",
    ]);
    for c in &e.choices {
        table.add_row([
            if c.chosen { "->" } else { "" }.to_string(),
            c.cut.clone(),
            c.stream.clone().unwrap_or_default(),
            if c.feasible {
                format!("{:.1}", c.transmit_time_s * 1e3)
            } else {
                "too late".into()
            },
            format!("{:.2}", c.local_energy_j * 1e3),
            format!("{:.1}", c.bandwidth_hz / 1e3),
            format!("{:.1}", c.power_w * 1e3),
            format!("{:.1}", c.bits / 1e3),
            format!("{:.1}", c.accuracy * 100.0),
            format!("{:.4}", c.utility),
        ]);
    }
    text += &table.to_string();
    text += &format!(
        "\n\ngranted {:.1} kHz and a reference power of {:.1} mW; bound by {}\n\n",
        e.bandwidth_hz / 1e3,
        e.reference_power_w * 1e3,
        e.binding.join("; ")
    );
    text + &what_happened(&e.record, cuts)
}

fn what_happened(r: &FrameRecord, cuts: &[String]) -> String {
    let cut = r
        .cut
        .and_then(|c| cuts.get(usize::from(c)))
        .map_or("-", String::as_str);
    let mut text = format!(
        "cut {cut}: {} ({})\n\
         ready after {:.1} ms, sent in {} slots until {:.1} ms, batch at {:.1} ms, answer at {:.1} ms\n\
         {:.1} kbit in {} chunks, {:.1} % of the stream; planned {:.1} kbit\n\
         mean power {:.1} mW for a reference of {:.1} mW, power queue at the end {:.4} W\n\
         energy {:.2} mJ: head {:.2}, encoder {:.2}, radio {:.2}\n",
        r.outcome.name(),
        r.stop_reason.name(),
        r.ready_time_s * 1e3,
        r.slots,
        r.sent_time_s * 1e3,
        r.batch_time_s * 1e3,
        r.answer_time_s * 1e3,
        r.bits / 1e3,
        r.chunks,
        r.fraction * 100.0,
        r.planned_bits / 1e3,
        r.mean_power_w * 1e3,
        r.reference_power_w * 1e3,
        r.power_queue_w,
        r.energy_j() * 1e3,
        r.energy_local_j * 1e3,
        r.energy_codec_j * 1e3,
        r.energy_transmit_j * 1e3,
    );
    if let Some(entropy) = r.entropy_nats {
        text += &format!("entropy of the answer {entropy:.3} nat; ");
    }
    if r.outcome == Outcome::NoTask {
        return text + "there was no task\n";
    }
    text + if r.correct {
        "the answer is right\n"
    } else {
        "the answer is wrong\n"
    }
}
