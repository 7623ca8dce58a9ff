"""Texts that a schema permits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import islice

from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.patterns import Unreadable, texts_for
from executions.llm.rehearsal.shapes import Shape
from executions.llm.rehearsal.texts import Texts, fit_length
from executions.llm.rehearsal.unwritable import Unwritable

KEYS = frozenset({"id", "key", "slug"})  # fields by which other steps identify an item
_DEFAULT_LENGTH = 400  # maximum characters, if the schema has no limit
_MAX_CHARACTERS = 100_000  # of one text
_MAX_VARIANTS = 12  # variants of a text that has to be distinct
_FIRST_DAY = date(2026, 1, 1)
_FORMATS: dict[str, Callable[[int], str]] = {
    "date": lambda number: (_FIRST_DAY + timedelta(days=number % 10_000)).isoformat(),
    "date-time": lambda number: f"{(_FIRST_DAY + timedelta(days=number % 10_000)).isoformat()}T00:00:00Z",
    "time": lambda number: f"00:{number // 60 % 60:02}:{number % 60:02}Z",
    "duration": lambda number: f"P{number + 1}D",
    "email": lambda number: f"someone{number or ''}@example.org",
    "idn-email": lambda number: f"someone{number or ''}@example.org",
    "hostname": lambda number: f"host{number}.example.org",
    "idn-hostname": lambda number: f"host{number}.example.org",
    "ipv4": lambda number: f"192.0.2.{number % 255 + 1}",
    "ipv6": lambda number: f"2001:db8::{number % 65_535 + 1:x}",
    "uri": lambda number: f"https://example.org/{number or ''}",
    "uri-reference": lambda number: f"/{number or ''}",
    "iri": lambda number: f"https://example.org/{number or ''}",
    "iri-reference": lambda number: f"/{number or ''}",
    "uri-template": lambda number: f"/{number or ''}",
    "uuid": lambda number: f"00000000-0000-4000-8000-{number:012}",
    "json-pointer": lambda number: f"/{number or ''}",
    "relative-json-pointer": lambda number: f"{number}",
    "regex": lambda number: f"^{number or ''}$",
}


class Strings:
    """Generates the texts of one document."""

    def __init__(self, facts: Facts, *, document_type: str, count: Callable[[str], int]) -> None:
        """Create a generator; `count` counts the texts of each field, from 1."""
        self._facts = facts
        self._texts = Texts(facts)
        self._kind = document_type.replace("-", " ")
        self._count = count

    def texts_for(self, shape: Shape, path: tuple[str, ...]) -> Iterator[str]:
        """Yield texts for a field; some may be invalid.

        Raises:
            Unwritable: no text was found.
        """
        low, high = shape.min_count("minLength"), shape.max_count("maxLength", default=_MAX_CHARACTERS)
        if low > _MAX_CHARACTERS:
            reason = f"the rehearsal makes texts with at most {_MAX_CHARACTERS} characters"
            raise Unwritable(shape.pointer_of("minLength"), reason)
        if low > high:
            raise Unwritable(shape.pointer_of("minLength"), "it requires more characters than it permits")
        for format_ in shape.all("format"):
            if format_ in _FORMATS:
                number = self._count("/".join(path)) - 1
                yield from (_FORMATS[format_](number + offset) for offset in range(_MAX_VARIANTS))
        if patterns := shape.all("pattern"):
            yield from self._patterned(shape, patterns, path)
            return
        yield from self._free(shape, path)

    def _free(self, shape: Shape, path: tuple[str, ...]) -> Iterator[str]:
        """Yield texts for a field without a pattern."""
        low = shape.min_count("minLength")
        high = shape.max_count("maxLength", default=max(_DEFAULT_LENGTH, low))
        if len(path) > 1 and path[-1] in KEYS:
            name = re.sub(r"[^a-z0-9]+", "-", path[-2][:60].lower()).strip("-")
            texts = [f"{name}-{self._count('/'.join(path))}"]
        elif path == ("title",):
            texts = [f"{self._facts.item or self._facts.subject}: {self._kind}"]
        else:
            description = next((text for text in shape.all("description") if isinstance(text, str)), "")
            texts = [self._texts.text_for(path, description, low=low, high=high)]
        text = fit_length(texts, low, high)
        yield text
        for number in range(2, _MAX_VARIANTS):
            ending = f" ({number})"
            yield fit_length([text[: max(high - len(ending), 0)] + ending], low, high)[:high]
        yield from (chr(ord("a") + number) * max(low, min(high, 1)) for number in range(26))

    def _patterned(self, shape: Shape, patterns: list[str], path: tuple[str, ...]) -> Iterator[str]:
        """Yield a known id of the materials or a numbered one; otherwise any text that the patterns permit."""
        number = self._count("/".join(path))
        if path[-1:] != ("id",):
            known = self._facts.matching(patterns[0])
            start = (number - 1) % len(known) if known else 0
            yield from islice(known[start:] + known[:start], _MAX_VARIANTS)
        if not any(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns):
            yield from islice(self._free(shape, path), 1)
        sizes = [size for size in (shape.min_count("minLength"), shape.max_count("maxLength", default=0)) if size]
        for pattern in patterns:
            try:
                yield from texts_for(pattern, number, sizes)
            except Unreadable as error:
                raise Unwritable(shape.pointer_of("pattern"), str(error)) from error

    def names_for(self, pattern: str, number: int) -> Iterator[str]:
        """Yield names that match a pattern; nothing if none is found.

        `number` is the index of the name among those for the same pattern.
        """
        try:
            yield from texts_for(pattern, number)
        except Unreadable:
            return  # other names may be valid; the caller reports missing ones
