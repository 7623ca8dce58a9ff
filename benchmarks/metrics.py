"""Time, CPU and memory of one run. Uses only the standard library, because the peers' environments have no more."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Meter:
    """Measures a block, and prints the result as one line of JSON.

    The duration of a step runs from its start to the start of the execution's next step. So it includes all work
    between two calls of a model, in every system.
    """

    def __init__(self, children: bool = False) -> None:
        self._postmaster = int(os.environ["POSTMASTER_PID"])
        self._who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
        self._last: dict[Hashable, float] = {}
        self._gaps: list[float] = []

    def __enter__(self) -> Meter:
        """Start measuring."""
        self._database = database_cpu_seconds(self._postmaster)
        self._own = cpu_seconds(self._who)
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop measuring."""
        self.seconds = time.perf_counter() - self._began
        self._own = cpu_seconds(self._who) - self._own
        self._database = database_cpu_seconds(self._postmaster) - self._database

    def step(self, execution: Hashable) -> None:
        """Record the start of an execution's next step."""
        now = time.perf_counter()
        if (last := self._last.get(execution)) is not None:
            self._gaps.append(now - last)
        self._last[execution] = now

    def report(self, *, gaps: list[float] | None = None, seconds: float | None = None, **more: Any) -> None:
        """Print the result.

        Args:
            gaps: Durations of the steps in seconds, if the system has measured them itself.
            seconds: Time from the first start to the last end, if it differs from the time of the block.
            more: More members of the result.
        """
        gaps = self._gaps if gaps is None else gaps
        result = {
            "seconds": self.seconds if seconds is None else seconds,
            "p50_ms": percentile(gaps, 50) * 1000,
            "p99_ms": percentile(gaps, 99) * 1000,
            "cpu_seconds": self._own,
            "database_cpu_seconds": self._database,
            "peak_rss_mib": resource.getrusage(self._who).ru_maxrss / 1024,
            **more,
        }
        sys.stdout.write(json.dumps(result) + "\n")


def percentile(values: list[float], percent: float) -> float:
    """Return the nearest-rank percentile; 0 without values."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def cpu_seconds(who: int) -> float:
    """Return the user and system time of this process, or of its ended children."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def database_cpu_seconds(postmaster: int) -> float:
    """Return the CPU time of a PostgreSQL server, including its ended processes."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if path.parent.name == str(postmaster):
            total += sum(int(each) for each in fields[11:15])  # its own time, and that of its ended children
        elif fields[1] == str(postmaster):
            total += sum(int(each) for each in fields[11:13])
    return total / _TICKS_PER_SECOND
