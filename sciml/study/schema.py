"""The study file: everything that a run depends on, checked before anything starts.

A key that nobody knows is refused, since a misspelled setting that is silently ignored costs more
than an error. A minimal study names a program, a range, the fields and a model; the rest has
defaults, and :func:`dump_study` writes them all out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from sciml.errors import InputError
from sciml.samples import Task
from sciml.share import find
from sciml.solver.declaration import is_file
from sciml.study.cluster_section import Cluster, Stream
from sciml.study.complaint import complaint
from sciml.study.ranges import Range
from sciml.study.section import Count, Positive, Seconds, Section, Value, keys_of, short
from sciml.study.symmetries_section import SymmetriesSection
from sciml.study.text import dump, override, parse
from sciml.study.training_section import Training


class Send(Section):
    """Which states a solver sends, and how: every n-th, chosen fields, coarsened, as float32."""

    every: Positive = 1
    fields: list[str] | None = None
    coarsen: Positive = 1
    dtype: Literal["float32", "float64"] | None = "float32"


class Solver(Section):
    """The program; ``options`` are its flags that stay fixed."""

    program: str
    ranks: Annotated[int, Field(gt=0, le=1_000_000)] = 1
    options: dict[str, Value] = {}
    send: Send = Send()


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


#: Files with states to start from: paths and patterns, or one of them.
Files = Annotated[list[str], BeforeValidator(_list)]


class Parameters(Section):
    """The design that varies the program's parameters; ``seed`` gives each simulation its own, and
    ``files`` a state to start from."""

    design: Literal["sobol", "latin-hypercube", "halton", "grid", "random"] = "sobol"
    simulations: Annotated[Positive, Field(le=1_000_000)]
    ranges: dict[str, Range] = {}
    files: Files = []
    seed: bool = True

    @model_validator(mode="after")
    def _differ(self) -> Parameters:
        if not (self.ranges or self.seed or self.files):
            raise ValueError(
                f"{self.simulations} simulations without ranges and with seed: false would all be "
                "the same; give a range, or seed: true"
            )
        return self


class TaskSection(keys_of(Task, prescribed=(dict[str, list[str]], {}))):
    """See :class:`sciml.samples.Task`; ``targets`` default to ``inputs``. With ``increment`` the
    model gives the change from the last input, of targets that are inputs: by default where all are, but
    for ``training.points``, since changes are added to whole fields."""

    increment: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _same_targets(cls, data: Any) -> Any:
        if isinstance(data, dict) and "targets" not in data and "inputs" in data:
            return {**data, "targets": data["inputs"]}
        return data

    @model_validator(mode="after")
    def _possible(self) -> TaskSection:
        task = self.build()
        if self.increment and not (task.marches and set(task.targets) & set(task.inputs)):
            raise ValueError(
                "increment: true needs lead ≥ 1, history ≥ 1 and a target among the inputs; "
                "set increment: false, or leave it away"
            )
        return self

    def build(self) -> Task:
        return Task(**self.model_dump(exclude={"increment"}))

    def of_fields(self, meant: Mapping[str, tuple[str, ...]]) -> TaskSection:
        """The same with names that stand for several fields written out."""
        task = self.build().of_fields(meant)
        lists = {
            name: list(getattr(task, name)) for name in ("inputs", "targets", "static", "forcing")
        }
        given = {name: list(groups) for name, groups in task.prescribed}
        return self.model_copy(update={**lists, "prescribed": given})


class Model(Section):
    """``name`` in the registry of surrogates, or the path of a Python file with ``build``; every further
    key but ``symmetrize`` goes to the model. ``model: fno`` is short for ``{name: fno}``.

    With ``symmetrize`` the surrogate is averaged over symmetries of its grid where it is used: see
    :class:`sciml.surrogates.symmetry.symmetrization.Symmetrization`."""

    model_config = ConfigDict(extra="allow")

    name: str = "fno"
    symmetrize: Annotated[SymmetriesSection | None, short("symmetries")] = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    @property
    def surrogate(self) -> dict[str, Any]:
        """What :meth:`sciml.surrogates.Surrogate.build` takes."""
        averaged = None if self.symmetrize is None else self.symmetrize.model_dump()
        return {"name": self.name, **self.config, "symmetrize": averaged}


class BufferSection(Section):
    """See :mod:`sciml.buffer`; the watermark defaults to a tenth of the capacity. ``draws``: how
    often a reservoir gives each sample at least."""

    kind: Literal["fifo", "firo", "reservoir"] = "reservoir"
    capacity: Positive = 2000
    watermark: Positive
    draws: Positive = 1

    @model_validator(mode="before")
    @classmethod
    def _tenth(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("watermark") is not None:
            return data
        capacity = data.get("capacity", 2000)
        return {**data, "watermark": max(1, capacity // 10) if isinstance(capacity, int) else 1}

    @model_validator(mode="after")
    def _fits(self) -> BufferSection:
        if self.watermark > self.capacity:
            raise ValueError(
                f"watermark {self.watermark} above capacity {self.capacity} is never reached; "
                "lower the watermark or raise the capacity"
            )
        if self.draws > 1 and self.kind != "reservoir":
            raise ValueError(
                f"draws {self.draws} with kind '{self.kind}', which gives each sample once; "
                "expected kind: reservoir"
            )
        return self


class ValidationSection(Section):
    """Held-out simulations: they never enter the buffer or the normalizer.

    ``rollout`` counts steps, ``null``: as long as the simulations are. ``patience`` is how many
    seconds the end of training waits for the last of them. A study of points alone is held against
    ``data``, or against the exact solution of its equation, at so many ``times``.
    """

    simulations: Count = 10
    every: Positive = 250
    rollout: Positive | None = None
    patience: Seconds = 600.0
    data: Files = []
    times: Annotated[Positive, Field(ge=2)] = 11


class Record(Section):
    """Whether every frame that arrives is written down, and which fields of it; ``record: true``
    is short for ``{enabled: true}``."""

    enabled: bool = False
    fields: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"enabled": data} if isinstance(data, bool) else data


class Study(Section):
    """A whole study file."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] = "study"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    solver: Solver | None = None
    parameters: Parameters | None = None
    task: TaskSection
    model: Model = Model()
    buffer: BufferSection = Field(default_factory=lambda: BufferSection.model_validate({}))
    training: Training = Training()
    validation: ValidationSection = ValidationSection()
    record: Record = Record()
    stream: Stream = Stream()
    cluster: Cluster = Cluster()

    @model_validator(mode="before")
    @classmethod
    def _of_points(cls, data: Any) -> Any:
        """The task of a study of points alone sees parameters, and time where its points have it."""
        tree = data if isinstance(data, dict) else {}
        task, training = tree.get("task"), tree.get("training")
        sources = training.get("sources") if isinstance(training, dict) else None
        if not (isinstance(task, dict) and isinstance(sources, dict) and sources):
            return data
        kept = [s for s in sources.values() if isinstance(s, dict)]
        if "inputs" in task or len(kept) < len(sources):
            return data
        if any(source.get("kind") != "collocation" for source in kept):
            return data
        timed = any(source.get("time") is not None for source in kept)
        return {**data, "task": {"history": 0, "time": timed, **task}}

    @model_validator(mode="after")
    def _agree(self) -> Study:
        self.training.require_targets(self.task.targets, self.task.unroll or self.task.bundle)
        if self.training.fed is not None and self.training.most_at_once > self.buffer.capacity:
            raise ValueError(
                f"training.batch_size: {self.training.most_at_once} is above buffer.capacity "
                f"{self.buffer.capacity}; lower one or raise the other"
            )
        points = self.training.collocation
        if self.training.fed is None:
            self._require_no_stream()
        elif own := [name for name, source in points.items() if source.domain is not None]:
            raise ValueError(
                f"training.sources.{own[0]}.domain: solver or data say where its points lie; remove it"
            )
        elif self.validation.data:
            raise ValueError(
                "validation.data: simulations of the solvers, or of the data, are held out; it is for "
                "studies of collocation points alone: remove it"
            )
        if self.solver is None:
            return self
        if self.parameters is None:
            raise ValueError("key 'parameters' is missing")
        taken = {*self.parameters.ranges} & {*self.solver.options}
        if taken:
            raise ValueError(
                f"solver.options.{min(taken)}: the same name is in parameters.ranges; keep one"
            )
        if self.parameters.seed and {"seed"} & {*self.solver.options, *self.parameters.ranges}:
            raise ValueError(
                "parameters.seed: true gives each simulation its own seed, yet 'seed' is set as "
                "well; remove it or set parameters.seed: false"
            )
        refuse_two_starts(self.solver.options, self.parameters.ranges, self.parameters.files)
        if "out" in self.solver.options:
            raise ValueError("solver.options.out: a study streams; remove it")
        return self

    def _require_no_stream(self) -> None:
        """That nothing is asked of solvers where points alone are trained on."""
        points = f"training.sources: {', '.join(self.training.sources)} are points"
        if self.solver is not None:
            raise ValueError(
                f"{points}, and nothing would be trained on what solver.program sends; remove the "
                "section solver, or add a source of kind: stream"
            )
        if self.record.enabled:
            raise ValueError(
                f"record: {points}, and nothing comes that could be recorded; remove it"
            )
        for number, phase in enumerate(self.training.phases):
            if phase.steps is None and phase.until is None:
                raise ValueError(
                    f"training.phases.{number}: no end, and points have none; give steps, or until"
                )
        if all(source.domain is None for source in self.training.collocation.values()):
            raise ValueError(
                f"training.sources.{next(iter(self.training.sources))}.domain is missing: no solver and "
                "no data say where its points lie"
            )

    def require_solver(self) -> None:
        """Raises :class:`InputError` where something has to stream, and nothing is there that would."""
        fed = self.training.fed
        if fed is None:
            return
        if fed and self.training.sources[fed].kind == "data":
            raise InputError(
                f"training.sources.{fed}: data, which sciml train STUDY --from DATA names; a running "
                "solver feeds kind: stream"
            )
        if self.solver is None:
            raise InputError("key 'solver' is missing")

    @property
    def increment(self) -> bool:
        """Whether the model gives the change from the last input."""
        if self.task.increment is not None:
            return self.task.increment
        return self.task.build().continues and self.training.points is None


