"""Frame averaging: any network is made equivariant by a mean over a few frames of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sciml.domain.names import LATTICE
from sciml.errors import InputError, require_known
from sciml.surrogates import registry
from sciml.surrogates.particles.fields import VECTOR, VECTOR_SUM, ParticleFields
from sciml.surrogates.particles.frames import GROUPS, frames_of, require_open
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import chose, traits_of


class FrameAveraging(nn.Module):
    """ȳ(x) = mean over frames (V, t) of x of V y(Vᵀ(x − t)); numbers likewise, without V.

    Vectors are changes: of positions t is not added.

    Equivariant under the group, whatever the backbone; see :mod:`~sciml.surrogates.particles.frames`
    for frames, also of clouds whose spectrum is degenerate. It costs as many evaluations as there are
    frames: eight of E(3), four of SE(3) and E(2), two of SE(2), one of translations.

    Shapes: called as the backbone is, ``(positions, *fields, owner=, …)``, each field ``(N, …)`` → what
    it gives, a tensor ``(N, …, d)`` or a dict.

    Args:
        backbone: of particles, or a module that takes its first argument for positions and ``owner=``.
        group: ``E(n)``, ``SE(n)`` or ``translation``.
        vectors: of the fields after the positions, which turn: their numbers from 0.
        static: names of those that come by keyword and turn.
        wanted: names of the outputs that turn; of a tensor whether it does.

    Raises:
        InputError: an unknown group; in use: particles in a periodic cell, which has no frame.

    When it fails: where two eigenvalues cross, what is computed jumps; sums over samples are no sums of
    what their parts give on their own, since there is one frame for all of a sample. So no energies of
    large systems.

    Source: O. Puny and others, ICLR 2022, arXiv 2110.03336, eq. 4.
    """

    def __init__(
        self,
        backbone: nn.Module,
        group: str = "E(n)",
        *,
        vectors: Sequence[int] = (),
        static: Sequence[str] = (),
        wanted: Sequence[str] | bool = True,
    ) -> None:
        super().__init__()
        self.backbone, self.group = backbone, group
        self.vectors, self.static, self.wanted = {*vectors}, {*static}, wanted
        require_known("frames: unknown group", group, GROUPS)
        self.traits = replace(traits_of(backbone), chosen={})

    def forward(
        self, positions: Tensor, *fields: Tensor, owner: Tensor, **others: Any
    ) -> Tensor | dict[str, Tensor]:
        require_open("frame averaging", others.get("periodic"))
        ptr = others.get("ptr")
        samples = int(owner.max()) + 1 if ptr is None else len(ptr) - 1
        d = positions.shape[-1]
        turning = [f for n, f in enumerate(fields) if n in self.vectors]
        turning += [others[name] for name in self.static]
        arrows = [f.reshape(len(positions), -1, d) for f in turning]
        directions = torch.cat(arrows, dim=1) if arrows else None
        frames = frames_of(positions, owner, samples, self.group, directions)
        centred, found = positions - frames.origin[owner], None
        for axes, weights in zip(frames.axes, frames.weights, strict=True):
            own = axes[owner]
            into = turned(centred, own)
            seen = [turned(f, own) if n in self.vectors else f for n, f in enumerate(fields)]
            beside = {n: turned(v, own) if n in self.static else v for n, v in others.items()}
            out = self.backbone(into, *seen, owner=owner, **beside)
            named = out if isinstance(out, Mapping) else {"": out}
            shares = {n: self._back(n, v, axes, weights, owner) for n, v in named.items()}
            found = shares if found is None else {n: found[n] + v for n, v in shares.items()}
        return found.get("", found)

    def _back(
        self, name: str, values: Tensor, axes: Tensor, weights: Tensor, owner: Tensor
    ) -> Tensor:
        if len(values) == len(owner):
            axes, weights = axes[owner], weights[owner]
        turns = self.wanted if isinstance(self.wanted, bool) else name in self.wanted
        values = turned(values, axes.mT) if turns else values
        return values * weights.reshape(-1, *(1,) * (values.ndim - 1))


class MeshFrameAveraging(nn.Module):
    """The same of a network on meshes, with fields as channels of nodes, whose frames they are.

    Shapes: ``(x, points, edges, owner)`` as the backbone, → channels ``(N, C)``.

    Args:
        backbone: of meshes.
        group: ``E(n)``, ``SE(n)`` or ``translation``.
        given, wanted: channels at which vectors begin, of inputs and of outputs.
    """

    def __init__(
        self, backbone: nn.Module, group: str, given: Sequence[int], wanted: Sequence[int]
    ) -> None:
        super().__init__()
        require_known("frames: unknown group", group, GROUPS)
        self.backbone, self.group = backbone, group
        self.given, self.wanted = tuple(given), tuple(wanted)
        self.traits = replace(traits_of(backbone), chosen={})
        if any(getattr(one, "by_axes", False) for one in self.traits.structures):
            raise InputError(
                "frames: the network sees coordinates of the mesh itself, which do not turn with it; "
                "expected one that sees edges, such as 'meshgraphnet' or 'gcn'"
            )

    def forward(
        self, x: Tensor, points: Tensor, edges: Tensor, owner: Tensor, **others: Tensor
    ) -> Tensor:
        d = points.shape[1]
        arrows = [x[:, k : k + d] for k in self.given]
        directions = torch.stack(arrows, dim=1) if arrows else None
        frames = frames_of(points, owner, int(owner.max()) + 1, self.group, directions)
        centred, found = points - frames.origin[owner], 0.0
        along = _owners_of_edges(owner, others)
        for axes, weights in zip(frames.axes, frames.weights, strict=True):
            own = axes[owner]
            ways = {name: turned(others[name], axes[of]) for name, of in along.items()}
            out = self.backbone(
                _at(x, self.given, own), turned(centred, own), edges, owner, **others | ways
            )
            found = found + weights[owner, None] * _at(out, self.wanted, own.mT)
        return found


def _owners_of_edges(owner: Tensor, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The sample of each way along an edge, of a mesh and of coarser ones, by its keyword."""
    found, level = {}, 0
    if "away" in given:
        found["away"] = owner[given["links"][1]]
    while f"coarse_away_{level}" in given:
        owner = owner[given[f"kept_{level}"]]
        found[f"coarse_away_{level}"] = owner[given[f"coarse_links_{level}"][1]]
        level += 1
    return found


