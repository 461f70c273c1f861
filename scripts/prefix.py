#!/usr/bin/env python3
"""A prefix of the default stream beside a codec tuned for that rate, paired by image (docs/codec.md).

    scripts/prefix.py DEFAULT.parquet TUNED.parquet...

Profiles of the same network and images; a tuned one is made with `enachi profile --max-divergence D`, D well above the default. For each
cut that both have: accuracy of the tuned feature stream as a whole, of the default's prefix with as many bits in the mean (between
two checkpoints: both, mixed), and the difference in points with its 95 % interval (bootstrap over images). Needs pandas and pyarrow.
"""
import json
import sys

import numpy
import pyarrow.parquet

REPLICATES = 4000


def load(path):
    table = pyarrow.parquet.read_table(path)
    cuts = json.loads(table.schema.metadata[b"enachi.profile"])["profile"]["cuts"]
    return table.to_pandas(), [cut["name"] for cut in cuts]


def grid(rows, cut, column):
    """Images by checkpoints, of the cut's first stream."""
    own = rows[(rows["cut"] == cut) & (rows["stream"] == 0)]
    return own.pivot(index="image", columns="checkpoint", values=column).sort_index()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    default, default_cuts = load(sys.argv[1])
    random = numpy.random.default_rng(1)
    print("| tuned profile | cut | kbit | tuned, whole | default, prefix | difference, points |")
    print("|---|---|---|---|---|---|")
    for path in sys.argv[2:]:
        tuned, tuned_cuts = load(path)
        for index, name in enumerate(tuned_cuts[1:-1], start=1):
            if name not in default_cuts:
                continue
            bits, right = (grid(tuned, index, column) for column in ("bits", "correct"))
            of = default_cuts.index(name)
            all_bits, all_right = (grid(default, of, column) for column in ("bits", "correct"))
            if not right.index.equals(all_right.index):
                sys.exit(f"{path}: other images than {sys.argv[1]}")
            mean, steps = bits.iloc[:, -1].mean(), all_bits.mean().to_numpy()
            k = min(int(numpy.searchsorted(steps, mean, side="right")), len(steps) - 1)
            share = min((mean - steps[k - 1]) / (steps[k] - steps[k - 1]), 1.0)
            values = all_right.to_numpy(dtype=float)
            prefix = (1 - share) * values[:, k - 1] + share * values[:, k]
            whole = right.iloc[:, -1].to_numpy(dtype=float)
            difference = prefix - whole
            drawn = [random.choice(difference, len(difference)).mean() for _ in range(REPLICATES)]
            low, high = 100 * numpy.quantile(drawn, [0.025, 0.975])
            print(
                f"| {path} | {name} | {mean / 1e3:.2f} | {100 * whole.mean():.1f} % | {100 * prefix.mean():.1f} % "
                f"| {100 * difference.mean():+.1f} [{low:+.1f}, {high:+.1f}] |"
            )


if __name__ == "__main__":
    main()
