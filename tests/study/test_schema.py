"""A study file is read whole, or refused in one line that names the key."""

import pytest

from sciml.errors import InputError
from sciml.samples import Task
from sciml.study import dump_study, load_study
from sciml.study.text import dump, parse
from sciml.training import Options

MINIMAL = """\
solver:
  program: solvers/heat.py
parameters:
  simulations: 100
  ranges: {kappa: [0.5, 2.0]}
task:
  inputs: [u]
"""


@pytest.fixture
def load(tmp_path):
    """Load a text as a study file, with overrides."""

    def load(text=MINIMAL, *overrides):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return load_study(path, list(overrides))

    return load


def test_a_minimal_study_is_short(load):
    study = load()
    assert study.task.build() == Task(("u",), ("u",))
    assert study.model.name == "fno" and study.model.config == {}
    assert study.buffer.watermark == 200
    assert study.training.steps == 1000
    assert study.parameters.ranges["kappa"].bounds == (0.5, 2.0)
    assert study.cluster.kind == "local" and study.solver.send.dtype == "float32"


def test_changes_are_learned_where_targets_continue_inputs(load):
    """As sciml.fit does; what a study says is what it gets."""
    assert load().increment and not load(MINIMAL, "task.increment=false").increment
    assert not load(MINIMAL, "task.targets=[p]").increment
    assert not load(MINIMAL, "task.lead=0").increment
    assert not load(MINIMAL, "training.points=50").increment


def test_the_quickstart_is_a_study():
    study = load_study("workflows/quickstart/study.yaml")
    assert study.name == "quickstart"


def test_dump_gives_back_an_equal_study(load):
    study = load(
        MINIMAL,
        "name=other",
        "solver.options={shape: [64, 64], dt: 1e-3, label: '1e5', answer: 'true'}",
        "solver.send.dtype=null",
        "parameters.ranges.nu={low: 1e-4, high: 1, scale: log}",
        "parameters.ranges.n={values: [1, 2, 4]}",
        "model={name: fno, modes: [12, 12], gain: 0.1}",
        "training.phases=[{lr: 1e-3, steps: 10}, {optimizer: lbfgs, lr: 1, steps: 3}]",
        "stream.spool_limit=3GB",
        "cluster.walltime=10:00:00",
        "training.augment={symmetries: [flips], vectors: [{x: u}]}",
        "training.noise=1e-2",
        "model.symmetrize={symmetries: [flips], vectors: [{x: u}]}",
    )
    text = dump_study(study)
    assert load(text) == study
    assert study.solver.options["dt"] == 1e-3 and study.solver.options["label"] == "1e5"
    assert study.model.config == {"modes": [12, 12], "gain": 0.1}
    law = {"symmetries": ["flips"], "vectors": [{"x": "u"}], "pseudoscalars": [], "scalars": []}
    assert study.model.surrogate == {"name": "fno", **study.model.config, "symmetrize": law}
    assert study.training.steps == 13 and study.cluster.walltime == "10:00:00"
    assert dump_study(load(text)) == text


def test_a_study_can_be_built_without_a_file():
    from sciml.study import Study

    tree = parse(MINIMAL, "text")
    assert Study.model_validate(tree) == Study.model_validate(Study(**tree).model_dump())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MB", 64_000_000),
        ("2 GB", 2_000_000_000),
        ("1.5kB", 1500),
        ("1MiB", 2**20),
        ("7B", 7),
        ("12345", 12345),
        ("1e6", 1_000_000),
    ],
)
def test_sizes(load, text, size):
    assert load(MINIMAL, f"stream.queue_limit={text}").stream.queue_limit == size


@pytest.mark.parametrize("text", ["64 apples", "MB", "-3", "0", "true", "1.5"])
def test_bad_sizes(load, text):
    with pytest.raises(InputError, match=r"stream\.queue_limit: got"):
        load(MINIMAL, f"stream.queue_limit={text}")


def test_overrides_reach_every_place(load):
    study = load(
        MINIMAL,
        "training.batch_size=8",
        "training.phases=[{steps: 5}]",
        "training.phases.0.lr=1e-4",
        "training.phases.0.steps=1e2",
        "solver.options.dt=1e-3",
        "solver.options.shape=[32, 32]",
        "name=with=sign",
        "name=a.b-c_2",
    )
    assert study.training.batch_size == 8
    assert (study.training.phases[0].lr, study.training.phases[0].steps) == (1e-4, 100)
    assert study.solver.options == {"dt": 1e-3, "shape": [32, 32]}
    assert study.name == "a.b-c_2"


