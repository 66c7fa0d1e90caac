"""Atoms in files of the extended XYZ format, read and written by ASE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.field import Field
from sciml.domain.names import LATTICE, TAKEN_ON
from sciml.domain.particles import Particles
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

#: How names of such files end.
ENDINGS = (".xyz", ".extxyz")
#: Units of what ASE gives a meaning.
UNITS = {
    **dict.fromkeys(("energy", "free_energy", "energies"), "eV"),
    "positions": "Å",
    "forces": "eV/Å",
    "stress": "eV/Å3",
    "dipole": "e Å",
    "charges": "e",
}
#: What ASE gives of each atom. A shape does not tell: three atoms have a dipole, six a stress.
OF_ATOMS = ("forces", "energies", "stresses", "charges", "magmoms")
#: Places of a symmetric tensor's six numbers: xx, yy, zz, yz, xz, xy.
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def opened(path: Path) -> list[xr.Dataset]:
    """Each run of configurations of the same atoms and cell, over ``time``.

    Positions, and whatever all configurations of a run have: of each atom, or one a configuration. Times
    are ``time`` of the comment lines, or counted. Which configurations lack what others of the file have
    is noted in ``encoding["lacking"]``, by name, for whoever looks for it.
    """
    from ase.io import iread

    try:
        runs = [list(run) for _, run in groupby(iread(path, ":", format="extxyz"), _who)]
    except KeyError as error:  # of ASE's table of elements
        raise InputError(f"no element {error}; expected symbols such as H") from error
    each = [[_values(atoms) for atoms in run] for run in runs]
    names = {name for found in each for one in found for name in one}
    opened, first = [], 0
    for run, found in zip(runs, each, strict=True):
        ds = _run(run, found)
        lacking = {n: [k for k, one in enumerate(found, first) if n not in one] for n in names}
        formula = run[0].get_chemical_formula()
        ds.encoding["lacking"] = {
            name: f"{_listed(numbers)} of the file ({formula})"
            for name, numbers in lacking.items()
            if numbers
        }
        opened.append(ds)
        first += len(run)
    return opened


def _listed(numbers: Sequence[int]) -> str:
    """Frames in words."""
    first, last, count = numbers[0], numbers[-1], len(numbers)
    if count == 1:
        return f"frame {first}"
    if last - first == count - 1:
        return f"frames {first} to {last}"
    return f"{count} frames, the first of them {first},"


def _who(atoms: Any) -> tuple[Any, ...]:
    return atoms.numbers.tobytes(), atoms.cell.array.tobytes(), atoms.pbc.tobytes()


def _run(frames: Sequence[Any], each: Sequence[dict[str, np.ndarray]]) -> xr.Dataset:
    from sciml.domain.dataset import to_dataset

    first = frames[0]
    # A slab may have no vector along which it does not repeat.
    periodic = tuple((first.pbc & first.cell.mask()).tolist())
    whole = first.cell.rank == 3 or any(periodic)
    domain = Particles(first.numbers, first.cell.complete().array if whole else None, periodic, "Å")
    of_atoms = {*first.arrays, *OF_ATOMS}
    fields, values = [], {}
    for name, array in each[0].items():
        shapes = {one[name].shape for one in each if name in one}
        if name in TAKEN_ON["particles"] or len(shapes) > 1 or any(name not in one for one in each):
            continue
        on = "point" if name in of_atoms else "global"
        trailing = array.shape[1:] if on == "point" else array.shape
        if len(trailing) < 2:
            fields.append(Field(name, UNITS.get(name, "1"), on=on, components=sum(trailing)))
            values[name] = np.stack([one[name] for one in each])
    known = all("time" in atoms.info for atoms in frames)
    times = [atoms.info["time"] for atoms in frames] if known else np.arange(float(len(frames)))
    return to_dataset(domain, fields, values, times)


def _values(atoms: Any) -> dict[str, np.ndarray]:
    """Numbers of each atom, and of the configuration."""
    found = {n: a for n, a in atoms.arrays.items() if n != "numbers"}
    found |= {n: v for n, v in atoms.info.items() if n != "time"}
    found |= {} if atoms.calc is None else atoms.calc.results
    arrays = {name: np.asarray(value) for name, value in found.items()}
    if arrays.get("stress", np.empty(0)).shape == (3, 3):
        arrays["stress"] = arrays["stress"][VOIGT]
    return {name: array for name, array in arrays.items() if array.dtype.kind in "fiu"}


def write_extxyz(path: str | Path, data: xr.Dataset | Sequence[xr.Dataset]) -> None:
    """Write atoms as extended XYZ: each sample and time of each dataset is a configuration.

    >>> sciml.write_extxyz("predicted.xyz", surrogate.predict("molecules.xyz"))     # doctest: +SKIP

    Energies, forces, stress and whatever else ASE has a name for come as results of a calculation, other
    numbers by their names, as ``energy_variance=``; times as ``time=``. ASE writes vectors of atoms to
    8 decimals.

    Args:
        path: ends in ``.xyz`` or ``.extxyz``; must not exist.
        data: datasets of particles with ``positions`` in Å, such as predictions of molecules.

    Raises:
        InputError: ASE is not there, the file is; no particles, no positions, other units than
            ASE's; what is no dataset.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(ENDINGS)}")
    if path.exists():
        raise InputError(f"{path} is there; expected the name of a new file")
    try:
        from ase.io import write
    except ImportError as error:
        raise InputError(
            "ase is not there; install it with pip install 'sciml-surrogates[particles]'"
        ) from error
    several = list(data) if isinstance(data, Iterable) and not hasattr(data, "dims") else [data]
    frames = [atoms for ds in several for atoms in _configurations(ds)]
    if not frames:
        raise InputError("write_extxyz: no configurations; expected one at least")
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, frames, format="extxyz")


