"""The executions that this process runs now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from executions.engine.runtime.runner import ExecutionRunner

logger = logging.getLogger(__name__)

#: Execution of each runner at work, for the watch that tells it of changes from outside.
ACTIVE: dict[ExecutionRunner, UUID] = {}

_TASKS: dict[UUID, asyncio.Task[None]] = {}


@contextmanager
def register(runner: ExecutionRunner, execution_id: UUID) -> Iterator[None]:
    """Have the watch look after a runner."""
    ACTIVE[runner] = execution_id
    try:
        yield
    finally:
        del ACTIVE[runner]


async def run_exclusively(execution_id: UUID, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work in a task of its own, once what this process still does for the execution is done.

    A cancelled caller leaves the work alone: the queue cancels its jobs when it loses the database, and calls that are
    paid for go on under them. `finish` and `stop` end it.
    """
    while (earlier := _TASKS.get(execution_id)) is not None:
        await asyncio.wait({earlier})
    task = asyncio.ensure_future(_told(execution_id, work))
    _TASKS[execution_id] = task
    task.add_done_callback(lambda _: _TASKS.pop(execution_id))
    await asyncio.shield(task)


async def finish(seconds: float) -> None:
    """Wait until the work under way is done, but no longer than `seconds`."""
    if tasks := set(_TASKS.values()):
        await asyncio.wait(tasks, timeout=seconds)


async def stop(seconds: float) -> int:
    """Cancel what is still under way, wait for it no longer than `seconds`, and return how much did not end."""
    tasks = set(_TASKS.values())
    for task in tasks:
        task.cancel()
    if not tasks:
        return 0
    _, left = await asyncio.wait(tasks, timeout=seconds)
    return len(left)


async def _told(execution_id: UUID, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:
        logger.exception("running %s ended with an error", execution_id)
        raise