def test_options_of_the_loop_in_short_and_at_length(load):
    short = load(
        MINIMAL,
        "task.unroll=3",
        "training.ema=0.99",
        "training.augment=square",
        "training.pushforward=2",
        "training.noise=0.01",
        "training.accumulate=4",
        "model.symmetrize=square",
    )
    long = load(
        MINIMAL,
        "task.unroll=3",
        "training.ema={decay: 0.99}",
        "training.augment={symmetries: [square]}",
        "training.pushforward={steps: 2}",
        "training.noise=0.01",
        "training.accumulate=4",
        "model.symmetrize={symmetries: [square]}",
    )
    assert short == long
    expected = Options(ema=0.99, augment="square", pushforward=2, noise=0.01, accumulate=4)
    assert short.training.options() == expected
    assert load().training.options() == Options()
    off = load(MINIMAL, "training.ema=0", "training.pushforward=0", "training.noise=0")
    assert off.training.options() == Options()
    fast = load(MINIMAL, "training.autocast=bfloat16", "training.compile=true")
    assert fast.training.options() == Options(autocast="bfloat16", compile=True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.bach_size=8", "unknown key 'training.bach_size'; did you mean 'batch_size'?"),
        ("batch_size=8", "unknown key 'batch_size'; did you mean 'training.batch_size'?"),
        ("trainig.batch_size=8", "unknown key 'trainig'; did you mean 'training'?"),
        (
            "training.phases=[{lr: 1e-3, step: 3}]",
            "unknown key 'training.phases.0.step'; did you mean 'steps'?",
        ),
        (
            "parameters.ranges.kappa={low: 1, hihg: 2}",
            "unknown key 'parameters.ranges.kappa.hihg'; did you mean 'high'?",
        ),
        (
            "training.batch_size=0",
            "training.batch_size: got 0; expected greater than or equal to 1",
        ),
        ("training.batch_size=eight", "training.batch_size: got 'eight'; expected a valid integer"),
        ("training.batch_size=2.5", "training.batch_size: got 2.5; expected a valid integer"),
        ("solver.ranks=true", "solver.ranks: got True; expected a valid integer"),
        ("training.phases.0.lr=1", "training.phases.0 has no keys"),
        ("training.loss=rel_l2", "training.loss: got 'rel_l2'; did you mean 'relative_l2'?"),
        ("buffer.kind=resevoir", "buffer.kind: got 'resevoir'; did you mean 'reservoir'?"),
        ("solver.send.dtype=f4", "known: float32, float64, null"),
        ("schema_version=2", "schema_version: got 2; known: 1"),
        ("solver=heat.py", "solver: got 'heat.py'; expected keys with values"),
        ("parameters.ranges.kappa=[2, 1]", "parameters.ranges.kappa: got [2, 1]; expected low"),
        ("parameters.ranges.kappa=[2]", "parameters.ranges.kappa: got [2]; expected [low, high]"),
        ("parameters.ranges.kappa=2", "goes to solver.options"),
        ("parameters.ranges.kappa={low: 0, high: 1, scale: log}", "got low=0 on a log scale"),
        ("parameters.ranges.kappa={low: 0, values: [1]}", "got values and low or high"),
        ("parameters.ranges.kappa=[.nan, 1]", "expected a finite number"),
        ("parameters={simulations: 3, seed: false}", "would all be the same"),
        ("buffer.watermark=3000", "watermark 3000 above capacity 2000"),
        ("training.batch_size=4000", "training.batch_size: 4000 is above buffer.capacity 2000"),
        ("solver.options.kappa=1", "solver.options.kappa: the same name is in parameters.ranges"),
        ("solver.options.seed=1", "remove it or set parameters.seed: false"),
        ("solver.options.out=f.nc", "solver.options.out: a study streams"),
        ("solver.options.flag=true", "solver.options.flag: got True; expected a number, a word"),
        ("task.history=0", "task: inputs ('u',) with history=0"),
        ("task={inputs: [a], targets: [u], increment: true}", "task: increment: true needs"),
        ("task.inputs=[]", "task: no targets"),
        ("training.ema={decy: 0.9}", "unknown key 'training.ema.decy'; did you mean 'decay'?"),
        ("training.ema=1", "training.ema.decay: got 1; expected less than 1"),
        ("training.augment=squares", "training.augment.symmetries.0: got 'squares'; did you mean"),
        ("training.augment={symmetry: [flips]}", "unknown key 'training.augment.symmetry'"),
        (
            "training.augment={symmetries: [flips], vectors: [{w: u}]}",
            "training.augment: component along 'w' of a vector",
        ),
        (
            "model.symmetrize={symmetries: [square], pseudoscalars: [w, w]}",
            "model.symmetrize: field 'w' has two laws",
        ),
        ("training.pushforward={steps: 1, drew: last}", "did you mean 'draw'?"),
        ("training.pushforward=2", "training.pushforward: 2 steps leave none of the targets"),
        ("training.autocast=float16", "training.autocast: got 'float16'; "),
        ("training.noise=-1", "training.noise: got -1; expected greater than or equal to 0"),
        ("training.compile=fast", "training.compile: got 'fast'; expected a valid boolean"),
        ("training.phases=[{rise: 0}]", "training.phases.0: rise=0.0; expected above 0, up to 1"),
        ("training.phases=[]", "training.phases: got []; list should have at least 1 item"),
        ("training.phases=[{schedule: cosine}]", "schedule 'cosine' needs to know its end"),
        ("training.device=gpu", "training.device: got 'gpu'"),
        ("cluster.kind=address", "expected an address such as tcp://head:8786"),
        ("name=../escape", "name: got '../escape'"),
        ("=3", "override '=3'; expected section.key=value"),
        ("training.batch_size", "expected section.key=value"),
        ("seed.deeper=3", "override 'seed.deeper=3': seed is 0, which has no keys"),
        ("task.inputs.3=v", "task.inputs is a list of 1; expected a number from 0 to 0"),
        ("seed=[1", "override 'seed=[1' is no YAML in line 1"),
    ],
)
def test_bad_input_is_one_line(load, override, message):
    text = MINIMAL + "seed: 0\n"
    if override.startswith("training.phases.0"):
        text += "training: {phases: 3}\n"
    with pytest.raises(InputError) as caught:
        load(text, override)
    said = str(caught.value)
    if "phases.0.lr" in override:
        message = "training.phases is 3, which has no keys"
    assert message in said and "\n" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"study\.yaml: got None; expected sections"),
        ("- a", "expected sections"),
        ("task: {inputs: [u]", r"study\.yaml is no YAML in line 1"),
        ("seed: 1\nseed: 2", r"study\.yaml: key 'seed' twice, again in line 2"),
        (MINIMAL.replace("  program: solvers/heat.py", "  ranks: 2"), "'solver.program' is miss"),
        # The misspelled key is the cause, and comes before the one that is missing.
        (MINIMAL.replace("program", "programm"), r"unknown key 'solver\.programm'.*\(and 1 more\)"),
    ],
)
def test_bad_files(load, text, message):
    with pytest.raises(InputError, match=message):
        load(text)


