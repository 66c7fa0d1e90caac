"""Devices by name: which there are here, and which is taken where nothing is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sciml.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Where models are trained, in the order in which they are taken where nothing is said.
KINDS = ("cuda", "xpu", "mps", "cpu")
#: What a study file may name; ``auto`` is the first of :data:`KINDS` that is there.
PATTERN = r"(auto|cpu|mps|(cuda|xpu)(:\d{1,4})?)"
EXPECTED = "auto, cpu, cuda, cuda:1, xpu, xpu:1 or mps"


def require_name(name: str, what: str = "device") -> str:
    """A name that can be that of a device, whether it is there or not; torch is not needed."""
    if not isinstance(name, str) or not re.fullmatch(PATTERN, name):
        raise InputError(f"{what}: got {name!r}; expected {EXPECTED}".removeprefix(": "))
    return name


def device_of(name: str | torch.device | None, what: str = "device") -> torch.device:
    """The device called ``name``; of ``None`` or ``"auto"`` the first kind of :data:`KINDS` that is
    there.

    Args:
        what: the option that names it, for errors.
    """
    import torch

    if isinstance(name, torch.device):
        name = str(name)
    name = "auto" if name is None else require_name(_spelled(name), what)
    there = counts()
    if name == "auto":
        return torch.device(next(kind for kind in KINDS if there[kind]))
    family, _, number = name.partition(":")
    if int(number or 0) >= there[family]:
        here = [_listed(k, there[k]) for k in reversed(KINDS) if there[k]]
        lacking = (
            f"no {family.upper()} device {number}".rstrip()
            if there[family]
            else f"no {family.upper()} device"
        )
        raise InputError(
            f"{what}: {name}, yet there is {lacking} here; expected auto, {', '.join(here)}"
        )
    return torch.device(name)


def counts() -> dict[str, int]:
    """How many devices of each kind this torch can use here."""
    import torch

    found = dict.fromkeys(KINDS, 0) | {"cpu": 1}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.device_count()
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        found["xpu"] = torch.xpu.device_count()
    found["mps"] = int(torch.backends.mps.is_available())
    return found


def require_dtypes(model: nn.Module, device: torch.device) -> None:
    """Refuse weights of a dtype that the device does not have: Apple's GPUs compute in 32 bits."""
    import torch

    if device.type != "mps":
        return
    for name, weight in model.named_parameters():
        if weight.dtype in (torch.float64, torch.complex128):
            raise InputError(
                f"device: mps has no {weight.dtype}, in which '{name}' is; make the model smaller by "
                "model.float(), or take the device cpu"
            )


def _spelled(name: Any) -> Any:
    """``cpu:0`` and ``mps:0``, of which there is one, without a number."""
    return name.removesuffix(":0") if name in ("cpu:0", "mps:0") else name


def _listed(kind: str, count: int) -> str:
    return kind if count == 1 else f"{kind}:0 to {kind}:{count - 1}"
