"""The parts of a schema as its validator sees them: references followed, in the schema's own dialect.

Keywords are read as 2020-12 names them, whichever dialect the schema is written in.
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

from workflows.errors import pointer
from workflows.json_schema.dialects import Dialect, UnknownDialect, dialect_of

_BASE = "https://schema.invalid/"  # under which a schema without an $id is known
_ONE = ("items", "additionalItems", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else")
_ONE_OF_LATE = ("unevaluatedItems", "unevaluatedProperties")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_BY_NAME = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")


#: What is to be looked at, what was, and the identities of the latter.
_State: TypeAlias = "tuple[tuple[Place, ...], tuple[Place, ...], frozenset[int]]"
_Choices: TypeAlias = "list[list[tuple[Place, ...]]]"


_MOST_TRIES = 2_000  # to find the ways of being valid


class Undecided(Exception):
    """It cannot be told from the schema: there are too many ways to look at."""


class UnresolvableReference(LookupError):
    """A reference that leads nowhere, or out of the schema; `pointer` is where it stands."""

    def __init__(self, pointer: str, reference: str) -> None:
        is_own = reference.startswith("#")
        detail = (
            f"{reference!r:.200} is not in this schema." if is_own else f"A schema may not refer to {reference!r:.200}."
        )
        super().__init__(detail)
        self.pointer = pointer


@dataclass(eq=False)
class Place:
    """A subschema, and where it stands in the whole (RFC 6901 pointer)."""

    schema: Any
    pointer: str
    dialect: Dialect
    _resolver: Any
    _pointers: Mapping[int, str]

    @cached_property
    def keywords(self) -> Mapping[str, Any]:
        """The keywords that count."""
        if not isinstance(self.schema, dict):
            return {}
        if self.dialect.ref_stands_alone and "$ref" in self.schema:
            return {"$ref": self.schema["$ref"]}
        return self.schema

    @property
    def is_own(self) -> bool:
        """Whether the subschema stands in the whole; that of a dialect itself does not."""
        return id(self.schema) in self._pointers

    def get(self, keyword: str, default: Any = None) -> Any:
        """Return what a keyword says that holds no schemas; its bounds are numbers in every dialect."""
        said = self.keywords
        if keyword in {"exclusiveMinimum", "exclusiveMaximum"} and isinstance(said.get(keyword), bool):
            return said.get(keyword.replace("exclusiveM", "m"), default) if said[keyword] else default
        if keyword == "dependentRequired" and "dependencies" in said:
            return {name: names for name, names in said["dependencies"].items() if isinstance(names, list)}
        return said.get(keyword, default)

    def one(self, keyword: str) -> Place | None:
        """Return the schema that a keyword holds, None when there is none."""
        if keyword == "items" and isinstance(self.keywords.get("items"), list):
            keyword = "additionalItems"
        held = self.keywords.get(keyword)
        return self._inside(held, keyword) if isinstance(held, bool | dict) else None

    def listed(self, keyword: str) -> tuple[Place, ...]:
        """Return the schemas that a keyword lists."""
        if keyword == "prefixItems" and self.dialect.items_may_be_listed:
            keyword = "items"
        held = self.keywords.get(keyword)
        if not isinstance(held, list):
            return ()
        return tuple(self._inside(each, keyword, index) for index, each in enumerate(held))

    def named(self, keyword: str) -> dict[str, Place]:
        """Return the schemas that a keyword holds by name."""
        return {name: place for name in self.names(keyword) if (place := self.called(keyword, name)) is not None}

    def names(self, keyword: str) -> list[str]:
        """Return the names under which a keyword holds schemas."""
        held = self.keywords.get(self._as_written(keyword))
        return list(held) if isinstance(held, dict) else []

    def called(self, keyword: str, name: str) -> Place | None:
        """Return the schema that a keyword holds under a name, None when there is none."""
        keyword = self._as_written(keyword)
        held = self.keywords.get(keyword)
        found = held.get(name) if isinstance(held, dict) else None
        return self._inside(found, keyword, name) if isinstance(found, bool | dict) else None

    def _as_written(self, keyword: str) -> str:
        return "dependencies" if keyword == "dependentSchemas" and "dependencies" in self.keywords else keyword

    def _inside(self, schema: Any, *parts: str | int) -> Place:
        dialect, resolver = self.dialect, self._resolver
        if isinstance(schema, dict):
            if isinstance(schema.get("$schema"), str):
                dialect = dialect_of(schema)
            resolver = resolver.in_subresource(dialect.specification.create_resource(schema))
        return Place(schema, self.pointer + pointer(*parts), dialect, resolver, self._pointers)

    def referred(self) -> tuple[Place, ...]:
        """Return the schemas that references lead to.

        Raises:
            UnresolvableReference: one leads nowhere.
        """
        return tuple(
            self._followed(keyword, self.keywords[keyword])
            for keyword in ("$ref", "$dynamicRef", "$recursiveRef")
            if isinstance(self.keywords.get(keyword), str)
        )

    def _followed(self, keyword: str, reference: str) -> Place:
        where = self.pointer + pointer(keyword)
        try:
            if keyword == "$recursiveRef":
                found = lookup_recursive_ref(self._resolver)
            else:
                found = self._resolver.lookup(reference)
        except (Unresolvable, ValueError, TypeError) as error:  # the last two: a pointer into what is no container
            raise UnresolvableReference(where, reference) from error
        if not isinstance(found.contents, bool | dict):
            raise UnresolvableReference(where, reference)
        at = self._pointers.get(id(found.contents), where)
        return Place(found.contents, at, self.dialect, found.resolver, self._pointers)

    def inner(self) -> Iterator[Place]:
        """Yield the subschemas right below this one, those that references lead to left out."""
        for keyword in (*_ONE, *_ONE_OF_LATE):
            if (held := self.one(keyword)) is not None:
                yield held
        for keyword in _LISTS:
            yield from self.listed(keyword)
        for keyword in _BY_NAME:
            yield from self.named(keyword).values()


def base_of(schema: Mapping[str, Any]) -> str:
    """Return the URI by which a whole schema is known to its references."""
    named = schema.get("$id", schema.get("id"))
    return urljoin(_BASE, named).removesuffix("#") if isinstance(named, str) else _BASE


def root_of(schema: Mapping[str, Any]) -> Place:
    """Return the place of a whole schema.

    Raises:
        UnknownDialect: its `$schema` names none that is known.
    """
    dialect = dialect_of(schema)
    resource = dialect.specification.create_resource(schema)
    resolver = REGISTRY.with_resource(_BASE, resource).resolver(_BASE).in_subresource(resource)
    return Place(schema, "", dialect, resolver, dict(_pointers(schema)))


def everywhere(root: Place) -> Iterator[Place]:
    """Yield a schema and all subschemas that it holds, from the outside in."""
    level = [root]
    while level:
        yield from level
        level = [inner for place in level for inner in place.inner()]


def _pointers(schema: Any) -> Iterator[tuple[int, str]]:
    """Yield the identity and the pointer of each object in plain data."""
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


def alternatives(places: Sequence[Place]) -> Iterator[tuple[Place, ...]]:
    """Yield the ways in which a value can be valid against all of the places.

    Each is a set of places that apply together. What combines schemas has been taken apart: references, `allOf`, one of
    `anyOf` and `oneOf`, and `then` or `else`. What rules values out (`not`, the others of `oneOf`) is not looked at.
    There may be very many: take as many as are needed.

    Raises:
        Undecided: so many choices were tried that the rest cannot be looked at.
        UnresolvableReference: a reference leads nowhere.
    """
    stack: list[Iterator[_State]] = [iter([(tuple(places), (), frozenset())])]
    tries = 0
    while stack:
        following = next(stack[-1], None)
        if following is None:
            stack.pop()
            continue
        tries += 1
        if tries > _MOST_TRIES:
            raise Undecided
        todo, done, seen = list(following[0]), following[1], following[2]
        while todo:
            place = todo.pop(0)
            if place.schema is False:
                break
            if id(place.schema) in seen:  # it has been taken in, or refers to itself
                continue
            seen, done = seen | {id(place.schema)}, (*done, place)
            todo = [*place.referred(), *place.listed("allOf"), *todo]
            if choices := _choices(place):
                stack.append(_states(choices, (tuple(todo), done, seen)))
                break
        else:
            yield done


def _states(choices: _Choices, state: _State) -> Iterator[_State]:
    """Yield what is to be looked at next, for every way to choose."""
    todo, done, seen = state
    for chosen in product(*choices):
        yield (*(place for each in chosen for place in each), *todo), done, seen


def _choices(place: Place) -> _Choices:
    """Return what is to be chosen in a place: each with the places that apply then."""
    choices: _Choices = [
        [(each,) for each in place.listed(keyword)] for keyword in ("anyOf", "oneOf") if place.get(keyword)
    ]
    condition, then, otherwise = (place.one(keyword) for keyword in ("if", "then", "else"))
    if condition is not None and (then is not None or otherwise is not None):
        choices.append([(condition, *([then] if then else [])), (otherwise,) if otherwise else ()])
    choices += [[(each,), ()] for each in place.named("dependentSchemas").values()]
    return [[chosen for chosen in each if all(inner.schema is not False for inner in chosen)] for each in choices]


KINDS = frozenset({"object", "array", "string", "number", "boolean", "null"})


def kinds_of(way: Sequence[Place]) -> frozenset[str]:
    """Return the kinds of value that places which apply together let through; `number` stands for `integer`, too."""
    kinds = KINDS
    for place in way:
        said = place.get("type")
        if said is not None:
            named = {said} if isinstance(said, str) else set(said)
            kinds &= {"number" if each == "integer" else each for each in named}
        if "enum" in place.keywords:
            kinds &= {kind_of(each) for each in place.get("enum")}
        if "const" in place.keywords:
            kinds &= {kind_of(place.get("const"))}
    return kinds


def kind_of(value: object) -> str:
    """Return the kind of a JSON value."""
    if isinstance(value, bool):
        return "boolean"
    kinds = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return kinds.get(type(value), "null")


__all__ = [
    "KINDS",
    "Place",
    "Undecided",
    "UnknownDialect",
    "UnresolvableReference",
    "alternatives",
    "base_of",
    "everywhere",
    "kind_of",
    "kinds_of",
    "root_of",
]
