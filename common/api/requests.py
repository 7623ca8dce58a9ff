"""Requests as Django sees them, with text in UTF-8 alone."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import quote_from_bytes

from django.core.handlers.asgi import ASGIRequest

UTF_8 = frozenset({"utf-8", "utf8"})

_CHARSET = re.compile(r';\s*charset\s*=\s*("[^"]*"|[^;,]*)', re.IGNORECASE)
_ENCODED_PARAMETER = re.compile(r";[^=;\"]*\*\s*=")  # RFC 2231: `name*=charset'language'value`


class Utf8Request(ASGIRequest):
    """A request whose text is UTF-8, whatever charset its `Content-Type` names.

    Django looks up the codec that a client names, and decodes forms with it. Some codecs are no text encodings, and
    some take time that grows with the square of the size.
    """

    def __init__(self, scope: Mapping[str, Any], body_file: IO[bytes]) -> None:
        query: bytes = scope.get("query_string", b"")
        if not query.isascii():  # Django would not take it; as escapes it is read as all others
            scope = {**scope, "query_string": quote_from_bytes(query, safe=string.printable).encode()}
        super().__init__(scope, body_file)

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type = meta.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        self.content_params = {}  # Django's parsers read parameters from the header itself


def is_utf8(content_type: str) -> bool:
    """Return whether a `Content-Type` names no charset but UTF-8, and encodes no parameter in one of its own."""
    charsets = {given.strip().strip("\"'").lower() for given in _CHARSET.findall(content_type)}
    return charsets <= UTF_8 and _ENCODED_PARAMETER.search(content_type) is None


def is_uncoded(content_encoding: str) -> bool:
    """Return whether a `Content-Encoding` names no coding, or `identity` alone."""
    return {coding.strip().lower() for coding in content_encoding.split(",")} <= {"", "identity"}
