"""The tool call or document in a reply, in the providers' format and in the deviations of local servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from executions.engine.prompting import lenient_json
from workflows.errors import parts_of

SUBMIT_DOCUMENT = "submit_document"
ASK_CLARIFICATION = "ask_clarification"
DOCUMENT = "document"  # argument of submit_document, if its schema does not describe the document
QUESTIONS = "questions"  # argument of ask_clarification
ANSWER = "answer"  # key of the document or the questions in a reply without tools

_TOOLS = {SUBMIT_DOCUMENT: "submitdocument", ASK_CLARIFICATION: "askclarification"}
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
_MIN_LETTERS = 3  # letters of a partial tool name that is still recognised
# fields of a tool call that was written as text
_CALL_FIELDS = frozenset({"name", "arguments", "parameters", "type", "id"})
_MAX_LEVELS = 16  # nesting levels of schemas that are searched for field names


def match_tool(name: str) -> str | None:
    """Return the one tool that a name can mean, ignoring case and punctuation; None: no tool or both."""
    letters_of_name = _NOT_ALPHANUMERIC.sub("", name.casefold())
    tools = [tool for tool, letters in _TOOLS.items() if letters in letters_of_name]
    if not tools and len(letters_of_name) >= _MIN_LETTERS:
        tools = [tool for tool, letters in _TOOLS.items() if letters_of_name in letters]
    return tools[0] if len(tools) == 1 else None


def is_unnamed(name: str) -> bool:
    """Return whether a name has no letter or digit: then only the arguments show which tool is meant."""
    return not _NOT_ALPHANUMERIC.sub("", name.casefold())


def decode_arguments(value: JsonValue) -> JsonValue:
    """Return a tool's arguments as a value; some servers encode them as JSON text twice.

    Raises:
        InvalidJson: the arguments are text that neither is JSON nor contains exactly one JSON object.
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
        objects = list(lenient_json.find_objects(text))
        if len(objects) == 1:
            return objects[0]
        raise


def unwrap_document(value: JsonValue) -> tuple[str, JsonValue] | None:
    """Return the key that wraps a document, and the wrapped value; None: the document is not wrapped.

    The key is `document` in the argument of the tool that all steps share. Without tools it is the tool's name or
    `answer`. In a tool call written as text it is `arguments` or `parameters`.
    """
    if not isinstance(value, dict):
        return None
    if len(value) == 1:
        [(key, inner)] = value.items()
        return (key, inner) if key in {DOCUMENT, SUBMIT_DOCUMENT, ANSWER} else None
    return _call_arguments(value, SUBMIT_DOCUMENT)


def clarification_arguments(value: JsonValue, schema: Mapping[str, JsonValue]) -> JsonValue:
    """Return the arguments of `ask_clarification` in a reply without tools; None: the reply does not ask.

    Args:
        value: The whole reply.
        schema: JSON Schema of the document. If it has a field `questions`, that field is no clarification.
    """
    if isinstance(value, dict) and list(value) == [ANSWER]:
        value = value[ANSWER]
    if not isinstance(value, dict):
        return None
    if list(value) == [ASK_CLARIFICATION]:
        return value[ASK_CLARIFICATION]
    if list(value) == [QUESTIONS] and QUESTIONS not in field_names(schema):
        return value
    call = _call_arguments(value, ASK_CLARIFICATION)
    return None if call is None else call[1]


def _call_arguments(value: dict[str, JsonValue], tool: str) -> tuple[str, JsonValue] | None:
    """Return the arguments of a tool call written as text, and their key; None: the value is not such a call."""
    name = value.get("name")
    keys = [key for key in ("arguments", "parameters") if key in value]
    if len(keys) != 1 or not isinstance(name, str) or not value.keys() <= _CALL_FIELDS or match_tool(name) != tool:
        return None
    return keys[0], value[keys[0]]


def field_names(schema: Mapping[str, JsonValue]) -> frozenset[str]:
    """Return the field names in a schema, from all its parts."""
    return frozenset(_names(schema, schema, 0))


def _names(part: JsonValue | Mapping[str, JsonValue], root: Mapping[str, JsonValue], level: int) -> Iterator[str]:
    if not isinstance(part, Mapping) or level > _MAX_LEVELS:
        return
    properties = part.get("properties")
    if isinstance(properties, Mapping):
        yield from properties
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield from _names(_at(root, reference), root, level + 1)
    for keyword in ("allOf", "anyOf", "oneOf"):
        inner = part.get(keyword)
        for branch in inner if isinstance(inner, list) else ():
            yield from _names(branch, root, level + 1)
    for keyword in ("then", "else"):
        yield from _names(part.get(keyword), root, level + 1)


def _at(root: Mapping[str, JsonValue], reference: str) -> JsonValue:
    """Return the part of a schema that a local reference names; None: it does not exist."""
    current: JsonValue = dict(root)
    for step in parts_of(reference[1:]):
        if not isinstance(current, dict) or step not in current:
            return None
        current = current[step]
    return current
