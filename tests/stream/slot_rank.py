"""A solver rank to be killed: streams 64 kB fields through shared memory.

Run as ``python slot_rank.py RUN STEPS ATTEMPT PAUSE [HANG]``: at step HANG it fills a slot, says so on
stdout, and waits to be killed with the slot in its hand.
"""

import sys
import time

import numpy as np

from sciml.domain import Field, Grid
from sciml.samples import Simulation
from sciml.stream import connect

SHAPE = (128, 128)


def main(run_dir: str, steps: int, attempt: int, pause: float, hang: int = -1) -> None:
    domain = Grid(SHAPE, ((0.0, 1.0),) * 2, ("periodic",) * 2)
    simulation = Simulation(0, domain, (Field("u"),), {"kappa": 1.0})
    with connect(
        simulation, endpoint=run_dir, attempt=attempt, timeout=100.0, patience=100.0
    ) as client:
        for step in range(steps):
            u = np.full(SHAPE, step, np.float32)
            if step == hang:
                assert client._slots.accepted and client._slots.fill([u]) is not None
                print("hangs", flush=True)
                time.sleep(600.0)
            client.send(step, 0.1 * step, u=u)
            time.sleep(pause)


if __name__ == "__main__":
    main(
        sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), *map(int, sys.argv[5:])
    )
