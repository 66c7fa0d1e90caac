"""What a solver program says about itself; the program is run, never imported."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass
from dataclasses import fields as fields_of
from functools import cached_property
from pathlib import Path
from typing import Any

from sciml.domain import Field
from sciml.domain.files import ENDINGS
from sciml.domain.names import require_names
from sciml.domain.wire import KINDS
from sciml.errors import InputError, ScimlError, nearest, require_known
from sciml.share import find
from sciml.solver.declaration import EVERY, STEPS, TYPES, Option, Parameter, has, require_flags
from sciml.solver.last_words import reason
from sciml.solver.mpirun import environment, executable

#: Of what a program prints.
SCHEMA_VERSION = 1
#: Seconds that a program may take to print it.
PATIENCE = 60.0


@dataclass(frozen=True)
class Description:
    """The schema of a solver program.

    Args:
        path: of the program.
        name, equation, summary: in words.
        fields: what it sends, in order.
        static: what it sends once.
        parameters: physical numbers that a design may vary.
        options: settings of the run, the universal ones among them.
        order: of the error: ``{"space": 2, "time": {"explicit": 1}}``.
        steady: whether frames are samples of their own, not a march in time.
        deterministic: whether a re-run on as many ranks gives the same bits.
        schema: all of it as the program printed it.
        domain: kind of it: ``grid``, ``mesh``, ``particles``, ``graph``; ``""`` where it does not say.
    """

    path: Path
    name: str
    equation: str
    summary: str
    fields: tuple[Field, ...]
    static: tuple[Field, ...]
    parameters: tuple[Parameter, ...]
    options: tuple[Option, ...]
    order: Mapping[str, Any]
    steady: bool
    deterministic: bool
    schema: Mapping[str, Any]
    domain: str = ""

    def __str__(self) -> str:
        """As `sciml describe` prints it."""
        kind = f"fields on a domain of kind {self.domain}" if self.domain else "fields"
        lines = [f"{self.name}: {self.summary}\n\n  {self.equation}\n", kind]
        for f in (*self.fields, *self.static):
            where = "" if f.on == "point" else f", on {f.on}"
            many = f", {f.components} components" if f.components else ""
            still = ", static" if f in self.static else ""
            lines.append(f"  {f.name:<14} {f.units:<10} {f.long_name}{many}{where}{still}")
        lines.append("parameters")
        for p in self.parameters:
            span = f"[{p.low:g}, {p.high:g}]"
            lines.append(f"  {p.name:<14} {p.units:<10} {span:<18} default {p.default:g}  {p.help}")
        lines.append("options")
        for o in self.options:
            files = ["FILE"] if o.files else []
            among = f" ({' | '.join([*map(str, o.choices), *files])})" if o.choices else ""
            lines.append(f"  {o.name:<14} {o.type:<10} default {o.default}{among}  {o.help}")
        return "\n".join(lines)

    @cached_property
    def flags(self) -> dict[str, Parameter | Option]:
        """Parameters and options by name."""
        return {flag.name: flag for flag in (*self.parameters, *self.options)}

    @property
    def ours(self) -> bool:
        """Whether it is a :class:`~sciml.solver.Program`, which can be asked for no steps at all."""
        return has(self.options, STEPS)

    @property
    def thins_files(self) -> bool:
        """Whether its option ``every`` is that of our programs, which thins out files alone."""
        return has(self.options, EVERY)

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name.

        Raises:
            InputError: there is none; names the nearest.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        if name not in known:
            what = "is an option, not a parameter" if name in self.flags else "is no parameter"
            raise InputError(f"{self.name}: '{name}' {what}; {nearest(name, known)}")
        return known[name]

    def require_fields(self, names: Iterable[str], where: str, *, static: bool = False) -> None:
        """That it has fields of these names, or static ones.

        Raises:
            InputError: it lacks one; names the nearest, and ``where`` it was asked for.
        """
        kind, fields = ("static field", self.static) if static else ("field", self.fields)
        known = [field.name for field in fields]
        require_known(f"{where}: {self.name} has no {kind}", names, known)

    def check(self, name: str, low: float, high: float) -> Parameter:
        """That ``[low, high]`` is a range of the parameter ``name``.

        Raises:
            InputError: no such parameter, low > high, or a range that the program does not accept.
        """
        parameter = self.parameter(name)
        if not parameter.low <= low <= high <= parameter.high:
            raise InputError(
                f"{self.name}: range of '{name}' is [{low:g}, {high:g}]; expected low ≤ high within "
                f"[{parameter.low:g}, {parameter.high:g}] {parameter.units}"
            )
        return parameter

    def arguments(self, values: Mapping[str, Any]) -> list[str]:
        """Words of the command line for parameters and options by name.

        Raises:
            InputError: an unknown name (the nearest is given), a value of another type or out of
                range.
        """
        words: list[str] = []
        for name, value in values.items():
            require_known(f"{self.name}: no parameter or option", name, self.flags)
            words += [f"--{name}", *_words(self.flags[name], value)]
        return words


def describe(path: str | os.PathLike[str]) -> Description:
    """Run ``program --describe`` and read what it prints.

    Args:
        path: of the program, looked up in the working directory, then in the share.

    Raises:
        InputError: no such program, it fails, or what it prints is no schema.
    """
    program = find(path)
    if program.is_dir() or not (program.suffix == ".py" or os.access(program, os.X_OK)):
        raise InputError(
            f"{program} is no program; expected a Python file (.py), or one that may be executed "
            f"(chmod +x){_instead(program)}"
        )
    try:
        done = subprocess.run(
            [*executable(program), "--describe"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{program} --describe does not run: {error}") from error
    if done.returncode:
        raise InputError(
            f"{program} --describe ended with code {done.returncode}: "
            f"{reason(done.stderr) or 'it said nothing'}"
        )
    return _read(program, done.stdout)


def _instead(path: Path) -> str:
    """What a study or data are asked by."""
    if path.suffix in (".yaml", ".yml"):
        return f": of a study, sciml run {path.name} --dry-run says what it takes"
    if (path / "recipe.yaml").is_file():
        return (
            f": of a dataset, {path.name}/README.md says what is in it, and sciml generate makes it"
        )
    if path.suffix.lower() in ENDINGS:
        return (
            f": of data, sciml.open_dataset('{path.name}') shows what they hold, and sciml train STUDY "
            f"--from {path.name} trains on them"
        )
    return ""


def _read(program: Path, text: str) -> Description:
    about = f"{program} --describe"
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        began = " ".join(text.split())
        raise InputError(
            f"{about} printed {f'{began!r:.60}' if began else 'nothing'}, no JSON ({error}); {_EXPECTED}"
        ) from error
    if not isinstance(body, dict):
        raise InputError(f"{about} printed {type(body).__name__} {text.strip()!r:.60}; {_EXPECTED}")
    if body.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise InputError(
            f"{about}: schema_version {body['schema_version']!r}; expected {SCHEMA_VERSION}"
        )
    for key in ("schema_version", "name", "fields", "parameters", "options"):
        if key not in body:
            raise InputError(f"{about}: no key '{key}'; {_EXPECTED}")
    fields, static = _entries(about, body, "fields", Field), _entries(about, body, "static", Field)
    parameters = _entries(about, body, "parameters", Parameter)
    options = _entries(about, body, "options", Option)
    if not fields:
        raise InputError(f"{about}: no fields; expected what it sends, one at least")
    for key in ("name", "equation", "summary"):
        if not isinstance(body.get(key, ""), str):
            raise InputError(f"{about}: {key}: {body[key]!r:.60}; expected text")
    domain = body.get("domain", "")
    if domain not in ("", *KINDS):
        raise InputError(f"{about}: domain: {domain!r:.60}; expected one of {', '.join(KINDS)}")
    try:
        require_flags((*parameters, *options))
        require_names(
            *([one.name for one in some] for some in (fields, static, parameters)), kind=domain
        )
    except ScimlError as error:
        raise InputError(f"{about}: {error}") from error
    return Description(
        path=program,
        name=body["name"],
        equation=body.get("equation", ""),
        summary=body.get("summary", ""),
        fields=fields,
        static=static,
        parameters=parameters,
        options=options,
        order=body.get("order", {}),
        steady=bool(body.get("steady", False)),
        deterministic=bool(body.get("deterministic", False)),
        schema=body,
        domain=domain,
    )


#: What a description is.
_EXPECTED = "expected one JSON object with schema_version, name, fields, parameters and options"


def _entries(about: str, body: Mapping[str, Any], key: str, kind: Any) -> tuple[Any, ...]:
    """The declarations under a key, each checked.

    Raises:
        InputError: one that is none; names its place, and the key that is missing or unknown.
    """
    entries = body.get(key, ())
    if not isinstance(entries, list | tuple) or not all(isinstance(e, dict) for e in entries):
        raise InputError(f"{about}: {key}: {entries!r:.60}; expected a list of objects")
    known = {field.name: field.default is MISSING for field in fields_of(kind)}
    made = []
    for place, entry in enumerate(entries):
        where = f"{about}: {key}[{place}]"
        if isinstance(entry.get("name"), str):
            where += f" '{entry['name']}'"
        # The type of an option is that of its default.
        entry = {name: value for name, value in entry.items() if (key, name) != ("options", "type")}
        require_known(f"{where}: no key", entry, known)
        for name in (name for name, needed in known.items() if needed and name not in entry):
            raise InputError(f"{where}: '{name}' is missing; expected {', '.join(known)}")
        try:
            made.append(kind(**entry))
        except (ScimlError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: {error}") from error
    return tuple(made)


def _words(flag: Parameter | Option, value: Any) -> list[str]:
    """A value as words of the command line, checked."""
    if isinstance(flag, Parameter):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{flag.name}={value!r}; expected a number")
        return [repr(flag.check(float(value)))]
    kind, many = TYPES[flag.type]
    values = list(value) if many and isinstance(value, list | tuple) else [value]
    if many and len(values) != len(flag.default):
        raise InputError(f"{flag.name}={value!r}; expected {len(flag.default)} numbers")
    allowed = (int, float) if kind is float else kind
    for one in values:
        if isinstance(one, bool) or not isinstance(one, allowed):
            raise InputError(f"{flag.name}={value!r}; expected {flag.type}")
        flag.check(kind(one))
    return [repr(kind(one)) if kind is float else str(one) for one in values]
