"""A book as PDF by Typst: PDF/A-2a and PDF/UA-1, with bookmarks, a contents list and page numbers.

Typst gets the fixed source `page.typ`, and the content as data; no text of a document is ever source. It is loaded by
the process that renders, see `limited_process`.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from documents.rendering.chapters import Book, Chapter
from documents.rendering.content.tree import (
    Block,
    CodeBlock,
    Fields,
    Heading,
    Leaf,
    ListBlock,
    Paragraph,
    Quote,
    Rule,
    Run,
    Runs,
    Table,
    plain,
)
from documents.rendering.writers.glyphs import FAMILIES, GlyphCheck, listed_characters
from documents.rendering.writers.layout import (
    breakable,
    characters_of_column,
    column_widths,
    contents_depth,
    footer_of,
    is_right_to_left,
)

_STANDARDS: dict[str, Any] = {"pdf_standards": ["a-2a", "ua-1"]}
_LONGEST_WORD = 40  # characters
_LONGEST_LABEL = 22
_CODE_LINE = 76
#: The language tags that Typst takes: a code of two or three letters, and a region of two.
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:-[A-Za-z]{4})?(?:-([A-Za-z]{2}))?(?:-.*)?")


def render(book: Book) -> bytes:
    """Return the PDF of a book."""
    import typst  # noqa: PLC0415 - heavy; only the process that makes a PDF loads it

    data = _Writer().book(book)
    with tempfile.TemporaryDirectory() as empty:
        compiler = typst.Compiler(root=empty, ignore_system_fonts=True, package_path=empty, package_cache_path=empty)
        source = Path(__file__).with_name("page.typ").read_bytes()
        options: dict[str, Any] = {
            "format": "pdf",
            "timestamp": int(book.created_at.timestamp()),
            "sys_inputs": {"data": json.dumps(data, ensure_ascii=False)},
        }
        try:
            made = compiler.compile(source, **options, **_STANDARDS)
        except typst.TypstError as error:
            if not str(error.message).startswith("PDF/"):
                raise
            made = compiler.compile(source, **options)  # the standards refuse something in the text
    if not isinstance(made, bytes):
        raise TypeError("Typst returned no file")
    return made


class _Writer:
    """Turns blocks into the JSON that `page.typ` reads."""

    def __init__(self) -> None:
        self._glyphs = GlyphCheck()
        self._longest = _LONGEST_WORD

    def book(self, book: Book) -> dict[str, Any]:
        language, region = _language(book.language or (book.chapters[0].language if book.chapters else None))
        provenance = book.provenance if book.is_execution else book.chapters[0].provenance
        footer, is_all = footer_of(provenance)
        made = book.created_at
        data: dict[str, Any] = {
            "title": self._bold(book.title),
            "date": [made.year, made.month, made.day, made.hour, made.minute, made.second],
            "fonts": FAMILIES,
            "language": language,
            "region": region,
            "is_execution": book.is_execution,
            "facts": [[self._bold(name), self._inline(plain(value))] for name, value in book.facts],
            "depth": contents_depth(book),
            "footer": self._text(footer),
            "chapters": [self._chapter(each, book.is_execution) for each in book.chapters],
            "ending": [] if is_all else [self._text(line) for line in provenance],
        }
        return data | {"missing": listed_characters(self._glyphs.missing)}

    def _chapter(self, chapter: Chapter, is_execution: bool) -> dict[str, Any]:
        shift = 1 if is_execution else 0
        return {
            "title": self._bold(chapter.title),
            "blocks": self._blocks(chapter.blocks, shift),
            "provenance": [self._text(line) for line in chapter.provenance] if is_execution else [],
        }

    def _blocks(self, blocks: Iterable[Block], shift: int = 0) -> list[dict[str, Any]]:
        return [self._block(block, shift) for block in blocks]

    def _block(self, block: Block, shift: int) -> dict[str, Any]:
        match block:
            case Fields():
                return {"k": "f", "rows": [[self._label(each.label), self._runs(each.value)] for each in block.fields]}
            case ListBlock():
                return {"k": "l", "start": block.start, "items": [self._blocks(item) for item in block.items]}
            case Table():
                return self._table(block)
            case Quote():
                return {"k": "q", "b": self._blocks(block.blocks)}
            case _:
                return self._leaf(block, shift)

    def _leaf(self, block: Leaf, shift: int) -> dict[str, Any]:
        match block:
            case Heading():
                return {"k": "h", "n": block.level + shift, "t": self._runs(block.text, bold=True)}
            case Paragraph():
                is_bold, is_italic = block.role == "label", block.role in {"intro", "note"}
                return {"k": "p", "role": block.role, "t": self._runs(block.text, bold=is_bold, italic=is_italic)}
            case CodeBlock():
                return {"k": "c", "t": self._code(block.text)}
            case Rule():
                return {"k": "r"}

    def _table(self, table: Table) -> dict[str, Any]:
        widths = column_widths(table)
        return {
            "k": "t",
            "widths": [round(width * 1000) for width in widths],
            "aligns": [align or "start" for align in table.aligns],
            "header": [self._cell(cell, width, bold=True) for cell, width in zip(table.header, widths, strict=True)],
            "rows": [self._cell(cell, width) for row in table.rows for cell, width in zip(row, widths, strict=True)],
        }

    def _cell(self, runs: Runs, width: float, *, bold: bool = False) -> Any:
        self._longest = characters_of_column(width)
        shown = self._runs(runs, bold=bold)
        self._longest = _LONGEST_WORD
        return shown

    def _label(self, label: str) -> str:
        return breakable(self._glyphs.shown(label, bold=True), _LONGEST_LABEL)

    def _bold(self, text: str) -> str:
        return breakable(self._glyphs.shown(text, bold=True), _LONGEST_LABEL)

    def _text(self, text: str) -> str:
        return breakable(self._glyphs.shown(text), _LONGEST_WORD)

    def _code(self, text: str) -> str:
        return breakable(self._glyphs.shown(text.expandtabs(4)), _CODE_LINE)

    def _runs(self, runs: Runs, *, bold: bool = False, italic: bool = False) -> Any:
        """Return runs: a text, a list of runs, or an object with them when they begin from the right."""
        inner = self._inline(runs, bold=bold, italic=italic)
        return {"rtl": inner} if is_right_to_left(runs) else inner

    def _inline(self, runs: Sequence[Run], *, bold: bool = False, italic: bool = False) -> Any:
        if len(runs) == 1 and runs[0] == Run(runs[0].text) and "\n" not in runs[0].text:
            return breakable(self._glyphs.shown(runs[0].text, bold=bold, italic=italic), self._longest)
        found: list[dict[str, Any]] = []
        for run in runs:
            text = self._glyphs.shown(run.text, bold=run.bold or bold, italic=run.italic or italic)
            longest = max(4, int(self._longest * 0.7)) if run.code else self._longest
            styles = {name[0]: 1 for name in ("bold", "italic", "strike", "code") if getattr(run, name)}
            found.append({"t": breakable(text, longest)} | styles | ({"h": run.href} if run.href else {}))
        return found


def _language(tag: str | None) -> tuple[str | None, str | None]:
    found = _LANGUAGE.fullmatch(tag or "")
    if found is None:
        return None, None
    return found[1].lower(), found[2].upper() if found[2] else None
