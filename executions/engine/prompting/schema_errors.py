"""Schema errors of a document, computed in bounded time.

For each branch of `anyOf` and `oneOf`, a validator explains why it does not match, recursively. For recursive schemas
this time grows exponentially with the depth. Deciding whether a document is valid has no such cost. So this module
descends into the document along its schema, until explaining the remaining parts is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import jsonschema_rs
from pydantic import JsonValue

from executions.engine.domain.errors import FieldError
from workflows.definitions.definition import pointer, validator_of
from workflows.json_schema.graph import Part, SchemaGraph
from workflows.json_schema.validation import PartValidators, matches

_MAX_VISITS = 4_000  # visits of (schema part, value) pairs to estimate the cost of one value
_MAX_VISITS_IN_TOTAL = 12_000  # visits in a document
_MAX_SIZE = 5_000  # values counted in the size of a value
_MAX_EXPLANATIONS = 2_000  # explanations that a validator may produce for one branch of a choice
_VALUES_PER_EXPLANATION = 50  # values whose copying costs as much as one explanation
_CHOICES = ("anyOf", "oneOf")
_TOO_COMPLEX = (
    "This is not valid against any choice of the schema, or breaks another rule here. There are too many ways to be "
    "valid, within each other, to say more. Check this value and what lies in it against the schema, or nest it less."
)


class _Node(NamedTuple):
    """A value of the document, its path, and a schema part that applies to it."""

    part: Part
    value: JsonValue
    path: tuple[str | int, ...] = ()
    keyword: str = ""  # keyword of the parent schema that applies this part
    is_choice: bool = False  # the part is a branch of a choice, or below one


class DocumentValidator:
    """Validates documents against one schema."""

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        self._schema = dict(schema)
        self._whole = validator_of(self._schema)
        self._graph: SchemaGraph | None = None
        self._parts: PartValidators | None = None

    def errors(self, content: JsonValue, limit: int) -> list[FieldError]:
        """Return the errors of a document, at most `limit`; an empty list if it is valid."""
        if self._whole.is_valid(content):
            return []
        self._graph = self._graph or SchemaGraph(self._schema)
        self._parts = self._parts or PartValidators(self._schema)
        errors = sorted(
            islice(self._iter_errors(self._graph, self._parts, content), limit),
            key=_order,
        )
        return errors or [FieldError(pointer="", code="schema", detail=_TOO_COMPLEX)]

    def _iter_errors(self, graph: SchemaGraph, parts: PartValidators, content: JsonValue) -> Iterator[FieldError]:
        pending, costs = [_Node(graph.root, content)], _Costs(graph)
        while pending:
            node = pending.pop()
            validator = parts.validator(node.part.pointer) if node.part.pointer else self._whole
            if costs.is_low(node):
                yield from sorted((_field_error(node, each) for each in validator.iter_errors(node.value)), key=_order)
                continue
            children = [
                child for child in _below(graph, node) if not parts.validator(child.part.pointer).is_valid(child.value)
            ]
            children = children or _selected_branch(node)
            if not children:
                yield FieldError(pointer=pointer(*node.path), code="schema", detail=_TOO_COMPLEX)
            pending += reversed(children)


def _order(error: FieldError) -> tuple[str, str, str]:
    return error.pointer, error.code, error.detail


def _field_error(node: _Node, error: jsonschema_rs.ValidationError) -> FieldError:
    path = pointer(*node.path, *error.instance_path)
    return FieldError(pointer=path, code=error.kind.name, detail=error.message[:500])


class _Costs:
    """The number of explanations that a validator produces for a value; one per path to a schema part."""

    def __init__(self, graph: SchemaGraph) -> None:
        self._graph = graph
        self._known: dict[tuple[Part, int, bool], int] = {}
        self._sizes: dict[int, int] = {}
        self._visits = 0

    def is_low(self, start: _Node) -> bool:
        """Return whether explaining is fast. If counting takes too long, explaining would, too."""
        stack = [] if _key(start) in self._known else [(start, self._successors(start))]
        limit = min(self._visits + _MAX_VISITS, _MAX_VISITS_IN_TOTAL)
        while stack:
            if self._visits >= limit:
                for node, _ in stack:  # its count is incomplete
                    self._known.pop(_key(node), None)
                break
            node, successors = stack[-1]
            inner = next((node for node in successors if _key(node) not in self._known), None)
            if inner is None:
                own = 1 + _size(node.value, self._sizes) // _VALUES_PER_EXPLANATION if node.is_choice else 0
                total = own + sum(self._known[_key(next_node)] for next_node in self._successors(node))
                self._known[_key(node)] = min(total, _MAX_EXPLANATIONS + 1)
                stack.pop()
            else:
                self._visits += 1
                self._known[_key(inner)] = 0  # guards against schemas that refer to themselves for the same value
                stack.append((inner, self._successors(inner)))
        return self._known.get(_key(start), _MAX_EXPLANATIONS + 1) <= _MAX_EXPLANATIONS

    def _successors(self, node: _Node) -> Iterator[_Node]:
        choices = _branches(node.part)
        for part in (*node.part.in_place, *node.part.referred):
            yield node._replace(part=part, is_choice=node.is_choice or part in choices)
        for inner in _children(self._graph, node):
            yield inner._replace(is_choice=node.is_choice)


def _key(node: _Node) -> tuple[Part, int, bool]:
    return node.part, id(node.value), node.is_choice


def _size(value: JsonValue, known: dict[int, int]) -> int:
    """Return the number of values within a value, counted up to a limit."""
    if id(value) not in known:
        size, pending = 0, [value]
        while pending and size < _MAX_SIZE:
            size += 1
            current = pending.pop()
            pending += current.values() if isinstance(current, dict) else current if isinstance(current, list) else ()
        known[id(value)] = size
    return known[id(value)]


def _branches(part: Part) -> list[Part]:
    """Return the branches of a part's choices."""
    prefixes = tuple(f"{part.pointer}/{keyword}/" for keyword in _CHOICES)
    return [branch for branch in part.in_place if branch.pointer.startswith(prefixes)]


