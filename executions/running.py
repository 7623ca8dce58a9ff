"""The executions that this process runs now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from executions.engine.runner import ExecutionRunner

#: Execution of each runner at work, for the watch that tells it of changes from outside. An execution has two for a
#: moment when this process was taken for dead (it slept) and then took its own work over.
RUNNING: dict[ExecutionRunner, UUID] = {}


@contextmanager
def watched(runner: ExecutionRunner, execution_id: UUID) -> Iterator[None]:
    """Have the watch look after a runner."""
    RUNNING[runner] = execution_id
    try:
        yield
    finally:
        del RUNNING[runner]
