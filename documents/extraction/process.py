"""Reads a file in a process of its own, with limits of time and memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from common.limits import limits as configured
from documents.extraction.limits import EXIT_OUT_OF_MEMORY, ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, RefusalCode

_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, sys.argv[1]); from documents.extraction.child import main; main()"
#: `-I`: no setting of the environment and no file of the working directory changes what runs.
COMMAND = (sys.executable, "-I", "-X", "utf8", "-c", _START, str(_ROOT))

_MIB = 1024 * 1024
_BYTES_OF_A_CHARACTER = 12  # in JSON, of one beyond the basic plane
_CHUNK = 64 * 1024
_MAX_LOGGED = 4_000
_MAX_SHOWN_NAME = 100

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Ended:
    """How a process ended, and what it wrote."""

    returncode: int
    answer: bytes
    errors: str


def current_limits() -> ExtractionLimits:
    """Return the limits that the settings of this process give."""
    values = configured()
    return ExtractionLimits(
        file_bytes=values.file_bytes,
        pages=values.file_pages,
        characters=values.file_characters,
        cells=values.file_cells,
        pixels=values.file_pixels,
        seconds=values.file_seconds,
        memory_bytes=values.file_memory_bytes,
    )


async def extract(data: bytes, *, name: str, limits: ExtractionLimits | None = None) -> Extraction:
    """Return the text of a file. A process reads it and ends; it also ends when the caller is cancelled.

    Args:
        data: the file.
        name: its name, which tells texts, Markdown and CSV apart.
        limits: the limits; without them, those of the settings.

    Raises:
        FileRefused: the file is not read. `code` and `detail` say why; `detail` is a sentence with the file's name.
    """
    limits = limits or current_limits()
    check_size(len(data), name=name, limits=limits)
    try:
        request = json.dumps({"name": name, "limits": asdict(limits)}).encode() + b"\n" + data
        return await _extract(COMMAND, request, limits)
    except FileRefused as refusal:
        raise _named(refusal, name) from refusal


def check_size(size: int, *, name: str, limits: ExtractionLimits | None = None) -> None:
    """Refuse a file that has too many bytes.

    Raises:
        FileRefused: as `extract`.
    """
    most = (limits or current_limits()).file_bytes
    if size > most:
        refusal = FileRefused(RefusalCode.TOO_LARGE, f"has {size:,} bytes; {most:,} bytes are the limit")
        raise _named(refusal, name)


def _named(refusal: FileRefused, name: str) -> FileRefused:
    """Return a refusal whose detail is a sentence with the file's name."""
    return FileRefused(refusal.code, f"“{_shown(name)}” {refusal.detail}.")


def _shown(name: str) -> str:
    """Return a name for a sentence."""
    visible = "".join(each if each.isprintable() else " " for each in name).strip()
    return visible if len(visible) <= _MAX_SHOWN_NAME else f"{visible[:_MAX_SHOWN_NAME]}…"


async def _extract(command: tuple[str, ...], request: bytes, limits: ExtractionLimits) -> Extraction:
    max_answer = limits.characters * _BYTES_OF_A_CHARACTER + _MIB
    with tempfile.TemporaryDirectory(prefix="scriptorium-file-") as folder:
        try:
            async with asyncio.timeout(limits.seconds):
                ended = await _run(command, request, Path(folder), max_answer=max_answer)
        except TimeoutError as error:
            raise _timed_out(limits) from error
    return _result(ended, limits)


async def _run(command: tuple[str, ...], request: bytes, folder: Path, *, max_answer: int) -> _Ended:
    """Run a process to its end; kill it when this is cancelled, or when it writes too much."""
    errors = folder / "errors"
    with errors.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=written,
            cwd=folder,
            env={"TMPDIR": str(folder)},
            start_new_session=True,
        )
    feeding = asyncio.create_task(_feed(process, request))
    try:
        answer = await _read(process, max_answer)
        returncode = await process.wait()
    finally:
        feeding.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
    return _Ended(returncode, answer, errors.read_text(encoding="utf-8", errors="replace")[-_MAX_LOGGED:])


async def _feed(process: asyncio.subprocess.Process, request: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with contextlib.suppress(ConnectionError):  # a process that ends early tells why by its end
        process.stdin.write(request)
        await process.stdin.drain()
    process.stdin.close()


async def _read(process: asyncio.subprocess.Process, max_answer: int) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    chunks, size = [], 0
    while chunk := await process.stdout.read(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_answer:
            raise FileRefused(RefusalCode.TOO_LARGE, "has more text than its limit")
    return b"".join(chunks)


def _timed_out(limits: ExtractionLimits) -> FileRefused:
    return FileRefused(RefusalCode.TIMED_OUT, f"takes more than {limits.seconds} s to read")


def _result(ended: _Ended, limits: ExtractionLimits) -> Extraction:
    if ended.returncode == EXIT_OUT_OF_MEMORY:
        detail = f"takes more memory to read than {limits.memory_bytes // _MIB} MiB"
        raise FileRefused(RefusalCode.OUT_OF_MEMORY, detail)
    if ended.returncode in (-signal.SIGXCPU, -signal.SIGALRM):
        raise _timed_out(limits)
    try:
        answer = json.loads(ended.answer) if ended.returncode == 0 else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        logger.warning("file_reader_failed", returncode=ended.returncode, errors=ended.errors)
        detail = "stopped the program that reads files: it is damaged, or takes too much memory"
        raise FileRefused(RefusalCode.DAMAGED, detail)
    if "extraction" in answer:
        return Extraction.from_json(answer["extraction"])
    raise FileRefused(RefusalCode(answer["code"]), answer["detail"])
