"""Schema errors of a document, computed in bounded time.

For each branch of `anyOf` and `oneOf`, a validator explains why it does not match, recursively. For recursive schemas
this time grows exponentially with the depth. Deciding whether a document is valid has no such cost. So this module
descends into the document along its schema, until explaining the remaining parts is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import jsonschema_rs
from pydantic import JsonValue

from common.errors import FieldError
from common.json_pointer import pointer
from executions.engine.domain.copying import IdentityKey
from workflows.definitions.definition import validator_of
from workflows.json_schema.graph import SchemaGraph, SchemaNode
from workflows.json_schema.validation import PartValidators, matches

_MAX_VISITS = 4_000  # visits of (schema part, value) pairs to estimate the cost of one value
_MAX_VISITS_PER_DOCUMENT = 12_000  # visits in a document
_MAX_SIZE = 5_000  # values counted in the size of a value
_MAX_EXPLANATIONS = 2_000  # explanations that a validator may produce for one branch of a choice
_COPIED = 50  # values whose copying costs as much as one explanation
_CHOICES = ("anyOf", "oneOf")
_TOO_MUCH = (
    "This is not valid against any choice of the schema, or breaks another rule here. There are too many ways to be "
    "valid, within each other, to say more. Check this value and what lies in it against the schema, or nest it less."
)


class _Spot(NamedTuple):
    """A value of the document, its path, and a schema part that applies to it."""

    part: SchemaNode
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

    def faults(self, content: JsonValue, limit: int) -> list[FieldError]:
        """Return the errors of a document, at most `limit`; an empty list if it is valid."""
        if self._whole.is_valid(content):
            return []
        self._graph = self._graph or SchemaGraph(self._schema)
        self._parts = self._parts or PartValidators(self._schema)
        found = sorted(
            islice(self._found(self._graph, self._parts, content), limit),
            key=_order,
        )
        return found or [FieldError(pointer="", code="schema", detail=_TOO_MUCH)]

    def _found(self, graph: SchemaGraph, parts: PartValidators, content: JsonValue) -> Iterator[FieldError]:
        waiting, costs = [_Spot(graph.root, content)], _Costs(graph)
        while waiting:
            spot = waiting.pop()
            validator = parts.validator(spot.part.pointer) if spot.part.pointer else self._whole
            if costs.is_low(spot):
                yield from sorted((_field_error(spot, each) for each in validator.iter_errors(spot.value)), key=_order)
                continue
            inner = [
                each for each in _below(graph, spot) if not parts.validator(each.part.pointer).is_valid(each.value)
            ]
            inner = inner or _intended_branch(spot)
            if not inner:
                yield FieldError(pointer=pointer(*spot.path), code="schema", detail=_TOO_MUCH)
            waiting += reversed(inner)


def _order(error: FieldError) -> tuple[str, str, str]:
    return error.pointer, error.code, error.detail


def _field_error(spot: _Spot, error: jsonschema_rs.ValidationError) -> FieldError:
    where = pointer(*spot.path, *error.instance_path)
    return FieldError(pointer=where, code=error.kind.name, detail=error.message[:500])


class _Costs:
    """The number of explanations that a validator produces for a value; one per path to a schema part."""

    def __init__(self, graph: SchemaGraph) -> None:
        self._graph = graph
        self._known: dict[tuple[SchemaNode, int, bool], int] = {}
        self._sizes: dict[int, int] = {}
        self._visits = 0

    def is_low(self, start: _Spot) -> bool:
        """Return whether explaining is fast. If counting takes too long, explaining would, too."""
        stack = [] if _key(start) in self._known else [(start, self._followed(start))]
        until = min(self._visits + _MAX_VISITS, _MAX_VISITS_PER_DOCUMENT)
        while stack:
            if self._visits >= until:
                for spot, _ in stack:  # its count is incomplete
                    self._known.pop(_key(spot), None)
                break
            spot, following = stack[-1]
            inner = next((each for each in following if _key(each) not in self._known), None)
            if inner is None:
                own = 1 + _size(spot.value, self._sizes) // _COPIED if spot.is_choice else 0
                told = own + sum(self._known[_key(each)] for each in self._followed(spot))
                self._known[_key(spot)] = min(told, _MAX_EXPLANATIONS + 1)
                stack.pop()
            else:
                self._visits += 1
                self._known[_key(inner)] = 0  # guards against schemas that refer to themselves for the same value
                stack.append((inner, self._followed(inner)))
        return self._known.get(_key(start), _MAX_EXPLANATIONS + 1) <= _MAX_EXPLANATIONS

    def _followed(self, spot: _Spot) -> Iterator[_Spot]:
        choices = _within_choices(spot.part)
        for each in (*spot.part.in_place, *spot.part.referred):
            yield spot._replace(part=each, is_choice=spot.is_choice or each in choices)
        for inner in _children(self._graph, spot):
            yield inner._replace(is_choice=spot.is_choice)


def _key(spot: _Spot) -> tuple[SchemaNode, int, bool]:
    return spot.part, id(spot.value), spot.is_choice


def _size(value: JsonValue, known: dict[int, int]) -> int:
    """Return the number of values within a value, counted up to a limit."""
    if id(value) not in known:
        size, waiting = 0, [value]
        while waiting and size < _MAX_SIZE:
            size += 1
            each = waiting.pop()
            waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        known[id(value)] = size
    return known[id(value)]


def _within_choices(part: SchemaNode) -> list[SchemaNode]:
    """Return the branches of a part's choices."""
    begins = tuple(f"{part.pointer}/{keyword}/" for keyword in _CHOICES)
    return [each for each in part.in_place if each.pointer.startswith(begins)]


