"""Hooks that the first process of a run with several workers must know, too."""

from __future__ import annotations

from tests.crashes.counting import pytest_runtest_logreport, pytest_terminal_summary

__all__ = ["pytest_runtest_logreport", "pytest_terminal_summary"]
