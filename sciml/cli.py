"""The command `sciml`.

Long, since all commands are declared here, with what each of their options means.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.ensemble.stop import BeforeStart
from sciml.errors import InputError, ScimlError, nearest, no_room
from sciml.installation import version, warn_of_namesake

#: Exit codes. 75 is for what may succeed if it is tried again: a run that is to be resumed, a full disk.
BAD_INPUT, INTERRUPTED, AGAIN = 2, 130, 75

Force = Annotated[
    bool, typer.Option("--force", help="go on though the study is not the one of the run")
]

Group = Annotated[
    str | None,
    typer.Option(help="group of netCDF-4, HDF5 or zarr files, in which the variables are"),
]

Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="override: training.batch_size=8")
]

RunToMake = Annotated[Path | None, typer.Option(help="run directory to make")]

Plain = Annotated[
    bool | None, typer.Option("--plain", help="plain lines even in a terminal", show_default=False)
]

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]

app = typer.Typer(
    name="sciml",
    help="PDE solvers under MPI stream into the online training of surrogate models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        print(version())
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """PDE solvers under MPI stream into the online training of surrogate models."""


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="study file; looked up here, then in the package")],
    out: RunToMake = None,
    set_: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the cost, start nothing")
    ] = False,
    plain: Plain = None,
) -> None:
    """Run a study: solvers stream, the surrogate trains while they run."""
    from sciml.run.online.study_run import execute
    from sciml.study.schema import load_study

    loaded = load_study(study, set_ or [])
    if dry_run:
        _dry_run(loaded)
        return
    _, code = execute(loaded, out, plain=plain)
    raise typer.Exit(code)


@app.command()
def train(
    study: Annotated[str | None, typer.Argument(help="study file; its solver stays idle")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="recording, run that recorded, file (netCDF, zarr, HDF5 of The Well or PDEBench, "
            "extended XYZ, XDMF, VTU, PVD), folder, or pattern in quotes; may be given again for more",
        ),
    ] = None,
    group: Group = None,
    out: RunToMake = None,
    epochs: Annotated[
        int | None, typer.Option(help="passes over the data; default: the study's steps")
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="replay once, in order of arrival, through the buffer")
    ] = False,
    set_: Overrides = None,
    resume: Annotated[
        Path | None, typer.Option(help="go on with this run of `sciml train` instead")
    ] = None,
    force: Force = False,
    plain: Plain = None,
) -> None:
    """Train a study on data that are there, through the same loop."""
    from sciml.run.offline.training import resume_offline, train_offline
    from sciml.study.schema import load_study

    if resume is not None:
        if data or out or epochs or stream or group:
            raise InputError("--resume takes data and mode from the run; expected neither")
        _, code = resume_offline(resume, study, overrides=set_ or [], force=force, plain=plain)
    elif force:
        raise InputError("--force goes with --resume RUN; expected one of them, or neither")
    elif study is None:
        raise InputError("expected a study and --from DATA, or --resume RUN")
    else:
        _, code = train_offline(
            load_study(study, set_ or [], solver=False),
            data[0] if data and len(data) == 1 else data or None,
            out,
            stream=stream,
            epochs=epochs,
            group=group,
            plain=plain,
        )
    raise typer.Exit(code)


@app.command()
def resume(
    run_dir: Annotated[Path, typer.Argument(help="run directory that was interrupted or killed")],
    study: Annotated[
        str | None, typer.Option(help="study to go on with; default: the one of the run")
    ] = None,
    set_: Overrides = None,
    force: Force = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="run what a folder names that somebody else made")
    ] = False,
    plain: Plain = None,
) -> None:
    """Go on with a run where its last checkpoint and its spool stand.

    A study that is not the one of the run is refused, key by key; --force takes on what may change.
    """
    from sciml.run.directory import RunDirectory
    from sciml.run.offline.training import is_offline, resume_offline
    from sciml.run.online.study_run import resume as go_on

    if is_offline(RunDirectory.open(run_dir)):
        _, code = resume_offline(run_dir, study, overrides=set_ or [], force=force, plain=plain)
    else:
        _, code = go_on(run_dir, study, overrides=set_ or [], force=force, trust=trust, plain=plain)
    raise typer.Exit(code)


@app.command()
def generate(
    dataset: Annotated[str, typer.Argument(help="a recipe: data/heat_online, or its name")],
    out: Annotated[
        Path,
        typer.Option(help="file to write, or folder, where domains differ; run again to go on"),
    ],
    size: Annotated[str, typer.Option(help="small (minutes on 2 cores) or full")] = "small",
    simulations: Annotated[
        int | None, typer.Option(min=1, help="so many in all, for a quick try")
    ] = None,
    ranks: Annotated[int | None, typer.Option(min=1, help="MPI ranks a run")] = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="runs side by side; default: as many as fit")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="override: splits.train=8")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="write the file without runs that failed")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="dask scheduler to run on, such as tls://head:8786")
    ] = None,
    plain: Plain = None,
) -> None:
    """Make a dataset: many simulations, one netCDF file; a recording where their domains differ."""
    from sciml.datasets.generation import generate as make
    from sciml.ensemble.stop import StopRequested

    try:
        make(
            dataset,
            out,
            size=size,
            simulations=simulations,
            ranks=ranks,
            at_once=at_once,
            overrides=set_ or [],
            allow_missing=allow_missing,
            scheduler=scheduler,
            plain=plain,
        )
    except StopRequested as stop:
        raise typer.Exit(stop.code) from stop


@app.command()
def export(
    run_dir: Annotated[Path, typer.Argument(help="run directory, or a saved surrogate")],
    out: Annotated[Path, typer.Option(help="file to write: model.pt2")],
    compiled: Annotated[
        bool, typer.Option("--compiled", help="by AOTInductor, for this kind of machine")
    ] = False,
    double: Annotated[bool, typer.Option("--double", help="compute in float64")] = False,
    model: Annotated[
        Path | None, typer.Option(help="the file of a model of your own; a run of yours has a copy")
    ] = None,
) -> None:
    """Write a surrogate as a program of torch that needs nothing of this package."""
    from sciml.run.results import load

    surrogate = load(run_dir, model)
    (surrogate.double() if double else surrogate).export(out, compiled=compiled)
    print(f"{out}: for torch.{'_inductor.aoti_load_package' if compiled else 'export.load'}")


@app.command()
def evaluate(
    run_dir: Annotated[Path, typer.Argument(help="run directory, or a saved surrogate")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="file, as of train --from, folder of them, or pattern, to evaluate on; may be given "
            "again for more; default: the run's held-out simulations"
        ),
    ] = None,
    group: Group = None,
    rollout: Annotated[
        int | None, typer.Option(min=1, help="rollout steps; default: all there are")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="the file of a model of your own; a run of yours has a copy")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a surrogate on simulations that it was not trained on."""
    from sciml.run.evaluation import evaluate as measure

    figures = measure(run_dir, data or None, rollout, model, group=group)
    print(json.dumps(figures, indent=1) if as_json else figures)


