"""A folder of somebody else's does not have its programs run by `sciml resume`."""

import json
import os
import shutil

import pytest
from small_study import called, one_line, small_study

from sciml.ensemble.folders import read_json, write_json
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.kept_files import keep
from sciml.run.lineage import begin, require_own
from sciml.run.online.study_run import resume
from sciml.study.schema import Study

NOBODY = 65534


@pytest.fixture
def run(tmp_path):
    """A run as it is once it has begun; asked what it is, its program leaves a trace."""
    program = tmp_path / "mine.py"
    program.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    study = Study.model_validate(small_study(solver={"program": str(program)}))
    run = RunDirectory.create(tmp_path / "run")
    keep(run, study, program)
    begin(run, study)
    return run


def refusal(run):
    with pytest.raises(InputError) as refused:
        require_own(run)
    assert "\n" not in str(refused.value) and "mine.py: look at it" in str(refused.value)
    assert str(refused.value).endswith("with --trust")
    return str(refused.value)


def test_a_run_of_ones_own_is_gone_on_with(run, caplog):
    require_own(run)
    run.path.chmod(0o777)  # what is run is what was marked, whoever may write here
    require_own(run)
    moved = RunDirectory(run.path.with_name("moved"))
    run.path.rename(moved.path)
    require_own(moved)
    assert not caplog.records


def test_one_that_was_sent_is_refused_and_nothing_runs(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    assert "made by somebody else or elsewhere" in refusal(run)
    process = called("resume", run.path)
    assert "made by somebody else" in one_line(process)
    assert not (tmp_path / "ran").exists() and not os.listdir(run.pids), "nothing was touched"
    assert "made by somebody else" not in one_line(called("resume", run.path, "--trust"))
    assert (tmp_path / "ran").exists()


def test_a_study_that_somebody_changed_is_not_the_one_that_was_marked(run, tmp_path):
    content = read_json(run.lineage)
    content["studies"][-1]["study"]["solver"]["program"] = str(shutil.which("true"))
    write_json(run.lineage, content)
    with pytest.raises(InputError, match=r"was changed since, .* runs .*true"):
        require_own(run)


def test_the_program_of_another_folder_is_refused_before_it_is_asked(run, tmp_path):
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'changed')!r}, 'w')\n")
    with pytest.raises(InputError, match="was changed since the run began"):
        resume(run.path)
    assert not (tmp_path / "changed").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_owner_of_a_folder_is_named(run):
    os.chown(run.path, NOBODY, NOBODY)
    assert f"{run.path} belongs to nobody (uid {NOBODY})" in refusal(run)
    os.chown(run.path, 0, 0)
    os.chown(run.lineage, 12345, 12345)
    assert f"{run.lineage} belongs to uid 12345" in refusal(run)


def unmarked(run):
    content = json.loads(run.lineage.read_text())
    run.lineage.write_text(json.dumps({k: v for k, v in content.items() if k != "mark"}))


def test_of_a_run_without_a_mark_the_owner_is_told_what_it_runs(run, caplog):
    """Made without a home, or by a version that had no marks."""
    unmarked(run)
    require_own(run)
    [record] = caplog.records
    assert "bears no mark of yours; it runs " in record.getMessage()
    assert "mine.py" in record.getMessage()


@pytest.mark.parametrize("which", ["path", "lineage", "kept"])
def test_one_without_a_mark_that_others_may_write_to_is_refused(run, which):
    unmarked(run)
    path = getattr(run, which)
    path.chmod(0o777)
    assert f"others may write to {path} (mode 777)" in refusal(run)
