"""Recordings of simulations that are made up."""

import pytest
from made_up import frame, simulation

from sciml.record import Recorder


@pytest.fixture
def record(tmp_path):
    """Record simulations of given lengths, step by step in turns; returns the folder."""

    def record(lengths, folder="recording", dtype="float32", make=simulation, **options):
        recorder = Recorder(tmp_path / folder, units={"kappa": "m2 s-1"}, **options)
        simulations = {n: make(n) for n in lengths}
        for sim in simulations.values():
            recorder.open(sim)
        for step in range(max(lengths.values())):
            for n, length in lengths.items():
                if step < length:
                    recorder.push(frame(simulations[n], step, dtype))
                if step + 1 == length:
                    recorder.close(n)
        recorder.finish()
        return recorder.folder

    return record
