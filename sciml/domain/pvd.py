"""Collections of ParaView (PVD): files of one state each, by their times."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

from sciml.errors import InputError


def states_of(path: Path) -> list[tuple[float, Path]]:
    """Times and VTU files of a collection, in order of time; of a PVTU file its one piece.

    Raises:
        InputError: no collection, a file that is not there, pieces of one state in several files.
    """
    found = []
    for entry in _root(path).iter("DataSet"):
        try:
            found.append((float(entry.attrib["timestep"]), path.parent / entry.attrib["file"]))
        except (KeyError, ValueError) as error:
            raise InputError(
                f"{path}: a DataSet with {entry.attrib}; expected a number as timestep, and a file"
            ) from error
    if not found:
        raise InputError(f"{path} names no files; expected a DataSet for each state")
    found.sort()
    for (time, _), (other, _) in pairwise(found):
        if time == other:
            raise InputError(_pieces(path, f"several files at time {time:g}"))
    return [(time, _whole(path, file)) for time, file in found]


def _whole(path: Path, file: Path) -> Path:
    if not file.exists():
        raise InputError(
            f"{path} names {file}, which is not there; expected it beside the collection"
        )
    if file.suffix.lower() != ".pvtu":
        return file
    pieces = [piece.get("Source", "") for piece in _root(file).iter("Piece")]
    if len(pieces) != 1:
        raise InputError(_pieces(path, f"{len(pieces)} pieces in {file.name}"))
    return _whole(path, file.parent / pieces[0])


def _pieces(path: Path, what: str) -> str:
    return f"{path}: {what}; expected one file a state: join pieces, such as by Merge Blocks of ParaView"


def _root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InputError(f"{path} is no XML: {error}; expected a collection of ParaView") from error
