"""Writes a document that is valid against a JSON Schema, out of facts. The same facts give the same document."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from re import _constants as sre  # type: ignore[attr-defined]  # the standard library's own parser of patterns
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

from pydantic import JsonValue

from executions.llm.facts import Fact, Facts, words

_USUAL_ITEMS = 4  # of a list whose bounds allow it
_LONG_TEXT = 800  # characters; a field that may be longer gets several sentences
_LABEL = 160  # characters; a field that may not be longer gets the beginning of a sentence
_LABEL_WORDS = 7
_SENTENCES = 3
_KEYS = frozenset({"id", "key", "slug"})  # fields by which other steps know an item
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "someone@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
Schema = Mapping[str, Any]


class Writer:
    """Fills one document. Each fact is used where its words fit best, and again only when none is left."""

    def __init__(self, facts: Facts, *, root: Schema, document_type: str) -> None:
        self._facts = facts
        self._root = root
        self._document_type = document_type
        self._used: Counter[str] = Counter()
        self._counters: Counter[str] = Counter()
        self._told_answers = False

    def write(self) -> JsonValue:
        """Return the document."""
        return self._value(self._root, ())

    def _value(self, schema: Schema, path: tuple[str, ...]) -> JsonValue:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._chosen(schema["enum"], path)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next(each for each in kind if each != "null") if kind != ["null"] else "null"
        write = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, _path: True,
            "null": lambda _schema, _path: None,
        }[kind]
        return write(schema, path)

    def _resolved(self, schema: Schema) -> Schema:
        """Return the schema with references followed, the first alternative taken, and all parts merged."""
        merged = dict(schema)
        if (reference := merged.pop("$ref", None)) is not None:
            target: Any = self._root
            for part in str(reference).removeprefix("#").strip("/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")] if part else target
            merged = {**self._resolved(target), **merged}
        for keyword in ("anyOf", "oneOf"):
            if keyword in merged:
                merged = {**merged, **self._resolved(merged.pop(keyword)[0])}
        for part in merged.pop("allOf", ()):
            inner = self._resolved(part)
            properties = {**merged.get("properties", {}), **inner.get("properties", {})}
            required = [*merged.get("required", []), *inner.get("required", [])]
            merged = {**merged, **inner, "properties": properties, "required": required}
        return merged

    def _chosen(self, options: list[JsonValue], path: tuple[str, ...]) -> JsonValue:
        seed = f"{self._facts.subject}/{'/'.join(path)}/{self._next('/'.join(path))}"
        return options[int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") % len(options)]

    def _next(self, name: str) -> int:
        self._counters[name] += 1
        return self._counters[name]

    def _object(self, schema: Schema, path: tuple[str, ...]) -> JsonValue:
        properties = schema.get("properties", {})
        wanted = [*properties, *(name for name in schema.get("required", ()) if name not in properties)]
        return {name: self._value(properties.get(name, {}), (*path, name)) for name in wanted}

    def _array(self, schema: Schema, path: tuple[str, ...]) -> JsonValue:
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", max(least, _USUAL_ITEMS))
        count = min(most, max(least, _USUAL_ITEMS))
        items = [self._value(each, path) for each in schema.get("prefixItems", ())]
        while len(items) < count and schema.get("items") is not False:
            item = self._value(schema.get("items", {}), path)
            if item in items:
                if len(items) >= least:
                    break  # nothing new to say
                if schema.get("uniqueItems"):
                    item = f"{item} ({len(items) + 1})" if isinstance(item, str) else len(items)
            items.append(item)
        return items

    def _number(self, schema: Schema, path: tuple[str, ...]) -> JsonValue:
        if "multipleOf" in schema and not isinstance(schema["multipleOf"], int):
            step = schema["multipleOf"]
            return step * -(-schema.get("minimum", step) // step)
        bounds = {name: schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema}
        low = max(bounds.values(), default=None)
        if low is not None and "exclusiveMinimum" in bounds and schema.get("exclusiveMaximum", low + 2) <= low + 1:
            return (low + schema["exclusiveMaximum"]) / 2
        return self._integer(schema, path)

    def _integer(self, schema: Schema, path: tuple[str, ...]) -> JsonValue:
        low = -(-schema["minimum"] // 1) if "minimum" in schema else None
        high = schema["maximum"] // 1 if "maximum" in schema else None
        if "exclusiveMinimum" in schema:
            low = max(schema["exclusiveMinimum"] // 1 + 1, low if low is not None else schema["exclusiveMinimum"])
        if "exclusiveMaximum" in schema:
            high = -(-schema["exclusiveMaximum"] // 1) - 1
        step = schema.get("multipleOf", 1)
        fitting = [
            number
            for number in self._facts.numbers
            if (low is None or number >= low) and (high is None or number <= high) and number % step == 0
        ]
        if fitting:
            return fitting[(self._next("/".join(path)) - 1) % len(fitting)]
        start = low if low is not None else min(0, high if high is not None else 0)
        return int(-(-start // step) * step)

    def _string(self, schema: Schema, path: tuple[str, ...]) -> JsonValue:
        if "pattern" in schema:
            return self._patterned(schema["pattern"], path)
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        low, high = schema.get("minLength", 0), schema.get("maxLength", 400)
        if len(path) > 1 and path[-1] in _KEYS:
            name = re.sub(r"[^a-z0-9]+", "-", path[-2].lower()).strip("-")
            return _fitted([f"{name}-{self._next('/'.join(path))}"], low, high)
        if path == ("title",):
            kind = self._document_type.replace("-", " ")
            return _fitted([f"{self._facts.item or self._facts.subject}: {kind}"], low, high)
        return self._told(schema, path, low, high=high)

    def _told(self, schema: Schema, path: tuple[str, ...], low: int, *, high: int) -> str:
        """Return what the material says about a field, in `low` to `high` characters."""
        about = words(" ".join([*path, schema.get("description", "")]).replace("_", " "))
        texts: list[str] = []
        if high >= _LONG_TEXT and not self._told_answers:
            self._told_answers = True
            texts = [fact.text for fact in self._facts.answers]
        wanted = len(texts) + (_SENTENCES if high >= _LONG_TEXT else 1)
        while len(texts) < wanted:
            texts.append(self._fact(about, shortest=min(low, 40), avoid=texts).text)
        if high <= _LABEL:
            texts = [_label(texts[0])]
        while len(" ".join(texts)) < low:
            texts.append(self._fact(about, shortest=1, avoid=[]).text)
        return _fitted(texts, low, high)

    def _fact(self, about: frozenset[str], *, shortest: int, avoid: list[str]) -> Fact:
        """Return the fact that fits best among those used least."""
        candidates = [fact for fact in self._facts.all if fact.text not in avoid] or list(self._facts.all)
        long_enough = [fact for fact in candidates if len(fact.text) >= shortest] or candidates
        best = max(
            enumerate(long_enough),
            key=lambda pair: (2 * len(about & pair[1].about) - 3 * self._used[pair[1].text], -pair[0]),
        )[1]
        self._used[best.text] += 1
        return best

    def _patterned(self, pattern: str, path: tuple[str, ...]) -> str:
        """Return an id counted up, or one that the material already knows; else anything that the pattern allows."""
        number = self._next("/".join(path))
        known = () if path[-1:] == ("id",) else self._facts.matching(pattern)
        return known[(number - 1) % len(known)] if known else _from_pattern(pattern, number)


def _label(text: str) -> str:
    """Return the beginning of a sentence, as a name for what it is about."""
    clause = re.split(r"[,;:(.]\s", text, maxsplit=1)[0]
    return " ".join(clause.split()[:_LABEL_WORDS]).rstrip(".,;:")


def _fitted(texts: list[str], low: int, high: int) -> str:
    """Return the texts as one, cut at a word where it can be, never shorter or longer than allowed."""
    text = " ".join(each if each[-1:] in ".!?" or len(texts) == 1 else f"{each}." for each in texts)
    if len(text) > high:
        cut = text[: max(high - 1, 0)]
        text = (cut.rsplit(" ", 1)[0] if " " in cut[low:] else cut) + "…"[: high - len(cut)]
    return text.ljust(low, ".")


def _from_pattern(pattern: str, number: int) -> str:
    """Return a text that a pattern matches; a run of digits in it is `number`, where that fits."""
    return "".join(_part(operator, argument, number) for operator, argument in sre_parser.parse(pattern))


def _part(operator: object, argument: Any, number: int) -> str:
    if operator in _SIMPLE:
        return _SIMPLE[operator](argument)
    if operator is sre.SUBPATTERN:
        return "".join(_part(inner, value, number) for inner, value in argument[3])
    if operator is sre.BRANCH:
        return "".join(_part(inner, value, number) for inner, value in argument[1][0])
    if operator in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
        low, high, inside = argument
        one = "".join(_part(inner, value, number) for inner, value in inside)
        if one == "0" and low <= len(str(number)) <= int(high):
            return str(number)
        return one * max(low, 1 if one == "0" else low)
    raise ValueError(f"the rehearsal cannot write {operator}")


_SIMPLE: dict[object, Callable[[Any], str]] = {
    sre.LITERAL: chr,
    sre.IN: lambda members: _of_class(members),
    sre.ANY: lambda _: "a",
    sre.AT: lambda _: "",
}


def _of_class(members: Any) -> str:
    operator, argument = members[0]
    if operator is sre.RANGE:
        return chr(argument[0])
    if operator is sre.LITERAL:
        return chr(argument)
    if operator is sre.CATEGORY:
        return {sre.CATEGORY_DIGIT: "0", sre.CATEGORY_SPACE: " "}.get(argument, "a")
    raise ValueError(f"the rehearsal cannot write {operator}")


def is_writable(pattern: str) -> bool:
    """Return whether the rehearsal can write what a pattern describes."""
    try:
        return re.search(pattern, _from_pattern(pattern, 1)) is not None
    except (ValueError, re.error):
        return False
