"""The state of a module as one safetensors file, and back, whatever wraps the module.

What ``torch.compile``, ``DataParallel`` and ``DistributedDataParallel`` put in front of names is left
out of the file, so that it fits the module with or without them. State that is no tensor (extra state,
lists, numbers) lies beside the tensors as msgpack; there is no pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sciml.errors import InputError
from sciml.surrogates.packed_state import pack, unpack

#: Entry of a file that holds all that is no plain tensor; tensors within it are numbered behind it.
PLAIN = "__plain__"
#: What a module says of itself in its own ``state_dict``, as neuraloperator's do: arguments of its
#: constructor, which are no state.
DESCRIPTION = "_metadata"
_SPARSE = {
    torch.sparse_coo: lambda t: t,
    torch.sparse_csr: lambda t: t.to_sparse_csr(),
    torch.sparse_csc: lambda t: t.to_sparse_csc(),
}
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module within what compiles it or spreads it over devices."""
    while (name := _wrapped_as(module)) is not None:
        module = module._modules[name]
    return module


def state_of(module: nn.Module) -> dict[str, Any]:
    """``state_dict`` under the names that parameters have without wrappers."""
    return {own_name(module, name): value for name, value in _entries(module)}


def own_name(module: nn.Module, name: str) -> str:
    """An entry of ``state_dict`` without the parts that wrappers put into its name.

    >>> own_name(nn.Sequential(nn.DataParallel(nn.Linear(1, 1))), "0.module.weight")
    '0.weight'
    """
    kept, inside = [], module
    for part in name.split("."):
        wrapper = None if inside is None else _wrapped_as(inside)
        # Not .get, which the modules of a scripted one do not have.
        inside = inside._modules[part] if inside is not None and part in inside._modules else None
        if part != wrapper:
            kept.append(part)
    return ".".join(kept)


def unsavable(module: nn.Module, *, values: bool = True) -> str | None:
    """Why the state of a module cannot be saved, ``None`` if it can.

    Args:
        values: whether there are any; not of a module on the meta device.
    """
    for name, value in _entries(module):
        if why := _refusal(value, values):
            return f"'{name}' of {type(unwrapped(module)).__name__} {why}"
    return None


def require_savable(module: nn.Module, *, values: bool = True) -> None:
    """Refuse, before anything is trained, what could not be saved afterwards."""
    if why := unsavable(module, values=values):
        raise InputError(f"this model cannot be saved: {why}")


def write(module: nn.Module, path: Path) -> None:
    """Write the state of a module to a file.

    Raises:
        InputError: as :func:`require_savable`.
    """
    require_savable(module)
    tensors: dict[str, Tensor] = {}
    rest: dict[str, dict[str, Any]] = {"entries": {}, "sparse": {}, "complex": {}}
    for name, value in state_of(module).items():
        if not isinstance(value, Tensor):
            rest["entries"][name] = value
        elif value.layout in _SPARSE:
            rest["sparse"][name] = _taken_apart(value)
        elif value.is_complex() and not _storable(value.dtype):
            rest["complex"][name] = str(value.dtype).removeprefix("torch.")
            tensors[name] = torch.view_as_real(_copied(value))
        else:
            tensors[name] = _copied(value)
    if any(rest.values()):
        plain, within = pack(rest)
        tensors[PLAIN] = torch.frombuffer(bytearray(plain), dtype=torch.uint8)
        tensors |= {f"{PLAIN}.{name}": tensor for name, tensor in within.items()}
    save_file(tensors, path)


