"""Groups of symmetries, and the laws by which scalars, vectors and pseudoscalars follow them.

Long, since one class says all of a group: its laws, the grids that have it, fields and batches under it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from sciml.domain import Domain, Field, Grid
from sciml.domain.names import grid_dims
from sciml.domain.parity import base, guess
from sciml.errors import InputError, nearest, require_known
from sciml.samples import Task
from sciml.surrogates.batch import Batch
from sciml.surrogates.symmetry.element import SYMMETRIES, Element, elements, moved

log = logging.getLogger("sciml.symmetries")


@final
@dataclass(frozen=True, slots=True)
class Symmetries:
    """A group, and what it does to fields.

    Scalar fields go to new points, u'(x') = u(x). A vector field v goes to
    v'_i(x') = s_i v_{p(i)}(x): its components change places and signs. A pseudoscalar, such as
    vorticity in the plane, changes its sign under reflections besides. Parameters stay.

    What is not given here, fields know by themselves (``parity`` of :class:`~sciml.domain.Field`; CF
    standard names; names that leave no doubt): :meth:`told`.

    Args:
        symmetries: ``flips``: reflections of each axis; ``square`` and ``cube``: those and exchanges
            of axes (the dihedral group of 8, the octahedral group of 48), on grids with equal
            axes alone; ``translations``: by whole points along periodic axes. One or several.
        vectors: names of the components by axis, ``{"x": "vx", "y": "vy"}``, one entry a vector field.
            On a line, ``{"x": "u"}`` is a field that changes its sign with x, as in Burgers' and
            Kuramoto's and Sivashinsky's equations.
        pseudoscalars: names of fields.
        scalars: names of fields that are none of these, where names leave a doubt.

    Raises:
        InputError: unknown names; a field with two laws.
    """

    symmetries: Sequence[str] = ()
    vectors: Sequence[Mapping[str, str]] = ()
    pseudoscalars: Sequence[str] = ()
    scalars: Sequence[str] = ()

    def __post_init__(self) -> None:
        given = (self.symmetries,) if isinstance(self.symmetries, str) else tuple(self.symmetries)
        object.__setattr__(self, "symmetries", given)
        object.__setattr__(self, "vectors", tuple(dict(v) for v in self.vectors))
        object.__setattr__(self, "pseudoscalars", tuple(self.pseudoscalars))
        object.__setattr__(self, "scalars", tuple(self.scalars))
        if not given:
            raise InputError(f"symmetries: none; expected some of {', '.join(SYMMETRIES)}")
        require_known("unknown symmetry", given, SYMMETRIES)
        fields = self.named
        for name in fields:
            if fields.count(name) > 1:
                raise InputError(f"symmetries: field '{name}' has two laws; name it once")
        for axis in (a for v in self.vectors for a in v):
            if axis not in grid_dims(3):
                raise InputError(
                    f"symmetries: component along '{axis}' of a vector; expected x, y or z, such as "
                    "{x: vx, y: vy}"
                )

    @classmethod
    def of(cls, plain: Symmetries | Mapping[str, Any] | Sequence[str] | str) -> Symmetries:
        """From names of symmetries, or from the keys above.

        Raises:
            InputError: an unknown key, with the nearest one; else as above.
        """
        if isinstance(plain, Symmetries):
            return plain
        if not isinstance(plain, Mapping):
            return cls(plain)
        known = ("symmetries", "vectors", "pseudoscalars", "scalars")
        require_known("symmetries have no key", plain, known)
        return cls(**plain)

    @property
    def named(self) -> list[str]:
        """Fields whose law is given."""
        return [*self.scalars, *self.pseudoscalars, *(f for v in self.vectors for f in v.values())]

    def law(self, name: str) -> str | None:
        """``"scalar"``, ``"pseudoscalar"``, the axis of a component; ``None``: not given."""
        if name in self.scalars:
            return "scalar"
        if name in self.pseudoscalars:
            return "pseudoscalar"
        along = (axis for vector in self.vectors for axis, found in vector.items() if found == name)
        return next(along, None)

    def told(self, fields: Sequence[Field], ndim: int) -> Symmetries:
        """The same group with a law for every one of ``fields``: those given, then those that fields
        state, then those that their names leave no doubt of, which is logged.

        Args:
            fields: of a task: inputs, targets, static.
            ndim: axes of the grid.

        Raises:
            InputError: a given law that contradicts what a field states; a name in doubt, such as u
                beside v, or w in the plane; two components of one vector along one axis.
        """
        if not self.flips:
            return self
        names = list(dict.fromkeys(base(field) for field in fields))
        scalars, pseudoscalars = [*self.scalars], [*self.pseudoscalars]
        vectors: dict[tuple[str, str], dict[str, str]] = {}
        for field in fields:
            if field.on != "point" or field.components:
                continue
            given = self.law(field.name)
            if given is not None:
                _require_agreement(field, given, ndim)
                continue
            parity, vector = field.parity, field.vector
            if not parity:
                guessed = guess(field, names, ndim)
                _require_no_doubt(field.name, guessed.doubt, guessed.faint, ndim)
                parity, vector = guessed.parity or "scalar", guessed.vector
                if parity != "scalar":
                    what = parity if parity == "pseudoscalar" else f"a component along {parity}"
                    log.info("symmetries: '%s' is taken for %s, by its name", field.name, what)
            if parity == "pseudoscalar":
                pseudoscalars.append(field.name)
            elif parity in grid_dims(ndim):
                # A wind at each level, or height (u10, u100), is a vector of its own.
                level = " ".join(re.findall(r"\d+", field.name))
                components = vectors.setdefault((vector, level), {})
                if parity in components:
                    raise InputError(
                        f"symmetries: '{components[parity]}' and '{field.name}' are both the component "
                        f"along {parity} of one vector; say which belong together: "
                        f"vectors: [{{{parity}: {components[parity]}, ...}}, {{{parity}: {field.name}, "
                        "...}]"
                    )
                components[parity] = field.name
            else:  # across the axes of this grid nothing changes
                scalars.append(field.name)
        return replace(
            self,
            vectors=(*self.vectors, *vectors.values()),
            pseudoscalars=pseudoscalars,
            scalars=scalars,
        )

    @property
    def swaps(self) -> bool:
        """Whether axes are exchanged."""
        return any(SYMMETRIES[name] for name in self.symmetries)

    @property
    def flips(self) -> bool:
        """Whether axes are reflected."""
        return self.swaps or "flips" in self.symmetries

    def shifts(self, shape: Sequence[int], periodic: Sequence[bool]) -> tuple[int, ...]:
        """Translations along each axis: as many as points, 1 where there are none."""
        translates = "translations" in self.symmetries
        return tuple(
            n if translates and wraps else 1 for n, wraps in zip(shape, periodic, strict=True)
        )

    def elements(self, shape: Sequence[int], periodic: Sequence[bool]) -> list[Element]:
        """All of the group on a grid, the identity first."""
        return elements(self.swaps, self.flips, self.shifts(shape, periodic))

    def require_grid(self, shape: Sequence[int], periodic: Sequence[bool], spacing: Tensor) -> None:
        """Refuse a grid that these are no symmetries of.

        Args:
            shape, periodic: of each axis.
            spacing: ``(…, d)``.
        """
        d = len(shape)
        for name in self.symmetries:
            if SYMMETRIES[name] not in (None, d):
                raise InputError(
                    f"symmetries: '{name}' on a grid of {d} axes; expected {SYMMETRIES[name]}, or "
                    "take 'flips'"
                )
        alike = torch.allclose(spacing, spacing[..., :1].expand_as(spacing), rtol=1e-5, atol=0.0)
        if self.swaps and (len(set(shape)) > 1 or len(set(periodic)) > 1 or not alike):
            spaced = ", ".join(f"{h:g}" for h in spacing.reshape(-1, d)[0].tolist())
            raise InputError(
                f"symmetries: exchange of axes of a grid of {tuple(shape)} points, spacing {spaced}, "
                f"periodic {tuple(periodic)}; expected equal axes, or take 'flips'"
            )
        if "translations" in self.symmetries and not any(periodic):
            raise InputError(
                "symmetries: 'translations' on a grid without a periodic axis; remove it"
            )

    def require_fields(self, groups: Sequence[Sequence[str]], ndim: int) -> None:
        """Refuse laws that a task's fields cannot follow.

        Args:
            groups: fields that come together: inputs; targets; static fields.
            ndim: axes of the grid.

        Raises:
            InputError: a law for a field that is in none of them; a vector that is not whole.
        """
        self.require_known(groups)
        for element in elements(self.swaps, self.flips, (1,) * ndim):
            for group in groups:
                for name in group:
                    self._source(element, name, group)

    def require_known(self, groups: Sequence[Sequence[str]]) -> None:
        """Refuse a law for a field that is in none of the groups."""
        known = list(dict.fromkeys(name for group in groups for name in group))
        for name in self.named:
            if name not in known:
                raise InputError(
                    f"symmetries: no field '{name}' in the task; {nearest(name, known)}"
                )

    def told_by(self, surrogate: torch.nn.Module) -> Symmetries:
        """With a law for each field of a surrogate on a grid; as they are for any other module.

        Raises:
            InputError: a field in doubt, a contradiction, or symmetries that the grid has not.
        """
        setting = getattr(surrogate, "setting", None)
        grid = None if setting is None else setting.scope
        if not isinstance(grid, Grid):
            return self
        return self.told_on(grid, surrogate.task, surrogate.fields)

    def told_on(self, grid: Grid, task: Task, fields: Sequence[Field]) -> Symmetries:
        """With a law for each field of a task on a grid.

        Raises:
            InputError: as :meth:`told_by`.
        """
        self.require_sphere(grid)
        groups = (task.inputs, task.targets, task.static, task.forcing)
        self.require_known(groups)
        told = self.told(fields_of_task(task, fields), grid.ndim)
        told.require_fields(groups, grid.ndim)
        return told

    def require_sphere(self, domain: Domain) -> None:
        """Refuse symmetries that a grid of latitudes has not."""
        if not isinstance(domain, Grid) or domain.latitude is None:
            return
        dim, (low, high) = grid_dims(domain.ndim)[domain.latitude], domain.extent[domain.latitude]
        if self.swaps:
            raise InputError(
                f"symmetries: exchange of axes, of which {dim} is latitude: degrees of longitude are "
                "shorter away from the equator; expected 'flips' or 'translations'"
            )
        if self.flips and abs(low + high) > 1e-3 * (high - low):
            raise InputError(
                f"symmetries: 'flips' of latitudes from {low:g} to {high:g}, which are no mirror image "
                "of themselves; take a box about the equator, or 'translations' along longitude; if it "
                "is to be a plane, give its axes in m"
            )

    def fields(
        self,
        element: Element,
        fields: Mapping[str, Tensor],
        periodic: Sequence[bool],
        first: int,
        at_points: bool = False,
    ) -> dict[str, Tensor]:
        """Fields under one element; values that belong to no point stay.

        Args:
            fields: that come together, ``(…, *space)`` with ``first`` axes before those of space.
            periodic: whether each old axis is.
            at_points: they are values at points that move themselves: only laws are applied.

        Raises:
            InputError: a component of a vector is not there.
        """
        found = {}
        for name, values in fields.items():
            if values.ndim == first:
                found[name] = values
                continue
            source, sign = self._source(element, name, fields)
            values = fields[source]
            if not at_points:
                values = moved(values, element, periodic, first)
            found[name] = values if sign > 0 else -values
        return found

    def batch(
        self,
        element: Element,
        batch: Batch,
        periodic: Sequence[bool],
        space: Sequence[int] | None = None,
    ) -> Batch:
        """Inputs, targets, static fields, forcing, geometry and points of a batch under one element.

        Args:
            periodic: whether each old axis is.
            space: points along each old axis; ``None``: as the fields of the batch have.

        Raises:
            InputError: a component of a vector is not there.
        """
        geometry, order = dict(batch.geometry), list(element.order)
        if "spacing" in geometry:
            geometry["spacing"] = geometry["spacing"][:, order]
        if "periodic" in geometry:
            geometry["periodic"] = geometry["periodic"][order]
        asked = "at" in geometry
        if asked:
            geometry["at"] = _points(geometry["at"], element, batch, periodic, space)
        if "area" in geometry:
            geometry["area"] = moved(geometry["area"], element, periodic, 2)
        names = (*batch.inputs, *batch.targets, *batch.static, *batch.forcing)
        targets = self.fields(element, batch.targets, periodic, 2, asked)
        return replace(
            batch,
            fixed=self._of_points(element, batch.fixed, names, periodic, False),
            given={name: targets[name] for name in batch.given if name in targets},
            masks=self._of_points(element, batch.masks, names, periodic, False),
            weights=self._of_points(element, batch.weights, names, periodic, asked),
            inputs=self.fields(element, batch.inputs, periodic, 2),
            targets=targets,
            static=self.fields(element, batch.static, periodic, 1),
            forcing=self.fields(element, batch.forcing, periodic, 2),
            geometry=geometry,
        )

    def _of_points(
        self,
        element: Element,
        given: Mapping[str, Tensor],
        names: Sequence[str],
        periodic: Sequence[bool],
        at_points: bool,
    ) -> dict[str, Tensor]:
        """Masks or weights of fields, which have no sign, where these are after ``element``."""
        found = {}
        for name in dict.fromkeys(names) if given else ():
            values = given.get(self._law(element, name)[0])
            if values is not None:
                found[name] = values if at_points else moved(values, element, periodic, 2)
        return found

    def _source(self, element: Element, name: str, group: Any) -> tuple[str, int]:
        """Field of the group that a field's new values come from, and their sign."""
        source, sign = self._law(element, name)
        if source not in group:
            raise InputError(
                f"symmetries: '{name}' becomes '{source}' under an exchange of axes, which is not "
                f"beside it among {', '.join(group)}; add it to the task, or take 'flips'"
            )
        return source, sign

    def _law(self, element: Element, name: str) -> tuple[str, int]:
        dims = grid_dims(len(element.order))
        for vector in self.vectors:
            for axis, component in vector.items():
                if component != name:
                    continue
                if axis not in dims:
                    raise InputError(
                        f"symmetries: '{name}' is a component along '{axis}', yet the axes of the "
                        f"grid are {', '.join(dims)}"
                    )
                i = dims.index(axis)
                before = dims[element.order[i]]
                if before not in vector:
                    raise InputError(
                        f"symmetries: the vector with component '{name}' along '{axis}' has none "
                        f"along '{before}', with which it changes places; name it, or take 'flips'"
                    )
                return vector[before], element.signs[i]
        return name, element.determinant if name in self.pseudoscalars else 1


