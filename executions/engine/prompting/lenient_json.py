"""A lenient JSON parser for model output: byte order mark, code fence, surrounding prose, trailing commas.

The parser only removes text that is not part of a value, and it adds nothing. It accepts control characters in strings,
because their meaning is clear. It rejects ambiguous text with a reason and a position.
"""

from __future__ import annotations

import json
import re
from collections import Counter

from pydantic import JsonValue

from workflows.errors import storable

#: A string, or everything up to the end if it is not closed. So no scan starts within a string and all are linear.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_BRACKET_OR_STRING = re.compile(rf"{_STRING}|[{{}}\[\]]", re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_STRING_OR_CONSTANT = re.compile(rf"{_STRING}|(?P<constant>-?Infinity|NaN)", re.DOTALL)
_FENCE_START = re.compile(r"```[\w-]*[ \t]*\n")
_FENCE_END = "```"
_MARK = "\ufeff"
_AROUND = 20  # characters of context on either side of an error
_OBJECT = re.compile(r"\{\s*[\"}]")
#: A possible start of an object, in JSON or in the syntax of another language; also a brace at the end of the text.
_LIKE_AN_OBJECT = re.compile(r"\{\s*(?:[\"'}\u2018\u2019\u201c\u201d#]|//|/\*|[\w$-]+\s*:|\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_CONSTANT = "JSON has no NaN and no infinite numbers"
_NO_COMMA = "a comma is missing here, or a double quote within the string before lacks its backslash"

#: Error messages by the text at the parser's position; the first match counts.
_REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\s*\Z"), "the text ends before its JSON does"),
    (re.compile(r"\\"), "a backslash in a string is written twice, unless it begins an escape of JSON"),
    (re.compile(r"'|\u2018|\u2019|\u201c|\u201d"), 'names and strings stand in double quotes (")'),
    (re.compile(r"//|/\*|#"), "JSON has no comments"),
    (re.compile(r"[+-]?(?:Infinity|NaN)\b"), _NO_CONSTANT),
    (re.compile(r"True\b|False\b|None\b|undefined\b"), "JSON writes true, false and null"),
    (re.compile(r"\.\.\.|\u2026"), "nothing may be left out"),
)


class InvalidJson(ValueError):
    """The text is not JSON, even with all tolerated deviations. The message has the reason and the position.

    Line and column are computed only when the message is read: the parser may discard many such errors.
    """

    def __init__(self, text: str, reason: str, position: int) -> None:
        super().__init__(reason)
        self._text, self._reason, self._position = text, reason, position

    def __str__(self) -> str:
        return _message(self._text, self._reason, self._position)


def parse(text: str) -> JsonValue:
    """Return the JSON value of the whole text, ignoring a byte order mark, a code fence and trailing commas.

    Raises:
        InvalidJson: the text is not JSON; the message has reason, line, column and an excerpt.
    """
    start, end = _trimmed(text, 0, len(text))
    if text.startswith(_MARK, start):
        start, end = _trimmed(text, start + len(_MARK), end)
    fence = _FENCE_START.match(text, start, end)
    if fence is not None and text.endswith(_FENCE_END, fence.end(), end):
        start = fence.end()
        end = start + len(text[start : end - len(_FENCE_END)].rstrip(" \t").removesuffix("\n"))
    return _value(text, start, end)


def find_objects(text: str) -> list[dict[str, JsonValue]]:
    """Return the outermost JSON objects in a text. The search ends at an object without a closing brace.

    Raises:
        InvalidJson: the text after the last object looks like another object but is not JSON. The object before it may
            be an example, so it is not returned.
    """
    found: list[dict[str, JsonValue]] = []
    broken: InvalidJson | None = None
    start = text.find("{")
    while start >= 0:
        object_end = _end_of(text, start)
        end = len(text) if object_end is None else object_end
        try:
            value = _object(text, start, end)
        except InvalidJson as error:
            broken = error
        else:
            if value is not None:
                found.append(value)
                broken = None
        start = text.find("{", end)
    if found and broken is not None:
        raise broken
    return found


def _object(text: str, start: int, end: int) -> dict[str, JsonValue] | None:
    """Return the object at this position; None: the braces contain something else.

    Raises:
        InvalidJson: the text looks like an object and is not JSON.
    """
    if _OBJECT.match(text, start, end):
        value = _value(text, start, end)
        return value if isinstance(value, dict) else None
    if likely := _LIKE_AN_OBJECT.search(text, start, end):
        _value(text, likely.start(), end)
    return None


def explain_invalid(text: str) -> str:
    """Return why the first object in a text is not JSON. For texts in which no single object was found."""
    start = text.find("{")
    if start < 0:
        return "there is no JSON object in it"
    try:
        _value(text, start, _end_of(text, start) or len(text))
    except InvalidJson as error:
        return str(error)
    return "there is more than one JSON object in it"


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the bounds of the section without surrounding white space."""
    section = text[start:end]
    unindented = section.lstrip()
    return end - len(unindented), end - len(unindented) + len(unindented.rstrip())


def _value(text: str, start: int, end: int) -> JsonValue:
    """Return the JSON value of a section of the text.

    Raises:
        InvalidJson: the section is not JSON.
    """
    section = text[start:end]
    error_at = ("", start)
    for candidate in (section, _STRING_OR_LAST_COMMA.sub(lambda found: found[1] or " ", section)):
        try:
            value: JsonValue = _DECODER.decode(candidate)
        except json.JSONDecodeError as error:
            error_at = (_reason(error), start + error.pos)
        except _NonFiniteNumber:
            error_at = (_NO_CONSTANT, start + _first_constant(candidate))
        except _DuplicateName as error:
            error_at = (f"the name {str(error)!r:.100} stands twice in one object", start)
        except RecursionError:
            error_at = ("it is nested too deep", start)
        except ValueError:
            error_at = ("a number has more digits than can be read", start)
        else:
            return value
    raise InvalidJson(text, *error_at)


class _NonFiniteNumber(ValueError):
    """A number that JSON does not support."""


class _DuplicateName(ValueError):
    """A name that occurs twice in an object."""


def _members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _DuplicateName(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return members


def _refuse(constant: str) -> None:
    raise _NonFiniteNumber(constant)


#: Not strict: strings may contain control characters.
_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse, object_pairs_hook=_members)


def _first_constant(text: str) -> int:
    return next((found.start() for found in _STRING_OR_CONSTANT.finditer(text) if found["constant"]), 0)


def _reason(error: json.JSONDecodeError) -> str:
    if error.msg.startswith("Unterminated string"):
        return "a string that begins here has no end"
    reason = next((reason for pattern, reason in _REASONS if pattern.match(error.doc, error.pos)), None)
    if reason is None and error.msg == "Expecting ',' delimiter":
        reason = _NO_COMMA
    return reason or f"{error.msg[:1].lower()}{error.msg[1:]}"


def _message(text: str, reason: str, position: int) -> str:
    """Return the reason with line and column as editors count them, and an excerpt."""
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    excerpt = _CONTROL.sub(" ", storable(text[max(position - _AROUND, 0) : position + _AROUND]))
    return f"line {line}, column {column}: {reason}; near: {excerpt}" if excerpt else f"line {line}: {reason}"


def _end_of(text: str, start: int) -> int | None:
    """Return where the object that begins at `start` ends; None: it has no end."""
    depth = 0
    for found in _BRACKET_OR_STRING.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return None