def read(path: Path) -> dict[str, Any]:
    """What :func:`write` wrote: tensors, and plain data.

    Raises:
        OSError, SafetensorError, ValueError: not there, or damaged.
    """
    tensors = load_file(path)
    held = tensors.pop(PLAIN, None)
    if held is None:
        return tensors
    within = {n: t for n, t in tensors.items() if n.startswith(f"{PLAIN}.")}
    numbered = {name.removeprefix(f"{PLAIN}."): tensors.pop(name) for name in within}
    rest = unpack(held.numpy().tobytes(), numbered)
    found: dict[str, Any] = {**tensors, **rest["entries"]}
    for name, dtype in rest["complex"].items():
        found[name] = torch.view_as_complex(tensors[name]).to(getattr(torch, dtype))
    for name, (layout, indices, values, shape) in rest["sparse"].items():
        coo = torch.sparse_coo_tensor(indices, values, shape, check_invariants=True).coalesce()
        found[name] = _SPARSE[getattr(torch, layout)](coo)
    return found


def fill(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Put a state into a module built alike, wrapped or not.

    Raises:
        RuntimeError: it does not fit.
    """
    for held in (*module.parameters(), *module.buffers()):
        if not is_lazy(held) and held.layout == torch.strided and 0 in held.stride():
            held.data = _copied(held).to(
                held.device
            )  # of an expanded one, entries share their memory
    mine = {own_name(module, name): name for name, _ in _entries(module)}
    module.load_state_dict({mine.get(n, n): value for n, value in state.items()})


def _entries(module: nn.Module) -> list[tuple[str, Any]]:
    """Names and values of the state, less what is no state."""
    found = module.state_dict(keep_vars=True).items()
    return [
        (n, v) for n, v in found if isinstance(v, Tensor) or n.rpartition(".")[2] != DESCRIPTION
    ]


def _wrapped_as(module: nn.Module) -> str | None:
    """Name of the module within, if this one is a wrapper."""
    if isinstance(module, _PARALLEL):
        return "module"
    return "_orig_mod" if "_orig_mod" in module._modules else None


def _refusal(value: Any, values: bool) -> str | None:
    """Why one entry cannot be saved."""
    if not isinstance(value, Tensor):
        try:
            _, within = pack(value)
        except Exception as error:
            # Whatever packing says of an object of somebody else's: it is told before training.
            why = " ".join(str(error).split()).removeprefix("state of ")
            return f"({type(value).__name__}) is no tensor and no plain data: {why}"
        return next((why for t in within.values() if (why := _refusal(t, values))), None)
    if is_lazy(value):
        return (
            "has no shape yet (a lazy layer); call the model once on an example, or give its layers "
            "their sizes: setting.channels"
        )
    if value.is_quantized:
        return "is a quantized tensor; train and save the model in float32, and quantize it for use"
    if type(value).__torch_dispatch__ is not Tensor.__torch_dispatch__ or value.is_nested:
        return f"is a {type(value).__name__}; expected plain tensors"
    if value.layout != torch.strided and value.layout not in _SPARSE:
        return (
            f"has the layout {value.layout}; expected strided, sparse_coo, sparse_csr or sparse_csc"
        )
    if not (value.is_complex() or _storable(value.dtype)):
        return f"is of {value.dtype}, which safetensors does not hold; take another dtype"
    if values and value.is_meta:
        return "lies on the meta device and has no values; move the model by to_empty, and set them"
    return None


@cache
def _storable(dtype: torch.dtype) -> bool:
    """Whether safetensors holds tensors of a dtype."""
    try:
        save({"x": torch.zeros(1, dtype=dtype)})
    except (KeyError, ValueError, RuntimeError, SafetensorError):
        return False
    return True


def _copied(tensor: Tensor) -> Tensor:
    """Memory of its own, in order: tied weights share theirs, which safetensors refuses, and views may
    be conjugated or transposed."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    return tensor.clone(memory_format=torch.contiguous_format)


def _taken_apart(tensor: Tensor) -> tuple[str, Tensor, Tensor, list[int]]:
    layout = str(tensor.layout).removeprefix("torch.")
    coo = tensor.detach().cpu().to_sparse_coo().coalesce()
    return layout, coo.indices(), coo.values(), list(coo.shape)