def _below(graph: SchemaGraph, node: _Node) -> Iterator[_Node]:
    """Yield the conditions that must all hold for the value: schema parts for it, and its child values."""
    required = f"{node.part.pointer}/allOf/"
    for part in (*node.part.referred, *node.part.in_place):
        if part in node.part.referred or part.pointer.startswith(required):
            yield node._replace(part=part)
    yield from (child for child in _children(graph, node) if not child.keyword.startswith(("uneval", "contains")))


def _selected_branch(node: _Node) -> list[_Node]:
    """Return the branch whose constants the value has, if there is exactly one."""
    matching = [branch for branch in _branches(node.part) if _has_constants(branch, node.value)]
    return [node._replace(part=matching[0])] if len(matching) == 1 else []


def _has_constants(part: Part, value: JsonValue) -> bool:
    visited: list[Part] = []
    while len(part.referred) == 1 and part not in visited:
        visited.append(part)
        part = part.referred[0]
    properties = part.keywords.get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return False
    constants = {name: rule["const"] for name, rule in properties.items() if isinstance(rule, dict) and "const" in rule}
    return bool(constants) and all(name in value and value[name] == constant for name, constant in constants.items())


def _children(graph: SchemaGraph, node: _Node) -> Iterator[_Node]:
    """Yield the child values with the schema parts that apply to them."""
    if isinstance(node.value, dict):
        for name, value in node.value.items():
            rules = _rules_of_member(graph, node.part, name)
            yield from (_Node(part, value, (*node.path, name), keyword) for keyword, part in rules)
    elif isinstance(node.value, list):
        for index, value in enumerate(node.value):
            rules = _rules_of_item(graph, node.part, index)
            yield from (_Node(part, value, (*node.path, index), keyword) for keyword, part in rules)


def _rules_of_member(graph: SchemaGraph, part: Part, name: str) -> list[tuple[str, Part]]:
    patterns = part.keywords.get("patternProperties")
    paths = [("properties", name)]
    paths += [("patternProperties", pattern) for pattern in patterns or () if matches(pattern, name)]
    rules = [(path[0], inner) for path in paths if (inner := graph.at(part, *path)) is not None]
    fallbacks = ("additionalProperties", "unevaluatedProperties")
    return rules or [(keyword, inner) for keyword in fallbacks if (inner := graph.at(part, keyword)) is not None]


def _rules_of_item(graph: SchemaGraph, part: Part, index: int) -> list[tuple[str, Part]]:
    paths: list[tuple[str | int, ...]] = [("prefixItems", index), ("items", index)]
    rules = [(str(path[0]), inner) for path in paths if (inner := graph.at(part, *path)) is not None]
    fallbacks = ("items", "additionalItems", "unevaluatedItems")
    rules = rules or [(keyword, inner) for keyword in fallbacks if (inner := graph.at(part, keyword)) is not None]
    contains = graph.at(part, "contains")
    return rules if contains is None else [*rules, ("contains", contains)]
