"""Files written by people: reading, decoding, and the errors in them."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from common.limits import limits

_LEVELS_AROUND_A_SCHEMA = 8  # levels of a definition that enclose a schema
_MAX_NUMBER_LENGTH = 400  # characters
_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_SAMPLE = 512  # bytes that reveal the encoding of a text
_SHARE_OF_NULS = 0.2  # of the bytes; a text of UTF-16 has more, in most languages half


@dataclass(frozen=True, slots=True)
class FileError:
    """One error in a file; `path` leads to the value, `line` counts from 1."""

    detail: str
    code: str = "unreadable_file"
    line: int | None = None
    path: tuple[str | int, ...] = ()


class SourceError(Exception):
    """A file with errors; `faults` lists them."""

    def __init__(self, *errors: FileError) -> None:
        details = (f"line {each.line}: {each.detail}" if each.line else each.detail for each in errors)
        super().__init__(" ".join(details))
        self.errors = errors


def read_text(path: Path) -> str:
    """Read a UTF-8 file, without its byte order mark, and with line feeds as line ends.

    Raises:
        SourceError: the file is missing, not a regular file, too large, or in another encoding.
    """
    data = read_bytes(path, max_bytes=limits().definition_bytes, setting="MAX_DEFINITION_BYTES")
    return decode(data)


def read_bytes(path: Path, *, max_bytes: int, setting: str) -> bytes:
    """Read a file of at most `max_bytes`, a limit that a setting names.

    Raises:
        SourceError: the file is missing, not a regular file, or too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(FileError("It is not a file."))
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise SourceError(FileError(f"{error.strerror or error}.")) from error
    except ValueError as error:  # U+0000 in a path
        raise SourceError(FileError(f"{str(error).capitalize()}.")) from error
    if len(data) > max_bytes:
        raise SourceError(FileError(f"It is larger than {max_bytes:,} bytes ({setting}).", "too_large"))
    return data


def max_levels() -> int:
    """Return the max nesting depth of values in a file."""
    return limits().schema_depth + _LEVELS_AROUND_A_SCHEMA


def too_deep(line: int | None) -> FileError:
    """Return the error for values that are nested too deep."""
    return FileError(f"Values are nested more than {max_levels()} levels deep.", "too_deep", line)


def too_many_values(line: int | None) -> FileError:
    """Return the error for a file with too many values."""
    detail = f"It has more than {limits().definition_values:,} values (MAX_DEFINITION_VALUES)."
    return FileError(detail, "too_large", line)


def is_long_number(text: str) -> bool:
    """Return whether a number has more characters than any plausible number."""
    return len(text) > _MAX_NUMBER_LENGTH


def decode(data: bytes) -> str:
    """Return a UTF-8 text without its byte order mark, and with line feeds as line ends.

    Raises:
        SourceError: the bytes are in another encoding.
    """
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "UTF-8")
    if encoding != "UTF-8" or data[:_SAMPLE].count(b"\0") > len(data[:_SAMPLE]) * _SHARE_OF_NULS:
        raise SourceError(FileError("The encoding seems to be UTF-16, not UTF-8. Save it as UTF-8."))
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        detail = f"It is not in UTF-8: byte 0x{data[error.start]:02x} is invalid there; save it as UTF-8."
        raise SourceError(FileError(detail, line=line)) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
