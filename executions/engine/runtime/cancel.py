"""Ends tasks for good."""

from __future__ import annotations

import asyncio
from typing import Any

REPEAT_SECONDS = 0.5


async def cancel_and_wait(task: asyncio.Future[Any]) -> None:
    """Cancel a task and return once it has ended, however it did.

    A cancellation is lost when what the task awaits ends in the same moment (before Python 3.12 in `asyncio.wait_for`,
    which the connection pool uses), so it is repeated.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=REPEAT_SECONDS)
