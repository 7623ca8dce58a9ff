"""Limits of output schemas: size, depth, expansion of references, and cost of patterns."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from common.errors import FieldError
from common.json_pointer import pointer
from common.limits import limits
from workflows.json_schema.graph import SchemaGraph, SchemaNode

_PATTERN_SECONDS = 0.4  # thread time to compile all patterns of a definition


class PatternTime:
    """Time budget to compile the patterns of a definition."""

    def __init__(self) -> None:
        self._left = _PATTERN_SECONDS
        self._seconds: dict[str, float] = {}  # thread time to compile each pattern

    def is_left_after(self, pattern: str) -> bool:
        """Compile a new pattern, and return whether there is time left.

        A pattern that is repeated counts each time: the validators of all schemas compile it again.
        """
        if self._left > 0:
            if pattern not in self._seconds:
                started_at = time.thread_time()
                _compiles(pattern)
                self._seconds[pattern] = time.thread_time() - started_at
            self._left -= self._seconds[pattern]
        return self._left > 0


def _compiles(pattern: str) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern})
    except jsonschema_rs.ValidationError:
        return False  # reported elsewhere
    return True


def text_errors(schema: Any, *where: str | int) -> Iterator[FieldError]:
    """Yield an error if a schema is too deep or too large."""
    level: list[tuple[tuple[str | int, ...], Any]] = [((), schema)]
    for _ in range(limits().schema_depth):
        level = [((*path, name), inner) for path, each in level for name, inner in _inside(each)]
        if not level:
            break
    else:
        detail = f"A schema may have at most {limits().schema_depth} levels (MAX_SCHEMA_DEPTH)."
        yield FieldError(pointer=pointer(*where, *level[0][0]), code="schema_too_deep", detail=detail)
        return
    size, maximum = len(json.dumps(schema, ensure_ascii=False).encode()), limits().schema_bytes
    if size > maximum:
        detail = f"The schema has {size:,} bytes; the limit is {maximum:,} (MAX_SCHEMA_BYTES)."
        yield FieldError(pointer=pointer(*where), code="schema_too_large", detail=detail)


def _inside(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def graph_errors(graph: SchemaGraph, patterns: PatternTime, *where: str | int) -> Iterator[FieldError]:
    """Yield circular references, excessive expansion of references, and patterns that are too slow to compile."""
    if found := list(_chain_errors(graph, pointer(*where))):
        yield from found
        return
    maximum = limits().schema_parts
    if _expanded_size(graph) > maximum:
        detail = f"With its references expanded it has more than {maximum:,} subschemas (MAX_SCHEMA_PARTS)."
        yield FieldError(pointer=pointer(*where), code="schema_too_large", detail=detail)
        return
    for node in graph.parts.values():
        for names, pattern in _patterns(node):
            if not patterns.is_left_after(pattern):
                detail = "The patterns of this workflow take too long to compile; simplify this one."
                place = pointer(*where) + node.pointer + pointer(*names)
                yield FieldError(pointer=place, code="costly_pattern", detail=detail)
                return


def _patterns(node: SchemaNode) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(pattern := node.keywords.get("pattern"), str):
        yield ("pattern",), pattern
    if isinstance(by_name := node.keywords.get("patternProperties"), dict):
        yield from ((("patternProperties", name), name) for name in by_name)


def _chain_errors(graph: SchemaGraph, prefix: str) -> Iterator[FieldError]:
    """Yield the first subschema that refers to itself in place, or starts a chain that is too long."""
    maximum = limits().schema_depth
    lengths: dict[SchemaNode, int] = {}
    for start in graph.parts.values():
        stack: list[tuple[SchemaNode, Iterator[SchemaNode]]] = [(start, iter([*start.in_place, *start.referred]))]
        on_stack = {start}
        while stack and start not in lengths:
            node, following = stack[-1]
            inner = next((each for each in following if each not in lengths), None)
            if inner is None:
                lengths[node] = 1 + max((lengths[each] for each in (*node.in_place, *node.referred)), default=0)
                on_stack.discard(node)
                stack.pop()
            elif inner in on_stack:
                detail = "This schema refers to itself without a property or item in between, so it has no meaning."
                yield FieldError(pointer=prefix + inner.pointer, code="circular_schema", detail=detail)
                return
            else:
                on_stack.add(inner)
                stack.append((inner, iter([*inner.in_place, *inner.referred])))
            if node in lengths and lengths[node] > maximum:
                detail = f"A chain of references has more than {maximum} schemas (MAX_SCHEMA_DEPTH)."
                yield FieldError(pointer=prefix + node.pointer, code="schema_too_deep", detail=detail)
                return


def _expanded_size(graph: SchemaGraph) -> int:
    """Return the number of subschemas with all references expanded; members of a cycle count once.

    The number of passes through a cycle depends on the depth of a document, not on the schema.
    """
    bound, components = limits().schema_parts + 1, graph.components()
    counts: dict[SchemaNode, int] = {}

    def followed(node: SchemaNode) -> list[SchemaNode]:
        return [*node.in_place, *node.referred, *(each for each in node.within if components[each] != components[node])]

    for start in graph.parts.values():
        stack = [(start, iter(followed(start)))]
        while start not in counts:
            node, following = stack[-1]
            inner = next((each for each in following if each not in counts), None)
            if inner is not None:
                stack.append((inner, iter(followed(inner))))
                continue
            counts[node] = min(1 + len(node.within) + sum(counts[each] for each in followed(node)), bound)
            stack.pop()
    return max(counts.values())
