"""Subschemas as the validator sees them: references resolved, in the dialect of the schema.

Callers use the keywords of 2020-12, whatever the dialect of the schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, TypeAlias
from urllib.parse import urljoin

from jsonschema_specifications import REGISTRY
from referencing.exceptions import Unresolvable
from referencing.jsonschema import lookup_recursive_ref

from common.json_pointer import pointer
from workflows.json_schema.dialects import Dialect, UnknownDialect, dialect_of

_BASE = "https://schema.invalid/"  # base URI of a schema without an $id
_ONE = ("items", "additionalItems", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else")
_ONE_OF_LATE = ("unevaluatedItems", "unevaluatedProperties")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_BY_NAME = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")


#: Subschemas to process, processed subschemas, and the identities of the latter.
_State: TypeAlias = "tuple[tuple[Subschema, ...], tuple[Subschema, ...], frozenset[int]]"
_Choices: TypeAlias = "list[list[tuple[Subschema, ...]]]"


_MAX_STEPS = 2_000  # of the search for alternatives


class TooManyAlternatives(Exception):
    """The schema has too many alternatives to examine."""


class UnresolvableReference(LookupError):
    """A reference that is unresolvable, or leads out of the schema; `pointer` is its place."""

    def __init__(self, pointer: str, reference: str) -> None:
        is_own = reference.startswith("#")
        detail = (
            f"{reference!r:.200} is not in this schema." if is_own else f"A schema may not refer to {reference!r:.200}."
        )
        super().__init__(detail)
        self.pointer = pointer


@dataclass(eq=False)
class Subschema:
    """A subschema, and its place in the whole schema (RFC 6901 pointer)."""

    schema: Any
    pointer: str
    dialect: Dialect
    _resolver: Any
    _pointers: Mapping[int, str]

    @cached_property
    def keywords(self) -> Mapping[str, Any]:
        """The effective keywords."""
        if not isinstance(self.schema, dict):
            return {}
        if self.dialect.ref_stands_alone and "$ref" in self.schema:
            return {"$ref": self.schema["$ref"]}
        return self.schema

    @property
    def is_own(self) -> bool:
        """Whether the subschema is a part of the whole schema, and not of a meta-schema."""
        return id(self.schema) in self._pointers

    def get(self, keyword: str, default: Any = None) -> Any:
        """Return the value of a keyword without schemas; exclusive bounds are numbers in every dialect."""
        keywords = self.keywords
        if keyword in {"exclusiveMinimum", "exclusiveMaximum"} and isinstance(keywords.get(keyword), bool):
            return keywords.get(keyword.replace("exclusiveM", "m"), default) if keywords[keyword] else default
        if keyword == "dependentRequired" and "dependencies" in keywords:
            return {name: names for name, names in keywords["dependencies"].items() if isinstance(names, list)}
        return keywords.get(keyword, default)

    def one(self, keyword: str) -> Subschema | None:
        """Return the schema of a keyword; None if there is none."""
        if keyword == "items" and isinstance(self.keywords.get("items"), list):
            keyword = "additionalItems"
        value = self.keywords.get(keyword)
        return self._inside(value, keyword) if isinstance(value, bool | dict) else None

    def listed(self, keyword: str) -> tuple[Subschema, ...]:
        """Return the schemas in the list of a keyword."""
        if keyword == "prefixItems" and self.dialect.items_may_be_listed:
            keyword = "items"
        value = self.keywords.get(keyword)
        if not isinstance(value, list):
            return ()
        return tuple(self._inside(each, keyword, index) for index, each in enumerate(value))

    def named(self, keyword: str) -> dict[str, Subschema]:
        """Return the schemas of a keyword by name."""
        return {
            name: subschema for name in self.names(keyword) if (subschema := self.called(keyword, name)) is not None
        }

    def names(self, keyword: str) -> list[str]:
        """Return the names in a keyword's mapping of schemas."""
        value = self.keywords.get(self._as_written(keyword))
        return list(value) if isinstance(value, dict) else []

    def called(self, keyword: str, name: str) -> Subschema | None:
        """Return the schema of a name in a keyword's mapping; None if there is none."""
        keyword = self._as_written(keyword)
        value = self.keywords.get(keyword)
        found = value.get(name) if isinstance(value, dict) else None
        return self._inside(found, keyword, name) if isinstance(found, bool | dict) else None

    def _as_written(self, keyword: str) -> str:
        return "dependencies" if keyword == "dependentSchemas" and "dependencies" in self.keywords else keyword

    def _inside(self, schema: Any, *parts: str | int) -> Subschema:
        dialect, resolver = self.dialect, self._resolver
        if isinstance(schema, dict):
            if isinstance(schema.get("$schema"), str):
                dialect = dialect_of(schema)
            resolver = resolver.in_subresource(dialect.specification.create_resource(schema))
        return Subschema(schema, self.pointer + pointer(*parts), dialect, resolver, self._pointers)

    def referred(self) -> tuple[Subschema, ...]:
        """Return the targets of references.

        Raises:
            UnresolvableReference: a reference has no target.
        """
        return tuple(
            self._resolve(keyword, self.keywords[keyword])
            for keyword in ("$ref", "$dynamicRef", "$recursiveRef")
            if isinstance(self.keywords.get(keyword), str)
        )

    def _resolve(self, keyword: str, reference: str) -> Subschema:
        where = self.pointer + pointer(keyword)
        try:
            if keyword == "$recursiveRef":
                found = lookup_recursive_ref(self._resolver)
            else:
                found = self._resolver.lookup(reference)
        except (Unresolvable, ValueError, TypeError) as error:  # ValueError, TypeError: a pointer into a scalar
            raise UnresolvableReference(where, reference) from error
        if not isinstance(found.contents, bool | dict):
            raise UnresolvableReference(where, reference)
        at = self._pointers.get(id(found.contents), where)
        return Subschema(found.contents, at, self.dialect, found.resolver, self._pointers)

    def inner(self) -> Iterator[Subschema]:
        """Yield the direct children, without targets of references."""
        for keyword in (*_ONE, *_ONE_OF_LATE):
            if (value := self.one(keyword)) is not None:
                yield value
        for keyword in _LISTS:
            yield from self.listed(keyword)
        for keyword in _BY_NAME:
            yield from self.named(keyword).values()


