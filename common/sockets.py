"""Wait for a socket in the event loop, without a thread and without polling."""

from __future__ import annotations

import asyncio


async def is_ready(socket: int, *, seconds: float | None, writing: bool = False) -> bool:
    """Wait until a socket is readable (or writable); return False after the timeout.

    Args:
        socket: File descriptor of the socket.
        seconds: The timeout; None: no timeout.
        writing: Also return when the socket is writable.
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
