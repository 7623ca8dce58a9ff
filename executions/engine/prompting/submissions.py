"""What a reply hands in, and by which tool: as providers define it, and as local servers are known to send it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from executions.engine.prompting import lenient_json
from workflows.errors import parts_of

SUBMIT_DOCUMENT = "submit_document"
ASK_CLARIFICATION = "ask_clarification"
DOCUMENT = "document"  # argument of submit_document, where its schema does not say what a document is like
QUESTIONS = "questions"  # argument of ask_clarification
ANSWER = "answer"  # what a whole answer without tools stands under, when it is a document or questions

_TOOLS = {SUBMIT_DOCUMENT: "submitdocument", ASK_CLARIFICATION: "askclarification"}
_NO_LETTER = re.compile(r"[^a-z0-9]+")
_SHORTEST = 3  # letters of a part of a name that still means something
_CALL = frozenset({"name", "arguments", "parameters", "type", "id"})  # fields of a call that was written as text
_MOST_LEVELS = 16  # of schemas in schemas, for the names of a document's fields


def match_tool(name: str) -> str | None:
    """Return the one tool that a name can mean, whatever stands around its letters; None: none of them, or both."""
    told = _NO_LETTER.sub("", name.casefold())
    meant = [tool for tool, letters in _TOOLS.items() if letters in told]
    if not meant and len(told) >= _SHORTEST:
        meant = [tool for tool, letters in _TOOLS.items() if told in letters]
    return meant[0] if len(meant) == 1 else None


def is_unnamed(name: str) -> bool:
    """Return whether a name has no letter at all: what was called is told by the arguments alone."""
    return not _NO_LETTER.sub("", name.casefold())


def decode_arguments(value: JsonValue) -> JsonValue:
    """Return a tool's arguments as the value that they are; servers are known to encode them twice.

    Raises:
        InvalidJson: they are a text that is no JSON, and no prose around one JSON object.
    """
    for _ in range(2):
        if not isinstance(value, str):
            break
        value = _read(value)
    return value


def _read(text: str) -> JsonValue:
    try:
        return lenient_json.parse(text)
    except lenient_json.InvalidJson:
        found = list(lenient_json.find_objects(text))
        if len(found) == 1:
            return found[0]
        raise


def unwrap_document(value: JsonValue) -> tuple[str, JsonValue] | None:
    """Return the key that a document stands under, and what stands there; None: it does not stand alone under one.

    A document stands under `document` as the argument of the tool that all steps share, under the tool's name or
    `answer` where there are no tools, and under `arguments` in a call that a server has left in the text.
    """
    if not isinstance(value, dict):
        return None
    if len(value) == 1:
        [(key, inner)] = value.items()
        return (key, inner) if key in {DOCUMENT, SUBMIT_DOCUMENT, ANSWER} else None
    return _called(value, SUBMIT_DOCUMENT)


def clarification_arguments(value: JsonValue, schema: Mapping[str, JsonValue]) -> JsonValue:
    """Return the arguments of `ask_clarification` in an answer without tools; None: it does not ask.

    Args:
        value: The whole answer.
        schema: JSON Schema of the document: where that has a field `questions`, these are no questions to people.
    """
    if isinstance(value, dict) and list(value) == [ANSWER]:
        value = value[ANSWER]
    if not isinstance(value, dict):
        return None
    if list(value) == [ASK_CLARIFICATION]:
        return value[ASK_CLARIFICATION]
    if list(value) == [QUESTIONS] and QUESTIONS not in field_names(schema):
        return value
    call = _called(value, ASK_CLARIFICATION)
    return None if call is None else call[1]


def _called(value: dict[str, JsonValue], tool: str) -> tuple[str, JsonValue] | None:
    """Return the arguments of a call of a tool that was written as text, and their key; None: it is no such call."""
    name = value.get("name")
    keys = [key for key in ("arguments", "parameters") if key in value]
    if len(keys) != 1 or not isinstance(name, str) or not value.keys() <= _CALL or match_tool(name) != tool:
        return None
    return keys[0], value[keys[0]]


def field_names(schema: Mapping[str, JsonValue]) -> frozenset[str]:
    """Return the names that a schema has for the fields of a document, in whichever of its parts they stand."""
    return frozenset(_names(schema, schema, 0))


def _names(part: JsonValue | Mapping[str, JsonValue], root: Mapping[str, JsonValue], level: int) -> Iterator[str]:
    if not isinstance(part, Mapping) or level > _MOST_LEVELS:
        return
    properties = part.get("properties")
    if isinstance(properties, Mapping):
        yield from properties
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield from _names(_at(root, reference), root, level + 1)
    for keyword in ("allOf", "anyOf", "oneOf"):
        inner = part.get(keyword)
        for each in inner if isinstance(inner, list) else ():
            yield from _names(each, root, level + 1)
    for keyword in ("then", "else"):
        yield from _names(part.get(keyword), root, level + 1)


def _at(root: Mapping[str, JsonValue], reference: str) -> JsonValue:
    """Return the part of a schema that a local reference names; None: there is none."""
    here: JsonValue = dict(root)
    for step in parts_of(reference[1:]):
        if not isinstance(here, dict) or step not in here:
            return None
        here = here[step]
    return here
