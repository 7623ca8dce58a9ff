"""Requests whose text is UTF-8, and strict JSON bodies: bounded, with unique names and numbers of a double."""

from __future__ import annotations

import json
import math
import re
import string
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NoReturn
from urllib.parse import quote_from_bytes

from django.core.handlers.asgi import ASGIRequest
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import JSONParser

from common.json_pointer import pointer
from common.limits import MAX_ERRORS, limits

_MAX_NUMBER = int(sys.float_info.max)
_MAX_DIGITS = len(str(_MAX_NUMBER))
_MAX_NAME = 200  # characters that a pointer shows of it

#: Path to a value as a linked list: the path of its container, and its name or index there.
ValuePath = tuple[Any, str] | None


class TooDeep(ParseError):
    """The body is nested too deep."""

    default_code = "too-deep"


class TooManyFields(ParseError):
    """The body has too many members and items."""

    default_code = "too-many-fields"


class DuplicateKeys(ParseError):
    """An object in the body contains a name twice."""

    default_code = "duplicate-key"
    default_detail = "The same object contains a name twice."

    def __init__(self, paths: Sequence[tuple[ValuePath, str]]) -> None:
        super().__init__()
        self.error_count = len(paths)
        self.errors = [  # only the first: each name may be an error, with a pointer as long as the body
            {"pointer": _pointer(path), "code": "duplicate_key", "detail": f"Duplicate name {_truncate(path[1])!r}."}
            for path in paths[:MAX_ERRORS]
        ]


class StrictJSONParser(JSONParser):
    """Interoperable JSON as RFC 8259 recommends it: UTF-8, unique names, numbers within a double's range."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body's value.

        Raises:
            ParseError: the body is not JSON in UTF-8, is nested too deep or too large, has a duplicate name, or
                contains a lone surrogate (UTF-8 responses cannot quote it).
            ValidationError: a number is outside a double's range.
        """
        repeated: dict[int, tuple[object, list[str]]] = {}

        def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            found = dict(pairs)
            if len(found) < len(pairs):
                # The reference to `found` keeps its id from being reused.
                repeated[id(found)] = found, _duplicates(name for name, _ in pairs)
            return found

        try:
            text = stream.read().decode("utf-8-sig")
            parsed = json.loads(text, object_pairs_hook=mapping, parse_int=_parse_int, parse_constant=_reject_constant)
        except RecursionError as error:
            raise _too_deep() from error
        except UnicodeDecodeError as error:
            raise ParseError("JSON parse error: the body is not UTF-8.") from error
        except json.JSONDecodeError as error:
            raise ParseError(f"JSON parse error: {error}.") from error
        names = {identity: found for identity, (_, found) in repeated.items()}
        if paths := _walk(parsed, names, has_surrogates="\\ud" in text or "\\uD" in text):
            raise DuplicateKeys(paths)
        return parsed


def _parse_int(digits: str) -> int | float:
    """Return an integer, or infinity if it has more digits than a double can hold: `_walk` rejects that."""
    return int(digits) if len(digits) <= _MAX_DIGITS + len("-") else math.inf


def _reject_constant(name: str) -> NoReturn:
    raise ParseError(f"JSON parse error: JSON has no {name}.")


