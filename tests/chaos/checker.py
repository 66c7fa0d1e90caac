"""Counts what a run left behind, by itself: nothing of ``sciml`` is imported here.

It reads the plan, the records of processes, the spool, the newest checkpoint's account, the recording
and the held-out files (``docs/run_directory.md`` says how each is written), and looks for processes,
locks and scratch files that should be gone. What the run says of itself is compared with what was
counted.

``python tests/chaos/checker.py RUN [--reference RUN]`` prints the account; exit code 1 where something
is wrong with it.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import struct
import sys
import tempfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import msgpack
import numpy as np

MAGIC = b"\x93sciml\x02\n"
PREFIX = struct.Struct("<8sIIQQQ")
FINISHED, GIVEN_UP, QUARANTINED, SKIPPED, LACKING = (
    "finished",
    "given up",
    "quarantined",
    "skipped",
    "lacking",
)


@dataclass
class Account:
    """What was counted; ``faults`` are sentences, one for each thing that is wrong."""

    planned: int = 0
    outcomes: Counter = field(default_factory=Counter)
    expected: int = 0
    recorded: int = 0
    held_out: int = 0
    lost: int = 0
    doubled: int = 0
    equal: int = 0
    different: int = 0
    records: int = 0
    damaged: int = 0
    orphans: int = 0
    leftovers: int = 0
    locks: int = 0
    faults: list = field(default_factory=list)

    @property
    def with_outcome(self):
        return self.planned - self.outcomes[LACKING]

    def lines(self):
        outcomes = ", ".join(f"{n} {name}" for name, n in self.outcomes.items())
        yield f"simulations  {self.planned} planned, {self.with_outcome} with an outcome ({outcomes})"
        yield (
            f"frames       {self.expected} expected, {self.recorded} recorded, {self.held_out} held "
            f"out, {self.lost} lost, {self.doubled} doubled"
        )
        yield f"reference    {self.equal} files equal to the last bit, {self.different} different"
        yield f"spool        {self.records} records, {self.damaged} damaged"
        yield (
            f"left behind  {self.orphans} processes, {self.leftovers} scratch files, "
            f"{self.locks} locks"
        )
        yield from (f"FAULT        {fault}" for fault in self.faults)


def check(run, reference=None, places=None):
    """Count.

    Args:
        run: run directory of a run that has ended.
        reference: a run of the same study that nobody disturbed, whose data must be the same bits.
        places: folders for scratch files; by default those of the system.
    """
    run = Path(run).resolve()
    account = Account()
    plan = read(run / "simulations.json")
    study = read(run / "lineage.json")["studies"][-1]["study"]
    account.planned = len(plan)
    outcomes = {entry["id"]: outcome_of(run, study, entry) for entry in plan}
    account.outcomes.update(outcomes.values())
    lacking = [n for n, outcome in outcomes.items() if outcome == LACKING]
    if lacking:
        account.faults.append(f"simulations without an outcome: {lacking}")
    expected = {entry["id"]: frames_of(run, study, entry) for entry in plan}
    finished = [n for n, outcome in outcomes.items() if outcome == FINISHED]
    account.expected = sum(expected[n] for n in finished)

    roles = {entry["id"]: entry["role"] for entry in plan}
    held_out = [n for n in finished if roles[n] == "validation"]
    count_files(account, run / "validation", held_out, expected, "held_out")
    if study["record"]["enabled"]:
        count_files(account, run / "recording", finished, expected, "recorded")
        count_arrivals(account, run / "recording")
        count_virtual(account, run / "recording", finished)
    count_spool(account, run / "spool")
    if reference is not None:
        compare(account, run, Path(reference))
    compare_claims(account, run, finished)
    look_for_rest(account, run, places)
    return account


def read(path):
    return json.loads(path.read_text())


# -- the plan -------------------------------------------------------------------------------------


def frames_of(run, study, entry):
    """Frames that a simulation of the plan sends, its first state included."""
    options = {o["name"]: o["default"] for o in read(run / "solver.json")["options"]}
    given = {**options, **study["solver"]["options"], **entry["parameters"]}
    return int(given["steps"]) // study["solver"]["send"]["every"] + 1


def outcome_of(run, study, entry):
    """What became of a simulation, by what its jobs have left, and never by what the run counts."""
    number = entry["id"]
    path = run / f"pids/simulation-{number:05d}.json"
    code = read(path).get("code") if path.exists() else None
    if code == 0:
        return FINISHED
    if number in ledger(run).get("quarantined", ()):
        return QUARANTINED
    logs = run.glob(f"logs/simulation-{number:05d}.attempt-*.log")
    if code == 2 or (code is not None and sum(1 for _ in logs) > study["cluster"]["retries"]):
        return GIVEN_UP
    # Training that has had all its steps needs no more of those that it would have seen.
    steps = [phase.get("steps") for phase in study["training"]["phases"]]
    summary = read(run / "summary.json") if (run / "summary.json").exists() else {"steps": 0}
    over = None not in steps and summary["steps"] >= sum(steps)
    return SKIPPED if over and entry["role"] == "train" else LACKING


def ledger(run):
    """The account in the newest checkpoint."""
    checkpoints = sorted(run.glob("checkpoints/step-*"))
    if not checkpoints:
        return {}
    raw = (checkpoints[-1] / "training.msgpack").read_bytes()
    entry = msgpack.unpackb(raw, strict_map_key=False)["extra"]["ledger"]
    return {**entry, "quarantined": {int(n): why for n, why in entry["quarantined"].items()}}


# -- data -----------------------------------------------------------------------------------------


def count_files(account, folder, numbers, expected, name):
    """Frames in the files of those simulations that have ended well, against what they had to send."""
    for number in numbers:
        path = folder / f"simulation-{number:05d}.nc"
        if not path.exists():
            account.lost += expected[number]
            account.faults.append(f"{path.name} is not in {folder.name}/: simulation {number} lost")
            continue
        with h5py.File(path) as file:
            times = file["time"][:]
            there = file["arrival"][:] >= 0 if "arrival" in file else np.ones(len(times), bool)
        frames, distinct = int(there.sum()), len(np.unique(times[there]))
        doubled, lost = frames - distinct, max(0, expected[number] - distinct)
        setattr(account, name, getattr(account, name) + frames)
        account.lost += lost
        account.doubled += doubled + max(0, distinct - expected[number])
        if frames != expected[number] or doubled:
            account.faults.append(
                f"{folder.name}/{path.name}: {frames} frames at {distinct} times, the plan has "
                f"{expected[number]}"
            )


def count_arrivals(account, folder):
    """No two frames have one place in the order of arrival; each file has its line, and each line its
    file."""
    files = sorted(folder.glob("simulation-*.nc"))
    places = []
    for path in files:
        with h5py.File(path) as file:
            arrivals = file["arrival"][:]
        places += arrivals[arrivals >= 0].tolist()
    twice = len(places) - len(set(places))
    if twice:
        account.doubled += twice
        account.faults.append(f"recording: {twice} places in the order of arrival are there twice")
    lines = [line for line in (folder / "index.jsonl").read_text().splitlines() if line]
    listed = Counter()
    for line in lines:
        try:
            listed.update([json.loads(line)["file"]])
        except (ValueError, KeyError):
            continue  # torn by a kill; the head; one that names what is absent
    wrong = {path.name for path in files} ^ set(listed)
    wrong |= {name for name, lines in listed.items() if lines > 1}
    if wrong:
        account.faults.append(f"recording: index and files disagree about {sorted(wrong)}")


def count_virtual(account, folder, numbers):
    """The dataset over all files holds each of them."""
    path = folder / "recording.nc"
    if not numbers or not path.exists():
        if numbers:
            account.faults.append("recording: recording.nc is missing")
        return
    with h5py.File(path) as file:
        samples = file["sample"].shape[0]
    if samples != len(list(folder.glob("simulation-*.nc"))):
        account.faults.append(f"recording.nc holds {samples} simulations, its folder others")


def compare(account, run, reference):
    """Data of the same study are the same bits, whoever was killed."""
    if read(run / "simulations.json") != read(reference / "simulations.json"):
        raise SystemExit(f"{reference} is a run of another study")
    for folder in ("recording", "validation"):
        for path in sorted((run / folder).glob("simulation-*.nc")):
            truth = reference / folder / path.name
            if not truth.exists():
                continue
            differing = differing_sets(path, truth)
            account.equal += not differing
            account.different += bool(differing)
            if differing:
                account.faults.append(
                    f"{folder}/{path.name} differs from the reference: {differing}"
                )


def differing_sets(path, truth):
    """Names of the datasets that are not bitwise equal; how frames came about may differ."""
    with h5py.File(path) as ours, h5py.File(truth) as theirs:
        names = ({*ours} | {*theirs}) - {"arrival"}
        return sorted(
            name
            for name in names
            if name not in ours
            or name not in theirs
            or ours[name].dtype != theirs[name].dtype
            or ours[name][()].tobytes() != theirs[name][()].tobytes()
        )


def count_spool(account, folder):
    """Sound records, and places where one begins that is not sound."""
    orders = set()
    for path in sorted(folder.glob("*.segment")):
        data = path.read_bytes()
        number, at = int(path.stem), data.find(MAGIC)
        end = 0
        while at >= 0:
            sound = None
            if at % 64 == 0 and at + PREFIX.size <= len(data):
                _, crc, header, payload, order, segment = PREFIX.unpack_from(data, at)
                stop = at + PREFIX.size + header + payload
                if segment == number and at >= end and stop <= len(data):
                    sound = checksum(data[at + 12 : stop - payload], data[stop - payload : stop])
                    sound = sound == crc
                    account.damaged += not sound
                if sound:
                    orders.add(order)
                    end = stop
            at = data.find(MAGIC, end if sound else at + 1)
    account.records = len(orders)


def checksum(head, payload):
    """CRC-32 of the head, then of the sums of the words of each whole page, then of the rest."""
    crc = zlib.crc32(head)
    whole = len(payload) // 4096
    if whole:
        words = np.frombuffer(payload[: whole * 4096], "<u8").reshape(whole, 512)
        with np.errstate(over="ignore"):
            crc = zlib.crc32(words.sum(axis=1, dtype=np.uint64).tobytes(), crc)
    return zlib.crc32(payload[whole * 4096 :], crc)


def compare_claims(account, run, finished):
    """What the run says of itself, against what was counted."""
    if not (run / "summary.json").exists():
        account.faults.append("there is no summary.json")
        return
    status = read(run / "status.json")
    if status["state"] != "finished":
        account.faults.append(f"status.json says '{status['state']}'")
    frames = status["frames"]
    if frames["lost"] or frames["doubled"]:
        account.faults.append(f"status.json: {frames['lost']} lost, {frames['doubled']} doubled")
    if len(finished) == account.planned and frames["received"] != account.expected:
        account.faults.append(
            f"status.json: {frames['received']} frames received, the plan has {account.expected}"
        )
    steps = [read_line(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    if steps != sorted(steps):
        account.faults.append("metrics.jsonl: steps go back")


def read_line(line):
    return json.loads(line)["step"]


# -- what should be gone --------------------------------------------------------------------------


def look_for_rest(account, run, places=None):
    """Processes of the run, locks that somebody holds, scratch files."""
    found = orphans(run)
    account.orphans = len(found)
    account.faults += [f"process {pid} is left: {what}" for pid, what in found.items()]
    held = [path for path in (run / "spool/lock", run / "pids/leader.lock") if is_held(path)]
    account.locks = len(held)
    account.faults += [f"{path.relative_to(run)} is held by somebody" for path in held]
    lease = read_lease(run / "pids/supervisor.json")
    if not lease.get("released"):
        account.locks += 1
        account.faults.append("pids/supervisor.json: the lease was not given back")
    left = [*scratch(run, places), *aside(run)]
    account.leftovers = len(left)
    account.faults += [f"left behind: {path}" for path in left]


def read_lease(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def orphans(run):
    """Processes that name the run in their environment or on their command line, or work in it."""
    found = {}
    mark = str(run).encode()
    named = re.compile(re.escape(mark) + rb"(?![\w.-])")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
            folder = os.readlink(entry / "cwd").encode()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has ended, or is somebody else's
        ours = b"SCIML_ENDPOINT=" + mark + b"/" in environment or named.match(folder)
        trainer = b"sciml" in command and named.search(command) and b"checker" not in command
        if state not in "ZX" and (ours or trainer):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")[:120]
    return found


def is_held(path):
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def scratch(run, places=None):
    """Folders of the run's jobs, whose names begin with a digest of its path."""
    prefix = f"sciml-{hashlib.blake2s(str(run).encode(), digest_size=5).hexdigest()}-"
    for place in places or (tempfile.gettempdir(), "/dev/shm"):
        yield from Path(place).glob(f"{prefix}*")


def aside(run):
    """Files that were being written when something was killed, and that nobody has removed since."""
    yield from run.rglob("*.part")
    yield from run.rglob(".*")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--reference", type=Path, help="undisturbed run of the same study")
    given = parser.parse_args()
    account = check(given.run, given.reference)
    print("\n".join(account.lines()))
    sys.exit(bool(account.faults))


if __name__ == "__main__":
    main()
