"""What a person sees of a study that runs: a snapshot as rows, and what its counts mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml.report.progress import ProgressRow
from sciml.run.snapshot import Snapshot
from sciml.samples.program_warnings import Finding
from sciml.training.figures import in_units

#: Counts of frames that are shown where there are some.
TROUBLE = ("lost", "missing", "dropped", "doubled")
#: The trainer's state until enough samples have come.
WATERMARK = "waiting for the watermark"


def rows(snapshot: Snapshot) -> list[ProgressRow]:
    """Simulations, frames, buffer, training, validation, and what limits the speed."""
    s, t = snapshot.simulations, snapshot.trainer
    frames, buffer = t.get("frames") or {}, t.get("buffer") or {}
    offline = t.get("offline", False)
    shown = []
    if not offline:
        shown.append(
            ProgressRow("simulations", simulations(s, t.get("warned")), s["done"], s["total"])
        )
        moved = (t.get("stream") or {}).get("bytes", 0) / 1e6
        expected = f"/{frames['expected']}" if frames.get("expected") else ""  # by the plan
        text = f"{frames.get('received', 0)}{expected} received"
        text += "".join(f", {n} {key}" for key in TROUBLE if (n := frames.get(key)))
        shown.append(ProgressRow("frames", f"{text}; {moved:.1f} MB"))
    if buffer:
        size, most = buffer.get("size", 0), buffer.get("capacity", 0)
        text = f"{size}/{most} samples"
        if buffer.get("repeats"):
            text += f", each drawn {buffer['repeats']:.1f} times so far (repeats)"
        shown.append(ProgressRow("buffer", text, size, most))
    step, steps = t.get("step", 0), t.get("steps")
    text = f"{step}/{steps}" if steps else f"{step}"
    if t.get("loss") is not None:
        text += f", loss {t['loss']:.3e}"
    shown.append(ProgressRow("step", text, step, steps or None))
    shown.append(ProgressRow("validation", validation(t)))
    return [*shown, ProgressRow("", limit(snapshot))]


def simulations(counts: Mapping[str, int], warned: int | None = None) -> str:
    """Counts of the launcher in words."""
    words = [f"{counts['done']}/{counts['total']} done", f"{counts.get('running', 0)} running"]
    named = {
        "restarted": "restarted",
        "given_up": "given up",
        "quarantined": "quarantined, for data that cannot be trusted",
        "skipped": "not needed: training was over before their turn (skipped)",
    }
    words += [f"{counts[key]} {name}" for key, name in named.items() if counts.get(key)]
    return ", ".join([*words, *([f"{warned} warned"] if warned else [])])


def validation(trainer: Mapping[str, Any]) -> str:
    """The errors of one call: of energies and forces in their units, the accuracy of kinds; VRMSE, of
    which no offset of a field makes something small, with several fields the worst besides. Relative L2
    where snapshots have no variance."""
    told = in_units(trainer)
    keys = ("vrmse", "vrmse_persistence")
    if trainer.get("vrmse") is None:
        keys = ("error", "persistence")
    value, persistence = (trainer.get(key) for key in keys)
    if value is None:
        return ", ".join(told)
    words = f"{'VRMSE' if keys[0] == 'vrmse' else 'relative L2'} {value:.3e}"
    if persistence:
        words += f" (persistence {persistence:.3e})"
    fields = {n: v for n, v in (trainer.get("vrmse_fields") or {}).items() if v is not None}
    if len(fields) > 1:
        worst = max(fields, key=fields.__getitem__)
        words += f", worst {worst} {fields[worst]:.3e}"
    return ", ".join([*told, words])


def limit(snapshot: Snapshot) -> str:
    """What it is at, and what keeps it from going faster."""
    t, q = snapshot.trainer, snapshot.queue
    if q and q["wanted"] and not q["running"]:
        return f"waiting for Slurm: 0 of {q['wanted']} worker jobs run" + (
            f" (pending: {q['pending']})" if q["pending"] else ""
        )
    waiting, state = t.get("waiting"), t.get("state", "starting")
    buffer = t.get("buffer") or {}
    if state == WATERMARK and buffer.get("size", 0) < buffer.get("watermark", 0):
        return (
            f"filling the buffer: {buffer.get('size', 0)} of the {buffer.get('watermark', 0)} samples "
            "with which training begins (buffer.watermark)"
        )
    if waiting is None or state != "training":
        return state
    limited = f"limited by training ({1 - waiting:.0%} of the time)"
    if t.get("offline"):
        return f"limited by reading ({waiting:.0%} of the time)" if waiting > 0.5 else limited
    if waiting > 0.5:
        return f"waiting for data ({waiting:.0%} of the time): more simulations at once would help"
    if buffer.get("kind") == "reservoir" and not buffer.get("unseen", 1):
        return f"{limited}, on samples that it has seen: more simulations at once bring new ones"
    return f"{limited}: more solvers would not help"


def told(state: Mapping[str, Any]) -> str:
    """A status as `sciml status` prints it."""
    counts, training = state["simulations"], state.get("training", {})
    said = [("simulations", simulations(counts))]
    for section in ("frames", "samples"):
        there = {n: count for n, count in state.get(section, {}).items() if count is not None}
        said.append((section, ", ".join(f"{count} {name}" for name, count in there.items())))
    if repeats := state.get("buffer", {}).get("repeats"):
        said.append(("repeats", f"each sample that was drawn, {repeats:.1f} times on average"))
    for entry in state.get("warnings", ()):
        said.append(("warning", Finding(**entry).line(counts.get("total"))))
    step = f"step {training.get('step')} of {training.get('steps')}"
    said.append(("training", f"{state['state']}, {step}"))
    if state.get("reason"):
        said.append(("reason", state["reason"]))
    if checked := validation(training):
        when = "of the same frame" if training.get("same_frame") else "one step ahead"
        said.append(("validation", f"{when} {checked}"))
    return "\n".join(f"{name:>12}  {text}" for name, text in said)
