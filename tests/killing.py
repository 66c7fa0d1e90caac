"""Kills processes of a run, one kind after the other, and keeps count of those that were hit.

A process is stopped first, seen to be there and to be where it shall die, and then killed: a kill
that finds nobody, or comes too late, is tried again and never counted.
"""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

from sciml.ensemble.job import scratch_prefix
from sciml.run.directory import RunDirectory

#: In the environment of every process of a run: what bears it when the run is over was left behind.
MARK = "SCIML_TEST_RUN"
#: Places where a trainer can be hit, and the kind of process that a kill counts as.
CHECKPOINT, VALIDATION, END = "trainer in checkpoint", "trainer in validation", "trainer at the end"
KINDS = ("rank", "job", "trainer", "supervisor")
#: Seconds for what a run does at its own pace, kills and resumes among it.
PATIENCE = 240.0


def start(*arguments, run, before=()):
    """`sciml …` beside the test, its output in a pipe; ``before`` it, what starts it."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "sciml.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", MARK: str(run)},
    )


def step_of(run):
    try:
        return json.loads((run / "status.json").read_text())["training"]["step"] or 0
    except (FileNotFoundError, KeyError):
        return 0


def wait_until(process, true):
    """Until ``true()``, or the process has ended."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and not true():
        assert time.monotonic() < deadline, "did not come to it"
        time.sleep(0.02)


def wait_for_step(process, run, step):
    wait_until(process, lambda: step_of(run) >= step)


