"""What a solver program can be asked for: physical parameters, and options of the run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sciml.errors import InputError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

#: Flags that are no options.
RESERVED = ("describe", "help")

#: How names of files end, which tells them from the names of choices.
ENDINGS = (".nc", ".nc4", ".cdf", ".h5", ".npy")

#: Type of an option by name: (of one value, whether it is a list).
TYPES: dict[str, tuple[type, bool]] = {
    "int": (int, False),
    "float": (float, False),
    "str": (str, False),
    "int list": (int, True),
    "float list": (float, True),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A physical number that a design of experiments may vary, and a surrogate may see.

    Args:
        name: of the flag ``--name``, the attribute in files and the key in study files.
        default: value when the flag is not given.
        low, high: range that the program accepts, both ends included.
        units: UDUNITS string, ``"1"`` if non-dimensional.
        help: one line.

    Raises:
        InputError: a name that is no flag, or low ≤ default ≤ high does not hold.
    """

    name: str
    default: float
    low: float
    high: float
    units: str = "1"
    help: str = ""

    def __post_init__(self) -> None:
        _check_name("parameter", self.name)
        for key in ("default", "low", "high"):
            object.__setattr__(self, key, float(getattr(self, key)))
        if not self.low <= self.default <= self.high:
            raise InputError(
                f"parameter '{self.name}': default {self.default:g} on [{self.low:g}, "
                f"{self.high:g}]; expected low ≤ default ≤ high"
            )

    def check(self, value: float) -> float:
        """``value``, if it lies in the range.

        Raises:
            InputError: it does not, or is not a finite number.
        """
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise InputError(
                f"{self.name}={value:g} is out of range; expected {self.low:g} to {self.high:g} "
                f"{self.units}"
            )
        return value


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of the run: resolution, scheme, boundary, initial field.

    Args:
        name: of the flag ``--name``.
        default: value when the flag is not given; its type is the type of the option: int, float,
            str, or a non-empty tuple of int or float (given as several words).
        choices: the values allowed, if only a few are.
        files: whether the name of a file is allowed besides: see :mod:`sciml.solver.initial_states`.
        low: smallest number allowed, if any.
        help: one line.

    Raises:
        InputError: a name that is no flag, a default of another type or outside the choices.
    """

    name: str
    default: Any
    choices: tuple[Any, ...] = ()
    low: float | None = None
    help: str = ""
    files: bool = False

    def __post_init__(self) -> None:
        _check_name("option", self.name)
        if isinstance(self.default, list):
            object.__setattr__(self, "default", tuple(self.default))
        object.__setattr__(self, "choices", tuple(self.choices))
        if self.type not in TYPES:
            raise InputError(
                f"option '{self.name}': default {self.default!r}; expected one of {', '.join(TYPES)}"
            )
        self.check(self.default)

    @property
    def type(self) -> str:
        """``int``, ``float``, ``str``, ``int list`` or ``float list``."""
        if isinstance(self.default, tuple):
            kinds = {type(value).__name__ for value in self.default}
            return f"{kinds.pop() if len(kinds) == 1 else '?'} list"
        return type(self.default).__name__

    def check(self, value: Any) -> Any:
        """``value``, if it is allowed.

        Raises:
            InputError: not among the choices, below ``low``, or not finite.
        """
        for one in value if isinstance(value, tuple) else (value,):
            if self.choices and one not in self.choices and not (self.files and is_file(one)):
                raise InputError(
                    f"{self.name}={one}; expected one of {', '.join(map(str, self.choices))}"
                    + (", or a file of your own (.nc, .npy)" if self.files else "")
                )
            if isinstance(one, float) and not math.isfinite(one):
                raise InputError(f"{self.name}={one}; expected a finite number")
            if self.low is not None and one < self.low:
                raise InputError(f"{self.name}={one}; expected {self.low:g} or more")
        return value


def is_file(value: Any) -> bool:
    """Whether the value of an option names a file."""
    return isinstance(value, str) and value.lower().endswith(ENDINGS)


def initial_option(default: str, *others: str, help: str = "field") -> Option:
    """The option ``initial`` with its choices; a file with a state of one's own will do as well."""
    words = f"{help}; or a file with a state of your own"
    return Option("initial", default, (default, *others), files=True, help=words)


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{what} {name!r:.60}; expected letters, digits and underscores, a letter first"
        )
    if name in RESERVED:
        raise InputError(
            f"{what} '{name}': every program has a flag of that name; expected another"
        )


#: Steps from one state in the file to the next, of programs that have no option of that name themselves.
EVERY = Option("every", 1, low=1, help="steps from one state in the file to the next")

#: How long a run is; of our programs it may be no step at all.
STEPS = Option("steps", 100, low=0, help="number of time steps")

#: The same of programs whose steps are samples.
SAMPLED = {
    STEPS: replace(STEPS, help="samples after the first, a state each"),
    EVERY: replace(EVERY, help="samples from one in the file to the next"),
}

#: Options of every program. ``out`` and ``describe`` are flags of the main, not of the physics.
UNIVERSAL = (
    Option("seed", 0, low=0, help="seed of all that is drawn"),
    STEPS,
    Option("out", "", help="netCDF file to write; must not exist"),
    EVERY,
    Option("log", "warning", ("error", "warning", "info", "debug"), help="what rank 0 reports"),
)


def has(options: Iterable[Option], wanted: Option) -> bool:
    """Whether an option of every program is there, and not one of its own of that name."""
    return any(option in (wanted, SAMPLED[wanted]) for option in options)


def require_flags(flags: Iterable[Parameter | Option]) -> None:
    """Raises :class:`InputError` where two flags go by one name."""
    seen: set[str] = set()
    for flag in flags:
        if flag.name in seen:
            raise InputError(f"flag --{flag.name} is declared twice; rename one")
        seen.add(flag.name)
