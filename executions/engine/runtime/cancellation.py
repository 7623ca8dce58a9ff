"""Work that a cancellation must not cut in half."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def shield_until_done(work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns; cancelled meanwhile, let it end first, and then be cancelled.

    What the work raises after a cancellation is not told: the cancellation is what the caller has to hear. A second
    cancellation does not wait.

    Raises:
        CancelledError: somebody cancelled the caller; the work has ended nevertheless.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_look_at)
        await asyncio.wait({task})
        raise


def _look_at(task: asyncio.Task[Any]) -> None:
    """Look at how a task ended, so that asyncio does not report it as forgotten."""
    if not task.cancelled():
        task.exception()
