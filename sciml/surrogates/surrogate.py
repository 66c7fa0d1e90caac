"""A model with all it needs to be used on data, files and other machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from torch import nn

from sciml.domain import Domain
from sciml.domain.files import files_of, open_dataset, several
from sciml.errors import InputError
from sciml.report import card
from sciml.samples import Task
from sciml.surrogates import export, own_model, prediction, registry, storage
from sciml.surrogates.batch import Batch
from sciml.surrogates.bounds import PARAMETER
from sciml.surrogates.normalizer import Normalizer
from sciml.surrogates.physical_model import PhysicalModel
from sciml.surrogates.pinn import along
from sciml.surrogates.scope import Scope
from sciml.surrogates.setting import Setting
from sciml.surrogates.symmetry.symmetries import Symmetries
from sciml.surrogates.symmetry.symmetrization import Symmetrization

if TYPE_CHECKING:
    import xarray as xr


@final
class Surrogate(PhysicalModel):
    """u(t + lead·dt) = N⁻¹ model(N u(t), N p), or u(t) + N⁻¹ model(…) with ``increment``; with
    ``symmetrize``, the mean of that over symmetries of the grid.

    Shapes: as in :class:`~sciml.surrogates.batch.Batch`; a call gives ``targets`` in physical
    units for all of ``batch.time``, feeding its own outputs back after the first. Of float64 fields
    what goes in is scaled, and what comes out is put into units, in float64; the model computes in
    the dtype of its weights.

    Args:
        model: takes and gives plain tensors; see :mod:`sciml.surrogates.call`.
        task: what it was, or will be, trained for.
        normalizer: scales what the model sees and gives; ``None``: physical units throughout.
        domain: where it was trained; of meshes, graphs and particles, which differ, their
            :class:`~sciml.surrogates.scope.Scope` is kept. Predictions elsewhere are refused. ``None``:
            not checked.
        increment: the model gives the change from the last input, for targets that are inputs.
        fields: names, units and parity of inputs, targets and static fields.
        dt: time between sent frames in the data, a :class:`~sciml.samples.step.Step` with its unit, or a
            number; ``None``: taken from each dataset.
        config: name and options of the model, for saving.
        symmetrize: symmetries of the grid over which each step is averaged where the surrogate is used
            (in eval mode; training sees the model as it is): see
            :class:`~sciml.surrogates.symmetry.symmetrization.Symmetrization`.
        options: every option of the model, defaults written out, for saving; ``None``: those of
            ``config``, and today's defaults, of a model of :data:`~sciml.surrogates.registry.MODELS`.
        masks: where inputs, targets and static fields have values, by name, for those that do not have
            them everywhere (land); elsewhere the model sees their mean, and predictions are NaN.
        source: SHA-256 of the file that builds the model, for saving; see
            :func:`sciml.surrogates.own_model.source_of`.

    Raises:
        InputError: an unrolled task whose outputs do not give all its inputs; increments of
            something that is no input; symmetries that domain or fields do not have.
    """

    def __repr__(self) -> str:
        return card.text(*self._card())

    def _repr_html_(self) -> str:
        return card.html(*self._card())

    def _card(self) -> tuple[str, card.Rows]:
        """What it learned, where, and how far off it is; ``surrogate.model`` shows layers."""
        weights = sum(p.numel() for p in self.parameters())
        rows = card.learned(
            self.task, self.fields, self.domain, self.step, self.config, weights, self.increment
        )
        spans = {n: self.bounds.of(PARAMETER, n) for n in self.task.parameters}
        checks = getattr(getattr(self, "history", None), "validations", None)
        averaged = self.symmetrization
        return "Surrogate", [
            *rows,
            ("parameters", card.ranges(spans, {})),
            ("symmetrized", "" if averaged is None else card.among(averaged.symmetries.symmetries)),
            ("errors", card.errors(checks[-1]) if checks else ""),
            ("saved in", getattr(self, "saved_in", "")),
        ]

    @classmethod
    def build(
        cls,
        config: str | Mapping[str, Any],
        task: Task,
        domain: Domain | Scope | None,
        *,
        file: str | Path | None = None,
        **kwargs: Any,
    ) -> Surrogate:
        """A new surrogate around a registered model.

        Args:
            config: name, or ``{"name": …, option: value, …}``, among them ``symmetrize``.
            task, domain: as above; a fresh normalizer is added unless one is given.
            file: run instead of the one that the name says: a copy of it.
            kwargs: further arguments of :class:`Surrogate`.

        Raises:
            InputError: no name, unknown model or option.
        """
        config = {"name": config} if isinstance(config, str) else dict(config)
        if "name" not in config:
            raise InputError(
                f"model: no name among {', '.join(config) or 'no keys'}; "
                f"expected one of {', '.join(registry.MODELS)}"
            )
        if "symmetrize" in config:
            kwargs.setdefault("symmetrize", config.pop("symmetrize"))
        options = {k: v for k, v in config.items() if k != "name"}
        name = str(config["name"] if file is None else file)
        setting = Setting(task, domain, tuple(kwargs.get("fields", ())))
        model = registry.build(name, setting, **options)
        kwargs.setdefault("options", registry.resolved(name, options, model))
        if own_model.is_file(name):
            kwargs.setdefault("source", own_model.source_of(name))
        kwargs.setdefault("normalizer", Normalizer.of(setting))
        return cls(model, task, domain=domain, config=config, **kwargs)

    def symmetrized(
        self,
        symmetries: str | Sequence[str],
        *,
        vectors: Sequence[Mapping[str, str]] = (),
        pseudoscalars: Sequence[str] = (),
        scalars: Sequence[str] = (),
    ) -> Surrogate:
        """The same weights, averaged over a group of symmetries of the grid.

        >>> surrogate.symmetrized("square").predict(ds)        # doctest: +SKIP

        Args:
            symmetries: ``"flips"``, ``"square"``, ``"cube"``, ``"translations"`` or several.
            vectors, pseudoscalars, scalars: as in
                :class:`~sciml.surrogates.symmetry.symmetries.Symmetries`, of fields that do not say so
                themselves.

        Raises:
            InputError: symmetries that domain or fields do not have; a field in doubt.
        """
        other = copy(self)
        other._modules = dict(self._modules)
        for name in ("history", "saved_in"):
            vars(other).pop(name, None)
        group = Symmetries(symmetries, vectors, pseudoscalars, scalars)
        other.symmetrization = Symmetrization(group, self.task, self.domain, self.fields)
        return other.eval()

    def predict(
        self,
        ds: xr.Dataset | str | Path | Sequence[xr.Dataset],
        *,
        batch_size: int = 16,
        at: Mapping[str, Any] | None = None,
        forcing: xr.Dataset | None = None,
        group: str | None = None,
    ) -> xr.Dataset | list[xr.Dataset]:
        """One prediction from every time of ``ds`` that has its history, ``lead`` steps later.

        Coordinates, units, attributes, the order and the names of dimensions stay as they are. Beside
        what is predicted of particles within one frame their positions stay.

        Args:
            ds: a dataset, or files as :func:`sciml.open_dataset` takes them. Of several datasets, or a
                file of several molecules, predictions come as a list; molecules share batches.
            at: coordinates at which outputs are wanted, ``{"x": [0.1, 0.25]}``, instead of the
                dataset's own along that axis; for models that can be asked at points (DeepONets).
            forcing: the task's forcing at times that ``ds`` does not have; times whose forcing nobody
                gives are left out.
            group: of netCDF-4, HDF5 or zarr files, in which the variables are.

        Raises:
            InputError: a variable that is missing, NaN, a time step or a grid of another kind than
                the one of the training; another resolution, where the model knows only one.
        """
        if (each := _several(ds, group)) is not None:
            if at is not None or forcing is not None:
                raise InputError(
                    f"predict: at or forcing of {len(each)} datasets; expected one dataset"
                )
            return prediction.predict_each(self, each, batch_size=batch_size)
        ds = _dataset(ds, group)
        return prediction.predict(self, ds, batch_size=batch_size, at=at, forcing=forcing)

    def characteristics(
        self,
        ds: xr.Dataset | str | Path,
        *,
        batch_size: int = 16,
        at: Mapping[str, Any] | None = None,
        group: str | None = None,
    ) -> xr.Dataset:
        """Where each label has gone at the times of ``ds``, of a surrogate that follows characteristics.

        Args:
            ds, at, batch_size, group: as of :meth:`predict`; coordinates are labels.

        Returns:
            The targets on characteristics, ``place_x``, where these are (of periodic axes without whole
            turns taken off), and ``jacobian``, J = ∂X/∂ξ.

        Raises:
            InputError: a model of another kind; as :meth:`predict`.
        """
        return along.characteristics(self, _dataset(ds, group), batch_size=batch_size, at=at)

    def rollout(
        self,
        ds: xr.Dataset | str | Path,
        steps: int,
        *,
        batch_size: int = 16,
        forcing: xr.Dataset | None = None,
        group: str | None = None,
    ) -> xr.Dataset:
        """``steps`` leads onward from the last times of ``ds``, outputs fed back as inputs.

        Args:
            ds, group: as of :meth:`predict`.
            forcing: the task's forcing at the times that are gone to; ``ds`` itself may hold it, with
                its inputs NaN there. Fields that are prescribed somewhere may be given so, too: a pulsed
                inflow; of them any number will do elsewhere.

        Raises:
            InputError: as :meth:`predict`; a task that cannot be fed back.
        """
        ds = _dataset(ds, group)
        return prediction.rollout(self, ds, steps, batch_size=batch_size, forcing=forcing)

    def save(self, directory: str | Path) -> None:
        """Write ``model.safetensors`` and ``surrogate.json`` into ``directory``, over those of an
        earlier surrogate; other files in it stay. The card, ``surrogate.json``, is described in
        :class:`sciml.surrogates.card.Card`.

        Raises:
            InputError: there is a file of that name; as :meth:`require_savable`.
        """
        storage.save(self, directory)
        self.saved_in = str(directory)

    @classmethod
    def load(cls, directory: str | Path, model: nn.Module | str | Path | None = None) -> Surrogate:
        """Read what :meth:`save` wrote.

        Args:
            directory: of :meth:`save`, or any checkpoint.
            model: needed where the model was not one of the registry: an instance built alike, or its
                name: the file of its ``build``, which is run.

        Raises:
            InputError: no surrogate there, a model that is not registered, a card or weights that are
                not what was saved, weights that do not fit or hold NaN.
        """
        surrogate = storage.load(cls, directory, model)
        surrogate.saved_in = str(directory)
        return surrogate

    def export(
        self, path: str | Path, batch: Batch | None = None, *, compiled: bool = False
    ) -> None:
        """Write a program of tensors, that needs nothing of this package.

        Of grids it takes ``(inputs, parameters, time, static)``, with forcing as a fifth where the task
        has some, and gives targets, all as in :class:`Batch`. Without a batch, that of a model that can
        be asked at points (a PINN, a DeepONet) takes ``at (P, d)`` after these: coordinates in their
        units, in the order of the axes of ``domain``; targets are then ``(B, U, P)``.

        That of particles takes ``(inputs, parameters, time, static, geometry, structure)``, of any
        number of samples, particles and pairs. That of an energy gives forces and stress beside it,
        whether they were trained on or not; ``cell`` is among its geometry, of length 1 where there is
        none, and stress then says nothing. The energy of species that were not there is NaN. What
        :func:`sciml.calculator` takes is such a file.

        Args:
            path: file whose name ends in ``.pt2``.
            batch: an example that fixes every shape but the number of samples, of points, and of
                particles and their pairs; ``None``: one is made of where the surrogate was trained.
            compiled: by AOTInductor, for this kind of machine, for ``torch._inductor.aoti_load_package``
                in Python and in C++; takes a C++ compiler and a minute or two. ``False``: for
                ``torch.export.load``, anywhere.

        Raises:
            DomainError: a mesh or a graph; a model of particles whose sizes are fixed; a program that
                gives something else than the surrogate.
            InputError: another ending; no domain and no batch; no compiler.
        """
        export.export(self, path, batch, compiled=compiled)


def _dataset(ds: Any, group: str | None) -> Any:
    """What is given, opened where it is a file or several; what is none of them is refused later."""
    if isinstance(ds, str | PathLike) or (isinstance(ds, list | tuple) and ds):
        return open_dataset(ds, group)
    if group is not None:
        raise InputError(f"group='{group}' of a dataset that is open; expected a path")
    return ds


def _several(ds: Any, group: str | None) -> list[Any] | None:
    """Datasets that stay apart: a list of them, or those of files that hold several."""
    listed = isinstance(ds, list | tuple)
    if listed and ds and all(hasattr(one, "data_vars") for one in ds):
        return list(ds)
    if group is not None or not (isinstance(ds, str | PathLike) or listed):
        return None
    if not all(isinstance(one, str | PathLike) for one in (ds if listed else [ds])) or not ds:
        return None
    found: list[Any] = []
    for file in files_of(list(ds) if listed else ds):
        if (within := several(file)) is None:
            return None
        found += within
    return found if len(found) > 1 else None
