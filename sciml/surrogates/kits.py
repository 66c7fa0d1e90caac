"""What each kind of domain brings along: what its targets are, and so how they are learned and judged.

How samples are put together is said in :mod:`sciml.surrogates.collation`, how models are called in
:mod:`sciml.surrogates.call`, a row a kind in each; objectives and metrics go by name here, and live
in :mod:`sciml.training`.

========== ==================================== ====================== ==============================
role       which targets                        scaled by              judged by
========== ==================================== ====================== ==============================
numbers    all others                           mean and deviation     fields: relative L2, VRMSE
kinds      fields with categories               not at all             kinds: accuracy, cross entropy
energy     of particles, a number a frame       references, forces     fields; errors a particle
forces     of particles, beside an energy       root mean square       fields; absolute errors
========== ==================================== ====================== ==============================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sciml.surrogates.potential import Potential
from sciml.surrogates.setting import Setting

NUMBERS, KINDS, ENERGY, FORCES = "numbers", "kinds", "energy", "forces"


@dataclass(frozen=True, slots=True)
class Kit:
    """Of one kind of domain.

    Args:
        roles: of each target of a setting.
        objectives: by role, the one that is taken where nothing is said; the first that is there.
        metrics: by role, what a validation measures.
    """

    roles: Callable[[Setting], dict[str, str]]
    objectives: Mapping[str, str]
    metrics: Mapping[str, tuple[str, ...]]

    def objective(self, setting: Setting) -> str:
        """Name of the objective of a setting."""
        roles = {*self.roles(setting).values()}
        if roles == {KINDS}:
            return self.objectives[KINDS]
        return next(name for role, name in self.objectives.items() if role in roles)


def _by_values(setting: Setting) -> dict[str, str]:
    fields = map(setting.field, setting.task.targets)
    return {f.name: KINDS if f.categories else NUMBERS for f in fields}


def _of_particles(setting: Setting) -> dict[str, str]:
    roles, potential = _by_values(setting), Potential.of(setting)
    if potential is not None:
        roles |= {potential.energy: ENERGY}
        roles |= {potential.forces: FORCES} if potential.forces else {}
    return roles


_METRICS = {NUMBERS: ("fields",), KINDS: ("kinds",)}
_PLAIN = Kit(_by_values, {NUMBERS: "supervised", KINDS: "classification"}, _METRICS)
_PARTICLES = Kit(
    _of_particles,
    {ENERGY: "energy_forces", **_PLAIN.objectives},
    {**_METRICS, ENERGY: ("fields", "a_particle"), FORCES: ("fields", "absolute")},
)

KITS: dict[str, Kit] = {
    "grid": _PLAIN,
    "mesh": _PLAIN,
    "graph": _PLAIN,
    "particles": _PARTICLES,
}


def kit_of(setting: Setting | None) -> Kit:
    """That of the domains of a setting; where nothing is known of them, that of plain fields."""
    scope = None if setting is None else setting.scope
    return _PLAIN if scope is None else KITS[scope.kind]
