"""The content of a document as HTML for a page: class names only, no styles, every text escaped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from documents.rendering.chapters import book_of
from documents.rendering.sources import DocumentSource
from documents.rendering.writers.html import contents, fragment

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)  # a fragment shows no time


@dataclass(frozen=True, slots=True)
class RenderedDocument:
    """A document as HTML: its text, and its contents list, which is empty if there are few headings."""

    body: SafeString
    contents: SafeString

    def __str__(self) -> str:
        return self.body


def render_document(content: Any, schema: Any, *, title: str) -> RenderedDocument:
    """Return a document as HTML. `title` stands above it; a field `title` with the same text is left out."""
    source = DocumentSource(name="document", title=title, content=content, created_at=_ANY_TIME, schema=schema)
    [chapter] = book_of(source).chapters
    return RenderedDocument(
        body=mark_safe(fragment(chapter)),  # noqa: S308 - it escapes every text
        contents=mark_safe(contents(chapter)),  # noqa: S308
    )
