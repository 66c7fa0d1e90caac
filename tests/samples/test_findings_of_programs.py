"""Warnings of programs: one entry a kind, the largest kept, bounded whatever is said."""

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from sciml.samples.program_warnings import (
    KIND_LIMIT,
    KINDS,
    TEXT_LIMIT,
    Finding,
    Warned,
    Warnings,
    carried,
    findings,
    joined,
    of_attribute,
    parsed,
    to_attribute,
)


def test_the_largest_is_kept_and_all_are_counted():
    warnings = Warnings()
    first = [warnings.add(Warned.made(f"{v} % are lost", v, n)) for n, v in enumerate((2, 7, 5))]
    [one] = warnings.all()
    assert first == [True, False, False] and warnings.version == 2
    assert one == Warned("# % are lost", "7 % are lost", 7.0, 1, 3)


def test_without_a_value_the_first_is_kept():
    warnings = Warnings()
    for step in range(3):
        warnings.add(Warned.made(f"no convergence in step {step}", None, step))
    [one] = warnings.all()
    assert (one.step, one.count, one.kind) == (0, 3, "no convergence in step #")


def test_a_flood_is_bounded():
    warnings = Warnings()
    for n in range(500):
        warnings.add(Warned.made("x" * 10_000, n, n, f"{chr(97 + n % 26) * 500}{n}"))
    assert len(warnings.all()) == KINDS + 1 and sum(w.count for w in warnings.all()) == 500
    assert all(len(w.message) <= TEXT_LIMIT and len(w.kind) <= KIND_LIMIT for w in warnings.all())
    assert len(to_attribute(warnings.all())) < 10_000


def test_what_would_spoil_a_terminal_or_a_file_is_taken_out():
    one = Warned.made("red \x1b[31m\nand\ud800 \x00 two\tlines", float("nan"), 3, "\x07 bell ")
    assert one.message == "red [31m and two lines" and one.value is None
    assert Warned.made("", 10**400).value is None and Warned.made("").kind == "warning"
    json.dumps(one.to_json()).encode()


def test_said_again_it_changes_nothing():
    a, b = Warned("k", "a", 1.0, 1, 3), Warned("k", "b", 2.0, 5, 2)
    once = joined([a], [b])
    assert once == joined(once, [b]) == joined(once, [a]) == joined([b], [a])
    assert once == [Warned("k", "b", 2.0, 5, 3)]


ENTRIES = st.lists(
    st.dictionaries(
        st.sampled_from(["kind", "message", "value", "step", "count", "more"]),
        st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.booleans(),
    ),
    max_size=12,
)


@given(ENTRIES | st.none() | st.text() | st.integers())
def test_what_comes_from_outside_is_checked(entries):
    try:
        found = parsed(entries)
    except ValueError:
        return
    assert len(found) <= KINDS + 1 and parsed([w.to_json() for w in found]) == found


def test_findings_of_many_simulations():
    said = {
        n: [Warned("thin", f"{n} %", float(n), 10 * n)] + [Warned("cold", "it is")] * (n == 3)
        for n in (3, 12, 7)
    }
    thin, cold = findings(said)
    assert (thin.simulations, thin.simulation, thin.value, thin.step) == (3, 12, 12.0, 120)
    assert thin.line(66) == "3 of 66 simulations warned: 12 % (largest, simulation 12, step 120)"
    assert cold.line(66) == "1 of 66 simulations warned: it is (simulation 3)"
    assert Finding("k", "text").line() == "1 simulation warned: text"


def test_a_dataset_carries_those_of_the_samples_that_are_used():
    found = [Finding("thin", "12 %", 12.0, 5, 2, 1), Finding("cold", "it is", None, None, 1, 2)]
    ds = xr.Dataset(
        {"u": ("sample", np.zeros(4))},
        {"warned": ("sample", ["", "thin", "thin, cold", ""])},
        {"warnings": to_attribute(found)},
    )
    assert carried(ds) == found
    # The largest is not there: neither is its number.
    assert carried(ds, [2])[0] == Finding("thin", "12 %", 12.0, None, 1, -1)
    assert carried(ds.assign_coords(sample=[5, 6, 1, 8]), [2])[0].simulation == 1
    assert [f.simulations for f in carried(ds.isel(sample=[0, 1]))] == [1]
    assert [f.simulations for f in carried(ds, [2, 3])] == [1, 1]
    assert carried(ds.isel(sample=ds.warned == "")) == []
    assert carried(ds, [0]) == [] and carried(ds.assign_attrs(warnings="")) == []


@pytest.mark.parametrize("text", ["the pump was off", "[1, 2]", '{"a": 1}', '[{"kind": 1}]'])
def test_an_attribute_of_anyones_is_a_text(text):
    [one] = of_attribute(text)
    assert one.message == text
    ds = xr.Dataset(attrs={"warnings": text})
    assert [f.message for f in carried(ds)] == [text]
