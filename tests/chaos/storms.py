"""Many runs of many studies, disturbed at random, each counted by the checker.

``python tests/chaos/storms.py FOLDER --kills 100 --seed 1``: what was done and what was found is printed
at the end and written to FOLDER/storms.jsonl as it comes. The studies run undisturbed first: recordings
are compared with theirs.
"""

import argparse
import itertools
import json
import random
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from chaos import Chaos, table
from checker import check
from studies import STUDIES


def reference(kind, folder):
    """The run of a study that nobody disturbs, made where it is not there."""
    run = folder / f"reference-{kind.replace(' ', '-')}"
    if not (run / "run/summary.json").exists():
        shutil.rmtree(run, ignore_errors=True)
        storm = Chaos(kind, STUDIES[kind], run, 0, 0).go()
        assert not storm.faults, storm.faults
        account = check(run / "run", places=(run / "t", Path("/dev/shm")))
        assert not account.faults, account.faults
    return run / "run"


def storms(folder, kills, seed, kinds=tuple(STUDIES), each=8, pause=15.0, aimed=0.6, say=print):
    """Disturb runs until so many signals have been sent; (storms, accounts)."""
    draw, done, counted = random.Random(seed), [], []
    with (folder / "storms.jsonl").open("a") as log:
        for number in itertools.count():
            left = kills - sum(len(storm.kills) for storm in done)
            if left <= 0:
                return done, counted
            kind = kinds[number % len(kinds)]
            truth = reference(kind, folder)
            place = folder / f"{seed}-{number}"
            one = draw.randrange(10**6)
            say(f"{kind}, seed {one}, in {place}", flush=True)
            storm = Chaos(kind, STUDIES[kind], place, one, min(left, each), pause, aimed).go()
            account = check(place / "run", truth, places=(place / "t", Path("/dev/shm")))
            done.append(storm)
            counted.append(account)
            say("\n".join(account.lines()), flush=True)
            line = {"storm": asdict(storm), "account": vars(account)}
            log.write(json.dumps(line, default=str) + "\n")
            log.flush()
            if not (storm.faults or account.faults):
                shutil.rmtree(place)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=8, help="kills a run at most")
    parser.add_argument("--pause", type=float, default=15.0, help="seconds between two, at most")
    parser.add_argument("--aimed", type=float, default=0.6, help="share that waits for a phase")
    parser.add_argument("--kinds", nargs="*", default=list(STUDIES), choices=list(STUDIES))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    how = (given.kinds, given.each, given.pause, given.aimed)
    done, counted = storms(given.folder, given.kills, given.seed, *how)
    print("\n".join(table(done, counted)))
    sys.exit(any(s.faults for s in done) or any(a.faults for a in counted))


if __name__ == "__main__":
    main()
