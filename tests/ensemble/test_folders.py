"""Files that are written aside, and folders that other machines write into."""

import pytest

from sciml.ensemble.folders import write_json, written_aside
from sciml.ensemble.leader import look_anew
from sciml.errors import ScimlError


def test_what_was_cleared_away_meanwhile_is_not_written(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"of": "the new leader"})
    with pytest.raises(ScimlError, match="has cleared away what this process"), written_aside(path):
        for torn in tmp_path.glob(".record.json.*"):
            torn.unlink()
    assert "the new leader" in path.read_text() and list(tmp_path.iterdir()) == [path]


def test_looking_anew_leaves_nothing(tmp_path):
    (tmp_path / "pids").mkdir()
    (tmp_path / "file").write_text("")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path, tmp_path / "pids")}
    look_anew(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "pids"]
    assert all(p.stat().st_mtime_ns > then for p, then in before.items())
