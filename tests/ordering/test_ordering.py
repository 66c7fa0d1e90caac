"""The orders of ``orders.py``, in a process of their own: their world takes the place of torch in it.

By hand, many of them: ``python -m pytest tests/ordering/orders.py -m slow``.
"""

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("orders.py")


def test_every_order_holds_and_faults_put_in_on_purpose_are_found():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
