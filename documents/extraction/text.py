"""Text and Markdown files: decoded, with line feeds as line ends, in segments of lines."""

from __future__ import annotations

import re

from documents.extraction import encoding
from documents.extraction.limits import CharacterBudget, ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, FileType, RefusalCode, Segment, span

#: A segment ends with the line that reaches this many characters.
SEGMENT_CHARACTERS = 4_000

_LINE_END = re.compile("\r\n?|\x0b|\x0c|\x85|\u2028|\u2029")
#: Characters that JSON or PostgreSQL cannot store, or that no text means.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_NAMES = {"cp932": "Shift-JIS", "cp949": "EUC-KR", "gb18030": "GB 18030", "utf-8": "UTF-8", "mac_roman": "Mac Roman"}


def clean(text: str) -> str:
    """Return a text whose lines end with line feeds, without NUL, control characters and lone surrogates."""
    if text.isascii() and text.isprintable():
        return text
    return _UNWANTED.sub("", _LINE_END.sub("\n", text))


def decode(data: bytes) -> tuple[str, list[str]]:
    """Return the clean text of a file, and notes about its encoding.

    Raises:
        FileRefused: the bytes are no text.
    """
    decoded = encoding.decode(data)
    if decoded is None:
        raise FileRefused(RefusalCode.UNSUPPORTED_TYPE, "is not a text")
    notes = []
    if not decoded.is_certain:
        notes.append(f"The text was read as {_display_name(decoded.encoding)}, by what its characters look like.")
    if "\ufffd" in decoded.text:
        notes.append("Some characters could not be read.")
    if "\0" in decoded.text:
        notes.append("NUL characters were removed.")
    return clean(decoded.text), notes


def _display_name(name: str) -> str:
    return _NAMES.get(name, re.sub(r"^cp(?=125)", "Windows-", name))


def read(data: bytes, kind: FileType, limits: ExtractionLimits) -> Extraction:
    """Return the text of a text file; lines count from 1."""
    text, notes = decode(data)
    CharacterBudget(limits).spend(text)
    segments = split_by_lines(text)
    if not text.strip():
        notes.append("The file has no text.")
    return Extraction.of(kind, segments, notes=notes, title=_title(text) if kind is FileType.MARKDOWN else "")


def _title(text: str) -> str:
    first = re.search(r"^#[ \t]+(.+)$", text[:10_000], re.MULTILINE)
    return first[1].strip(" #") if first else ""


def split_by_lines(text: str) -> list[Segment]:
    """Return the text in segments of whole lines."""
    lines = text.removesuffix("\n").split("\n")
    segments = []
    first, size = 0, 0
    for number, line in enumerate(lines, 1):
        size += len(line) + 1
        if size >= SEGMENT_CHARACTERS or number == len(lines):
            part = "\n".join(lines[first:number])
            if part.strip():
                segments.append(Segment(*span("lines", first + 1, number), part))
            first, size = number, 0
    return segments
