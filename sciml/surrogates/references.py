"""What energies are without interaction: a sum over particles of a number a species."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.samples import Sample

#: Part of the largest singular value below which species count as not told apart, and share alike.
RANK = 1e-10
#: Part of the energies of isolated atoms by which molecules are not away from them, an atom.
FAR = 0.5
#: Part of a composition that others make up, beside its largest number, below which it is rounding.
SPANNED = 1e-6


class References(nn.Module):
    """E ≈ Σ_i e(species of i), with e by least squares over all frames, in float64; or those of isolated
    atoms, :meth:`give`, and then what all atoms of the data have in common besides.

    Total energies are large and their differences small: −4209 eV, of which 0.1 meV matter, is more
    than float32 holds. What is left once the sum is taken off is what a model learns.

    The particles of a simulation stay, so the least squares of all frames follow from the count, the
    mean and the squared deviations of the energy in each simulation. They are kept one by one until
    :meth:`close`, so that one that turns out to be bad can be taken out.

    Args:
        energy: the target.
    """

    known: Tensor
    isolated: Tensor
    spread: Tensor
    table: Tensor
    kinds: Tensor
    counts: Tensor

    def __init__(self, energy: str) -> None:
        super().__init__()
        self.energy = energy
        #: Species, ascending, and e of each: one tensor, so that a thread reads both or none.
        self.register_buffer("known", torch.zeros((2, 0), dtype=torch.float64))
        #: Those that were given, likewise.
        self.register_buffer("isolated", torch.zeros((2, 0), dtype=torch.float64))
        #: Root mean square of what is left a particle.
        self.register_buffer("spread", torch.ones((), dtype=torch.float64))
        #: Simulation, count, mean and sum of squared deviations, a row each; how many of which species.
        self.register_buffer("table", torch.zeros((0, 4), dtype=torch.float64))
        self.register_buffer("kinds", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros((0, 0), dtype=torch.float64))
        self._held: dict[int, _Simulation] | None = {}
        self._there: tuple[Tensor | None, frozenset[int]] = None, frozenset()
        self._spanned: set[bytes] = set()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> References:
        """Moves with the model, and stays in float64 where the device has it."""
        kept = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, held in kept.items():
            moved = self._buffers[name]
            if moved.dtype != held.dtype and moved.device.type != "mps":
                self._buffers[name] = held.to(moved.device)
        return self

    def give(self, energies: Mapping[int, float]) -> None:
        """Take energies of isolated atoms, by species; before :meth:`fix`."""
        self._set(isolated=np.array(sorted(energies.items()), np.float64).reshape(-1, 2).T)

    def doubts(self) -> list[str]:
        """What looks wrong about the isolated atoms that were given, a line each; once fixed."""
        given, known = (dict(zip(*t.tolist(), strict=True)) for t in (self.isolated, self.known))
        lines = []
        if given and (new := sorted(int(kind) for kind in known.keys() - given.keys())):
            lines.append(
                f"references: none is given of species {', '.join(map(str, new))}, which the data have; "
                "theirs are by least squares"
            )
        common = max((abs(known[kind] - given[kind]) for kind in given), default=0.0)
        if common > FAR * sum(map(abs, given.values())) / max(len(given), 1):
            lines.append(
                f"references: energies of the data are {common:.4g} an atom away from those of isolated "
                "atoms; are they of one method, and in one unit?"
            )
        return lines

    def update(self, samples: Iterable[Sample]) -> None:
        """Take samples into account."""
        held = self._read()
        for sample in samples:
            number = sample.simulation.id
            energy = float(sample.targets[0].fields[self.energy])
            if number not in held:
                held[number] = _Simulation(_composition(sample.simulation.domain.species))
            held[number].add(energy)

    def extend(self, samples: Iterable[Sample]) -> None:
        """Take compositions into account that come after :meth:`fix`. Of one that no sum of those before
        makes up, nothing is known: its first sample says what is left, E − c·e, and e changes by
        Δe = c⊥ (E − c·e) / |c⊥|², c⊥ the part of the composition c that they do not span. So what is
        taken off those before, by which the model has learned, stays; isolated atoms stay as well."""
        for sample in samples:
            species = sample.simulation.domain.species
            if (key := species.tobytes()) in self._spanned:
                continue
            composition, known = _composition(species), self.known.cpu().numpy()
            told = dict(zip(known[0].astype(int).tolist(), known[1].tolist(), strict=True))
            told = dict.fromkeys(composition, 0.0) | told
            kinds = sorted(told)
            there = [one.composition for one in self._read().values()]
            rows = np.array([[c.get(k, 0.0) for k in kinds] for c in (composition, *there)], float)
            energies = np.array([told[k] for k in kinds])
            left = float(sample.targets[0].fields[self.energy]) - rows[0] @ energies
            rows[:, np.isin(kinds, self.isolated[0].tolist())] = 0.0
            away = rows[0] - np.linalg.lstsq(rows[1:].T, rows[0], rcond=RANK)[0] @ rows[1:]
            away[np.abs(away) < SPANNED * rows[0].max()] = 0.0
            if away.any():
                energies += away * left / (away @ away)
                self._set(known=np.array([kinds, energies], np.float64))
                self._read().setdefault(sample.simulation.id, _Simulation(composition))
            self._spanned.add(key)

    def strange(self, species: np.ndarray) -> list[int]:
        """Those that were not there."""
        known, there = self._there
        if known is not self.known:  # from the device, once
            there = frozenset(map(int, self.known[0].tolist()))
            self._there = self.known, there
        return sorted({*np.unique(species).tolist()} - there)

    def forget(self, simulation: int) -> None:
        """Leave a simulation out."""
        self._read().pop(simulation, None)

    def close(self, simulation: int) -> None:
        """It has ended well: from now on it is one with all others of its composition."""
        held = self._read()
        if (one := held.pop(simulation, None)) is None:
            return
        like = (n for n, other in held.items() if n < 0 and other.composition == one.composition)
        number = next(like, -1 - sum(n < 0 for n in held))
        held.setdefault(number, _Simulation(one.composition)).join(one)

    def fix(self) -> None:
        """e by least squares over what came, and the spread of what is left."""
        if not self._read():
            return
        self._write()
        table, counts = self.table.cpu().numpy(), self.counts.cpu().numpy()
        _, count, mean, squares = table.T
        kinds, energies = self._least_squares(counts, count, mean)
        counts = np.pad(counts, ((0, 0), (0, len(kinds) - counts.shape[1])))
        left = squares + count * (mean - counts @ energies) ** 2
        size = np.maximum(counts.sum(axis=1), 1.0)
        spread = np.sqrt((left / size**2).sum() / count.sum())
        # Below what float64 resolves of the energies there is nothing left.
        nothing = spread <= 1e-13 * np.abs(mean / size).max()
        order = np.argsort(kinds)
        self._set(
            known=np.stack([kinds, energies])[:, order],
            spread=np.array(1.0 if nothing else spread),
        )
        self._spanned.clear()

    def _least_squares(
        self, counts: np.ndarray, count: np.ndarray, mean: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Species, those of ``counts`` before others that were given, and e of each: of mean energies of
        compositions, which were seen ``count`` times."""
        seen, given = self.kinds.tolist(), dict(zip(*self.isolated.tolist(), strict=True))
        kinds = np.array([*seen, *(kind for kind in given if kind not in seen)])
        alone = np.array([given.get(kind, 0.0) for kind in kinds.tolist()])
        # Of all that were given one number is sought; of any other species one each.
        free = ~np.isin(kinds, [*given])
        columns = np.column_stack([np.eye(len(kinds))[:, free], ~free])
        rows, root = counts @ columns[: len(seen)], np.sqrt(count)
        left = mean - counts @ alone[: len(seen)]
        found, *_ = np.linalg.lstsq(rows * root[:, None], left * root, rcond=RANK)
        return kinds, alone + columns @ found

    def of(self, species: Tensor, owner: Tensor, samples: int) -> Tensor:
        """Σ e of each sample, ``(B, 1)`` in float64.

        Raises:
            InputError: a species that was not there.
        """
        known, energies = self.known
        if not len(known):
            return torch.zeros(samples, 1, dtype=energies.dtype, device=species.device)
        place = torch.searchsorted(known, species.to(known.dtype)).clamp(max=len(known) - 1)
        strange = known[place] != species
        if torch.compiler.is_compiling():  # a program cannot refuse them
            energies = torch.where(strange, torch.nan, energies[place])
            return energies.new_zeros((samples, 1)).index_add(0, owner, energies[:, None])
        if strange.any():
            new = ", ".join(map(str, species[strange].unique().tolist()))
            there = ", ".join(str(int(kind)) for kind in known.tolist())
            raise InputError(
                f"species {new} of particles whose '{self.energy}' is wanted; trained on {there}: train "
                "on them too"
            )
        sums = torch.zeros(samples, dtype=energies.dtype, device=species.device)
        return sums.index_add(0, owner, energies[place])[:, None]

    def _read(self) -> dict[int, _Simulation]:
        """By number; of the buffers, where these came from a file."""
        if self._held is None:
            kinds = self.kinds.tolist()
            self._held = {
                int(number): _Simulation(
                    {kind: int(n) for kind, n in zip(kinds, counts, strict=True) if n},
                    int(count), mean, squares,
                )
                for (number, count, mean, squares), counts in zip(
                    self.table.tolist(), self.counts.tolist(), strict=True
                )
            }  # fmt: skip
        return self._held

    def _write(self) -> None:
        """Put what came into the buffers."""
        if self._held is None:
            return
        kinds = sorted({kind for one in self._held.values() for kind in one.composition})
        counts = [[one.composition.get(k, 0) for k in kinds] for one in self._held.values()]
        rows = [(n, one.count, one.mean, one.squares) for n, one in self._held.items()]
        self._set(
            kinds=np.array(kinds, np.int64),
            table=np.array(rows, np.float64).reshape(-1, 4),
            counts=np.array(counts, np.float64).reshape(len(rows), len(kinds)),
        )

    def _set(self, **arrays: np.ndarray) -> None:
        for name, array in arrays.items():
            held = self._buffers[name]
            self._buffers[name] = torch.from_numpy(np.ascontiguousarray(array)).to(
                held.device, held.dtype
            )

    def _save_to_state_dict(self, *args: Any) -> None:
        self._write()
        super()._save_to_state_dict(*args)

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # As long as there were species and simulations; isolated atoms are not in older ones.
        state.setdefault(f"{prefix}isolated", torch.zeros((2, 0), dtype=torch.float64))
        for name, held in list(self._buffers.items()):
            if (found := state.get(f"{prefix}{name}")) is not None and found.shape != held.shape:
                self._buffers[name] = held.new_zeros(found.shape)
        self._held, self._there, self._spanned = None, (None, frozenset()), set()
        super()._load_from_state_dict(state, prefix, *args)


def _composition(species: np.ndarray) -> dict[int, int]:
    """How many particles of each species."""
    kinds, counts = np.unique(species, return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))


@dataclass(slots=True)
class _Simulation:
    """Moments of the energy of one simulation; how many particles of each species."""

    composition: dict[int, int]
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, energy: float) -> None:
        self.count += 1
        change = energy - self.mean
        self.mean += change / self.count
        self.squares += change * (energy - self.mean)

    def join(self, other: _Simulation) -> None:
        """By the rule of Chan, Golub and LeVeque."""
        count, change = self.count + other.count, other.mean - self.mean
        part = other.count / max(count, 1)
        self.squares += other.squares + change**2 * self.count * part
        self.mean, self.count = self.mean + change * part, count
