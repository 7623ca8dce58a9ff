"""The dialects of JSON Schema that a document's schema may be written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jsonschema_rs
from referencing import Specification
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012


class Dialect(NamedTuple):
    """One dialect: its name, its meta-schema, who validates by it, and how its references are followed."""

    name: str
    uri: str
    validator: type[jsonschema_rs.Validator]
    specification: Specification[Any]
    ref_stands_alone: bool = False  # keywords beside `$ref` say nothing
    items_may_be_listed: bool = True  # `items` is one schema, or those of the first elements


LATEST = Dialect(
    "2020-12",
    "https://json-schema.org/draft/2020-12/schema",
    jsonschema_rs.Draft202012Validator,
    DRAFT202012,
    items_may_be_listed=False,
)
DIALECTS = (
    Dialect("draft-04", "http://json-schema.org/draft-04/schema", jsonschema_rs.Draft4Validator, DRAFT4, True),
    Dialect("draft-06", "http://json-schema.org/draft-06/schema", jsonschema_rs.Draft6Validator, DRAFT6, True),
    Dialect("draft-07", "http://json-schema.org/draft-07/schema", jsonschema_rs.Draft7Validator, DRAFT7, True),
    Dialect("2019-09", "https://json-schema.org/draft/2019-09/schema", jsonschema_rs.Draft201909Validator, DRAFT201909),
    LATEST,
)
_BY_URI = {dialect.uri: dialect for dialect in DIALECTS}
_BY_ADDRESS = {uri.partition(":")[2]: dialect for uri, dialect in _BY_URI.items()}  # with https or http: both are met


class UnknownDialect(ValueError):
    """A `$schema` that names no dialect known here."""


def dialect_of(schema: Mapping[str, Any]) -> Dialect:
    """Return the dialect that `$schema` names; a schema without one is read as the latest.

    Raises:
        UnknownDialect: there is none of that name.
    """
    named = schema.get("$schema", LATEST.uri)
    scheme, _, address = named.removesuffix("#").partition(":") if isinstance(named, str) else ("", "", "")
    found = _BY_ADDRESS.get(address) if scheme in {"http", "https"} else None
    if found is None:
        raise UnknownDialect(f"No dialect {named!r:.100} is known; there are {', '.join(_BY_URI)}.")
    return found
