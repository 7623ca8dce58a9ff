"""CPU time of process trees (Linux)."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # per second


def seconds_of(*roots: int) -> float:
    """Return the seconds of CPU that processes, their children and those that have ended have taken so far."""
    children: dict[int, list[int]] = defaultdict(list)
    taken: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile; its parent has its time
            continue
        pid = int(folder.name)
        children[int(fields[1])].append(pid)
        taken[pid] = sum(map(int, fields[11:15]))
    left, ticks = [*roots], 0
    while left:
        pid = left.pop()
        ticks += taken.get(pid, 0)
        left += children[pid]
    return ticks / _TICKS
