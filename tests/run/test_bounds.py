"""Numbers and texts of which there would be no end are refused before anything is made of them."""

import os
import time

import pytest

from sciml.errors import InputError, StreamError
from sciml.run.directory import RunDirectory
from sciml.run.online.draw_count import DrawCount
from sciml.run.simulations import _check_cores
from sciml.stream.endpoint import Keys
from sciml.study import load_study
from sciml.study.text import MOST_NODES, parse
from sciml.surrogates.registry import builder, check


def bomb(levels, width=9):
    lines = ["a0: &a0 [x]"]
    for n in range(1, levels):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]")
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb(12), bomb(40, width=2), "a: &a [*a]"])
def test_aliases_that_stand_for_too_much_are_refused_at_once(text):
    began = time.process_time()
    with pytest.raises(InputError, match=f"study: aliases that stand for more than {MOST_NODES}"):
        parse(text, "study")
    assert time.process_time() - began < 1.0


def test_aliases_of_what_is_small_are_taken():
    assert parse("a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}", "study") == {
        "a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2},
    }  # fmt: skip


def test_a_text_without_end_is_one_line():
    with pytest.raises(InputError, match="values in values"):
        parse("[" * 100_000, "study")


@pytest.mark.parametrize(
    ("overrides", "named"),
    [(["seed=4294967296"], "seed"), (["solver.ranks=1000000000"], "solver.ranks")],
)
def test_seeds_and_ranks_have_bounds(write_study, overrides, named):
    with pytest.raises(InputError, match=named):
        load_study(write_study(), overrides)


def test_no_study_starts_thousands_of_ranks_on_one_machine(write_study):
    overrides = ["solver.ranks=5000", "cluster.oversubscribe=true"]
    cores = len(os.sched_getaffinity(0))
    with pytest.raises(InputError, match=f"5000 ranks at once on {cores} cores"):
        _check_cores(load_study(write_study(), overrides))


@pytest.mark.parametrize(
    ("name", "option"), [("fno", "n_layers"), ("vit", "layers"), ("unet", "levels")]
)
def test_layers_have_a_bound(name, option):
    with pytest.raises(InputError, match=f"{option}=10000000; expected 1000 at most"):
        check(name, {option: 10**7})


def test_a_name_that_no_file_system_takes_is_one_line():
    with pytest.raises(InputError, match="cannot be made: File name too long"):
        RunDirectory.create("x" * 300)


def test_a_model_file_that_ends_python_is_one_line(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(InputError, match=r"cannot be imported: SystemExit: 3 \(.*line 2\)"):
        builder(str(path))


@pytest.mark.parametrize("content", ["{}", '{"epoch": 1, "door": 2}', "[1]", "x"])
def test_damaged_keys_are_one_line(tmp_path, content):
    path = tmp_path / "server.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(StreamError, match=r"server\.key"):
        Keys.next_life(tmp_path, encryption=True)


@pytest.mark.parametrize("content", [b"", b"1234", b"x" * 20])
def test_a_torn_count_of_draws_begins_anew(tmp_path, content):
    path = tmp_path / "drawn"
    path.write_bytes(content)
    count = DrawCount(path)
    assert count.get() == 0
    count.set(7)
    assert DrawCount(path).get() == 7