def fields_of_task(task: Task, fields: Sequence[Field]) -> list[Field]:
    """Inputs, targets, forcing and static fields of a task, with what ``fields`` know of them."""
    known = {field.name: field for field in fields}
    names = dict.fromkeys((*task.moving, *task.static))
    return [known.get(name, Field(name)) for name in names]


def _require_agreement(field: Field, given: str, ndim: int) -> None:
    stated = field.parity
    if stated in ("x", "y", "z") and stated not in grid_dims(ndim):
        stated = "scalar"
    # On a line the two laws are one.
    same = ndim == 1 and {stated, given} == {"pseudoscalar", "x"}
    if stated and stated != given and not same:
        words = {"scalar": "a scalar", "pseudoscalar": "a pseudoscalar"}
        said, known = (words.get(law, f"a component along {law}") for law in (given, stated))
        raise InputError(
            f"symmetries: '{field.name}' is given as {said}, yet the data state {known}; leave it out, "
            "or set the attribute parity of the variable"
        )


def _require_no_doubt(name: str, doubt: str, faint: bool, ndim: int) -> None:
    if not doubt:
        return
    axes = ", ".join(f"{axis}: ..." for axis in reversed(grid_dims(ndim)))
    say = f"vectors: [{{{axes}}}], pseudoscalars: [{name}] or scalars: [{name}]"
    if not faint:
        raise InputError(f"symmetries: '{name}' {doubt}; say which, with {say}")
    log.warning("symmetries: '%s' %s, and is taken for a scalar; say so, with %s", name, doubt, say)


def space_of(batch: Batch, ndim: int) -> tuple[int, ...]:
    """Points along each axis of the grid of a batch."""
    for fields, first in ((batch.inputs, 2), (batch.targets, 2), (batch.static, 1)):
        for values in fields.values():
            if values.ndim == first + ndim:
                return tuple(values.shape[first:])
    raise InputError("symmetries: no field on the grid among inputs, targets and static fields")


def _points(
    at: Tensor,
    element: Element,
    batch: Batch,
    periodic: Sequence[bool],
    space: Sequence[int] | None,
) -> Tensor:
    """Places ``(…, P, d)``, from 0 to 1 along each axis, under one element."""
    lengths = space or (1,) * len(periodic)
    if space is None and any(element.shifts):
        lengths = space_of(batch, len(periodic))
    columns = []
    for p, sign, shift in zip(element.order, element.signs, element.shifts, strict=True):
        y = at[..., p] if sign > 0 else 1.0 - at[..., p]
        y = y + shift / lengths[p] if shift else y
        columns.append(y % 1.0 if periodic[p] and (sign < 0 or shift) else y)
    return torch.stack(columns, dim=-1)