def _below(graph: SchemaGraph, spot: _Spot) -> Iterator[_Spot]:
    """Yield the conditions that must all hold for the value: schema parts for it, and its child values."""
    required = f"{spot.part.pointer}/allOf/"
    for each in (*spot.part.referred, *spot.part.in_place):
        if each in spot.part.referred or each.pointer.startswith(required):
            yield spot._replace(part=each)
    yield from (each for each in _children(graph, spot) if not each.keyword.startswith(("uneval", "contains")))


def _intended_branch(spot: _Spot) -> list[_Spot]:
    """Return the branch whose constants the value has, if there is exactly one."""
    found = [each for each in _within_choices(spot.part) if _has_its_constants(each, spot.value)]
    return [spot._replace(part=found[0])] if len(found) == 1 else []


def _has_its_constants(part: SchemaNode, value: JsonValue) -> bool:
    seen: list[SchemaNode] = []
    while len(part.referred) == 1 and part not in seen:
        seen.append(part)
        part = part.referred[0]
    properties = part.keywords.get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return False
    constants = {name: said["const"] for name, said in properties.items() if isinstance(said, dict) and "const" in said}
    return bool(constants) and all(name in value and value[name] == said for name, said in constants.items())


def _children(graph: SchemaGraph, spot: _Spot) -> Iterator[_Spot]:
    """Yield the child values with the schema parts that apply to them."""
    if isinstance(spot.value, dict):
        for name, value in spot.value.items():
            rules = _rules_of_member(graph, spot.part, name)
            yield from (_Spot(part, value, (*spot.path, name), keyword) for keyword, part in rules)
    elif isinstance(spot.value, list):
        for index, value in enumerate(spot.value):
            rules = _rules_of_item(graph, spot.part, index)
            yield from (_Spot(part, value, (*spot.path, index), keyword) for keyword, part in rules)


def _rules_of_member(graph: SchemaGraph, part: SchemaNode, name: str) -> list[tuple[str, SchemaNode]]:
    patterns = part.keywords.get("patternProperties")
    names = [("properties", name)]
    names += [("patternProperties", each) for each in patterns or () if matches(each, name)]
    found = [(each[0], inner) for each in names if (inner := graph.at(part, *each)) is not None]
    others = ("additionalProperties", "unevaluatedProperties")
    return found or [(each, inner) for each in others if (inner := graph.at(part, each)) is not None]


def _rules_of_item(graph: SchemaGraph, part: SchemaNode, index: int) -> list[tuple[str, SchemaNode]]:
    names: list[tuple[str | int, ...]] = [("prefixItems", index), ("items", index)]
    found = [(str(each[0]), inner) for each in names if (inner := graph.at(part, *each)) is not None]
    others = ("items", "additionalItems", "unevaluatedItems")
    found = found or [(each, inner) for each in others if (inner := graph.at(part, each)) is not None]
    contains = graph.at(part, "contains")
    return found if contains is None else [*found, ("contains", contains)]


@lru_cache(maxsize=1_000)
def validator_for(schema: IdentityKey[Mapping[str, JsonValue]]) -> DocumentValidator:
    """Return the validator of a schema of a definition, which is compiled once."""
    return DocumentValidator(schema.value)
