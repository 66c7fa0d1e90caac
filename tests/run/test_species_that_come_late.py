"""Elements that the first simulation of a stream lacks: known ahead, refused ahead, or left out."""

import json

import numpy as np
import pytest
import torch
import yaml
from small_study import called

from sciml.domain import Field, Particles
from sciml.errors import InputError
from sciml.record import Recorder, open_trajectories
from sciml.run.held_out import HeldOut
from sciml.run.online.intake import Intake
from sciml.run.simulations import check_program
from sciml.samples import Frame, Simulation, Task, Windower
from sciml.samples.windower import windows_of
from sciml.stream.events import Arrived, Opened
from sciml.study import load_study
from sciml.surrogates import Statistics, Surrogate
from sciml.surrogates.scope import Scope
from sciml.surrogates.shares import Shares

PROGRAM = '''
"""Springs between all atoms of H2, CO or HF."""

import numpy as np

from sciml.domain import Field, Particles
from sciml.parallel import Rows
from sciml.solver import Parameter, Program, main, sample_seed

MOLECULES = ((1, 1), (6, 8), (1, 9))


class Springs(Program):
    """Two atoms and a spring."""

    name = "springs"
    equation = "E = (r - 1)^2 / 2"
    kind = "particles"
    fields = (Field("positions", "Å", components=3), Field("energy", "eV", on="global"))
    parameters = (Parameter("which", 0.0, 0.0, 2.0),)
    order_space = None
    order_time = {}
    steady = True

    def __init__(self, given):
        self.given, self.species = given, MOLECULES[int(round(given.which))]

    def domain(self):
        return Particles(self.species, units="Å", expected=EXPECTED)

    def start(self, comm):
        self.rows = Rows(comm, self.domain())
        self.x = self.drawn(0)
        return self.rows.block

    def drawn(self, n):
        return np.random.default_rng(sample_seed(self.given.seed, n)).standard_normal((2, 3))

    def step(self, n):
        self.x = self.drawn(n + 1)
        return float(n + 1)

    def state(self):
        r = np.linalg.norm(self.x[0] - self.x[1])
        return {"positions": self.x[self.rows.own], "energy": np.float64((r - 1) ** 2 / 2 - 100.0)}


if __name__ == "__main__":
    main(Springs)
'''


def study(folder, expected=(), **model):
    (folder / "springs.py").write_text(PROGRAM.replace("EXPECTED", repr(expected)))
    given = {
        "solver": {"program": str(folder / "springs.py"), "options": {"steps": 5}},
        "parameters": {
            "design": "grid", "simulations": 3, "ranges": {"which": {"values": [0, 1, 2]}},
        },
        "task": {"inputs": ["positions"], "targets": ["energy"], "lead": 0},
        "model": {"name": "egnn", "hidden": 4, "layers": 1, "cutoff": 3.0, **model},
        "buffer": {"kind": "fifo", "watermark": 3},
        "training": {"batch_size": 3, "phases": [{"lr": 1e-3, "steps": 6}]},
    }  # fmt: skip
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def test_a_model_is_built_for_what_the_program_expects(tmp_path):
    path, run = study(tmp_path, expected=(1, 6, 8, 9)), tmp_path / "run"
    done = called("run", path, "--out", run)
    assert done.returncode == 0, done.stderr
    card = json.loads((run / "surrogate" / "surrogate.json").read_text())
    assert card["domain"]["scope"]["species"] == [1, 6, 8, 9]
    assert not json.loads((run / "status.json").read_text())["samples"].get("dropped")
    known = Surrogate.load(run / "surrogate").normalizer.references.known[0].tolist()
    assert known == [1, 6, 8, 9]


def test_what_is_seen_at_the_ends_of_the_ranges_is_refused_at_the_start(tmp_path):
    loaded = load_study(study(tmp_path))
    line = (
        r"species of the particles depend on the parameters, 1 and 1, 9 at the ends .* set "
        r"model.species: \[1, 9\], with others that may come, or let the program say expected"
    )
    with pytest.raises(Exception, match=line) as caught:
        check_program(loaded)
    assert "\n" not in str(caught.value)
    check_program(load_study(study(tmp_path, species=[1, 6, 8, 9])))


