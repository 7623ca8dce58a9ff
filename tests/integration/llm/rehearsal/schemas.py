"""JSON Schemas for tests of the rehearsal: of every kind, recursive, and unsatisfiable."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from workflows.json_schema.dialects import DIALECTS

PATTERNS = (
    "^(a+)+$",
    "^(a|a)*$",
    "^([a-zA-Z]+)*$",
    "(x+x+)+y",
    "^[^/]+$",
    r"^\p{L}+$",
    r"^\P{Lu}{3}$",
    "(?<=a)b",
    "(?<!a)b",
    "^(?=a)(a+)+$",
    "^(?!a)b",
    r"^(a|b)\1$",
    r"\S",
    "^[A-Z]{3}-[0-9]{2}$",
    r"^\d{4}-\d{2}$",
    "^$",
    "^(?:https?|ftp)://[^ ]+$",
    "^.{1000}$",
    "(a{100}){90}",
    r"\bword\b",
    "[[a]b]",
    r"^\u{1F600}$",
)
FORMATS = (
    "date",
    "date-time",
    "time",
    "email",
    "uri",
    "uuid",
    "ipv4",
    "ipv6",
    "hostname",
    "regex",
    "duration",
    "unknown",
)
NUMBERS = st.sampled_from([0, 1, -1, 3, 7.5, 0.1, 1e-9, -1e9, 1e299, 10**200, -(10**30)])
COUNTS = st.sampled_from([0, 1, 2, 3, 7, 60, 5_000, 10**9])
NAMES = st.sampled_from(["a", "b", "id", "x-1", "Größe", "a/b~c", "$ref"])


def _some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return schemas with some of these keywords."""
    return st.fixed_dictionaries({}, optional=keywords)


def _of(kind: str, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _some(**keywords).map(lambda said: {"type": kind, **said})


TEXTS = _of(
    "string",
    minLength=COUNTS,
    maxLength=COUNTS,
    pattern=st.sampled_from(PATTERNS),
    format=st.sampled_from(FORMATS),
    description=st.just("What is lent."),
)
BOUNDED = {
    "minimum": NUMBERS,
    "maximum": NUMBERS,
    "multipleOf": st.sampled_from([1, 2, 0.1, 0.01, 1e-9, 1e20, 7.5, 10**40]),
}
EXCLUDED = {"exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS}
VALUES = st.sampled_from([None, True, 0, 1, 1.5, "a", "pay", [], [1], {}, {"a": 1}])
REFERENCES = st.sampled_from([{"$ref": "#"}, {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, {"$ref": "#/properties/x"}])
ANCHORS = st.sampled_from([{"$ref": "#here"}, {"$dynamicRef": "#there"}])


def _within(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas that hold others."""
    listed, named = st.lists(inner, min_size=1, max_size=3), st.dictionaries(NAMES, inner, max_size=3)
    objects = _some(
        type=st.sampled_from(["object", ["object", "null"]]),
        properties=named,
        required=st.lists(NAMES, max_size=3, unique=True),
        additionalProperties=st.booleans() | inner,
        patternProperties=st.dictionaries(st.sampled_from(["^x-[0-9]+$", "^[a-z]$", "."]), inner, max_size=2),
        propertyNames=inner,
        minProperties=COUNTS,
        maxProperties=COUNTS,
        dependentRequired=st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
        dependentSchemas=named,
        unevaluatedProperties=st.booleans(),
    )
    arrays = _of(
        "array",
        items=inner,
        minItems=COUNTS,
        maxItems=COUNTS,
        uniqueItems=st.booleans(),
        contains=inner,
        minContains=st.integers(0, 3),
        maxContains=st.integers(0, 3),
        prefixItems=listed,
        unevaluatedItems=st.booleans(),
    )
    combined = _some(allOf=listed, anyOf=listed, oneOf=listed)
    ruled_out = _some(**{"not": inner, "if": inner, "then": inner, "else": inner})
    both = st.tuples(objects, combined).map(lambda parts: {**parts[0], **parts[1]})
    return st.one_of(objects, arrays, combined, ruled_out, both)


LEAVES = st.one_of(
    TEXTS,
    _of("number", **BOUNDED, **EXCLUDED),
    _of("integer", **BOUNDED, **EXCLUDED),
    st.lists(VALUES, min_size=1, max_size=3).map(lambda values: {"enum": values}),
    VALUES.map(lambda value: {"const": value}),
    st.sampled_from([{}, True, False, {"type": "null"}, {"type": "boolean"}, {"type": ["string", "integer"]}]),
    REFERENCES,
    ANCHORS,
)
PARTS = st.recursive(LEAVES, _within, max_leaves=8)
#: Schemas of documents; most are valid in draft 2020-12.
DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda x, a, b, beside: {
        **beside,
        "type": "object",
        "required": ["title", "x"],
        "properties": {"title": {"type": "string", "minLength": 1}, "x": x},
        "$defs": {"a": a, "b": b, "c": {"$anchor": "here", "$dynamicAnchor": "there", "type": "integer"}},
    },
    PARTS,
    PARTS,
    PARTS,
    _some(
        **{"$schema": st.sampled_from([dialect.uri for dialect in DIALECTS]), "unevaluatedProperties": st.booleans()}
    ),
)
