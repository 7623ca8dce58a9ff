"""A filter between HTTP client and library: removes a byte order mark, and detects the end marker of streams."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator

import httpx2

_DONE = b"data: [DONE]"
_TAIL = 200  # bytes at the end of a response that may contain the end marker


class Body(httpx2.AsyncByteStream):
    """A response body."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._tail = b""

    @property
    def is_done(self) -> bool:
        """Whether the stream has sent OpenAI's end marker."""
        return any(line.rstrip() in {_DONE, _DONE.replace(b" ", b"")} for line in self._tail.splitlines())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        started, buffer = False, b""
        async for chunk in self._stream:
            buffer += chunk
            if not started and codecs.BOM_UTF8.startswith(buffer):
                continue  # a part of the mark, or only the mark
            data, buffer = buffer if started else buffer.removeprefix(codecs.BOM_UTF8), b""
            started = True
            self._tail = (self._tail + data)[-_TAIL:]
            yield data
        if buffer and buffer != codecs.BOM_UTF8:
            yield buffer

    async def aclose(self) -> None:
        """Close the connection, or return it to the pool."""
        await self._stream.aclose()


async def on_response(response: httpx2.Response) -> None:
    """Wrap a provider's response body in `Body`. Compressed responses are not changed."""
    if "content-encoding" not in response.headers and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = Body(response.stream)


def is_done(response: httpx2.Response) -> bool:
    """Return whether a streamed response has sent the end marker."""
    return isinstance(response.stream, Body) and response.stream.is_done
