"""Reads a provider's HTTP responses beside its library: counts, billing terms and error messages.

Libraries add totals, correct contradictions, and drop replies that they cannot parse. So the bytes are read a second
time as they pass. This uses a hook of the HTTP client, because a transport of our own would disable the proxy settings
of the environment.
"""

from __future__ import annotations

import asyncio
import codecs
import io
import json
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import httpx2

from executions.llm.usage.billing import Terms
from executions.llm.usage.counts import Count, reports

_ENCODINGS = "gzip, deflate"  # requested encodings, which can be decoded here
_HTML = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_MAX_SHOWN = 2_000  # characters of a body that is neither JSON nor a stream

_current: ContextVar[Transcript | None] = ContextVar("transcript", default=None)


def is_html(text: str) -> bool:
    """Return whether a text is an HTML page."""
    return _HTML.match(text[:_MAX_SHOWN]) is not None


class Transcript:
    """What was received for one call. It can be read as soon as the call has ended, in any way."""

    def __init__(self) -> None:
        self.count = Count()
        self.terms = Terms()
        self.content_type = ""
        self.failure: object = None  # the last message that is an error instead of a reply
        self._reset()

    def _reset(self) -> None:
        self._lines = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")("replace"), translate=True)
        self._inflate: zlib._Decompress | None = None
        self._line: list[str] = []  # parts of the current line
        self._event: list[str] = []  # data of the current event
        self._other_lines: list[str] = []  # lines outside of events

    def open(self, headers: Mapping[str, str]) -> None:
        """Start the transcript of a response."""
        self._reset()
        self.content_type = headers.get("content-type", "").partition(";")[0].strip().lower()[:100]
        self.terms.note_tier("header", headers.get("x-gemini-service-tier"))
        if headers.get("content-encoding", "").strip().lower() in {"gzip", "x-gzip", "deflate"}:
            self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> None:
        """Process a part of the body."""
        try:
            plain = data if self._inflate is None else self._inflate.decompress(data)
        except zlib.error:  # the library raises the error, too
            return
        *lines, last = self._lines.decode(plain).split("\n")
        for line in lines:
            self._on_line("".join([*self._line, line]))
            self._line = []
        self._line.append(last)

    def close(self) -> None:
        """Process the rest: no more data follows."""
        self._on_line("".join(self._line))
        self._on_line("")
        self._line = []
        text, self._other_lines = "\n".join(self._other_lines), []
        self._on_message(text)

    def _on_line(self, line: str) -> None:
        if line.startswith("data:"):
            self._event.append(line[5:])
        elif not line and self._event:
            self._on_message("\n".join(self._event))
            self._event = []
        elif line and not line.startswith((":", "event:", "id:", "retry:")):
            self._other_lines.append(line)

    def _on_message(self, text: str) -> None:
        """Process a complete body or a stream event."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            self._on_text(text.strip())
            return
        for language, report in reports(message):
            self.count.add(language, report)
        self.terms.note(message)
        if _is_failure(message):
            self.failure = message

    def _on_text(self, text: str) -> None:
        """Process text that is not JSON and not a part of JSON."""
        if text and self.failure is None and text != "[DONE]" and not text.startswith(("{", "[")):
            self.failure = text[:_MAX_SHOWN]


def _is_failure(message: object) -> bool:
    """Return whether a message is an error instead of a part of a reply."""
    if not isinstance(message, dict):
        return False
    return bool(message.get("error")) or any(
        isinstance(message.get(name), str | list) and message[name] for name in ("message", "detail", "errors")
    )


class _ReadBody(httpx2.AsyncByteStream):
    """A response body that the transcript reads as it passes."""

    def __init__(self, body: httpx2.AsyncByteStream, transcript: Transcript) -> None:
        self._body = body
        self._transcript = transcript

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._body:
            self._transcript.feed(data)
            yield data

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()


async def _on_response(response: httpx2.Response) -> None:
    transcript = _current.get()
    if transcript is not None and isinstance(response.stream, httpx2.AsyncByteStream):
        transcript.open(response.headers)
        response.stream = _ReadBody(response.stream, transcript)


_closing: set[asyncio.Task[None]] = set()


class _SelfClosingClient(httpx2.AsyncClient):
    """A client that closes its connections when it is garbage-collected, like the libraries' own clients."""

    def __del__(self) -> None:
        if not self.is_closed:
            with suppress(RuntimeError):  # no event loop is running
                task = asyncio.get_running_loop().create_task(self.aclose())
                _closing.add(task)
                task.add_done_callback(_closing.discard)


def reading_client(kind: type[httpx2.AsyncClient], **options: Any) -> httpx2.AsyncClient:
    """Return a client of a class whose responses are read by the transcript of the current call.

    Hooks in `options` run after this one, so that they wrap the body that is read here.
    """
    client: httpx2.AsyncClient = type("Client", (_SelfClosingClient, kind), {})(**options)
    client.event_hooks = {**client.event_hooks, "response": [_on_response, *client.event_hooks["response"]]}
    client.headers["Accept-Encoding"] = _ENCODINGS
    return client


def current() -> Transcript:
    """Return the complete transcript of the current task's call."""
    transcript = _current.get() or Transcript()
    transcript.close()
    return transcript


def begin() -> None:
    """Start the transcript of a call in the current task."""
    _current.set(Transcript())
