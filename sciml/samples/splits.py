"""Which data are for training, validation and testing: one reading of a split for every way in.

A dataset says it by a variable or coordinate ``split`` along its samples, along time, or of the whole
file, by an attribute of that name, by words of another name, or by masks (``is_test``); the simulations
of a recording say it by their ``role``. What is held out is neither trained on nor measured by the
normalizer; what is for testing is not even read.

Works on xarray objects through their methods alone; importing it does not import xarray.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sciml.domain.layout import Layout
from sciml.domain.names import SPLIT
from sciml.errors import InputError
from sciml.samples.frame import Frame, Simulation
from sciml.samples.task import Task
from sciml.samples.windower import longest_stretch

if TYPE_CHECKING:
    import xarray as xr

T = TypeVar("T")
Trajectory = tuple[Simulation, Sequence[Frame]]

TRAIN, VALIDATION, TEST = "train", "validation", "test"
#: Part of the times of a single simulation that is held out; more leaves less to train on.
PART = 0.1
ROLES = (TRAIN, VALIDATION, TEST)
_MEANING = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(
        ("validation", "valid", "val", "dev", "development", "validate", "validating"), VALIDATION
    ),
    **dict.fromkeys(("test", "testing", "tests"), TEST),
}
#: Names that a split has, in lower case: of the first, values that are not understood are refused; the
#: others are a split only where all their values are ones.
_NAMES, _OTHER_NAMES = (SPLIT, "splits"), ("role", "roles", "subset", "partition")

#: What names of masks hold besides a role.
_OF_MASKS = {"", "is", "in", "for", "mask", "set", "flag"}


def role_of(value: Any) -> str | None:
    """The role that people write as ``"Val"`` or ``b"TEST"``; ``None`` where it is none."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return _MEANING.get(text.strip().lower())


@dataclass(frozen=True, slots=True)
class DatasetSplit:
    """The split that a dataset says.

    Args:
        roles: of each sample and time, ``(samples, times)``, or ``(samples, 1)`` for all times.
        source: in words: ``coordinate 'split'``.
    """

    roles: np.ndarray
    source: str

    @classmethod
    def whole(
        cls, role: str, ds: xr.Dataset, layout: Layout, source: str = "its name"
    ) -> DatasetSplit:
        """All of a dataset in one role."""
        return cls(_spread(role, ds, layout), source)

    def has(self, role: str) -> bool:
        return bool((self.roles == role).any())

    def but(self, *roles: str) -> np.ndarray:
        """Where the role is another: what ``simulations_of(without=...)`` is to leave out."""
        return ~np.isin(self.roles, roles)

    def divided(self, simulations: Iterable[Trajectory]) -> list[tuple[str, Trajectory]]:
        """Trajectories with their role, cut where it changes, so that no window joins two.

        Args:
            simulations: with the numbers and steps that they have in the dataset.
        """
        pieces: list[tuple[str, Trajectory]] = []
        for simulation, frames in simulations:
            roles = self.roles[simulation.id]
            run: list[Frame] = []
            last = str(roles[0])
            for frame in frames:
                role = str(roles[frame.step if len(roles) > 1 else 0])
                # What was left out in between is held out as well.
                apart = len(roles) > 1 and run and (roles[run[-1].step : frame.step] != role).any()
                if run and (role != last or apart):
                    pieces.append((last, (simulation, run)))
                    run = []
                run.append(frame)
                last = role
            pieces.append((last, (simulation, run)))
        return pieces


def splits_of(ds: xr.Dataset, layout: Layout, fields: Sequence[str] = ()) -> DatasetSplit | None:
    """What a dataset says of its split; ``None`` if nothing.

    Args:
        ds: a dataset.
        layout: of the fields, which says what is sample and time.
        fields: names of variables that are fields, whatever they are called.
    """
    for name, strict in _candidates(ds.variables):
        if name in fields:
            continue
        array = ds[name]
        if array.dtype.kind in "fiubc" and set(array.dims) & set(layout.space):
            continue  # a field of numbers that happens to have the name
        found = _of_variable(ds, name, array, layout, strict)
        if found is not None:
            return found
    if (found := _of_words(ds, layout, fields) or _of_masks(ds, layout, fields)) is not None:
        return found
    for name, strict in _candidates(ds.attrs):
        role = role_of(ds.attrs[name])
        if role is not None:
            return DatasetSplit.whole(role, ds, layout, f"attribute '{name}'")
        if strict:
            raise _not_understood(
                f"attribute '{name}'", [ds.attrs[name]], f"del ds.attrs['{name}']"
            )
    return None


def _candidates(names: Iterable[Any]) -> list[tuple[str, bool]]:
    """Names under which a split may be, the sure ones first."""
    known = [str(name) for name in names]
    sure = [(name, True) for name in known if name.lower() in _NAMES]
    return sure + [(name, False) for name in known if name.lower() in _OTHER_NAMES]


