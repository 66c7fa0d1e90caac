"""From the command to the first step: what each process imports until then, and a Ctrl-C on the way."""

import os
import signal
import subprocess
import sys

import pytest
import yaml
from killing import MARK, PATIENCE, marked
from patience import wait_until
from small_study import small_study

#: Told by every Python process of a run: the modules that it imports, a line each.
TELLS = """
import sys
kinds = {"--describe": "description", "heat.py": "rank", "sciml.run.online.trainer": "trainer"}
words = " ".join(sys.orig_argv)
kind = next((name for word, name in kinds.items() if word in words), "leader")
told = open(%r, "a", buffering=1)
def tell(event, args):
    if event == "import":
        told.write(f"{kind} {args[0]}\\n")
sys.addaudithook(tell)
"""


class Beginning:
    """A run from its command on, ended by a Ctrl-C of the terminal once something is ``there``."""

    def __init__(self, folder, there, **changes):
        self.out, self._told = folder / "out", folder / "told"
        self._told.touch()
        (folder / "sitecustomize.py").write_text(TELLS % str(self._told))
        (folder / "study.yaml").write_text(yaml.safe_dump(small_study(**changes)))
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        with subprocess.Popen(
            [sys.executable, "-m", "sciml.cli", "run", "study.yaml", "--out", self.out],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, MARK: str(self.out)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        ) as process:
            wait_until(lambda: process.poll() is not None or there(self), PATIENCE)
            self.lines = self._told.read_text().splitlines()
            os.killpg(process.pid, signal.SIGINT)
            self.said, _ = process.communicate(timeout=PATIENCE)
        self.code = process.returncode

    def imports(self, kind, module):
        """Whether a kind of process has imported a module, or one within it, so far."""
        wanted = f"{kind} {module}"
        lines = self._told.read_text().splitlines()
        return any(line == wanted or line.startswith(f"{wanted}.") for line in lines)

    def trains(self):
        log = self.out / "logs/trainer.log"
        return log.exists() and "first gradient step" in log.read_text()

    def seen(self, kind):
        """Packages of which a kind of process had imported something before the Ctrl-C, and modules."""
        modules = {line.partition(" ")[2] for line in self.lines if line.startswith(f"{kind} ")}
        return modules | {module.partition(".")[0] for module in modules}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    run = Beginning(
        tmp_path_factory.mktemp("begun"),
        Beginning.trains,
        parameters={"design": "sobol", "simulations": 400, "ranges": {"kappa": [0.05, 0.1]}},
        validation={"simulations": 1, "every": 10_000, "rollout": 5},
        training={"batch_size": 4, "phases": [{"optimizer": "adamw", "lr": 1e-3, "steps": 10_000}]},
    )
    assert run.code == 130 and run.trains(), run.said
    return run


def test_ctrl_c_writes_a_checkpoint_and_ends_the_children(begun):
    assert "Traceback" not in begun.said
    assert list((begun.out / "checkpoints").glob("step-*/model.safetensors"))
    assert not marked(begun.out)


def test_nobody_imports_what_the_first_step_does_not_need(begun):
    assert {"numpy", "sciml"} <= begun.seen("description") and {"mpi4py"} <= begun.seen("rank")
    assert {"pydantic", "distributed"} <= begun.seen("leader")
    assert {"torch", "pydantic"} <= begun.seen("trainer")
    # torch's compiler, which the first optimizer would import, takes longer than torch.
    needless = {"torch._dynamo", "sympy", "scipy.stats", "distributed", "dask", "xarray", "pandas"}
    assert not begun.seen("trainer") & {*needless, "neuralop", "matplotlib", "h5py"}
    assert not begun.seen("leader") & {"torch", "scipy", "xarray", "pandas", "matplotlib", "h5py"}
    heavy = {"torch", "scipy", "pydantic", "yaml", "h5py", "zipfile", "email", "importlib.metadata"}
    others = {f"sciml.solver.{name}" for name in ("spectral", "trajectory", "random_input", "file")}
    for kind in ("description", "rank"):
        assert not begun.seen(kind) & {*heavy, *others, "sciml.samples.task", "sciml.domain.levels"}


@pytest.mark.parametrize(
    "there",
    [
        lambda run: run.imports("trainer", "torch"),
        pytest.param(lambda run: run.imports("rank", "mpi4py"), marks=pytest.mark.slow),
        lambda run: (run.out / "study.yaml").exists(),
    ],
    ids=["the trainer imports", "a rehearsal", "a directory"],
)
def test_a_ctrl_c_before_the_first_step_leaves_nothing(there, tmp_path):
    run = Beginning(tmp_path, there)
    assert run.code == 130, run.said
    assert "Traceback" not in run.said
    assert not marked(run.out)
    # A directory either has what a run can be resumed from, or is none.
    assert (run.out / "study.yaml").exists() == run.out.exists()
