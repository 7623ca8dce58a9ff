"""Clocks of single processes that are wrong, by libfaketime: each process sees the time that its file says."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WrongClock:
    """The clock of the processes that are started with its environment. The clock that counts seconds stays right."""

    path: Path

    def __post_init__(self) -> None:
        """Begin as the machine's clock."""
        self.jump_to(0)

    def jump_to(self, seconds: int) -> None:
        """Have the clock be so many seconds ahead of the machine's from now on; negative: behind it."""
        new = self.path.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n", encoding="ascii")
        new.replace(self.path)  # whole: it is read at any time

    @property
    def environment(self) -> dict[str, str]:
        """What starts a process with this clock."""
        return {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a jump is seen
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def _library() -> str:
    """Return where the library is, as its own program names it to the loader."""
    said = subprocess.run(
        ["faketime", "-f", "+0s", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True
    )
    return said.stdout.strip()
