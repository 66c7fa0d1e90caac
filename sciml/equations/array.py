"""The library that an array belongs to, so that one formula serves numpy and torch alike."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np


def namespace(array: Any) -> ModuleType:
    """The module whose ``cos``, ``exp``, … act on ``array``; numpy for plain numbers.

    A tensor exists only where its library was imported already, so nothing is imported here.
    """
    library = type(array).__module__.partition(".")[0]
    return sys.modules[library] if library in ("torch", "jax", "cupy") else np