def test_missing_and_unreadable_files(tmp_path):
    (tmp_path / "study.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"did you mean 'study\.yaml'"):
        load_study(tmp_path / "studdy.yaml")
    with pytest.raises(InputError, match="is a folder; expected a study file"):
        load_study(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load_study(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("2.", 2.0),
        (".5", 0.5),
        ("-3", -3),
        ("0123", "0123"),
        ("10:00:00", "10:00:00"),
        ("no", "no"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
        ("true", True),
        ("~", None),
        ("", None),
        ("1e", "1e"),
    ],
)
def test_values_are_what_people_mean(text, value):
    read = parse(text, "text")
    assert read == value and type(read) is type(value)
    assert parse(dump({"a": value}), "text") == {"a": value}


def test_anchors_and_merges_work():
    assert parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "text")["b"] == {"x": 1, "y": 3}


def test_python_objects_are_not_built():
    with pytest.raises(InputError, match="no YAML"):
        parse("!!python/object/apply:os.getcwd []", "text")


def test_program_and_model_are_found_beside_the_study(tmp_path, monkeypatch):
    import yaml

    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("flow.py", "net.py"):
        (folder / name).write_text("")
    study = {
        "solver": {"program": "flow.py"},
        "parameters": {"simulations": 2},
        "task": {"inputs": ["u"]},
        "model": "net.py",
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.chdir(tmp_path)
    found = load_study("mine/study.yaml")
    assert found.solver.program == str(folder / "flow.py")
    assert found.model.name == str(folder / "net.py")
    (tmp_path / "flow.py").write_text("")  # the working directory comes first
    assert load_study("mine/study.yaml").solver.program == "flow.py"


def test_a_single_source_needs_no_name(load):
    study = load("""\
task: {targets: [u], history: 0, time: true}
training:
  sources: {points: {kind: collocation, domain: {x: [0, 1]}, time: [0, 1]}}
  objectives: {physics: {kind: residual, equation: heat, parameters: {kappa: 1.0}}}
""")
    assert [*study.training.objectives] == ["physics"]
