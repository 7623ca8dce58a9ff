"""The content of a document as HTML for a page: class names only, no styles, every text escaped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy

from common.database.connections import give_back
from documents.rendering.errors import RenderingBusy, RenderingError
from documents.rendering.render import fragment_of
from documents.rendering.sources import DocumentSource

ANCHORS = "document"  # stands before the anchors of a document on a page
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)  # a fragment shows no time
_BUSY = gettext_lazy("The server is busy with other large documents. Reload the page in a moment.")
_TOO_LARGE = gettext_lazy("This document is too large to be shown here. Download it as a file or as JSON.")


@dataclass(frozen=True, slots=True)
class RenderedDocument:
    """A document as HTML: its text, and its contents list, which is empty if there are few headings."""

    body: SafeString
    contents: SafeString

    def __str__(self) -> str:
        return self.body


def render_document(content: Any, schema: Any, *, title: str) -> RenderedDocument:
    """Return a document as HTML. `title` stands above it; a field `title` with the same text is left out.

    A process with limits renders a large document. A document that it cannot render is a notice.
    """
    source = DocumentSource(name=ANCHORS, title=title, content=content, created_at=_ANY_TIME, schema=schema)
    try:
        found = fragment_of(source, before=give_back)
    except RenderingBusy:
        return _notice(_BUSY)
    except RenderingError:
        return _notice(_TOO_LARGE)
    return RenderedDocument(
        body=mark_safe(found.content),  # noqa: S308 - it escapes every text
        contents=mark_safe(found.contents),  # noqa: S308
    )


def _notice(text: str | Promise) -> RenderedDocument:
    return RenderedDocument(format_html('<p class="notice" role="status">{}</p>', text), SafeString(""))