def refuse_two_starts(options: dict[str, Any], drawn: Any, files: list[str]) -> None:
    """Raises ValueError where something else than ``parameters.files`` names a state to start from."""
    initial = options.get("initial")
    if files and (initial is not None or "initial" in drawn):
        raise ValueError(
            "solver.options.initial: parameters.files says what to start from; keep one"
        )
    if is_file(initial):
        raise ValueError(
            f"solver.options.initial: {initial} is a file; name it in parameters.files, which keeps a "
            "copy of it"
        )


def anchor_files(tree: dict[str, Any], folder: Path) -> None:
    """Make the paths of ``parameters.files``, ``validation.data``, ``training.references`` and of what
    objectives hold absolute, in place: they are relative to their file."""
    from sciml.study.starts import anchored

    for name, key in (("parameters", "files"), ("validation", "data")):
        section = tree.get(name)
        files = _list(section.get(key)) if isinstance(section, dict) else None
        if files and isinstance(files, list) and all(isinstance(file, str) for file in files):
            tree[name] = {**section, key: anchored(files, folder)}
    training = tree.get("training")
    if isinstance(training, dict) and isinstance(training.get("references"), str):
        [file] = anchored([training["references"]], folder)
        training["references"] = file
    objectives = training.get("objectives") if isinstance(training, dict) else None
    for one in objectives.values() if isinstance(objectives, dict) else ():
        solution = one.get("solution") if isinstance(one, dict) else None
        if isinstance(solution, dict) and isinstance(solution.get("file"), str):
            [file] = anchored([solution["file"]], folder)
            one["solution"] = {**solution, "file": file}