class Killer:
    """Runs a study, kills in it, resumes it where the supervisor is hit.

    Args:
        study: what the study file shall hold.
        folder: where study file and run are written.
        seed: of the moments.
    """

    def __init__(self, study, folder, seed):
        self.run, self.random, self.seed = folder / "run", random.Random(seed), seed
        self.hits = Counter()
        self.lines = []
        self._batch, self._every = study["training"]["batch_size"], study["validation"]["every"]
        path = folder / "study.yaml"
        path.write_text(yaml.safe_dump(study))
        self.process = start("run", path, "--out", self.run, run=self.run)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """End what a failing test leaves."""
        for pid in marked(self.run):
            _signal(pid, signal.SIGKILL)
        self.process.stdout.close()
        self.process.wait()

    def kill(self, kind):
        """One more: at a moment in seconds or in steps from now, or where ``kind`` says."""
        self._wait_for(lambda: (self.run / "study.yaml").exists(), "the run")
        if kind == END:
            pass
        elif self.random.random() < 0.5:
            time.sleep(3.0 * self.random.random())
        else:
            wait_for_step(self.process, self.run, step_of(self.run) + self.random.randrange(1, 10))
        hit = {CHECKPOINT: self._in_checkpoint, VALIDATION: self._in_validation, END: self._at_end}
        self._wait_for(lambda: self._hit(kind, hit.get(kind, lambda: True)), f"a {kind} to kill")
        self.hits[kind] += 1
        if kind == "supervisor":
            self._collect(PATIENCE)
            time.sleep(self.random.random())
            self.process = start("resume", self.run, run=self.run)

    def finish(self, timeout=2 * PATIENCE):
        """Wait for the end of the run; returns all that was said."""
        self._collect(timeout)
        said = "\n".join(self.lines)
        log = self.run / "logs/trainer.log"
        words = f"seed {self.seed}\n{said}\n{log.read_text() if log.exists() else ''}"
        assert self.process.returncode == 0, words
        assert "Traceback" not in said, words
        return said

    def left(self):
        """Processes and shared or scratch files that are still there: (pids, paths)."""
        deadline = time.monotonic() + 60.0
        while (pids := marked(self.run)) and time.monotonic() < deadline:
            time.sleep(0.1)
        prefix = scratch_prefix(RunDirectory(self.run))
        places = (tempfile.gettempdir(), "/dev/shm")
        return pids, sorted(path for place in places for path in Path(place).glob(f"{prefix}*"))

    def counts(self):
        """Hits by kind of process, those of a certain place with their kind."""
        counts = Counter()
        for kind, number in self.hits.items():
            counts[kind.split()[0]] += number
        return counts

    def report(self):
        counts = self.counts()
        killed = ", ".join(f"{kind} {counts[kind]}" for kind in KINDS if counts[kind])
        places = [f"{n} {kind.partition(' ')[2]}" for kind, n in self.hits.items() if " " in kind]
        return f"seed {self.seed}: killed {killed}" + (
            f" (trainer: {', '.join(places)})" if places else ""
        )

    def _collect(self, timeout):
        self.lines += self.process.communicate(timeout=timeout)[0].splitlines()

    def _wait_for(self, happens, what):
        deadline = time.monotonic() + PATIENCE
        while not happens():
            if self.process.poll() is not None:
                self.finish()
                raise AssertionError(f"{self.report()}; the run was over before there was {what}")
            assert time.monotonic() < deadline, f"{self.report()}; waited in vain for {what}"
            time.sleep(0.001)

    def _hit(self, kind, there):
        """Kill one of a kind, if there is one and it is ``there``."""
        if not there():
            return False
        pid = self._target(kind.split()[0])
        if pid is None or not _stopped(pid):
            return False
        # What does not bear the mark would not be found at the end either.
        assert kind == "supervisor" or pid in marked(self.run), _command(pid)
        if kind == "rank":
            # Nor would shared memory of MPI's that lies elsewhere.
            words = _read(pid, "maps").decode().split()
            prefix = f"/dev/shm/{scratch_prefix(RunDirectory(self.run))}"
            shared = [word for word in words if word.startswith("/dev/shm/")]
            assert all(path.startswith(prefix) for path in shared), shared
        hit = there()
        _signal(pid, signal.SIGKILL if hit else signal.SIGCONT)
        return hit

    def _target(self, kind):
        if kind == "supervisor":
            return self.process.pid
        if kind == "trainer":
            found = self._recorded("trainer.json")
        else:
            found = self._recorded("simulation-*.json")
            if kind == "rank":
                below = [p for job in found for p in _children(job) if p != job]
                found = [p for p in below if "python" in _command(p).partition(" ")[0]]
        return self.random.choice(found) if found else None

    def _recorded(self, pattern):
        records = [json.loads(path.read_text()) for path in self.run.glob(f"pids/{pattern}")]
        pids = [record["session"] for record in records if record.get("session")]
        return [pid for pid in pids if _state(pid) not in "ZX"]

    def _in_checkpoint(self):
        """Its files are being written aside."""
        return any((self.run / "checkpoints").glob(".step-*/*"))

    def _in_validation(self):
        """The step that a validation follows is done, and its line is not there."""
        try:
            drawn = struct.unpack("<q", (self.run / "drawn").read_bytes())[0]
        except (FileNotFoundError, struct.error):
            return False
        step, rest = divmod(drawn, self._batch)
        if rest or not step or step % self._every:
            return False
        if not any((self.run / "validation").glob("*.nc")):
            return False  # nothing to validate on yet
        metrics = self.run / "metrics.jsonl"
        lines = metrics.read_text().splitlines() if metrics.exists() else []
        found = [json.loads(line) for line in lines]
        return all(line["step"] != step or "fields" not in line for line in found)

    def _at_end(self):
        """The surrogate is written, the summary is not: it rolls out and writes predictions."""
        return (self.run / "surrogate/surrogate.json").exists() and not (
            self.run / "summary.json"
        ).exists()


def marked(run):
    """Living processes that were started by :func:`start`, or by those that were."""
    mark = f"{MARK}={run}\0".encode()
    return [pid for pid in _processes() if mark in _read(pid, "environ") and pid != os.getpid()]


def trainers(run):
    """Those of them that train."""
    return [pid for pid in marked(run) if "sciml.run.online.trainer" in _command(pid)]


def _processes():
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _command(pid):
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace") or " "


def _stat(pid):
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _state(pid):
    """Letter of /proc/pid/stat; X if there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields else "X"


def _children(pid):
    """A process and all below it."""
    below = {}
    for other in _processes():
        fields = _stat(other)
        if fields:
            below.setdefault(int(fields[1]), []).append(other)
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += below.get(found[-1], [])
    return found


def _stopped(pid):
    """Stop a process; False if it ends before it stands still."""
    if not _signal(pid, signal.SIGSTOP):
        return False
    deadline = time.monotonic() + 60.0
    while (state := _state(pid)) not in "TZX" and time.monotonic() < deadline:
        time.sleep(0.0005)
    return state == "T"


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
