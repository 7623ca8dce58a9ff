"""The process that reads one file: `extract` starts it, writes a request to its input, and reads an answer.

The request is a line of JSON and the bytes of the file. The answer is one JSON value. The process limits itself before
it looks at the file, and opens no connection.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from documents.extraction.detection import detect
from documents.extraction.limits import EXIT_OUT_OF_MEMORY, ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, FileType, RefusalCode

_NICENESS = 5
_MAX_WRITTEN_BYTES = 1024 * 1024
_RECURSION_LIMIT = 3_000


def main() -> None:
    """Read the request, write the answer, and end."""
    answers = _keep_output()
    header = json.loads(sys.stdin.buffer.readline())
    limits = ExtractionLimits(**header["limits"])
    _limit_process(limits)
    try:
        answer = _answer(sys.stdin.buffer.read(), header["name"], limits)
        with os.fdopen(answers, "wb") as output:
            output.write(json.dumps(answer).encode())
    except MemoryError:
        os._exit(EXIT_OUT_OF_MEMORY)


def _keep_output() -> int:
    """Return a descriptor of the answers; what a library prints goes nowhere."""
    answers = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    return answers


def _limit_process(limits: ExtractionLimits) -> None:
    """Limit memory, time and written bytes. macOS does not limit the memory of a process."""
    os.nice(_NICENESS)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds + 1, limits.seconds + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_WRITTEN_BYTES, _MAX_WRITTEN_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(limits.seconds + 5)  # also without a parent
    sys.setrecursionlimit(_RECURSION_LIMIT)


def _answer(data: bytes, name: str, limits: ExtractionLimits) -> dict[str, Any]:
    try:
        return {"extraction": read(data, name, limits).to_json()}
    except FileRefused as refusal:
        return {"code": refusal.code, "detail": refusal.detail}
    except RecursionError:
        return {"code": RefusalCode.DAMAGED, "detail": "is damaged: its parts are nested too deep"}


def read(data: bytes, name: str, limits: ExtractionLimits) -> Extraction:
    """Return the text of a file, in this process.

    Raises:
        FileRefused: the file is not read; see its code.
    """
    kind = detect(data, name)
    return _reader(kind)(data, limits)


def _reader(kind: FileType) -> Callable[[bytes, ExtractionLimits], Extraction]:
    """Return the reader of a type; only its library is loaded."""
    if kind is FileType.PDF:
        from documents.extraction import pdf  # noqa: PLC0415

        return pdf.read
    if kind is FileType.DOCX:
        from documents.extraction.docx import reader  # noqa: PLC0415

        return reader.read
    if kind is FileType.XLSX:
        from documents.extraction import xlsx  # noqa: PLC0415

        return xlsx.read
    if kind is FileType.CSV:
        from documents.extraction import csv_file  # noqa: PLC0415

        return csv_file.read
    return _reader_of_kind(kind)


def _reader_of_kind(kind: FileType) -> Callable[[bytes, ExtractionLimits], Extraction]:
    from documents.extraction import images, text  # noqa: PLC0415

    read_kind = images.read if kind in (FileType.PNG, FileType.JPEG) else text.read
    return lambda data, limits: read_kind(data, kind, limits)
