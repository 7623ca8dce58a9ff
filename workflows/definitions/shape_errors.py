"""Structural errors of a definition: pydantic's errors, with their places in the source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common.errors import FieldError
from common.json_pointer import pointer
from workflows.json_schema.validation import json_errors

_NAME_LENGTH = 100  # characters of a name in a sentence
#: Sentences in place of pydantic's, by the type of its error. `name` is the last part of the place.
_SENTENCES = {
    "missing": "`{name}` is required.",
    "extra_forbidden": "There is no field `{name}` here.",
    "model_type": "Expected a mapping of names to values.",
    "dict_type": "Expected a mapping of names to values.",
    "tuple_type": "Expected a list.",
    "list_type": "Expected a list.",
    "string_type": "Expected a text.",
    "int_type": "Expected a whole number.",
    "int_from_float": "Expected a whole number.",
    "float_type": "Expected a number.",
    "bool_type": "Expected true or false.",
    "too_short": "The least number of items is {min_length}.",
}


def follows(field_error: FieldError, found: list[FieldError]) -> bool:
    """Return whether a "too short" error of a list only follows from errors of its elements, which do not count."""
    return field_error.code == "too_short" and any(each.pointer.startswith(f"{field_error.pointer}/") for each in found)


def shape_errors(error: dict[str, Any], source: Any) -> Iterator[FieldError]:
    """Convert an error of pydantic; errors within a schema are located in the source again."""
    match error["loc"]:
        case ("steps", int() as index, "output_schema", _, *_):
            yield from json_errors(source["steps"][index]["output_schema"], "steps", index, "output_schema")
        case loc:
            yield FieldError(pointer=pointer(*loc), code=error["type"], detail=_sentence(error))


def _sentence(error: dict[str, Any]) -> str:
    """Return what is wrong, in the words of people who write definitions."""
    name = str(error["loc"][-1])[:_NAME_LENGTH] if error["loc"] else ""
    template = _SENTENCES.get(error["type"])
    return error["msg"] if template is None else template.format(name=name, **error.get("ctx", {}))
