"""The trainer's memory does not grow with the number of simulations."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys, threading, time
import numpy as np
from pathlib import Path
from resident import resident
from sciml.buffer import make
from sciml.domain import Field, Grid
from sciml.samples import Simulation, Task, Windower
from sciml.stream.client import connect
from sciml.stream.server import Server
from sciml.run.held_out import HeldOut
from sciml.run.online.intake import Intake

folder = Path(sys.argv[1])
marks = [int(word) for word in sys.argv[2:]]
server = Server(folder, encryption=False, spool_limit=8 << 20)
server.start()
buffer = make("reservoir", 64, 8)
intake = Intake(server, Windower(Task(("u",), ("u",))), buffer, HeldOut(folder), {})

class Statistics:
    def update(self, samples): ...
    def close(self, simulation): ...
    def scale(self, name): return 0.0, float("inf")
    def state_dict(self): ...

intake.screen.attach(Statistics())
intake.start()

def draw():
    while buffer.get_batch(4):
        time.sleep(0.002)  # as a trainer that computes: it leaves the interpreter to the others
        if server.wants_commit:
            with intake.lock:
                state = intake.state_dict()
            keep = {f.key for s in buffer.samples() for f in s.frames}
            server.commit(keep | {tuple(k) for k in state["frames"]}, state["ledger"])

reader = threading.Thread(target=draw)
reader.start()
grid = Grid((64, 64), ((0.0, 1.0), (0.0, 1.0)), ("periodic", "periodic"))
u = np.random.default_rng(0).normal(size=grid.shape)
memory = {}
for number in range(marks[-1]):
    client = connect(Simulation(number, grid, (Field("u"),)), endpoint=folder)
    for step in range(20):
        client.send(step, 0.1 * step, u=u)
    client.close()
    if number + 1 in marks:
        while server.ledger.frames()["entered"] < 20 * (number + 1):
            time.sleep(0.01)
        memory[number + 1] = resident()
buffer.close()
reader.join()
counts = server.ledger.frames()
intake.halt()
server.stop()
print(json.dumps({"memory": memory, "frames": counts, "disk": sum(
    f.stat().st_size for f in (folder / "spool").iterdir())}))
"""


TESTS = Path(__file__).parents[1]


def test_memory_is_flat_while_the_simulations_grow_tenfold(tmp_path):
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), "20", "200"],
        capture_output=True,
        text=True,
        timeout=480,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    # 180 more simulations brought 118 MB of fields; 5 MB more is what is half full.
    growth = found["memory"]["200"] - found["memory"]["20"]
    assert growth < 5e6, f"{growth / 1e6:.1f} MB more after ten times as many simulations"
    assert found["frames"]["received"] == 200 * 20
    assert found["frames"]["lost"] == found["frames"]["doubled"] == 0
