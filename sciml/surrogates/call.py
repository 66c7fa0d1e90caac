"""How a plain-tensor model is called on each kind of domain; a new kind is a new row of the table.

========= =============================================================== ======================
kind      call                                                            gives
========= =============================================================== ======================
grid      ``model(x)``, x ``(B, C, *space)``                              ``(B, C_out, *space)``
grid      ``model(p)``, p ``(B, P)``, when the task has no history        ``(B, C_out, *space)``
grid      ``model(…, y)``, y ``(P, d)`` or ``(B, P, d)``, where asked     ``(B, C_out, P)``
mesh      ``model(x, points, edges, owner)``, x ``(N, C)``                ``(N, C_out)``
graph     ``model(x, edges, owner)``, x ``(N, C)``                        ``(N, C_out)``
either    ``model(…, conductance=)``, static fields in cells or on edges
          by their names, with ``cells=`` or, of a mesh, ``sides=``
particles ``model(*fields, species=, ptr=, owner=, parameters=, cell=,    a tensor or a dict
          periodic=, charge=)``, static fields by their names
========= =============================================================== ======================

A model whose :class:`~sciml.surrogates.traits.Traits` say ``pointwise`` is asked at the points
``batch.geometry["at"]`` where there are any; one that ``takes_units`` is called with ``given=`` and
``units=`` as well, see :class:`~sciml.surrogates.units.Units`, one that ``takes_scales`` with
``scales=``. Channels: history of the first input,
history of the second, …, static fields, forcing at the time of the target (numbers as constant fields),
parameters, time; a field of components has one each, one of categories a channel a kind, 1 where it is.
Particles get their fields unscaled, one ``(N[, history][, components])`` tensor each, since a model's
cutoff radius is a length; static fields are scaled. A cell that changes is the input ``lattice``: it
comes as ``cell=``, and is none of the fields. What the model wants derived (``traits.structures``)
comes as further keywords. Any model may also give a dict by field name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sciml.domain.names import LATTICE
from sciml.errors import DomainError, InputError
from sciml.samples import Simulation, Task
from sciml.surrogates.batch import Batch, lattice_of
from sciml.surrogates.scales import Scales
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import traits_of
from sciml.surrogates.units import Units

Output = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Window:
    """What one evaluation sees: scaled tensors, and the batch behind them.

    Args:
        inputs: scaled inputs by name, as in :class:`Batch`; in physical units with ``units``.
        raw: the same in physical units.
        static: static fields by name, likewise.
        forcing: of this target, by name, likewise: ``(B, *space)``, ``(N,)``; numbers ``(B,)``.
        scalars: scaled parameters and, if the task wants it, time: ``(B, P)``.
        batch: geometry and sizes.
        units: of the channels of fields and of the outputs, for a model that scales by itself.
        scales: of scalars and outputs, for a model that ``takes_scales``.
    """

    inputs: dict[str, Tensor]
    raw: dict[str, Tensor]
    static: dict[str, Tensor]
    scalars: Tensor
    batch: Batch
    units: tuple[Units, Units] | None = None
    scales: Scales | None = None
    forcing: Mapping[str, Tensor] = field(default_factory=dict)


def require_fields(task: Task, simulation: Simulation) -> None:
    """That what goes into a model as channels is fields; numbers are its parameters."""
    if simulation.domain.kind == "particles":
        if task.forcing:
            raise InputError("task: forcing on particles, whose models take no channels; drop it")
        return
    for known in simulation.fields:
        if known.on == "global" and known.name in task.inputs:
            others = [f.name for f in simulation.fields if f.on == "point"]
            raise InputError(
                f"fit: input '{known.name}' has no axis in space; expected fields, inputs={others}; a "
                "number that stays the same throughout a simulation goes in as a parameter: "
                f"parameters=['{known.name}']; one that varies in time and is known ahead: "
                f"forcing=['{known.name}']"
            )


def call(model: nn.Module, setting: Setting, window: Window) -> dict[str, Tensor]:
    """Evaluate ``model`` once; scaled outputs by target name, without a time axis.

    Raises:
        DomainError: an unknown kind of domain, or an output of the wrong shape.
    """
    try:
        arrange, pick = CALLS[window.batch.kind]
    except KeyError:
        raise DomainError(
            f"no way to call a model on domain kind '{window.batch.kind}'; "
            f"expected one of {', '.join(CALLS)}"
        ) from None
    output = arrange(model, setting.task, window)
    if isinstance(output, Mapping):
        return {name: output[name] for name in setting.task.targets if name in output}
    if not isinstance(output, Tensor):
        raise DomainError(
            f"model gave a {type(output).__name__}; expected a tensor, or a dict by field name"
        )
    return pick(output, setting)


def _on_grid(model: nn.Module, task: Task, window: Window) -> Output:
    at = window.batch.geometry.get("at")
    if at is not None and not traits_of(model).pointwise:
        raise InputError(
            f"model {type(model).__name__} gives whole fields; expected one that can be asked at "
            "points, such as 'deeponet'"
        )
    points = () if at is None else (at,)
    asked = {} if window.units is None else dict(zip(("given", "units"), window.units, strict=True))
    if window.scales is not None:
        asked["scales"] = window.scales
    if task.history == 0 and not task.static:
        return model(window.scalars, *points, **asked)
    fields = [window.inputs[n] for n in task.inputs]
    space = fields[0].shape[2:] if fields else window.batch.static[task.static[0]].shape[1:]
    fields += [_with_channel(window.static[n], 1 + len(space)) for n in task.static]
    for name in task.forcing:
        values = window.forcing[name]
        if values.ndim == 1:
            values = values.reshape(-1, *(1,) * len(space)).expand(-1, *space)
        fields.append(values.unsqueeze(1))
    scalars = window.scalars
    if scalars.shape[1]:
        fields.append(
            scalars.reshape(*scalars.shape, *(1,) * len(space)).expand(*scalars.shape, *space)
        )
    x = torch.cat(fields, dim=1) if len(fields) > 1 else fields[0]
    return model(x, *points, **asked)


def _node_channels(task: Task, window: Window) -> Tensor:
    owner, on = window.batch.geometry["owner"], window.batch.on
    for name in (*task.inputs, *task.forcing):
        # There may be as many: a ring has an edge a node.
        if (place := on.get(name)) in ("cell", "edge"):
            raise InputError(
                f"'{name}' has a value for each {place}, and models of a {window.batch.kind} see "
                "channels of nodes; expected a field on points, or one that stays, among the static ones"
            )
    # The components of a vector are channels, each with its history.
    fields = [window.inputs[n].flatten(1) for n in task.inputs]
    for name in task.static:
        values = window.static[name]
        if on.get(name) not in ("cell", "edge"):
            fields.append(_with_channel(values[owner] if on.get(name) == "global" else values, 1))
    for name in task.forcing:
        values = window.forcing[name]
        on_points = len(values) == len(owner)
        fields.append((values if on_points else values[owner]).unsqueeze(1))
    fields.append(window.scalars[owner])
    return torch.cat(fields, dim=1)


def _off_nodes(task: Task, window: Window) -> dict[str, Tensor]:
    """Static fields that are no channels of nodes, and the nodes of what they are on; edges of a graph
    are given to its models as they are."""
    on, geometry = window.batch.on, window.batch.geometry
    beside = {n: window.static[n] for n in task.static if on.get(n) in ("cell", "edge")}
    tables = {{"cell": "cells", "edge": "sides"}[on[n]] for n in beside}
    return beside | {table: geometry[table] for table in tables if table in geometry}


def _on_nodes(model: nn.Module, task: Task, window: Window) -> Output:
    """Of a mesh, or of a graph, which has no points."""
    geometry = window.batch.geometry
    places = [geometry[name] for name in ("points", "edges", "owner") if name in geometry]
    beside = _off_nodes(task, window) | _structure(window)
    if window.scales is not None:
        beside["scales"] = window.scales
    return model(_node_channels(task, window), *places, **beside)


def _on_particles(model: nn.Module, task: Task, window: Window) -> Output:
    fields = [window.raw[n] for n in task.inputs if n != LATTICE]
    if task.history == 1:
        fields = [f.squeeze(1) for f in fields]
    geometry = window.batch.geometry
    cell = geometry.get("cell")
    if LATTICE in window.raw:
        cell = lattice_of(window.raw[LATTICE])
    return model(
        *fields,
        species=geometry["species"],
        ptr=geometry["ptr"],
        owner=geometry["owner"],
        parameters=window.scalars,
        cell=None if cell is None else cell.to(window.scalars.dtype),
        periodic=geometry.get("periodic"),
        **({} if window.scales is None else {"scales": window.scales}),
        **{name: window.static[name] for name in task.static},
        **_structure(window),
    )


def _structure(window: Window) -> dict[str, Tensor]:
    """What was derived, numbers that are not whole in the dtype of the model."""
    dtype = window.scalars.dtype
    found = window.batch.structure.items()
    return {name: t.to(dtype) if t.is_floating_point() else t for name, t in found}


def _with_channel(static: Tensor, ndim: int) -> Tensor:
    """A static field with an axis of channels."""
    return static if static.ndim > ndim else static.unsqueeze(1)


def _pick_channels(output: Tensor, setting: Setting) -> dict[str, Tensor]:
    task, (_, wanted) = setting.task, setting.channels
    if output.ndim < 2 or output.shape[1] != wanted:
        raise DomainError(
            f"model gave shape {tuple(output.shape)}; expected {wanted} channels "
            f"in axis 1, one for each of {', '.join(task.targets)}"
        )
    vectors = {n for n in task.targets if setting.field(n).components or setting.width(n) > 1}
    if vectors or wanted > len(task.targets):
        axis = 1
        if task.bundle > 1:
            output, axis = output.unflatten(1, (task.bundle, -1)), 2
        parts = output.split([setting.width(name) for name in task.targets], dim=axis)
        return {
            n: part if n in vectors else part.squeeze(axis)
            for n, part in zip(task.targets, parts, strict=True)
        }
    # Not output[:, i]: the gradient of each would be a whole output, zeros but for one channel.
    fields = output.unbind(1) if output.shape[1] > 1 else (output.squeeze(1),)
    return dict(zip(task.targets, fields, strict=True))


def _pick_whole(output: Tensor, setting: Setting) -> dict[str, Tensor]:
    task = setting.task
    if len(task.targets) != 1:
        raise DomainError(
            f"model gave one tensor for the targets {', '.join(task.targets)}; "
            "give a dict by field name"
        )
    return {task.targets[0]: output}


Arrange = Callable[[nn.Module, Task, Window], Output]
Pick = Callable[[Tensor, Setting], dict[str, Tensor]]

CALLS: dict[str, tuple[Arrange, Pick]] = {
    "grid": (_on_grid, _pick_channels),
    "mesh": (_on_nodes, _pick_channels),
    "graph": (_on_nodes, _pick_channels),
    "particles": (_on_particles, _pick_whole),
}
