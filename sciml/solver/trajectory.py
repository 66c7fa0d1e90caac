"""Programs whose frames are solutions over all of a span of time, for random inputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from math import inf
from types import SimpleNamespace
from typing import Any, ClassVar, final

import numpy as np

from sciml.domain import Block, Grid
from sciml.errors import DivergedError, InputError
from sciml.parallel import Decomposition, rank_logger
from sciml.solver.declaration import Option
from sciml.solver.integrators import Integrator
from sciml.solver.program import Program
from sciml.solver.sample_seeds import sample_seed
from sciml.solver.spectral import orders, scheme_option

#: Samples solved at once, and numbers that they may hold together.
TOGETHER, NUMBERS = 64, 1 << 22

#: Inputs drawn for one sample before it is given up.
TRIES = 100

#: Methods whose stages all lie at whole and half steps, where the input is known.
SCHEME = scheme_option("rk4", "heun")


class TrajectoryProgram(Program):
    """ds/dt = f(s, u) for 0 ≤ t ≤ ``end``, s(0) given; frame n is the n-th random u and its s(t).

    Time is the first axis of the grid: axis x in one dimension, y where one axis of space follows.
    It holds both ends, t = 0 and ``end``. The ``time`` that a stream and a file know is the number
    of the sample. Fields of the program: u, then one for each component of s.

    A final class states :meth:`input`, :meth:`initial` and :meth:`rate`, and gives the grid to this
    class. Options that it needs: :func:`trajectory_options` or the like.

    Between two points of time lie ``substeps`` steps of the engine. u enters at whole and half steps
    as it is, not interpolated from the points: the solution does not depend on how many are kept.

    Samples are solved some at a time, as one array, and every rank solves all of them: ranks share
    the memory and the sending of frames, not the work.

    Attributes:
        largest: where |s| reaches it, there is no solution to the end, or none that the steps
            resolve: another u is drawn for that sample, and how many were is logged. Samples are then
            those of u given that s exists.
    """

    steady = True
    order_space: ClassVar[int | str | None] = None
    order_time = orders(SCHEME)
    largest: ClassVar[float] = inf

    def __init__(self, given: SimpleNamespace, grid: Grid) -> None:
        self.given, self.grid = given, grid
        self.dt = grid.spacing[0] / given.substeps

    @abstractmethod
    def input(self, seed: int) -> np.ndarray:
        """u of one sample, ``(2 · steps + 1, *space)``: at every half step from 0 to ``end``; or
        ``(1, *space)``, if it does not change in time."""

    @abstractmethod
    def initial(self) -> np.ndarray:
        """s at t = 0, ``(components, *space)``."""

    @abstractmethod
    def rate(self, s: np.ndarray, u: np.ndarray, out: np.ndarray) -> None:
        """Write f to ``out``; s and out are ``(components, *space, samples)``, u is ``(*space,
        samples)``."""

    @final
    def domain(self) -> Grid:
        return self.grid

    @final
    def start(self, comm: Any) -> Block:
        self.log = rank_logger(self.name, comm, self.given.log)
        self.block = Decomposition(self.grid, comm.size).block(comm.rank)
        size = self.grid.size * max(len(self.fields), 2 * self.given.substeps)
        self._together = min(max(NUMBERS // size, 1), TOGETHER)
        self._solve(0)
        return self.block

    @final
    def state(self) -> Mapping[str, np.ndarray]:
        here = (*self.block.slices, self._number - self._first)
        arrays = (self._u, *np.moveaxis(self._s, 1, 0))
        return {f.name: array[here] for f, array in zip(self.fields, arrays, strict=True)}

    @final
    def step(self, n: int) -> float:
        if n + 1 < self._first + self._u.shape[-1]:
            self._number = n + 1
        else:
            self._solve(n + 1)
        return n + 1.0

    def _solve(self, first: int) -> None:
        """Draw and solve the samples from number ``first`` on."""
        last = min(first + self._together, self.given.steps + 1)
        seeds = [sample_seed(self.given.seed, n) for n in range(first, last)]
        u = np.stack([self.input(seed) for seed in seeds], axis=-1)
        s, lost = self._integrate(u)
        tries = 1
        while lost.any():
            if tries == TRIES:
                raise InputError(
                    f"sample {first + int(lost.argmax())}: |s| reaches {self.largest:g} before "
                    f"end={self.given.end:g} for {TRIES} inputs in a row; lower --end or --amplitude, "
                    "or move --mean"
                )
            again, tries = np.flatnonzero(lost), tries + 1
            self.log.info("%d inputs without a solution to the end are drawn again", len(again))
            for i in again:
                seeds[i] = sample_seed(seeds[i], 0)
                u[..., i] = self.input(seeds[i])
            s[..., again], lost[again] = self._integrate(u[..., again])
        kept = u[:: 2 * self.given.substeps]
        self._u, self._s = np.broadcast_to(kept, (len(s), *kept.shape[1:])), s
        self._first = self._number = first

    def _integrate(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """s at the points of time, ``(points, components, *space, samples)``, and which are lost."""
        start = self.initial()
        s = np.repeat(start[..., None], u.shape[-1], axis=-1)
        path = np.empty((self.grid.shape[0], *s.shape))
        path[0] = s
        lost = np.zeros(u.shape[-1], bool)

        def nonlinear(t: float, s: np.ndarray, out: np.ndarray) -> None:
            self.rate(s, u[round(2.0 * t / self.dt) if len(u) > 1 else 0], out)

        integrator = Integrator(self.given.scheme, nonlinear, self.dt)
        with np.errstate(over="ignore", invalid="ignore"):
            for n in range(1, len(path)):
                for i in range(self.given.substeps):
                    try:
                        integrator.advance(((n - 1) * self.given.substeps + i) * self.dt, s)
                    except DivergedError:
                        self._drop(s, lost)
                self._drop(s, lost)
                path[n] = s
        return path, lost

    def _drop(self, s: np.ndarray, lost: np.ndarray) -> None:
        """Note the samples that are out of bounds, and go on from zero for them."""
        inside = (np.abs(s) < self.largest).all(axis=tuple(range(s.ndim - 1)))
        lost |= ~inside
        s[..., lost] = 0.0


def trajectory_options(
    shape: tuple[int, ...], points: str, units: str, low: int = 2
) -> tuple[Option, ...]:
    """``shape``, ``end``, ``substeps`` and ``scheme``.

    Args:
        shape: default points along time and, if there is one, space.
        points: what they are, in words.
        units: of time.
        low: least number of points along each axis.
    """
    return (
        Option("shape", shape, low=low, help=points),
        Option("end", 1.0, low=1e-9, help=f"time at which solutions end in {units}"),
        Option("substeps", 4, low=1, help="time steps from one point of time to the next"),
        SCHEME,
    )
