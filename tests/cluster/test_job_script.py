"""workflows/quickstart/job.slurm, with stand-ins for what it calls."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from patience import PATIENCE, wait_until

SCRIPT = Path(__file__).parents[2] / "workflows" / "quickstart" / "job.slurm"
#: A `sciml` that says its words, makes its run directory, waits, and obeys signals as the real one does.
SCIML = """#!/bin/bash
echo "sciml $*"
[ "$1" = run ] && mkdir -p runs/q-7 && touch runs/q-7/study.yaml
trap 'exit 75' USR1 TERM
touch started
while [ -e wait ]; do sleep 0.05; done
exit "$(cat code 2> /dev/null || echo 0)"
"""


@pytest.fixture
def job(tmp_path):
    """Starts the script as Slurm would, in a folder with an environment and `scontrol`."""
    for name, text in (
        (".venv/bin/sciml", SCIML),
        ("bin/scontrol", '#!/bin/sh\necho "$*" >> asked\n'),
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    mpirun = tmp_path / ".venv/bin/mpirun"
    mpirun.symlink_to("/bin/true")

    def start(*words, **variables):
        slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "q", "SLURM_CPUS_ON_NODE": "16"}
        path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
        return subprocess.Popen(
            ["bash", str(SCRIPT), *words],
            cwd=tmp_path,
            env={"PATH": path, "HOME": os.environ.get("HOME", "/"), **slurm, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def end(started):
    said, errors = started.communicate(timeout=PATIENCE)
    return started.returncode, said, errors


def warn(tmp_path, started, number=signal.SIGUSR1):
    """Send a signal to the script alone, once sciml runs."""
    wait_until((tmp_path / "started").exists)
    started.send_signal(number)


def test_it_uses_the_cores_of_its_allocation(job):
    code, said, _ = end(job())
    assert code == 0
    assert "run workflows/quickstart/study.yaml --out runs/q-7 " in said
    assert "cluster.simulations_at_once=6 --set training.threads=4" in said
    code, said, _ = end(job("mine.yaml", SLURM_CPUS_ON_NODE="2", SLURM_JOB_ID="8"))
    assert "run mine.yaml --out runs/q-8 " in said
    assert "cluster.simulations_at_once=1 --set training.threads=1" in said


def test_a_warning_before_the_limit_requeues_and_the_next_start_resumes(job, tmp_path):
    (tmp_path / "wait").touch()
    started = job()
    warn(tmp_path, started)
    assert end(started)[0] == 75
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    (tmp_path / "wait").unlink()
    code, said, _ = end(job(SLURM_RESTART_COUNT="1"))
    assert code == 0 and said.splitlines()[0] == "sciml resume runs/q-7"
    assert (tmp_path / "asked").read_text() == "requeue 7\n"


def test_a_warning_while_python_starts_requeues(job, tmp_path):
    (tmp_path / "wait").touch()
    (tmp_path / ".venv/bin/sciml").write_text(SCIML.replace("trap 'exit 75' USR1 TERM\n", ""))
    started = job()
    warn(tmp_path, started)
    assert end(started)[0] == 138
    assert (tmp_path / "asked").read_text() == "requeue 7\n"


def test_a_warning_as_the_run_ends_requeues_nothing(job, tmp_path):
    (tmp_path / "wait").touch()
    started = job()
    wait_until((tmp_path / "started").exists)
    (tmp_path / "runs/q-7/status.json").write_text('{\n "state": "finished"\n}')
    started.send_signal(signal.SIGUSR1)
    assert end(started)[0] == 0 and not (tmp_path / "asked").exists()
    assert end(job()) == (0, "", "")  # nor is it run again


def test_what_was_not_a_time_limit_is_not_requeued(job, tmp_path):
    (tmp_path / "code").write_text("75")  # a full disk
    assert end(job())[0] == 75
    (tmp_path / "code").write_text("1")
    assert end(job())[0] == 1
    (tmp_path / "code").unlink()
    (tmp_path / "started").unlink()
    (tmp_path / "wait").touch()
    started = job()  # scancel: Slurm tells each process by itself
    warn(tmp_path, started, signal.SIGTERM)
    (tmp_path / "wait").unlink()
    assert end(started)[0] == 0
    assert not (tmp_path / "asked").exists()


def test_a_job_is_not_requeued_for_ever(job, tmp_path):
    (tmp_path / "wait").touch()
    started = job(SLURM_RESTART_COUNT="20")
    warn(tmp_path, started)
    assert end(started)[0] == 75 and not (tmp_path / "asked").exists()


def test_what_is_missing_is_said(job, tmp_path):
    code, _, errors = end(job(VENV="elsewhere"))
    assert code == 2 and errors.startswith("error: no sciml in elsewhere")
    code, _, errors = end(job(MODULES="openmpi/5.0"))
    assert code == 2 and "no command 'module'" in errors and "openmpi/5.0" in errors
    absent = {"BASH_FUNC_module%%": '() { echo "not found" >&2; return 1; }'}
    code, _, errors = end(job(MODULES="openmpi/5.0", **absent))
    assert code == 2 and errors.endswith("error: module load openmpi/5.0 failed\n")
    (tmp_path / ".venv/bin/mpirun").unlink()
    if not any((Path(place) / "mpirun").exists() for place in ("/usr/bin", "/bin")):
        code, _, errors = end(job())
        assert code == 2 and "no mpirun" in errors
    loads = {"BASH_FUNC_module%%": "() { PATH=$PWD/site:$PATH; }"}
    (tmp_path / "site").mkdir()
    (tmp_path / "site/mpirun").symlink_to("/bin/true")
    assert end(job(MODULES="openmpi", **loads))[0] == 0
