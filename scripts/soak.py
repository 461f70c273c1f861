#!/usr/bin/env python3
"""Run an edge and many devices on loopback, and print memory, CPU time and missed deadlines as they go.

    scripts/soak.py target/release/enachi [--devices 64] [--seconds 600] [--every 30] [--set KEY=VALUE]... [--nice 10]

Devices are processes of their own (`enachi device`), and give way to the edge (`--nice`), as they share its cores here. One table row per sample: the edge's memory (RSS), that of all devices (PSS, so
that shared pages count once), the share of one core that each side took since the last row, tasks that ended, and answers that
the edge owed and did not give in time. `--set` goes to both sides. Exits with 1 if a process ends early, if the edge holds more than
300 MB, if its memory at the end is more than 5 % above that after the first quarter, if more than `--most-missed` of the tasks (none
unless told otherwise) had no answer in time, or if any task was never reported. Needs nothing but Python 3, Linux and
the built `enachi`.
"""

import argparse
import json
import os
import pathlib
import processes
import re
import shutil
import sys
import tempfile
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
MOST_MB = 300.0


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def pss_mb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"Pss:\s+(\d+)", text)[1]) / 1024


def started(process, log, what):
    """The text that matches `what` in a log that grows."""
    found = processes.said(process, log, what, 60)
    if found is None:
        raise SystemExit(f"not started: {log.read_text()[-500:]}")
    return found


def state(page):
    with urllib.request.urlopen(f"http://{page}/state", timeout=10) as answer:
        return json.load(answer)


def run(args, folder):
    program = str(args.program.resolve())
    names = [f"device-{index:02}" for index in range(args.devices)]
    lab = folder / "lab"
    processes.certificates(program, lab, names)
    cell = [word for pair in args.set for word in ("--set", pair)]
    running = []

    def distance(index):
        return 40 + 200 * index / args.devices

    def start(log, *arguments, niceness=0):
        words = ["nice", "-n", str(niceness), program, *arguments, *cell]
        process = processes.start(words, folder / log)
        running.append(process)
        return process

    try:
        edge = start(
            "edge.log", "serve", "--pki", lab, "--listen", "127.0.0.1:0", "--page", "127.0.0.1:0",
            "--devices", str(args.devices), "--queues", folder / "queues.txt",
        )  # fmt: skip
        address = started(edge, folder / "edge.log", r"listening on (\S+) ")[1]
        page = started(edge, folder / "edge.log", r"http://([^/]+)/")[1]
        devices = [
            start(
                f"{name}.log", "device", name, "--pki", lab, "--edge", address, "--seed", str(index),
                "--first", str(1000 * index), "--set", f"device.distance_m=[{distance(index)}, {distance(index)}]",
                niceness=args.nice,
            )
            for index, name in enumerate(names)
        ]  # fmt: skip
        until = time.monotonic() + 300
        while sum(d["connected"] for d in state(page)["devices"]) < args.devices:
            if time.monotonic() > until:
                raise SystemExit("not all devices are connected after 300 s")
            time.sleep(0.2)
        time.sleep(2.0)
        return watch(args, page, edge, devices)
    finally:
        processes.stop(running[::-1], 20)


def watch(args, page, edge, devices):
    def look():
        seen = state(page)
        total = {key: sum(d[key] for d in seen["devices"]) for key in ("tasks", "missed", "known", "right")}
        total |= {key: seen[key] for key in ("failed", "unreported", "frames", "answers", "latency_sum_s")}
        return total, time.monotonic(), cpu_s(edge.pid), sum(cpu_s(d.pid) for d in devices)

    heads = ["time s", "edge MB", "devices MB", "edge CPU %", "devices CPU %", "tasks/s", "missed", "unreported", "mean ms", "right %"]
    print("  ".join(f"{head:>13}" for head in heads))
    begun = time.monotonic()
    first = before = look()
    memory = []
    failed = False
    while time.monotonic() < begun + args.seconds:
        time.sleep(min(args.every, max(0.1, begun + args.seconds - time.monotonic())))
        early = [p.pid for p in [edge, *devices] if p.poll() is not None]
        if early:
            print(f"{len(early)} processes ended early", file=sys.stderr)
            return 1
        now = look()
        memory.append(rss_mb(edge.pid))
        row(now, before, begun, memory[-1], sum(pss_mb(d.pid) for d in devices))
        before = now
    print("all:")
    row(before, first, begun, max(memory), sum(pss_mb(d.pid) for d in devices))
    offered = before[0]["tasks"] + before[0]["unreported"] - first[0]["tasks"] - first[0]["unreported"]
    per_device = offered / args.devices / (before[1] - first[1])
    settled = memory[len(memory) // 4]
    growth = memory[-1] / settled - 1.0
    print(f"{per_device:.2f} tasks/s per device; the edge's memory: at most {max(memory):.0f} MB, {100 * growth:+.1f} % from the"
          " first quarter to the end")  # fmt: skip
    if max(memory) > MOST_MB or (len(memory) > 8 and growth > 0.05):
        print("FAILED: too much memory, or not flat", file=sys.stderr)
        failed = True
    ended, missed, unreported = (before[0][key] - first[0][key] for key in ("tasks", "missed", "unreported"))
    if ended == 0 or missed > args.most_missed * ended:
        print(f"FAILED: {missed} of {ended} tasks without an answer in time, at most {args.most_missed:.2%} are allowed", file=sys.stderr)
        failed = True
    if unreported:
        print(f"FAILED: {unreported} tasks never reported", file=sys.stderr)
        failed = True
    return 1 if failed else 0


def row(now, before, begun, edge_mb, devices_mb):
    span = now[1] - before[1]
    tasks, missed, known, right, unreported, answers = (
        now[0][key] - before[0][key] for key in ("tasks", "missed", "known", "right", "unreported", "answers")
    )
    latency_ms = 1e3 * (now[0]["latency_sum_s"] - before[0]["latency_sum_s"]) / max(1, answers)
    cells = [
        f"{now[1] - begun:.0f}", f"{edge_mb:.1f}", f"{devices_mb:.1f}",
        f"{100 * (now[2] - before[2]) / span:.1f}", f"{100 * (now[3] - before[3]) / span:.1f}",
        f"{tasks / span:.1f}", f"{missed} of {tasks}", f"{unreported}", f"{latency_ms:.1f}", f"{100 * right / max(1, known):.1f}",
    ]  # fmt: skip
    print("  ".join(f"{cell:>13}" for cell in cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--devices", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--every", type=float, default=30)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--most-missed", type=float, default=0.0, metavar="SHARE", help="share of tasks that may be missed, 0 to 1")
    parser.add_argument("--nice", type=int, default=10, help="niceness of the devices, which the edge would not meet on its own machine")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="enachi-soak-"))
    try:
        sys.exit(run(args, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
