"""Request bodies: JSON in UTF-8, of a size that can be walked, in which every name and number means one thing."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NoReturn

from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import JSONParser

from common.limits import MAX_ERRORS, limits

_LARGEST = int(sys.float_info.max)
_MOST_DIGITS = len(str(_LARGEST))
_MOST_OF_A_NAME = 200  # characters that a pointer shows of it

#: How a value is reached: the way to what holds it, and its own name or index there.
Way = tuple[Any, str] | None


class TooDeep(ParseError):
    """A body that is nested too deep."""

    default_code = "too-deep"


class TooManyFields(ParseError):
    """A body with too many members and items."""

    default_code = "too-many-fields"


class DuplicateKeys(ParseError):
    """A body in which an object names a member twice."""

    default_code = "duplicate-key"
    default_detail = "A name stands twice in the same object."

    def __init__(self, ways: Sequence[tuple[Way, str]]) -> None:
        super().__init__()
        self.error_count = len(ways)
        self.errors = [  # the first alone: a pointer may be as long as the body, and there may be one for each name
            {"pointer": _pointer(way), "code": "duplicate_key", "detail": f"The name {_cut(way[1])!r} stands twice."}
            for way in ways[:MAX_ERRORS]
        ]


class SaneJSONParser(JSONParser):
    """JSON as RFC 8259 has it between programs: UTF-8, each name once, numbers within a double's range."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body's value.

        Raises:
            ParseError: it is no JSON in UTF-8, nested too deep or too large, names a member twice, or holds a lone
                surrogate (which no answer could quote).
            ValidationError: a number is beyond what can be stored.
        """
        repeated: dict[int, tuple[object, list[str]]] = {}

        def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            found = dict(pairs)
            if len(found) < len(pairs):
                repeated[id(found)] = found, _repeated(name for name, _ in pairs)  # kept: an id is of what exists
            return found

        try:
            text = stream.read().decode("utf-8-sig")
            parsed = json.loads(text, object_pairs_hook=mapping, parse_int=_whole, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise _too_deep() from error
        except UnicodeDecodeError as error:
            raise ParseError("JSON parse error: the body is not UTF-8.") from error
        except json.JSONDecodeError as error:
            raise ParseError(f"JSON parse error: {error}.") from error
        names = {identity: found for identity, (_, found) in repeated.items()}
        if ways := _walk(parsed, names, has_surrogates="\\ud" in text or "\\uD" in text):
            raise DuplicateKeys(ways)
        return parsed


def _whole(digits: str) -> int | float:
    """Return a whole number, as a float where it has more digits than a double can hold: `_walk` refuses that."""
    return int(digits) if len(digits) <= _MOST_DIGITS + len("-") else math.inf


def _refuse_constant(name: str) -> NoReturn:
    raise ParseError(f"JSON parse error: JSON has no {name}.")


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return list(dict.fromkeys(name for name in names if name in seen or seen.add(name)))  # type: ignore[func-returns-value]


def _too_deep() -> TooDeep:
    return TooDeep(f"JSON parse error: nested more than {limits().request_depth} levels deep.")


def _walk(value: object, repeated: Mapping[int, list[str]], *, has_surrogates: bool) -> list[tuple[Way, str]]:
    """Return the ways to members that were named twice, after a look at all values.

    Raises:
        ParseError: it is nested too deep, has too many values, or a lone surrogate.
        ValidationError: a number is beyond what can be stored.
    """
    most, depth, count = limits(), 0, 0
    ways: list[tuple[Way, str]] = []
    _check_scalar(value, None, has_surrogates=has_surrogates)
    level: list[tuple[Any, Way]] = [(value, None)] if isinstance(value, dict | list) else []
    while level:
        depth, count = depth + 1, count + sum(len(each) for each, _ in level)
        if depth > most.request_depth:
            raise _too_deep()
        if count > most.request_fields:
            raise TooManyFields(f"The body has more than {most.request_fields} members and items.")
        inner: list[tuple[Any, Way]] = []
        for each, way in level:
            ways += ((way, name) for name in repeated.get(id(each), ()))
            inner += _containers(each, way, has_surrogates=has_surrogates)
        level = inner
    return ways


def _containers(value: dict[str, Any] | list[Any], way: Way, *, has_surrogates: bool) -> Iterator[tuple[Any, Way]]:
    """Yield the objects and lists right inside a value, with their ways; look at all else that is in it.

    Raises:
        ParseError, ValidationError: as `_check_scalar`.
    """
    pairs: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in pairs:
        if isinstance(inner, dict | list):
            yield inner, (way, name)
        else:
            _check_scalar(inner, (way, name), has_surrogates=has_surrogates)
        if has_surrogates:
            _check_scalar(name, (way, name), has_surrogates=True)


def _check_scalar(value: object, way: Way, *, has_surrogates: bool) -> None:
    """Look at a value that holds no others.

    Raises:
        ParseError: half of a surrogate pair is in it.
        ValidationError: it is a number beyond a double's range.
    """
    if isinstance(value, float | int):
        if not abs(value) <= _LARGEST:
            raise ValidationError(_nested(way, "A number beyond what can be stored."))
    elif has_surrogates and _is_half(value):
        raise ParseError("JSON parse error: a surrogate without its other half.")


def _is_half(text: object) -> bool:
    return isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text)


def _steps(way: Way) -> list[str]:
    found: list[str] = []
    while way is not None:
        way, name = way
        found.append(str(name))
    return found[::-1]


def _pointer(way: Way) -> str:
    return "".join("/" + _cut(step).replace("~", "~0").replace("/", "~1") for step in _steps(way))


def _cut(name: str) -> str:
    return name if len(name) <= _MOST_OF_A_NAME else f"{name[:_MOST_OF_A_NAME]}…"


def _nested(way: Way, message: str) -> Any:
    """Return a fault under the names that lead to it."""
    fault: Any = [ErrorDetail(message, code="not_storable")]
    for name in map(_cut, reversed(_steps(way))):
        fault = {name: fault}
    return fault
