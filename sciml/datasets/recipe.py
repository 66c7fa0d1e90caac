"""The recipe of a dataset: a program, a design, splits, and what is kept of each run; at two sizes.

A recipe lies in ``data/<name>/recipe.yaml``. Its sections ``solver`` and ``parameters`` mean what
they mean in a study, so that the same simulations can be streamed. Under ``sizes``, ``small`` and
``full`` say what differs from the rest of the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from sciml.errors import InputError, nearest, require_known
from sciml.share import find, share_root
from sciml.study.complaint import complaint
from sciml.study.ranges import Range
from sciml.study.schema import (
    Count,
    Files,
    Positive,
    Section,
    Solver,
    Value,
    anchor_files,
    refuse_two_starts,
)
from sciml.study.text import override, parse

FILE = "recipe.yaml"
SIZES = ("small", "full")
SPLITS = ("train", "validation", "test")
#: Flags that the recipe says in its own words.
_RESERVED = {
    "out": "the command's --out",
    "every": "solver.send.every",
    "seed": "seed, which gives each simulation its own",
}


class Design(Section):
    """Which parameters the simulations get.

    ``ranges`` are drawn by ``design``. ``points`` are named sets of values that the simulations of
    each split take in turn; the name is kept beside the sample. ``files`` are states that the
    simulations start from, each point from all of them in turn; which one is kept beside the sample.
    ``seed`` gives each simulation a seed of its own.
    """

    design: Literal["sobol", "latin-hypercube", "halton", "grid", "random"] = "sobol"
    ranges: dict[str, Range] = {}
    points: dict[str, dict[str, Value]] = {}
    files: Files = []
    seed: bool = True

    @model_validator(mode="after")
    def _differ(self) -> Design:
        if not (self.ranges or self.points or self.seed or self.files):
            raise ValueError(
                "without ranges, without points and with seed: false all simulations would be the "
                "same; give one of them"
            )
        names = {frozenset(values) for values in self.points.values()}
        if len(names) > 1:
            raise ValueError("points set different names; expected the same names in each")
        twice = {*self.ranges} & {name for point in names for name in point}
        if twice:
            raise ValueError(f"'{min(twice)}' is in ranges and in points; keep one")
        return self


class Splits(Section):
    """Number of samples of each split."""

    train: Positive
    validation: Count = 0
    test: Count = 0


class Recipe(Section):
    """One size of a dataset.

    ``solver.send`` says what is kept of a run. ``keep``: ``all`` such states along ``time``,
    ``ends`` the first and the last, ``last`` that one without ``time``, or ``samples``: each state
    is a sample of its own, for programs that solve one problem a frame; then a run of the program
    makes ``per_run`` of them.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    title: str
    references: str
    license: str = "CC0-1.0"
    seed: Count = 0
    solver: Solver
    parameters: Design = Design()
    splits: Splits
    keep: Literal["all", "ends", "last", "samples"] = "all"
    per_run: Positive = 1

    @model_validator(mode="after")
    def _agree(self) -> Recipe:
        options, design = self.solver.options, self.parameters
        drawn = {*design.ranges, *(n for point in design.points.values() for n in point)}
        if drawn & {*options}:
            raise ValueError(
                f"solver.options.{min(drawn & {*options})}: the same name is in parameters; keep one"
            )
        refuse_two_starts(options, drawn, design.files)
        for name in _RESERVED.keys() & {*options, *drawn}:
            raise ValueError(f"'{name}' is not for options or parameters; use {_RESERVED[name]}")
        if self.per_run > 1 and self.keep != "samples":
            raise ValueError(f"per_run: {self.per_run} needs keep: samples; got keep: {self.keep}")
        if self.keep == "samples" and "steps" in options:
            raise ValueError("solver.options.steps: with keep: samples it follows from per_run")
        if self.keep in ("ends", "last") and int(options.get("steps", 0)) < 1:
            raise ValueError(f"keep: {self.keep} needs solver.options.steps of 1 or more")
        if self.keep != "all" and self.solver.send.every != 1:
            raise ValueError(f"solver.send.every goes with keep: all; got keep: {self.keep}")
        return self

    @property
    def total(self) -> int:
        """Samples of all splits."""
        return sum(self.counts.values())

    @property
    def counts(self) -> dict[str, int]:
        """Samples by split."""
        return self.splits.model_dump()


def load_recipe(
    path: str | os.PathLike[str], size: str = "small", overrides: Sequence[str] = ()
) -> Recipe:
    """Read and check a recipe.

    Args:
        path: its folder or file, looked up in the working directory, then in what ships with the
            package; the bare name of a folder in ``data/`` will do.
        size: ``small`` or ``full``.
        overrides: ``"splits.train=8"``, values read as YAML; they come after the size.

    Raises:
        InputError: one line that names the key, what came and what was expected. Both sizes are
            checked, whichever is asked for.
    """
    require_known("size", size, SIZES)
    file = _file(path)
    base, sizes = _read(file)
    wanted = None
    for name in SIZES:
        tree = _merged(base, sizes[name])
        if name == size:
            override(tree, overrides)
        anchor_files(tree, file.parent)
        try:
            recipe = Recipe.model_validate(tree)
        except ValidationError as error:
            raise InputError(f"{file.name}, size {name}: {complaint(error, Recipe)}") from error
        wanted = recipe if name == size else wanted
    assert wanted is not None
    return wanted


def _file(path: str | os.PathLike[str]) -> Path:
    wanted = Path(path)
    if len(wanted.parts) == 1 and not wanted.exists():
        known = sorted(p.parent.name for p in (share_root() / "data").glob(f"*/{FILE}"))
        require_known("no dataset", wanted.name, known)
        wanted = Path("data") / wanted
    place = find(wanted)
    if place.is_file():
        return place
    if not (place / FILE).is_file():
        made = place / "files.yaml"
        hint = (
            f"its files are published: sciml.load_dataset('{place.name}')"
            if made.is_file()
            else "expected one, or a folder such as data/heat_online"
        )
        raise InputError(f"{path} has no {FILE}; {hint}")
    return place / FILE


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What all sizes share, and what each of them changes."""
    try:
        tree = parse(file.read_text(encoding="utf-8"), file.name)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{file.name}: got {tree!r}; expected sections such as solver, splits")
    sizes = tree.pop("sizes", None)
    if not isinstance(sizes, dict):
        raise InputError(f"{file.name}: sizes: got {sizes!r}; expected small and full")
    for name in sizes:
        if name not in SIZES:
            raise InputError(f"{file.name}: unknown key 'sizes.{name}'; {nearest(name, SIZES)}")
    for name in SIZES:
        if not isinstance(sizes.setdefault(name, None) or {}, dict):
            raise InputError(
                f"{file.name}: sizes.{name}: got {sizes[name]!r}; expected keys with values"
            )
    return tree, {name: sizes[name] or {} for name in SIZES}


def _merged(base: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key; anything else takes the place of what was there."""
    merged = dict(base) if isinstance(base, Mapping) else {}
    for name, value in changes.items():
        merged[name] = _merged(merged.get(name), value) if isinstance(value, Mapping) else value
    return {k: _merged(v, {}) if isinstance(v, Mapping) else v for k, v in merged.items()}
