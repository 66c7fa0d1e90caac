"""Convection, and convection with diffusion, by PINN and LPINN, from the equation alone.

    python workflows/lpinn_convection/run.py
    python workflows/lpinn_convection/run.py --only "LPINN soft" SOAP --seeds 0

Every training is a line of ``results.jsonl``; what is there is not computed again.
"""

from pathlib import Path

from cases import convection, diffusion, single
from table import table
from trainings import parser_of, run

if __name__ == "__main__":
    given = parser_of(__doc__, Path("runs/lpinn_convection")).parse_args()
    run([*convection(), *diffusion(), *single()], given, table)
