"""Energies and forces of molecules by the tight-binding method GFN2-xTB, computed by tblite.

Source: C. Bannwarth, S. Ehlert, S. Grimme, doi:10.1021/acs.jctc.8b01176.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np

from sciml.errors import InputError


@final
class GFN2:
    """E [eV] and −∂E/∂x [eV/Å] at x [Å], ``(n, 3)``.

    What comes out depends on what was asked before by less than the accuracy: each computation begins
    with the charges of the last one.

    Args:
        atoms: of ASE: elements, charges, spins, cell.
        accuracy: 1 converges energies to 1e-6 Hartree, 0.1 to 1e-7.

    Raises:
        InputError: tblite is not there; no energy, of unknown elements or bonds that broke.
    """

    def __init__(self, atoms: Any, accuracy: float) -> None:
        require_tblite()
        from tblite.ase import TBLite

        self._atoms = atoms.copy()
        self._calculator = TBLite(method="GFN2-xTB", accuracy=accuracy, verbosity=0)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        from ase.calculators.calculator import CalculatorError

        self._atoms.positions[:] = x
        try:
            forces = self._calculator.get_property("forces", self._atoms)
        except CalculatorError as error:
            said = " ".join(str(error).split())
            raise InputError(
                f"GFN2-xTB gives no energy of {self._atoms.get_chemical_formula()} ({said}); expected "
                "elements up to radon, and bonds that hold: lower --temperature or --dt"
            ) from error
        return float(self._calculator.results["energy"]), forces


def require_tblite() -> None:
    """Raises :class:`InputError` where it is not there."""
    try:
        import tblite.ase  # noqa: F401
    except ImportError as error:
        raise InputError(
            "tblite is not there; install it with pip install 'sciml-surrogates[particles]'"
        ) from error
