"""`sciml check PROGRAM`: one simulation of it into a sink, what it gave, and what is wrong with that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sciml.domain import Domain, Field, Graph, Grid, Mesh, Particles
from sciml.ensemble.rehearsal import Rehearsal, disagreements, rehearse
from sciml.errors import InputError, ScimlError
from sciml.samples import Frame
from sciml.solver.program_description import Description, describe

#: Steps of a check, where a program has an option for them and nobody says how many.
STEPS = 100
#: So far apart that no state but the first is sent.
NEVER = 10**9
#: Part of the time step by which steps may differ.
EVEN = 1e-6
#: Part of a field's largest value by which the initial states on other numbers of ranks may differ.
ALIKE = 1e-6
#: Frames kept for the picture, and bytes of them.
KEPT, KEPT_BYTES = 64, 64 << 20


@dataclass(slots=True)
class Seen:
    """What is kept of the frames of a run: a digest of all, a few of them, the range of each field."""

    frames: list[Frame] = field(default_factory=list)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    _digest: Any = field(default_factory=hashlib.sha256)
    _every: int = 1

    def take(self, frame: Frame) -> None:
        for name, array in frame.fields.items():
            self._digest.update(np.ascontiguousarray(array))
            self.low[name] = min(self.low.get(name, np.inf), float(array.min()))
            self.high[name] = max(self.high.get(name, -np.inf), float(array.max()))
        if frame.step % self._every == 0:
            self.frames.append(frame)
        if len(self.frames) > max(3, min(KEPT, KEPT_BYTES // max(frame.nbytes, 1))):
            self._every *= 2
            self.frames = [kept for kept in self.frames if kept.step % self._every == 0]

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


@dataclass(slots=True)
class Report:
    """What a check found.

    Args:
        description: of the program.
        rows: name and value of what is shown, in order.
        wrong: what is wrong, a line each.
        notes: what is worth knowing, a line each.
        frames: some of the first run, for a picture.
        domain: where their fields live.
    """

    description: Description
    rows: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    domain: Domain | None = None

    def __str__(self) -> str:
        """As `sciml check` prints it."""
        about, count = self.description, len(self.wrong)
        lines = [f"{about.name}: {about.summary or about.equation}"]
        notes = [("note", " ".join(line.split())) for line in self.notes]
        wrong = [("wrong", " ".join(line.split())) for line in self.wrong]
        lines += [f"{key:>16}  {value}" for key, value in (*self.rows, *notes, *wrong)]
        many = f"{count} thing{'s' * (count > 1)} wrong"
        return "\n".join([*lines, many if count else "nothing is wrong"])

    def to_json(self) -> dict[str, Any]:
        """The stable form."""
        return {
            "program": self.description.name,
            **dict(self.rows),
            "wrong": self.wrong,
            "notes": self.notes,
        }


def check_program(
    program: str | Path,
    given: Mapping[str, Any] | None = None,
    *,
    ranks: int = 1,
    timeout: float = 600.0,
) -> Report:
    """Run a program some times, and look at what comes.

    It is run as a study would, to its end; once more, for whether the same seed gives the same; once
    without sending, with parameters a little off, for what sending costs and whether it follows its
    flags; and on one rank, if that is not what it ran on, for whether ranks change the initial state.

    Args:
        program: path.
        given: parameters and options by name; others have their defaults, but for ``steps``, of which
            :data:`STEPS` are enough.
        ranks: MPI ranks.
        timeout: seconds for each run.

    Raises:
        InputError: no such program, one that does not describe itself, values that it does not take.
    """
    description = describe(program)
    given, report = dict(given or {}), Report(description)
    steps = description.flags.get("steps")
    if steps is not None and "steps" not in given:
        given["steps"] = min(int(steps.default), STEPS)
        if given["steps"] < steps.default:
            report.notes.append(f"{given['steps']} steps were run, its default is {steps.default}")
    description.arguments(given)
    _say_options(description, report)
    seen = Seen()
    rehearsal = _run(report, given, ranks, timeout, look=seen.take)
    if rehearsal is None:
        return report
    _say_run(rehearsal, seen, given, report)
    if rehearsal.frames:
        report.frames, report.domain = seen.frames, rehearsal.simulation.domain
        if rehearsal.whole:
            _compare(rehearsal, seen, given, ranks, timeout, report)
    return report


def _run(report: Report, given: Mapping[str, Any], ranks: int, timeout: float, **how: Any):
    """A run, or ``None`` and a line of what is wrong."""
    try:
        return rehearse(report.description, given, ranks=ranks, timeout=timeout, **how)
    except InputError:
        raise
    except ScimlError as error:
        report.wrong.append(str(error))
        return None


def _say_options(description: Description, report: Report) -> None:
    if "seed" not in description.flags:
        report.notes.append("no option 'seed': set parameters.seed: false in studies")
    if "steps" not in description.flags:
        report.notes.append(
            "no option 'steps': how many frames there are, a study learns as they come"
        )


def _say_run(rehearsal: Rehearsal, seen: Seen, given: Mapping[str, Any], report: Report) -> None:
    """What came of the first run, as rows and as lines of what is wrong."""
    try:
        rehearsal.require()
    except ScimlError as error:
        report.wrong.append(str(error))
    simulation, description = rehearsal.simulation, report.description
    if simulation is None or not rehearsal.frames:
        return
    if not rehearsal.closed and not rehearsal.quarantined and not rehearsal.code:
        report.wrong.append(
            "it ended without close(): what it had not sent by then is lost; call client.close() last"
        )
    graver, lesser = disagreements(description, simulation, given)
    report.wrong += graver + lesser
    domain, rows = simulation.domain, report.rows
    rows.append(("domain", _domain(domain)))
    for f in simulation.fields:
        low, high = seen.low[f.name], seen.high[f.name]
        rows.append((f"field {f.name}", _field(f, rehearsal.first.fields[f.name], low, high)))
        if rehearsal.frames > 1 and seen.low[f.name] == seen.high[f.name]:
            report.notes.append(
                f"field '{f.name}' is {seen.low[f.name]:g} everywhere, at all times"
            )
    for f in simulation.static_fields:
        array = simulation.static[f.name]
        rows.append((f"static {f.name}", _field(f, array, array.min(), array.max())))
    values = ", ".join(f"{name}={value:g}" for name, value in simulation.parameters.items())
    rows.append(("parameters", values or "none"))
    rows.append(("frames", f"{rehearsal.frames}, {_times(rehearsal, report)}"))
    if rehearsal.whole and "steps" in given and rehearsal.frames != given["steps"] + 1:
        report.wrong.append(
            f"{rehearsal.frames} frames came of --steps {given['steps']}; studies reckon with "
            f"{given['steps'] + 1}, the first state and one a step: let 'steps' count the states that "
            "are sent, or name the option otherwise"
        )
    rows.append(("bytes", f"{rehearsal.first.nbytes} a frame"))
    for warned in rehearsal.warnings:
        report.notes.append(f"it warns: {warned.message}")


def _times(rehearsal: Rehearsal, report: Report) -> str:
    times, units = rehearsal.times, rehearsal.simulation.time_units
    unit = "" if units == "1" else f" {units}"
    if rehearsal.frames == 1:
        if rehearsal.whole and not report.description.steady:
            report.wrong.append(
                "a single frame came: there is nothing to learn a step in time from"
            )
        return f"at time {times[0]:g}{unit}"
    steps = np.diff(times)
    if steps.min() <= 0:
        at = int(np.flatnonzero(steps <= 0)[0])
        report.wrong.append(
            f"times do not increase: {times[at]:g} is followed by {times[at + 1]:g}"
        )
    elif np.ptp(steps) > EVEN * steps.mean() + 4 * np.spacing(np.abs(times).max()):
        report.notes.append(
            f"time steps differ, from {steps.min():.6g} to {steps.max():.6g}{unit}: a task that leads "
            "in time takes them for even, or sees the time (task.time: true)"
        )
    return f"{np.mean(steps):.6g}{unit} apart, from {times[0]:g} to {times[-1]:g}{unit}"


def _compare(
    rehearsal: Rehearsal,
    seen: Seen,
    given: Mapping[str, Any],
    ranks: int,
    timeout: float,
    report: Report,
) -> None:
    """The further runs."""
    description, again = report.description, Seen()
    second = _run(report, given, ranks, timeout, look=again.take)
    same = second is not None and again.digest == seen.digest
    report.rows.append(("same again", "yes, bit for bit" if same else "no"))
    if not same and rehearsal.simulation.deterministic:
        report.wrong.append(
            "a second run with the same values gave other fields, yet it says deterministic: seed all "
            "that is random by --seed, or say deterministic=False in connect()"
        )
    off = given | {
        p.name: _a_little_off(p.low, given.get(p.name, p.default), p.high)
        for p in description.parameters
    }
    silent = _run(report, off, ranks, timeout, send={"every": NEVER})
    if silent is not None and silent.frames:
        graver, _ = disagreements(description, silent.simulation, off)
        report.wrong += [line for line in graver if line not in report.wrong]
        one, other = rehearsal.simulation.domain, silent.simulation.domain
        if one != other:
            report.notes.append(
                f"the domain depends on the parameters: {_domain(other)}, where they are a little off"
            )
        _say_rate(rehearsal, silent, ranks, report)
    if ranks > 1:
        alone = _run(report, given, 1, timeout, frames=1)
        if alone is not None and alone.frames:
            _say_ranks(rehearsal, alone, ranks, report)


def _a_little_off(low: float, value: float, high: float) -> float:
    """Another value of a parameter, a hundredth of its range away at most."""
    step = min(abs(value) or high - low, high - low) / 100.0
    return value + step if value + step <= high else max(value - step, low)


def _say_rate(rehearsal: Rehearsal, silent: Rehearsal, ranks: int, report: Report) -> None:
    seconds, steps = rehearsal.step_seconds, max(rehearsal.frames - 1, 1)
    line = f"{seconds * 1e3:.3g} ms a step, {rehearsal.first.nbytes / max(seconds, 1e-9) / 1e6:.3g} MB/s"
    if silent.closed:
        line += f"; {(silent.closed - silent.began) / steps * 1e3:.3g} ms a step if nothing is sent"
    report.rows.append(("rate", f"{line}; {rehearsal.began:.2g} s to the first frame"))


def _say_ranks(rehearsal: Rehearsal, alone: Rehearsal, ranks: int, report: Report) -> None:
    worst = 0.0
    for name, array in rehearsal.first.fields.items():
        other = alone.first.fields[name]
        if array.shape != other.shape:
            report.wrong.append(
                f"field '{name}' is {array.shape} on {ranks} ranks, {other.shape} on one"
            )
            return
        largest = float(np.abs(other).max())
        worst = max(worst, float(np.abs(array - other).max()) / (largest or 1.0))
    report.rows.append(
        ("ranks", f"{ranks}; the first state differs from that on one by {worst:.1g}")
    )
    if worst > ALIKE:
        report.wrong.append(
            f"the first state on {ranks} ranks differs from that on one by {worst:.2g} of its largest "
            "value: blocks that lie elsewhere than they say, or random numbers that depend on the rank"
        )


def _field(f: Field, array: np.ndarray, low: float, high: float) -> str:
    where = "" if f.on == "point" else f", on {f.on}"
    many = f" of {f.components} components" if f.components else ""
    return f"[{f.units}] {array.dtype}{many}{where}, {low:.4g} to {high:.4g}"


def _domain(domain: Domain) -> str:
    if isinstance(domain, Grid):
        axes = (
            f"{dim} {n} points on [{low:g}, {high:g}] {boundary}"
            for dim, n, (low, high), boundary in zip(
                domain.dims, domain.shape, domain.extent, domain.boundary, strict=True
            )
        )
        return f"grid: {'; '.join(axes)}"
    match domain:
        case Mesh():
            groups = ", ".join(f"{name} {len(nodes)}" for name, nodes in domain.groups.items())
            cells = f"mesh: {domain.size} nodes, {len(domain.cells)} cells ({domain.cell_type})"
            return f"{cells}; nodes of {groups}" if groups else cells
        case Particles():
            return f"particles: {domain.size}, of {len(np.unique(domain.species))} species"
        case Graph():
            return f"graph: {domain.nodes} nodes, {domain.edges.shape[1]} edges"
