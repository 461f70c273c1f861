#!/usr/bin/env python3
"""How often the promise of a stop threshold is broken: images drawn anew from a profile's own (docs/codec.md).

    scripts/promise.py PROFILE.parquet [--draws 200] [--allowed 0.01]

For every stream with a predictor and three rules (the predictor, a fixed share of the stream, the tail's entropy): a threshold is chosen on as
many images drawn with replacement, the largest whose 95 % bound on the loss is at most `--allowed`, and in the other column the last before the
first that fails. Printed: bits saved in the mean, and the share of draws in which the loss on all images is above what was promised.
Needs pandas, pyarrow and scipy.
"""
import argparse
import functools
import json

import numpy
import pyarrow.parquet
from scipy.stats import beta

MIDDLES = (numpy.arange(400) + 0.5) / 400
THRESHOLDS = 120


@functools.cache
def kept(lost, gained, images, allowed):
    """Whether the melded bound of the loss (loss_bound.rs) is at most `allowed`."""
    gains = beta.ppf(MIDDLES, gained, images - gained + 1) if gained else numpy.zeros(1)
    return beta.cdf(allowed + gains, lost + 1, images - lost).mean() >= 0.95


def column(rows, name):
    return rows.pivot(index="image", columns="checkpoint", values=name).to_numpy()


def study(right, bits, scores, thresholds, arguments, random):
    images = numpy.arange(len(right))
    outcomes, saved = [], []
    for threshold in thresholds:
        stops = scores[:, 1:] <= threshold
        stops[:, -1] = True
        stop = stops.argmax(1) + 1
        outcomes.append(right[:, -1] - right[images, stop])
        saved.append(1 - bits[images, stop].mean() / bits[:, -1].mean())
    outcomes, saved = numpy.array(outcomes), numpy.array([*saved, 0.0])
    loss = numpy.array([*outcomes.mean(1), 0.0])
    found = {"largest": [], "first failure": []}
    for _ in range(arguments.draws):
        drawn = outcomes[:, random.integers(0, len(images), len(images))]
        counts = zip((drawn == 1).sum(1).tolist(), (drawn == -1).sum(1).tolist())
        holds = numpy.array([kept(lost, gained, len(images), arguments.allowed) for lost, gained in counts])
        found["largest"].append(numpy.flatnonzero(holds)[-1] if holds.any() else -1)
        found["first failure"].append((len(holds) if holds.all() else int(holds.argmin())) - 1)
    return [f"{100 * saved[at].mean():3.0f} % saved, {100 * (loss[at] > arguments.allowed).mean():4.1f} % broken" for at in found.values()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--allowed", type=float, default=0.01)
    arguments = parser.parse_args()
    random = numpy.random.default_rng(1)
    table = pyarrow.parquet.read_table(arguments.profile)
    cuts = json.loads(table.schema.metadata[b"enachi.profile"])["profile"]["cuts"]
    for (cut, _), rows in table.to_pandas().groupby(["cut", "stream"]):
        if rows["predicted_nats"].isna().any():
            continue
        right, bits = column(rows, "correct").astype(int), column(rows, "bits")
        rest = numpy.arange(right.shape[1])[::-1].astype(float)
        rules = {
            "predictor": column(rows, "predicted_nats"),
            "fixed share": numpy.tile(rest, (len(right), 1)),
            "tail's entropy": column(rows, "entropy_nats"),
        }
        for name, scores in rules.items():
            spread = numpy.quantile(scores[:, 1:-1], numpy.linspace(0, 1, THRESHOLDS), method="nearest")
            largest, first = study(right, bits, scores, numpy.unique(spread), arguments, random)
            print(f"{cuts[cut]['name']:12} {name:15} largest: {largest}; first failure: {first}", flush=True)


if __name__ == "__main__":
    main()
