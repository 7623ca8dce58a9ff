"""JSON as models write it: behind a byte order mark, in a code fence, amid prose, with a comma too many.

What is taken away is never part of a value, and nothing is added: what comes out is what the model has written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pydantic import JsonValue

_STRING = r'"(?:[^"\\]|\\.)*"'
_BRACKET_OR_STRING = re.compile(rf"{_STRING}|[{{}}\[\]]", re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_FENCE = re.compile(r"\A```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\Z", re.DOTALL)
_MARK = "\ufeff"


class NotJson(ValueError):
    """A text that is no JSON, however it is looked at."""


def parse(text: str) -> JsonValue:
    """Return the JSON value that the whole text is, a byte order mark, a fence and last commas aside.

    Raises:
        NotJson: it is none.
    """
    text = text.strip().removeprefix(_MARK).strip()
    fenced = _FENCE.match(text)
    return _value(text if fenced is None else fenced[1])


def objects_in(text: str) -> Iterator[dict[str, JsonValue]]:
    """Yield the JSON objects in a text, outermost ones alone. After one that has no end nothing is looked at."""
    start = text.find("{")
    while start >= 0 and (end := _end_of(text, start)) is not None:
        try:
            found = _value(text[start:end])
        except NotJson:
            found = None
        if isinstance(found, dict):
            yield found
        start = text.find("{", end)


def _value(text: str) -> JsonValue:
    for candidate in (text, _STRING_OR_LAST_COMMA.sub(lambda found: found[1] or "", text)):
        try:
            value: JsonValue = json.loads(candidate, parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
        return value
    raise NotJson("This is no JSON.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _end_of(text: str, start: int) -> int | None:
    """Return where the object that begins at `start` has ended; None: nowhere."""
    depth = 0
    for found in _BRACKET_OR_STRING.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return None
