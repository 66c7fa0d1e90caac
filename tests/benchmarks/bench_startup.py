"""How long from `sciml run` to the first gradient step? Run by hand:

    python tests/benchmarks/bench_startup.py [--before FOLDER] [--study STUDY] [--rounds 5] [--json FILE]

With ``--before``, the folder of another checkout, it and this one are started in turn, and the ratio of
neighboring rounds is given: on a machine that others use, nothing else means much. Beside the clock, the
CPU seconds that all processes of the run have taken until then: those that others use do not add to
them. The run is ended there. Both are compiled first, as a package is that was installed.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
MARK = "first gradient step"
#: Seconds between two looks, and after which a start has failed.
LOOK, PATIENCE = 0.005, 300.0


def started(checkout: Path, study: str, out: Path) -> tuple[float, float]:
    """Seconds from the command to its first gradient step, and CPU seconds of all its processes."""
    log = out / "logs" / "trainer.log"
    began = time.perf_counter()
    command = subprocess.Popen(
        [sys.executable, "-m", "sciml.cli", "run", study, "--out", str(out), "--plain"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (log.exists() and MARK in log.read_text(errors="replace")):
            if command.poll() is not None or time.perf_counter() - began > PATIENCE:
                raise SystemExit(f"{checkout}: no first step; exit code {command.poll()}")
            time.sleep(LOOK)
        return time.perf_counter() - began, cpu(family(command.pid))
    finally:
        command.send_signal(signal.SIGTERM)
        command.wait()


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu(pids: Iterable[int]) -> float:
    """CPU seconds of processes, and of those of their children that have ended."""
    ticks = sum(sum(map(int, fields[11:15])) for pid in pids if (fields := stat(pid)))
    return ticks / os.sysconf("SC_CLK_TCK")


def stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def line(name: str, several: list[tuple[float, float]]) -> str:
    seconds, burnt = zip(*several, strict=True)
    return (
        f"{name:>8}{statistics.median(seconds):9.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
        f"{statistics.median(burnt):9.2f} ({min(burnt):.2f}–{max(burnt):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--study", default="workflows/quickstart/study.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    ways = {"here": HERE} | ({"before": given.before.resolve()} if given.before else {})
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for checkout in ways.values():
        compileall.compile_dir(checkout / "sciml", quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.rounds):
            for name, checkout in ways.items():
                out = Path(folder) / f"{name}-{number}"
                found[name].append(started(checkout, given.study, out))
                print(f"{name:>8}  %.2f s, %.2f s of CPU" % found[name][-1], flush=True)
    print(f"\n{'':>8}  seconds to the first step   CPU seconds until then   (least–most)")
    for name, several in found.items():
        print(line(name, several))
    if given.before:
        ratios = [
            (there[0] / mine[0], there[1] / mine[1])
            for mine, there in zip(found["here"], found["before"], strict=True)
        ]
        print(line("ratio", ratios))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
