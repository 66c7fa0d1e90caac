"""Numbers that stand for "no value here" and were never turned into NaN: they would be trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

#: Attributes by which a file says which number stands for no value; xarray takes them away where it has
#: put NaN in their place, so what is still there was not decoded.
DECLARED = ("_FillValue", "missing_value")
#: What people and programs write without saying so: netCDF's own fills of floats and of 16 and 32 bits,
#: those of CMIP, and rows of nines.
USUAL = (
    9.969209968386869e36, -2147483647.0, -32767.0, -32768.0, 1e20, 1e36,
    -99.99, -999.0, -999.9, -9999.0, -99999.0, -9999.9, 999.0, 9999.0, 99999.0, 999999.0,
)  # fmt: skip
#: One that is not declared is told by how far it is from all else: so many times the range of that.
APART = 3.0


def require_decoded(array: xr.DataArray, values: np.ndarray, where: str) -> None:
    """Refuse values that stand for none.

    A number that the attributes declare is one wherever it stands. One of the :data:`USUAL` is if it
    comes twice or more, is the least or the greatest value, and lies as far from the others as three
    times their range; unless ``valid_min``, ``valid_max`` or ``valid_range`` of the variable take it in.

    Args:
        array: the variable, for its name and its attributes.
        values: of it.
        where: words for the error, such as ``sample 0, frame 3``.
    """
    if values.dtype.kind not in "fiu" or not values.size:
        return
    name, attrs = array.name, array.attrs
    for key in DECLARED:
        for fill in _numbers(attrs.get(key)):
            count = int((values == values.dtype.type(fill)).sum()) if _fits(fill, values) else 0
            if count:
                raise InputError(
                    f"'{name}' has {fill:g} at {count} of {values.size} points ({where}), which its "
                    f"attribute {key} says is no value; expected NaN there: ds = xr.decode_cf(ds), or "
                    f"ds['{name}'] = ds['{name}'].where(ds['{name}'] != {fill:g})"
                )
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        return
    for extreme in (finite.min(), finite.max()):
        if not any(_fits(u, values) and extreme == values.dtype.type(u) for u in USUAL):
            continue
        others = finite[finite != extreme].astype(np.float64)
        count = finite.size - others.size
        if count < 2 or not others.size or _valid(float(extreme), attrs):
            continue
        low, high = others.min(), others.max()
        gap = max(low - float(extreme), float(extreme) - high)
        if high > low and gap >= APART * (high - low):
            raise InputError(
                f"'{name}' is {extreme:g} at {count} of {values.size} points and {low:g} to {high:g} at "
                f"the others ({where}): a number for no value? expected NaN there: ds['{name}'] = "
                f"ds['{name}'].where(ds['{name}'] != {extreme:g}); if it is a value, say so: "
                f"ds['{name}'].attrs['valid_range'] = [{min(low, extreme):g}, {max(high, extreme):g}]"
            )


def _numbers(given: Any) -> list[float]:
    """Of an attribute, those that are numbers."""
    found = np.atleast_1d(np.asarray([] if given is None else given))
    if found.dtype.kind not in "fiu":
        return []
    return [float(v) for v in found if np.isfinite(v)]


def _fits(fill: float, values: np.ndarray) -> bool:
    """Whether the dtype holds the number."""
    if values.dtype.kind == "f":
        return abs(fill) <= float(np.finfo(values.dtype).max)
    kind = np.iinfo(values.dtype)
    return fill == int(fill) and kind.min <= fill <= kind.max


def _valid(value: float, attrs: Any) -> bool:
    """Whether the attributes take a value in."""
    bounds = _numbers(attrs.get("valid_range"))
    low = bounds[:1] or _numbers(attrs.get("valid_min"))
    high = bounds[1:] or _numbers(attrs.get("valid_max"))
    if not low and not high:
        return False
    return all(value >= b for b in low) and all(value <= b for b in high)
