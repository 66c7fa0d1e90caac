"""Names of test files: pytest imports them all into one space of names."""

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent


def test_no_two_files_have_one_name():
    count = Counter(p.name for p in TESTS.rglob("*.py") if p.name != "conftest.py")
    assert [name for name, times in count.items() if times > 1] == []
