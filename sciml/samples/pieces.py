"""Samples on meshes, piece by piece: for models that see as far as they have layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sciml.domain import Mesh
from sciml.domain.pieces import MeshPiece, cut
from sciml.errors import InputError
from sciml.samples.frame import Frame, Simulation
from sciml.samples.sample import Sample


class Pieces(Sequence[Sample]):
    """Each sample in pieces, those of one after another; what is around a piece is seen, not learned.

    A batch of all pieces of a sample has the loss of the whole, ``mse``, and its gradient; batches of
    fewer have those of their points, in less memory.

    Args:
        samples: on meshes; read when drawn.
        count: pieces of each.
        halo: edges that a model sees far, in all steps of a window together.

    Raises:
        InputError: samples on something else; see :func:`~sciml.domain.pieces.cut`.
    """

    def __init__(self, samples: Sequence[Sample], count: int, halo: int) -> None:
        self._samples, self._count, self._halo = samples, count, halo
        self._cut: dict[int, tuple[Mesh, list[MeshPiece]]] = {}
        self._made: dict[tuple[int, int], tuple[Simulation, Simulation]] = {}
        for sample in samples:
            domain = sample.simulation.domain
            if not isinstance(domain, Mesh):
                raise InputError(f"pieces of a {domain.kind}; expected meshes")
            self._pieces(domain)

    def __len__(self) -> int:
        return len(self._samples) * self._count

    def __getitem__(self, index: int) -> Sample:
        number, which = divmod(range(len(self))[index], self._count)
        sample = self._samples[number]
        pieces = self._pieces(sample.simulation.domain)
        piece = pieces[which % len(pieces)]  # METIS may leave one without a node
        simulation = self._simulation(sample.simulation, piece)
        return Sample(
            simulation,
            sample.origin,
            tuple(_frame(f, simulation, piece) for f in sample.inputs),
            tuple(_frame(f, simulation, piece) for f in sample.targets),
        )

    def _pieces(self, mesh: Mesh) -> list[MeshPiece]:
        # By identity, as structures are kept: all frames of a simulation share the one object.
        if id(mesh) not in self._cut:
            self._cut[id(mesh)] = mesh, cut(mesh, self._count, self._halo)
        return self._cut[id(mesh)][1]

    def _simulation(self, whole: Simulation, piece: MeshPiece) -> Simulation:
        key = id(whole), id(piece)
        if key not in self._made:
            on = {f.name: f.on for f in whole.static_fields}
            made = replace(
                whole,
                domain=piece,
                static={n: piece.part_of(v, on[n]) for n, v in whole.static.items()},
                masks={n: piece.part_of(m, "point") for n, m in whole.masks.items()},
            )
            self._made[key] = whole, made
        return self._made[key][1]


def _frame(frame: Frame, simulation: Simulation, piece: MeshPiece) -> Frame:
    on = {f.name: f.on for f in simulation.fields}
    held = {n: piece.part_of(v, on.get(n, "point")) for n, v in frame.fields.items()}
    return replace(frame, fields=held)
