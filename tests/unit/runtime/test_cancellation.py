"""A cancelled asyncio task ends. `test_runner.py` cancels executions."""

from __future__ import annotations

import asyncio

from executions.engine.runtime.cancellation import cancel_and_wait
from tests.support.waiting import HANG_SECONDS


async def test_a_task_that_loses_its_first_cancellation_ends_nevertheless() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            lost += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(HANG_SECONDS):
        await cancel_and_wait(task)
    assert lost == 1
    assert task.cancelled()


async def test_a_task_that_has_failed_is_left_as_it_is() -> None:
    async def broken() -> None:
        raise ValueError

    task = asyncio.create_task(broken())
    await asyncio.wait({task})
    await cancel_and_wait(task)
    assert isinstance(task.exception(), ValueError)
