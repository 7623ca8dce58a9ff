"""Request bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class SaneJSONParser(JSONParser):
    """JSON that can be answered in JSON: of a depth that can be walked, and without halves of characters."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body's value.

        Raises:
            ParseError: it is no JSON, nested too deep, or holds a lone surrogate (which no answer could quote).
        """
        try:
            parsed = super().parse(stream, media_type=media_type, parser_context=parser_context)
            json.dumps(parsed, ensure_ascii=False).encode()
        except RecursionError as error:
            raise ParseError("JSON parse error: nested too deep.") from error
        except UnicodeEncodeError as error:
            raise ParseError("JSON parse error: a surrogate without its other half.") from error
        return parsed
