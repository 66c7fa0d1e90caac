"""What holds at the first time and on the sides: exact solutions by name, fields of data, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml.equations.equation import Arrays, Equation, Sides, Solution, called, options_of
from sciml.errors import InputError, require_known

#: Keys of functions: of what their arguments name, coordinates and constants.
FUNCTIONS = ("initial", "boundary")
#: Points beyond each end of a periodic axis, so that cubics do not notice it.
BEYOND = 4


def solution_of(equation: Equation, given: Any) -> tuple[Solution | None, dict[str, Any]]:
    """What holds, and its options.

    Args:
        given: a name; ``{"name": …, option: value}``; ``{"file": "u.nc"}``, or a Dataset or DataArray
            with the fields on the axes of the box, and on times if sides are held to it; ``{"initial":
            f, "boundary": g}``, functions of coordinates and constants by name; ``None``.

    Raises:
        InputError: an unknown name or option, with the nearest; a file that cannot be read; data
            without a field.
    """
    if given is None:
        return None, {}
    if hasattr(given, "to_dataset") or hasattr(given, "data_vars"):
        return _of_data(equation, given, "data"), {}
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

    return Solution(made("boundary"), made("initial"), made("boundary"))


def _of_file(equation: Equation, path: str) -> Solution:
    import xarray as xr

    if not Path(path).is_file():
        raise InputError(f"solution: no file '{path}'; expected netCDF with {equation.fields}")
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
    made: dict[tuple[Any, ...], dict[str, Any]] = {}

    def interpolators(sides: Sides) -> dict[str, Any]:
        """By field; once for each box."""
        key = tuple(sides.items())
        if key not in made:
            lines, wraps = [], {}
            for axis in axes:
                line = np.asarray(ds[axis].values, float)
                _require_within(where, axis, line, sides)
                wraps[axis] = np.isclose(line[-1] + (line[1] - line[0]), sides[axis][1], rtol=1e-6)
                lines.append(_around(line, sides[axis]) if wraps[axis] else line)
            fields = {}
            for name in equation.fields:
                order = [*(["time"] if timed else []), *axes]
                values = np.asarray(ds[name].transpose(*order).values, float)
                pads = [(0, 0)] * timed + [(BEYOND,) * 2 if wraps[a] else (0, 0) for a in axes]
                values = np.pad(values, pads, mode="wrap")
                grid = ([np.asarray(ds["time"].values, float)] if timed else []) + lines
                method = "cubic" if min(map(len, grid)) > 3 else "linear"
                fields[name] = RegularGridInterpolator(
                    grid, values, method, bounds_error=False, fill_value=None
                )
            made[key] = fields
        return made[key]

    def at(points: Arrays, time: Any, sides: Sides, first: bool) -> Arrays:
        if not timed and not first:
            raise InputError(
                f"solution: {where} has no times, and points for the sides; expected points for the "
                "first time alone, or fields on times"
            )
        columns = [_numpy(points[axis]) for axis in axes]
        if timed:
            when = float(ds["time"].values[0]) if first else _numpy(time)
            columns.insert(0, np.broadcast_to(when, columns[0].shape))
        places = np.stack(np.broadcast_arrays(*columns), axis=-1)
        return {name: found(places) for name, found in interpolators(sides).items()}

    return Solution(
        lambda points, time, sides, **given: at(points, time, sides, False),
        lambda points, time, sides, **given: at(points, time, sides, True),
    )


def _require_within(where: str, axis: str, line: np.ndarray, sides: Sides) -> None:
    low, high = sides[axis]
    if len(line) < 2 or not (np.diff(line) > 0).all():
        raise InputError(f"solution: {axis} of {where} does not ascend")
    step = line[1] - line[0]
    if line[0] - low > 1.01 * step or high - line[-1] > 1.01 * step:
        raise InputError(
            f"solution: {where} from {line[0]:g} to {line[-1]:g} along {axis}, and the domain from "
            f"{low:g} to {high:g}; expected all of it"
        )


def _around(line: np.ndarray, side: tuple[float, float]) -> np.ndarray:
    length = side[1] - side[0]
    return np.concatenate([line[-BEYOND:] - length, line, line[:BEYOND] + length])


def _numpy(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, float)