def _lie_along(array: xr.DataArray, layout: Layout) -> bool:
    return array.ndim > 0 and set(array.dims) <= {layout.sample, layout.time}


def _of_words(ds: xr.Dataset, layout: Layout, fields: Sequence[str]) -> DatasetSplit | None:
    """Text along samples or time, whatever its name, that says roles alone: ``train`` and another."""
    for name, array in ds.variables.items():
        if name not in fields and array.dtype.kind in "USO" and _lie_along(array, layout):
            roles = {role_of(value) for value in np.asarray(array.values).ravel()}
            if {TRAIN} < roles <= set(ROLES):
                return _of_variable(ds, str(name), ds[name], layout, False)
    return None


def _of_masks(ds: xr.Dataset, layout: Layout, fields: Sequence[str]) -> DatasetSplit | None:
    """True and False along samples or time, called ``is_test``, ``train_mask``, …; one for each role, or
    for some. What none of them holds is for training, or, where one says what is, for testing."""
    masks: dict[str, str] = {}
    for name, array in ds.variables.items():
        if name in fields or array.dtype.kind != "b" or not _lie_along(array, layout):
            continue
        words = set(re.split(r"[^a-z]+", str(name).lower())) - _OF_MASKS
        role = role_of(words.pop()) if len(words) == 1 else None
        if role is not None:
            masks.setdefault(role, str(name))
    if not masks:
        return None
    axes = [dim for dim in (layout.sample, layout.time) if dim is not None]
    named: Any = np.full((1,) * len(axes), TEST if TRAIN in masks else TRAIN, dtype=object)
    for role in ROLES:  # the last one has the last word
        if role in masks:
            array = ds[masks[role]]
            array = array.transpose(*(dim for dim in axes if dim in array.dims))
            shape = [ds.sizes[axis] if axis in array.dims else 1 for axis in axes]
            named = np.where(array.values.reshape(shape), role, named)
    words = " and ".join(f"'{masks[role]}'" for role in ROLES if role in masks)
    return DatasetSplit(_spread(named, ds, layout), words)


def _of_variable(
    ds: xr.Dataset, name: str, array: xr.DataArray, layout: Layout, strict: bool
) -> DatasetSplit | None:
    source = f"{'coordinate' if name in ds.coords else 'variable'} '{name}'"
    axes = [dim for dim in (layout.sample, layout.time) if dim is not None]
    strange = [str(dim) for dim in array.dims if dim not in axes]
    values = _decoded(array)
    roles = [role_of(value) for value in values.ravel()]
    if not strict and (strange or None in roles):
        return None
    if None in roles:
        wrong = [v for v, role in zip(values.ravel(), roles, strict=True) if role is None]
        raise _not_understood(source, wrong, f"ds.drop_vars('{name}')")
    if strange:
        raise InputError(
            f"{source} lies along '{strange[0]}'; expected along "
            f"{' or '.join(repr(a) for a in axes) or 'samples or time'} of the fields: rename the "
            f"dimension, or drop it, ds.drop_vars('{name}')"
        )
    # Not astype("U"): that cuts words to the length of the longest there is.
    named = np.array(roles, dtype=object).reshape(values.shape)
    dims = [str(dim) for dim in array.dims]
    shape = [ds.sizes[axis] if axis in dims else 1 for axis in axes]
    named = named.transpose([dims.index(axis) for axis in axes if axis in dims]).reshape(shape)
    return DatasetSplit(_spread(named, ds, layout), source)


def _decoded(array: xr.DataArray) -> np.ndarray:
    """Its values; of numbers whose ``flag_meanings`` say what they mean (CF), those words."""
    values = np.asarray(array.values)
    given, meanings = (array.attrs.get(key) for key in ("flag_values", "flag_meanings"))
    if given is None or not isinstance(meanings, str) or values.dtype.kind not in "iuf":
        return values
    words = dict(zip(np.atleast_1d(given).tolist(), meanings.split(), strict=False))
    said = [words.get(value, value) for value in values.ravel().tolist()]
    return np.array(said, dtype=object).reshape(values.shape)


def _spread(roles: Any, ds: xr.Dataset, layout: Layout) -> np.ndarray:
    """``(samples, times)``, or ``(samples, 1)`` where time does not matter."""
    samples = ds.sizes[layout.sample] if layout.sample else 1
    roles = np.asarray(roles, dtype=object)
    if layout.sample is None and layout.time is not None and roles.ndim:
        roles = roles[None]  # the one simulation
    roles = roles.reshape(roles.shape + (1,) * (2 - roles.ndim))
    return np.broadcast_to(roles, (samples, roles.shape[1]))


def _not_understood(source: str, values: Sequence[Any], drop: str) -> InputError:
    shown = ", ".join(
        dict.fromkeys(repr(v.item() if hasattr(v, "item") else v) for v in values[:3])
    )
    return InputError(
        f"{source} says {shown[:120]}; expected train, validation or test: rename them, or drop it, "
        f"{drop}"
    )


