"""What a provider sends over HTTP, read beside its library: counts, terms of billing, and words of failure.

Libraries add up totals, cut what contradicts itself, and drop an answer that they cannot read. So the bytes are read a
second time, as they pass. The hook of the HTTP client is used for it, as a transport of our own would switch off the
proxies of the environment.
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

_ENCODINGS = "gzip, deflate"  # what is asked for, and what can be read here
_HTML = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_SHOWN = 2_000  # characters of a body that is neither JSON nor a stream

_current: ContextVar[Transcript | None] = ContextVar("transcript", default=None)


def is_html(text: str) -> bool:
    """Whether a text is a page of HTML."""
    return _HTML.match(text[:_SHOWN]) is not None


class Transcript:
    """What came back for one call. It may be asked for as soon as the call has ended, in whatever way."""

    def __init__(self) -> None:
        self.count = Count()
        self.terms = Terms()
        self.content_type = ""
        self.failure: object = None  # the last message that tells of a failure instead of answering
        self._begin()

    def _begin(self) -> None:
        self._lines = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")("replace"), translate=True)
        self._inflate: zlib._Decompress | None = None
        self._line: list[str] = []  # pieces of the line that has not ended yet
        self._event: list[str] = []  # data of the event that has not ended yet
        self._rest: list[str] = []  # lines that belong to no event

    def open(self, headers: Mapping[str, str]) -> None:
        """Note that an answer begins."""
        self._begin()
        self.content_type = headers.get("content-type", "").partition(";")[0].strip().lower()[:100]
        self.terms.note_tier("header", headers.get("x-gemini-service-tier"))
        if headers.get("content-encoding", "").strip().lower() in {"gzip", "x-gzip", "deflate"}:
            self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> None:
        """Take in what has come of the body."""
        try:
            plain = data if self._inflate is None else self._inflate.decompress(data)
        except zlib.error:  # the library says so, too
            return
        *ended, last = self._lines.decode(plain).split("\n")
        for each in ended:
            self._on_line("".join([*self._line, each]))
            self._line = []
        self._line.append(last)

    def close(self) -> None:
        """Read what is left, as nothing more comes."""
        self._on_line("".join(self._line))
        self._on_line("")
        self._line = []
        text, self._rest = "\n".join(self._rest), []
        self._on_message(text)

    def _on_line(self, line: str) -> None:
        if line.startswith("data:"):
            self._event.append(line[5:])
        elif not line and self._event:
            self._on_message("\n".join(self._event))
            self._event = []
        elif line and not line.startswith((":", "event:", "id:", "retry:")):
            self._rest.append(line)

    def _on_message(self, text: str) -> None:
        """Take in a whole body, or an event of a stream."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            self._on_words(text.strip())
            return
        for language, report in reports(message):
            self.count.add(language, report)
        self.terms.note(message)
        if _is_failure(message):
            self.failure = message

    def _on_words(self, text: str) -> None:
        """Take in what is no JSON, and no part of any."""
        if text and self.failure is None and text != "[DONE]" and not text.startswith(("{", "[")):
            self.failure = text[:_SHOWN]


def _is_failure(message: object) -> bool:
    """Whether a message is no part of an answer, and says why there is none."""
    if not isinstance(message, dict):
        return False
    return bool(message.get("error")) or any(
        isinstance(message.get(name), str | list) and message[name] for name in ("message", "detail", "errors")
    )


class _Heard(httpx2.AsyncByteStream):
    """A body that is read here as it passes."""

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


async def _listen(response: httpx2.Response) -> None:
    transcript = _current.get()
    if transcript is not None and isinstance(response.stream, httpx2.AsyncByteStream):
        transcript.open(response.headers)
        response.stream = _Heard(response.stream, transcript)


_closing: set[asyncio.Task[None]] = set()


class _Closing(httpx2.AsyncClient):
    """A client that closes its connections when it goes, as those do that the libraries make for themselves."""

    def __del__(self) -> None:
        if not self.is_closed:
            with suppress(RuntimeError):  # no loop is running any more
                task = asyncio.get_running_loop().create_task(self.aclose())
                _closing.add(task)
                task.add_done_callback(_closing.discard)


def reading_client(kind: type[httpx2.AsyncClient], **options: Any) -> httpx2.AsyncClient:
    """Return a client of a kind, whose answers are read by the transcript of the call that it is used in.

    Hooks that are in the options come after this one, so that they wrap what passes here.
    """
    client: httpx2.AsyncClient = type("Client", (_Closing, kind), {})(**options)
    client.event_hooks = {**client.event_hooks, "response": [_listen, *client.event_hooks["response"]]}
    client.headers["Accept-Encoding"] = _ENCODINGS
    return client


def current() -> Transcript:
    """Return the transcript of this task's call, read to its end."""
    transcript = _current.get() or Transcript()
    transcript.close()
    return transcript


def begin() -> None:
    """Begin the transcript of a call, which is made by this task."""
    _current.set(Transcript())
