"""Waiting for a socket in the event loop, without a thread and without waking in between."""

from __future__ import annotations

import asyncio


async def is_ready(socket: int, *, seconds: float | None, writing: bool = False) -> bool:
    """Wait until a socket has something to read, or takes something; return False if neither is so for so long.

    Args:
        socket: Its file descriptor.
        seconds: The limit; None: there is none.
        writing: Wait until it takes something as well.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(socket, wake)
    if writing:
        loop.add_writer(socket, wake)
    try:
        async with asyncio.timeout(seconds):
            await ready
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(socket)
        if writing:
            loop.remove_writer(socket)
    return True
