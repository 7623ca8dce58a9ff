"""One JSON Schema for an answer without tools that is either the document or questions.

Its root is an object, its choice stands below, and its definitions at the top: this is what providers that hold answers
to a schema take, and what grammars are made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from pydantic import JsonValue

from executions.engine.domain.clarification import AnswerType
from executions.engine.prompting.submissions import ANSWER, ASK_CLARIFICATION, QUESTIONS, SUBMIT_DOCUMENT
from workflows.errors import parts_of
from workflows.json_schema.dialects import LATEST, UnknownDialect, dialect_of

_PLAIN = tuple(each.value for each in AnswerType if "choice" not in each)
_DOCUMENT = "document"  # the name of the document's schema among the definitions
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})  # names to schemas
_DATA = frozenset({"const", "enum", "default", "examples"})  # not schemas, whatever they look like
_OF_A_ROOT = frozenset({"$schema", "$id", "$defs", "definitions"})
#: What references, or other keywords, mean something else with: such a schema cannot be a part of another one.
_FIXED = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"})
_ANY_DOCUMENT: dict[str, JsonValue] = {
    "type": "object",
    "description": "Valid against the JSON Schema that is given.",
}


def envelope(schema: Mapping[str, JsonValue], *, max_questions: int) -> dict[str, JsonValue]:
    """Return the schema of `{"answer": {"submit_document": …}}` or `{"answer": {"ask_clarification": …}}`.

    A document's schema in an older dialect, or with addresses or anchors of its own, stands in the prompt alone.

    Args:
        schema: JSON Schema of the document.
        max_questions: In one round.
    """
    try:
        document, definitions = _moved(schema)
    except _Immovable:
        document, definitions = dict(_ANY_DOCUMENT), {}
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
    """Return a schema as a part of another one, and the definitions that this other one needs for it.

    Raises:
        _Immovable: it would mean something else there.
    """
    if not _is_latest(schema):
        raise _Immovable
    move = _Move(schema)
    body = {name: inner for name, inner in schema.items() if name not in _OF_A_ROOT}
    moved = move.schema(body)
    definitions = {new: move.schema(inner) for new, inner in move.definitions.items()}
    if move.refers_to_root:
        return {"$ref": f"#/$defs/{move.root}"}, {move.root: moved, **definitions}
    return moved, definitions


def _is_latest(schema: Mapping[str, JsonValue]) -> bool:
    try:
        return dialect_of(schema) is LATEST
    except UnknownDialect:
        return False


class _Immovable(ValueError):
    """A schema that would mean something else as a part of another one."""


class _Move:
    """References as they have to be once the definitions stand at another place, under names that are free."""

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        self.definitions: dict[str, JsonValue] = {}  # by their new name
        self.refers_to_root = False
        self._places: dict[tuple[str, str], str] = {}  # by keyword and name, where definitions stand now
        taken: set[str] = set()
        for keyword in ("$defs", "definitions"):
            inner = schema.get(keyword)
            for name, definition in inner.items() if isinstance(inner, dict) else ():
                new = _free(name, taken)
                self.definitions[new] = definition
                self._places[keyword, name] = f"#/$defs/{new}"
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
        if keyword in _FIXED:
            raise _Immovable
        if keyword == "$ref" and isinstance(value, str):
            return self._reference(value)
        if keyword in _MAPS and isinstance(value, dict):
            return {name: self.schema(inner) for name, inner in value.items()}
        return self.schema(value)

    def _reference(self, reference: str) -> str:
        written = re.sub("%2f", "/", reference, flags=re.IGNORECASE).split("/")
        if written[0] != "#":
            raise _Immovable
        place = parts_of("/".join(map(unquote, written[:3])))
        if len(place) == 2 and (new := self._places.get((place[0], place[1]))) is not None:
            return "/".join([new, *written[3:]])
        self.refers_to_root = True
        return "/".join([f"#/$defs/{self.root}", *written[1:]])


def _free(name: str, taken: set[str]) -> str:
    """Return a name like this one that is not taken yet, of letters that every provider takes, and take it."""
    plain = new = _NO_NAME.sub("_", name) or "_"
    number = 1
    while new in taken:
        number += 1
        new = f"{plain}_{number}"
    taken.add(new)
    return new
