"""What of an output schema is too much for a validator: size, depth, references that multiply, costly patterns."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from common.limits import limits
from workflows.errors import Fault, pointer
from workflows.json_schema.graph import Part, SchemaGraph

_PATTERN_SECONDS = 0.4  # of this thread, for all patterns of a definition


class PatternTime:
    """The time that the patterns of a definition may take until they are compiled."""

    def __init__(self) -> None:
        self._left = _PATTERN_SECONDS
        self._known: set[str] = set()

    def is_left_after(self, pattern: str) -> bool:
        """Compile a pattern that was not compiled before, and return whether there is time left."""
        if pattern not in self._known and self._left > 0:
            self._known.add(pattern)
            before = time.thread_time()
            _compiles(pattern)
            self._left -= time.thread_time() - before
        return self._left > 0


def _compiles(pattern: str) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern})
    except jsonschema_rs.ValidationError:
        return False  # a fault of its own, found elsewhere
    return True


def text_faults(schema: Any, *where: str | int) -> Iterator[Fault]:
    """Yield that a schema is too deep, or too large."""
    level: list[tuple[tuple[str | int, ...], Any]] = [((), schema)]
    for _ in range(limits().schema_depth):
        level = [((*path, name), inner) for path, each in level for name, inner in _inside(each)]
        if not level:
            break
    else:
        detail = f"A schema has at most {limits().schema_depth} levels (MAX_SCHEMA_DEPTH)."
        yield Fault(pointer=pointer(*where, *level[0][0]), code="schema_too_deep", detail=detail)
        return
    size, most = len(json.dumps(schema, ensure_ascii=False).encode()), limits().schema_bytes
    if size > most:
        detail = f"The schema has {size:,} bytes; {most:,} are allowed (MAX_SCHEMA_BYTES)."
        yield Fault(pointer=pointer(*where), code="schema_too_large", detail=detail)


def _inside(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def graph_faults(graph: SchemaGraph, patterns: PatternTime, *where: str | int) -> Iterator[Fault]:
    """Yield where references go round in circles or multiply, and the patterns that take too long."""
    if found := list(_chain_faults(graph, pointer(*where))):
        yield from found
        return
    most = limits().schema_parts
    if _parts_with_references(graph) > most:
        detail = f"With its references followed it has more than {most:,} schemas (MAX_SCHEMA_PARTS)."
        yield Fault(pointer=pointer(*where), code="schema_too_large", detail=detail)
        return
    for part in graph.parts.values():
        for names, pattern in _patterns(part):
            if not patterns.is_left_after(pattern):
                detail = "The patterns of this workflow take too long to compile; make this one smaller."
                place = pointer(*where) + part.pointer + pointer(*names)
                yield Fault(pointer=place, code="costly_pattern", detail=detail)
                return


def _patterns(part: Part) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(pattern := part.keywords.get("pattern"), str):
        yield ("pattern",), pattern
    if isinstance(by_name := part.keywords.get("patternProperties"), dict):
        yield from ((("patternProperties", name), name) for name in by_name)


def _chain_faults(graph: SchemaGraph, before: str) -> Iterator[Fault]:
    """Yield the first schema that leads to itself in place, or over too many others."""
    most = limits().schema_depth
    lengths: dict[Part, int] = {}
    for start in graph.parts.values():
        stack: list[tuple[Part, Iterator[Part]]] = [(start, iter([*start.in_place, *start.referred]))]
        at_work = {start}
        while stack and start not in lengths:
            part, following = stack[-1]
            inner = next((each for each in following if each not in lengths), None)
            if inner is None:
                lengths[part] = 1 + max((lengths[each] for each in (*part.in_place, *part.referred)), default=0)
                at_work.discard(part)
                stack.pop()
            elif inner in at_work:
                detail = "This schema refers to itself without anything in between, so that it says nothing."
                yield Fault(pointer=before + inner.pointer, code="circular_schema", detail=detail)
                return
            else:
                at_work.add(inner)
                stack.append((inner, iter([*inner.in_place, *inner.referred])))
            if part in lengths and lengths[part] > most:
                detail = f"References lead over more than {most} schemas for one place (MAX_SCHEMA_DEPTH)."
                yield Fault(pointer=before + part.pointer, code="schema_too_deep", detail=detail)
                return


def _parts_with_references(graph: SchemaGraph) -> int:
    """Return how many schemas there are, each counted on every way that leads to it, and once where ways go round.

    What goes round is gone over as often as a document is deep, which says nothing about the schema.
    """
    enough, circles = limits().schema_parts + 1, graph.circles()
    counts: dict[Part, int] = {}

    def followed(part: Part) -> list[Part]:
        return [*part.in_place, *part.referred, *(each for each in part.within if circles[each] != circles[part])]

    for start in graph.parts.values():
        stack = [(start, iter(followed(start)))]
        while start not in counts:
            part, following = stack[-1]
            inner = next((each for each in following if each not in counts), None)
            if inner is not None:
                stack.append((inner, iter(followed(inner))))
                continue
            counts[part] = min(1 + len(part.within) + sum(counts[each] for each in followed(part)), enough)
            stack.pop()
    return max(counts.values())
