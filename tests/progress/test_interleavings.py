"""Commits, hints, slow reads, outages, slow clients and reconnects in any order: each event arrives exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from executions.progress import cursor, listener
from tests.progress.interleaved import World

SECONDS = 5.0  # no example takes so long unless it fails
PAGE_SIZE, READ_LIMIT = 3, 4  # small, so that a few events make more than one
NEVER = 1_000.0  # seconds of silence


@asynccontextmanager
async def world(*, queue_size: int, keepalive_seconds: float = NEVER) -> AsyncGenerator[World, None]:
    """Provide a world with two clients, for one example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cursor, "PAGE_SIZE", PAGE_SIZE)
        patch.setattr(cursor, "RETRY_SECONDS", 0)
        patch.setattr(listener, "READ_LIMIT", READ_LIMIT)
        made = World(queue_size=queue_size, keepalive_seconds=keepalive_seconds)
        made.join(0, 0)
        made.join(2, 0)
        try:
            async with asyncio.timeout(SECONDS):
                yield made
        finally:
            await made.close()


async def test_what_was_read_is_handed_out_when_nobody_can_see_what_is_beside_it() -> None:
    async with world(queue_size=4) as made:
        await made.do([(("commit", 0, 2), 8), *((("answer_all", how), 8) for how in ("now", "now", "fail"))])
        assert [client.numbers for client in made.clients] == [[1, 2], [1, 2]]
