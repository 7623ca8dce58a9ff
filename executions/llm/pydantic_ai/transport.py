"""Bytes between a provider and its library: a byte order mark is taken away, an announced end is noted."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator

import httpx2

_DONE = b"data: [DONE]"
_TAIL = 200  # bytes at the end of an answer in which its end is announced


class Body(httpx2.AsyncByteStream):
    """The body of an answer."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._tail = b""

    @property
    def is_done(self) -> bool:
        """Whether the answer said that it had come to its end, as streams of OpenAI's language do."""
        return any(line.rstrip() in {_DONE, _DONE.replace(b" ", b"")} for line in self._tail.splitlines())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        begun, held = False, b""
        async for piece in self._stream:
            held += piece
            if not begun and codecs.BOM_UTF8.startswith(held):
                continue  # a part of a mark, or a mark and nothing else
            told, held = held if begun else held.removeprefix(codecs.BOM_UTF8), b""
            begun = True
            self._tail = (self._tail + told)[-_TAIL:]
            yield told
        if held and held != codecs.BOM_UTF8:
            yield held

    async def aclose(self) -> None:
        """Close the connection, or give it back."""
        await self._stream.aclose()


async def on_response(response: httpx2.Response) -> None:
    """Read a provider's answer through `Body`. One that is compressed is left as it is."""
    if "content-encoding" not in response.headers and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = Body(response.stream)


def is_done(response: httpx2.Response) -> bool:
    """Return whether a streamed answer has announced its end."""
    return isinstance(response.stream, Body) and response.stream.is_done
