"""Signals to processes of a run, at random and in chosen phases, and resumes until it is whole.

Targets are the supervisor, the trainer, an ``mpirun``, a rank, and all of them in one moment, as where
a machine dies. A phase is seen in what the run writes; a kill that is aimed at one stops its target
first, looks again, and lets it go where the phase has passed.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

#: In the environment of all processes of a run.
MARK = "SCIML_CHAOS_RUN"
HELD_OUT, SAVING = "waiting for the held-out simulations", "final saving"
TRAINING, CHECKPOINT, STARTING, ANY = "training", "in a checkpoint", "starting", "any time"
#: How often which target and which signal is chosen, and which phase to aim at.
TARGETS = {"supervisor": 4, "trainer": 5, "mpirun": 6, "rank": 6, "node": 3}
SIGNALS = {"KILL": 8, "TERM": 3, "INT": 2, "STOP": 1}
PHASES = {TRAINING: 3, HELD_OUT: 3, SAVING: 3, CHECKPOINT: 1}
#: Seconds after which a run that does nothing counts as one that hangs.
PATIENCE = 900.0


@dataclass
class Kill:
    target: str
    signal: str
    phase: str


@dataclass
class Storm:
    """One run and what was done to it."""

    kind: str
    seed: int
    run: Path
    kills: list = field(default_factory=list)
    lives: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    seconds: float = 0.0


class Chaos:
    """A run of a study that is disturbed.

    Args:
        kind, study: name and content of the study.
        folder: for study file, run and scratch files.
        seed: of what is done when; when it hits is up to the machine.
        kills: how many.
        pause: seconds before one that may hit at any time, at most.
        aimed: share of those that wait for a phase.
        say: told of each.
    """

    def __init__(self, kind, study, folder, seed, kills, pause=15.0, aimed=0.6, say=print):
        self._random, self._wanted, self._say = random.Random(seed), kills, say
        self._pause, self._aimed = pause, aimed
        self.storm = Storm(kind, seed, folder / "run")
        self._run, self._study = folder / "run", study
        self._scratch = folder / "t"
        self._scratch.mkdir(parents=True)
        (folder / "study.yaml").write_text(yaml.safe_dump(study))
        self._command = ["run", folder / "study.yaml", "--out", self._run]
        self._process = None
        self._began = 0.0
        self._output = folder / "output.txt"

    def go(self):
        """Disturb, resume, until the run is whole; returns what was done."""
        began = time.monotonic()
        try:
            while self._life():
                pass
        finally:
            for process in self._marked():
                with suppress(psutil.Error):
                    process.kill()
            self.storm.seconds = time.monotonic() - began
        return self.storm

    def _life(self):
        """One process of `sciml`; True if there has to be another."""
        with self._output.open("ab") as output:
            at = output.tell()
            self._began = time.time()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sciml.cli", *map(str, self._command)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "TMPDIR": str(self._scratch),
                    MARK: str(self._run),
                },
                start_new_session=True,
            )
        done = []
        while self._alive() and len(self.storm.kills) < self._wanted:
            kill = self._next()
            if kill is not None:
                done.append(kill)
                self.storm.kills.append(kill)
                self._say(f"  {kill.signal} to {kill.target}, {kill.phase}")
        deadline = time.monotonic() + PATIENCE
        while self._alive():
            if time.monotonic() > deadline:
                self.storm.faults.append(f"hangs after {done}: {self._tail(at)}")
                self._process.kill()
                return False
            time.sleep(0.05)
        code = self._process.returncode
        said = self._output.read_bytes()[at:].decode(errors="replace")
        self.storm.lives.append(code)
        again = self._judge(code, said, done)
        if self.storm.faults:
            self._say(f"  FAULT {self.storm.faults[-1]}")
        return again and not self.storm.faults

    def _judge(self, code, said, done):
        """Whether another life is needed; exit codes and words that do not fit are faults."""
        if "Traceback" in said:
            self.storm.faults.append(f"traceback: {said[-3000:]}")
        log = self._run / "logs/trainer.log"
        words = log.read_text(errors="replace") if log.exists() else ""
        # A signal that comes before it takes care of signals ends it as it ends any program.
        if words.count("Traceback") > words.count("KeyboardInterrupt"):
            self.storm.faults.append(f"traceback of the trainer: {words[-3000:]}")
        ours = {kill.signal for kill in done if kill.target in ("supervisor", "node")}
        trainers = {kill.signal for kill in done if kill.target == "trainer"} - {"STOP"}
        allowed = {0, *({"KILL": -9, "TERM": 75, "INT": 130}.get(name, 0) for name in ours)}
        if ours & {"TERM", "INT"}:
            allowed |= {-15, -2}  # before it could take care of signals
        if trainers & {"TERM", "INT"}:
            allowed.add(75)
        if "the trainer ended (killed by" in said and trainers:
            allowed.add(2)  # killed again and again without a checkpoint in between
        if code == 2 and "has finished; nothing to resume" in said:
            return False  # it was over, and was killed before it could say so
        if code not in allowed:
            self.storm.faults.append(f"exit code {code} after {done}: {said[-1500:]}")
        if (self._run / "study.yaml").exists():
            self._command = ["resume", self._run]
        else:  # killed before there was a run that could be resumed
            shutil.rmtree(self._run, ignore_errors=True)
        return code != 0

    # -- one kill -------------------------------------------------------------------------------

    def _next(self):
        """Choose, wait, hit; ``None`` where it did not come to it."""
        draw = self._random
        target, name = choice(draw, TARGETS), choice(draw, SIGNALS)
        phase = choice(draw, PHASES) if draw.random() < self._aimed else ANY
        if target == "node":
            name = "KILL"
        if phase == ANY:
            self._sleep(0.3 * (self._pause / 0.3) ** draw.random())
        late = {HELD_OUT: 0.5, SAVING: 1.0}.get(phase, 0.0)
        if target in ("mpirun", "rank") and draw.random() < late:
            target = draw.choice(["supervisor", "trainer", "node"])  # few jobs run so late, or none
            name = "KILL" if target == "node" else name
        deadline = time.monotonic() + PATIENCE / 2
        while self._alive() and time.monotonic() < deadline:
            seen = self._phase()
            if phase in (ANY, seen) and (victims := self._victims(target)):
                if seen == SAVING and phase == SAVING:
                    self._sleep(draw.random() * 0.5)
                hit = self._strike(victims, name, phase)
                if hit:
                    return Kill(target, name, seen)
            time.sleep(0.01)
        return None

    def _strike(self, victims, name, phase):
        """Send the signal; False if the phase has passed, or nobody was there any more."""
        try:
            if name == "KILL":
                for victim in victims:
                    victim.suspend()
                if phase not in (ANY, self._phase()):
                    for victim in victims:
                        victim.resume()
                    return False
                for victim in victims:
                    with suppress(psutil.NoSuchProcess):
                        victim.kill()
            elif name == "STOP":
                for victim in victims:
                    victim.suspend()
                time.sleep(0.3 + 5.0 * self._random.random())
                for victim in victims:
                    victim.resume()
            else:
                for victim in victims:
                    victim.send_signal(getattr(signal, f"SIG{name}"))
        except psutil.NoSuchProcess:
            for victim in victims:
                with suppress(psutil.Error):
                    victim.resume()
            return False
        return True

    def _victims(self, target):
        """Processes to be hit; empty if there are none."""
        if target == "supervisor":
            return [psutil.Process(self._process.pid)] if self._alive() else []
        if target == "node":
            # The supervisor first: it must not see the others die.
            marked = self._marked()
            return sorted(marked, key=lambda p: p.pid != self._process.pid)
        if target == "trainer":
            return [p for p in self._marked() if "sciml.run.online.trainer" in words(p)]
        jobs = []
        for path in self._run.glob("pids/simulation-*.json"):
            with suppress(OSError, ValueError, psutil.Error):
                session = json.loads(path.read_text()).get("session")
                if session:
                    jobs.append(psutil.Process(session))
        if target == "rank":
            below = [child for job in jobs for child in children(job)]
            program = Path(self._study["solver"]["program"]).name
            jobs = [p for p in below if program in words(p) and "mpirun" not in words(p)]
        return [self._random.choice(jobs)] if jobs else []

    def _marked(self):
        """All processes of the run, whoever started them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == str(self._run):
                    found.append(process)
        return found

    def _phase(self):
        """What the run is at, by what this life has written so far."""
        run = self._run
        if not fresh(run / "status.json", self._began):
            return STARTING
        if fresh(run / "summary.json", self._began):
            return "after the summary"
        if fresh(run / "surrogate/surrogate.json", self._began):
            return SAVING
        try:
            state = json.loads((run / "status.json").read_text())["state"]
        except (OSError, ValueError):
            return STARTING
        if state == "validating":
            return SAVING
        if state == "training" and any(run.glob("checkpoints/.step-*")):
            return CHECKPOINT
        return state

    def _alive(self):
        return self._process.poll() is None

    def _sleep(self, seconds):
        deadline = time.monotonic() + seconds
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _tail(self, at):
        return self._output.read_bytes()[at:].decode(errors="replace")[-1500:]