def anchor_programs(tree: dict[str, Any], folder: Path) -> None:
    """Make the paths of program and model file absolute, in place. That is where they lie beside the
    study and nowhere else."""
    for section, key in (("solver", "program"), ("model", "name")):
        entries = tree.get(section)
        name = entries.get(key) if isinstance(entries, dict) else entries
        if not isinstance(name, str) or not (folder / name).is_file():
            continue
        try:
            find(name)
        except InputError:
            beside = str((folder / name).resolve())
            tree[section] = {**entries, key: beside} if isinstance(entries, dict) else beside


def load_study(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), *, solver: bool = True
) -> Study:
    """Read and check a study file.

    Args:
        path: looked up in the working directory, then in what ships with the package.
        overrides: ``"training.batch_size=8"``, values read as YAML.
        solver: whether one is to run, if the study needs one; else the sections ``solver`` and
            ``parameters`` may be left out.

    Raises:
        InputError: one line that names the key, what came and what was expected.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"study of type {type(path).__name__}; expected the path of a study file, or a Study: "
            "sciml.study.Study(**sections)"
        )
    file = find(path)
    if file.is_dir():
        raise InputError(f"{path} is a folder; expected a study file, such as {path}/study.yaml")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} cannot be read as text; expected a study file (YAML)") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    tree = parse(text, file.name)
    if not isinstance(tree, dict):
        raise InputError(f"{file.name}: got {tree!r}; expected sections such as solver, task")
    override(tree, overrides)
    anchor_files(tree, file.parent)
    anchor_programs(tree, file.parent)
    try:
        study = Study.model_validate(tree)
        if solver:
            study.require_solver()
        return study
    except ValidationError as error:
        raise InputError(f"{file.name}: {complaint(error, Study)}") from error
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error


def dump_study(study: Study) -> str:
    """The study as YAML with every default written out; :func:`load_study` gives it back equal."""
    return dump(study.model_dump())
