"""What a model may know at its birth: the task, its fields, and where they live."""

from __future__ import annotations

from dataclasses import dataclass

from sciml.domain import Domain, Field, Grid
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates.scope import Scope, scope_ahead


@dataclass(frozen=True, slots=True)
class Setting:
    """What :func:`build` of a model is given.

    >>> setting = Setting(Task(("u",), ("u",)), Grid((64,), ((0.0, 1.0),), ("periodic",)))
    >>> setting.channels
    (1, 1)

    Args:
        task: what goes in, what comes out.
        scope: the grid, or the :class:`~sciml.surrogates.scope.Scope` of other domains; a domain is
            turned into its scope, with the species that it expects. ``None``: not known.
        fields: what is known of inputs, targets, static fields and forcing; of which nothing is said are
            numbers on points.
    """

    task: Task
    scope: Grid | Scope | Domain | None = None
    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scope", scope_ahead(self.scope))
        object.__setattr__(self, "fields", tuple(self.fields))

    def field(self, name: str) -> Field:
        """What is known of a field."""
        return next((f for f in self.fields if f.name == name), None) or Field(name)

    def width(self, name: str) -> int:
        """Channels of one frame of a field: one a component, or one a kind of a categorical one."""
        field = self.field(name)
        return len(field.categories) or field.components or 1

    @property
    def channels(self) -> tuple[int, int]:
        """Channels that a model gets and gives: history of each input, static fields but those in cells
        or on edges, forcing, parameters, time; and the targets, of each frame of a bundle after those of
        the one before."""
        task = self.task
        static = [name for name in task.static if self.field(name).on not in ("cell", "edge")]
        given = task.history * sum(map(self.width, task.inputs))
        given += sum(map(self.width, (*static, *task.forcing)))
        wanted = task.bundle * sum(map(self.width, task.targets))
        return given + len(task.parameters) + task.time, wanted

    @property
    def axes(self) -> tuple[str, ...]:
        """Axes of the grid; none where the domain is no grid, or not known."""
        return self.scope.dims if isinstance(self.scope, Grid) else ()

    def grid(self, model: str) -> Grid:
        """The grid, for a model that needs one.

        Args:
            model: its name, for the message.

        Raises:
            InputError: something else.
        """
        if not isinstance(self.scope, Grid):
            kind = "no domain" if self.scope is None else f"a {self.scope.kind}"
            raise InputError(f"model '{model}': got {kind}; expected a grid")
        return self.scope