def base_of(schema: Mapping[str, Any]) -> str:
    """Return the base URI of a schema for its references."""
    named = schema.get("$id", schema.get("id"))
    return urljoin(_BASE, named).removesuffix("#") if isinstance(named, str) else _BASE


def root_of(schema: Mapping[str, Any]) -> Subschema:
    """Return the root subschema of a schema.

    Raises:
        UnknownDialect: `$schema` names an unsupported dialect.
    """
    dialect = dialect_of(schema)
    resource = dialect.specification.create_resource(schema)
    resolver = REGISTRY.with_resource(_BASE, resource).resolver(_BASE).in_subresource(resource)
    return Subschema(schema, "", dialect, resolver, dict(_pointers(schema)))


def everywhere(root: Subschema) -> Iterator[Subschema]:
    """Yield a schema and all its subschemas, breadth first."""
    level = [root]
    while level:
        yield from level
        level = [inner for subschema in level for inner in subschema.inner()]


def _pointers(schema: Any) -> Iterator[tuple[int, str]]:
    """Yield the id() and the pointer of each object in plain data."""
    level: list[tuple[Any, str]] = [(schema, "")]
    while level:
        following: list[tuple[Any, str]] = []
        for value, where in level:
            if isinstance(value, dict):
                yield id(value), where
                following += [(inner, where + pointer(name)) for name, inner in value.items()]
            elif isinstance(value, list):
                following += [(inner, where + pointer(index)) for index, inner in enumerate(value)]
        level = following


def alternatives(subschemas: Sequence[Subschema]) -> Iterator[tuple[Subschema, ...]]:
    """Yield the alternatives in which a value can satisfy all of the subschemas.

    Each alternative is a set of subschemas that apply together. Combinators are expanded: references, `allOf`, one of
    `anyOf` and `oneOf`, and `then` or `else`. Exclusions are ignored: `not`, and the other schemas of `oneOf`.
    There may be very many alternatives; consume only as many as needed.

    Raises:
        TooManyAlternatives: the search exceeded its limit of steps.
        UnresolvableReference: a reference has no target.
    """
    stack: list[Iterator[_State]] = [iter([(tuple(subschemas), (), frozenset())])]
    tries = 0
    while stack:
        following = next(stack[-1], None)
        if following is None:
            stack.pop()
            continue
        tries += 1
        if tries > _MAX_STEPS:
            raise TooManyAlternatives
        todo, done, seen = list(following[0]), following[1], following[2]
        while todo:
            subschema = todo.pop(0)
            if subschema.schema is False:
                break
            if id(subschema.schema) in seen:  # processed already, or refers to itself
                continue
            seen, done = seen | {id(subschema.schema)}, (*done, subschema)
            todo = [*subschema.referred(), *subschema.listed("allOf"), *todo]
            if choices := _choices(subschema):
                stack.append(_states(choices, (tuple(todo), done, seen)))
                break
        else:
            yield done


def _states(choices: _Choices, state: _State) -> Iterator[_State]:
    """Yield the next state for every combination of choices."""
    todo, done, seen = state
    for chosen in product(*choices):
        yield (*(subschema for each in chosen for subschema in each), *todo), done, seen


def _choices(subschema: Subschema) -> _Choices:
    """Return the choices in a subschema, each with the subschemas that apply then."""
    choices: _Choices = [
        [(each,) for each in subschema.listed(keyword)] for keyword in ("anyOf", "oneOf") if subschema.get(keyword)
    ]
    condition, then, otherwise = (subschema.one(keyword) for keyword in ("if", "then", "else"))
    if condition is not None and (then is not None or otherwise is not None):
        choices.append([(condition, *([then] if then else [])), (otherwise,) if otherwise else ()])
    choices += [[(each,), ()] for each in subschema.named("dependentSchemas").values()]
    return [[chosen for chosen in each if all(inner.schema is not False for inner in chosen)] for each in choices]


KINDS = frozenset({"object", "array", "string", "number", "boolean", "null"})


def kinds_of(alternative: Sequence[Subschema]) -> frozenset[str]:
    """Return the kinds of value that subschemas together permit; `number` includes `integer`."""
    kinds = KINDS
    for subschema in alternative:
        types = subschema.get("type")
        if types is not None:
            names = {types} if isinstance(types, str) else set(types)
            kinds &= {"number" if each == "integer" else each for each in names}
        if "enum" in subschema.keywords:
            kinds &= {kind_of(each) for each in subschema.get("enum")}
        if "const" in subschema.keywords:
            kinds &= {kind_of(subschema.get("const"))}
    return kinds


def kind_of(value: object) -> str:
    """Return the kind of a JSON value."""
    if isinstance(value, bool):
        return "boolean"
    kinds = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return kinds.get(type(value), "null")


__all__ = [
    "KINDS",
    "Subschema",
    "TooManyAlternatives",
    "UnknownDialect",
    "UnresolvableReference",
    "alternatives",
    "base_of",
    "everywhere",
    "kind_of",
    "kinds_of",
    "root_of",
]
