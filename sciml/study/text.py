"""The text of a study file: YAML, and overrides such as ``training.batch_size=8``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from sciml.errors import InputError

#: Values of a text with its aliases written out: of a kilobyte of them there may be billions.
MOST_NODES = 100_000


class _Loader(yaml.SafeLoader):
    """YAML as people mean it.

    ``1e-3`` is a number, ``10:00:00`` and ``no`` are strings, and a key given twice is an error;
    YAML 1.1 says otherwise in each case. Aliases may repeat what is small.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _written_out(node, {}) > MOST_NODES:
            raise InputError(
                f"aliases that stand for more than {MOST_NODES} values; a study has some dozens"
            )
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes exactly those strings that :class:`_Loader` would read as something else."""


_FLOAT = r"[-+]?(?:(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+)"
_RESOLVERS = (
    ("bool", r"true|True|false|False", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][\d_]*)", "-+0123456789"),
    ("float", rf"{_FLOAT}|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN)", "-+0123456789."),
    ("null", r"~|null|Null|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
)
for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {}
    for _tag, _pattern, _first in _RESOLVERS:
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
        )


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node holds, where each alias counts as what it stands for."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1  # of one that holds itself there is no end
        held = node.value if isinstance(node, yaml.SequenceNode) else sum(node.value, ())
        known[id(node)] = 1 + sum(_written_out(one, known) for one in held)
    return known[id(node)]


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in seen:
            raise InputError(f"key '{key.value}' twice, again in line {key.start_mark.line + 1}")
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse(text: str, source: str) -> Any:
    """The value of a YAML text.

    Args:
        text: YAML.
        source: what to call it in an error.

    Raises:
        InputError: text that is no YAML; names the line.
    """
    try:
        # A subclass of SafeLoader: it builds plain values only.
        return yaml.load(text, Loader=_Loader)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    except RecursionError:
        raise InputError(f"{source}: values in values in values, without end") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InputError(f"{source} is no YAML{where}: {problem}") from error


def dump(tree: Mapping[str, Any]) -> str:
    """YAML that :func:`parse` reads back as the same values."""
    return yaml.dump(
        tree,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )


def override(tree: dict[str, Any], overrides: Iterable[str]) -> None:
    """Set values by dotted key, in place: ``a.b=c``, with ``c`` read as YAML.

    A number steps into a list: ``training.phases.0.lr=1e-4``. Sections that are not there are made;
    whether the key exists at all is for the schema to say.

    Raises:
        InputError: no ``=``, or a key that leads through a value which has no keys.
    """
    for text in overrides:
        key, sign, value = text.partition("=")
        names = key.strip().split(".")
        if not sign or not all(names):
            raise InputError(f"override '{text}'; expected section.key=value")
        place: Any = tree
        for depth, name in enumerate(names[:-1], start=1):
            if isinstance(place, dict) and place.get(name) is None:
                place[name] = {}
            place = _step(place, name, text, names[: depth - 1])
        new = parse(value, f"override '{text}'")
        if isinstance(place, list):
            _step(place, names[-1], text, names[:-1])
            place[int(names[-1])] = new
        elif isinstance(place, dict):
            place[names[-1]] = new
        else:
            raise _no_keys(text, names[:-1], place)


def _step(place: Any, name: str, text: str, path: list[str]) -> Any:
    if isinstance(place, dict):
        return place[name]
    if isinstance(place, list):
        if not name.isdecimal() or int(name) >= len(place):
            raise InputError(
                f"override '{text}': {'.'.join(path)} is a list of {len(place)}; expected a "
                f"number from 0 to {len(place) - 1} in place of '{name}'"
            )
        return place[int(name)]
    raise _no_keys(text, path, place)


def _no_keys(text: str, path: list[str], place: Any) -> InputError:
    return InputError(f"override '{text}': {'.'.join(path)} is {place!r}, which has no keys")
