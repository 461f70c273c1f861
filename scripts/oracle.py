#!/usr/bin/env python3
"""Policies against the upper bounds, and what computing them takes: tables of docs/oracle.md.

    scripts/oracle.py [default] [measured] [paper] [users] [--binary target/release/enachi]

Without a name, all four. One table each; the line below it is the processor time of the whole run and of the same run without the bounds.
"""
import argparse
import json
import os
import pathlib
import tempfile

from runs import ROOT, command, run, users

RIGHT = ["predictor.noise_nats=0", "packet.entropy_threshold_nats=1e-9", 'packet.stop="entropy"']
PAPER = ["enachi", "enachi-mux", "enachi-max"]
TABLES = {
    "default": ("scenarios/default.toml", [], []),
    "measured": ("scenarios/measured.toml", ["frames=200", "warmup_frames=50", "seeds=2"], []),
    "paper": (
        "scenarios/paper.toml",
        ["frames=300", "warmup_frames=50", "seeds=3"],
        [*PAPER, "progressive-ftx@L2", "effect-dnn", "sc-cao", "best-static-cut", "min-energy-split"],
    ),
    "users": (
        "scenarios/paper.toml",
        ["frames=60", "warmup_frames=10", "seeds=2", "channel.bandwidth_hz=20e6", users(60), *RIGHT],
        PAPER,
    ),
}


def seconds(line):
    """Processor time of a run in seconds."""
    before = os.times()
    run(line)
    after = os.times()
    return after.children_user - before.children_user


def row(policy):
    oracle = policy["oracle"]
    shares = [oracle[key] for key in ("bound", "share", "kept", "uncertain_bound", "uncertain_share")]
    cells = [policy["policy"], f"{100 * oracle['accuracy']:.1f}", f"{policy['energy_j']:.3f}"]
    print("| " + " | ".join(cells + [f"{100 * share:.1f}" for share in shares]) + " |")


def table(binary, name):
    scenario, sets, policies = TABLES[name]
    print(f"\n{name}\n\n| policy | accuracy % | J | oracle % | share % | kept % | blind % | share % |")
    print("|" + "---|" * 8)
    with tempfile.TemporaryDirectory() as out:
        line = command(binary, "simulate", scenario, sets, policies) + ["--out", out, "--force"]
        without = seconds(line)
        took = seconds([*line, "--oracle"])
        summary = json.loads((pathlib.Path(out) / "summary.json").read_text())
    for policy in summary["policies"]:
        row(policy)
    print(f"\n{took:.0f} s of processor time, {without:.0f} s without the bounds", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], default=[])
    parser.add_argument("--binary", default=str(ROOT / "target/release/enachi"))
    arguments = parser.parse_args()
    for name in arguments.tables or TABLES:
        table(arguments.binary, name)


if __name__ == "__main__":
    main()
