"""The dataset of flows past cylinders, and the study on them, at a tiny size."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

from sciml.datasets.generation import generate
from sciml.record import open_recording
from sciml.share import find
from sciml.solver.program_description import describe
from sciml.study import load_study

if find_spec("ngsolve") is None:  # ours import it, and keep it to itself
    pytest.skip("needs the extra 'mesh'", allow_module_level=True)

TINY = {"spacing": 0.2, "refinement": 2.0, "steps": 2}


def test_every_simulation_has_a_mesh_and_a_flow_of_its_own(tmp_path):
    recipe = yaml.safe_load(find("data/cylinder_flow/recipe.yaml").read_text())
    recipe["sizes"]["small"]["solver"]["options"] |= TINY
    recipe["sizes"]["small"]["splits"] = {"train": 2, "test": 1}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    generate(path, tmp_path / "flows", plain=True)
    recording = open_recording(tmp_path / "flows", thorough=True)
    assert recording.roles == {0: "train", 1: "train", 2: "test"}
    simulations = [recording.simulation(n) for n in recording.ids]
    assert len({one.domain.points.tobytes() for one in simulations}) == 3
    for one in simulations:
        assert {*one.domain.groups} == {"inflow", "outflow", "wall", "cylinder"}
        [kinds] = one.static_fields
        assert kinds.categories == ("interior", "outflow", "inflow", "wall", "cylinder")
        frames = list(recording.frames(one.id))
        assert [round(frame.time, 9) for frame in frames] == [0.0, 0.02, 0.04]
        speed = one.parameters["speed"]
        inflow = frames[-1].fields["velocity"][one.domain.groups["inflow"]]
        assert 0.5 * speed < inflow[:, 0].max() <= speed * (1 + 1e-6)
        assert not np.array_equal(frames[0].fields["velocity"], frames[-1].fields["velocity"])


def test_the_program_takes_the_flows_of_recipe_and_study():
    study = load_study(Path(find("workflows/cylinder_flow/study.yaml")))
    recipe = yaml.safe_load(find("data/cylinder_flow/recipe.yaml").read_text())
    ranges = recipe["parameters"]["ranges"]
    program = describe(study.solver.program)
    for name, (low, high) in ranges.items():
        program.check(name, low, high)
        within = study.parameters.ranges[name].bounds
        assert low <= within[0] < within[1] <= high
    # The largest cylinder at the ends of its places leaves room for a few cells.
    assert (
        min(ranges["cylinder_y"][0], 0.41 - ranges["cylinder_y"][1]) - ranges["radius"][1]
        >= 0.07 - 1e-9
    )
