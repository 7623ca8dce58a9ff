"""Keywords of OpenAPI and of other dialects: JSON Schema passes over them in silence, and means something else then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workflows.errors import Fault, pointer
from workflows.json_schema.graph import Part, SchemaGraph

#: Keywords that no dialect of JSON Schema has, each with what to write.
_OF_NO_DIALECT = {
    "nullable": 'write type: ["{type}", "null"]',
    "discriminator": "write oneOf, and in each of its schemas a const for the field that tells them apart",
}
#: Keywords of older dialects, each with what 2020-12 has in its place.
_OLDER = {
    "dependencies": "write dependentRequired for names, dependentSchemas for schemas",
    "additionalItems": "write items: it holds for what comes after prefixItems",
    "divisibleBy": "write multipleOf",
    "disallow": "write not",
    "extends": "write allOf",
    "$recursiveRef": "write $dynamicRef",
}
#: Keywords that once took true, each with what to write.
_ONCE_TRUE = {
    "exclusiveMinimum": "write the bound itself, as exclusiveMinimum: {minimum}, in place of minimum",
    "exclusiveMaximum": "write the bound itself, as exclusiveMaximum: {maximum}, in place of maximum",
    "required": "name the field in `required` of the object that has it",
}


def keyword_faults(graph: SchemaGraph, *where: str | int) -> Iterator[Fault]:
    """Yield the keywords that change what a schema means elsewhere, and mean nothing here."""
    for part in graph.parts.values():
        for keyword, advice in _foreign(part, is_latest=graph.is_latest):
            detail = f"JSON Schema has no `{keyword}` of this kind: {advice}."
            yield Fault(
                pointer=pointer(*where) + part.pointer + pointer(keyword), code="foreign_keyword", detail=detail
            )


def _foreign(part: Part, *, is_latest: bool) -> Iterator[tuple[str, str]]:
    said = part.keywords
    for keyword, advice in _OF_NO_DIALECT.items():
        if keyword in said and not _is_needless(keyword, said):
            yield keyword, advice.format(type=_type(said.get("type")))
    if not is_latest:
        return
    yield from ((keyword, advice) for keyword, advice in _OLDER.items() if keyword in said)
    for keyword, advice in _ONCE_TRUE.items():
        if isinstance(said.get(keyword), bool):
            bounds = {name: said.get(name, 0) for name in ("minimum", "maximum")}
            yield keyword, advice.format(**bounds)


def _is_needless(keyword: str, said: Mapping[str, Any]) -> bool:
    """Whether a keyword says nothing that keywords of JSON Schema beside it do not say as well."""
    if keyword == "discriminator":
        return said[keyword] is False or isinstance(said.get("oneOf", said.get("anyOf")), list)
    kinds, values = said.get("type"), said.get("enum")
    if "type" not in said and isinstance(values, list):
        return said[keyword] is False or None in values
    return said[keyword] is False or kinds == "null" or (isinstance(kinds, list) and "null" in kinds)


def _type(kind: Any) -> str:
    return kind if isinstance(kind, str) else "string"
