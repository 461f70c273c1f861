"""What the scripts that tabulate runs share: call `enachi`, read its summary."""
import json
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def users(count):
    """Devices that are all alike, at the paper's mean gain."""
    return f"devices=[{{count={count},mean_gain=1.5e-11}}]"


def command(binary, name, scenario, sets, policies):
    line = [binary, name, str(ROOT / scenario)]
    for key in sets:
        line += ["--set", key]
    for policy in policies:
        line += ["--policy", policy]
    return line


def run(line):
    """Its standard output; its errors end the script."""
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}\n{done.stderr}")
    return done.stdout


def simulate(binary, scenario, sets, policies):
    """The policies' figures of summary.json."""
    with tempfile.TemporaryDirectory() as out:
        run(command(binary, "simulate", scenario, sets, policies) + ["--out", out, "--force"])
        return json.loads((pathlib.Path(out) / "summary.json").read_text())["policies"]
