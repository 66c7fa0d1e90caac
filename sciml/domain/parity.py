"""What a field is under reflections, by its attributes, name and units.

An attribute ``parity`` (ours) and a CF ``standard_name`` are statements: :func:`parity_of`. Names,
words and units, which is all that most files have, are guessed from by :func:`guess`; what can be
read in two ways is *doubtful*, and is for a person to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml.domain.field import PARITIES, Field
from sciml.domain.names import grid_dims
from sciml.errors import DomainError

#: Words of CF standard names that say along which axis a component points.
_DIRECTIONS = {
    **dict.fromkeys(("eastward", "westward", "x"), "x"),
    **dict.fromkeys(("northward", "southward", "y"), "y"),
    **dict.fromkeys(("upward", "downward", "z"), "z"),
}
#: One vector has components of these three names in CF.
_SAME_VECTOR = {"air_velocity": "wind"}

# Words are looked for in names, standard names and long names alike, in lower case, "_" as a space.
_TURNING = re.compile(
    r"vorticity|vort\b|\bvor\b|\bcurl\b|stream ?function|coriolis|angular velocity"
)
_MAGNITUDE = re.compile(r"magnitude|modulus|squared|\babs\b|absolute value|\brms\b|enstrophy|speed")
_ANGLE = re.compile(r"direction\b|\bangle\b|azimuth|heading")
_MOVING = re.compile(r"velocity|\bvel\b|\bwind\b|momentum")
_NO_VECTOR = re.compile(r"potential|work|power")
_ALONG = re.compile(
    r"\b(?:along|in) (?:the )?([xyz])\b|\b([xyz])[ -](?:component|direction|velocity|momentum|wind)\b"
)
_NAMED = {
    "x": re.compile(r"\b(?:zonal(?![ -](?:mean|average))|eastward|westward)"),
    "y": re.compile(r"\b(?:meridional(?![ -](?:mean|average))|northward|southward)"),
    "z": re.compile(r"\b(?:vertical|upward|downward) (?:velocity|wind|momentum|component|flux)"),
}
_VELOCITY_UNITS = {"m s-1", "m/s", "m s**-1", "m s^-1", "ms-1", "m.s-1", "cm s-1", "cm/s"}

_TENSOR = re.compile(r"^(.+?)_?[xyz]{2}$")
_BEHIND = re.compile(r"^(.+?)_?([xyz])$")
_BEFORE = re.compile(r"^([xyz])_(.+)$")
_WIND = re.compile(r"^([uvw])(_?(?:\d+m?)?|_?[a-z_]*)$")
#: What stands between u and v in files of atmosphere, ocean and ice.
_WIND_ENDINGS = {
    "a", "o", "s", "as", "os", "wnd", "grd", "gos", "bar", "ice", "vel",
    "_wind", "_velocity", "_vel", "_momentum", "_current",
}  # fmt: skip
#: Those, and heights (u10, v_850), that leave no doubt of a single component either.
_OF_WINDS = {"wnd", "grd", "gos", "vel", "_wind", "_velocity", "_vel", "_momentum", "_current"}
_VECTOR_STEMS = {
    "v", "u", "vel", "velocity", "b", "e", "j", "f", "mom", "momentum", "wind", "force", "flux",
    "grad", "current", "magnetic_field", "electric_field",
}  # fmt: skip


def parity_of(name: str, attrs: Mapping[str, Any], roles: Sequence[str]) -> tuple[str, str]:
    """Parity and vector of a variable, as its attributes state them; ``("", "")``: they do not.

    Args:
        name: of the variable, for errors.
        attrs: of the variable.
        roles: what the axes of the grid are, slowest first, such as ``("Y", "X")``. A component across
            them is a scalar; a section from pole to pole through the air has ``("Z", "Y")``.

    Raises:
        DomainError: an attribute ``parity`` that is none.
    """
    stated, vector = str(attrs.get("parity", "")), str(attrs.get("vector", ""))
    if stated not in PARITIES:
        raise DomainError(
            f"variable '{name}': attribute parity is {stated!r}; expected scalar, pseudoscalar, or the "
            f"axis of a component, x, y or z; set it, or remove it: del ds['{name}'].attrs['parity']"
        )
    if not stated:
        stated, vector = _of_standard_name(str(attrs.get("standard_name", "")), roles)
    if stated not in ("x", "y", "z"):
        return stated, ""
    letters = [role.lower() for role in roles]
    if stated not in letters:
        # Where axes have names of their own (a mesh, unknown words) nothing is lost by not knowing.
        return ("scalar", "") if set(letters) <= {"x", "y", "z"} and letters else ("", "")
    return grid_dims(len(roles))[letters.index(stated)], vector


def _of_standard_name(standard: str, roles: Sequence[str]) -> tuple[str, str]:
    if not standard:
        return "", ""
    words = standard.split("_")
    if _MAGNITUDE.search(standard.replace("_", " ")):
        return "scalar", ""
    if _TURNING.search(standard.replace("_", " ")):
        # In space vorticity is an axial vector, which reflections treat in a way of its own.
        plane = len(roles) == 2 and ("streamfunction" in standard or set(roles) == {"X", "Y"})
        return ("pseudoscalar", "") if plane else ("", "")
    along = [_DIRECTIONS[word] for word in words if word in _DIRECTIONS]
    level = [axis for axis in along if axis != "z"]
    if len(level) > 1 or not along:
        return "", ""
    rest = "_".join(word for word in words if word not in _DIRECTIONS)
    # x_wind beside eastward_wind is along the axes of a grid that is turned.
    turned = "grid " if {"x", "y", "z"} & set(words) else ""
    return (level or along)[0], turned + _SAME_VECTOR.get(rest, rest)


@dataclass(frozen=True, slots=True)
class Guess:
    """What a name seems to say.

    Args:
        parity: as of a field; ``""``: a scalar, as far as anyone can see.
        vector: what components share.
        doubt: why a person has to say, in words that go on from "'u' "; ``""``: no doubt.
        faint: the doubt is worth a warning and no more.
    """

    parity: str = ""
    vector: str = ""
    doubt: str = ""
    faint: bool = False


def base(field: Field) -> str:
    """Name of the variable that a field is a level of, or its own."""
    return field.name if field.level is None else field.level.of


def guess(field: Field, names: Sequence[str], ndim: int) -> Guess:
    """Parity of a field that states none, from its name, its words and its units.

    Args:
        field: whose name is looked at.
        names: of all fields beside it, as :func:`base` gives them.
        ndim: axes of the grid.
    """
    name = base(field).lower()
    words = f"{name} {field.long_name.lower()}".replace("_", " ")
    told = field.long_name.lower().replace("_", " ") not in ("", name)
    partners = _partners(name, names)
    if _MAGNITUDE.search(words) and not partners:
        return Guess("scalar")
    if _TURNING.search(words):
        if ndim < 3:
            return Guess("pseudoscalar")
        return Guess(doubt="may be a component of an axial vector, which no law here describes")
    if _TENSOR.match(name) and sum(bool(_TENSOR.match(n.lower())) for n in names) > 1:
        return Guess(doubt="is a component of a tensor by its name, which no law here describes")
    axis = _by_words(words)
    if not axis and _ANGLE.search(words):
        return Guess(
            doubt="is an angle by its name, which turns by itself; give components instead"
        )
    moving = _moves(words) or (not told and field.units in _VELOCITY_UNITS)
    axis = axis or _by_name(name, names, moving)
    if not axis and moving and ndim == 1:
        axis = "x"
    if axis:
        return Guess(axis, _stem(name)) if axis in grid_dims(ndim) else Guess("scalar")
    if told:
        return Guess("scalar") if not moving else Guess(doubt="may be a component of a vector")
    if partners and name[0] in "uv":
        beside = " and ".join(f"'{n}'" for n in partners)
        return Guess(doubt=f"and {beside} may be the components of a vector, or scalars")
    if ndim >= 2 and name in ("w", "omega", "zeta", "psi", "vo"):
        return Guess(doubt="may be a pseudoscalar (vorticity, stream function), or a scalar")
    if moving:
        return Guess(doubt="may be a component of a vector")
    faint = name in ("u", "v") and field.units in ("", "1")
    return Guess(doubt="may be a velocity", faint=True) if faint else Guess()


def _by_words(words: str) -> str:
    """Axis of a component whose words name it."""
    if found := _ALONG.search(words):
        return found[1] or found[2]
    return next((axis for axis, pattern in _NAMED.items() if pattern.search(words)), "")


def _by_name(name: str, names: Sequence[str], moving: bool) -> str:
    """Axis of a component whose name leaves no doubt: vx, x_velocity, u10 beside v10, a moving u."""
    partners = _partners(name, names)
    for pattern, axis, stem in ((_BEFORE, 1, 2), (_BEHIND, 2, 1)):
        found = pattern.match(name)
        if found and (found[stem] in _VECTOR_STEMS or partners):
            return found[axis]
    found = _WIND.match(name)
    if not found:
        return ""
    ending, usual = found[2], re.fullmatch(r"_?\d+m?", found[2])
    if found[1] in "uv" and (ending in _OF_WINDS or re.fullmatch(r"_?\d{2,}m?", ending)):
        return {"u": "x", "v": "y"}[found[1]]
    if not moving and not partners:
        return ""
    if found[1] == "w":
        return "z" if moving and any(n.lower() == f"u{ending}" for n in names) else ""
    if moving or ending in _WIND_ENDINGS or usual:
        # On a line a lone velocity is along it, whatever its letter.
        return {"u": "x", "v": "y"}[found[1]] if partners or found[1] == "u" else ""
    return ""


def _moves(words: str) -> bool:
    return bool(_MOVING.search(words)) and not _NO_VECTOR.search(words)


def _stem(name: str) -> str:
    """What the names of the components of one vector share."""
    for pattern, stem in ((_BEFORE, 2), (_BEHIND, 1)):
        if found := pattern.match(name):
            return found[stem]
    found = _WIND.match(name)
    return f"u{found[2]}" if found else name


def _partners(name: str, names: Sequence[str]) -> list[str]:
    """Fields that are called like another component of the same vector: u and v, vx and vy."""
    found = []
    for other in names:
        low = other.lower()
        places = [i for i, (a, b) in enumerate(zip(name, low, strict=False)) if a != b]
        if len(low) != len(name) or len(places) != 1:
            continue
        i, letters = places[0], {name[places[0]], low[places[0]]}
        ends = (i == len(name) - 1 and i > 0) or (i == 0 and name[1:2] == "_")
        if (letters <= set("xyz") and ends) or (letters == {"u", "v"} and i == 0):
            found.append(other)
    return found
