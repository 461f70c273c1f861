#!/usr/bin/env python3
"""enachi-mux and enachi-max beside enachi on a grid of users, band and deadline: accuracy, paired difference, settled energy.

    scripts/mux.py users | predicted | feedback | grid [--binary target/release/enachi]

`users`, `feedback` and `grid` run scenarios/paper.toml with an edge that stops a device exactly when its answer turns right (no
prediction error, threshold 0): an upper hint. `predicted`: with the scenario's own prediction error and H_th = 0.02 nat. `feedback`:
stops that take effect so many slots late. Energy queues start where they settle, so that all spend what they may and no more. On measured
profiles: scripts/lead.py.
"""
import argparse

from runs import ROOT, simulate, users

RIGHT = ["predictor.noise_nats=0", "packet.entropy_threshold_nats=1e-9", 'packet.stop="entropy"']

PREDICTED = ["packet.entropy_threshold_nats=0.02", 'packet.stop="entropy"']


def row(label, policies):
    cells = [label]
    for policy in policies:
        cell = f"{100 * policy['accuracy']:.1f} %, {policy['energy_after_warmup_j']:.3f} J"
        if policy["policy"] != "enachi":
            of = [100 * policy[f"accuracy_difference{end}"] for end in ("", "_low", "_high")]
            cell += f", {of[0]:+.1f} [{of[1]:+.1f}, {of[2]:+.1f}]"
        cells.append(cell)
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["users", "predicted", "feedback", "grid"])
    parser.add_argument("--binary", default=str(ROOT / "target/release/enachi"))
    arguments = parser.parse_args()
    common = ["frames=300", "warmup_frames=100", "seeds=3", 'task.queue_start="settled"']
    pair = ["enachi", "enachi-mux", "enachi-max"]

    def header(first, policies):
        print(f"| {first} | " + " | ".join(policies) + " |")
        print("|" + "---|" * (len(policies) + 1))

    if arguments.table == "users":
        policies = [*pair, "enachi+stop-never"]
        header("users on 20 MHz", policies)
        for count in (5, 10, 25, 40, 60, 100):
            sets = [*common, *RIGHT, "channel.bandwidth_hz=20e6", users(count)]
            row(str(count), simulate(arguments.binary, "scenarios/paper.toml", sets, policies))
    elif arguments.table == "predicted":
        policies = ["enachi", "enachi-mux", "enachi-max", "enachi+stop-never", "enachi-mux+stop-never"]
        header("users on 20 MHz", policies)
        for count in (25, 60):
            sets = [*common, *PREDICTED, "channel.bandwidth_hz=20e6", users(count)]
            row(str(count), simulate(arguments.binary, "scenarios/paper.toml", sets, policies))
    elif arguments.table == "feedback":
        header("users on 20 MHz, slots until a stop takes effect", pair)
        for count in (25, 60):
            for slots in (0, 1, 2, 5, 10, 20):
                sets = [*common, *RIGHT, "channel.bandwidth_hz=20e6", users(count), f"packet.feedback_slots={slots}"]
                row(f"{count}, {slots}", simulate(arguments.binary, "scenarios/paper.toml", sets, pair))
    else:
        header("users, band, deadline", pair)
        for count in (1, 4, 16):
            for band in (1e6, 3e6, 10e6):
                for deadline in (0.1, 0.2, 0.3):
                    sets = [*common, *RIGHT, f"channel.bandwidth_hz={band}", users(count)]
                    sets.append(f"device.deadline_s={deadline}")
                    label = f"{count}, {band / 1e6:g} MHz, {1000 * deadline:g} ms"
                    row(label, simulate(arguments.binary, "scenarios/paper.toml", sets, pair))


if __name__ == "__main__":
    main()
