"""The content of a document as the fields of a sent form: their names, and the JSON value that they make.

The name of a field has a kind, what an empty text means, and the path of its value: `content.sk/epics/7/title`. The
number of an item tells it from the others. Items are in the order in which their fields were sent.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext, gettext_lazy
from rest_framework.exceptions import APIException

from common.api.parsers import StrictJSONParser
from common.errors import FieldError, Malformed
from common.limits import limits

PREFIX = "content."


class Kind(StrEnum):
    """What a field has."""

    TEXT = "s"
    CRLF_TEXT = "c"  # a text in which each line ends with CR and LF
    NUMBER = "n"
    BOOLEAN = "b"
    CHOICE = "e"  # one of the schema's values, as JSON
    JSON = "j"
    LIST = "l"
    OBJECT = "o"


TEXTS = frozenset({Kind.TEXT, Kind.CRLF_TEXT})


class Empty(StrEnum):
    """What an empty field means."""

    KEEP = "k"  # an empty value; for a number or a choice, a value is missing
    OMIT = "o"  # no such member
    NULL = "n"


@dataclass(frozen=True, slots=True)
class Unread:
    """The text of a field that is not what the field is for. The form shows it again."""

    kind: Kind
    empty: Empty
    text: str


@dataclass(slots=True)
class SentContent:
    """What a form sent: the content without texts that cannot be read, these texts by pointer, and their errors."""

    content: Any = None
    unread: dict[str, Unread] = field(default_factory=dict)
    errors: list[FieldError] = field(default_factory=list)


def name_of(kind: Kind, empty: Empty, path: str) -> str:
    """Return the name of a field."""
    return f"{PREFIX}{kind}{empty}{path}"


def read_content(pairs: Iterable[tuple[str, str]]) -> SentContent:
    """Return the content that the fields of a form make. Other fields than those of the content are left out.

    Raises:
        Malformed: this is not a form that a page has made.
    """
    reader = _Reader()
    for name, text in pairs:
        if name.startswith(PREFIX):
            reader.add(name.removeprefix(PREFIX), text)
    return reader.result()


_CHOOSE = gettext_lazy("Choose a value.")
_MISSING = {Kind.NUMBER: gettext_lazy("Enter a number."), Kind.BOOLEAN: _CHOOSE, Kind.CHOICE: _CHOOSE}
_NOTHING = object()


class _Reader:
    """Builds the content from its fields, each container before its parts."""

    def __init__(self) -> None:
        self._sent = SentContent()
        self._containers: dict[str, tuple[Any, str]] = {}  # by path: a list or an object, and its pointer
        self._optional: list[tuple[dict[str, Any], str]] = []  # lists that are left out if they are empty
        self._has_root = False

    def add(self, name: str, text: str) -> None:
        kind, empty, path = _parts(name)
        parent, pointer, key = self._place(path)
        value = self._value(kind, empty, text.replace("\r\n", "\n"), pointer=pointer)
        if kind in {Kind.LIST, Kind.OBJECT}:
            self._containers[path] = value, pointer
            if empty is Empty.OMIT and isinstance(parent, dict):
                self._optional.append((parent, key))
        if value is _NOTHING:
            return
        if parent is None:
            self._sent.content, self._has_root = value, True
        elif isinstance(parent, list):
            parent.append(value)
        else:
            parent[key] = value

    def result(self) -> SentContent:
        if not self._has_root and not self._sent.errors:
            raise Malformed
        for parent, name in reversed(self._optional):
            if not parent.get(name, True):
                del parent[name]
        return self._sent

    def _place(self, path: str) -> tuple[Any, str, str]:
        """Return the container of a value, the value's pointer in the content, and its name there."""
        if path == "":
            return None, "", ""
        if path.count("/") > limits().request_depth:
            raise Malformed
        above, _, name = path.rpartition("/")
        if above not in self._containers:
            raise Malformed
        parent, place = self._containers[above]
        step = str(len(parent)) if isinstance(parent, list) else name
        return parent, f"{place}/{step}", name.replace("~1", "/").replace("~0", "~")

    def _value(self, kind: Kind, empty: Empty, text: str, *, pointer: str) -> Any:
        if kind in {Kind.LIST, Kind.OBJECT}:
            return [] if kind is Kind.LIST else {}
        if text.strip() == "" and not (kind in TEXTS and empty is Empty.KEEP):
            return self._empty(kind, empty, pointer)
        if kind in TEXTS:
            return text if kind is Kind.TEXT else text.replace("\n", "\r\n")
        try:
            return _parsed(kind, text)
        except ValueError as error:
            return self._refused(Unread(kind, empty, text), pointer, str(error))

    def _empty(self, kind: Kind, empty: Empty, pointer: str) -> Any:
        if empty is not Empty.KEEP:
            return _NOTHING if empty is Empty.OMIT else None
        return self._refused(Unread(kind, empty, ""), pointer, str(_MISSING.get(kind) or gettext("Enter JSON.")))

    def _refused(self, unread: Unread, pointer: str, detail: str) -> str:
        self._sent.unread[pointer] = unread
        self._sent.errors.append(FieldError(pointer=pointer, code="type", detail=detail))
        return unread.text


def _parts(name: str) -> tuple[Kind, Empty, str]:
    try:
        return Kind(name[:1]), Empty(name[1:2]), name[2:]
    except ValueError as error:
        raise Malformed from error


def _parsed(kind: Kind, text: str) -> Any:
    """Return the value of a text that is not empty.

    Raises:
        ValueError: the text is no such value; its message tells people.
    """
    if kind is Kind.NUMBER:
        return _number(text)
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(gettext("This is not JSON: %(reason)s") % {"reason": error}) from error


def _number(text: str) -> int | float:
    refusal = gettext("Enter a number, such as 12 or 0.5.")
    try:
        value = parse_json(text)
    except ValueError as error:
        raise ValueError(refusal) from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(refusal)
    return value


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, by the rules for bodies of requests.

    Raises:
        ValueError: it is no such text.
    """
    try:
        return StrictJSONParser().parse(io.BytesIO(text.encode("utf-8", "replace")))
    except APIException as error:
        raise ValueError(_sentence(error.detail)) from error


def json_text(value: Any) -> str:
    """Return a value as JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def _sentence(detail: Any) -> str:
    while isinstance(detail, Mapping | list):
        detail = next(iter(detail.values() if isinstance(detail, Mapping) else detail), "")
    return str(detail).removeprefix("JSON parse error: ")