def _configurations(ds: xr.Dataset) -> Iterator[Any]:
    from ase import Atoms
    from ase.calculators.calculator import all_properties
    from ase.calculators.singlepoint import SinglePointCalculator

    from sciml.domain.inference import domain_of, fields_of, require_dataset
    from sciml.domain.layout import layout_of

    require_dataset(ds)
    if "positions" not in ds.variables:
        raise InputError(
            f"write_extxyz: no 'positions' among {', '.join(map(str, ds.data_vars))}; expected "
            "particles: add those that the others belong to, ds.assign(positions=...)"
        )
    domain = domain_of(ds)
    if not isinstance(domain, Particles):
        raise InputError(f"write_extxyz: a dataset on a {domain.kind}; expected particles")
    names = [field.name for field in fields_of(ds)]
    for name in UNITS.keys() & {"positions", *names}:
        units = ds[name].attrs.get("units", "1")
        if units not in (UNITS[name], "1"):
            raise InputError(
                f"write_extxyz: {name} in {units}; expected {UNITS[name]}: convert them"
            )
    layout = layout_of(ds, names)
    whole = [str(n) for n, v in ds.data_vars.items() if v.dims == layout.space and n != "species"]
    of_atoms = {n for n in (*names, *whole) if layout.place_of(ds[n].dims) == "point"}
    for sample in range(ds.sizes[layout.sample] if layout.sample else 1):
        for row in range(ds.sizes[layout.time] if layout.time else 1):
            at = {d: i for d, i in ((layout.sample, sample), (layout.time, row)) if d}
            one = ds.isel(at)
            values = {
                n: one[n].transpose(*layout.order(one[n].dims)).values for n in (*names, *whole)
            }
            x = values.pop("positions")
            if np.isnan(x).all():  # of a simulation that has ended
                continue
            cell = values.pop(LATTICE).reshape(3, 3) if LATTICE in values else domain.cell
            atoms = Atoms(domain.species, x, cell=cell, pbc=domain.periodic)
            known = {n: values.pop(n) for n in [*values] if n in all_properties}
            if known:
                atoms.calc = SinglePointCalculator(
                    atoms, **{n: v if v.ndim else float(v) for n, v in known.items()}
                )
            for name, value in values.items():
                if name in of_atoms:
                    atoms.set_array(name, value)
                else:
                    atoms.info[name] = value if value.ndim else value.item()
            if layout.time in ds.coords and ds[layout.time].dtype.kind in "fiu":
                atoms.info["time"] = one[layout.time].item()
            yield atoms
