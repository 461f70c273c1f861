#!/usr/bin/env python3
"""Load the live page of a running demonstration in headless Chromium, check what it shows, and take screenshots.

    scripts/live_page.py target/release/enachi [--chromium PATH] [--out DIR]

Checked in the page's own document, after its script has run: every device with tasks, its queue against its budget, the histogram of
latencies whose bars add up to the answers, and a line of the packet timeline per device. Screenshots are taken in light, dark and at
a phone's width; each must differ from an empty page. Exits with 1 where something is missing, with 2 where there is no Chromium. Needs
Python 3 and Chromium (`apt-get install chromium`).
"""

import argparse
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

SECONDS = 600
DEVICES = 5


class Page(html.parser.HTMLParser):
    """Texts and shapes below the elements with an `id`."""

    VOID = {"meta", "br", "link", "img", "input", "hr"}

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.shapes = [], {}, {}
        self.feed(text)

    def ids(self):
        return [name for _, name in self.open if name]

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        for name in self.ids():
            self.shapes.setdefault(name, []).append((tag, attributes))
        if tag not in self.VOID:
            self.open.append((tag, attributes.get("id")))

    def handle_endtag(self, tag):
        while self.open and self.open[-1][0] != tag:
            self.open.pop()
        if self.open:
            self.open.pop()

    def handle_data(self, data):
        for name in self.ids():
            self.texts.setdefault(name, []).append(data)

    def words(self, name):
        return [text.strip() for text in self.texts.get(name, []) if text.strip()]

    def count(self, name, tag):
        return sum(found == tag for found, _ in self.shapes.get(name, []))


def chromium(args, folder, url, *options):
    words = [
        args.chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=3000",
        f"--user-data-dir={folder / 'browser'}", *options, url,
    ]  # fmt: skip
    return subprocess.run(words, capture_output=True, text=True, timeout=180, check=True).stdout


def check(text, state):
    """What is missing."""
    page = Page(text)
    missing = []

    def want(holds, what):
        if not holds:
            missing.append(what)

    heads = ["device", "tasks", "mJ per task, of budget", "queue mJ", "last cut"]
    table = page.words("devices")
    want(all(head in table for head in heads), f"headings {heads} in the table of devices")
    names = [device["name"] for device in state["devices"]]
    want(len(names) == DEVICES and all(name in table for name in names), f"devices {names} in the table")
    want(page.count("devices", "tr") == DEVICES + 1, "a row per device")
    bars = [a for tag, a in page.shapes.get("devices", []) if tag == "span" and "width" in a.get("style", "")]
    want(len(bars) == DEVICES, "a bar of the spent budget per device")
    want(any("connected" in word and "tasks" in word for word in page.words("totals")), "the line of totals")
    want(not page.words("error"), f"no error, but {page.words('error')}")
    cuts = [cut for cut in state["cuts"]]
    want(all(any(cut in word for word in page.words("legend")) for cut in cuts), "every cut in the legend")
    counts = [int(word) for word in page.words("latency") if re.fullmatch(r"\d+", word)]
    want(page.count("latency", "rect") == len(state["latency"]), "a bar per bin of latency")
    want(0 < sum(counts) <= state["answers"], "counts over the bars of latency")
    lines = page.words("timeline")
    want(all(any(word.startswith(f"{name} #") for word in lines) for name in names), "a packet timeline per device")
    want(page.count("timeline", "rect") > 3 * DEVICES, "packets in the timeline")
    want(page.count("timeline", "circle") == DEVICES and page.count("timeline", "line") == DEVICES, "batches and answers in the timeline")
    return missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"))
    parser.add_argument("--out", type=pathlib.Path, help="folder for the screenshots; without it they are thrown away")
    args = parser.parse_args()
    if not args.chromium:
        print("no Chromium: apt-get install chromium, or --chromium PATH", file=sys.stderr)
        sys.exit(2)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="enachi-page-"))
    out = args.out or folder
    out.mkdir(parents=True, exist_ok=True)
    demo = subprocess.Popen(
        [args.program.resolve(), "demo", "--devices", str(DEVICES), "--seconds", str(SECONDS)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        url = next(match[1] for line in demo.stdout if (match := re.search(r"live page: (\S+)", line)))
        time.sleep(8)
        text = chromium(args, folder, url, "--dump-dom")
        with urllib.request.urlopen(f"{url}state", timeout=10) as answer:
            state = json.load(answer)
        missing = check(text, state)
        looks = {
            "light": ["--window-size=1200,900", "--blink-settings=preferredColorScheme=1"],
            "dark": ["--window-size=1200,900", "--blink-settings=preferredColorScheme=0"],
            "phone": ["--window-size=500,1000"],
        }
        sizes = {}
        for look, options in looks.items():
            picture = out / f"live-{look}.png"
            chromium(args, folder, url, f"--screenshot={picture}", *options)
            sizes[look] = picture.stat().st_size if picture.exists() else 0
            if sizes[look] < 20_000:
                missing.append(f"a screenshot of the {look} page ({sizes[look]} bytes)")
        metrics = urllib.request.urlopen(f"{url}metrics", timeout=10).read().decode()
        if f"enachi_devices_connected {DEVICES}" not in metrics:
            missing.append("all devices in /metrics")
    finally:
        demo.terminate()
        demo.communicate(timeout=30)
        if not args.out:
            shutil.rmtree(folder, ignore_errors=True)
    for what in missing:
        print(f"missing: {what}", file=sys.stderr)
    if demo.returncode != 0:
        print(f"the demonstration ended with {demo.returncode}", file=sys.stderr)
    print(f"{DEVICES} devices, {state['answers']} answers; screenshots {sizes}")
    sys.exit(1 if missing or demo.returncode else 0)


if __name__ == "__main__":
    main()
