"""What the crash tests counted, told at the end of a run, also of one with several workers."""

from __future__ import annotations

from collections import Counter

import pytest

__all__ = ["TALLY", "pytest_runtest_logreport", "pytest_terminal_summary"]

TALLY = "crashes"
_total: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":  # then the counting is over
        for name, counted in report.user_properties:
            if name == TALLY and isinstance(counted, dict):
                _total.update(counted)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _total:
        torn = _total.pop("torn", 0)
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(_total.items()))
        terminalreporter.write_line(f"crashes: {told}: {torn} torn")
