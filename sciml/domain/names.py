"""Names of dimensions, in one place: every dataset that leaves sciml uses these."""

from __future__ import annotations

from collections.abc import Iterable

from sciml.errors import DomainError

SAMPLE = "sample"
TIME = "time"
NODE = "node"
PARTICLE = "particle"
SPACE = "space"
#: Field of particles whose cell changes: the lattice vectors of each frame, one after the other,
#: ``Field("lattice", on="global", components=d * d)``; their domain has the first.
LATTICE = "lattice"
#: Coordinate of samples: ``train``, ``validation`` or ``test``.
SPLIT = "split"

#: Grid axes, slowest first; a grid of dimension d uses the last d of them.
GRID_AXES = ("z", "y", "x")
#: Where groups of a mesh come from, of one that has none.
NO_GROUPS = (
    "its mesh has no groups: they are physical groups of gmsh, fields 'group wall' of VTU and XDMF, "
    "and flags 'node_groups' of netCDF (docs/data.md)"
)


def grid_dims(ndim: int) -> tuple[str, ...]:
    """Names of the axes of a grid: ``("x",)``, ``("y", "x")`` or ``("z", "y", "x")``."""
    return GRID_AXES[len(GRID_AXES) - ndim :]


#: What a dataset, a recording or the stream calls something of its own.
TAKEN = {
    **dict.fromkeys(("x", "y", "z", TIME, SAMPLE, SPACE, NODE, PARTICLE), "a coordinate"),
    **dict.fromkeys((SPLIT, "role", "seed", "simulation"), "a note on simulations"),
    **dict.fromkeys(("arrival", "segment", "warned"), "a note in recordings"),
}
#: Arguments of ``Client.send`` beside the fields.
ARGUMENTS = ("self", "step")
#: The same for one kind of domain.
TAKEN_ON = {
    "mesh": (
        *("mesh", "edge", "face", "volume", "node_groups"),
        *("mesh_node_x", "mesh_node_y", "mesh_node_z"),
        *("mesh_edge_nodes", "mesh_face_nodes", "mesh_volume_nodes"),
    ),
    "particles": ("species", "cell", "lattice_vector", "cell_component"),
    "graph": ("edges", "edge", "end"),
}
#: Behind a field's name: what the solver gave, beside a prediction of it.
TRUTH = "_true"
#: Bytes of a name that netCDF takes; longer ones are refused.
LONGEST = 256


def require_names(
    fields: Iterable[str],
    static: Iterable[str] = (),
    parameters: Iterable[str] = (),
    kind: str | None = None,
) -> None:
    """Refuse names with which no dataset can be made of a simulation.

    Fields, static fields and parameters are variables of one netCDF file, among coordinates and notes
    whose names are taken.

    Args:
        fields, static, parameters: their names.
        kind: of the domain, where it is known.

    Raises:
        DomainError: a name that netCDF does not take, one that is taken, one that is there twice.
    """
    named = [("field", n) for n in fields] + [("static field", n) for n in static]
    truths = {f"{name}{TRUTH}": name for _, name in named}
    taken = TAKEN | dict.fromkeys(TAKEN_ON.get(kind or "", ()), f"part of a {kind}")
    seen: dict[str, str] = {}
    for what, name in named + [("parameter", n) for n in parameters]:
        if not isinstance(name, str) or not name.isprintable() or name != name.strip():
            raise DomainError(f"{what} {name!r:.60}: no name; expected letters and digits")
        if not (name[:1].isalnum() or name[:1] == "_") or "/" in name:
            raise DomainError(
                f"{what} {name!r:.60}: files take no such name; expected a letter, digit or underscore "
                "first, and no '/'"
            )
        if len(name.encode()) > LONGEST:
            raise DomainError(
                f"{what} {name!r:.60}…: a name of {len(name.encode())} bytes; expected {LONGEST} at most"
            )
        if name in ARGUMENTS and what == "field":
            raise DomainError(
                f"field '{name}': send() has an argument of that name; expected another"
            )
        if name in taken:
            raise DomainError(
                f"{what} '{name}': that is the name of {taken[name]}; expected another, such as "
                f"'{name}_value'"
            )
        if name in truths and what != "parameter":
            raise DomainError(
                f"{what} '{name}': beside predictions of '{truths[name]}' its true values are called "
                "so; expected another name"
            )
        if name in seen:
            raise DomainError(
                f"{what} '{name}': a {seen[name]} is called so, too; expected every name once, since "
                "all are variables of one file"
            )
        seen[name] = what
