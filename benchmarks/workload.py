"""The workload: executions of a chain of steps, each with an immediate reply of 1 kB."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

TEXT = "x" * 1000
WORKFLOW, USER = "line", "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Size of the workload."""

    executions: int
    steps: int
    in_flight: int = 20

    def __str__(self) -> str:
        return f"{self.executions} × {self.steps}"

    @property
    def all_steps(self) -> int:
        """Number of steps of all executions."""
        return self.executions * self.steps

    def arguments(self) -> list[str]:
        """Return the size as command line arguments."""
        return [str(self.executions), str(self.steps), str(self.in_flight)]


def size_from_arguments() -> Size:
    """Return the size from the last three command line arguments."""
    executions, steps, in_flight = (int(each) for each in sys.argv[-3:])
    return Size(executions=executions, steps=steps, in_flight=in_flight)


def database_url() -> str:
    """Return the URL of this process's database."""
    return os.environ["DATABASE_URL"]