@app.command()
def predict(
    run_dir: Annotated[Path, typer.Argument(help="run directory, or a saved surrogate")],
    data: Annotated[list[Path], typer.Option(help="what to predict from; may be given again")],
    out: Annotated[
        Path, typer.Option(help="file to write: .nc; .xyz of particles, .vtu and .xdmf of meshes")
    ],
    group: Group = None,
    rollout: Annotated[
        int | None, typer.Option(min=1, help="so many steps onward from the last times")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="the file of a model of your own; a run of yours has a copy")
    ] = None,
) -> None:
    """Predict by a surrogate: one step from each time of the data, or a rollout."""
    from sciml.run.prediction import predict as write

    write(run_dir, data, out, rollout=rollout, model=model, group=group)
    print(out)


@app.command()
def plot(
    run_dir: Annotated[Path, typer.Argument(help="run directory, or the directory of a fit")],
    out: Annotated[
        Path | None, typer.Option(help="folder for the files; default: figures/ in the run")
    ] = None,
    figure: Annotated[
        str | None, typer.Option(help="one alone: learning, errors, median or worst")
    ] = None,
    ending: Annotated[
        str, typer.Option("--format", help="png, pdf, svg; gif: the rollout as an animation")
    ] = "png",
) -> None:
    """Draw how a run learned, how far off its surrogate is, and where (extra `plot`)."""
    from sciml.report.figures import write

    if not run_dir.is_dir():
        raise InputError(f"{run_dir} is no directory; expected a run, or the directory of a fit")
    for path in write(run_dir, out, name=figure, ending=ending):
        print(path)


@app.command("list")
def list_() -> None:
    """Solvers, studies, models and equations that are at hand."""
    from sciml.equations.named import EQUATIONS
    from sciml.share import share_root
    from sciml.surrogates.registry import names

    root = share_root()
    _section("solvers", sorted(p for p in (root / "solvers").glob("*.py")), root)
    studies = (p for p in (root / "workflows").glob("*/*.yaml") if p.name != "recipe.yaml")
    _section("studies", sorted(studies), root)
    _section("datasets", sorted(p.parent for p in (root / "data").glob("*/README.md")), root)
    for title, known in (("models", names()), ("equations", sorted(EQUATIONS))):
        print(title)
        for name in known:
            print(f"  {name}")


