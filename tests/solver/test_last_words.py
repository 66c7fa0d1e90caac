"""Of what a job said, the lines that say why it failed; launchers add theirs before and behind."""

import pytest

from sciml.solver.last_words import last_words, reason

RULE = "-" * 74
ENDED = f"""{RULE}
prterun detected that one or more processes exited with non-zero status,
thus causing the job to be terminated. The first process to do so was:

   Process name: [prterun-node-15355@1,1]
   Exit code:    3
{RULE}
"""
SLOTS = f"""{RULE}
There are not enough slots available in the system to satisfy the 64
slots that were requested by the application:

  python

Either request fewer procs for your application, or make more slots
available for use.
{RULE}
"""
TRACEBACK = """Traceback (most recent call last):
Traceback (most recent call last):
  File "lbm.py", line 2, in <module>
ValueError: relaxation time 0.4
"""
CRASH = """step 1
[node:15404] *** Process received signal ***
[node:15404] Signal: Segmentation fault (11)
[node:15404] Signal code:  (0)
[node:15404] Failing at address: 0x3c2c
[node:15404] [ 0] /lib/libc.so.6(+0x3c050)[0x7f6e0045a050]
[node:15404] *** End of error message ***
"""
MPICH = """out of eggs
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   EXIT CODE: 9
===================================================================================
"""
SRUN = """srun: error: node1: task 0: Exited with exit code 1
srun: Terminating StepId=12.0
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("could not open deck.in\n" + ENDED, "could not open deck.in"),
        (TRACEBACK + ENDED, "ValueError: relaxation time 0.4 (lbm.py, line 2)"),
        ("sciml.errors.InputError: no field 'w'\n" + ENDED, "no field 'w'"),
        ("heat: error: dt is too long\n" + SRUN, "heat: error: dt is too long"),
        ("out of eggs\n" + SRUN, "out of eggs"),
        (MPICH, "out of eggs"),
        (CRASH, "[node:15404] Signal: Segmentation fault (11)"),
        ("", ""),
    ],
)
def test_the_program_has_the_word(said, why):
    assert reason(said) == why


def test_a_launcher_that_speaks_alone_is_quoted_from_its_beginning():
    assert reason(SLOTS).startswith("There are not enough slots available in the system to satisfy")
    assert last_words(SLOTS) == reason(SLOTS) == reason(last_words(SLOTS))
    assert reason(SRUN).startswith("srun: error: node1")


def test_last_words_leave_out_what_mpirun_adds():
    box = "-----------\nprterun detected that ...\n-----------\n"
    assert last_words(f"{box}\0heat: error: rank 1: bad\n\n{box}") == "heat: error: rank 1: bad"
    # Written into the middle of a box.
    assert last_words("------\nMPI_ABORT\nheat: error: bad\n------\n") == "heat: error: bad"
    assert last_words(f"Traceback:\n  line\nKilled\n{box}", lines=2) == "  line\nKilled"
    assert "prterun" in last_words(box)
    assert last_words("") == ""
