"""What networks see that look at nodes alone: fields that lie elsewhere are brought to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sciml.domain import Domain, Mesh
from sciml.domain.pieces import MeshPiece
from sciml.errors import DomainError
from sciml.surrogates.graph.on_domain import GraphChannels, NodeGroups, at_corners, graph_channels
from sciml.surrogates.mesh.encodings import NodeEncoding
from sciml.surrogates.setting import Setting
from sciml.surrogates.structure import DomainStructure, Part


@dataclass(frozen=True, slots=True)
class NodePlaces(DomainStructure):
    """Coordinates within a mesh, ``place (N, d)``: from −1 to 1 along its longest side.

    Where the mesh lies, and the unit of lengths, do not matter; its own size does not show, either.
    """

    by_axes: ClassVar[bool] = True

    def parts(self, domain: Domain) -> dict[str, Part]:
        if isinstance(domain, MeshPiece):  # places are those of the whole
            [part] = self.parts(domain.whole).values()
            return {"place": Part(part.values[domain.nodes])}
        if not isinstance(domain, Mesh):
            raise DomainError(f"places of a {domain.kind}; expected a mesh")
        low, high = domain.points.min(axis=0), domain.points.max(axis=0)
        half = max(float((high - low).max()) / 2, np.finfo(np.float64).tiny)
        return {"place": Part(((domain.points - (low + high) / 2) / half).astype(np.float32))}


@dataclass(frozen=True, slots=True)
class NodeChannels:
    """What a network of nodes sees of a setting.

    Args:
        seen: fields, and where they lie.
        channels: of a node: its own, means of the cells and of the edges that it is on; ``place`` and
            groups of a mesh, ``encoding``.
        structures: that give the last ones.
    """

    seen: GraphChannels
    channels: int
    structures: tuple[DomainStructure, ...]

    @classmethod
    def of(
        cls, model: str, setting: Setting, groups: bool, encoding: str, encoding_size: int
    ) -> NodeChannels:
        """What a model sees of a setting.

        Args:
            groups: whether groups of the mesh are among the channels.
            encoding, encoding_size: as in :class:`NodeEncoding`; empty: none.

        Raises:
            InputError: no mesh or graph; an encoding that cannot be.
        """
        seen = graph_channels(model, setting, groups=groups)
        structures = (NodePlaces(),) if seen.ndim else ()
        structures += (NodeGroups(seen.groups),) if seen.groups else ()
        channels = seen.channels + sum(map(setting.width, seen.edges)) + seen.ndim
        if encoding:
            structures += (NodeEncoding(encoding, encoding_size),)
            channels += encoding_size
        return cls(seen, channels, structures)

    def features(self, x: Tensor, where: Sequence[Tensor], given: dict[str, Tensor]) -> Tensor:
        """Channels of nodes; static fields that become one leave ``given``."""
        parts = [x]
        tables = {n: given.pop(n) for n in ("cells", "sides") if n in given}
        for name in self.seen.cells:
            parts.append(at_corners(given.pop(name), tables["cells"], len(x)))
        for name in self.seen.edges:
            # Of a graph the edges themselves are given, and a value belongs to the receiver.
            ends = tables["sides"] if "sides" in tables else where[0][1][:, None]
            parts.append(at_corners(given.pop(name), ends, len(x)))
        names = ("place", "node_groups", "encoding")
        parts += [given[n].to(x.dtype) for n in names if n in given]
        return torch.cat(parts, dim=1) if len(parts) > 1 else x
