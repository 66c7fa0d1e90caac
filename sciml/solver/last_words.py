"""What a job said last, without what its launcher adds: the lines that say why it failed."""

from __future__ import annotations

import re

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


def last_words(said: str, lines: int = 5) -> str:
    """What a program said last: its own ``name: error: …`` if there is one, else its last lines; where
    it said nothing, what its launcher said first."""
    own, launchers = _apart(said)
    return "\n".join(own[-lines:]) or _begin(launchers)


def reason(said: str) -> str:
    """The same in one line: what was raised, or the last line; how a launcher's words begin."""
    own, launchers = _apart(said)
    raised = [_OURS.sub("", line) for line in own if _RAISED.match(line)]
    return (raised or own or [_begin(launchers)])[-1]


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
