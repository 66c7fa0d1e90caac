"""What a validation found, in lines for people: errors of energies and forces in their units, then
VRMSE, which no offset of a field makes small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

#: Ending of the figures of a model that is not averaged over symmetries.
PLAIN = "_unsymmetrized"
#: Entries that are no figures.
LISTS = ("fields", "findings", "split", "units", "same_frame")
#: When outputs of one call are, but for tasks whose lead or history is 0.
AHEAD = "one step ahead"
#: What each figure is, for whoever reads a table of them; :class:`~sciml.training.Validation` has the
#: equations.
MEANINGS = {
    "simulations": "that were measured on",
    "frames": "of these, all together",
    "one_step": "relative L2 error one step ahead",
    "persistence": "the same for leaving the fields as they are",
    "vrmse": "error over the deviation of each snapshot one step ahead; 1: its mean",
    "vrmse_persistence": "the same for leaving the fields as they are",
    "rollout": "relative L2, mean over the steps of a rollout fed with its own outputs",
    "rollout_last": "relative L2 at its last step",
    "persistence_last": "relative L2 there of the frame that it started from",
    "vrmse_rollout": "VRMSE, mean over the steps of the rollout",
    "vrmse_rollout_last": "VRMSE at its last step",
    "vrmse_persistence_last": "VRMSE there of the frame that it started from",
    "accuracy": "part of the kinds that are met",
    "accuracy_rollout": "the same over the steps of the rollout",
    "cross_entropy": "mean of −ln p of the kind that is there",
    "mae_per_particle": "mean absolute error of the energy, over the number of particles",
    "rmse_per_particle": "root mean square of the same",
    "mae": "mean absolute error of a component of the forces",
    "rmse": "root mean square of the same",
    "norm_left": "norm of the true fields at the end of the rollout, over that at its start",
    "least_jacobian": "least J = ∂X/∂ξ of characteristics; they meet where it is 0",
    "shock_time": "when characteristics meet, or would if J went on falling",
    "rollout_steps": "steps of the rollout",
    "snapshots": "that were compared one step ahead",
    "without_norm": "of these, left out of relative L2, since they are all but 0",
    "without_variance": "of these, left out of VRMSE, since they are all but constant",
}
#: How many times the least error the last one is where a training has lost what it had learned: errors
#: of validations in a row differ by less.
LOST = 3.0
#: Units that are shown in thousandths.
MILLI = ("eV", "eV/Å")


def lines(found: Mapping[str, Any], where: str = "") -> list[str]:
    """One step, the rollout, and with several fields each of them.

    Args:
        found: of :class:`~sciml.training.validation.Validation`; figures that are not there stay out.
        where: words behind the first line, such as ``on 10 unseen simulations``.
    """
    parts = [
        *in_units(found),
        _pair("VRMSE", found.get("vrmse"), found.get("vrmse_persistence")),
        _pair("relative L2", found.get("one_step"), found.get("persistence")),
    ]
    told = []
    if any(parts):
        told.append(f"{when(found)}: {_joined(parts)}{f' {where}' if where else ''}")
        if found.get("weighting"):
            told[-1] += f"; points weigh by {found['weighting']}"
    parts = [
        _pair("VRMSE", found.get("vrmse_rollout")),
        _pair("relative L2", found.get("rollout")),
    ]
    if any(parts):
        told.append(f"rollout: {_joined(parts)}, mean over {found['rollout_steps']} steps")
        if found.get("vrmse_rollout_last") is not None:
            last = found["vrmse_rollout_last"], found.get("vrmse_persistence_last")
            told[-1] += f"; {_pair('VRMSE', *last)} at the last"
        if found.get("norm_left") is not None:
            told[-1] += (
                f"; by then the fields have {found['norm_left']:.0%} of their first norm left"
            )
    plain = {key.removesuffix(PLAIN): v for key, v in found.items() if key.endswith(PLAIN)}
    if plain:
        told.append(f"  without averaging over symmetries: {short(plain)}")
    fields = found.get("fields") or {}
    if len(fields) > 1:
        units = {"units": found.get("units")}
        told += [f"  {name}: {short({**of, **units})}" for name, of in fields.items()]
    for name, of in fields.items():
        for what in ("norm", "variance"):
            if count := of.get(f"without_{what}"):
                mean = {"norm": "relative L2", "variance": "VRMSE"}[what]
                told.append(
                    f"  {count} of {of['snapshots']} snapshots of '{name}' have no {what} and are not "
                    f"in the mean of {mean}"
                )
    if found.get("least_jacobian") is not None:
        told.append(f"characteristics: least J {found['least_jacobian']:.3g}")
        if found.get("shock_time") is not None:
            # With diffusion J falls ever more slowly: what is ahead is no more than a straight line.
            lost = any("characteristics meet" in line for line in found.get("findings", ()))
            meet = "they meet at" if lost else "if it went on falling they would meet at"
            told[-1] += f"; {meet} t={found['shock_time']:.3g}"
    told += [f"warning: {line}" for line in found.get("findings", ())]
    return told


def remarks(found: Mapping[str, Any], before: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """What is wrong with a training by its figures at the end, in lines.

    * It is no better than leaving those fields as they are that it continues.
    * It had learned more before: its error was :data:`LOST` times smaller at an earlier validation.

    Args:
        found: of the last validation.
        before: of all of them, in order of steps.
    """
    told = []
    fields = found.get("fields") or {"the fields": found}
    kept = {name: of for name, of in fields.items() if of.get("vrmse_persistence") is not None}
    if kept:
        error, still = (
            mean(of[key] for of in kept.values()) for key in ("vrmse", "vrmse_persistence")
        )
        if error >= still:
            what = "the fields" if len(kept) == len(fields) else ", ".join(kept)
            told.append(
                f"one step ahead is no better than leaving {what} as they are (VRMSE {error:.2e}, "
                f"{still:.2e}): train longer, with another learning rate or model"
            )
    error = found.get("vrmse")
    known = [one for one in before if one.get("vrmse") is not None]
    if known and error is not None:
        best = min(known, key=lambda one: one["vrmse"])
        if error > LOST * best["vrmse"]:
            told.append(
                f"it has lost what it had learned: VRMSE {best['vrmse']:.2e} at step {best['step']}, "
                f"{error:.2e} at the end; lower the learning rate, or clip gradients. The best "
                "checkpoint is kept, where there are some"
            )
    return told


def short(found: Mapping[str, Any]) -> str:
    """The same in part of a line, for a field, or for a log."""
    parts = [
        *in_units(found),
        _pair("VRMSE", found.get("vrmse"), found.get("vrmse_persistence")),
        _pair("relative L2", found.get("one_step"), found.get("persistence")),
        _pair("rollout VRMSE", found.get("vrmse_rollout")),
        _pair("relative L2", found.get("rollout")),
    ]
    return _joined(parts) or "nothing that an error could be measured by"


def table(found: Mapping[str, Any]) -> list[str]:
    """Every figure by its name, one a line, with what it is; with several fields a column for each
    beside the mean."""
    fields = dict(found.get("fields") or {})
    columns = [found, *(fields.values() if len(fields) > 1 else ())]
    keys = dict.fromkeys(k for of in (found, *fields.values()) for k in of if k not in LISTS)
    if len(fields) == 1:
        columns = [{**next(iter(fields.values())), **found}]
    told = [f"on {found['split']}"] if found.get("split") else []
    width = max(24, *map(len, keys)) if keys else 24
    if len(columns) > 1:
        told.append(f"{'':>{width}}" + "".join(f"  {name:>12}" for name in ("mean", *fields)))
    for key in keys:
        factor, unit = _shown((found.get("units") or {}).get(key, "1"))
        cells = "".join(f"  {_cell(of.get(key), factor):>12}" for of in columns)
        meaning = MEANINGS.get(key, "").replace(AHEAD, when(found))
        meaning += f" [{unit}]" if unit != "1" else ""
        told.append(f"{key:>{width}}{cells}  {meaning}".rstrip())
    return told + [f"warning: {line}" for line in found.get("findings", ())]


def when(found: Mapping[str, Any]) -> str:
    """Of which time the outputs of one call are."""
    return "of the same frame" if found.get("same_frame") else AHEAD


def _shown(unit: str) -> tuple[float, str]:
    """By what numbers in a unit are multiplied where people read them, and the unit that they have."""
    return (1e3, f"m{unit}") if unit in MILLI else (1.0, unit)


def _cell(value: Any, factor: float = 1.0) -> str:
    if value is None:
        return ""
    return f"{factor * value:.4g}" if isinstance(value, float) else str(value)


def _pair(name: str, value: float | None, persistence: float | None = None) -> str:
    if value is None:
        return ""
    compared = "" if persistence is None else f" (persistence {persistence:.2e})"
    return f"{name} {value:.2e}{compared}"


def in_units(found: Mapping[str, Any]) -> list[str]:
    """What a validation found of kinds, and of energies and forces in their units."""
    met, units = found.get("accuracy"), found.get("units") or {}
    told = [] if met is None else [f"accuracy {met:.1%}"]
    for key, what in (("mae_per_particle", "energy"), ("mae", "forces")):
        if found.get(key) is not None:
            factor, unit = _shown(units.get(key, "1"))
            behind = ("" if unit == "1" else f" {unit}") + " a particle" * (what == "energy")
            told.append(f"MAE of {what} {factor * found[key]:.3g}{behind}")
    return told


def _joined(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part)
