#!/usr/bin/env python3
"""Find the best parameters of the baselines by grid search, on seeds that no report uses.

usage: scripts/tune_baselines.py ENACHI SCENARIO.toml [KEY=VALUE ...]

For each baseline prints the best accuracy within the energy allowance (+2 %) of every group of devices after warm-up, and the best at any
energy, with the parameters that give it; last what the group that spends most spends of its allowance. `KEY=VALUE` pairs are passed on as `--set`.
"""
import itertools
import json
import subprocess
import sys
import tempfile

MARGIN = [0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9]
GRIDS = {
    "effect-dnn": {
        "baselines.effect_dnn.energy_weight": [0.1, 1, 10, 100],
        "baselines.effect_dnn.latency_target": [0.5, 0.7, 0.9, 1.0],
    },
    "sc-cao": {
        "baselines.sc_cao.accuracy_target": [0.70, 0.72, 0.74, 0.75, 0.76, 0.77, 0.78, 0.79, 0.80],
        "baselines.sc_cao.gain_margin": MARGIN,
    },
    "min-energy-split": {"baselines.min_energy_split.gain_margin": MARGIN},
    "jpeg-equal-share": {
        "baselines.equal_share.gain_margin": MARGIN,
        "baselines.equal_share.budget_fraction": [0.5, 0.7, 0.85, 1.0],
    },
    "best-static-cut": {
        "baselines.equal_share.gain_margin": MARGIN,
        "baselines.equal_share.budget_fraction": [0.5, 0.7, 0.85, 1.0],
    },
}


def run(enachi, scenario, policy, settings):
    sets = [part for item in settings for part in ("--set", item)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [enachi, "simulate", scenario, "--policy", policy, "--format", "json", "--out", folder + "/run",
             "--set", "seed=9001", "--set", "output.bootstrap_replicates=100", *sets],
            capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)["policies"][0]


def main():
    enachi, scenario, *extra = sys.argv[1:]
    for policy, grid in GRIDS.items():
        tried = []
        for values in itertools.product(*grid.values()):
            settings = [f"{key}={value}" for key, value in zip(grid, values)]
            result = run(enachi, scenario, policy, extra + settings)
            groups = result["groups"] or [result]
            most = max(group["energy_after_warmup_j"] / group["energy_budget_j"] for group in groups)
            tried.append((result["accuracy"], result["energy_after_warmup_j"], most, settings))
        for name, keep in [("within the allowance", lambda t: t[2] <= 1.02), ("at any energy", lambda t: True)]:
            best = max(filter(keep, tried), default=None, key=lambda t: (round(t[0], 4), -t[1]))
            if best:
                print(f"{policy:18} {name:22} {100 * best[0]:5.1f} % {1e3 * best[1]:7.1f} mJ  {' '.join(best[3])}  ({100 * best[2]:.0f} %)", flush=True)
            else:
                print(f"{policy:18} {name:22} never", flush=True)


if __name__ == "__main__":
    main()
