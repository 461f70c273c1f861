#!/usr/bin/env python3
"""Kill the edge or a device with SIGKILL, again and again, start it anew, and check that nothing is lost.

    scripts/kill9.py target/release/enachi [--kills 200] [--devices 4] [--seed 1] [--keep DIR]

An edge and some devices run on loopback with the small network. Every second device keeps its energy account in a file of its own
(`device --queue`), the others rely on the edge's copy. Checked:

* nobody ends by itself, and nobody panics; at the end all stop with exit code 0 and the edge writes its records;
* a device that is killed costs no other device its connection, and the others go on;
* the edge's file of energy accounts never goes back, and a device never goes on below what it has written down itself, or, without
  a file of its own, below what the edge has written down;
* what an edge that is killed leaves of its records are whole lines, and some edge leaves some;
* every answer that a device takes from the edge is the one that the edge logged for that process of the device and that task.

Exits with 1 where one of these fails. Needs nothing but Python 3 and the built `enachi`.
"""

import argparse
import bisect
import datetime
import json
import pathlib
import processes
import random
import re
import shutil
import socket
import statistics
import sys
import tempfile
import time

FRAME_S = 0.2
CELL = ["--set", f"frame.length_s={FRAME_S}", "--set", f"device.deadline_s={FRAME_S}"]
PATIENCE_S = 30.0


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def accounts(path):
    """The edge's file: name -> (spent, frames)."""
    if not path.exists():
        return {}
    lines = path.read_text().splitlines()[1:-1]
    words = [line.split(" ", 3) for line in lines]
    return {name: (float(spent), int(frames)) for _, spent, frames, name in words}