def _at(x: Tensor, starts: Sequence[int], axes: Tensor) -> Tensor:
    """Channels of which those of vectors are turned."""
    d, found = axes.shape[-1], x.clone() if starts else x
    for k in starts:
        found[:, k : k + d] = turned(x[:, k : k + d], axes)
    return found


def turned(values: Tensor, axes: Tensor) -> Tensor:
    """Vᵀ v of each row, whatever axes there are between the first and the last."""
    return (values.reshape(len(values), -1, values.shape[-1]) @ axes).reshape(values.shape)


def build(
    setting: Setting,
    *,
    backbone: str | None = None,
    group: str = "E(n)",
    options: dict | None = None,
) -> nn.Module:
    """A model of particles or of meshes, averaged over frames.

    Args:
        backbone: its name, or the path of its file; ``None``: ``mpnn`` on particles, ``gcn`` on meshes.
        group: ``E(n)``, ``SE(n)`` or ``translation``.
        options: of the backbone.

    Raises:
        InputError: neither particles nor a mesh; a periodic cell; a backbone or options that cannot be.
    """
    kind = getattr(setting.scope, "kind", None)
    name = backbone or ("gcn" if kind == "mesh" else "mpnn")
    if kind == "mesh":
        task, d = setting.task, setting.scope.ndim
        given = [(n, task.history) for n in task.inputs]
        given += [(n, 1) for n in task.static if setting.field(n).on not in ("cell", "edge")]
        wanted = [(n, 1) for n in task.targets]
        starts = [_starts(setting, fields, d) for fields in (given, task.bundle * wanted)]
        made = MeshFrameAveraging(registry.build(name, setting, **(options or {})), group, *starts)
        return chose(made, backbone=name)
    fields = ParticleFields.of("frame_averaging", setting)
    if any(setting.scope.periodic) or LATTICE in setting.task.inputs:
        raise InputError(
            "model 'frame_averaging': particles in a periodic cell; expected open space"
        )
    if fields.inputs[0][0] != fields.positions:
        raise InputError(
            f"model 'frame_averaging': inputs {', '.join(n for n, _ in fields.inputs)}; expected the "
            f"positions, '{fields.positions}', first"
        )
    made = FrameAveraging(
        registry.build(name, setting, **(options or {})),
        group,
        vectors=[n - 1 for n, (_, vector) in enumerate(fields.inputs) if n and vector],
        static=[name for name, vector in fields.static if vector],
        wanted=[n for n, kind in fields.wanted.items() if kind in (VECTOR, VECTOR_SUM)],
    )
    return chose(made, backbone=name)


def _starts(setting: Setting, fields: Sequence[tuple[str, int]], d: int) -> list[int]:
    """Channels at which vectors begin, of fields and how many frames each has."""
    at, found = 0, []
    for name, frames in fields:
        width, field = setting.width(name), setting.field(name)
        if field.components not in (0, d) and not field.categories:
            raise InputError(
                f"model 'frame_averaging': '{name}' with {field.components} components; expected "
                f"numbers, or vectors of {d}: how others turn is not known"
            )
        if field.components == d:
            found += [at + k * width for k in range(frames)]
        at += frames * width
    return found
