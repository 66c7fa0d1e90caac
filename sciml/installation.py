"""Which version is installed, and whether a namesake sits on top of it."""

from __future__ import annotations

import warnings
from importlib import metadata

DISTRIBUTION = "sciml-surrogates"
NAMESAKE = "sciml"  # an unrelated project on PyPI with the same import name


def version() -> str:
    """Version of the installed distribution, ``"unknown"`` for a tree that was never installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def warn_of_namesake() -> bool:
    """Warn if PyPI's unrelated ``sciml`` is installed too: the two overwrite each other's files.

    Returns whether it is. Reading the metadata costs some milliseconds, so neither ``import sciml``
    nor a solver rank does it; the command line and the lazy names of the package do.
    """
    try:
        other = metadata.version(NAMESAKE)
    except metadata.PackageNotFoundError:
        return False
    warnings.warn(
        f"the unrelated distribution '{NAMESAKE}' {other} is installed beside '{DISTRIBUTION}' and "
        f"shares its import name, so files of one overwrite the other's; "
        f"run: pip uninstall {NAMESAKE} && pip install --force-reinstall --no-deps {DISTRIBUTION}",
        RuntimeWarning,
        stacklevel=3,
    )
    return True
