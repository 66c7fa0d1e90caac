"""Results of studies, a row a line, of which none is computed twice and none is lost."""

import json

import pytest

from sciml.report.rows import append, chosen, mean_and_std, rows_of


def test_what_is_there_need_not_be_computed_again(tmp_path):
    path = tmp_path / "results.jsonl"
    assert rows_of(path) == []
    for _ in range(2):
        for seed in (0, 1):
            if not chosen(rows_of(path), model="fno", seed=seed):
                append(path, {"model": "fno", "seed": seed, "error": 0.1 + seed})
    rows = rows_of(path)
    assert [row["seed"] for row in rows] == [0, 1]
    assert chosen(rows, model="unet") == [] and chosen(rows, speed=1.0) == []
    assert mean_and_std(rows) == "6.0e-01 ± 7.1e-01 (seeds: 2)"
    assert mean_and_std(rows[:1] * 3, form=".2f") == "0.10 ± 0.00" and mean_and_std([]) == "–"


def test_a_row_after_a_torn_one_is_a_row(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"seed": 0}\n{"se')
    append(path, {"seed": 1})
    append(path, {"seed": 2})
    assert [row["seed"] for row in rows_of(path)] == [0, 1, 2]


def test_no_part_of_a_row_stays_where_there_is_no_room(tmp_path, monkeypatch):
    from pathlib import Path

    path = tmp_path / "results.jsonl"
    append(path, {"seed": 0})
    opened = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, line):
            return self.file.write(line[:4])

    monkeypatch.setattr(Path, "open", lambda *a, **k: Full(opened(*a, **k)))
    with pytest.raises(OSError, match="No space"):
        append(path, {"seed": 1})
    monkeypatch.undo()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"seed": 0}]
