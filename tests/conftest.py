"""What all tests share: programs that must be there, and what is said when they are not."""

from __future__ import annotations

import os
import shutil

import pytest

#: Mark → the program that tests of this mark need.
PROGRAMS = {"browser": "chromium", "node": "node"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a missing program, and say so; with REQUIRE_ALL=1 a missing one fails the run."""
    missing = {mark: program for mark, program in PROGRAMS.items() if shutil.which(program) is None}
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in missing)]
    if not left_out:
        return
    programs = ", ".join(sorted(missing.values()))
    if os.environ.get("REQUIRE_ALL") == "1":
        raise pytest.UsageError(f"REQUIRE_ALL=1, and these programs are missing: {programs}")
    config.stash[_LEFT_OUT] = f"{len(left_out)} tests left out: {programs} is missing"
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


_LEFT_OUT = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was left out."""
    if message := config.stash.get(_LEFT_OUT, ""):
        terminalreporter.write_line(message)
