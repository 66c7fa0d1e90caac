"""CPU seconds of the tests by folder, held against a budget: a clock says little on a busy machine.

Counted are the process of the tests and the children that it has waited for: mpirun and its ranks,
runs. What a fixture costs counts for the first test that wants it.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

SLOWEST = 25


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "cpu_budget",
        "CPU seconds that the default tests may take, a line a folder: 'study 120'; 'all' in total",
        type="linelist",
    )
    parser.addoption(
        "--cpu-budget",
        action="store_true",
        help="show CPU seconds by folder; fail above the budget",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Meter(config), "cpu-meter")


class _Meter:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tests: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        # Phases follow one another: what was spent since the one before belongs to this one.
        now = _spent()
        report.cpu = now - getattr(self, "_before", now)  # travels from xdist's workers
        self._before = now
        return report

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._before = _spent()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tests[report.nodeid] += getattr(report, "cpu", 0.0)

    def folders(self) -> Counter[str]:
        """CPU seconds by folder below ``tests``."""
        spent: Counter[str] = Counter()
        for test, seconds in self._tests.items():
            parts = Path(test.partition("::")[0]).parts
            spent[parts[1] if len(parts) > 2 else "."] += seconds
        return spent

    def excess(self) -> list[str]:
        """Lines on what took more than it may."""
        spent = self.folders()
        spent["all"] = sum(spent.values())
        budget = dict(line.split() for line in self._config.getini("cpu_budget"))
        return [
            f"{name}: {spent[name]:.0f} s of CPU, more than its {float(limit):.0f} s"
            for name, limit in budget.items()
            if spent[name] > float(limit)
        ]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        over = self._config.getoption("--cpu-budget") and self.excess()
        if over and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._config.getoption("--cpu-budget"):
            return
        terminalreporter.section("CPU seconds")
        folders = self.folders()
        for name, seconds in folders.most_common():
            terminalreporter.write_line(f"{seconds:8.1f}  {name}")
        terminalreporter.write_line(f"{sum(folders.values()):8.1f}  all")
        terminalreporter.section(f"{SLOWEST} tests that took most CPU")
        for name, seconds in self._tests.most_common(SLOWEST):
            terminalreporter.write_line(f"{seconds:8.1f}  {name}")
        for line in self.excess():
            terminalreporter.write_line(f"OVER BUDGET: {line}", red=True)


def _spent() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
