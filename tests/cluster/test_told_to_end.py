"""A batch system's word before a run has begun: exit code 75, and nothing is left in the way."""

import signal
import subprocess
import sys

from patience import PATIENCE, wait_until

#: A program that waits while it is asked what it is.
WAITS = """
import pathlib, time
pathlib.Path(__file__).with_name("asked").touch()
time.sleep(600)
"""


def test_told_while_the_study_is_checked(tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    setting = f"solver={{program: {tmp_path / 'waits.py'}}}"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "sciml.cli", "run", "workflows/quickstart/study.yaml",
            "--out", str(tmp_path / "run"), "--set", setting,
        ],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: (tmp_path / "asked").exists() or process.poll() is not None)
    process.send_signal(signal.SIGUSR1)
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 75 and said == "told to end before it had begun: run it again\n"
    assert not (tmp_path / "run").exists()
