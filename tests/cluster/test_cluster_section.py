"""What the section ``cluster`` of a study takes and refuses."""

import pytest

from sciml.errors import InputError
from sciml.study.cluster_section import in_seconds
from sciml.study.schema import load_study


@pytest.mark.parametrize(
    "written, seconds",
    [
        ("90", 5400),
        ("2:30", 150),
        ("01:30:00", 5400),
        ("2-12", 216000),
        ("1-00:30", 88200),
        ("1-00:00:05", 86405),
    ],
)
def test_time_limits_as_slurm_writes_them(written, seconds):
    assert in_seconds(written) == seconds


@pytest.mark.parametrize(
    "setting, words",
    [
        ("walltime=an hour", "cluster.walltime.*an hour.*such as 01:30:00"),
        ("walltime='0'", "cluster.walltime"),
        ("memory=lots", "cluster.memory.*size such as"),
        ("directives=[account=physics]", "cluster.directives"),
        ('directives=["-A x\\nrm -rf y"]', "cluster.directives"),
        ("partition=a b", "cluster.partition"),
        ("address=tcp://head:8786", "kind 'slurm' with address"),
        ("prologue=module load openmpi", "cluster.prologue"),
    ],
)
def test_what_cannot_be_is_one_line(setting, words):
    with pytest.raises(InputError, match=words) as error:
        load_study("workflows/quickstart/study.yaml", ["cluster.kind=slurm", f"cluster.{setting}"])
    assert "\n" not in str(error.value)
