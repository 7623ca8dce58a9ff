"""JSON values: equality, pointers, and the absence of a value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, TypeAlias

from pydantic import JsonValue

MAX_DEPTH = 100  # levels that are compared value by value; what lies deeper is compared as a whole
INDEX = re.compile(r"0|[1-9][0-9]{0,17}")

Parts: TypeAlias = tuple[str, ...]


class Absent(Enum):
    """The type of `ABSENT`: no value, which is not the value null."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
MaybeValue: TypeAlias = JsonValue | Absent


class InvalidPointer(ValueError):
    """The text is no JSON Pointer."""


def parts_of(text: str) -> Parts:
    """Return the parts of a JSON Pointer.

    Raises:
        InvalidPointer: it does not begin with a slash, or a `~` is followed by neither 0 nor 1.
    """
    if not text:
        return ()
    if text[0] != "/":
        raise InvalidPointer('A pointer is empty or begins with "/".')
    if re.search("~(?![01])", text):
        raise InvalidPointer('"~" has to be followed by 0 or 1 in a pointer.')
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def child(value: MaybeValue, part: str) -> MaybeValue:
    """Return the value below an object or array; ABSENT if there is none."""
    if isinstance(value, dict):
        return value.get(part, ABSENT)
    if isinstance(value, list) and INDEX.fullmatch(part) and int(part) < len(value):
        return value[int(part)]
    return ABSENT


def resolve(value: MaybeValue, parts: Sequence[str]) -> MaybeValue:
    """Return the value at a path; ABSENT if there is none."""
    for part in parts:
        value = child(value, part)
    return value


def kind_of(value: MaybeValue) -> str:
    """Return `object`, `array`, `string`, `scalar` (a number, boolean or null) or `absent`."""
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, str):
        return "string"
    return "absent" if value is ABSENT else "scalar"


#: Stand for values in keys, where Python holds true equal to 1, and for the kinds of containers.
_TRUE, _FALSE, _OBJECT, _ARRAY, _DEEP = object(), object(), object(), object(), object()
_EMPTY = {dict: object(), list: object(), bool: _FALSE}
_ATOMS = frozenset({str, int, float, type(None)})


class EqualityKeys:
    """Gives JSON values hashable keys; values are equal as JSON if, and only if, their keys are.

    Numbers are equal by their value (1 and 1.0), and the order of an object's names does not count. Every container
    is looked at once. Below `MAX_DEPTH` levels, values are equal if their JSON texts with sorted names are.
    The values have to stay, and stay as they are, while the object is in use.
    """

    def __init__(self) -> None:
        self._keys: dict[tuple[object, ...], object] = {}  # by content: equal containers share one key
        self._known: dict[int, object] = {id(True): _TRUE}  # by id()

    def key(self, value: JsonValue, depth: int = 0) -> object:
        """Return the key of a value that lies `depth` levels deep in a document."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        key = self._known.get(id(value)) if value else _EMPTY[kind]
        if key is None:
            if isinstance(value, list) and depth < MAX_DEPTH:  # here, since a call more would cost a tenth of the time
                parts: list[object] = [_ARRAY]
                for each in value:
                    parts.append(each if type(each) in _ATOMS else self.key(each, depth + 1))
            else:
                parts = self._content(value, depth)
            key = self._known[id(value)] = self._keys.setdefault(tuple(parts), object())
        return key

    def _content(self, value: JsonValue, depth: int) -> list[object]:
        if depth >= MAX_DEPTH:
            return [_DEEP, json.dumps(value, sort_keys=True)]
        if not isinstance(value, dict):
            raise TypeError(f"{type(value).__name__} is no type of JSON")
        parts: list[object] = [_OBJECT]
        for name in sorted(value):
            each = value[name]
            parts += name, each if type(each) in _ATOMS else self.key(each, depth + 1)
        return parts


def is_equal(first: MaybeValue, second: MaybeValue) -> bool:
    """Return whether two values are equal as JSON, or both absent. Its time is that of the smaller value."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(is_equal(value, second[name]) for name, value in first.items())
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(is_equal, first, second))
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def text_bytes(value: JsonValue) -> int:
    """Return the bytes of a value's JSON text without spaces, in UTF-8, with as few escapes as possible."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def depth_of(value: JsonValue) -> int:
    """Return the levels of nesting: 0 for a scalar, 1 for a container without containers. Any depth is possible."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


def copy_of(value: JsonValue) -> JsonValue:
    """Return a copy that shares no list or object with the value."""
    if isinstance(value, dict):
        return {name: copy_of(each) for name, each in value.items()}
    return [copy_of(each) for each in value] if isinstance(value, list) else value


def texts_of(value: JsonValue) -> Iterator[tuple[Parts, str]]:
    """Yield all texts of a value with their paths, in order."""
    waiting: list[tuple[Parts, JsonValue]] = [((), value)]
    while waiting:
        parts, each = waiting.pop()
        if isinstance(each, str):
            yield parts, each
        elif isinstance(each, dict):
            waiting += [((*parts, name), inner) for name, inner in reversed(each.items())]
        elif isinstance(each, list):
            waiting += [((*parts, str(index)), each[index]) for index in reversed(range(len(each)))]