def _duplicates(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return list(dict.fromkeys(name for name in names if name in seen or seen.add(name)))  # type: ignore[func-returns-value]


def _too_deep() -> TooDeep:
    return TooDeep(f"JSON parse error: nested more than {limits().request_depth} levels deep.")


def _walk(value: object, repeated: Mapping[int, list[str]], *, has_surrogates: bool) -> list[tuple[ValuePath, str]]:
    """Check all values, and return the paths of duplicate names.

    Raises:
        ParseError: the value is nested too deep, has too many members and items, or contains a lone surrogate.
        ValidationError: a number is outside a double's range.
    """
    maximum, depth, count = limits(), 0, 0
    paths: list[tuple[ValuePath, str]] = []
    _check_scalar(value, None, has_surrogates=has_surrogates)
    level: list[tuple[Any, ValuePath]] = [(value, None)] if isinstance(value, dict | list) else []
    while level:
        depth, count = depth + 1, count + sum(len(each) for each, _ in level)
        if depth > maximum.request_depth:
            raise _too_deep()
        if count > maximum.request_fields:
            raise TooManyFields(f"The body has more than {maximum.request_fields} members and items.")
        inner: list[tuple[Any, ValuePath]] = []
        for each, path in level:
            paths += ((path, name) for name in repeated.get(id(each), ()))
            inner += _containers(each, path, has_surrogates=has_surrogates)
        level = inner
    return paths


def _containers(
    value: dict[str, Any] | list[Any], path: ValuePath, *, has_surrogates: bool
) -> Iterator[tuple[Any, ValuePath]]:
    """Yield the objects and lists directly inside a value, with their paths, and check its scalars.

    Raises:
        ParseError, ValidationError: see `_check_scalar`.
    """
    pairs: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in pairs:
        if isinstance(inner, dict | list):
            yield inner, (path, name)
        else:
            _check_scalar(inner, (path, name), has_surrogates=has_surrogates)
        if has_surrogates:
            _check_scalar(name, (path, name), has_surrogates=True)


def _check_scalar(value: object, path: ValuePath, *, has_surrogates: bool) -> None:
    """Check a scalar.

    Raises:
        ParseError: it contains half of a surrogate pair.
        ValidationError: it is a number outside a double's range.
    """
    if isinstance(value, float | int):
        if not abs(value) <= _MAX_NUMBER:
            raise ValidationError(_nested(path, "The number is outside the range of a double."))
    elif has_surrogates and _has_surrogate(value):
        raise ParseError("JSON parse error: a lone surrogate.")


def _has_surrogate(text: object) -> bool:
    return isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text)


def _steps(path: ValuePath) -> list[str]:
    found: list[str] = []
    while path is not None:
        path, name = path
        found.append(str(name))
    return found[::-1]


def _pointer(path: ValuePath) -> str:
    return pointer(*map(_truncate, _steps(path)))


def _truncate(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"


def _nested(path: ValuePath, message: str) -> Any:
    """Return an error detail, nested under the names of its path."""
    detail: Any = [ErrorDetail(message, code="not_storable")]
    for name in map(_truncate, reversed(_steps(path))):
        detail = {name: detail}
    return detail


class JSONPatchParser(StrictJSONParser):
    """A JSON Patch (RFC 6902)."""

    media_type = "application/json-patch+json"


UTF_8 = frozenset({"utf-8", "utf8"})

_CHARSET = re.compile(r';\s*charset\s*=\s*("[^"]*"|[^;,]*)', re.IGNORECASE)
_ENCODED_PARAMETER = re.compile(r";[^=;\"]*\*\s*=")  # RFC 2231: `name*=charset'language'value`


class Utf8Request(ASGIRequest):
    """A request that is decoded as UTF-8, whatever charset its `Content-Type` names.

    Django decodes forms with the codec that the client names. Some codecs are not text encodings, and some take
    quadratic time.
    """

    def __init__(self, scope: Mapping[str, Any], body_file: IO[bytes]) -> None:
        query: bytes = scope.get("query_string", b"")
        if not query.isascii():  # Django rejects raw bytes; as percent-escapes they are valid
            scope = {**scope, "query_string": quote_from_bytes(query, safe=string.printable).encode()}
        super().__init__(scope, body_file)

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type = meta.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        self.content_params = {}  # Django's parsers read parameters from the header itself


def is_utf8(content_type: str) -> bool:
    """Return whether a `Content-Type` names only UTF-8, and has no parameter with a charset of its own."""
    charsets = {charset.strip().strip("\"'").lower() for charset in _CHARSET.findall(content_type)}
    return charsets <= UTF_8 and _ENCODED_PARAMETER.search(content_type) is None


def has_no_content_coding(content_encoding: str) -> bool:
    """Return whether a `Content-Encoding` is empty or `identity`."""
    return {coding.strip().lower() for coding in content_encoding.split(",")} <= {"", "identity"}
