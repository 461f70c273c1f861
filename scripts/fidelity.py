#!/usr/bin/env python3
"""Run one row of docs/fidelity.md and print it as a Markdown table.

    scripts/fidelity.py ROW [--enachi BINARY] [--seeds N] [--frames N]

ROW is one of: deadline, bandwidth, users, v, power-law, stop. Needs nothing but Python 3 and the built `enachi`.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINES = ["effect-dnn", "sc-cao"]
SPLITS = [f"progressive-ftx@L{i}+stop-entropy" for i in range(1, 5)]
OURS = ["enachi", "enachi+stop-entropy"]

# Row: (heading of the first column, policies, [(label, overrides)])
ROWS = {
    "deadline": (
        "deadline at 3 MHz",
        OURS + SPLITS + BASELINES,
        [(f"{t} ms", {"device.deadline_s": t / 1000}) for t in (100, 150, 200, 250, 300)],
    ),
    "bandwidth": (
        "band at 300 ms",
        OURS + SPLITS + BASELINES + ["edge-only"],
        [(f"{b} MHz", {"channel.bandwidth_hz": b * 1e6}) for b in (1, 2, 3, 4, 5, 6)],
    ),
    "users": (
        "users in 20 MHz",
        OURS + BASELINES,
        [
            (f"{n}", {"channel.bandwidth_hz": 20e6, "devices.0.count": n})
            for n in (5, 10, 15, 20, 25)
        ],
    ),
    "v": (
        "V at 3 MHz, 200 ms",
        OURS,
        [
            (f"{v}", {"task.v": v, "device.deadline_s": 0.2})
            for v in (0.3, 1, 3, 10, 30, 50, 100, 300, 1000)
        ],
    ),
    "power-law": (
        "deadline at 1 MHz",
        [
            f"enachi+{law}"
            for law in (
                "reference-tracking",
                "paper-tracking",
                "printed",
                "constant",
                "water-filling",
            )
        ],
        [
            (f"{t} ms", {"channel.bandwidth_hz": 1e6, "device.deadline_s": t / 1000})
            for t in (100, 200, 300)
        ],
    ),
    "stop": (
        "H_th, error of the predictor (3 MHz, 300 ms)",
        ["enachi+stop-entropy"],
        [
            (
                f"{h}, {n} nat",
                {"packet.entropy_threshold_nats": h, "predictor.noise_nats": n},
            )
            for h in (0, 0.02, 0.1, 0.3)
            for n in (0, 0.02, 0.2)
        ],
    ),
}


def run(args, overrides, policies):
    """Summary of one run, by policy."""
    with tempfile.TemporaryDirectory() as folder:
        command = [args.enachi, "simulate", str(ROOT / "scenarios/paper.toml")]
        command += ["--format", "json", "--out", str(pathlib.Path(folder) / "run")]
        command += ["--set", f"seeds={args.seeds}", "--set", f"frames={args.frames}"]
        for key, value in overrides.items():
            command += ["--set", f"{key}={value}"]
        for policy in policies:
            command += ["--policy", policy]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return {p["policy"]: p for p in json.loads(done.stdout)["policies"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("row", choices=sorted(ROWS))
    parser.add_argument("--enachi", default=str(ROOT / "target/release/enachi"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--frames", type=int, default=1000)
    args = parser.parse_args()
    heading, policies, points = ROWS[args.row]
    print(f"| {heading} | " + " | ".join(policies) + " |")
    print("|---" * (len(policies) + 1) + "|")
    for label, overrides in points:
        summary = run(args, overrides, policies)
        cells = []
        for policy in policies:
            p = summary[policy]
            half = (p["accuracy_high"] - p["accuracy_low"]) / 2
            cells.append(
                f"{p['accuracy'] * 100:.1f} ± {half * 100:.1f} %, {p['energy_after_warmup_j']:.3f} J"
            )
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
