"""What is wrong with a study, as one line that names key and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from sciml.errors import nearest


def complaint(error: ValidationError, schema: type[BaseModel]) -> str:
    """One line for the first error; an unknown key before all, since it is often the cause of a
    key that seems to be missing."""
    errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    first = errors[0]
    path = ".".join(map(str, _walked(first["loc"], schema)[0]))
    match first["type"]:
        case "extra_forbidden":
            line = _unknown(first["loc"], schema)
        case "missing":
            line = f"key '{path}' is missing"
        case "value_error":
            line = _prefixed(path, str(first["ctx"]["error"]))
        case "union_tag_invalid" | "union_tag_not_found":
            kinds = [kind.strip(" '") for kind in first["ctx"].get("expected_tags", "").split(",")]
            if first["type"] == "union_tag_not_found":
                kinds = [str(kind) for kind in _kinds(_model(first["loc"], schema))]
                line = f"{path}: no kind; expected one of {', '.join(kinds)}"
            else:
                line = f"{path}.kind: got {first['ctx']['tag']!r}; {nearest(first['ctx']['tag'], kinds)}"
        case "literal_error":
            names = [str(name) for name in _literal(first["loc"], schema)]
            line = f"{path}: got {first['input']!r}; {nearest(str(first['input']), names)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            line = f"{path or 'study'}: got {first['input']!r}; expected keys with values"
        case _:
            message = first["msg"].replace("Input should be", "expected", 1)
            line = f"{path}: got {first['input']!r}; {message[0].lower()}{message[1:]}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return line + more


def _prefixed(path: str, message: str) -> str:
    return message if not path or message.startswith(path) else f"{path}: {message}"


def _unknown(loc: tuple[Any, ...], schema: type[BaseModel]) -> str:
    *parents, name = loc
    path, model = _walked(tuple(parents), schema)
    path = ".".join(map(str, [*path, name]))
    elsewhere = [key for key in _keys(schema) if key.rpartition(".")[2] == name]
    if elsewhere:
        return f"unknown key '{path}'; did you mean '{elsewhere[0]}'?"
    return f"unknown key '{path}'; {nearest(str(name), model.model_fields)}"


def _keys(schema: type[BaseModel], head: str = "") -> Iterator[str]:
    """Dotted names of all keys outside lists."""
    for name, field in schema.model_fields.items():
        yield head + name
        section = _present(field.annotation)
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _keys(section, f"{head}{name}.")


def _model(loc: tuple[Any, ...], schema: type[BaseModel]) -> Any:
    """The section or the type that a location leads to, through lists, mappings and kinds."""
    return _walked(loc, schema)[1]


def _walked(loc: tuple[Any, ...], schema: type[BaseModel]) -> tuple[list[Any], Any]:
    """A location as it is written in a file, and what it leads to. pydantic says of which kind a section
    is; the file has no key for that."""
    path: list[Any] = []
    place: Any = schema
    for step in loc:
        if (kinds := _kinds(place)) and step in kinds:
            place = kinds[step]
            continue
        path.append(step)
        if isinstance(place, type) and issubclass(place, BaseModel):
            field = place.model_fields.get(str(step))
            place = None if field is None else _present(field.annotation)
        else:
            place = (get_args(place) or (None,))[-1]
    return path, place


def _kinds(annotation: Any) -> dict[str, type[BaseModel]]:
    """Sections that are told apart by their ``kind``, by that."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    sections = [
        a
        for a in get_args(annotation)
        if isinstance(a, type) and issubclass(a, BaseModel) and "kind" in a.model_fields
    ]
    if len(sections) < 2:
        return {}
    return {kind: a for a in sections for kind in get_args(a.model_fields["kind"].annotation)}


def _present(annotation: Any) -> Any:
    """The section of an optional one."""
    sections = [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
    return sections[0] if type(None) in get_args(annotation) and sections else annotation


def _literal(loc: tuple[Any, ...], schema: type[BaseModel]) -> list[Any]:
    """Allowed values of the key at a location, ``None`` of an optional one among them."""
    annotation: Any = _model(loc, schema)
    names: list[Any] = []
    for arg in get_args(annotation):
        names.extend(get_args(arg) if get_args(arg) else ["null"] if arg is type(None) else [arg])
    return names
