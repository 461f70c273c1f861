#!/usr/bin/env python3
"""Answers of a live edge beside those of the profile, image by image, at the same cut and the same chunks.

    scripts/paired_live.py target/release/enachi --model resnet50.onnx --profile resnet50.parquet \\
        --tables resnet50.tables.safetensors --list resnet50.images.csv --images DIR --cut layer2.0 [--count 200]
        [--preprocess imagenet] [--band-hz 4e5 --band-hz 4e6]

`enachi serve` and `enachi device` run on loopback as two processes; the device sends the measured images of the profile. An answer that
used more chunks than one checkpoint of the profile and fewer than the next is compared with both, weighted by how far it is from each.
Exits with 1 if the difference is more than a point. Needs Python 3 with pyarrow, and the built `enachi`.
"""

import argparse
import csv
import json
import math
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pyarrow.parquet as parquet

ROW = ["cut", "stream", "image", "checkpoint", "chunks", "correct", "top1"]


def measured(args):
    """Image -> its checkpoints at the cut: (chunks, correct, top1)."""
    found = parquet.read_schema(args.profile).metadata[b"enachi.profile"]
    cuts = [cut["name"] for cut in json.loads(found)["profile"]["cuts"]]
    table = parquet.read_table(args.profile, columns=ROW).to_pydict()
    images = {}
    for cut, stream, image, _, chunks, correct, top1 in zip(*(table[name] for name in ROW)):
        if cut == cuts.index(args.cut) and stream == 0:
            images.setdefault(image, []).append((chunks, correct, top1))
    return {image: sorted(points) for image, points in images.items()}


def run(args, band_hz, folder, images):
    program = str(args.program.resolve())
    network = ["--model", args.model, "--profile", args.profile, "--tables", args.tables]
    cell = {
        "policies": '["enachi+stop-never"]', "profile.candidates": f'["{args.cut}"]', "profile.forbid_local": "true",
        "frame.length_s": args.deadline, "device.deadline_s": args.deadline, "channel.bandwidth_hz": band_hz,
        "device.frequency_hz": "20e9", "device.capacitance_w_per_hz3": "1e-33", "device.energy_budget_j": "10",
        "device.power_max_w": "0.2",
    }  # fmt: skip
    words = [word for key, value in cell.items() for word in ("--set", f"{key}={value}")]
    log = open(folder / "edge.log", "w+")
    edge = subprocess.Popen(
        [program, "serve", "--pki", folder / "lab", "--listen", "127.0.0.1:0", "--no-barrier", "--devices", "1", *network, *words],
        stdin=subprocess.DEVNULL, stderr=log,
    )  # fmt: skip
    try:
        until = time.monotonic() + 600
        while not (address := re.search(r"listening on (\S+) ", pathlib.Path(log.name).read_text())):
            if edge.poll() is not None or time.monotonic() > until:
                raise SystemExit(pathlib.Path(log.name).read_text()[-500:])
            time.sleep(0.2)
        device = subprocess.run(
            [program, "device", "camera", "--pki", folder / "lab", "--edge", address[1], "--list", images, "--json",
             "--preprocess", args.preprocess, "--must-connect", *network, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if device.returncode:
            raise SystemExit(device.stderr[-800:])
        return [json.loads(line) for line in device.stdout.splitlines()]
    finally:
        edge.send_signal(signal.SIGINT)
        edge.wait(20)


def compare(tasks, profile):
    """Live and profile, right or wrong, of the tasks that the edge has answered, and how many answers are the same class."""
    pairs, same, exact = [], 0, 0
    for index, task in enumerate(tasks):
        if not task["by_edge"]:
            continue
        points = profile[index]
        above = next((i for i, point in enumerate(points) if point[0] >= task["chunks"]), len(points) - 1)
        below = above if points[above][0] <= task["chunks"] else max(0, above - 1)
        gap = points[above][0] - points[below][0]
        share = (task["chunks"] - points[below][0]) / gap if gap else 0.0
        expected = (1 - share) * points[below][1] + share * points[above][1]
        pairs.append((task["class"] == task["label"], expected))
        if below == above:
            exact += 1
            same += task["class"] == points[above][2]
    return pairs, same, exact


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    for name in ("model", "profile", "tables", "list", "cut"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--preprocess", default="imagenet")
    parser.add_argument("--deadline", type=float, default=2.0)
    parser.add_argument("--band-hz", type=float, action="append")
    args = parser.parse_args()
    profile = measured(args)
    with open(args.list, newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["list"] == "measured"]
    count = min(args.count, len(rows), len(profile))
    failed = False
    for band_hz in args.band_hz or [4e5, 4e6]:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="enachi-paired-"))
        try:
            for words in (["init", folder / "lab"], ["admit", folder / "lab", "camera"]):
                subprocess.run([args.program, "pki", *words], check=True, stdout=subprocess.DEVNULL)
            images = folder / "images.csv"
            images.write_text("".join(f"{args.images.resolve() / row['file']},{row['label']}\n" for row in rows[:count]))
            begun = time.monotonic()
            tasks = run(args, band_hz, folder, images)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        pairs, same, exact = compare(tasks, profile)
        if not pairs:
            print(f"{band_hz / 1e6:g} MHz: no answer came from the edge", file=sys.stderr)
            failed = True
            continue
        differences = [live - expected for live, expected in pairs]
        mean = sum(differences) / len(differences)
        error = math.sqrt(sum((d - mean) ** 2 for d in differences)) / len(differences)
        live, known = (100 * sum(pair[i] for pair in pairs) / len(pairs) for i in (0, 1))
        kbit = sum(task["bits"] for task in tasks if task["by_edge"]) / len(pairs) / 1e3
        print(
            f"{args.cut} at {band_hz / 1e6:g} MHz: {len(pairs)} of {len(tasks)} images answered by the edge, {kbit:.1f} kbit each,"
            f" {(time.monotonic() - begun) / len(tasks):.2f} s each; right live {live:.2f} %, profile {known:.2f} %,"
            f" difference {100 * mean:+.2f} ± {100 * error:.2f} points; {same} of {exact} at a checkpoint are the same class"
        )
        failed |= abs(mean) > 0.01
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
