"""JSON as models write it: behind a byte order mark, in a code fence, amid prose, with a comma too many.

What is taken away is never part of a value, and nothing is added: what comes out is what the model has written. A
control character in a string is taken as it stands, as it can mean nothing else. What could mean two things is refused,
with its reason and its place.
"""

from __future__ import annotations

import json
import re
from collections import Counter

from pydantic import JsonValue

from workflows.errors import storable

#: A string, or all that follows where it has no end: no scan begins within one, and each takes linear time.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_BRACKET_OR_STRING = re.compile(rf"{_STRING}|[{{}}\[\]]", re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_STRING_OR_CONSTANT = re.compile(rf"{_STRING}|(?P<constant>-?Infinity|NaN)", re.DOTALL)
_FENCE_START = re.compile(r"```[\w-]*[ \t]*\n")
_FENCE_END = "```"
_MARK = "\ufeff"
_AROUND = 20  # characters that are shown on either side of a fault
_OBJECT = re.compile(r"\{\s*[\"}]")
#: Where an object may begin, as JSON or as other languages write it, or end with the text.
_LIKE_AN_OBJECT = re.compile(r"\{\s*(?:[\"'}\u2018\u2019\u201c\u201d#]|//|/\*|[\w$-]+\s*:|\Z)")
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


class InvalidJson(ValueError):
    """A text that is no JSON, however it is looked at; it says why, and where.

    The place is counted when it is told: many stretches of a text may be none.
    """

    def __init__(self, text: str, reason: str, position: int) -> None:
        super().__init__(reason)
        self._text, self._reason, self._position = text, reason, position

    def __str__(self) -> str:
        return _told(self._text, self._reason, self._position)


def parse(text: str) -> JsonValue:
    """Return the JSON value that the whole text is, a byte order mark, a fence and last commas aside.

    Raises:
        InvalidJson: it is none; with the reason, line, column and a short excerpt.
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
    """Return the JSON objects in a text, outermost ones alone. After one that has no end nothing is looked at.

    Raises:
        InvalidJson: one is found, and behind the last of them stands what looks like an object and is none. Which of them
            is meant cannot be told: the first may be an example.
    """
    found: list[dict[str, JsonValue]] = []
    broken: InvalidJson | None = None
    start = text.find("{")
    while start >= 0:
        ended = _end_of(text, start)
        end = len(text) if ended is None else ended
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
    """Return the object that stands in braces; None: they hold something else.

    Raises:
        InvalidJson: it looks like an object, and is no JSON.
    """
    if _OBJECT.match(text, start, end):
        value = _value(text, start, end)
        return value if isinstance(value, dict) else None
    if likely := _LIKE_AN_OBJECT.search(text, start, end):
        _value(text, likely.start(), end)
    return None


def explain_invalid(text: str) -> str:
    """Return why the first object in a text is no JSON, or that there is none. For texts without a whole object."""
    start = text.find("{")
    if start < 0:
        return "there is no JSON object in it"
    try:
        _value(text, start, _end_of(text, start) or len(text))
    except InvalidJson as error:
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
        InvalidJson: it is none.
    """
    written = text[start:end]
    fault = ("", start)
    for candidate in (written, _STRING_OR_LAST_COMMA.sub(lambda found: found[1] or " ", written)):
        try:
            value: JsonValue = _DECODER.decode(candidate)
        except json.JSONDecodeError as error:
            fault = (_reason(error), start + error.pos)
        except _Constant:
            fault = (_NO_CONSTANT, start + _first_constant(candidate))
        except _Twice as error:
            fault = (f"the name {str(error)!r:.100} stands twice in one object", start)
        except RecursionError:
            fault = ("it is nested too deep", start)
        except ValueError:
            fault = ("a number has more digits than can be read", start)
        else:
            return value
    raise InvalidJson(text, *fault)


class _Constant(ValueError):
    """A number that JSON does not have."""


class _Twice(ValueError):
    """A name that an object has twice."""


def _members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Twice(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return members


def _refuse(constant: str) -> None:
    raise _Constant(constant)


#: Not strict: characters below U+0020 may stand in strings.
_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse, object_pairs_hook=_members)


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
