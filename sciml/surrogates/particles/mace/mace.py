"""MACE: equivariant message passing of higher body order, for energies, and for vectors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.particles.edges import bessel, envelope
from sciml.surrogates.particles.fields import ParticleFields
from sciml.surrogates.particles.mace.contraction import SymmetricContraction
from sciml.surrogates.particles.mace.convolution import SILU_NORM, Convolution
from sciml.surrogates.particles.mace.edges import Edges, PairedNeighbours, edges_of
from sciml.surrogates.particles.mace.irreps import (
    Irrep,
    Irreps,
    LinearIrreps,
    harmonics,
    parsed,
    slices,
)
from sciml.surrogates.particles.mace.repulsion import Repulsion
from sciml.surrogates.potential import Potential
from sciml.surrogates.scales import Scales
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose

SCALAR, VECTOR = Irrep(0, 1), Irrep(1, -1)

#: Irreps by the name of a size: with three species, two layers and order 3 they have 77, 577 and 2708
#: thousand weights. L is what the figures of the paper for small molecules are of.
PRESETS = {
    "S": "32x0e + 32x1o",
    "M": "128x0e + 128x1o",
    "L": "256x0e + 256x1o + 256x2e",
}

#: Widths of the radial networks, and of the last readout.
RADIAL, READOUT = (64, 64, 64), 16


class MACELayer(nn.Module):
    """h_i ← W B(A_i) + W_{z_i} h_i, A_i from neighbours, B of up to ``correlation`` of A_i.

    Args:
        given, wanted: irreps of h.
        channels: of each.
        kinds: how many species.
        degree: of the spherical harmonics.
        correlation: order of B.
        radial: widths of the radial network, what comes in first.
    """

    def __init__(
        self,
        given: Irreps,
        wanted: Irreps,
        channels: int,
        kinds: int,
        degree: int,
        correlation: int,
        radial: Sequence[int],
    ) -> None:
        super().__init__()
        around = harmonics(degree)
        # Of features of both parities, such of both come.
        mixed = any(ir.p != (-1) ** ir.l for ir in given)
        turned = tuple(
            sorted({*around, *(Irrep(ir.l, -ir.p) for ir in around)} if mixed else around)
        )
        self.degree, self.correlation = degree, correlation
        self.given, self.wanted, self.turned = given, wanted, turned
        self.up = LinearIrreps(given, channels, channels)
        self.convolution = Convolution(given, degree, turned, channels, radial)
        self.contraction = SymmetricContraction(turned, wanted, channels, kinds, correlation)
        self.mix = LinearIrreps(wanted, channels, channels)
        self.kept = tuple(ir for ir in given if ir in wanted)
        self.skip = LinearIrreps(self.kept, channels, channels, kinds)
        places = dict(zip(given, slices(given), strict=True))
        self.rows = [m for ir in self.kept for m in range(places[ir].start, places[ir].stop)]
        outs = dict(zip(wanted, slices(wanted), strict=True))
        self.outs = [m for ir in self.kept for m in range(outs[ir].start, outs[ir].stop)]
        self.whole = len(self.outs) == sum(ir.dim for ir in wanted)

    def forward(
        self,
        h: Float[Tensor, "given node channel"],
        kind: Tensor,
        edges: Edges,
        radial: Float[Tensor, "pair basis"],
        crowd: Tensor,
    ) -> Float[Tensor, "wanted node channel"]:
        a = self.convolution(self.up(h), edges, radial) / crowd
        b = self.mix(self.contraction(a, kind))
        kept = h if len(self.rows) == h.shape[0] else h[self.rows]
        skip = self.skip(kept, kind)
        if self.whole:
            return b + skip
        return b.index_add(0, torch.tensor(self.outs, device=b.device), skip)


class MACE(nn.Module):
    """E = Σ_i Σ_t readout_t(h_i^t), h^{t+1} = W B(A^t) + W_z h^t: up to four bodies at once a layer.

    A_i are sums over neighbours closer than the cutoff of radial functions, spherical harmonics and
    features; B all products of up to ``correlation`` of them that turn as wanted, with weights of each
    species (:mod:`~.convolution`, :mod:`~.contraction`). Numbers are read of scalars after each layer,
    the last time by a network; vectors of irreps 1o. h⁰ is a linear map of species, numbers, and
    vectors such as velocities; products of static numbers of both ends, such as charges, enter the
    radial network.

    Shapes: positions ``(N, 3)``, further fields as the task has them, ``neighbours (2, E)``,
    ``reverse (E,)`` → a dict by target: ``(B,)``, ``(N,)``, ``(N, 3)``. Energies are in units of their
    scale; forces and stress are derived of them, references of species added by the surrogate.

    Args:
        fields: of the task.
        energy: name of the energy, or "".
        hidden: irreps of h, all of as many channels, 0e among them.
        layers, correlation, degree: layers; bodies of a product less one, up to 3; of the spherical
            harmonics.
        cutoff: in the units of the positions.
        basis: Bessel functions.
        p: of the envelope, whose derivatives vanish at the cutoff up to the second.
        neighbours: mean number, by which sums are divided; ``None``: that of the first batch trained on.
        radial: widths of hidden layers of the radial networks.
        repulsion: pairs that come close repel as bare nuclei do. Positions in Å, energy in eV.
        place: of the energy among the targets, by which its scale is known.

    When it fails: what is farther away than ``layers`` times the cutoff is not seen. Memory goes with
    the particle that has most neighbours.

    Good values: cutoff 5 Å, two layers, correlation 3, degree 3.

    Source: I. Batatia and others, NeurIPS 2022, arXiv 2206.07697.
    """

    def __init__(
        self,
        fields: ParticleFields,
        energy: str = "",
        hidden: str = PRESETS["S"],
        layers: int = 2,
        correlation: int = 3,
        degree: int = 3,
        cutoff: float = 5.0,
        basis: int = 8,
        p: int = 5,
        neighbours: float | None = None,
        repulsion: bool = False,
        radial: Sequence[int] = RADIAL,
        place: int = 0,
    ) -> None:
        super().__init__()
        given = {
            "layers": (layers, 1, 100),
            "correlation": (correlation, 1, 3),
            "basis": (basis, 1, 99),
        }
        given |= {"degree": (degree, 0, 8), "p": (p, 3, 99)}
        for name, (value, low, high) in given.items():
            if not low <= value <= high:
                raise InputError(f"mace: {name}={value}; expected {low} to {high}")
        if min(radial, default=1) < 1:
            raise InputError(f"mace: radial={[*radial]}; expected widths of 1 or more")
        if neighbours is not None and not neighbours > 0:
            raise InputError(f"mace: neighbours={neighbours}; expected their mean number, above 0")
        self.fields, self.cutoff, self.basis, self.p, self.energy = fields, cutoff, basis, p, energy
        self.place = place
        self.traits = Traits(
            species=fields.species or None,
            structures=(PairedNeighbours(float(cutoff), fields.positions, fields.near),),
            takes_scales=repulsion,
        )
        channels, irreps = parsed(hidden)
        self.kinds = max(len(fields.species), 1)
        numbers, vectors = fields.counts
        self.embed = LinearIrreps((SCALAR,), numbers, channels)
        self.aim = LinearIrreps((VECTOR,), vectors, channels) if vectors else None
        read = (SCALAR, VECTOR) if fields.vectors_out else (SCALAR,)
        if not {*read} <= {*irreps}:
            raise InputError(f"mace: hidden={hidden!r}; expected 1o among them, for vectors")
        states = [(SCALAR, VECTOR) if vectors else (SCALAR,), *[irreps] * (layers - 1), read]
        widths = [basis + len(fields.paired), *radial]
        self.layers = nn.ModuleList(
            MACELayer(a, b, channels, self.kinds, degree, correlation, widths)
            for a, b in pairwise(states)
        )
        out, arrows = fields.numbers_out, fields.vectors_out
        last = range(layers - 1) if out else ()
        self.readouts = nn.ModuleList(LinearIrreps((SCALAR,), channels, out) for _ in last)
        if out:
            self.squeeze = LinearIrreps((SCALAR,), channels, READOUT)
            self.expand = LinearIrreps((SCALAR,), READOUT, out)
        self.arrows = nn.ModuleList(
            LinearIrreps((VECTOR,), channels, arrows) for _ in range(layers if arrows else 0)
        )
        self.places = [dict(zip(s, slices(s), strict=True)) for s in states[1:]]
        self.repulsion = None
        if repulsion:
            if not energy or not fields.species or min(fields.species) < 1:
                raise InputError(
                    "mace: repulsion is of nuclei; expected an energy among the targets, and species "
                    "that are atomic numbers"
                )
            self.repulsion = Repulsion(fields.species, p)
        #: Mean number of neighbours; 0: not known yet.
        self.register_buffer("crowd", torch.tensor(float(neighbours or 0.0)))

    def forward(
        self,
        *inputs: Tensor,
        species: Tensor,
        ptr: Tensor,
        owner: Tensor,
        neighbours: Tensor,
        reverse: Tensor,
        shift: Tensor,
        parameters: Tensor | None = None,
        scales: Scales | None = None,
        **others: Tensor,
    ) -> dict[str, Tensor]:
        seen = self.fields.seen(inputs, species, ptr, owner, parameters, others)
        edges = edges_of(seen.x, neighbours, shift, reverse, self.layers[0].degree)
        radial = bessel(edges.length, self.cutoff, self.basis)
        if seen.pairing.shape[1]:
            products = seen.pairing[edges.one] * seen.pairing[edges.other]
            radial = torch.cat([radial, products], dim=1)
        radial = radial * envelope(edges.length, self.cutoff, self.p)
        count = len(self.fields.species)
        kind = seen.numbers[:, :count].argmax(1) if count else torch.zeros_like(owner)
        crowd = self._crowd(neighbours.shape[1], seen.x.shape[0])
        h = self.embed(seen.numbers.unsqueeze(0))
        if self.aim is not None:
            h = torch.cat([h, self.aim(seen.vectors.permute(2, 0, 1))])
        numbers, vectors = None, None
        for k, (layer, places) in enumerate(zip(self.layers, self.places, strict=True)):
            h = layer(h, kind, edges, radial, crowd)
            if self.fields.numbers_out:
                read = self._read(k, h[places[SCALAR]])
                numbers = read if numbers is None else numbers + read
            if self.arrows:
                read = self.arrows[k](h[places[VECTOR]])
                vectors = read if vectors is None else vectors + read
        if vectors is not None:
            vectors = vectors.permute(1, 2, 0)
        found = self.fields.given(numbers, vectors, seen)
        if self.repulsion is not None:
            pairs = self.repulsion(edges.length, kind[edges.one], kind[edges.other])
            sums = pairs.new_zeros((seen.samples,)).index_add(
                0, owner[edges.one], edges.repeats * pairs
            )
            unit = 1.0 if scales is None else scales.fields[self.place][1]
            found[self.energy] = found[self.energy] + sums / unit
        return found

    def _read(self, k: int, scalars: Float[Tensor, "1 node channel"]) -> Float[Tensor, "node out"]:
        if k < len(self.layers) - 1:
            return self.readouts[k](scalars).squeeze(0)
        within = nn.functional.silu(self.squeeze(scalars)) / SILU_NORM
        return self.expand(within).squeeze(0)

    def _crowd(self, edges: int, nodes: int) -> Tensor:
        if self.training and not self.crowd.is_meta and not self.crowd:
            self.crowd.fill_(max(edges / max(nodes, 1), 1.0))
        return torch.where(self.crowd > 0, self.crowd, 1.0)


def build(
    setting: Setting,
    *,
    size: str = "S",
    hidden: str | None = None,
    layers: int = 2,
    correlation: int = 3,
    degree: int = 3,
    cutoff: float = 5.0,
    basis: int = 8,
    p: int = 5,
    neighbours: float | None = None,
    repulsion: bool = False,
    radial: Sequence[int] = RADIAL,
    species: Sequence[int] | None = None,
) -> MACE:
    """A MACE for particles in three dimensions.

    Args:
        size: S, M or L: 32 channels of 0e and 1o, 128 of 0e and 1o, 256 of 0e, 1o and 2e.
        hidden: irreps instead, as ``64x0e + 64x1o``.
        species: those that may come; ``None``: those of the data; of a stream those of the first
            simulation, and that its program expects.

    Raises:
        InputError: no particles; options that cannot be.
    """
    options = {key: v for key, v in locals().items() if key not in ("setting", "size", "species")}
    if find_spec("e3nn") is None or (repulsion and find_spec("ase") is None):
        raise InputError(
            "model 'mace' needs e3nn and ase: pip install 'sciml-surrogates[particles]'"
        )
    require_known("mace: size", size, PRESETS)
    fields = ParticleFields.of("mace", setting, species)
    if fields.ndim != 3:
        raise InputError(f"model 'mace': got particles in {fields.ndim} dimensions; expected 3")
    potential = Potential.of(setting)
    energy = "" if potential is None else potential.energy
    options["hidden"] = PRESETS[size] if hidden is None else hidden
    place = setting.task.targets.index(energy) if energy else 0
    model = MACE(fields, energy, **options, place=place)
    return chose(model, hidden=options["hidden"])
