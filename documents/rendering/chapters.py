"""A source as a book: one chapter for each document, with blocks. Every format writes a book."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from documents.rendering.content.blocks import content_blocks
from documents.rendering.content.template import render_template
from documents.rendering.content.tree import Blocks, Heading, anchor_of, clean_line, headings_of, text_of
from documents.rendering.errors import RenderingLimitExceeded, TemplateError
from documents.rendering.sources import DocumentSource, ExecutionSource, Source

_UNTITLED = "Untitled"


@dataclass(frozen=True)
class Chapter:
    """One document."""

    name: str
    title: str
    anchor: str
    blocks: Blocks
    provenance: tuple[str, ...]
    language: str | None


@dataclass(frozen=True)
class Book:
    """What one file holds. A single document is a book of one chapter, and has no first page."""

    title: str
    chapters: tuple[Chapter, ...]
    facts: tuple[tuple[str, str], ...]
    provenance: tuple[str, ...]
    language: str | None
    created_at: datetime  # UTC
    is_execution: bool


def front_of(source: Source) -> Book:
    """Return the book of a source without its chapters."""
    return Book(
        title=clean_line(source.title) or _UNTITLED,
        chapters=(),
        facts=tuple((clean_line(name), clean_line(value)) for name, value in getattr(source, "facts", ())),
        provenance=_lines(source.provenance),
        language=source.language,
        created_at=source.created_at.astimezone(UTC),
        is_execution=isinstance(source, ExecutionSource),
    )


def book_of(source: Source) -> Book:
    """Return the book of a source."""
    if isinstance(source, DocumentSource):
        chapter = chapter_of(source)
        return replace(front_of(source), title=chapter.title, chapters=(chapter,))
    names = _unique(source.documents)
    chapters = (chapter_of(each, name) for each, name in zip(source.documents, names, strict=True))
    return replace(front_of(source), chapters=tuple(chapters))


def chapter_of(source: DocumentSource, prefix: str = "") -> Chapter:
    """Return one document. The prefix stands before the name of each of its anchors."""
    title, blocks, notes = _shown(source, prefix)
    return Chapter(
        name=clean_line(source.name),
        title=title,
        anchor=anchor_of("", prefix) or "top",
        blocks=blocks,
        provenance=_lines((*source.provenance, *notes)),
        language=source.language,
    )


def _shown(source: DocumentSource, prefix: str) -> tuple[str, Blocks, tuple[str, ...]]:
    """Return the title and the blocks of a document, and lines for its footer.

    A document that its template cannot show has the usual form.
    """
    title = clean_line(source.title) or _UNTITLED
    notes: tuple[str, ...] = ()
    if source.template is not None:
        try:
            made = render_template(source.template, source.content, source.schema, prefix=prefix)
        except (TemplateError, RenderingLimitExceeded) as error:
            notes = (f"The template of the workflow could not be used: {error}",)
        else:
            return *_own_title(title, made), notes
    return title, content_blocks(source.content, source.schema, title=title, prefix=prefix), notes


def _own_title(title: str, blocks: Blocks) -> tuple[str, Blocks]:
    """Return the title and the rest of a document that begins with its only heading of the first level."""
    first = blocks[0] if blocks else None
    if not isinstance(first, Heading) or [each.level for each in headings_of(blocks)].count(first.level) > 1:
        return title, blocks
    rest = (
        replace(block, level=max(block.level - 1, 1)) if isinstance(block, Heading) else block for block in blocks[1:]
    )
    return clean_line(text_of(first.text)) or title, tuple(rest)


def _unique(documents: tuple[DocumentSource, ...]) -> list[str]:
    """Return the names of documents, with a number where one stands twice."""
    found: dict[str, None] = {}
    counts: Counter[str] = Counter()
    for document in documents:
        name = document.name
        while name in found:
            counts[document.name] += 1
            name = f"{document.name}-{counts[document.name] + 1}"
        found[name] = None
    return list(found)


def _lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line for line in map(clean_line, lines) if line)
