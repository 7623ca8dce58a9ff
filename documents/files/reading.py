"""Reading of uploaded files, with a limit on the processes that run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from access.errors import Busy
from common.errors import FieldError, Invalid
from common.limits import limits
from documents.extraction.process import extract
from documents.extraction.results import Extraction, FileRefused

MAX_WAIT_SECONDS = 5.0  # that a file waits for its turn

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class UnreadableFile(Invalid):
    """The file is refused; the error's code says why."""

    code = "file-refused"


class TooManyFiles(Busy):
    """Too many files are being read."""

    sentence = "Too many files are being read. Try again in a moment."


async def read_file(data: bytes, *, name: str) -> Extraction:
    """Return the text of an uploaded file.

    Raises:
        UnreadableFile: the file is refused.
        TooManyFiles: no process was free within `MAX_WAIT_SECONDS`.
    """
    try:
        async with _turn():
            return await extract(data, name=name)
    except FileRefused as refusal:
        error = FieldError(pointer="/file", code=refusal.code.value, detail=refusal.detail)
        raise UnreadableFile(refusal.detail, [error]) from refusal


@asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    """Wait for one of the processes that may run at once."""
    turns = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(limits().file_readers))
    try:
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            await turns.acquire()
    except TimeoutError as error:
        raise TooManyFiles from error
    try:
        yield
    finally:
        turns.release()
