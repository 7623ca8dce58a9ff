"""Reliable cancellation of tasks."""

from __future__ import annotations

import asyncio
from typing import Any

REPEAT_SECONDS = 0.5


async def cancel_and_wait(task: asyncio.Future[Any]) -> None:
    """Cancel a task and return when it has ended, in whatever way.

    A cancellation is lost if the awaited operation ends at the same moment. Before Python 3.12 this happens in
    `asyncio.wait_for`, which the connection pool uses. So the cancellation is repeated.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=REPEAT_SECONDS)
