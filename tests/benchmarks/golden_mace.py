"""Random models of mace-torch, and what they give: run in an environment of its own, by hand:

    python tests/benchmarks/golden_mace.py tests/surrogates/golden_mace.npz

Arrays by ``case/name``: those of the state dict, ``positions``, ``cell``, ``numbers``, ``energy``,
``forces``, ``stress``. Needs mace-torch and nothing of this package.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")
torch.serialization.add_safe_globals([slice])  # constants of e3nn 0.4.4
torch.set_default_dtype(torch.float64)

from ase import Atoms  # noqa: E402
from e3nn import o3  # noqa: E402
from mace import data, modules  # noqa: E402
from mace.tools import torch_geometric, utils  # noqa: E402

RESIDUAL = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]

CASES = {
    "cubic": {"hidden": "3x0e + 3x1o", "degree": 3, "correlation": 3, "species": (1, 6, 8)},
    "square": {
        "hidden": "2x0e + 2x1o + 2x2e",
        "degree": 2,
        "correlation": 2,
        "layers": 3,
        "cell": 3.6,
    },
    "linear": {"hidden": "4x0e", "degree": 1, "correlation": 1, "repulsion": True},
}


def atoms(cell: float | None, species: tuple[int, ...]) -> Atoms:
    """A few atoms that are not too near; in the cell the cutoff reaches several images."""
    rng = np.random.default_rng(0)
    corners = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = 1.5 * corners + rng.normal(0, 0.15, (8, 3))
    numbers = np.resize(species, 8)
    if cell is None:
        return Atoms(numbers, positions)
    skew = np.array([[cell, 0, 0], [0.4, cell, 0], [0.2, 0.3, cell]])
    return Atoms(numbers, positions, cell=skew, pbc=True)


def model(given: dict) -> torch.nn.Module:
    species = given["species"]
    return modules.ScaleShiftMACE(
        atomic_inter_scale=1.0 if given.get("repulsion") else 1.7,
        atomic_inter_shift=0.3,
        r_max=4.0,
        num_bessel=6,
        num_polynomial_cutoff=5,
        max_ell=given["degree"],
        interaction_cls=RESIDUAL,
        interaction_cls_first=RESIDUAL,
        num_interactions=given.get("layers", 2),
        num_elements=len(species),
        hidden_irreps=o3.Irreps(given["hidden"]),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.arange(1.0, len(species) + 1),
        avg_num_neighbors=6.0,
        atomic_numbers=list(species),
        correlation=given["correlation"],
        gate=torch.nn.functional.silu,
        pair_repulsion=given.get("repulsion", False),
        radial_MLP=[8, 8, 8],
    )


def main(path: str) -> None:
    arrays = {}
    for case, given in CASES.items():
        given = {"species": (1, 8), **given}
        torch.manual_seed(0)
        network = model(given)
        molecule = atoms(given.get("cell"), given["species"])
        table = utils.AtomicNumberTable(list(given["species"]))
        configuration = data.config_from_atoms(molecule)
        sample = data.AtomicData.from_config(configuration, z_table=table, cutoff=4.0)
        batch = next(iter(torch_geometric.dataloader.DataLoader([sample], batch_size=1)))
        periodic = "cell" in given
        found = network(batch.to_dict(), compute_stress=periodic)
        kept = {n: v for n, v in network.state_dict().items() if v.numel() > 1 and "mask" not in n}
        kept |= {"energy": found["energy"], "forces": found["forces"]}
        if periodic:
            kept["stress"] = found["stress"]
        arrays |= {f"{case}/{n}": v.detach().numpy() for n, v in kept.items()}
        arrays |= {
            f"{case}/numbers": molecule.numbers,
            f"{case}/positions": molecule.positions,
            f"{case}/cell": np.asarray(molecule.cell) if periodic else np.zeros((0, 3)),
        }
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
