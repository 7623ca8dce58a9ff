"""JSON that people write: no name twice in an object, and no number that is none."""

from __future__ import annotations

import math
import re

import jiter
from pydantic import JsonValue

from common.sources.text_source import SourceError, SourceFault, most_levels, too_deep

_PLACE = re.compile(r"\s+at line (\d+) column (\d+)$")
_TWICE = re.compile(r"Detected duplicate key (.*)$", re.DOTALL)


def read_json(text: str) -> JsonValue:
    """Return what a JSON text says.

    Raises:
        SourceError: it is no JSON, too deep, has a name twice in an object, or a number that is too large.
    """
    try:
        value: JsonValue = jiter.from_json(text.encode(), allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise SourceError(_fault(str(error))) from error
    _check(value)
    return value


def _fault(message: str) -> SourceFault:
    place = _PLACE.search(message)
    line = int(place[1]) if place else None
    said = message[: place.start()] if place else message
    if (twice := _TWICE.match(said)) is not None:
        detail = f"The name {twice[1]:.100} stands twice in one object; each name may stand once."
        return SourceFault(detail, "duplicate_key", line)
    if said == "recursion limit exceeded":
        return too_deep(line)
    return SourceFault(f"It is no JSON: {said[:200]}{f' (column {place[2]})' if place else ''}.", line=line)


def _check(value: JsonValue) -> None:
    """Look at all values, level by level."""
    level: list[JsonValue] = [value]
    for _ in range(most_levels() + 1):
        if any(isinstance(each, float) and not math.isfinite(each) for each in level):
            raise SourceError(SourceFault("A number is too large for JSON (about 1.8e308 at most)."))
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise SourceError(too_deep(None))


def _inside(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
