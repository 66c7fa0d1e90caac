"""The command line of a solver program, made from its declarations."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

from sciml.errors import InputError, nearest
from sciml.solver.declaration import TYPES, Option, Parameter
from sciml.solver.program import Program, flags_of

_NEGATIVE = re.compile(r"-\.?\d")


def parse(program: type[Program], arguments: Sequence[str]) -> SimpleNamespace:
    """Values of all parameters and options, by name.

    Args:
        program: whose declarations make the flags.
        arguments: words of the command line, without the program's own.

    Raises:
        InputError: an unknown flag (the nearest is named), a value of the wrong type, or one out of
            range; the message is one line.
        SystemExit: after ``--help``.
    """
    flags = {flag.name: flag for flag in flags_of(program)}
    parser = _Parser(
        prog=program.name, description=program.equation, allow_abbrev=False, exit_on_error=False
    )
    parser.add_argument("--describe", action="store_true", help="print the schema as JSON and end")
    for flag in flags.values():
        _add(parser, flag)
    # argparse takes -1e-3 for a flag; a leading blank makes it a value, and float() drops it.
    words = [f" {word}" if _NEGATIVE.match(word) else word for word in arguments]
    try:
        parsed, unknown = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from error
    for word in unknown:
        if word.startswith("--"):
            name = word[2:].partition("=")[0]
            raise InputError(f"unknown flag --{name}; {nearest(name, flags)}")
        raise InputError(f"stray word {word.strip()!r}; expected flags: --name value")
    values = vars(parsed)
    values.pop("describe")
    for name, value in values.items():
        values[name] = flags[name].check(tuple(value) if isinstance(value, list) else value)
    return SimpleNamespace(**values)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def _reader(kind: type) -> Callable[[str], Any]:
    """Turns a word into a value, and says what was expected where it cannot."""

    def read(word: str) -> Any:
        try:
            return kind(word)
        except ValueError:
            expected = {int: "a whole number", float: "a number"}[kind]
            raise argparse.ArgumentTypeError(f"{word.strip()!r}; expected {expected}") from None

    return read


def _add(parser: argparse.ArgumentParser, flag: Parameter | Option) -> None:
    names = [f"--{flag.name}"]
    if "_" in flag.name:
        names.append("--" + flag.name.replace("_", "-"))
    if isinstance(flag, Parameter):
        kind, many = float, False
        note = (
            f"{flag.help} [{flag.units}], {flag.low:g} to {flag.high:g}, default {flag.default:g}"
        )
    else:
        kind, many = TYPES[flag.type]
        shown = " ".join(map(str, flag.default)) if many else flag.default
        note = f"{flag.help}, default {shown!s}" if shown != "" else flag.help
        if flag.choices:
            note += f"; one of {', '.join(map(str, flag.choices))}"
            note += ", or FILE.nc, FILE.npy" if flag.files else ""
    extra: dict[str, Any] = {"nargs": len(flag.default)} if many else {}
    parser.add_argument(
        *names,
        dest=flag.name,
        type=_reader(kind),
        default=flag.default,
        metavar=kind.__name__.upper(),
        help=note.replace("%", "%%"),
        **extra,
    )