def roles_by_name(files: Sequence[Path]) -> dict[Path, str]:
    """Roles of files by their names, or those of their folders: ``train.nc``, ``darcy_test_16.nc``.
    Nothing unless some are for training and some are not."""
    for part in (lambda file: file.stem, lambda file: file.parent.name):
        found = {}
        for file in files:
            roles = {role_of(word) for word in re.split(r"[^A-Za-z]+", part(file))} - {None}
            if len(roles) == 1:
                found[file] = roles.pop()
        if TRAIN in found.values() and len(set(found.values())) > 1:
            return found
    return {}


def require_training(roles: Iterable[str], source: str = "the split") -> None:
    """Raises :class:`InputError` where all is held out."""
    there = set(roles)
    if there and TRAIN not in there:
        names = " and ".join(role for role in ROLES if role in there)
        quoted = re.findall(r"'([^']+)'", source)
        off = ", ".join(f"'{name}'" for name in quoted) or "'split'"
        attribute = "attribute" in source
        off = f"del ds.attrs[{off}]" if attribute else f"ds = ds.drop_vars([{off}])"
        raise InputError(
            f"{source} says {names} of all there is, none for training; give data that are for "
            f"training, too; to train on these all the same, take the split out of them: {off}"
        )


def drawn(numbers: Sequence[T], count: int, seed: int) -> set[T]:
    """So many of the numbers, to be held out where no split says which."""
    order = np.random.default_rng(seed).permutation(len(numbers))
    return {numbers[place] for place in order[:count].tolist()}


def held_apart(
    trajectories: Sequence[Trajectory], task: Task, part: float, seed: int
) -> tuple[list[Trajectory], list[Trajectory]]:
    """Training and validation where no split says which: whole simulations are held out; of a single
    one, its last frames.

    Args:
        trajectories: to be shared out.
        task: whose windows both are to hold.
        part: of the simulations, at least one; 0: none.
        seed: of the draw.
    """
    if part == 0:
        return list(trajectories), []
    if len(trajectories) > 1:
        places = range(len(trajectories))
        out = drawn(places, max(1, round(part * len(trajectories))), seed)
        return (
            [t for i, t in enumerate(trajectories) if i not in out],
            [t for i, t in enumerate(trajectories) if i in out],
        )
    [(simulation, frames)] = trajectories
    held = held_in_time(frames, task, part)
    if not held:
        return [(simulation, frames)], []
    return [(simulation, frames[:-held])], [(simulation, frames[-held:])]


def held_in_time(frames: Sequence[Any], task: Task, part: float) -> int:
    """How many of the last frames of a single simulation are held out; 0 where it is too short for
    windows on both sides.

    Args:
        frames: anything with ``step`` and ``segment``, in order of steps.
        task: whose windows both sides are to hold.
        part: of the frames.
    """
    window = (task.history + task.unroll) * max(task.lead, 1)
    held = max(window, round(part * len(frames)))
    while held < len(frames) and longest_stretch(frames[-held:], task) < window:
        held += 1  # a gap is among them
    return held if len(frames) - held >= window else 0


#: What is said of a single simulation: how many frames are held out, or why none.
LAST = "the last {} times of the only simulation"
TOO_SHORT = (
    "nothing is held out: there is one simulation, and too few times to hold some out; errors are not "
    "known: give more times, or more simulations"
)
#: What is said of held-out simulations that :func:`shared_frames` finds: how many, of how many.
SHARED = (
    "{} of {} held-out simulations hold frames that are trained on: their errors say little of new "
    "ones; hold whole simulations out, by a coordinate 'split'"
)


def shared_frames(training: Iterable[Trajectory], held_out: Iterable[Trajectory]) -> int:
    """Held-out simulations that hold a frame of the training bit for bit: pieces of one simulation, or
    the same one twice, whose errors say nothing of new ones.

    That two begin alike means nothing, and nor do frames without structure: neither counts.
    """
    seen = _digests(training)
    shared = 0
    for trajectory in held_out:
        ours = _digests([trajectory])
        alone = len(trajectory[1]) == 1
        shared += any(
            key in seen and (alone or not (first and all(seen[key])))
            for key, [first] in ours.items()
        )
    return shared


def _digests(trajectories: Iterable[Trajectory]) -> Mapping[int, list[bool]]:
    """Checksum of each frame, and whether it is the first one of its simulation."""
    found: dict[int, list[bool]] = {}
    for _, frames in trajectories:
        own: dict[int, bool] = {}
        for place, frame in enumerate(frames):
            arrays = [np.ascontiguousarray(a) for _, a in sorted(frame.fields.items())]
            if all(a.size < 2 or (a == a.flat[0]).all() for a in arrays):
                continue
            crc = 0
            for array in arrays:
                crc = zlib.crc32(array.view(np.uint8).reshape(-1), crc)
            own.setdefault(crc, place == 0)
        for crc, first in own.items():
            found.setdefault(crc, []).append(first)
    return found
