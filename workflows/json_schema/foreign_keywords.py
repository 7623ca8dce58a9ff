"""Keywords of OpenAPI and of older dialects, which JSON Schema ignores silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.errors import FieldError
from common.json_pointer import pointer
from workflows.json_schema.graph import SchemaGraph, SchemaNode

#: Keywords that JSON Schema never had, with their replacements.
_NOT_JSON_SCHEMA = {
    "nullable": 'write type: ["{type}", "null"]',
    "discriminator": "write oneOf, with a const for the distinguishing field in each of its schemas",
}
#: Keywords of older dialects, with their replacements in 2020-12.
_OLDER = {
    "dependencies": "write dependentRequired for names, dependentSchemas for schemas",
    "additionalItems": "write items: it applies to the items after prefixItems",
    "divisibleBy": "write multipleOf",
    "disallow": "write not",
    "extends": "write allOf",
    "$recursiveRef": "write $dynamicRef",
}
#: Keywords that were booleans in older dialects, with their replacements.
_FORMER_BOOLEANS = {
    "exclusiveMinimum": "write exclusiveMinimum: {minimum} in place of minimum",
    "exclusiveMaximum": "write exclusiveMaximum: {maximum} in place of maximum",
    "required": "list the field in `required` of its object",
}


def keyword_errors(graph: SchemaGraph, *where: str | int) -> Iterator[FieldError]:
    """Yield keywords that have a meaning in other dialects, but none in this one."""
    for node in graph.parts.values():
        for keyword, advice in _foreign_keywords(node, is_latest=graph.is_latest):
            detail = f"`{keyword}` has no effect here: {advice}."
            yield FieldError(
                pointer=pointer(*where) + node.pointer + pointer(keyword), code="foreign_keyword", detail=detail
            )


def _foreign_keywords(node: SchemaNode, *, is_latest: bool) -> Iterator[tuple[str, str]]:
    keywords = node.keywords
    for keyword, advice in _NOT_JSON_SCHEMA.items():
        if keyword in keywords and not _is_redundant(keyword, keywords):
            yield keyword, advice.format(type=_type(keywords.get("type")))
    if not is_latest:
        return
    yield from ((keyword, advice) for keyword, advice in _OLDER.items() if keyword in keywords)
    for keyword, advice in _FORMER_BOOLEANS.items():
        if isinstance(keywords.get(keyword), bool):
            bounds = {name: keywords.get(name, 0) for name in ("minimum", "maximum")}
            yield keyword, advice.format(**bounds)


def _is_redundant(keyword: str, keywords: Mapping[str, Any]) -> bool:
    """Return whether keywords of JSON Schema beside a keyword already have its meaning."""
    if keyword == "discriminator":
        return keywords[keyword] is False or isinstance(keywords.get("oneOf", keywords.get("anyOf")), list)
    kinds, values = keywords.get("type"), keywords.get("enum")
    if "type" not in keywords and isinstance(values, list):
        return keywords[keyword] is False or None in values
    return keywords[keyword] is False or kinds == "null" or (isinstance(kinds, list) and "null" in kinds)


def _type(kind: Any) -> str:
    return kind if isinstance(kind, str) else "string"
