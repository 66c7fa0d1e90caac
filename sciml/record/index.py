"""The index of a recording: one line of JSON a file, appended, so that a kill tears at most one."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sciml.domain import Domain
from sciml.domain.wire import domain_to_wire, fields_to_wire
from sciml.errors import InputError, ScimlError
from sciml.samples import Simulation
from sciml.samples.program_warnings import ATTRIBUTE as WARNINGS
from sciml.samples.program_warnings import Warned, parsed

INDEX, VIRTUAL = "index.jsonl", "recording.nc"
#: Of the lines of an index; others are refused.
SCHEMA_VERSION = 1
#: Attribute of each file that repeats its line of the index, but for what only the file tells.
ATTRIBUTE = "recording_entry"
#: Key of a line about a simulation that is not there.
ABSENT = "absent"


class RecordingError(ScimlError, RuntimeError):
    """A recording could not be written; the files that are whole stay as they are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index says about one simulation.

    Args:
        simulation: its number.
        file: name within the folder.
        parameters, units: values, and units of the values.
        fields: as :func:`sciml.domain.wire.fields_to_wire` gives them.
        static: names of the fields that do not change in time.
        dtypes: by field.
        domain: digest of the domain; equal ones are one domain.
        points: ``domain.point_shape``.
        deterministic: see :class:`sciml.samples.Simulation`.
        static_fields: what those are, as ``fields``.
        about: role, seed, ``warnings`` of the program and whatever else the study knows of it.
        attempts: runs of the program that its frames come from.
        frames: number of frames.
        steps: length of ``time``; above ``frames`` where steps are missing.
        last: place of its last frame in the order of arrival.
        bytes, crc, mtime: of the file; the checksum counts where the time differs.
    """

    simulation: int
    file: str
    parameters: Mapping[str, float]
    units: Mapping[str, str]
    fields: Sequence[Mapping[str, Any]]
    static: Sequence[str]
    dtypes: Mapping[str, str]
    domain: str
    points: Sequence[int]
    deterministic: bool = True
    static_fields: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    attempts: Sequence[int] = (1,)
    frames: int = 0
    steps: int = 0
    last: int = -1
    bytes: int = 0
    crc: int = 0
    mtime: int = 0

    @property
    def role(self) -> str | None:
        return self.about.get("role")

    @property
    def warned(self) -> list[Warned]:
        """What the program of the simulation warned of."""
        return parsed(list(self.about.get(WARNINGS, ())))

    @classmethod
    def of(
        cls,
        simulation: Simulation,
        file: str,
        dtypes: Mapping[str, str],
        units: Mapping[str, str],
        about: Mapping[str, Any],
    ) -> Entry:
        """What is known of a simulation before its file is whole."""
        return cls(
            simulation.id,
            file,
            {n: float(v) for n, v in simulation.parameters.items()},
            {n: units.get(n, "1") for n in simulation.parameters},
            fields_to_wire(simulation.fields),
            list(simulation.static),
            dtypes,
            domain_digest(simulation.domain),
            list(simulation.domain.point_shape),
            simulation.deterministic,
            fields_to_wire(simulation.static_fields),
            {n: v for n, v in about.items() if n not in ("id", "parameters")},
        )

    def with_warnings(self, warned: Sequence[Warned]) -> Entry:
        """The same with what the program warned of."""
        if not warned:
            return self
        return replace(self, about={**self.about, WARNINGS: [w.to_json() for w in warned]})

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def domain_digest(domain: Domain) -> str:
    """Equal for equal domains."""
    wire = json.dumps(
        domain_to_wire(domain), sort_keys=True, default=lambda b: hashlib.sha256(b).hexdigest()
    )
    return hashlib.sha256(wire.encode()).hexdigest()[:16]


def append(folder: Path, entry: Entry) -> None:
    """Add a line; a reader sees all of it or none."""
    _append(folder, entry.to_json())


def _append(folder: Path, text: str) -> None:
    path = folder / INDEX
    head = b"" if path.exists() else json.dumps({"schema_version": SCHEMA_VERSION}).encode() + b"\n"
    torn = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    # After a kill in mid-line the next one starts afresh; the torn one is no JSON and is skipped.
    line = (b"\n" if torn else b"") + head + text.encode() + b"\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def append_absent(folder: Path, simulation: int, reason: str) -> None:
    """Say why a simulation of the study is not in the recording."""
    _append(folder, json.dumps({ABSENT: simulation, "reason": reason}))


def read(folder: Path) -> dict[int, Entry]:
    """Entries by simulation, in order of their number; the last line about one counts.

    Raises:
        InputError: no index, or one of another version.
    """
    return _read(folder)[0]


def absent(folder: Path) -> dict[int, str]:
    """Why simulations that the study planned are not in the recording, by number."""
    return _read(folder)[1]


def _read(folder: Path) -> tuple[dict[int, Entry], dict[int, str]]:
    path = folder / INDEX
    if not path.is_file():
        raise InputError(f"{folder} holds no {INDEX}; expected the folder of a recording")
    entries: dict[int, Entry] = {}
    missing: dict[int, str] = {}
    for number, line in enumerate(path.read_text().splitlines()):
        try:
            content = json.loads(line)
        except json.JSONDecodeError:
            continue  # torn by a kill: its file is not listed, and so not part of the recording
        if number == 0:
            _check_version(path, content)
            continue
        try:
            if ABSENT in content:
                missing[int(content[ABSENT])] = str(content["reason"])
                continue
            entry = Entry(**content)
        except (TypeError, KeyError, ValueError) as error:
            raise InputError(f"{path}, line {number + 1}: no entry: {error}") from error
        entries[entry.simulation] = entry
    missing = {n: reason for n, reason in sorted(missing.items()) if n not in entries}
    return dict(sorted(entries.items())), missing


def check(folder: Path, entries: Mapping[int, Entry], *, thorough: bool = False) -> None:
    """Compare the files with the index: HDF5 itself reads fill values where a source is missing.

    Args:
        folder: of the recording.
        entries: of its index.
        thorough: compare checksums even where size and time of a file are as they were.

    Raises:
        InputError: names the first file that is missing or was changed, and how many more are.
    """
    found = [w for e in entries.values() if (w := _wrong(folder / e.file, e, thorough))]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(f"recording {folder}: {found[0]}{more}")


def _wrong(path: Path, entry: Entry, thorough: bool) -> str | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return f"{path.name} is missing; put it back, or take its line out of {INDEX}"
    if status.st_size != entry.bytes:
        what = "truncated" if status.st_size < entry.bytes else "longer"
        return (
            f"{path.name} is {what}: {status.st_size} bytes, {entry.bytes} expected; "
            "copy it again from where it was recorded"
        )
    if (thorough or status.st_mtime_ns != entry.mtime) and checksum(path) != entry.crc:
        return f"{path.name} was changed after it was recorded: its checksum differs"
    return None


def checksum(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            crc = zlib.crc32(piece, crc)
    return crc


def _check_version(path: Path, head: Any) -> None:
    version = head.get("schema_version") if isinstance(head, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version {version}; this version reads {SCHEMA_VERSION}")
