"""One JSON Schema for an answer without tools that is either the document or questions.

Its root is an object, its choice stands below, and its definitions at the top: this is what providers that hold answers
to a schema take, and what grammars are made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import JsonValue

from executions.engine.clarification import AnswerType
from executions.engine.submissions import ANSWER, ASK_CLARIFICATION, QUESTIONS, SUBMIT_DOCUMENT

_PLAIN = tuple(each.value for each in AnswerType if "choice" not in each)
_DOCUMENT = "document"  # the name of the document's schema among the definitions
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})  # names to schemas
_DATA = frozenset({"const", "enum", "default", "examples"})  # not schemas, whatever they look like
_OF_A_ROOT = frozenset({"$schema", "$id", "$defs", "definitions"})


def envelope(schema: Mapping[str, JsonValue], *, max_questions: int) -> dict[str, JsonValue]:
    """Return the schema of `{"answer": {"submit_document": …}}` or `{"answer": {"ask_clarification": …}}`.

    Args:
        schema: JSON Schema of the document.
        max_questions: In one round.
    """
    document, definitions = _moved(schema)
    choice: list[JsonValue] = [
        _object({SUBMIT_DOCUMENT: document}),
        _object({ASK_CLARIFICATION: _object({QUESTIONS: _questions(max_questions)})}),
    ]
    return {**_object({ANSWER: {"anyOf": choice}}), **({"$defs": definitions} if definitions else {})}


def _questions(most: int) -> JsonValue:
    """Return the schema of questions: short ones, as small models find no end, and each of them can be answered.

    They offer no choices: small models offer the same one twice, which no grammar can keep them from.
    """
    question = _object(
        {
            "text": _text(3, 400),
            "why": _text(0, 400),
            "answer_type": {"type": "string", "enum": list(_PLAIN)},
            "required": {"type": "boolean"},
        }
    )
    return {"type": "array", "items": question, "minItems": 1, "maxItems": most}


def _text(least: int, most: int) -> dict[str, JsonValue]:
    return {"type": "string", **({"minLength": least} if least else {}), "maxLength": most}


def _object(properties: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema of an object that has all of these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _moved(schema: Mapping[str, JsonValue]) -> tuple[JsonValue, dict[str, JsonValue]]:
    """Return a schema as a part of another one, and the definitions that this other one needs for it."""
    move = _Move(schema)
    body = {name: inner for name, inner in schema.items() if name not in _OF_A_ROOT}
    moved = move.schema(body)
    definitions = {new: move.schema(inner) for (_, new), inner in move.definitions.items()}
    if move.refers_to_root:
        return {"$ref": f"#/$defs/{move.root}"}, {move.root: moved, **definitions}
    return moved, definitions


class _Move:
    """References as they have to be once the definitions stand at another place, under names that are free."""

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        self.definitions: dict[tuple[str, str], JsonValue] = {}  # by where they stood and their new name
        self.refers_to_root = False
        self._places: list[tuple[str, str]] = []  # beginnings of references, and what they become
        taken: set[str] = set()
        for keyword in ("$defs", "definitions"):
            inner = schema.get(keyword)
            for name, definition in inner.items() if isinstance(inner, dict) else ():
                place = f"#/{keyword}/{name.replace('~', '~0').replace('/', '~1')}"
                new = _free(name, taken)
                self.definitions[place, new] = definition
                self._places.append((place, f"#/$defs/{new}"))
        self.root = _free(_DOCUMENT, taken)

    def schema(self, part: JsonValue) -> JsonValue:
        """Return a schema, or a list of them, with references to where things stand now."""
        if isinstance(part, list):
            return [self.schema(each) for each in part]
        if not isinstance(part, dict):
            return part
        return {keyword: self._value(keyword, inner) for keyword, inner in part.items()}

    def _value(self, keyword: str, value: JsonValue) -> JsonValue:
        if keyword in _DATA:
            return value
        if keyword == "$ref" and isinstance(value, str):
            return self._reference(value)
        if keyword in _MAPS and isinstance(value, dict):
            return {name: self.schema(inner) for name, inner in value.items()}
        return self.schema(value)

    def _reference(self, reference: str) -> str:
        if reference != "#" and not reference.startswith("#/"):
            return reference
        for place, new in self._places:
            if reference == place or reference.startswith(f"{place}/"):
                return new + reference[len(place) :]
        self.refers_to_root = True
        return f"#/$defs/{self.root}{reference[1:]}"


def _free(name: str, taken: set[str]) -> str:
    """Return a name like this one that is not taken yet, of letters that every provider takes, and take it."""
    plain = new = _NO_NAME.sub("_", name) or "_"
    number = 1
    while new in taken:
        number += 1
        new = f"{plain}_{number}"
    taken.add(new)
    return new
