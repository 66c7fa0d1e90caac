"""Files of netCDF as xarray opens them, with a word on calendars that need cftime."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


def open_netcdf(path: str | PathLike[str], **options: Any) -> xr.Dataset:
    """``xr.open_dataset``; dates beyond the years 1678 to 2262 come in microseconds where cftime is not
    there.

    Raises:
        InputError: dates of another calendar, without cftime.
        OSError, ValueError: as xarray.
    """
    import xarray as xr

    try:
        return xr.open_dataset(path, **options)
    except ValueError as error:
        if "cftime" not in str(error):
            raise
        coders = getattr(xr, "coders", None)
        if coders is not None:
            try:
                decode = coders.CFDatetimeCoder(time_unit="us")
                return xr.open_dataset(path, **{**options, "decode_times": decode})
            except ValueError:
                pass  # the calendar is the matter, not the year
        raise InputError(
            f"{path}: its dates are of a calendar that needs cftime; install it with "
            "pip install 'sciml-surrogates[climate]'"
        ) from error
