"""What holds at the first time and on the sides: exact solutions by name, fields of data, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sciml.equations.equation import Arrays, Equation, Sides, Solution, called, options_of
from sciml.errors import InputError, require_known
from sciml.surrogates import own_model

#: Keys of functions: of what their arguments name, coordinates and constants.
FUNCTIONS = ("initial", "boundary")
#: Points beyond each end of a periodic axis, so that cubics do not notice it.
BEYOND = 4


def solution_of(equation: Equation, given: Any) -> tuple[Solution | None, dict[str, Any]]:
    """What holds, and its options.

    Args:
        given: a name; ``{"name": …, option: value}``; ``{"file": "u.nc"}``, or a Dataset or DataArray
            with the fields on the axes of the box, and on times if sides are held to it; ``{"initial":
            f, "boundary": g}``, functions of coordinates and constants by name, or ``{"file": "f.py"}``
            with functions of these names; ``None``.

    Raises:
        InputError: an unknown name or option, with the nearest; a function or an array by itself; a
            file that cannot be read; data without a field.
    """
    if given is None:
        return None, {}
    if hasattr(given, "to_dataset") or hasattr(given, "data_vars"):
        return _of_data(equation, given, "data"), {}
    if not isinstance(given, str | Mapping):
        raise InputError(
            f"solution: {type(given).__name__}; expected a name, a Dataset, {{'file': 'u.nc'}}, or "
            "functions by what they hold: {'initial': f, 'boundary': g}"
        )
    told = {"name": given} if isinstance(given, str) else dict(given)
    if "file" in told:
        require_known("solution: no key", told, ("file",))
        return _of_file(equation, told["file"]), {}
    if any(callable(value) for value in told.values()):
        require_known("solution: no key", told, FUNCTIONS)
        return _of_functions(equation, told), {}
    if "name" not in told:
        raise InputError(f"solution: {told}; expected a name, or a file: {{file: u.nc}}")
    solution = equation.solution(told.pop("name"))
    require_known("solution: no option", told, options_of(solution, equation.constants))
    return solution, told


def _of_functions(equation: Equation, functions: Mapping[str, Callable[..., Any]]) -> Solution:
    def made(name: str) -> Callable[..., Arrays]:
        def value(points: Arrays, time: Any, sides: Sides, **given: Any) -> Arrays:
            if name not in functions:
                raise InputError(
                    f"solution: points for '{name}', and no such function; give "
                    f"{{'{name}': f}}, or no points"
                )
            found = called(functions[name], {**given, **points, "t": time})
            return found if isinstance(found, Mapping) else {equation.fields[0]: found}

        return value

    return Solution(made("boundary"), made("initial"), made("boundary"), start_at=None)


def _of_file(equation: Equation, path: str) -> Solution:
    import xarray as xr

    if not Path(path).is_file():
        raise InputError(
            f"solution: no file '{path}'; expected netCDF with {', '.join(equation.fields)}, or Python "
            f"with {' and '.join(FUNCTIONS)}"
        )
    if own_model.is_file(str(path)):
        functions = own_model.functions_of(Path(path).resolve(), FUNCTIONS)
        if not functions:
            raise InputError(
                f"solution: {path} has neither {' nor '.join(FUNCTIONS)}; expected functions of "
                "coordinates and constants by name: def initial(x): return torch.sin(x)"
            )
        return _of_functions(equation, functions)
    try:
        with xr.open_dataset(path) as ds:
            return _of_data(equation, ds.load(), str(path))
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"solution: {path} cannot be read: {why}") from error


def _of_data(equation: Equation, data: Any, where: str) -> Solution:
    from scipy.interpolate import RegularGridInterpolator

    ds = data if hasattr(data, "data_vars") else data.to_dataset(name=equation.fields[0])
    ds = ds.rename({"t": "time"}) if "t" in ds.dims else ds
    for name in equation.fields:
        if name not in ds:
            raise InputError(
                f"solution: {where} has no '{name}'; it has {', '.join(ds) or 'nothing'}"
            )
    if ds.sizes.get("time") == 1:
        ds = ds.isel(time=0, drop=True)
    axes = [axis for axis in "zyx" if axis in ds[equation.fields[0]].dims]
    timed = "time" in ds[equation.fields[0]].dims
    for name in equation.fields:
        wanted = {*axes, *(["time"] if timed else [])}
        if {*ds[name].dims} != wanted or not axes:
            raise InputError(
                f"solution: '{name}' of {where} on {', '.join(map(str, ds[name].dims))}; expected the "
                "axes of the box, with time or without"
            )
        if not np.isfinite(ds[name].values).all():
            raise InputError(f"solution: '{name}' of {where} has values that are not finite")
    if timed and not np.can_cast(ds["time"].dtype, np.float64):
        raise InputError(
            f"solution: times of {where} are {ds['time'].dtype}; expected numbers, in the unit of the "
            "times of the points"
        )
    made: dict[tuple[Any, ...], tuple[dict[str, np.ndarray], dict[str, Any]]] = {}

    def interpolators(sides: Sides, periodic: Sequence[str]) -> tuple[dict[str, Any], dict]:
        """Coordinates as far as they are known, and values by field; once for each box."""
        key = (*sides.items(), *periodic)
        if key not in made:
            lines, wraps = {}, {}
            for axis in axes:
                line = np.asarray(ds[axis].values, float)
                _require_within(where, axis, line, sides)
                wraps[axis] = axis in periodic and _goes_around(line, sides[axis])
                lines[axis] = _around(line, sides[axis]) if wraps[axis] else line
            if timed:
                lines = {"time": np.asarray(ds["time"].values, float), **lines}
                _require_ascending(where, "time", lines["time"])
            fields = {}
            for name in equation.fields:
                values = np.asarray(ds[name].transpose(*lines).values, float)
                pads = [(BEYOND,) * 2 if wraps.get(a) else (0, 0) for a in lines]
                values = np.pad(values, pads, mode="wrap")
                method = "cubic" if min(map(len, lines.values())) > 3 else "linear"
                fields[name] = RegularGridInterpolator(
                    tuple(lines.values()), values, method, bounds_error=False, fill_value=None
                )
            made[key] = lines, fields
        return made[key]

    def at(points: Arrays, time: Any, sides: Sides, periodic: Sequence[str]) -> Arrays:
        lines, fields = interpolators(sides, periodic)
        columns = np.broadcast_arrays(*(_numpy({**points, "time": time}[axis]) for axis in lines))
        for (axis, line), values in zip(lines.items(), columns, strict=True):
            _require_known(where, axis, line, values)
        places = np.stack(columns, axis=-1)
        return {name: found(places) for name, found in fields.items()}

    def value(
        points: Arrays, time: Any, sides: Sides, *, periodic: Sequence[str] = (), **given: Any
    ) -> Arrays:
        if not timed:
            raise InputError(
                f"solution: {where} has no times, and points for the sides; expected points for the "
                "first time alone, or fields on times"
            )
        return at(points, time, sides, periodic)

    def start(
        points: Arrays, time: Any, sides: Sides, *, periodic: Sequence[str] = (), **given: Any
    ) -> Arrays:
        return at(points, time, sides, periodic)

    return Solution(value, None if timed else start, start_at=None)


def _require_within(where: str, axis: str, line: np.ndarray, sides: Sides) -> None:
    low, high = sides[axis]
    _require_ascending(where, axis, line)
    step = line[1] - line[0]
    if line[0] - low > 1.01 * step or high - line[-1] > 1.01 * step:
        raise InputError(
            f"solution: {where} from {line[0]:g} to {line[-1]:g} along {axis}, and the domain from "
            f"{low:g} to {high:g}; expected all of it"
        )


def _require_ascending(where: str, axis: str, line: np.ndarray) -> None:
    if len(line) < 2 or not (np.diff(line) > 0).all():
        raise InputError(f"solution: {axis} of {where} does not ascend")


def _require_known(where: str, axis: str, line: np.ndarray, values: np.ndarray) -> None:
    """That values lie on a line, or beyond an end by a step at most: cubics know nothing further out."""
    below, above = line[0] - values.min(initial=np.inf), values.max(initial=-np.inf) - line[-1]
    if below > 1.01 * (line[1] - line[0]) or above > 1.01 * (line[-1] - line[-2]):
        raise InputError(
            f"solution: {where} from {line[0]:g} to {line[-1]:g} in {axis}, and points from "
            f"{values.min():g} to {values.max():g}; expected data wherever points are"
        )


def _goes_around(line: np.ndarray, side: tuple[float, float]) -> bool:
    """Whether a line of coordinates ends a step before it begins anew."""
    step = (line[-1] - line[0]) / (len(line) - 1)
    return bool(abs(line[-1] + step - line[0] - (side[1] - side[0])) < 0.01 * step)


def _around(line: np.ndarray, side: tuple[float, float]) -> np.ndarray:
    length = side[1] - side[0]
    return np.concatenate([line[-BEYOND:] - length, line, line[:BEYOND] + length])


def _numpy(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, float)
