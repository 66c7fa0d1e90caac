"""What a job said last, without what its launcher adds: the lines that say why it failed."""

from __future__ import annotations

import re
from pathlib import Path

#: Launchers put their own words between rules (Open MPI, MPICH), or say at the beginning of the line
#: whose they are.
_RULE = re.compile(r"[-=]{5,}")
_LAUNCHERS = re.compile(
    r"""=\ |(srun|slurmstepd|prterun|mpirun|mpiexec|hydra\w*):\ |application\ called\ MPI_Abort
      |Abort\(\d+\)\ on\ node|\[\S+:\d+\]\ (\d+\ more\ process|Set\ MCA)""",
    re.VERBOSE,
)
#: Of a crash Open MPI tells the signal, and then every frame of the stack.
_STACK = re.compile(r"\[\S+:\d+\] (\*\*\*|\[ *\d+\]|Signal code|Failing at)")
#: The line of a traceback that says what was raised.
_RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Warning|Interrupt|Exit)\b")

_OURS = re.compile(r"^sciml\.errors\.\w+: ")
#: A frame of a traceback, and files that are not the program's own.
_FRAME = re.compile(r'\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_INSTALLED = ("site-packages", "dist-packages", "/lib/python", "/sciml/", "<frozen")


def last_words(said: str, lines: int = 5) -> str:
    """What a program said last: its own ``name: error: …`` if there is one, else its last lines; where
    it said nothing, what its launcher said first."""
    own, launchers = _apart(said)
    return "\n".join(own[-lines:]) or _begin(launchers)


def reason(said: str) -> str:
    """The same in one line: what was raised and where; the last line; how a launcher begins."""
    own, launchers = _apart(said)
    raised = [place for place, line in enumerate(own) if _RAISED.match(line)]
    if raised:
        return _OURS.sub("", own[raised[-1]]) + _where(own[: raised[-1]])
    return (own or [_begin(launchers)])[-1]


def _where(traceback: list[str]) -> str:
    """The last frame of a traceback that lies in a file of the program's own."""
    frames = [match for line in traceback if (match := _FRAME.match(line))]
    for frame in reversed(frames):
        if not any(part in frame["file"] for part in _INSTALLED):
            return f" ({Path(frame['file']).name}, line {frame['line']})"
    return ""


def _begin(launchers: list[str]) -> str:
    """How a launcher's words begin, in one line: the end of them is advice."""
    return " ".join(" ".join(launchers[:4]).split())


def _apart(said: str) -> tuple[list[str], list[str]]:
    """Lines of the program, and those of its launcher."""
    # Open MPI ends its boxes with a zero byte.
    written = [line.rstrip() for line in said.replace("\0", "").splitlines() if line.strip()]
    # Ranks and launcher write at the same time: the line may lie within a box.
    errors = [line for line in written if ": error: " in line and not _LAUNCHERS.match(line)]
    if errors:
        return errors[-1:], []
    own: list[str] = []
    launchers: list[str] = []
    boxed = False
    for line in written:
        if _RULE.match(line):
            boxed = not boxed
        elif boxed or _LAUNCHERS.match(line):
            launchers.append(line)
        elif not _STACK.match(line):
            own.append(line)
    return own, launchers
