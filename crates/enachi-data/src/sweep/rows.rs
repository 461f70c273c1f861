//! The tables of a sweep's dataset, one struct per row. What the columns mean: `docs/sweep-format.md`.
//!
//! A figure that there is none of is NaN here and null in the file.

use super::table::row;

row! {
    /// One policy at one point. Shares and accuracies are 0..=1; intervals are 95 %.
    PointRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point, from 0 over all sweeps of the file.
        point: u64,
        /// Policy.
        policy: String,
        /// Why there are no figures.
        error: Option<String>,
        /// Seeds counted.
        seeds: u64,
        /// Frames per seed.
        frames: u64,
        /// Devices.
        devices: u64,
        /// Device-frames counted.
        device_frames: u64,
        /// Of them, those with a task. Accuracy, bits, outcomes and other means but energy count over these.
        tasks: u64,
        /// Frames in which the policy failed (no plan, or one that cannot be) and so sent nothing, over all seeds.
        failed_frames: u64,
        /// Right answers, ENACHI (10).
        accuracy: f64,
        /// Lower end.
        accuracy_low: f64,
        /// Upper end.
        accuracy_high: f64,
        /// Right answers without the warm-up frames.
        accuracy_settled: f64,
        /// Mean energy per device-frame \[J\].
        energy_j: f64,
        /// Of it, head and idling.
        energy_local_j: f64,
        /// Of it, the encoder.
        energy_codec_j: f64,
        /// Of it, the radio.
        energy_transmit_j: f64,
        /// Mean energy without the warm-up frames \[J\].
        energy_settled_j: f64,
        /// Lower end.
        energy_settled_low_j: f64,
        /// Upper end.
        energy_settled_high_j: f64,
        /// Mean allowance Ē \[J\].
        energy_budget_j: f64,
        /// Mean Q after the warm-up \[J\].
        energy_queue_j: f64,
        /// Mean bits delivered per device-frame.
        bits: f64,
        /// Lower end.
        bits_low: f64,
        /// Upper end.
        bits_high: f64,
        /// Mean share of the stream's bits, over device-frames that sent.
        fraction: f64,
        /// Mean bandwidth \[Hz\].
        bandwidth_hz: f64,
        /// Mean slots used.
        slots: f64,
        /// Mean time from the start of a frame to its answer \[s\].
        answer_time_s: f64,
        /// Mean accuracy that plans counted on.
        planned_accuracy: f64,
        /// Share of the arrived tasks that found no place to wait; NaN unless tasks arrive at random.
        dropped: f64,
        /// Mean time that tasks waited for their frame \[s\].
        waiting_s: f64,
        /// Share that was sent whole.
        delivered: f64,
        /// Share released by the stop rule.
        stopped_early: f64,
        /// Share cut by the batch barrier.
        deadline_cut: f64,
        /// Share that sent nothing.
        sent_nothing: f64,
        /// Share run all on the device.
        local: f64,
        /// Share without a feasible choice.
        infeasible: f64,
        /// Jain's index of the devices' accuracies, mean over seeds.
        fairness_accuracy: f64,
        /// Jain's index of the devices' energies, mean over seeds.
        fairness_energy: f64,
        /// Accuracy of the worst device, mean over seeds.
        worst_device_accuracy: f64,
    }
}

row! {
    /// One policy at one point in one seed.
    SeedRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// Seed of the world.
        seed: u64,
        /// Device-frames.
        device_frames: u64,
        /// Right answers.
        accuracy: f64,
        /// Mean energy per device-frame \[J\].
        energy_j: f64,
        /// The same without the warm-up \[J\].
        energy_settled_j: f64,
        /// Mean energy of the radio \[J\].
        energy_transmit_j: f64,
        /// Mean Q after the warm-up \[J\].
        energy_queue_j: f64,
        /// Mean bits delivered.
        bits: f64,
        /// Share cut by the batch barrier.
        deadline_cut: f64,
        /// Share released by the stop rule.
        stopped_early: f64,
    }
}

row! {
    /// `policy` less `other` in the same worlds.
    PairRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// The policy it is compared with.
        other: String,
        /// Difference of accuracies.
        accuracy_difference: f64,
        /// Lower end.
        accuracy_difference_low: f64,
        /// Upper end.
        accuracy_difference_high: f64,
        /// Difference of energies after the warm-up \[J\].
        energy_settled_difference_j: f64,
        /// Lower end.
        energy_settled_difference_low_j: f64,
        /// Upper end.
        energy_settled_difference_high_j: f64,
    }
}

row! {
    /// How often a policy chose a cut.
    CutRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// Cut.
        cut: String,
        /// Share of all device-frames.
        share: f64,
    }
}

row! {
    /// One bin of a histogram.
    HistogramRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// `stop_slot`, `fraction` or `bits`.
        quantity: String,
        /// Stop reason.
        category: String,
        /// Lower end of the bin, in it.
        bin_low: f64,
        /// Upper end of the bin, not in it.
        bin_high: f64,
        /// Device-frames.
        count: u64,
    }
}

