"""A wall clock that is changed while its process runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.wall_clocks import Clocks, WallClock

pytestmark = pytest.mark.compiler

#: Says by how much time.time has run ahead of the clock that cannot be set, whenever it is asked; it sleeps meanwhile.
PROGRAM = """
import sys, time
began = time.time() - time.monotonic()
for _ in sys.stdin:
    slept = time.monotonic()
    time.sleep(0.05)
    assert 0.05 <= time.monotonic() - slept < 60
    print(round(time.time() - time.monotonic() - began), flush=True)
"""


@contextmanager
def running(clock: WallClock) -> Iterator[subprocess.Popen[str]]:
    """Provide a process that has the clock."""
    environment = {**os.environ, **clock.environment}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


def ask(process: subprocess.Popen[str]) -> int:
    """Return what the process says."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def test_only_the_wall_clock_of_one_process_jumps_while_it_runs(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    first, second = clocks.make(), clocks.make()
    with running(first) as one, running(second) as other:
        said = []
        for seconds in (0, 3600, -3600, 90):
            first.set(seconds)
            said.append((ask(one), ask(other)))
    assert said == [(0, 0), (3600, 0), (-3600, 0), (90, 0)]
    assert (one.returncode, other.returncode) == (0, 0)
