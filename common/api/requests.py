"""The request class: all text is UTF-8."""

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
    """A request that is decoded as UTF-8, whatever charset its `Content-Type` names.

    Django decodes forms with the codec that the client names. Some codecs are not text encodings, and some take
    quadratic time.
    """

    def __init__(self, scope: Mapping[str, Any], body_file: IO[bytes]) -> None:
        query: bytes = scope.get("query_string", b"")
        if not query.isascii():  # Django rejects raw bytes; as percent-escapes they are valid
            scope = {**scope, "query_string": quote_from_bytes(query, safe=string.printable).encode()}
        super().__init__(scope, body_file)

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type = meta.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        self.content_params = {}  # Django's parsers read parameters from the header itself


def is_utf8(content_type: str) -> bool:
    """Return whether a `Content-Type` names only UTF-8, and has no parameter with a charset of its own."""
    charsets = {charset.strip().strip("\"'").lower() for charset in _CHARSET.findall(content_type)}
    return charsets <= UTF_8 and _ENCODED_PARAMETER.search(content_type) is None


def has_no_content_coding(content_encoding: str) -> bool:
    """Return whether a `Content-Encoding` is empty or `identity`."""
    return {coding.strip().lower() for coding in content_encoding.split(",")} <= {"", "identity"}
