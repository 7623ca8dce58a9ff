"""Generates a document that is valid against a JSON Schema, from facts. Equal facts give equal documents.

The work is limited in depth, values and characters for any schema. A schema that needs more is rejected with the path
of the schema part.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

import jsonschema_rs
from pydantic import JsonValue

from executions.llm.rehearsal.effort import MAX_DEPTH, Effort, Spot
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.numbers import numbers_for
from executions.llm.rehearsal.shapes import Shape
from executions.llm.rehearsal.strings import KEYS, Strings
from executions.llm.rehearsal.unwritable import Exhausted, Unwritable
from workflows.errors import pointer
from workflows.json_schema.collections import Way
from workflows.json_schema.subschemas import Undecided, UnresolvableReference, alternatives, kinds_of, root_of
from workflows.json_schema.validation import JsonSchema, PartValidators, validator_of

_DEFAULT_ITEMS = 4  # of a list, if its bounds permit it
_MAX_ITEMS = 2_000
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

    def generate(self) -> JsonValue:
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

    def _next(self, name: str) -> int:
        self._counters[name] += 1
        return self._counters[name]

    # --- values of any kind -------------------------------------------------------------------------------------------

    def _values(self, parts: Way, spot: Spot) -> Iterator[JsonValue]:
        """Yield values that are valid against all of these schema parts.

        Raises:
            Unwritable: no value was found.
        """
        path = parts[0].pointer if parts else ""
        first_error: Unwritable | None = None
        found = False
        choices = self._alternatives(parts, spot)
        is_plain = len(choices) == 1 and Shape(choices[0]).is_plain
        for alternative in choices:
            try:
                for value in islice(self._candidates(Shape(alternative), spot), _MAX_TRIES):
                    self._effort.spend(path, value)
                    unmet = None if is_plain else self._unmet(parts, value)
                    if unmet is None:
                        found = True
                        yield value
                    first_error = first_error or unmet
            except Exhausted:
                raise
            except Unwritable as error:
                first_error = first_error or error
        if not found:
            raise first_error or Unwritable(path, "no value is valid there")

    def _alternatives(self, parts: Way, spot: Spot) -> list[Way]:
        """Return the alternatives of the schema parts; in recursive schemas those that end the recursion come first.

        Raises:
            Unwritable: no alternative was found among those that can be tried.
        """
        found: list[Way] = []
        try:
            found.extend(islice(alternatives(parts), _MAX_ALTERNATIVES))
        except Undecided as error:
            if not found:
                raise Unwritable(parts[0].pointer, "there are too many alternatives") from error
        if any(spot.is_within(part) for alternative in found for part in alternative):
            found.sort(key=lambda alternative: kinds_of(alternative) <= {"object", "array"})
        return found

    def _unmet(self, parts: Way, value: JsonValue) -> Unwritable | None:
        """Return why a value is not valid, None if it is valid."""
        for part in parts:
            if (error := self._parts.error(part, value)) is not None:
                keyword = error.kind.name
                path = f"{part.pointer}/{keyword}" if keyword in part.keywords else part.pointer
                return Unwritable(path, _not_valid(error))
        return None

    def _candidates(self, shape: Shape, spot: Spot) -> Iterator[JsonValue]:
        """Yield candidates of every permitted kind; some may be invalid.

        Raises:
            Unwritable: there are no candidates of one kind.
        """
        if (options := shape.options) is not None:
            yield from self._rotated_options(options, spot.path)
            return
        first_error: Unwritable | None = None
        for kind in shape.kinds:
            try:
                yield from self._of_kind(kind, shape, spot)
            except Exhausted:
                raise
            except Unwritable as error:
                first_error = first_error or error
        if first_error is not None:
            raise first_error

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

    def _rotated_options(self, options: list[JsonValue], path: tuple[str, ...]) -> Iterator[JsonValue]:
        """Yield the values of a closed set, each once: key fields in order, others from a hashed index."""
        name = "/".join(path)
        number = self._next(name)
        start = number - 1
        if not path or path[-1] not in KEYS:
            seed = f"{self._facts.subject}/{name}/{number}"
            start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
        start %= len(options) or 1
        yield from chain(options[start:], options[:start])

    # --- objects ------------------------------------------------------------------------------------------------------

    def _objects(self, shape: Shape, spot: Spot) -> Iterator[JsonValue]:
        """Yield an object with all fields, then one with only the required fields."""
        minimum, maximum = shape.min_count("minProperties"), shape.max_count("maxProperties", default=100 * _MAX_NAMES)
        names, required = shape.fields, shape.required
        if self._is_recursive(shape, spot):
            names = [name for name in names if name in required]
        content = self._object(shape, spot, names)
        if len(content) < minimum:
            self._add_fields(content, shape, spot, min_count=minimum)
        if len(content) <= maximum:
            yield dict(content)
        others = [name for name in content if name not in required]
        for name in others[max(minimum - (len(content) - len(others)), 0) :]:
            del content[name]
        yield content

    def _object(self, shape: Shape, spot: Spot, names: list[str]) -> dict[str, JsonValue]:
        """Return an object with these fields; optional fields for which no value is found are omitted."""
        content: dict[str, JsonValue] = {}
        for name in names:
            try:
                content[name] = next(self._values(shape.field(name), spot.into(shape.way, name)))
            except Exhausted:
                raise
            except Unwritable:
                if name in shape.required:
                    raise
        return content

    def _add_fields(self, content: dict[str, JsonValue], shape: Shape, spot: Spot, *, min_count: int) -> None:
        """Add fields that the schema does not define, until there are enough or no more names.

        Raises:
            Unwritable: too many fields are required.
        """
        if min_count > _MAX_NAMES:
            raise Unwritable(shape.pointer_of("minProperties"), f"it requires more than {_MAX_NAMES} fields")
        for name in self._names(shape, spot):
            if len(content) >= min_count:
                return
            if name not in content:
                content |= self._object(shape, spot, [name])

    def _names(self, shape: Shape, spot: Spot) -> Iterator[str]:
        """Yield names of additional fields that a schema may permit."""
        name_schemas = tuple(each for place in shape.way if (each := place.one("propertyNames")) is not None)
        patterns = [pattern for place in shape.way for pattern in place.names("patternProperties")]
        for number in range(1, _MAX_NAMES + 1):
            for name in islice(self._values(name_schemas, spot.into(shape.way, "name")), 3) if name_schemas else ():
                if isinstance(name, str):
                    yield name
            for pattern in patterns:
                yield from islice(self._strings.names_for(pattern, number), 3)
            if not name_schemas:
                yield f"field_{number}"

    # --- arrays -------------------------------------------------------------------------------------------------------

    def _arrays(self, shape: Shape, spot: Spot) -> Iterator[JsonValue]:
        """Yield an array of default length, then one of minimum length."""
        contained = [place for place, count in shape.contained for _ in range(min(count, _MAX_ITEMS))]
        minimum, maximum = (
            shape.min_count("minItems", default=len(contained)),
            shape.max_count("maxItems", default=_MAX_ITEMS),
        )
        if minimum > _MAX_ITEMS:
            raise Unwritable(shape.pointer_of("minItems"), f"the rehearsal makes lists with at most {_MAX_ITEMS} items")
        items: list[JsonValue] = []
        for index in range(minimum if self._is_recursive(shape, spot) else max(minimum, min(_DEFAULT_ITEMS, maximum))):
            try:
                item = self._item((*shape.element(index), *contained[index : index + 1]), spot, shape, others=items)
            except Exhausted:
                raise
            except Unwritable:
                if index < minimum:
                    raise
                break
            if index >= minimum and item in items:
                break  # no further fact
            items.append(item)
        yield items
        yield items[:minimum]

    def _item(self, parts: Way, spot: Spot, shape: Shape, *, others: list[JsonValue]) -> JsonValue:
        """Return an item for a list, a distinct one if the items must be unique.

        Raises:
            Unwritable: no item was found.
        """
        item_spot = spot.into(shape.way)
        if not any(shape.all("uniqueItems")):
            return next(self._values(parts, item_spot))
        known = {json.dumps(each, sort_keys=True) for each in others}
        for _ in range(_MAX_ROUNDS):
            for value in islice(self._values(parts, item_spot), _MAX_TRIES):
                if json.dumps(value, sort_keys=True) not in known:
                    return value
        raise Unwritable(shape.pointer_of("uniqueItems"), "no distinct item was found")

    def _is_recursive(self, shape: Shape, spot: Spot) -> bool:
        """Return whether a value is inside another value for the same schema; then it is kept short."""
        return any(spot.is_within(place) for place in shape.way)


def _not_valid(error: jsonschema_rs.ValidationError) -> str:
    return f"none of the generated values is valid ({error.kind.name})"
