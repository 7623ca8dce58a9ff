"""What is run: executions of a line of steps, each with a reply of 1 kB that costs nothing to make."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

TEXT = "x" * 1000
WORKFLOW, USER = "line", "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of it."""

    executions: int
    steps: int
    in_flight: int = 20

    def __str__(self) -> str:
        return f"{self.executions} × {self.steps}"

    @property
    def all_steps(self) -> int:
        """Steps of all executions together."""
        return self.executions * self.steps

    def arguments(self) -> list[str]:
        """Return it as a command line."""
        return [str(self.executions), str(self.steps), str(self.in_flight)]


def size_from_arguments() -> Size:
    """Return the size that this process was started with (after anything else on its command line)."""
    executions, steps, in_flight = (int(each) for each in sys.argv[-3:])
    return Size(executions=executions, steps=steps, in_flight=in_flight)


def database_url() -> str:
    """Return where this process finds its database."""
    return os.environ["DATABASE_URL"]
