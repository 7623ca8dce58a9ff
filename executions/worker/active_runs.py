"""The executions that this process is running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from executions.engine.runtime.runner import ExecutionRunner

logger = logging.getLogger(__name__)

#: Execution ids of the active runners, for the watch duty, which informs runners of outside changes.
ACTIVE: dict[ExecutionRunner, UUID] = {}

_TASKS: dict[UUID, asyncio.Task[None]] = {}


@contextmanager
def register(runner: ExecutionRunner, execution_id: UUID) -> Iterator[None]:
    """Register a runner with the watch duty."""
    ACTIVE[runner] = execution_id
    try:
        yield
    finally:
        del ACTIVE[runner]


async def run_exclusively(execution_id: UUID, work: Callable[[], Awaitable[None]]) -> None:
    """Run the work in a task of its own, after earlier work of this process for the same execution has ended.

    Cancelling the caller does not cancel the work: the queue cancels its jobs when it loses the database, and paid
    model calls continue. `finish` and `stop` end the work.
    """
    while (earlier_task := _TASKS.get(execution_id)) is not None:
        await asyncio.wait({earlier_task})
    task = asyncio.ensure_future(_log_failure(execution_id, work))
    _TASKS[execution_id] = task
    task.add_done_callback(lambda _: _TASKS.pop(execution_id))
    await asyncio.shield(task)


async def finish(seconds: float) -> None:
    """Wait until the active runs have ended, for at most `seconds`."""
    if tasks := set(_TASKS.values()):
        await asyncio.wait(tasks, timeout=seconds)


async def stop(seconds: float) -> int:
    """Cancel the active runs, wait at most `seconds` for them, and return the number that did not end."""
    tasks = set(_TASKS.values())
    for task in tasks:
        task.cancel()
    if not tasks:
        return 0
    _, unfinished = await asyncio.wait(tasks, timeout=seconds)
    return len(unfinished)


async def _log_failure(execution_id: UUID, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:
        logger.exception("the run of %s ended with an error", execution_id)
        raise
