"""Programs that step Fourier coefficients on a periodic box."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, final

import numpy as np

from sciml.domain import Block, Grid
from sciml.errors import DivergedError, InputError
from sciml.parallel import Fourier, rank_logger
from sciml.parallel.line_fft import LIBRARIES
from sciml.solver.combinations import AS_THEY_ARE, Combination
from sciml.solver.declaration import Option
from sciml.solver.initial_states import initial_state
from sciml.solver.integrators import METHODS, Integrator
from sciml.solver.program import Program

#: Share of the mean square in the highest eighth of the modes beyond which a run is said to be
#: under-resolved: a tenth of a percent of the amplitude.
TAIL = 1e-6
#: Steps from one look at the highest modes to the next: it costs a twentieth of a step.
LOOK = 16

#: Radians that a wave may be carried in a step, by the order of the scheme: the stable part of the
#: imaginary axis of Runge–Kutta methods; of second order it is empty, and a little damping is relied on.
CARRY = {1: 0.5, 2: 1.0, 3: 1.7, 4: 2.8}

#: Points along an axis, at least, for each of the waves kept, by the attribute ``modes``.
PART = {None: 3, "cubic": 4, "all": 2}

#: Share of the mean square of a state that was given beyond which it is said that it is left out:
#: a millionth of the amplitude.
LEFT_OUT = 1e-12

FFT = Option("fft", "numpy", LIBRARIES, help="whose transforms; fftw is faster, and needs pyfftw")


class SpectralProgram(Program):
    """∂u/∂t = L u + N(t, u) on a periodic box, where L multiplies each Fourier mode by a number.

    A final class states :meth:`linear`, :meth:`nonlinear`, :meth:`initial` and :meth:`speed`; the state
    is the array ``u`` of Fourier coefficients, one component a field of the program.

    Options that it needs: ``shape`` (points along each axis), ``length`` (of each side), ``dt``,
    ``initial``, made by :func:`~sciml.solver.initial_option`, and ``scheme``, by :func:`scheme_option`.
    Of a state that a file gives the modes that are not kept are left out; how much that is is said.

    Attributes:
        low: coordinate where the box begins, along each axis.
        units: of the coordinates.
        modes: of n points along an axis, those |m| < n/3 are kept by default, so that products of two
            fields are free of aliasing; ``"cubic"`` keeps |m| < n/4, for products of three; ``"all"``
            keeps every mode below n/2.
        stepped: which combinations of the coefficients of the fields are stepped as ``u``: by default
            they themselves; :data:`~sciml.solver.combinations.COMPLEX` where two fields are real and
            imaginary part of one that L multiplies.
    """

    order_space = "spectral"
    common = (FFT,)
    low: ClassVar[float] = 0.0
    units: ClassVar[str] = "1"
    modes: ClassVar[str | None] = None
    stepped: ClassVar[Combination] = AS_THEY_ARE

    def __init__(self, given: SimpleNamespace) -> None:
        self.given, self.dt = given, given.dt
        n = len(given.shape)
        extent = (self.low, self.low + given.length)
        self.grid = Grid(given.shape, (extent,) * n, ("periodic",) * n, self.units)

    @abstractmethod
    def linear(self) -> np.ndarray:
        """Symbol of L, from ``self.fourier.k`` and ``k2``; broadcasts against ``self.u``."""

    @abstractmethod
    def nonlinear(self, t: float, u: np.ndarray, out: np.ndarray) -> None:
        """Write the coefficients of N(t, u) to ``out``, both of shape ``(fields, *fourier.shape)``."""

    @abstractmethod
    def initial(self, work: Block) -> np.ndarray:
        """Values at time 0, ``(fields, *work.shape)`` or, of one field, ``work.shape``."""

    @abstractmethod
    def speed(self) -> float:
        """Largest speed at which N carries anything at the start, on this rank; 0 if nothing."""

    @final
    def check_waves(self, name: str, waves: int, *axes: int) -> None:
        """Refuse more waves along a side than the modes that are kept can hold.

        Args:
            name: of the option that says how many.
            waves: along each side.
            axes: along which they go; all by default.

        Raises:
            InputError: more waves than modes along one of them.
        """
        part = PART[self.modes]
        points = min(self.grid.shape[axis] for axis in axes or range(self.grid.ndim))
        if waves > (most := (points - 1) // part):
            raise InputError(
                f"{name}={waves}: {points} points along a side carry {most} waves; lower --{name}, or "
                f"take {part * waves + 1} points or more"
            )

    @final
    def domain(self) -> Grid:
        return self.grid

    @final
    def start(self, comm: Any) -> Block:
        kept = tuple((n - 1) // PART[self.modes] for n in self.grid.shape)
        self.fourier = Fourier(comm, self.grid, modes=kept, library=self.given.fft)
        self.log = rank_logger(self.name, comm, self.given.log)
        self.watch, self._looked, self._steps = True, -LOOK, 0
        # The same memory for the points at each stage: what is fresh is not in the caches.
        self._points = np.empty((len(self.fields), *self.fourier.work.shape))
        self._known = False  # whether these are the values of ``u``
        self.speaks = comm.rank == 0
        own = initial_state(self, comm, self.fourier.work)
        values = self.initial(self.fourier.work) if own is None else own
        values = values.reshape(len(self.fields), *self.fourier.work.shape)
        self.u = np.ascontiguousarray(self.stepped.combined(self.fourier.forward(values)))
        linear = self.linear()
        if own is not None:
            self._check_initial(own, comm)
        work = len(self.fields) * self.grid.size / comm.size * self.given.steps
        self.integrator = Integrator(
            self.given.scheme, self.nonlinear, self.dt, linear=linear, work=work
        )
        self._check_step(comm, linear)
        return self.fourier.block

    @final
    def state(self) -> Mapping[str, np.ndarray]:
        self._check_resolution()
        if not self._known:
            self.fourier.inverse(self.stepped.fields(self.u), self._points)
            self._known = True
        return {
            field.name: self.fourier.owned(value)
            for field, value in zip(self.fields, self._points, strict=True)
        }

    @final
    def step(self, n: int) -> float:
        try:
            self.integrator.advance(n * self.dt, self.u)
        except DivergedError:
            self._leave()
            raise
        self._known = False
        self._steps += 1
        return (n + 1) * self.dt

    @final
    def values(self, u: np.ndarray) -> np.ndarray:
        """The fields at the points, to be overwritten by :meth:`nonlinear`, which calls it first.

        The first stage of a step begins from the state that was last asked for, if any was: it is at
        the points already, and is taken from there instead of transformed once more.
        """
        if not (self._known and u is self.u):
            self.fourier.inverse(self.stepped.fields(u), self._points)
        self._known = False
        return self._points

    def _leave(self) -> None:
        """Let :meth:`state` say what is not finite without the other ranks. They may be well, and ahead
        or done already: one such coefficient leaves no point finite."""
        finite = np.isfinite(self.u.reshape(len(self.u), -1)).all(axis=1)
        for values, well in zip(self._points, finite, strict=True):
            values[...] = 0.0 if well else np.nan
        self._known, self.watch = True, False

    def _check_step(self, comm: Any, linear: np.ndarray) -> None:
        """Refuse a step that carries waves too far, unless L damps them as fast.

        Raises:
            InputError: dt |k| speed exceeds the limit C of the scheme for a wave with
                |k| speed > −C Re L.
        """
        limit = CARRY[METHODS[self.given.scheme].order]
        speed = self.speed()
        if comm.size > 1:
            # Where the field is fastest and which waves are shortest is for different ranks to say.
            speed = max(comm.allgather(speed))
        rate = np.sqrt(self.fourier.k2) * speed
        carried = np.where(rate > -limit * np.real(linear), rate, 0.0)
        fastest = float(carried.max())
        if comm.size > 1:
            fastest = max(comm.allgather(fastest))
        if self.dt * fastest > limit:
            raise InputError(
                f"dt={self.dt:g}: the shortest waves of {self.grid.shape} points are carried "
                f"{self.dt * fastest:.3g} radians in a step, {self.given.scheme} is stable up to "
                f"{limit:g}; lower --dt to {limit / fastest:.2g} or less"
            )

    def _check_initial(self, given: np.ndarray, comm: Any) -> None:
        """Say what of a given state is left out: modes that are not kept, a mean that is none."""
        left = given - self.fourier.inverse(self.stepped.fields(self.u))
        for field, value, lost in zip(self.fields, given, left, strict=True):
            parts = (float(np.sum(value**2)), float(np.sum(lost**2)))
            if comm.size > 1:
                parts = np.sum(comm.allgather(parts), axis=0)
            share = parts[1] / parts[0] if parts[0] > 0.0 else 0.0
            if share > LEFT_OUT and self.speaks:
                rule = f"n/{PART[self.modes]}"
                points = " x ".join(map(str, self.grid.shape))
                self.warn(
                    "initial state left out",
                    f"--initial: {share:.1e} of the mean square of {field.name} is left out: waves "
                    f"above {' x '.join(map(str, self.fourier.keep))} along the axes of {points} points "
                    f"(those below {rule} are kept), or a mean where there can be none",
                    share,
                )

    def _check_resolution(self) -> None:
        """Warn when the highest modes hold too much."""
        last = self._steps == self.given.steps
        if not self.watch or (self._steps - self._looked < LOOK and not last):
            return
        self._looked = self._steps
        for field, coefficients in zip(self.fields, self.u, strict=True):
            tail = self.fourier.tail(coefficients)
            # The same on all ranks, which all left the sums here; one of them speaks.
            if tail > TAIL and self.speaks:
                self.warn(
                    "under-resolved",
                    f"under-resolved: the highest eighth of the modes holds {_share(tail)} of the mean "
                    f"square of {field.name} (above {_share(TAIL)}); take more points than "
                    f"{' x '.join(map(str, self.grid.shape))}",
                    tail,
                )


def _share(part: float) -> str:
    """``4.1 %``, or ``1e-06`` where that is little."""
    return f"{100 * part:.2g} %" if part >= 1e-4 else f"{part:.1g}"


def scheme_option(default: str, *others: str) -> Option:
    """The option ``scheme`` with its choices."""
    return Option("scheme", default, (default, *others), help="time stepping")


def orders(option: Option) -> dict[str, int]:
    """Order in time of each choice of a scheme option."""
    return {name: METHODS[name].order for name in option.choices}
