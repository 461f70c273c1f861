#!/usr/bin/env python3
"""Compare `enachi plan` with a CVXPY model of the same frame with the cuts fixed.

With the cuts fixed and concave curves the task-level problem is convex (an exponential-cone program: the bits carried,
w*T*log2(1 + h*p/(N0*w)), are a perspective). CVXPY gets the cuts that `enachi plan` chose, so both must agree on the
objective; with any other cuts CVXPY must not do better than the upper bound.

    pip install cvxpy
    cargo build --release -p enachi
    python scripts/compare_cvxpy.py [--binary target/release/enachi] [--devices 5 10 25] [--problems 5]
"""

import argparse
import json
import math
import random
import subprocess
import time

import cvxpy as cp
import numpy as np


def random_problem(rng: random.Random, devices: int, cuts: int, points: int) -> dict:
    """A frame with concave, saturating curves."""

    def curve():
        total = 10 ** rng.uniform(4.5, 6.5)
        low, high, knee = rng.uniform(0, 0.1), rng.uniform(0.5, 0.9), rng.uniform(0.05, 0.4) * total
        bits = [total * (i / (points - 1)) ** 2 for i in range(points)]
        return bits, [low + (high - low) * (1 - math.exp(-b / knee)) for b in bits]

    curves = [curve() for _ in range(cuts)]
    return {
        "bandwidth_hz": devices * 10 ** rng.uniform(5, 6),
        "noise_psd_w_per_hz": 3.3e-20,
        "v": 50.0,
        "power_max_w": 2.0,
        "devices": [
            {
                "energy_queue_j": 10 ** rng.uniform(-0.5, 2),
                "gain": 10 ** rng.uniform(-12, -10.5),
                "cuts": [
                    {
                        "name": f"cut{c}",
                        "transmit_time_s": rng.uniform(0.05, 0.28),
                        "local_energy_j": rng.uniform(0, 0.15),
                        "bits": bits,
                        "accuracy": accuracy,
                    }
                    for c, (bits, accuracy) in enumerate(curves)
                ],
            }
            for _ in range(devices)
        ],
    }


def solve_cvxpy(problem: dict, choice: list[dict]) -> tuple[float, float] | None:
    """Objective and seconds with one cut per device. Inside, a unit of band is an equal share, a unit of bits is the
    whole curve of the device, and the objective is in units of v. None where the cone
    solver gives up."""
    n = len(choice)
    w, s, b, a = (cp.Variable(n, nonneg=True) for _ in range(4))
    noise, v = problem["noise_psd_w_per_hz"], problem["v"]
    share = problem["bandwidth_hz"] / n
    constraints = [cp.sum(w) <= n]
    objective, constant = 0, 0.0
    for i, (device, cut) in enumerate(zip(problem["devices"], choice)):
        seconds, queue, total = cut["transmit_time_s"], device["energy_queue_j"], cut["bits"][-1]
        # s = h*p/N0 in shares, so w*log2(1 + h*p/(N0*w)) = -rel_entr(w, w + s)/ln 2.
        watt = noise * share / device["gain"]
        constraints += [
            b[i] * (total * math.log(2) / (seconds * share)) <= -cp.rel_entr(w[i], w[i] + s[i]),
            s[i] <= problem["power_max_w"] / watt,
            b[i] <= 1,
        ]
        bits, accuracy = np.array(cut["bits"]) / total, np.array(cut["accuracy"])
        slope = np.diff(accuracy) / np.diff(bits)
        constraints.append(a[i] <= accuracy[:-1] + cp.multiply(slope, b[i] - bits[:-1]))
        objective += a[i] - queue * seconds * watt / v * s[i]
        constant -= queue * cut["local_energy_j"]
    model = cp.Problem(cp.Maximize(objective), constraints)
    start = time.perf_counter()
    try:
        model.solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return None
    return v * model.value + constant, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/enachi")
    parser.add_argument("--devices", type=int, nargs="+", default=[5, 10, 25])
    parser.add_argument("--problems", type=int, default=5)
    parser.add_argument("--points", type=int, default=33)
    args = parser.parse_args()
    rng = random.Random(1)
    print(f"cvxpy {cp.__version__}, Clarabel; objectives relative to |enachi's|")
    print("devices  solved      same cuts: cvxpy - enachi        random cuts: cvxpy - bound  cvxpy [ms]")
    for devices in args.devices:
        same, other, seconds = [], [], []
        for _ in range(args.problems):
            problem = random_problem(rng, devices, 5, args.points)
            answer = json.loads(
                subprocess.run(
                    [args.binary, "plan", "--input", "-"],
                    input=json.dumps(problem),
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            scale = abs(answer["objective"])
            by_name = [{cut["name"]: cut for cut in d["cuts"]} for d in problem["devices"]]
            chosen = [cuts[grant["cut"]] for cuts, grant in zip(by_name, answer["grants"])]
            if solved := solve_cvxpy(problem, chosen):
                same.append((solved[0] - answer["objective"]) / scale)
                seconds.append(solved[1])
            if solved := solve_cvxpy(problem, [rng.choice(d["cuts"]) for d in problem["devices"]]):
                other.append((solved[0] - answer["upper_bound"]) / scale)
        if not same or not other:
            print(f"{devices:>7}  the cone solver gave up on all problems")
            continue
        print(
            f"{devices:>7}  {len(same):>3} of {args.problems:<3}  {min(same):>+12.1e} to {max(same):>+8.1e}"
            f"  {max(other):>+27.1e}  {1e3 * sorted(seconds)[len(seconds) // 2]:>10.1f}"
        )


if __name__ == "__main__":
    main()
