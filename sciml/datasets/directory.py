"""The folder beside a dataset that is being made: its parts, and what they are parts of."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml.datasets.recipe import Recipe
from sciml.ensemble.folders import JobFolders, place, read_json, write_json
from sciml.ensemble.kept_program import sha256
from sciml.errors import InputError
from sciml.installation import version
from sciml.solver.program_description import Description
from sciml.study.changes import differences
from sciml.study.starts import Starts

#: How many differences an error names.
SHOWN = 5
#: What a leader writes before anything else is there.
_OF_LEADERS = ("leader.lock", "supervisor.json")


@dataclass(frozen=True, slots=True)
class PartsDirectory:
    """``f.nc.parts`` beside ``f.nc``.

    ::

        identity.json       recipe, program and version that the parts come from
        simulation-00000.nc a finished run, reduced to what is kept, as a recording has it
        raw-00000.nc        a run that is under way
        initial/            copies of the states that runs start from, with parameters.files
        pids/  logs/        as in a run directory
    """

    path: Path

    @classmethod
    def of(cls, out: Path) -> PartsDirectory:
        return cls(out.with_name(out.name + ".parts").resolve())

    @property
    def run(self) -> JobFolders:
        """Where jobs find their pids and logs."""
        return JobFolders(self.path)

    identity = place("identity.json")
    #: Copies of the states that runs start from.
    initial = place("initial")

    def part(self, id_: int) -> Path:
        return self.path / f"simulation-{id_:05d}.nc"

    def raw(self, id_: int) -> Path:
        return self.path / f"raw-{id_:05d}.nc"

    def make(self) -> None:
        """Make the folder, if it is not there; who leads in it may then :meth:`prepare` it.

        Raises:
            InputError: there is another folder of that name; it cannot be made.
        """
        there = self.path.exists() and not self.identity.is_file()
        if there and any(map(self._is_strange, self.path.iterdir())):
            raise InputError(f"{self.path} exists and holds no parts of a dataset; remove it")
        try:
            for folder in (self.path, self.run.pids, self.run.logs):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path} cannot be made: {error.strerror}") from error

    def prepare(self, identity: dict[str, Any]) -> bool:
        """Say whose parts these are; returns whether the folder has said so before.

        Raises:
            InputError: its parts come from another recipe, program or version.
        """
        if self.identity.is_file():
            # As JSON has it, which knows no tuples.
            identity = json.loads(json.dumps(identity))
            changed = [*map(str, differences(read_json(self.identity), identity))]
            if changed:
                more = f" (and {len(changed) - SHOWN} more)" if len(changed) > SHOWN else ""
                raise InputError(
                    f"the parts in {self.path.name} come from something else: "
                    f"{'; '.join(changed[:SHOWN])}{more}; go back to that, or remove "
                    f"{self.path} to start anew"
                )
            return True
        try:
            write_json(self.identity, identity)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written to: {error.strerror}") from error
        return False

    def remove(self) -> None:
        """Take the folder away, under another name first: whoever begins anew finds none."""
        aside = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}")
        self.path.rename(aside)
        shutil.rmtree(aside)

    def _is_strange(self, entry: Path) -> bool:
        """Whether no life of this command leaves it before the parts have a name."""
        if entry == self.run.pids:
            return any(one.name not in _OF_LEADERS for one in entry.iterdir())
        if entry == self.run.logs:
            return any(entry.iterdir())
        return not entry.name.startswith(f".{self.identity.name}.")


def identity_of(
    recipe: Recipe,
    size: str,
    simulations: int | None,
    description: Description,
    starts: Starts | None = None,
) -> dict[str, Any]:
    """All that the values of a dataset depend on; not the number of ranks."""
    body = recipe.model_dump()
    body["solver"].pop("ranks")
    if starts is not None:
        body["parameters"].pop("files")
    return {
        "size": size,
        "simulations": simulations,
        **body,
        "program": {"sha256": sha256(description.path)[:16]},
        "version": version(),
        **({} if starts is None else {"initial": _initial(starts)}),
    }


def _initial(starts: Starts) -> dict[str, Any]:
    """The files that runs start from; where they lie does not matter."""
    return {f"{n}": sum_[:16] for n, sum_ in enumerate(starts.checksums.values())}
