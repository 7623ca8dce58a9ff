"""Files that people write: read as text, and what can be wrong with them."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from common.limits import limits

_LEVELS_AROUND_A_SCHEMA = 8  # of a definition
_LONGEST_NUMBER = 400  # characters
_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_SAMPLE = 512  # bytes that show how a text is encoded


@dataclass(frozen=True, slots=True)
class SourceFault:
    """One thing that is wrong with a file; `path` leads to the value, `line` counts from 1."""

    detail: str
    code: str = "unreadable_file"
    line: int | None = None
    path: tuple[str | int, ...] = ()


class SourceError(Exception):
    """A file that cannot be taken as it is written; `faults` says why."""

    def __init__(self, *faults: SourceFault) -> None:
        said = (f"line {each.line}: {each.detail}" if each.line else each.detail for each in faults)
        super().__init__(" ".join(said))
        self.faults = faults


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, without a byte order mark, its lines ended by a line feed each.

    Raises:
        SourceError: it is not there, no file, too large, or in another encoding.
    """
    most = limits().definition_bytes
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(SourceFault("It is no file."))
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise SourceError(SourceFault(f"{error.strerror or error}.")) from error
    except ValueError as error:  # U+0000 in a path
        raise SourceError(SourceFault(f"{str(error).capitalize()}.")) from error
    if len(data) > most:
        raise SourceError(SourceFault(f"It is larger than {most:,} bytes (MAX_DEFINITION_BYTES).", "too_large"))
    return _decoded(data).replace("\r\n", "\n").replace("\r", "\n")


def without_mark(text: str) -> str:
    """Return a text without the byte order mark that some editors put before it."""
    return text.removeprefix("\ufeff")


def most_levels() -> int:
    """Return how deep values in a file may lie within each other."""
    return limits().schema_depth + _LEVELS_AROUND_A_SCHEMA


def too_deep(line: int | None) -> SourceFault:
    """Return the fault of values that lie too deep within each other."""
    return SourceFault(f"Values lie more than {most_levels()} levels deep within each other.", "too_deep", line)


def is_long_number(text: str) -> bool:
    """Return whether a number has more characters than any that is meant."""
    return len(text) > _LONGEST_NUMBER


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "UTF-8")
    if encoding != "UTF-8" or b"\0" in data[:_SAMPLE]:
        raise SourceError(SourceFault("It is not in UTF-8 but, by its first bytes, in UTF-16; save it as UTF-8."))
    try:
        return without_mark(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        detail = f"It is not in UTF-8: byte 0x{data[error.start]:02x} cannot stand there; save it as UTF-8."
        raise SourceError(SourceFault(detail, line=line)) from error
