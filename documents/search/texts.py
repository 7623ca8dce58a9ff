"""The words of a document that search knows: its texts and numbers, without the names of fields. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue

#: Bytes of a document's texts that are indexed. PostgreSQL's limit is 1 MiB of words with their parts: `a-b.example/c`
#: is stored as a whole and in parts, at most five times its size.
MAX_BYTES = 200_000

_SPACE = " "
#: PostgreSQL stores neither NUL nor lone surrogates in texts.
_UNSTORABLE = {0: _SPACE, **dict.fromkeys(range(0xD800, 0xE000), _SPACE)}


def texts_of(content: Mapping[str, JsonValue]) -> list[str]:
    """Return the texts and numbers of a document in its order, up to `MAX_BYTES` in all."""
    found, left = [], MAX_BYTES
    for text in _walk(content):
        raw = text.translate(_UNSTORABLE).encode()
        found.append(raw[:left].decode(errors="ignore"))
        left -= len(raw)
        if left <= 0:
            break
    return found


def texts_as_json(content: Mapping[str, JsonValue]) -> str:
    """Return the texts as a JSON array, for PostgreSQL's `json_to_tsvector`: no phrase spans two texts."""
    return json.dumps([without_tags(text) for text in texts_of(content)], ensure_ascii=False)


def storable(text: str) -> str:
    """Return the text without the characters that PostgreSQL does not store."""
    return text.translate(_UNSTORABLE)


def without_tags(text: str) -> str:
    """Return the text without what PostgreSQL takes for tags of HTML, whose words it leaves out."""
    return storable(text).replace("<", _SPACE)


def _walk(value: JsonValue | Mapping[str, JsonValue]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield str(value)
    else:
        inner: Iterable[JsonValue] = value.values() if isinstance(value, Mapping) else value
        for each in inner:
            yield from _walk(each)
