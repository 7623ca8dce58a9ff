"""Renderers for responses that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer, JSONRenderer

#: Headers of an HTML page that was made from documents: the browser runs no script and loads nothing for it.
SANDBOX: Mapping[str, str] = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


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


def file_renderer(name: str, media_type: str) -> type[FileRenderer]:
    """Return the renderer of a format: clients ask for it by `?format=name`, or by its media type."""
    parameters = {"media_type": media_type.partition(";")[0], "format": name}
    return type(f"{name.title()}FileRenderer", (FileRenderer,), parameters)
