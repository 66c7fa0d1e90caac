"""A model with all it needs to be used on physical data: task, scaling, domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn

from sciml.domain import Domain, Field
from sciml.errors import DomainError, InputError
from sciml.samples import Task
from sciml.samples.masks import Mask
from sciml.samples.step import Step
from sciml.surrogates import exporting, own_model, prediction, registry, storage
from sciml.surrogates.batch import Batch, weights_dtype
from sciml.surrogates.bounds import Bounds
from sciml.surrogates.calling import Window, call
from sciml.surrogates.card import require_plain
from sciml.surrogates.normalizer import TIME, Normalizer
from sciml.surrogates.symmetry.symmetries import Symmetries
from sciml.surrogates.symmetry.symmetrization import Symmetrization
from sciml.surrogates.units import Units
from sciml.surrogates.weights import require_savable

if TYPE_CHECKING:
    import xarray as xr


@final
class Surrogate(nn.Module):
    """u(t + lead·dt) = N⁻¹ model(N u(t), N p), or u(t) + N⁻¹ model(…) with ``increment``; with
    ``symmetrize``, the mean of that over symmetries of the grid.

    Shapes: as in :class:`~sciml.surrogates.batch.Batch`; a call gives ``targets`` in physical
    units for all of ``batch.time``, feeding its own outputs back after the first. Of float64 fields
    what goes in is scaled, and what comes out is put into units, in float64; the model computes in
    the dtype of its weights.

    Args:
        model: takes and gives plain tensors; see :mod:`sciml.surrogates.calling`.
        task: what it was, or will be, trained for.
        normalizer: scales what the model sees and gives; ``None``: physical units throughout.
        domain: where it was trained; predictions elsewhere are refused. ``None``: not checked.
        increment: the model gives the change from the last input, for targets that are inputs.
        fields: names, units and parity of inputs, targets and static fields.
        dt: time between sent frames in the data, a :class:`~sciml.samples.step.Step` with its unit, or a
            number; ``None``: taken from each dataset.
        config: name and options of the model, for saving.
        symmetrize: symmetries of the grid over which each step is averaged where the surrogate is used
            (in eval mode; training sees the model as it is): see
            :class:`~sciml.surrogates.symmetry.symmetrization.Symmetrization`.
        options: every option of the model, defaults written out, for saving; ``None``: those of
            ``config``, and today's defaults, of a model of :data:`~sciml.surrogates.registry.MODELS`.
        masks: where inputs, targets and static fields have values, by name, for those that do not have
            them everywhere (land); elsewhere the model sees their mean, and predictions are NaN.
        source: SHA-256 of the file that builds the model, for saving; see
            :func:`sciml.surrogates.own_model.source_of`.

    Raises:
        InputError: an unrolled task whose outputs do not give all its inputs; increments of
            something that is no input; symmetries that domain or fields do not have.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        normalizer: Normalizer | None = None,
        domain: Domain | None = None,
        *,
        increment: bool = False,
        fields: Sequence[Field] = (),
        dt: Step | float | None = None,
        config: Mapping[str, Any] | None = None,
        symmetrize: Symmetries | Mapping[str, Any] | Sequence[str] | str | None = None,
        options: Mapping[str, Any] | None = None,
        source: Mapping[str, Any] | None = None,
        masks: Mask | None = None,
    ) -> None:
        super().__init__()
        if task.history and task.unroll > 1 and not task.autoregressive:
            raise InputError(
                f"task: unroll={task.unroll} feeds outputs back, yet inputs "
                f"{', '.join(task.inputs)} are not all among the targets "
                f"{', '.join(task.targets)}; add them to the targets or set unroll=1"
            )
        if increment and not set(task.targets) & set(task.inputs):
            raise InputError(
                f"increment: no target ({', '.join(task.targets)}) is an input "
                f"({', '.join(task.inputs)}), so there is nothing to add a change to; "
                "set increment to false"
            )
        self.model = model
        self.task = task
        self.normalizer = normalizer
        self.domain = domain
        #: What the model and its symmetries were made for; stays where ``domain`` is set to None.
        self.built_on = domain
        self.increment = increment
        self.fields = tuple(fields)
        self.step = Step.of(dt)
        #: What it was trained on, as far as that is known.
        self.bounds = Bounds(task)
        self.config = None if config is None else dict(config)
        if options is None and self.config and self.config.get("name") in registry.MODELS:
            # Of these alone: to ask a file for its options is to run it.
            given = {key: value for key, value in self.config.items() if key != "name"}
            options = registry.resolved(self.config["name"], given, model)
        self.options = None if options is None else dict(options)
        self.source = None if source is None else dict(source)
        names = {*task.moving, *task.static}
        self.masks = {n: np.asarray(m, bool) for n, m in (masks or {}).items() if n in names}
        self.symmetrization = (
            None
            if symmetrize is None
            else Symmetrization(Symmetries.of(symmetrize), task, domain, self.fields)
        )

    @classmethod
    def build(
        cls,
        config: str | Mapping[str, Any],
        task: Task,
        domain: Domain | None,
        *,
        file: str | Path | None = None,
        **kwargs: Any,
    ) -> Surrogate:
        """A new surrogate around a registered model.

        Args:
            config: name, or ``{"name": …, option: value, …}``, among them ``symmetrize``.
            task, domain: as above; a fresh normalizer is added unless one is given.
            file: run in the place of the one that the name says: a copy of it.
            kwargs: further arguments of :class:`Surrogate`.

        Raises:
            InputError: no name, unknown model or option.
        """
        config = {"name": config} if isinstance(config, str) else dict(config)
        if "name" not in config:
            raise InputError(
                f"model: no name among {', '.join(config) or 'no keys'}; "
                f"expected one of {', '.join(registry.MODELS)}"
            )
        if "symmetrize" in config:
            kwargs.setdefault("symmetrize", config.pop("symmetrize"))
        options = {k: v for k, v in config.items() if k != "name"}
        name = str(config["name"] if file is None else file)
        model = registry.build(name, task, domain, **options)
        kwargs.setdefault("options", registry.resolved(name, options, model))
        if own_model.is_file(name):
            kwargs.setdefault("source", own_model.source_of(name))
        kwargs.setdefault("normalizer", Normalizer(task))
        return cls(model, task, domain=domain, config=config, **kwargs)

    @property
    def dt(self) -> float | None:
        """Time between sent frames, in the unit of :attr:`step`; a number or a ``Step`` sets it."""
        return None if self.step is None else self.step.value

    @dt.setter
    def dt(self, given: Step | float | None) -> None:
        self.step = Step.of(given)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Targets in physical units, ``(B, U, …)`` or ``(N, U, …)``, for each of ``batch.time``."""
        if "at" in batch.geometry and (self.increment or batch.time.shape[1] > 1):
            raise InputError(
                "outputs at given points with increment or unroll: changes are added to, and outputs "
                "fed back as, whole fields; set increment to false and unroll to 1"
            )
        if batch.masks:
            static = self._filled(batch.static, batch.masks, 1)
            forcing = self._filled(batch.forcing, batch.masks)
            batch = replace(batch, static=static, forcing=forcing)
        raw, dtypes = self._filled(batch.inputs, batch.masks), self._dtypes(batch)
        own = weights_dtype(self.model) or torch.get_default_dtype()
        steps: list[dict[str, Tensor]] = []
        for k in range(batch.time.shape[1]):
            # Targets stay out: nothing is to be predicted from them.
            seen, step = (
                replace(batch, inputs=raw, targets={}),
                partial(self._step, k=k, own=own, dtypes=dtypes),
            )
            averaged = self.symmetrization is not None and not self.training
            steps.append(self.symmetrization(step, seen) if averaged else step(seen))
            if k + 1 < batch.time.shape[1]:
                raw = {
                    n: torch.cat([f[:, 1:], steps[-1][n].unsqueeze(1)], dim=1)
                    for n, f in raw.items()
                }
                raw = self._filled(raw, batch.masks)
        if len(steps) == 1:
            return {n: out.unsqueeze(1) for n, out in steps[0].items()}  # no copy
        return {n: torch.stack([step[n] for step in steps], dim=1) for n in steps[0]}

    def symmetrized(
        self,
        symmetries: str | Sequence[str],
        *,
        vectors: Sequence[Mapping[str, str]] = (),
        pseudoscalars: Sequence[str] = (),
        scalars: Sequence[str] = (),
    ) -> Surrogate:
        """The same surrogate, with the same weights, averaged over a group of symmetries of its grid.

        >>> surrogate.symmetrized("square").predict(ds)        # doctest: +SKIP

        Args:
            symmetries: ``"flips"``, ``"square"``, ``"cube"``, ``"translations"`` or several.
            vectors, pseudoscalars, scalars: as in
                :class:`~sciml.surrogates.symmetry.symmetries.Symmetries`, of fields that do not say so
                themselves.

        Raises:
            InputError: symmetries that domain or fields do not have; a field in doubt.
        """
        other = Surrogate(
            self.model,
            self.task,
            self.normalizer,
            self.domain,
            increment=self.increment,
            fields=self.fields,
            dt=self.step,
            config=self.config,
            symmetrize=Symmetries(symmetries, vectors, pseudoscalars, scalars),
            options=self.options,
            source=self.source,
            masks=self.masks,
        )
        other.bounds = self.bounds
        return other.eval()

    def predict(
        self,
        ds: xr.Dataset,
        *,
        batch_size: int = 16,
        at: Mapping[str, Any] | None = None,
        forcing: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """One prediction from every time of ``ds`` that has its history, ``lead`` steps later.

        Coordinates, units, attributes, the order and the names of dimensions stay as they are.

        Args:
            at: coordinates at which outputs are wanted, ``{"x": [0.1, 0.25]}``, in the place of the
                dataset's own along that axis; for models that can be asked at points (DeepONets).
            forcing: the task's forcing at times that ``ds`` does not have; times whose forcing nobody
                gives are left out.

        Raises:
            InputError: a variable that is missing, NaN, a time step or a grid of another kind than
                the one of the training; another resolution, where the model knows only one.
        """
        return prediction.predict(self, ds, batch_size=batch_size, at=at, forcing=forcing)

    def rollout(
        self,
        ds: xr.Dataset,
        steps: int,
        *,
        batch_size: int = 16,
        forcing: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """``steps`` leads onward from the last times of ``ds``, outputs fed back as inputs.

        Args:
            forcing: the task's forcing at the times that are gone to; ``ds`` itself may hold it, with
                its inputs NaN there.

        Raises:
            InputError: as :meth:`predict`; a task that cannot be fed back.
        """
        return prediction.rollout(self, ds, steps, batch_size=batch_size, forcing=forcing)

    def save(self, directory: str | Path) -> None:
        """Write ``model.safetensors`` and ``surrogate.json`` into ``directory``, over those of an
        earlier surrogate; other files in it stay. The card, ``surrogate.json``, is described in
        :class:`sciml.surrogates.card.Card`.

        Raises:
            InputError: there is a file of that name; as :meth:`require_savable`.
        """
        storage.save(self, directory)

    def require_savable(self) -> None:
        """Refuse, before anything is trained, what could not be saved afterwards.

        Raises:
            InputError: state of the model that is neither tensors nor plain data, is quantized or lazy;
                options that are no plain data.
        """
        require_plain(self.config)
        require_savable(self)

    @classmethod
    def load(cls, directory: str | Path, model: nn.Module | str | Path | None = None) -> Surrogate:
        """Read what :meth:`save` wrote.

        Args:
            directory: of :meth:`save`, or any checkpoint.
            model: needed where the model was not one of the registry: an instance built alike, or its
                name: the file of its ``build``, which is run.

        Raises:
            InputError: no surrogate there, a model that is not registered, a card or weights that are
                not what was saved, weights that do not fit or hold NaN.
        """
        return storage.load(cls, directory, model)

    def export(self, path: str | Path, batch: Batch) -> None:
        """Write a program for ``torch.export.load``: ``(inputs, parameters, time, static)``, with
        forcing as a fifth where the task has some, → targets, all as in :class:`Batch`.

        Args:
            path: file, by custom ``.pt2``.
            batch: an example that fixes every shape but the number of samples.

        Raises:
            DomainError: a domain that is no grid, whose batches have no fixed number of points.
        """
        exporting.export(self, path, batch)

    def _dtypes(self, batch: Batch) -> dict[str, torch.dtype]:
        """Of each target in physical units, float32 at least: that of its data, where these are there;
        of the field that it continues; of all fields that come in."""
        short = weights_dtype(self.model) or torch.get_default_dtype()
        given = {n: t.dtype for n, t in (*batch.inputs.items(), *batch.targets.items())}
        fields = (batch.inputs, batch.static, batch.forcing)
        every = [t.dtype for named in fields for t in named.values()]
        widest = reduce(torch.promote_types, every, torch.promote_types(short, torch.float32))
        return {
            n: torch.promote_types(given[n], torch.float32) if n in given else widest
            for n in self.task.targets
        }

    def _step(
        self, batch: Batch, k: int, own: torch.dtype, dtypes: dict[str, torch.dtype]
    ) -> dict[str, Tensor]:
        """Targets ``k`` in physical units and ``dtypes``, without an axis of time, by a model that
        computes in ``own``."""
        raw = batch.inputs
        units = self._units(batch, own, dtypes)
        scale = self._scale if units is None else _as_it_is

        def rounded(values: Tensor) -> Tensor:
            return values if values.dtype == own else values.to(own)

        window = Window(
            inputs={n: rounded(scale(n, f)) for n, f in raw.items()},
            raw={n: rounded(f) for n, f in raw.items()},
            static={n: rounded(scale(n, f)) for n, f in batch.static.items()},
            forcing={n: rounded(scale(n, f[:, k])) for n, f in batch.forcing.items()},
            scalars=rounded(self._scalars(batch, k)),
            batch=batch,
            units=units,
        )
        outputs = call(self.model, self.task, window)
        return {
            n: self._physical(n, out.to(dtypes[n]), raw, units is None)
            for n, out in outputs.items()
        }

    def _filled(
        self, fields: Mapping[str, Tensor], masks: Mapping[str, Tensor], first: int = 2
    ) -> dict[str, Tensor]:
        """Fields with their mean where they have no values, which a model then sees as nothing."""
        found = dict(fields)
        for name in masks.keys() & fields.keys():
            mask = masks[name] if first == 2 else masks[name].squeeze(1)
            mean = 0.0 if self.normalizer is None else self.normalizer.numbers(name)[0]
            found[name] = torch.where(mask, fields[name], mean)
        return found

    def _short(self) -> torch.dtype | None:
        """dtype of weights of 16 bits, to which values are rounded once they are scaled: it has too few
        digits for physical ones."""
        weight = next(self.model.parameters(), None)
        return weight.dtype if weight is not None and weight.dtype.itemsize == 2 else None

    def _scale(self, name: str, values: Tensor) -> Tensor:
        return values if self.normalizer is None else self.normalizer.normalize(name, values)

    def _scalars(self, batch: Batch, k: int) -> Tensor:
        """Scaled parameters and time of target ``k``: (B, P) or (B, P + 1)."""
        scalars = batch.parameters
        if self.normalizer is not None:
            scalars = self.normalizer.parameters_of(scalars)
        if not self.task.time:
            return scalars
        time = batch.time[:, k : k + 1]
        if self.normalizer is not None:
            time = self.normalizer.normalize(TIME, time, "time")
        return torch.cat([scalars, time], dim=1)

    def _units(
        self, batch: Batch, own: torch.dtype, dtypes: dict[str, torch.dtype]
    ) -> tuple[Units, Units] | None:
        """Of channels and outputs, for a model that scales by itself, in the dtype of its weights."""
        if (
            self.normalizer is None
            or batch.kind != "grid"
            or not getattr(self.model, "takes_units", False)
        ):
            return None
        fields = (batch.inputs, batch.static, batch.forcing)
        held = [*dtypes.values(), *(t.dtype for named in fields for t in named.values())]
        if set(held) != {own}:
            return None
        names = [n for n in self.task.inputs for _ in range(self.task.history)]
        names += [*self.task.static, *self.task.forcing]
        given = self.normalizer.units([("field", n) for n in names])
        wanted = self.normalizer.units([(self._kind(n), n) for n in self.task.targets])
        return None if given is None else (given, wanted)

    def _kind(self, name: str) -> str:
        """Of the numbers that scale the model's output ``name``."""
        return "increment" if self.increment and name in self.task.inputs else "field"

    def _physical(
        self, name: str, output: Tensor, raw: dict[str, Tensor], scaled: bool = True
    ) -> Tensor:
        if scaled and self.normalizer is not None:
            output = self.normalizer.denormalize(name, output, self._kind(name))
        if self._kind(name) != "increment":
            return output
        last = raw[name][:, -1]
        if output.shape != last.shape:
            raise DomainError(
                f"model gave '{name}' in the shape {tuple(output.shape[1:])}; expected that of the "
                f"field that it changes, {tuple(last.shape[1:])}: pad convolutions, as in "
                "torch.nn.Conv2d(..., padding='same')"
            )
        return last + output


def _as_it_is(name: str, values: Tensor) -> Tensor:
    return values
