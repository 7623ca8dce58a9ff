"""Memory of processes, and the processes that read files (Linux)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_READER = b"documents.extraction.child"  # in the command of a process that reads a file


def resident(pid: int) -> int:
    """Return the bytes of a process that are in memory; 0: it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found is not None else 0


def file_readers(pid: int) -> list[int]:
    """Return the processes that read files for a web process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == pid and _READER in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@dataclass
class Peak:
    """The most that was seen."""

    web: int = 0  # bytes of the web process
    readers: int = 0  # bytes of all processes that read files
    number: int = 0  # of these processes


@contextmanager
def watched(pid: int) -> Iterator[Peak]:
    """Watch a web process, and the processes that read files for it."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            readers = [resident(each) for each in file_readers(pid)]
            peak.web = max(peak.web, resident(pid))
            peak.readers = max(peak.readers, sum(readers))
            peak.number = max(peak.number, len(readers))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
