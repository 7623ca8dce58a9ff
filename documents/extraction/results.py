"""What reading a file gives: its text in segments, or a refusal with a sentence for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

#: Characters of a title, and of a name in a sentence.
MAX_TITLE = 300
MAX_NOTES = 100


class FileType(StrEnum):
    """A kind of file that is read."""

    PDF = "pdf"
    DOCX = "docx"
    XLSX = "xlsx"
    CSV = "csv"
    MARKDOWN = "markdown"
    TEXT = "text"
    PNG = "png"
    JPEG = "jpeg"

    @property
    def media_type(self) -> str:
        """Return the media type of RFC 6838."""
        return _MEDIA_TYPES[self]

    @property
    def noun(self) -> str:
        """Return the kind as a noun with its article, for sentences."""
        return _NOUNS[self]


_OOXML = "application/vnd.openxmlformats-officedocument."
_MEDIA_TYPES = {
    FileType.PDF: "application/pdf",
    FileType.DOCX: f"{_OOXML}wordprocessingml.document",
    FileType.XLSX: f"{_OOXML}spreadsheetml.sheet",
    FileType.CSV: "text/csv",
    FileType.MARKDOWN: "text/markdown",
    FileType.TEXT: "text/plain",
    FileType.PNG: "image/png",
    FileType.JPEG: "image/jpeg",
}
_NOUNS = {
    FileType.PDF: "a PDF",
    FileType.DOCX: "a Word document (DOCX)",
    FileType.XLSX: "an Excel workbook (XLSX)",
    FileType.CSV: "a text (CSV)",
    FileType.MARKDOWN: "a text (Markdown)",
    FileType.TEXT: "a text",
    FileType.PNG: "a PNG picture",
    FileType.JPEG: "a JPEG picture",
}


class RefusalCode(StrEnum):
    """Why a file is refused; the values are stable."""

    EMPTY = "empty"
    UNSUPPORTED_TYPE = "unsupported-type"
    TYPE_MISMATCH = "type-mismatch"
    ENCRYPTED = "encrypted"
    MACROS = "macros"
    EXTERNAL_ENTITIES = "external-entities"
    EXTERNAL_CONTENT = "external-content"
    ARCHIVE_BOMB = "archive-bomb"
    DAMAGED = "damaged"
    TOO_LARGE = "too-large"
    TOO_MANY_PAGES = "too-many-pages"
    TOO_MANY_CELLS = "too-many-cells"
    TOO_MANY_PIXELS = "too-many-pixels"
    OUT_OF_MEMORY = "out-of-memory"
    TIMED_OUT = "timed-out"


class FileRefused(Exception):
    """A file that is not read. Readers give the predicate of a sentence; `extract` puts the file's name before it.

    Attributes:
        code: why, for programs.
        detail: why, for people.
    """

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Segment:
    """A part of a file's text that can be cited by its anchor.

    Attributes:
        anchor: what stands after `#` in a citation, such as `page=7`.
        label: the place for people, such as `page 7`.
        text: the text; empty for a page without text.
    """

    anchor: str
    label: str
    text: str


def span(unit: str, first: int, last: int) -> tuple[str, str]:
    """Return the anchor and the label of a range, such as `lines=1-9` and `lines 1 to 9`."""
    if first == last:
        return f"{unit}={first}", f"{unit.removesuffix('s')} {first}"
    return f"{unit}={first}-{last}", f"{unit} {first} to {last}"


@dataclass(frozen=True)
class Extraction:
    """The text of a file.

    Attributes:
        media_type: by content, never what the client claimed.
        title: what the file's own metadata give as its title; empty without one.
        pages: pages of a PDF; None for other files.
        segments: the text in reading order; none for pictures.
        notes: sentences about what was found and not read.
        characters: characters of all segments.
        width: pixels of a picture; None for other files.
        height: pixels of a picture; None for other files.
        encrypted: whether it is an encrypted PDF, which opens without a password.
    """

    media_type: str
    title: str
    pages: int | None
    segments: tuple[Segment, ...]
    notes: tuple[str, ...]
    characters: int
    width: int | None = None
    height: int | None = None
    encrypted: bool = False

    @classmethod
    def of(
        cls,
        file_type: FileType,
        segments: list[Segment],
        *,
        notes: list[str] | None = None,
        title: str = "",
        pages: int | None = None,
        pixels: tuple[int, int] | None = None,
        encrypted: bool = False,
    ) -> Extraction:
        """Return the extraction of a file; equal notes become one."""
        unique = list(dict.fromkeys(notes or []))
        left_out = len(unique) - MAX_NOTES
        if left_out > 0:
            unique = [*unique[:MAX_NOTES], f"{left_out} more notes are left out."]
        return cls(
            media_type=file_type.media_type,
            title=title.strip()[:MAX_TITLE],
            pages=pages,
            segments=tuple(segments),
            notes=tuple(unique),
            characters=sum(len(each.text) for each in segments),
            width=None if pixels is None else pixels[0],
            height=None if pixels is None else pixels[1],
            encrypted=encrypted,
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Extraction:
        """Return the extraction of a value that `to_json` made."""
        values = {each.name: value[each.name] for each in fields(cls)}
        values["segments"] = tuple(Segment(**each) for each in value["segments"])
        values["notes"] = tuple(value["notes"])
        return cls(**values)
