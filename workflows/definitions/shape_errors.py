"""Structural errors of a definition: pydantic's errors, with their places in the source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common.errors import FieldError
from common.json_pointer import pointer
from workflows.json_schema.validation import json_errors


def follows(field_error: FieldError, found: list[FieldError]) -> bool:
    """Return whether a "too short" error of a list only follows from errors of its elements, which do not count."""
    return field_error.code == "too_short" and any(each.pointer.startswith(f"{field_error.pointer}/") for each in found)


def shape_errors(error: dict[str, Any], source: Any) -> Iterator[FieldError]:
    """Convert an error of pydantic; errors within a schema are located in the source again."""
    match error["loc"]:
        case ("steps", int() as index, "output_schema", _, *_):
            yield from json_errors(source["steps"][index]["output_schema"], "steps", index, "output_schema")
        case loc:
            yield FieldError(pointer=pointer(*loc), code=error["type"], detail=error["msg"])
