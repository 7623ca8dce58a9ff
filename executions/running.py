"""The executions that this process runs now."""

from __future__ import annotations

from uuid import UUID

from executions.engine.runner import ExecutionRunner

#: Runner of each execution under way, for the watch that tells it of changes from outside.
RUNNING: dict[UUID, ExecutionRunner] = {}
