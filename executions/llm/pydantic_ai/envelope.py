"""A JSON Schema for replies without tools, which are either the document or questions.

Its root is an object, the choice is one level below, and its definitions are at the root. Providers with structured
output accept this form, and grammars can be built from it.
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

_PLAIN = tuple(answer_type.value for answer_type in AnswerType if "choice" not in answer_type)
_DOCUMENT = "document"  # name of the document's schema in the definitions
_INVALID_CHARACTERS = re.compile(r"[^A-Za-z0-9_-]+")
# keywords whose values map names to schemas
_SCHEMA_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
_DATA = frozenset({"const", "enum", "default", "examples"})  # keywords whose values are data, not schemas
_ROOT_KEYWORDS = frozenset({"$schema", "$id", "$defs", "definitions"})
#: Keywords that change the meaning of references or other keywords. Such a schema cannot be embedded in another one.
_NOT_EMBEDDABLE = frozenset(
    {"$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"}
)
_ANY_DOCUMENT: dict[str, JsonValue] = {
    "type": "object",
    "description": "Valid against the JSON Schema that is given.",
}


def envelope(schema: Mapping[str, JsonValue], *, max_questions: int) -> dict[str, JsonValue]:
    """Return the schema of `{"answer": {"submit_document": …}}` or `{"answer": {"ask_clarification": …}}`.

    Document schemas in an older dialect, or with ids or anchors, are not embedded; only the prompt contains them.

    Args:
        schema: JSON Schema of the document.
        max_questions: Limit per round.
    """
    try:
        document, definitions = _embedded(schema)
    except _NotEmbeddable:
        document, definitions = dict(_ANY_DOCUMENT), {}
    choice: list[JsonValue] = [
        _object({SUBMIT_DOCUMENT: document}),
        _object({ASK_CLARIFICATION: _object({QUESTIONS: _questions(max_questions)})}),
    ]
    return {**_object({ANSWER: {"anyOf": choice}}), **({"$defs": definitions} if definitions else {})}


def _questions(max_questions: int) -> JsonValue:
    """Return the schema of questions. Texts are short, because small models do not stop otherwise.

    Choice questions are excluded: small models repeat choices, which no grammar can prevent.
    """
    question = _object(
        {
            "text": _text(3, 400),
            "why": _text(0, 400),
            "answer_type": {"type": "string", "enum": list(_PLAIN)},
            "required": {"type": "boolean"},
        }
    )
    return {"type": "array", "items": question, "minItems": 1, "maxItems": max_questions}


def _text(minimum: int, maximum: int) -> dict[str, JsonValue]:
    return {"type": "string", **({"minLength": minimum} if minimum else {}), "maxLength": maximum}


def _object(properties: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema of an object with exactly these fields."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _embedded(schema: Mapping[str, JsonValue]) -> tuple[JsonValue, dict[str, JsonValue]]:
    """Return a schema for embedding in another one, and the definitions that the other one needs for it.

    Raises:
        _Immovable: the schema would change its meaning there.
    """
    if not _is_latest(schema):
        raise _NotEmbeddable
    embedding = _Embedding(schema)
    body = {name: inner for name, inner in schema.items() if name not in _ROOT_KEYWORDS}
    moved = embedding.schema(body)
    definitions = {new: embedding.schema(inner) for new, inner in embedding.definitions.items()}
    if embedding.refers_to_root:
        return {"$ref": f"#/$defs/{embedding.root}"}, {embedding.root: moved, **definitions}
    return moved, definitions


def _is_latest(schema: Mapping[str, JsonValue]) -> bool:
    try:
        return dialect_of(schema) is LATEST
    except UnknownDialect:
        return False


class _NotEmbeddable(ValueError):
    """A schema that would change its meaning inside another one."""


class _Embedding:
    """Rewrites references for definitions at another place, under unused names."""

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        self.definitions: dict[str, JsonValue] = {}  # by new name
        self.refers_to_root = False
        self._new_references: dict[tuple[str, str], str] = {}  # new references by keyword and name of the definition
        used_names: set[str] = set()
        for keyword in ("$defs", "definitions"):
            inner = schema.get(keyword)
            for name, definition in inner.items() if isinstance(inner, dict) else ():
                new = _unused_name(name, used_names)
                self.definitions[new] = definition
                self._new_references[keyword, name] = f"#/$defs/{new}"
        self.root = _unused_name(_DOCUMENT, used_names)

    def schema(self, part: JsonValue) -> JsonValue:
        """Return a schema, or a list of schemas, with rewritten references."""
        if isinstance(part, list):
            return [self.schema(item) for item in part]
        if not isinstance(part, dict):
            return part
        return {keyword: self._value(keyword, inner) for keyword, inner in part.items()}

    def _value(self, keyword: str, value: JsonValue) -> JsonValue:
        if keyword in _DATA:
            return value
        if keyword in _NOT_EMBEDDABLE:
            raise _NotEmbeddable
        if keyword == "$ref" and isinstance(value, str):
            return self._reference(value)
        if keyword in _SCHEMA_MAPS and isinstance(value, dict):
            return {name: self.schema(inner) for name, inner in value.items()}
        return self.schema(value)

    def _reference(self, reference: str) -> str:
        tokens = re.sub("%2f", "/", reference, flags=re.IGNORECASE).split("/")
        if tokens[0] != "#":
            raise _NotEmbeddable
        old_path = parts_of("/".join(map(unquote, tokens[:3])))
        if len(old_path) == 2 and (new := self._new_references.get((old_path[0], old_path[1]))) is not None:
            return "/".join([new, *tokens[3:]])
        self.refers_to_root = True
        return "/".join([f"#/$defs/{self.root}", *tokens[1:]])


def _unused_name(name: str, used_names: set[str]) -> str:
    """Return an unused name similar to this one, with characters that every provider accepts, and mark it as used."""
    base = new = _INVALID_CHARACTERS.sub("_", name) or "_"
    number = 1
    while new in used_names:
        number += 1
        new = f"{base}_{number}"
    used_names.add(new)
    return new
