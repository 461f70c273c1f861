#!/usr/bin/env python3
"""Energy queues: where they start, and V. Tables of docs/policies.md.

    scripts/queues.py start | v [--binary target/release/enachi]

`start`: accuracy and energy after the warm-up with queues that start empty and with queues that start where they settle.
`v`: enachi-max at several V, from empty queues: accuracy and energy after the warm-up, and the frames after which every
100 frames spend at most 2 % more than the budget. Needs pandas and pyarrow.
"""
import argparse
import pathlib
import tempfile

import pandas

from runs import ROOT, command, run, simulate

MEASURED, DEFAULT = "scenarios/measured.toml", "scenarios/default.toml"
POLICIES = ["enachi", "enachi-mux", "enachi-max"]
SCARCE = ["channel.bandwidth_hz=2e5", "frames=400", "warmup_frames=200", "seeds=2"]
NARROW = ["task.v=50", "channel.bandwidth_hz=12e3", "frames=1000", "warmup_frames=200", "seeds=4"]
SETTLED = "task.queue_start=\"settled\""
# Frames over which energy is averaged to tell whether a queue has settled.
BLOCK = 100


def cell(policy):
    return f"{100 * policy['accuracy_after_warmup']:.1f} %, {1000 * policy['energy_after_warmup_j']:.1f} mJ"


def head(first, columns):
    print(f"\n| {first} | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 1))


def start(binary):
    head("setting, queues start", POLICIES)
    for label, scenario, sets in [
        ("measured.toml, 12 kHz, V = 50", MEASURED, NARROW),
        ("default, 0.2 MHz", DEFAULT, SCARCE),
    ]:
        for name, more in [("empty", []), ("settled", [SETTLED])]:
            found = simulate(binary, scenario, [*sets, *more], POLICIES)
            print(f"| {label}, {name} | " + " | ".join(cell(policy) for policy in found) + " |", flush=True)


def settling(binary, scenario, sets):
    """Mean energy over budget by block of frames."""
    with tempfile.TemporaryDirectory() as out:
        run(command(binary, "simulate", scenario, sets, ["enachi-max"]) + ["--out", out, "--force"])
        frames = pandas.read_parquet(pathlib.Path(out) / "frames.parquet", columns=["frame", "energy_j"])
    return frames.groupby(frames["frame"] // BLOCK)["energy_j"].mean()


def v(binary):
    values = [5, 20, 50, 100, 200]
    head("setting", [f"V = {value}" for value in values])
    for label, scenario, sets in [
        ("default", DEFAULT, ["frames=1000", "warmup_frames=500", "seeds=2"]),
        ("default, 0.2 MHz", DEFAULT, ["channel.bandwidth_hz=2e5", "frames=1000", "warmup_frames=500", "seeds=2"]),
        ("measured.toml, 0.1 MHz", MEASURED, ["frames=1000", "warmup_frames=500", "seeds=4"]),
        ("measured.toml, 33 kHz", MEASURED, ["channel.bandwidth_hz=33e3", "frames=1000", "warmup_frames=500", "seeds=4"]),
    ]:
        cells = []
        for value in values:
            with_v = [*sets, f"task.v={value}"]
            policy = simulate(binary, scenario, with_v, ["enachi-max"])[0]
            spent = settling(binary, scenario, with_v)
            over = spent[spent > 1.02 * policy["energy_budget_j"]]
            after = BLOCK * (over.index.max() + 1) if len(over) else 0
            when = f"after {after:.0f}" if after < 1000 else "not in 1000"
            cells.append(f"{cell(policy)}, {when}")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["start", "v"])
    parser.add_argument("--binary", default=str(ROOT / "target/release/enachi"))
    arguments = parser.parse_args()
    {"start": start, "v": v}[arguments.table](arguments.binary)


if __name__ == "__main__":
    main()
