"""Viscous Burgers by PINN and LPINN, from the equation alone.

    python workflows/lpinn_burgers/run.py
    python workflows/lpinn_burgers/run.py --data burgers.npz --only burgers.npz

``--data``, or the variable BURGERS_NPZ, says where ``burgers.npz`` is, a file of deepxde's examples;
without it its rows are left out. Every training is a line of ``results.jsonl``; what is there is not
computed again.
"""

import os
from pathlib import Path

from cases import breaking, published, viscous
from table import table
from trainings import parser_of, run

if __name__ == "__main__":
    parser = parser_of(__doc__, Path("runs/lpinn_burgers"))
    parser.add_argument("--data", type=Path, default=os.environ.get("BURGERS_NPZ"))
    given = parser.parse_args()
    cases = [*viscous(), *breaking(), *(published(given.data) if given.data else ())]
    run(cases, given, table)
