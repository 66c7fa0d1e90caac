"""Zero mean and unit variance, measured while the data comes and kept with the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from sciml.domain import Domain
from sciml.errors import InputError, nearest
from sciml.samples import Sample, Task
from sciml.samples.lattice_images import repeated_positions, shifts_on
from sciml.surrogates.batch import Batch
from sciml.surrogates.potential import Potential
from sciml.surrogates.references import References
from sciml.surrogates.setting import Setting
from sciml.surrogates.units import Units

#: A quantity whose deviation is below this part of its mean is constant: its dtype resolves no more.
#: What is computed in float64 is taken to have lost a few digits on the way.
CONSTANT, CONSTANT_FLOAT64 = 1e-7, 1e-13

TIME = "time"
NO_ENERGY = (
    "references: energies of isolated atoms, of a task without one energy of particles among its "
    "targets; leave them away"
)

#: Buffers that (μ, σ) are computed from.
MEASURED = ("count", "mean", "squares", "resolution")


@dataclass(slots=True)
class _Read:
    """What buffers of those versions said."""

    buffers: list[Tensor]
    versions: list[int]
    numbers: list[tuple[float, float]]
    units: dict[tuple[tuple[str, str], ...], Units] = field(default_factory=dict)


class Normalizer(nn.Module):
    """x̂ = (x − μ) / σ for each field, static field, parameter and the target time, and for the
    increment of each target that is also an input.

    μ and σ are one number a quantity, over points, samples and time; counts, means and sums of
    squares are merged by the rule of Chan, Golub and LeVeque in float64. Units do not matter: whatever
    is compared with anything is compared with μ or σ. A constant quantity becomes 0, with σ = |μ|, or 1
    where μ is 0; the increment of a field that does not change has the σ of that field. Constant is
    what varies by less than its dtype resolves: 1e-7 |μ|, of float64 data 1e-13 |μ|. Vectors of
    particles are scaled by their root mean square and not shifted, since a shift would break
    equivariance.

    An energy of particles is scaled as the forces are that are its gradient, by their root mean square
    (or, without forces, by its own spread a particle), once a sum over particles of a number a species
    is taken off: see :class:`~sciml.surrogates.references.References`.

    Statistics move until :meth:`fix`. From each sample the last input frame and the first target
    frame are read; windows overlap, so nothing is missed that matters.

    Args:
        task: names the quantities.
        potential: energy and forces among them.

    Raises:
        InputError: a name that the task does not have.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    resolution: Tensor
    fixed: Tensor

    def __init__(self, task: Task, potential: Potential | None = None) -> None:
        super().__init__()
        self.task = task
        self.potential = potential
        self.shifts_increments = True
        self.references = None if potential is None else References(potential.energy)
        fields = dict.fromkeys((*task.inputs, *task.targets, *task.static, *task.forcing))
        self.keys = (
            *((("field", n)) for n in fields),
            *((("parameter", n)) for n in task.parameters),
            *((("increment", n)) for n in task.targets if n in task.inputs),
            ("time", TIME),
        )
        self._row = {key: i for i, key in enumerate(self.keys)}
        self._read: _Read | None = None
        n = len(self.keys)
        # Of an increment, the row of its field; of anything else its own.
        self._field_row = [
            self._row["field", n] if k == "increment" else i for i, (k, n) in enumerate(self.keys)
        ]
        self.register_buffer("count", torch.zeros(n, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(n, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(n, dtype=torch.float64))
        self.register_buffer("resolution", torch.full((n,), CONSTANT_FLOAT64, dtype=torch.float64))
        self.register_buffer("fixed", torch.zeros((), dtype=torch.bool))

    @classmethod
    def of(cls, setting: Setting) -> Normalizer:
        """The one for a task on the domains of its kind."""
        return cls(setting.task, Potential.of(setting))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Normalizer:
        """Moves with the model, and stays in float64: squares of large fields are beyond float16, and
        means lose digits in all others."""
        kept = {name: self._buffers[name] for name in MEASURED}

        def moved_by(buffer: Tensor) -> Tensor:
            try:
                return fn(buffer)
            except TypeError:
                if buffer.dtype != torch.float64:
                    raise
                return fn(buffer.float())  # mps has no float64, and says so by this

        super()._apply(moved_by, recurse)
        for name, buffer in kept.items():
            moved = self._buffers[name]
            if moved.dtype != buffer.dtype and moved.device.type != "mps":
                self._buffers[name] = buffer.to(moved.device)
        return self

    def update(self, samples: Iterable[Sample]) -> list[np.ndarray]:
        """Take samples into account; does nothing once fixed. One thread at a time.

        Returns the moments of each sample, as :attr:`moments` are those of all.
        """
        if self.fixed:
            if self.references is not None:
                self.references.extend(samples)
            return []
        # Gathered in numpy: torch costs microseconds a call, which a feeder thread would pay thousands
        # of times.
        samples = list(samples)
        found = [self._measured(sample) for sample in samples]
        self.moments = reduce(merge, found, self.moments)
        if self.references is not None:
            self.references.update(samples)
        return found

    def give(self, isolated: Mapping[int, float]) -> None:
        """Take energies of isolated atoms for references; see :class:`References`.

        Raises:
            InputError: a task without an energy of particles.
        """
        if self.references is None:
            raise InputError(NO_ENERGY)
        self.references.give(isolated)

    def forget(self, simulation: int) -> None:
        """Take no energies of a simulation; its moments are for whoever holds them apart."""
        if self.references is not None:
            self.references.forget(simulation)

    def take(self, values: Mapping[tuple[str, str], np.ndarray]) -> None:
        """Take numbers into account by what they are, of which there are no samples."""
        found = self.nothing
        for key, numbers in values.items():
            found[self._row[key], :3] = _measure(numbers, True)
        self.moments = merge(self.moments, found)

    @property
    def moments(self) -> np.ndarray:
        """Count, mean, sum of squared deviations and resolution of each quantity, ``(quantity, 4)``."""
        return np.stack([self._buffers[name].cpu().numpy() for name in MEASURED], axis=1)

    @moments.setter
    def moments(self, moments: np.ndarray) -> None:
        for name, column in zip(MEASURED, moments.T, strict=True):
            self._buffers[name].copy_(torch.from_numpy(np.ascontiguousarray(column)))

    @property
    def nothing(self) -> np.ndarray:
        """Moments of no samples."""
        return np.tile([0.0, 0.0, 0.0, CONSTANT_FLOAT64], (len(self.keys), 1))

    def _measured(self, sample: Sample) -> np.ndarray:
        moments = self.nothing
        for key, values, shift in self._values(sample):
            row, mask = self._row[key], sample.simulation.masks.get(key[1])
            if mask is not None and key[0] in ("field", "increment"):
                values = values[mask]
            moments[row, :3] = _measure(values, shift)
            if _dtype_of(sample, key, values) != np.float64:
                moments[row, 3] = CONSTANT
        return moments

    def fix(self) -> None:
        """Stop measuring: from here on the model sees one and the same scaling."""
        if self.references is not None and not self.fixed:
            self.references.fix()
        self.fixed.fill_(True)

    def close(self, simulation: int) -> None:
        """A simulation is not taken out any more."""
        if self.references is not None:
            self.references.close(simulation)

    def strange(self, domain: Domain) -> list[int]:
        """Species of particles whose energies have no reference, since none of them was measured."""
        return [] if self.references is None else self.references.strange(domain.species)

    def offset(self, name: str, batch: Batch) -> Tensor | None:
        """What is taken off a field before it is scaled, ``(B, 1)``: the reference of its energy."""
        if self.references is None or name != self.references.energy:
            return None
        geometry = batch.geometry
        return self.references.of(geometry["species"], geometry["owner"], batch.size)

    def normalize(self, name: str, values: Tensor, kind: str = "field") -> Tensor:
        """(x − μ) / σ; ``kind`` is ``field``, ``parameter``, ``increment`` or ``time``."""
        row = self._row_of(kind, name)
        numbers = self._numbers()
        if numbers is None:
            mean, std = (t[row] for t in self._scale())
            return (values - mean.to(values.dtype)) / std.to(values.dtype)
        mean, std = numbers[row]
        # μ first: x/σ − μ/σ in one pass would lose the digits that a large offset takes.
        return (values - mean).div_(std)

    def denormalize(self, name: str, values: Tensor, kind: str = "field") -> Tensor:
        """σ x̂ + μ."""
        row = self._row_of(kind, name)
        numbers = self._numbers()
        if numbers is None:
            mean, std = (t[row] for t in self._scale())
            return values * std.to(values.dtype) + mean.to(values.dtype)
        mean, std = numbers[row]
        return torch.add(torch.tensor(mean, dtype=values.dtype), values, alpha=std)  # one pass

    def units(self, names: Sequence[tuple[str, str]]) -> Units | None:
        """Those of quantities (kind, name); ``None`` where no numbers can be read."""
        numbers = self._numbers()
        if numbers is None:
            return None
        known, names = self._read.units, tuple(names)
        if names not in known:
            known[names] = Units.of(numbers[self._row_of(kind, name)] for kind, name in names)
        return known[names]

    def parameters_of(self, parameters: Tensor) -> Tensor:
        """Scaled parameters, ``(B, P)``."""
        if not self.task.parameters:
            return parameters
        first = self._row_of("parameter", self.task.parameters[0])
        rows = slice(first, first + len(self.task.parameters))
        mean, std = (values[rows] for values in self._scale())
        return (parameters - mean.to(parameters.dtype)) / std.to(parameters.dtype)

    def std(self, name: str, kind: str = "field") -> Tensor:
        return self._scale()[1][self._row_of(kind, name)]

    def numbers(self, name: str, kind: str = "field") -> tuple[float | Tensor, float | Tensor]:
        """μ and σ; as tensors where no numbers can be read, in a program being traced."""
        row, numbers = self._row_of(kind, name), self._numbers()
        if numbers is not None:
            return numbers[row]
        mean, std = self._scale()
        return mean[row], std[row]

    def _row_of(self, kind: str, name: str) -> int:
        row = self._row.get((kind, name))
        if row is None:
            known = [n for k, n in self.keys if k == kind]
            raise InputError(f"normalizer: no {kind} '{name}'; {nearest(name, known)}")
        return row

    def _scale(self) -> tuple[Tensor, Tensor]:
        """μ and σ of each row."""
        mean = self.mean
        std = (self.squares / self.count.clamp(min=1.0)).sqrt()
        # Chosen with `where`, not `if`: a branch on data would stop torch.export.
        one = torch.ones_like(mean)
        constant = std <= self.resolution * mean.abs()
        own = torch.where(constant, torch.where(mean == 0, one, mean.abs()), std)
        scale = torch.where(constant, own[self._field_row], std)
        if self.references is not None:
            row = self._row["field", self.references.energy]
            forces = self.potential.forces
            unit = scale[self._row["field", forces]] if forces else self.references.spread
            # Not assigned to: what a compiler makes of an assignment of 0.0 is an error of its own.
            here = torch.arange(len(mean), device=mean.device) == row
            mean, scale = torch.where(here, 0.0, mean), torch.where(here, unit, scale)
        return mean, scale

    def _numbers(self) -> list[tuple[float, float]] | None:
        """(μ, σ) of each row, read from the buffers again only where these have changed: as tensors
        they would cost a call ten small operations a quantity, and a GPU as many launches.

        ``None`` where no numbers can be read: in a program being traced, on the meta device.
        """
        buffers = [self._buffers[name] for name in MEASURED]
        buffers += [] if self.references is None else [self.references.spread]
        if torch.compiler.is_compiling() or buffers[0].is_meta:
            return None
        if any(b.is_inference() for b in buffers):
            return None  # such tensors do not say when they change
        versions = [b._version for b in buffers]
        read = self._read
        if (
            read is None
            or versions != read.versions
            or any(b is not c for b, c in zip(buffers, read.buffers, strict=True))
        ):
            mean, std = self._scale()
            numbers = list(zip(mean.tolist(), std.tolist(), strict=True))
            self._read = read = _Read(buffers, versions, numbers)
        return read.numbers

    def _values(self, sample: Sample) -> Sequence[tuple[tuple[str, str], np.ndarray, bool]]:
        task, simulation = self.task, sample.simulation
        fields = (*simulation.fields, *simulation.static_fields)
        vectors = {f.name for f in fields if f.components}
        target, positions = sample.targets[0], repeated_positions(simulation, task.inputs)
        found = [
            *((("field", n), sample.inputs[-1].fields[n], n not in vectors) for n in task.inputs),
            *(
                (("field", n), target.fields[n], n not in vectors)
                for n in task.targets
                if n not in task.inputs
            ),
            *((("field", n), simulation.static[n], n not in vectors) for n in task.static),
            *((("field", n), target.fields[n], n not in vectors) for n in task.forcing),
            *(
                (("parameter", n), np.float64(simulation.parameters[n]), True)
                for n in task.parameters
            ),
            (("time", TIME), np.float64(target.time), True),
        ]
        for n in task.targets:
            if n in task.inputs:
                # In float64: whole numbers without sign wrap around, and booleans have no difference.
                change = np.subtract(
                    target.fields[n], sample.inputs[-1].fields[n], dtype=np.float64
                )
                if n == positions:
                    change = change + _through_walls(sample, n)
                shift = self.shifts_increments and n not in vectors
                found.append((("increment", n), change, shift))
        return found


def _through_walls(sample: Sample, name: str) -> np.ndarray:
    """What is added to a change of positions in a periodic cell."""
    inputs, targets = sample.inputs[-1:], sample.targets[:1]
    windows = np.stack([f.fields[name] for f in (*inputs, *targets)], axis=1)
    return shifts_on(replace(sample, inputs=inputs, targets=targets), windows)[:, 1]


def _dtype_of(sample: Sample, key: tuple[str, str], values: np.ndarray) -> np.dtype:
    """Of the data behind a quantity: changes are computed in float64 whatever their fields are."""
    kind, name = key
    return sample.targets[0].fields[name].dtype if kind == "increment" else values.dtype


def _measure(values: np.ndarray, shift: bool) -> np.ndarray:
    """Count, mean and sum of squared deviations from it (from zero without ``shift``)."""
    deviation = np.array(values, np.float64).ravel()
    mean = deviation.mean() if shift else 0.0
    deviation -= mean
    # No product of vectors: BLAS would start threads, for which the trainer has no processor to spare.
    return np.array([deviation.size, mean, np.add.reduce(np.square(deviation, out=deviation))])


def merge(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Moments of both: Chan, Golub, LeVeque (1983), eq. 2.1."""
    count = a[:, 0] + b[:, 0]
    delta, part = b[:, 1] - a[:, 1], b[:, 0] / np.maximum(count, 1.0)
    return np.stack(
        [
            count,
            a[:, 1] + delta * part,
            a[:, 2] + b[:, 2] + delta**2 * a[:, 0] * part,
            np.where(np.abs(b[:, 3]) > np.abs(a[:, 3]), b[:, 3], a[:, 3]),
        ],
        axis=1,
    )
