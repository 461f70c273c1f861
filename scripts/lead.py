#!/usr/bin/env python3
"""Where the lead comes from, and where it ends: tables of docs/lead.md.

    scripts/lead.py [ladder] [settings] [least] [--quick] [--binary target/release/enachi]

Without a name, all three. `ladder`: from the picture at equal shares to `enachi-max` one step at a time, each paired with the step before
it. `settings`: every policy on a thirtieth and a tenth of the paper's band, with and without the
picture, with and without a modem's ceiling. `least`: the smallest band that still holds the paper's accuracy. Accuracy and energy
are those after the warm-up, intervals and paired differences those of the whole run. `--quick` takes a fifth of the frames.
"""
import argparse
import json

from runs import ROOT, command, run, simulate, users

MEASURED = "scenarios/measured.toml"
# What each step adds to the one before.
LADDER = [
    ("jpeg-equal-share", "the picture, equal shares"),
    ("best-static-cut", "feature codec"),
    ("enachi+stop-never", "joint planning"),
    ("enachi", "stopping"),
    ("enachi-mux", "multiplexing"),
    ("enachi-max", "stopping-aware plans"),
]
POLICIES = [name for name, _ in reversed(LADDER)]
HIDDEN = "profile.forbid_input=true"
CAPPED = "channel.max_spectral_efficiency=7.4"


def spread(count):
    """As many users, a fifth four times as near and a fifth five times as weak as the rest."""
    fifth = count // 5
    groups = [(fifth, 6e-11), (count - 2 * fifth, 1.5e-11), (fifth, 3e-12)]
    return "devices=[" + ",".join(f"{{count={n},mean_gain={g}}}" for n, g in groups) + "]"


def points(policy):
    low, high = (100 * policy[f"accuracy_difference_{end}"] for end in ("low", "high"))
    return f"{100 * policy['accuracy_difference']:+.1f} [{low:+.1f}, {high:+.1f}]"


def figures(policy):
    return f"{100 * policy['accuracy_after_warmup']:.1f} %, {1000 * policy['energy_after_warmup_j']:.0f} mJ"


def ladder(binary, frames):
    print("\n| setting | " + " | ".join(f"`{name}`: {what}" for name, what in LADDER) + " |")
    print("|" + "---|" * (len(LADDER) + 1))
    crowd = [*frames(400, 200, 2), "channel.bandwidth_hz=0.667e6"]
    for label, scenario, sets in [
        ("default: 8 cameras, near and far, MobileNetV2", "scenarios/default.toml", frames(400, 200, 4)),
        ("the same, 0.2 MHz", "scenarios/default.toml", [*frames(400, 200, 4), "channel.bandwidth_hz=2e5"]),
        ("ResNet-50, 25 alike, 0.67 MHz, 300 ms", MEASURED, [*crowd, users(25)]),
        ("ResNet-50, 25 near and far, 0.67 MHz, 300 ms", MEASURED, [*crowd, spread(25)]),
        ("the same, no picture", MEASURED, [*crowd, spread(25), HIDDEN]),
        ("the same, 0.25 MHz", MEASURED, [*crowd, spread(25), HIDDEN, "channel.bandwidth_hz=0.25e6"]),
    ]:
        cells = [figures(simulate(binary, scenario, sets, [LADDER[0][0]])[0])]
        for (before, _), (name, _) in zip(LADDER, LADDER[1:]):
            step = simulate(binary, scenario, sets, [before, name])[1]
            cells.append(f"{figures(step)}, {points(step)}")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def settings(binary, frames):
    print("\n| setting | " + " | ".join(POLICIES) + " |")
    print("|" + "---|" * (len(POLICIES) + 1))
    one, many = frames(1000, 200, 10), frames(1000, 200, 1)
    for label, sets in [
        ("1 user, 0.1 MHz, 100 ms", [*one, "channel.bandwidth_hz=1e5", "device.deadline_s=0.1"]),
        ("1 user, 33 kHz, 300 ms", [*one, "channel.bandwidth_hz=33e3"]),
        ("750 users, 20 MHz, 300 ms", [*many, "channel.bandwidth_hz=20e6", users(750)]),
        ("1 user, 0.3 MHz, 100 ms, no picture", [*one, "channel.bandwidth_hz=3e5", "device.deadline_s=0.1", HIDDEN]),
        ("1 user, 0.1 MHz, 300 ms, no picture", [*one, "channel.bandwidth_hz=1e5", HIDDEN]),
        ("250 users, 20 MHz, no picture", [*many, "channel.bandwidth_hz=20e6", users(250), HIDDEN]),
        ("1 user, 0.1 MHz, 100 ms, at most 7.4 bit/s/Hz", [*one, "channel.bandwidth_hz=1e5", "device.deadline_s=0.1", CAPPED]),
        ("1 user, 33 kHz, 300 ms, at most 7.4", [*one, "channel.bandwidth_hz=33e3", CAPPED]),
        ("1 user, 0.1 MHz, 300 ms, no picture, at most 7.4", [*one, "channel.bandwidth_hz=1e5", HIDDEN, CAPPED]),
    ]:
        found = simulate(binary, MEASURED, sets, POLICIES)
        low, high = (100 * found[0][f"accuracy_{end}"] for end in ("low", "high"))
        cells = [f"{figures(found[0])}, [{low:.1f}, {high:.1f}]"] + [f"{figures(p)}, {points(p)}" for p in found[1:]]
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def least(binary, frames):
    print("\n| accuracy to hold | " + " | ".join(POLICIES) + " |")
    print("|" + "---|" * (len(POLICIES) + 1))
    one = frames(1000, 200, 10)
    crowd = frames(400, 200, 3)
    for label, accuracy, low, sets in [
        ("72.5 % in 100 ms, 1 user", 0.725, 1e4, [*one, "device.deadline_s=0.1"]),
        ("76 % in 300 ms, 1 user", 0.76, 4e3, one),
        ("70 % in 300 ms, 1 user", 0.70, 4e3, one),
        ("70 % in 300 ms, 1 user, no picture", 0.70, 4e3, [*one, HIDDEN]),
        ("70 % in 300 ms, 1 user, at most 7.4 bit/s/Hz", 0.70, 4e3, [*one, CAPPED]),
        ("70 % in 300 ms, 25 users near and far", 0.70, 5e4, [*crowd, spread(25)]),
        ("70 % in 300 ms, 25 near and far, no picture", 0.70, 5e4, [*crowd, spread(25), HIDDEN]),
    ]:
        line = command(binary, "least", MEASURED, sets, POLICIES)
        line += ["--key", "channel.bandwidth_hz", "--from", str(low), "--to", str(100 * low)]
        rows = json.loads(run([*line, "--accuracy", str(accuracy), "--format", "json"]))
        cells = []
        for row in rows:
            if "value" not in row:
                cells.append(f"not with {100 * low / 1e3:.0f} kHz ({100 * row['accuracy_after_warmup']:.1f} %)")
            else:
                below = "at most " if row["at_low_end"] else ""
                cells.append(f"{below}{row['value'] / 1e3:.1f} kHz")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = {"ladder": ladder, "settings": settings, "least": least}
    parser.add_argument("tables", nargs="*", choices=[*tables, []], default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--binary", default=str(ROOT / "target/release/enachi"))
    arguments = parser.parse_args()
    share = 5 if arguments.quick else 1

    def frames(count, warmup, seeds):
        return [f"frames={count // share}", f"warmup_frames={warmup // share}", f"seeds={seeds}"]

    for name in arguments.tables or tables:
        tables[name](arguments.binary, frames)


if __name__ == "__main__":
    main()
