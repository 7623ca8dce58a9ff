"""Supported dialects of JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jsonschema_rs
from referencing import Specification
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012


class Dialect(NamedTuple):
    """A dialect: name, URI of the meta-schema, validator class, and rules for references."""

    name: str
    uri: str
    validator: type[jsonschema_rs.Validator]
    specification: Specification[Any]
    ref_stands_alone: bool = False  # keywords beside `$ref` are ignored
    items_may_be_listed: bool = True  # `items` is one schema, or a list for the first elements


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
_BY_ADDRESS = {
    uri.partition(":")[2]: dialect for uri, dialect in _BY_URI.items()
}  # without the scheme: schemas use http and https


class UnknownDialect(ValueError):
    """`$schema` names an unsupported dialect."""


def dialect_of(schema: Mapping[str, Any]) -> Dialect:
    """Return the dialect that `$schema` names, or the latest dialect.

    Raises:
        UnknownDialect: the dialect is not supported.
    """
    named = schema.get("$schema", LATEST.uri)
    scheme, _, address = named.removesuffix("#").partition(":") if isinstance(named, str) else ("", "", "")
    found = _BY_ADDRESS.get(address) if scheme in {"http", "https"} else None
    if found is None:
        raise UnknownDialect(f"Unknown dialect {named!r:.100}; supported: {', '.join(_BY_URI)}.")
    return found