row! {
    /// A window of frames; means over devices and seeds.
    TrajectoryRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// First frame of the window.
        first_frame: u64,
        /// Frame after its last.
        end_frame: u64,
        /// Mean Q at the start of a frame \[J\].
        energy_queue_j: f64,
        /// Least of the seeds' means.
        energy_queue_least_j: f64,
        /// Greatest of the seeds' means.
        energy_queue_most_j: f64,
        /// Mean energy per device-frame \[J\].
        energy_j: f64,
        /// Energy of a device from frame 0 to the end of the window \[J\].
        cumulative_energy_j: f64,
        /// What it was allowed by then \[J\].
        cumulative_budget_j: f64,
        /// Right answers.
        accuracy: f64,
    }
}

row! {
    /// One device in one seed.
    DeviceRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// Seed of the world.
        seed: u64,
        /// Device from 0.
        device: u64,
        /// Right answers.
        accuracy: f64,
        /// Mean energy per frame \[J\].
        energy_j: f64,
        /// The same without the warm-up \[J\].
        energy_settled_j: f64,
        /// Allowance Ē \[J\].
        energy_budget_j: f64,
        /// Mean bits delivered.
        bits: f64,
    }
}

row! {
    /// One device-frame as recorded; names as in a run's records.
    ExampleRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// Seed of the world.
        seed: u64,
        /// Frame from 0.
        frame: u64,
        /// Device from 0.
        device: u64,
        /// Cut, unless it sat out.
        cut: Option<String>,
        /// Stream, if it could send.
        stream: Option<String>,
        /// ω \[Hz\].
        bandwidth_hz: f64,
        /// p̃ \[W\].
        reference_power_w: f64,
        /// Bits that the plan counted on.
        planned_bits: f64,
        /// Bits that arrived.
        bits: f64,
        /// Share of the stream's bits that arrived.
        fraction: f64,
        /// Outcome.
        outcome: String,
        /// Why sending ended.
        stop_reason: String,
        /// Whether the answer is right.
        correct: bool,
        /// Energy of the frame \[J\].
        energy_j: f64,
        /// Energy of the radio \[J\].
        energy_transmit_j: f64,
        /// Q before the frame \[J\].
        energy_queue_j: f64,
        /// Slots used.
        slots: u64,
        /// When the head and the encoder were done \[s\].
        ready_time_s: f64,
        /// When the last used slot ended \[s\].
        sent_time_s: f64,
        /// When the batch started \[s\].
        batch_time_s: f64,
        /// When the answer was there \[s\].
        answer_time_s: f64,
        /// Duration of a slot \[s\].
        slot_s: f64,
    }
}

row! {
    /// One used slot of an [`ExampleRow`].
    SlotRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// Seed of the world.
        seed: u64,
        /// Frame from 0.
        frame: u64,
        /// Device from 0.
        device: u64,
        /// Slot of the frame from 0.
        slot: u64,
        /// Channel power gain.
        gain: f64,
        /// p_k \[W\].
        power_w: f64,
        /// Bits of the slot.
        bits: f64,
        /// q after the slot \[W\].
        power_queue_w: f64,
        /// Checkpoint reached at its end.
        checkpoint: u64,
    }
}

row! {
    /// One policy at one point against the upper bound (`docs/oracle.md`), over the first frames of the first seeds.
    OracleRow {
        /// Name of the sweep.
        sweep: String,
        /// Number of the point.
        point: u64,
        /// Policy.
        policy: String,
        /// Seeds that it is over.
        seeds: u64,
        /// Frames of each, from frame 0.
        frames: u64,
        /// Device-frames with a task among them.
        tasks: u64,
        /// Right answers of the policy there, weighted by device as the bound is.
        accuracy: f64,
        /// Mean energy per device-frame there, warm-up included \[J\].
        energy_j: f64,
        /// No policy is right more often with the larger of the allowance and what this one spent, gains and answers known.
        bound: f64,
        /// `accuracy` over `bound`.
        share: f64,
        /// `bound` is loose by at most the difference to this.
        kept: f64,
        /// The bound where answers are known only as well as their entropy tells; of the expectation over tasks.
        blind_bound: f64,
        /// `accuracy` over `blind_bound`.
        blind_share: f64,
    }
}

row! {
    /// One checkpoint of a stream: measured accuracy beside ENACHI (14).
    CurveRow {
        /// Name of the network.
        profile: String,
        /// Cut.
        cut: String,
        /// Stream.
        stream: String,
        /// β: share of the stream's bits.
        fraction: f64,
        /// Bits.
        bits: f64,
        /// Mean top-1, where measured.
        accuracy: f64,
        /// Lower end, over images.
        accuracy_low: f64,
        /// Upper end.
        accuracy_high: f64,
        /// Â(β) of ENACHI (14), where there is a fit.
        fitted: f64,
        /// Slope parameter.
        a0: f64,
        /// Shift.
        a1: f64,
        /// Ceiling.
        a2: f64,
        /// Accuracy with nothing sent.
        floor: f64,
        /// Root-mean-square error of the fit.
        rmse: f64,
        /// Largest error of the fit.
        max_error: f64,
    }
}
