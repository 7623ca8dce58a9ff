"""Types of JSON Schema, and numeric keywords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: An integer has both types, `integer` and `number`.
TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def types_of(keywords: Mapping[str, Any]) -> frozenset[str]:
    """Return the types that `type` allows; all types if it is missing or invalid."""
    kinds = keywords.get("type")
    named = {kinds} if isinstance(kinds, str) else set(map(str, kinds)) if isinstance(kinds, list) else set()
    if not named or not named <= TYPES:
        return TYPES
    if "number" in named:
        named.add("integer")
    return frozenset(named)


def types_of_value(value: Any) -> frozenset[str]:
    """Return the types of a value."""
    match value:
        case None:
            return frozenset({"null"})
        case bool():
            return frozenset({"boolean"})
        case int():
            return frozenset({"integer", "number"})
        case float():
            return frozenset({"integer", "number"} if value.is_integer() else {"number"})
        case str():
            return frozenset({"string"})
        case list():
            return frozenset({"array"})
    return frozenset({"object"})


def numbers_of(keywords: Mapping[str, Any], keyword: str) -> int | float | None:
    """Return the number of a keyword; None if it has no number."""
    value = keywords.get(keyword)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
