"""Wall clocks that can be set per process, on Linux with a C compiler; elsewhere clocks stay right."""

from __future__ import annotations

import mmap
import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("wall_clock.c")
_SECONDS = struct.Struct("=q")


class WallClock:
    """The wall clock of one process at a time. It is right until it is set."""

    def __init__(self, library: Path, file: Path) -> None:
        """Make a clock whose seconds stand in `file`."""
        file.write_bytes(_SECONDS.pack(0))
        self.environment = {"LD_PRELOAD": str(library), "WALL_CLOCK_FILE": str(file)}
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _SECONDS.size)

    def set(self, seconds: int) -> None:
        """Have the clock be so many seconds ahead (or, below zero, behind) from this moment on."""
        _SECONDS.pack_into(self._shared, 0, seconds)


class Clocks:
    """Makes wall clocks, with a library that is compiled once."""

    def __init__(self, folder: Path) -> None:
        """Compile the library into a folder.

        Raises:
            subprocess.CalledProcessError: the compiler refuses it.
        """
        self._folder = folder
        self._library = folder / "wall_clock.so"
        command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(self._library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        self._made = 0

    @staticmethod
    def can_be_set() -> bool:
        """Return whether this machine can do it."""
        return platform.system() == "Linux" and shutil.which("cc") is not None

    def make(self) -> WallClock:
        """Return a clock that is right."""
        self._made += 1
        return WallClock(self._library, self._folder / f"wall-clock-{os.getpid()}-{self._made}")
