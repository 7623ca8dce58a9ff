"""Cancellation of asyncio tasks: shield work against it, and repeat a cancellation until the task ends.

`cancel` in `transitions/core.py` cancels an execution, and `ExecutionRunner.refresh` then cancels its tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

REPEAT_SECONDS = 0.5  # between two cancellations of a task that has not ended


async def shield_until_done(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of the work. If the caller is cancelled, the work ends first, then the cancellation goes on.

    An exception of the work after a cancellation is dropped, because the caller expects the cancellation. A second
    cancellation does not wait for the work.

    Raises:
        CancelledError: the caller was cancelled; the work has ended.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_retrieve_exception)
        await asyncio.wait({task})
        raise


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Retrieve the task's exception, so that asyncio does not log it as never retrieved."""
    if not task.cancelled():
        task.exception()


async def cancel_and_wait(task: asyncio.Future[Any]) -> None:
    """Cancel a task and return when it has ended.

    A cancellation is lost if the awaited operation ends at the same moment. Before Python 3.12 this happens in
    `asyncio.wait_for`, which the connection pool uses. So the cancellation is repeated.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=REPEAT_SECONDS)
