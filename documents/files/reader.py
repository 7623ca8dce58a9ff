"""Reading of uploaded files, with a limit on how many are in memory and read at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakKeyDictionary

from access.errors import Busy
from common.errors import FieldError, Invalid
from common.limits import limits
from documents.extraction import process
from documents.extraction.results import Extraction, FileRefused

MAX_WAIT_SECONDS = 5.0  # that a file waits for its turn

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class UnreadableFile(Invalid):
    """The file is refused; the error's code says why."""

    code = "file-refused"


class TooManyFiles(Busy):
    """Too many files are being read."""

    sentence = "Too many files are being read. Try again in a moment."


def check_size(size: int, *, name: str) -> None:
    """Refuse a file that has too many bytes, before it is in memory.

    Raises:
        UnreadableFile: it has.
    """
    with _refusals():
        process.check_size(size, name=name)


async def read_file(data: bytes, *, name: str) -> Extraction:
    """Return the text of an uploaded file. The caller has a `turn`.

    Raises:
        UnreadableFile: the file is refused.
    """
    with _refusals():
        return await process.extract(data, name=name)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except FileRefused as refusal:
        error = FieldError(pointer="/file", code=refusal.code.value, detail=refusal.detail)
        raise UnreadableFile(refusal.detail, [error]) from refusal


@asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """Wait for the right to have a file in memory and to run a process that reads it.

    Raises:
        TooManyFiles: there was none within `MAX_WAIT_SECONDS`.
    """
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
