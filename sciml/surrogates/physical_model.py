"""A model that takes and gives fields in physical units: scaling, increments, rollout, masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial, reduce
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sciml.domain import Domain, Field, Mesh, Particles
from sciml.domain.names import LATTICE
from sciml.errors import DomainError, InputError
from sciml.samples import Task
from sciml.samples.masks import Mask
from sciml.samples.step import Step
from sciml.surrogates import registry
from sciml.surrogates.batch import Batch, lattice_of, weights_dtype
from sciml.surrogates.bounds import Bounds
from sciml.surrogates.call import Window, call
from sciml.surrogates.card import require_plain
from sciml.surrogates.normalizer import TIME, Normalizer
from sciml.surrogates.potential import Potential
from sciml.surrogates.scales import Scales
from sciml.surrogates.scope import Scope, scope_of
from sciml.surrogates.setting import Setting
from sciml.surrogates.structure import Structure, onward
from sciml.surrogates.symmetry.symmetries import Symmetries
from sciml.surrogates.symmetry.symmetrization import Symmetrization
from sciml.surrogates.traits import traits_of
from sciml.surrogates.units import Units
from sciml.surrogates.weights import require_savable


class PhysicalModel(nn.Module):
    """The computing part of a :class:`~sciml.surrogates.surrogate.Surrogate`, which says what the
    arguments are; what works on datasets and files takes one of these."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        normalizer: Normalizer | None = None,
        domain: Domain | Scope | None = None,
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
        if normalizer is not None and traits_of(model).conserves:
            normalizer.shifts_increments = False
        setting = Setting(task, domain, tuple(fields))
        for name in task.forcing:
            if width := setting.field(name).components:
                raise InputError(
                    f"task: forcing '{name}' has {width} components; expected a number a frame, or a "
                    "field of numbers: make a field of each component"
                )
        for name in (*task.inputs, *task.forcing):
            if setting.field(name).categories:
                raise InputError(
                    f"'{name}' says of what kind something is; expected it among the static fields, or "
                    "the targets"
                )
        #: What the model and its symmetries were made for; stays where ``domain`` is set to None.
        self.setting = setting
        self.domain = scope_of(domain)
        #: Energy and forces, where particles have them: what a model does not give is derived.
        self.potential = Potential.of(setting)
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
            else Symmetrization(Symmetries.of(symmetrize), task, setting.scope, self.fields)
        )

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What the model wants derived from domains and frames: what :func:`collate` is to be given."""
        return traits_of(self.model).structures

    @property
    def dt(self) -> float | None:
        """Time between sent frames, in the unit of :attr:`step`; a number or a ``Step`` sets it."""
        return None if self.step is None else self.step.value

    @dt.setter
    def dt(self, given: Step | float | None) -> None:
        self.step = Step.of(given)

    @property
    def scales(self) -> Scales:
        """Of scalars and targets, for a model that computes in units: those that it was made for."""
        task = self.setting.task
        increments = all(self._kind(n) == "increment" for n in task.targets)
        return Scales.of(self.normalizer, task, increments)

    def deriving(self, *, stress: bool) -> Self:
        """The same weights, which give forces beside the targets and, of cells, stress: gradients of the
        energy, whether it was trained on them or not. Stress is left out where a model that
        differentiates by itself does not give it."""
        other, own = copy(self), self.potential
        derives = not traits_of(self.model).differentiates
        name = (own.stress or ("stress" if derives else "")) if stress else ""
        other.potential = replace(own, forces=own.forces or "forces", stress=name)
        kept = [n for n in self.task.targets if stress or n != own.stress]
        targets = tuple(dict.fromkeys((*kept, *other.potential.derived)))
        other.task = replace(self.task, targets=targets)
        return other

    def widen(self, domain: Domain) -> None:
        """Take a domain that is trained on into the scope; one that is not checked stays so.

        Raises:
            DomainError: of another kind, dimension or unit.
        """
        if isinstance(self.domain, Scope):
            self.domain = self.domain.joined(Scope.of(domain))

    def unknown(self, domain: Domain) -> list[int] | list[str]:
        """Species of particles of which nothing can be said: the model was not built for them, or
        their energy has no reference; the type of cells of a mesh that was not trained on."""
        if isinstance(domain, Mesh) and isinstance(self.domain, Scope):
            return [domain.cell_type] * (domain.cell_type not in self.domain.cell_types)
        if not isinstance(domain, Particles):
            return []
        known = traits_of(self.model).species
        new = set() if known is None else {*domain.species.tolist()} - {*known}
        return sorted(new | {*([] if self.normalizer is None else self.normalizer.strange(domain))})

    def strange(self, domain: Domain) -> str:
        """Why the model cannot be given a domain, in words: species that it was not built for."""
        known = traits_of(self.model).species
        if known is None or not isinstance(domain, Particles):
            return ""
        new = sorted({*domain.species.tolist()} - {*known})
        every = ", ".join(map(str, sorted({*known, *new})))
        return new and (
            f"species {', '.join(map(str, new))}, and the model was built for "
            f"{', '.join(map(str, known))}: give it the option species: [{every}]"
        )

    def require_savable(self) -> None:
        """Refuse, before anything is trained, what could not be saved afterwards.

        Raises:
            InputError: state of the model that is neither tensors nor plain data, is quantized or lazy;
                options that are no plain data.
        """
        require_plain(self.config)
        require_savable(self)

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
        bundle, wanted = self.task.bundle, batch.time.shape[1]
        steps: list[dict[str, Tensor]] = []
        for k in range(0, wanted, bundle):
            # Targets stay out: nothing is to be predicted from them.
            seen, step = (
                replace(batch, inputs=raw, targets={}),
                partial(self._step, k=k, own=own, dtypes=dtypes),
            )
            averaged = self.symmetrization is not None and not self.training
            given = self.symmetrization(step, seen) if averaged else step(seen)
            # A bundle has an axis of its frames already; no copy.
            given = given if bundle > 1 else {n: o.unsqueeze(1) for n, o in given.items()}
            steps.append(_overwritten(given, batch, raw, k))
            if k + bundle < wanted:
                kept = self.task.history
                raw = {
                    n: torch.cat([f[:, bundle:], steps[-1][n][:, -kept:]], dim=1)
                    for n, f in raw.items()
                }
                raw = self._filled(raw, batch.masks)
                batch = onward(batch, raw, self.structures)
        if len(steps) == 1:
            return {n: out[:, :wanted] for n, out in steps[0].items()}
        return {n: torch.cat([step[n] for step in steps], dim=1)[:, :wanted] for n in steps[0]}

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
        """Targets ``k`` in physical units and ``dtypes``, without an axis of time."""
        raw = batch.inputs
        units = self._units(batch, own, dtypes)
        scale = self._scale if units is None else lambda name, values: values

        def rounded(values: Tensor) -> Tensor:
            return values if values.dtype == own else values.to(own)

        window = Window(
            inputs={n: rounded(scale(n, f)) for n, f in raw.items()},
            raw={n: rounded(f) for n, f in raw.items()},
            static={n: rounded(self._static(n, f, scale)) for n, f in batch.static.items()},
            forcing={n: rounded(scale(n, f[:, k])) for n, f in batch.forcing.items()},
            scalars=rounded(self.scalars(batch, k)),
            batch=batch,
            units=units,
            scales=self.scales if traits_of(self.model).takes_scales else None,
        )
        # Forces are a gradient, also where nobody trains.
        wanted, potential, by = torch.is_grad_enabled(), self.potential, ()
        derived = () if potential is None else potential.derived
        with torch.set_grad_enabled(
            wanted or bool(derived) or traits_of(self.model).differentiates
        ):
            if derived:
                fields, seen, by = potential.watched(window.raw, batch)
                window = replace(window, raw=fields, batch=seen)
            outputs = call(self.model, self.setting, window)
            found = {
                n: self._physical(n, out.to(dtypes[n]), batch, units is None)
                for n, out in outputs.items()
            }
            if any(name not in found for name in derived):
                cell = window.batch.geometry.get("cell")
                if LATTICE in raw:
                    cell = lattice_of(raw[LATTICE])
                pull = potential.derivatives(found[potential.energy], by, cell, again=wanted)
                found = {n: out.to(dtypes[n]) for n, out in pull.items()} | found
        return found if wanted else {n: out.detach() for n, out in found.items()}

    def _filled(
        self, fields: Mapping[str, Tensor], masks: Mapping[str, Tensor], first: int = 2
    ) -> dict[str, Tensor]:
        """Fields with their mean where they have no values."""
        found = dict(fields)
        for name in masks.keys() & fields.keys():
            mask = masks[name] if first == 2 else masks[name].squeeze(1)
            mean = 0.0 if self.normalizer is None else self.normalizer.numbers(name)[0]
            found[name] = torch.where(mask, fields[name], mean)
        return found

    def _scale(self, name: str, values: Tensor) -> Tensor:
        return values if self.normalizer is None else self.normalizer.normalize(name, values)

    def _static(self, name: str, values: Tensor, scale: Callable[[str, Tensor], Tensor]) -> Tensor:
        """A static field as models see it: scaled, or a channel a kind, 1 where it is."""
        kinds = len(self.setting.field(name).categories)
        if not kinds:
            return scale(name, values)
        return F.one_hot(values.long(), kinds).movedim(-1, 1)

    def scalars(self, batch: Batch, k: int) -> Tensor:
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
        """Of channels and outputs, for a model that scales by itself."""
        if (
            self.normalizer is None
            or batch.kind != "grid"
            or not traits_of(self.model).takes_units
            or self.task.bundle > 1
            or any(self.setting.width(n) > 1 for n in (*self.task.moving, *self.task.static))
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

    def _physical(self, name: str, output: Tensor, batch: Batch, scaled: bool = True) -> Tensor:
        if self.setting.field(name).categories:
            return output  # one number a kind, of which the largest is meant
        if scaled and self.normalizer is not None:
            output = self.normalizer.denormalize(name, output, self._kind(name))
            if (offset := self.normalizer.offset(name, batch)) is not None:
                output = output + offset[:, 0].to(output.dtype)
        if self._kind(name) != "increment":
            return output
        last = batch.inputs[name][:, -1]
        if self.task.bundle > 1:
            # As fast a change throughout: its numbers are those of one lead.
            last = last.unsqueeze(1)
            ahead = torch.arange(1, self.task.bundle + 1, dtype=output.dtype, device=output.device)
            return last + output * ahead.view(1, -1, *(1,) * (output.ndim - 2))
        if output.shape != last.shape:
            raise DomainError(
                f"model gave '{name}' in the shape {tuple(output.shape[1:])}; expected that of the "
                f"field that it changes, {tuple(last.shape[1:])}: pad convolutions, as in "
                "torch.nn.Conv2d(..., padding='same')"
            )
        return last + output


def _overwritten(
    outputs: dict[str, Tensor], batch: Batch, raw: Mapping[str, Tensor], k: int
) -> dict[str, Tensor]:
    """Outputs ``k`` and following with the values that are prescribed."""
    found = dict(outputs)
    for name, mask in batch.fixed.items():
        out = found[name]
        known = batch.given[name][:, k : k + out.shape[1]] if name in batch.given else None
        if known is None:
            known = raw[name][:, -1:]
        elif known.shape[1] < out.shape[1]:  # a bundle goes on behind what is known
            known = torch.cat([known, known[:, -1:].expand_as(out[:, known.shape[1] :])], dim=1)
        found[name] = torch.where(mask, known.to(out.dtype), out)
    return found