@app.command()
def describe(
    what: Annotated[
        str,
        typer.Argument(
            help="a solver program (solvers/heat.py), a model (fno), the file of one (my_net.py), or an "
            "equation (burgers)"
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Equation, fields, parameters and options of a solver program; options of a model; constants and
    exact solutions of an equation."""
    from sciml.equations.named import EQUATIONS
    from sciml.equations.page import described, page
    from sciml.run.model_file import builds_model
    from sciml.share import find
    from sciml.solver.program_description import describe as ask

    if not what.endswith(".py"):  # models take torch, which takes seconds
        from sciml.surrogates.registry import names

        if what in names():
            _describe_model(what, as_json)
            return
        if what in EQUATIONS:
            about = described(EQUATIONS[what])
            print(json.dumps(about, indent=1) if as_json else page(about))
            return
    elif builds_model(find(what)):
        _describe_model(what, as_json)
        return
    try:
        description = ask(what)
    except InputError as error:
        if what.endswith(".py") or re.search("did you mean|is no program", str(error)):
            raise
        known = [*names(), *EQUATIONS]
        raise InputError(
            f"no program, model or equation '{what}'; {nearest(what, known)}"
        ) from error
    print(json.dumps(description.schema, indent=1) if as_json else description)


@app.command()
def check(
    program: Annotated[str, typer.Argument(help="a solver program: solvers/heat.py, my_solver.py")],
    ranks: Annotated[int, typer.Option(min=1, help="MPI ranks")] = 1,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="a parameter or option: Re=50")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="where to draw it; default: check-NAME.png")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1.0, help="seconds for each of its runs")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Run a solver program into a sink: what it gives, how fast, and what is wrong with it.

    Exit code 0 if nothing is wrong, 1 if something is, 2 if it cannot be asked.
    """
    from sciml.run.picture import draw
    from sciml.run.program_check import check_program
    from sciml.study.text import override

    given: dict = {}
    override(given, set_ or [])
    report = check_program(program, given, ranks=ranks, timeout=timeout)
    name = report.description.name
    if report.frames:
        place = picture or Path(f"check-{Path(name).name}.png")
        why = draw(report.frames, report.domain, name, place)
        report.rows.append(("picture", str(place) if why is None else why))
    print(json.dumps(report.to_json(), indent=1) if as_json else report)
    raise typer.Exit(1 if report.wrong else 0)


@app.command()
def status(
    run_dir: Annotated[Path, typer.Argument(help="run directory")],
    as_json: AsJson = False,
) -> None:
    """How far a run is: simulations, frames, samples, training."""
    from sciml.run.display import told
    from sciml.run.results import open_run

    state = open_run(run_dir).status
    if not state:
        raise InputError(f"{run_dir} has no status yet; the run is just starting")
    print(json.dumps(state, indent=1) if as_json else told(state))


def _describe_model(name: str, as_json: bool) -> None:
    from sciml.surrogates import registry

    options = registry.described(name)
    about = {"name": name, "options": options}
    if name.endswith(".py"):
        from sciml.run.model_trial import suits

        about["domains"] = suits(name)
    if as_json:
        print(json.dumps(about, indent=1, default=str))
        return
    print(f"{name}: {registry.page(name)}\n\noptions, as keys of `model:` in a study")
    for key, option in options.items():
        default = json.dumps(option["default"], default=str)
        print(f"  {key:<24} default {default:<14} {option['type']}")
    if "domains" in about:
        print("tried on, with its defaults: a field and a parameter in, the field out")
        for domain, how in about["domains"].items():
            print(f"  {domain:<24} {how}")


def _dry_run(study) -> None:
    from sciml.run.offline.cost import cost, points

    if study.training.fed is None:
        print(f"{study.name}: no solver and no data")
        for name, value in cost(study):
            print(f"{name:>16}  {value}")
        return
    from sciml.run.dryrun import estimate
    from sciml.run.simulations import check, starts_of
    from sciml.study.designs import plan

    description = check(study)
    starts = starts_of(study, description)
    planned = plan(study, 0 if starts is None else len(starts))
    print(f"{study.name}: {description.summary or description.name}")
    for name, value in (*estimate(study, description, planned).rows(), *points(study)):
        print(f"{name:>16}  {value}")


def _section(title: str, paths: list[Path], root: Path) -> None:
    print(title)
    for path in paths:
        print(f"  {path.relative_to(root)}")


def _once() -> Callable[..., None]:
    """What shows a Python warning as a line without a place in the source, each one time."""
    seen, usual = set(), warnings.showwarning

    def show(message: Any, category: type[Warning], *where: Any) -> None:
        if category is not UserWarning:
            usual(message, category, *where)
        elif (line := f"warning: {' '.join(str(message).split())}") not in seen:
            seen.add(line)
            print(line, file=sys.stderr)

    return show


def main() -> None:
    """Entry point: an error made on purpose is one line and exit code 2, a Ctrl-C is 130, and a full
    disk or a batch system's word, after which the command may be tried again, is 75."""
    BeforeStart()
    warn_of_namesake()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _once()
            app(standalone_mode=True)
    except (ScimlError, OSError) as error:
        known = (ScimlError, PermissionError, NotADirectoryError, FileExistsError)
        if not (isinstance(error, known) or no_room(error)):
            raise
        line = f"error: {' '.join(str(error).split())}"
        if no_room(error) and isinstance(error, OSError):
            line += "; free some room, then try again"
        print(line, file=sys.stderr)
        sys.exit(AGAIN if no_room(error) else BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
