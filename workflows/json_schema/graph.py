"""The schemas within a schema, and which of them lead to which: in place, or to what lies within.

It reads what is written and checks nothing. What is no schema has no parts; a reference may lead nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin

from workflows.errors import parts_of, pointer

_INDEX = re.compile(r"[0-9]{1,8}")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class _Keywords(NamedTuple):
    """Keywords that hold schemas: one each, a list, or many by name."""

    single: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    by_name: tuple[str, ...] = ()


_IN_PLACE = _Keywords(
    ("not", "if", "then", "else"), ("allOf", "anyOf", "oneOf"), by_name=("dependentSchemas", "dependencies")
)
_WITHIN = _Keywords(
    (
        "items",
        "additionalItems",
        "additionalProperties",
        "contains",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    ),
    ("prefixItems", "items"),
    ("properties", "patternProperties"),
)
_KEPT = _Keywords(by_name=("$defs", "definitions"))
#: Dialects in which nothing counts beside a `$ref`.
_LONE_REFERENCES = ("draft-03", "draft-04", "draft-06", "draft-07")


@dataclass(slots=True, eq=False)
class Part:
    """A schema within a schema; `pointer` (RFC 6901) leads to it from the whole."""

    pointer: str
    schema: Any
    base: str
    has_lone_reference: bool = False
    in_place: list[Part] = field(default_factory=list)
    within: list[Part] = field(default_factory=list)
    referred: list[Part] = field(default_factory=list)

    @property
    def keywords(self) -> Mapping[str, Any]:
        """What it says that counts; nothing when it is true or false."""
        if self.has_lone_reference:
            return {"$ref": self.schema["$ref"]}
        return self.schema if isinstance(self.schema, dict) else {}

    @property
    def leads_to(self) -> list[Part]:
        """All that counts with it."""
        return [*self.in_place, *self.referred, *self.within]


class SchemaGraph:
    """All parts of a schema, by their pointers."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        dialect = schema.get("$schema")
        self.dialect = dialect if isinstance(dialect, str) else ""
        self._lone = any(name in self.dialect for name in _LONE_REFERENCES)
        self._whole = schema
        self._resources: dict[str, Part] = {}
        self._anchors: dict[str, Part] = {}
        self.parts: dict[str, Part] = {}
        self.root = self._add("", dict(schema), "")
        for part in list(self.parts.values()):  # resolving may add some
            self._refer(part)

    @property
    def is_latest(self) -> bool:
        """Whether it is read as 2020-12."""
        return not self.dialect or "2020-12" in self.dialect

    def at(self, part: Part, *names: str | int) -> Part | None:
        """Return the part below another one."""
        return self.parts.get(part.pointer + pointer(*names))

    def users(self) -> dict[Part, list[Part]]:
        """Return the parts that lead to each part."""
        users: dict[Part, list[Part]] = {part: [] for part in self.parts.values()}
        for part in self.parts.values():
            for each in part.leads_to:
                users[each].append(part)
        return users

    def circles(self) -> dict[Part, int]:
        """Return a number for each part: parts that lead to each other have the same (Kosaraju's algorithm)."""
        order: dict[Part, None] = {}
        seen: set[Part] = set()
        for start in self.parts.values():
            stack = [] if start in seen else [(start, iter(start.leads_to))]
            seen.add(start)
            while stack:
                part, following = stack[-1]
                inner = next((each for each in following if each not in seen), None)
                if inner is None:
                    order[part] = None
                    stack.pop()
                else:
                    seen.add(inner)
                    stack.append((inner, iter(inner.leads_to)))
        users, numbers = self.users(), dict[Part, int]()
        for number, start in enumerate(reversed(order)):
            waiting = [start]
            while waiting:
                part = waiting.pop()
                if part not in numbers:
                    numbers[part] = number
                    waiting += users[part]
        return numbers

    def _add(self, where: str, schema: Any, base: str) -> Part:
        """Add a schema with all that lie in it, without recursion."""
        first = self._part(where, schema, base)
        waiting = [first]
        while waiting:
            part = waiting.pop()
            for kind, names, inner in self._inside(part):
                made = self._part(part.pointer + pointer(*names), inner, part.base)
                waiting.append(made)
                if kind is not None:
                    (part.in_place if kind else part.within).append(made)
        return first

    def _part(self, where: str, schema: Any, base: str) -> Part:
        part = self.parts[where] = Part(where, schema, base)
        part.has_lone_reference = self._lone and "$ref" in part.keywords
        said = part.keywords
        if isinstance(said.get("$id"), str):
            part.base = _joined(base, said["$id"])
            self._resources.setdefault(part.base.removesuffix("#"), part)
        if not where:
            self._resources.setdefault("", part)
        for name in ("$anchor", "$dynamicAnchor"):
            if isinstance(said.get(name), str):
                self._anchors.setdefault(f"{part.base.partition('#')[0]}#{said[name]}", part)
        return part

    def _inside(self, part: Part) -> Iterator[tuple[bool | None, tuple[str | int, ...], Any]]:
        """Yield whether a schema in a part counts in place (None: it counts for nothing there), its names, and it."""
        for counts, keywords in ((True, _IN_PLACE), (False, _WITHIN), (None, _KEPT)):
            for names, inner in _held(part.keywords, keywords):
                yield counts, names, inner

    def _refer(self, part: Part) -> None:
        for name in _REFERENCES:
            reference = part.keywords.get(name)
            if isinstance(reference, str) and (target := self._target(part, reference)) is not None:
                part.referred.append(target)

    def _target(self, part: Part, reference: str) -> Part | None:
        base, _, fragment = reference.partition("#")
        try:
            where = _joined(part.base, base) if base else part.base
            fragment = unquote(fragment, errors="strict")
        except ValueError:
            return None
        resource = self._resources.get(where.partition("#")[0])
        if resource is None:
            return None
        if fragment and not fragment.startswith("/"):
            return self._anchors.get(f"{where.partition('#')[0]}#{fragment}")
        whole = resource.pointer + fragment
        return self.parts.get(whole) or self._elsewhere(whole, resource.base)

    def _elsewhere(self, where: str, base: str) -> Part | None:
        """Return the part at a place where no keyword has a schema; None when there is nothing."""
        found: Any = self._whole
        for name in parts_of(where):
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and _INDEX.fullmatch(name) and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        if not isinstance(found, dict | bool):
            return None
        before = set(self.parts)
        part = self._add(where, found, base)
        for name in self.parts.keys() - before:
            self._refer(self.parts[name])
        return part


def _held(said: Mapping[str, Any], keywords: _Keywords) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the names and the schemas that keywords hold."""
    for keyword in keywords.single:
        if isinstance(said.get(keyword), dict | bool):
            yield (keyword,), said[keyword]
    for keyword in keywords.lists:
        if isinstance(said.get(keyword), list):
            yield from (((keyword, at), each) for at, each in enumerate(said[keyword]) if isinstance(each, dict | bool))
    for keyword in keywords.by_name:
        if isinstance(said.get(keyword), dict):
            yield from (((keyword, at), each) for at, each in said[keyword].items() if isinstance(each, dict | bool))


def _joined(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference) or reference
    except ValueError:
        return reference