class Process:
    """One place (the edge or a device) and the processes that fill it one after another."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.generation = -1
        self.starts = []
        self.process = None

    def log(self):
        return self.lab.folder / f"{self.name}-{self.generation}.log"

    def out(self):
        return self.lab.folder / f"{self.name}-{self.generation}.jsonl"

    def start(self):
        self.generation += 1
        self.starts.append(time.time())
        self.process = processes.start(self.command(), self.log(), self.out())

    def kill(self):
        if self.process.poll() is not None:
            self.lab.fail(f"{self.name}: ended by itself with {self.process.returncode}, see {self.log()}")
        self.process.kill()
        self.process.wait()

    def stop(self):
        [code] = processes.stop([self.process], PATIENCE_S)
        if code != 0:
            self.lab.fail(f"{self.name}: exit code {code} at the end, see {self.log()}")


class Edge(Process):
    def command(self):
        lab = self.lab
        return [
            lab.program, "serve", "--pki", lab.folder / "lab", "--listen", lab.address, "--queues", lab.queues,
            "--records", lab.folder / f"records-{self.generation}.parquet", "--log-json", "--verbose", *CELL,
        ]  # fmt: skip

    def wait_listening(self):
        if not processes.said(self.process, self.log(), "listening on", PATIENCE_S):
            self.lab.fail(f"edge: does not start again: {self.log().read_text()[-400:]}")

    def answers(self):
        """What this process has logged: (device, process of the device, task) -> class."""
        names, found = {}, {}
        for line in self.log().read_text().splitlines():
            if '"joined"' not in line and '"answered"' not in line:
                continue
            try:
                entry = json.loads(line)
                fields = entry["fields"]
            except json.JSONDecodeError:
                continue  # The last line of a process that was killed.
            if fields["message"] == "joined":
                names[fields["device"]] = fields["name"]
            elif fields["message"] == "answered":
                device = self.lab.named[names[fields["device"]]]
                at = datetime.datetime.fromisoformat(entry["timestamp"].replace("Z", "+00:00")).timestamp()
                generation = bisect.bisect(device.starts, at) - 1
                found[(device.name, generation, fields["task"])] = fields.get("class")
        return found


class Device(Process):
    def __init__(self, lab, index):
        super().__init__(lab, f"device-{index}")
        self.index, self.keeps = index, index % 2 == 0
        self.connections = 0
        # What the account must not fall below when this device starts again, and tasks and energy that were lost.
        self.floor = (0.0, 0)
        self.last = (0.0, 0)
        self.lost = [0, 0.0]
        self.kills = 0

    def command(self):
        lab = self.lab
        own = ["--queue", lab.folder / f"{self.name}.txt"] if self.keeps else []
        return [
            lab.program, "device", self.name, "--pki", lab.folder / "lab", "--edge", lab.address, "--json",
            "--seed", str(100 + self.index), "--first", str(5000 * self.index), *own, *CELL,
        ]  # fmt: skip

    def tasks(self):
        lines = self.out().read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def by_edge(self):
        return sum(task["by_edge"] for task in self.tasks())

    def close_book(self, at_edge):
        """A process of this device is dead: check its account from first to last line."""
        tasks = self.tasks()
        where = f"{self.name}, process {self.generation}"
        for before, after in zip(tasks, tasks[1:]):
            gained = after["frames"] - before["frames"]
            if gained < 1 or after["spent_j"] < before["spent_j"]:
                self.lab.fail(f"{where}: the account goes back after task {before['task']}")
        known = tasks if self.keeps else [task for task in tasks if task["by_edge"]]
        if known:
            first = known[0]
            if first["frames"] <= self.floor[1] or first["spent_j"] < self.floor[0]:
                self.lab.fail(f"{where}: goes on with {first['frames']} frames, was at {self.floor[1]}")
            gone = self.last[1] + 1 - first["frames"]
            # Only without a file of its own; a file may be one further than the last line.
            if gone > 0:
                self.lost[0] += gone
                self.lost[1] += max(0.0, self.last[0] - first["spent_j"])
        if tasks:
            self.last = (tasks[-1]["spent_j"], tasks[-1]["frames"])
        own = self.last if self.keeps else at_edge.get(self.name, (0.0, 0))
        self.floor = max(self.floor, own, key=lambda account: account[1])
        self.connections += self.log().read_bytes().count(b"welcome")


class Lab:
    def __init__(self, program, folder, devices):
        self.program, self.folder = str(program), folder
        self.address = f"127.0.0.1:{free_port()}"
        self.queues = folder / "queues.txt"
        self.failures = []
        names = [f"device-{index}" for index in range(devices)]
        processes.certificates(program, folder / "lab", names)
        self.edge = Edge(self, "edge")
        self.devices = [Device(self, index) for index in range(devices)]
        self.named = {device.name: device for device in self.devices}
        self.written = {}

    def fail(self, what):
        print(f"FAILED: {what}", file=sys.stderr, flush=True)
        self.failures.append(what)

    def look_at_queues(self):
        now = accounts(self.queues)
        for name, account in self.written.items():
            found = now.get(name, (0.0, 0))
            if found[0] < account[0] or found[1] < account[1]:
                self.fail(f"{self.queues}: {name} goes back from {account} to {found}")
        self.written = now

    def wait_served(self, devices):
        """Until each of `devices` has another answer of the edge; returns how long that took."""
        begun = time.monotonic()
        before = {device: device.by_edge() for device in devices}
        while time.monotonic() < begun + PATIENCE_S:
            if all(device.by_edge() > count for device, count in before.items()):
                return time.monotonic() - begun
            dead = [d for d in devices if d.process.poll() is not None]
            if dead:
                self.fail(f"{dead[0].name}: ended by itself: {dead[0].log().read_text()[-300:]}")
                return PATIENCE_S
            time.sleep(0.02)
        self.fail(f"{', '.join(d.name for d in devices)}: not all served again within 30 s")
        return PATIENCE_S


def run(args, folder):
    lab = Lab(args.program.resolve(), folder, args.devices)
    try:
        return torture(args, folder, lab)
    finally:
        for place in [lab.edge, *lab.devices]:
            if place.process and place.process.poll() is None:
                place.process.kill()


def torture(args, folder, lab):
    random.seed(args.seed)
    edge, devices = lab.edge, lab.devices
    edge.start()
    edge.wait_listening()
    for device in devices:
        device.start()
    lab.wait_served(devices)
    answers, edge_kills, double = {}, 0, 0
    recovery = {"edge": [], "device": []}
    begun = time.monotonic()
    for number in range(1, args.kills + 1):
        victim = edge if random.random() < 0.5 else random.choice(devices)
        time.sleep(random.uniform(0.0, 3 * FRAME_S))
        others = [device for device in devices if device is not victim]
        before = {device: len(device.tasks()) for device in others}
        victim.kill()
        killed = time.monotonic()
        lab.look_at_queues()
        if victim is edge:
            edge_kills += 1
            answers.update(edge.answers())
        else:
            victim.kills += 1
            victim.close_book(lab.written)
        time.sleep(random.choice([0.0, random.uniform(0.0, 0.5)]))
        victim.start()
        if victim is edge:
            edge.wait_listening()
        # Now and then the next kill does not wait for this one to heal.
        if random.random() < 0.25:
            double += 1
        else:
            served = lab.wait_served(devices if victim is edge else [victim])
            recovery["edge" if victim is edge else "device"].append(served)
            if time.monotonic() - killed > 5 * FRAME_S + 2.0:
                idle = [d.name for d, count in before.items() if len(d.tasks()) == count]
                if idle:
                    lab.fail(f"{', '.join(idle)}: stood still after {victim.name} was killed")
        if number % 20 == 0:
            rate = (time.monotonic() - begun) / number
            print(f"{number} of {args.kills} kills, {rate:.1f} s each", file=sys.stderr, flush=True)
        if len(lab.failures) >= 5:
            break
    lab.wait_served(devices)
    lab.look_at_queues()
    for device in devices:
        device.stop()
    time.sleep(0.5)
    edge.stop()
    lab.look_at_queues()
    answers.update(edge.answers())
    for device in devices:
        device.close_book(lab.written)
        spent, frames = device.last
        if lab.written.get(device.name) != (spent, frames):
            lab.fail(f"{device.name}: has {device.last}, the edge has {lab.written.get(device.name)} at the end")
        # A line that a killed device cost another would show here; each kill of the edge costs one, a restart begins with one.
        most = 1 + device.kills + edge_kills
        if device.connections > most:
            lab.fail(f"{device.name}: {device.connections} connections, {most} are explained")
    written = re.search(r"(\d+) records in", edge.log().read_text())
    if not written or int(written[1]) == 0 or not (folder / f"records-{edge.generation}.parquet").exists():
        lab.fail("edge: no records at the end")
    taken = {"checked": 0, "wrong": 0, "unlogged": 0}
    counts = {"tasks": 0, "by_edge": 0, "alone": 0, "right": 0}
    for path in sorted(folder.glob("device-*.jsonl")):
        name, generation = path.stem.rsplit("-", 1)
        for line in path.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                continue
            task = json.loads(line)
            counts["tasks"] += 1
            counts["alone"] += not task["by_edge"] and task["class"] is not None
            if not task["by_edge"]:
                continue
            counts["by_edge"] += 1
            counts["right"] += task["class"] == task["label"]
            logged = answers.get((name, int(generation), task["task"]))
            if logged is None:
                taken["unlogged"] += 1
            elif logged != task["class"]:
                taken["wrong"] += 1
                lab.fail(f"{name}: task {task['task']} was answered {logged}, the device has {task['class']}")
            else:
                taken["checked"] += 1
    # An edge may die between sending the answers of one frame and logging them.
    if taken["unlogged"] > args.devices * edge_kills:
        lab.fail(f"{taken['unlogged']} answers that the edge has not logged")
    left = 0
    for path in folder.glob("records-*.partial.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        left += len(lines)
        # Only the last may be cut, where the kill came in the middle of a write.
        for line in lines[:-1]:
            json.loads(line)
    if edge_kills > 5 and left == 0:
        lab.fail("killed edges have left no records")
    for path in folder.glob("*.log"):
        if b"panicked" in path.read_bytes():
            lab.fail(f"{path}: a panic")
    unanswered = counts["tasks"] - counts["by_edge"] - counts["alone"]
    print(f"kills             {edge_kills} of the edge, {sum(d.kills for d in devices)} of a device; {double} before the last had healed")
    print(f"tasks             {counts['tasks']}: {counts['by_edge']} answered by the edge, {counts['alone']} by the device, {unanswered} not")
    print(f"edge's answers    {taken['checked']} as logged, {taken['unlogged']} not logged, {taken['wrong']} wrong;"
          f" {100 * counts['right'] / max(1, counts['by_edge']):.1f} % right")  # fmt: skip
    for keeps in (True, False):
        some = [d for d in devices if d.keeps is keeps]
        tasks, joules = sum(d.lost[0] for d in some), sum(d.lost[1] for d in some)
        kind = "with a file      " if keeps else "without a file   "
        print(f"{kind} {tasks} tasks ({1e3 * joules:.2f} mJ) missing from accounts after {sum(d.kills for d in some)} kills")
        if keeps and tasks:
            lab.fail("a device that keeps its account has lost some of it")
    for side, times in recovery.items():
        if times:
            print(f"served again      after a kill of the {side}: median {statistics.median(times):.2f} s, longest {max(times):.2f} s"
                  " (from its restart)")  # fmt: skip
    print(f"records           {left} left by killed edges, {written[1] if written else 'none'} at the end; {len(lab.failures)} failures")
    return 1 if lab.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, help="folder for logs, which must not exist; kept")
    args = parser.parse_args()
    folder = args.keep or pathlib.Path(tempfile.mkdtemp(prefix="enachi-kill9-"))
    if args.keep:
        args.keep.mkdir(parents=True)
    try:
        code = run(args, folder)
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
