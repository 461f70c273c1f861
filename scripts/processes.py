"""What the scripts that start edges and devices share: certificates, processes with their logs, and when one is ready."""
import re
import signal
import subprocess
import time


def certificates(program, lab, names):
    """A small authority in the folder `lab`, and a certificate for each device."""
    for arguments in (["init", lab], ["admit", lab, *names]):
        subprocess.run([program, "pki", *arguments], check=True, stdout=subprocess.DEVNULL)


def start(command, log, out=None):
    """A process that reads nothing and writes its errors to the file `log`, and its output to `out`, or there too."""
    with open(log, "wb") as errors:
        if out is None:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        with open(out, "wb") as lines:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=lines, stderr=errors)


def said(process, log, what, patience_s):
    """The match of `what` in a log that grows; None if the process ends or the time is over before it is there."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        alive = process.poll() is None
        found = re.search(what, log.read_text(errors="replace"))
        if found or not alive:
            return found
        time.sleep(0.01)
    return None


def stop(processes, patience_s):
    """Ask processes to end, once and all together; their exit codes, None for one that had to be killed."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    codes = []
    for process in processes:
        try:
            codes.append(process.wait(patience_s))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            codes.append(None)
    return codes
