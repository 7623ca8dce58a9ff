"""The combined constraints of schema parts that apply to one value: bounds, kinds, and schemas of child values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from workflows.json_schema.collections import Alternative, element_of, property_of, required_of
from workflows.json_schema.subschemas import Subschema, kinds_of

_HINTS = {  # keywords that imply a type if the schema has no `type`
    "object": ("properties", "required", "patternProperties", "minProperties", "additionalProperties"),
    "array": ("items", "prefixItems", "contains", "minItems"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
}
#: Keywords that do not constrain the value.
_ASK_NOTHING = frozenset(
    {
        "$ref",
        "$schema",
        "$id",
        "$anchor",
        "$dynamicAnchor",
        "$defs",
        "definitions",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
    }
)
#: Keywords of objects and lists that the generator always satisfies.
_PLAIN = frozenset({"type", "properties", "required", "items", "minItems"})
_USUAL = ("string", "object", "array", "number", "boolean", "null")


@dataclass
class Shape:
    """The constraints of schema parts that apply together to one value."""

    way: Alternative

    @property
    def kinds(self) -> list[str]:
        """The permitted kinds of values: those that the schema names first, `null` last."""
        kinds = kinds_of(self.way)
        named = [each for place in self.way for each in _listed(place.get("type"))]
        named = ["number" if each == "integer" else each for each in named if each != "null"]
        said = {keyword for place in self.way for keyword in place.keywords}
        meant = [kind for kind, words in _HINTS.items() if not said.isdisjoint(words)]
        return [kind for kind in dict.fromkeys((*named, *meant, *_USUAL)) if kind in kinds]

    @property
    def is_plain(self) -> bool:
        """Whether generated objects and lists are always valid, so that an expensive check is unnecessary."""
        asking = [said for place in self.way if (said := place.keywords.keys() - _ASK_NOTHING)]
        return len(asking) == 1 and asking[0] <= _PLAIN

    @property
    def is_whole(self) -> bool:
        """Whether numbers must be integers."""
        types = [set(_listed(place.get("type"))) for place in self.way]
        return any("integer" in each and "number" not in each for each in types)

    @property
    def options(self) -> list[Any] | None:
        """The values of a closed set; None: the set is not closed."""
        for place in self.way:
            if "const" in place.keywords:
                return [place.get("const")]
        return next((list(place.get("enum")) for place in self.way if "enum" in place.keywords), None)

    def all(self, keyword: str) -> list[Any]:
        """Return the values of a keyword in all parts."""
        return [place.get(keyword) for place in self.way if place.get(keyword) is not None]

    def min_count(self, keyword: str, default: int = 0) -> int:
        """Return the lower bound of a count, by a keyword such as `minItems`."""
        return max((math.ceil(each) for each in self.all(keyword)), default=default)

    def max_count(self, keyword: str, default: int) -> int:
        """Return the upper bound of a count, by a keyword such as `maxItems`."""
        return min((math.floor(each) for each in self.all(keyword)), default=default)

    def pointer_of(self, *keywords: str) -> str:
        """Return the pointer of the first part with one of these keywords, else of the first part."""
        for place in self.way:
            for keyword in keywords:
                if keyword in place.keywords:
                    return f"{place.pointer}/{keyword}"
        return self.way[0].pointer if self.way else ""

    # --- objects ------------------------------------------------------------------------------------------------------

    @property
    def fields(self) -> list[str]:
        """The names of the defined fields in order, then of further required fields."""
        known = [name for place in self.way for name in place.names("properties")]
        return list(dict.fromkeys((*known, *sorted(self.required))))

    @cached_property
    def required(self) -> set[str]:
        """The names of the required fields."""
        return required_of(self.way)

    def field(self, name: str) -> Alternative:
        """Return the schema parts of a field."""
        return property_of(self.way, name)

    # --- arrays -------------------------------------------------------------------------------------------------------

    def element(self, index: int) -> Alternative:
        """Return the schema parts of an element."""
        return element_of(self.way, index)

    @property
    def contained(self) -> Iterator[tuple[Subschema, int]]:
        """The schema parts that elements have to match, and how many elements."""
        for place in self.way:
            if (contained := place.one("contains")) is not None:
                yield contained, math.ceil(place.get("minContains", 1))

    # --- numbers ------------------------------------------------------------------------------------------------------

    @property
    def step(self) -> Fraction:
        """The number of which all numbers are multiples; 0: no such constraint."""
        steps = [_exact(each) for each in self.all("multipleOf")] + ([Fraction(1)] if self.is_whole else [])
        step = Fraction(0)
        for each in steps:
            step = each if step == 0 else _common(step, each)
        return step

    @property
    def lowest(self) -> tuple[Fraction | None, bool]:
        """The lower bound of numbers, and whether it is excluded."""
        bounds = [(_exact(each), False) for each in self.all("minimum")]
        bounds += [(_exact(each), True) for each in self.all("exclusiveMinimum")]
        return max(bounds, default=(None, False))

    @property
    def highest(self) -> tuple[Fraction | None, bool]:
        """The upper bound of numbers, and whether it is excluded."""
        bounds = [(_exact(each), False) for each in self.all("maximum")]
        bounds += [(_exact(each), True) for each in self.all("exclusiveMaximum")]
        return min(bounds, key=lambda bound: (bound[0], not bound[1]), default=(None, False))


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _exact(number: float) -> Fraction:
    """Return the exact decimal value of a number: 0.1 is a tenth."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def _common(one: Fraction, other: Fraction) -> Fraction:
    """Return the least common multiple."""
    divisor = math.gcd(one.numerator * other.denominator, other.numerator * one.denominator)
    return one * other / Fraction(divisor, one.denominator * other.denominator)
