"""A trainer to be killed: its "model" is the list of frames that entered it.

Run as ``python lineage_trainer.py RUN SIMULATIONS``. It takes a checkpoint (model and ledger, in one
file, written aside and renamed) every few frames, and one when all simulations are closed.
"""

import json
import sys
from pathlib import Path

from sciml.stream import Arrived, Closed, Server

EVERY = 7


def main(run_dir: Path, simulations: int) -> None:
    checkpoint = run_dir / "checkpoint.json"
    state = json.loads(checkpoint.read_text()) if checkpoint.exists() else None
    model = state["model"] if state else []
    closed = set(state["closed"]) if state else set()
    server = Server(run_dir, queue_limit=1 << 20)
    server.recover(state["ledger"] if state else None)
    server.start()

    def save() -> None:
        ledger = server.ledger.state_dict()
        aside = run_dir / "checkpoint.aside"
        aside.write_text(json.dumps({"model": model, "closed": sorted(closed), "ledger": ledger}))
        aside.replace(checkpoint)
        server.commit(keep=set(), ledger=ledger)

    while len(closed) < simulations:
        event = server.events.get(timeout=0.1)
        if isinstance(event, Arrived):
            frame = event.frame
            model.append([frame.simulation, frame.step, float(sum(frame.fields["u"].ravel()))])
            server.ledger.enter(frame)
            if len(model) % EVERY == 0:
                save()
        elif isinstance(event, Closed):
            closed.add(event.simulation_id)
    # The last rank hears that it may go before a kill can come that leaves nobody to say so.
    server.events.get(timeout=0.2)
    save()
    (run_dir / "frames.json").write_text(json.dumps(server.ledger.frames()))
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
