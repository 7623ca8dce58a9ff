"""Generates a document that is valid against a JSON Schema, from facts. Equal facts give equal documents.

The work is limited in depth, values and characters for any schema. A schema that needs more is rejected with the path
of the schema part.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import jsonschema_rs
from pydantic import JsonValue

from common.json_pointer import pointer
from executions.llm.rehearsal.effort import MAX_DEPTH, Effort, Spot
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.numbers import numbers_for
from executions.llm.rehearsal.shapes import Shape
from executions.llm.rehearsal.strings import KEYS, Strings
from executions.llm.rehearsal.unwritable import Exhausted, Unwritable
from workflows.json_schema.collections import Alternative
from workflows.json_schema.subschemas import TooManyAlternatives, UnresolvableReference, alternatives, kinds_of, root_of
from workflows.json_schema.validation import JsonSchema, PartValidators, validator_of

_USUAL_ITEMS = 4  # of a list, if its bounds permit it
_MAX_ITEMS = 9_999  # as many as a collection may have
_MAX_ALTERNATIVES = 16  # alternatives of the schema that are tried for one value
_MAX_TRIES = 60  # values per alternative
_MAX_ROUNDS = 30  # rounds of searching for a distinct item
_MAX_NAMES = 100  # names of fields that the schema does not define


class DocumentGenerator:
    """Generates one document."""

    def __init__(self, facts: Facts, *, root: JsonSchema, document_type: str) -> None:
        self._facts = facts
        self._schema = root
        self._counters: Counter[str] = Counter()
        self._strings = Strings(facts, document_type=document_type, count=self._next)
        self._parts = PartValidators(root)
        self._effort = Effort()

    def write(self) -> JsonValue:
        """Return the document.

        Raises:
            Unwritable: no valid document was found.
        """
        try:
            value = next(self._values((root_of(self._schema),), Spot()))
        except UnresolvableReference as error:
            raise Unwritable(error.pointer, str(error).rstrip(".")) from error
        for unmet in validator_of(self._schema).iter_errors(value):
            raise Unwritable(pointer(*unmet.schema_path), _not_valid(unmet))
        return value

    def values_at(self, path: Sequence[str], document: JsonValue) -> Iterator[JsonValue]:
        """Yield values that the schema permits at a path of a document.

        Raises:
            Unwritable: no value was found.
        """
        yield from self._values_below((root_of(self._schema),), path, document, spot=Spot())

    def _values_below(
        self, places: Alternative, path: Sequence[str], inside: JsonValue, *, spot: Spot
    ) -> Iterator[JsonValue]:
        if not path:
            yield from self._values(places, spot)
            return
        for way in self._ways(places, spot):
            shape, part = Shape(way), path[0]
            if isinstance(inside, list):
                inner, following = (shape.element(int(part)), spot.into(way)), inside[int(part)]
            elif isinstance(inside, dict):
                inner, following = (shape.field(part), spot.into(way, part)), inside[part]
            else:
                continue
            yield from self._values_below(inner[0], path[1:], following, spot=inner[1])

    def _next(self, name: str) -> int:
        self._counters[name] += 1
        return self._counters[name]

    # --- values of any kind -------------------------------------------------------------------------------------------

    def _values(self, places: Alternative, spot: Spot) -> Iterator[JsonValue]:
        """Yield values that are valid against all of these schema parts.

        Raises:
            Unwritable: no value was found.
        """
        where = places[0].pointer if places else ""
        failed: Unwritable | None = None
        found = False
        ways = self._ways(places, spot)
        is_plain = len(ways) == 1 and Shape(ways[0]).is_plain
        for way in ways:
            try:
                for value in islice(self._candidates(Shape(way), spot), _MAX_TRIES):
                    self._effort.spend(where, value)
                    unmet = None if is_plain else self._unmet(places, value)
                    if unmet is None:
                        found = True
                        yield value
                    failed = failed or unmet
            except Exhausted:
                raise
            except Unwritable as error:
                failed = failed or error
        if not found:
            raise failed or Unwritable(where, "no value is valid there")

    def _ways(self, places: Alternative, spot: Spot) -> list[Alternative]:
        """Return the alternatives of the schema parts; in recursive schemas those that end the recursion come first.

        Raises:
            Unwritable: no alternative was found among those that can be tried.
        """
        ways: list[Alternative] = []
        try:
            ways.extend(islice(alternatives(places), _MAX_ALTERNATIVES))
        except TooManyAlternatives as error:
            if not ways:
                raise Unwritable(places[0].pointer, "there are too many alternatives") from error
        if any(spot.is_within(place) for way in ways for place in way):
            ways.sort(key=lambda way: kinds_of(way) <= {"object", "array"})
        return ways

    def _unmet(self, places: Alternative, value: JsonValue) -> Unwritable | None:
        """Return why a value is not valid, None if it is valid."""
        for place in places:
            if (error := self._parts.error(place, value)) is not None:
                keyword = error.kind.name
                where = f"{place.pointer}/{keyword}" if keyword in place.keywords else place.pointer
                return Unwritable(where, _not_valid(error))
        return None

    def _candidates(self, shape: Shape, spot: Spot) -> Iterator[JsonValue]:
        """Yield candidates of every permitted kind; some may be invalid.

        Raises:
            Unwritable: there are no candidates of one kind.
        """
        if (options := shape.options) is not None:
            yield from self._chosen(options, spot.path)
            return
        failed: Unwritable | None = None
        for kind in shape.kinds:
            try:
                yield from self._of_kind(kind, shape, spot)
            except Exhausted:
                raise
            except Unwritable as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _of_kind(self, kind: str, shape: Shape, spot: Spot) -> Iterator[JsonValue]:
        if kind in {"object", "array"} and spot.depth > MAX_DEPTH:
            raise Unwritable(shape.pointer_of(), f"it is nested deeper than {MAX_DEPTH} levels")
        match kind:
            case "object":
                yield from self._objects(shape, spot)
            case "array":
                yield from self._arrays(shape, spot)
            case "string":
                yield from self._strings.texts_for(shape, spot.path)
            case "number":
                yield from numbers_for(shape, self._facts.numbers, number=self._next("/".join(spot.path)))
            case "boolean":
                yield from (True, False)
            case _:
                yield None

    def _chosen(self, options: list[JsonValue], path: tuple[str, ...]) -> Iterator[JsonValue]:
        """Yield the values of a closed set, each once: key fields in order, others from a hashed index."""
        name = "/".join(path)
        number = self._next(name)
        turn = number - 1
        if not path or path[-1] not in KEYS:
            seed = f"{self._facts.subject}/{name}/{number}"
            turn = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
        turn %= len(options) or 1
        yield from chain(options[turn:], options[:turn])

    # --- objects ------------------------------------------------------------------------------------------------------

    def _objects(self, shape: Shape, spot: Spot) -> Iterator[JsonValue]:
        """Yield an object with all fields, then one with only the required fields."""
        least, most = shape.min_count("minProperties"), shape.max_count("maxProperties", default=100 * _MAX_NAMES)
        names, required = shape.fields, shape.required
        if self._is_again(shape, spot):
            names = [name for name in names if name in required]
        fuller = self._object(shape, spot, names)
        if len(fuller) < least:
            self._add_fields(fuller, shape, spot, min_count=least)
        if len(fuller) <= most:
            yield dict(fuller)
        others = [name for name in fuller if name not in required]
        for name in others[max(least - (len(fuller) - len(others)), 0) :]:
            del fuller[name]
        yield fuller

    def _object(self, shape: Shape, spot: Spot, names: list[str]) -> dict[str, JsonValue]:
        """Return an object with these fields; optional fields for which no value is found are omitted."""
        made: dict[str, JsonValue] = {}
        for name in names:
            try:
                made[name] = next(self._values(shape.field(name), spot.into(shape.way, name)))
            except Exhausted:
                raise
            except Unwritable:
                if name in shape.required:
                    raise
        return made

    def _add_fields(self, made: dict[str, JsonValue], shape: Shape, spot: Spot, *, min_count: int) -> None:
        """Add fields that the schema does not define, until there are enough or no more names.

        Raises:
            Unwritable: too many fields are required.
        """
        if min_count > _MAX_NAMES:
            raise Unwritable(shape.pointer_of("minProperties"), f"it requires more than {_MAX_NAMES} fields")
        for name in self._names(shape, spot):
            if len(made) >= min_count:
                return
            if name not in made:
                made |= self._object(shape, spot, [name])

    def _names(self, shape: Shape, spot: Spot) -> Iterator[str]:
        """Yield names of additional fields that a schema may permit."""
        named = tuple(each for place in shape.way if (each := place.one("propertyNames")) is not None)
        patterns = [pattern for place in shape.way for pattern in place.names("patternProperties")]
        for number in range(1, _MAX_NAMES + 1):
            for name in islice(self._values(named, spot.into(shape.way, "name")), 3) if named else ():
                if isinstance(name, str):
                    yield name
            for pattern in patterns:
                yield from islice(self._strings.names_for(pattern, number), 3)
            if not named:
                yield f"field_{number}"

    # --- arrays -------------------------------------------------------------------------------------------------------

    def _arrays(self, shape: Shape, spot: Spot) -> Iterator[JsonValue]:
        """Yield an array of default length, then one of minimum length."""
        must = [place for place, count in shape.contained for _ in range(min(count, _MAX_ITEMS))]
        least, most = shape.min_count("minItems", default=len(must)), shape.max_count("maxItems", default=_MAX_ITEMS)
        if least > _MAX_ITEMS:
            raise Unwritable(shape.pointer_of("minItems"), f"the rehearsal makes lists with at most {_MAX_ITEMS} items")
        items: list[JsonValue] = []
        for index in range(least if self._is_again(shape, spot) else max(least, min(_USUAL_ITEMS, most))):
            try:
                item = self._item((*shape.element(index), *must[index : index + 1]), spot, shape, others=items)
            except Exhausted:
                raise
            except Unwritable:
                if index < least:
                    raise
                break
            if index >= least and item in items:
                break  # no further fact
            items.append(item)
        yield items
        yield items[:least]

    def _item(self, places: Alternative, spot: Spot, shape: Shape, *, others: list[JsonValue]) -> JsonValue:
        """Return an item for a list, a distinct one if the items must be unique.

        Raises:
            Unwritable: no item was found.
        """
        inside = spot.into(shape.way)
        if not any(shape.all("uniqueItems")):
            return next(self._values(places, inside))
        known = {json.dumps(each, sort_keys=True) for each in others}
        for _ in range(_MAX_ROUNDS):
            for value in islice(self._values(places, inside), _MAX_TRIES):
                if json.dumps(value, sort_keys=True) not in known:
                    return value
        raise Unwritable(shape.pointer_of("uniqueItems"), "no distinct item was found")

    def _is_again(self, shape: Shape, spot: Spot) -> bool:
        """Return whether a value is inside another value for the same schema; then it is kept short."""
        return any(spot.is_within(place) for place in shape.way)


def _not_valid(error: jsonschema_rs.ValidationError) -> str:
    return f"no generated value is valid ({error.kind.name})"
