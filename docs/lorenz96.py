"""Lorenz-96 on one processor, streamed: dX_k/dt = (X_{k+1} − X_{k−2}) X_{k−1} − X_k + F on a ring."""

import argparse
import json

import numpy as np

from sciml.domain import Field, Grid
from sciml.stream.client import connect

ABOUT = {
    "schema_version": 1,
    "name": "lorenz-96",
    "summary": __doc__,
    "fields": [{"name": "X"}],
    "parameters": [{"name": "F", "default": 8.0, "low": 0.0, "high": 16.0, "help": "forcing"}],
    "options": [
        {"name": "K", "default": 40, "low": 4, "help": "sites"},
        {"name": "steps", "default": 400, "low": 0, "help": "states after the first one"},
        {"name": "seed", "default": 0, "low": 0, "help": "of the initial state"},
    ],
    "deterministic": True,
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--describe", action="store_true")
for entry in (*ABOUT["parameters"], *ABOUT["options"]):
    parser.add_argument(f"--{entry['name']}", type=type(entry["default"]), default=entry["default"])
given = parser.parse_args()
if given.describe:
    print(json.dumps(ABOUT))
    raise SystemExit

dt = 0.01


def rate(X):
    return (np.roll(X, -1) - np.roll(X, 2)) * np.roll(X, 1) - X + given.F


X = given.F + np.random.default_rng(given.seed).normal(0.0, 1.0, given.K)
ring = Grid(shape=(given.K,), extent=((0.0, float(given.K)),), boundary=("periodic",))
with connect(domain=ring, fields=[Field("X")], parameters={"F": given.F}) as client:
    for step in range(given.steps + 1):
        client.send(step, step * dt, X=X)
        k1 = rate(X)
        k2 = rate(X + dt / 2 * k1)
        k3 = rate(X + dt / 2 * k2)
        X = X + dt / 6 * (k1 + 2 * k2 + 2 * k3 + rate(X + dt * k3))
