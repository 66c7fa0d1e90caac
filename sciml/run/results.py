"""What a run left behind, opened: figures, predictions, the surrogate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.ensemble.folders import read_json
from sciml.ensemble.leader import is_led
from sciml.errors import InputError
from sciml.report import card
from sciml.report.history import history, validations
from sciml.report.rows import rows_of
from sciml.run.directory import RunDirectory
from sciml.run.kept_files import model_file
from sciml.run.lineage import current
from sciml.run.run_card import about
from sciml.run.snapshot import ENDED
from sciml.study.schema import Study

if TYPE_CHECKING:
    import xarray as xr
    from torch import nn

    from sciml.report.figures import Figures
    from sciml.report.sheet import Sheet
    from sciml.surrogates import Surrogate


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A run on disk, finished or not.

    >>> run = sciml.open_run("runs/quickstart")        # doctest: +SKIP
    >>> run.predictions["u"].isel(sample=0).plot(col="time")   # doctest: +SKIP
    """

    directory: RunDirectory

    def __repr__(self) -> str:
        return card.text(*about(self.directory, self.status))

    def _repr_html_(self) -> str:
        return card.html(*about(self.directory, self.status))

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def study(self) -> Study:
        return current(self.directory)

    @property
    def simulations(self) -> list[dict[str, Any]]:
        """Number, role, parameters and seed of every simulation planned."""
        return read_json(self.directory.simulations)

    @property
    def status(self) -> dict[str, Any]:
        """The last snapshot: frames, samples, simulations, state of the training; ``killed`` where
        whoever led the run is gone without a word."""
        if not self.directory.status.exists():
            return {}
        state = read_json(self.directory.status)
        if state.get("state") not in ENDED and not is_led(self.directory):
            state["state"], state["reason"] = "killed", "nobody leads it any more; resume it"
        return state

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One entry a validation: step, loss, errors one step ahead and those of persistence, of all
        fields and in ``fields`` of each: see :class:`sciml.training.Validation`."""
        return validations(rows_of(self.directory.metrics))

    @property
    def history(self) -> xr.Dataset:
        """Loss by step, and each field's errors by the steps of the validations: see
        :func:`sciml.report.history.history`.

        >>> run.history.loss.plot(yscale="log")                    # doctest: +SKIP
        >>> run.history.vrmse.sel(field="u").plot()                # doctest: +SKIP
        """
        return history(rows_of(self.directory.metrics))

    @property
    def summary(self) -> dict[str, Any]:
        """Figures of the finished run.

        Raises:
            InputError: the run has not finished.
        """
        if not self.directory.summary.exists():
            raise InputError(f"{self.path} has no summary; the run did not finish")
        return read_json(self.directory.summary)

    @property
    def warnings(self) -> dict[int, list[dict[str, Any]]]:
        """What solver programs warned of, by simulation; the largest of each are in the summary."""
        path = self.directory.warnings
        return {int(n): warned for n, warned in read_json(path).items()} if path.exists() else {}

    @property
    def predictions(self) -> xr.Dataset:
        """Rollouts on the held-out simulations, and the truth (``<field>_true``) beside them; ``sample``
        is the number of the simulation."""
        import xarray as xr

        if not self.directory.predictions.exists():
            apart = sorted(self.path.glob(f"{self.directory.predictions.stem}-*.nc"))
            if apart:
                raise InputError(
                    f"{self.path} has a file of predictions for each of {len(apart)} simulations, whose "
                    f"times or domains differ: xr.open_dataset('{apart[0]}')"
                )
            finished = self.directory.summary.exists()
            why = "nothing was held out (validation)" if finished else "the run did not finish"
            raise InputError(f"{self.path} has no predictions; {why}")
        return xr.open_dataset(self.directory.predictions, engine="h5netcdf")

    def plot(self, name: str | None = None) -> Figures | Sheet:
        """How it learned, how far off it is, and where: figures of matplotlib (extra ``plot``), which
        notebooks show; those that lie in ``figures/`` of the run.

        >>> run.plot("errors").savefig("errors.pdf")               # doctest: +SKIP

        Args:
            name: ``learning``, ``errors``, ``median`` or ``worst``; ``None``: all, by their names.

        Raises:
            InputError: no matplotlib; nothing to draw yet; an unknown name.
        """
        from sciml.report.figures import figures

        drawn = figures(self.path, name)
        return drawn if name is None else drawn[name]

    def surrogate(self) -> Surrogate:
        """The trained surrogate. Where a Python file of the user's builds its model, the run's own copy
        of it is run, of a run that this user made or whose files are there as they were.

        Raises:
            InputError: no surrogate; a run of somebody else's, or without the copy: name the file,
                ``sciml.load(path, model="my_net.py")``.
        """
        name = self.study.model.name
        return load(self.path, model_file(self.directory) if name.endswith(".py") else name)


def open_run(path: str | Path) -> Run:
    """Open a run directory.

    Raises:
        InputError: there is no run.
    """
    return Run(RunDirectory.open(path))


def load(path: str | Path, model: nn.Module | str | Path | None = None) -> Surrogate:
    """The surrogate of a run, of a folder it was saved to, or of a checkpoint.

    Args:
        path: of any of them.
        model: where it is one of your own: an instance built alike, or its name, such as the file of its
            ``build``, which is run.

    Raises:
        InputError: there is none of them.
    """
    from sciml.surrogates import Surrogate
    from sciml.training.checkpoint import Checkpoints

    path = Path(path)
    for folder in (path / "surrogate", path):
        if (folder / "surrogate.json").is_file():
            return Surrogate.load(folder, model)
    newest = Checkpoints(path).newest_path()
    if newest is not None:
        return Surrogate.load(newest, model)
    raise InputError(f"{path} holds no surrogate; expected a finished run or a saved surrogate")
