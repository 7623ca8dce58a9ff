"""JSON as models write it: behind a byte order mark, in a code fence, amid prose, with a comma too many.

What is taken away is never part of a value, and nothing is added: what comes out is what the model has written. A
control character in a string is taken as it stands, as it can mean nothing else. What could mean two things is refused,
with its reason and its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pydantic import JsonValue

from workflows.faults import storable

_STRING = r'"(?:[^"\\]|\\.)*"'
_BRACKET_OR_STRING = re.compile(rf"{_STRING}|[{{}}\[\]]", re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_STRING_OR_CONSTANT = re.compile(rf"{_STRING}|(?P<constant>-?Infinity|NaN)", re.DOTALL)
_FENCE = re.compile(r"\A```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\Z", re.DOTALL)
_MARK = "\ufeff"
_AROUND = 20  # characters that are shown on either side of a fault
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_CONSTANT = "JSON has no NaN and no infinite numbers"
_NO_COMMA = "a comma is missing here, or a double quote within the string before lacks its backslash"

#: What stands where the parser stops, and what JSON wants instead; the first that fits is told.
_REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\s*\Z"), "the text ends before its JSON does"),
    (re.compile(r"\\"), "a backslash in a string is written twice, unless it begins an escape of JSON"),
    (re.compile(r"'|\u2018|\u2019|\u201c|\u201d"), 'names and strings stand in double quotes (")'),
    (re.compile(r"//|/\*|#"), "JSON has no comments"),
    (re.compile(r"[+-]?(?:Infinity|NaN)\b"), _NO_CONSTANT),
    (re.compile(r"True\b|False\b|None\b|undefined\b"), "JSON writes true, false and null"),
    (re.compile(r"\.\.\.|\u2026"), "nothing may be left out"),
)


class NotJson(ValueError):
    """A text that is no JSON, however it is looked at; it says why, and where."""


def parse(text: str) -> JsonValue:
    """Return the JSON value that the whole text is, a byte order mark, a fence and last commas aside.

    Raises:
        NotJson: it is none; with the reason, line, column and a short excerpt.
    """
    start, end = _trimmed(text, 0, len(text))
    if text.startswith(_MARK, start):
        start, end = _trimmed(text, start + len(_MARK), end)
    fenced = _FENCE.match(text[start:end])
    if fenced is not None:
        start, end = start + fenced.start(1), start + fenced.end(1)
    return _value(text, start, end)


def objects_in(text: str) -> Iterator[dict[str, JsonValue]]:
    """Yield the JSON objects in a text, outermost ones alone. After one that has no end nothing is looked at."""
    start = text.find("{")
    while start >= 0 and (end := _end_of(text, start)) is not None:
        try:
            found = _value(text, start, end)
        except NotJson:
            found = None
        if isinstance(found, dict):
            yield found
        start = text.find("{", end)


def fault_in(text: str) -> str:
    """Return why the first object in a text is no JSON, or that there is none. For texts without a whole object."""
    start = text.find("{")
    if start < 0:
        return "there is no JSON object in it"
    try:
        _value(text, start, _end_of(text, start) or len(text))
    except NotJson as error:
        return str(error)
    return "there is more than one JSON object in it"


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return where a stretch of a text begins and ends without the white space around it."""
    inner = text[start:end]
    left = inner.lstrip()
    return end - len(left), end - len(left) + len(left.rstrip())


def _value(text: str, start: int, end: int) -> JsonValue:
    """Return the JSON value that a stretch of a text is.

    Raises:
        NotJson: it is none.
    """
    written = text[start:end]
    fault = ("", start)
    for candidate in (written, _STRING_OR_LAST_COMMA.sub(lambda found: found[1] or " ", written)):
        try:
            # Not strict: characters below U+0020 may stand in strings.
            value: JsonValue = json.loads(candidate, strict=False, parse_constant=_refuse)
        except json.JSONDecodeError as error:
            fault = (_reason(error), start + error.pos)
        except _Constant:
            fault = (_NO_CONSTANT, start + _first_constant(candidate))
        except RecursionError:
            fault = ("it is nested too deep", start)
        except ValueError:
            fault = ("a number has more digits than can be read", start)
        else:
            return value
    raise NotJson(_told(text, *fault))


class _Constant(ValueError):
    """A number that JSON does not have."""


def _refuse(constant: str) -> None:
    raise _Constant(constant)


def _first_constant(text: str) -> int:
    return next((found.start() for found in _STRING_OR_CONSTANT.finditer(text) if found["constant"]), 0)


def _reason(error: json.JSONDecodeError) -> str:
    if error.msg.startswith("Unterminated string"):
        return "a string that begins here has no end"
    here = next((reason for pattern, reason in _REASONS if pattern.match(error.doc, error.pos)), None)
    if here is None and error.msg == "Expecting ',' delimiter":
        here = _NO_COMMA
    return here or f"{error.msg[:1].lower()}{error.msg[1:]}"


def _told(text: str, reason: str, position: int) -> str:
    """Return a reason with its place, as an editor counts lines and columns, and the text around it."""
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    excerpt = _CONTROL.sub(" ", storable(text[max(position - _AROUND, 0) : position + _AROUND]))
    return f"line {line}, column {column}: {reason}; near: {excerpt}" if excerpt else f"line {line}: {reason}"


def _end_of(text: str, start: int) -> int | None:
    """Return where the object that begins at `start` has ended; None: nowhere."""
    depth = 0
    for found in _BRACKET_OR_STRING.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return None
