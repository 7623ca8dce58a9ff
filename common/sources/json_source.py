"""JSON files written by people: duplicate names and non-finite numbers are errors."""

from __future__ import annotations

import math
import re

import jiter
from pydantic import JsonValue

from common.limits import limits
from common.sources.text_source import FileError, SourceError, max_levels, too_deep, too_many_values

_POSITION = re.compile(r"\s+at line (\d+) column (\d+)$")
_DUPLICATE = re.compile(r"Detected duplicate key (.*)$", re.DOTALL)


def read_json(text: str) -> JsonValue:
    """Parse a JSON text.

    Raises:
        SourceError: the text is not JSON, is nested too deep, has a duplicate name, or a number that is too large.
    """
    try:
        value: JsonValue = jiter.from_json(text.encode(), allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise SourceError(_field_error(str(error))) from error
    _check(value)
    return value


def _field_error(message: str) -> FileError:
    position = _POSITION.search(message)
    line = int(position[1]) if position else None
    reason = message[: position.start()] if position else message
    if (duplicate := _DUPLICATE.match(reason)) is not None:
        detail = f"The name {duplicate[1]:.100} appears twice in one object; names must be unique."
        return FileError(detail, "duplicate_key", line)
    if reason == "recursion limit exceeded":
        return too_deep(line)
    return FileError(
        f"It is not valid JSON: {reason[:200]}{f' (column {position[2]})' if position else ''}.", line=line
    )


def _check(value: JsonValue) -> None:
    """Check the depth, all numbers and the number of values, level by level."""
    level: list[JsonValue] = [value]
    count = 0
    for _ in range(max_levels() + 1):
        count += len(level)
        if count > limits().definition_values:
            raise SourceError(too_many_values(None))
        if any(isinstance(each, float) and not math.isfinite(each) for each in level):
            raise SourceError(FileError("A number is too large for JSON (max about 1.8e308)."))
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise SourceError(too_deep(None))


def _inside(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
