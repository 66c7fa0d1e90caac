"""PONITA: convolution over positions and directions, with kernels of what is invariant of a pair."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.particles.edges import lengths, summed
from sciml.surrogates.particles.fields import ParticleInputs
from sciml.surrogates.particles.orientations import rotation, spread
from sciml.surrogates.particles.particle_model import ParticleModel, ParticlePairs
from sciml.surrogates.setting import Setting

#: Units of length in a cutoff, as Å in 5 Å: bonds are then about 1 long, where powers tell them apart.
UNITS = 5


class Polynomials(nn.Module):
    """Products of up to ``degree`` channels, x, x ⊗ x, x ⊗ x ⊗ x; then two layers with GELU."""

    def __init__(self, channels: int, degree: int, hidden: int, basis: int) -> None:
        super().__init__()
        self.degree = degree
        given = sum(channels**k for k in range(1, degree + 1))
        self.layers = nn.Sequential(
            nn.Linear(given, hidden), nn.GELU(), nn.Linear(hidden, basis), nn.GELU()
        )

    def forward(self, x: Float[Tensor, "*any channel"]) -> Float[Tensor, "*any basis"]:
        powers = [x]
        for _ in range(self.degree - 1):
            powers.append((powers[-1][..., None] * x[..., None, :]).flatten(-2))
        return self.layers(torch.cat(powers, dim=-1))


class FibreConvolution(nn.Module):
    """f_i(o) ← mean over o' of k₂(o·o') Σ_j k₁(x_j − x_i, o) f_j(o') + b, channel by channel.

    A particle is among its own neighbours j, so that what follows sees both it and the others. Kernels
    are linear in a basis. At the first batch that it is trained on both are scaled so that what comes
    out has the deviation of what went in.

    Args:
        channels: of f.
        basis: of the kernels.
    """

    calibrated: Tensor

    def __init__(self, channels: int, basis: int) -> None:
        super().__init__()
        self.kernel = nn.Linear(basis, channels, bias=False)
        self.fibre = nn.Linear(basis, channels, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("calibrated", torch.zeros((), dtype=torch.bool))
        self._looked = False

    def forward(
        self,
        f: Float[Tensor, "particle direction channel"],
        basis: Float[Tensor, "edge direction basis"],
        own: Float[Tensor, "particle_or_1 1 basis"],
        fibre: Float[Tensor, "direction direction basis"],
        neighbours: Tensor,
    ) -> Float[Tensor, "particle direction channel"]:
        source, receiver = neighbours
        near = summed(self.kernel(basis) * f.index_select(0, source), receiver, f.shape[0])
        near = near + self.kernel(own) * f
        found = torch.einsum("nqc,pqc->npc", near, self.fibre(fibre)) / f.shape[1]
        if self.training and not self._looked and not f.is_meta:
            self._looked = True  # a flag on the device would be waited for in every step
            if not bool(self.calibrated):
                self._calibrate(f, near, found)
                return self.forward(f, basis, own, fibre, neighbours)
        return found + self.bias

    @torch.no_grad()
    def _calibrate(self, f: Tensor, near: Tensor, found: Tensor) -> None:
        given, one, two = f.std(), near.std(), found.std()
        if min(given, one, two) > 0:  # a batch without neighbours tells nothing
            self.kernel.weight.mul_(given / one)
            self.fibre.weight.mul_(one / two)
        self.calibrated.fill_(True)


class PonitaLayer(nn.Module):
    """f ← f + γ W₂ GELU(W₁ LayerNorm(conv f)), a ConvNeXt block of four times the width."""

    def __init__(self, channels: int, basis: int, scale: float | None) -> None:
        super().__init__()
        self.convolution = FibreConvolution(channels, basis)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )
        self.scale = None if scale is None else nn.Parameter(torch.full((channels,), float(scale)))

    def forward(self, f: Tensor, *pairs: Tensor) -> Float[Tensor, "particle direction channel"]:
        found = self.mix(self.norm(self.convolution(f, *pairs)))
        return f + (found if self.scale is None else self.scale * found)


class PONITA(ParticleModel):
    """f(x, o) on positions x and directions o, by layers of separable convolution.

    A kernel sees of a pair a₁ = r·o, a₂ = |r − a₁ o|, r = x_j − x_i, and the products of static
    numbers; that of the fibre o·o'. Vectors v come in as v·o. Numbers come out as means over o, vectors
    as means of f(o) o. All of it is invariant under E(n) acting on x and o alike; of directions there
    are only a few, so that rotations hold approximately; how well,
    :mod:`~sciml.surrogates.particles.equivariance` measures. In training the directions are rotated at
    random.

    Shapes: positions ``(N, d)``, further fields, ``neighbours (2, E)`` → a dict by target, ``(N, d)``,
    ``(N,)``, ``(B,)``; in space (R³×S²) or in the plane (R²×S¹). Vectors are changes: targets that are
    inputs too are learned as increments.

    Args:
        hidden, layers: channels; layers.
        orientations: directions: 16 to 20 in space, 8 or more in the plane.
        degree: of the polynomials.
        basis: of the kernels; half of it are channels in between.
        layer_scale: γ at first, as 1e-6 for very long trainings; ``None``: none.
        cutoff, nearest: whom a particle sees; neither: all, with lengths in units of 1. At the cutoff,
            which is five units, kernels fade.
        rotate: directions at random in training.
        species: those that may come; ``None``: those of the data; of a stream those of the first
            simulation, and that its program expects.
        seed: of the directions.

    Raises:
        InputError: no particles; options that cannot be.

    When it fails: fewer than 12 directions in space are seen in what comes out; energies of molecules
    need 16 and more, or ``rotate``.

    Source: E. Bekkers and others, ICLR 2024, arXiv 2310.02970: hidden 128, 5 layers, degree 3, basis
    256, 16 directions for bodies that move and for molecules.
    """

    grid: Tensor

    def __init__(
        self,
        setting: Setting,
        *,
        hidden: int = 128,
        layers: int = 5,
        orientations: int = 16,
        degree: int = 3,
        basis: int = 256,
        layer_scale: float | None = None,
        cutoff: float | None = None,
        nearest: int | None = None,
        rotate: bool = True,
        species: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            "ponita", setting, cutoff, nearest, species, hidden=hidden, layers=layers,
            orientations=orientations, degree=degree, basis=basis,
        )  # fmt: skip
        fields, self.rotate = self.fields, rotate
        if fields.ndim not in (2, 3):
            raise InputError(f"ponita: {fields.ndim} axes of space; expected two or three")
        if basis < 2:
            raise InputError(f"ponita: basis={basis}; expected 2 or more")
        self.register_buffer("grid", spread(orientations, fields.ndim, seed).float())
        self.embed = nn.Linear(sum(fields.counts), hidden, bias=False)
        self.pairs = Polynomials(2 + len(fields.paired), degree, basis // 2, basis)
        self.fibre = Polynomials(1, degree, basis // 2, basis)
        self.layers = nn.ModuleList(PonitaLayer(hidden, basis, layer_scale) for _ in range(layers))
        wanted = fields.numbers_out + fields.vectors_out
        self.readouts = nn.ModuleList(nn.Linear(hidden, wanted) for _ in range(layers))

    def computed(self, seen: ParticleInputs, pairs: ParticlePairs) -> tuple[Tensor, Tensor]:
        o = self.grid.to(seen.x.dtype)
        if self.training and self.rotate:
            o = o @ rotation(o)
        numbers = seen.numbers[:, None].expand(-1, len(o), -1)
        arrows = (seen.vectors @ o.mT).mT  # (N, O, V)
        f = self.embed(torch.cat([numbers, arrows], dim=-1))
        bases = self._bases(seen, o, pairs)
        found = 0.0
        for layer, readout in zip(self.layers, self.readouts, strict=True):
            f = layer(f, *bases, pairs.neighbours)
            found = found + readout(f)
        found = found / len(self.layers)
        numbers, arrows = found.split([self.fields.numbers_out, self.fields.vectors_out], dim=-1)
        return numbers.mean(dim=1), arrows.mT @ o / len(o)  # (N, V, d)

    def _bases(
        self, seen: ParticleInputs, o: Tensor, pairs: ParticlePairs
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of pairs ``(E, O, basis)``, which fade at the cutoff, of each particle with itself
        ``(N or 1, 1, basis)``, and of directions ``(O, O, basis)``."""
        r = pairs.vectors(seen.x)
        along = r @ o.mT  # (E, O)
        across = lengths(r[:, None] - along[..., None] * o)
        invariants = torch.cat([along[..., None], across], dim=-1)
        if self.cutoff is not None:
            invariants = invariants * (UNITS / self.cutoff)
        products = pairs.products[:, None].expand(-1, len(o), -1)
        basis = self.pairs(torch.cat([invariants, products], dim=-1))
        squares = seen.pairing**2 if self.fields.paired else seen.pairing.new_zeros(1, 0)
        own = self.pairs(torch.cat([squares.new_zeros(len(squares), 2), squares], dim=1))
        return pairs.faded(basis, r), own[:, None], self.fibre((o @ o.mT)[..., None])


build = PONITA