def choice(draw, weights):
    return draw.choices(list(weights), weights=list(weights.values()))[0]


def fresh(path, since):
    try:
        return path.stat().st_mtime >= since
    except OSError:
        return False


def words(process):
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def children(process):
    with suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def table(storms, accounts):
    """Lines: kills by target and phase, and the sums of what was counted."""
    kills = [kill for storm in storms for kill in storm.kills]
    yield f"{len(kills)} kills in {len(storms)} runs of {len({s.kind for s in storms})} studies"
    for title, names in (
        ("target", [kill.target for kill in kills]),
        ("signal", [kill.signal for kill in kills]),
        ("phase", [kill.phase for kill in kills]),
    ):
        counts = Counter(names).most_common()
        yield f"by {title:7}  " + ", ".join(f"{name} {count}" for name, count in counts)
    both = Counter((kill.phase, kill.target) for kill in kills)
    for phase in (HELD_OUT, SAVING):
        hit = ", ".join(f"{t} {n}" for (p, t), n in sorted(both.items()) if p == phase)
        yield f"{phase}: {hit or 'none'}"
    total = {
        name: sum(getattr(account, name) for account in accounts)
        for name in (
            "planned",
            "with_outcome",
            "expected",
            "recorded",
            "held_out",
            "lost",
            "doubled",
            "equal",
            "different",
            "orphans",
            "leftovers",
            "locks",
        )
    }
    yield "the checker: " + ", ".join(f"{name} {n}" for name, n in total.items())
    faults = [f for storm in storms for f in storm.faults]
    faults += [f for account in accounts for f in account.faults]
    yield f"{len(faults)} faults" + "".join(f"\n  {fault}" for fault in faults)