def test_cells_of_frames_that_the_task_does_not_see_are_refused(tmp_path):
    """In the stream, and in what was recorded of it."""
    path = study(tmp_path, expected=(1, 6, 8, 9))
    text = (tmp_path / "springs.py").read_text()
    cells = 'fields = (Field("lattice", "Å", on="global", components=9), '
    (tmp_path / "springs.py").write_text(text.replace("fields = (", cells))
    line = r"'lattice', which the task does not see; expected it among the inputs$"
    with pytest.raises(InputError, match=f"^task: frames have cells of their own, {line}"):
        check_program(load_study(path))
    cube = Particles([1, 9], 4.0 * np.eye(3), (True,) * 3, "Å")
    fields = (Field("positions", "Å", components=3), Field("lattice", on="global", components=9))
    values = {"positions": np.zeros((2, 3)), "lattice": 5.0 * np.eye(3).ravel()}
    recorder = Recorder(tmp_path / "recording")
    recorder.open(Simulation(0, cube, fields))
    recorder.push(Frame(0, 0, 0.0, values))
    recorder.close(0)
    recorder.finish()
    seen = Task(("positions", "lattice"), ("positions",))
    assert open_trajectories(tmp_path / "recording", seen).ids == (0,)
    with pytest.raises(InputError, match=line):
        open_trajectories(tmp_path / "recording", Task(("positions",), ("positions",)))


class Server:
    """What the intake asks."""

    def __init__(self):
        from sciml.stream.ledger import Ledger

        self.ledger, self.simulations = Ledger(), {}

    def simulation(self, number):
        return self.simulations[number]


@pytest.mark.parametrize("early", [True, False])
def test_one_that_the_model_was_not_built_for_is_left_out_and_named(tmp_path, early):
    from sciml.buffer import make

    task = Task(("positions",), ("energy",), lead=0)
    fields = (Field("positions", "Å", components=3), Field("energy", "eV", on="global"))
    server, said, buffer = Server(), [], make("fifo", 100, 1, 0)
    intake = Intake(server, Windower(task), buffer, HeldOut(tmp_path), {}, say=said.append)

    def comes(number, species):
        server.simulations[number] = Simulation(number, Particles(species, units="Å"), fields)
        intake._take(Opened(server.simulations[number], 1, False))
        for step in range(2):
            x = torch.randn(len(species), 3).numpy()
            frame = Frame(number, step, float(step), {"positions": x, "energy": x.sum()})
            server.ledger.receive(number, step)
            intake._take(Arrived(frame))

    def attach():
        config = {"name": "egnn", "hidden": 4, "layers": 1, "cutoff": 3.0}
        made = Surrogate.build(config, task, server.simulation(0).domain, fields=fields)
        with intake.lock:
            intake.attach(Shares(Statistics(made)), made.strange)
        return made

    comes(0, [1, 6])
    made = None if early else attach()
    comes(1, [1, 8])
    made = made or attach()
    comes(2, [6, 1, 1])
    assert sorted({s.simulation.id for s in buffer.samples()}) == [0, 2]
    assert (
        "species 8, and the model was built for 1, 6: give it the option species: [1, 6, 8]"
        in (intake.screen.left_out[1])
    )
    assert any("simulation 1 is left out" in line for line in said)
    assert isinstance(intake.scope, Scope) and intake.scope.species == (1, 6)
    assert made.domain.species == (1, 6) and made.normalizer.references._read().keys() == {0, 2}


def test_held_out_ones_of_which_nothing_is_known_yet_do_not_end_a_run(tmp_path):
    """The stream may bring their species later; at its end they are named, and nothing is lost."""
    from types import SimpleNamespace

    from sciml.run.directory import RunDirectory
    from sciml.run.outcome import Outcome
    from sciml.training.history import History

    task = Task(("positions",), ("energy",), lead=0)
    fields = (Field("positions", "Å", components=3), Field("energy", "eV", on="global"))

    def one(number, species):
        frames = [
            Frame(
                number,
                k,
                float(k),
                {"positions": torch.randn(2, 3).numpy(), "energy": np.array(1.0 * k)},
            )
            for k in range(2)
        ]
        return Simulation(number, Particles(species, units="Å"), fields), frames

    simulation, frames = one(0, [1, 6])
    config = {"name": "egnn", "hidden": 4, "layers": 1, "cutoff": 3.0, "species": [1, 6, 8]}
    made = Surrogate.build(config, task, simulation.domain, fields=fields)
    statistics = Statistics(made)
    statistics.update(windows_of(simulation, frames, task))
    statistics.fix()
    heldout = SimpleNamespace(trajectories=lambda: [one(1, [1, 8])], units={})
    run = RunDirectory.create(tmp_path / "run")
    outcome = Outcome(load_study(study(tmp_path)), run, heldout, {"step": 3})
    assert outcome.validate(made) == {}
    outcome.write(made, History())
    summary = json.loads(run.summary.read_text())
    assert "simulation 1: dataset has species 8" in summary["findings"][0]
    assert Surrogate.load(run.surrogate).domain.species == (1, 6)
