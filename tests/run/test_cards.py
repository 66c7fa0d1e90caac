"""Every folder in data/ is complete: a card that says what it must, a picture, a recipe that works."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from programs import started_here

import sciml
import sciml.datasets.check as checked
from sciml.datasets import load_recipe, planned_runs
from sciml.datasets.published import describe_published
from sciml.solver.program_description import describe

DATA = Path(__file__).parents[2] / "data"
FOLDERS = sorted(path for path in DATA.iterdir() if path.is_dir() and path.name[0] not in "._")
RECIPES = [path for path in FOLDERS if (path / "recipe.yaml").exists()]
PUBLISHED = [path for path in FOLDERS if (path / "files.yaml").exists()]
#: Of a picture, in bytes.
LARGEST = 150_000


def test_each_folder_is_generated_or_published():
    assert len(RECIPES) >= 8 and len(PUBLISHED) == 2
    assert sorted([*RECIPES, *PUBLISHED]) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_card_says_what_it_must(folder):
    card = (folder / "README.md").read_text()
    assert card.startswith(f"# {folder.name}: ")
    for heading in ("Equation", "Specification and source", "Published figures", "Licence"):
        assert f"**{heading}.**" in card
    assert "train / validation / test" in card or "**Splits.**" in card
    assert "@" not in card
    [picture] = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", card)
    assert 1000 < (folder / picture).stat().st_size < LARGEST
    for link in re.findall(r"\]\((?!http)([^)]+)\)", card):
        assert (folder / link).exists(), link


@pytest.mark.parametrize("folder", RECIPES, ids=lambda path: path.name)
def test_the_program_takes_the_recipe(folder, monkeypatch):
    monkeypatch.setattr(checked, "simulated", started_here)
    assert load_recipe(folder).name == folder.name
    description = checked.check(load_recipe(folder))
    full = load_recipe(folder, "full")
    for run in planned_runs(full)[:1]:
        description.arguments(run.values(full))
    card = (folder / "README.md").read_text()
    assert f"sciml generate data/{folder.name} --size small" in card
    for size in ("small", "full"):
        counts = " / ".join(str(n) for n in load_recipe(folder, size).counts.values())
        assert re.search(rf"^\| {size} \|.*\| {counts} \|", card, re.MULTILINE), (size, counts)


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda path: path.name)
def test_what_is_published_is_described(folder):
    assert describe_published(folder.name).name == folder.name
    assert f'sciml.load_dataset("{folder.name}"' in (folder / "README.md").read_text()


def test_no_two_recipes_draw_the_same():
    """Recipes of one program with the same seed would share samples."""
    several = [load_recipe(folder) for folder in RECIPES]
    drawn = [(recipe.solver.program, recipe.seed) for recipe in several]
    assert len(set(drawn)) == len(drawn)


def test_no_card_names_a_flag_that_is_not_there():
    for folder in RECIPES:
        flags = describe(yaml.safe_load((folder / "recipe.yaml").read_text())["solver"]["program"])
        for name in re.findall(r"--set solver\.options\.(\w+)", (folder / "README.md").read_text()):
            assert name in flags.flags


@pytest.mark.slow
@pytest.mark.parametrize("folder", RECIPES, ids=lambda path: path.name)
def test_a_quick_try(folder, tmp_path):
    recipe = load_recipe(folder)
    out = sciml.generate(folder, tmp_path / "f.nc", simulations=3)
    if out.is_dir():  # a recording, since meshes differ
        recording = sciml.open_recording(out)
        assert len(recording.ids) == 3 and "train" in recording.roles.values()
        for one in recording.ids:
            *_, last = recording.frames(one)
            for name, values in last.fields.items():
                assert np.isfinite(values).all() and np.abs(values).max() > 0.0, name
        return
    with xr.open_dataset(out) as ds:
        assert ds.sizes["sample"] == 3 and ds.attrs["dataset"] == folder.name
        assert "train" in ds.split.values
        for name in ds.data_vars:
            assert np.isfinite(ds[name]).all()
            assert float(ds[name].std()) > 0.0
        assert ("time" in ds.dims) == (recipe.keep in ("all", "ends"))
