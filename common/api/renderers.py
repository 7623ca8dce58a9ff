"""Renderers for responses that people read."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from rest_framework.renderers import BaseRenderer, JSONRenderer

#: Headers of an HTML page that was made from documents: the browser runs no script and loads nothing for it.
SANDBOX: Mapping[str, str] = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


#: A cell that a spreadsheet would read as a formula.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")


class FileRenderer(BaseRenderer):
    """Sends bytes or a text that the view has made. Problems stay JSON."""

    charset: str | None = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return the bytes of the file."""
        if isinstance(data, bytes):
            return data
        if isinstance(data, str):
            return data.encode("utf-8")
        body: bytes = JSONRenderer().render(data, accepted_media_type, renderer_context)
        return body


class HtmlRenderer(FileRenderer):
    """Sends a page."""

    media_type = "text/html"
    format = "html"
    charset = "utf-8"


class CsvRenderer(FileRenderer):
    """Sends a table (RFC 4180)."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a table as CSV with a header. null is an empty cell."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Return the content of a cell: a text that a spreadsheet would read as a formula gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def file_renderer(name: str, media_type: str) -> type[FileRenderer]:
    """Return the renderer of a format: clients ask for it by `?format=name`, or by its media type."""
    kind, _, charset = media_type.partition("; charset=")
    parameters = {"media_type": kind, "charset": charset or None, "format": name}
    return type(f"{name.title()}FileRenderer", (FileRenderer,), parameters)
