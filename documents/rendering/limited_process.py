"""Rendering in a process of its own, with limits of time and memory, off the event loop and away from the rows.

The parent sends one JSON object to standard input, and reads one line of JSON and the file from standard output. The
process has no environment of its own, no database and no settings. As a program this module is that process.
"""

from __future__ import annotations

import base64
import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # `python -I` has no path to the packages of the product
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.limits import limits
from documents.rendering.errors import (
    HouseStyleError,
    RenderingBusy,
    RenderingError,
    RenderingLimitExceeded,
)

_WAIT_SECONDS = 30.0  # for another process to end
_PATIENCE = 2.0  # times the limit of processor time that a process may take on a busy machine
#: A fixed environment: few threads and few arenas, so that the limit on memory counts what is used.
_ENVIRONMENT = {"RAYON_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2", "PATH": ""}
_ERRORS = {each.code: each for each in (RenderingLimitExceeded, HouseStyleError, RenderingError)}
_TOO_LARGE = "The document needs more time or memory than one file may use; read single documents, or JSON."


@cache
def _slots() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(limits().rendering_processes)


_own = threading.local()  # `has_turn`: whether this thread has one


@contextmanager
def turn() -> Iterator[None]:
    """Wait for the right to run a process. Within the block `render_in_process` of this thread waits for no other.

    Raises:
        RenderingBusy: all processes were in use for 30 seconds.
    """
    if getattr(_own, "has_turn", False):
        yield
        return
    if not _slots().acquire(timeout=_WAIT_SECONDS):
        raise RenderingBusy("Other documents are being rendered; try again in a moment.")
    _own.has_turn = True
    try:
        yield
    finally:
        _own.has_turn = False
        _slots().release()


def nothing() -> None:
    """Do nothing."""


def render_in_process(
    source: str, name: str, *, house: bytes | None = None, before: Callable[[], None] = nothing
) -> bytes:
    """Render in another process, and return the file. This blocks: an event loop calls it in a thread.

    Args:
        source: the source, as JSON of `sources.to_plain`.
        name: the format.
        house: the house `.docx`, if there is one.
        before: called before the wait, such as to give a connection back.

    Raises:
        RenderingBusy: all processes were in use for 30 seconds.
        RenderingError: the document cannot be rendered; its subclasses say why.
    """
    bounds = limits()
    job = {
        "format": name,
        "house": base64.b64encode(house).decode() if house is not None else None,
        "seconds": bounds.rendering_seconds,
        "memory_bytes": bounds.rendering_memory_bytes,
    }
    head = json.dumps(job).encode() + b"\n"
    before()
    with turn():
        return _run(head + source.encode(), bounds.rendering_seconds * _PATIENCE)


def _run(job: bytes, seconds: float) -> bytes:
    command = [sys.executable, "-I", "-X", "utf8", __file__]
    with subprocess.Popen(  # noqa: S603 - no input in it
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_ENVIRONMENT,
        cwd="/",
    ) as process:
        try:
            answer, log = process.communicate(job, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise RenderingLimitExceeded(_TOO_LARGE) from error
    head, _, file = answer.partition(b"\n")
    if process.returncode == 0 and head:
        return _result(json.loads(head), file)
    if process.returncode in {-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV}:
        raise RenderingLimitExceeded(_TOO_LARGE)
    raise RuntimeError(f"rendering ended with {process.returncode}: {log.decode(errors='replace')[-2_000:]}")


def _result(head: dict[str, Any], file: bytes) -> bytes:
    """Return the file, or raise the error that the process reports."""
    code = head.get("code")
    if code is None:
        return file
    raise _ERRORS[code](head["detail"])


# --- the process ------------------------------------------------------------------------------------------------------


def main() -> None:
    """Read a job, render, and write the answer."""
    job = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (job["seconds"],) * 2)
    house = base64.b64decode(job["house"]) if job["house"] is not None else None
    head: dict[str, Any] = {}
    file = b""
    try:
        from documents.rendering.formats import render_here  # noqa: PLC0415 - within the limits
        from documents.rendering.sources import from_plain  # noqa: PLC0415

        file = render_here(from_plain(json.load(sys.stdin.buffer)), job["format"], house=house)
    except RenderingError as error:
        head = {"code": error.code, "detail": str(error)}
    except (MemoryError, RecursionError):
        head = {"code": RenderingLimitExceeded.code, "detail": _TOO_LARGE}
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + file)


if __name__ == "__main__":
    main()
